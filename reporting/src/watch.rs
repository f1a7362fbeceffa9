//! Watching the engine beside the tail: how far its journal goes, so that the lag is known, and telling it how far the read model has
//! come, so that it keeps what comes after.

use std::time::Duration;

use scrip_protocol::client::{Client, ClientError, Dial};
use scrip_protocol::command::{KeepReader, KeepReaderOutcome, ShowStatus};
use scrip_protocol::{Position, RequestId};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::standing::{Newest, Standing};

/// How often the engine is asked.
const EVERY: Duration = Duration::from_millis(500);

/// How often the engine is told, at the most: what it is told is a record, which the read model reads in its turn.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// By how many records the read model must have moved before it is told again.
const TELL_RECORDS: u64 = 1_000;

/// Asks the engine how far its journal goes, for as long as the standing is watched, and tells it under the name of a reader how far the read
/// model has come. What fails is tried again: the tail says whether the engine is there.
pub(crate) async fn watch_engine(dial: Dial, reader: Option<String>, standing: watch::Sender<Standing>) {
    let mut told = Told { at: None, position: Position(0) };
    loop {
        if let Err(error) = watch_once(&dial, reader.as_deref(), &standing, &mut told).await {
            tracing::debug!(%error, "the engine does not say how far its journal goes; asking again");
        }
        tokio::time::sleep(EVERY * 2).await;
    }
}

/// What the engine was told last.
struct Told {
    at: Option<Instant>,
    position: Position,
}

async fn watch_once(
    dial: &Dial,
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
        let newest = Newest { position: status.journal.durable, now_ms: status.now_ms };
        standing.send_if_modified(|standing| standing.report(newest));
        let Some(name) = reader else { continue };
        let applied = standing.borrow().applied;
        let is_due = told.at.is_none_or(|at| at.elapsed() >= TELL_EVERY && applied.0 >= told.position.0 + TELL_RECORDS);
        if is_due {
            tell(&client, name, applied).await?;
            *told = Told { at: Some(Instant::now()), position: applied };
        }
    }
}

/// Tells the engine how far the read model has come.
async fn tell(client: &Client, name: &str, applied: Position) -> Result<(), ClientError> {
    let asked = KeepReader { name: name.to_owned(), position: applied };
    let outcome = client.call(RequestId::now(), &asked).await?;
    match outcome {
        KeepReaderOutcome::Kept { .. } => {}
        // A read model that is built anew is where it was before; the engine keeps what the older one had not read.
        KeepReaderOutcome::AlreadyFurther { position } => tracing::debug!(%position, "the engine knows this reader further on"),
        KeepReaderOutcome::InvalidName
        | KeepReaderOutcome::BeyondEnd { .. }
        | KeepReaderOutcome::NotKept { .. }
        | KeepReaderOutcome::TooManyReaders => {
            tracing::warn!(%outcome, reader = name, "the engine does not keep its journal for this sidecar");
        }
    }
    Ok(())
}
