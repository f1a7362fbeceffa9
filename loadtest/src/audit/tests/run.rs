//! The recount of a run: which part of a journal it covers, and what it stores.

use std::sync::Arc;

use scrip_protocol::command::{
    Activated, Activation, CampaignCreated, ClientRegistered, CodeHeld, CodeTexts, HoldReleased, RedeemOutcome, RuleCard,
    RuleEvent, RuleFired, RuleTerms, Terms, ToppedUp,
};
use scrip_protocol::{
    CampaignId, ClientId, ClubId, CredentialId, Executor, Money, Position, Record, RequestId, RuleId, Stamp, TopUpSource,
    Variables,
};

use crate::answer::{Answer, Exchange, Exchanges};
use crate::audit::{History, Recount, Scope};
use crate::mix::Shape;

/// The newest record before the run.
const BEFORE: Position = Position(1_000_000);
/// The campaign, the client and the request of the run, and those of others.
const OURS: (CampaignId, ClientId, RequestId) = (CampaignId(70), ClientId(500), RequestId(1));
const OTHERS: (CampaignId, ClientId, RequestId) = (CampaignId(3), ClientId(9), RequestId(u128::MAX));

/// A run with one request, and the answer that its caller received.
fn scope(answer: Option<Answer>) -> Scope {
    let exchange = Exchange { shape: Shape::Distinct, answer, other: None };
    Scope {
        after: BEFORE,
        exchanges: Arc::new(Exchanges::from([(OURS.2, exchange)])),
        campaigns: [OURS.0].into(),
        clients: OURS.1.0..OURS.1.0 + 1,
        rules: [].into(),
    }
}

fn stamp(request: RequestId) -> Stamp {
    Stamp { request, body: 0, credential: CredentialId(1) }
}

fn campaign(campaign: CampaignId) -> Record {
    let terms = Terms { activations_per_code_max: Some(1), ..Terms::new("a campaign", Money(5)) };
    let codes: CodeTexts = ["A"].into_iter().collect();
    let stamp = stamp(RequestId(u128::from(campaign.0) << 64));
    CampaignCreated { stamp, campaign, terms, codes, skipped: Vec::new() }.into()
}

fn activation((campaign, client, request): (CampaignId, ClientId, RequestId), balance: i64) -> Record {
    let (stamp, balance, top_up) = (stamp(request), Money(balance), Position(0));
    Activation { stamp, client, club: ClubId(1), campaign, slot: 0, amount: Money(5), balance, top_up }.into()
}

/// The outcome of an activation at a position.
fn outcome(record: &Record, position: Position) -> RedeemOutcome {
    let Record::Activation(record) = record else { panic!("another record") };
    record.outcome(position)
}

/// A recount of these records, which follow those before the run.
fn recount(scope: Scope, records: &[Record]) -> Recount {
    let mut recount = Recount::new(scope, &History::default());
    records.iter().for_each(|record| recount.add(Position(recount.position.0 + 1), 0, record));
    recount.compare_run();
    recount
}

#[track_caller]
fn differs_in(recount: &Recount, kinds: &[&str]) {
    let found: Vec<_> = recount.differences().by_kind().keys().copied().collect();
    assert_eq!(found, kinds, "{:#?}", recount.differences().first());
}

/// The correct records of the run, and its scope.
fn sound() -> (Scope, [Record; 2]) {
    let records = [campaign(OURS.0), activation(OURS, 5)];
    (scope(Some(Answer::Redeem(outcome(&records[1], Position(BEFORE.0 + 2))))), records)
}

/// Others continue to use what they had before: balances, campaigns and holds whose beginnings the recount has not seen.
#[test]
fn uses_of_earlier_balances_by_others_are_no_difference() {
    let (scope, [created, ours]) = sound();
    let hold = CodeHeld {
        stamp: stamp(RequestId(50)),
        client: OTHERS.1,
        club: ClubId(1),
        campaign: OTHERS.0,
        slot: 7,
        amount: Money(5),
        expires_ms: 9,
    };
    let records = [
        created,
        ours,
        activation(OTHERS, 1_205),
        activation(OTHERS, 1_210),
        hold.into(),
        HoldReleased { stamp: stamp(RequestId(51)), hold: Position(17) }.into(),
        ClientRegistered { stamp: stamp(RequestId(52)), client: OTHERS.1, name: "Ann".into(), new: false }.into(),
    ];
    let recount = recount(scope, &records);
    differs_in(&recount, &[]);
    assert_eq!((recount.records, recount.activations, recount.issued), (7, 1, 5));
    assert_eq!(recount.clients(), 1);
}

/// The memory of a recount depends on the run, not on the size of the journal.
#[test]
fn the_records_of_others_are_not_kept() {
    let sizes = |recount: &Recount| {
        (
            recount.recorded.len() + recount.unmatched.len() + recount.outcomes.len() + recount.hold_outcomes.len(),
            recount.activated.len() + recount.open_holds.len() + recount.ended_holds.len() + recount.run_firings.len(),
            recount.campaigns.len() + recount.ledger.len(),
        )
    };
    let (scope, records) = sound();
    let alone = recount(scope, &records);
    let (scope, records) = sound();
    let mut beside = recount(scope, &records);
    for n in 0..10_000 {
        let (campaign, client, request) =
            (CampaignId(1_000 + n), ClientId(1_000 + u128::from(n)), RequestId(1_000 + u128::from(n)));
        for record in [self::campaign(campaign), activation((campaign, client, request), 5)] {
            beside.add(Position(beside.position.0 + 1), 0, &record);
        }
    }
    assert_eq!(sizes(&beside), sizes(&alone));
    assert_eq!(beside.records, 20_002);
    differs_in(&beside, &[]);
}

