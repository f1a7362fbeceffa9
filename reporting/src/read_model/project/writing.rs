//! A transaction of the projection: its state in memory, and its sums.

use rusqlite::Connection;
use scrip_protocol::Position;

use crate::read_model::campaign_counters::Campaigns;
use crate::read_model::gathered::Gathered;
use crate::read_model::held::{Codes, Held};
use crate::read_model::use_counts::Uses;

const INSERT_ACTIVATION: &str = "INSERT INTO activation VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// The state that the projection keeps between transactions. All of it is in the tables as well.
#[derive(Debug)]
pub(in crate::read_model) struct Known {
    pub(super) campaigns: Campaigns,
    pub(super) uses: Uses,
    pub(super) held: Held,
}

impl Known {
    /// Reads the state as of the newest batch.
    pub(in crate::read_model) fn load(connection: &Connection, now_ms: u64) -> rusqlite::Result<Known> {
        let held = Held::load(connection, now_ms)?;
        Ok(Known { campaigns: Campaigns::load(connection)?, uses: Uses::default(), held })
    }
}

/// A transaction being written.
pub(in crate::read_model) struct Writing<'t> {
    pub(super) connection: &'t Connection,
    pub(super) known: &'t mut Known,
    pub(super) gathered: Gathered,
    pub(super) activation: rusqlite::CachedStatement<'t>,
}

/// The position and time of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) position: Position,
    pub(super) ms: u64,
}

impl<'t> Writing<'t> {
    /// Starts writing a transaction.
    pub(in crate::read_model) fn begin(connection: &'t Connection, known: &'t mut Known) -> rusqlite::Result<Writing<'t>> {
        let activation = connection.prepare_cached(INSERT_ACTIVATION)?;
        Ok(Writing { connection, known, gathered: Gathered::default(), activation })
    }

    /// Writes the sums.
    pub(in crate::read_model) fn finish(mut self) -> rusqlite::Result<()> {
        self.change_held(|held, codes| held.write(codes))?;
        let Known { campaigns, uses, .. } = &mut *self.known;
        campaigns.recount(self.connection, uses)?;
        self.known.uses.write(self.connection)?;
        self.known.campaigns.write(self.connection)?;
        self.gathered.write(self.connection)
    }

    /// Changes the open holds.
    pub(super) fn change_held<T>(
        &mut self,
        change: impl FnOnce(&mut Held, &mut Codes<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let Known { campaigns, uses, held } = &mut *self.known;
        change(held, &mut Codes { connection: self.connection, campaigns, uses })
    }
}
