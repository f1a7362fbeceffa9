//! Groups of clients. Rules add clients to groups and remove them (U12).

use std::fmt;

use crate::command::NAME_BYTES_MAX;
use crate::ids::{GroupId, Position};
use crate::record::Stamp;

/// How many groups there may be. The last tenth is reserved for operators.
pub const GROUPS_MAX: usize = 10_000;

/// The request to register a group of clients. Its name must be new within the organisation.
#[wire_format(serde::Deserialize)]
pub struct RegisterGroup {
    /// 1 to [`NAME_BYTES_MAX`] bytes.
    pub name: String,
}

/// The answer to [`RegisterGroup`], in order of precedence.
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum RegisterGroupOutcome {
    /// It has this number from now on.
    Registered(GroupId) = 0,
    /// The name is empty or too long.
    InvalidName = 1,
    /// A group of that name exists already.
    NameTaken(GroupId) = 2,
    /// There are [`GROUPS_MAX`] groups, or nine tenths of that many and the caller is no operator.
    TooManyGroups = 3,
}

impl fmt::Display for RegisterGroupOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RegisterGroupOutcome::Registered(group) => write!(f, "registered as group {group}"),
            RegisterGroupOutcome::InvalidName => write!(f, "refused: a group's name has 1 to {NAME_BYTES_MAX} bytes"),
            RegisterGroupOutcome::NameTaken(group) => write!(f, "refused: group {group} already has that name"),
            RegisterGroupOutcome::TooManyGroups => {
                write!(f, "refused: at most {GROUPS_MAX} groups are allowed; the last tenth is reserved for operators")
            }
        }
    }
}

/// The record of a registered group.
#[wire_format]
pub struct GroupRegistered {
    /// The request that caused this record.
    pub stamp: Stamp,
    /// The number given.
    pub group: GroupId,
    /// The name.
    pub name: String,
}

impl GroupRegistered {
    /// The reply that this record produces.
    pub fn outcome(&self) -> RegisterGroupOutcome {
        RegisterGroupOutcome::Registered(self.group)
    }
}

/// The request for a page of groups, in the order of their numbers, at most [`GROUPS_PER_PAGE`].
#[wire_format(serde::Deserialize)]
pub struct ListGroups {
    /// The group to continue after; 0 to start from the first.
    pub after: GroupId,
}

/// Maximum number of groups in an answer to [`ListGroups`].
pub const GROUPS_PER_PAGE: usize = 1_000;

/// The answer to [`ListGroups`].
#[wire_format]
pub struct ListGroupsOutcome {
    /// The page.
    pub groups: Vec<Group>,
    /// The journal position of this result.
    pub as_of: Position,
}

/// One group.
#[wire_format]
pub struct Group {
    /// Its number.
    pub group: GroupId,
    /// Its name.
    pub name: String,
    /// How many clients are in it.
    pub clients: u64,
}
