//! Formulas: how much a rule credits, computed from what is known about a top-up (U5, U6, A20, A21).
//!
//! `{{topupAmountMajor}} * 0.05 + 50`: numbers, variables in double braces, `+ - * / ( )` and a minus before anything. The page
//! docs/formulas.md has the whole language; a test holds it against this code.
//!
//! A [`Formula`] is parsed once (`lexer`, `parser`), stored in the order of evaluation, and evaluated for each top-up
//! (`evaluate`) in exact fractions ([`Exact`]). It prints a canonical text (`printer`), which is within the length limit of the
//! parsed text and parses to the same formula again.
//!
//! The invariant: [`FORMULA_BYTES_MAX`] bounds everything. Nothing recurses deeper than [`NESTING_MAX`], and intermediate numbers
//! have at most about as many digits as all numbers of the formula together, so that nothing overflows before the end.

mod decimal;
mod evaluate;
mod exact;
mod lexer;
mod parser;
mod printer;
#[cfg(test)]
mod tests;

use scrip_protocol::{TextProblem, Variable};

pub use decimal::DIGITS_MAX;
use decimal::Decimal;
pub use exact::Exact;

/// The most bytes that the text of a formula has.
pub const FORMULA_BYTES_MAX: usize = 500;

/// How deep parentheses and minus signs may nest.
pub const NESTING_MAX: usize = 32;

/// A formula, ready to be evaluated.
///
/// - Created by [`Formula::parse`] and printed by `Display`: the printed text parses to an equal formula.
/// - [`Formula::evaluate`] computes the result for a top-up; [`Exact::round`] rounds it to whole units.
/// - [`Formula::variables`] are those that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Formula {
    /// In the order of evaluation: operands first, then the operator.
    steps: Vec<Step>,
    /// The most results that wait for their operator at any time.
    waiting_max: usize,
}

/// One step of an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Pushes a number.
    Number(Decimal),
    /// Pushes the value of a numeric variable.
    Variable(Variable),
    /// Negates the last result.
    Negate,
    /// Combines the last two results.
    Combine(Operator),
}

/// An operator on two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Plus,
    Minus,
    Times,
    Over,
}

impl Operator {
    const fn sign(self) -> char {
        match self {
            Operator::Plus => '+',
            Operator::Minus => '-',
            Operator::Times => '*',
            Operator::Over => '/',
        }
    }

    /// Whether it is a product: products are evaluated before sums.
    const fn is_product(self) -> bool {
        match self {
            Operator::Plus | Operator::Minus => false,
            Operator::Times | Operator::Over => true,
        }
    }
}

impl Formula {
    /// Reads a formula.
    ///
    /// # Errors
    /// The first problem of the text, with its position and what was expected there.
    pub fn parse(text: &str) -> Result<Formula, TextProblem> {
        Ok(Formula::of(parser::parse(text)?))
    }

    /// The variables that the formula names, each once.
    pub fn variables(&self) -> impl Iterator<Item = Variable> {
        Variable::ALL.into_iter().filter(|variable| self.steps.contains(&Step::Variable(*variable)))
    }

    /// The numbers in the formula.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = Exact> {
        self.steps.iter().filter_map(|step| match step {
            Step::Number(number) => Some(number.exact()),
            Step::Variable(_) | Step::Negate | Step::Combine(_) => None,
        })
    }

    fn of(steps: Vec<Step>) -> Formula {
        let mut waiting = 0_usize;
        let mut waiting_max = 0;
        for step in &steps {
            match step {
                Step::Number(_) | Step::Variable(_) => waiting += 1,
                Step::Negate => {}
                Step::Combine(_) => waiting -= 1,
            }
            waiting_max = waiting.max(waiting_max);
        }
        Formula { steps, waiting_max }
    }
}
