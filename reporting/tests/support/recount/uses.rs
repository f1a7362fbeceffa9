//! Activations, their refunds, holds, and activations by club and by day.

use std::collections::{BTreeMap, HashMap};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use scrip_protocol::command::{Activation, ActivationRefunded, CodeHeld, HoldConfirmed};
use scrip_protocol::{CampaignId, ClubId, CredentialId, Record};

use super::past::Past;

/// An activation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Use<'a> {
    /// The position.
    pub(crate) position: u64,
    pub(crate) at_ms: u64,
    pub(crate) activation: &'a Activation,
    /// The hold that was confirmed.
    pub(crate) hold: Option<u64>,
    /// The number among the activations of the code, including refunded ones.
    pub(crate) nth: u32,
    /// The refund.
    pub(crate) refund: Option<Refund<'a>>,
}

/// The refund of an activation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refund<'a> {
    pub(crate) position: u64,
    pub(crate) at_ms: u64,
    pub(crate) record: &'a ActivationRefunded,
}

/// A hold, and how it ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hold<'a> {
    pub(crate) position: u64,
    pub(crate) at_ms: u64,
    pub(crate) record: &'a CodeHeld,
    /// The first moment at which it is no longer open: its credential may have been revoked before it expired.
    pub(crate) expires_ms: u64,
    /// The word for its end, and the record that ended it.
    pub(crate) ended: Option<(&'static str, u64)>,
}

/// Activations and refunds of a part of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    /// Including those refunded later.
    pub(crate) activations: u64,
    /// The bonuses of these.
    pub(crate) issued: i128,
    /// Refunds of any activations.
    pub(crate) refunds: u64,
    pub(crate) taken_back: i128,
}

impl Hold<'_> {
    /// Whether the hold is open at a time.
    pub(crate) fn is_open(&self, now_ms: u64) -> bool {
        self.ended.is_none() && now_ms < self.expires_ms
    }
}

impl Use<'_> {
    pub(crate) fn stands(&self) -> bool {
        self.refund.is_none()
    }
}

