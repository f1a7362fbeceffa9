//! Load on an engine, the audit that follows it, and the floor of the machine that it runs on.
//!
//! - [`load`]: a load from its first campaign to its audit; [`mix`] says which requests there are, [`pace`] and [`ramp`] when they are
//!   due, [`drive`] and [`caller`] send them and hear the answers, [`recorder`] times these. All follows from a seed and a time.
//! - [`plan`], [`burst`]: the same for redemptions that were planned one by one.
//! - [`audit`]: recounts the journal, and compares it with what callers were answered and with what the engine says; [`difference`]
//!   names what does not agree.
//! - [`floor`], [`probe`]: what the disk and the network stack of this machine do at best, in the same run.
//! - [`report`]: what was found, as data; [`table`], [`json`] and [`html`] make documents of it.
//! - [`rival`]: Redis and PostgreSQL, given the same requests as an engine.
//!
//! Talks to the address it is given, to itself and to the rivals that it started; every loop has an end.

mod accounts;
pub mod audit;
pub mod burst;
pub mod caller;
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
pub mod words;
pub mod zipf;
