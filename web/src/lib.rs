//! What every HTTP surface of Scrip shares. It knows no surface: no route, no store, no record.
//!
//! - [`caller`]: who calls, by bearer token; [`parameters`]: read and described by the same lines.
//! - [`problem`]: what leaves instead of an answer; [`interface`]: the OpenAPI document, and what holds for all routes.
//! - [`listener`]: accepts connections and serves them, with limits and timeouts, until a graceful stop.
//! - [`places`]: how many of something one credential and all together may have.
//! - [`probes`]: health, readiness and metrics.

pub mod caller;
pub mod interface;
pub mod listener;
pub mod parameters;
pub mod places;
pub mod probes;
pub mod problem;
