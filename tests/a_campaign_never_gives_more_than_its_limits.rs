//! A campaign never gives more than its limits allow, however many ask at once and through however many codes, and never less: for
//! each client, in all, and of its budget, with uses redeemed, held, confirmed, given back, and refused (Z5, Z1, A11; pains 1, 4, 5, 6).

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use fastrand::Rng;
use scrip_protocol::client::Client;
use scrip_protocol::command::{
    CheckOutcome, CodeChecked, ConfirmOutcome, HOLD_TTL_DEFAULT_MS, HOLD_TTL_MIN_MS, Hold, HoldOutcome, RedeemOutcome,
    ReleaseOutcome, ShowCampaignOutcome, Terms, UpdateCampaign, UpdateCampaignOutcome,
};
use scrip_protocol::{CampaignId, ClientId, ClubId, Money, RequestId, Role};
use support::{DEADLINE, Server, campaign, club, redemption, seed, terms};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

const CONNECTIONS: usize = 6;
const TASKS: usize = 60;
const TASKS_PER_CLIENT: usize = 5;
const AMOUNT: i64 = 125;

/// A campaign with limits, and how many uses of it must be had when every task has asked.
struct Race {
    campaign: CampaignId,
    codes: Vec<String>,
    refusal: RedeemOutcome,
    expected: usize,
}

/// What a task does for one use.
#[derive(Clone, Copy)]
enum Way {
    Redeem,
    HoldAndConfirm,
    /// What it gives back it asks for once more, so that a use that is free at the end was refused to nobody.
    HoldReleaseAndRedeem,
}

async fn hold(client: &Client, of: u128, club: ClubId, code: &str, ttl_ms: u64) -> HoldOutcome {
    let asked = Hold { client: ClientId(of), club, code: code.to_owned(), ttl_ms };
    client.hold(RequestId::now(), &asked).await.expect("an answer")
}

/// Asks for one use; whether it was had. A refusal is the campaign's own, and no other.
async fn ask(client: &Client, of: u128, club: ClubId, code: &str, way: Way, refusal: RedeemOutcome) -> bool {
    let redeem = async || match client.redeem(RequestId::now(), &redemption(of, club, code)).await.expect("an answer") {
        RedeemOutcome::Redeemed(done) => {
            assert_eq!(done.amount, Money(AMOUNT));
            true
        }
        other => {
            assert_eq!(other, refusal);
            false
        }
    };
    if matches!(way, Way::Redeem) {
        return redeem().await;
    }
    let held = match hold(client, of, club, code, HOLD_TTL_DEFAULT_MS).await {
        HoldOutcome::Held(held) => held.hold,
        other => {
            assert_eq!(other, HoldOutcome::Refused(refusal));
            return false;
        }
    };
    if matches!(way, Way::HoldAndConfirm) {
        let outcome = client.confirm(RequestId::now(), held).await.expect("an answer");
        assert!(matches!(outcome, ConfirmOutcome::Confirmed(_)), "{outcome}");
        return true;
    }
    let outcome = client.release(RequestId::now(), held).await.expect("an answer");
    assert_eq!(outcome, ReleaseOutcome::Released);
    redeem().await
}

/// Every task asks once for a use of each campaign, through a code of its own, all in the same order and from the same moment on.
/// Returns how many uses of each were had.
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
                    had.push(ask(&client, of, club, &race.codes[task], way, race.refusal).await);
                }
                had
            });
        }
    }
    let had = tasks.join_all().await;
    (0..races.len()).map(|at| had.iter().filter(|had| had[at]).count()).collect()
}

async fn limited(operator: &Client, name: &str, refusal: RedeemOutcome, expected: usize, limit: impl FnOnce(&mut Terms)) -> Race {
    let codes: Vec<String> = (0..TASKS).map(|code| format!("{name}-{code:03}")).collect();
    let mut terms = terms(name, None, AMOUNT);
    limit(&mut terms);
    Race { campaign: campaign(operator, terms, &codes).await, codes, refusal, expected }
}

async fn activations(operator: &Client, of: CampaignId) -> u64 {
    let ShowCampaignOutcome::Campaign(card) = operator.show_campaign(of).await.expect("an answer") else {
        panic!("the campaign is there")
    };
    assert_eq!(card.issued, Money(AMOUNT * card.activations as i64));
    card.activations
}

