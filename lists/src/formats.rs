//! Number formats: how a spreadsheet shows a number, and whether that is still the code that somebody entered.
//!
//! Given `0012`, `219E01` or `1-2`, a spreadsheet may store the numbers 12 and 2190 and a date instead. The digits of a number
//! cell are used only if people see the same digits: in the General format, as a whole number with or without separators, or as
//! one padded with zeros. Every other number is refused with its format, instead of guessing.

use std::collections::HashMap;

use super::fault::{Fault, Why};
use scrip_protocol::codes::CODE_BYTES_MAX;

use super::package::{Node, PART_BYTES_MAX, Package};

/// The digits of a number that a spreadsheet stores; it replaces further digits by zeros.
const DIGITS_MAX: usize = 15;

/// The first number with more digits before the point than a spreadsheet keeps.
const TOO_LARGE: f64 = 1e15;

/// The digits that any program needs to write a number exactly. With more than these, the number read is not the number written.
const WRITTEN_DIGITS_MAX: usize = 17;

/// The longest format code, and the most styles, that a spreadsheet program writes.
const CODE_CHARS_MAX: usize = 255;
const STYLES_MAX: usize = 65_536;

/// The formats of a file's cells.
#[derive(Debug, Default)]
pub(super) struct Formats {
    of_style: Vec<Format>,
}

/// How a number is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Format {
    /// With its digits.
    General,
    /// As a whole number, perhaps with separators, and with nothing but zeros after the decimal point.
    Whole,
    /// As a whole number of at least this many digits.
    Padded(usize),
    /// As a date, a time or a duration.
    Date(String),
    /// In another way: as a power of ten, a fraction, a percentage, an amount of money, with surrounding text.
    Other(String),
}

impl Formats {
    /// Reads the style table.
    pub(super) fn read(package: &mut Package, part: &str) -> Result<Formats, Fault> {
        let mut own: HashMap<u32, Format> = HashMap::new();
        let mut of_style = Vec::new();
        let mut inside_cells = false;
        let mut xml = package.part(part, PART_BYTES_MAX)?;
        loop {
            let deep = xml.depth() + 1;
            match xml.next()? {
                Node::Start(tag) if deep == 2 => inside_cells = tag.name() == "cellXfs",
                Node::Start(tag) if deep == 3 && tag.name() == "numFmt" => {
                    if let (Some(id), Some(code)) = (tag.attribute("numFmtId")?, tag.attribute("formatCode")?) {
                        let code: String = code.chars().take(CODE_CHARS_MAX).collect();
                        own.extend(id.parse().ok().map(|id| (id, Format::of_code(&code))));
                    }
                }
                Node::Start(tag) if deep == 3 && inside_cells && tag.name() == "xf" => {
                    let id = tag.attribute("numFmtId")?.map_or(Some(0), |id| id.parse().ok());
                    let format = id.and_then(|id| own.get(&id)).cloned();
                    of_style.push(format.unwrap_or_else(|| built_in(id)));
                    if of_style.len() > STYLES_MAX {
                        return Err(Why::PartWrong { part: part.to_owned(), what: "it has too many styles" }.into());
                    }
                }
                Node::Start(_) | Node::End | Node::Text(_) | Node::Aside => {}
                Node::Done => return Ok(Formats { of_style }),
            }
        }
    }

    /// The format of a style. In a file without a style table all cells have one style.
    pub(super) fn at(&self, style: usize) -> Option<&Format> {
        if self.of_style.is_empty() && style == 0 { Some(&Format::General) } else { self.of_style.get(style) }
    }
}

/// The formats that every spreadsheet program has built in; files give only their numbers (ECMA-376, part 1, 18.8.30). For those
/// that depend on the country only the kind is known.
fn built_in(id: Option<u32>) -> Format {
    let date = |code: &str| Format::Date(code.to_owned());
    match id {
        Some(0 | 49) => Format::General,
        Some(1..=4 | 37..=40 | 41 | 43) => Format::Whole,
        Some(9 | 10) => Format::Other("of a percentage".to_owned()),
        Some(11 | 48) => Format::Other("0.00E+00".to_owned()),
        Some(12 | 13) => Format::Other("of a fraction".to_owned()),
        Some(5..=8 | 42 | 44) => Format::Other("of an amount of money".to_owned()),
        Some(14 | 15 | 22) => date("d-m-y"),
        Some(16) => date("d-mmm"),
        Some(17) => date("mmm-yy"),
        Some(18..=21 | 45..=47) => date("h:mm:ss"),
        Some(27..=36 | 50..=58) => date("of a date"),
        Some(id) => Format::Other(format!("number {id}")),
        None => Format::Other("unknown".to_owned()),
    }
}

