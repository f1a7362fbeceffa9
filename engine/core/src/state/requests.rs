//! The remembered request ids with their answers (Z3).
//!
//! An id is remembered for the idempotency window, counted from the time inside the id. At the limit of ids the oldest are
//! forgotten early; ids younger than [`KEPT_AT_LEAST_MS`] are never forgotten, and the caller must wait instead.
//!
//! Invariant: an executed id is remembered, or its time is in one of the ranges of [`Forgotten`], where every id is refused. No
//! clock can cause a second execution, whatever it has shown. An id outside all ranges was not executed: after a clock that was
//! ahead is set right, the engine refuses only requests whose ids have times at which ids were forgotten.
//!
//! The machine's clock, as recorded in each batch ([`BatchTime::clock_ms`]), decides what is forgotten. After a clock that was
//! ahead, neither the time of records, which stays ahead for a while, nor the ids of a caller whose clock is still ahead make the
//! window forget anything. When rows from such a time become the oldest, they are moved behind the others, and a full window does
//! not wait for them: it may exceed its limit by a sixth as long as it has such rows.
//!
//! Order of calls: [`Requests::admit`] before a command is decided, `Requests::remember` when its record is applied.

mod alike;
mod forgotten;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::VecDeque;

use scrip_protocol::batch::BatchTime;
use scrip_protocol::command::RedeemOutcome;
use scrip_protocol::{Kind, Position, Refusal, RequestId, Settings, Stamp, wire};

use super::frozen::{RequestRow, WindowBase};
use crate::rows::Rows;
use crate::slot_table::{FixedTable, GrowingTable};

pub(super) use alike::Unlike;
pub use forgotten::Forgotten;

/// How long an id is remembered regardless of the limit, in milliseconds: far longer than a caller waits for a reply.
pub const KEPT_AT_LEAST_MS: u64 = 60_000;

/// Ids that one record can make the window forget. One record adds one id, so that the window still shrinks: the first request
/// after a long silence, or after the limit was lowered, does not pay for all of it.
const FORGOTTEN_PER_RECORD: usize = 8;

/// Maximum limit of ids: a sixth more can be numbered.
const LIMIT_MAX: usize = u32::MAX as usize / 4 * 3;

/// How far ahead of the clock the settings can let an id be.
const SKEW_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// Rows per chunk. Chunks never move: growing copies nothing.
const CHUNK: usize = 4096;

/// The longest reply that is kept in memory, in bytes. A longer one, with a line for each code, is read from the journal again,
/// so that an id costs at most [`BYTES_PER_ID_MAX`].
pub const REPLY_BYTES_KEPT_MAX: usize = 256;

/// The maximum memory of an id, in bytes: its row, its slot in the index, the reply, and the allocator's overhead for the two
/// parts of that.
pub const BYTES_PER_ID_MAX: usize = 64 + 16 + REPLY_BYTES_KEPT_MAX + 32 + 32;

/// The answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Remembered {
    /// A redemption, whose reply has a fixed size.
    Redeem(RedeemOutcome),
    /// Any other command: the number of its kind and the bytes of its outcome.
    Other(Box<(u16, Vec<u8>)>),
    /// A command whose reply is longer than [`REPLY_BYTES_KEPT_MAX`]: [`reply_of`](crate::state::reply_of) makes it from its
    /// record.
    Stored {
        /// The number of the command's kind.
        kind: u16,
        /// The record.
        position: Position,
    },
}

impl Remembered {
    /// The number of the kind of the command.
    pub fn kind(&self) -> u16 {
        match self {
            Remembered::Redeem(_) => Kind::Redeem as u16,
            Remembered::Other(reply) => reply.0,
            Remembered::Stored { kind, .. } => *kind,
        }
    }

    /// What is kept instead of a reply that is too long, to the request whose record is at a position.
    fn instead(&self, position: Position) -> Option<Remembered> {
        match self {
            Remembered::Other(reply) if reply.1.len() > REPLY_BYTES_KEPT_MAX => {
                Some(Remembered::Stored { kind: reply.0, position })
            }
            Remembered::Redeem(_) | Remembered::Other(_) | Remembered::Stored { .. } => None,
        }
    }

