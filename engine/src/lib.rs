//! The redemption engine.
//!
//! - [`state`]: pure; what is decided, and what a record changes.
//! - [`index`]: which campaign holds a code; what lanes may read.
//! - [`journal`]: batches of records on disk, and their recovery; [`snapshot`]: the state at one position of it, read in place.
//! - [`disk`]: what both do to files. [`keeper`]: takes snapshots beside the running engine, and drops what is not needed.
//! - [`salvage`]: what can still be read of a segment's file that is damaged.
//! - [`pipeline`]: the engine thread and the journal thread between lanes and disk.
//! - [`server`]: QUIC, lanes, roles, limits.
//! - [`guard`]: who has missed too often to be asked again just now.
//! - [`backup`]: a copy of a data folder, and a data folder of a copy.
//! - [`folder`], [`credentials`] and [`certificates`]: what stands in a data folder beside the journal.
//! - [`Vitals`]: how a running engine is, and what it has counted.
//!
//! [`Engine`] is all of it together, as a process runs it.

pub mod backup;
pub mod certificates;
pub mod credentials;
pub mod folder;
pub mod keeper;
pub mod pipeline;
pub mod server;
pub mod snapshot;

mod attempts;
mod clock_file;
mod counters;
mod engine;
mod recover;
mod verifier;
mod vitals;

pub use engine::{Engine, EngineError, Start};
pub use recover::{Recovered, recover};
pub use verifier::Damage;
pub use vitals::Vitals;
