//! The current campaigns, their codes, and their counters (T1 to T6, with A7 to A10). Sums have 128 bits, so that none can
//! overflow.

use scrip_protocol::codes::normalise;
use scrip_protocol::command::{CodeTexts, Terms};
use scrip_protocol::{CampaignId, Record};

use super::past::{Past, Recorded};
use super::uses::{Hold, Use};

/// How a code is archived, independent of its campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Archived {
    /// Not archived.
    No,
    /// Left archived when its campaign was restored, because another campaign had the code (X5).
    LeftBehind,
    /// Archived individually (X2).
    Alone,
}

/// A code of a campaign.
#[derive(Debug, Clone)]
pub(crate) struct Code {
    pub(crate) slot: u32,
    /// The code as the campaign spells it.
    pub(crate) text: String,
    pub(crate) archived: Archived,
    /// The position at which the campaign last took the code, by adding or restoring it.
    pub(crate) taken: u64,
}

/// A filter by status (T5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    All,
    Active,
    Archived,
}

/// A filter by usage (T5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usage {
    All,
    Used,
    Unused,
}

/// A row of the code table (T6).
#[derive(Debug, Clone)]
pub(crate) struct CodeLine<'a> {
    pub(crate) code: Code,
    /// Archived individually or with its campaign.
    pub(crate) is_archived: bool,
    /// Activations, without refunded ones.
    pub(crate) uses: Vec<Use<'a>>,
}

/// Codes that were added to a campaign together (K9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Adding {
    pub(crate) first_slot: u32,
    pub(crate) codes: u32,
    pub(crate) at_ms: u64,
    pub(crate) position: u64,
    pub(crate) how: &'static str,
}

/// The counters of a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) codes: u64,
    pub(crate) codes_archived: u64,
    pub(crate) codes_activated: u64,
    pub(crate) codes_available: u64,
    pub(crate) codes_redeemable: u64,
    pub(crate) activations: u64,
    /// As of the time of the newest batch.
    pub(crate) held: u64,
    pub(crate) issued: i128,
    pub(crate) refunds: u64,
    pub(crate) taken_back: i128,
    pub(crate) uncollected: i128,
    pub(crate) utilisation: String,
    pub(crate) low_stock: bool,
}

impl<'a> Past<'a> {
    /// The numbers of all campaigns.
    pub(crate) fn campaigns(&self) -> Vec<CampaignId> {
        let created = |recorded: &Recorded| match &recorded.record {
            Record::CampaignCreated(record) => Some(record.campaign),
            _ => None,
        };
        self.records.iter().filter_map(created).collect()
    }

    /// The current terms of a campaign.
    pub(crate) fn terms(&self, campaign: CampaignId) -> Option<Terms> {
        let mut terms = None;
        for recorded in self.records {
            match &recorded.record {
                Record::CampaignCreated(record) if record.campaign == campaign => terms = Some(record.terms.clone()),
                Record::CampaignUpdated(record) if record.campaign == campaign => terms = Some(record.terms.clone()),
                Record::CampaignSwitched(record) if record.campaign == campaign => {
                    terms.as_mut().expect("it was created before it was switched").active = record.active;
                }
                _ => {}
            }
        }
        terms
    }

    /// When the campaign was created.
    pub(crate) fn created_ms(&self, campaign: CampaignId) -> Option<u64> {
        let created = |recorded: &&Recorded| match &recorded.record {
            Record::CampaignCreated(record) => record.campaign == campaign,
            _ => false,
        };
        self.records.iter().find(created).map(|recorded| recorded.at_ms)
    }

    /// When the campaign was archived, if it is.
    pub(crate) fn archived_ms(&self, campaign: CampaignId) -> Option<u64> {
        let mut archived = None;
        for recorded in self.records {
            match &recorded.record {
                Record::CampaignArchived(record) if record.campaign == campaign => archived = Some(recorded.at_ms),
                Record::CampaignRestored(record) if record.campaign == campaign => archived = None,
                _ => {}
            }
        }
        archived
    }

    /// The additions of codes, with their times (K9).
    pub(crate) fn addings(&self, campaign: CampaignId) -> Vec<(Adding, &'a CodeTexts)> {
        let mut addings = Vec::new();
        let mut slots = 0;
        for recorded in self.records {
            let (codes, how) = match &recorded.record {
                Record::CampaignCreated(record) if record.campaign == campaign => (&record.codes, "created"),
                Record::CodesAdded(record) if record.campaign == campaign => (&record.codes, "added"),
                Record::CodesGenerated(record) if record.campaign == campaign => (&record.codes, "generated"),
                _ => continue,
            };
            let count = codes.iter().count() as u32;
            // A list whose lines were all skipped has added nothing.
            if count == 0 {
                continue;
            }
            let (at_ms, position) = (recorded.at_ms, recorded.position);
            addings.push((Adding { first_slot: slots, codes: count, at_ms, position, how }, codes));
            slots += count;
        }
        addings
    }

