//! Top-up rules: their language, which of them fire on a top-up, and what is odd about them.
//!
//! Everything in here is a pure function of its arguments: no file, clock, lock or thread. The engine decides with it, and whoever
//! has the records can work out with it what a rule would have done.
//!
//! - [`formula`] is how much a rule credits; [`conditions`] when it fires; [`text`] what its push notification says.
//! - What is wrong with a text is told as a [`scrip_protocol::TextProblem`]: the first one, with its place.

pub mod conditions;
pub mod formula;
pub mod text;

mod cursor;
mod known;
mod nearest;

pub use conditions::{Comparison, Condition, Conditions, Value};
pub use formula::{Exact, Formula};
pub use text::PushText;
