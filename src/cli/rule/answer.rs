//! The engine's verdict on a rule, for people: where a text is invalid, and the lint findings (Z12).

use scrip_protocol::Money;
use scrip_protocol::command::{Action, InvalidRule, Lint, PushPart, RuleTerms, StackedRate};

use crate::print;

/// How many characters are shown before and after the marked one.
const AROUND_CHARS: usize = 50;

/// Prints the invalid text with a mark under the position of the error, if a text is at fault.
pub(super) fn print_place(terms: &RuleTerms, why: &InvalidRule) {
    let (text, at) = match why {
        InvalidRule::Conditions(problem) => (terms.conditions.as_str(), problem.at),
        InvalidRule::Formula(problem) => (formula(terms), problem.at),
        InvalidRule::Push { part, problem } => (push(terms, *part), problem.at),
        InvalidRule::Name
        | InvalidRule::Description
        | InvalidRule::TooManyClubs
        | InvalidRule::UnknownClub(_)
        | InvalidRule::Actions
        | InvalidRule::SecondAction(_)
        | InvalidRule::UnknownGroup(_)
        | InvalidRule::PushEmpty(_)
        | InvalidRule::PushTooLong { .. }
        | InvalidRule::Tags(_) => return,
    };
    let [text, mark] = pointed(text, at);
    print::line(format_args!("  {text}\n  {mark}"));
}

fn formula(terms: &RuleTerms) -> &str {
    let of = |action: &'_ Action| matches!(action, Action::AddBonus { .. });
    match terms.actions.iter().find(|action| of(action)) {
        Some(Action::AddBonus { formula }) => formula,
        Some(Action::AssignGroup { .. } | Action::UnassignGroup { .. } | Action::SendPush(_)) | None => "",
    }
}

fn push(terms: &RuleTerms, part: PushPart) -> &str {
    let push = terms.actions.iter().find_map(|action| if let Action::SendPush(push) = action { Some(push) } else { None });
    match (push, part) {
        (Some(push), PushPart::Title) => &push.title,
        (Some(push), PushPart::Body) => &push.body,
        (None, _) => "",
    }
}

/// A text on one line, cut around a position if it is long, and a line that marks the position: a character, counted from 1.
fn pointed(text: &str, at: u32) -> [String; 2] {
    let visible = |c: char| match c {
        c if c.is_whitespace() => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    let characters: Vec<char> = text.chars().map(visible).collect();
    let at = (at as usize).saturating_sub(1).min(characters.len());
    let (from, to) = (at.saturating_sub(AROUND_CHARS), characters.len().min(at + AROUND_CHARS));
    let (before, after) = (if from > 0 { "…" } else { "" }, if to < characters.len() { "…" } else { "" });
    let shown: String = characters[from..to].iter().collect();
    let indent = before.chars().count() + at - from;
    [format!("{before}{shown}{after}"), format!("{}^", " ".repeat(indent))]
}

/// Prints the lint findings, and what all rules together credit.
pub(super) fn print_lint(lint: &Lint) {
    let findings: Vec<_> = lint.findings.iter().map(|finding| vec![format!("- {finding}")]).collect();
    print::table(&[""], &findings);
    if !lint.stacked.is_empty() {
        print::line(
            "credits of all active rules together for a new client at this rule's first club, from the source that yields most:",
        );
        let rows: Vec<_> = lint.stacked.iter().map(row).collect();
        print::table(&[">AMOUNT", "SOURCE", ">CREDITED", ">RATE", ">RULES"], &rows);
    }
}

fn row(rate: &StackedRate) -> Vec<String> {
    let StackedRate { amount, source, credited, rules } = rate;
    vec![amount.to_string(), source.to_string(), credited.to_string(), percentage(*credited, *amount), rules.to_string()]
}

/// One amount as a percentage of another, with one decimal.
pub(super) fn percentage(of: Money, whole: Money) -> String {
    if whole.0 <= 0 || of.0 < 0 {
        return "-".to_owned();
    }
    let (of, whole) = (of.0.unsigned_abs() as u128, whole.0.unsigned_abs() as u128);
    // Half of a tenth is rounded up.
    let tenths = (of * 2_000 + whole) / (whole * 2);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_under_the_position() {
        let check = |text: &str, at: u32, expected: [&str; 2]| assert_eq!(pointed(text, at), expected, "{text:?} at {at}");
        check("{{amount}} * 2", 3, ["{{amount}} * 2", "  ^"]);
        check("2 *", 4, ["2 *", "   ^"]);
        check("", 1, ["", "^"]);
        check("a\nb\tc\u{1b}d", 5, ["a b c\u{fffd}d", "    ^"]);
        // A position past the end, which the engine never returns.
        check("ab", 9, ["ab", "  ^"]);
        let long = format!("{}?{}", "a".repeat(200), "b".repeat(200));
        let [text, mark] = pointed(&long, 201);
        assert_eq!((text.chars().count(), text.chars().nth(mark.len() - 1)), (102, Some('?')));
    }

    #[test]
    fn rates_are_rounded_once() {
        let cases = [(50, 1_000, "5.0 %"), (370, 1_000, "37.0 %"), (1, 3, "33.3 %"), (1, 1_600, "0.1 %"), (1, 2_000, "0.1 %")];
        for (of, whole, expected) in cases {
            assert_eq!(percentage(Money(of), Money(whole)), expected);
        }
        assert_eq!(percentage(Money(1), Money(0)), "-");
        assert_eq!(percentage(Money(i64::MAX), Money(1)), "922337203685477580700.0 %");
    }
}
