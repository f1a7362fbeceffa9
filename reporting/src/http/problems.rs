//! The problems specific to this interface, and the position that a problem is as of.

use axum::http::StatusCode;
use scrip_protocol::Position;
use scrip_web::problem::{Kind, Member, Problem};

use crate::read_model::AsOf;

/// The resource may exist: before the read model's history begins, or after its newest record.
pub const NOT_KNOWN_HERE: Kind = Kind::new("not-known-here", "Not known in this history", StatusCode::CONFLICT);
/// The read model is empty: it has not received a record of the journal yet.
pub const EMPTY: Kind = Kind::new("empty", "The read model is empty", StatusCode::SERVICE_UNAVAILABLE).temporary();
/// The read model did not reach the requested position in time.
pub const BEHIND: Kind =
    Kind::new("behind", "The read model has not reached the position", StatusCode::SERVICE_UNAVAILABLE).temporary();
/// The disk has no room to build the file.
pub const NO_ROOM: Kind = Kind::new("no-room", "Not enough disk space", StatusCode::INSUFFICIENT_STORAGE).temporary();

/// Every kind of problem that a route here returns.
pub const KINDS: [Kind; 13] = [
    Kind::BAD_PARAMETER,
    Kind::UNAUTHORISED,
    Kind::FORBIDDEN,
    Kind::NOT_FOUND,
    Kind::NO_SUCH_ROUTE,
    NOT_KNOWN_HERE,
    Kind::METHOD_NOT_ALLOWED,
    Kind::INTERNAL,
    EMPTY,
    BEHIND,
    Kind::BUSY,
    Kind::TOO_SLOW,
    NO_ROOM,
];

/// The position of the read model.
pub(super) const POSITION: Member = Member { name: "position", description: "The position of the read model, if known." };
/// The position after which its history begins.
pub(super) const HISTORY_AFTER: Member = Member {
    name: "history_after",
    description: "The read model's history begins after this position, if known. 0: the history is complete.",
};

/// Adds the position that a problem is as of.
pub(crate) trait AsOfProblem {
    /// With the position of the read model.
    fn at(self, position: Position) -> Problem;

    /// With what the view is as of.
    fn at_view(self, as_of: AsOf) -> Problem;
}

impl AsOfProblem for Problem {
    fn at(self, position: Position) -> Problem {
        self.with(POSITION, position.0)
    }

    fn at_view(self, as_of: AsOf) -> Problem {
        self.at(as_of.position).with(HISTORY_AFTER, as_of.history_after.0)
    }
}
