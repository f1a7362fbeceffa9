//! Batches: the format of records in the journal and on a tail.
//!
//! ```text
//! offset  size
//!      0     2  format version, 1
//!      2     2  lead of the batch's time over the machine's clock in minutes, rounded up: the lower 16 bits; zero in the first journals
//!      4     4  number of records
//!      8     8  position of the first record
//!     16     6  time of the batch, milliseconds since 1970
//!     22     2  the upper 16 bits of the lead
//!     24    32  hash of the batch before; zeros for the first
//!     56    32  hash of this batch: BLAKE3 of everything else in it, in order
//!     88     n  records, each: 4 bytes length, 2 bytes kind, payload (an rkyv archive of that length)
//! ```
//! Numbers are little-endian. Each batch contains the hash of the one before, so that a changed, missing or swapped batch breaks
//! the chain (Z11).

use crate::ids::Position;
use crate::malformed::Malformed;
use crate::record::{OneRecord, Record};
use crate::wire;

/// The format version.
pub const VERSION: u16 = 1;
/// The bytes before the records.
pub const HEADER_BYTES: usize = 88;
const HASH_AT: usize = 56;
/// Where the bytes of the time end: six bytes of milliseconds last some nine thousand years.
const TIME_END: usize = 22;
const RECORD_HEADER_BYTES: usize = 6;

/// The time of a batch, in milliseconds since 1970: the time of its records, and the machine's clock. The two differ after the
/// clock was set back, because the time of records never runs backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchTime {
    record_ms: u64,
    lead_minutes: u32,
}

impl BatchTime {
    /// The most by which [`BatchTime::clock_ms`] can be behind the machine's clock, unless that was thousands of years before the
    /// time of records.
    pub const ROUNDED_BY_MS: u64 = 60_000;

    /// The time of a batch from the time of its records and the machine's clock, which is not ahead of it.
    pub fn new(record_ms: u64, clock_ms: u64) -> BatchTime {
        let lead_minutes = record_ms.saturating_sub(clock_ms).div_ceil(Self::ROUNDED_BY_MS);
        BatchTime { record_ms, lead_minutes: u32::try_from(lead_minutes).unwrap_or(u32::MAX) }
    }

    /// The time of the records.
    pub fn record_ms(self) -> u64 {
        self.record_ms
    }

    /// A time that the machine's clock had reached: the time of records unless that was ahead of it.
    pub fn clock_ms(self) -> u64 {
        self.record_ms.saturating_sub(u64::from(self.lead_minutes) * Self::ROUNDED_BY_MS)
    }
}

/// A time of records that is not ahead of the machine's clock.
impl From<u64> for BatchTime {
    fn from(record_ms: u64) -> BatchTime {
        BatchTime { record_ms, lead_minutes: 0 }
    }
}

/// A BLAKE3 hash.
pub type Hash = [u8; 32];

/// The end of a chain of batches: what the next batch must continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChainEnd {
    /// The position of the newest record; 0 if there is none.
    pub position: Position,
    /// The hash of the newest batch; zeros if there is none.
    pub hash: Hash,
    /// The time of the newest batch.
    pub time_ms: u64,
}

impl ChainEnd {
    /// The position that the next record gets.
    pub fn next(&self) -> Position {
        Position(self.position.0 + 1)
    }
}

/// What is wrong with a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// It is shorter than a header.
    #[error("it has {0} bytes, fewer than a header")]
    Short(usize),
    /// It has another format version.
    #[error("its format version is {0}; this program reads version {VERSION}")]
    Version(u16),
    /// Its bytes are not those that were hashed.
    #[error("its bytes do not match its hash")]
    Changed,
    /// It does not name the previous batch as its predecessor.
    #[error("it does not continue the previous batch: the hash chain is broken")]
    BrokenChain,
    /// Its first position is not the expected one.
    #[error("it starts at position {found}, but {expected} comes next")]
    Gap {
        /// The expected position.
        expected: Position,
        /// The position in its header.
        found: Position,
    },
    /// Its records do not fill it, or exceed it.
    #[error("record {index} runs past its end, or bytes follow the last record")]
    Layout {
        /// The record's index, from 0.
        index: u32,
    },
    /// A record is invalid.
    #[error("record {index}: {cause}")]
    Record {
        /// The record's index, from 0.
        index: u32,
        /// What is wrong.
        cause: Malformed,
    },
}

/// A batch being written: records are pushed, then it is sealed against the chain.
#[derive(Debug)]
pub struct BatchBuilder {
    bytes: Vec<u8>,
    count: u32,
    time: BatchTime,
}

