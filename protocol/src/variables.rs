//! What is known about a top-up when it happens: the variables that conditions and formulas of rules name (U2, U3).
//!
//! Staff see and type these words, and they never change: a saved rule is parsed again from its text.

use std::fmt;

use crate::money::Money;

/// How a top-up was paid (U2).
#[wire_format(Copy, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[repr(u8)]
pub enum TopUpSource {
    /// Online, through the app.
    Acquiring = 1,
    /// By card, at a terminal.
    PosTerminal = 2,
    /// In cash.
    Cash = 3,
}

impl TopUpSource {
    /// Every source, in the order of their numbers.
    pub const ALL: [TopUpSource; 3] = [TopUpSource::Acquiring, TopUpSource::PosTerminal, TopUpSource::Cash];

    /// The source's word, as in conditions and in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            TopUpSource::Acquiring => "ACQUIRING",
            TopUpSource::PosTerminal => "POS_TERMINAL",
            TopUpSource::Cash => "CASH",
        }
    }

    /// The source of this word.
    pub fn named(word: &str) -> Option<TopUpSource> {
        TopUpSource::ALL.into_iter().find(|source| source.word() == word)
    }
}

impl fmt::Display for TopUpSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A variable of a rule (U3).
#[wire_format(Copy, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
#[repr(u8)]
pub enum Variable {
    /// The amount topped up, in major units.
    TopupAmountMajor = 1,
    /// The source of the payment: a word, and the only variable that is not a number.
    TopUpSource = 2,
    /// The client's gaming balance before the top-up, in major units.
    GamingBalanceMajor = 3,
    /// The client's bonus balance before it, in major units.
    BonusBalanceMajor = 4,
    /// The total that the client has paid for sessions and purchases, in major units.
    TotalSpentMajor = 5,
    /// The number of the client's sessions.
    SessionsCount = 6,
}

impl Variable {
    /// Every variable, in the order of their numbers.
    pub const ALL: [Variable; 6] = [
        Variable::TopupAmountMajor,
        Variable::TopUpSource,
        Variable::GamingBalanceMajor,
        Variable::BonusBalanceMajor,
        Variable::TotalSpentMajor,
        Variable::SessionsCount,
    ];

    /// The variable's name, as in conditions, formulas and JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Variable::TopupAmountMajor => "topupAmountMajor",
            Variable::TopUpSource => "topUpSource",
            Variable::GamingBalanceMajor => "gamingBalanceMajor",
            Variable::BonusBalanceMajor => "bonusBalanceMajor",
            Variable::TotalSpentMajor => "totalSpentMajor",
            Variable::SessionsCount => "sessionsCount",
        }
    }

    /// The variable of this name.
    pub fn named(word: &str) -> Option<Variable> {
        Variable::ALL.into_iter().find(|variable| variable.word() == word)
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// The values of the variables for one top-up, from before it, so that the order of rules cannot matter (A22).
#[wire_format(Copy, serde::Deserialize)]
pub struct Variables {
    /// The amount topped up.
    pub amount: Money,
    /// How it is paid.
    pub source: TopUpSource,
    /// The client's gaming balance.
    pub gaming: Money,
    /// The client's bonus balance.
    pub bonus: Money,
    /// The total that the client has paid for sessions and purchases.
    pub spent: Money,
    /// The number of the client's sessions.
    pub sessions: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// U2, U3, A16: the identifiers are exactly these, in text and in JSON.
    #[test]
    fn words_are_the_same_in_text_and_in_json() {
        for variable in Variable::ALL {
            assert_eq!(serde_json::to_value(variable).expect("it is a word"), variable.word());
            assert_eq!(Variable::named(variable.word()), Some(variable));
        }
        for source in TopUpSource::ALL {
            assert_eq!(serde_json::to_value(source).expect("it is a word"), source.word());
            assert_eq!(TopUpSource::named(source.word()), Some(source));
        }
        assert_eq!(Variable::named("topUpAmountMajor"), None);
    }
}
