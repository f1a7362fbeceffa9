//! The language of formulas, by example.

use scrip_protocol::{Money, TopUpSource, Variable, Variables};

use super::*;

/// A client with 120.50 and 30 on the accounts tops up 500.
const TOP_UP: Variables = Variables {
    amount: Money(50_000),
    source: TopUpSource::Cash,
    gaming: Money(12_050),
    bonus: Money(3_000),
    spent: Money(-234_560),
    sessions: 7,
};

/// The result for a text: `canonical text = exact result, rounded`, or why it has no result, or the problem.
fn check(text: &str, expected: &str) {
    let found = match Formula::parse(text) {
        Err(problem) => problem.to_string(),
        Ok(formula) => {
            let printed = formula.to_string();
            assert_eq!(Formula::parse(&printed).as_ref(), Ok(&formula), "{printed}");
            match formula.evaluate(&TOP_UP) {
                Err(failure) => format!("{printed} = {failure}"),
                Ok(exact) => match exact.round() {
                    Some(rounded) => format!("{printed} = {exact}, {rounded}"),
                    None => format!("{printed} = {exact}, too much"),
                },
            }
        }
    };
    assert_eq!(found, expected, "{text:?}");
}

/// U5, U6: every formula of the sources, with what it gives for a top-up of 500.
#[test]
fn the_formulas_of_the_sources() {
    check("{{topupAmountMajor}} * 0.1", "{{topupAmountMajor}} * 0.1 = 50, 50");
    check("{{topupAmountMajor}} * 0.10", "{{topupAmountMajor}} * 0.1 = 50, 50");
    check("{{topupAmountMajor}} * 0.15", "{{topupAmountMajor}} * 0.15 = 75, 75");
    check("{{topupAmountMajor}} * 0.20", "{{topupAmountMajor}} * 0.2 = 100, 100");
    check("{{topupAmountMajor}} * 0.12", "{{topupAmountMajor}} * 0.12 = 60, 60");
    check("{{topupAmountMajor}} * 0.05", "{{topupAmountMajor}} * 0.05 = 25, 25");
    check("{{topupAmountMajor}} * 0.05 + 50", "{{topupAmountMajor}} * 0.05 + 50 = 75, 75");
}

/// U3, A21: every variable that is a number, in major units.
#[test]
fn variables_are_in_major_units() {
    check("{{topupAmountMajor}}", "{{topupAmountMajor}} = 500, 500");
    check("{{gamingBalanceMajor}}", "{{gamingBalanceMajor}} = 120.5, 121");
    check("{{bonusBalanceMajor}}", "{{bonusBalanceMajor}} = 30, 30");
    check("{{totalSpentMajor}}", "{{totalSpentMajor}} = -2345.6, -2346");
    check("{{sessionsCount}}", "{{sessionsCount}} = 7, 7");
    check("{{ \t topupAmountMajor \u{a0}\n}}", "{{topupAmountMajor}} = 500, 500");
    let formula = Formula::parse("{{sessionsCount}} - {{topupAmountMajor}} * {{sessionsCount}}").expect("a formula");
    assert_eq!(formula.variables().collect::<Vec<_>>(), [Variable::TopupAmountMajor, Variable::SessionsCount]);
}

/// U5: products before sums, from the left, and parentheses kept where they are needed.
#[test]
fn precedence() {
    check("1+2*3", "1 + 2 * 3 = 7, 7");
    check("(1+2)*3", "(1 + 2) * 3 = 9, 9");
    check("((1)) + (2*3)", "1 + 2 * 3 = 7, 7");
    check("10-3-2", "10 - 3 - 2 = 5, 5");
    check("10-(3-2)", "10 - (3 - 2) = 9, 9");
    check("(10-3)-2", "10 - 3 - 2 = 5, 5");
    check("1+(2+3)", "1 + (2 + 3) = 6, 6");
    check("16/4/2", "16 / 4 / 2 = 2, 2");
    check("16/(4/2)", "16 / (4 / 2) = 8, 8");
    check("2*(3*4)", "2 * (3 * 4) = 24, 24");
    check("2/3*3", "2 / 3 * 3 = 2, 2");
}

