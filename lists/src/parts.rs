//! A list in parts, each of which fits one request.
//!
//! A part begins with a line that is not blank. Blank lines inside it are kept as blank lines, so that the engine's verdicts name
//! the list's own lines. The division depends on the list alone: a list that is sent again under the same request id is divided
//! into the same parts, and part `n` has the id [`RequestId::of_part`] `n`, so nothing is executed twice.
//!
//! [`RequestId::of_part`]: scrip_protocol::RequestId::of_part

use std::hash::{DefaultHasher, Hash, Hasher};

use scrip_protocol::command::{CodeTexts, LINES_MAX, LineVerdict, SkippedLine};

use super::Line;

/// The most bytes of text in a part. A request has 4 MiB, of which line ends and a campaign's terms take less than one.
const BYTES_MAX: usize = 3 << 20;

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its number, from 0.
    pub number: u64,
    /// The line number, in the list, of its first line.
    pub first_line: u32,
    /// Its lines, blank ones included.
    pub lines: CodeTexts,
}

impl Part {
    /// The line number, in the list, of its last line.
    pub fn last_line(&self) -> u32 {
        self.first_line + (self.lines.len() as u32).saturating_sub(1)
    }

    /// How many of its lines are not blank.
    pub fn codes(&self) -> u64 {
        self.lines.iter().filter(|text| !text.is_empty()).count() as u64
    }

    /// A hash that tells it from other parts.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.first_line, &self.lines.text, &self.lines.ends).hash(&mut hasher);
        hasher.finish()
    }

    /// Converts a verdict on one of its lines, counted from 1, to the list's line numbers.
    pub fn of_list(&self, mut skip: SkippedLine) -> SkippedLine {
        let before = self.first_line - 1;
        skip.line = skip.line.saturating_add(before);
        if let LineVerdict::DuplicateInList { of_line } = &mut skip.why {
            *of_line = of_line.saturating_add(before);
        }
        skip
    }
}

/// The parts of a list, one at a time. A list without lines has one empty part, so that the engine reports on it.
pub struct Parts<I> {
    lines: I,
    ahead: Option<Line>,
    number: u64,
}

impl<I: Iterator<Item = Result<Line, E>>, E> Parts<I> {
    /// The parts of these lines.
    pub fn of(lines: I) -> Parts<I> {
        Parts { lines, ahead: None, number: 0 }
    }

    /// Whether the part that was returned last is the last one.
    pub fn is_at_end(&self) -> bool {
        self.ahead.is_none()
    }

    fn read(&mut self) -> Result<Option<Part>, E> {
        let Some(first) = self.take()? else {
            let empty = Part { number: 0, first_line: 1, lines: CodeTexts::default() };
            let is_first = self.number == 0;
            self.number = 1;
            return Ok(is_first.then_some(empty));
        };
        let mut part = Part { number: self.number, first_line: first.number, lines: CodeTexts::default() };
        self.number += 1;
        let mut next = Some(first);
        while let Some(line) = next {
            let at = (line.number - part.first_line) as usize;
            let bytes = part.lines.text.len() + line.text.len();
            if at >= LINES_MAX || (bytes > BYTES_MAX && !part.lines.is_empty()) {
                self.ahead = Some(line);
                break;
            }
            while part.lines.len() < at {
                part.lines.push("");
            }
            part.lines.push(&line.text);
            next = self.take()?;
        }
        Ok(Some(part))
    }

    fn take(&mut self) -> Result<Option<Line>, E> {
        match self.ahead.take() {
            Some(line) => Ok(Some(line)),
            None => self.lines.next().transpose(),
        }
    }
}

impl<I: Iterator<Item = Result<Line, E>>, E> Iterator for Parts<I> {
    type Item = Result<Part, E>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn parts(lines: impl IntoIterator<Item = (u32, String)>) -> Vec<Part> {
        let mut parts = Parts::of(lines.into_iter().map(|(number, text)| Ok::<_, Infallible>(Line { number, text })));
        let all = parts.by_ref().collect::<Result<_, _>>().expect("these lines are valid");
        assert!(parts.is_at_end());
        all
    }

    /// Z7: verdicts name the list's own lines, whichever part they are in.
    #[test]
    fn lines_keep_their_numbers() {
        let max = LINES_MAX as u32;
        let found =
            parts([(3, "A".into()), (5, "B".into()), (2 + max, "C".into()), (3 + max, "D".into()), (9_000_000, "E".into())]);
        assert_eq!(
            found.iter().map(|part| (part.number, part.first_line)).collect::<Vec<_>>(),
            [(0, 3), (1, 3 + max), (2, 9_000_000)]
        );
        assert_eq!(found[0].lines.iter().take(4).collect::<Vec<_>>(), ["A", "", "B", ""]);
        assert_eq!((found[0].lines.len(), found[0].codes(), found[0].last_line()), (LINES_MAX, 3, 2 + max));
        let skip = SkippedLine { line: 3, code: "B".into(), why: LineVerdict::DuplicateInList { of_line: 1 } };
        let of_list = found[0].of_list(skip);
        assert_eq!((of_list.line, of_list.why), (5, LineVerdict::DuplicateInList { of_line: 3 }));
    }

    #[test]
    fn a_part_is_limited_by_lines_and_by_bytes() {
        let max = LINES_MAX as u32;
        let found = parts((1..=2 * max).map(|number| (number, "x".into())));
        assert_eq!(found.iter().map(|part| part.lines.len()).collect::<Vec<_>>(), [LINES_MAX, LINES_MAX]);
        let found = parts((1..=100).map(|number| (number, "x".repeat(64 * 1024))));
        assert_eq!(found.iter().map(|part| part.lines.len()).collect::<Vec<_>>(), [48, 48, 4]);
        assert_eq!(found.iter().map(|part| part.first_line).collect::<Vec<_>>(), [1, 49, 97]);
    }

    #[test]
    fn an_empty_list_has_an_empty_part() {
        let found = parts([]);
        assert_eq!((found.len(), found[0].lines.len(), found[0].first_line), (1, 0, 1));
        assert_ne!(parts([(1, "A".into())])[0].fingerprint(), parts([(2, "A".into())])[0].fingerprint());
    }
}
