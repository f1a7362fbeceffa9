//! Activations, their refunds, and holds.

use rusqlite::{OptionalExtension, params};
use scrip_protocol::command::{Activation, ActivationRefunded, CodeHeld};
use scrip_protocol::{CredentialId, Position};

use super::writing::{At, Writing};
use crate::read_model::held::{OF_CREDENTIAL, OpenHold};
use crate::read_model::values::{ClientKey, UNKNOWN_CLUB, number, request_bytes};

impl Writing<'_> {
    pub(super) fn activated(&mut self, at: At, record: &Activation, hold: Option<Position>) -> rusqlite::Result<()> {
        let (campaign, slot, club) = (record.campaign.0, record.slot, record.club.0);
        self.change_held(|held, codes| held.code_changes(codes, number(at.ms), campaign, slot))?;
        let before = self.known.uses.activate(self.connection, campaign, slot, at.position.0)?;
        self.activation.execute(params![
            number(at.position.0),
            number(at.ms),
            ClientKey::of(record.client),
            club,
            campaign,
            slot,
            i64::from(before.ever) + 1,
            record.amount.0,
            record.balance.0,
            record.stamp.credential.0,
            request_bytes(record.stamp.request),
            hold.map(|hold| number(hold.0)),
            Some(number(record.top_up.0)).filter(|top_up| *top_up > 0),
        ])?;
        if let Some(of) = self.known.campaigns.of_mut(campaign) {
            of.moved(slot, before.activations, before.activations.saturating_add(1));
            of.activations += 1;
            of.issued = of.issued.saturating_add(record.amount.0);
            of.last_activation = Some(at.position.0);
        }
        let counts = self.gathered.activity(campaign, at.ms, club);
        counts.activations += 1;
        counts.issued = counts.issued.saturating_add(record.amount.0);
        self.gathered.activation_at(campaign, at.position);
        self.gathered.history(record.client, at.position);
        let client = self.gathered.client(record.client, at.ms);
        client.bonus += record.amount.0;
        client.activations += 1;
        match hold {
            Some(hold) => self.hold_ended(at, hold, "confirmed"),
            None => Ok(()),
        }
    }

    /// The amount that the record debits is an entry of the ledger. Returns the club of the activation, for that entry.
    pub(super) fn refunded(&mut self, at: At, record: &ActivationRefunded) -> rusqlite::Result<Option<u32>> {
        let (campaign, slot, done) = (record.campaign.0, record.slot, record.refunded);
        self.connection.prepare_cached("INSERT INTO refund VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?.execute(params![
            number(at.position.0),
            number(record.activation.0),
            number(at.ms),
            campaign,
            slot,
            ClientKey::of(done.client),
            done.taken.0,
            done.uncollected.0,
            done.balance.0,
            record.stamp.credential.0,
            request_bytes(record.stamp.request),
        ])?;
        self.change_held(|held, codes| held.code_changes(codes, number(at.ms), campaign, slot))?;
        let before = self.known.uses.refund(self.connection, campaign, slot)?;
        if let Some(of) = self.known.campaigns.of_mut(campaign) {
            of.moved(slot, before.activations, before.activations.saturating_sub(1));
            of.activations = of.activations.saturating_sub(1);
            of.issued = of.issued.saturating_sub(done.taken.0);
            of.refunds += 1;
            of.taken_back = of.taken_back.map(|taken| taken.saturating_add(done.taken.0));
            of.uncollected = of.uncollected.saturating_add(done.uncollected.0);
        }
        let mut club = self.connection.prepare_cached("SELECT club FROM activation WHERE activation = ?")?;
        // If the read model begins after the activation, it does not know the club.
        let club = club.query_row([number(record.activation.0)], |row| row.get::<_, u32>(0)).optional()?;
        let counts = self.gathered.activity(campaign, at.ms, club.unwrap_or(UNKNOWN_CLUB));
        counts.refunds += 1;
        counts.taken_back = counts.taken_back.saturating_add(done.taken.0);
        self.gathered.history(done.client, at.position);
        // Nor has it counted the activation for the client.
        self.gathered.client(done.client, at.ms).activations -= i64::from(club.is_some());
        Ok(club)
    }

    pub(super) fn held(&mut self, at: At, record: &CodeHeld) -> rusqlite::Result<()> {
        self.gathered.history(record.client, at.position);
        let mut statement =
            self.connection.prepare_cached("INSERT INTO hold VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)")?;
        statement.execute(params![
            number(at.position.0),
            number(at.ms),
            ClientKey::of(record.client),
            record.club.0,
            record.campaign.0,
            record.slot,
            record.amount.0,
            number(record.expires_ms),
            record.stamp.credential.0,
            request_bytes(record.stamp.request),
        ])?;
        let open = OpenHold {
            hold: number(at.position.0),
            campaign: record.campaign.0,
            slot: record.slot,
            amount: record.amount.0,
            expires_ms: number(record.expires_ms),
        };
        self.change_held(|held, codes| held.insert(codes, number(at.ms), open))
    }

    pub(super) fn hold_ended(&mut self, at: At, hold: Position, how: &str) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "UPDATE hold SET ended = ?2, ended_at = ?3 WHERE hold = ?1 RETURNING hold, campaign, slot, amount, expires_ms",
        )?;
        match statement.query_row(params![number(hold.0), how, number(at.position.0)], open_hold).optional()? {
            Some(open) => self.change_held(|held, codes| held.remove(codes, number(at.ms), open)),
            None => Ok(()),
        }
    }

    /// The open holds of a revoked credential expire, as in the engine; in journals of version 1 only after their first
    /// `settings-set`.
    pub(super) fn holds_revoked(&mut self, at: At, credential: CredentialId) -> rusqlite::Result<()> {
        let query = "SELECT code_form_recorded FROM organisation WHERE code_form_recorded";
        if !self.connection.prepare_cached(query)?.exists([])? {
            return Ok(());
        }
        let mut of_credential = self.connection.prepare_cached(OF_CREDENTIAL)?;
        let open = of_credential.query_map(params![credential.0, number(at.ms)], open_hold)?;
        let open = open.collect::<rusqlite::Result<Vec<_>>>()?;
        let mut expire = self.connection.prepare_cached("UPDATE hold SET expires_ms = ?2 WHERE hold = ?1")?;
        for hold in open {
            expire.execute(params![hold.hold, number(at.ms)])?;
            self.change_held(|held, codes| held.remove(codes, number(at.ms), hold))?;
        }
        Ok(())
    }
}

/// Reads a hold from columns as in [`OF_CREDENTIAL`].
fn open_hold(row: &rusqlite::Row<'_>) -> rusqlite::Result<OpenHold> {
    Ok(OpenHold { hold: row.get(0)?, campaign: row.get(1)?, slot: row.get(2)?, amount: row.get(3)?, expires_ms: row.get(4)? })
}
