//! Nothing that was acknowledged is lost, and nothing is done twice, when the engine is killed (Z3, Z4; pains 1 to 6, 25, 27).
//!
//! Several connections ask without pause while the engine is killed (SIGKILL) and started again, over and over. Each request
//! is kept before it is sent. After a restart whatever was under way is sent again under the same id, over another connection:
//! what was acknowledged before must be answered with the same bytes. In the end the journal is recounted.

mod support;

use std::collections::HashMap;
use std::time::Duration;

use fastrand::Rng;
use scrip_protocol::command::{
    AddCodes, CreateCampaign, CreditBonus, Note, OnConflict, PaidFor, PaidFrom, PayBonus, RecordPurchase, RecordSession, Redeem,
    RedeemOutcome, RefundTopUp, TopUp, TopUpOutcome, WriteOffBonus,
};
use scrip_protocol::frame::{REFUSAL, set_correlation};
use scrip_protocol::{CampaignId, ClientId, ClubId, Money, Position, RequestId, Role, RuleId, TopUpSource};
use support::{Lane, Server, campaign, club, create_rule, redemption, request, rule, say, seed, terms, top_up, wait_until};
use tokio::sync::watch;
use tokio::task::JoinSet;

const KILLS: usize = 32;
const LANES: usize = 4;
/// How many requests a lane has in flight at the most.
const IN_FLIGHT: usize = 96;

/// A request, kept before it is sent, with its answer once that is here.
struct Kept {
    id: RequestId,
    /// Its correlation number is set when it is sent.
    frame: Vec<u8>,
    of: Of,
    /// Kind and body of the first reply.
    answer: Option<(u16, Vec<u8>)>,
    /// In how many runs of the engine it was answered.
    answered_in: usize,
}

/// What a request is, as far as its answers are compared with the journal one by one.
#[derive(Clone, Copy, PartialEq)]
enum Of {
    Redemption,
    TopUp,
    /// Of the other requests the sums are compared.
    Other,
}

/// What new requests are drawn from.
#[derive(Clone)]
struct World {
    clubs: Vec<ClubId>,
    /// Codes of every cap.
    codes: Vec<String>,
    campaign: CampaignId,
}

impl World {
    fn draw(&self, random: &mut Rng) -> Kept {
        let id = RequestId::now();
        let (frame, of) = match random.u32(..1_000) {
            // Large records, so that segments end often: a list of which no line can be added, and a list that is added.
            0..3 => {
                let lines = (0..2_000).map(|n| format!("{n:04} {}", "x".repeat(58))).collect();
                let asked = CreateCampaign { terms: terms("Never", None, 1), lines, on_conflict: OnConflict::Reject };
                (request(0, id, &asked), Of::Other)
            }
            3..6 => {
                let lines = (0..1_000).map(|_| format!("ADDED-{:016x}", random.u64(..))).collect();
                (
                    request(0, id, &AddCodes { campaign: self.campaign, lines, first_line: 1, on_conflict: OnConflict::Skip }),
                    Of::Other,
                )
            }
            6..250 => (request(0, id, &self.top_up(random)), Of::TopUp),
            250..400 => (self.spending(id, random), Of::Other),
            _ => (request(0, id, &self.redeem(random)), Of::Redemption),
        };
        Kept { id, frame, of, answer: None, answered_in: 0 }
    }

    fn top_up(&self, random: &mut Rng) -> TopUp {
        let source = *random.choice(&TopUpSource::ALL).expect("there are three");
        TopUp { source, ..top_up(random.u128(1..=40), self.club(random), random.i64(1..=200_000)) }
    }

