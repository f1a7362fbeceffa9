//! The language of conditions, by example.

use scrip_protocol::Money;

use super::*;

/// A client with 120.50 and 30 on the accounts tops up 500.
const TOP_UP: Variables = Variables {
    amount: Money(50_000),
    source: TopUpSource::PosTerminal,
    gaming: Money(12_050),
    bonus: Money(3_000),
    spent: Money(-234_560),
    sessions: 7,
};

/// The result for a text: what it prints and whether it holds, or the problem.
fn check(text: &str, expected: &str) {
    let found = match Conditions::parse(text) {
        Err(problem) => problem.to_string(),
        Ok(conditions) => {
            let printed = conditions.to_string();
            assert_eq!(Conditions::parse(&printed).as_ref(), Ok(&conditions), "{printed}");
            format!("{printed}: {}", if conditions.hold(&TOP_UP) { "holds" } else { "does not hold" })
        }
    };
    assert_eq!(found, expected, "{text:?}");
}

/// U4, U7: bounds as in the sources, half open, joined by AND in any letter case.
#[test]
fn the_conditions_of_the_sources() {
    check("topupAmountMajor >= 500", "topupAmountMajor >= 500: holds");
    check("topupAmountMajor>=500 and topupAmountMajor<1000", "topupAmountMajor >= 500 AND topupAmountMajor < 1000: holds");
    check("topupAmountMajor >= 1000", "topupAmountMajor >= 1000: does not hold");
    check("topUpSource = ACQUIRING", "topUpSource = ACQUIRING: does not hold");
    check(
        "topupAmountMajor >= 500 AND topupAmountMajor < 1000 AND topUpSource = POS_TERMINAL",
        "topupAmountMajor >= 500 AND topupAmountMajor < 1000 AND topUpSource = POS_TERMINAL: holds",
    );
    check("", ": holds");
    check(" \t\u{a0}\n", ": holds");
    let conditions = Conditions::parse("sessionsCount > 0 aNd topUpSource != CASH").expect("conditions");
    assert_eq!(
        conditions.iter().copied().collect::<Vec<_>>(),
        [
            Condition { variable: Variable::SessionsCount, comparison: Comparison::Gt, value: Value::Whole(0) },
            Condition { variable: Variable::TopUpSource, comparison: Comparison::Ne, value: Value::Source(TopUpSource::Cash) },
        ]
    );
    assert_eq!((conditions.len(), conditions.is_empty()), (2, false));
}

/// A17: every comparison, on both sides of its threshold and on it.
#[test]
fn every_comparison() {
    for (comparison, holds) in [
        ("=", [false, true, false]),
        ("!=", [true, false, true]),
        ("<", [false, false, true]),
        ("<=", [false, true, true]),
        (">", [true, false, false]),
        (">=", [true, true, false]),
    ] {
        for (threshold, holds) in [6, 7, 8].into_iter().zip(holds) {
            let text = format!("sessionsCount {comparison} {threshold}");
            assert_eq!(Conditions::parse(&text).expect("a condition").hold(&TOP_UP), holds, "{text}");
        }
    }
    for source in TopUpSource::ALL {
        let is_it = source == TopUpSource::PosTerminal;
        for (sign, expected) in [("=", is_it), ("!=", !is_it)] {
            let text = format!("topUpSource{sign}{source}");
            assert_eq!(Conditions::parse(&text).expect("a condition").hold(&TOP_UP), expected, "{text}");
        }
    }
}

