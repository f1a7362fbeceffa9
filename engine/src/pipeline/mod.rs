//! From a lane to the disk and back: the engine thread decides; the journal thread makes decisions durable and releases the
//! replies.
//!
//! ```text
//! lanes ─ Chunk ─▶ inbox ─▶ engine thread ─ Commit ─▶ journal thread ─▶ Journal
//!   ▲                       (owns the state)              │ once durable
//!   └──────────────── Outbox of each lane ◀───────────────┘
//! ```
//! The channel to the journal thread has no buffer: a commit is accepted when the previous flush is done, and contains everything
//! that arrived meanwhile. A lone request therefore waits only for its own flush; the engine thread does that itself if the
//! journal thread is idle.
//!
//! Invariants: a reply, to a write or to a read, leaves only after every record that it could have seen is durable (Z4). After a
//! failed append nothing leaves. [`Limits`] bounds what waits here; above them the answer is `Busy`.

mod about;
mod clock;
mod commit;
mod engine_thread;
mod journal_thread;
mod outbox;
mod pages;
mod registrations;
mod request_budget;
mod share;
mod tally;
#[cfg(test)]
mod tests;
mod window_budget;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, TrySendError};
use parking_lot::Mutex;
use scrip_protocol::batch::{BatchBuilder, BatchTime};
use scrip_protocol::codes::RecordedForm;
use scrip_protocol::command::{
    CredentialAdded, Grant, LintRule, ListCampaigns, ListClubs, ListCodes, ListCredentials, ListGroups, ListLockouts, ListRules,
    ShowCampaign, ShowClient, ShowRule, WhichLockouts,
};
use scrip_protocol::record::SettingsSet;
use scrip_protocol::{ClientNetwork, CredentialId, Kind, Position, Record, Refusal, Settings, Stamp};
use tokio::sync::{OwnedSemaphorePermit, watch};

use clock::Now;
pub use clock::{Clock, ClockError, ClockStatus, EngineClock, Reading, SystemClock};
pub(crate) use clock::{FollowedClock, check_start};
pub use outbox::{Outbox, StoredReply};
use request_budget::{CREATIONS_AT_ONCE, READER_REQUESTS_AT_ONCE, RequestBudget};
pub use share::{Reserved, Share, ShareLimits, Totals, Unwritten};

use crate::attempts::Attempts;
use crate::counters::Counters;
use crate::keeper::reader_registry::ReaderRegistry;
use scrip_core::guard::{Asker, FailedCode, Fingerprints, Guard, GuardLimits};
use scrip_core::index::{Hint, Index};
use scrip_core::state::{AddCodesRequest, Mutation, State};
use scrip_journal::{Journal, JournalError, JournalReader, ROW_BYTES};

/// Limits of work in progress.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Unanswered requests over all lanes. One commit on its way to disk and one being filled.
    pub requests_max: usize,
    /// Records in a batch, after which the next one begins.
    pub batch_records_max: u32,
    /// Bytes in a batch, after which the next one begins. The last record may exceed it.
    pub batch_bytes_max: usize,
    /// Batches in a commit, after which it is closed.
    pub commit_batches_max: usize,
    /// Maximum number of requests in a commit that the engine thread makes durable itself if the journal thread is idle: few
    /// enough to be lone requests. It decides nothing during the flush, so that under load, when more requests follow, the
    /// journal thread does it.
    pub alone_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        // The last record of a batch keeps it within its page, unless it is of an import.
        let batch_bytes_max = ROW_BYTES - 256;
        Limits { requests_max: 131_072, batch_records_max: 4_096, batch_bytes_max, commit_batches_max: 16, alone_max: 8 }
    }
}

/// How long a caller should wait if the engine is busy: a few flushes.
pub const RETRY_AFTER_MS: u32 = 20;

/// The refusal of a request that the engine has no room for.
pub const BUSY: Refusal = Refusal::Busy { retry_after_ms: RETRY_AFTER_MS };

/// The requests that one lane read at once.
pub struct Chunk {
    /// Where the answers go.
    pub outbox: Arc<Outbox>,
    /// The requests, in order.
    pub requests: Vec<Request>,
    /// Permits of the memory for large frames and their lists, until the requests are decided.
    pub budget: Option<Vec<OwnedSemaphorePermit>>,
    /// Memory reserved for their replies, until these are delivered.
    pub reserved: Option<Reserved>,
}

/// One request.
pub struct Request {
    /// The caller's number for it.
    pub correlation: u64,
    /// The request itself.
    pub call: Call,
}

