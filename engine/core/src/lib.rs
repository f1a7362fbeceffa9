//! The core of the engine: what is decided, without I/O.
//!
//! - [`state`]: the state of an organisation. `decide` turns a request into a record and changes nothing; `apply` changes the state
//!   by a record and cannot fail.
//! - [`index`]: which campaign holds a code, and what lanes may read without the engine thread.
//! - [`guard`]: lockouts of callers with too many failed attempts.
//! - [`generate`]: codes drawn from a pattern.
//!
//! No clock, file, socket or runtime is reachable from here: time and random codes come with the requests. The engine, a replay and a
//! standby compute the same state from the same records.

pub mod generate;
pub mod guard;
pub mod index;
pub mod state;