/// A19: amounts compare to the minor unit, and thresholds cannot overflow.
#[test]
fn amounts_compare_in_minor_units() {
    check("gamingBalanceMajor > 120", "gamingBalanceMajor > 120: holds");
    check("gamingBalanceMajor >= 121", "gamingBalanceMajor >= 121: does not hold");
    check("gamingBalanceMajor = 120", "gamingBalanceMajor = 120: does not hold");
    check("totalSpentMajor < -2345", "totalSpentMajor < -2345: holds");
    check("totalSpentMajor < -2346", "totalSpentMajor < -2346: does not hold");
    check("bonusBalanceMajor = 0030", "bonusBalanceMajor = 30: holds");
    check("bonusBalanceMajor > -0", "bonusBalanceMajor > 0: holds");
    check("topupAmountMajor < 9223372036854775807", "topupAmountMajor < 9223372036854775807: holds");
    check("topupAmountMajor > -9223372036854775808", "topupAmountMajor > -9223372036854775808: holds");
    check("sessionsCount > -9223372036854775808", "sessionsCount > -9223372036854775808: holds");
    let just_below = Variables { amount: Money(49_999), ..TOP_UP };
    let threshold = Conditions::parse("topupAmountMajor >= 500").expect("a condition");
    assert!(threshold.hold(&TOP_UP) && !threshold.hold(&just_below));
}

/// A16: names have no braces, and are exactly these.
#[test]
fn problems_of_names() {
    let names = "topupAmountMajor, topUpSource, gamingBalanceMajor, bonusBalanceMajor, totalSpentMajor or sessionsCount";
    check(
        "topUpAmountMajor >= 500",
        &format!("character 1: expected the name of a variable: {names}, found topUpAmountMajor; did you mean topupAmountMajor?"),
    );
    check(
        "sessionsCount > 1 AND topupSource = CASH",
        &format!("character 23: expected the name of a variable: {names}, found topupSource; did you mean topUpSource?"),
    );
    check("amount > 1", &format!("character 1: expected the name of a variable: {names}, found amount"));
    check("sessionsCount > 1 AND", &format!("character 22: expected the name of a variable: {names}, found the end of the text"));
    check("AND sessionsCount > 1", &format!("character 1: expected the name of a variable: {names}, found AND"));
    check("{{topupAmountMajor}} >= 500", "character 1: expected a name without braces: names in conditions have none, found {");
    check("(sessionsCount > 1)", "character 1: expected no parentheses: conditions are joined by AND alone, found (");
    check("500 <= topupAmountMajor", "character 1: expected the variable first, as in topupAmountMajor >= 500, found 500");
}

/// A17: operators of other languages, each with the right spelling.
#[test]
fn problems_of_comparisons() {
    for (foreign, ours) in
        [("==", "="), ("=>", ">="), ("=<", "<="), ("<>", "!="), ("≥", ">="), ("≤", "<="), ("≠", "!="), ("⩾", ">="), ("⩽", "<=")]
    {
        check(&format!("sessionsCount {foreign} 5"), &format!("character 15: expected {ours}, found {foreign}"));
        check(&format!("sessionsCount{foreign}5"), &format!("character 14: expected {ours}, found {foreign}"));
    }
    let comparison = "a comparison: =, !=, <, <=, > or >=";
    check("sessionsCount", &format!("character 14: expected {comparison}, found the end of the text"));
    check("sessionsCount 5", &format!("character 15: expected {comparison}, found 5"));
    check("sessionsCount is 5", &format!("character 15: expected {comparison}, found is"));
    check("sessionsCount ! 5", &format!("character 15: expected {comparison}, found !"));
    check("topUpSource >= CASH", "character 13: expected = or !=: topUpSource is a word, without an order, found >=");
    check("topUpSource<CASH", "character 12: expected = or !=: topUpSource is a word, without an order, found <");
}

