//! Inspects the file of a snapshot, whole or damaged.
//!
//! [`Snapshot::open`](super::Snapshot::open) refuses a file if any check fails; this module finds out what is left of one. It
//! reads everything that can be read, and names each fault: in the header, the name, the length, and each section by its own
//! hash, which can be checked even if the header is damaged.
//!
//! The file is read with ordinary reads and never mapped, so that an unreadable place on the disk affects only its own section.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use scrip_protocol::{Position, wire};

use super::layout::{self, PAGE, UNKNOWN, VERSION, VERSION_OLDEST};
use super::names::position_of;
use super::{Header, Section};
use scrip_core::state::frozen::Part;
use scrip_core::state::frozen::Small;
use scrip_journal::salvage::hash_of_part;

/// How many of a file's first bytes are reported.
const BEGINNING_BYTES: usize = 32;

/// The result of an inspection.
#[derive(Debug)]
pub struct Looked {
    /// The size of the file in bytes.
    pub bytes: u64,
    /// Its first bytes, at most 32.
    pub beginning: Vec<u8>,
    /// The position in its name; none if the name is not that of a snapshot.
    pub named: Option<Position>,
    /// The header on its first page; none if that page is not a snapshot's header.
    pub header: Option<Header>,
    /// The sections that the header names, in that order.
    pub sections: Vec<SectionLooked>,
    /// The contents of the section `small`, if it is intact.
    pub small: Option<SmallLooked>,
    /// The faults, in the order of the file.
    pub faults: Vec<Fault>,
}

/// A section, and whether its bytes are intact.
#[derive(Debug)]
pub struct SectionLooked {
    /// The section according to the header.
    pub section: Section,
    /// The state of its bytes.
    pub verdict: Verdict,
}

/// The state of a section's bytes.
#[derive(Debug)]
pub enum Verdict {
    /// They match the hash in the header.
    Good,
    /// They do not match it.
    Bad,
    /// The file ends within the section.
    CutOff,
    /// The disk cannot read them.
    Unreadable(io::Error),
}

/// The contents of the section `small`, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SmallLooked {
    /// The organisation's name.
    pub organisation: String,
    /// The currency of its amounts.
    pub currency: String,
    /// Number of clubs.
    pub clubs: u64,
    /// Campaigns, archived ones included.
    pub campaigns: u64,
    /// Remembered holds, open or ended.
    pub holds: u64,
    /// Groups of clients.
    pub groups: u64,
    /// Rules, archived ones included.
    pub rules: u64,
    /// Credentials, revoked ones included.
    pub credentials: u64,
    /// The readers of the journal, each with the newest record that it has read.
    pub readers: Vec<(String, Position)>,
}

/// A fault of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file is shorter than one page.
    #[error("it has {0} bytes, fewer than a header")]
    Short(u64),
    /// The file begins with something else.
    #[error("it does not begin like a snapshot")]
    NotOne,
    /// It was written in another format.
    #[error("its format version is {0}, and this program reads {VERSION_OLDEST} to {VERSION}")]
    Version(u32),
    /// The header does not match its hash: its values may be wrong.
    #[error("its header does not match its hash: its values may be wrong")]
    Header,
    /// The file has become shorter or longer.
    #[error("its header gives {stated} bytes, but it has {found}")]
    Length {
        /// Its size according to the header.
        stated: u64,
        /// Its actual size.
        found: u64,
    },
    /// The position in its name differs from the one in its header.
    #[error("its name says position {named}, but its header says {stated}")]
    Misnamed {
        /// The position in the name.
        named: Position,
        /// The position in the header.
        stated: Position,
    },
    /// The header states more sections than it has room for.
    #[error("its header states {0} sections, more than it has room for")]
    TooManySections(u32),
    /// The header names a section that this version does not know.
    #[error("its header names a section with number {0}, which this version does not know")]
    UnknownSection(u32),
    /// The header lacks a section that every snapshot has.
    #[error("its header does not name the section {0}")]
    MissingSection(&'static str),
    /// A section is not intact.
    #[error("its section {name}, bytes {offset} to {end}, {why}")]
    Section {
        /// Its name.
        name: &'static str,
        /// Its start, in bytes from the start of the file.
        offset: u64,
        /// Its end.
        end: u64,
        /// The reason.
        why: String,
    },
    /// The section `small` matches its hash but cannot be decoded.
    #[error("its section small has the right hash but cannot be decoded")]
    Small,
}

impl Looked {
    /// Whether the header matches its hash.
    pub fn header_is_good(&self) -> bool {
        self.header.is_some() && !self.faults.contains(&Fault::Header)
    }
}