    /// Whether two states remember the same answer. A snapshot of version 1 contains long replies themselves.
    pub(super) fn is_alike(&self, other: &Remembered) -> bool {
        match (self, other) {
            (Remembered::Stored { kind, .. }, Remembered::Other(reply))
            | (Remembered::Other(reply), Remembered::Stored { kind, .. }) => {
                *kind == reply.0 && reply.1.len() > REPLY_BYTES_KEPT_MAX
            }
            (one, other) => one == other,
        }
    }
}

/// The bit of a snapshot's kind that marks a row with the position of the record, in 8 bytes, instead of the reply.
const STORED: u16 = 1 << 15;

/// The times against which ids are checked, in milliseconds since 1970. While the clock runs evenly both are the same; after it
/// was set back, the right time may be either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockRange {
    /// The machine's clock. Ids that are older than this by more than the window are refused.
    pub earliest_ms: u64,
    /// The clock if it had not been set back. Ids too far ahead of this are refused.
    pub latest_ms: u64,
}

impl From<u64> for ClockRange {
    fn from(now_ms: u64) -> ClockRange {
        ClockRange { earliest_ms: now_ms, latest_ms: now_ms }
    }
}

/// Whether to execute a request.
#[derive(Debug, PartialEq)]
pub enum Admission<'a> {
    /// It is new.
    New,
    /// It was executed before, with this answer.
    Repeated(Cow<'a, Remembered>),
    /// It must not be executed.
    Refused(Refusal),
}

#[derive(Debug, Clone, PartialEq)]
struct Row {
    id: RequestId,
    body: u64,
    reply: Remembered,
}

/// Memory of a remembered id, in addition to 11 to 16 bytes of the index.
const _: () = assert!(size_of::<Row>() == 64);

/// The idempotency window, owned by the state.
#[derive(Default)]
pub struct Requests {
    window_ms: u64,
    skew_ms: u64,
    limit: usize,
    /// The times of the forgotten ids, which are refused.
    forgotten: Forgotten,
    /// Requests with ids of an earlier time may be remembered by a hash of their bytes, as in the earliest journals. Their
    /// retries get the first answer whatever the hash: if they were refused as different requests, callers would execute them
    /// under another id. [`State::admit`](super::State::admit) checks that the command is the same.
    meant_from_ms: u64,
    /// The oldest rows, which may be in a snapshot.
    base: Base,
    /// Rows in the order of arrival; all chunks but the last are full.
    chunks: VecDeque<Vec<Row>>,
    /// Forgotten rows of the first chunk.
    gone: usize,
    /// Rows of the chunks that are not forgotten.
    length: usize,
    /// The number of the oldest of these rows. Numbers wrap; there are never 2^32 rows.
    first: u32,
    index: GrowingTable,
}

/// The remembered requests of a snapshot.
#[derive(Default)]
struct Base {
    rows: Rows<RequestRow>,
    replies: Rows<u8>,
    index: FixedTable,
    /// The latest time of any of these ids: newer ones are not looked up among them.
    newest_ms: u64,
    /// How many of them were forgotten since.
    gone: usize,
}

impl Base {
    fn len(&self) -> usize {
        self.rows.len() - self.gone
    }

    /// A request that is not forgotten.
    fn find(&self, id: RequestId) -> Option<usize> {
        let is = |row: u32| row as usize >= self.gone && self.rows.get(row as usize).is_some_and(|row| row.id == id.0);
        let known = id.time_ms() <= self.newest_ms && self.len() > 0;
        let row = known.then(|| self.index.find(self.index.key.hash_id(id.0), is));
        row.flatten().map(|row| row as usize)
    }

