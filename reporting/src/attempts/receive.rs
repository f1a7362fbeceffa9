//! Follows the engine's refused attempts and stores them as they arrive.

use std::sync::Arc;

use scrip_client::{Backoff, Dial, PartError, Watching};
use tokio::sync::watch;

use super::{Attempts, AttemptsError};

#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Watch(#[from] PartError),
    #[error(transparent)]
    Keep(#[from] AttemptsError),
}

/// Stores the attempts that the engine reports, until `stop` is true. Reconnects for as long as it takes, also after the file failed: the
/// engine reports again what was not stored, as long as it remembers it.
pub async fn follow_attempts(dial: Dial, attempts: Arc<Attempts>, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        () = keep_all(dial, attempts) => {}
        // An error means that the program ends.
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn keep_all(dial: Dial, attempts: Arc<Attempts>) {
    let mut backoff = Backoff::of_followers();
    loop {
        let mut has_stored = false;
        match keep_some(&dial, &attempts, &mut has_stored).await {
            Ok(()) => tracing::debug!("the engine ended its response"),
            Err(Ended::Keep(error)) => {
                tracing::error!(error = &error as &dyn std::error::Error, "refused attempts are not stored; trying again");
            }
            Err(Ended::Watch(error)) => tracing::warn!(%error, "refused attempts are not received; reconnecting"),
        }
        if has_stored {
            backoff.reset();
        }
        tokio::time::sleep(backoff.pause()).await;
    }
}

/// Stores what arrives on one connection. Sets `has_stored` once anything is stored.
async fn keep_some(dial: &Dial, attempts: &Arc<Attempts>, has_stored: &mut bool) -> Result<(), Ended> {
    let (run, after) = attempts.heard()?;
    let mut watching = Watching::start(dial.clone(), run, after, true).await?;
    while let Some(frame) = watching.next().await? {
        let attempts = attempts.clone();
        // A write waits for the disk; other tasks of this thread must not.
        let keeping = tokio::task::spawn_blocking(move || attempts.keep(&frame));
        keeping.await.expect("keeping attempts does not panic")?;
        *has_stored = true;
    }
    Ok(())
}
