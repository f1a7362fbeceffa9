//! The problems that only this interface has, and the position that a problem is as of.

use axum::http::StatusCode;
use scrip_protocol::Position;
use scrip_web::problem::{Kind, Member, Problem};

use crate::read_model::AsOf;

/// There may be such a thing, before the history in here begins or after its newest record.
pub const NOT_KNOWN_HERE: Kind =
    Kind::new("not-known-here", "The history in here does not say whether there is such a thing", StatusCode::CONFLICT);
/// The read model is empty: nothing has come from the journal yet.
pub const EMPTY: Kind = Kind::new("empty", "Nothing has come from the journal yet", StatusCode::SERVICE_UNAVAILABLE).temporary();
/// The read model has not come as far as was waited for.
pub const BEHIND: Kind = Kind::new("behind", "The read model has not come that far", StatusCode::SERVICE_UNAVAILABLE).temporary();
/// There is no room on disk to make it.
pub const NO_ROOM: Kind =
    Kind::new("no-room", "There is no room on disk to make it", StatusCode::INSUFFICIENT_STORAGE).temporary();

/// Every kind of problem that a route here may answer with.
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
pub(super) const POSITION: Member =
    Member { name: "position", description: "The position of the read model, where it is known." };
/// After which position its history begins.
pub(super) const HISTORY_AFTER: Member = Member {
    name: "history_after",
    description: "History in the read model begins after this position, where it is known; 0 where all of it is there.",
};

/// A problem as of a position.
pub(crate) trait AsOfProblem {
    /// The same, with the position of the read model.
    fn at(self, position: Position) -> Problem;

    /// The same, with what the view is as of.
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
