//! The budget of a credential for creating campaigns, rules and groups.

use std::sync::atomic::Ordering;

use scrip_protocol::command::{
    CreateCampaign, CreateCampaignOutcome, CreateRule, CreateRuleOutcome, RegisterGroup, RegisterGroupOutcome, RuleTerms,
};
use scrip_protocol::{CredentialId, Refusal, Role};

use super::callers::{OPERATOR, by, grant};
use super::{Lane, Mutation, Reply, Request, Run, START_MS, campaign};
use crate::pipeline::request_budget::CREATIONS_AT_ONCE;
use crate::pipeline::{Beginning, Call, Limits};

const MARKETING: CredentialId = CredentialId(2);
const OTHER: CredentialId = CredentialId(3);

fn begun() -> (Run, Lane) {
    let roles = [(OPERATOR, Role::Operator), (MARKETING, Role::Marketing), (OTHER, Role::Marketing)];
    let credentials = roles.map(|(id, role)| (id, grant(role, id.0 as u8, true))).to_vec();
    let guard = scrip_core::guard::GuardLimits::OFF;
    let run = Run::begin(&Beginning { credentials, guard, ..Beginning::default() }, Limits::default(), None, None);
    (run, Lane::default())
}

fn create_campaign(credential: CredentialId, request: u64) -> Request {
    let mut created = campaign(request, &[&format!("code-{request}")]);
    if let Call::Change(change) = &mut created.call {
        change.stamp.credential = credential;
    }
    created
}

fn create_rule(credential: CredentialId, request: u64) -> Request {
    let terms = RuleTerms {
        name: format!("rule {request}"),
        description: String::new(),
        active: false,
        clubs: Vec::new(),
        event: scrip_protocol::command::RuleEvent::BalanceToppedUp,
        conditions: String::new(),
        actions: vec![scrip_protocol::command::Action::AddBonus { formula: "1".into() }],
        tags: Vec::new(),
    };
    by(credential, request, Mutation::CreateRule(Box::new(CreateRule { terms })), 0)
}

fn register_group(credential: CredentialId, request: u64) -> Request {
    by(credential, request, Mutation::RegisterGroup(RegisterGroup { name: format!("group {request}") }), 0)
}

/// A campaign, a rule and a group, under three ids.
fn one_of_each(credential: CredentialId, request: u64) -> Vec<Request> {
    vec![create_campaign(credential, request), create_rule(credential, request + 1), register_group(credential, request + 2)]
}

/// Why a request was refused, if it was.
fn refusal(reply: &Reply) -> Option<Refusal> {
    reply.read::<RegisterGroup>().err()
}

/// Registers that many groups, and returns how many of the requests were decided.
fn decided(run: &Run, lane: &Lane, credential: CredentialId, requests: std::ops::Range<u64>) -> usize {
    let requests: Vec<u64> = requests.collect();
    let parts = requests.chunks(100).map(|part| {
        run.offer(lane, part.iter().map(|request| register_group(credential, *request)).collect());
        lane.replies(part.len()).iter().filter(|reply| reply.read::<RegisterGroup>().is_ok()).count()
    });
    parts.sum()
}

/// A credential that creates without end is refused, whatever it creates. Operators and other credentials are not, and a retry
/// gets its first answer.
#[test]
fn a_credential_creates_until_it_is_refused_alone() {
    let (run, lane) = begun();
    run.offer(&lane, one_of_each(MARKETING, 1));
    let first = lane.replies(3);
    assert!(matches!(first[0].read::<CreateCampaign>(), Ok(CreateCampaignOutcome::Created { .. })));
    assert!(matches!(first[1].read::<CreateRule>(), Ok(CreateRuleOutcome::Created { .. })));
    assert!(matches!(first[2].read::<RegisterGroup>(), Ok(RegisterGroupOutcome::Registered(_))));
    // Time stands still on a test's clock.
    assert_eq!(decided(&run, &lane, MARKETING, 10..CREATIONS_AT_ONCE + 200), CREATIONS_AT_ONCE as usize - 3);
    run.offer(&lane, one_of_each(MARKETING, 2_000));
    for reply in lane.replies(3) {
        assert_eq!(refusal(&reply), Some(Refusal::Busy { retry_after_ms: 1_000 }));
    }
    run.offer(&lane, vec![create_campaign(MARKETING, 1)]);
    assert_eq!(lane.replies(1)[0].read::<CreateCampaign>(), first[0].read::<CreateCampaign>());
    // An operator has no budget.
    assert_eq!(decided(&run, &lane, OPERATOR, 3_000..3_000 + CREATIONS_AT_ONCE + 1), CREATIONS_AT_ONCE as usize + 1);
    for (credential, request) in [(OPERATOR, 5_000), (OTHER, 5_010)] {
        run.offer(&lane, one_of_each(credential, request));
        let replies = lane.replies(3);
        assert!(matches!(replies[0].read::<CreateCampaign>(), Ok(CreateCampaignOutcome::Created { .. })), "{credential}");
        assert!(matches!(replies[1].read::<CreateRule>(), Ok(CreateRuleOutcome::Created { .. })), "{credential}");
        assert!(matches!(replies[2].read::<RegisterGroup>(), Ok(RegisterGroupOutcome::Registered(_))), "{credential}");
    }
    run.finish();
}

/// The budget allows one a second by a clock that is never set: the time of records may run at half speed.
#[test]
fn a_used_budget_allows_one_creation_a_second_after_the_clock_was_set_back() {
    let (run, lane) = begun();
    run.hands.0.store(START_MS - 3_600_000, Ordering::SeqCst);
    assert_eq!(decided(&run, &lane, MARKETING, 1..CREATIONS_AT_ONCE + 1), CREATIONS_AT_ONCE as usize);
    run.hands.pass(10_000);
    assert_eq!(decided(&run, &lane, MARKETING, 3_000..3_100), 10);
    assert_eq!(run.finish().now_ms(), START_MS + 5_000, "the time of records ran at half speed");
}
