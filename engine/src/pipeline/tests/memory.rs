//! A journal in memory, whose appends a test can delay or fail. Each batch is a segment of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;
use scrip_protocol::Position;
use scrip_protocol::batch::{Batch, BatchBuilder, ChainEnd};

use super::DEADLINE;
use scrip_core::state::State;
use scrip_journal::conformance::Storage;
use scrip_journal::{Journal, JournalError, JournalReader};

/// The durable part of a journal in memory.
#[derive(Clone, Default)]
pub(super) struct Kept {
    /// The newest one is never dropped.
    pub(super) batches: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Appends fail.
    is_broken: Arc<AtomicBool>,
}

impl Kept {
    pub(super) fn end(&self) -> ChainEnd {
        self.batches.lock().last().map_or(ChainEnd::default(), |bytes| parsed(bytes).end())
    }

    /// The number of records of each batch, and its time.
    pub(super) fn extents(&self) -> Vec<(u32, u64)> {
        self.batches.lock().iter().map(|bytes| (parsed(bytes).count, parsed(bytes).time_ms)).collect()
    }

    /// The state of the batches. Checks their chain.
    pub(super) fn replay(&self) -> State {
        let (mut state, mut chain) = (State::default(), ChainEnd::default());
        for bytes in &*self.batches.lock() {
            let batch = parsed(bytes);
            batch.follow(&mut chain).expect("each batch continues the one before");
            for record in batch.records() {
                state.apply(batch.time(), &record.expect("the record was just written").1);
            }
        }
        state
    }
}

pub(super) fn parsed(bytes: &[u8]) -> Batch<'_> {
    Batch::parse(bytes).expect("the batch was just written")
}

/// How many of these batches end at or before a position, without the newest.
fn covered(batches: &[Vec<u8>], position: Position) -> usize {
    let but_newest = &batches[..batches.len().saturating_sub(1)];
    but_newest.iter().take_while(|bytes| parsed(bytes).end().position <= position).count()
}

fn first_of(batches: &[Vec<u8>]) -> Position {
    batches.first().map_or(Position(1), |bytes| parsed(bytes).first)
}

impl JournalReader for Kept {
    fn read(&self, from: Position, bytes_max: usize) -> Result<Vec<Vec<u8>>, JournalError> {
        let batches = self.batches.lock();
        let (first, position) = (first_of(&batches), from.max(Position(1)));
        if position < first {
            return Err(JournalError::Dropped { dir: "memory".into(), position, first });
        }
        let mut bytes = 0;
        let from_there = batches.iter().skip_while(|bytes| parsed(bytes).end().position < position);
        let up_to_limit = from_there.take_while(|batch| {
            let is_full = bytes > bytes_max;
            bytes += batch.len();
            !is_full
        });
        Ok(up_to_limit.cloned().collect())
    }

    fn bytes(&self) -> u64 {
        self.batches.lock().iter().map(|bytes| bytes.len() as u64).sum()
    }

    fn first(&self) -> Position {
        first_of(&self.batches.lock())
    }

    fn first_behind(&self, position: Position) -> Position {
        let batches = self.batches.lock();
        first_of(&batches[covered(&batches, position)..])
    }

    fn drop_through(&self, position: Position) -> Result<usize, JournalError> {
        let mut batches = self.batches.lock();
        let count = covered(&batches, position);
        batches.drain(..count);
        Ok(count)
    }

    /// Memory is not damaged.
    fn check_sealed(&self, _goes_on: &dyn Fn() -> bool) -> Result<(), JournalError> {
        Ok(())
    }
}

/// A journal in memory.
pub(super) struct Memory {
    kept: Kept,
    end: ChainEnd,
    /// The append that fails, counted from 1; none after it succeeds.
    fails_at: Option<usize>,
    appends: usize,
    has_failed: bool,
    held: Option<Held>,
}

impl Memory {
    /// The journal that continues what is kept.
    pub(super) fn over(kept: Kept) -> Memory {
        Memory { end: kept.end(), kept, fails_at: None, appends: 0, has_failed: false, held: None }
    }

    /// Makes an append fail, counted from now.
    pub(super) fn failing_at(self, append: usize) -> Memory {
        self.with(None, Some(append))
    }

    /// Delays and fails appends from now on.
    pub(super) fn with(self, held: Option<Held>, fails_at: Option<usize>) -> Memory {
        Memory { held, fails_at, appends: 0, ..self }
    }
}

/// The journal's side of a gate: it reports how many records it must append, and waits for permission.
pub(super) struct Held {
    entered: Sender<u32>,
    leave: Receiver<()>,
}

/// The test's side of a gate. Dropping it opens the gate permanently.
pub(super) struct Gate {
    entered: Receiver<u32>,
    leave: Sender<()>,
}

pub(super) fn gate() -> (Held, Gate) {
    let (entered_sender, entered) = crossbeam_channel::unbounded();
    let (leave, leave_receiver) = crossbeam_channel::unbounded();
    (Held { entered: entered_sender, leave: leave_receiver }, Gate { entered, leave })
}

impl Gate {
    /// Waits until an append has started, and returns its number of records.
    pub(super) fn entered(&self) -> u32 {
        self.entered.recv_timeout(DEADLINE).expect("an append has started")
    }

    /// Whether no append waits, apart from those whose start the test has seen.
    pub(super) fn is_quiet(&self) -> bool {
        self.entered.is_empty()
    }

    pub(super) fn let_go(&self) {
        self.leave.send(()).expect("the journal is there");
    }
}

impl Journal for Memory {
    fn end(&self) -> ChainEnd {
        self.end
    }

    fn append(&mut self, batches: Vec<BatchBuilder>) -> Result<ChainEnd, JournalError> {
        self.appends += 1;
        if let Some(held) = &self.held {
            // Both fail only if the test has dropped its side.
            let _ = held.entered.send(batches.iter().map(BatchBuilder::count).sum());
            let _ = held.leave.recv();
        }
        self.has_failed |= self.fails_at == Some(self.appends) || self.kept.is_broken.load(Ordering::SeqCst);
        if self.has_failed {
            return Err(JournalError::Write { path: "memory".into(), cause: "the test fails it".into() });
        }
        let sealed: Vec<_> = batches.into_iter().map(|batch| batch.seal(&mut self.end)).collect();
        self.kept.batches.lock().extend(sealed);
        Ok(self.end)
    }

    fn reader(&self) -> Arc<dyn JournalReader> {
        Arc::new(self.kept.clone())
    }
}

impl Storage for Kept {
    type Journal = Memory;

    fn open(&self, _from: ChainEnd) -> Memory {
        Memory::over(self.clone())
    }

    fn crashed(&self) -> Vec<Kept> {
        let batches = self.batches.lock().clone();
        vec![Kept { batches: Arc::new(Mutex::new(batches)), is_broken: Arc::default() }]
    }

    fn faults(&self) -> u64 {
        1
    }

    fn break_append(&self, _end: ChainEnd, _fault: u64) {
        self.is_broken.store(true, Ordering::SeqCst);
    }

    fn mend(&self, _end: ChainEnd) {
        self.is_broken.store(false, Ordering::SeqCst);
    }
}

mod conforms {
    scrip_journal::journal_conformance!(super::Kept::default);
}
