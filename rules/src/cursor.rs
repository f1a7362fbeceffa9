//! Reading a text character by character: what formulas, conditions and push texts share.
//!
//! A [`Cursor`] knows its position, counted in characters from 1, so that every problem has one. Its input is untrusted: on any
//! text it reports a problem at worst. The excerpt in a problem is shortened, and invisible characters are shown by their number.

use scrip_protocol::{TextProblem, Variable};

use crate::nearest::{nearest, one_of};

/// How much of a text a problem shows, in characters.
const SHOWN_CHARS_MAX: usize = 40;

/// A position in a text.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'t> {
    rest: &'t str,
    at: u32,
}

impl<'t> Cursor<'t> {
    /// The beginning of a text of at most so many bytes. A longer text is a problem at the first character beyond the limit.
    pub(crate) fn new(text: &'t str, bytes_max: usize) -> Result<Self, TextProblem> {
        if text.len() > bytes_max {
            let within = text.char_indices().take_while(|(begin, c)| begin + c.len_utf8() <= bytes_max).count();
            let at = u32::try_from(within + 1).unwrap_or(u32::MAX);
            return Err(problem(at, &format!("a text of {} bytes", text.len()), format!("at most {bytes_max} bytes")));
        }
        Ok(Cursor { rest: text, at: 1 })
    }

    /// The number of the next character, counted from 1.
    pub(crate) fn at(&self) -> u32 {
        self.at
    }

    /// The next character.
    pub(crate) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// Whether these characters come next.
    pub(crate) fn is_next(&self, symbol: &str) -> bool {
        self.rest.starts_with(symbol)
    }

    /// Takes these characters, if they come next.
    pub(crate) fn accept(&mut self, symbol: &str) -> bool {
        let found = self.is_next(symbol);
        if found {
            self.skip(symbol.len());
        }
        found
    }

    /// Takes one character.
    pub(crate) fn take(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.skip(next.len_utf8());
        Some(next)
    }

    /// Takes characters as long as they are of this kind.
    pub(crate) fn take_while(&mut self, is_such: impl Fn(char) -> bool) -> &'t str {
        self.skip(self.rest.find(|c| !is_such(c)).unwrap_or(self.rest.len()))
    }

    /// Takes white space, of any kind: texts are copied from web pages, which have no-break spaces.
    pub(crate) fn skip_white_space(&mut self) {
        self.take_while(char::is_whitespace);
    }

    /// Takes a word, which may be empty: letters, digits and underscores.
    pub(crate) fn take_word(&mut self) -> &'t str {
        self.take_while(is_of_word)
    }

    /// What is found here, in a few characters: a word, a number or a single character; empty at the end.
    pub(crate) fn found(&self) -> &'t str {
        let mut ahead = self.clone();
        match ahead.take_word() {
            "" => &self.rest[..self.peek().map_or(0, char::len_utf8)],
            word => word,
        }
    }

    /// The text taken since an earlier position of the same text.
    pub(crate) fn since(&self, begin: &Cursor<'t>) -> &'t str {
        &begin.rest[..begin.rest.len() - self.rest.len()]
    }

    /// The problem that something else was expected here.
    pub(crate) fn problem(&self, expected: impl Into<String>) -> TextProblem {
        problem(self.at, self.found(), expected)
    }

    /// Takes the text after `{{` up to and including `}}`: the name of one of these variables. Also returns the position of the
    /// name.
    pub(crate) fn take_variable(&mut self, offered: &[Variable]) -> Result<(u32, Variable), TextProblem> {
        self.skip_white_space();
        let begin = self.clone();
        let Some(variable) = Variable::named(self.take_word()) else {
            let names = offered.iter().map(|variable| variable.word());
            let mut problem = begin.problem(format!("the name of a variable: {}", one_of(names.clone())));
            problem.nearest = nearest(begin.found(), names).map(str::to_owned);
            return Err(problem);
        };
        self.skip_white_space();
        if !self.accept("}}") {
            return Err(self.problem(format!("}}}} after {variable}")));
        }
        Ok((begin.at, variable))
    }

    fn skip(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(bytes);
        // A text has far fewer than 2^32 characters: its bytes are limited at the start.
        self.at = u32::try_from(taken.chars().count()).map_or(u32::MAX, |chars| self.at.saturating_add(chars));
        self.rest = rest;
        taken
    }
}

/// Whether a character can be part of a word.
pub(crate) fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A problem, with the text found in displayable form.
pub(crate) fn problem(at: u32, found: &str, expected: impl Into<String>) -> TextProblem {
    TextProblem { at, found: shown(found), expected: expected.into(), nearest: None }
}

/// A text as it is shown in a problem.
fn shown(text: &str) -> String {
    if text == " " {
        return "a space".to_owned();
    }
    let mut shown = String::new();
    for (number, c) in text.chars().enumerate() {
        if number == SHOWN_CHARS_MAX {
            shown.push('…');
            break;
        }
        if is_seen(c) {
            shown.push(c);
        } else {
            shown.push_str(&format!("U+{:04X}", u32::from(c)));
        }
    }
    shown
}

/// Whether a character is visible. Not complete: covers the invisible characters that pasted text is known to contain.
fn is_seen(c: char) -> bool {
    let invisible =
        matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}');
    !c.is_control() && !c.is_whitespace() && !invisible || c == ' '
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Positions are characters, not bytes, and what is shown stays short and visible.
    #[test]
    fn places_are_characters_from_1() {
        let mut cursor = Cursor::new("ä \u{a0}b+", 10).expect("short");
        assert_eq!((cursor.take_word(), cursor.at()), ("ä", 2));
        cursor.skip_white_space();
        assert_eq!((cursor.found(), cursor.at()), ("b", 4));
        cursor.take_word();
        assert_eq!(cursor.problem("x"), problem(5, "+", "x"));
        assert_eq!(cursor.take(), Some('+'));
        assert_eq!((cursor.take(), cursor.at(), cursor.found()), (None, 6, ""));
        assert_eq!(problem(1, "\u{0}", "").found, "U+0000");
        assert_eq!(problem(1, " ", "").found, "a space");
        assert_eq!(problem(1, "\u{200b}", "").found, "U+200B");
        assert_eq!(problem(1, &"x".repeat(50), "").found, format!("{}…", "x".repeat(40)));
    }

    #[test]
    fn the_first_character_beyond_the_limit_is_reported() {
        assert!(Cursor::new("äb", 3).is_ok());
        let too_long = |text, max| Cursor::new(text, max).expect_err("too long").to_string();
        assert_eq!(too_long("äb", 2), "character 2: expected at most 2 bytes, found a text of 3 bytes");
        assert_eq!(too_long("bä", 2), "character 2: expected at most 2 bytes, found a text of 3 bytes");
    }
}
