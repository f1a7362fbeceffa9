//! In a program without the clients of the rivals, none can run.

use std::path::Path;

use super::Kind;
use super::books::Books;
use super::error::RivalError;
use super::offer::{Answers, Offer, Terms};
use crate::plan::Planned;

/// A running rival. There is none.
#[derive(Debug)]
pub enum Rival {}

impl Rival {
    /// Fails, because the clients are not compiled.
    ///
    /// # Errors
    /// Always [`RivalError::NotBuilt`].
    pub async fn start(_: Kind, _: &Path, _: Option<&Path>, _: Terms) -> Result<Rival, RivalError> {
        Err(RivalError::NotBuilt)
    }

    /// The version reported by its program.
    pub fn version(&self) -> &str {
        match *self {}
    }

    /// The settings that it was started with.
    pub fn settings(&self) -> &'static [&'static str] {
        match *self {}
    }

    /// Imports codes that it does not have yet.
    ///
    /// # Errors
    /// Never.
    pub async fn import(&mut self, _: &[String]) -> Result<(), RivalError> {
        match *self {}
    }

    /// Sends each list over a connection of its own.
    ///
    /// # Errors
    /// Never.
    pub async fn run(&self, _: Offer, _: Vec<Vec<Planned>>) -> Result<Answers, RivalError> {
        match *self {}
    }

    /// Recounts its rows.
    ///
    /// # Errors
    /// Never.
    pub async fn books(&mut self) -> Result<Books, RivalError> {
        match *self {}
    }
}
