//! Nothing that was acknowledged is lost, and nothing is executed twice, when the engine is killed (Z3, Z4; pains 1 to 6, 25,
//! 27).
//!
//! Several connections send requests without pause while the engine is killed (SIGKILL) and restarted, over and over. Each
//! request is stored before it is sent. After a restart, every request without a reply is retried under the same id over another
//! connection; acknowledged requests must get the same bytes. In the end the journal is recounted.

use std::collections::HashMap;
use std::time::Duration;

use fastrand::Rng;
use scrip_protocol::command::{
    AddCodes, CreateCampaign, CreditBonus, Note, OnConflict, PaidFor, PaidFrom, PayBonus, RecordPurchase, RecordSession, Redeem,
    RedeemOutcome, RefundTopUp, TopUp, TopUpOutcome, WriteOffBonus,
};
use scrip_protocol::frame::{REFUSAL, set_correlation};
use scrip_protocol::{CampaignId, ClientId, ClubId, Money, Position, RequestId, Role, RuleId, TopUpSource};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::{
    Lane, Server, campaign, club, create_rule, redemption, request, rule, say, seed, terms, top_up, wait_until,
};

const KILLS: usize = 32;
const LANES: usize = 4;
/// The most requests in flight on a lane.
const IN_FLIGHT: usize = 96;

/// A request, stored before it is sent, with its reply once that has arrived.
struct Tracked {
    id: RequestId,
    /// The correlation number is set when the request is sent.
    frame: Vec<u8>,
    of: Of,
    /// Kind and body of the first reply.
    answer: Option<(u16, Vec<u8>)>,
    /// In how many runs of the engine it got a reply.
    answered_in: usize,
}

/// The kind of a request, if its replies are compared with the journal one by one.
#[derive(Clone, Copy, PartialEq)]
enum Of {
    Redemption,
    TopUp,
    /// For other requests the sums are compared.
    Other,
}

/// What new requests are drawn from.
#[derive(Clone)]
struct World {
    clubs: Vec<ClubId>,
    /// Codes with every cap.
    codes: Vec<String>,
    campaign: CampaignId,
}

