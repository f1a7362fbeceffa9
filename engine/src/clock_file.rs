//! The machine's clock as the engine last followed it, in a file of the data folder (`clock.json`). This is how `--accept-clock`
//! is remembered.
//!
//! It is only written if the newest record does not show the clock: at a start with an accepted clock and at later starts, when
//! the clock was set back while the engine ran, and once a day while nothing is recorded. Each time the file is replaced as a
//! whole, and flushed. If it is missing, damaged, or of another journal, the newest record alone decides at what time the engine
//! may start.
//!
//! Backups do not contain it: after a restore, the operator accepts the clock of the new machine.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender};
use scrip_protocol::{Position, private};

use crate::background::spawn;
use crate::counters::Counters;
use crate::error::EngineError;
use crate::folder::FolderError;
use crate::pipeline::{EngineClock, FollowedClock, check_start};

/// How often a running engine checks its clock.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Checks between two attempts to write the file after a failure: a minute, so that the log is not flooded.
const LOOKS_AFTER_FAILURE: u32 = 60;

/// The file.
#[derive(Debug)]
pub(crate) struct ClockFile {
    path: PathBuf,
}

impl ClockFile {
    /// The file at a path, which need not exist.
    pub(crate) fn at(path: PathBuf) -> ClockFile {
        ClockFile { path }
    }

    /// Decides whether an engine may start by the machine's clock, on a journal whose newest record has position `end` and time
    /// `newest_ms`. Remembers the clock if necessary, and returns what is remembered.
    ///
    /// # Errors
    /// If the clock is implausible and not accepted, or an acceptance cannot be made durable.
    pub(crate) fn judge_start(
        &self,
        newest_ms: u64,
        end: Position,
        wall_ms: u64,
        accept: bool,
    ) -> Result<Option<FollowedClock>, EngineError> {
        let stored = self.read();
        let followed = stored.filter(|followed| followed.is_of(end));
        let is_accepted = match check_start(newest_ms, followed.as_ref(), wall_ms) {
            Err(error) if !accept => return Err(EngineError::Clock(error)),
            Err(error) => {
                tracing::warn!(%error, "the machine's clock is accepted");
                let now = FollowedClock::at_start(newest_ms, end, wall_ms, true);
                self.write(&now).map_err(|source| FolderError::Io { path: self.path.clone(), source })?;
                return Ok(Some(now));
            }
            Ok(()) => followed.is_some_and(|followed| followed.is_accepted && newest_ms > wall_ms),
        };
        if stored.is_none() && newest_ms <= wall_ms {
            return Ok(None);
        }
        let now = FollowedClock::at_start(newest_ms, end, wall_ms, is_accepted);
        Ok(Some(self.note(now).unwrap_or(now)))
    }

    /// The contents of the file; none if it is missing or damaged.
    fn read(&self) -> Option<FollowedClock> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "{UNREADABLE}");
                return None;
            }
        };
        let read = serde_json::from_slice(&bytes);
        read.inspect_err(|error| tracing::warn!(path = %self.path.display(), %error, "{UNREADABLE}")).ok()
    }

    fn write(&self, followed: &FollowedClock) -> io::Result<()> {
        let text = serde_json::to_vec(followed).expect("numbers and a flag");
        private::write(&self.path, &text)
    }

    /// Writes the file, and logs a failure. Returns what was written.
    fn note(&self, followed: FollowedClock) -> Option<FollowedClock> {
        let written = self.write(&followed);
        written.inspect_err(|error| tracing::warn!(path = %self.path.display(), %error, "{UNWRITTEN}")).ok().map(|()| followed)
    }
}

