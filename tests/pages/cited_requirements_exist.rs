//! docs/requirements.md explains every requirement and every pain that a comment cites.
//!
//! The page also describes the form of a citation, which [`citations`] parses. Numbers that no test cites are printed but do not
//! fail: `cargo test --test pages cited_requirements_exist:: -- --nocapture`.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../../docs/requirements.md");

/// A number that a comment can cite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Number {
    Requirement(char, u8),
    Pain(u8),
}

impl Number {
    /// A capital letter and a number, such as `Z9`.
    fn requirement(word: &str) -> Option<Number> {
        let mut rest = word.chars();
        let letter = rest.next().filter(char::is_ascii_uppercase)?;
        digits(rest.as_str()).map(|number| Number::Requirement(letter, number))
    }

    /// The numbers from this one, exclusive, to another of the same kind. If the kinds differ, just the other one.
    fn range_to(self, last: Number) -> Vec<Number> {
        match (self, last) {
            (Number::Requirement(letter, a), Number::Requirement(other, b)) if letter == other => {
                (a + 1..=b).map(|number| Number::Requirement(letter, number)).collect()
            }
            (Number::Pain(a), Number::Pain(b)) => (a + 1..=b).map(Number::Pain).collect(),
            (Number::Requirement(..) | Number::Pain(_), _) => vec![last],
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Requirement(letter, number) => write!(f, "{letter}{number}"),
            Number::Pain(number) => write!(f, "pain {number}"),
        }
    }
}

/// One or two digits.
fn digits(text: &str) -> Option<u8> {
    let short = matches!(text.len(), 1 | 2) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| short)
}

/// The comment of a line, in a file that can cite.
fn comment<'a>(file: &Path, line: &'a str) -> Option<&'a str> {
    match file.extension()?.to_str()? {
        "rs" => Some(line.trim_start().strip_prefix("//")?.trim_start_matches(['/', '!'])),
        "sql" => line.split_once("--").map(|(_, comment)| comment),
        _ => None,
    }
}

/// The words of a file's comments, with their lines. A line without a comment, and text in backticks, become an empty word: no
/// citation continues across them.
fn words<'a>(file: &Path, text: &'a str) -> Vec<(usize, &'a str)> {
    let mut words = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        for (i, part) in comment(file, text).unwrap_or("``").split('`').enumerate() {
            let outside = i % 2 == 0;
            words.extend(part.split_whitespace().filter(|_| outside).map(|word| (line, word)));
            if !outside {
                words.push((line, ""));
            }
        }
    }
    words
}

/// The citations in a file's comments, each with its line.
fn citations(file: &Path, text: &str) -> Vec<(usize, Number)> {
    let mut citations = Vec::new();
    // Whether a number without a letter is a pain; and the citation that `to` turns into the start of a range.
    let (mut pains, mut before) = (false, None);
    let mut start: Option<Number> = None;
    for (line, word) in words(file, text) {
        let bare = word.trim_start_matches(['(', '[']).trim_end_matches(['.', ',', ';', ':', ')', ']']);
        let pain = digits(bare).filter(|_| pains).map(Number::Pain);
        let cited = pain.or_else(|| Number::requirement(bare));
        if let Some(cited) = cited {
            let numbers = start.map_or_else(|| vec![cited], |start: Number| start.range_to(cited));
            citations.extend(numbers.into_iter().map(|number| (line, number)));
        }
        pains = match bare {
            "pain" | "pains" | "Pain" | "Pains" => true,
            "and" | "to" => pains,
            _ => pain.is_some() && (word == bare || word.ends_with(',')),
        };
        start = before.filter(|_| word == "to");
        before = cited.filter(|_| word == bare);
    }
    citations
}

/// The numbers that the page explains, each with whether it is planned.
fn explained() -> Vec<(Number, bool)> {
    let mut explained = Vec::new();
    let mut planned_section = false;
    for line in PAGE.lines() {
        planned_section = line.starts_with("*Planned.*") || planned_section && !line.starts_with("## ");
        let Some((name, text)) = line.strip_prefix("- **").and_then(|entry| entry.split_once("** ")) else { continue };
        let number = name.strip_prefix("pain ").map_or_else(|| Number::requirement(name), |n| digits(n).map(Number::Pain));
        explained.extend(number.map(|number| (number, planned_section || text.starts_with("*Planned.*"))));
    }
    explained
}

/// Every file under a folder except hidden ones and Cargo's output.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.is_dir() && !hidden && !path.ends_with("target") && !path.join("CACHEDIR.TAG").exists() {
            files(&path, found);
        } else if path.is_file() && !hidden {
            found.push(path);
        }
    }
}

