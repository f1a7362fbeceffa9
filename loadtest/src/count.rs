//! What a recount knows of one campaign: its uses, taken and held, against each of its limits (Z1, Z5), and its sums.
//!
//! Shares no code with the engine's state. An expired hold is dropped when somebody looks, for good: the journal's time never runs
//! backwards. A limit is tested where something new is had, and only there: what was held when it was lowered may still be confirmed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use scrip_protocol::command::{CodeHeld, Refunded, Terms};
use scrip_protocol::{CampaignId, ClientId, Position};

use crate::difference::{CampaignSums, Difference, Differences};

/// A campaign as the records so far make it.
#[derive(Debug)]
pub(crate) struct CampaignCount {
    pub(crate) terms: Terms,
    pub(crate) codes: u32,
    /// How often each code is activated; only codes that are.
    pub(crate) used: HashMap<u32, u32>,
    /// Whether the campaign is archived.
    pub(crate) archived: bool,
    /// The codes that stayed archived when it was restored.
    pub(crate) left_over: HashSet<u32>,
    /// The codes that were archived by themselves.
    pub(crate) revoked: HashSet<u32>,
    pub(crate) activations: u64,
    refunds: u64,
    issued: i128,
    uncollected: i128,
    /// How often each client has activated codes, and since which record; none while that was never limited.
    clients: Option<(Position, HashMap<ClientId, u32>)>,
    /// The holds that have neither ended nor, at the last look, expired: of each code, by expiry.
    open_of_code: HashMap<u32, Expiring>,
    /// The same, of each client.
    open_of_client: HashMap<ClientId, Expiring>,
    /// The same, of all codes, with their amounts.
    open: BTreeMap<(u64, Position), i64>,
    open_sum: i128,
}

type Expiring = BTreeSet<(u64, Position)>;

/// How many of some holds are open at a time.
fn open_at(holds: Option<&mut Expiring>, time_ms: u64) -> u64 {
    let Some(holds) = holds else { return 0 };
    while holds.first().is_some_and(|(expires_ms, _)| *expires_ms <= time_ms) {
        holds.pop_first();
    }
    holds.len() as u64
}

/// One use of a code by a client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Use {
    pub(crate) campaign: CampaignId,
    pub(crate) slot: u32,
    pub(crate) client: ClientId,
}

impl CampaignCount {
    pub(crate) fn new(terms: Terms, codes: u32) -> CampaignCount {
        let mut count = CampaignCount {
            terms: terms.clone(),
            codes,
            used: HashMap::new(),
            archived: false,
            left_over: HashSet::new(),
            revoked: HashSet::new(),
            activations: 0,
            refunds: 0,
            issued: 0,
            uncollected: 0,
            clients: None,
            open_of_code: HashMap::new(),
            open_of_client: HashMap::new(),
            open: BTreeMap::new(),
            open_sum: 0,
        };
        count.change(terms, Position(0));
        count
    }

    /// The terms are others from a record on.
    pub(crate) fn change(&mut self, terms: Terms, position: Position) {
        if terms.activations_per_client_max.is_some() && self.clients.is_none() {
            self.clients = Some((position, HashMap::new()));
        }
        self.terms = terms;
    }

    pub(crate) fn hold(&mut self, hold: Position, held: &CodeHeld) {
        let entry = (held.expires_ms, hold);
        self.open_of_code.entry(held.slot).or_default().insert(entry);
        self.open_of_client.entry(held.client).or_default().insert(entry);
        self.open.insert(entry, held.amount.0);
        self.open_sum += i128::from(held.amount.0);
    }

    pub(crate) fn end_hold(&mut self, hold: Position, held: &CodeHeld) {
        let entry = (held.expires_ms, hold);
        if let Some(open) = self.open_of_code.get_mut(&held.slot) {
            open.remove(&entry);
        }
        if let Some(open) = self.open_of_client.get_mut(&held.client) {
            open.remove(&entry);
        }
        self.open_sum -= self.open.remove(&entry).map_or(0, i128::from);
    }

    pub(crate) fn activate(&mut self, of: Use, amount: i64) {
        self.activations += 1;
        self.issued += i128::from(amount);
        *self.used.entry(of.slot).or_default() += 1;
        if let Some((_, uses)) = &mut self.clients {
            *uses.entry(of.client).or_default() += 1;
        }
    }

    /// Takes an activation off again, which there was.
    pub(crate) fn refund(&mut self, activation: Position, of: Use, refunded: &Refunded) {
        self.activations -= 1;
        self.refunds += 1;
        self.issued -= i128::from(refunded.taken.0);
        self.uncollected += i128::from(refunded.uncollected.0);
        let used = self.used.entry(of.slot).or_default();
        *used = used.saturating_sub(1);
        if *used == 0 {
            self.used.remove(&of.slot);
        }
        if let Some((from, uses)) = &mut self.clients
            && activation > *from
            && let Some(uses) = uses.get_mut(&of.client)
        {
            *uses = uses.saturating_sub(1);
        }
    }

