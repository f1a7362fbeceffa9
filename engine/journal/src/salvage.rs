//! Reads what is left of a segment's file, whole or damaged, without changing a byte of it.
//!
//! The journal itself refuses a damaged file ([`crate`]); this module is for finding out what is left. First redb reads the rows,
//! over a file whose changes stay in memory, so that a file that was not closed can be read as well. If redb cannot read the
//! file, its bytes are searched for batches: a possible header (see [`scrip_protocol::batch`]), records whose lengths give the
//! extent, and the hash, which leaves no doubt. redb leaves old pages behind that may contain a batch a second time: each batch
//! is reported once.
//!
//! Nothing here locks, so that the file of a running engine can be read; the result is then not of one moment.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use redb::{Builder, Database, ReadTransaction, ReadableDatabase, StorageBackend, TableDefinition};
use scrip_protocol::Position;
use scrip_protocol::batch::{Batch, BatchError, ChainEnd, HEADER_BYTES, Hash, VERSION};

use crate::disk::Overlay;

/// The same table as in the journal's segments.
const BATCHES: TableDefinition<u64, &[u8]> = TableDefinition::new("batches");
const SEGMENT: TableDefinition<&str, &[u8]> = TableDefinition::new("segment");

/// How much of a file is in memory at once during a search.
const WINDOW_BYTES: usize = 8 << 20;

/// No batch has more records than this.
const RECORDS_MAX: u32 = 1 << 16;
const RECORD_BYTES_MAX: u32 = 32 << 20;
const RECORD_HEADER_BYTES: usize = 6;

/// The first upper half of a lead of record time over the clock, in units of 45 days, that no batch has: some 250 years.
const LEAD_END: u64 = 1 << 11;

/// The end of positions: some thousand years of records.
const POSITION_END: u64 = 1 << 52;

/// How many damaged places are remembered until it is known which of them are batches.
const SUSPECTS_MAX: usize = 100_000;

/// How the batches of a file were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// redb read its rows.
    Rows,
    /// A search of its bytes.
    Searched {
        /// The message of redb; none if redb was skipped.
        cause: Option<String>,
    },
}

/// The result for a segment's file.
#[derive(Debug)]
pub struct Remains {
    /// The size of the file.
    pub bytes: u64,
    /// How the batches were found.
    pub reading: Reading,
    /// The end of the chain before the segment, according to the segment.
    pub start: Option<ChainEnd>,
    /// The end of the segment according to its seal, if it is sealed.
    pub seal: Option<ChainEnd>,
    /// Number of damaged batches.
    pub damaged: u64,
}

/// A batch, or the rest of one.
#[derive(Debug)]
pub struct Found<'a> {
    /// The position of its row, or of its first record according to its header.
    pub first: Position,
    /// Where it begins in the file; none if redb read it.
    pub offset: Option<u64>,
    /// How many of its bytes there are.
    pub bytes: usize,
    /// The batch, or what is wrong with it.
    pub batch: Result<Batch<'a>, BatchError>,
}

