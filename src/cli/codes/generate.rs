//! `scrip codes generate`: new codes, made by the engine (Z8).
//!
//! The engine answers with where the codes begin; they are read back from there, so that a repeated request prints the same ones.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use scrip_protocol::client::{Client, ClientError};
use scrip_protocol::command::{
    ALPHABET, CodeFilter, GenerateCodes, GenerateCodesOutcome, LINES_MAX, ListCodes, ListCodesOutcome, PATTERN, UsageFilter,
};
use scrip_protocol::{CampaignId, RequestId};
use serde_json::json;
use tempfile::NamedTempFile;

use crate::cli::lists::past_limit;
use crate::exit::{Exit, InputError, MadeNotShown, words_of};
use crate::print;
use crate::reach::{Asking, Reach};

/// Generate codes and add them to a campaign
///
/// The codes are drawn at random, are new, and are hard to guess: where the pattern leaves too few possible codes, nothing is
/// generated. Without a pattern a code has 16 signs that are not taken for one another (no 0 and O, 1, I and L). The codes are printed,
/// one per line, or written to a file.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  scrip codes generate 7 --count 500 --out codes.txt
  scrip codes generate 7 --count 500 --prefix SPRING- --length 10
  scrip codes generate 7 --count 500 --pattern 'AB-@@@@-####-****'

In a pattern, * stands for any sign of the alphabet, # for any digit of it, @ for any letter of it; a \\ before one of these, or before \
another \\, makes it stand for itself, as everything else does.")]
pub(super) struct Generate {
    /// The campaign's number
    campaign: CampaignId,
    /// How many codes: 1 to 65,536
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=LINES_MAX as i64))]
    count: u32,
    /// How a code looks; see below
    #[arg(long, conflicts_with_all = ["prefix", "suffix", "length"])]
    pattern: Option<String>,
    /// What each code begins with
    #[arg(long, default_value = "", hide_default_value = true)]
    prefix: String,
    /// What each code ends with
    #[arg(long, default_value = "", hide_default_value = true)]
    suffix: String,
    /// How many signs are drawn between the two
    #[arg(long, value_name = "N", default_value_t = PATTERN.len() as u8)]
    length: u8,
    #[arg(long, help = format!("The signs to draw from, each once; letter case does not matter [default: {ALPHABET}]"))]
    alphabet: Option<String>,
    /// Write the codes to this file, which must not exist yet
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    reach: Reach,
}

impl Generate {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let file = self.out.as_deref().map(NewFile::beside).transpose()?;
        let asked = GenerateCodes {
            campaign: self.campaign,
            count: self.count,
            pattern: self.pattern.clone().unwrap_or_else(|| pattern(&self.prefix, self.length, &self.suffix)),
            alphabet: self.alphabet.clone().unwrap_or_default(),
        };
        let call = async |client: &Client, request| {
            let outcome = client.generate_codes(request, &asked).await?;
            Ok::<_, ClientError>((client.clone(), outcome))
        };
        let (request, (client, outcome)) = self.reach.change(&self.asking, call).await?;
        let GenerateCodesOutcome::Generated { first_slot, codes, guesses_per_hit } = outcome else {
            if let GenerateCodesOutcome::TooManyCodes(limit) = &outcome
                && !self.reach.json
            {
                print::line(past_limit(limit));
            } else {
                self.reach.answer(request, &outcome);
            }
            return Ok(Exit::Refused);
        };
        let read = self.read_back(&client, first_slot, codes).await;
        let read = read.map_err(|error| made_but("read", &error, codes, self.campaign, request))?;
        let said = format!(
            "generated {}; guessing one takes {} on average",
            print::count(codes, "code"),
            match guesses_per_hit {
                u64::MAX => "more than 10^19 attempts".to_owned(),
                guesses => print::count(guesses, "attempt"),
            }
        );
        if let Some(file) = file {
            let path = file.path.clone();
            let written = file.write(&read);
            written.map_err(|error| made_but("written", &error.into(), codes, self.campaign, request))?;
            match self.reach.json {
                true => print::json(&json!({ "request": request, "outcome": outcome, "out": path })),
                false => print::line(format_args!("{said}\nwritten to {}", path.display())),
            }
        } else if self.reach.json {
            print::json(&json!({ "request": request, "outcome": outcome, "codes": read }));
        } else {
            print::lines(&read.iter().map(|code| format!("{code}\n")).collect::<String>());
            print::complain(&said);
        }
        print::ensure_shown().map_err(|error| made_but("shown", &error.into(), codes, self.campaign, request))?;
        Ok(Exit::Done)
    }

    /// The codes, as they were added.
    async fn read_back(&self, client: &Client, first_slot: u32, codes: u32) -> anyhow::Result<Vec<String>> {
        let (status, usage) = (CodeFilter::All, UsageFilter::All);
        let mut asked = ListCodes { campaign: self.campaign, from_slot: first_slot, status, usage };
        let mut read = Vec::with_capacity(codes as usize);
        while read.len() < codes as usize {
            let ListCodesOutcome::Codes { codes: page, next, .. } = client.list_codes(&asked).await? else { break };
            let wanted = codes as usize - read.len();
            read.extend(page.into_iter().take(wanted).map(|row| row.code));
            match next {
                Some(next) => asked.from_slot = next,
                None => break,
            }
        }
        Ok(read)
    }
}

fn made_but(what: &str, why: &anyhow::Error, codes: u32, campaign: CampaignId, request: RequestId) -> MadeNotShown {
    MadeNotShown(format!(
        "{} were generated for campaign {campaign}, but could not be {what}; the same command with --request-id {request} gives the \
         same ones again: {}",
        print::count(codes, "code"),
        words_of(why)
    ))
}

/// The pattern of codes with a beginning and an end, which stand for themselves.
fn pattern(prefix: &str, length: u8, suffix: &str) -> String {
    let fixed = |text: &str| {
        text.chars().fold(String::new(), |mut pattern, sign| {
            if matches!(sign, '*' | '#' | '@' | '\\') {
                pattern.push('\\');
            }
            pattern.push(sign);
            pattern
        })
    };
    format!("{}{}{}", fixed(prefix), "*".repeat(length.into()), fixed(suffix))
}

/// A file that appears when all of it is written.
struct NewFile {
    path: PathBuf,
    file: NamedTempFile,
}

impl NewFile {
    /// One that can be written, before anything is asked for that it is to hold.
    fn beside(path: &Path) -> Result<NewFile, InputError> {
        let place = || path.display().to_string();
        if path.exists() {
            return Err(InputError { place: place(), why: "this file exists, and is not overwritten".into() });
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = NamedTempFile::new_in(folder).map_err(|why| InputError { place: place(), why: why.to_string() })?;
        Ok(NewFile { path: path.to_owned(), file })
    }

    fn write(mut self, codes: &[String]) -> Result<(), InputError> {
        let place = self.path.display().to_string();
        let mut written = || {
            let mut out = BufWriter::new(self.file.as_file_mut());
            codes.iter().try_for_each(|code| writeln!(out, "{code}"))?;
            out.flush()
        };
        written().map_err(|why| InputError { place: place.clone(), why: why.to_string() })?;
        let kept = self.file.persist_noclobber(&self.path);
        kept.map(drop).map_err(|why| InputError { place, why: why.error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Z8: what a code begins and ends with stands for itself, whatever it is.
    #[test]
    fn a_prefix_and_a_suffix_stand_for_themselves() {
        assert_eq!(pattern("", 16, ""), PATTERN);
        assert_eq!(pattern("A*B", 3, "#@\\"), "A\\*B***\\#\\@\\\\");
    }
}
