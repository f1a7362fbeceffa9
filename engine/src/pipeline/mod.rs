//! From a lane to the disk and back: the engine thread decides, the journal thread makes it durable and releases the replies.
//!
//! ```text
//! lanes ─ Chunk ─▶ inbox ─▶ engine thread ─ Commit ─▶ journal thread ─▶ Journal
//!   ▲                       (owns the state)              │ once durable
//!   └──────────────── Outbox of each lane ◀───────────────┘
//! ```
//! The hand-over to the journal thread has no room in it: a commit is taken when the flush before it is done, and holds whatever
//! came in meanwhile. A lone request therefore waits for nothing but its own flush; the engine thread makes that itself, where the
//! journal thread is idle.
//!
//! Invariants: a reply, to a write or to a read, leaves only after every record that it could have seen is durable (Z4). After a
//! failed append nothing leaves any more. What waits here is bounded by [`Limits`]; past it the answer is `Busy`.

mod about;
mod clock;
mod commit;
mod engine_thread;
mod journal_thread;
mod outbox;
mod pages;
mod reader_budget;
mod registry;
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
pub use share::{Reserved, Share, ShareLimits, Totals, Unwritten};

use crate::attempts::Attempts;
use crate::counters::Counters;
use crate::keeper::registry::ReaderRegistry;
use scrip_core::guard::{Asker, FailedCode, Fingerprints, Guard, GuardLimits};
use scrip_core::index::{Hint, Index};
use scrip_core::state::{AddCodesRequest, Mutation, State};
use scrip_journal::{Journal, JournalError, JournalReader, ROW_BYTES};

/// How much may be under way at once.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests handed over and not yet answered, over all lanes. One commit on its way to disk and one being filled.
    pub requests_max: usize,
    /// Records in a batch, after which the next is begun.
    pub batch_records_max: u32,
    /// Bytes in a batch, after which the next is begun. The last record may pass it.
    pub batch_bytes_max: usize,
    /// Batches in a commit, after which it is closed.
    pub commit_batches_max: usize,
    /// Requests in a commit, up to which the engine thread makes it durable itself if the journal thread is idle: as many as come alone.
    /// While it flushes it decides nothing, so that under load, when more is about to come, the journal thread has it.
    pub alone_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        // The last record of a batch, unless it is of an import, keeps it within its page.
        let batch_bytes_max = ROW_BYTES - 256;
        Limits { requests_max: 131_072, batch_records_max: 4_096, batch_bytes_max, commit_batches_max: 16, alone_max: 8 }
    }
}

/// How long a caller is told to wait when too much is under way: a few flushes.
pub const RETRY_AFTER_MS: u32 = 20;

/// The refusal of a request for which there is no room now.
pub const BUSY: Refusal = Refusal::Busy { retry_after_ms: RETRY_AFTER_MS };

/// What one lane read at once.
pub struct Chunk {
    /// Where the answers go.
    pub outbox: Arc<Outbox>,
    /// The requests, in order.
    pub requests: Vec<Request>,
    /// The shares of the memory for large frames and for lists that they hold, until they are decided.
    pub budget: Option<Vec<OwnedSemaphorePermit>>,
    /// What is reserved for their replies, until these are delivered.
    pub reserved: Option<Reserved>,
}

/// One request.
pub struct Request {
    /// The caller's number for it.
    pub correlation: u64,
    /// What is asked.
    pub call: Call,
}

/// What is asked of the engine thread.
pub enum Call {
    /// Change something.
    Change(Change),
    /// Look at the state.
    Read(Read),
    /// Lift lockouts, on behalf of a credential. That changes the guard, and nothing of the state.
    Lift {
        /// Who asked for it.
        by: CredentialId,
        /// Which.
        which: WhichLockouts,
    },
    /// Nothing: the lane asks whether this request was executed before. If it was, it is answered as it was then; if it may be executed,
    /// the answer is `Busy`; else the refusal. None of that is counted as a refusal.
    Look {
        /// The command.
        kind: Kind,
        /// The request, and whose it is.
        stamp: Stamp,
    },
    /// Nothing new: the lane has no room for this request at the moment. If it was executed before, it is answered as it was then;
    /// otherwise the answer is `Busy`.
    Busy {
        /// The command.
        kind: Kind,
        /// The request, and whose it is.
        stamp: Stamp,
    },
    /// Nothing: the lane has made this reply frame from the index. It passes through here because it may leave only when what it
    /// shows is durable, and whatever the lane saw was applied before this is reached.
    Answered {
        /// The frame.
        frame: Vec<u8>,
        /// What the guard is told of it, where it says something about codes.
        attempt: Option<Attempt>,
    },
}

