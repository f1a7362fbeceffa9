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

/// Stores the attempts that the engine reports, until `stop` is true. Reconnects for as long as it takes.
///
/// # Errors
/// If the file fails.
pub async fn follow_attempts(dial: Dial, attempts: Arc<Attempts>, mut stop: watch::Receiver<bool>) -> Result<(), AttemptsError> {
    tokio::select! {
        error = keep_all(dial, attempts) => Err(error),
        _ = stop.wait_for(|stop| *stop) => Ok(()),
    }
}

async fn keep_all(dial: Dial, attempts: Arc<Attempts>) -> AttemptsError {
    let mut backoff = Backoff::of_followers();
    loop {
        let mut heard = false;
        match keep_some(&dial, &attempts, &mut heard).await {
            Ok(()) => tracing::debug!("the engine ended its response"),
            Err(Ended::Keep(error)) => return error,
            Err(Ended::Watch(error)) => tracing::warn!(%error, "refused attempts are not received; reconnecting"),
        }
        if heard {
            backoff.reset();
        }
        tokio::time::sleep(backoff.pause()).await;
    }
}

/// Stores what arrives on one connection. Sets `heard` if anything did.
async fn keep_some(dial: &Dial, attempts: &Arc<Attempts>, heard: &mut bool) -> Result<(), Ended> {
    let (run, after) = attempts.heard()?;
    let mut watching = Watching::start(dial.clone(), run, after, true).await?;
    while let Some(frame) = watching.next().await? {
        *heard = true;
        let attempts = attempts.clone();
        // A write waits for the disk; other tasks of this thread must not.
        let keeping = tokio::task::spawn_blocking(move || attempts.keep(&frame));
        keeping.await.expect("keeping attempts does not panic")?;
    }
    Ok(())
}
