//! Refusals: what any command may receive instead of an outcome of its own. The engine did not execute the refused request and
//! recorded nothing. A refusal proves nothing about an earlier attempt under the same request id.

use std::fmt;
use std::time::Duration;

use crate::ids::ClubId;
use crate::role::Role;
use crate::time::UtcTime;

/// Why a request was not executed, in order of precedence.
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Refusal {
    /// The credential's role may not send this command.
    Forbidden {
        /// The role.
        role: Role,
    } = 1,
    /// The credential is bound to clubs, and this is not one of them; 0 if the request named no club.
    ClubForbidden {
        /// The club.
        club: ClubId,
    } = 7,
    /// Too many requests are pending. Retry after a while.
    Busy {
        /// How long to wait, in milliseconds.
        retry_after_ms: u32,
    } = 2,
    /// The credential was revoked before the engine reached this request. The connection is being closed.
    Revoked = 8,
    /// The request id is not a UUID of version 7.
    RequestIdInvalid = 3,
    /// The request id is older than the idempotency window, so the engine cannot tell whether the request was executed (Z3).
    RequestTooOld {
        /// The oldest time that an id may have now, in milliseconds since 1970.
        oldest_ms: u64,
    } = 4,
    /// The request id's time is further ahead of the engine's clock than allowed.
    RequestFromFuture {
        /// The engine's time, in milliseconds since 1970.
        now_ms: u64,
    } = 5,
    /// The request id was used for a different request.
    RequestIdReused = 6,
    /// The client, its network or the credential has too many failed attempts; the code of this request was not checked (Z9).
    /// Retry after a while.
    TooManyMisses {
        /// How long to wait, in milliseconds.
        retry_after_ms: u32,
    } = 9,
}

impl Refusal {
    /// The words of all refusals, by number from 1.
    pub const WORDS: [&str; 9] = [
        "forbidden",
        "busy",
        "request_id_invalid",
        "request_too_old",
        "request_from_future",
        "request_id_reused",
        "club_forbidden",
        "revoked",
        "too_many_misses",
    ];

    /// The number of this refusal, from 1.
    pub const fn number(&self) -> usize {
        match self {
            Refusal::Forbidden { .. } => 1,
            Refusal::Busy { .. } => 2,
            Refusal::RequestIdInvalid => 3,
            Refusal::RequestTooOld { .. } => 4,
            Refusal::RequestFromFuture { .. } => 5,
            Refusal::RequestIdReused => 6,
            Refusal::ClubForbidden { .. } => 7,
            Refusal::Revoked => 8,
            Refusal::TooManyMisses { .. } => 9,
        }
    }

    /// After how many milliseconds to retry, for refusals that pass by themselves.
    pub const fn retry_after_ms(&self) -> Option<u32> {
        match self {
            Refusal::Busy { retry_after_ms } | Refusal::TooManyMisses { retry_after_ms } => Some(*retry_after_ms),
            Refusal::Forbidden { .. }
            | Refusal::ClubForbidden { .. }
            | Refusal::Revoked
            | Refusal::RequestIdInvalid
            | Refusal::RequestTooOld { .. }
            | Refusal::RequestFromFuture { .. }
            | Refusal::RequestIdReused => None,
        }
    }

    /// The word of this refusal, as in reports and metrics.
    pub const fn word(&self) -> &'static str {
        Self::WORDS[self.number() - 1]
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Forbidden { role } => write!(f, "credentials with the role {role} are not allowed to do this"),
            Refusal::ClubForbidden { club: ClubId(0) } => f.write_str("a credential bound to clubs must name one of them"),
            Refusal::ClubForbidden { club } => write!(f, "the credential is not allowed to act at club {club}"),
            Refusal::Revoked => f.write_str("the credential was revoked"),
            Refusal::Busy { retry_after_ms } => write!(f, "the engine is busy; try again in {retry_after_ms} ms"),
            Refusal::RequestIdInvalid => f.write_str("the request id is not a UUID of version 7"),
            Refusal::RequestTooOld { oldest_ms } => {
                write!(
                    f,
                    "the request id is older than the idempotency window (its time must be {} or later)",
                    UtcTime(*oldest_ms)
                )
            }
            Refusal::RequestFromFuture { now_ms } => {
                let now = UtcTime(*now_ms);
                write!(f, "the request id's time is ahead of the engine's clock ({now}); one of the two clocks is wrong")
            }
            Refusal::RequestIdReused => f.write_str("the request id was used for another request"),
            Refusal::TooManyMisses { retry_after_ms } => {
                let wait = Duration::from_millis(u64::from(*retry_after_ms));
                write!(f, "too many failed attempts; try again in {wait:?}")
            }
        }
    }
}
