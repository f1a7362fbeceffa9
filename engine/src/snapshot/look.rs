//! Inspects the file of a snapshot, whole or damaged.
//!
//! [`Snapshot::open`](super::Snapshot::open) refuses a file if any of its checks fails; this is for finding out what is
//! left of one. It reads everything that can be read, and names each fault: in the header, the name, the length, and each section
//! by its own hash, which is valid even if the header is damaged.
//!
//! The file is read as any other and never mapped, so that a disk that does not give some of it takes away that section alone.

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

/// How many of its first bytes are reported of a file whose header cannot be read.
const BEGINNING_BYTES: usize = 32;

/// What a file says.
#[derive(Debug)]
pub struct Looked {
    /// How many bytes it has.
    pub bytes: u64,
    /// Its first bytes, at most 32.
    pub beginning: Vec<u8>,
    /// The position in its name; none where that is not a snapshot's.
    pub named: Option<Position>,
    /// What its first page says; none where that is not a snapshot's header.
    pub header: Option<Header>,
    /// The sections that the header names, in its order.
    pub sections: Vec<SectionLooked>,
    /// What its small section holds, where that is whole.
    pub small: Option<SmallLooked>,
    /// What is wrong, in the order of the file.
    pub faults: Vec<Fault>,
}

/// A section, and whether its bytes are those that were written.
#[derive(Debug)]
pub struct SectionLooked {
    /// As the header has it.
    pub section: Section,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a section's bytes.
#[derive(Debug)]
pub enum Verdict {
    /// They have the hash that the header states.
    Good,
    /// They have another.
    Bad,
    /// The file ends before they do.
    CutOff,
    /// The disk does not give them.
    Unreadable(io::Error),
}

/// What is little in a snapshot, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SmallLooked {
    /// The organisation's name.
    pub organisation: String,
    /// The currency of its amounts.
    pub currency: String,
    /// How many clubs.
    pub clubs: u64,
    /// Campaigns, archived ones included.
    pub campaigns: u64,
    /// Holds that are remembered, open or ended.
    pub holds: u64,
    /// Groups of clients.
    pub groups: u64,
    /// Rules, archived ones included.
    pub rules: u64,
    /// Credentials, revoked ones included.
    pub credentials: u64,
    /// The readers of the journal, and the newest record that each has read.
    pub readers: Vec<(String, Position)>,
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is not one page.
    #[error("it has {0} bytes, fewer than a header")]
    Short(u64),
    /// Something else begins so.
    #[error("it does not begin as a snapshot does")]
    NotOne,
    /// It was written in another format.
    #[error("it says that its format version is {0}, and this program reads {VERSION_OLDEST} to {VERSION}")]
    Version(u32),
    /// The header's bytes are not those that were written: what it says may be wrong.
    #[error("its header does not have the hash that it states: what it says may be wrong")]
    Header,
    /// It has lost bytes, or gained some.
    #[error("its header says that it has {stated} bytes, and it has {found}")]
    Length {
        /// How many it should have.
        stated: u64,
        /// How many it has.
        found: u64,
    },
    /// The position in its name is not its own.
    #[error("its name says that it stands at position {named}, and its header says {stated}")]
    Misnamed {
        /// The one.
        named: Position,
        /// The other.
        stated: Position,
    },
    /// The header names more sections than it has room for.
    #[error("its header states {0} sections, more than it has room for")]
    TooManySections(u32),
    /// The header names a section that no snapshot of this version has.
    #[error("its header names a section of number {0}, which this version does not know")]
    UnknownSection(u32),
    /// The header does not name a section that every snapshot has.
    #[error("its header does not name the section {0}")]
    MissingSection(&'static str),
    /// A section is not whole.
    #[error("its section {name}, bytes {offset} to {end}, {why}")]
    Section {
        /// Which.
        name: &'static str,
        /// Where it begins, in bytes of the file.
        offset: u64,
        /// Where it ends.
        end: u64,
        /// What became of it.
        why: String,
    },
    /// What is loaded at once has the hash that is stated, and is not what it should be.
    #[error("its section small has the right hash, and cannot be understood")]
    Small,
}

impl Looked {
    /// Whether the header has the hash that it states.
    pub fn header_is_good(&self) -> bool {
        self.header.is_some() && !self.faults.contains(&Fault::Header)
    }
}

/// Looks at the file of a snapshot, and changes nothing of it.
///
/// # Errors
/// When it is not there, or not even its first page can be read.
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
        // One section that has its hash leaves no doubt that this is a header, whatever became of the rest of it.
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
                Verdict::Bad => Some("does not have the hash that the header states".to_owned()),
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
        // It was read once, to be hashed: it is no larger than the file.
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