/// A request to the engine thread.
pub enum Call {
    /// A change.
    Change(Change),
    /// A query of the state.
    Read(Read),
    /// Lifts lockouts on behalf of a credential. That changes the guard, and nothing of the state.
    Lift {
        /// The credential that requested it.
        by: CredentialId,
        /// Which lockouts.
        which: WhichLockouts,
    },
    /// Checks whether a request was executed before. If it was, the reply is the first answer; if it may be executed, the reply
    /// is `Busy`; else the refusal. None of these counts as a refusal.
    Look {
        /// The command.
        kind: Kind,
        /// The request id and its credential.
        stamp: Stamp,
    },
    /// A request that the lane has no room for at the moment. If it was executed before, the reply is the first answer; otherwise
    /// it is `Busy`.
    Busy {
        /// The command.
        kind: Kind,
        /// The request id and its credential.
        stamp: Stamp,
    },
    /// A reply frame that the lane made from the index. It passes through here because it may leave only when everything it shows
    /// is durable, and everything that the lane saw was applied before this is reached.
    Answered {
        /// The frame.
        frame: Vec<u8>,
        /// The attempt that the guard must count, if the reply is about codes.
        attempt: Option<Attempt>,
    },
}

impl Call {
    /// The change, if it is one.
    #[inline]
    pub fn change(&self) -> Option<&Change> {
        if let Call::Change(change) = self { Some(change) } else { None }
    }
}

/// A request that changes something.
pub struct Change {
    /// The request id and its credential.
    pub stamp: Stamp,
    /// The mutation.
    pub mutation: Mutation,
    /// The result of the lane's lookup, for requests about one code.
    pub hint: Option<Hint>,
    /// The network that the client calls from; only used for requests about one code.
    pub network: ClientNetwork,
}

impl Change {
    /// A change without a hint or a network.
    pub fn new(stamp: Stamp, mutation: Mutation) -> Change {
        Change { stamp, mutation, hint: None, network: ClientNetwork::UNKNOWN }
    }
}

/// A check of codes, as the guard counts it (Z9).
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The caller.
    pub asker: Asker,
    /// The codes that would be refused.
    pub failed: Vec<FailedCode>,
}

/// A query.
pub enum Read {
    /// The clubs.
    ListClubs(ListClubs),
    /// A client's card.
    ShowClient(ShowClient),
    /// The campaigns.
    ListCampaigns(ListCampaigns),
    /// A campaign.
    ShowCampaign(ShowCampaign),
    /// The codes of a campaign.
    ListCodes(ListCodes),
    /// The result of adding codes.
    TryCodes(Box<AddCodesRequest>),
    /// The credentials.
    ListCredentials(ListCredentials),
    /// The groups of clients.
    ListGroups(ListGroups),
    /// The rules.
    ListRules(ListRules),
    /// A rule.
    ShowRule(ShowRule),
    /// Lint findings for a rule.
    LintRule(Box<LintRule>),
    /// The readers of the journal.
    ListReaders,
    /// The current lockouts.
    ListLockouts(ListLockouts),
}

/// Initial data from the data folder, besides the journal.
#[derive(Debug, Clone, Default)]
pub struct Beginning {
    /// The organisation's settings.
    pub settings: Settings,
    /// The initial credentials. Those whose number the state knows are skipped.
    pub credentials: Vec<(CredentialId, Grant)>,
    /// Permitted failed attempts. No record contains these limits or the attempts.
    pub guard: GuardLimits,
}

impl Beginning {
    /// The records for what a state does not contain yet.
    fn records(&self, state: &State) -> Vec<Record> {
        let codes = RecordedForm::of(state.code_form());
        let is_recorded = state.settings() == &self.settings && state.recorded_form() == Some(codes);
        let settings = (!is_recorded).then(|| SettingsSet { settings: self.settings.clone(), codes }.into());
        let credentials = self.credentials.iter().filter(|(credential, _)| state.credentials.of(*credential).is_none());
        let added = |(credential, grant): &(CredentialId, Grant)| {
            CredentialAdded { stamp: None, credential: *credential, grant: grant.clone() }.into()
        };
        settings.into_iter().chain(credentials.map(added)).collect()
    }
}

/// The running pipeline. Ends when every [`Intake`] is dropped and [`Pipeline::finish`] is called.
pub struct Pipeline {
    intake: Intake,
    index: Arc<Index>,
    reader: Arc<dyn JournalReader>,
    durable: watch::Receiver<Position>,
    failed: watch::Receiver<Option<Arc<JournalError>>>,
    engine: JoinHandle<State>,
    journal: JoinHandle<Result<(), Arc<JournalError>>>,
    committer: Arc<Mutex<journal_thread::Committer>>,
    counters: Arc<Counters>,
    attempts: Arc<Attempts>,
    clock: EngineClock,
    fingerprints: Fingerprints,
    kept_from: Arc<registrations::KeptFrom>,
}

