//! Snapshots on command: the snapshotter takes them on its own thread, and the lane continues meanwhile.

use std::sync::Arc;

use scrip_protocol::Kind;
use scrip_protocol::command::TakeSnapshotOutcome as Outcome;
use scrip_protocol::frame::push_value;

use super::Shared;
use crate::pipeline::Outbox;

/// Requests a snapshot; answers when it is durable, or at once if the engine stops.
pub(super) fn begin(correlation: u64, shared: &Arc<Shared>, outbox: &Arc<Outbox>) {
    outbox.expect(1);
    let (shared, outbox) = (shared.clone(), outbox.clone());
    tokio::spawn(async move {
        let mut stopping = shared.stopping.clone();
        // A stop waits for every answer, and this one may take longer than that.
        let outcome = tokio::select! {
            outcome = shared.keeper.take() => outcome,
            _ = stopping.wait_for(|stopping| *stopping) => Outcome::Failed("the engine stops".to_owned()),
        };
        let mut frame = Vec::new();
        push_value(&mut frame, Kind::TakeSnapshot as u16, correlation, &outcome);
        outbox.deliver(frame, 1);
    });
}