impl Format {
    /// The format of a format code. A code has sections for positive numbers, negative ones and zero; only the first is examined.
    fn of_code(code: &str) -> Format {
        let (mut shown, mut literal) = (String::new(), false);
        let mut characters = code.chars();
        while let Some(character) = characters.next() {
            match character {
                ';' => break,
                // A space as wide as a character, and a character that fills the cell.
                '_' | '*' => {
                    characters.next();
                    shown.push(' ');
                }
                '\\' => match characters.next() {
                    Some(' ') => shown.push(' '),
                    _ => literal = true,
                },
                '"' => {
                    let inside: String = characters.by_ref().take_while(|character| *character != '"').collect();
                    literal |= !inside.trim().is_empty();
                    shown.push(' ');
                }
                '[' => {
                    let inside: String = characters.by_ref().take_while(|character| *character != ']').collect();
                    let elapsed =
                        !inside.is_empty() && inside.chars().all(|character| "hms".contains(character.to_ascii_lowercase()));
                    shown.push_str(if elapsed { &inside } else { "" });
                    literal = true;
                }
                character => shown.push(character),
            }
        }
        // Spaces within the number are visible; those around it are not.
        let shown = shown.trim();
        let other = || Format::Other(code.to_owned());
        if shown.eq_ignore_ascii_case("general") || shown == "@" {
            return if literal { other() } else { Format::General };
        }
        if shown.chars().any(|character| "dmyhs".contains(character.to_ascii_lowercase())) {
            return Format::Date(code.to_owned());
        }
        let (whole, decimals) = shown.split_once('.').unwrap_or((shown, ""));
        let zeros = !whole.is_empty() && whole.bytes().all(|digit| digit == b'0');
        match whole {
            _ if literal || !decimals.bytes().all(|digit| b"0#?".contains(&digit)) => other(),
            "0" | "#" | "#,##0" | "#,###" | "##0" => Format::Whole,
            whole if zeros && decimals.is_empty() && whole.len() <= CODE_BYTES_MAX => Format::Padded(whole.len()),
            _ => other(),
        }
    }

    /// The code that a number stands for, or why that is uncertain.
    pub(super) fn code_of(&self, written: &str) -> Result<String, Why> {
        let number = || written.trim().to_owned();
        let value: f64 = written.trim().parse().map_err(|_| Why::NotANumber(number()))?;
        if !value.is_finite() {
            return Err(Why::NotANumber(number()));
        }
        let differs = |format: &String| Why::ShownDifferently { number: number(), format: format.clone() };
        let whole = value.fract() == 0.0;
        match self {
            Format::Date(format) => return Err(Why::Date { format: format.clone() }),
            Format::Other(format) => return Err(differs(format)),
            Format::Whole | Format::Padded(_) if !whole || value < 0.0 => {
                return Err(differs(&"of a whole number without a sign".to_owned()));
            }
            Format::General | Format::Whole | Format::Padded(_) => {}
        }
        if value.abs() >= TOO_LARGE || significant(written) > WRITTEN_DIGITS_MAX {
            return Err(Why::TooManyDigits(number()));
        }
        // Floating-point numbers have a negative zero, which nobody sees.
        let digits = if value == 0.0 { "0".to_owned() } else { value.to_string() };
        if significant(&digits) > DIGITS_MAX {
            return Err(Why::TooManyDigits(number()));
        }
        let width = if let Format::Padded(width) = self { *width } else { 0 };
        Ok(format!("{digits:0>width$}"))
    }
}