    /// The codes, in the order in which they were added.
    pub(crate) fn codes(&self, campaign: CampaignId) -> Vec<Code> {
        let mut codes: Vec<Code> = Vec::new();
        for (adding, texts) in self.addings(campaign) {
            let code =
                |(slot, text): (u32, &str)| Code { slot, text: text.to_owned(), archived: Archived::No, taken: adding.position };
            codes.extend((adding.first_slot..).zip(texts.iter()).map(code));
        }
        let mut is_campaign_archived = false;
        for recorded in self.records {
            match &recorded.record {
                Record::CampaignArchived(record) if record.campaign == campaign => is_campaign_archived = true,
                Record::CampaignRestored(record) if record.campaign == campaign => {
                    // Codes added later did not exist then; codes that are not archived are not restored.
                    let was_there = |code: &&mut Code| code.taken < recorded.position && code.archived != Archived::Alone;
                    for code in codes.iter_mut().filter(was_there) {
                        let was_archived = is_campaign_archived || code.archived == Archived::LeftBehind;
                        let is_taken = record.conflicts.contains(&code.slot);
                        code.archived = if is_taken { Archived::LeftBehind } else { Archived::No };
                        if was_archived && !is_taken {
                            code.taken = recorded.position;
                        }
                    }
                    is_campaign_archived = false;
                }
                Record::CodesArchived(record) if record.campaign == campaign => {
                    record.slots.iter().for_each(|slot| codes[*slot as usize].archived = Archived::Alone);
                }
                Record::CodesRestored(record) if record.campaign == campaign => {
                    for slot in &record.slots {
                        let code = &mut codes[*slot as usize];
                        (code.archived, code.taken) = (Archived::No, recorded.position);
                    }
                }
                _ => {}
            }
        }
        codes
    }

