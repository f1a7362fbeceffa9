//! The canonical text of a formula.
//!
//! Parentheses are printed only where they are needed, numbers have no redundant zeros, and operators have a space on either
//! side, unless that exceeds the length limit. Without spaces the text never does: the parsed text had every remaining character.

use std::fmt;

use super::{FORMULA_BYTES_MAX, Formula, Operator, Step};

/// The precedence of a part of a formula.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Sum,
    Product,
    Single,
}

impl Binding {
    fn of(operator: Operator) -> Binding {
        if operator.is_product() { Binding::Product } else { Binding::Sum }
    }
}

/// The text of one part.
struct Part {
    text: String,
    binding: Binding,
}

impl Part {
    /// The part, in parentheses if they are needed.
    fn within(self, is_needed: bool) -> String {
        if is_needed { format!("({})", self.text) } else { self.text }
    }
}

impl Formula {
    fn text(&self, space: &str) -> String {
        let mut parts: Vec<Part> = Vec::with_capacity(self.waiting_max);
        let operand = "a step comes after its operands";
        for step in &self.steps {
            let part = match step {
                Step::Number(number) => Part { text: number.to_string(), binding: Binding::Single },
                Step::Variable(variable) => Part { text: format!("{{{{{variable}}}}}"), binding: Binding::Single },
                Step::Negate => {
                    let negated = parts.pop().expect(operand);
                    let is_loose = negated.binding < Binding::Single;
                    Part { text: format!("-{}", negated.within(is_loose)), binding: Binding::Single }
                }
                Step::Combine(operator) => {
                    let binding = Binding::of(*operator);
                    let right = parts.pop().expect(operand);
                    let left = parts.pop().expect(operand);
                    // Equal precedence is parsed from the left, so an operand on the right needs them, too.
                    let (left_is_looser, right_is_not_tighter) = (left.binding < binding, right.binding <= binding);
                    let (left, right) = (left.within(left_is_looser), right.within(right_is_not_tighter));
                    Part { text: format!("{left}{space}{}{space}{right}", operator.sign()), binding }
                }
            };
            parts.push(part);
        }
        parts.pop().expect("a formula has at least one step").text
    }
}

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spaced = self.text(" ");
        if spaced.len() <= FORMULA_BYTES_MAX { f.pad(&spaced) } else { f.pad(&self.text("")) }
    }
}
