//! A spreadsheet as a container: a ZIP archive of XML parts that refer to each other.
//!
//! Nothing in such a file is trusted: the sizes it declares, the depth and length of its contents, and the references between its
//! parts are all checked here. The unpacked size of a part is counted as it is read, against a limit given by its reader, so a
//! small file that unpacks to gigabytes is refused within its first megabytes. Each part ends with a checksum; a reader that
//! stops early calls [`Xml::finish`] to have it checked anyway.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Seek};

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use zip::ZipArchive;
use zip::read::ZipFile;
use zip::result::ZipError;

use super::fault::{Fault, Why};

/// The largest unpacked size of a part that describes the structure or the formats of the others.
pub(super) const PART_BYTES_MAX: u64 = 32 * MIB;

/// The longest single text, tag or comment: a cell holds at most 32,767 characters, each of which may be written in 6 bytes or
/// more.
const TOKEN_BYTES_MAX: usize = 1024 * 1024;

/// The deepest nesting; that of a worksheet is about 10.
const DEPTH_MAX: u32 = 64;

/// The most references of a part: a workbook refers to each of its sheets.
pub(super) const RELATIONS_MAX: usize = 2_000;

pub(super) const MIB: u64 = 1024 * 1024;

/// The bytes of a spreadsheet.
pub(super) trait ReadSeek: Read + Seek + Send {}

impl<S: Read + Seek + Send> ReadSeek for S {}

/// The archive.
pub(super) struct Package {
    archive: ZipArchive<Box<dyn ReadSeek>>,
    /// The parts by their names in lower case: references to them are not exact about case.
    parts: HashMap<String, usize>,
}

/// A reference of one part to another.
pub(super) struct Relation {
    /// The id that the referring part uses.
    pub(super) id: String,
    /// The last word of its type, such as `worksheet`.
    pub(super) kind: String,
    /// The part it refers to.
    pub(super) part: String,
}

impl Package {
    /// Reads the archive's directory.
    pub(super) fn open(source: Box<dyn ReadSeek>) -> Result<Package, Fault> {
        let archive = ZipArchive::new(source).map_err(Why::Archive)?;
        let name_of = |name: &[u8]| String::from_utf8_lossy(name).replace('\\', "/").to_lowercase();
        let parts = archive.file_names_raw().map(name_of).zip(0..).collect();
        Ok(Package { archive, parts })
    }

    /// Whether there is such a part.
    pub(super) fn has(&self, part: &str) -> bool {
        self.parts.contains_key(&part.to_lowercase())
    }

    /// Starts to read a part with an unpacked size of at most `bytes_max`.
    pub(super) fn part(&mut self, part: &str, bytes_max: u64) -> Result<Xml<'_>, Fault> {
        let part = part.to_owned();
        let Some(index) = self.parts.get(&part.to_lowercase()) else {
            return Err(Why::PartMissing { part }.into());
        };
        let file = self.archive.by_index(*index).map_err(|error| {
            let locked = matches!(error, ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED));
            if locked { Why::PasswordProtected } else { Why::Archive(error) }
        })?;
        if file.size() > bytes_max {
            return Err(Why::PartTooLarge { part, max_mib: bytes_max / MIB }.into());
        }
        let metered = Metered { inner: BufReader::new(file), left: bytes_max, token_left: TOKEN_BYTES_MAX };
        let mut reader = quick_xml::Reader::from_reader(metered);
        reader.config_mut().expand_empty_elements = true;
        Ok(Xml { reader, buffer: Vec::new(), depth: 0, part, bytes_max })
    }

    /// The references of a part; for the empty name, those of the whole package.
    pub(super) fn relations_of(&mut self, part: &str) -> Result<Vec<Relation>, Fault> {
        let (folder, name) = part.rsplit_once('/').unwrap_or(("", part));
        let holder = absolute(folder, &format!("_rels/{name}.rels"));
        let mut relations = Vec::new();
        let mut xml = self.part(&holder, PART_BYTES_MAX)?;
        loop {
            match xml.next()? {
                Node::Start(tag) if tag.name() == "Relationship" => {
                    let (id, kind, target) = (tag.attribute("Id")?, tag.attribute("Type")?, tag.attribute("Target")?);
                    if let (Some(id), Some(kind), Some(target)) = (id, kind, target) {
                        relations.push(Relation {
                            id: id.into_owned(),
                            kind: kind.rsplit('/').next().unwrap_or_default().to_owned(),
                            part: absolute(folder, &target),
                        });
                    }
                    if relations.len() > RELATIONS_MAX {
                        return Err(Why::PartWrong { part: holder, what: "it refers to too many parts" }.into());
                    }
                }
                Node::Start(_) | Node::End | Node::Text(_) | Node::Aside => {}
                Node::Done => return Ok(relations),
            }
        }
    }
}

