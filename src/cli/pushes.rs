//! `scrip pushes`: the push notifications that rules have sent, read from the journal.
//!
//! The journal is their outbox: a notification is part of the top-up's record, so none exists without its top-up and none is
//! lost. The engine does not track delivery: each notification has a permanent id, and the program that delivers them remembers
//! the last one.

use std::fmt;
use std::str::FromStr;

use clap::Args;
use scrip_client::Tailing;
use scrip_protocol::batch::Batch;
use scrip_protocol::command::{Push, ToppedUp};
use scrip_protocol::{ClientId, InvalidId, Position, RuleId};
use serde::Serialize;

use crate::exit::Exit;
use crate::print;
use crate::reach::Reach;

/// Print push notifications of rules as JSON lines, oldest first
///
/// For the program that delivers them. Each notification has an id that never changes: the position of its top-up and the number
/// of its rule. Store the id of the last notification you delivered, and continue after it with --after. After a crash, at most
/// the one being delivered is printed again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  scrip pushes --follow
  scrip pushes --after 1207-3 --follow")]
pub(crate) struct Pushes {
    /// Position of the first record to look at
    #[arg(long, default_value = "1", value_name = "POSITION", conflicts_with = "after")]
    from: Position,
    /// Only notifications after the one with this id
    #[arg(long, value_name = "ID")]
    after: Option<PushId>,
    /// Keep running and print new notifications
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    reach: Reach,
}

/// The id of a notification. The notifications of one top-up are ordered by the numbers of their rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct PushId {
    top_up: Position,
    rule: RuleId,
}

impl fmt::Display for PushId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.top_up, self.rule)
    }
}

impl FromStr for PushId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<PushId, InvalidId> {
        let parts = text.split_once('-').and_then(|(top_up, rule)| Some((top_up.parse().ok()?, rule.parse().ok()?)));
        let expected = "the id of a push notification (a top-up and a rule, such as 1207-3)";
        let wrong = || InvalidId { text: text.to_owned(), expected };
        parts.map(|(top_up, rule)| PushId { top_up, rule }).ok_or_else(wrong)
    }
}

#[derive(Serialize)]
struct Line<'a> {
    id: String,
    at_ms: u64,
    client: ClientId,
    rule: RuleId,
    title: &'a str,
    body: &'a str,
}

impl Pushes {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        let from = self.after.map_or(self.from, |after| after.top_up);
        let mut tailing = Tailing::start(self.reach.dial()?, from, self.follow).await?;
        while let Some(bytes) = tailing.next().await? {
            let batch = Batch::parse(&bytes)?;
            for item in batch.records_of::<ToppedUp>() {
                let (top_up, record) = item?;
                for fired in &record.fired {
                    let id = PushId { top_up, rule: fired.rule };
                    let is_wanted = top_up >= from && self.after.is_none_or(|after| id > after);
                    if let (Some(Push { title, body }), true) = (&fired.push, is_wanted) {
                        let (id, at_ms) = (id.to_string(), batch.time_ms);
                        print::json(&Line { id, at_ms, client: record.client, rule: fired.rule, title, body });
                    }
                }
            }
            if print::is_over() {
                break;
            }
        }
        Ok(Exit::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_printed() {
        let id = PushId { top_up: Position(1_207), rule: RuleId(3) };
        assert_eq!((id.to_string().as_str(), "1207-3".parse()), ("1207-3", Ok(id)));
        for text in ["", "1207", "1207-", "-3", "1207-3-1", "a-b"] {
            assert!(text.parse::<PushId>().is_err(), "{text}");
        }
    }
}
