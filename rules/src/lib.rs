//! Top-up rules: their language, which of them fire on a top-up, and linting them.
//!
//! Everything here is a pure function of its arguments: no file, clock, lock or thread. The engine uses it to decide, and any
//! program with the records can compute what a rule would have done.
//!
//! - [`formula`] defines how much a rule credits, [`conditions`] when it fires, and [`text`] the text of its push notification.
//! - [`compiled`] compiles them; [`candidates`] finds the rules that a top-up may fire.
//! - [`lint`](mod@lint) reports suspicious rules, [`rehearsal`] computes what a rule would have done, and [`template`] proposes
//!   rules.
//! - An invalid text is reported as a [`scrip_protocol::TextProblem`]: the first problem, with its position.

pub mod candidates;
pub mod compiled;
pub mod conditions;
pub mod formula;
pub mod lint;
pub mod rehearsal;
pub mod template;
pub mod text;

mod cursor;
mod known;
mod nearest;
mod ranges;
#[cfg(test)]
mod sample;

pub use candidates::Candidates;
pub use compiled::{Compiled, Fired, check, fire_all};
pub use conditions::{Comparison, Condition, Conditions, Value};
pub use formula::{Exact, Formula};
pub use lint::lint;
pub use rehearsal::Rehearsing;
pub use text::PushText;
