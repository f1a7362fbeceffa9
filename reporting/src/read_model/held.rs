//! Open holds, summed by the time at which they expire, so that the amount held at a time is the sum of a few rows of the table
//! `held`.
//!
//! An open hold counts in a row of 1 ms, one of 2^10 ms and one of 2^20 ms. A code whose uses are all activated or held is full
//! until one of its holds expires, and counts in the rows of that time. The amount held after a time is then the sum of the
//! rows of 2^20 ms that begin later, of those of 2^10 ms up to there, and of those of 1 ms up to there: at most 1,024 of each
//! shorter length.
//!
//! Rows of a campaign that begin at or before the last change of its holds are removed, because no view has an earlier time.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, params};

use super::campaign_counters::Campaigns;
use super::use_counts::Uses;
use super::values::number;

/// The lengths of the rows, as powers of 2 in milliseconds.
pub(crate) const LENGTHS: [u32; 3] = [0, 10, 20];

/// The number of expired holds that stay in memory before they are removed.
const EXPIRED_MAX: usize = 4_096;

/// An open hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenHold {
    pub(super) hold: i64,
    pub(super) campaign: u32,
    pub(super) slot: u32,
    pub(super) amount: i64,
    pub(super) expires_ms: i64,
}

/// The change of a row. Sums of amounts may need more than 64 bits, so their halves are added separately.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    uses: i64,
    amount_high: i64,
    amount_low: i64,
    codes_full: i64,
}

/// The open holds in memory, and a transaction's changes of the table.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// By campaign, slot, expiry and position.
    open: BTreeSet<(u32, u32, i64, i64)>,
    /// How many remained when expired ones were last removed.
    swept: usize,
    /// Until when the touched codes were full before this transaction; 0 for codes that were not full.
    full: BTreeMap<(u32, u32), i64>,
    changes: BTreeMap<(u32, u32, i64), Sums>,
    /// The last change of each campaign in this transaction.
    changed_ms: BTreeMap<u32, i64>,
}

/// What determines until when a code is full.
pub(super) struct Codes<'a> {
    pub(super) connection: &'a Connection,
    pub(super) campaigns: &'a Campaigns,
    pub(super) uses: &'a mut Uses,
}

