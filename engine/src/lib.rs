//! The redemption engine.
//!
//! - [`state`]: pure; what is decided, and what a record changes.
//! - [`index`]: which campaign holds a code; what lanes may read.
//! - [`journal`]: batches of records on disk, and their recovery.
//! - [`pipeline`]: the engine thread and the journal thread between lanes and disk.
//! - [`server`]: QUIC, lanes, roles, limits.
//! - [`guard`]: who has missed too often to be asked again just now.
//! - [`folder`], [`credentials`] and [`certificates`]: what stands in a data folder beside the journal.
//!
//! [`Engine`] is all of it together, as a process runs it.

pub mod certificates;
pub mod credentials;
pub mod folder;
pub mod guard;
pub mod index;
pub mod journal;
pub mod pipeline;
pub mod server;
pub mod state;

mod engine;
mod generate;

pub use engine::{Engine, EngineError, Start};
