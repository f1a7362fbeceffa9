//! Following the engine's attempts: what it tells is kept as it comes.

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

/// Keeps what the engine tells, until `stop` is true. It connects again for as long as it takes.
///
/// # Errors
/// When the file fails.
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
            Ok(()) => tracing::debug!("the engine has ended its answer"),
            Err(Ended::Keep(error)) => return error,
            Err(Ended::Watch(error)) => tracing::warn!(%error, "refused attempts are not told; connecting again"),
        }
        if heard {
            backoff.reset();
        }
        tokio::time::sleep(backoff.pause()).await;
    }
}

/// Keeps what comes on one connection. Whether anything came is said in `heard`.
async fn keep_some(dial: &Dial, attempts: &Arc<Attempts>, heard: &mut bool) -> Result<(), Ended> {
    let (run, after) = attempts.heard()?;
    let mut watching = Watching::start(dial.clone(), run, after, true).await?;
    while let Some(told) = watching.next().await? {
        *heard = true;
        let attempts = attempts.clone();
        // A write waits for the disk; this thread's other tasks go on meanwhile.
        let keeping = tokio::task::spawn_blocking(move || attempts.keep(&told));
        keeping.await.expect("keeping attempts does not panic")?;
    }
    Ok(())
}
