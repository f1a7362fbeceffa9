//! Follows the journal: applies the tail as it arrives.
//!
//! A task receives batches from the tail, up to a limit in bytes; a separate thread applies all batches received meanwhile in
//! one transaction, and then reports its position, which readers already see. The task reconnects for as long as necessary. It
//! halts only if a person has to decide: if the journal is a different one, or no longer reaches back far enough.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use scrip_client::{Dial, Followed, Follower, FollowerError, TailError};
use scrip_protocol::Position;
use scrip_protocol::batch::{stated_extent, stated_kinds};
use scrip_protocol::codes::UnknownForm;
use scrip_protocol::record::is_about_readers;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use crate::read_model::{ReadModel, ReadModelError};
use crate::standing::{Following, Standing};

/// The maximum number of records in a transaction, exceeded by at most one batch. If the read model is behind, a transaction
/// contains everything received while the previous one was written.
pub const RECORDS_AT_ONCE: usize = 1 << 17;

/// The maximum size of batches waiting to be applied, in KiB. A larger batch waits alone.
const WAITING_KIB: u32 = 64 << 10;

/// A transaction with at least this many records is followed by a pause: the next one starts no sooner than this long after its
/// start. Pages all over the file are then written less often, and the disk is left to an engine that may share it; the lag
/// stays under a second.
const PAUSE: (usize, Duration) = (1 << 10, Duration::from_millis(300));

/// Why a follower halts.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The read model refuses a batch.
    #[error("the read model")]
    ReadModel(#[from] ReadModelError),
    /// This program does not know the form in which the engine compares codes.
    #[error("the engine is of another version")]
    CodeForm(#[source] UnknownForm),
    /// The tail cannot continue where the read model ends.
    #[error("the read model cannot continue from its position")]
    Tail(#[source] TailError),
    /// The journal ends before the read model.
    #[error(
        "the journal ends at position {journal}, and the read model is at {applied}: the engine was restored to an earlier state; \
         rebuild the read model"
    )]
    Behind {
        /// The newest record of the journal.
        journal: Position,
        /// The newest record of the read model.
        applied: Position,
    },
}

impl From<FollowerError> for FollowError {
    fn from(error: FollowerError) -> FollowError {
        match error {
            FollowerError::CodeForm(error) => FollowError::CodeForm(error),
            FollowerError::Tail(error) => FollowError::Tail(error),
            FollowerError::Behind { journal, cursor } => FollowError::Behind { journal, applied: cursor },
        }
    }
}

/// A batch on its way to the read model, with the permit for its bytes.
struct Waiting {
    bytes: Vec<u8>,
    room: OwnedSemaphorePermit,
}

/// Follows the engine until `stop` is true or something halts it. Ends when all received batches are applied.
///
/// # Errors
/// See [`FollowError`].
pub async fn follow(
    dial: Dial,
    model: ReadModel,
    standing: watch::Sender<Standing>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), FollowError> {
    let follower = Follower::new(dial, model.cursor());
    let (send, receive) = mpsc::unbounded_channel();
    let applier = Applier::start(model, receive, standing.clone());
    let ended = tokio::select! {
        ended = take(follower, &send, &standing) => ended,
        _ = stop.wait_for(|stop| *stop) => Ok(()),
    };
    drop(send);
    // The thread ends with the channel, in the time of one transaction.
    let applied = tokio::task::spawn_blocking(|| applier.join()).await.expect("joining a thread does not panic");
    let ended = applied.map_err(FollowError::from).and(ended);
    if let Err(error) = &ended {
        standing.send_modify(|standing| standing.following = Following::Halted(chain_of(error)));
    }
    ended
}

/// Receives batches from the tail. Ends when the applier has ended, also if no further batch arrives, or with an error that a
/// person has to resolve.
async fn take(
    mut follower: Follower,
    send: &mpsc::UnboundedSender<Waiting>,
    standing: &watch::Sender<Standing>,
) -> Result<(), FollowError> {
    let room = Arc::new(Semaphore::new(WAITING_KIB as usize));
    loop {
        let followed = tokio::select! {
            followed = follower.next() => followed?,
            // The applier's thread returns the reason.
            () = send.closed() => return Ok(()),
        };
        match followed {
            Followed::Connected => standing.send_modify(|standing| standing.following = Following::Tailing),
            Followed::Disconnected(error) => {
                let why = chain_of(&error);
                tracing::warn!(error = %why, "the tail has ended; connecting again");
                standing.send_modify(|standing| standing.following = Following::Apart(why));
            }
            Followed::Batch(bytes) => {
                let kib = u32::try_from(bytes.len() >> 10).unwrap_or(u32::MAX).clamp(1, WAITING_KIB);
                let room = room.clone().acquire_many_owned(kib).await.expect("the semaphore is never closed");
                if send.send(Waiting { bytes, room }).is_err() {
                    return Ok(());
                }
            }
        }
    }
}

/// The thread that applies batches.
struct Applier {
    thread: JoinHandle<Result<(), ReadModelError>>,
}

impl Applier {
    fn start(mut model: ReadModel, mut receive: mpsc::UnboundedReceiver<Waiting>, standing: watch::Sender<Standing>) -> Applier {
        let run = move || {
            while let Some(first) = receive.blocking_recv() {
                let (mut batches, mut rooms, mut records) = (Vec::new(), Vec::new(), 0);
                let mut next = Some(first);
                while let Some(Waiting { bytes, room }) = next {
                    records += stated_extent(&bytes).map_or(0, |(_, count)| count as usize);
                    batches.push(bytes);
                    rooms.push(room);
                    next = if records < RECORDS_AT_ONCE { receive.try_recv().ok() } else { None };
                }
                let began = Instant::now();
                model.apply(&batches)?;
                let (cursor, changed) = (model.cursor(), newest_change(&batches));
                standing.send_modify(|standing| {
                    standing.apply(cursor.position, cursor.time_ms);
                    standing.changed = changed.unwrap_or(standing.changed);
                });
                drop((batches, rooms));
                // A full transaction means that the read model is behind: no pause.
                if (PAUSE.0..RECORDS_AT_ONCE).contains(&records) {
                    std::thread::sleep(PAUSE.1.saturating_sub(began.elapsed()));
                }
            }
            model.close()
        };
        let thread = std::thread::Builder::new().name("read-model".into()).spawn(run).expect("a thread can be started");
        Applier { thread }
    }

    fn join(self) -> Result<(), ReadModelError> {
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// The newest record that is not a report of a reader's position.
fn newest_change(batches: &[Vec<u8>]) -> Option<Position> {
    let changes = |bytes: &Vec<u8>| stated_kinds(bytes).filter(|(_, kind)| !is_about_readers(*kind)).last();
    batches.iter().rev().find_map(changes).map(|(position, _)| position)
}

/// An error with its causes, on one line.
pub(crate) fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
