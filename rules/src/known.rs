//! The value of a variable for one top-up.

use scrip_protocol::{Money, TopUpSource, Variable, Variables};

/// The value of one variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// An amount of money.
    Amount(Money),
    /// How many.
    Count(u32),
    /// A word.
    Source(TopUpSource),
}

impl Known {
    /// The value of a variable.
    pub(crate) fn of(variable: Variable, variables: &Variables) -> Known {
        match variable {
            Variable::TopupAmountMajor => Known::Amount(variables.amount),
            Variable::TopUpSource => Known::Source(variables.source),
            Variable::GamingBalanceMajor => Known::Amount(variables.gaming),
            Variable::BonusBalanceMajor => Known::Amount(variables.bonus),
            Variable::TotalSpentMajor => Known::Amount(variables.spent),
            Variable::SessionsCount => Known::Count(variables.sessions),
        }
    }
}

/// Whether a variable is a number: all but one are.
pub(crate) fn is_number(variable: Variable) -> bool {
    match variable {
        Variable::TopUpSource => false,
        Variable::TopupAmountMajor
        | Variable::GamingBalanceMajor
        | Variable::BonusBalanceMajor
        | Variable::TotalSpentMajor
        | Variable::SessionsCount => true,
    }
}