/// U5: a minus belongs to the operand right after it.
#[test]
fn a_minus_before_anything() {
    check("-5+3", "-5 + 3 = -2, -2");
    check("-(5+3)", "-(5 + 3) = -8, -8");
    check("-(5*3)", "-(5 * 3) = -15, -15");
    check("-5*3", "-5 * 3 = -15, -15");
    check("2*-3", "2 * -3 = -6, -6");
    check("2--3", "2 - -3 = 5, 5");
    check("2-(-3)", "2 - -3 = 5, 5");
    check("--3", "--3 = 3, 3");
    check("- - {{sessionsCount}}", "--{{sessionsCount}} = 7, 7");
    check("0.0 - 0", "0 - 0 = 0, 0");
}

/// U6, A20, pain 28: rounded once, at the end, ties away from zero; nothing like the noise of 0.1 + 0.2.
#[test]
fn rounding_happens_once() {
    check("0.1 + 0.2 - 0.3", "0.1 + 0.2 - 0.3 = 0, 0");
    check("2.5", "2.5 = 2.5, 3");
    check("-2.5", "-2.5 = -2.5, -3");
    check("0.5", "0.5 = 0.5, 1");
    check("-0.5", "-0.5 = -0.5, -1");
    check("0.4999", "0.4999 = 0.4999, 0");
    check("{{topupAmountMajor}} * 0.333", "{{topupAmountMajor}} * 0.333 = 166.5, 167");
    check("0.5 + 0.5 + 0.5", "0.5 + 0.5 + 0.5 = 1.5, 2");
    check("1/3 + 1/6", "1 / 3 + 1 / 6 = 0.5, 1");
    check("1/3*3 - 1", "1 / 3 * 3 - 1 = 0, 0");
    check("100/3", "100 / 3 = 100/3, 33");
}

/// A20: the formula fails for this top-up, with a reason.
#[test]
fn division_by_zero() {
    check("1/0", "1 / 0 = division by zero");
    check("0/0", "0 / 0 = division by zero");
    check("1/0.000", "1 / 0 = division by zero");
    check(
        "1/({{bonusBalanceMajor}}-{{bonusBalanceMajor}})",
        "1 / ({{bonusBalanceMajor}} - {{bonusBalanceMajor}}) = division by zero",
    );
    check(
        "{{topupAmountMajor}}/(30-{{bonusBalanceMajor}})",
        "{{topupAmountMajor}} / (30 - {{bonusBalanceMajor}}) = division by zero",
    );
    check("0*(1/0)", "0 * (1 / 0) = division by zero");
    check("0/5", "0 / 5 = 0, 0");
}

/// A20: intermediate results beyond 128 bits are exact.
#[test]
fn nothing_overflows_on_the_way() {
    let huge = "999999999999999999.999999999999999999";
    check(&format!("{huge}*{huge}*{huge}/{huge}/{huge}/{huge}"), &format!("{0} * {0} * {0} / {0} / {0} / {0} = 1, 1", huge));
    check(
        "999999999999999999 * 999999999999999999",
        "999999999999999999 * 999999999999999999 = 999999999999999998000000000000000001, too much",
    );
    let most = Variables { amount: Money(i64::MAX), gaming: Money(i64::MIN), ..TOP_UP };
    let result = |text: &str| Formula::parse(text).expect("a formula").evaluate(&most).expect("no division by zero");
    let square = "{{topupAmountMajor}} * {{gamingBalanceMajor}}";
    assert_eq!(
        result(&format!("{square} * ({square}) / ({square}) / {{{{gamingBalanceMajor}}}}")).to_string(),
        "92233720368547758.07"
    );
    assert_eq!(result(&vec!["{{topupAmountMajor}}"; 23].join("*")).round(), None);
}

/// A16, U5: names are in double braces, and are exactly these.
#[test]
fn problems_of_names() {
    let numbers = "topupAmountMajor, gamingBalanceMajor, bonusBalanceMajor, totalSpentMajor or sessionsCount";
    check(
        "topupAmountMajor * 0.1",
        "character 1: expected {{topupAmountMajor}}: names need double braces, found topupAmountMajor",
    );
    check("0.1 * sessionsCount", "character 7: expected {{sessionsCount}}: names need double braces, found sessionsCount");
    check(
        "topUpAmountMajor * 0.1",
        "character 1: expected a name in double braces, as in {{topupAmountMajor}}, found topUpAmountMajor; \
         did you mean topupAmountMajor?",
    );
    check(
        "{{topUpAmountMajor}} * 0.1",
        &format!(
            "character 3: expected the name of a variable: {numbers}, found topUpAmountMajor; did you mean topupAmountMajor?"
        ),
    );
    check("1 + {{ amount }}", &format!("character 8: expected the name of a variable: {numbers}, found amount"));
    check("{{}}", &format!("character 3: expected the name of a variable: {numbers}, found }}"));
    check("{{", &format!("character 3: expected the name of a variable: {numbers}, found the end of the text"));
    check("{topupAmountMajor}", "character 1: expected double braces, as in {{topupAmountMajor}}, found {");
    check("{{{topupAmountMajor}}}", &format!("character 3: expected the name of a variable: {numbers}, found {{"));
    check("{{topupAmountMajor}}}", "character 21: expected double braces, as in {{topupAmountMajor}}, found }");
    check("{{topupAmountMajor} * 2", "character 19: expected }} after topupAmountMajor, found }");
    check("{{topupAmountMajor * 2}}", "character 20: expected }} after topupAmountMajor, found *");
    check("{{topupAmountMajor", "character 19: expected }} after topupAmountMajor, found the end of the text");
    check("max(1, 2)", "character 1: expected a number, a variable such as {{topupAmountMajor}}, ( or -, found max");
}