    /// The codes with their activations (T5, T6).
    pub(crate) fn code_table(&self, campaign: CampaignId, status: Status, usage: Usage) -> Vec<CodeLine<'a>> {
        let is_campaign_archived = self.archived_ms(campaign).is_some();
        let mut of_slot: std::collections::HashMap<u32, Vec<Use<'a>>> = std::collections::HashMap::new();
        for used in self.uses_of(campaign).into_iter().filter(Use::stands) {
            of_slot.entry(used.activation.slot).or_default().push(used);
        }
        let line = |code: Code| {
            let is_archived = is_campaign_archived || code.archived != Archived::No;
            let uses = of_slot.remove(&code.slot).unwrap_or_default();
            CodeLine { code, is_archived, uses }
        };
        let passes = |line: &CodeLine<'_>| {
            let by_status = match status {
                Status::All => true,
                Status::Active => !line.is_archived,
                Status::Archived => line.is_archived,
            };
            let by_usage = match usage {
                Usage::All => true,
                Usage::Used => !line.uses.is_empty(),
                Usage::Unused => line.uses.is_empty(),
            };
            by_status && by_usage
        };
        self.codes(campaign).into_iter().map(line).filter(passes).collect()
    }

    /// A code of a campaign, in the form used for comparison.
    pub(crate) fn value(&self, campaign: CampaignId, slot: u32) -> String {
        normalise(&self.codes(campaign)[slot as usize].text).expect("it is a code").as_str().to_owned()
    }

    /// The campaign of a code: the last one that took it, by creation, restoring or adding, whether or not it still has it.
    pub(crate) fn holder(&self, value: &str) -> Option<CampaignId> {
        let mut holder = None;
        for (at, recorded) in self.records.iter().enumerate() {
            let before = Past { records: &self.records[..at], ..*self };
            let is_it = |text: &str| normalise(text).is_ok_and(|code| code.as_str() == value);
            let of_slots = |campaign: CampaignId, is_restored: &dyn Fn(&Code) -> bool| {
                let codes = before.codes(campaign);
                codes.iter().any(|code| is_restored(code) && is_it(&code.text)).then_some(campaign)
            };
            let given = match &recorded.record {
                Record::CampaignCreated(record) => record.codes.iter().any(is_it).then_some(record.campaign),
                Record::CodesAdded(record) => record.codes.iter().any(is_it).then_some(record.campaign),
                Record::CodesGenerated(record) => record.codes.iter().any(is_it).then_some(record.campaign),
                Record::CampaignRestored(record) => {
                    of_slots(record.campaign, &|code| code.archived != Archived::Alone && !record.conflicts.contains(&code.slot))
                }
                Record::CodesRestored(record) => of_slots(record.campaign, &|code| record.slots.contains(&code.slot)),
                _ => None,
            };
            holder = given.or(holder);
        }
        holder
    }

    /// The counters at the time of the newest batch.
    pub(crate) fn counters(&self, campaign: CampaignId) -> Option<Counters> {
        self.counters_at(campaign, self.end.time_ms)
    }

    /// The number of codes that could be activated at a time, one after the other: until none has a use left, or the campaign's
    /// limit or budget would be exceeded. Held uses count as used.
    fn could_be_activated(&self, campaign: CampaignId, terms: &Terms, now_ms: u64) -> u64 {
        let holds = self.holds();
        let is_open = |hold: &&Hold<'_>| hold.record.campaign == campaign && hold.is_open(now_ms);
        let open: Vec<_> = holds.iter().filter(is_open).map(|hold| hold.record).collect();
        let uses = self.uses_of(campaign);
        let taken_back = |used: &Use<'_>| used.refund.map_or(0, |refund| i128::from(refund.record.refunded.taken.0));
        let issued: i128 = uses.iter().map(|used| i128::from(used.activation.amount.0) - taken_back(used)).sum();
        let mut committed = issued + open.iter().map(|hold| i128::from(hold.amount.0)).sum::<i128>();
        let mut all_uses = uses.iter().filter(|used| used.stands()).count() as u64 + open.len() as u64;
        let mut activated = 0;
        for line in self.code_table(campaign, Status::Active, Usage::All) {
            let taken = line.uses.len() + open.iter().filter(|hold| hold.slot == line.code.slot).count();
            if terms.activations_per_code_max.is_some_and(|most| taken >= most as usize) {
                continue;
            }
            (all_uses, committed) = (all_uses + 1, committed + i128::from(terms.amount.0));
            let is_over = terms.activations_max.is_some_and(|most| all_uses > most);
            if is_over || terms.budget.is_some_and(|budget| terms.amount.0 > 0 && committed > i128::from(budget.0)) {
                break;
            }
            activated += 1;
        }
        activated
    }

    /// The counters at a time, counted over codes, activations and holds.
    pub(crate) fn counters_at(&self, campaign: CampaignId, now_ms: u64) -> Option<Counters> {
        let terms = self.terms(campaign)?;
        let (lines, uses) = (self.code_table(campaign, Status::All, Usage::All), self.uses_of(campaign));
        let count = |condition: &dyn Fn(&CodeLine<'_>) -> bool| lines.iter().filter(|line| condition(line)).count() as u64;
        let refunds: Vec<_> = uses.iter().filter_map(|used| used.refund).map(|refund| refund.record.refunded).collect();
        let taken_back: i128 = refunds.iter().map(|refunded| i128::from(refunded.taken.0)).sum();
        let codes_redeemable = self.could_be_activated(campaign, &terms, now_ms);
        let (codes, codes_activated) = (lines.len() as u64, count(&|line| !line.uses.is_empty()));
        Some(Counters {
            codes,
            codes_archived: count(&|line| line.is_archived),
            codes_activated,
            codes_available: count(&|line| !line.is_archived && line.uses.is_empty()),
            codes_redeemable,
            activations: uses.iter().filter(|used| used.stands()).count() as u64,
            held: self.held(campaign, now_ms),
            issued: uses.iter().map(|used| i128::from(used.activation.amount.0)).sum::<i128>() - taken_back,
            refunds: refunds.len() as u64,
            taken_back,
            uncollected: refunds.iter().map(|refunded| i128::from(refunded.uncollected.0)).sum(),
            utilisation: per_cent(codes_activated, codes),
            // An archived campaign is never low on stock.
            low_stock: self.archived_ms(campaign).is_none()
                && terms.low_stock.is_some_and(|threshold| codes_redeemable < u64::from(threshold)),
        })
    }
}

/// A percentage with two decimals, rounded half up; `-` if the total is 0 (T2).
pub(crate) fn per_cent(part: u64, whole: u64) -> String {
    match whole {
        0 => "-".to_owned(),
        whole => {
            let hundredths = (part * 20_000 + whole) / (2 * whole);
            format!("{}.{:02}", hundredths / 100, hundredths % 100)
        }
    }
}