/// The remains of a pipeline that ended without an error.
pub struct Finished {
    /// The state, all of it durable.
    pub state: State,
    /// The journal, still open.
    pub journal: Box<dyn Journal>,
}

/// Accepts chunks from lanes.
#[derive(Clone)]
pub struct Intake {
    inbox: Sender<Chunk>,
    pages: Arc<pages::Pages>,
    /// The outbox of the empty chunk that wakes the engine thread.
    waking: Arc<Outbox>,
    under_way: Arc<AtomicUsize>,
    requests_max: usize,
}

/// The inbox is full: returns the chunk, to be answered `Busy`.
pub struct InboxFull(pub Chunk);

impl Intake {
    /// Hands a chunk over.
    ///
    /// # Errors
    /// If too much is in progress. Nothing of the chunk was accepted.
    pub fn offer(&self, chunk: Chunk) -> Result<(), InboxFull> {
        let count = chunk.requests.len();
        if !self.is_room_for(count) {
            return Err(InboxFull(chunk));
        }
        match self.inbox.try_send(chunk) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(chunk)) => {
                self.under_way.fetch_sub(count, Ordering::Relaxed);
                Err(InboxFull(chunk))
            }
            // The journal failed. Nothing is answered, least of all with permission to retry.
            Err(TrySendError::Disconnected(_)) => Ok(()),
        }
    }

    /// Hands over a request that takes long: for a page, a card or a long change. It is served between chunks, after everything
    /// that this lane has handed over before.
    ///
    /// # Errors
    /// If too much is in progress.
    pub fn offer_page(&self, chunk: Chunk) -> Result<(), InboxFull> {
        if !self.is_room_for(chunk.requests.len()) {
            return Err(InboxFull(chunk));
        }
        self.pages.push(chunk, || self.inbox.len());
        let empty = Chunk { outbox: self.waking.clone(), requests: Vec::new(), budget: None, reserved: None };
        // Sending fails if the inbox is full, when the engine thread is awake, or if the journal failed.
        let _ = self.inbox.try_send(empty);
        Ok(())
    }

    /// An intake without an engine thread; and a function that takes what would be served next, and returns whether it waited apart.
    #[cfg(test)]
    pub(crate) fn unserved() -> (Intake, impl FnMut() -> Option<bool>) {
        let (inbox, chunks) = crossbeam_channel::bounded(8);
        let pages: Arc<pages::Pages> = Arc::default();
        let mut turns = pages::Turns::new(chunks, Arc::clone(&pages));
        let next = move || {
            std::iter::from_fn(|| turns.next().ok()).find(|turn| !turn.chunk.requests.is_empty()).map(|turn| turn.is_page)
        };
        (Intake { inbox, pages, waking: Arc::default(), under_way: Arc::default(), requests_max: 8 }, next)
    }

    /// Counts requests that are about to be handed over, if there is room: so that the count never exceeds what is in progress.
    fn is_room_for(&self, count: usize) -> bool {
        let room = |before: usize| (before == 0 || before + count <= self.requests_max).then_some(before + count);
        self.under_way.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok()
    }
}

/// The time of a batch that begins now.
fn batch_time(now: Now) -> BatchTime {
    BatchTime::new(now.record_ms, now.requests.earliest_ms)
}