/// The first line of a file's tests: line 0 of a test file, or its test module.
fn tests_begin(file: &Path, text: &str) -> usize {
    let is_test = file.ends_with("tests.rs") || file.iter().any(|part| part == "tests" || part == "benches");
    let module = text.lines().position(|line| line == "mod tests {");
    if is_test { 0 } else { module.unwrap_or(usize::MAX) }
}

#[test]
#[expect(clippy::print_stdout, reason = "prints the numbers that no test cites")]
fn every_cited_number_is_on_the_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    files(root, &mut sources);
    sources.sort();
    assert!(sources.contains(&root.join(file!())), "the sources, including this file, are found");

    let known: BTreeSet<Number> = explained().into_iter().map(|(number, _)| number).collect();
    let (mut missing, mut tested) = (Vec::new(), BTreeSet::new());
    for path in sources {
        // Other files, such as golden bytes, need not be text.
        if !path.extension().is_some_and(|extension| extension == "rs" || extension == "sql") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a source is text");
        let file = path.strip_prefix(root).expect("found under the root");
        for (line, number) in citations(file, &text) {
            if !known.contains(&number) {
                missing.push(format!("{}:{line}: {number}", file.display()));
            }
            if line > tests_begin(file, &text) {
                tested.insert(number);
            }
        }
    }
    assert!(missing.is_empty(), "cited, but not on docs/requirements.md:\n{}", missing.join("\n"));

    for (planned, heading) in [(false, "Cited by no test"), (true, "Planned, and cited by no test")] {
        let numbers = explained().into_iter().filter(|(number, later)| *later == planned && !tested.contains(number));
        let numbers: Vec<String> = numbers.map(|(number, _)| number.to_string()).collect();
        println!("{heading}: {}", numbers.join(", "));
    }
}

/// Each series of numbers is on the page once, from 1, in order and without a gap.
#[test]
fn the_page_numbers_are_complete() {
    let mut before = None;
    for (number, _) in explained() {
        match (before, number) {
            (Some(Number::Requirement(series, last)), Number::Requirement(letter, n)) if series == letter => {
                assert_eq!(n, last + 1, "{number} follows {series}{last}");
            }
            (Some(Number::Pain(last)), Number::Pain(n)) => assert_eq!(n, last + 1, "{number} follows pain {last}"),
            (_, Number::Requirement(_, n) | Number::Pain(n)) => assert_eq!(n, 1, "{number} begins its series"),
        }
        before = Some(number);
    }
    let distinct: BTreeSet<Number> = explained().into_iter().map(|(number, _)| number).collect();
    assert_eq!(distinct.len(), explained().len(), "no series is listed twice");
    assert!(distinct.contains(&Number::Requirement('Z', 17)) && distinct.contains(&Number::Pain(49)), "{distinct:?}");
}

/// The forms on the page are parsed, and nothing else is.
#[test]
fn citations_are_parsed_in_their_stated_form() {
    let check = |file: &str, text: &str, expected: &str| {
        let read: Vec<String> =
            citations(Path::new(file), text).iter().map(|(line, number)| format!("{line} {number}")).collect();
        assert_eq!(read.join(", "), expected, "{text}");
    };
    check("a.rs", "//! Guessing (Z9; pain 20).", "1 Z9, 1 pain 20");
    check("a.rs", "    /// U6, A20, pain 28: rounded.", "1 U6, 1 A20, 1 pain 28");
    check("a.rs", "// X4 to X6, A2", "1 X4, 1 X5, 1 X6, 1 A2");
    check("a.rs", "/// Pains 4 and 5 of 6 uses", "1 pain 4, 1 pain 5");
    check("a.rs", "/// pains 1, 10 to 12: 70 codes", "1 pain 1, 1 pain 10, 1 pain 11, 1 pain 12");
    check("a.rs", "/// (pains 1,\n/// 4 and\n/// T1 to\n/// T3)", "1 pain 1, 2 pain 4, 3 T1, 4 T2, 4 T3");
    check("a.rs", "/// pain 1,\nlet x = 1;\n/// 4 of them", "1 pain 1");
    check("a.rs", "/// `B7`, `A1 and B2 or C3`, Sheet1!B3, IPv4, UTF8, P99.9, A123, 7 pain", "");
    check("a.rs", "let cell = \"Z99\"; // Z99", "");
    check("a.sql", "codes INTEGER, -- archived ones included (A10)", "1 A10");
    check("a.py", "# Z9", "");
}
