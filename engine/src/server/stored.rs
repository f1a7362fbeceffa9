//! Replies to duplicate requests that are too long to be kept in memory: each is made from its record, as the first one was.

use scrip_protocol::Refusal;
use scrip_protocol::frame::{REFUSAL, push_bytes, push_value};

use super::{Shared, refund};
use crate::pipeline::{RETRY_AFTER_MS, StoredReply};
use scrip_core::state::reply_of;
use scrip_core::state::requests::Remembered;

/// The reply as a frame. A record that cannot be read now can be asked for again; one that is not kept, after a restore from a backup that begins behind
/// it, is a request older than what is remembered.
pub(super) fn frame(stored: StoredReply, shared: &Shared) -> Vec<u8> {
    let StoredReply { correlation, kind, position } = stored;
    let mut frame = Vec::new();
    let refusal = match refund::record_at(position, shared) {
        Ok(kept) => match kept.record.and_then(|record| reply_of(position, &record)) {
            Some(Remembered::Other(reply)) if reply.0 == kind => {
                push_bytes(&mut frame, kind, correlation, &reply.1);
                return frame;
            }
            Some(_) | None => Refusal::RequestTooOld { oldest_ms: shared.clock.now().requests.latest_ms },
        },
        Err(refund::Unreadable) => Refusal::Busy { retry_after_ms: RETRY_AFTER_MS },
    };
    push_value(&mut frame, REFUSAL, correlation, &refusal);
    frame
}
