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

pub mod books;
mod error;
mod offer;
mod postgres;
mod process;
mod redis;

use std::path::Path;
use std::time::Duration;

use self::books::Books;
pub use self::error::RivalError;
pub use self::offer::{Answer, Answers, Offer, Terms};
use crate::plan::Planned;

/// How long the last answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The kind of rival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Redis, with a Lua script for each request and an append-only file that is flushed before it answers.
    Redis,
    /// PostgreSQL, with a function for each request and a transaction for each call.
    Postgres,
}

/// A running rival.
pub enum Rival {
    /// Redis.
    Redis(redis::Redis),
    /// PostgreSQL.
    Postgres(postgres::Postgres),
}

impl Rival {
    /// Starts one on an empty temporary folder in `dir`. Its programs are searched in `programs`, or else in the usual folders of
    /// systems.
    ///
    /// Call it on the main thread, or another long-lived one: the rival ends with the thread that started it.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub async fn start(kind: Kind, dir: &Path, programs: Option<&Path>, terms: Terms) -> Result<Rival, RivalError> {
        Ok(match kind {
            Kind::Redis => Rival::Redis(redis::Redis::start(dir, programs, terms).await?),
            Kind::Postgres => Rival::Postgres(postgres::Postgres::start(dir, programs, terms).await?),
        })
    }

    /// The version reported by its program.
    pub fn version(&self) -> &str {
        match self {
            Rival::Redis(redis) => redis.version(),
            Rival::Postgres(postgres) => postgres.version(),
        }
    }

    /// The settings that it was started with.
    pub fn settings(&self) -> &'static [&'static str] {
        match self {
            Rival::Redis(_) => redis::SETTINGS,
            Rival::Postgres(_) => postgres::SETTINGS,
        }
    }

    /// Imports codes that it does not have yet.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn import(&mut self, codes: &[String]) -> Result<(), RivalError> {
        match self {
            Rival::Redis(redis) => redis.import(codes).await,
            Rival::Postgres(postgres) => postgres.import(codes).await,
        }
    }

    /// Sends each list over a connection of its own. The number of lists must be the offer's number of connections.
    ///
    /// # Errors
    /// When it refuses a call, a connection is lost, or an answer is missing.
    pub async fn run(&self, offer: Offer, lists: Vec<Vec<Planned>>) -> Result<Answers, RivalError> {
        let answers = async {
            match self {
                Rival::Redis(redis) => redis.run(offer, lists).await,
                Rival::Postgres(postgres) => postgres.run(offer, lists).await,
            }
        };
        let waited = offer.time_max + PATIENCE;
        tokio::time::timeout(waited, answers).await.unwrap_or(Err(RivalError::Silent { waited }))
    }

    /// Recounts its rows.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn books(&mut self) -> Result<Books, RivalError> {
        match self {
            Rival::Redis(redis) => redis.books().await,
            Rival::Postgres(postgres) => postgres.books().await,
        }
    }
}
