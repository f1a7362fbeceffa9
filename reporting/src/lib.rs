//! The reporting sidecar: a process of its own that tails the journal and answers what people ask of it.
//!
//! - [`read_model`]: what the journal says, as tables of SQLite, with the cursor in the same transaction; [`follow`]: the tail that it
//!   is made from, and [`standing`]: how far that has come.
//! - [`figures`], [`history`], [`search`]: what is read from it: statistics, who did what, and what became of a request.
//! - [`refusals`]: why attempts were refused; [`shown`]: how amounts, times and ids leave.
//! - [`sight`]: what each caller sees of all that.
//! - [`export`]: code lists and activation logs as CSV, XLSX and Parquet, in bounded memory.
//! - [`attempts`]: refused attempts that left no record, which the engine tells beside the journal.
//! - [`http`]: all of that as JSON over HTTP, described by its own OpenAPI document.
//!
//! [`sidecar`] is all of it together, as a process runs it; [`store`] its folder.
//!
//! The engine knows nothing of it: it may be slow, stopped, wiped or rebuilt. Every figure says which position it is as of, and is a
//! pure function of the journal up to there.

pub mod attempts;
pub mod export;
pub mod figures;
pub mod follow;
pub mod history;
pub mod http;
pub mod read_model;
pub mod refusals;
#[cfg(test)]
mod sample;
pub mod search;
pub mod shown;
pub mod sidecar;
mod sidecar_metrics;
pub mod sight;
pub mod standing;
pub mod store;
mod watch;
