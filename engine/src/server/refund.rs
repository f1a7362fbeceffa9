//! Refund: the activation that a request names is read from the journal here, so that the state need not remember them all.

use scrip_protocol::command::{Activation, Refund};
use scrip_protocol::{Position, Role, batch};

use super::Shared;
use crate::index::Holder;
use crate::state::{AskedRefund, activation_of};

/// What is asked, with the activation as the journal has it; `None` where the journal cannot be read.
pub(super) fn asked(asked: &Refund, caller: &Holder, shared: &Shared) -> Option<AskedRefund> {
    let found = activation_at(asked.activation, shared).ok()?;
    Some(AskedRefund { activation: asked.activation, found, anyones: caller.role == Role::Operator, force: asked.force })
}

/// The journal cannot be read, and says why in the log.
struct Unreadable;

/// The activation at a position. Whoever names one has seen its reply, so that it is durable.
fn activation_at(position: Position, shared: &Shared) -> Result<Option<Activation>, Unreadable> {
    if position == Position(0) || position > *shared.durable.borrow() {
        return Ok(None);
    }
    let unreadable = |error: &dyn std::error::Error| {
        tracing::error!(%error, %position, "the journal cannot be read for a refund");
        Unreadable
    };
    // It reads from disk, and may wait for a segment that is being sealed: this thread's other lanes go to another meanwhile.
    let batches = tokio::task::block_in_place(|| shared.reader.read(position, 1)).map_err(|error| unreadable(&error))?;
    let Some(bytes) = batches.first() else { return Ok(None) };
    let batch = batch::Batch::parse(bytes).map_err(|error| unreadable(&error))?;
    for record in batch.records() {
        let (at, record) = record.map_err(|error| unreadable(&error))?;
        if at == position {
            return Ok(activation_of(record));
        }
    }
    Ok(None)
}
