//! The redemption engine as a process: everything between the network, the core and the disk.
//!
//! - [`server`]: the QUIC endpoint, lanes, roles and limits.
//! - [`pipeline`]: the engine thread and the journal thread between lanes and disk.
//! - [`snapshot`]: the state at one position of the journal, read in place. [`keeper`]: takes snapshots while the engine runs and
//!   drops segments that are no longer needed.
//! - [`backup`]: copies a data folder, and restores a copy.
//! - [`folder`], [`credentials`] and [`certificates`]: the other files of a data folder.
//! - [`Vitals`]: status and metrics of a running engine.
//!
//! [`scrip_core`] decides and [`scrip_journal`] stores. [`Engine`] combines them.

mod background;
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
mod error;
mod recover;
mod verifier;
mod vitals;

pub use engine::{Engine, Start};
pub use error::EngineError;
pub use recover::{Recovered, recover};
pub use verifier::Damage;
pub use vitals::Vitals;