async fn update(operator: &Client, change: UpdateCampaign) {
    let outcome = operator.call(RequestId::now(), &change).await.expect("an answer");
    assert!(matches!(outcome, UpdateCampaignOutcome::Updated(_)), "{outcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_through_different_codes_get_exactly_the_limit() {
    const USES: usize = 17;
    const PER_CLIENT: usize = 3;
    let mut random = Rng::with_seed(seed());
    let mut server = Server::start();
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    let clients = TASKS / TASKS_PER_CLIENT;
    let budget = AMOUNT * USES as i64 + AMOUNT - 1;
    let all = TASKS as u64;
    let races = Arc::new(vec![
        limited(&operator, "uses", RedeemOutcome::CampaignExhausted, USES, |terms| terms.activations_max = Some(USES as u64))
            .await,
        limited(&operator, "client", RedeemOutcome::ClientExhausted, clients * PER_CLIENT, |terms| {
            terms.activations_per_client_max = Some(PER_CLIENT as u32);
        })
        .await,
        limited(&operator, "budget", RedeemOutcome::BudgetExhausted, USES, |terms| terms.budget = Some(Money(budget))).await,
        // As many as ask, and a limit that nobody meets.
        limited(&operator, "met", RedeemOutcome::CampaignExhausted, TASKS, |terms| terms.activations_max = Some(all)).await,
        limited(&operator, "wide", RedeemOutcome::BudgetExhausted, TASKS, |terms| {
            terms.budget = Some(Money(AMOUNT * (TASKS as i64 + 1)));
        })
        .await,
    ]);
    let expected: Vec<usize> = races.iter().map(|race| race.expected).collect();
    assert_eq!(race(&server, &races, arena, &mut random).await, expected);
    let recount = server.audited(&HashMap::new()).await;
    for race in races.iter() {
        assert_eq!(recount.activations_of(race.campaign) as usize, race.expected);
        assert_eq!(activations(&operator, race.campaign).await as usize, race.expected);
    }

    // Nothing more is had after a kill; and exactly what a limit is raised by, once it is.
    server.kill();
    server.restart();
    let operator = server.client(Role::Operator).await;
    let again: Vec<usize> = vec![0, 0, 0, 0, 1];
    assert_eq!(race(&server, &races, arena, &mut random).await, again);
    for race in races.iter() {
        let mut change = UpdateCampaign { campaign: race.campaign, ..UpdateCampaign::default() };
        match race.refusal {
            RedeemOutcome::CampaignExhausted => change.activations_max = Some(Some(race.expected as u64 + 5)),
            RedeemOutcome::ClientExhausted => change.activations_per_client_max = Some(Some(PER_CLIENT as u32 + 1)),
            _ => change.budget = Some(Some(Money(AMOUNT * (race.expected as i64 + 6)))),
        }
        update(&operator, change).await;
    }
    assert_eq!(race(&server, &races, arena, &mut random).await, [5, clients, 6, 5, 5]);
    // Lowered below what was had: nothing, and nothing is taken away.
    for race in races.iter() {
        let mut change = UpdateCampaign { campaign: race.campaign, ..UpdateCampaign::default() };
        match race.refusal {
            RedeemOutcome::CampaignExhausted => change.activations_max = Some(Some(1)),
            RedeemOutcome::ClientExhausted => change.activations_per_client_max = Some(Some(1)),
            _ => change.budget = Some(Some(Money(1))),
        }
        update(&operator, change).await;
    }
    assert_eq!(race(&server, &races, arena, &mut random).await, [0; 5]);
    server.audited(&HashMap::new()).await;
    let CheckOutcome::Checked { codes, .. } =
        operator.check(arena, races.iter().map(|race| race.codes[0].clone()).collect()).await.expect("an answer")
    else {
        panic!("there are not too many")
    };
    for (race, checked) in races.iter().zip(codes) {
        match (race.refusal, checked) {
            // What depends on the client is not foretold.
            (RedeemOutcome::ClientExhausted, CodeChecked::Redeemable(_)) => {}
            (refusal, CodeChecked::Refused { reasons, .. }) => assert_eq!(reasons, [refusal]),
            (refusal, checked) => panic!("{refusal}: {checked:?}"),
        }
    }
}

/// Z1: what many have held, and let expire, is free for exactly as many as there were; a check says so when it is.
#[tokio::test(flavor = "multi_thread")]
async fn uses_whose_holds_expire_are_had_by_exactly_as_many_others() {
    const USES: usize = 20;
    let mut random = Rng::with_seed(seed());
    let server = Server::start();
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    let budget = Money(AMOUNT * USES as i64);
    let races = Arc::new(vec![
        limited(&operator, "uses", RedeemOutcome::CampaignExhausted, USES, |terms| terms.activations_max = Some(USES as u64))
            .await,
        limited(&operator, "budget", RedeemOutcome::BudgetExhausted, USES, |terms| terms.budget = Some(budget)).await,
    ]);
    let gateway = server.client(Role::Gateway).await;
    for race in races.iter() {
        let mut held = 0;
        for code in &race.codes {
            match hold(&gateway, 1, arena, code, HOLD_TTL_MIN_MS).await {
                HoldOutcome::Held(_) => held += 1,
                other => assert_eq!(other, HoldOutcome::Refused(race.refusal)),
            }
        }
        // On a machine that stands still for a second the first may have expired before the last was asked for.
        assert!(held >= USES, "{held}");
    }
    for race in races.iter() {
        let began = Instant::now();
        loop {
            let checked = gateway.check(arena, race.codes.clone()).await.expect("an answer");
            let CheckOutcome::Checked { codes, .. } = checked else { panic!("there are not too many") };
            // Refused or not, a code of which nothing is held any more has no part in it.
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
