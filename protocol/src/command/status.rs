//! Status: how the engine is, and what it has counted since its process began.
//!
//! The lane makes the answer of what the engine's threads have published; none of them is asked. What is counted begins at 0 with each
//! process, and is no part of the journal.

use crate::ids::Position;

/// The request for the engine's status.
#[wire_format(serde::Deserialize)]
pub struct ShowStatus {}

/// How the engine is: the answer to [`ShowStatus`]. Times are milliseconds since 1970.
#[wire_format]
pub struct Status {
    /// The engine's time: that of records.
    pub now_ms: u64,
    /// The time by which request ids grow too old: the machine's clock while it is followed. It may be behind the time of records.
    pub requests_ms: u64,
    /// When the process began to serve.
    pub started_ms: u64,
    /// The journal.
    pub journal: JournalStatus,
    /// The newest snapshot; none where there is none yet.
    pub snapshot: Option<SnapshotStatus>,
    /// Those who are registered as readers of the journal, in the order of their names.
    pub readers: Vec<ReaderStatus>,
    /// What is in the state.
    pub sizes: StateSizes,
    /// Requests that came, by the words of their commands; those of which none came are left out. Here and below, since the process began.
    pub requests: Vec<Counted>,
    /// Redemptions that were executed, by the words of their outcomes.
    pub redemptions: Vec<Counted>,
    /// Holds that were executed, by the words of their outcomes.
    pub holds: Vec<Counted>,
    /// Requests that were not executed, by the words of their refusals.
    pub refusals: Vec<Counted>,
    /// Requests that were answered with what an earlier one of the same id had been answered (Z3).
    pub repeated: u64,
    /// Lock-outs that the guard began (Z9).
    pub lockouts: u64,
    /// Rules that matched a top-up and failed, by the words of why; `too_many` where more matched than may fire at once.
    pub rule_failures: Vec<Counted>,
    /// Push notifications of rules that were too long once the variables stood in them, and were not sent (A31).
    pub pushes_too_long: u64,
    /// Who calls.
    pub load: Load,
    /// Refused attempts that left no record.
    pub attempts: AttemptCounts,
}

/// The journal, as of a status.
#[wire_format]
pub struct JournalStatus {
    /// The first position that is kept.
    pub first: Position,
    /// The newest durable position.
    pub durable: Position,
    /// The time of the newest batch.
    pub time_ms: u64,
    /// What its files have on disk.
    pub disk_bytes: u64,
    /// Batches that became durable since the process began; here and below.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// How long it took each time to make what was there durable, one flush each.
    pub flushes: Durations,
}

/// How often something took how long.
#[wire_format]
pub struct Durations {
    /// How often it took so long at the most, and longer than the step before says.
    pub steps: Vec<DurationStep>,
    /// How often it took longer than the last step says.
    pub longer: u64,
    /// All of it together, in microseconds.
    pub sum_us: u64,
}

/// A step of [`Durations`].
#[wire_format(Copy)]
pub struct DurationStep {
    /// So many microseconds at the most.
    pub us_max: u32,
    /// How often.
    pub count: u64,
}

impl Durations {
    /// How often in all.
    pub fn count(&self) -> u64 {
        self.steps.iter().map(|step| step.count).sum::<u64>() + self.longer
    }
}

/// The newest snapshot.
#[wire_format(Copy)]
pub struct SnapshotStatus {
    /// The newest record in it.
    pub position: Position,
    /// The time of that.
    pub time_ms: u64,
}

/// A registered reader of the journal, and how far it is behind.
#[wire_format]
pub struct ReaderStatus {
    /// Its name.
    pub name: String,
    /// The newest record that it says it has read.
    pub position: Position,
    /// When it said so.
    pub moved_ms: u64,
    /// How many durable records it has not read.
    pub lag_records: u64,
    /// For how long the oldest of them has been there; 0 where there is none. None where the journal does not say, because it was dropped.
    pub lag_ms: Option<u64>,
}

/// How much is in the state.
#[wire_format(Copy, Default)]
pub struct StateSizes {
    /// Clients.
    pub clients: u64,
    /// Campaigns, archived ones as well.
    pub campaigns: u64,
    /// Codes of all campaigns, archived ones as well.
    pub codes: u64,
    /// Holds that are remembered, open and ended ones.
    pub holds: u64,
    /// Request ids that are remembered.
    pub requests: u64,
    /// Clients, networks and credentials whose misses the guard remembers.
    pub guarded: u64,
}

/// How often something was counted under a word.
#[wire_format]
pub struct Counted {
    /// The word.
    pub word: String,
    /// How often.
    pub count: u64,
}

/// Who calls, and how much of what may be is.
#[wire_format(Copy, Default)]
pub struct Load {
    /// Connections.
    pub connections: u64,
    /// How many there may be.
    pub connections_max: u64,
    /// Connections that came since the process began.
    pub connections_taken: u64,
    /// Connections that were refused since then, because there were as many as there may be.
    pub connections_refused: u64,
    /// Connections that had not said hello and were closed to make room for others, since then.
    pub handshakes_evicted: u64,
    /// Connections that had to prove their address first (Retry), since then.
    pub retries: u64,
    /// Lanes of all connections.
    pub lanes: u64,
    /// Tails of the journal.
    pub tails: u64,
    /// Those who watch for refused attempts.
    pub watchers: u64,
    /// Requests handed over and not yet answered.
    pub requests_under_way: u64,
    /// How many there may be, after which the answer is that the engine is busy.
    pub requests_under_way_max: u64,
}

/// What became of refused attempts that left no record ([`WatchAttempts`](crate::command::WatchAttempts)).
#[wire_format(Copy, Default)]
pub struct AttemptCounts {
    /// All of them since the process began.
    pub all: u64,
    /// Those of them that were not kept, because they came too fast.
    pub lost: u64,
}
