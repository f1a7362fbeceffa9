//! Whatever one token sends, and however few replies it reads, the engine serves all others, in bounded memory (Z4).

use std::time::Duration;

use scrip_client::Client;
use scrip_protocol::command::{
    AddCodes, AddCodesOutcome, CodeFilter, CodeTexts, GenerateCodes, ListCodes, OnConflict, Redeem, RedeemOutcome, Tail,
    UpdateCampaign, UpdateCampaignOutcome, UsageFilter,
};
use scrip_protocol::{ClubId, Position, Refusal, RequestId, Role};
use tokio::time::{Instant, timeout};

use crate::support::{Lane, Reply, Server, campaign, club, redemption, request, terms};

/// How long an honest caller may wait for a connection and a reply, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// A new connection, a redemption and its reply.
async fn redeem_at_once(server: &Server, club: ClubId, code: &str) {
    let redeemed = async {
        let client = server.client(Role::Gateway).await;
        client.redeem(RequestId::now(), &redemption(7, club, code)).await.expect("an answer")
    };
    let outcome = timeout(PATIENCE, redeemed).await.expect("no caller delays a redemption");
    assert!(matches!(outcome, RedeemOutcome::Redeemed { .. }), "{outcome}");
}

/// The number of requests of a command, from the metrics.
async fn counted(operator: &Client, command: &str) -> u64 {
    let status = operator.show_status().await.expect("an answer");
    status.requests.iter().find(|counted| counted.word == command).map_or(0, |counted| counted.count)
}

/// Waits until a number is stable over several replies of the engine.
async fn settled(mut look: impl AsyncFnMut() -> u64) -> u64 {
    let (mut last, mut same) = (look().await, 0);
    let deadline = Instant::now() + crate::support::DEADLINE;
    while same < 50 {
        assert!(Instant::now() < deadline, "it still grows: {last}");
        let now = look().await;
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
    last
}

async fn with_codes(client: &Client, name: &str, count: usize) -> scrip_protocol::CampaignId {
    let codes: Vec<String> = (0..count).map(|n| format!("{name}-{n}")).collect();
    campaign(client, terms(name, None, 100), &codes).await
}

/// Generating codes with a short pattern scans the existing ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_generates_many_codes_delays_nobody() {
    let server = Server::start();
    let operator = server.client(Role::Operator).await;
    let club = club(&operator, "Club").await;
    let campaigns = [with_codes(&operator, "first", 50_000).await, with_codes(&operator, "second", 49_000).await];
    let command = GenerateCodes { campaign: campaigns[1], count: 1, pattern: "*****".to_owned(), alphabet: String::new() };
    let mut lanes = Vec::new();
    for _ in 0..4 {
        let mut lane = server.lane(Role::Marketing).await;
        let frames: Vec<Vec<u8>> = (0..500).map(|number| request(number, RequestId::now(), &command)).collect();
        lane.write(&frames.concat()).await;
        lanes.push(lane);
    }
    for number in 0..5 {
        redeem_at_once(&server, club, &format!("first-{number}")).await;
    }
    let mut busy = 0;
    for lane in &mut lanes {
        let replies: Vec<Reply> = lane.replies(500).await;
        let is_busy = |reply: &&Reply| matches!(reply.outcome::<GenerateCodes>(), Err(Refusal::Busy { .. }));
        busy += replies.iter().filter(is_busy).count();
    }
    assert!((1_800..2_000).contains(&busy), "{busy} of 2,000 at once were refused as busy");
}

/// A change of a cap walks all codes of its campaign: such changes wait as pages do, however many a token sends.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_changes_caps_holds_up_nobody() {
    let server = Server::start();
    let operator = server.client(Role::Operator).await;
    let club = club(&operator, "Club").await;
    let campaign = with_codes(&operator, "cap", 50_000).await;
    let capped = |cap| UpdateCampaign { campaign, activations_per_code_max: Some(Some(cap)), ..UpdateCampaign::default() };
    let mut lanes = Vec::new();
    for _ in 0..4 {
        let mut lane = server.lane(Role::Marketing).await;
        let frames: Vec<Vec<u8>> =
            (0..8_000).map(|number| request(number, RequestId::now(), &capped(number as u32 % 2 + 1))).collect();
        lane.write(&frames.concat()).await;
        lanes.push(lane);
    }
    for number in 0..20 {
        redeem_at_once(&server, club, &format!("cap-{number}")).await;
    }
    let (done, sent) = (counted(&operator, "update-campaign").await, 32_000);
    assert!(done < sent, "all {sent} changes were read before the redemptions were answered");
}

/// What a lane sends after a change that waits apart is decided after that change.
#[tokio::test(flavor = "multi_thread")]
async fn the_requests_of_a_lane_are_decided_in_the_order_in_which_they_were_sent() {
    let server = Server::start();
    let operator = server.client(Role::Operator).await;
    let club = club(&operator, "Club").await;
    let campaign = with_codes(&operator, "order", 2_000).await;
    let mut lane = server.lane(Role::Operator).await;
    let mut frames = Vec::new();
    for number in 0..50_u64 {
        let cap =
            UpdateCampaign { campaign, activations_per_code_max: Some(Some(number as u32 + 1)), ..UpdateCampaign::default() };
        frames.push(request(3 * number, RequestId::now(), &cap));
        for again in 1..3 {
            frames.push(request(3 * number + again, RequestId::now(), &redemption(7, club, "order-0")));
        }
    }
    lane.write(&frames.concat()).await;
    for reply in lane.replies(150).await {
        match reply.correlation % 3 {
            0 => assert!(matches!(reply.outcome::<UpdateCampaign>(), Ok(UpdateCampaignOutcome::Updated(_))), "{reply:?}"),
            1 => assert!(matches!(reply.outcome::<Redeem>(), Ok(RedeemOutcome::Redeemed { .. })), "{reply:?}"),
            _ => assert_eq!(reply.outcome::<Redeem>(), Ok(RedeemOutcome::CodeExhausted), "{reply:?}"),
        }
    }
}

