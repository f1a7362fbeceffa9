//! Campaigns and their codes: added, archived and restored.

use rusqlite::params;
use scrip_protocol::CampaignId;
use scrip_protocol::codes::NormalisedCode;
use scrip_protocol::command::{CampaignRestored, CampaignUpdated, CodeTexts};

use super::writing::{At, Writing};
use crate::read_model::campaign_counters::{ALONE, LEFT, cap};
use crate::read_model::tables::code_form;
use crate::read_model::values::number;

const ARCHIVE: &str = "UPDATE code SET archived = ?3 WHERE campaign = ?1 AND slot = ?2";
const RESTORE: &str = "UPDATE code SET archived = 0, taken = ?3 WHERE campaign = ?1 AND slot = ?2";

impl Writing<'_> {
    pub(super) fn codes_added(&mut self, at: At, campaign: CampaignId, codes: &CodeTexts, how: &str) -> rusqlite::Result<()> {
        let Some(of) = self.known.campaigns.of_mut(campaign.0) else { return Ok(()) };
        let first = of.codes;
        of.codes += codes.len() as u32;
        if codes.is_empty() {
            return Ok(());
        }
        let mut statement = self.connection.prepare_cached("INSERT INTO codes_added VALUES (?, ?, ?, ?, ?, ?)")?;
        let (position, count) = (number(at.position.0), codes.len() as u32);
        statement.execute(params![campaign.0, first, count, number(at.ms), position, how])?;
        let form = code_form(self.connection)?;
        let mut statement = self.connection.prepare_cached("INSERT INTO code VALUES (?, ?, ?, ?, 0, ?)")?;
        for (code, slot) in codes.iter().zip(first..) {
            // The engine accepted it as a code, so it has a normal form.
            let value = form.normalise(code);
            let value = value.as_ref().map_or(code, NormalisedCode::as_str);
            statement.execute(params![campaign.0, slot, code, value, position])?;
        }
        Ok(())
    }

    pub(super) fn terms_changed(&mut self, at: At, record: &CampaignUpdated) -> rusqlite::Result<()> {
        let campaign = record.campaign.0;
        if self.known.campaigns.of(campaign).is_some_and(|of| of.cap() != cap(&record.terms)) {
            self.change_held(|held, codes| held.campaign_changes(codes, number(at.ms), campaign))?;
        }
        let Some(of) = self.known.campaigns.of_mut(campaign) else { return Ok(()) };
        let before = of.cap();
        of.terms = record.terms.clone();
        if of.cap() != before { self.recount(campaign) } else { Ok(()) }
    }

    /// Codes that were archived with the campaign are restored, except those in conflict.
    pub(super) fn campaign_restored(&mut self, at: At, record: &CampaignRestored) -> rusqlite::Result<()> {
        let (campaign, position) = (record.campaign.0, number(at.position.0));
        self.change_held(|held, codes| held.campaign_changes(codes, number(at.ms), campaign))?;
        let Some(of) = self.known.campaigns.of_mut(campaign) else { return Ok(()) };
        let was_archived = of.archived_ms.take().is_some();
        let left: Vec<u32> = of.archived.iter().filter(|(_, how)| **how == LEFT).map(|(slot, _)| *slot).collect();
        of.archived.retain(|_, how| *how != LEFT);
        of.archived.extend(record.conflicts.iter().map(|slot| (*slot, LEFT)));
        let mut statement = self.connection.prepare_cached(ARCHIVE)?;
        for slot in &record.conflicts {
            statement.execute(params![campaign, slot, LEFT])?;
        }
        let mut statement = self.connection.prepare_cached(RESTORE)?;
        for slot in left.iter().filter(|slot| record.conflicts.binary_search(slot).is_err()) {
            statement.execute(params![campaign, slot, position])?;
        }
        if was_archived {
            let mut statement =
                self.connection.prepare_cached("UPDATE code SET taken = ?2 WHERE campaign = ?1 AND archived = 0")?;
            statement.execute(params![campaign, position])?;
        }
        self.recount(campaign)
    }

    /// Archives individual codes.
    pub(super) fn codes_archived(&mut self, at: At, campaign: CampaignId, slots: &[u32]) -> rusqlite::Result<()> {
        self.codes_change(at, campaign, slots)?;
        let Some(of) = self.known.campaigns.of_mut(campaign.0) else { return Ok(()) };
        let mut statement = self.connection.prepare_cached(ARCHIVE)?;
        for slot in slots {
            of.archived.insert(*slot, ALONE);
            statement.execute(params![campaign.0, slot, ALONE])?;
        }
        self.recount(campaign.0)
    }

    /// Restores individual codes.
    pub(super) fn codes_restored(&mut self, at: At, campaign: CampaignId, slots: &[u32]) -> rusqlite::Result<()> {
        self.codes_change(at, campaign, slots)?;
        let Some(of) = self.known.campaigns.of_mut(campaign.0) else { return Ok(()) };
        let mut statement = self.connection.prepare_cached(RESTORE)?;
        for slot in slots {
            of.archived.remove(slot);
            statement.execute(params![campaign.0, slot, number(at.position.0)])?;
        }
        self.recount(campaign.0)
    }

    /// Call before codes are archived or restored.
    fn codes_change(&mut self, at: At, CampaignId(campaign): CampaignId, slots: &[u32]) -> rusqlite::Result<()> {
        self.change_held(|held, codes| slots.iter().try_for_each(|slot| held.code_changes(codes, number(at.ms), campaign, *slot)))
    }

    fn recount(&mut self, campaign: u32) -> rusqlite::Result<()> {
        let Some(of) = self.known.campaigns.of_mut(campaign) else { return Ok(()) };
        of.recount(self.known.uses.all(self.connection, campaign)?);
        Ok(())
    }
}
