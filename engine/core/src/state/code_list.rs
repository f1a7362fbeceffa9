//! A list of codes as a lane prepares it for the engine thread: everything that can be decided about its lines without the state.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use scrip_protocol::codes::InvalidCode;
use scrip_protocol::command::{CodeTexts, LineVerdict, SHOWN_CHARS_MAX, SkippedLine};

use super::NormalisedCode;

/// The lines of a list: its distinct codes, and the lines without a code or with a duplicate.
#[derive(Debug, Clone, Default)]
pub struct CodeList {
    /// Whether there were more lines than a request may have. Nothing else is known of it then.
    too_long: bool,
    /// How many codes the earlier parts of a longer list would add.
    earlier: u32,
    /// The distinct codes as written, without surrounding characters.
    codes: CodeTexts,
    /// The same codes, normalised.
    normalised: Vec<NormalisedCode>,
    /// Their line numbers.
    numbers: Vec<u32>,
    /// The other lines that are not blank.
    skipped: Vec<SkippedLine>,
}

impl CodeList {
    /// Prepares lines, numbered from `first_line`. `trim` removes what surrounds a code, `normalise` makes the rest comparable.
    pub fn prepare(
        lines: &CodeTexts,
        first_line: u32,
        trim: impl Fn(&str) -> &str,
        normalise: impl Fn(&str) -> Result<NormalisedCode, InvalidCode>,
    ) -> CodeList {
        let mut list = CodeList { normalised: Vec::with_capacity(lines.len()), ..CodeList::default() };
        // Indexed by hash, so that the table is small: with the codes in it, each lookup would wait for memory.
        let hasher = RandomState::default();
        let mut place_of: HashMap<u64, u32, RandomState> = HashMap::with_capacity_and_hasher(lines.len(), RandomState::default());
        let numbers = (0..).map(|after: u32| first_line.saturating_add(after));
        for (number, text) in numbers.zip(lines.iter().map(trim)).filter(|(_, text)| !text.is_empty()) {
            let why = match normalise(text) {
                Err(why) => LineVerdict::Invalid(why),
                Ok(code) => {
                    let mut hash = hasher.hash_one(code);
                    // Another code with the same hash, which is very rare: the next number stands for this one.
                    while let Some(other) = place_of.get(&hash)
                        && list.normalised[*other as usize] != code
                    {
                        hash = hash.wrapping_add(1);
                    }
                    match place_of.entry(hash) {
                        Entry::Occupied(place) => LineVerdict::DuplicateInList { of_line: list.numbers[*place.get() as usize] },
                        Entry::Vacant(place) => {
                            place.insert(list.normalised.len() as u32);
                            list.codes.push(text);
                            list.normalised.push(code);
                            list.numbers.push(number);
                            continue;
                        }
                    }
                }
            };
            list.skipped.push(skipped(number, text, why));
        }
        list
    }

    /// A list with more lines than a request may have: its lines are not read.
    pub fn too_long() -> CodeList {
        CodeList { too_long: true, ..CodeList::default() }
    }

    /// The same list as a part of a longer one, whose earlier parts would add that many codes.
    pub fn after(self, earlier: u32) -> CodeList {
        CodeList { earlier, ..self }
    }

    /// How many codes the earlier parts of a longer list would add.
    pub fn earlier(&self) -> u32 {
        self.earlier
    }

    /// Whether it has more lines than a request may have.
    pub fn is_too_long(&self) -> bool {
        self.too_long
    }

    /// Whether every line is blank.
    pub fn is_blank(&self) -> bool {
        self.numbers.is_empty() && self.skipped.is_empty()
    }

    /// The distinct codes as written.
    pub fn codes(&self) -> &CodeTexts {
        &self.codes
    }

    /// The same codes, normalised.
    pub fn normalised(&self) -> &[NormalisedCode] {
        &self.normalised
    }

    /// The lines without a code, or with one that an earlier line has.
    pub fn skipped(&self) -> &[SkippedLine] {
        &self.skipped
    }

    /// The code at an index of the list, as a line that is skipped for a reason.
    pub fn skip(&self, at: usize, why: LineVerdict) -> SkippedLine {
        skipped(self.numbers[at], self.codes.of(at).unwrap_or_default(), why)
    }
}

fn skipped(line: u32, text: &str, why: LineVerdict) -> SkippedLine {
    SkippedLine { line, code: shown(text).to_owned(), why }
}

/// The part of a code that a report shows, so that records and replies with many codes stay within their limits.
pub(super) fn shown(text: &str) -> &str {
    text.char_indices().nth(SHOWN_CHARS_MAX).map_or(text, |(end, _)| &text[..end])
}
