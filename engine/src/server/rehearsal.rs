//! Rehearsal: computes what a rule would have done to the top-ups of a past period (Z12), from the journal.
//!
//! It does not involve the engine and journal threads, and only one runs at a time, because it reads as fast as the disk can and
//! others need the disk as well. The start of the period is found by binary search, because the times of batches never run
//! backwards.

use std::sync::Arc;

use scrip_protocol::batch::{Batch, BatchError};
use scrip_protocol::command::{RehearseRule, RehearseRuleOutcome as Outcome, ToppedUp};
use scrip_protocol::frame::{REFUSAL, push_value};
use scrip_protocol::{Kind, Position};
use scrip_rules::{Rehearsing, check};

use super::Shared;
use crate::pipeline::BUSY;
use crate::pipeline::Outbox;
use scrip_journal::{Cursor, JournalError, JournalReader};

/// Bytes of batches read from disk at once.
const BYTES_PER_READ: usize = 1 << 20;

/// Starts a rehearsal, which answers when it is done; or answers that the engine is busy, while another one runs.
pub(super) fn begin(correlation: u64, request: RehearseRule, shared: &Arc<Shared>, outbox: &Arc<Outbox>) {
    outbox.expect(1);
    let (shared, outbox) = (shared.clone(), outbox.clone());
    tokio::spawn(async move {
        let mut frame = Vec::new();
        match rehearsed(request, &shared, &outbox).await {
            Some(outcome) => push_value(&mut frame, Kind::RehearseRule as u16, correlation, &outcome),
            None => push_value(&mut frame, REFUSAL, correlation, &BUSY),
        }
        outbox.deliver(frame, 1);
    });
}

/// The answer; none if another rehearsal runs, or the engine stops.
async fn rehearsed(request: RehearseRule, shared: &Arc<Shared>, outbox: &Arc<Outbox>) -> Option<Outcome> {
    if request.to_ms < request.from_ms {
        return Some(Outcome::PeriodReversed);
    }
    // Clubs and groups that do not exist have had no top-ups, and do not affect what is credited.
    let rehearsing = match check(&request.terms, |_| true, |_| true) {
        Ok((_, compiled)) => Rehearsing::new(compiled, request.replaces),
        Err(why) => return Some(Outcome::InvalidRule(why)),
    };
    let permit = shared.rehearsals.clone().try_acquire_owned().ok()?;
    let (shared, outbox) = (shared.clone(), outbox.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let gone = || outbox.is_closed() || *shared.stopping.borrow();
        // Released at once: nothing becomes durable while it is borrowed.
        let durable = *shared.durable.borrow();
        let read = read(&request, rehearsing, durable, shared.reader.as_ref(), gone);
        drop(permit);
        read
    });
    match reading.await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => {
            tracing::error!(%error, "the journal cannot be read for a rehearsal");
            Some(Outcome::Unreadable)
        }
        Err(error) => {
            tracing::error!(%error, "a rehearsal failed");
            Some(Outcome::Unreadable)
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the batch from position {from}: {cause}")]
    Batch { from: Position, cause: BatchError },
}

fn read(
    request: &RehearseRule,
    mut rehearsing: Rehearsing,
    durable: Position,
    reader: &dyn JournalReader,
    gone: impl Fn() -> bool,
) -> Result<Option<Outcome>, ReadError> {
    let (first, first_ms) = first_kept(reader)?;
    // Dropped records are not newer than retained ones.
    if first > Position(1) && first_ms >= request.from_ms {
        return Ok(Some(Outcome::NotKept { first, first_ms }));
    }
    let mut next = first_from(request.from_ms, first, durable, reader)?;
    let mut cursor = Cursor::from(next);
    while next <= durable {
        if gone() {
            return Ok(None);
        }
        let read = cursor.read(reader, BYTES_PER_READ);
        if next < reader.first() {
            let (first, first_ms) = first_kept(reader)?;
            return Ok(Some(Outcome::NotKept { first, first_ms }));
        }
        for bytes in read? {
            let broken = |cause| ReadError::Batch { from: next, cause };
            let batch = Batch::parse(&bytes).map_err(broken)?;
            if batch.time_ms > request.to_ms {
                return Ok(Some(Outcome::Rehearsed(rehearsing.finish(Position(next.0 - 1)))));
            }
            for top_up in batch.records_of::<ToppedUp>() {
                let (position, top_up) = top_up.map_err(broken)?;
                rehearsing.look(position, &top_up);
            }
            next = Position(batch.end().position.0 + 1);
        }
    }
    Ok(Some(Outcome::Rehearsed(rehearsing.finish(Position(next.0 - 1)))))
}

/// The first retained position, and the time of its batch.
fn first_kept(reader: &dyn JournalReader) -> Result<(Position, u64), ReadError> {
    let first = reader.first();
    Ok((first, extent_at(first, reader)?.time_ms))
}

/// The position of the first record that is not older than a time; if there is none, of the next future one.
fn first_from(time_ms: u64, first: Position, durable: Position, reader: &dyn JournalReader) -> Result<Position, ReadError> {
    // Both are first positions of batches.
    let (mut low, mut high) = (first.0, durable.0 + 1);
    while low < high {
        let batch = extent_at(Position(low + (high - low) / 2), reader)?;
        match batch.time_ms < time_ms {
            true => low = batch.end.0 + 1,
            false => high = batch.first.0,
        }
    }
    Ok(Position(low))
}

/// The positions and the time of a batch.
struct Extent {
    first: Position,
    end: Position,
    time_ms: u64,
}

/// The extent of the batch that contains a durable position.
fn extent_at(position: Position, reader: &dyn JournalReader) -> Result<Extent, ReadError> {
    let batches = Cursor::from(position).read(reader, 1)?;
    let bytes = batches.first().ok_or(JournalError::Missing { position })?;
    let batch = Batch::parse(bytes).map_err(|cause| ReadError::Batch { from: position, cause })?;
    Ok(Extent { first: batch.first, end: batch.end().position, time_ms: batch.time_ms })
}
