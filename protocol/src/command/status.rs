//! Status: the engine's state, and its counters since the process began.
//!
//! The lane assembles the answer from what the engine's threads have published, without querying them. Counters begin at 0 with
//! each process and are not part of the journal.

use crate::ids::Position;

/// The request for the engine's status.
#[wire_format(serde::Deserialize)]
pub struct ShowStatus {}

/// The engine's status: the answer to [`ShowStatus`]. Times are milliseconds since 1970.
#[wire_format]
pub struct Status {
    /// The engine's time, which records carry.
    pub now_ms: u64,
    /// The time by which request ids expire: the machine's clock while the engine follows it. It may be behind the time of
    /// records.
    pub requests_ms: u64,
    /// When the process began to serve.
    pub started_ms: u64,
    /// The journal.
    pub journal: JournalStatus,
    /// The newest snapshot, if any.
    pub snapshot: Option<SnapshotStatus>,
    /// The registered readers of the journal, in the order of their names.
    pub readers: Vec<ReaderStatus>,
    /// Counts of what the state holds.
    pub sizes: StateSizes,
    /// Requests received, by command; commands without requests are left out. Here and below, since the process began.
    pub requests: Vec<Counted>,
    /// Redemptions executed, by outcome.
    pub redemptions: Vec<Counted>,
    /// Holds executed, by outcome.
    pub holds: Vec<Counted>,
    /// Requests not executed, by refusal.
    pub refusals: Vec<Counted>,
    /// Retries that were answered with the outcome of the first request (Z3).
    pub repeated: u64,
    /// Lockouts started by the guard (Z9).
    pub lockouts: u64,
    /// Rules that matched a top-up and failed, by reason; `too_many` for those above what can fire at once.
    pub rule_failures: Vec<Counted>,
    /// Push notifications of rules that were not sent because they were too long once their variables were filled in (A31).
    pub pushes_too_long: u64,
    /// Connections and their load.
    pub load: Load,
    /// Refused attempts that left no record.
    pub attempts: AttemptCounts,
}

/// The journal in a status.
#[wire_format]
pub struct JournalStatus {
    /// The first position that is kept.
    pub first: Position,
    /// The newest durable position.
    pub durable: Position,
    /// The time of the newest batch.
    pub time_ms: u64,
    /// The size of its files on disk.
    pub disk_bytes: u64,
    /// Batches made durable since the process began; here and below.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// How long each flush took that made pending batches durable.
    pub flushes: Durations,
}

/// A histogram of durations.
#[wire_format]
pub struct Durations {
    /// How often it took at most as long as each step, and longer than the step before.
    pub steps: Vec<DurationStep>,
    /// How often it took longer than the last step.
    pub longer: u64,
    /// The sum of all durations, in microseconds.
    pub sum_us: u64,
}

/// A step of [`Durations`].
#[wire_format(Copy)]
pub struct DurationStep {
    /// The upper bound, in microseconds.
    pub us_max: u32,
    /// How often.
    pub count: u64,
}

impl Durations {
    /// The total count.
    pub fn count(&self) -> u64 {
        self.steps.iter().map(|step| step.count).sum::<u64>() + self.longer
    }
}

/// The newest snapshot.
#[wire_format(Copy)]
pub struct SnapshotStatus {
    /// The newest record in it.
    pub position: Position,
    /// The time of that record.
    pub time_ms: u64,
}

/// A registered reader of the journal, and its lag.
#[wire_format]
pub struct ReaderStatus {
    /// Its name.
    pub name: String,
    /// The newest record that it reports to have read.
    pub position: Position,
    /// When it reported that.
    pub moved_ms: u64,
    /// How many durable records it has not read.
    pub lag_records: u64,
    /// The age of the oldest unread record; 0 if there is none. None if the journal has dropped that record, so that its age is
    /// unknown.
    pub lag_ms: Option<u64>,
}

/// Counts of what the state holds.
#[wire_format(Copy, Default)]
pub struct StateSizes {
    /// Clients.
    pub clients: u64,
    /// Campaigns, including archived ones.
    pub campaigns: u64,
    /// Codes of all campaigns, including archived ones.
    pub codes: u64,
    /// Holds that are remembered, open and ended ones.
    pub holds: u64,
    /// Request ids that are remembered.
    pub requests: u64,
    /// Clients, networks and credentials whose failed attempts the guard remembers.
    pub guarded: u64,
}

/// A count under a word.
#[wire_format]
pub struct Counted {
    /// The word.
    pub word: String,
    /// How often.
    pub count: u64,
}

/// Connections and their load, with limits.
#[wire_format(Copy, Default)]
pub struct Load {
    /// Connections.
    pub connections: u64,
    /// Connection limit.
    pub connections_max: u64,
    /// Connections accepted since the process began.
    pub connections_taken: u64,
    /// Connections refused since then because the limit was reached.
    pub connections_refused: u64,
    /// Connections closed before their hello to make room for others, since then.
    pub handshakes_evicted: u64,
    /// Connections that had to prove their address first (Retry), since then.
    pub retries: u64,
    /// Lanes of all connections.
    pub lanes: u64,
    /// Tails of the journal.
    pub tails: u64,
    /// Watchers of refused attempts.
    pub watchers: u64,
    /// Requests handed over and not yet answered.
    pub requests_under_way: u64,
    /// Limit of unanswered requests; at the limit the engine answers that it is busy.
    pub requests_under_way_max: u64,
}

/// Counts of refused attempts that left no record ([`WatchAttempts`](crate::command::WatchAttempts)).
#[wire_format(Copy, Default)]
pub struct AttemptCounts {
    /// All of them since the process began.
    pub all: u64,
    /// Those that were not kept, because they exceeded the rate.
    pub lost: u64,
}