/// A request that changes something.
pub struct Change {
    /// The request, and whose it is.
    pub stamp: Stamp,
    /// What is asked.
    pub mutation: Mutation,
    /// Where it is about one code, and the lane has looked that up already.
    pub hint: Option<Hint>,
    /// Where the client calls from; looked at only where it is about one code.
    pub network: ClientNetwork,
}

impl Change {
    /// A change about which nothing more is known.
    pub fn new(stamp: Stamp, mutation: Mutation) -> Change {
        Change { stamp, mutation, hint: None, network: ClientNetwork::UNKNOWN }
    }
}

/// A look at codes, as the guard sees it (Z9).
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Who looked.
    pub asker: Asker,
    /// Those of the codes that would be refused.
    pub failed: Vec<FailedCode>,
}

/// What may be looked at.
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
    /// What adding codes would do.
    TryCodes(Box<AddCodesRequest>),
    /// The credentials.
    ListCredentials(ListCredentials),
    /// The groups of clients.
    ListGroups(ListGroups),
    /// The rules.
    ListRules(ListRules),
    /// A rule.
    ShowRule(ShowRule),
    /// What is odd about a rule.
    LintRule(Box<LintRule>),
    /// The readers of the journal.
    ListReaders,
    /// The current lockouts.
    ListLockouts(ListLockouts),
}

/// What the data folder gives an engine to begin with, beside its journal.
#[derive(Debug, Clone, Default)]
pub struct Beginning {
    /// The organisation's settings.
    pub settings: Settings,
    /// The credentials that the organisation begins with. Those whose number the state knows are left out.
    pub credentials: Vec<(CredentialId, Grant)>,
    /// How many failed attempts there may be. No record keeps these limits, nor the attempts.
    pub guard: GuardLimits,
}

impl Beginning {
    /// What of it a state does not say yet.
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

/// The running pipeline. Dropping every [`Intake`] and calling [`Pipeline::finish`] ends it.
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
    kept_from: Arc<registry::KeptFrom>,
}

/// What is left of a pipeline that has ended well.
pub struct Finished {
    /// The state, of which everything is durable.
    pub state: State,
    /// The journal, still open.
    pub journal: Box<dyn Journal>,
}

/// The way in, for lanes.
#[derive(Clone)]
pub struct Intake {
    inbox: Sender<Chunk>,
    pages: Arc<pages::Pages>,
    /// Of the empty chunk that wakes the engine thread.
    waking: Arc<Outbox>,
    under_way: Arc<AtomicUsize>,
    requests_max: usize,
}

/// The inbox has no more room: the chunk comes back, to be answered `Busy`.
pub struct InboxFull(pub Chunk);

impl Intake {
    /// Hands a chunk over.
    ///
    /// # Errors
    /// When too much is under way. Nothing of the chunk was taken.
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
            // The journal failed. Nothing is answered any more, least of all that it may be tried again.
            Err(TrySendError::Disconnected(_)) => Ok(()),
        }
    }

    /// Hands a request over that is for a page, or a card, or a long change: something that takes its time. It is served between chunks, after all that
    /// this lane has handed over before.
    ///
    /// # Errors
    /// When too much is under way.
    pub fn offer_page(&self, chunk: Chunk) -> Result<(), InboxFull> {
        if !self.is_room_for(chunk.requests.len()) {
            return Err(InboxFull(chunk));
        }
        self.pages.push(chunk, || self.inbox.len());
        let empty = Chunk { outbox: self.waking.clone(), requests: Vec::new(), budget: None, reserved: None };
        // In vain where the inbox is full: then the engine thread does not sleep; or where the journal failed.
        let _ = self.inbox.try_send(empty);
        Ok(())
    }

    /// Counts requests that are about to be handed over, if there is room: so that the count never says more than is under way.
    fn is_room_for(&self, count: usize) -> bool {
        let room = |before: usize| (before == 0 || before + count <= self.requests_max).then_some(before + count);
        self.under_way.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok()
    }
}

