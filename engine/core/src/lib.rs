//! The core of the engine: all decisions, without I/O.
//!
//! - [`state`]: the state of an organisation. `decide` turns a request into a record and changes nothing; `apply` changes the
//!   state by a record and cannot fail.
//! - [`index`]: maps a code to its campaign, and holds what lanes can read without the engine thread.
//! - [`guard`]: lockouts of clients, networks and credentials with too many failed attempts.
//! - [`generate`]: draws codes from a pattern.
//! - [`slot_table`]: finds rows by their keys, and prefetches. State, index and guard use it; `rows` reads the rows of a snapshot
//!   in place, and `by_time` adds up what expires.
//!
//! The crate uses no clock, file, socket or runtime: time and random codes come with the requests. The engine, a replay and a
//! standby compute the same state from the same records.

mod by_time;
pub mod generate;
pub mod guard;
pub mod index;
pub mod rows;
pub mod slot_table;
pub mod state;