/// U4: thresholds are whole numbers.
#[test]
fn problems_of_numbers() {
    let whole = "a whole number: thresholds are whole major units";
    check("topupAmountMajor >= 500.5", &format!("character 21: expected {whole}, found 500.5"));
    check("topupAmountMajor >= -500.50 AND", &format!("character 21: expected {whole}, found -500.50"));
    check("topupAmountMajor >= 1,000", &format!("character 21: expected {whole}, found 1,000"));
    check("topupAmountMajor >= 500,5", &format!("character 21: expected {whole}, found 500,5"));
    check("topupAmountMajor >= 500.", "character 24: expected AND or the end of the conditions, found .");
    check("topupAmountMajor >= 5e3", "character 21: expected a whole number, with white space after it, found 5e3");
    check("topupAmountMajor >= 500AND", "character 21: expected a whole number, with white space after it, found 500AND");
    check("topupAmountMajor >= - 5", "character 22: expected a digit after the minus sign, found a space");
    check("topupAmountMajor >= −5", "character 21: expected the minus sign of the keyboard, -, found −");
    let number = "a whole number, which topupAmountMajor is compared with";
    check("topupAmountMajor >=", &format!("character 20: expected {number}, found the end of the text"));
    check("topupAmountMajor >= +5", &format!("character 21: expected {number}, found +"));
    check("topupAmountMajor >= CASH", &format!("character 21: expected {number}, found CASH"));
    check("topupAmountMajor >== 5", &format!("character 20: expected {number}, found ="));
    let another = "a whole number: a variable is not compared with another";
    check("topupAmountMajor > totalSpentMajor", &format!("character 20: expected {another}, found totalSpentMajor"));
    check("topupAmountMajor > {{totalSpentMajor}}", &format!("character 20: expected {another}, found {{"));
    check(
        "sessionsCount > 9223372036854775808",
        "character 17: expected a whole number from -9223372036854775808 to 9223372036854775807, found 9223372036854775808",
    );
}

/// U2, U4: the source is compared with one of its words.
#[test]
fn problems_of_sources() {
    let source = "a source: ACQUIRING, POS_TERMINAL or CASH";
    check("topUpSource = acquiring", &format!("character 15: expected {source}, found acquiring; did you mean ACQUIRING?"));
    check(
        "topUpSource = POSTERMINAL",
        &format!("character 15: expected {source}, found POSTERMINAL; did you mean POS_TERMINAL?"),
    );
    check("topUpSource = card", &format!("character 15: expected {source}, found card"));
    check("topUpSource = 5", &format!("character 15: expected {source}, found 5"));
    check("topUpSource =", &format!("character 14: expected {source}, found the end of the text"));
    check("topUpSource = \"CASH\"", "character 15: expected a source without quotes: ACQUIRING, POS_TERMINAL or CASH, found \"");
}

/// A17: AND alone.
#[test]
fn problems_of_joining() {
    let rules = "AND: what is joined by OR makes two rules";
    check("sessionsCount > 1 OR sessionsCount < 5", &format!("character 19: expected {rules}, found OR"));
    check("sessionsCount > 1 or", &format!("character 19: expected {rules}, found or"));
    check("sessionsCount > 1 || sessionsCount < 5", &format!("character 19: expected {rules}, found ||"));
    check("sessionsCount > 1 && sessionsCount < 5", "character 19: expected AND between conditions, found &&");
    check("sessionsCount > 1, sessionsCount < 5", "character 18: expected AND between conditions, found ,");
    check("sessionsCount > 1 sessionsCount < 5", "character 19: expected AND or the end of the conditions, found sessionsCount");
    check("sessionsCount > 1 < 5", "character 19: expected AND or the end of the conditions, found <");
    check(
        "topUpSource = CASH ANDsessionsCount > 1",
        "character 20: expected AND or the end of the conditions, found ANDsessionsCount",
    );
}

/// U4: as many conditions, and as long, as allowed, and one more.
#[test]
fn limits() {
    let some = |count: usize, one: &str| vec![one; count].join(" AND ");
    check(&some(32, "sessionsCount>1"), &format!("{}: holds", some(32, "sessionsCount > 1")));
    check(&some(33, "sessionsCount>1"), "character 641: expected at most 32 conditions, found sessionsCount");
    // So long that spaces do not fit.
    let tight = some(32, "topupAmountMajor>=-1234567");
    assert_eq!(tight.len(), 987);
    check(&tight, &format!("{tight}: holds"));
    check(&format!("{tight}{}", " ".repeat(13)), &format!("{tight}: holds"));
    check(&format!("{tight}{}", " ".repeat(14)), "character 1001: expected at most 1000 bytes, found a text of 1001 bytes");
    for hostile in ["{", "-", "(", "AND ", "=", "1", "sessionsCount"] {
        let problem = Conditions::parse(&hostile.repeat(1_000 / hostile.len())).expect_err("no conditions");
        assert_eq!(problem.at, 1, "{hostile}");
    }
}