impl Pipeline {
    /// Starts on a state into which its journal was replayed. If the settings differ from those of the state, or credentials are
    /// new, the first batch records them.
    ///
    /// # Errors
    /// If that batch, or the start of a thread, fails.
    pub fn start(
        mut state: State,
        mut journal: Box<dyn Journal>,
        beginning: &Beginning,
        clock: Box<dyn Clock>,
        limits: Limits,
    ) -> Result<Pipeline, JournalError> {
        let clock = EngineClock::new(clock, journal.end().time_ms);
        let first = beginning.records(&state);
        if !first.is_empty() {
            let time = batch_time(clock.now());
            let mut batch = BatchBuilder::new(time);
            first.iter().for_each(|record| batch.push(record));
            journal.append(vec![batch])?;
            first.iter().for_each(|record| {
                state.apply(time, record);
            });
        }
        let index = Arc::new(Index::of(&state));
        let reader = journal.reader();
        let under_way = Arc::new(AtomicUsize::new(0));
        // As many chunks as there could be requests in small ones; the limit of requests is reached first.
        let (inbox, chunks) = crossbeam_channel::bounded(limits.requests_max.min(16_384));
        let pages = Arc::new(pages::Pages::default());
        let (hand_over, commits) = crossbeam_channel::bounded(0);
        let (durable_sender, durable) = watch::channel(journal.end().position);
        let (failed_sender, failed) = watch::channel(None);
        let (counters, attempts) = (Arc::new(Counters::default()), Arc::new(Attempts::new()));
        counters.journal.ends(journal.end().position, journal.end().time_ms);
        let committer = journal_thread::Committer {
            journal,
            durable: durable_sender,
            failed: failed_sender,
            under_way: under_way.clone(),
            counters: counters.clone(),
            attempts: attempts.clone(),
        };
        let (committer, finished) = (Arc::new(Mutex::new(committer)), Arc::new(AtomicU64::new(0)));
        let journal = journal_thread::JournalThread { committer: committer.clone(), commits, finished: finished.clone() };
        let guard = Guard::new(beginning.guard);
        let fingerprints = guard.fingerprints().clone();
        let mut tally = tally::Tally::new(counters.clone(), &state);
        // All of it is durable: it was read from the journal.
        let mut recovered = tally::Counts::default();
        tally.settle(&state, &guard, &mut recovered);
        recovered.publish(&counters, &attempts);
        let kept_from = Arc::new(registrations::KeptFrom::new(reader.clone()));
        let engine = engine_thread::EngineThread {
            kept_from: kept_from.clone(),
            reader_budget: RequestBudget::new(READER_REQUESTS_AT_ONCE),
            creation_budget: RequestBudget::new(CREATIONS_AT_ONCE),
            window_budget: window_budget::WindowBudget::default(),
            state,
            guard,
            tally,
            index: index.clone(),
            clock: clock.clone(),
            limits,
            turns: pages::Turns::new(chunks, pages.clone()),
            hand_over,
            handed: 0,
            finished,
            committer: committer.clone(),
        };
        let intake = Intake { inbox, pages, waking: Arc::new(Outbox::default()), under_way, requests_max: limits.requests_max };
        Ok(Pipeline {
            intake,
            index,
            reader,
            durable,
            failed,
            engine: spawn("engine", move || engine.run()),
            journal: spawn("journal", move || journal.run()),
            committer,
            counters,
            attempts,
            clock,
            fingerprints,
            kept_from,
        })
    }

    /// Accepts chunks.
    pub fn intake(&self) -> Intake {
        self.intake.clone()
    }

    /// The number of unanswered requests. It exceeds the limit only for a lane's single chunk that arrived when nothing else was
    /// in progress.
    pub fn requests_under_way(&self) -> usize {
        self.intake.under_way.load(Ordering::Relaxed)
    }

    /// The same number as a shared counter.
    pub(crate) fn under_way(&self) -> Arc<AtomicUsize> {
        self.intake.under_way.clone()
    }

    /// The counters.
    pub(crate) fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Refused attempts that leave no record.
    pub(crate) fn attempts(&self) -> Arc<Attempts> {
        self.attempts.clone()
    }

    /// The engine's time.
    pub fn clock(&self) -> EngineClock {
        self.clock.clone()
    }

    /// The guard's fingerprints of codes.
    pub(crate) fn fingerprints(&self) -> Fingerprints {
        self.fingerprints.clone()
    }

    /// The index, for checks.
    pub fn index(&self) -> Arc<Index> {
        self.index.clone()
    }

    /// The journal, for tails.
    pub fn reader(&self) -> Arc<dyn JournalReader> {
        self.reader.clone()
    }

    /// The registered readers, for retention. It counts as an intake: drop it before [`Pipeline::finish`] can return.
    pub(crate) fn registry(&self) -> Arc<dyn ReaderRegistry> {
        Arc::new(registrations::Registry { kept_from: self.kept_from.clone(), intake: self.intake.clone() })
    }

    /// The newest durable position; changes are notified.
    pub fn durable(&self) -> watch::Receiver<Position> {
        self.durable.clone()
    }

    /// Why the journal failed, if it has. Nothing is answered after that.
    pub fn failed(&self) -> watch::Receiver<Option<Arc<JournalError>>> {
        self.failed.clone()
    }

    /// Waits until everything accepted is durable and answered. Every other [`Intake`] must be dropped for this to end. Returns
    /// the final state and journal.
    ///
    /// # Errors
    /// If the journal failed.
    ///
    /// # Panics
    /// If one of the pipeline's threads panicked.
    pub fn finish(self) -> Result<Finished, Arc<JournalError>> {
        drop(self.intake);
        // The journal thread first: if it fails, the engine thread may still wait for remaining lanes.
        self.journal.join().expect("the journal thread does not panic")?;
        let state = self.engine.join().expect("the engine thread does not panic");
        let committer = Arc::into_inner(self.committer).expect("both threads have ended, which alone had it as well");
        Ok(Finished { state, journal: committer.into_inner().journal })
    }
}

fn spawn<T: Send + 'static>(name: &str, run: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let run = || {
        let _stop = StopOnPanic;
        run()
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(run).expect("the operating system starts two threads")
}

/// Ends the process when its thread panics: an engine that has lost a thread must not look as if it were busy.
struct StopOnPanic;

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}