/// Notes the machine's clock in the file while an engine runs. Owned by the engine; if it is dropped without being stopped, its
/// thread ends by itself.
pub(crate) struct ClockNoter {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl ClockNoter {
    /// Starts with the contents of the file.
    pub(crate) fn start(
        file: ClockFile,
        mut followed: Option<FollowedClock>,
        clock: EngineClock,
        counters: Arc<Counters>,
    ) -> ClockNoter {
        let (stop, stopping) = crossbeam_channel::bounded(0);
        let thread = spawn("clock", move || {
            let mut looks_to_skip = 0_u32;
            let mut goes_on = true;
            while goes_on {
                // The last check is after the last record.
                goes_on = stopping.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout);
                looks_to_skip = looks_to_skip.saturating_sub(1);
                let end = Position(counters.journal.durable.load(Ordering::Relaxed));
                let newest_ms = counters.journal.time_ms.load(Ordering::Relaxed);
                let due = FollowedClock::due(followed.as_ref(), &clock.status(), newest_ms, end);
                if let Some(due) = due.filter(|_| looks_to_skip == 0) {
                    match file.note(due) {
                        Some(noted) => followed = Some(noted),
                        None => looks_to_skip = LOOKS_AFTER_FAILURE,
                    }
                }
            }
        });
        ClockNoter { stop, thread }
    }

    /// Stops the thread, and waits for it to end.
    ///
    /// # Panics
    /// If the thread panicked.
    pub(crate) fn stop(self) {
        let ClockNoter { stop, thread } = self;
        drop(stop);
        thread.join().expect("it does nothing that panics");
    }
}

/// Logged if the file cannot be used.
const UNREADABLE: &str =
    "the file of the machine's clock cannot be read; the newest record alone decides when the engine may start";

