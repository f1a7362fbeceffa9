//! Verifies, while the engine runs, what it did not verify before it started: the whole of a large snapshot, and the segments of
//! the journal that the snapshot covers. If any of these is damaged, the engine stops, because its answers may be wrong. Codes of
//! the snapshot that cannot be looked up are counted and logged.
//!
//! An engine that stops waits for the verifier, which takes little time: a segment that it has open could not be closed, and the
//! next start would have to repair it first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use scrip_protocol::codes::CodeForm;
use tokio::sync::watch;

use crate::background::spawn;
use crate::snapshot::{Snapshot, SnapshotError, UnverifiedUse};
use scrip_core::index::log_not_codes;
use scrip_core::index::snapshot_codes::not_codes;
use scrip_core::state::frozen::FrozenCodes;
use scrip_journal::{JournalError, JournalReader};

/// Damage found while the engine runs.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// The snapshot that the engine started from.
    #[error(transparent)]
    Snapshot(SnapshotError),
    /// A segment of the journal that the engine has not read.
    #[error(transparent)]
    Journal(JournalError),
}

/// Verifies the rest on a separate thread, at the lowest priority. Owned by the engine.
pub(crate) struct Verifier {
    damage: watch::Receiver<Option<Arc<Damage>>>,
    stop: Arc<AtomicBool>,
    /// Whether the snapshot is valid.
    thread: JoinHandle<bool>,
}

impl Verifier {
    /// Starts it with a snapshot that is not verified, if there is one, with a journal, and with the codes of the snapshot,
    /// verified or not.
    pub(crate) fn start(
        unverified: Option<(Arc<Snapshot>, UnverifiedUse)>,
        reader: Arc<dyn JournalReader>,
        (codes, form): (Arc<FrozenCodes>, CodeForm),
    ) -> Verifier {
        let (found, damage) = watch::channel(None);
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = stop.clone();
        let look = move || -> Result<bool, Damage> {
            let goes_on = || !stopping.load(Ordering::Relaxed);
            // First of all: replies are based on it.
            let is_whole = unverified.map_or(Ok(true), |(snapshot, begun)| verify(&snapshot, begun, &goes_on))?;
            check_sealed(&*reader, &goes_on, PAUSE).map_err(Damage::Journal)?;
            // While it exists, it keeps its segments open.
            drop(reader);
            log_not_codes(not_codes(&codes, form, &goes_on).unwrap_or(0), form);
            Ok(is_whole)
        };
        let thread = spawn("verifier", move || {
            look().unwrap_or_else(|error| {
                found.send_replace(Some(Arc::new(error)));
                false
            })
        });
        Verifier { damage, stop, thread }
    }

    /// The damage, if any is found.
    pub(crate) fn damage(&self) -> watch::Receiver<Option<Arc<Damage>>> {
        self.damage.clone()
    }

    /// Stops it, and waits until it has closed everything. Returns whether the snapshot is known to be valid.
    ///
    /// # Errors
    /// If damage was found.
    pub(crate) fn stop(self) -> Result<bool, Arc<Damage>> {
        self.stop.store(true, Ordering::Relaxed);
        let is_whole = self.thread.join().expect("what redb can panic with is caught");
        match self.damage.borrow().clone() {
            Some(damage) => Err(damage),
            None => Ok(is_whole),
        }
    }
}

/// How often the sealed segments are checked before one that cannot be read counts as damaged: the machine may lack memory or file
/// descriptors for a moment.
const CHECKS_MAX: usize = 5;

/// The pause between two of these checks.
const PAUSE: Duration = Duration::from_secs(1);

/// Checks the sealed segments while `goes_on` returns true.
fn check_sealed(reader: &dyn JournalReader, goes_on: &dyn Fn() -> bool, pause: Duration) -> Result<(), JournalError> {
    for _ in 1..CHECKS_MAX {
        match reader.check_sealed(goes_on) {
            Err(error @ (JournalError::Io { .. } | JournalError::Unreadable { .. })) => {
                if !goes_on() {
                    return Ok(());
                }
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a segment of the journal could not be read; trying again"
                );
                std::thread::sleep(pause);
            }
            checked => return checked,
        }
    }
    reader.check_sealed(goes_on)
}

/// Verifies the snapshot that an engine started on while `goes_on` returns true. Returns whether it is known to be intact.
/// Damage is recorded beside the snapshot before it is returned, so that no start uses the snapshot again.
fn verify(snapshot: &Snapshot, mut begun: UnverifiedUse, goes_on: &dyn Fn() -> bool) -> Result<bool, Damage> {
    match snapshot.verify_while(goes_on) {
        Ok(is_whole) => {
            if is_whole {
                tracing::info!(path = %snapshot.path().display(), "the snapshot that the engine started on is whole");
            }
            Ok(is_whole)
        }
        Err(error) => {
            begun.found_damaged(&error);
            Err(Damage::Snapshot(error))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use scrip_protocol::Position;

    use super::*;

    /// A reader whose segments cannot be opened for some checks.
    struct Failing {
        checks: AtomicUsize,
        fails: usize,
    }

    impl JournalReader for Failing {
        fn read(&self, _from: Position, _bytes_max: usize) -> Result<Vec<Vec<u8>>, JournalError> {
            Ok(Vec::new())
        }

        fn bytes(&self) -> u64 {
            0
        }

        fn first(&self) -> Position {
            Position(1)
        }

        fn first_behind(&self, _position: Position) -> Position {
            Position(1)
        }

        fn drop_through(&self, _position: Position) -> Result<usize, JournalError> {
            Ok(0)
        }

        fn check_sealed(&self, _goes_on: &dyn Fn() -> bool) -> Result<(), JournalError> {
            match self.checks.fetch_add(1, Ordering::Relaxed) < self.fails {
                true => Err(JournalError::Unreadable { path: "1.redb".into(), cause: "too many open files in system".into() }),
                false => Ok(()),
            }
        }
    }

    /// A segment that cannot be read for a moment is not damaged; one that can never be read is. A stop ends the attempts.
    #[test]
    fn a_segment_that_cannot_be_read_for_a_moment_is_not_damaged() {
        let check = |fails, goes_on: bool| {
            let reader = Failing { checks: AtomicUsize::new(0), fails };
            let checked = check_sealed(&reader, &|| goes_on, Duration::ZERO);
            (checked.is_ok(), reader.checks.into_inner())
        };
        assert_eq!(check(CHECKS_MAX - 1, true), (true, CHECKS_MAX));
        assert_eq!(check(usize::MAX, true), (false, CHECKS_MAX));
        assert_eq!(check(usize::MAX, false), (true, 1));
    }
}
