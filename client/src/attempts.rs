//! Watching: refused attempts that left no record, as the engine reports them outside the journal (Z13).

use super::dial::Dial;
use super::parts::{PartError, Parts};
use scrip_protocol::command::{Attempts, RunId, WatchAttempts, WatchAttemptsOutcome};

/// A watch for refused attempts, on a connection of its own. They are not durable: the engine loses them when its process ends.
/// The run id in each answer shows whether the engine has restarted.
pub struct Watching {
    parts: Parts<WatchAttempts>,
    ended: bool,
}

impl Watching {
    /// Starts watching after the given attempt of a run, 0 for none; with `follow`, does not end.
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn start(dial: Dial, run: RunId, after: u64, follow: bool) -> Result<Watching, PartError> {
        let parts = Parts::ask(dial, &WatchAttempts { after, run, follow }).await?;
        Ok(Watching { parts, ended: false })
    }

    /// The next attempts. The first answer arrives at once and may be empty: it identifies the run. `None` at the end.
    ///
    /// # Errors
    /// When the engine refuses, or is gone.
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