impl BatchBuilder {
    /// An empty batch of a given time.
    pub fn new(time: impl Into<BatchTime>) -> BatchBuilder {
        BatchBuilder { bytes: vec![0; HEADER_BYTES], count: 0, time: time.into() }
    }

    /// An empty batch of a given time, with capacity for so many bytes.
    pub fn with_room(time: impl Into<BatchTime>, bytes: usize) -> BatchBuilder {
        let mut batch = BatchBuilder::new(time);
        batch.bytes.reserve(bytes.saturating_sub(HEADER_BYTES));
        batch
    }

    /// Appends a record.
    pub fn push(&mut self, record: &Record) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; RECORD_HEADER_BYTES]);
        record.encode(&mut self.bytes);
        let length = u32::try_from(self.bytes.len() - start - RECORD_HEADER_BYTES).expect("a record is smaller than a frame");
        self.bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
        self.bytes[start + 4..start + 6].copy_from_slice(&record.kind().to_le_bytes());
        self.count += 1;
    }

    /// How many records it has.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it has no record.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The batch's time.
    pub fn time(&self) -> BatchTime {
        self.time
    }

    /// The time of the batch's records, in milliseconds since 1970.
    pub fn time_ms(&self) -> u64 {
        self.time.record_ms
    }

    /// Writes the header: the batch continues `chain`, which advances to it. Returns the finished bytes.
    pub fn seal(mut self, chain: &mut ChainEnd) -> Vec<u8> {
        let first = chain.next();
        self.bytes[0..2].copy_from_slice(&VERSION.to_le_bytes());
        let lead = self.time.lead_minutes.to_le_bytes();
        self.bytes[2..4].copy_from_slice(&lead[..2]);
        self.bytes[4..8].copy_from_slice(&self.count.to_le_bytes());
        self.bytes[8..16].copy_from_slice(&first.0.to_le_bytes());
        self.bytes[16..24].copy_from_slice(&self.time.record_ms.to_le_bytes());
        self.bytes[TIME_END..24].copy_from_slice(&lead[2..]);
        self.bytes[24..HASH_AT].copy_from_slice(&chain.hash);
        let hash = hash_of(&self.bytes);
        self.bytes[HASH_AT..HEADER_BYTES].copy_from_slice(&hash);
        let position = Position(chain.position.0 + u64::from(self.count));
        *chain = ChainEnd { position, hash, time_ms: self.time_ms() };
        self.bytes
    }
}

/// The time in a header, in milliseconds since 1970.
fn time_of(header: &[u8; HEADER_BYTES]) -> u64 {
    u64::from_le_bytes(field(header, 16)) & ((1 << (8 * (TIME_END - 16))) - 1)
}

/// The lead in a header, in minutes.
fn lead_of(header: &[u8; HEADER_BYTES]) -> u32 {
    let [a, b] = field(header, 2);
    let [c, d] = field(header, TIME_END);
    u32::from_le_bytes([a, b, c, d])
}

fn hash_of(bytes: &[u8]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&bytes[..HASH_AT]).update(&bytes[HEADER_BYTES..]);
    hasher.finalize().into()
}

/// A batch, borrowed from its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The position of its first record.
    pub first: Position,
    /// How many records it has.
    pub count: u32,
    /// The time of its records, in milliseconds since 1970.
    pub time_ms: u64,
    /// The hash of the batch before.
    pub previous: Hash,
    /// Its own hash.
    pub hash: Hash,
    lead_minutes: u32,
    records: &'a [u8],
}

impl<'a> Batch<'a> {
    /// Reads a batch and checks its hash. [`Batch::follow`] checks its position in the chain.
    ///
    /// # Errors
    /// When it is truncated, of another format, or modified.
    pub fn parse(bytes: &'a [u8]) -> Result<Batch<'a>, BatchError> {
        let Some((header, records)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(BatchError::Short(bytes.len()));
        };
        let version = u16::from_le_bytes(field(header, 0));
        if version != VERSION {
            return Err(BatchError::Version(version));
        }
        let batch = Batch {
            first: Position(u64::from_le_bytes(field(header, 8))),
            count: u32::from_le_bytes(field(header, 4)),
            time_ms: time_of(header),
            previous: field(header, 24),
            hash: field(header, HASH_AT),
            lead_minutes: lead_of(header),
            records,
        };
        if hash_of(bytes) != batch.hash {
            return Err(BatchError::Changed);
        }
        Ok(batch)
    }

    /// Its time, which is used when its records are applied.
    pub fn time(&self) -> BatchTime {
        BatchTime { record_ms: self.time_ms, lead_minutes: self.lead_minutes }
    }

    /// Checks that this batch comes next in a chain, and advances the chain to it.
    ///
    /// # Errors
    /// When positions are missing or repeated, or the hash chain is broken.
    pub fn follow(&self, chain: &mut ChainEnd) -> Result<(), BatchError> {
        self.link().follow(chain)
    }

    /// The end of a chain whose last batch this is.
    pub fn end(&self) -> ChainEnd {
        self.link().end()
    }

    fn link(&self) -> Link {
        let Batch { first, count, time_ms, previous, hash, .. } = *self;
        Link { first, count, time_ms, previous, hash }
    }

    /// The records with their positions. The first error ends the sequence.
    pub fn records(&self) -> impl Iterator<Item = Result<(Position, Record), BatchError>> + use<'a> {
        self.decoded(|kind, payload| Some(Record::decode(kind, payload)))
    }

