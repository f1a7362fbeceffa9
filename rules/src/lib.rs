//! Top-up rules: their language, which of them fire on a top-up, and what is odd about them.
//!
//! Everything in here is a pure function of its arguments: no file, clock, lock or thread. The engine decides with it, and whoever
//! has the records can work out with it what a rule would have done.
//!
//! - [`formula`] is how much a rule credits; [`conditions`] when it fires; [`text`] what its push notification says.
//! - [`compiled`] makes both ready to fire; [`candidates`] finds what a top-up may fire among all rules.
//! - [`lint`](mod@lint) says what is odd about a rule, [`rehearsal`] what it would have done; [`template`] proposes rules.
//! - What is wrong with a text is told as a [`scrip_protocol::TextProblem`]: the first one, with its place.

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