    /// The answer to a request. A damaged reply becomes one without bytes, which no caller can decode.
    fn reply(&self, at: usize) -> Remembered {
        let end = |row: &RequestRow| (row.kind_and_end & REPLY_END) as usize;
        let row = &self.rows[at];
        let start = at.checked_sub(1).map_or(0, |before| end(&self.rows[before]));
        let bytes = self.replies.get(start..end(row)).unwrap_or_default();
        let kind = (row.kind_and_end >> REPLY_END_BITS) as u16;
        if kind & STORED != 0 {
            let position = bytes.first_chunk().map_or(0, |position| u64::from_le_bytes(*position));
            return Remembered::Stored { kind: kind & !STORED, position: Position(position) };
        }
        let redeem = (kind == Kind::Redeem as u16).then(|| wire::decode::<RedeemOutcome>(Kind::Redeem.word(), bytes).ok());
        match redeem.flatten() {
            Some(outcome) => Remembered::Redeem(outcome),
            None => Remembered::Other(Box::new((kind, bytes.to_vec()))),
        }
    }
}

/// The bits of a row that have the end of its reply; those above have the command's kind.
const REPLY_END_BITS: u32 = 48;
const REPLY_END: u64 = (1 << REPLY_END_BITS) - 1;

impl Requests {
    /// The idempotency window of a snapshot.
    pub(super) fn over(
        window: &WindowBase,
        meant_from_ms: u64,
        forgotten: Forgotten,
        rows: Rows<RequestRow>,
        replies: Rows<u8>,
        index: FixedTable,
    ) -> Requests {
        Requests {
            window_ms: window.window_ms,
            skew_ms: window.skew_ms,
            limit: usize::try_from(window.limit).unwrap_or(usize::MAX),
            meant_from_ms,
            forgotten,
            base: Base { rows, replies, index, newest_ms: window.newest_ms, gone: 0 },
            ..Requests::default()
        }
    }

    /// What a snapshot stores of the window besides its rows.
    pub(super) fn window(&self, newest_ms: u64) -> WindowBase {
        WindowBase { window_ms: self.window_ms, skew_ms: self.skew_ms, limit: self.limit as u64, horizon_ms: 0, newest_ms }
    }

    /// Calls `each` with every row of a snapshot and the bytes of its reply, in the order of arrival. The end in each row counts
    /// only the replies before it. Returns the latest time of the ids.
    pub(super) fn each_row(&self, mut each: impl FnMut(RequestRow, &[u8])) -> u64 {
        let (mut end, mut encoded, mut newest_ms) = (0, Vec::new(), 0);
        for (id, body, reply) in self.rows() {
            encoded.clear();
            let (kind, bytes) = match &*reply {
                Remembered::Redeem(outcome) => {
                    wire::encode(outcome, &mut encoded);
                    (Kind::Redeem as u16, encoded.as_slice())
                }
                Remembered::Other(reply) => (reply.0, reply.1.as_slice()),
                Remembered::Stored { kind, position } => {
                    encoded.extend_from_slice(&position.0.to_le_bytes());
                    (kind | STORED, encoded.as_slice())
                }
            };
            end += bytes.len() as u64;
            newest_ms = id.time_ms().max(newest_ms);
            each(RequestRow { id: id.0, body, kind_and_end: u64::from(kind) << REPLY_END_BITS | end }, bytes);
        }
        newest_ms
    }

    /// Requests with ids before this time may be remembered by a hash of their bytes, in milliseconds since 1970.
    pub(super) fn meant_from_ms(&self) -> u64 {
        self.meant_from_ms
    }

    /// From now on requests are remembered by their meaning. Ids may be ahead of the clock, by the previous settings or the next
    /// ones.
    pub(super) fn mean_from(&mut self, now_ms: u64, next: &Settings) {
        let skew_ms = self.skew_ms.max(next.request_skew_ms);
        self.meant_from_ms = now_ms.saturating_add(skew_ms).saturating_add(1);
    }

    /// Applies settings. Forgotten ids stay refused if the window grows.
    pub(super) fn set(&mut self, settings: &Settings) {
        self.window_ms = settings.request_window_ms;
        self.skew_ms = settings.request_skew_ms;
        self.limit = usize::try_from(settings.requests_max).unwrap_or(usize::MAX).min(LIMIT_MAX);
    }

