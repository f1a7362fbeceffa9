//! Tail: sends stored batches to one reader at its pace. It does not involve the engine and journal threads.

use scrip_protocol::command::{Tail, TailOutcome};
use scrip_protocol::frame::{REFUSAL, push_value};
use scrip_protocol::{Kind, Position};

use super::Shared;
use crate::counters::One;
use crate::pipeline::BUSY;
use crate::pipeline::{Outbox, Unwritten};
use scrip_journal::{Cursor, JournalError};

/// Bytes of batches read from disk at once.
const BYTES_PER_READ: usize = 1 << 20;

/// Concurrent reads of tails: each may open a file, and uses some MiB.
pub(super) const READS_MAX: usize = 8;

/// Serves a tail until it ends, its reader is gone, or the server stops.
pub(super) async fn serve(correlation: u64, request: &Tail, shared: &Shared, outbox: &Outbox) {
    let Some(_place) = outbox.share().stream() else { return refuse(outbox, correlation) };
    let _one = One::of(&shared.counters.server.tails);
    let mut durable = shared.durable.clone();
    let mut stopping = shared.stopping.clone();
    let mut cursor = Cursor::from(request.from);
    let newest = durable.borrow().0;
    if cursor.next().0 > newest + 1 {
        return send(outbox, correlation, &TailOutcome::BeyondEnd { next: Position(newest + 1) });
    }
    loop {
        outbox.room(usize::MAX, shared.limits.lane_stream_bytes_max).await;
        outbox.share_room(Unwritten::Streams).await;
        if outbox.is_closed() || *stopping.borrow() {
            return;
        }
        let next = cursor.next();
        if next > *durable.borrow_and_update() {
            if !request.follow {
                return send(outbox, correlation, &TailOutcome::End { next });
            }
            tokio::select! {
                moved = durable.changed() => if moved.is_err() { return },
                _ = stopping.wait_for(|stopping| *stopping) => return,
                () = outbox.closed() => return,
            }
            continue;
        }
        let Ok(turn) = shared.tail_reads.acquire().await else { return };
        // Others were served meanwhile: add to the unwritten bytes only within the share.
        if !outbox.has_share(Unwritten::Streams) {
            continue;
        }
        let reader = shared.reader.clone();
        let read = move || -> Result<_, JournalError> {
            let mut moved = cursor;
            let batches = moved.read(&*reader, BYTES_PER_READ)?;
            Ok((moved, batches))
        };
        let read = tokio::task::spawn_blocking(read).await;
        // Read afterwards, because segments may be dropped before a slow reader reaches them.
        let first = shared.reader.first();
        if next < first {
            return send(outbox, correlation, &TailOutcome::Dropped { first });
        }
        let batches = match read {
            Ok(Ok((moved, batches))) => {
                cursor = moved;
                batches
            }
            Ok(Err(error)) => {
                tracing::error!(%error, from = %next, "the journal cannot be read for a tail");
                return send(outbox, correlation, &TailOutcome::Unreadable);
            }
            Err(error) => {
                tracing::error!(%error, from = %next, "reading the journal for a tail failed");
                return send(outbox, correlation, &TailOutcome::Unreadable);
            }
        };
        for bytes in batches {
            send(outbox, correlation, &TailOutcome::Batch(bytes));
        }
        drop(turn);
    }
}

fn send(outbox: &Outbox, correlation: u64, part: &TailOutcome) {
    let mut frame = Vec::new();
    push_value(&mut frame, Kind::Tail as u16, correlation, part);
    outbox.deliver_part(frame);
}

/// The answer if the credential has reached its limit of tails and watches.
pub(super) fn refuse(outbox: &Outbox, correlation: u64) {
    let mut frame = Vec::new();
    push_value(&mut frame, REFUSAL, correlation, &BUSY);
    outbox.deliver_part(frame);
}
