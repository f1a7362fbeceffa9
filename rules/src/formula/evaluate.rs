//! Evaluating a formula for a top-up.

use scrip_protocol::{FormulaFailure, Variables};

use super::{Exact, Formula, Operator, Step};
use crate::known::Known;

impl Formula {
    /// The exact result for a top-up, not rounded. Money counts in major units.
    ///
    /// # Errors
    /// [`FormulaFailure::DivisionByZero`]. Never `Overflow`: that can only occur when the result becomes an amount
    /// ([`Exact::round`]).
    pub fn evaluate(&self, variables: &Variables) -> Result<Exact, FormulaFailure> {
        let mut waiting: Vec<Exact> = Vec::with_capacity(self.waiting_max);
        let operand = "a step comes after its operands";
        for step in &self.steps {
            let result = match step {
                Step::Number(number) => number.exact(),
                Step::Variable(variable) => match Known::of(*variable, variables) {
                    Known::Amount(money) => Exact::from(money),
                    Known::Count(count) => Exact::from(i64::from(count)),
                    Known::Source(_) => unreachable!("the lexer refuses a word in a formula"),
                },
                Step::Negate => -waiting.pop().expect(operand),
                Step::Combine(operator) => {
                    let right = waiting.pop().expect(operand);
                    let left = waiting.pop().expect(operand);
                    match operator {
                        Operator::Plus => left + right,
                        Operator::Minus => left - right,
                        Operator::Times => left * right,
                        Operator::Over => left.checked_div(right).ok_or(FormulaFailure::DivisionByZero)?,
                    }
                }
            };
            waiting.push(result);
        }
        Ok(waiting.pop().expect("a formula has at least one step"))
    }
}
