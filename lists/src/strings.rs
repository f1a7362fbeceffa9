//! The texts of a spreadsheet: most cells hold the number of a text in one string table that all sheets share.
//!
//! A text is kept whole, including the white space around it and any leading character; runs of different fonts are joined, and
//! the phonetic text of Japanese cells is left out, as spreadsheet programs do. The table is held in memory, as one text, because
//! cells refer to it in any order: its unpacked size is limited for that reason.

use super::fault::Fault;
use super::package::{MIB, Node, Package, Xml};

/// The largest unpacked size of the string table: some millions of codes.
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

/// Reads the text of the element that was just started (`si` or `is`) into an empty one: the contents of its `t`, or of the `t`
/// of each `r`.
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

/// Replaces the escapes that spreadsheets write for characters that XML cannot hold: `_x000D_` is a carriage return, and
/// `_x005F_` is a `_` in a text that itself looks like an escape. Unpaired surrogates are left as they are.
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
