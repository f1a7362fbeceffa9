//! Conditions hold exactly when a plain count in cents agrees.

use proptest::prelude::*;
use scrip_protocol::{TopUpSource, Variables};
use scrip_rules::Conditions;

use crate::chance::{run, source, space, variables};

/// One condition, in its words.
#[derive(Debug, Clone)]
struct Plain {
    name: &'static str,
    sign: &'static str,
    value: String,
}

fn plain() -> impl Strategy<Value = Plain> {
    let name = prop::sample::select(
        ["topupAmountMajor", "gamingBalanceMajor", "bonusBalanceMajor", "totalSpentMajor", "sessionsCount"].as_slice(),
    );
    let threshold = prop_oneof![
        4 => -4_i64..=4,
        2 => -1_000_i64..10_000,
        1 => prop_oneof![Just(i64::MAX), Just(i64::MIN), any::<i64>()],
    ];
    let number = (name, prop::sample::select(["=", "!=", "<", "<=", ">", ">="].as_slice()), threshold)
        .prop_map(|(name, sign, threshold)| Plain { name, sign, value: threshold.to_string() });
    let word = (prop::sample::select(["=", "!="].as_slice()), source()).prop_map(|(sign, source)| Plain {
        name: "topUpSource",
        sign,
        value: source.word().to_owned(),
    });
    prop_oneof![5 => number, 1 => word]
}

impl Plain {
    fn holds(&self, variables: &Variables) -> bool {
        let cents = match self.name {
            "topUpSource" => {
                let word = match variables.source {
                    TopUpSource::Acquiring => "ACQUIRING",
                    TopUpSource::PosTerminal => "POS_TERMINAL",
                    TopUpSource::Cash => "CASH",
                };
                return (self.value == word) == (self.sign == "=");
            }
            "topupAmountMajor" => i128::from(variables.amount.0),
            "gamingBalanceMajor" => i128::from(variables.gaming.0),
            "bonusBalanceMajor" => i128::from(variables.bonus.0),
            "totalSpentMajor" => i128::from(variables.spent.0),
            _ => i128::from(variables.sessions) * 100,
        };
        let threshold: i128 = format!("{}00", self.value).parse().expect("a number");
        match self.sign {
            "=" => cents == threshold,
            "!=" => cents != threshold,
            "<" => cents < threshold,
            "<=" => cents <= threshold,
            ">" => cents > threshold,
            _ => cents >= threshold,
        }
    }
}

/// U4, A17, A19: every comparison of every variable, to the cent, and all of them together.
#[test]
fn conditions_hold_as_counted_by_hand() {
    let and = prop::sample::select(["AND", "and", "And", "aND"].as_slice());
    let some = prop::collection::vec((plain(), space(), space(), space(), and), 0..6);
    run(8_192, (some, variables()), |(some, variables)| {
        let mut text = String::new();
        for (number, (plain, before, after, around, and)) in some.iter().enumerate() {
            if number > 0 {
                text.push_str(&format!(" {around}{and} "));
            }
            text.push_str(&format!("{}{before}{}{after}{}", plain.name, plain.sign, plain.value));
        }
        let conditions = match Conditions::parse(&text) {
            Ok(conditions) => conditions,
            Err(problem) => return Err(TestCaseError::fail(format!("{text:?}: {problem}"))),
        };
        prop_assert_eq!(conditions.len(), some.len());
        for (condition, (plain, ..)) in conditions.iter().zip(&some) {
            prop_assert_eq!(condition.to_string(), format!("{} {} {}", plain.name, plain.sign, plain.value));
            prop_assert_eq!(condition.holds(&variables), plain.holds(&variables), "{}", condition);
        }
        prop_assert_eq!(conditions.hold(&variables), some.iter().all(|(plain, ..)| plain.holds(&variables)));
        prop_assert_eq!(Conditions::parse(&conditions.to_string()), Ok(conditions));
        Ok(())
    });
}