    /// Something new was had, and counts already: whether it is more than the terms allow.
    pub(crate) fn check_limits(&mut self, position: Position, time_ms: u64, of: Use, differences: &mut Differences) {
        let Use { campaign, slot, client } = of;
        while let Some(first) = self.open.first_entry().filter(|first| first.key().0 <= time_ms) {
            self.open_sum -= i128::from(first.remove());
        }
        if let Some(cap) = self.terms.activations_per_code_max {
            let uses = u64::from(self.used.get(&slot).copied().unwrap_or(0)) + open_at(self.open_of_code.get_mut(&slot), time_ms);
            if uses > u64::from(cap) {
                differences.note(Difference::OverCap { position, campaign, slot, uses, cap });
            }
        }
        if let (Some(max), Some((_, counted))) = (self.terms.activations_per_client_max, &self.clients) {
            let open = open_at(self.open_of_client.get_mut(&client), time_ms);
            let uses = u64::from(counted.get(&client).copied().unwrap_or(0)) + open;
            if uses > u64::from(max) {
                differences.note(Difference::OverClientLimit { position, campaign, client, uses, max });
            }
        }
        if let Some(max) = self.terms.activations_max {
            let uses = self.activations + self.open.len() as u64;
            if uses > max {
                differences.note(Difference::OverCampaignLimit { position, campaign, uses, max });
            }
        }
        if let Some(budget) = self.terms.budget {
            let committed = self.issued + self.open_sum;
            if committed > i128::from(budget.0) {
                differences.note(Difference::OverBudget { position, campaign, committed, budget });
            }
        }
    }

    pub(crate) fn sums(&self) -> CampaignSums {
        CampaignSums {
            codes: self.codes,
            codes_activated: self.used.len() as u32,
            activations: self.activations,
            issued: self.issued,
            refunds: self.refunds,
            uncollected: self.uncollected,
        }
    }
}

#[cfg(test)]
mod tests {
    use scrip_protocol::command::{
        Activation, ActivationRefunded, CampaignCreated, CampaignUpdated, CodeTexts, HoldConfirmed, HoldReleased,
    };
    use scrip_protocol::{ClubId, CredentialId, Money, Record, RequestId, Stamp};

    use super::*;
    use crate::audit::Recount;

    const CAMPAIGN: CampaignId = CampaignId(1);

    /// Records in the making; each is of another request.
    #[derive(Default)]
    struct Journal {
        recount: Recount,
        time_ms: u64,
        balances: HashMap<ClientId, i64>,
    }

    impl Journal {
        /// A journal with a campaign of two codes, whose bonus is 5.
        fn new(limit: impl FnOnce(&mut Terms)) -> Journal {
            let mut journal = Journal::default();
            let mut terms = Terms::new("a campaign", Money(5));
            limit(&mut terms);
            let codes: CodeTexts = ["A", "B"].into_iter().collect();
            let stamp = journal.stamp();
            journal.add(CampaignCreated { stamp, campaign: CAMPAIGN, terms, codes, skipped: Vec::new() });
            journal
        }

        fn stamp(&self) -> Stamp {
            Stamp { request: RequestId(u128::from(self.recount.position.0) + 1), body: 0, credential: CredentialId(1) }
        }

        fn add(&mut self, record: impl Into<Record>) -> Position {
            let position = Position(self.recount.position.0 + 1);
            self.recount.add(position, self.time_ms, &record.into());
            position
        }

        fn activation(&mut self, client: u128, slot: u32) -> Activation {
            let client = ClientId(client);
            let balance = self.balances.entry(client).or_default();
            *balance += 5;
            let balance = Money(*balance);
            Activation {
                stamp: self.stamp(),
                client,
                club: ClubId(1),
                campaign: CAMPAIGN,
                slot,
                amount: Money(5),
                balance,
                top_up: Position(0),
            }
        }

        fn activate(&mut self, client: u128, slot: u32) -> Position {
            let activation = self.activation(client, slot);
            self.add(activation)
        }

        fn hold(&mut self, client: u128, slot: u32, expires_ms: u64) -> Position {
            let (stamp, client) = (self.stamp(), ClientId(client));
            self.add(CodeHeld { stamp, client, club: ClubId(1), campaign: CAMPAIGN, slot, amount: Money(5), expires_ms })
        }

        fn confirm(&mut self, hold: Position, client: u128, slot: u32) -> Position {
            let activation = self.activation(client, slot);
            self.add(HoldConfirmed { hold, activation })
        }

        fn refund(&mut self, activation: Position, client: u128, taken: i64, uncollected: i64) -> Position {
            let client = ClientId(client);
            let balance = self.balances.entry(client).or_default();
            *balance -= taken;
            let refunded = Refunded { client, taken: Money(taken), uncollected: Money(uncollected), balance: Money(*balance) };
            self.add(ActivationRefunded { stamp: self.stamp(), activation, campaign: CAMPAIGN, slot: 0, refunded })
        }

        #[track_caller]
        fn differs_in(&self, kinds: &[&str]) {
            let found: Vec<_> = self.recount.differences().by_kind().keys().copied().collect();
            assert_eq!(found, kinds, "{:#?}", self.recount.differences().first());
        }
    }

