//! Bursts of redemptions against an engine, the audit that follows them, and the floor of the machine they run on.
//!
//! - [`plan`]: which requests a burst consists of; everything follows from a seed and a time.
//! - [`burst`]: sends them over lanes and times the answers.
//! - [`audit`]: recounts the journal, and compares it with what callers were answered and with what the engine says.
//! - [`floor`], [`probe`]: what the disk and the network stack of this machine do at best, in the same run.
//! - [`report`]: what was found, as data; [`table`], [`json`] and [`html`] make documents of it.
//! - [`rival`]: Redis and PostgreSQL, given the same requests as an engine.
//!
//! Talks to the address it is given, to itself and to the rivals that it started; every loop has an end.

pub mod audit;
pub mod burst;
pub mod floor;
pub mod html;
pub mod json;
pub mod lane;
pub mod machine;
pub mod memory;
pub mod plan;
pub mod probe;
pub mod report;
pub mod rival;
pub mod table;
pub mod words;
