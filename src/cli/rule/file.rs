//! A rule in a file: its terms in JSON, with the identifiers of the protocol (A16).
//!
//! The JSON output of `scrip rule show` and `scrip rule list` is accepted too; only its terms are used. An unknown identifier is
//! an error that names its position: a part of a rule that is not understood must never be silently ignored.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use scrip_protocol::command::RuleTerms;
use serde::Deserialize;
use serde_json::Value;

use crate::exit::InputError;

/// The largest accepted file: many times the size of the largest rule.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A line printed by `scrip rule list --json`.
#[derive(Deserialize)]
struct Card {
    terms: RuleTerms,
}

/// The output of `scrip rule show --json`.
#[derive(Deserialize)]
struct Shown {
    rule: Card,
}

/// Reads a rule from a file; `-` is standard input.
pub(super) fn read(path: &Path) -> Result<RuleTerms, InputError> {
    let is_standard_input = path.as_os_str() == "-";
    let name = if is_standard_input { "standard input".to_owned() } else { path.display().to_string() };
    let fault = |why: String| InputError { place: name.clone(), why };
    let mut bytes = Vec::new();
    let read = match is_standard_input {
        true => io::stdin().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes),
        false => File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)),
    };
    read.map_err(|error| fault(error.to_string()))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(fault("larger than 1 MiB, which no rule needs".into()));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| fault("not valid UTF-8".into()))?;
    parse(text.trim_start_matches('\u{feff}')).map_err(|(place, why)| match place {
        Some(place) => InputError { place: format!("{name}: {place}"), why },
        None => fault(why),
    })
}

/// The rule; or the position of the error, and the reason.
fn parse(text: &str) -> Result<RuleTerms, (Option<String>, String)> {
    let fault = |error: serde_json::Error| fault(text, &error);
    let value: Value = serde_json::from_str(text).map_err(fault)?;
    let terms = match (value.get("terms"), value.pointer("/rule/terms")) {
        (Some(_), _) => serde_json::from_str::<Card>(text).map(|card| card.terms),
        (None, Some(_)) => serde_json::from_str::<Shown>(text).map(|shown| shown.rule.terms),
        (None, None) => serde_json::from_str(text),
    };
    terms.map_err(fault)
}

fn fault(text: &str, error: &serde_json::Error) -> (Option<String>, String) {
    let (line, column) = (error.line(), error.column());
    let why = error.to_string();
    let Some(why) = why.strip_suffix(&format!(" at line {line} column {column}")) else { return (None, why) };
    let (line, column) = place_of_unknown(text, line, column, why).unwrap_or((line, column));
    (Some(format!("line {line}, column {column}")), why.to_owned())
}

/// The position of an unknown identifier. For an identifier in an action, serde reports the end of the action: the identifier is
/// the last one with its spelling before that.
fn place_of_unknown(text: &str, line: usize, column: usize, why: &str) -> Option<(usize, usize)> {
    let word = ["unknown field `", "unknown variant `"].iter().find_map(|words| why.strip_prefix(words))?.split('`').next()?;
    let line_begins: usize = text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    let at = text.get(..line_begins + column)?.rfind(&format!("\"{word}\""))?;
    let before = &text[..at];
    Some((before.matches('\n').count() + 1, before.chars().rev().take_while(|c| *c != '\n').count() + 1))
}

#[cfg(test)]
mod tests {
    use scrip_protocol::command::{Action, Push};

    use super::*;

    const RULE: &str = r#"{
  "name": "Cash",
  "active": true,
  "clubIds": [1, 2],
  "event": "BALANCE_TOPPED_UP",
  "conditions": "topUpSource = CASH",
  "actions": [
    {"type": "ADD_BONUS", "formula": "50"},
    {"type": "ASSIGN_GROUP", "group": 1},
    {"type": "UNASSIGN_GROUP", "group": 2},
    {"type": "SEND_PUSH", "title": "Thanks", "body": "50 for you"}
  ]
}"#;

    /// U12: all four actions. A rule that was printed is read as the same rule.
    #[test]
    fn printed_rules_are_accepted_as_input() {
        let terms = parse(RULE).expect("it is a rule");
        let push = Push { title: "Thanks".into(), body: "50 for you".into() };
        assert_eq!((terms.actions.len(), &terms.actions[3]), (4, &Action::SendPush(push)));
        let printed = serde_json::to_string(&terms).expect("terms are serializable");
        let card = format!(r#"{{"rule": 3, "terms": {printed}, "fired": 12}}"#);
        let shown = format!(r#"{{"rule": {card}}}"#);
        for text in [printed, card, shown] {
            assert_eq!(parse(&text), Ok(terms.clone()), "{text}");
        }
    }

    /// A16: identifiers are matched exactly; an unknown one is an error that names its position.
    #[test]
    fn an_unknown_identifier_is_reported_with_its_position() {
        let changed = |from: &str, to: &str| {
            assert!(RULE.contains(from), "{from}");
            parse(&RULE.replace(from, to)).expect_err("it is no rule")
        };
        let cases = [
            ("clubIds", "clubids", (4, 3), "unknown field `clubids`"),
            ("BALANCE_TOPPED_UP", "BALANCE_TOPPED", (5, 12), "unknown variant `BALANCE_TOPPED`"),
            ("ADD_BONUS", "AWARD_BONUSES", (8, 14), "unknown variant `AWARD_BONUSES`"),
            ("formula", "formel", (8, 27), "unknown field `formel`"),
            ("\"body\"", "\"text\"", (11, 46), "unknown field `text`"),
            ("\"active\": true", "\"active\": 1", (3, 13), "invalid type: integer `1`, expected a boolean"),
            ("true,", "true", (4, 3), "expected `,` or `}`"),
        ];
        for (from, to, (line, column), words) in cases {
            let (place, why) = changed(from, to);
            assert_eq!(place, Some(format!("line {line}, column {column}")), "{why}");
            assert!(why.contains(words) && !why.contains(" at line "), "{why}");
        }
    }
}
