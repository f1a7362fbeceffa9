//! Limits of campaigns, and refunds: every use above a limit is reported, and no use within it.

use std::collections::HashMap;

use scrip_protocol::command::{
    Activation, ActivationRefunded, CampaignCreated, CampaignUpdated, CodeHeld, CodeTexts, CredentialRevoked, HoldConfirmed,
    HoldReleased, Refunded, Terms,
};
use scrip_protocol::record::SettingsSet;
use scrip_protocol::{CampaignId, ClientId, ClubId, CredentialId, Money, Position, Record, RequestId, Settings, Stamp};

use crate::audit::{History, Recount, Scope};

const CAMPAIGN: CampaignId = CampaignId(1);

/// A journal under construction; each record has its own request.
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
        journal.create(limit);
        journal
    }

    fn create(&mut self, limit: impl FnOnce(&mut Terms)) {
        let mut terms = Terms::new("a campaign", Money(5));
        limit(&mut terms);
        let codes: CodeTexts = ["A", "B"].into_iter().collect();
        let stamp = self.stamp();
        self.add(CampaignCreated { stamp, campaign: CAMPAIGN, terms, codes, skipped: Vec::new() });
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

/// Z1, Z5: one use above a limit is reported, activated or held; none is at exactly the limit.
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
        // Confirming a hold is not a new use; a use that is released or expires is free for others.
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

/// Z5: after a limit is lowered, earlier holds are not differences but new uses are; clients are counted from then on.
#[test]
fn a_lowered_limit_applies_to_new_uses() {
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

/// Z2: a refund frees one use of each limit, once; it matches its activation to the cent.
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
    // Nothing was spent, but one is uncollected.
    refunded(|journal, activation| {
        journal.refund(activation, 1, 4, 1);
    })
    .differs_in(&["refund_unlike"]);
}

/// The holds of a revoked credential expire: their uses are free for others. Without the revocation, or in the first journals, the others exceed
/// each limit.
#[test]
fn holds_of_a_revoked_credential_expire() {
    for (name, limit) in LIMITS {
        let redeemed = |is_set: bool, credential: Option<u32>| {
            let mut journal = Journal::new(|terms| limit(terms, 1));
            if is_set {
                journal.add(SettingsSet::new(Settings::default()));
            }
            let hold = journal.hold(1, 0, 1_000);
            journal.time_ms = 5;
            if let Some(credential) = credential {
                let stamp = journal.stamp();
                journal.add(CredentialRevoked { stamp, credential: CredentialId(credential) });
            }
            journal.activate(1, 0);
            (journal, hold)
        };
        let (mut journal, hold) = redeemed(true, Some(1));
        journal.differs_in(&[]);
        // It can only be confirmed as a late one: within the limits.
        journal.confirm(hold, 1, 0);
        journal.differs_in(&[name]);
        for (is_set, credential) in [(true, None), (true, Some(2)), (false, Some(1))] {
            redeemed(is_set, credential).0.differs_in(&[name]);
        }
    }
}

/// The same where only a run is recounted.
#[test]
fn a_revocation_during_a_run_ends_holds_of_the_run() {
    let mut scope = Scope::default();
    scope.campaigns.insert(CAMPAIGN);
    let mut journal = Journal { recount: Recount::new(scope, &History::default()), ..Journal::default() };
    journal.create(|terms| terms.activations_per_code_max = Some(1));
    journal.hold(1, 0, 1_000);
    let stamp = journal.stamp();
    journal.add(CredentialRevoked { stamp, credential: CredentialId(1) });
    journal.activate(2, 0);
    journal.differs_in(&[]);
}