    /// The records of one kind with their positions; the others are not decoded. The first error ends the sequence.
    pub fn records_of<R: OneRecord>(&self) -> impl Iterator<Item = Result<(Position, R), BatchError>> + use<'a, R> {
        self.decoded(|kind, payload| (kind == R::KIND).then(|| wire::decode(R::WORD, payload)))
    }

    fn decoded<R, F>(self, decode: F) -> impl Iterator<Item = Result<(Position, R), BatchError>> + use<'a, R, F>
    where
        F: Fn(u16, &[u8]) -> Option<Result<R, Malformed>>,
    {
        let (count, first, mut rest, mut index, mut failed) = (self.count, self.first.0, self.records, 0, false);
        let mut next = move || {
            if failed || (index == count && rest.is_empty()) {
                return None;
            }
            let raw = if index < count { take_record(&mut rest, index) } else { Err(BatchError::Layout { index }) };
            let record = raw.and_then(|(kind, payload)| {
                decode(kind, payload).transpose().map_err(|cause| BatchError::Record { index, cause })
            });
            failed = record.is_err();
            let position = Position(first + u64::from(index));
            index += 1;
            Some(record.map(|record| record.map(|record| (position, record))))
        };
        std::iter::from_fn(move || {
            loop {
                // Skip records of other kinds.
                if let Some(item) = next()?.transpose() {
                    return Some(item);
                }
            }
        })
    }
}

/// The first position and the number of records in a batch's header, unchecked; `None` if the batch is truncated before that.
pub fn stated_extent(bytes: &[u8]) -> Option<(Position, u32)> {
    Link::stated(bytes).map(|link| (link.first, link.count))
}

/// The kinds of the records of a batch with their positions, up to the first truncated one. Does not check the hash.
pub fn stated_kinds(bytes: &[u8]) -> impl Iterator<Item = (Position, u16)> {
    let link = Link::stated(bytes);
    let (first, count) = link.map_or((0, 0), |link| (link.first.0, link.count));
    let mut rest = bytes.get(HEADER_BYTES..).unwrap_or_default();
    (0..count).map_while(move |index| {
        let (kind, _) = take_record(&mut rest, index).ok()?;
        Some((Position(first.saturating_add(u64::from(index))), kind))
    })
}

/// How a batch connects to the chain, according to its header. Does not check the hash: use it to prove that forwarded batches
/// are consecutive, and [`Batch::parse`] to use their contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The position of the batch's first record.
    pub first: Position,
    /// How many records it has.
    pub count: u32,
    /// Its time, in milliseconds since 1970.
    pub time_ms: u64,
    /// The hash of the batch before it.
    pub previous: Hash,
    /// Its own hash.
    pub hash: Hash,
}

impl Link {
    /// Reads the header of a batch; `None` if the batch is truncated.
    pub fn stated(bytes: &[u8]) -> Option<Link> {
        let header = bytes.first_chunk::<HEADER_BYTES>()?;
        Some(Link {
            first: Position(u64::from_le_bytes(field(header, 8))),
            count: u32::from_le_bytes(field(header, 4)),
            time_ms: time_of(header),
            previous: field(header, 24),
            hash: field(header, HASH_AT),
        })
    }

    /// Whether the batch contains a position.
    pub fn holds(&self, position: Position) -> bool {
        (self.first..=self.end().position).contains(&position)
    }

    /// The end of a chain whose last batch this is.
    pub fn end(&self) -> ChainEnd {
        let position = Position(self.first.0.saturating_add(u64::from(self.count)).saturating_sub(1));
        ChainEnd { position, hash: self.hash, time_ms: self.time_ms }
    }