impl World {
    fn draw(&self, random: &mut Rng) -> Tracked {
        let id = RequestId::now();
        let (frame, of) = match random.u32(..1_000) {
            // Large records, so that segments end often: a list of which no line can be added, and a list that is added.
            0..3 => {
                let lines = (0..2_000).map(|n| format!("{n:04} {}", "x".repeat(58))).collect();
                let command = CreateCampaign { terms: terms("Never", None, 1), lines, on_conflict: OnConflict::Reject };
                (request(0, id, &command), Of::Other)
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
        Tracked { id, frame, of, answer: None, answered_in: 0 }
    }

    fn top_up(&self, random: &mut Rng) -> TopUp {
        let source = *random.choice(&TopUpSource::ALL).expect("there are three");
        TopUp { source, ..top_up(random.u128(1..=40), self.club(random), random.i64(1..=200_000)) }
    }

    /// A command that debits the accounts of the same clients, or credits bonuses by hand.
    fn spending(&self, id: RequestId, random: &mut Rng) -> Vec<u8> {
        let (client, club) = (ClientId(random.u128(1..=40)), self.club(random));
        let (amount, note) = (Money(random.i64(1..=50_000)), Note::default());
        let paid_from = if random.bool() { PaidFrom::GamingBalance } else { PaidFrom::Directly };
        match random.u32(..6) {
            0 => request(0, id, &CreditBonus { client, club: Some(club), amount, note }),
            1 => request(0, id, &WriteOffBonus { client, club: None, amount, note }),
            2 => request(0, id, &RecordSession { client, club, price: amount, paid_from, note }),
            3 => request(0, id, &RecordPurchase { client, club, price: amount, paid_from, note }),
            // Sometimes the position names a payment.
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

/// Sends requests until the engine is gone: first `again`, mixed with new ones, then only new ones. Returns everything it sent,
/// in no order.
async fn send_until_gone(
    mut lane: Lane,
    mut again: Vec<Tracked>,
    world: World,
    mut random: Rng,
    answered: watch::Sender<usize>,
    mut gone: watch::Receiver<bool>,
) -> Vec<Tracked> {
    let mut sent: Vec<Tracked> = Vec::new();
    let mut in_flight = 0;
    loop {
        let mut bytes = Vec::new();
        let burst = random.usize(1..=32);
        while in_flight < IN_FLIGHT && bytes.len() < 60_000 && burst > bytes.len() / 128 {
            let mut tracked = match again.pop() {
                Some(tracked) if random.u32(..4) > 0 => tracked,
                Some(tracked) => {
                    again.push(tracked);
                    world.draw(&mut random)
                }
                None => world.draw(&mut random),
            };
            set_correlation(&mut tracked.frame, sent.len() as u64);
            bytes.extend_from_slice(&tracked.frame);
            sent.push(tracked);
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
        let tracked = &mut sent[reply.correlation as usize];
        let found = (reply.kind, reply.body);
        assert_ne!(found.0, REFUSAL, "request {} was refused: {:?}", tracked.id, found.1);
        match &tracked.answer {
            Some(first) => assert_eq!(*first, found, "request {} had another reply before the engine was killed", tracked.id),
            None => tracked.answer = Some(found),
        }
        tracked.answered_in += 1;
        in_flight -= 1;
        answered.send_modify(|count| *count += 1);
    }
    again.append(&mut sent);
    again
}

fn outcome(tracked: &Tracked) -> Option<(RequestId, RedeemOutcome)> {
    let (kind, body) = tracked.answer.clone().filter(|_| tracked.of == Of::Redemption)?;
    let reply = crate::support::Reply { kind, correlation: 0, body };
    Some((tracked.id, reply.outcome::<Redeem>().expect("refusals were excluded")))
}

fn topped_up(tracked: &Tracked) -> Option<(RequestId, TopUpOutcome)> {
    let (kind, body) = tracked.answer.clone().filter(|_| tracked.of == Of::TopUp)?;
    let reply = crate::support::Reply { kind, correlation: 0, body };
    Some((tracked.id, reply.outcome::<TopUp>().expect("refusals were excluded")))
}

/// Waits for a moment that the seed decides: a number of replies, a time, or a new segment.
async fn moment(random: &mut Rng, server: &Server, answered: &mut watch::Receiver<usize>) -> &'static str {
    let many = match random.u32(..3) {
        0 => {
            let count = random.usize(..=1_500);
            crate::support::within(answered.wait_for(|answered| *answered >= count)).await.expect("lanes send requests");
            return "a number of replies";
        }
        1 => {
            // Whichever happens first. Replies arrive all the time, so this waits for the time alone.
            let time = Duration::from_micros(random.u64(..300_000));
            let _ = tokio::time::timeout(time, answered.wait_for(|answered| *answered == usize::MAX)).await;
            return "a time";
        }
        _ => server.journal_files().len(),
    };
    tokio::task::block_in_place(|| {
        wait_until(crate::support::DEADLINE, "a new segment is created", || (server.journal_files().len() != many).then_some(()));
    });
    "a new segment"
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_requests_survive_many_kills() {
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
    // Two or three rules fire on a top-up, or one and another that fails.
    for (conditions, formula) in [
        ("", "{{topupAmountMajor}} * 0.05"),
        ("topupAmountMajor < 1000", "{{topupAmountMajor}} * 0.1 - 1"),
        ("topupAmountMajor >= 1000 AND sessionsCount >= 1", "{{totalSpentMajor}} / {{sessionsCount}}"),
        ("bonusBalanceMajor >= 100", "500 / ({{gamingBalanceMajor}} - {{bonusBalanceMajor}} + {{bonusBalanceMajor}})"),
    ] {
        create_rule(&client, rule(formula, conditions, formula)).await;
    }
    drop(client);

    // Requests to retry, and requests that are settled.
    let mut recent: Vec<Tracked> = Vec::new();
    let mut settled: Vec<Tracked> = Vec::new();
    for kill in 1..=KILLS {
        let (answered, mut answers) = watch::channel(0);
        let (gone, is_gone) = watch::channel(false);
        random.shuffle(&mut recent);
        let mut tasks = JoinSet::new();
        for at in 0..LANES {
            let share = recent.split_off(recent.len() - recent.len() / (LANES - at));
            let lane = server.lane(Role::Operator).await;
            tasks.spawn(send_until_gone(lane, share, world.clone(), random.fork(), answered.clone(), is_gone.clone()));
        }
        // A task that ends before the engine is killed has failed an assertion.
        let after = tokio::select! {
            after = moment(&mut random, &server, &mut answers) => after,
            Some(ended) = tasks.join_next() => {
                ended.expect("every reply is right");
                panic!("a connection was lost before the engine was killed:\n{}", server.log());
            }
        };
        server.kill();
        gone.send_replace(true);
        // Requests with replies in two runs rest until the end, when everything is retried a last time.
        let sent = tasks.join_all().await.into_iter().flatten();
        let (twice, rest): (Vec<_>, Vec<_>) = sent.partition(|tracked| tracked.answered_in >= 2);
        settled.extend(twice);
        recent.extend(rest);
        server.restart();
        say(&format!(
            "kill {kill} after {after}, {} answers: restarted at position {}, {} segments, {} requests to retry",
            *answers.borrow(),
            server.position(),
            server.journal_files().len() - 1,
            recent.len()
        ));
        if kill % 10 == 0 {
            let replied = settled.iter().chain(&recent).filter_map(outcome).collect();
            server.audited(&replied).await;
        }
    }

    // Every request once more, and every reply against the journal.
    recent.append(&mut settled);
    let mut lane = server.lane(Role::Operator).await;
    let mut replied = HashMap::new();
    for some in recent.chunks_mut(500) {
        let mut bytes = Vec::new();
        for (at, tracked) in some.iter_mut().enumerate() {
            set_correlation(&mut tracked.frame, at as u64);
            bytes.extend_from_slice(&tracked.frame);
        }
        lane.write(&bytes).await;
        for reply in lane.replies(some.len()).await {
            let tracked = &mut some[reply.correlation as usize];
            assert_ne!(reply.kind, REFUSAL, "request {} was refused", tracked.id);
            let found = (reply.kind, reply.body);
            assert_eq!(*tracked.answer.get_or_insert_with(|| found.clone()), found, "request {} got another reply", tracked.id);
            replied.extend(outcome(tracked));
        }
    }
    let recount = server.audited(&replied).await;
    let redeems = recent.iter().filter(|tracked| tracked.of == Of::Redemption).count();
    assert_eq!((replied.len(), recount.outcomes.len()), (redeems, redeems), "each redemption sent is recorded, and no other");
    let top_ups: HashMap<RequestId, TopUpOutcome> = recent.iter().filter_map(topped_up).collect();
    assert_eq!(top_ups, recount.top_up_outcomes, "each top-up sent is recorded with its reply, and no other");
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
    assert_eq!(server.audited(&replied).await.position, position);
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
    let command = redemption(7, arena, "only");
    let mut call = std::pin::pin!(client.redeem(id, &command));
    let early = tokio::time::timeout(Duration::from_millis(50), &mut call).await;
    assert!(early.is_err(), "a stopped engine does not reply: {early:?}");
    server.kill();
    server.restart();
    let answer = call.await.expect("the client retries by itself, within its patience");
    let RedeemOutcome::Redeemed(done) = answer else { panic!("{answer}") };
    assert_eq!(done.balance.0, 100);

    // The same under load: of many calls some were decided, some durable, some answered when the engine was killed.
    let codes: Vec<String> = (0..3_000).map(|n| format!("MANY-{n}")).collect();
    campaign(&client, terms("Many", Some(1), 100), &codes).await;
    let commands: Vec<_> = codes.iter().map(|code| (RequestId::now(), redemption(8, arena, code))).collect();
    let position_before = server.audited(&HashMap::new()).await.position;
    let calling = tokio::spawn({
        let (client, commands) = (client.clone(), commands.clone());
        async move { client.redeem_all(&commands).await }
    });
    let mut tail = scrip_client::Tailing::start(server.dial(Role::Operator), position_before, true).await.expect("a tail");
    while let Ok(Some(bytes)) = crate::support::within(tail.next()).await {
        let batch = scrip_protocol::batch::Batch::parse(&bytes).expect("it was checked");
        if batch.end().position > position_before {
            break;
        }
    }
    server.kill();
    server.restart();
    let answers = calling.await.expect("it does not panic");
    let mut replied = HashMap::from([(id, answer)]);
    for ((id, _), answer) in commands.iter().zip(answers) {
        let answer = answer.expect("the client retries by itself, within its patience");
        assert!(matches!(answer, RedeemOutcome::Redeemed(_)), "{answer}");
        replied.insert(*id, answer);
    }
    let recount = server.audited(&replied).await;
    assert_eq!(recount.activations, 3_001);
}