/// The time of a batch that is begun at a time.
fn batch_time(now: Now) -> BatchTime {
    BatchTime::new(now.record_ms, now.requests.earliest_ms)
}

impl Pipeline {
    /// Starts on a state that its journal was replayed into. Other settings than those of the state, and credentials that it does not
    /// know, are the first thing written: a batch of records.
    ///
    /// # Errors
    /// When that batch, or a thread's start, fails.
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
            first.iter().for_each(|record| state.apply(time, record));
        }
        let index = Arc::new(Index::of(&state));
        let reader = journal.reader();
        let under_way = Arc::new(AtomicUsize::new(0));
        // As many chunks as requests could be under way in small ones; the count of requests is the limit that is met.
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
        // All of it is durable: what the engine starts on was read from its journal.
        let mut recovered = tally::Counts::default();
        tally.settle(&state, &guard, &mut recovered);
        recovered.publish(&counters, &attempts);
        let kept_from = Arc::new(registry::KeptFrom::new(reader.clone()));
        let engine = engine_thread::EngineThread {
            kept_from: kept_from.clone(),
            reader_budget: reader_budget::ReaderBudget::default(),
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

    /// The way in.
    pub fn intake(&self) -> Intake {
        self.intake.clone()
    }

    /// How many requests were handed over and are not yet answered. Above the limit only while a lane's single chunk is: one that
    /// came when nothing else was under way.
    pub fn requests_under_way(&self) -> usize {
        self.intake.under_way.load(Ordering::Relaxed)
    }

    /// The same, as it changes.
    pub(crate) fn under_way(&self) -> Arc<AtomicUsize> {
        self.intake.under_way.clone()
    }

    /// What is counted.
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

    /// What the guard knows codes by.
    pub(crate) fn fingerprints(&self) -> Fingerprints {
        self.fingerprints.clone()
    }

    /// The index, for checks.
    pub fn index(&self) -> Arc<Index> {
        self.index.clone()
    }

    /// The journal, for those who tail it.
    pub fn reader(&self) -> Arc<dyn JournalReader> {
        self.reader.clone()
    }

    /// The readers that are registered, for whoever drops what they have passed. It is a way in: it must be gone before
    /// [`Pipeline::finish`] ends.
    pub(crate) fn registry(&self) -> Arc<dyn ReaderRegistry> {
        Arc::new(registry::Registry { kept_from: self.kept_from.clone(), intake: self.intake.clone() })
    }

    /// The newest durable position, as it moves.
    pub fn durable(&self) -> watch::Receiver<Position> {
        self.durable.clone()
    }

    /// Why the journal failed, once it has. Nothing is answered after that.
    pub fn failed(&self) -> watch::Receiver<Option<Arc<JournalError>>> {
        self.failed.clone()
    }

    /// Waits until everything taken in is durable and answered. Every other [`Intake`] must be gone, or will keep this waiting.
    /// Returns what there is then.
    ///
    /// # Errors
    /// When the journal failed.
    ///
    /// # Panics
    /// When one of the pipeline's threads did.
    pub fn finish(self) -> Result<Finished, Arc<JournalError>> {
        drop(self.intake);
        // The journal thread first: when it fails, the engine thread may still wait for lanes that are not gone.
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
    std::thread::Builder::new().name(name.to_owned()).spawn(run).expect("the operating system gives us two threads")
}

/// Ends the process when its thread panics: an engine that has lost one of its threads must not look as if it were busy.
struct StopOnPanic;

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}
