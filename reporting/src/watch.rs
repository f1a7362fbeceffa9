//! Watches the engine beside the tail: reads the end of its journal, so that the lag is known, and reports the read model's
//! position, so that the engine retains the journal after it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use scrip_client::{ClientError, Dial, EngineWatch};
use scrip_protocol::Position;
use scrip_protocol::command::KeepReaderOutcome;
use tokio::sync::watch;

use crate::read_model::log_of;
use crate::standing::{Newest, Standing};

/// Reads the end of the engine's journal while the status is watched, and reports the read model's position under the name of a
/// reader. Failures are retried: the tail shows whether the engine is reachable.
pub(crate) async fn watch_engine(dial: Dial, file: PathBuf, reader: Option<String>, standing: watch::Sender<Standing>) {
    let mut engine = EngineWatch::new(dial, reader);
    loop {
        if let Err(error) = watch_once(&mut engine, &file, &standing).await {
            tracing::debug!(%error, "the engine does not say how far its journal goes; asking again");
        }
    }
}

/// Handles one status, and reports the read model's position to the engine when due.
async fn watch_once(engine: &mut EngineWatch, file: &Path, standing: &watch::Sender<Standing>) -> Result<(), ClientError> {
    let status = engine.next().await?;
    let newest = Newest { position: status.journal.durable, now_ms: status.now_ms, requests_ms: status.requests_ms };
    standing.send_if_modified(|standing| standing.report(newest));
    let (applied, changed) = {
        let standing = standing.borrow();
        (standing.applied, standing.changed)
    };
    if !engine.is_report_due(changed) {
        return Ok(());
    }
    let file = file.to_owned();
    let flushed = tokio::task::spawn_blocking(move || Flushed::new(&file, applied)).await;
    match flushed.expect("flushing does not panic") {
        Ok(flushed) => tell(engine, flushed).await,
        Err(error) => {
            tracing::warn!(%error, "the read model could not be flushed; its position is not reported to the engine");
            engine.postpone_report();
            Ok(())
        }
    }
}

/// A position up to which the read model survives a power cut. The engine may drop the journal up to here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Flushed(Position);

impl Flushed {
    /// Flushes a read model that is at a position. A committed transaction is in the write-ahead log, not necessarily flushed;
    /// a checkpoint flushes what it copied into the file before it is removed from the log.
    fn new(file: &Path, applied: Position) -> io::Result<Flushed> {
        // The file itself is not opened: closing it would release SQLite's locks, which are on the file and not on the log.
        match File::open(log_of(file)) {
            Ok(log) => log.sync_data()?,
            // Everything was checkpointed into the file.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // The log may be a new file in the folder.
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(Flushed(applied))
    }
}

/// Reports the read model's position to the engine.
async fn tell(engine: &mut EngineWatch, Flushed(position): Flushed) -> Result<(), ClientError> {
    let reported = engine.report(position).await;
    if let Some(why) = why_not_kept(reported)? {
        tracing::warn!(%why, reader = engine.reader(), "the engine does not keep its journal for this sidecar");
    }
    Ok(())
}

/// Why the engine does not keep its journal after a report; none if it does, or nothing was reported.
///
/// # Errors
/// When the report had neither an outcome nor a refusal.
fn why_not_kept(reported: Result<Option<KeepReaderOutcome>, ClientError>) -> Result<Option<String>, ClientError> {
    match reported {
        Ok(None | Some(KeepReaderOutcome::Kept { .. })) => Ok(None),
        Ok(Some(KeepReaderOutcome::AlreadyFurther { position })) => {
            tracing::debug!(%position, "the engine knows this reader further on");
            Ok(None)
        }
        Ok(Some(
            outcome @ (KeepReaderOutcome::InvalidName
            | KeepReaderOutcome::BeyondEnd { .. }
            | KeepReaderOutcome::NotKept { .. }
            | KeepReaderOutcome::OtherCredential
            | KeepReaderOutcome::TooManyReaders
            | KeepReaderOutcome::TooManyOfCredential),
        )) => Ok(Some(outcome.to_string())),
        Err(ClientError::Refused(refusal)) => Ok(Some(refusal.to_string())),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use scrip_protocol::Refusal;

    use super::*;

    /// A report that the engine refuses is a warning as well as one with an outcome that keeps nothing.
    #[test]
    fn every_report_that_keeps_nothing_is_a_warning() {
        let why = |reported| why_not_kept(reported).expect("it was answered");
        for kept in [None, Some(KeepReaderOutcome::Kept { position: Position(7) })] {
            assert_eq!(why(Ok(kept.clone())), None, "{kept:?}");
        }
        assert!(why(Ok(Some(KeepReaderOutcome::TooManyReaders))).is_some());
        let refusal = Refusal::RequestFromFuture { now_ms: 1 };
        assert_eq!(why(Err(ClientError::Refused(refusal))), Some(refusal.to_string()));
        let unanswered = ClientError::NoAnswer { waited: std::time::Duration::ZERO, last: None };
        assert!(why_not_kept(Err(unanswered)).is_err(), "it is reported again on the next connection");
    }

    /// Only a position that survives a power cut is reported to the engine: none if the log cannot be flushed.
    #[test]
    fn only_what_was_flushed_is_reported() {
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
