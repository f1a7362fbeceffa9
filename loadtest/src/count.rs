//! One campaign in a recount: its uses, activated and held, against each limit (Z1, Z5), and its sums.
//!
//! Shares no code with the engine's state. An expired hold is removed at the next check: the journal's time never runs
//! backwards. Limits are checked for new uses only: a hold from before a limit was lowered may still be confirmed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use scrip_protocol::command::{CodeHeld, Refunded, Terms};
use scrip_protocol::{CampaignId, ClientId, Position};

use crate::difference::{CampaignSums, Difference, Differences};

/// A campaign as of the records read so far.
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
    /// How often each client has activated codes, and since which record; none if there never was a limit per client.
    clients: Option<(Position, HashMap<ClientId, u32>)>,
    /// The open holds that had not expired at the last check: of each code, by expiry.
    open_of_code: HashMap<u32, Expiring>,
    /// The same, for each client.
    open_of_client: HashMap<ClientId, Expiring>,
    /// The same, for all codes, with their amounts.
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

    /// Changes the terms from a record on.
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

    /// Removes a refunded activation.
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

    /// Checks whether a new use, which is already counted, exceeds a limit of the terms.
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
