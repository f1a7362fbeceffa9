//! Watching: refused attempts that left no record, as the engine tells them beside the journal (Z13).

use super::dial::Dial;
use super::parts::{PartError, Parts};
use scrip_protocol::command::{Attempts, RunId, WatchAttempts, WatchAttemptsOutcome};

/// A watch for refused attempts, on a connection of its own. They are not durable: what the engine keeps of them is gone when its process
/// ends, and a run that is another one than before says so.
pub struct Watching {
    parts: Parts<WatchAttempts>,
    ended: bool,
}

impl Watching {
    /// Begins to watch behind an attempt of a run, 0 for none; with `follow`, without an end.
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn start(dial: Dial, run: RunId, after: u64, follow: bool) -> Result<Watching, PartError> {
        let parts = Parts::ask(dial, &WatchAttempts { after, run, follow }).await?;
        Ok(Watching { parts, ended: false })
    }

    /// The next attempts. The first come at once, and may be none: they tell the run. `None` at the end.
    ///
    /// # Errors
    /// When the engine refuses, or is not there any more.
    pub async fn next(&mut self) -> Result<Option<Attempts>, PartError> {
        if self.ended {
            return Ok(None);
        }
        match self.parts.next().await? {
            WatchAttemptsOutcome::Attempts(attempts) => Ok(Some(attempts)),
            WatchAttemptsOutcome::End => {
                self.ended = true;
                Ok(None)
            }
        }
    }
}
