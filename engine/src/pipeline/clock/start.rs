//! Decides whether an engine may start at the time that the machine's clock shows.
//!
//! The newest record shows the time, unless a clock was wrong: then the time of records is ahead of the clock until that has
//! caught up, or the records are old because the engine was stopped for long. So the engine also remembers the machine's clock
//! itself, as it last followed it ([`FollowedClock`]), and checks the next start against that.

use scrip_protocol::{Position, UtcTime};

use super::{CLOCK_AHEAD_MS_MAX, CLOCK_BEHIND_MS_MAX, ClockStatus, STEP_MS};

/// A clock that was set shows a later time than this, 2024-01-01: a machine without a battery for its clock starts in 1970.
pub(super) const CLOCK_EARLIEST_MS: u64 = 1_704_067_200_000;

/// How far the clock may be behind the expected time before it is noted again. Well below what a start accepts.
const NOTED_BEHIND_MS: u64 = 60 * 1000;

/// The same for a clock that is ahead: a day, so that an engine without records notes its clock once a day.
const NOTED_AHEAD_MS: u64 = 24 * 60 * 60 * 1000;

/// Why an engine refuses to start at the time that the machine's clock shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClockError {
    /// The clock was never set.
    #[error(
        "this machine's clock shows {}, before the engine existed; set it, or start once with --accept-clock",
        UtcTime(*wall_ms)
    )]
    NeverSet {
        /// The time it shows.
        wall_ms: u64,
    },
    /// The newest record is from the future.
    #[error(
        "this machine's clock shows {}, and the newest record is of {}: one of the two clocks was wrong; correct this one, or, if it is right, start once with --accept-clock",
        UtcTime(*wall_ms), UtcTime(*newest_ms)
    )]
    Behind {
        /// The time the clock shows.
        wall_ms: u64,
        /// The time of the newest record.
        newest_ms: u64,
    },
    /// The newest record is implausibly old.
    #[error(
        "this machine's clock shows {}, more than 31 days after the newest record, of {}; correct it, or, if the engine was stopped for that long, start once with --accept-clock",
        UtcTime(*wall_ms), UtcTime(*newest_ms)
    )]
    Ahead {
        /// The time the clock shows.
        wall_ms: u64,
        /// The time of the newest record.
        newest_ms: u64,
    },
    /// The clock was set back after it had been accepted.
    #[error(
        "this machine's clock shows {}, but after --accept-clock the engine followed it up to {}: it was set back since then; correct it, or, if it is right, start once with --accept-clock",
        UtcTime(*wall_ms), UtcTime(*followed_ms)
    )]
    BehindAccepted {
        /// The time the clock shows.
        wall_ms: u64,
        /// The time it showed when the engine last followed it.
        followed_ms: u64,
    },
    /// The clock is implausibly far ahead of the accepted one.
    #[error(
        "this machine's clock shows {}, but after --accept-clock the engine followed it up to {}, more than 31 days earlier; correct it, or, if the engine was stopped for that long, start once with --accept-clock",
        UtcTime(*wall_ms), UtcTime(*followed_ms)
    )]
    AheadAccepted {
        /// The time the clock shows.
        wall_ms: u64,
        /// The time it showed when the engine last followed it.
        followed_ms: u64,
    },
}

/// The machine's clock as an engine followed it, with the position of the journal at that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct FollowedClock {
    /// The machine's clock.
    pub(crate) wall_ms: u64,
    /// The time of records at that moment: the clock's, or later.
    pub(crate) record_ms: u64,
    /// The newest record at that moment, or an older one.
    pub(crate) position: Position,
    /// Whether an operator has accepted this clock although the newest record contradicted it, and still does.
    pub(crate) is_accepted: bool,
}

impl FollowedClock {
    /// Whether it applies to a journal that ends at a position. A journal that ends earlier is another one, or an older copy.
    pub(crate) fn is_of(&self, end: Position) -> bool {
        self.position <= end && self.wall_ms >= CLOCK_EARLIEST_MS
    }

