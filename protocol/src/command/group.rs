//! Groups of clients, which rules put clients into and take them out of (U12).

use std::fmt;

use crate::command::NAME_BYTES_MAX;
use crate::ids::{GroupId, Position};
use crate::record::Stamp;

/// How many groups there may be.
pub const GROUPS_MAX: usize = 10_000;

/// The request to register a group of clients. Its name is new within the organisation.
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
    /// There are [`GROUPS_MAX`] groups.
    TooManyGroups = 3,
}

impl fmt::Display for RegisterGroupOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RegisterGroupOutcome::Registered(group) => write!(f, "registered as group {group}"),
            RegisterGroupOutcome::InvalidName => write!(f, "refused: a group's name has 1 to {NAME_BYTES_MAX} bytes"),
            RegisterGroupOutcome::NameTaken(group) => write!(f, "refused: group {group} already has that name"),
            RegisterGroupOutcome::TooManyGroups => write!(f, "refused: there are already {GROUPS_MAX} groups"),
        }
    }
}

/// The record of a registered group.
#[wire_format]
pub struct GroupRegistered {
    /// The request that asked for it.
    pub stamp: Stamp,
    /// The number given.
    pub group: GroupId,
    /// The name.
    pub name: String,
}

impl GroupRegistered {
    /// The answer that this record gives.
    pub fn outcome(&self) -> RegisterGroupOutcome {
        RegisterGroupOutcome::Registered(self.group)
    }
}

/// The request for the groups after one, in the order of their numbers, [`GROUPS_PER_PAGE`] at the most.
#[wire_format(serde::Deserialize)]
pub struct ListGroups {
    /// The group to continue after; 0 from the first.
    pub after: GroupId,
}

/// How many groups an answer to [`ListGroups`] holds at the most.
pub const GROUPS_PER_PAGE: usize = 1_000;

/// The answer to [`ListGroups`].
#[wire_format]
pub struct ListGroupsOutcome {
    /// The page.
    pub groups: Vec<Group>,
    /// The journal position that it is as of.
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
