//! How often each code was activated: the part of `code_use` that the projection needs at every activation, kept in memory.
//!
//! The codes of a campaign are read from the table when one of them is first needed, and stay in memory while there is room. Changes
//! are written at the end of the transaction.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::values::number;

/// Maximum number of codes in memory, 8 bytes each: 128 MiB.
const CODES_MAX: usize = 16 << 20;

/// How a code was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Use {
    /// Activations, without refunded ones.
    pub(super) activations: u32,
    /// Activations, including refunded ones.
    pub(super) ever: u32,
}

/// The uses of codes, by campaign.
#[derive(Debug, Default)]
pub(super) struct Uses {
    of: HashMap<u32, OfCampaign>,
    codes: usize,
    /// Counts transactions, to find the least recently used campaign.
    turn: u64,
    /// The rows to write: campaign, slot and the position of an activation; 0 for a refund.
    touched: Vec<(u32, u32, u64)>,
}

#[derive(Debug, Default)]
struct OfCampaign {
    uses: Vec<Use>,
    last_used: u64,
}

impl Uses {
    /// How a code was used.
    pub(super) fn of(&mut self, connection: &Connection, campaign: u32, slot: u32) -> rusqlite::Result<Use> {
        Ok(*self.slot(connection, campaign, slot)?)
    }

    /// Counts an activation. Returns the uses before it.
    pub(super) fn activate(&mut self, connection: &Connection, campaign: u32, slot: u32, at: u64) -> rusqlite::Result<Use> {
        let of = self.slot(connection, campaign, slot)?;
        let before = *of;
        of.activations = of.activations.saturating_add(1);
        of.ever = of.ever.saturating_add(1);
        self.touched.push((campaign, slot, at));
        Ok(before)
    }

    /// Subtracts a refunded activation. Returns the uses before it.
    pub(super) fn refund(&mut self, connection: &Connection, campaign: u32, slot: u32) -> rusqlite::Result<Use> {
        let of = self.slot(connection, campaign, slot)?;
        let before = *of;
        of.activations = of.activations.saturating_sub(1);
        self.touched.push((campaign, slot, 0));
        Ok(before)
    }

    /// Every code of a campaign that was ever activated, with its slot.
    pub(super) fn all(&mut self, connection: &Connection, campaign: u32) -> rusqlite::Result<impl Iterator<Item = (u32, Use)>> {
        let used = self.campaign(connection, campaign)?.uses.iter().zip(0..);
        Ok(used.filter(|(of, _)| of.ever > 0).map(|(of, slot)| (slot, *of)))
    }

    fn slot(&mut self, connection: &Connection, campaign: u32, slot: u32) -> rusqlite::Result<&mut Use> {
        let of = self.campaign(connection, campaign)?;
        let (before, place) = (of.uses.len(), slot as usize);
        if before <= place {
            of.uses.resize(place + 1, Use::default());
            let grown = of.uses.len() - before;
            self.codes += grown;
        }
        let of = self.of.get_mut(&campaign).expect("it was looked up just now");
        Ok(&mut of.uses[place])
    }

    fn campaign(&mut self, connection: &Connection, campaign: u32) -> rusqlite::Result<&mut OfCampaign> {
        if !self.of.contains_key(&campaign) {
            let uses = read(connection, campaign)?;
            self.codes += uses.len();
            self.of.insert(campaign, OfCampaign { uses, last_used: self.turn });
        }
        let of = self.of.get_mut(&campaign).expect("it was put there if it was not there");
        of.last_used = self.turn;
        Ok(of)
    }

    /// Writes the changes, and frees memory.
    pub(super) fn write(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(
            "INSERT INTO code_use VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET activations = excluded.activations,
             ever = excluded.ever, last_activation = max(last_activation, excluded.last_activation)",
        )?;
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        for of_code in touched.chunk_by(|one, other| (one.0, one.1) == (other.0, other.1)) {
            let (campaign, slot, last) = of_code[of_code.len() - 1];
            let first = of_code.iter().map(|(_, _, at)| *at).find(|at| *at > 0).unwrap_or(0);
            let of = self.of.get(&campaign).and_then(|of| of.uses.get(slot as usize)).copied().unwrap_or_default();
            statement.execute(params![campaign, slot, of.activations, of.ever, number(first), number(last)])?;
        }
        self.turn += 1;
        while self.codes > CODES_MAX && self.of.len() > 1 {
            let oldest = self.of.iter().min_by_key(|(_, of)| of.last_used).map(|(campaign, _)| *campaign);
            let gone = oldest.and_then(|campaign| self.of.remove(&campaign)).map_or(0, |of| of.uses.len());
            self.codes -= gone;
        }
        Ok(())
    }
}

fn read(connection: &Connection, campaign: u32) -> rusqlite::Result<Vec<Use>> {
    let mut uses: Vec<Use> = Vec::new();
    let mut statement = connection.prepare_cached("SELECT slot, activations, ever FROM code_use WHERE campaign = ?")?;
    let mut rows = statement.query([campaign])?;
    while let Some(row) = rows.next()? {
        let slot = row.get::<_, u32>(0)? as usize;
        if uses.len() <= slot {
            uses.resize(slot + 1, Use::default());
        }
        uses[slot] = Use { activations: row.get(1)?, ever: row.get(2)? };
    }
    Ok(uses)
}