/// Logged if the file cannot be written.
const UNWRITTEN: &str = "the file of the machine's clock cannot be written; the next start may need --accept-clock";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{ClockError, Reading};

    const START: u64 = 1_790_000_000_000;
    const HOUR: u64 = 3_600_000;
    const DAY: u64 = 24 * HOUR;

    /// The file in a data folder, and the end and newest time of the journal beside it.
    struct Shop {
        _dir: tempfile::TempDir,
        path: PathBuf,
        end: u64,
        newest_ms: u64,
    }

    impl Shop {
        fn new(newest_ms: u64) -> Shop {
            let dir = tempfile::tempdir().expect("a folder");
            Shop { path: dir.path().join("clock.json"), _dir: dir, end: 5, newest_ms }
        }

        fn start(&self, wall_ms: u64, accept: bool) -> Result<Option<FollowedClock>, ClockError> {
            let started = ClockFile::at(self.path.clone()).judge_start(self.newest_ms, Position(self.end), wall_ms, accept);
            started.map_err(|error| {
                let EngineError::Clock(error) = error else { panic!("{error}") };
                error
            })
        }
    }

    /// A clock that was a year ahead was set right: the flag is needed once, although records stay ahead, until the clock is set
    /// again.
    #[test]
    fn an_accepted_clock_is_remembered_until_it_is_set_again() {
        let lead = 366 * DAY;
        let mut shop = Shop::new(START + lead);
        assert!(matches!(shop.start(START, false), Err(ClockError::Behind { .. })));
        assert!(!shop.path.exists(), "a refused start remembers nothing");
        shop.start(START, true).expect("it is accepted");
        // Nothing was recorded, and the engine was stopped for a while.
        for wall_ms in [START, START + HOUR, START + 20 * DAY, START + 50 * DAY, START + 50 * DAY - 10 * 60_000] {
            shop.start(wall_ms, false).unwrap_or_else(|error| panic!("{wall_ms}: {error}"));
        }
        let followed_ms = START + 50 * DAY - 10 * 60_000;
        // Ten days of records at half speed, and more time without records.
        shop.newest_ms += 5 * DAY;
        shop.end += 1;
        let now_ms = followed_ms + 10 * DAY;
        for (wall_ms, accepted) in [(now_ms - 10 * 60_000 - 1, false), (shop.newest_ms, false), (now_ms + 31 * DAY + 1, false)] {
            let refused = shop.start(wall_ms, accepted).expect_err("the clock was set again");
            assert!(refused.to_string().contains("after --accept-clock the engine followed it up to"), "{refused}");
        }
        assert!(matches!(shop.start(now_ms + 31 * DAY, false), Ok(Some(FollowedClock { is_accepted: true, .. }))));
        // After being set again, the clock must be accepted again, once.
        shop.start(START + HOUR, true).expect("it is accepted");
        shop.start(START + HOUR, false).expect("it is remembered");
    }

    #[test]
    fn a_start_after_a_long_closure_is_accepted_once_though_it_records_nothing() {
        let shop = Shop::new(START);
        let now_ms = START + 40 * DAY;
        assert!(matches!(shop.start(now_ms, false), Err(ClockError::Ahead { .. })));
        shop.start(now_ms, true).expect("it is accepted");
        for days in [0, 1, 30, 60] {
            shop.start(now_ms + days * DAY, false).unwrap_or_else(|error| panic!("{days} days: {error}"));
        }
        assert!(shop.start(now_ms + 92 * DAY, false).is_err());
    }

    /// The file applies to its own journal only: not to one that ends earlier, such as an older copy.
    #[test]
    fn a_clock_file_that_is_damaged_or_of_another_journal_accepts_nothing() {
        let mut shop = Shop::new(START + 366 * DAY);
        shop.start(START, true).expect("it is accepted");
        shop.end -= 1;
        assert!(matches!(shop.start(START, false), Err(ClockError::Behind { .. })));
        shop.end += 1;
        shop.start(START, false).expect("it is remembered");
        for bytes in [&b""[..], b"{", b"[1, 2]", b"{\"wall_ms\": -1}", &[0xff; 200]] {
            std::fs::write(&shop.path, bytes).expect("written");
            assert!(matches!(shop.start(START, false), Err(ClockError::Behind { .. })), "{bytes:?}");
        }
        shop.start(START, true).expect("it is accepted");
        shop.start(START, false).expect("it is remembered");
    }

    /// A start needs no file if the newest record shows the time.
    #[test]
    fn a_plain_start_writes_no_file() {
        let shop = Shop::new(START);
        assert_eq!(shop.start(START + DAY, false), Ok(None));
        assert!(!shop.path.exists());
        // A clock that is slightly behind is remembered, but not as accepted.
        let noted = shop.start(START - 1, false).expect("it is plausible").expect("it is noted");
        assert_eq!((noted.wall_ms, noted.record_ms, noted.is_accepted), (START - 1, START, false));
    }

    /// If an acceptance cannot be remembered, the engine does not start.
    #[test]
    fn an_acceptance_is_durable_before_the_engine_starts() {
        let shop = Shop::new(START + DAY);
        std::fs::create_dir(&shop.path).expect("a folder in its place");
        let started = ClockFile::at(shop.path.clone()).judge_start(shop.newest_ms, Position(shop.end), START, true);
        assert!(matches!(started, Err(EngineError::Folder(FolderError::Io { .. }))), "{started:?}");
    }

    /// A clock set by the test.
    struct Set(Arc<parking_lot::Mutex<Reading>>);

    impl crate::pipeline::Clock for Set {
        fn read(&mut self) -> Reading {
            *self.0.lock()
        }
    }

    /// A running engine follows a clock that is set back; after a crash it starts by that clock without a flag.
    #[test]
    fn a_clock_set_back_under_a_running_engine_is_noted_for_the_next_start() {
        let mut shop = Shop::new(START);
        let reading = Arc::new(parking_lot::Mutex::new(Reading { wall_ms: START, elapsed_ms: 0 }));
        let clock = EngineClock::new(Box::new(Set(reading.clone())), START);
        let counters = Arc::new(Counters::default());
        counters.journal.ends(Position(shop.end), START);
        let noter = ClockNoter::start(ClockFile::at(shop.path.clone()), None, clock.clone(), counters.clone());
        reading.lock().wall_ms = START - 5 * HOUR;
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while !shop.path.exists() {
            assert!(std::time::Instant::now() < deadline, "the clock is noted");
            std::thread::yield_now();
        }
        // Two hours of records at half speed.
        *reading.lock() = Reading { wall_ms: START - 3 * HOUR, elapsed_ms: 2 * HOUR };
        shop.newest_ms = clock.now().record_ms;
        assert_eq!(shop.newest_ms, START + HOUR);
        shop.end += 1;
        noter.stop();
        assert!(matches!(shop.start(START - 3 * HOUR - 11 * 60_000, false), Err(ClockError::Behind { .. })));
        let started = shop.start(START - 3 * HOUR, false).expect("it was followed").expect("it is noted");
        assert!(!started.is_accepted);
        // The step was a mistake and is reversed: the newest record agrees.
        shop.start(START + 2 * HOUR, false).expect("it is plausible beside the newest record");
    }
}