    /// Checks that the batch comes next in a chain, and advances the chain to it.
    ///
    /// # Errors
    /// When positions are missing or repeated, or the hash chain is broken.
    pub fn follow(&self, chain: &mut ChainEnd) -> Result<(), BatchError> {
        if self.first != chain.next() {
            return Err(BatchError::Gap { expected: chain.next(), found: self.first });
        }
        if self.previous != chain.hash {
            return Err(BatchError::BrokenChain);
        }
        *chain = self.end();
        Ok(())
    }
}

/// The kind and the bytes of the next record.
fn take_record<'a>(rest: &mut &'a [u8], index: u32) -> Result<(u16, &'a [u8]), BatchError> {
    let layout = || BatchError::Layout { index };
    let (header, after) = rest.split_first_chunk::<RECORD_HEADER_BYTES>().ok_or_else(layout)?;
    let length = u32::from_le_bytes(field(header, 0)) as usize;
    let (payload, after) = after.split_at_checked(length).ok_or_else(layout)?;
    *rest = after;
    Ok((u16::from_le_bytes(field(header, 4)), payload))
}

fn field<const N: usize>(header: &[u8], at: usize) -> [u8; N] {
    *header[at..].first_chunk().expect("the field lies within a header")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Activation, ClubRegistered, ToppedUp};
    use crate::ids::{CampaignId, ClientId, ClubId, CredentialId, RequestId};
    use crate::money::Money;
    use crate::record::Stamp;

    fn stamp() -> Stamp {
        Stamp { request: RequestId(9), body: 8, credential: CredentialId(7) }
    }

    fn records() -> Vec<Record> {
        let activation = Activation {
            stamp: stamp(),
            client: ClientId(6),
            club: ClubId(5),
            campaign: CampaignId(4),
            slot: 3,
            amount: Money(200),
            balance: Money(400),
            top_up: Position(0),
        };
        vec![ClubRegistered { stamp: stamp(), club: ClubId(1), name: "a club of a name".into() }.into(), activation.into()]
    }

    fn sealed(chain: &mut ChainEnd) -> Vec<u8> {
        let mut builder = BatchBuilder::new(1_790_000_000_000);
        records().iter().for_each(|record| builder.push(record));
        builder.seal(chain)
    }

    #[test]
    fn a_batch_round_trips() {
        let mut chain = ChainEnd::default();
        let bytes = [sealed(&mut chain), sealed(&mut chain)];
        let mut read = ChainEnd::default();
        let mut seen = Vec::new();
        for bytes in &bytes {
            let batch = Batch::parse(bytes).expect("valid: just written");
            batch.follow(&mut read).expect("it comes next");
            seen.extend(batch.records().map(|item| item.expect("valid: just written")));
        }
        assert_eq!(read, chain);
        let expected: Vec<_> = (1..).map(Position).zip(records().into_iter().chain(records())).collect();
        assert_eq!(seen, expected);
    }

    /// The clock in a header is never ahead of the machine's clock, and behind it by less than a minute.
    #[test]
    fn the_clock_of_a_batch_is_rounded_down_to_a_minute() {
        const DAY: u64 = 86_400_000;
        let record_ms = 1_790_000_000_000;
        let leads = [0, 1, 59_999, 60_000, 60_001, 3_600_000, 30 * DAY, 45 * DAY, 46 * DAY, 366 * DAY, 10_000 * DAY, record_ms];
        for lead_ms in leads {
            let time = BatchTime::new(record_ms, record_ms - lead_ms);
            let bytes = BatchBuilder::new(time).seal(&mut ChainEnd::default());
            let read = Batch::parse(&bytes).expect("valid: just written");
            assert_eq!((read.time(), read.time_ms), (time, record_ms));
            assert_eq!(Link::stated(&bytes).map(|link| link.time_ms), Some(record_ms));
            let behind_ms = (record_ms - lead_ms) - time.clock_ms();
            assert!(behind_ms < BatchTime::ROUNDED_BY_MS, "{lead_ms}");
        }
        assert_eq!(BatchTime::from(record_ms).clock_ms(), record_ms);
    }

    #[test]
    fn a_missing_or_swapped_batch_differs_from_a_broken_chain() {
        let mut chain = ChainEnd::default();
        let first = sealed(&mut chain);
        let second = sealed(&mut chain);
        let follow = |bytes: &[u8], mut chain: ChainEnd| Batch::parse(bytes).expect("whole").follow(&mut chain);
        assert_eq!(follow(&second, ChainEnd::default()), Err(BatchError::Gap { expected: Position(1), found: Position(3) }));
        let after_first = Batch::parse(&first).expect("whole").end();
        assert_eq!(follow(&second, after_first), Ok(()));
        assert_eq!(follow(&second, ChainEnd { hash: [1; 32], ..after_first }), Err(BatchError::BrokenChain));
        assert!(matches!(follow(&first, after_first), Err(BatchError::Gap { .. })));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = sealed(&mut ChainEnd::default());
        for at in 0..bytes.len() {
            assert!(Batch::parse(&bytes[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                assert!(Batch::parse(&changed).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    /// Z12: a reader of one kind of record gets each of them at its position, and nothing else.
    #[test]
    fn records_of_one_kind_keep_their_positions() {
        let mut chain = ChainEnd { position: Position(40), ..ChainEnd::default() };
        let mut builder = BatchBuilder::new(1);
        let [club, activation] = records().try_into().expect("there are two");
        [&club, &activation, &activation, &club, &club].into_iter().for_each(|record| builder.push(record));
        let bytes = builder.seal(&mut chain);
        let batch = Batch::parse(&bytes).expect("valid: just written");
        fn of<R: OneRecord + Into<Record>>(batch: &Batch<'_>) -> Vec<(u64, Record)> {
            let found = batch.records_of::<R>().map(|item| item.expect("valid: just written"));
            found.map(|(position, record)| (position.0, record.into())).collect()
        }
        let at = |positions: &[u64], record: &Record| positions.iter().map(|at| (*at, record.clone())).collect::<Vec<_>>();
        assert_eq!(of::<ClubRegistered>(&batch), at(&[41, 44, 45], &club));
        assert_eq!(of::<Activation>(&batch), at(&[42, 43], &activation));
        assert_eq!(of::<ToppedUp>(&batch), []);
        let kinds = |bytes: &[u8]| stated_kinds(bytes).map(|(position, kind)| (position.0, kind)).collect::<Vec<_>>();
        let (club_kind, activation_kind) = (ClubRegistered::KIND, Activation::KIND);
        let all = [(41, club_kind), (42, activation_kind), (43, activation_kind), (44, club_kind), (45, club_kind)];
        assert_eq!(kinds(&bytes), all);
        assert_eq!(kinds(&bytes[..bytes.len() - 1]), all[..4], "the last one is cut off");
        assert_eq!(kinds(&bytes[..HEADER_BYTES - 1]), []);
        assert_eq!(batch.records().count(), 5);
    }

    /// Records of other kinds are skipped whatever they contain; records of the requested kind, and the layout, are checked.
    #[test]
    fn records_of_one_kind_report_faults_of_that_kind() {
        let sealed_with = |kind: u16, payload: &[u8], count: u32| {
            let mut builder = BatchBuilder::new(1);
            records().iter().for_each(|record| builder.push(record));
            builder.bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
            builder.bytes.extend_from_slice(&kind.to_le_bytes());
            builder.bytes.extend_from_slice(payload);
            builder.count = count;
            builder.seal(&mut ChainEnd::default())
        };
        let last = |bytes: &[u8]| Batch::parse(bytes).expect("the hash is right").records_of::<Activation>().last();
        // An unknown kind, and invalid bytes of another kind.
        for kind in [9999, ClubRegistered::KIND] {
            let bytes = sealed_with(kind, &[1, 2, 3], 3);
            let found: Vec<_> = Batch::parse(&bytes).expect("the hash is right").records_of::<Activation>().collect();
            assert!(matches!(found[..], [Ok((Position(2), _))]), "{found:?}");
        }
        assert!(matches!(last(&sealed_with(Activation::KIND, &[1, 2, 3], 3)), Some(Err(BatchError::Record { index: 2, .. }))));
        assert_eq!(last(&sealed_with(9999, &[1, 2, 3], 4)), Some(Err(BatchError::Layout { index: 3 })));
        assert_eq!(last(&sealed_with(9999, &[1, 2, 3], 2)), Some(Err(BatchError::Layout { index: 2 })));
    }

    #[test]
    fn records_that_do_not_fill_their_batch_are_named() {
        let reseal = |count: u32, extra: &[u8]| {
            let mut builder = BatchBuilder::new(1);
            records().iter().for_each(|record| builder.push(record));
            builder.count = count;
            builder.bytes.extend_from_slice(extra);
            let bytes = builder.seal(&mut ChainEnd::default());
            Batch::parse(&bytes).expect("the hash is right").records().last()
        };
        assert_eq!(reseal(3, &[]), Some(Err(BatchError::Layout { index: 2 })));
        assert_eq!(reseal(1, &[]), Some(Err(BatchError::Layout { index: 1 })));
        assert_eq!(reseal(2, &[0]), Some(Err(BatchError::Layout { index: 2 })));
        assert!(matches!(reseal(3, &[0, 0, 0, 0, 255, 0]), Some(Err(BatchError::Record { index: 2, .. }))));
    }
}