/// A lane is not read while its replies are not taken, nor is any other of its credential.
#[tokio::test(flavor = "multi_thread")]
async fn requests_of_a_caller_that_reads_no_replies_are_not_read() {
    let server = Server::start();
    let operator = server.client(Role::Operator).await;
    let club = club(&operator, "Club").await;
    let campaign = with_codes(&operator, "page", 5_000).await;
    let page = ListCodes { campaign, from_slot: 0, status: CodeFilter::All, usage: UsageFilter::All };
    let pages: Vec<Vec<u8>> = (0..5_000).map(|number| request(number, RequestId::now(), &page)).collect();
    let before = server.memory_kib();
    let first = server.lane(Role::Reporter).await;
    let mut lanes = Vec::new();
    for _ in 0..12 {
        let mut lane = first.another().await;
        lane.write(&pages.concat()).await;
        lanes.push(lane);
    }
    let served = settled(async || counted(&operator, "list-codes").await).await;
    // 32 MiB of pages of some 150 KB, and the request that each lane is executing when the sum is reached.
    assert!((50..600).contains(&served), "{served} of 60,000 pages were made");
    let taken = server.memory_kib().saturating_sub(before);
    assert!(taken < 200 << 10, "{taken} KiB for one reader");
    for number in 0..5 {
        redeem_at_once(&server, club, &format!("page-{number}")).await;
    }
    // A caller that reads them gets them, in order.
    let mut lane = lanes.remove(0);
    drop((first, lanes));
    for (number, reply) in (0..200).zip(lane.replies(200).await) {
        assert_eq!(reply.correlation, number);
        reply.outcome::<ListCodes>().expect("a page");
    }
}

/// Many lanes that each send a request before any of them has a reply, and read none, use a bounded amount of memory.
#[tokio::test(flavor = "multi_thread")]
async fn lanes_that_send_before_the_first_reply_use_bounded_memory() {
    let server = Server::start();
    let operator = server.client(Role::Operator).await;
    let club = club(&operator, "Club").await;
    let campaign = with_codes(&operator, &"p".repeat(50), 5_000).await;
    redeem_at_once(&server, club, &format!("{}-0", "p".repeat(50))).await;
    let before = server.memory_kib();
    let page =
        request(1, RequestId::now(), &ListCodes { campaign, from_slot: 0, status: CodeFilter::All, usage: UsageFilter::All });
    let mut lanes: Vec<Lane> = Vec::new();
    for _ in 0..40 {
        let first = server.lane(Role::Reporter).await;
        for _ in 0..15 {
            let mut lane = first.another().await;
            lane.write(&page).await;
            lanes.push(lane);
        }
        lanes.push(first);
    }
    let mut mib = async || {
        operator.show_status().await.expect("an answer");
        server.memory_kib().saturating_sub(before) >> 12
    };
    // 600 pages of some 300 KB, of which twice 32 MiB are made, and those with a reservation.
    let taken = 4 * settled(&mut mib).await;
    assert!(taken < 130, "{taken} MiB for one reader");
    assert_eq!(counted(&operator, "list-codes").await, 600);
    redeem_at_once(&server, club, &format!("{}-1", "p".repeat(50))).await;
}

/// Unread tails use a bounded amount of memory, and a credential has a limited number of them.
#[tokio::test(flavor = "multi_thread")]
async fn unread_tails_are_few_and_bounded() {
    let server = Server::start();
    let operator = server.client(Role::Operator).await;
    let campaign = with_codes(&operator, "tail", 1).await;
    // Some 8 MiB.
    for part in 0..6 {
        let lines: CodeTexts = (0..8_000).map(|n| format!("{part}-{n}-{}", "x".repeat(50))).collect();
        let command = AddCodes { campaign, lines, first_line: 1, on_conflict: OnConflict::Reject };
        let outcome = operator.call(RequestId::now(), &command).await.expect("an answer");
        assert!(matches!(outcome, AddCodesOutcome::Added(_)), "{outcome}");
    }
    let before = server.memory_kib();
    let tail = request(1, RequestId::now(), &Tail { from: Position(1), follow: true });
    let mut held: Vec<Lane> = Vec::new();
    for _ in 0..4 {
        let first = server.lane(Role::Reporter).await;
        for _ in 0..15 {
            let mut lane = first.another().await;
            lane.write(&tail).await;
            held.push(lane);
        }
        held.push(first);
    }
    let tails = settled(async || operator.show_status().await.expect("an answer").load.tails).await;
    assert_eq!(tails, 24, "of 60 that one credential has requested");
    let taken = server.memory_kib().saturating_sub(before);
    assert!(taken < 160 << 10, "{taken} KiB for one reader's tails");
    let mut refused = held.remove(58);
    let reply = refused.next().await.expect("a reply");
    assert!(matches!(reply.outcome::<Tail>(), Err(Refusal::Busy { .. })), "{reply:?}");
    // The tail of another credential continues.
    let mut other = server.lane(Role::Operator).await;
    other.write(&tail).await;
    other.replies(7).await;
}