impl Held {
    /// Reads the holds that are open at a time.
    pub(super) fn load(connection: &Connection, now_ms: u64) -> rusqlite::Result<Held> {
        let mut held = Held::default();
        let mut statement = connection.prepare(OPEN)?;
        let mut rows = statement.query([number(now_ms)])?;
        while let Some(row) = rows.next()? {
            held.open.insert((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        }
        held.swept = held.open.len();
        Ok(held)
    }

    /// Fills the table of a read model that already has holds.
    pub(super) fn seed(codes: &mut Codes<'_>, now_ms: u64) -> rusqlite::Result<()> {
        let (mut held, now_ms) = (Held::default(), number(now_ms));
        let mut statement = codes.connection.prepare(OPEN)?;
        let mut rows = statement.query([now_ms])?;
        while let Some(row) = rows.next()? {
            let (campaign, slot, expires_ms) = (row.get(0)?, row.get(1)?, row.get(2)?);
            held.insert(codes, now_ms, OpenHold { hold: row.get(3)?, campaign, slot, amount: row.get(4)?, expires_ms })?;
        }
        held.write(codes)
    }

    pub(super) fn insert(&mut self, codes: &mut Codes<'_>, at_ms: i64, of: OpenHold) -> rusqlite::Result<()> {
        self.touch(codes, at_ms, of.campaign, of.slot)?;
        self.open.insert((of.campaign, of.slot, of.expires_ms, of.hold));
        self.add(of.campaign, of.expires_ms, Sums::of(1, of.amount));
        Ok(())
    }

    pub(super) fn remove(&mut self, codes: &mut Codes<'_>, at_ms: i64, of: OpenHold) -> rusqlite::Result<()> {
        self.touch(codes, at_ms, of.campaign, of.slot)?;
        self.open.remove(&(of.campaign, of.slot, of.expires_ms, of.hold));
        self.add(of.campaign, of.expires_ms, Sums::of(-1, of.amount));
        Ok(())
    }

    /// Call before the activations of a code change, or before it is archived or restored.
    pub(super) fn code_changes(&mut self, codes: &mut Codes<'_>, at_ms: i64, campaign: u32, slot: u32) -> rusqlite::Result<()> {
        let is_held = self.open_of(campaign, slot, at_ms).next().is_some();
        if is_held { self.touch(codes, at_ms, campaign, slot) } else { Ok(()) }
    }

    /// Call before the limit of a campaign's codes changes, or the set of archived ones.
    pub(super) fn campaign_changes(&mut self, codes: &mut Codes<'_>, at_ms: i64, campaign: u32) -> rusqlite::Result<()> {
        let of_campaign = self.open.range((campaign, 0, 0, 0)..=(campaign, u32::MAX, i64::MAX, i64::MAX));
        let slots: BTreeSet<u32> = of_campaign.filter(|(_, _, expires_ms, _)| *expires_ms > at_ms).map(|of| of.1).collect();
        slots.into_iter().try_for_each(|slot| self.touch(codes, at_ms, campaign, slot))
    }

    fn touch(&mut self, codes: &mut Codes<'_>, at_ms: i64, campaign: u32, slot: u32) -> rusqlite::Result<()> {
        self.changed_ms.insert(campaign, at_ms);
        if !self.full.contains_key(&(campaign, slot)) {
            let until_ms = self.full_until(codes, campaign, slot, at_ms)?;
            self.full.insert((campaign, slot), until_ms);
        }
        Ok(())
    }

    fn add(&mut self, campaign: u32, expires_ms: i64, sums: Sums) {
        for length in LENGTHS {
            let row = self.changes.entry((campaign, length, expires_ms >> length)).or_default();
            row.uses += sums.uses;
            row.amount_high += sums.amount_high;
            row.amount_low += sums.amount_low;
            row.codes_full += sums.codes_full;
        }
    }

    /// The holds of a code that are open at a time, by expiry.
    fn open_of(&self, campaign: u32, slot: u32, now_ms: i64) -> impl DoubleEndedIterator<Item = &(u32, u32, i64, i64)> {
        self.open.range((campaign, slot, now_ms.saturating_add(1), 0)..=(campaign, slot, i64::MAX, i64::MAX))
    }

    /// Until when all unactivated uses of a code are held, if it has any and is not archived; otherwise 0.
    fn full_until(&self, codes: &mut Codes<'_>, campaign: u32, slot: u32, now_ms: i64) -> rusqlite::Result<i64> {
        let mut open = self.open_of(campaign, slot, now_ms).rev().peekable();
        let of = codes.campaigns.of(campaign).filter(|of| !of.archived.contains_key(&slot));
        let (Some(of), true) = (of, open.peek().is_some()) else { return Ok(0) };
        let room = of.cap().saturating_sub(codes.uses.of(codes.connection, campaign, slot)?.activations) as usize;
        if room == 0 || room > self.open.len() {
            return Ok(0);
        }
        Ok(open.nth(room - 1).map_or(0, |(_, _, expires_ms, _)| *expires_ms))
    }

    /// Writes the changes.
    pub(super) fn write(&mut self, codes: &mut Codes<'_>) -> rusqlite::Result<()> {
        if self.changed_ms.is_empty() {
            return Ok(());
        }
        for ((campaign, slot), before) in std::mem::take(&mut self.full) {
            let after = self.full_until(codes, campaign, slot, self.changed_ms[&campaign])?;
            for (until_ms, codes_full) in [(before, -1), (after, 1)] {
                if before != after && until_ms > 0 {
                    self.add(campaign, until_ms, Sums { codes_full, ..Sums::default() });
                }
            }
        }
        let (changed_ms, changes) = (std::mem::take(&mut self.changed_ms), std::mem::take(&mut self.changes));
        let connection = codes.connection;
        let mut over = connection.prepare_cached("DELETE FROM held WHERE campaign = ? AND length = ? AND stretch <= ?")?;
        for (campaign, at_ms) in &changed_ms {
            for length in LENGTHS {
                over.execute(params![campaign, length, at_ms >> length])?;
            }
        }
        let mut add = connection.prepare_cached(
            "INSERT INTO held VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET uses = uses + excluded.uses,
             amount_high = amount_high + excluded.amount_high, amount_low = amount_low + excluded.amount_low,
             codes_full = codes_full + excluded.codes_full",
        )?;
        let mut empty =
            connection.prepare_cached("DELETE FROM held WHERE campaign = ? AND length = ? AND stretch = ? AND uses = 0")?;
        for ((campaign, length, stretch), sums) in changes {
            if stretch <= changed_ms[&campaign] >> length {
                continue;
            }
            let Sums { uses, amount_high, amount_low, codes_full } = sums;
            add.execute(params![campaign, length, stretch, uses, amount_high, amount_low, codes_full])?;
            if uses <= 0 {
                empty.execute(params![campaign, length, stretch])?;
            }
        }
        if self.open.len() > 2 * self.swept + EXPIRED_MAX {
            let now_ms = changed_ms.into_values().max().unwrap_or(0);
            self.open.retain(|(_, _, expires_ms, _)| *expires_ms > now_ms);
            self.swept = self.open.len();
        }
        Ok(())
    }
}

impl Sums {
    fn of(uses: i64, amount: i64) -> Sums {
        Sums { uses, amount_high: uses * (amount >> 32), amount_low: uses * (amount & 0xffff_ffff), codes_full: 0 }
    }
}

/// The campaigns with unended holds, found one after the other in the index of these holds.
macro_rules! campaigns_held {
    () => {
        "WITH RECURSIVE c (campaign) AS (SELECT min(campaign) FROM hold WHERE ended IS NULL \
         UNION ALL SELECT (SELECT min(h.campaign) FROM hold h WHERE h.ended IS NULL AND h.campaign > c.campaign) \
         FROM c WHERE c.campaign IS NOT NULL) "
    };
}

const OPEN: &str = concat!(
    campaigns_held!(),
    "SELECT h.campaign, h.slot, h.expires_ms, h.hold, h.amount FROM c CROSS JOIN hold h \
     WHERE h.campaign = c.campaign AND h.ended IS NULL AND h.expires_ms > ?1",
);

/// The open holds of a credential. Skips expired holds, whose number only grows.
pub(super) const OF_CREDENTIAL: &str = concat!(
    campaigns_held!(),
    "SELECT h.hold, h.campaign, h.slot, h.amount, h.expires_ms FROM c CROSS JOIN hold h \
     WHERE h.campaign = c.campaign AND h.ended IS NULL AND h.expires_ms > ?2 AND h.credential = ?1",
);

#[cfg(test)]
mod tests {
    use super::{OF_CREDENTIAL, OPEN};
    use crate::sample::{self, plan};

    /// Z1: open holds, whose number is bounded, are found without scanning expired ones.
    #[test]
    fn open_holds_are_found_without_expired_ones() {
        for query in [OPEN, OF_CREDENTIAL] {
            let steps = sample::view(|view| plan(view, query));
            let of_holds: Vec<_> = steps.iter().filter(|step| step.contains(" h ") || step.contains(" hold ")).collect();
            assert!(
                of_holds.iter().all(|step| step.starts_with("SEARCH") && step.contains("USING INDEX hold_open")),
                "{steps:#?}"
            );
            assert_eq!(steps.last().map(String::as_str), Some("SEARCH h USING INDEX hold_open (campaign=? AND expires_ms>?)"));
        }
    }
}