/// How many digits a number is written with, from the first that is not zero, without its exponent.
fn significant(written: &str) -> usize {
    let mantissa = written.split(['e', 'E']).next().unwrap_or_default();
    let digits = || mantissa.bytes().filter(u8::is_ascii_digit);
    digits().skip_while(|digit| *digit == b'0').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(code: &str, number: &str) -> Result<String, String> {
        Format::of_code(code).code_of(number).map_err(|why| why.to_string())
    }

    /// Z14: a number cell keeps every digit that the spreadsheet stored.
    #[test]
    fn numbers_keep_every_digit() {
        for (written, code) in [
            ("12345678901", "12345678901"),
            ("1.2345678901E10", "12345678901"),
            ("1.23456789012345E+14", "123456789012345"),
            ("999999999999999", "999999999999999"),
            ("100000000000000", "100000000000000"),
            ("0", "0"),
            ("-0", "0"),
            ("-7", "-7"),
            ("12.5", "12.5"),
            // As spreadsheets write 1.1, with the 17 digits that make it exact.
            ("1.1000000000000001", "1.1"),
            ("1e-7", "0.0000001"),
        ] {
            assert_eq!(shown("General", written).as_deref(), Ok(code), "{written}");
        }
    }

    /// Z14, pain 30: a number that has lost digits, or may have, is refused.
    #[test]
    fn numbers_that_may_have_lost_digits_are_refused() {
        for written in [
            "1000000000000000",
            "1234567890123456",
            "12345678901234567890",
            "2.19E+26",
            "123456789012345.6",
            "0.30000000000000004",
            "1.00000000000000000001",
            "-1e15",
        ] {
            let why = shown("General", written).expect_err(written);
            assert!(why.contains(written) && why.contains("format the column as text"), "{written}: {why}");
        }
        for written in ["", "nan", "inf", "-infinity", "1e999", "0x10", "12,5", "--1"] {
            let why = shown("General", written).expect_err(written);
            assert!(why.contains("is not a number"), "{written}: {why}");
        }
    }

    /// Z14, pain 30: leading zeros, as people see them.
    #[test]
    fn leading_zeros_that_are_shown_are_kept() {
        for (code, number, expected) in [
            ("0000", "12", "0012"),
            ("0000", "12345", "12345"),
            ("0000000000000", "1", "0000000000001"),
            ("0000;-0000", "12", "0012"),
            ("0000_ ", "12", "0012"),
            ("0", "12", "12"),
            ("0.00", "12", "12"),
            ("#,##0", "12345", "12345"),
            ("#,##0_);(#,##0)", "12345", "12345"),
            ("_(* #,##0.00_);_(* (#,##0.00)", "12345", "12345"),
            ("@", "12345678901", "12345678901"),
            ("GENERAL", "12", "12"),
        ] {
            assert_eq!(shown(code, number).as_deref(), Ok(expected), "{code} {number}");
        }
    }

    /// Pain 30: `219E01` becomes 2190, `1-2` a date: what is shown is not what was entered, and the original is lost.
    #[test]
    fn numbers_that_are_shown_differently_are_refused() {
        for (code, number) in [
            ("0.00E+00", "2190"),
            ("0%", "0.5"),
            ("# ?/?", "0.5"),
            ("\"PROMO-\"0000", "12"),
            ("\\P0000", "12"),
            ("0000-0000", "12345678"),
            ("0000 0000", "12345678"),
            ("0000\\ 0000", "12345678"),
            ("[$€-407] 0", "12"),
            ("[Red]0000", "12"),
            ("0,", "12000"),
            ("0000.00", "12"),
            ("0000", "12.5"),
            ("0", "-1"),
            ("", "12"),
        ] {
            let why = shown(code, number).expect_err(code);
            assert!(why.contains("is shown in the format"), "{code}: {why}");
        }
        for code in ["d-mmm", "yyyy\\-mm\\-dd", "[h]:mm", "[$-409]d-mmm-yy", "hh:mm", "mm:ss.0", "\"on \"d"] {
            let why = shown(code, "45000").expect_err(code);
            assert!(why.starts_with("this is a date or time"), "{code}: {why}");
        }
    }

    #[test]
    fn built_in_formats_are_recognised_by_their_numbers() {
        let kept = [(0, "12"), (1, "12"), (3, "12"), (49, "12")];
        for (id, expected) in kept {
            assert_eq!(built_in(Some(id)).code_of("12").ok().as_deref(), Some(expected), "{id}");
        }
        for id in [14, 16, 22, 30, 46, 57] {
            assert!(matches!(built_in(Some(id)), Format::Date(_)), "{id}");
        }
        for id in [9, 11, 12, 44, 59, 163] {
            assert!(matches!(built_in(Some(id)), Format::Other(_)), "{id}");
        }
    }
}