    /// What takes from the accounts of the same clients, or puts bonuses onto them by hand.
    fn spending(&self, id: RequestId, random: &mut Rng) -> Vec<u8> {
        let (client, club) = (ClientId(random.u128(1..=40)), self.club(random));
        let (amount, note) = (Money(random.i64(1..=50_000)), Note::default());
        let paid_from = if random.bool() { PaidFrom::GamingBalance } else { PaidFrom::Directly };
        match random.u32(..6) {
            0 => request(0, id, &CreditBonus { client, club: Some(club), amount, note }),
            1 => request(0, id, &WriteOffBonus { client, club: None, amount, note }),
            2 => request(0, id, &RecordSession { client, club, price: amount, paid_from, note }),
            3 => request(0, id, &RecordPurchase { client, club, price: amount, paid_from, note }),
            // Now and then there is one at the position.
            4 => {
                let top_up = Position(random.u64(1..=2_000));
                request(0, id, &RefundTopUp { top_up, amount: Some(amount), claw_back: random.bool(), note })
            }
            _ => request(0, id, &PayBonus { client, club, amount, paid_for: PaidFor::Order, note }),
        }
    }

    fn club(&self, random: &mut Rng) -> ClubId {
        *random.choice(&self.clubs).expect("there are clubs")
    }

    fn redeem(&self, random: &mut Rng) -> Redeem {
        let code = match random.u32(..20) {
            0 => format!("NO-SUCH-CODE-{}", random.u32(..)),
            1 => " two words ".to_owned(),
            _ => random.choice(&self.codes).expect("there are codes").clone(),
        };
        let code = if random.bool() { code.to_lowercase() } else { format!(" {code}\t") };
        let club = if random.u32(..50) == 0 { ClubId(999) } else { self.club(random) };
        redemption(random.u128(1..=40), club, &code)
    }
}

/// Asks until the engine is gone: first `again`, mixed with what is new, then only what is new. Returns all it has asked, in no order.
async fn ask_until_gone(
    mut lane: Lane,
    mut again: Vec<Kept>,
    world: World,
    mut random: Rng,
    answered: watch::Sender<usize>,
    mut gone: watch::Receiver<bool>,
) -> Vec<Kept> {
    let mut asked: Vec<Kept> = Vec::new();
    let mut in_flight = 0;
    loop {
        let mut bytes = Vec::new();
        let burst = random.usize(1..=32);
        while in_flight < IN_FLIGHT && bytes.len() < 60_000 && burst > bytes.len() / 128 {
            let mut kept = match again.pop() {
                Some(kept) if random.u32(..4) > 0 => kept,
                Some(kept) => {
                    again.push(kept);
                    world.draw(&mut random)
                }
                None => world.draw(&mut random),
            };
            set_correlation(&mut kept.frame, asked.len() as u64);
            bytes.extend_from_slice(&kept.frame);
            asked.push(kept);
            in_flight += 1;
        }
        let reply = async {
            lane.write(&bytes).await;
            lane.next().await
        };
        let reply = tokio::select! {
            reply = reply => reply,
            _ = gone.wait_for(|gone| *gone) => break,
        };
        let Ok(reply) = reply else { break };
        let kept = &mut asked[reply.correlation as usize];
        let found = (reply.kind, reply.body);
        assert_ne!(found.0, REFUSAL, "request {} was refused: {:?}", kept.id, found.1);
        match &kept.answer {
            Some(first) => assert_eq!(*first, found, "request {} was answered otherwise before the engine was killed", kept.id),
            None => kept.answer = Some(found),
        }
        kept.answered_in += 1;
        in_flight -= 1;
        answered.send_modify(|count| *count += 1);
    }
    again.append(&mut asked);
    again
}

fn outcome(kept: &Kept) -> Option<(RequestId, RedeemOutcome)> {
    let (kind, body) = kept.answer.clone().filter(|_| kept.of == Of::Redemption)?;
    let reply = support::Reply { kind, correlation: 0, body };
    Some((kept.id, reply.outcome::<Redeem>().expect("refusals were not taken")))
}

fn topped_up(kept: &Kept) -> Option<(RequestId, TopUpOutcome)> {
    let (kind, body) = kept.answer.clone().filter(|_| kept.of == Of::TopUp)?;
    let reply = support::Reply { kind, correlation: 0, body };
    Some((kept.id, reply.outcome::<TopUp>().expect("refusals were not taken")))
}

