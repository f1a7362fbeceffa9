//! Watching the engine beside the tail: how far its journal goes, so that the lag is known, and telling it how far the read model has
//! come, so that it keeps what comes after.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use scrip_client::{Client, ClientError, Dial};
use scrip_protocol::command::{KeepReader, KeepReaderOutcome, ShowStatus};
use scrip_protocol::{Position, RequestId};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::read_model::log_of;
use crate::standing::{Newest, Standing};

/// How often the engine is asked.
const EVERY: Duration = Duration::from_millis(500);

/// How often the engine is told at most: what it is told is a record, which the read model reads in its turn.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// How long it waits after a refusal: that is a record as well, and it takes an operator to change the answer.
const TELL_AGAIN: Duration = Duration::from_secs(600);

/// Asks the engine how far its journal goes, for as long as the standing is watched, and tells it under the name of a reader how far the read
/// model has come. What fails is tried again: the tail says whether the engine is there.
pub(crate) async fn watch_engine(dial: Dial, file: PathBuf, reader: Option<String>, standing: watch::Sender<Standing>) {
    let mut told = Told::default();
    loop {
        if let Err(error) = watch_once(&dial, &file, reader.as_deref(), &standing, &mut told).await {
            tracing::debug!(%error, "the engine does not say how far its journal goes; asking again");
        }
        tokio::time::sleep(EVERY * 2).await;
    }
}

/// What the engine was told last.
#[derive(Default)]
struct Told {
    at: Option<Instant>,
    /// How far the read model was; none where the engine refused it.
    position: Option<Position>,
}

impl Told {
    /// Whether the engine is to be told again of a read model whose newest record that is not about readers is `changed`. On a quiet shop
    /// it is told once: what comes of that, and of other readers that are told of, is nothing new.
    fn is_due(&self, now: Instant, changed: Position) -> bool {
        let Some(at) = self.at else { return true };
        match self.position {
            Some(position) => changed > position && now >= at + TELL_EVERY,
            None => now >= at + TELL_AGAIN,
        }
    }
}

async fn watch_once(
    dial: &Dial,
    file: &Path,
    reader: Option<&str>,
    standing: &watch::Sender<Standing>,
    told: &mut Told,
) -> Result<(), ClientError> {
    let client = Client::connect(dial.clone()).await?;
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let status = client.call(RequestId(0), &ShowStatus {}).await?;
        let newest = Newest { position: status.journal.durable, now_ms: status.now_ms, requests_ms: status.requests_ms };
        standing.send_if_modified(|standing| standing.report(newest));
        let Some(name) = reader else { continue };
        let (applied, changed) = {
            let standing = standing.borrow();
            (standing.applied, standing.changed)
        };
        if told.is_due(Instant::now(), changed) {
            let file = file.to_owned();
            let flushed = tokio::task::spawn_blocking(move || Flushed::new(&file, applied)).await;
            let flushed = match flushed.expect("flushing does not panic") {
                Ok(flushed) => flushed,
                Err(error) => {
                    tracing::warn!(%error, "the read model could not be flushed; its position is not reported to the engine");
                    // Again in a minute, as after a report.
                    *told = Told { at: Some(Instant::now()), position: told.position.or(Some(Position(0))) };
                    continue;
                }
            };
            let is_kept = tell(&client, name, flushed).await?;
            *told = Told { at: Some(Instant::now()), position: is_kept.then_some(applied) };
        }
    }
}

/// A position up to which the read model survives a power cut. The engine may drop the journal up to here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Flushed(Position);

impl Flushed {
    /// Flushes a read model that has come to a position. A transaction is in the write-ahead log when it is committed, but is not
    /// flushed; what was brought into the file is flushed before it is taken off the log.
    fn new(file: &Path, applied: Position) -> io::Result<Flushed> {
        // The file itself is not opened: closing it again would release SQLite's locks, which are on the file and not on the log.
        match File::open(log_of(file)) {
            Ok(log) => log.sync_data()?,
            // All of it was brought into the file.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // The log may be new in the folder.
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(Flushed(applied))
    }
}

/// Tells the engine how far the read model has come. Returns whether it keeps what comes after.
async fn tell(client: &Client, name: &str, Flushed(position): Flushed) -> Result<bool, ClientError> {
    let asked = KeepReader { name: name.to_owned(), position };
    let outcome = client.call(RequestId::now(), &asked).await?;
    Ok(match outcome {
        KeepReaderOutcome::Kept { .. } => true,
        // A read model that is built anew is where it was before; the engine keeps what the older one had not read.
        KeepReaderOutcome::AlreadyFurther { position } => {
            tracing::debug!(%position, "the engine knows this reader further on");
            true
        }
        KeepReaderOutcome::InvalidName
        | KeepReaderOutcome::BeyondEnd { .. }
        | KeepReaderOutcome::NotKept { .. }
        | KeepReaderOutcome::OtherCredential
        | KeepReaderOutcome::TooManyReaders
        | KeepReaderOutcome::TooManyOfCredential => {
            tracing::warn!(%outcome, reader = name, "the engine does not keep its journal for this sidecar");
            false
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A quiet shop: the reader moves up to the newest record that says something, within a minute and however few these are, and then
    /// stands still without another record, although its own moves and those of other readers are records as well.
    #[test]
    fn the_engine_is_told_of_the_last_change_and_then_nothing() {
        let begun = Instant::now();
        let seconds = |seconds| begun + Duration::from_secs(seconds);
        assert!(Told::default().is_due(begun, Position(0)), "it registers at once, whatever there is");
        let told = Told { at: Some(begun), position: Some(Position(7)) };
        assert!(!told.is_due(seconds(3_600), Position(7)), "nothing has changed since");
        assert!(!told.is_due(seconds(59), Position(8)));
        assert!(told.is_due(seconds(60), Position(8)), "one record is enough");
        let told = Told { at: Some(begun), position: Some(Position(9)) };
        assert!(!told.is_due(seconds(3_600), Position(8)), "8 is the last change, and 9 the record of the first move");
    }

    /// What was refused is tried again, seldom: an operator may have changed the answer.
    #[test]
    fn a_refused_reader_is_registered_later() {
        let begun = Instant::now();
        let refused = Told { at: Some(begun), position: None };
        assert!(!refused.is_due(begun + TELL_EVERY, Position(1_000_000)));
        assert!(refused.is_due(begun + TELL_AGAIN, Position(0)));
    }

    /// Only a position that survives a power cut is reported to the engine: none if the log cannot be flushed.
    #[test]
    fn only_what_was_flushed_is_told() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let file = folder.path().join("read-model.sqlite");
        let flushed = |file: &Path| Flushed::new(file, Position(7)).map_err(|error| error.kind());
        assert_eq!(flushed(&folder.path().join("gone/read-model.sqlite")), Err(io::ErrorKind::NotFound), "there is no folder");
        assert_eq!(flushed(&file), Ok(Flushed(Position(7))), "without a log, all is in the file");
        std::fs::write(log_of(&file), "").expect("it can be written");
        assert_eq!(flushed(&file), Ok(Flushed(Position(7))));
        std::fs::remove_file(log_of(&file)).expect("it is there");
        std::os::unix::fs::symlink("read-model.sqlite-wal", log_of(&file)).expect("it can be made");
        assert!(flushed(&file).is_err(), "a log that cannot be opened is not flushed");
    }
}
