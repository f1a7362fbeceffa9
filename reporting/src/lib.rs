//! The reporting sidecar: a separate process that tails the journal and answers queries about it.
//!
//! - [`read_model`]: the journal as SQLite tables, with the cursor in the same transaction; [`follow`]: tails the journal into
//!   them; [`standing`]: the progress of that.
//! - [`figures`], [`history`], [`search`]: queries: statistics, the history of a client, and the history of codes and requests.
//! - [`refusals`]: refused attempts and their reasons; [`shown`]: amounts, times and ids in JSON.
//! - [`sight`]: what each caller may see.
//! - [`export`]: code lists and activation logs as CSV, XLSX and Parquet, in bounded memory.
//! - [`attempts`]: refused attempts without a record, which the engine reports outside the journal.
//! - [`http`]: all of that as JSON over HTTP, described by its own OpenAPI document.
//!
//! [`sidecar`] combines all of it into a process; [`store`] is its folder.
//!
//! The engine does not depend on the sidecar, which may be slow, stopped, wiped or rebuilt. Every figure states the position that
//! it is as of, and is a pure function of the journal up to there.

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