    /// The first record from which a reply must be read again; the journal is to be kept from there.
    pub fn first_stored(&self) -> Option<Position> {
        let base = self.base.gone..self.base.rows.len();
        let is_stored = |at: &usize| (self.base.rows[*at].kind_and_end >> REPLY_END_BITS) as u16 & STORED != 0;
        let position = |reply: &Remembered| match reply {
            Remembered::Stored { position, .. } => Some(*position),
            Remembered::Redeem(_) | Remembered::Other(_) => None,
        };
        let base = base.filter(is_stored).filter_map(|at| position(&self.base.reply(at)));
        let live = self.chunks.iter().flatten().skip(self.gone).filter_map(|row| position(&row.reply));
        base.chain(live).min()
    }

    /// The number of remembered ids.
    pub fn len(&self) -> usize {
        self.base.len() + self.length
    }

    /// Whether no id is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An upper bound for the times of executed ids, in milliseconds since 1970.
    pub fn latest_ms(&self) -> u64 {
        let remembered = self.chunks.iter().flatten().skip(self.gone).map(|row| row.id.time_ms()).max();
        let forgotten = self.forgotten.rows().last().map(|range| range.to_ms);
        self.base.newest_ms.max(remembered.unwrap_or(0)).max(forgotten.unwrap_or(0))
    }

    /// The time before which any id may have been forgotten, because the window descends from a snapshot of version 1; 0
    /// otherwise.
    pub fn unknown_before_ms(&self) -> u64 {
        self.forgotten.unknown_before_ms()
    }

    /// Assumes that no ids were forgotten except those that are passed to [`Requests::add_executed`] next, and those that were
    /// executed up to a time.
    pub fn begin_executed(&mut self, unread_ms: Option<u64>) {
        // Earlier settings may have permitted ids further ahead of the clock.
        let skew_ms = self.skew_ms.max(SKEW_MS_MAX);
        self.forgotten.end_unknown_at(unread_ms.map_or(0, |unread_ms| unread_ms.saturating_add(skew_ms).saturating_add(1)));
    }

    /// Adds an id that was executed at the time of a record.
    pub fn add_executed(&mut self, record_ms: u64, request: RequestId) {
        if self.find(request).is_none() {
            self.forgotten.add(request.time_ms(), record_ms);
        }
    }

    /// Restores what [`Requests::forgotten`] returned.
    pub fn set_forgotten(&mut self, forgotten: Forgotten) {
        self.forgotten = forgotten;
    }

    /// The times of the forgotten ids.
    pub fn forgotten(&self) -> &Forgotten {
        &self.forgotten
    }

    /// Prefetches the start of a search for an id.
    pub(super) fn touch(&self, request: RequestId) {
        self.index.touch(request.0);
    }

    /// The body hash and the answer of a remembered id.
    #[inline]
    fn find(&self, request: RequestId) -> Option<(u64, Cow<'_, Remembered>)> {
        if let Some(number) = self.index.find(request.0, |number| self.row(number).id.0) {
            let row = self.row(number);
            return Some((row.body, Cow::Borrowed(&row.reply)));
        }
        let at = self.base.find(request)?;
        Some((self.base.rows[at].body, Cow::Owned(self.base.reply(at))))
    }