/// A16: the source is a word. The problem explains that with braces and without, in any letter case.
#[test]
fn problems_of_the_source() {
    let expected = "a number: topUpSource is a word; use it in conditions and push texts";
    check("2 * {{topUpSource}}", &format!("character 7: expected {expected}, found topUpSource"));
    check("{{ topupsource }}", &format!("character 4: expected {expected}, found topupsource"));
    check("topUpSource", &format!("character 1: expected {expected}, found topUpSource"));
}

/// U5: numbers have a point, digits on both sides of it, and no exponent.
#[test]
fn problems_of_numbers() {
    check("0,5", "character 2: expected a point before decimals, as in 0.5, and nothing between thousands, found ,");
    check("1,000", "character 2: expected a point before decimals, as in 0.5, and nothing between thousands, found ,");
    check(".5", "character 1: expected a digit before the point, as in 0.5, found .");
    check("1 + 5.", "character 7: expected a digit after the point, as in 5.0, found the end of the text");
    check("5.*2", "character 3: expected a digit after the point, as in 5.0, found *");
    check("1.2.3", "character 4: expected one point in a number at most, found .");
    check("1..2", "character 3: expected one point in a number at most, found .");
    check("1e3", "character 2: expected all digits of the number, as in 1000 for 1e3, found e3");
    check("1.5E10", "character 4: expected all digits of the number, as in 1000 for 1e3, found E10");
    check("1 000", "character 3: expected +, -, *, / or the end of the formula, found 000");
    check("1_000", "character 2: expected a number, a variable such as {{topupAmountMajor}}, ( or -, found _000");
    check("٣", "character 1: expected a number, a variable such as {{topupAmountMajor}}, ( or -, found ٣");
    let digits = "1234567890123456789";
    check(digits, &format!("character 1: expected at most 18 digits before the point, found {digits}"));
    check(&format!("0.{digits}"), &format!("character 3: expected at most 18 digits after the point, found {digits}"));
    check(
        "123456789012345678.012345678901234567",
        "123456789012345678.012345678901234567 = 123456789012345678.012345678901234567, 123456789012345678",
    );
}

/// U5: signs of books and of other languages, each with the right spelling.
#[test]
fn problems_of_signs() {
    check("2 × 3", "character 3: expected * for multiplication, found ×");
    check("2 x 3", "character 3: expected * for multiplication, found x");
    check("2 х 3", "character 3: expected * for multiplication, found х");
    check("6 ÷ 3", "character 3: expected / for division, found ÷");
    check("6 : 3", "character 3: expected / for division, found :");
    check("6 − 3", "character 3: expected the minus sign of the keyboard, -, found −");
    check("10%", "character 3: expected a division by 100, as in {{topupAmountMajor}} * 10 / 100, found %");
    check("2^3", "character 2: expected * for each factor, as powers are written out, found ^");
    check("[1+2]", "character 1: expected ( or ), found [");
    check("1 > 2", "character 3: expected no comparison: those belong in conditions, found >");
    check("5 €", "character 3: expected numbers, {{variables}}, + - * / ( ) and nothing else, found €");
    check("5\u{200b}", "character 2: expected numbers, {{variables}}, + - * / ( ) and nothing else, found U+200B");
    check("5\0", "character 2: expected numbers, {{variables}}, + - * / ( ) and nothing else, found U+0000");
    check("5 🎲", "character 3: expected numbers, {{variables}}, + - * / ( ) and nothing else, found 🎲");
    check("é * 2", "character 1: expected a number, a variable such as {{topupAmountMajor}}, ( or -, found é");
}

