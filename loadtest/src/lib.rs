//! Load on an engine, the audit that follows it, and the floor of the machine.
//!
//! - [`load`]: a load from its first campaign to its audit. [`mix`] defines the requests, [`pace`] and [`ramp`] when they are due;
//!   [`drive`] and [`caller`] send them and receive the answers ([`answer`], [`control`]), and [`recorder`] times these. Everything
//!   follows from a seed and a time.
//! - [`plan`], [`burst`]: the same for redemptions planned one by one.
//! - [`audit`]: recounts the journal, and compares it with the answers that callers received and with what the engine reports;
//!   [`difference`] has the kinds of difference.
//! - [`floor`], [`probe`]: the limits of this machine's disk and network stack, measured in the same run.
//! - [`report`]: the results as data; [`table`], [`json`] and [`html`] make documents of them, with [`numbers`] as text.
//! - [`rival`]: Redis and PostgreSQL with the same requests as an engine.
//!
//! It connects only to the given address, to itself and to the rivals that it started; every loop has an end.

mod accounts;
pub mod answer;
pub mod audit;
pub mod burst;
pub mod caller;
pub mod control;
mod count;
pub mod difference;
pub mod drive;
mod firings;
pub mod floor;
pub mod html;
pub mod import;
pub mod json;
pub mod lane;
pub mod load;
pub mod machine;
pub mod memory;
pub mod mix;
pub mod numbers;
pub mod pace;
pub mod plan;
pub mod probe;
pub mod processor;
pub mod ramp;
pub mod recorder;
pub mod report;
pub mod rival;
pub mod table;
pub mod top_ups;
pub mod upkeep;
pub mod zipf;