/// Waits for a moment that the seed decides: a number of answers, a time, or the making of a new segment.
async fn moment(random: &mut Rng, server: &Server, answered: &mut watch::Receiver<usize>) -> &'static str {
    let many = match random.u32(..3) {
        0 => {
            let count = random.usize(..=1_500);
            support::within(answered.wait_for(|answered| *answered >= count)).await.expect("lanes ask");
            return "a number of answers";
        }
        1 => {
            // Whichever comes first. Answers come all the time, so that this waits for the time alone.
            let time = Duration::from_micros(random.u64(..300_000));
            let _ = tokio::time::timeout(time, answered.wait_for(|answered| *answered == usize::MAX)).await;
            return "a time";
        }
        _ => server.journal_files().len(),
    };
    tokio::task::block_in_place(|| {
        wait_until(support::DEADLINE, "a new segment is made", || (server.journal_files().len() != many).then_some(()));
    });
    "a new segment"
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_stays_through_many_kills() {
    let seed = seed();
    let mut random = Rng::with_seed(seed);
    let mut server = Server::start_with(&["--segment-mib", "1"]);
    let client = server.client(Role::Operator).await;
    let mut world = World { clubs: Vec::new(), codes: Vec::new(), campaign: CampaignId(0) };
    for name in ["North", "South"] {
        world.clubs.push(club(&client, name).await);
    }
    for (name, cap, count) in [("ONCE", Some(1), 4_000), ("THRICE", Some(3), 400), ("EVER", None, 5)] {
        let codes: Vec<String> = (0..count).map(|n| format!("{name}-{n:05}")).collect();
        world.campaign = campaign(&client, terms(name, cap, 250), &codes).await;
        world.codes.extend(codes);
    }
    // Two rules or three fire on a top-up, or one and another that fails.
    for (conditions, formula) in [
        ("", "{{topupAmountMajor}} * 0.05"),
        ("topupAmountMajor < 1000", "{{topupAmountMajor}} * 0.1 - 1"),
        ("topupAmountMajor >= 1000 AND sessionsCount >= 1", "{{totalSpentMajor}} / {{sessionsCount}}"),
        ("bonusBalanceMajor >= 100", "500 / ({{gamingBalanceMajor}} - {{bonusBalanceMajor}} + {{bonusBalanceMajor}})"),
    ] {
        create_rule(&client, rule(formula, conditions, formula)).await;
    }
    drop(client);

    // What is to be asked again, and what was.
    let mut recent: Vec<Kept> = Vec::new();
    let mut settled: Vec<Kept> = Vec::new();
    for kill in 1..=KILLS {
        let (answered, mut answers) = watch::channel(0);
        let (gone, is_gone) = watch::channel(false);
        random.shuffle(&mut recent);
        let mut tasks = JoinSet::new();
        for at in 0..LANES {
            let share = recent.split_off(recent.len() - recent.len() / (LANES - at));
            let lane = server.lane(Role::Operator).await;
            tasks.spawn(ask_until_gone(lane, share, world.clone(), random.fork(), answered.clone(), is_gone.clone()));
        }
        // A task that ends before the engine is killed has failed an assertion.
        let after = tokio::select! {
            after = moment(&mut random, &server, &mut answers) => after,
            Some(ended) = tasks.join_next() => {
                ended.expect("every answer is right");
                panic!("a connection was lost before the engine was killed:\n{}", server.log());
            }
        };
        server.kill();
        gone.send_replace(true);
        // What was answered in two runs rests until the end, when everything is asked a last time.
        let asked = tasks.join_all().await.into_iter().flatten();
        let (twice, rest): (Vec<_>, Vec<_>) = asked.partition(|kept| kept.answered_in >= 2);
        settled.extend(twice);
        recent.extend(rest);
        server.restart();
        say(&format!(
            "kill {kill} after {after}, {} answers: restarted at position {}, {} segments, {} requests to ask again",
            *answers.borrow(),
            server.position(),
            server.journal_files().len() - 1,
            recent.len()
        ));
        if kill % 10 == 0 {
            let told = settled.iter().chain(&recent).filter_map(outcome).collect();
            server.audited(&told).await;
        }
    }

    // Everything once more, and every answer against the journal.
    recent.append(&mut settled);
    let mut lane = server.lane(Role::Operator).await;
    let mut told = HashMap::new();
    for some in recent.chunks_mut(500) {
        let mut bytes = Vec::new();
        for (at, kept) in some.iter_mut().enumerate() {
            set_correlation(&mut kept.frame, at as u64);
            bytes.extend_from_slice(&kept.frame);
        }
        lane.write(&bytes).await;
        for reply in lane.replies(some.len()).await {
            let kept = &mut some[reply.correlation as usize];
            assert_ne!(reply.kind, REFUSAL, "request {} was refused", kept.id);
            let found = (reply.kind, reply.body);
            assert_eq!(*kept.answer.get_or_insert_with(|| found.clone()), found, "request {} was answered otherwise", kept.id);
            told.extend(outcome(kept));
        }
    }
    let recount = server.audited(&told).await;
    let redeems = recent.iter().filter(|kept| kept.of == Of::Redemption).count();
    assert_eq!((told.len(), recount.outcomes.len()), (redeems, redeems), "each redemption asked for is recorded, and no other");
    let top_ups: HashMap<RequestId, TopUpOutcome> = recent.iter().filter_map(topped_up).collect();
    assert_eq!(top_ups, recount.top_up_outcomes, "each top-up asked for is recorded as it was answered, and no other");
    let fired: u64 = (1..=4).map(|rule| recount.firings_of(RuleId(rule)).fired).sum();
    assert!(fired > top_ups.len() as u64, "{fired} firings on {} top-ups", top_ups.len());
    let segments = server.journal_files().len() - 1;
    assert!(segments > 3, "segments ended under way: {segments}");
    say(&format!("{} requests, {} activations, {segments} segments", recent.len(), recount.activations));
    // A last start, on a journal that nobody is writing to.
    let position = recount.position;
    assert!(server.terminate().success());
    server.restart();
    assert_eq!(Position(server.position()), position);
    assert_eq!(server.audited(&told).await.position, position);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_flight_across_a_kill_is_answered_after_the_restart() {
    let mut server = Server::start();
    let client = server.client(Role::Operator).await;
    let arena = club(&client, "Arena").await;
    campaign(&client, terms("Once", Some(1), 100), &["ONLY".to_owned()]).await;

    // Stopped, so that the call is certain to be under way when the engine is killed.
    server.process().signal("STOP");
    let id = RequestId::now();
    let asked = redemption(7, arena, "only");
    let mut call = std::pin::pin!(client.redeem(id, &asked));
    let early = tokio::time::timeout(Duration::from_millis(50), &mut call).await;
    assert!(early.is_err(), "a stopped engine answers nothing: {early:?}");
    server.kill();
    server.restart();
    let answer = call.await.expect("the client asks again by itself, within its patience");
    let RedeemOutcome::Redeemed(done) = answer else { panic!("{answer}") };
    assert_eq!(done.balance.0, 100);

    // The same again under load: many calls, of which some were decided, some durable, some answered when the engine went.
    let codes: Vec<String> = (0..3_000).map(|n| format!("MANY-{n}")).collect();
    campaign(&client, terms("Many", Some(1), 100), &codes).await;
    let asked: Vec<_> = codes.iter().map(|code| (RequestId::now(), redemption(8, arena, code))).collect();
    let position_before = server.audited(&HashMap::new()).await.position;
    let calling = tokio::spawn({
        let (client, asked) = (client.clone(), asked.clone());
        async move { client.redeem_all(&asked).await }
    });
    let mut tail =
        scrip_protocol::client::Tailing::start(server.dial(Role::Operator), position_before, true).await.expect("a tail");
    while let Ok(Some(bytes)) = support::within(tail.next()).await {
        let batch = scrip_protocol::batch::Batch::parse(&bytes).expect("it was checked");
        if batch.end().position > position_before {
            break;
        }
    }
    server.kill();
    server.restart();
    let answers = calling.await.expect("it does not panic");
    let mut told = HashMap::from([(id, answer)]);
    for ((id, _), answer) in asked.iter().zip(answers) {
        let answer = answer.expect("the client asks again by itself, within its patience");
        assert!(matches!(answer, RedeemOutcome::Redeemed(_)), "{answer}");
        told.insert(*id, answer);
    }
    let recount = server.audited(&told).await;
    assert_eq!(recount.activations, 3_001);
}
