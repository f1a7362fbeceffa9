//! Lists of codes from a file or standard input, and the report on what became of their lines.

use std::io::Read;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use scrip_protocol::command::{OnConflict, SkippedLine};

use crate::exit::InputError;
use crate::print;

/// How many skipped lines are shown, unless JSON is asked for, which has them all.
const SKIPPED_SHOWN: usize = 20;

/// A list of codes.
#[derive(Debug, Args)]
pub(crate) struct CodeList {
    /// The list of codes, one per line (UTF-8); - for standard input. At most 50,000 codes fit a campaign, unless its
    /// organisation is set up otherwise
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
}

/// What to do with lines that hold a code which another campaign has, or no possible code.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Conflict {
    /// Add nothing
    Reject,
    /// Skip the line
    Skip,
}

impl From<Conflict> for OnConflict {
    fn from(conflict: Conflict) -> OnConflict {
        match conflict {
            Conflict::Reject => OnConflict::Reject,
            Conflict::Skip => OnConflict::Skip,
        }
    }
}

impl CodeList {
    /// The lines.
    pub(crate) fn read(&self) -> Result<Vec<String>, InputError> {
        let (name, bytes) = match self.file.to_str() {
            Some("-") => {
                let mut bytes = Vec::new();
                ("standard input".to_owned(), std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes))
            }
            _ => (self.file.display().to_string(), std::fs::read(&self.file)),
        };
        let bytes = bytes.map_err(|why| InputError { place: name.clone(), why: why.to_string() })?;
        lines_of(&name, &bytes)
    }
}

fn lines_of(name: &str, bytes: &[u8]) -> Result<Vec<String>, InputError> {
    let text = std::str::from_utf8(bytes).map_err(|wrong| {
        let before = &bytes[..wrong.valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
        InputError { place: format!("{name}: line {line}, byte {column}"), why: "this is not UTF-8".into() }
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text).lines().map(str::to_owned).collect())
}

/// Prints the lines that added nothing.
pub(crate) fn print_skipped(skipped: &[SkippedLine]) {
    for skip in skipped.iter().take(SKIPPED_SHOWN) {
        print::line(format_args!("  line {}: {:?}: {}", skip.line, skip.code, skip.why));
    }
    if skipped.len() > SKIPPED_SHOWN {
        print::line(format_args!("  and {} more; --json lists them all", skipped.len() - SKIPPED_SHOWN));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_order_marks_and_both_kinds_of_line_ends_are_taken() {
        let lines = lines_of("list", "\u{feff}A\r\nB\n\nC".as_bytes());
        assert_eq!(lines.ok(), Some(["A", "B", "", "C"].map(str::to_owned).to_vec()));
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_named_with_their_place() {
        let error = lines_of("list", b"ABC\nDE\xffF").expect_err("0xff is not UTF-8");
        assert_eq!(error.to_string(), "list: line 2, byte 3: this is not UTF-8");
    }
}