#[test]
fn a_fault_in_the_run_is_named_without_the_records_before_it() {
    let sound_answer = || sound().0;
    let (_, [created, ours]) = sound();
    let after = || recount(sound_answer(), &[created.clone(), ours.clone()]);
    differs_in(&after(), &[]);
    // A balance that is not the sum of the run's entries: the client had none before.
    differs_in(&recount(sound_answer(), &[created.clone(), activation(OURS, 6)]), &["answered_otherwise", "balance"]);
    // A request that is executed twice.
    let twice = recount(sound_answer(), &[created.clone(), ours.clone(), activation(OURS, 10)]);
    differs_in(&twice, &["answered_otherwise", "over_cap", "second_record"]);
    // Somebody else uses the run's code.
    let foreign = (OURS.0, OTHERS.1, OTHERS.2);
    differs_in(&recount(sound_answer(), &[created.clone(), ours.clone(), activation(foreign, 77)]), &["over_cap"]);
    // The run's request is recorded for another client, or in another campaign.
    let strange = recount(sound_answer(), &[created.clone(), activation((OURS.0, OTHERS.1, OURS.2), 5)]);
    differs_in(&strange, &["foreign_client"]);
    let strange = recount(sound_answer(), &[created.clone(), activation((OTHERS.0, OURS.1, OURS.2), 5)]);
    differs_in(&strange, &["answered_otherwise", "no_campaign"]);
    // The answer has no record, or one of another kind.
    differs_in(&recount(sound_answer(), std::slice::from_ref(&created)), &["no_record"]);
    let registered = ClientRegistered { stamp: stamp(OURS.2), client: OURS.1, name: "Ann".into(), new: true };
    differs_in(&recount(sound_answer(), &[created.clone(), registered.into()]), &["no_record"]);
    // The record has no answer.
    let unanswered = recount(scope(None), &[created.clone(), ours.clone()]);
    differs_in(&unanswered, &["answer_missing"]);
    // A record is missing in between.
    let mut gap = Recount::new(sound_answer(), &History::default());
    gap.add(Position(BEFORE.0 + 2), 0, &created);
    differs_in(&gap, &["positions_broken"]);
}

/// Whether an uncertain request was executed is only known from its record, so the recount keeps it.
#[test]
fn the_record_of_an_uncertain_request_is_kept() {
    let (_, records) = sound();
    let busy = recount(scope(Some(Answer::Busy { uncertain: true })), &records);
    differs_in(&busy, &[]);
    let recorded = busy.unmatched(OURS.2).and_then(Answer::activated);
    assert!(matches!(recorded, Some(Activated { campaign, .. }) if *campaign == OURS.0), "{recorded:?}");
    differs_in(&recount(scope(Some(Answer::Busy { uncertain: false })), &records), &["refused_with_record"]);
}

/// U7: rules that the engine had before fire on the run's top-ups, on the terms they had then.
#[test]
fn a_rule_from_before_the_run_fires_by_its_terms() {
    let terms = |active| RuleTerms {
        name: "Everywhere".into(),
        description: String::new(),
        active,
        clubs: Vec::new(),
        event: RuleEvent::BalanceToppedUp,
        conditions: String::new(),
        actions: Vec::new(),
        tags: Vec::new(),
    };
    let rule = |active, archived_ms| RuleCard {
        rule: RuleId(1),
        terms: terms(active),
        created_ms: 1,
        changed_ms: 1,
        archived_ms,
        fired: 80,
        failed: 0,
        credited: Money(0),
        as_of: BEFORE,
    };
    let fired = RuleFired {
        rule: RuleId(1),
        result: None,
        assigned: Vec::new(),
        unassigned: Vec::new(),
        push: None,
        push_too_long: false,
        tags: Vec::new(),
    };
    let topped_up = Record::from(ToppedUp {
        stamp: stamp(RequestId(60)),
        client: OURS.1,
        club: ClubId(1),
        executor: Executor::system(),
        variables: Variables {
            amount: Money(700),
            source: TopUpSource::Cash,
            gaming: Money(0),
            bonus: Money(0),
            spent: Money(0),
            sessions: 0,
        },
        fired: vec![fired],
        failed: Vec::new(),
        beyond: 0,
        gaming: Money(700),
        bonus: Money(0),
        comment: String::new(),
        tags: Vec::new(),
    });
    for (card, kinds) in [
        (Some(rule(true, None)), [].as_slice()),
        (Some(rule(false, None)), &["rule_not_live"]),
        (Some(rule(true, Some(5))), &["rule_not_live"]),
        (None, &["rule_not_live"]),
    ] {
        let history = History { position: BEFORE, rules: card.into_iter().collect() };
        let mut recount = Recount::new(scope(None), &history);
        recount.add(Position(BEFORE.0 + 1), 0, &topped_up);
        differs_in(&recount, kinds);
    }
}