/// The full name of a part, given how another part in this folder refers to it.
fn absolute(folder: &str, target: &str) -> String {
    let mut steps: Vec<&str> = if target.starts_with('/') { Vec::new() } else { folder.split('/').collect() };
    for step in target.split('/') {
        match step {
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    steps.retain(|step| !matches!(*step, "" | "."));
    steps.join("/")
}

type Unpacked<'a> = BufReader<ZipFile<'a, Box<dyn ReadSeek>>>;

/// A part of the archive, node by node.
pub(super) struct Xml<'a> {
    reader: quick_xml::Reader<Metered<Unpacked<'a>>>,
    buffer: Vec<u8>,
    depth: u32,
    part: String,
    bytes_max: u64,
}

/// A node of a part. An element without content has a start and an end like any other.
pub(super) enum Node<'e> {
    Start(Tag<'e>),
    End,
    Text(Cow<'e, str>),
    /// A comment, an instruction, a declaration.
    Aside,
    /// The end of the part, with every element closed.
    Done,
}

impl<'a> Xml<'a> {
    /// How many elements are open.
    pub(super) fn depth(&self) -> u32 {
        self.depth
    }

    /// The part's name.
    pub(super) fn part(&self) -> &str {
        &self.part
    }

    /// The next piece.
    pub(super) fn next(&mut self) -> Result<Node<'_>, Fault> {
        let Xml { reader, buffer, depth, part, bytes_max } = self;
        buffer.clear();
        reader.get_mut().token_left = TOKEN_BYTES_MAX;
        let event = reader.read_event_into(buffer).map_err(|error| wrong(error, part, *bytes_max))?;
        Ok(match event {
            Event::Start(tag) => {
                *depth += 1;
                if *depth > DEPTH_MAX {
                    return Err(Why::NestedTooDeep { part: part.clone(), max: DEPTH_MAX }.into());
                }
                Node::Start(Tag { start: tag, part })
            }
            // Elements without content are expanded to a start and an end.
            Event::Empty(_) | Event::End(_) => {
                *depth -= 1;
                Node::End
            }
            Event::Text(text) => Node::Text(text.xml10_content()),
            Event::CData(text) => Node::Text(text.xml10_content()),
            Event::GeneralRef(reference) => Node::Text(resolved(&reference, part)?),
            Event::DocType(_) => {
                return Err(Why::PartWrong { part: part.clone(), what: "it declares its own document type" }.into());
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => Node::Aside,
            Event::Eof if *depth == 0 => Node::Done,
            Event::Eof => return Err(Why::PartCutOff { part: part.clone() }.into()),
        })
    }

    /// Skips the element that was just started.
    pub(super) fn skip(&mut self) -> Result<(), Fault> {
        let outside = self.depth - 1;
        while self.depth > outside {
            self.next()?;
        }
        Ok(())
    }

    /// Appends the text of the element that was just started, up to its end. Nested elements are skipped.
    pub(super) fn text(&mut self, text: &mut String) -> Result<(), Fault> {
        loop {
            match self.next()? {
                Node::Text(more) => text.push_str(&more),
                Node::Start(_) => self.skip()?,
                Node::Aside => {}
                Node::End | Node::Done => return Ok(()),
            }
            if text.len() > TOKEN_BYTES_MAX {
                return Err(text_too_long(&self.part));
            }
        }
    }

    /// Reads and discards the rest, which checks the checksum.
    pub(super) fn finish(&mut self) -> Result<(), Fault> {
        let Xml { reader, part, bytes_max, .. } = self;
        let metered = reader.get_mut();
        metered.token_left = usize::MAX;
        io::copy(metered, &mut io::sink()).map_err(|error| wrong(error.into(), part, *bytes_max))?;
        Ok(())
    }
}

fn text_too_long(part: &str) -> Fault {
    Why::TextTooLong { part: part.to_owned(), max_kib: TOKEN_BYTES_MAX / 1024 }.into()
}

fn wrong(error: quick_xml::Error, part: &str, bytes_max: u64) -> Fault {
    let limit = if let quick_xml::Error::Io(error) = &error {
        error.get_ref().and_then(|error| error.downcast_ref::<Reached>())
    } else {
        None
    };
    let part = part.to_owned();
    match limit {
        Some(Reached::Part) => Why::PartTooLarge { part, max_mib: bytes_max / MIB }.into(),
        Some(Reached::Token) => text_too_long(&part),
        None if matches!(error, quick_xml::Error::Syntax(_)) => Why::PartCutOff { part }.into(),
        None => Why::PartDamaged { part, source: error }.into(),
    }
}

/// The text of a reference such as `&lt;` or `&#65;`. A spreadsheet declares no others.
fn resolved(reference: &BytesRef<'_>, part: &str) -> Result<Cow<'static, str>, Fault> {
    if let Some(text) = resolve_xml_entity(reference) {
        return Ok(text.into());
    }
    match reference.resolve_char_ref() {
        Ok(Some(character)) => Ok(character.to_string().into()),
        Ok(None) | Err(_) => Err(Why::PartWrong { part: part.to_owned(), what: "it has an unknown reference" }.into()),
    }
}

/// The start of an element.
pub(super) struct Tag<'e> {
    start: BytesStart<'e>,
    part: &'e str,
}

impl Tag<'_> {
    /// Its name, without a prefix.
    pub(super) fn name(&self) -> &str {
        self.start.local_name().into_inner()
    }

    /// An attribute by its name without a prefix.
    pub(super) fn attribute(&self, name: &str) -> Result<Option<Cow<'_, str>>, Fault> {
        let damaged = |source| Why::PartDamaged { part: self.part.to_owned(), source };
        for attribute in self.start.attributes().with_checks(false) {
            let attribute = attribute.map_err(|error| damaged(error.into()))?;
            if attribute.key.local_name().into_inner() == name {
                return Ok(Some(attribute.normalized_value(XmlVersion::Implicit1_0).map_err(damaged)?));
            }
        }
        Ok(None)
    }
}

/// The limit that was reached.
#[derive(Debug, thiserror::Error)]
enum Reached {
    #[error("the part is too large")]
    Part,
    #[error("a text in it is too long")]
    Token,
}

/// A reader that counts its bytes: in total, and since the start of the current token.
struct Metered<R> {
    inner: R,
    left: u64,
    token_left: usize,
}

impl<R: BufRead> BufRead for Metered<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let bytes = self.inner.fill_buf()?;
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.token_left);
        match most {
            0 if bytes.is_empty() => Ok(bytes),
            0 if self.left == 0 => Err(io::Error::other(Reached::Part)),
            0 => Err(io::Error::other(Reached::Token)),
            most => Ok(&bytes[..bytes.len().min(most)]),
        }
    }

    fn consume(&mut self, bytes: usize) {
        self.left -= bytes as u64;
        self.token_left -= bytes;
        self.inner.consume(bytes);
    }
}

impl<R: BufRead> Read for Metered<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let count = bytes.len().min(into.len());
        into[..count].copy_from_slice(&bytes[..count]);
        self.consume(count);
        Ok(count)
    }
}
