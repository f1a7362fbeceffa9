//! A code is never activated beyond its cap, however many clients try at once, and never less often (D3, D4, D5; pains 1 to 6,
//! 12, 13, 25).

use std::collections::HashMap;
use std::sync::Arc;

use fastrand::Rng;
use scrip_protocol::command::{
    CheckOutcome, CodeChecked, ConfirmOutcome, HOLD_TTL_DEFAULT_MS, Hold, HoldOutcome, RedeemOutcome, ReleaseOutcome,
    ShowCampaignOutcome,
};
use scrip_protocol::{CampaignId, ClientId, ClubId, Money, RequestId, Role};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::support::{Server, balance, campaign, club, redemption, seed, terms};

const CONNECTIONS: usize = 6;
const TASKS_PER_CONNECTION: usize = 10;
const TASKS: usize = CONNECTIONS * TASKS_PER_CONNECTION;
const CODES_PER_CAMPAIGN: usize = 12;
const AMOUNT: i64 = 125;

/// A code as different people type it.
fn typed(code: &str, random: &mut Rng) -> String {
    let around = ["", " ", "\t", "  ", "\u{a0}", "\u{200b}", "\u{feff}", "\r\n"];
    let mut some = || around[random.usize(..around.len())];
    let (before, after) = (some(), some());
    let letters: String = code.chars().map(|c| if random.bool() { c.to_ascii_lowercase() } else { c }).collect();
    format!("{before}{letters}{after}")
}

struct Race {
    cap: Option<u32>,
    campaign: CampaignId,
    codes: Vec<String>,
}

