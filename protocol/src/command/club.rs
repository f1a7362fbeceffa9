//! Clubs: where codes are redeemed.

use std::fmt;

use crate::ids::{ClubId, Position};
use crate::record::Stamp;

/// The most bytes in the name of a club, client or campaign.
pub const NAME_BYTES_MAX: usize = 200;

/// How many clubs there may be.
pub const CLUBS_MAX: usize = 100_000;

/// The request to register a club. Its name must be new within the organisation.
#[wire_format(serde::Deserialize)]
pub struct RegisterClub {
    /// 1 to [`NAME_BYTES_MAX`] bytes.
    pub name: String,
}

/// The answer to [`RegisterClub`], in order of precedence.
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum RegisterClubOutcome {
    /// It has this number from now on.
    Registered(ClubId) = 0,
    /// The name is empty or too long.
    InvalidName = 1,
    /// A club of that name exists already.
    NameTaken(ClubId) = 2,
    /// There are [`CLUBS_MAX`] clubs.
    TooManyClubs = 3,
}

impl fmt::Display for RegisterClubOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RegisterClubOutcome::Registered(club) => write!(f, "registered as club {club}"),
            RegisterClubOutcome::InvalidName => write!(f, "refused: a club's name has 1 to {NAME_BYTES_MAX} bytes"),
            RegisterClubOutcome::NameTaken(club) => write!(f, "refused: club {club} already has that name"),
            RegisterClubOutcome::TooManyClubs => write!(f, "refused: there are already {CLUBS_MAX} clubs"),
        }
    }
}

/// The record of a registered club.
#[wire_format]
pub struct ClubRegistered {
    /// The request that caused this record.
    pub stamp: Stamp,
    /// The number given.
    pub club: ClubId,
    /// The name.
    pub name: String,
}

impl ClubRegistered {
    /// The reply that this record produces.
    pub fn outcome(&self) -> RegisterClubOutcome {
        RegisterClubOutcome::Registered(self.club)
    }
}

/// The request for a page of clubs, in the order of their numbers, at most [`CLUBS_PER_PAGE`].
#[wire_format(serde::Deserialize)]
pub struct ListClubs {
    /// The club to continue after; 0 to start from the first.
    pub after: ClubId,
}

/// Maximum number of clubs in an answer to [`ListClubs`].
pub const CLUBS_PER_PAGE: usize = 1_000;

/// The answer to [`ListClubs`].
#[wire_format]
pub struct ListClubsOutcome {
    /// The page.
    pub clubs: Vec<Club>,
    /// The journal position of this result.
    pub as_of: Position,
}

/// One club.
#[wire_format]
pub struct Club {
    /// Its number.
    pub club: ClubId,
    /// Its name.
    pub name: String,
}