    /// Whether a request is new, a retry, or refused, at a time.
    #[inline]
    pub fn admit(&self, clock: impl Into<ClockRange>, stamp: &Stamp) -> Admission<'_> {
        let ClockRange { earliest_ms, latest_ms } = clock.into();
        let time_ms = stamp.request.time_ms();
        let oldest_ms = earliest_ms.saturating_sub(self.window_ms);
        if !stamp.request.is_version_7() {
            return Admission::Refused(Refusal::RequestIdInvalid);
        }
        if time_ms < oldest_ms {
            return Admission::Refused(Refusal::RequestTooOld { oldest_ms });
        }
        // Before the time is checked: a retry gets the first reply, whatever the clock shows now.
        if let Some((body, reply)) = self.find(stamp.request) {
            return match body == stamp.body || time_ms < self.meant_from_ms {
                true => Admission::Repeated(reply),
                false => Admission::Refused(Refusal::RequestIdReused),
            };
        }
        if time_ms > latest_ms.saturating_add(self.skew_ms) {
            return Admission::Refused(Refusal::RequestFromFuture { now_ms: latest_ms });
        }
        if let Some(oldest_ms) = self.forgotten.end_of(time_ms) {
            return Admission::Refused(Refusal::RequestTooOld { oldest_ms });
        }
        match self.is_full_for(earliest_ms, time_ms) {
            0 => Admission::New,
            wait_ms => Admission::Refused(Refusal::Busy { retry_after_ms: wait_ms.min(u32::MAX.into()) as u32 }),
        }
    }

    /// How long a request that is not remembered must wait for room, by the machine's clock; 0 if there is room, or if its record
    /// makes some.
    fn is_full_for(&self, clock_ms: u64, id_ms: u64) -> u64 {
        if self.len() < self.limit {
            return 0;
        }
        let ahead_ms = self.ahead_ms(clock_ms);
        if id_ms > ahead_ms {
            // Rows from a time ahead leave last: no more are added while the window is full.
            return KEPT_AT_LEAST_MS;
        }
        // If all of these are from a time ahead, the record moves them out of the way.
        self.oldest_of_first(ahead_ms).map_or(0, |oldest_ms| oldest_ms.saturating_add(KEPT_AT_LEAST_MS).saturating_sub(clock_ms))
    }

    /// How many requests of one credential may have been executed in the last minute for another of it to be executed, and how long it would wait
    /// otherwise, by the machine's clock. `None` unless the window is at least seven eighths full of ids that cannot be forgotten yet.
    #[inline]
    pub fn share(&self, clock_ms: u64) -> Option<(usize, u32)> {
        if self.len() < self.limit - self.limit / 8 {
            return None;
        }
        let free_ms = self.oldest_of_first(self.ahead_ms(clock_ms))?.saturating_add(KEPT_AT_LEAST_MS);
        let wait_ms = free_ms.saturating_sub(clock_ms);
        (wait_ms > 0).then(|| (self.limit / 8, wait_ms.min(u32::MAX.into()) as u32))
    }

    /// Up to which time ids are not from a time when the clock was ahead, by the machine's clock or a time at most a minute before it.
    fn ahead_ms(&self, clock_ms: u64) -> u64 {
        clock_ms.saturating_add(self.skew_ms).saturating_add(BatchTime::ROUNDED_BY_MS)
    }

    /// The maximum number of remembered ids if the first rows are from a time ahead. Only a clock that is set back repeatedly
    /// leads there; then the first of these rows leave as well.
    fn over_limit_max(&self) -> usize {
        self.limit + self.limit / 6 + FORGOTTEN_PER_RECORD
    }

    /// The oldest of the first ids, ignoring those after a time.
    fn oldest_of_first(&self, ahead_ms: u64) -> Option<u64> {
        self.first_times().filter(|time_ms| *time_ms <= ahead_ms).min()
    }

    /// The times of the first ids, as many as one record may move or forget.
    fn first_times(&self) -> impl Iterator<Item = u64> {
        let base = &self.base.rows[self.base.gone..];
        let live = (0..self.length).map(|at| self.row(self.first.wrapping_add(at as u32)).id);
        base.iter().map(|row| RequestId(row.id)).chain(live).map(RequestId::time_ms).take(FORGOTTEN_PER_RECORD)
    }

    /// Remembers what a request was answered, and forgets what has passed. Returns the reply.
    pub(super) fn remember(
        &mut self,
        time: impl Into<BatchTime>,
        stamp: &Stamp,
        reply: Remembered,
        position: Position,
    ) -> Cow<'_, Remembered> {
        self.make_room(time.into());
        match reply.instead(position) {
            None => Cow::Borrowed(self.push(stamp.request, stamp.body, reply)),
            Some(stored) => {
                self.push(stamp.request, stamp.body, stored);
                Cow::Owned(reply)
            }
        }
    }

    /// Forgets expired ids, and at the limit the oldest ones, at the time of a batch.
    fn make_room(&mut self, time: BatchTime) {
        let clock_ms = time.clock_ms();
        let passed_ms = clock_ms.saturating_sub(self.window_ms);
        // Must not reclassify a row that was passed over when the request was admitted, by a clock that may be up to a minute
        // later.
        let ahead_ms = self.ahead_ms(clock_ms);
        let is_old = |time_ms: u64| time_ms.saturating_add(KEPT_AT_LEAST_MS) <= clock_ms;
        let is_over = |requests: &Requests| requests.len() >= requests.limit.max(1);
        // If none is expired by this clock, the oldest was found to be expired when the request was admitted.
        let leaving = || self.first_times().find(|time_ms| is_old(*time_ms)).or_else(|| self.oldest_of_first(ahead_ms));
        let first = || self.first_times().next().filter(|_| self.len() > self.over_limit_max());
        let mut leaves_ms = if is_over(self) { leaving().or_else(first) } else { None };
        for _ in 0..FORGOTTEN_PER_RECORD {
            let Some(first_ms) = self.first_times().next() else { break };
            if leaves_ms == Some(first_ms) || first_ms < passed_ms {
                leaves_ms = leaves_ms.filter(|leaves_ms| *leaves_ms != first_ms);
                self.forget_oldest(first_ms, time.record_ms());
            } else if first_ms > ahead_ms || leaves_ms.is_some() {
                self.move_oldest_back();
            } else if is_over(self) && is_old(first_ms) {
                self.forget_oldest(first_ms, time.record_ms());
            } else {
                break;
            }
        }
    }

    fn push(&mut self, id: RequestId, body: u64, reply: Remembered) -> &Remembered {
        if self.chunks.back().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push_back(Vec::with_capacity(CHUNK));
        }
        let number = self.first.wrapping_add(self.length as u32);
        let chunk = self.chunks.back_mut().expect("one was just added");
        chunk.push(Row { id, body, reply });
        self.length += 1;
        self.index.insert(id.0, number);
        &chunk[chunk.len() - 1].reply
    }

    /// Forgets the oldest row, whose id has this time.
    fn forget_oldest(&mut self, id_ms: u64, record_ms: u64) {
        self.forgotten.add(id_ms, record_ms);
        self.drop_oldest();
    }

    /// Makes the oldest row, which must exist, the newest.
    fn move_oldest_back(&mut self) {
        let row = match self.base.rows.get(self.base.gone) {
            Some(row) => Row { id: RequestId(row.id), body: row.body, reply: self.base.reply(self.base.gone) },
            None => self.row(self.first).clone(),
        };
        self.drop_oldest();
        self.push(row.id, row.body, row.reply);
    }

    /// Forgets the first rows without a trace, as engines of version 1 did.
    #[cfg(any(test, feature = "testing"))]
    pub fn forget_as_version_1(&mut self, count: usize) {
        (0..count).for_each(|_| self.drop_oldest());
    }

    fn drop_oldest(&mut self) {
        if self.base.gone < self.base.rows.len() {
            self.base.gone += 1;
            return;
        }
        let id = self.row(self.first).id;
        self.index.remove(id.0, self.first);
        self.first = self.first.wrapping_add(1);
        self.length -= 1;
        self.gone += 1;
        if self.gone == CHUNK {
            self.chunks.pop_front();
            self.gone = 0;
        }
    }

    fn row(&self, number: u32) -> &Row {
        let at = self.gone + number.wrapping_sub(self.first) as usize;
        &self.chunks[at / CHUNK][at % CHUNK]
    }

    /// All remembered requests in the order of arrival: id, body hash and answer.
    pub fn rows(&self) -> impl Iterator<Item = (RequestId, u64, Cow<'_, Remembered>)> {
        let base = (self.base.gone..self.base.rows.len()).zip(&self.base.rows[self.base.gone..]);
        let base = base.map(|(at, row)| (RequestId(row.id), row.body, Cow::Owned(self.base.reply(at))));
        let live = self.chunks.iter().flatten().skip(self.gone);
        base.chain(live.map(|row| (row.id, row.body, Cow::Borrowed(&row.reply))))
    }
}

impl std::fmt::Debug for Requests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Requests").field("forgotten", &self.forgotten).field("rows", &self.rows().collect::<Vec<_>>()).finish()
    }
}
