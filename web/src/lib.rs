//! What every HTTP surface of Scrip shares. It knows no surface: no route, no store, no record.
//!
//! - [`problem`]: what leaves instead of an answer; [`interface`]: the OpenAPI document, and what holds for all routes.
//! - [`listener`]: accepts connections and serves them, with limits and timeouts, until a graceful stop.
//! - [`places`]: how many of something one credential and all together may have.
//! - [`probes`]: health, readiness and metrics.

pub mod interface;
pub mod listener;
pub mod places;
pub mod probes;
pub mod problem;
