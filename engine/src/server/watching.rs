//! Watch: sends refused attempts that left no record to one reader at its pace (Z13). It does not involve the engine thread.

use scrip_protocol::Kind;
use scrip_protocol::command::{WatchAttempts, WatchAttemptsOutcome};
use scrip_protocol::frame::push_value;

use super::Shared;
use super::tail::refuse;
use crate::counters::One;
use crate::pipeline::{Outbox, Unwritten};

/// Serves a watch until it ends, its reader is gone, or the server stops.
pub(super) async fn serve(correlation: u64, request: &WatchAttempts, shared: &Shared, outbox: &Outbox) {
    let Some(_place) = outbox.share().stream() else { return refuse(outbox, correlation) };
    let _one = One::of(&shared.counters.server.watchers);
    let mut newest = shared.attempts.newest();
    let mut stopping = shared.stopping.clone();
    let mut after = shared.attempts.resumed(request.run, request.after);
    let mut has_sent_run = false;
    loop {
        outbox.room(usize::MAX, shared.limits.lane_stream_bytes_max).await;
        outbox.share_room(Unwritten::Streams).await;
        if outbox.is_closed() || *stopping.borrow() {
            return;
        }
        // Marked as seen before reading, so that later attempts wake this again.
        newest.borrow_and_update();
        let frame = shared.attempts.after(after);
        let moved = frame.through > after;
        after = frame.through;
        if moved || !has_sent_run {
            has_sent_run = true;
            send(outbox, correlation, &WatchAttemptsOutcome::Attempts(frame));
            continue;
        }
        if !request.follow {
            return send(outbox, correlation, &WatchAttemptsOutcome::End);
        }
        tokio::select! {
            changed = newest.changed() => if changed.is_err() { return },
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = outbox.closed() => return,
        }
    }
}

fn send(outbox: &Outbox, correlation: u64, part: &WatchAttemptsOutcome) {
    let mut frame = Vec::new();
    push_value(&mut frame, Kind::WatchAttempts as u16, correlation, part);
    outbox.deliver_part(frame);
}
