//! Writes the rows of each record.
//!
//! [`Writing::record`] is the one place that dispatches by kind of record; each group of them has a file. A record's rows depend on
//! the records before it alone, never on where a transaction begins or ends.

mod activations;
mod code_changes;
mod ledger;
mod refusals;
mod staff;
mod writing;

use scrip_protocol::command::{BonusOperation, Subject};
use scrip_protocol::{ClubId, Position, Record};

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
        match record {
            Record::Activation(activation) => self.activated(at, activation, None),
            Record::HoldConfirmed(confirmed) => self.activated(at, &confirmed.activation, Some(confirmed.hold)),
            Record::ActivationRefunded(refunded) => {
                let club = self.refunded(at, refunded)?;
                let bonus = refunded.refunded.balance;
                self.entries(at, record, Whole { club: club.map(ClubId), bonus, ..Whole::default() })
            }
            Record::CodeHeld(held) => self.held(at, held),
            Record::HoldReleased(released) => self.hold_ended(at, released.hold, "released"),
            Record::ToppedUp(done) => {
                self.rule_failures(at, done)?;
                let (gaming, bonus) = (done.gaming, done.bonus);
                let (club, source) = (Some(done.club), Some(done.variables.source));
                self.entries(at, record, Whole { club, comment: &done.comment, source, purpose: None, gaming, bonus })
            }
            Record::TopUpRefunded(refunded) => {
                let (gaming, bonus) = (refunded.given_back.gaming, refunded.given_back.bonus);
                self.entries(
                    at,
                    record,
                    Whole { club: Some(refunded.club), comment: &refunded.comment, gaming, bonus, ..Whole::default() },
                )
            }
            Record::BonusChanged(changed) => {
                let purpose = match changed.operation {
                    BonusOperation::Payment(purpose) => Some(purpose),
                    BonusOperation::Credit | BonusOperation::WriteOff | BonusOperation::Refund { .. } => None,
                };
                let (club, bonus) = (changed.club, changed.balance);
                self.entries(at, record, Whole { club, comment: &changed.comment, purpose, bonus, ..Whole::default() })
            }
            Record::Spent(spent) => {
                self.spent(at, spent)?;
                let (gaming, bonus) = (spent.after.gaming, spent.after.bonus);
                self.entries(
                    at,
                    record,
                    Whole { club: Some(spent.club), comment: &spent.comment, gaming, bonus, ..Whole::default() },
                )
            }
            Record::RedemptionRefused(refused) => self.redemption_refused(at, refused),
            Record::HoldRefused(refused) => self.hold_refused(at, refused),
            Record::ConfirmationRefused(refused) => self.confirmation_refused(at, refused),
            Record::Refused(refused) => self.other_refused(at, &refused.stamp, refused.kind, &Subject::default(), &refused.reply),
            Record::RequestRefused(refused) => {
                self.other_refused(at, &refused.stamp, refused.kind, &refused.subject, &refused.reply)
            }
            Record::ClientRegistered(registered) => {
                self.gathered.history(registered.client, position);
                self.gathered.client(registered.client, ms).name = Some(registered.name.clone());
                Ok(())
            }
            Record::CampaignCreated(created) => {
                self.known.campaigns.insert(created.campaign.0, Campaign::new(created.terms.clone(), ms));
                self.codes_added(at, created.campaign, &created.codes, "created")?;
                self.change(at, record, Some(created.campaign))
            }
            Record::CodesAdded(added) => {
                self.codes_added(at, added.campaign, &added.codes, "added")?;
                self.change(at, record, Some(added.campaign))
            }
            Record::CodesGenerated(generated) => {
                self.codes_added(at, generated.campaign, &generated.codes, "generated")?;
                self.change(at, record, Some(generated.campaign))
            }
            Record::CampaignSwitched(switched) => {
                if let Some(campaign) = self.known.campaigns.of_mut(switched.campaign.0) {
                    campaign.terms.active = switched.active;
                }
                self.change(at, record, Some(switched.campaign))
            }
            Record::CampaignUpdated(updated) => {
                self.terms_changed(at, updated)?;
                self.change(at, record, Some(updated.campaign))
            }
            Record::CampaignArchived(archived) => {
                if let Some(campaign) = self.known.campaigns.of_mut(archived.campaign.0) {
                    campaign.archived_ms = Some(ms);
                }
                self.change(at, record, Some(archived.campaign))
            }
            Record::CampaignRestored(restored) => {
                self.campaign_restored(at, restored)?;
                self.change(at, record, Some(restored.campaign))
            }
            Record::CodesArchived(archived) => {
                self.codes_archived(at, archived.campaign, &archived.slots)?;
                self.change(at, record, Some(archived.campaign))
            }
            Record::CodesRestored(restored) => {
                self.codes_restored(at, restored.campaign, &restored.slots)?;
                self.change(at, record, Some(restored.campaign))
            }
            Record::SettingsApplied(_)
            | Record::SettingsSet(_)
            | Record::ClubRegistered(_)
            | Record::GroupRegistered(_)
            | Record::CredentialAdded(_)
            | Record::CredentialRevoked(_)
            | Record::RuleSaved(_)
            | Record::RuleSwitched(_)
            | Record::RuleArchived(_)
            | Record::RuleRestored(_)
            | Record::ReaderKept(_)
            | Record::ReaderForgotten(_)
            | Record::ReaderRegistered(_) => {
                self.staff(at, record)?;
                self.change(at, record, None)
            }
        }
    }
}
