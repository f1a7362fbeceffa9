//! Bursts of redemptions against an engine, the audit that follows them, and the floor of the machine they run on.
//!
//! - [`plan`]: which requests a burst consists of; everything follows from a seed and a time.
//! - [`burst`]: sends them over lanes and times the answers.
//! - [`audit`]: recounts the journal, and compares it with what callers were answered and with what the engine says.
//! - [`floor`]: what the disk and the network stack of this machine do at best, in the same run.
//!
//! Talks to the address it is given and to itself; every loop has an end.

pub mod audit;
pub mod burst;
pub mod caller;
pub mod difference;
pub mod drive;
pub mod floor;
pub mod lane;
pub mod load;
pub mod mix;
pub mod pace;
pub mod plan;
pub mod ramp;
pub mod recorder;
pub mod report;
pub mod zipf;
