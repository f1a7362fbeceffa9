//! docs/formulas.md, the page for staff who write rules, agrees with the code: its tables are complete, and every example gives
//! the result on the page.

use std::collections::BTreeSet;
use std::fmt::Display;

use scrip_protocol::{FormulaFailure, Money, TopUpSource, Variable, Variables};
use scrip_rules::conditions::{CONDITIONS_BYTES_MAX, CONDITIONS_MAX};
use scrip_rules::formula::{DIGITS_MAX, FORMULA_BYTES_MAX, NESTING_MAX};
use scrip_rules::{Comparison, Conditions, Formula, PushText};

const PAGE: &str = include_str!("../../../docs/formulas.md");

/// The rows of the table whose first column has this heading, in cells.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let begin = format!("| {heading} |");
    let rows: Vec<_> = PAGE
        .lines()
        .skip_while(|line| !line.starts_with(&begin))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert!(!rows.is_empty(), "the page has a table of {heading}");
    rows
}

/// The text between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The first column of a table is exactly these, in order.
fn check_names(heading: &str, names: impl Iterator<Item = &'static str>) {
    let found: Vec<String> = table(heading).iter().map(|row| row[0].to_owned()).collect();
    let expected: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    assert_eq!(found, expected, "{heading}");
}

/// The values of the examples, from the page's own table.
fn example() -> Variables {
    let value = |variable: Variable| {
        let row = table("variable").into_iter().find(|row| quoted(row[0]) == [variable.word()]);
        row.unwrap_or_else(|| panic!("the page has a row of {variable}"))[2]
    };
    let money = |variable| value(variable).parse::<Money>().expect("an amount");
    Variables {
        amount: money(Variable::TopupAmountMajor),
        source: TopUpSource::named(value(Variable::TopUpSource)).expect("a source"),
        gaming: money(Variable::GamingBalanceMajor),
        bonus: money(Variable::BonusBalanceMajor),
        spent: money(Variable::TotalSpentMajor),
        sessions: value(Variable::SessionsCount).parse().expect("a number"),
    }
}

/// Every `text -> outcome` in blocks of this kind has that outcome.
fn check_examples(kind: &str, outcome: impl Fn(&str) -> String) {
    let fence = format!("```{kind}");
    let mut inside = false;
    let mut count = 0;
    for line in PAGE.lines() {
        if line.starts_with("```") {
            inside = line == fence;
        } else if inside {
            let (text, expected) = line.split_once(" -> ").unwrap_or_else(|| panic!("{line} has no outcome"));
            assert_eq!(outcome(text), expected, "{text}");
            count += 1;
        }
    }
    assert!(count > 1, "the page has examples of {kind}");
}

/// U2, U3, U4, A16, A17: variables, sources and comparisons, all and no other.
#[test]
fn the_tables_are_complete() {
    check_names("variable", Variable::ALL.into_iter().map(Variable::word));
    check_names("source", TopUpSource::ALL.into_iter().map(TopUpSource::word));
    check_names("comparison", Comparison::ALL.into_iter().map(Comparison::sign));
    for row in table("variable") {
        let name = quoted(row[0])[0];
        let is_said = |cell: &str| match cell {
            "yes" => true,
            "no" => false,
            other => panic!("{name}: {other}"),
        };
        assert_eq!(is_said(row[3]), Formula::parse(&format!("{{{{{name}}}}}")).is_ok(), "{name} in formulas");
        assert_eq!(is_said(row[4]), Conditions::parse(&format!("{name} = {}", value_for(name))).is_ok(), "{name} in conditions");
        assert_eq!(is_said(row[5]), PushText::parse(&format!("{{{{{name}}}}}")).is_ok(), "{name} in push texts");
    }
}

fn value_for(name: &str) -> &'static str {
    if name == Variable::TopUpSource.word() { TopUpSource::Cash.word() } else { "1" }
}

/// U5: the operators are those that the parser accepts, found by trying every sign of the keyboard and many others.
#[test]
fn the_operators_are_those_that_are_taken() {
    let accepts = |text: String| Formula::parse(&text).is_ok();
    let found: BTreeSet<char> = ('!'..='\u{2fff}')
        .filter(|c| !c.is_alphanumeric() && !c.is_whitespace() && *c != '.')
        .filter(|c| {
            accepts(format!("1{c}1")) || accepts(format!("{c}1")) || accepts(format!("{c}1)")) || accepts(format!("(1{c}"))
        })
        .collect();
    let said: BTreeSet<char> =
        table("operator").iter().flat_map(|row| quoted(row[0])).flat_map(str::chars).filter(|c| *c != ' ').collect();
    assert_eq!(said, found);
}

/// U4, U5: the limits.
#[test]
fn the_limits_are_those_of_the_code() {
    let thousands = |number: usize| match number {
        ..1_000 => number.to_string(),
        _ => format!("{},{:03}", number / 1_000, number % 1_000),
    };
    for said in [
        format!("A formula has at most {} bytes (a plain letter is one)", thousands(FORMULA_BYTES_MAX)),
        format!("Parentheses and minus signs nest at most {NESTING_MAX} deep"),
        format!("At most {DIGITS_MAX} digits before the point, and {DIGITS_MAX} after it"),
        format!("at most {CONDITIONS_MAX} conditions, in at most {} bytes", thousands(CONDITIONS_BYTES_MAX)),
    ] {
        assert!(PAGE.contains(&said), "the page must state: {said}");
    }
    assert!(PAGE.lines().count() < 150, "the page stays short");
}

/// U5, U6, A20: every formula of the page.
#[test]
fn formulas_have_the_results_on_the_page() {
    let variables = example();
    check_examples("formula", |text| {
        let formula = match Formula::parse(text) {
            Ok(formula) => formula,
            Err(problem) => return problem.to_string(),
        };
        // As an amount: it must fit in minor units as well.
        let credited = formula.evaluate(&variables).and_then(|exact| {
            let fits = |major: &i64| major.checked_mul(100).is_some();
            exact.round().filter(fits).ok_or(FormulaFailure::Overflow)
        });
        credited.map_or_else(|failure| failure.to_string(), |major| major.to_string())
    });
}

/// U4, U7, A19: every condition of the page.
#[test]
fn conditions_have_the_results_on_the_page() {
    let variables = example();
    let said = |conditions: Conditions| if conditions.hold(&variables) { "holds" } else { "does not hold" }.to_owned();
    check_examples("conditions", |text| outcome(Conditions::parse(text).map(said)));
}

/// U13: every push text of the page.
#[test]
fn push_texts_have_the_results_on_the_page() {
    let variables = example();
    check_examples("push", |text| outcome(PushText::parse(text).map(|push| push.render(&variables))));
}

fn outcome(result: Result<String, impl Display>) -> String {
    result.unwrap_or_else(|problem| problem.to_string())
}