/// Reads what is left of a segment's file, and passes on each batch once, in the order of positions. Skips redb if `search` is
/// set.
///
/// # Errors
/// If the operating system cannot read the file.
pub fn segment(path: &Path, search: bool, give: &mut dyn FnMut(Found<'_>)) -> io::Result<Remains> {
    let bytes = File::open(path)?.metadata()?.len();
    let cause = match search {
        true => None,
        // Reads everything once before passing anything on: if redb fails in the middle, the whole file is searched.
        false => match no_panic(|| rows(path, &mut |_| {})) {
            Ok(_) => {
                let read = no_panic(|| rows(path, &mut *give));
                let changed = |cause| io::Error::other(format!("the file was changed while it was read: {cause}"));
                return Ok(Remains { bytes, ..read.map_err(changed)? });
            }
            Err(cause) => Some(cause),
        },
    };
    let damaged = searched(path, give)?;
    Ok(Remains { bytes, reading: Reading::Searched { cause }, start: None, seal: None, damaged })
}

/// The hash (BLAKE3) of a part of a file; none if the file ends before the part does.
///
/// # Errors
/// If the file cannot be read.
pub fn hash_of_part(file: &File, offset: u64, bytes: u64) -> io::Result<Option<Hash>> {
    if offset.checked_add(bytes).is_none_or(|end| file.metadata().map_or(true, |metadata| end > metadata.len())) {
        return Ok(None);
    }
    let (mut hasher, mut piece, mut done) = (blake3::Hasher::new(), vec![0; 1 << 20], 0);
    while done < bytes {
        let length = (bytes - done).min(piece.len() as u64) as usize;
        file.read_exact_at(&mut piece[..length], offset + done)?;
        hasher.update(&piece[..length]);
        done += length as u64;
    }
    Ok(Some(hasher.finalize().into()))
}

fn rows(path: &Path, give: &mut dyn FnMut(Found<'_>)) -> Result<Remains, redb::Error> {
    let file = Looked(File::open(path)?);
    if file.len()? == 0 {
        // redb would turn it into a database.
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is empty").into());
    }
    let overlay = Overlay::over(Box::new(file))?;
    let database: Database = Builder::new().create_with_backend(overlay)?;
    let transaction = database.begin_read()?;
    let mut damaged = 0;
    for row in transaction.open_table(BATCHES)?.range::<u64>(..)? {
        let (key, value) = row?;
        let first = Position(key.value());
        let batch = Batch::parse(value.value()).and_then(|batch| match batch.first == first {
            true => Ok(batch),
            false => Err(BatchError::Gap { expected: first, found: batch.first }),
        });
        damaged += u64::from(batch.is_err());
        give(Found { first, offset: None, bytes: value.value().len(), batch });
    }
    let (start, seal) = (stated(&transaction, "start")?, stated(&transaction, "seal")?);
    Ok(Remains { bytes: 0, reading: Reading::Rows, start, seal, damaged })
}

/// One of the two ends stored in a segment: position, time and hash.
fn stated(transaction: &ReadTransaction, key: &str) -> Result<Option<ChainEnd>, redb::Error> {
    let table = match transaction.open_table(SEGMENT) {
        Ok(table) => table,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(cause) => return Err(cause.into()),
    };
    let value = table.get(key)?;
    Ok(value.and_then(|value| {
        let bytes: [u8; 48] = value.value().try_into().ok()?;
        let number = |at: usize| bytes[at..].first_chunk().copied().map(u64::from_le_bytes);
        Some(ChainEnd { position: Position(number(0)?), time_ms: number(8)?, hash: *bytes[16..].first_chunk()? })
    }))
}

/// A place where a batch begins, or began.
#[derive(Debug, Clone)]
struct Place {
    offset: u64,
    head: Head,
    /// Its size, as far as its records show.
    bytes: usize,
}

/// The contents of a header.
#[derive(Debug, Clone, Copy)]
struct Head {
    first: u64,
    count: u32,
    previous: Hash,
    hash: Hash,
}

impl Head {
    /// Reads a possible header; `None` if it cannot be one.
    fn read(bytes: &[u8]) -> Option<Head> {
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        let number = |at: usize| header[at..].first_chunk().copied().map_or(0, u64::from_le_bytes);
        let hash = |at: usize| header[at..].first_chunk().copied().unwrap_or([0; 32]);
        let count = header[4..].first_chunk().copied().map_or(0, u32::from_le_bytes);
        let head = Head { first: number(8), count, previous: hash(24), hash: hash(56) };
        let plausible = header[..2] == VERSION.to_le_bytes()
            && (1..=RECORDS_MAX).contains(&head.count)
            && (1..POSITION_END).contains(&head.first)
            && number(22) & 0xFFFF < LEAD_END;
        plausible.then_some(head)
    }
}

/// Searches a file for batches. Passes on the whole ones, and the damaged ones that certainly are batches. Returns the number of
/// the latter.
fn searched(path: &Path, give: &mut dyn FnMut(Found<'_>)) -> io::Result<u64> {
    let (mut whole, mut suspects) = (Vec::new(), Vec::new());
    let (mut scan, mut probe) = (Window::of(path)?, Window::of(path)?);
    let mut at = 0;
    while let Some(offset) = scan.next_header(at)? {
        at = offset + 1;
        let Some(head) = Head::read(scan.at(offset, HEADER_BYTES)?) else { continue };
        let bytes = extent(&mut probe, offset, head)?;
        let stored = probe.at(offset, bytes.unwrap_or(HEADER_BYTES))?;
        match bytes.is_some() && Batch::parse(stored).is_ok() {
            true => {
                whole.push(Place { offset, head, bytes: stored.len() });
                at = offset + stored.len() as u64;
            }
            false if suspects.len() < SUSPECTS_MAX => suspects.push(Place { offset, head, bytes: stored.len() }),
            false => {}
        }
    }
    let mut seen = HashSet::new();
    whole.retain(|place| seen.insert((place.head.first, place.head.hash)));
    let damaged = certain(&whole, suspects);
    let count = damaged.len() as u64;
    let mut places: Vec<Place> = whole.into_iter().chain(damaged).collect();
    places.sort_by_key(|place| (place.head.first, place.offset));
    for place in places {
        let stored = probe.at(place.offset, place.bytes)?;
        let offset = Some(place.offset);
        give(Found { first: Position(place.head.first), offset, bytes: stored.len(), batch: Batch::parse(stored) });
    }
    Ok(count)
}

/// Of places that look like headers, those that name a whole batch as their predecessor, or are named by one, which is no
/// coincidence. If a whole copy of a batch exists elsewhere, a damaged one is ignored.
fn certain(whole: &[Place], suspects: Vec<Place>) -> Vec<Place> {
    let ends: HashMap<Hash, u64> =
        whole.iter().map(|place| (place.head.hash, place.head.first + u64::from(place.head.count))).collect();
    let named: HashMap<Hash, u64> = whole.iter().map(|place| (place.head.previous, place.head.first)).collect();
    let mut seen: HashSet<Hash> = whole.iter().map(|place| place.head.hash).collect();
    let mut found = suspects;
    found.retain(|place| {
        let follows = ends.get(&place.head.previous) == Some(&place.head.first);
        let precedes = named.get(&place.head.hash) == Some(&(place.head.first + u64::from(place.head.count)));
        (follows || precedes) && seen.insert(place.head.hash)
    });
    found
}

/// The size of a batch by the lengths of its records; `None` if these are impossible.
fn extent(probe: &mut Window, offset: u64, head: Head) -> io::Result<Option<usize>> {
    let mut bytes = HEADER_BYTES as u64;
    for _ in 0..head.count {
        let header = probe.at(offset + bytes, RECORD_HEADER_BYTES)?;
        let Some(length) = header.first_chunk().copied().map(u32::from_le_bytes).filter(|length| *length <= RECORD_BYTES_MAX)
        else {
            return Ok(None);
        };
        bytes += RECORD_HEADER_BYTES as u64 + u64::from(length);
        if offset + bytes > probe.len {
            return Ok(None);
        }
    }
    Ok(Some(bytes as usize))
}

/// A movable part of a file that is in memory.
struct Window {
    file: File,
    len: u64,
    base: u64,
    bytes: Vec<u8>,
}

impl Window {
    fn of(path: &Path) -> io::Result<Window> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Window { file, len, base: 0, bytes: Vec::new() })
    }

    /// That many bytes at an offset; fewer at the end of the file.
    fn at(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let length = (length as u64).min(self.len.saturating_sub(offset)) as usize;
        let there = self.base..=self.base + self.bytes.len() as u64;
        if !there.contains(&offset) || !there.contains(&(offset + length as u64)) {
            let fetched = (length.max(WINDOW_BYTES) as u64).min(self.len.saturating_sub(offset)) as usize;
            self.bytes.resize(fetched, 0);
            self.base = offset;
            if let Err(error) = self.file.read_exact_at(&mut self.bytes, offset) {
                self.bytes.clear();
                return Err(error);
            }
        }
        let from = (offset - self.base) as usize;
        Ok(&self.bytes[from..from + length])
    }

    /// The next place from an offset at which a header may begin.
    fn next_header(&mut self, from: u64) -> io::Result<Option<u64>> {
        let mut from = from;
        loop {
            let bytes = self.at(from, WINDOW_BYTES)?;
            if bytes.len() < HEADER_BYTES {
                return Ok(None);
            }
            let last = bytes.len() - HEADER_BYTES;
            let [low, high] = VERSION.to_le_bytes();
            let begins = |at: &usize| bytes[*at] == low && bytes[at + 1] == high && Head::read(&bytes[*at..]).is_some();
            if let Some(at) = (0..=last).find(begins) {
                return Ok(Some(from + at as u64));
            }
            from += last as u64 + 1;
        }
    }
}

/// Runs redb on a file that may not be a database: it may panic there. Returns its message.
fn no_panic<T>(work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, String> {
    let result = catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        words.unwrap_or("redb could not make sense of it").to_owned()
    });
    result.and_then(|read| read.map_err(|cause| cause.to_string()))
}

/// A file that is read but not locked.
#[derive(Debug)]
struct Looked(File);

impl Looked {
    fn refused() -> io::Error {
        io::Error::new(io::ErrorKind::PermissionDenied, "this file is read-only")
    }
}

impl StorageBackend for Looked {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, _len: u64) -> io::Result<()> {
        Err(Looked::refused())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(Looked::refused())
    }

    fn write(&self, _offset: u64, _data: &[u8]) -> io::Result<()> {
        Err(Looked::refused())
    }
}