    /// A lower bound of the machine's clock when the newest record was written, or when this was noted, whichever was later.
    fn wall_at(&self, newest_ms: u64) -> u64 {
        match newest_ms.checked_sub(self.record_ms) {
            None | Some(0) => self.wall_ms,
            // While it is behind the time of records, the clock runs twice as fast as that.
            Some(since_ms) => newest_ms.min(self.wall_ms.saturating_add(since_ms.saturating_mul(2))),
        }
    }

    /// What to remember at a start with an accepted clock: durably, and before its first record.
    pub(crate) fn at_start(newest_ms: u64, end: Position, wall_ms: u64, is_accepted: bool) -> FollowedClock {
        FollowedClock { wall_ms, record_ms: newest_ms.max(wall_ms), position: end, is_accepted }
    }

    /// What to remember of the clock that a running engine follows, if the remembered one is not enough to check the next start.
    /// `newest_ms` and `end` are those of the newest durable record.
    pub(crate) fn due(
        last: Option<&FollowedClock>,
        status: &ClockStatus,
        newest_ms: u64,
        end: Position,
    ) -> Option<FollowedClock> {
        let ClockStatus { record_ms, wall_ms, is_followed, .. } = *status;
        let expected = |newest_ms: u64| last.map_or(newest_ms, |last| last.wall_at(newest_ms));
        // The next record has the time of records, and after a crash the current newest record may remain the newest.
        let is_behind = wall_ms.saturating_add(NOTED_BEHIND_MS) < expected(record_ms);
        let is_ahead = wall_ms > expected(newest_ms).saturating_add(NOTED_AHEAD_MS);
        let is_lead = record_ms > wall_ms.saturating_add(STEP_MS);
        let is_accepted = is_lead && last.is_some_and(|last| last.is_accepted);
        let noted = FollowedClock { wall_ms, record_ms, position: end, is_accepted };
        (is_followed && (is_behind || is_ahead)).then_some(noted)
    }
}

/// Checks whether an engine may start by this clock on a journal whose newest record has a time (0 for an empty journal). If an
/// operator accepted a clock, only that one counts; if the engine followed one, either.
///
/// # Errors
/// If the clock is implausible.
pub(crate) fn check_start(newest_ms: u64, followed: Option<&FollowedClock>, wall_ms: u64) -> Result<(), ClockError> {
    let by_newest = match newest_ms {
        0 => plausibility(wall_ms, wall_ms),
        newest_ms => plausibility(newest_ms, wall_ms),
    };
    let Some(followed) = followed else { return named(by_newest, newest_ms, wall_ms) };
    let followed_ms = followed.wall_at(newest_ms);
    match plausibility(followed_ms, wall_ms) {
        Plausibility::Plausible => Ok(()),
        Plausibility::Behind if followed.is_accepted => Err(ClockError::BehindAccepted { wall_ms, followed_ms }),
        Plausibility::Ahead if followed.is_accepted => Err(ClockError::AheadAccepted { wall_ms, followed_ms }),
        Plausibility::NeverSet | Plausibility::Behind | Plausibility::Ahead => named(by_newest, newest_ms, wall_ms),
    }
}

/// The relation of a clock to a known past time.
enum Plausibility {
    Plausible,
    Behind,
    NeverSet,
    Ahead,
}

fn plausibility(known_ms: u64, wall_ms: u64) -> Plausibility {
    if known_ms > wall_ms.saturating_add(CLOCK_BEHIND_MS_MAX) {
        return Plausibility::Behind;
    }
    if wall_ms < CLOCK_EARLIEST_MS {
        return Plausibility::NeverSet;
    }
    if wall_ms > known_ms.saturating_add(CLOCK_AHEAD_MS_MAX) {
        return Plausibility::Ahead;
    }
    Plausibility::Plausible
}

fn named(by_newest: Plausibility, newest_ms: u64, wall_ms: u64) -> Result<(), ClockError> {
    match by_newest {
        Plausibility::Plausible => Ok(()),
        Plausibility::Behind => Err(ClockError::Behind { wall_ms, newest_ms }),
        Plausibility::NeverSet => Err(ClockError::NeverSet { wall_ms }),
        Plausibility::Ahead => Err(ClockError::Ahead { wall_ms, newest_ms }),
    }
}
