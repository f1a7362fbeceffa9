//! The header of a snapshot and its list of sections.

use std::path::Path;

use scrip_core::state::frozen::Part;
use scrip_protocol::Position;
use scrip_protocol::batch::ChainEnd;

use super::{Counts, Header, Section, SnapshotError};

/// The format version that this program writes.
pub const VERSION: u32 = 2;

/// The oldest format version that this program reads. Version 1 has no section `forgotten`; its horizon did not move when ids
/// expired: see [`Forgotten::before`](scrip_core::state::requests::Forgotten).
pub const VERSION_OLDEST: u32 = 1;

/// The size of the header and the alignment of sections: one page.
pub(super) const PAGE: usize = 4096;

const MAGIC: &[u8; 8] = b"SCRIPSNP";
const SECTIONS_AT: usize = 112;
const SECTION_BYTES: usize = 64;
const HASH_AT: usize = PAGE - 32;

/// The name of a section whose number this version does not know.
pub(super) const UNKNOWN: &str = "unknown";

impl Section {
    pub(super) fn is(&self, part: Part) -> bool {
        self.name == part.word()
    }
}

/// The first page of a snapshot.
pub(super) fn encode(header: &Header) -> Box<[u8; PAGE]> {
    let mut page = Box::new([0; PAGE]);
    let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, MAGIC);
    put(8, &header.version.to_le_bytes());
    put(12, &(header.sections.len() as u32).to_le_bytes());
    put(16, &header.end.position.0.to_le_bytes());
    put(24, &header.end.time_ms.to_le_bytes());
    put(32, &header.end.hash);
    let Counts { campaigns, codes, clients, requests } = header.counts;
    for (at, count) in (64..).step_by(8).zip([campaigns, codes, clients, requests]) {
        put(at, &count.to_le_bytes());
    }
    put(96, &header.bytes.to_le_bytes());
    for (at, section) in (SECTIONS_AT..).step_by(SECTION_BYTES).zip(&header.sections) {
        put(at, &section.number.to_le_bytes());
        put(at + 8, &section.offset.to_le_bytes());
        put(at + 16, &section.bytes.to_le_bytes());
        put(at + 32, &section.hash);
    }
    let hash = blake3::hash(&page[..HASH_AT]);
    page[HASH_AT..].copy_from_slice(hash.as_bytes());
    page
}

/// Reads the header from a file's first page, and checks that the sections lie within the file.
pub(super) fn decode(path: &Path, page: &[u8], bytes: u64) -> Result<Header, SnapshotError> {
    let damaged = |what| SnapshotError::Header { path: path.to_owned(), what };
    let page: &[u8; PAGE] = page.first_chunk().ok_or(damaged("it is shorter than a header"))?;
    if !begins_as_one(page) {
        return Err(damaged("it does not begin like a snapshot"));
    }
    // Checked before the hash, which another version may store elsewhere.
    let version = version_of(page);
    if !is_read(version) {
        return Err(SnapshotError::Version { path: path.to_owned(), version });
    }
    if !has_its_hash(page) {
        return Err(damaged("its header does not match its hash"));
    }
    let header = header_of(page, version);
    let header = header.ok_or(damaged("it has sections that this version does not know"))?;
    if header.bytes != bytes {
        return Err(damaged("its length is not the one in its header"));
    }
    let lies_within = |section: &Section| {
        section.offset.is_multiple_of(PAGE as u64)
            && section.offset.checked_add(section.bytes).is_some_and(|end| end <= header.bytes)
    };
    match header.sections.iter().all(lies_within) {
        true => Ok(header),
        false => Err(damaged("a section extends past its end")),
    }
}

/// The contents of a header page, whether or not its hash matches; `None` if it names sections that this version does not know.
fn header_of(page: &[u8; PAGE], version: u32) -> Option<Header> {
    let header = parse_header(page, version);
    let is_known = |section: &Section| section.name != UNKNOWN;
    (header.sections.len() == sections_stated(page) as usize && header.sections.iter().all(is_known)).then_some(header)
}

/// The number of sections according to a header page.
pub(super) fn sections_stated(page: &[u8; PAGE]) -> u32 {
    u32_at(page, 12)
}

/// The contents of a header page, whether or not its hash matches and its values make sense. Reads no more sections than fit on
/// the page, and names those that this version does not know [`UNKNOWN`].
pub(super) fn parse_header(page: &[u8; PAGE], version: u32) -> Header {
    let rows = page[SECTIONS_AT..HASH_AT].chunks_exact(SECTION_BYTES);
    let section = |row: &[u8]| {
        let number = u32_at(row, 0);
        let name = Part::from_number(number).map_or(UNKNOWN, Part::word);
        Section { number, name, offset: u64_at(row, 8), bytes: u64_at(row, 16), hash: hash_at(row, 32) }
    };
    Header {
        version,
        end: ChainEnd { position: Position(u64_at(page, 16)), time_ms: u64_at(page, 24), hash: hash_at(page, 32) },
        counts: Counts {
            campaigns: u64_at(page, 64),
            codes: u64_at(page, 72),
            clients: u64_at(page, 80),
            requests: u64_at(page, 88),
        },
        bytes: u64_at(page, 96),
        sections: rows.take(sections_stated(page) as usize).map(section).collect(),
    }
}

/// Whether a page begins like a snapshot.
pub(super) fn begins_as_one(page: &[u8]) -> bool {
    page.starts_with(MAGIC)
}

/// The version stated on a page.
pub(super) fn version_of(page: &[u8; PAGE]) -> u32 {
    u32_at(page, 8)
}

/// Whether this program can read a version.
pub(super) fn is_read(version: u32) -> bool {
    (VERSION_OLDEST..=VERSION).contains(&version)
}

/// Whether a page matches its own hash.
pub(super) fn has_its_hash(page: &[u8; PAGE]) -> bool {
    blake3::hash(&page[..HASH_AT]) == page[HASH_AT..]
}

fn hash_at(bytes: &[u8], at: usize) -> [u8; 32] {
    *bytes[at..].first_chunk().expect("the field lies within the header")
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("the field lies within the header"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("the field lies within the header"))
}