    type Limit = fn(&mut Terms, u8);

    const LIMITS: [(&str, Limit); 4] = [
        ("over_cap", |terms, max| terms.activations_per_code_max = Some(max.into())),
        ("over_client_limit", |terms, max| terms.activations_per_client_max = Some(max.into())),
        ("over_campaign_limit", |terms, max| terms.activations_max = Some(max.into())),
        ("over_budget", |terms, max| terms.budget = Some(Money(5 * i64::from(max)))),
    ];

    /// Z1, Z5: one use too many is named, whether what there is was activated or is held; and none where the limit is just met.
    #[test]
    fn a_use_over_any_limit_is_named() {
        for (name, limit) in LIMITS {
            let full = || {
                let mut journal = Journal::new(|terms| limit(terms, 2));
                journal.activate(1, 0);
                let hold = journal.hold(1, 0, 1_000);
                journal.differs_in(&[]);
                (journal, hold)
            };
            let (mut journal, _) = full();
            journal.activate(1, 0);
            journal.differs_in(&[name]);
            let (mut journal, _) = full();
            journal.hold(1, 0, 1_000);
            journal.differs_in(&[name]);
            // The hold's own use is no new one; what it leaves when it is released, or expires, is had by another.
            let (mut journal, hold) = full();
            journal.confirm(hold, 1, 0);
            journal.differs_in(&[]);
            journal.activate(1, 0);
            journal.differs_in(&[name]);
            let (mut journal, hold) = full();
            let stamp = journal.stamp();
            journal.add(HoldReleased { stamp, hold });
            journal.activate(1, 0);
            journal.differs_in(&[]);
            let (mut journal, hold) = full();
            journal.time_ms = 1_000;
            journal.activate(1, 0);
            journal.differs_in(&[]);
            journal.confirm(hold, 1, 0);
            journal.differs_in(&[name]);
        }
    }

    /// Z5: of a limit that was lowered what was held before is no difference, and what is new is; clients are counted from then on.
    #[test]
    fn a_limit_that_was_lowered_counts_for_what_is_new() {
        for (name, limit) in LIMITS {
            let mut journal = Journal::new(|_| {});
            let holds: Vec<_> = (0..3).map(|_| journal.hold(1, 0, 1_000)).collect();
            let mut terms = Terms::new("a campaign", Money(5));
            limit(&mut terms, 1);
            let stamp = journal.stamp();
            journal.add(CampaignUpdated { stamp, campaign: CAMPAIGN, terms });
            journal.confirm(holds[0], 1, 0);
            journal.confirm(holds[1], 1, 0);
            journal.differs_in(&[]);
            journal.time_ms = 1_000;
            journal.confirm(holds[2], 1, 0);
            journal.differs_in(&[name]);
        }
        let mut journal = Journal::new(|_| {});
        let uncounted = journal.activate(1, 0);
        let stamp = journal.stamp();
        let terms = Terms { activations_per_client_max: Some(1), ..Terms::new("a campaign", Money(5)) };
        journal.add(CampaignUpdated { stamp, campaign: CAMPAIGN, terms });
        journal.activate(1, 0);
        journal.refund(uncounted, 1, 5, 0);
        journal.differs_in(&[]);
        journal.activate(1, 0);
        journal.differs_in(&["over_client_limit"]);
    }

    /// Z2: a refund gives back one use of each limit, once; and it is that of its activation, to the cent.
    #[test]
    fn a_refund_that_is_not_that_of_its_activation_is_named() {
        for (name, limit) in LIMITS {
            let mut journal = Journal::new(|terms| limit(terms, 1));
            let activation = journal.activate(1, 0);
            journal.refund(activation, 1, 5, 0);
            journal.activate(1, 0);
            journal.differs_in(&[]);
            journal.activate(1, 0);
            journal.differs_in(&[name]);
        }
        let refunded = |refund: fn(&mut Journal, Position)| {
            let mut journal = Journal::new(|_| {});
            journal.activate(2, 0);
            let activation = journal.activate(1, 0);
            refund(&mut journal, activation);
            journal
        };
        refunded(|journal, activation| {
            journal.refund(activation, 1, 5, 0);
        })
        .differs_in(&[]);
        let twice = refunded(|journal, activation| {
            journal.refund(activation, 1, 5, 0);
            journal.refund(activation, 1, 0, 5);
        });
        twice.differs_in(&["second_refund"]);
        refunded(|journal, _| {
            journal.refund(Position(1), 1, 5, 0);
        })
        .differs_in(&["second_refund"]);
        refunded(|journal, activation| {
            journal.refund(activation, 2, 5, 0);
        })
        .differs_in(&["refund_unlike"]);
        refunded(|journal, activation| {
            journal.refund(activation, 1, 4, 0);
        })
        .differs_in(&["refund_unlike"]);
        // Nothing was spent, and yet one is missing.
        refunded(|journal, activation| {
            journal.refund(activation, 1, 4, 1);
        })
        .differs_in(&["refund_unlike"]);
    }
}
