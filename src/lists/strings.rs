//! The texts of a spreadsheet: most cells hold the number of a text in one table that all sheets share.
//!
//! A text is taken whole, with the white space around it and whatever it begins with; runs of different fonts are joined, and the
//! pronunciation that Japanese texts carry is left out, as a spreadsheet program leaves it out of the cell. The table is held in
//! memory, as one text, because cells come in another order: what it may unpack to is limited for that.

use super::fault::Fault;
use super::package::{MIB, Node, Package, Xml};

/// What the table of texts may unpack to: some millions of codes.
const STRINGS_BYTES_MAX: u64 = 128 * MIB;

/// The table: text `i` ends at byte `ends[i]`.
#[derive(Debug, Default)]
pub(super) struct Strings {
    text: String,
    ends: Vec<u32>,
}

impl Strings {
    /// Reads the table.
    pub(super) fn read(package: &mut Package, part: &str) -> Result<Strings, Fault> {
        let mut strings = Strings::default();
        let mut xml = package.part(part, STRINGS_BYTES_MAX)?;
        let mut text = String::new();
        loop {
            match xml.next()? {
                Node::Start(tag) if tag.name() == "si" => {
                    text.clear();
                    rich_text(&mut xml, &mut text)?;
                    strings.text.push_str(&text);
                    strings.ends.push(u32::try_from(strings.text.len()).expect("the part's limit is far below 4 GiB"));
                }
                Node::Start(_) | Node::End | Node::Text(_) | Node::Aside => {}
                Node::Done => return Ok(strings),
            }
        }
    }

    /// A text by its number.
    pub(super) fn at(&self, number: usize) -> Option<&str> {
        let end = *self.ends.get(number)?;
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        self.text.get(start as usize..end as usize)
    }
}

/// Reads the text of the element that was just begun (`si` or `is`) into an empty one: what stands in its `t`, or in those of its `r`.
pub(super) fn rich_text(xml: &mut Xml<'_>, text: &mut String) -> Result<(), Fault> {
    let outside = xml.depth() - 1;
    while xml.depth() > outside {
        match xml.next()? {
            Node::Start(tag) => match tag.name() {
                "t" => xml.text(text)?,
                "r" => {}
                _ => xml.skip()?,
            },
            Node::End | Node::Text(_) | Node::Aside | Node::Done => {}
        }
    }
    unescape(text);
    Ok(())
}

/// Replaces what spreadsheets write for characters that XML cannot hold: `_x000D_` is a carriage return, and `_x005F_` is what is
/// written for `_` where the text itself looks like that. Halves of characters stay as they are written.
pub(super) fn unescape(text: &mut String) {
    let escaped = |text: &str| -> Option<char> {
        let digits = text.strip_prefix("_x")?.get(..5)?.strip_suffix('_')?;
        let digits = digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(digits)?;
        char::from_u32(u32::from_str_radix(digits, 16).ok()?)
    };
    if !text.contains("_x") {
        return;
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("_x") {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        let (character, bytes) = escaped(from).map_or(('_', 1), |character| (character, "_x0000_".len()));
        plain.push(character);
        rest = &from[bytes..];
    }
    plain.push_str(rest);
    *text = plain;
}
