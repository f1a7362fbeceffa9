//! The core of the engine: all decisions, without I/O.
//!
//! - [`state`]: the state of an organisation. `decide` turns a request into a record and changes nothing; `apply` changes the
//!   state by a record and cannot fail.
//! - [`index`]: maps a code to its campaign, and holds what lanes can read without the engine thread.
//! - [`guard`]: lockouts of clients, networks and credentials with too many failed attempts.
//! - [`generate`]: draws codes from a pattern.
//!
//! The crate uses no clock, file, socket or runtime: time and random codes come with the requests. The engine, a replay and a
//! standby compute the same state from the same records.

pub mod generate;
pub mod guard;
pub mod index;
pub mod state;
