//! A running rival: one interface to all of them.

use std::path::Path;
use std::time::Duration;

use super::Kind;
use super::books::Books;
use super::error::RivalError;
use super::offer::{Answers, Offer, Terms};
use super::postgres::{self, Postgres};
use super::redis::{self, Redis};
use crate::plan::Planned;

/// How long the last answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running rival.
pub enum Rival {
    /// Redis.
    Redis(Redis),
    /// PostgreSQL.
    Postgres(Postgres),
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
            Kind::Redis => Rival::Redis(Redis::start(dir, programs, terms).await?),
            Kind::Postgres => Rival::Postgres(Postgres::start(dir, programs, terms).await?),
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