/// Inspects the file of a snapshot without changing it.
///
/// # Errors
/// If the file does not exist, or its first page cannot be read.
pub fn look(path: &Path) -> io::Result<Looked> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let mut page = Vec::with_capacity(PAGE);
    (&file).take(PAGE as u64).read_to_end(&mut page)?;
    let named = path.file_name().and_then(|name| position_of(&name.to_string_lossy()));
    let beginning = page[..page.len().min(BEGINNING_BYTES)].to_vec();
    let mut looked = Looked { bytes, beginning, named, header: None, sections: Vec::new(), small: None, faults: Vec::new() };
    let Some(page) = page.first_chunk::<PAGE>() else {
        looked.faults.push(Fault::Short(bytes));
        if !layout::begins_as_one(&page) {
            looked.faults.push(Fault::NotOne);
        }
        return Ok(looked);
    };
    looked.page(page, &file);
    Ok(looked)
}

impl Looked {
    fn page(&mut self, page: &[u8; PAGE], file: &File) {
        let (begins_as_one, version, is_good) =
            (layout::begins_as_one(page), layout::version_of(page), layout::has_its_hash(page));
        let header = layout::parse_header(page, version);
        let sections: Vec<_> = header.sections.iter().map(|section| looked_at(section, file)).collect();
        // One section that matches its hash proves that this is a header, even if the rest of the header is damaged.
        let is_header = (begins_as_one && layout::is_read(version))
            || is_good
            || sections.iter().any(|section| section.section.bytes > 0 && matches!(section.verdict, Verdict::Good));
        if !begins_as_one {
            self.faults.push(Fault::NotOne);
        } else if !layout::is_read(version) {
            self.faults.push(Fault::Version(version));
        }
        if !is_header {
            return;
        }
        if !is_good {
            self.faults.push(Fault::Header);
        }
        if header.bytes != self.bytes {
            self.faults.push(Fault::Length { stated: header.bytes, found: self.bytes });
        }
        let stated = header.end.position;
        self.faults.extend(self.named.filter(|named| *named != stated).map(|named| Fault::Misnamed { named, stated }));
        if layout::sections_stated(page) as usize > header.sections.len() {
            self.faults.push(Fault::TooManySections(layout::sections_stated(page)));
        }
        for SectionLooked { section, verdict } in &sections {
            let why = match verdict {
                Verdict::Good => None,
                Verdict::Bad => Some("does not match its hash in the header".to_owned()),
                Verdict::CutOff => Some("passes the end of the file".to_owned()),
                Verdict::Unreadable(error) => Some(format!("cannot be read: {error}")),
            };
            let Section { number, name, offset, bytes, .. } = *section;
            self.faults.extend((name == UNKNOWN).then_some(Fault::UnknownSection(number)));
            self.faults.extend(why.map(|why| Fault::Section { name, offset, end: offset.saturating_add(bytes), why }));
        }
        let is_missing =
            |part: &&Part| !part.is_lacking(header.version) && !header.sections.iter().any(|section| section.is(**part));
        self.faults.extend(Part::ALL.iter().filter(is_missing).map(|part| Fault::MissingSection(part.word())));
        self.small = sections
            .iter()
            .find(|looked| looked.section.is(Part::Small) && matches!(looked.verdict, Verdict::Good))
            .and_then(|looked| self.small_of(&looked.section, file));
        (self.header, self.sections) = (Some(header), sections);
    }

    fn small_of(&mut self, section: &Section, file: &File) -> Option<SmallLooked> {
        // The section was read once to be hashed, so it is no larger than the file.
        let mut bytes = vec![0; usize::try_from(section.bytes).ok()?];
        let read = file.read_exact_at(&mut bytes, section.offset);
        let Some(small) = read.ok().and_then(|()| wire::decode::<Small>("small", &bytes).ok()) else {
            self.faults.push(Fault::Small);
            return None;
        };
        let number = |length: usize| length as u64;
        Some(SmallLooked {
            organisation: small.settings.organisation,
            currency: small.settings.currency,
            clubs: number(small.clubs.len()),
            campaigns: number(small.campaigns.len()),
            holds: number(small.holds.len()),
            groups: number(small.groups.len()),
            rules: number(small.rules.len()),
            credentials: number(small.credentials.iter().flatten().count()),
            readers: small.readers.into_iter().map(|(name, row)| (name, row.position)).collect(),
        })
    }
}

fn looked_at(section: &Section, file: &File) -> SectionLooked {
    let verdict = match hash_of_part(file, section.offset, section.bytes) {
        Ok(Some(hash)) if hash == section.hash => Verdict::Good,
        Ok(Some(_)) => Verdict::Bad,
        Ok(None) => Verdict::CutOff,
        Err(error) => Verdict::Unreadable(error),
    };
    SectionLooked { section: section.clone(), verdict }
}
