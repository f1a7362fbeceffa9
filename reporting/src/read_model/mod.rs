//! The read model: what the journal says, in the tables of `schema.sql`.
//!
//! One writer applies whole batches, and moves the cursor in the same transaction: whatever moment the process is killed at, a batch is
//! in it once or not at all. Batches received meanwhile share a transaction, so that it keeps up with an engine under load; what
//! is in the tables does not depend on which. Readers use their own transactions, and see one position. A read model of another version
//! of the tables is not migrated but rebuilt.
//!
//! `project` says what each record writes; `gathered` what is added up over a transaction before it is written.

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
