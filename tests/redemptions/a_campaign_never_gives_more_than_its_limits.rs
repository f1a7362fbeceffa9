//! A campaign never gives more than its limits allow, however many clients ask at once and through however many codes, and never
//! less: per client, in total, and for its budget, with uses redeemed, held, confirmed, released and refused (Z5, Z1, A11; pains
//! 1, 4, 5, 6).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use fastrand::Rng;
use scrip_client::Client;
use scrip_protocol::command::{
    CheckOutcome, CodeChecked, ConfirmOutcome, HOLD_TTL_DEFAULT_MS, HOLD_TTL_MIN_MS, Held, Hold, HoldOutcome, RedeemOutcome,
    ReleaseOutcome, ShowCampaignOutcome, UpdateCampaign, UpdateCampaignOutcome,
};
use scrip_protocol::{CampaignId, ClientId, ClubId, Money, RequestId, Role};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::support::{DEADLINE, Server, campaign, club, redemption, seed, terms};

const CONNECTIONS: usize = 6;
const TASKS: usize = 60;
const TASKS_PER_CLIENT: usize = 5;
const AMOUNT: i64 = 125;

/// The limit that a race is about.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Limit {
    Uses,
    PerClient,
    Budget,
}

impl Limit {
    fn refusal(self) -> RedeemOutcome {
        match self {
            Limit::Uses => RedeemOutcome::CampaignExhausted,
            Limit::PerClient => RedeemOutcome::ClientExhausted,
            Limit::Budget => RedeemOutcome::BudgetExhausted,
        }
    }

    /// The change that sets the limit to this many uses; a budget gets a remainder that is not enough for another use.
    fn set_to(self, campaign: CampaignId, uses: usize) -> UpdateCampaign {
        let mut change = UpdateCampaign { campaign, ..UpdateCampaign::default() };
        match self {
            Limit::Uses => change.activations_max = Some(Some(uses as u64)),
            Limit::PerClient => change.activations_per_client_max = Some(Some(uses as u32)),
            Limit::Budget => change.budget = Some(Some(Money(AMOUNT * uses as i64 + AMOUNT - 1))),
        }
        change
    }
}

/// A campaign with a limit, and how many uses must succeed once every task has tried.
struct Race {
    campaign: CampaignId,
    codes: Vec<String>,
    limit: Limit,
    expected: usize,
}

/// How a task takes one use.
#[derive(Clone, Copy)]
enum Way {
    Redeem,
    HoldAndConfirm,
    /// Releases the use and redeems again, so that nobody was refused a use that is free at the end.
    HoldReleaseAndRedeem,
}

async fn hold(client: &Client, of: u128, club: ClubId, code: &str, ttl_ms: u64) -> HoldOutcome {
    let command = Hold::new(ClientId(of), club, code, ttl_ms);
    client.hold(RequestId::now(), &command).await.expect("a reply")
}

/// Tries to take one use, and returns whether that succeeded. A refusal must be the campaign's own.
async fn try_use(client: &Client, of: u128, club: ClubId, code: &str, way: Way, refusal: RedeemOutcome) -> bool {
    let redeem = async || {
        let outcome = client.redeem(RequestId::now(), &redemption(of, club, code)).await.expect("a reply");
        let done = if let RedeemOutcome::Redeemed(done) = outcome { Some(done) } else { None };
        assert!(done.map_or(outcome == refusal, |done| done.amount == Money(AMOUNT)), "{outcome}");
        done.is_some()
    };
    if matches!(way, Way::Redeem) {
        return redeem().await;
    }
    let outcome = hold(client, of, club, code, HOLD_TTL_DEFAULT_MS).await;
    let HoldOutcome::Held(Held { hold: held, .. }) = outcome else {
        assert_eq!(outcome, HoldOutcome::Refused(refusal));
        return false;
    };
    if matches!(way, Way::HoldAndConfirm) {
        let outcome = client.confirm(RequestId::now(), held).await.expect("a reply");
        assert!(matches!(outcome, ConfirmOutcome::Confirmed(_)), "{outcome}");
        return true;
    }
    let outcome = client.release(RequestId::now(), held).await.expect("a reply");
    assert_eq!(outcome, ReleaseOutcome::Released);
    redeem().await
}

/// Every task tries once to use each campaign, through a code of its own, all in the same order and starting together. Returns
/// how many uses of each succeeded.
async fn race(server: &Server, races: &Arc<Vec<Race>>, club: ClubId, random: &mut Rng) -> Vec<usize> {
    let start = Arc::new(Barrier::new(TASKS));
    let mut tasks = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let client = server.client(Role::Gateway).await;
        for task in (connection..TASKS).step_by(CONNECTIONS) {
            let (client, races, start, mut random) = (client.clone(), races.clone(), start.clone(), random.fork());
            tasks.spawn(async move {
                start.wait().await;
                let mut had = Vec::new();
                for race in races.iter() {
                    let way = [Way::Redeem, Way::HoldAndConfirm, Way::HoldReleaseAndRedeem][random.usize(..3)];
                    let of = 1 + (task / TASKS_PER_CLIENT) as u128;
                    had.push(try_use(&client, of, club, &race.codes[task], way, race.limit.refusal()).await);
                }
                had
            });
        }
    }
    let had = tasks.join_all().await;
    (0..races.len()).map(|at| had.iter().filter(|had| had[at]).count()).collect()
}

/// A campaign that allows `uses` uses, of which `expected` must succeed.
async fn limited(operator: &Client, name: &str, limit: Limit, uses: usize, expected: usize) -> Race {
    let codes: Vec<String> = (0..TASKS).map(|code| format!("{name}-{code:03}")).collect();
    let terms = limit.set_to(CampaignId(0), uses).applied_to(&terms(name, None, AMOUNT));
    Race { campaign: campaign(operator, terms, &codes).await, codes, limit, expected }
}