impl<'a> Past<'a> {
    /// Every activation, in order.
    pub(crate) fn uses(&self) -> Vec<Use<'a>> {
        let refunds: HashMap<u64, Refund<'a>> =
            self.refunds().into_iter().map(|refund| (refund.record.activation.0, refund)).collect();
        let mut uses: Vec<Use<'a>> = Vec::new();
        let mut of_code: HashMap<(CampaignId, u32), u32> = HashMap::new();
        for recorded in self.records {
            let (activation, hold) = match &recorded.record {
                Record::Activation(activation) => (activation, None),
                Record::HoldConfirmed(HoldConfirmed { hold, activation }) => (activation, Some(hold.0)),
                _ => continue,
            };
            let (position, at_ms) = (recorded.position, recorded.at_ms);
            let nth = of_code.entry((activation.campaign, activation.slot)).or_default();
            *nth += 1;
            uses.push(Use { position, at_ms, activation, hold, nth: *nth, refund: refunds.get(&position).copied() });
        }
        uses
    }

    /// Every refund of an activation, in order.
    pub(crate) fn refunds(&self) -> Vec<Refund<'a>> {
        let refund = |recorded: &'a super::past::Recorded| match &recorded.record {
            Record::ActivationRefunded(record) => Some(Refund { position: recorded.position, at_ms: recorded.at_ms, record }),
            _ => None,
        };
        self.records.iter().filter_map(refund).collect()
    }

    /// The activations of a campaign.
    pub(crate) fn uses_of(&self, campaign: CampaignId) -> Vec<Use<'a>> {
        self.uses().into_iter().filter(|used| used.activation.campaign == campaign).collect()
    }

    /// The activations of a code, refunded ones too.
    pub(crate) fn uses_of_code(&self, campaign: CampaignId, slot: u32) -> Vec<Use<'a>> {
        self.uses_of(campaign).into_iter().filter(|used| used.activation.slot == slot).collect()
    }

    /// Every hold, in order.
    pub(crate) fn holds(&self) -> Vec<Hold<'a>> {
        let ends: HashMap<u64, (&'static str, u64)> = self
            .records
            .iter()
            .filter_map(|recorded| match &recorded.record {
                Record::HoldConfirmed(confirmed) => Some((confirmed.hold.0, ("confirmed", recorded.position))),
                Record::HoldReleased(released) => Some((released.hold.0, ("released", recorded.position))),
                _ => None,
            })
            .collect();
        // In journals of version 1 they end no holds before the first record that names the form of codes.
        let from = self.records.iter().position(|recorded| matches!(recorded.record, Record::SettingsSet(_)));
        let revocations: HashMap<CredentialId, (u64, u64)> = self.records[from.unwrap_or(self.records.len())..]
            .iter()
            .filter_map(|recorded| match &recorded.record {
                Record::CredentialRevoked(revoked) => Some((revoked.credential, (recorded.position, recorded.at_ms))),
                _ => None,
            })
            .collect();
        let hold = |recorded: &'a super::past::Recorded| match &recorded.record {
            Record::CodeHeld(record) => {
                let ended = ends.get(&recorded.position).copied();
                let revoked = revocations.get(&record.stamp.credential);
                let was_open = |at: u64| recorded.position < at && ended.is_none_or(|(_, ended)| at < ended);
                let expires_ms = match revoked {
                    Some((at, at_ms)) if was_open(*at) => record.expires_ms.min(*at_ms),
                    Some(_) | None => record.expires_ms,
                };
                Some(Hold { position: recorded.position, at_ms: recorded.at_ms, record, expires_ms, ended })
            }
            _ => None,
        };
        self.records.iter().filter_map(hold).collect()
    }

    /// The number of uses of a campaign's codes held at a time (Z1).
    pub(crate) fn held(&self, campaign: CampaignId, now_ms: u64) -> u64 {
        let holds = self.holds();
        holds.iter().filter(|hold| hold.record.campaign == campaign && hold.is_open(now_ms)).count() as u64
    }

    /// Activations and refunds grouped by a key made of a time and a club.
    pub(crate) fn tallies<K: Ord>(&self, key: impl Fn(CampaignId, u64, ClubId) -> K) -> BTreeMap<K, Tally> {
        let mut tallies: BTreeMap<K, Tally> = BTreeMap::new();
        for used in self.uses() {
            let Activation { campaign, club, amount, .. } = *used.activation;
            let tally = tallies.entry(key(campaign, used.at_ms, club)).or_default();
            tally.activations += 1;
            tally.issued += i128::from(amount.0);
            if let Some(refund) = used.refund {
                let tally = tallies.entry(key(campaign, refund.at_ms, club)).or_default();
                tally.refunds += 1;
                tally.taken_back += i128::from(refund.record.refunded.taken.0);
            }
        }
        tallies
    }

    /// By club, of one campaign (T6).
    pub(crate) fn clubs_of(&self, campaign: CampaignId) -> BTreeMap<ClubId, Tally> {
        let tallies = self.tallies(|of, _, club| (of == campaign).then_some(club));
        tallies.into_iter().filter_map(|(club, tally)| Some((club?, tally))).collect()
    }

    /// By day in a time zone, of one campaign.
    pub(crate) fn days_of(&self, campaign: CampaignId, zone: &TimeZone) -> BTreeMap<Date, Tally> {
        let tallies = self.tallies(|of, at_ms, _| (of == campaign).then(|| day(at_ms, zone)));
        tallies.into_iter().filter_map(|(day, tally)| Some((day?, tally))).collect()
    }
}

/// The day that a time falls on.
pub(crate) fn day(at_ms: u64, zone: &TimeZone) -> Date {
    let at = Timestamp::from_millisecond(i64::try_from(at_ms).expect("a time of this age")).expect("a time of this age");
    Zoned::new(at, zone.clone()).date()
}
