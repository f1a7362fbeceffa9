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
        if of.cap() != before {
            self.known.campaigns.recount_later(campaign);
        }
        Ok(())
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
        self.known.campaigns.recount_later(campaign);
        Ok(())
    }

    /// Archives individual codes.
    pub(super) fn codes_archived(&mut self, at: At, campaign: CampaignId, slots: &[u32]) -> rusqlite::Result<()> {
        self.codes_change(at, campaign, slots)?;
        let Some(of) = self.known.campaigns.of_mut(campaign.0) else { return Ok(()) };
        let mut statement = self.connection.prepare_cached(ARCHIVE)?;
        for slot in slots {
            of.archive(*slot, self.known.uses.of(self.connection, campaign.0, *slot)?);
            statement.execute(params![campaign.0, slot, ALONE])?;
        }
        Ok(())
    }

    /// Restores individual codes.
    pub(super) fn codes_restored(&mut self, at: At, campaign: CampaignId, slots: &[u32]) -> rusqlite::Result<()> {
        self.codes_change(at, campaign, slots)?;
        let Some(of) = self.known.campaigns.of_mut(campaign.0) else { return Ok(()) };
        let mut statement = self.connection.prepare_cached(RESTORE)?;
        for slot in slots {
            of.restore(*slot, self.known.uses.of(self.connection, campaign.0, *slot)?);
            statement.execute(params![campaign.0, slot, number(at.position.0)])?;
        }
        Ok(())
    }

    /// Call before codes are archived or restored.
    fn codes_change(&mut self, at: At, CampaignId(campaign): CampaignId, slots: &[u32]) -> rusqlite::Result<()> {
        self.change_held(|held, codes| slots.iter().try_for_each(|slot| held.code_changes(codes, number(at.ms), campaign, *slot)))
    }
}

#[cfg(test)]
mod tests {
    use scrip_protocol::command::{CampaignCreated, CodesArchived, CodesRestored, Terms};
    use scrip_protocol::{CredentialId, Money, Position, Record, RequestId, Stamp};

    use super::*;
    use crate::read_model::project::Known;
    use crate::read_model::tables::SCHEMA;

    /// Codes that are archived or restored are looked at alone, whatever the size of their campaign: only a new limit, and a
    /// restored campaign, recount all codes, once in a transaction however many such records it has.
    #[test]
    fn an_archived_code_does_not_recount_its_campaign() {
        let connection = rusqlite::Connection::open_in_memory().expect("memory");
        connection.execute_batch(SCHEMA).expect("it is the schema");
        let mut known = Known::load(&connection, 0).expect("the tables are there");
        let stamp = Stamp { request: RequestId(1), body: 1, credential: CredentialId(1) };
        let campaign = CampaignId(1);
        let terms = |cap| Terms { activations_per_code_max: Some(cap), ..Terms::new("Summer", Money(1)) };
        let created =
            CampaignCreated { stamp, campaign, terms: terms(1), codes: ["A", "B"].iter().collect(), skipped: Vec::new() };
        let archived =
            |slots: &[u32]| -> Record { CodesArchived { stamp, campaign, slots: slots.into(), skipped: Vec::new() }.into() };
        let restored =
            |slots: &[u32]| -> Record { CodesRestored { stamp, campaign, slots: slots.into(), skipped: Vec::new() }.into() };
        let capped = |cap| -> Record { CampaignUpdated { stamp, campaign, terms: terms(cap) }.into() };
        let mut writing = Writing::begin(&connection, &mut known).expect("the tables are there");
        let mut position = 0;
        let mut due = |record: Record| {
            position += 1;
            writing.record(Position(position), position, &record).expect("the record fits the tables");
            writing.known.campaigns.recounts_due()
        };
        assert_eq!(due(created.into()), 0);
        for record in [archived(&[1]), archived(&[1]), archived(&[]), restored(&[1]), restored(&[1]), capped(1)] {
            assert_eq!(due(record.clone()), 0, "{record:?}");
        }
        assert_eq!([due(capped(2)), due(archived(&[0])), due(capped(3))], [1, 1, 1]);
        writing.finish().expect("the tables are there");
        assert_eq!(known.campaigns.recounts_due(), 0);
        assert_eq!(known.campaigns.of(1).map(|of| of.codes_archived), Some(1));
    }
}
