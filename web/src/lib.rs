//! Code that every HTTP surface of Scrip shares. It knows no surface: no route, no store, no record.
//!
//! - [`caller`]: authentication by bearer token; [`parameters`]: read and described by the same lines.
//! - [`problem`]: error responses; [`interface`]: the OpenAPI document, and what all routes have in common.
//! - [`listener`]: accepts connections and serves them, with limits and timeouts, until a graceful stop.
//! - [`places`]: limits on how many of something exist, per credential and in total.
//! - [`probes`]: health, readiness and metrics.

pub mod caller;
pub mod interface;
pub mod listener;
pub mod parameters;
pub mod places;
pub mod probes;
pub mod problem;