/// Every task redeems every code once, all in the same order and starting together. Returns each outcome with its request id.
async fn race(
    server: &Server,
    races: &Arc<Vec<Race>>,
    clubs: &[ClubId],
    random: &mut Rng,
) -> Vec<(usize, RequestId, RedeemOutcome)> {
    let start = Arc::new(Barrier::new(TASKS));
    let mut tasks = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let client = server.client(Role::Gateway).await;
        for at in 0..TASKS_PER_CONNECTION {
            let task = connection * TASKS_PER_CONNECTION + at;
            let (client, races, start, club) = (client.clone(), races.clone(), start.clone(), clubs[task % clubs.len()]);
            let mut random = random.fork();
            tasks.spawn(async move {
                start.wait().await;
                let mut answers = Vec::new();
                for code in races.iter().flat_map(|race| &race.codes) {
                    let id = RequestId::now();
                    // Half as many clients as tasks: two tasks credit the same balance.
                    let command = redemption(1 + (task / 2) as u128, club, &typed(code, &mut random));
                    answers.push((task, id, client.redeem(id, &command).await.expect("a reply")));
                }
                answers
            });
        }
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_at_once_get_exactly_the_cap() {
    let mut random = Rng::with_seed(seed());
    let server = Server::start();
    let operator = server.client(Role::Operator).await;
    let clubs = [club(&operator, "North").await, club(&operator, "South").await];
    let mut races = Vec::new();
    for (name, cap) in [("one", Some(1)), ("three", Some(3)), ("last", Some(TASKS as u32 - 1)), ("all", None)] {
        let codes: Vec<String> = (0..CODES_PER_CAMPAIGN).map(|n| format!("{}-{n:03}-AbCdEf", name.to_uppercase())).collect();
        let campaign = campaign(&operator, terms(name, cap, AMOUNT), &codes).await;
        races.push(Race { cap, campaign, codes });
    }
    let races = Arc::new(races);
    let answers = race(&server, &races, &clubs, &mut random).await;
    assert_eq!(answers.len(), TASKS * races.len() * CODES_PER_CAMPAIGN);

    let replied: HashMap<_, _> = answers.iter().map(|(_, id, outcome)| (*id, *outcome)).collect();
    assert_eq!(replied.len(), answers.len());
    let recount = server.audited(&replied).await;
    let mut expected_in_all = 0;
    for race in races.iter() {
        let uses = race.cap.map_or(TASKS, |cap| TASKS.min(cap as usize));
        let counted = recount.uses_of(race.campaign);
        assert_eq!(counted.len(), CODES_PER_CAMPAIGN);
        assert!(counted.values().all(|count| *count as usize == uses), "cap {:?}: {counted:?}", race.cap);
        let redeemed = answers
            .iter()
            .filter(|(_, _, outcome)| matches!(outcome, RedeemOutcome::Redeemed(done) if done.campaign == race.campaign));
        assert_eq!(redeemed.count(), uses * CODES_PER_CAMPAIGN, "cap {:?}", race.cap);
        let ShowCampaignOutcome::Campaign(card) = operator.show_campaign(race.campaign).await.expect("a reply") else {
            panic!("the campaign exists")
        };
        assert_eq!(card.activations as usize, uses * CODES_PER_CAMPAIGN);
        assert_eq!(card.codes_activated as usize, CODES_PER_CAMPAIGN);
        assert_eq!(card.issued, Money(AMOUNT * card.activations as i64));
        expected_in_all += uses * CODES_PER_CAMPAIGN;
        let CheckOutcome::Checked { codes, .. } = operator.check(clubs[0], race.codes.clone()).await.expect("a reply") else {
            panic!("the check fits its limit")
        };
        for checked in codes {
            match (race.cap, checked) {
                (Some(_), CodeChecked::Refused { reasons, code }) => {
                    assert_eq!((reasons, code.activations as usize), (vec![RedeemOutcome::CodeExhausted], uses));
                }
                (None, CodeChecked::Redeemable(code)) => assert_eq!(code.activations as usize, uses),
                (cap, checked) => panic!("cap {cap:?}: {checked:?}"),
            }
        }
    }
    let others = answers.iter().filter(|(_, _, outcome)| !matches!(outcome, RedeemOutcome::Redeemed(_)));
    assert!(others.clone().all(|(_, _, outcome)| *outcome == RedeemOutcome::CodeExhausted));
    assert_eq!(recount.activations as usize, expected_in_all);

    // The ledger: each client has the outcomes of its two tasks, and the highest balance they reported is the current one.
    let mut balances: HashMap<u128, (i64, Money)> = HashMap::new();
    for (task, _, outcome) in &answers {
        if let RedeemOutcome::Redeemed(done) = outcome {
            let (sum, greatest) = balances.entry(1 + (task / 2) as u128).or_default();
            *sum += done.amount.0;
            *greatest = (*greatest).max(done.balance);
        }
    }
    for (client, (sum, greatest)) in balances {
        assert_eq!((Money(sum), Money(sum)), (balance(&operator, ClientId(client)).await, greatest), "client {client}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fewer_clients_than_the_cap_all_succeed_and_the_cap_survives_restarts() {
    let mut server = Server::start();
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    let cap = TASKS as u32 + 5;
    let wide = campaign(&operator, terms("wide", Some(cap), AMOUNT), &["WIDE".to_owned()]).await;
    let races = Arc::new(vec![Race { cap: Some(cap), campaign: wide, codes: vec!["WIDE".to_owned()] }]);
    let mut random = Rng::with_seed(seed());
    let mut replied: HashMap<RequestId, RedeemOutcome> = HashMap::new();

    for (round, expected) in [(1, TASKS), (2, 5), (3, 0)] {
        let answers = race(&server, &races, &[arena], &mut random).await;
        let redeemed = answers.iter().filter(|(_, _, outcome)| matches!(outcome, RedeemOutcome::Redeemed(_))).count();
        assert_eq!(redeemed, expected, "round {round}");
        replied.extend(answers.into_iter().map(|(_, id, outcome)| (id, outcome)));
        let recount = server.audited(&replied).await;
        assert_eq!(recount.activations_of(wide) as usize, (TASKS * round).min(cap as usize));
        match round {
            1 => server.kill(),
            _ => assert!(server.terminate().success()),
        }
        server.restart();
    }
}

/// Z1, Z5, pain 8: whether uses are held or redeemed at once, exactly the cap succeeds; others get what is released.
#[tokio::test(flavor = "multi_thread")]
async fn held_uses_count_against_the_cap_among_many_clients() {
    const CAP: usize = TASKS / 3;
    let mut server = Server::start();
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    let held = campaign(&operator, terms("held", Some(CAP as u32), AMOUNT), &["HELD".to_owned()]).await;
    let (mut replied, mut confirmed) = (HashMap::new(), 0);
    // In the first round half of the holders release their uses; the second round is about those.
    for (round, expected) in [(1, CAP), (2, CAP - CAP / 2)] {
        let start = Arc::new(Barrier::new(TASKS));
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let (client, start) = (server.client(Role::Gateway).await, start.clone());
            tasks.spawn(async move {
                let command = Hold::new(ClientId(task as u128), arena, "held", HOLD_TTL_DEFAULT_MS);
                start.wait().await;
                let id = RequestId::now();
                (id, client.hold(id, &command).await.expect("a reply"))
            });
        }
        let answers = tasks.join_all().await;
        let holds: Vec<_> = answers
            .iter()
            .filter_map(|(_, outcome)| match outcome {
                HoldOutcome::Held(held) => Some(held.hold),
                HoldOutcome::Refused(why) => {
                    assert_eq!(*why, RedeemOutcome::CodeExhausted);
                    None
                }
                HoldOutcome::InvalidTtl | HoldOutcome::TooManyHolds => panic!("{outcome}"),
            })
            .collect();
        assert_eq!(holds.len(), expected, "round {round}");
        replied.extend(answers);
        server.kill();
        server.restart();
        let client = server.client(Role::Gateway).await;
        let released = if round == 1 { CAP - CAP / 2 } else { 0 };
        for (at, hold) in holds.into_iter().enumerate() {
            if at < released {
                let outcome = client.release(RequestId::now(), hold).await.expect("a reply");
                assert_eq!(outcome, ReleaseOutcome::Released);
            } else {
                let outcome = client.confirm(RequestId::now(), hold).await.expect("a reply");
                assert!(matches!(outcome, ConfirmOutcome::Confirmed(_)), "{outcome}");
                confirmed += 1;
            }
        }
        let recount = server.audited(&HashMap::new()).await;
        assert_eq!(recount.hold_outcomes, replied, "every outcome is recorded");
        assert_eq!(recount.activations_of(held), confirmed);
    }
    assert_eq!(confirmed as usize, CAP);
}
