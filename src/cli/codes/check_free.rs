//! `scrip codes check`: whether codes are free to be added to a campaign (Z6, K7).

use clap::Args;
use scrip_lists::Parts;
use scrip_protocol::command::{CheckFreeOutcome, CodeFree, CodeTexts};
use serde_json::json;

use crate::cli::lists::{Given, SomeCodes};
use crate::exit::{Exit, InputError};
use crate::print;
use crate::progress::Progress;
use crate::reach::Reach;

/// How many of a list's codes that are not free are printed for people.
const SHOWN: usize = 20;

/// Show which codes are free to be added, and which campaigns hold the others
///
/// Changes nothing. The exit code is 0 if all codes are free. To check whether codes can be redeemed, use `scrip check`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  scrip codes check SPRING-1 SPRING-2
  scrip codes check --file codes.xlsx")]
pub(super) struct Check {
    #[command(flatten)]
    codes: SomeCodes,
    #[command(flatten)]
    reach: Reach,
}

impl Check {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let mut given = self.codes.open()?;
        let is_list = matches!(given, Given::Listed(_));
        let places = given.places();
        let client = self.reach.client().await?;
        let head = if is_list { ["  PLACE", "CODE", "VERDICT"].as_slice() } else { &["CODE", "VERDICT"] };
        let mut rows = Vec::new();
        let (mut free, mut taken) = (0_u64, 0_u64);
        let mut progress = Progress::new("checking the list");
        let mut parts = Parts::of(given.lines()?);
        while let Some(part) = parts.next().transpose()? {
            // Blank lines of a list only count towards its line numbers.
            let lines = (part.first_line..).zip(part.lines.iter().map(str::trim));
            let lines: Vec<(u32, &str)> = lines.filter(|(_, code)| !is_list || !code.is_empty()).collect();
            let codes: CodeTexts = lines.iter().map(|(_, code)| code).collect();
            let CheckFreeOutcome::Checked { codes: verdicts, .. } = client.check_free(codes).await? else {
                let why = "too many codes for one request".to_owned();
                return Err(InputError { place: "arguments".into(), why }.into());
            };
            progress.at_line(part.number, None, part.last_line());
            for ((number, code), verdict) in lines.into_iter().zip(verdicts) {
                match verdict {
                    CodeFree::Free => free += 1,
                    CodeFree::HeldBy(_) | CodeFree::Invalid(_) => taken += 1,
                }
                if self.reach.json {
                    print::json(&json!({ "line": number, "code": code, "verdict": verdict }));
                } else if !is_list {
                    rows.push(vec![code.to_owned(), verdict.to_string()]);
                } else if verdict != CodeFree::Free && rows.len() < SHOWN {
                    let place = places.as_ref().map_or(String::new(), |places| places.of(number));
                    rows.push(vec![format!("  {place}"), print::cut(code, 64), verdict.to_string()]);
                }
            }
        }
        drop(progress);
        if !self.reach.json {
            if is_list {
                print::line(format_args!("free {}, not free {}", print::grouped(free), print::grouped(taken)));
            }
            if !rows.is_empty() {
                print::table(head, &rows);
            }
            if is_list && taken > rows.len() as u64 {
                print::line(format_args!("  and {} more; --json lists all codes", print::grouped(taken - rows.len() as u64)));
            }
        }
        Ok(if taken == 0 { Exit::Done } else { Exit::Refused })
    }
}
