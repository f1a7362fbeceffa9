//! Whether two idempotency windows answer alike.
//!
//! Windows built from records alone are compared row by row and range by range. Snapshots of version 1 do not state which ids
//! were forgotten, and their engine forgot others than a replay does. A window that descends from one is therefore compared by
//! its answers: no request that one of the two has executed is new to the other.

use std::collections::HashSet;

use scrip_protocol::RequestId;

use super::{Forgotten, Remembered, Requests};

/// The first difference between the answers of two windows.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::state) enum Unlike {
    /// The settings: window, skew and limit.
    Settings,
    /// The numbers of remembered requests.
    Count(usize, usize),
    /// The times at which requests were forgotten.
    Forgotten,
    /// The remembered request at an index, counted from 1.
    Order(u64, RequestId, RequestId),
    /// The hash of a request's body.
    Body(RequestId, u64, u64),
    /// The answer to a request.
    Answer(RequestId, Box<(Remembered, Remembered)>),
    /// Only the first window knows a request.
    OursAlone(RequestId),
    /// Only the second window does.
    TheirsAlone(RequestId),
}

/// Two windows are equal if they answer alike, now and later; the layout of their indexes does not matter.
impl PartialEq for Requests {
    fn eq(&self, other: &Requests) -> bool {
        self.unlike(other).is_none()
    }
}

impl Requests {
    /// The first difference between the answers of this window and another.
    pub(in crate::state) fn unlike(&self, other: &Requests) -> Option<Unlike> {
        if (self.window_ms, self.skew_ms, self.limit) != (other.window_ms, other.skew_ms, other.limit) {
            return Some(Unlike::Settings);
        }
        match self.forgotten.unknown_before_ms().max(other.forgotten.unknown_before_ms()) {
            0 => self.differs(other),
            _ => self.answers_otherwise(other),
        }
    }

    fn differs(&self, other: &Requests) -> Option<Unlike> {
        if self.len() != other.len() {
            return Some(Unlike::Count(self.len(), other.len()));
        }
        if self.forgotten != other.forgotten {
            return Some(Unlike::Forgotten);
        }
        (1..).zip(self.rows().zip(other.rows())).find_map(|(place, ((id, body, reply), (other_id, other_body, other_reply)))| {
            if id != other_id {
                return Some(Unlike::Order(place, id, other_id));
            }
            unlike_row(id, (body, &reply), (other_body, &other_reply))
        })
    }

    fn answers_otherwise(&self, other: &Requests) -> Option<Unlike> {
        let unlike = self.rows().find_map(|(id, body, reply)| match other.find(id) {
            Some((other_body, other_reply)) => unlike_row(id, (body, &reply), (other_body, &other_reply)),
            None => other.is_new(id).then_some(Unlike::OursAlone(id)),
        });
        let theirs = || other.rows().map(|(id, ..)| id).find(|id| self.find(*id).is_none() && self.is_new(*id));
        unlike.or_else(|| theirs().map(Unlike::TheirsAlone)).or_else(|| {
            let is_unknown = self.has_not_heard_of(&other.forgotten) || other.has_not_heard_of(&self.forgotten);
            is_unknown.then_some(Unlike::Forgotten)
        })
    }

    /// Whether an id is neither remembered nor forgotten.
    fn is_new(&self, id: RequestId) -> bool {
        self.forgotten.end_of(id.time_ms()).is_none()
    }

    /// Whether `forgotten`, of another window, has a range for whose times this window has no id, remembered or forgotten.
    fn has_not_heard_of(&self, forgotten: &Forgotten) -> bool {
        let known = forgotten.rows().iter().filter(|range| range.from_ms > 0).flat_map(|range| [range.from_ms, range.to_ms - 1]);
        let mut missing: HashSet<u64> = known.filter(|time_ms| self.forgotten.end_of(*time_ms).is_none()).collect();
        if missing.is_empty() {
            return false;
        }
        self.rows().for_each(|(id, ..)| {
            missing.remove(&id.time_ms());
        });
        !missing.is_empty()
    }
}

fn unlike_row(id: RequestId, ours: (u64, &Remembered), theirs: (u64, &Remembered)) -> Option<Unlike> {
    if ours.0 != theirs.0 {
        return Some(Unlike::Body(id, ours.0, theirs.0));
    }
    (!ours.1.is_alike(theirs.1)).then(|| Unlike::Answer(id, Box::new((ours.1.clone(), theirs.1.clone()))))
}
