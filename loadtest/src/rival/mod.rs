//! Rivals: databases that could store codes instead, installed on this machine and given the same work as an engine.
//!
//! For each request, in one atomic and durable step, a rival checks whether the id was already answered, whether the code exists
//! and has a use left; then it records the use, the client's bonus, and a row with the request's id. Where the two differ, rivals
//! do less than an engine: they remember request ids forever instead of for an idempotency window, compare no request bodies, and
//! have one campaign without clubs or dates.
//!
//! - [`Rival`]: starts one in a folder of its own, imports codes, runs offers, keeps books, and stops it.
//! - [`books`]: recounts the rows and compares them with the answers.
//!
//! A rival listens on a socket in a private folder. It is stopped when it is dropped, and exits when the thread that started it
//! has ended. The times are those of a closed loop.
//!
//! The clients of the rivals are compiled only with the feature `rivals`. Without it, starting a rival fails.

#[cfg(not(feature = "rivals"))]
mod absent;
#[cfg_attr(not(feature = "rivals"), expect(dead_code, reason = "only the clients of the rivals fill the books"))]
pub mod books;
mod error;
#[cfg_attr(not(feature = "rivals"), expect(dead_code, reason = "only the clients of the rivals gather answers"))]
mod offer;
#[cfg(feature = "rivals")]
mod postgres;
#[cfg(feature = "rivals")]
mod process;
#[cfg(feature = "rivals")]
mod redis;
#[cfg(feature = "rivals")]
mod running;

#[cfg(not(feature = "rivals"))]
pub use self::absent::Rival;
pub use self::error::RivalError;
pub use self::offer::{Answer, Answers, Offer, Terms};
#[cfg(feature = "rivals")]
pub use self::running::Rival;

/// The kind of rival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Redis, with a Lua script for each request and an append-only file that is flushed before it answers.
    Redis,
    /// PostgreSQL, with a function for each request and a transaction for each call.
    Postgres,
}