/// U5: what is missing, and where.
#[test]
fn problems_of_order() {
    let operand = "a number, a variable such as {{topupAmountMajor}}, ( or -";
    check("", &format!("character 1: expected {operand}, found the end of the text"));
    check("   ", &format!("character 4: expected {operand}, found the end of the text"));
    check("1 +", &format!("character 4: expected {operand}, found the end of the text"));
    check("1 + + 2", &format!("character 5: expected {operand}, found +"));
    check("+1", &format!("character 1: expected {operand}, found +"));
    check("* 2", &format!("character 1: expected {operand}, found *"));
    check("1 ** 2", &format!("character 4: expected {operand}, found *"));
    check("1 // 2", &format!("character 4: expected {operand}, found /"));
    check("()", &format!("character 2: expected {operand}, found )"));
    check("-", &format!("character 2: expected {operand}, found the end of the text"));
    check("(1 + 2", "character 7: expected +, -, *, / or ) for the ( at character 1, found the end of the text");
    check("2 * (1 (", "character 8: expected +, -, *, / or ) for the ( at character 5, found (");
    check("1 + 2)", "character 6: expected +, -, *, / or the end of the formula, found )");
    check("2 (3)", "character 3: expected +, -, *, / or the end of the formula, found (");
    check("2 {{topupAmountMajor}}", "character 3: expected +, -, *, / or the end of the formula, found {{topupAmountMajor}}");
    check("2 0.50", "character 3: expected +, -, *, / or the end of the formula, found 0.50");
}

/// U5: a text as long, and as deeply nested, as allowed, and one more of each.
#[test]
fn limits() {
    let deepest = |levels: usize| format!("{}1{}", "(".repeat(levels), ")".repeat(levels));
    check(&deepest(32), "1 = 1, 1");
    check(&deepest(33), "character 33: expected at most 32 levels of ( and - in one another, found (");
    check(&format!("{}1", "-".repeat(32)), &format!("{}1 = 1, 1", "-".repeat(32)));
    check(&format!("1-{}1", "-".repeat(33)), "character 35: expected at most 32 levels of ( and - in one another, found -");
    let side_by_side = vec!["(1)"; 125].join("+");
    assert_eq!(side_by_side.len(), 499);
    check(&side_by_side, &format!("{} = 125, 125", vec!["1"; 125].join(" + ")));
    let longest = vec!["1"; 250].join("+") + " ";
    assert_eq!(longest.len(), FORMULA_BYTES_MAX);
    check(&longest, &format!("{} = 250, 250", longest.trim()));
    check(&(longest.clone() + " "), "character 501: expected at most 500 bytes, found a text of 501 bytes");
    check(&"é".repeat(251), "character 251: expected at most 500 bytes, found a text of 502 bytes");
}

/// U5: 500 bytes of anything give a quick result, without a stack overflow.
#[test]
fn hostile_texts() {
    let operand = "a number, a variable such as {{topupAmountMajor}}, ( or -";
    check(&"(".repeat(500), "character 33: expected at most 32 levels of ( and - in one another, found (");
    check(&"-".repeat(500), "character 33: expected at most 32 levels of ( and - in one another, found -");
    check(&"(-".repeat(250), "character 33: expected at most 32 levels of ( and - in one another, found (");
    check(&")".repeat(500), &format!("character 1: expected {operand}, found )"));
    check(&"*1".repeat(250), &format!("character 1: expected {operand}, found *"));
    check(&"1".repeat(500), &format!("character 1: expected at most 18 digits before the point, found {}…", "1".repeat(40)));
    let braces = Formula::parse(&"{".repeat(500)).expect_err("no name");
    assert_eq!((braces.at, braces.found.as_str()), (3, "{"));
    let words = Formula::parse(&"x".repeat(500)).expect_err("no such name");
    assert_eq!((words.at, words.found), (1, format!("{}…", "x".repeat(40))));
    let product = vec!["999999999999999999"; 26].join("*");
    let formula = Formula::parse(&product).expect("a formula");
    let exact = formula.evaluate(&TOP_UP).expect("no division");
    assert_eq!((exact.to_string().len(), exact.round()), (468, None));
    let deep = format!("{}1{}", "-(1/3-".repeat(16), ")".repeat(16));
    assert!(Formula::parse(&deep).expect("32 levels").evaluate(&TOP_UP).is_ok());
    let megabytes = Formula::parse(&"(".repeat(4 << 20)).expect_err("too long");
    assert_eq!(megabytes.at, 501);
}
