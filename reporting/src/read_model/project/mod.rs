//! Writes the rows of each record.
//!
//! [`Writing::record`] dispatches by group of records. A record's rows depend on the records before it alone, never on where a
//! transaction begins or ends.

mod code_changes;
mod ledger;
mod redemptions;
mod refusal_reasons;
mod staff;
mod writing;

use scrip_protocol::command::{BonusOperation, Subject};
use scrip_protocol::record::{AccountRecord, CampaignRecord, ClientRecord, RecordGroup, RedemptionRecord, RefusalRecord};
use scrip_protocol::{CampaignId, ClubId, Position, Record};

use self::ledger::Whole;
use self::writing::At;
pub(super) use self::writing::{Known, Writing};
use super::campaign_counters::Campaign;

impl Writing<'_> {
    /// Writes a record.
    pub(super) fn record(&mut self, position: Position, ms: u64, record: &Record) -> rusqlite::Result<()> {
        let at = At { position, ms };
        if let Some(stamp) = record.stamp() {
            self.gathered.request(*stamp, position, record.kind());
        }
        match record.by_group() {
            RecordGroup::Redemption(used) => self.redemption(at, record, used),
            RecordGroup::Refusal(refused) => self.refused(at, refused),
            RecordGroup::Account(changed) => self.account(at, record, changed),
            RecordGroup::Client(ClientRecord::ClientRegistered(registered)) => {
                self.gathered.history(registered.client, position);
                self.gathered.client(registered.client, ms).name = Some(registered.name.clone());
                Ok(())
            }
            RecordGroup::Campaign(changed) => {
                let campaign = self.campaign(at, changed)?;
                self.change(at, record, Some(campaign))
            }
            RecordGroup::Settings(changed) => {
                self.settings(at, changed)?;
                self.change(at, record, None)
            }
            RecordGroup::Directory(registered) => {
                self.directory(at, registered)?;
                self.change(at, record, None)
            }
            RecordGroup::Credential(changed) => {
                self.credential(at, changed)?;
                self.change(at, record, None)
            }
            RecordGroup::Rule(changed) => {
                self.rule(at, changed)?;
                self.change(at, record, None)
            }
            // The position of a reader is stored only in the list of changes.
            RecordGroup::Reader(_) => self.change(at, record, None),
        }
    }

    fn redemption(&mut self, at: At, record: &Record, used: RedemptionRecord<'_>) -> rusqlite::Result<()> {
        match used {
            RedemptionRecord::Activation(activation) => self.activated(at, activation, None),
            RedemptionRecord::HoldConfirmed(confirmed) => self.activated(at, &confirmed.activation, Some(confirmed.hold)),
            RedemptionRecord::CodeHeld(held) => self.held(at, held),
            RedemptionRecord::HoldReleased(released) => self.hold_ended(at, released.hold, "released"),
            RedemptionRecord::ActivationRefunded(refunded) => {
                let club = self.refunded(at, refunded)?;
                let bonus = refunded.refunded.balance;
                self.entries(at, record, Whole { club: club.map(ClubId), bonus, ..Whole::default() })
            }
        }
    }

    fn refused(&mut self, at: At, refused: RefusalRecord<'_>) -> rusqlite::Result<()> {
        match refused {
            RefusalRecord::RedemptionRefused(refused) => self.redemption_refused(at, refused),
            RefusalRecord::HoldRefused(refused) => self.hold_refused(at, refused),
            RefusalRecord::ConfirmationRefused(refused) => self.confirmation_refused(at, refused),
            RefusalRecord::Refused(refused) => {
                self.other_refused(at, &refused.stamp, refused.kind, &Subject::default(), &refused.reply)
            }
            RefusalRecord::RequestRefused(refused) => {
                self.other_refused(at, &refused.stamp, refused.kind, &refused.subject, &refused.reply)
            }
        }
    }

    fn account(&mut self, at: At, record: &Record, changed: AccountRecord<'_>) -> rusqlite::Result<()> {
        let whole = match changed {
            AccountRecord::ToppedUp(done) => {
                self.rule_failures(at, done)?;
                let (gaming, bonus) = (done.gaming, done.bonus);
                let (club, source) = (Some(done.club), Some(done.variables.source));
                Whole { club, comment: &done.comment, source, purpose: None, gaming, bonus }
            }
            AccountRecord::TopUpRefunded(refunded) => {
                let (gaming, bonus) = (refunded.given_back.gaming, refunded.given_back.bonus);
                Whole { club: Some(refunded.club), comment: &refunded.comment, gaming, bonus, ..Whole::default() }
            }
            AccountRecord::BonusChanged(changed) => {
                let purpose = match changed.operation {
                    BonusOperation::Payment(purpose) => Some(purpose),
                    BonusOperation::Credit | BonusOperation::WriteOff | BonusOperation::Refund { .. } => None,
                };
                let (club, bonus) = (changed.club, changed.balance);
                Whole { club, comment: &changed.comment, purpose, bonus, ..Whole::default() }
            }
            AccountRecord::Spent(spent) => {
                self.spent(at, spent)?;
                let (gaming, bonus) = (spent.after.gaming, spent.after.bonus);
                Whole { club: Some(spent.club), comment: &spent.comment, gaming, bonus, ..Whole::default() }
            }
        };
        self.entries(at, record, whole)
    }

    /// Writes the rows of a change of a campaign, and returns the campaign.
    fn campaign(&mut self, at: At, changed: CampaignRecord<'_>) -> rusqlite::Result<CampaignId> {
        match changed {
            CampaignRecord::CampaignCreated(created) => {
                self.known.campaigns.insert(created.campaign.0, Campaign::new(created.terms.clone(), at.ms));
                self.codes_added(at, created.campaign, &created.codes, "created")?;
                Ok(created.campaign)
            }
            CampaignRecord::CodesAdded(added) => {
                self.codes_added(at, added.campaign, &added.codes, "added")?;
                Ok(added.campaign)
            }
            CampaignRecord::CodesGenerated(generated) => {
                self.codes_added(at, generated.campaign, &generated.codes, "generated")?;
                Ok(generated.campaign)
            }
            CampaignRecord::CampaignSwitched(switched) => {
                if let Some(campaign) = self.known.campaigns.of_mut(switched.campaign.0) {
                    campaign.terms.active = switched.active;
                }
                Ok(switched.campaign)
            }
            CampaignRecord::CampaignUpdated(updated) => {
                self.terms_changed(at, updated)?;
                Ok(updated.campaign)
            }
            CampaignRecord::CampaignArchived(archived) => {
                if let Some(campaign) = self.known.campaigns.of_mut(archived.campaign.0) {
                    campaign.archived_ms = Some(at.ms);
                }
                Ok(archived.campaign)
            }
            CampaignRecord::CampaignRestored(restored) => {
                self.campaign_restored(at, restored)?;
                Ok(restored.campaign)
            }
            CampaignRecord::CodesArchived(archived) => {
                self.codes_archived(at, archived.campaign, &archived.slots)?;
                Ok(archived.campaign)
            }
            CampaignRecord::CodesRestored(restored) => {
                self.codes_restored(at, restored.campaign, &restored.slots)?;
                Ok(restored.campaign)
            }
        }
    }
}
