//! The read model: the contents of the journal in the tables of `schema.sql`.
//!
//! One writer applies whole batches and moves the cursor in the same transaction. Whenever the process is killed, a batch is applied
//! once or not at all. Batches received meanwhile share a transaction, so that the writer keeps up with an engine under load; the
//! boundaries of transactions do not affect the tables. Readers use their own transactions, each of which sees one position. A read
//! model with another version of the tables is not migrated but rebuilt.
//!
//! `project` maps each record to rows; `gathered` adds up sums over a transaction before they are written.

mod campaign_counters;
mod gathered;
mod held;
mod log;
mod model;
mod private;
mod project;
pub mod seed;
mod tables;
mod unusable;
mod use_counts;
mod values;
mod views;

pub(crate) use gathered::HISTORY_BITS;
pub(crate) use held::LENGTHS as HELD_LENGTHS;
pub use log::log_bytes;
pub(crate) use log::{AWAITED_BYTES, log_of};
pub use model::ReadModel;
pub(crate) use private::{close_to_others, make_private};
pub use seed::{Seed, beginning};
pub(crate) use tables::code_form;
pub use tables::{SCHEMA, VERSION};
pub use unusable::ReadModelError;
pub use values::client_value;
pub(crate) use values::{UNKNOWN_CLUB, folded};
pub use views::{AsOf, Readers, View, ViewTime};
