//! Requests for pages and cards, and changes that take as long, which wait apart from all others: the engine thread serves one at a time, between
//! chunks.
//!
//! Such a request may take milliseconds; a redemption takes a microsecond. So a page is served after everything handed over
//! before it, once no chunk waits. While chunks wait, it is served only after the engine thread has spent at least [`OTHERS`]
//! times the duration of the previous page on them. Before serving a page, the engine thread hands over the commit that it has
//! decided. Only while the journal thread cannot accept that commit does it serve a page first, and the same pause follows.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};
use parking_lot::Mutex;

use super::Chunk;

/// While chunks or decided replies wait, a page is followed by this many times its duration without a page.
const OTHERS: u32 = 3;

/// The waiting pages. Lanes add to it; the engine thread takes from it.
#[derive(Default)]
pub(super) struct Pages {
    queue: Mutex<VecDeque<Page>>,
    /// An upper bound of the length of the queue.
    waiting: AtomicUsize,
    /// How many chunks the engine thread has taken from the inbox.
    taken: AtomicU64,
}

struct Page {
    /// How many chunks must be taken from the inbox before it.
    after: u64,
    chunk: Chunk,
}

impl Pages {
    /// Adds a page behind all chunks that were sent before, of which `inbox_len` are still in the inbox. Wake the engine thread
    /// afterwards with an empty chunk.
    pub(super) fn push(&self, chunk: Chunk, inbox_len: impl FnOnce() -> usize) {
        // The length first: a chunk that the engine thread takes in between is counted twice, never missed. It may be processing
        // one more.
        let waiting = inbox_len() as u64;
        let after = waiting + self.taken.load(Ordering::Acquire) + 1;
        let mut queue = self.queue.lock();
        queue.push_back(Page { after, chunk });
        self.waiting.fetch_add(1, Ordering::Release);
    }

    fn first(&self) -> Option<u64> {
        if self.waiting.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.queue.lock().front().map(|page| page.after)
    }

    fn pop(&self) -> Option<Chunk> {
        let mut queue = self.queue.lock();
        let page = queue.pop_front()?;
        self.waiting.fetch_sub(1, Ordering::Release);
        Some(page.chunk)
    }
}

/// Decides what the engine thread does next.
pub(super) struct Turns {
    chunks: Receiver<Chunk>,
    pages: std::sync::Arc<Pages>,
    taken: u64,
    /// While chunks or decided replies wait, no page is served before this.
    pages_from: Instant,
}

/// A chunk, and whether it is a page.
pub(super) struct Turn {
    pub(super) chunk: Chunk,
    pub(super) is_page: bool,
}

impl Turns {
    pub(super) fn new(chunks: Receiver<Chunk>, pages: std::sync::Arc<Pages>) -> Turns {
        Turns { chunks, pages, taken: 0, pages_from: Instant::now() }
    }

    /// The inbox, for waiting. Pass what is taken from it to [`Turns::taken`].
    pub(super) fn inbox(&self) -> &Receiver<Chunk> {
        &self.chunks
    }

    /// Notes that a chunk was taken from the inbox.
    pub(super) fn taken(&mut self, chunk: Chunk) -> Turn {
        self.taken += 1;
        self.pages.taken.store(self.taken, Ordering::Release);
        Turn { chunk, is_page: false }
    }

    /// The next chunk or page, if there is one.
    pub(super) fn next(&mut self) -> Result<Turn, TryRecvError> {
        // Read before the inbox: if that is empty then, everything before the page was taken from it.
        let first = self.pages.first();
        if self.is_due(first) {
            return self.page(TryRecvError::Empty);
        }
        match self.next_chunk() {
            Err(empty) if first.is_some() => self.page(empty),
            turn => turn,
        }
    }

    /// The next chunk, if there is one.
    pub(super) fn next_chunk(&mut self) -> Result<Turn, TryRecvError> {
        let chunk = self.chunks.try_recv()?;
        Ok(self.taken(chunk))
    }

    /// Whether a page is next although chunks, or the replies of a commit, wait.
    pub(super) fn is_page_due(&self) -> bool {
        self.is_due(self.pages.first())
    }

    fn is_due(&self, first: Option<u64>) -> bool {
        first.is_some_and(|after| after <= self.taken) && Instant::now() >= self.pages_from
    }

    fn page(&self, empty: TryRecvError) -> Result<Turn, TryRecvError> {
        self.pages.pop().map(|chunk| Turn { chunk, is_page: true }).ok_or(empty)
    }

    /// Notes how long a page took.
    pub(super) fn served(&mut self, took: Duration) {
        self.pages_from = Instant::now() + took * OTHERS;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crossbeam_channel::Sender;

    use super::*;
    use crate::pipeline::{Call, Outbox, Read, Request};

    struct Bench {
        inbox: Sender<Chunk>,
        pages: Arc<Pages>,
        turns: Turns,
    }

    fn chunk(number: u64) -> Chunk {
        let request = Request { correlation: number, call: Call::Read(Read::ListReaders) };
        Chunk { outbox: Arc::new(Outbox::default()), requests: vec![request], budget: None, reserved: None }
    }

    impl Bench {
        fn new() -> Bench {
            let (inbox, chunks) = crossbeam_channel::unbounded();
            let pages = Arc::new(Pages::default());
            Bench { inbox, turns: Turns::new(chunks, pages.clone()), pages }
        }

        fn send(&self, numbers: impl Iterator<Item = u64>) {
            numbers.for_each(|number| self.inbox.send(chunk(number)).expect("it is open"));
        }

        fn page(&self, number: u64) {
            self.pages.push(chunk(number), || self.inbox.len());
        }

        fn next(&mut self) -> Option<u64> {
            let turn = self.turns.next().ok()?;
            assert_eq!(turn.is_page, turn.chunk.requests[0].correlation >= 100);
            Some(turn.chunk.requests[0].correlation)
        }

        fn all(&mut self) -> Vec<u64> {
            std::iter::from_fn(|| self.next()).collect()
        }
    }

    /// A lane's earlier requests are decided before its page.
    #[test]
    fn a_page_is_served_after_what_was_sent_before_it() {
        let mut bench = Bench::new();
        bench.send(1..4);
        bench.page(100);
        assert_eq!(bench.all(), [1, 2, 3, 100]);
        bench.page(101);
        bench.page(102);
        bench.send(4..5);
        assert_eq!(bench.next(), Some(4), "the engine thread may have been processing it when the page arrived");
        assert_eq!(bench.all(), [101, 102]);
    }

    /// Slow pages do not delay waiting chunks, and are served when none wait.
    #[test]
    fn chunks_go_before_pages_that_took_long() {
        let mut bench = Bench::new();
        (100..103).for_each(|page| bench.page(page));
        bench.send(1..4);
        assert_eq!((bench.next(), bench.next()), (Some(1), Some(100)), "between two chunks");
        bench.turns.served(Duration::from_secs(3_600));
        assert_eq!((bench.next(), bench.next()), (Some(2), Some(3)));
        assert_eq!(bench.next(), Some(101), "no chunk waits");
        bench.send(4..6);
        assert_eq!(bench.all(), [4, 5, 102]);
    }

    /// A page that is left when every lane is gone is served as well.
    #[test]
    fn pages_are_served_to_the_last() {
        let mut bench = Bench::new();
        bench.page(100);
        bench.inbox = crossbeam_channel::unbounded().0;
        assert_eq!(bench.next(), Some(100));
        assert!(matches!(bench.turns.next(), Err(TryRecvError::Disconnected)));
    }
}