async fn activations(operator: &Client, of: CampaignId) -> u64 {
    let ShowCampaignOutcome::Campaign(card) = operator.show_campaign(of).await.expect("a reply") else {
        panic!("the campaign exists")
    };
    assert_eq!(card.issued, Money(AMOUNT * card.activations as i64));
    card.activations
}

async fn update(operator: &Client, change: UpdateCampaign) {
    let outcome = operator.call(RequestId::now(), &change).await.expect("a reply");
    assert!(matches!(outcome, UpdateCampaignOutcome::Updated(_)), "{outcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_with_different_codes_get_exactly_the_limit() {
    const USES: usize = 17;
    const PER_CLIENT: usize = 3;
    let mut random = Rng::with_seed(seed());
    let mut server = Server::start();
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    let clients = TASKS / TASKS_PER_CLIENT;
    let races = Arc::new(vec![
        limited(&operator, "uses", Limit::Uses, USES, USES).await,
        limited(&operator, "client", Limit::PerClient, PER_CLIENT, clients * PER_CLIENT).await,
        limited(&operator, "budget", Limit::Budget, USES, USES).await,
        // As many as there are tasks, and a limit that nobody reaches.
        limited(&operator, "met", Limit::Uses, TASKS, TASKS).await,
        limited(&operator, "wide", Limit::Budget, TASKS + 1, TASKS).await,
    ]);
    let expected: Vec<usize> = races.iter().map(|race| race.expected).collect();
    assert_eq!(race(&server, &races, arena, &mut random).await, expected);
    let recount = server.audited(&HashMap::new()).await;
    for race in races.iter() {
        assert_eq!(recount.activations_of(race.campaign) as usize, race.expected);
        assert_eq!(activations(&operator, race.campaign).await as usize, race.expected);
    }

    // After a kill nothing more succeeds; once a limit is raised, exactly the difference does.
    server.kill();
    server.restart();
    let operator = server.client(Role::Operator).await;
    assert_eq!(race(&server, &races, arena, &mut random).await, [0, 0, 0, 0, 1]);
    for (race, uses) in races.iter().zip([USES + 5, PER_CLIENT + 1, USES + 6, TASKS + 5, TASKS + 6]) {
        update(&operator, race.limit.set_to(race.campaign, uses)).await;
    }
    assert_eq!(race(&server, &races, arena, &mut random).await, [5, clients, 6, 5, 5]);
    // A limit lowered below the uses so far allows none, and revokes none.
    for race in races.iter() {
        let before = activations(&operator, race.campaign).await;
        update(&operator, race.limit.set_to(race.campaign, 1)).await;
        assert_eq!(activations(&operator, race.campaign).await, before);
    }
    assert_eq!(race(&server, &races, arena, &mut random).await, [0; 5]);
    server.audited(&HashMap::new()).await;
    let CheckOutcome::Checked { codes, .. } =
        operator.check(arena, races.iter().map(|race| race.codes[0].clone()).collect()).await.expect("a reply")
    else {
        panic!("the check fits its limit")
    };
    for (race, checked) in races.iter().zip(codes) {
        match checked {
            // A check does not predict refusals that depend on the client.
            CodeChecked::Redeemable(_) => assert_eq!(race.limit, Limit::PerClient),
            CodeChecked::Refused { reasons, .. } => assert_eq!(reasons, [race.limit.refusal()]),
            CodeChecked::Free { .. } | CodeChecked::NotAccepted => panic!("{checked:?}"),
        }
    }
}

/// Z1: holds that expire free exactly as many uses as there were, and a check reports them free once they are.
#[tokio::test(flavor = "multi_thread")]
async fn expired_holds_free_exactly_as_many_uses() {
    const USES: usize = 20;
    let mut random = Rng::with_seed(seed());
    let server = Server::start();
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    let races = Arc::new(vec![
        limited(&operator, "uses", Limit::Uses, USES, USES).await,
        limited(&operator, "budget", Limit::Budget, USES, USES).await,
    ]);
    let gateway = server.client(Role::Gateway).await;
    for race in races.iter() {
        let mut held = 0;
        for code in &race.codes {
            let outcome = hold(&gateway, 1, arena, code, HOLD_TTL_MIN_MS).await;
            let is_held = matches!(outcome, HoldOutcome::Held(_));
            assert!(is_held || outcome == HoldOutcome::Refused(race.limit.refusal()), "{outcome}");
            held += usize::from(is_held);
        }
        // On a machine that pauses for a second, the first hold may expire before the last one is made.
        assert!(held >= USES, "{held}");
    }
    for race in races.iter() {
        let began = Instant::now();
        loop {
            let checked = gateway.check(arena, race.codes.clone()).await.expect("a reply");
            let CheckOutcome::Checked { codes, .. } = checked else { panic!("the check fits its limit") };
            // Whether refused or not, a code that is no longer held does not matter.
            let is_held = |checked: &CodeChecked| match checked {
                CodeChecked::Redeemable(code) | CodeChecked::Refused { code, .. } => code.held > 0,
                CodeChecked::Free { .. } | CodeChecked::NotAccepted => panic!("{checked:?}"),
            };
            if !codes.iter().any(is_held) {
                assert!(codes.iter().all(|checked| matches!(checked, CodeChecked::Redeemable(_))), "{codes:?}");
                break;
            }
            assert!(began.elapsed() < DEADLINE, "the holds expire");
        }
    }
    assert_eq!(race(&server, &races, arena, &mut random).await, [USES, USES]);
    server.audited(&HashMap::new()).await;
}
