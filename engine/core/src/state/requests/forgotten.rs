//! The times of ids that were executed and then forgotten.
//!
//! Each forgotten id is in one of the ranges, and every id in a range is refused. While the clock runs evenly there is in effect
//! one range, which grows with each id. A clock that is ahead leaves a range ahead of the right time; once the clock is set
//! right, ids before that range are executed as usual.
//!
//! There are at most [`RANGES_MAX`] ranges. At that limit one gap between two ranges is closed: the shortest in relation to its
//! age, so that the gap left by a clock that jumped stays open and the nights of past weeks do not. Closing a gap refuses more
//! ids, never fewer.

use crate::state::frozen::ForgottenRow;

/// Maximum number of ranges.
const RANGES_MAX: usize = 64;

/// Ids no further apart than this share a range, in milliseconds.
const GAP_MS: u64 = 1_000;

/// Ranges of times, ascending and separate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forgotten(Vec<ForgottenRow>);

impl Forgotten {
    /// The ranges of a snapshot; `None` if they violate the invariants of this type.
    pub fn from_rows(rows: &[ForgottenRow]) -> Option<Forgotten> {
        let is_ascending = rows.windows(2).all(|pair| pair[0].to_ms < pair[1].from_ms);
        let is_valid = rows.len() <= RANGES_MAX && is_ascending && rows.iter().all(|row| row.from_ms < row.to_ms);
        is_valid.then(|| Forgotten(rows.to_vec()))
    }

    /// All times before this one. A snapshot of version 1 does not state which of the ids before a time were forgotten. No id has
    /// time 0: a range that starts there marks a window that descends from such a snapshot.
    pub fn before(to_ms: u64) -> Forgotten {
        Forgotten(vec![ForgottenRow { from_ms: 0, to_ms: to_ms.max(1) }])
    }

    /// The end of the range of a snapshot of version 1; 0 without one.
    pub fn unknown_before_ms(&self) -> u64 {
        self.0.first().filter(|range| range.from_ms == 0).map_or(0, |range| range.to_ms)
    }

    /// Ends the range of a snapshot of version 1 at an earlier time. The caller knows that no id between the two was forgotten,
    /// except those that it adds next.
    pub(super) fn end_unknown_at(&mut self, to_ms: u64) {
        if let Some(range) = self.0.first_mut().filter(|range| range.from_ms == 0) {
            range.to_ms = range.to_ms.min(to_ms.max(1));
        }
    }

    /// The ranges, ascending.
    pub fn rows(&self) -> &[ForgottenRow] {
        &self.0
    }

    /// The end of the range that contains a time.
    pub(super) fn end_of(&self, time_ms: u64) -> Option<u64> {
        if self.0.last().is_none_or(|last| last.to_ms <= time_ms) {
            return None;
        }
        let range = self.0[self.0.partition_point(|range| range.to_ms <= time_ms)];
        (range.from_ms <= time_ms).then_some(range.to_ms)
    }

    /// Adds the time of an id, at the time of a record.
    pub(super) fn add(&mut self, id_ms: u64, record_ms: u64) {
        let to_ms = id_ms.saturating_add(1);
        let at = self.0.partition_point(|range| range.to_ms.saturating_add(GAP_MS) < id_ms);
        match self.0.get_mut(at) {
            Some(range) if range.from_ms <= to_ms.saturating_add(GAP_MS) => {
                range.from_ms = range.from_ms.min(id_ms);
                range.to_ms = range.to_ms.max(to_ms);
                let to_ms = range.to_ms;
                if self.0.get(at + 1).is_some_and(|next| next.from_ms <= to_ms.saturating_add(GAP_MS)) {
                    self.close(at);
                }
            }
            _ => self.0.insert(at, ForgottenRow { from_ms: id_ms, to_ms }),
        }
        if self.0.len() > RANGES_MAX {
            self.close(self.least_gap(record_ms));
        }
    }

    /// The range before the gap that is shortest in relation to its age; needs at least two ranges.
    fn least_gap(&self, record_ms: u64) -> usize {
        let gap = |at: usize| {
            let (from_ms, to_ms) = (self.0[at].to_ms, self.0[at + 1].from_ms);
            (u128::from(to_ms - from_ms), u128::from(record_ms.saturating_sub(to_ms)) + 1)
        };
        let is_less = |one: usize, other: usize| {
            let ((length, age), (other_length, other_age)) = (gap(one), gap(other));
            length * other_age < other_length * age
        };
        (1..self.0.len() - 1).fold(0, |least, at| if is_less(at, least) { at } else { least })
    }

    /// Merges a range with the next one.
    fn close(&mut self, at: usize) {
        self.0[at].to_ms = self.0[at].to_ms.max(self.0[at + 1].to_ms);
        self.0.remove(at + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    const DAY: u64 = 24 * HOUR;
    const START: u64 = 1_790_000_000_000;

    /// Each forgotten id stays refused, whatever the order of forgetting, and however few ranges there are.
    #[test]
    fn every_forgotten_id_stays_refused_in_a_bounded_number_of_ranges() {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..50 {
            let (mut forgotten, mut done, mut record_ms) = (Forgotten::default(), Vec::new(), START);
            for _ in 0..2_000 {
                record_ms += random.u64(..HOUR);
                let id_ms = match random.u8(..4) {
                    0 => record_ms + random.u64(..60 * DAY),
                    1 => record_ms - random.u64(..60 * DAY),
                    _ => record_ms - random.u64(..1_500),
                };
                forgotten.add(id_ms, record_ms);
                done.push(id_ms);
                assert!(forgotten.0.len() <= RANGES_MAX, "seed {seed}");
                assert_eq!(Forgotten::from_rows(forgotten.rows()).as_ref(), Some(&forgotten), "seed {seed}");
            }
            for id_ms in done {
                assert!(forgotten.end_of(id_ms).is_some_and(|end_ms| end_ms > id_ms), "seed {seed}, {id_ms}");
            }
        }
    }

    /// The gap left by a clock that is a day ahead for longer than the window stays open through a year of nights and weekends.
    #[test]
    fn the_gap_before_a_time_ahead_outlives_those_of_nights_and_weekends() {
        let mut forgotten = Forgotten::default();
        let year = 364 * DAY;
        let is_open = |at_ms: u64| (at_ms / DAY) % 7 < 5 && at_ms % DAY < 14 * HOUR;
        for at_ms in (0..year).step_by(600_000).filter(|at_ms| is_open(*at_ms)) {
            forgotten.add(START + at_ms, START + at_ms + DAY);
        }
        let jumped = START + year;
        for ahead in [25 * HOUR, 30 * DAY] {
            let mut forgotten = forgotten.clone();
            for at_ms in (0..2 * HOUR).step_by(600_000) {
                forgotten.add(jumped + ahead + at_ms, jumped + ahead + at_ms + DAY);
            }
            // The clock is set right a day and two hours after it jumped; records continue at half speed from the time ahead.
            for at_ms in (0..ahead.saturating_sub(2 * DAY)).step_by(600_000) {
                let right = jumped + at_ms + DAY + 2 * HOUR;
                assert_eq!(forgotten.end_of(right.min(jumped + ahead - 1)), None, "ahead by {ahead}, at {at_ms}");
                if is_open(year + at_ms) {
                    forgotten.add(jumped + at_ms, jumped + ahead + DAY + 2 * HOUR + at_ms / 2);
                }
            }
            assert_eq!(forgotten.end_of(jumped + ahead), Some(jumped + ahead + 6_600_001));
        }
    }
}
