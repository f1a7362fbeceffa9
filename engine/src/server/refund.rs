//! Operations that a request refers to, for a refund or for a redemption during a top-up: they are read from the journal here, so
//! that the state need not remember them all.

use scrip_protocol::command::{BonusChanged, Refund, RefundBonus, RefundTopUp, ToppedUp};
use scrip_protocol::{ClientId, Position, Record, Role, batch};

use super::Shared;
use scrip_core::index::Holder;
use scrip_core::state::{RefundBonusRequest, RefundRequest, RefundTopUpRequest, activation_of};
use scrip_journal::{Cursor, JournalError};

/// The journal cannot be read; the log has the reason.
pub(super) struct Unreadable;

/// A refund, with the activation as the journal has it.
pub(super) fn activation(request: &Refund, caller: &Holder, shared: &Shared) -> Result<RefundRequest, Unreadable> {
    let Kept { record, kept_from } = record_at(request.activation, shared)?;
    let (found, anyones) = (record.and_then(activation_of), caller.role == Role::Operator);
    Ok(RefundRequest { activation: request.activation, found, kept_from, anyones, force: request.force })
}

/// A refund, with the top-up as the journal has it.
pub(super) fn top_up(request: RefundTopUp, caller: &Holder, shared: &Shared) -> Result<RefundTopUpRequest, Unreadable> {
    let RefundTopUp { top_up, amount, claw_back, note } = request;
    let Kept { record, kept_from } = record_at(top_up, shared)?;
    let found = record.and_then(|record| ToppedUp::try_from(record).ok());
    Ok(RefundTopUpRequest { top_up, found, kept_from, anyones: may_name_anyones(caller), amount, claw_back, note })
}

/// The client of the top-up at a position; none if there is no top-up, or the journal no longer has it.
pub(super) fn client_of(top_up: Position, shared: &Shared) -> Result<Option<ClientId>, Unreadable> {
    if top_up == Position(0) {
        return Ok(None);
    }
    let found = record_at(top_up, shared)?.record.and_then(|record| ToppedUp::try_from(record).ok());
    Ok(found.map(|top_up| top_up.client))
}

/// A refund, with the payment as the journal has it.
pub(super) fn bonus(request: RefundBonus, caller: &Holder, shared: &Shared) -> Result<RefundBonusRequest, Unreadable> {
    let RefundBonus { payment, amount, note } = request;
    let Kept { record, kept_from } = record_at(payment, shared)?;
    let found = record.and_then(|record| BonusChanged::try_from(record).ok());
    Ok(RefundBonusRequest { payment, found, kept_from, anyones: may_name_anyones(caller), amount, note })
}

/// A till may refund what another accepted; a gateway only its own.
fn may_name_anyones(caller: &Holder) -> bool {
    caller.role != Role::Gateway
}

/// What the journal has at a position. Whether the record was dropped is decided with the request, so that a retry gets the first
/// answer.
pub(super) struct Kept {
    pub(super) record: Option<Record>,
    kept_from: Position,
}

/// The record at a position. A caller that refers to one has seen its reply, so that it is durable.
pub(super) fn record_at(position: Position, shared: &Shared) -> Result<Kept, Unreadable> {
    // It reads from disk, may wait for a segment that is being sealed, and hashes a whole batch: in a lane's task, the other
    // tasks of this thread move to another one meanwhile.
    tokio::task::block_in_place(|| read_record(position, shared))
}

fn read_record(position: Position, shared: &Shared) -> Result<Kept, Unreadable> {
    if position == Position(0) || position > *shared.durable.borrow() {
        return Ok(Kept { record: None, kept_from: shared.reader.first() });
    }
    let unreadable = |error: &dyn std::error::Error| {
        tracing::error!(%error, %position, "the journal cannot be read for a request that names its record");
        Unreadable
    };
    let read = Cursor::from(position).read(&*shared.reader, 1);
    // Read afterwards, because segments may be dropped meanwhile.
    let kept_from = shared.reader.first();
    if position < kept_from {
        return Ok(Kept { record: None, kept_from });
    }
    let batches = read.map_err(|error| unreadable(&error))?;
    let missing = JournalError::Missing { position };
    let bytes = batches.first().ok_or_else(|| unreadable(&missing))?;
    let batch = batch::Batch::parse(bytes).map_err(|error| unreadable(&error))?;
    for record in batch.records() {
        let (at, record) = record.map_err(|error| unreadable(&error))?;
        if at == position {
            return Ok(Kept { record: Some(record), kept_from });
        }
    }
    // It is durable: answering that the record does not exist would be wrong.
    Err(unreadable(&missing))
}
