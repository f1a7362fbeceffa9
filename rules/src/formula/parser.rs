//! From tokens to steps.
//!
//! ```text
//! formula = sum
//! sum     = product { ("+" | "-") product }
//! product = factor { ("*" | "/") factor }
//! factor  = "-" factor | "(" sum ")" | number | variable
//! ```
//!
//! So products are evaluated before sums, operators of equal precedence from the left, and a minus belongs to the operand right
//! after it. There is no plus before a number: two signs in a row with a plus are more often a slip than meant.

use scrip_protocol::TextProblem;

use super::lexer::{self, OPERAND, Token};
use super::{NESTING_MAX, Operator, Step};
use crate::cursor::{Cursor, problem};

/// The steps of a formula.
pub(super) fn parse(text: &str) -> Result<Vec<Step>, TextProblem> {
    let here = lexer::begin(text)?;
    let mut next = here.clone();
    let token = lexer::take_token(&mut next)?;
    let mut parser = Parser { here, token, next, steps: Vec::new() };
    parser.sum(0)?;
    if parser.token != Token::End {
        return Err(parser.problem("+, -, *, / or the end of the formula"));
    }
    Ok(parser.steps)
}

struct Parser<'t> {
    /// The position of the current token.
    here: Cursor<'t>,
    token: Token,
    /// The text after it.
    next: Cursor<'t>,
    steps: Vec<Step>,
}

impl Parser<'_> {
    fn sum(&mut self, depth: usize) -> Result<(), TextProblem> {
        self.product(depth)?;
        while let Token::Sign(operator @ (Operator::Plus | Operator::Minus)) = self.token {
            self.advance()?;
            self.product(depth)?;
            self.steps.push(Step::Combine(operator));
        }
        Ok(())
    }

    fn product(&mut self, depth: usize) -> Result<(), TextProblem> {
        self.factor(depth)?;
        while let Token::Sign(operator @ (Operator::Times | Operator::Over)) = self.token {
            self.advance()?;
            self.factor(depth)?;
            self.steps.push(Step::Combine(operator));
        }
        Ok(())
    }

    fn factor(&mut self, depth: usize) -> Result<(), TextProblem> {
        match self.token {
            Token::Number(number) => {
                self.steps.push(Step::Number(number));
                self.advance()
            }
            Token::Variable(variable) => {
                self.steps.push(Step::Variable(variable));
                self.advance()
            }
            Token::Sign(Operator::Minus) => {
                self.nest(depth)?;
                self.factor(depth + 1)?;
                self.steps.push(Step::Negate);
                Ok(())
            }
            Token::Open => {
                let opened = self.here.at();
                self.nest(depth)?;
                self.sum(depth + 1)?;
                if self.token != Token::Close {
                    return Err(self.problem(format!("+, -, *, / or ) for the ( at character {opened}")));
                }
                self.advance()
            }
            Token::Sign(Operator::Plus | Operator::Times | Operator::Over) | Token::Close | Token::End => {
                Err(self.problem(OPERAND))
            }
        }
    }

    /// Goes one level deeper, unless the limit is reached.
    fn nest(&mut self, depth: usize) -> Result<(), TextProblem> {
        if depth == NESTING_MAX {
            return Err(self.problem(format!("at most {NESTING_MAX} levels of ( and - in one another")));
        }
        self.advance()
    }

    /// The problem that something else was expected than the token.
    fn problem(&self, expected: impl Into<String>) -> TextProblem {
        problem(self.here.at(), self.next.since(&self.here), expected)
    }

    fn advance(&mut self) -> Result<(), TextProblem> {
        self.here = self.next.clone();
        self.here.skip_white_space();
        self.next = self.here.clone();
        self.token = lexer::take_token(&mut self.next)?;
        Ok(())
    }
}
