//! Codes cannot be guessed (Z9; pain 20): failed attempts count for clients, networks and credentials, those with too many are
//! locked out for a while, no credential can lock out arbitrary clients, and a gateway without reasons learns nothing from any
//! reply.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use scrip_client::{Client, ClientError};
use scrip_engine::credentials::{new_token, secret_of_token};
use scrip_protocol::command::{
    AddCredential, AddCredentialOutcome, ArchiveCampaign, ArchiveCodes, Check, CheckOutcome, CodeChecked, Grant,
    HOLD_TTL_DEFAULT_MS, Hold, HoldOutcome, Redeem, RedeemOutcome, Terms,
};
use scrip_protocol::{ClientId, ClientNetwork, ClubId, Money, Refusal, RequestId, Role};

use crate::support::{DEADLINE, Lane, Server, campaign, club, request, run, say, terms};

/// Three failed attempts of a client at once, nine of a network, thirty of a credential; lockouts last long.
const STRICT: &str = "
[guard.client]
misses_at_once = 3
misses_per_minute = 1
lockout_first_ms = 600000
[guard.network]
misses_at_once = 9
misses_per_minute = 1
lockout_first_ms = 600000
[guard.credential]
misses_at_once = 30
misses_per_minute = 1
lockout_first_ms = 600000
lockout_longest_ms = 600000
";

/// The token of a gateway with or without reasons.
async fn gateway(operator: &Client, name: &str, reasons: bool) -> String {
    let token = new_token(Role::Gateway);
    let secret = secret_of_token(&token);
    let grant = Grant { name: name.to_owned(), role: Role::Gateway, clubs: Vec::new(), reasons, secret };
    let outcome = operator.call(RequestId::now(), &AddCredential { grant }).await.expect("a reply");
    assert!(matches!(outcome, AddCredentialOutcome::Added(_)), "{outcome}");
    token
}

fn from_network(client: u128, club: ClubId, code: &str, network: &str) -> Redeem {
    let network: ClientNetwork = network.parse().expect("an address");
    Redeem { network, ..Redeem::new(ClientId(client), club, code) }
}

async fn redeemed(client: &Client, command: &Redeem) -> Result<RedeemOutcome, Refusal> {
    match client.redeem(RequestId::now(), command).await {
        Ok(outcome) => Ok(outcome),
        Err(ClientError::Refused(refusal)) => Err(refusal),
        Err(other) => panic!("{other}"),
    }
}

#[track_caller]
fn assert_locked_out<T: std::fmt::Debug>(answer: Result<T, Refusal>) {
    let Err(Refusal::TooManyMisses { retry_after_ms }) = answer else { panic!("{answer:?}") };
    assert!((1..=600_000).contains(&retry_after_ms), "{retry_after_ms}");
}

/// Z9, pain 20: first a client is locked out, then a network of clients, then a whole credential; others are unaffected.
#[tokio::test(flavor = "multi_thread")]
async fn failed_attempts_are_counted_for_clients_networks_and_credentials() {
    let server = Server::guarded(STRICT);
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    campaign(&operator, terms("Spring", None, 100), &["GOOD".to_owned()]).await;
    let till = server.client(Role::Gateway).await;
    let (here, there) = ("203.0.113.7", "198.51.100.1");
    let guesses = AtomicU32::new(0);
    let guess = async |client: u128, network: &str| {
        let code = format!("guess-{}", guesses.fetch_add(1, Ordering::Relaxed));
        redeemed(&till, &from_network(client, arena, &code, network)).await
    };
    let good = async |client: u128, network: &str| redeemed(&till, &from_network(client, arena, "GOOD", network)).await;

    for _ in 0..3 {
        assert_eq!(guess(1, here).await, Ok(RedeemOutcome::UnknownCode));
    }
    // Whatever client 1 requests, and from wherever: the reply reveals nothing about the code.
    assert_locked_out(guess(1, here).await);
    assert_locked_out(good(1, there).await);
    let hold = till.hold(RequestId::now(), &Hold::new(ClientId(1), arena, "GOOD", HOLD_TTL_DEFAULT_MS)).await;
    assert!(matches!(hold, Err(ClientError::Refused(Refusal::TooManyMisses { .. }))), "{hold:?}");
    let check = Check { client: Some(ClientId(1)), ..Check::new(arena, vec!["GOOD".into()]) };
    let checked = till.call(RequestId(0), &check).await;
    assert!(matches!(checked, Err(ClientError::Refused(Refusal::TooManyMisses { .. }))), "{checked:?}");
    assert!(matches!(good(2, here).await, Ok(RedeemOutcome::Redeemed(_))));

    // Six more failed attempts of two other clients nearby: the network is locked out, for every caller in it.
    for client in [3, 4] {
        for _ in 0..3 {
            assert_eq!(guess(client, "203.0.113.200").await, Ok(RedeemOutcome::UnknownCode));
        }
    }
    assert_locked_out(good(2, here).await);
    assert!(matches!(good(2, there).await, Ok(RedeemOutcome::Redeemed(_))));
    assert!(matches!(good(5, "-").await, Ok(RedeemOutcome::Redeemed(_))), "an unknown network is not locked out");

    // A check of many codes at once spends the credential's budget, for every client.
    let outcome = till.check(arena, (0..25).map(|n| format!("many-{n}")).collect()).await.expect("it had some left");
    let CheckOutcome::Checked { codes, .. } = outcome else { panic!("a check can have 25 codes") };
    assert!(codes.iter().all(CodeChecked::is_miss));
    assert_locked_out(good(6, there).await);
    assert!(matches!(till.check(arena, vec!["GOOD".into()]).await, Err(ClientError::Refused(Refusal::TooManyMisses { .. }))));
    assert!(till.list_clubs(ClubId(0)).await.is_ok(), "requests that are not about codes continue");
    assert!(matches!(redeemed(&operator, &from_network(6, arena, "GOOD", there)).await, Ok(RedeemOutcome::Redeemed(_))));

    // Refused attempts left no record: the audit finds the failed attempts and the redemptions.
    let recount = server.audited(&HashMap::new()).await;
    assert_eq!((recount.activations, recount.refused.get("unknown_code")), (4, Some(&9)));
}

/// Z9: a lockout ends by itself. Z3: meanwhile earlier outcomes are returned to retries, and a refused request can be executed
/// afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_lockout_ends_by_itself() {
    let server = Server::guarded("[guard.client]\nmisses_at_once = 2\nmisses_per_minute = 40\nlockout_first_ms = 1500\n");
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    campaign(&operator, terms("Spring", None, 100), &["GOOD".to_owned()]).await;
    let of = |code: &str| Redeem::new(ClientId(1), arena, code);
    let (good, guess, other) = (of("GOOD"), of("guess"), of("other"));
    let (done, missed) = (RequestId::now(), RequestId::now());
    let first = operator.redeem(done, &good).await.expect("a reply");
    operator.redeem(missed, &guess).await.expect("a reply");
    assert_eq!(redeemed(&operator, &other).await, Ok(RedeemOutcome::UnknownCode));
    let refused = RequestId::now();
    let Err(ClientError::Refused(Refusal::TooManyMisses { retry_after_ms })) = operator.redeem(refused, &good).await else {
        panic!("the second failed attempt was the last")
    };
    assert!((1..=1_500).contains(&retry_after_ms), "{retry_after_ms}");
    assert_eq!(operator.redeem(done, &good).await.expect("it has an outcome"), first);
    assert_eq!(operator.redeem(missed, &guess).await.expect("it has an outcome"), RedeemOutcome::UnknownCode);
    // The same request, until the lockout ends.
    let began = Instant::now();
    let outcome = loop {
        match operator.redeem(refused, &good).await {
            Ok(outcome) => break outcome,
            Err(ClientError::Refused(Refusal::TooManyMisses { .. })) => assert!(began.elapsed() < DEADLINE),
            Err(other) => panic!("{other}"),
        }
    };
    assert!(matches!(outcome, RedeemOutcome::Redeemed(_)), "{outcome}");
    say(&format!("locked out for {:?}", began.elapsed()));
    server.audited(&HashMap::new()).await;
}

/// Pain 20: with the settings of `scrip init`, a client has ten guesses in a row, and an attacker with many clients is slowed
/// down too.
#[tokio::test(flavor = "multi_thread")]
async fn the_guard_is_on_from_the_start() {
    let server = Server::guarded("");
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    let till = server.client(Role::Gateway).await;
    let mut misses = 0;
    while redeemed(&till, &Redeem::new(ClientId(7), arena, format!("guess-{misses}"))).await.is_ok() {
        misses += 1;
        assert!(misses <= 10, "the budget of a client holds ten");
    }
    assert!(misses >= 10, "{misses}");
}

/// A code that a gateway without reasons may try.
struct Unhappy {
    what: &'static str,
    code: &'static str,
    club: ClubId,
}

/// Z9: one refusal for unknown, exhausted, archived, inactive and excluded codes, equal byte for byte, and so in length.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_reasons_learns_none() {
    let server = Server::start();
    let operator = server.client(Role::Operator).await;
    let (arena, north) = (club(&operator, "Arena").await, club(&operator, "North").await);
    let begin = async |terms: Terms, codes: &[&str]| {
        let codes: Vec<String> = codes.iter().map(|code| (*code).to_owned()).collect();
        campaign(&operator, terms, &codes).await
    };
    let spring = begin(terms("Spring", Some(1), 100), &["SPENT", "GONE", "FRESH", "OTHER"]).await;
    operator.redeem(RequestId::now(), &Redeem::new(ClientId(9), arena, "SPENT")).await.expect("a reply");
    let codes = ["GONE"].iter().collect();
    operator.call(RequestId::now(), &ArchiveCodes { campaign: spring, codes }).await.expect("a reply");
    let old = begin(terms("Old", None, 100), &["OLD"]).await;
    operator.call(RequestId::now(), &ArchiveCampaign { campaign: old }).await.expect("a reply");
    begin(Terms { active: false, ..terms("Off", None, 100) }, &["OFF"]).await;
    begin(Terms { clubs: vec![north], ..terms("North", None, 100) }, &["NORTH"]).await;
    begin(Terms { activations_per_client_max: Some(1), ..terms("Once", None, 100) }, &["ONCE", "TWICE"]).await;
    begin(Terms { activations_max: Some(1), ..terms("Full", None, 100) }, &["FULL", "LAST"]).await;
    begin(Terms { budget: Some(Money(150)), ..terms("Poor", None, 100) }, &["POOR", "RICH"]).await;
    for code in ["ONCE", "LAST", "RICH"] {
        let outcome = operator.redeem(RequestId::now(), &Redeem::new(ClientId(1), arena, code)).await.expect("a reply");
        assert!(matches!(outcome, RedeemOutcome::Redeemed(_)), "{code}: {outcome}");
    }

    let unhappy = [
        ("unknown", "NONE"),
        ("exhausted", "SPENT"),
        ("archived", "GONE"),
        ("of an archived campaign", "OLD"),
        ("inactive", "OFF"),
        ("foreign", "NORTH"),
        ("exhausted for the client", "TWICE"),
        ("of a campaign that is used up", "FULL"),
        ("of a campaign without a budget", "POOR"),
        ("unknown and long", "A-CODE-THAT-NOBODY-HAS-AND-THAT-IS-AS-LONG-AS-A-CODE-MAY-BE-64"),
    ];
    let unhappy = unhappy.map(|(what, code)| Unhappy { what, code, club: arena });
    let (silent, open) = (gateway(&operator, "shop", false).await, gateway(&operator, "till", true).await);
    let mut shop =
        Lane::open(&server.dial(Role::Operator).with_token(silent.as_str())).await.expect("the new token works at once");
    let mut till = Lane::open(&server.dial(Role::Operator).with_token(open.as_str())).await.expect("the new token works at once");
    let mut replies: HashMap<&str, Vec<(u16, Vec<u8>)>> = HashMap::new();
    let mut reasons = Vec::new();
    for Unhappy { what, code, club } in &unhappy {
        let client = ClientId(1);
        let redeem = Redeem::new(client, *club, *code);
        let hold = Hold::new(client, *club, *code, HOLD_TTL_DEFAULT_MS);
        // A check evaluates the code and its campaign's terms; a code that these do not refuse is replaced by another.
        let is_refused = !["TWICE", "FULL", "POOR"].contains(code);
        let check = Check::new(*club, vec![if is_refused { code } else { "SPENT" }.to_owned()]);
        let ids = [RequestId::now(), RequestId::now()];
        let frames =
            [("redeem", request(1, ids[0], &redeem)), ("hold", request(1, ids[1], &hold)), ("check", request(1, ids[0], &check))];
        for (kind, frame) in frames {
            shop.write(&frame).await;
            let reply = shop.next().await.expect("a reply");
            shop.write(&frame).await;
            assert_eq!(
                shop.next().await.expect("a reply"),
                reply,
                "{kind} of a code that is {what}: a retry gets the same reply"
            );
            replies.entry(kind).or_default().push((reply.kind, reply.body));
        }
        // The journal, and so a caller with reasons, has the reason of the very same request.
        let outcome = till.call(1, ids[0], &redeem).await.outcome::<Redeem>().expect("an outcome");
        assert_ne!(outcome, RedeemOutcome::NotAccepted, "{what}");
        let held = till.call(1, ids[1], &hold).await.outcome::<Hold>().expect("an outcome");
        assert_eq!(held, HoldOutcome::Refused(outcome), "{what}");
        reasons.push(outcome);
    }
    // A check names the position that it is as of: the same for all, as long as nothing else happens.
    let of_check = replies.remove("check").expect("checks were sent");
    let verdicts =
        of_check.iter().map(|(_, body)| scrip_protocol::wire::decode::<CheckOutcome>("check", body).expect("it is an outcome"));
    for (verdict, Unhappy { what, .. }) in verdicts.zip(&unhappy) {
        let CheckOutcome::Checked { codes, .. } = verdict else { panic!("a check can have one code") };
        assert_eq!(codes, [CodeChecked::NotAccepted], "{what}");
    }
    assert!(of_check.iter().all(|(_, body)| body.len() == of_check[0].1.len()));
    for (kind, replies) in replies {
        for (reply, Unhappy { what, .. }) in replies.iter().zip(&unhappy) {
            assert_eq!(reply, &replies[0], "{kind} of a code that is {what}");
        }
    }
    reasons.dedup();
    assert!(reasons.len() >= 9, "{reasons:?}");
    let recount = server.audited(&HashMap::new()).await;
    assert_eq!(recount.refused.get("not_accepted"), None);
    assert_eq!(recount.refused.get("code_exhausted"), Some(&1));

    // In one check, at one position: byte for byte.
    let checks = ["NONE", "SPENT", "GONE", "OLD", "OFF", "NORTH", "A-CODE-THAT-NOBODY-HAS-AND-THAT-IS-LONG"]
        .map(|code| Check::new(arena, vec![code.to_owned()]));
    let mut bodies = Vec::new();
    for check in checks {
        bodies.push(shop.call(1, RequestId(0), &check).await.body);
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    // A valid code is reported as valid, and so are the caller's own mistakes.
    let good = shop.call(1, RequestId(0), &Check::new(arena, vec!["FRESH".into(), "no code".into()])).await.outcome::<Check>();
    let Ok(CheckOutcome::Checked { codes, .. }) = good else { panic!("{good:?}") };
    assert!(matches!(codes[..], [CodeChecked::Redeemable(_), CodeChecked::Free { outcome: RedeemOutcome::InvalidCode(_) }]));

    let mut command = server.scrip(Role::Gateway);
    let args = ["redeem", "SPENT", "--client", "1", "--club", "1", "--network", "203.0.113.7"];
    let ran = run(command.env("SCRIP_TOKEN", &silent).args(args), b"").exits(1);
    assert_eq!(ran.out, "refused: the code is not accepted\n");
}

/// Z9: while locked out, a caller sees the same for every code, valid ones included.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_out_caller_sees_the_same_for_every_code() {
    let server = Server::guarded(STRICT);
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    campaign(&operator, terms("Spring", Some(1), 100), &["GOOD".to_owned(), "SPENT".to_owned()]).await;
    operator.redeem(RequestId::now(), &Redeem::new(ClientId(9), arena, "SPENT")).await.expect("a reply");
    let token = gateway(&operator, "shop", false).await;
    let mut shop =
        Lane::open(&server.dial(Role::Operator).with_token(token.as_str())).await.expect("the new token works at once");
    for n in 0..3 {
        shop.call(n, RequestId::now(), &Redeem::new(ClientId(1), arena, format!("guess-{n}")))
            .await
            .outcome::<Redeem>()
            .expect("an outcome");
    }
    let mut lengths = Vec::new();
    for code in ["GOOD", "SPENT", "NONE", "no code"] {
        let redeem = shop.call(9, RequestId::now(), &Redeem::new(ClientId(1), arena, code)).await;
        assert_locked_out(redeem.outcome::<Redeem>());
        let hold = shop.call(9, RequestId::now(), &Hold::new(ClientId(1), arena, code, HOLD_TTL_DEFAULT_MS)).await;
        assert_locked_out(hold.outcome::<Hold>());
        let check = Check { client: Some(ClientId(1)), ..Check::new(arena, vec![code.to_owned()]) };
        let check = shop.call(9, RequestId(0), &check).await;
        assert_locked_out(check.outcome::<Check>());
        lengths.extend([redeem, hold, check].map(|reply| reply.body.len()));
    }
    assert!(lengths.iter().all(|length| *length == lengths[0]), "{lengths:?}");
    let mut command = server.scrip(Role::Gateway);
    let args = ["redeem", "GOOD", "--client", "1", "--club", "1"];
    let ran = run(command.env("SCRIP_TOKEN", &token).args(args), b"").exits(3);
    assert!(ran.err.contains("too many failed attempts; try again in"), "{}", ran.err);
    let position = server.audited(&HashMap::new()).await;
    assert_eq!(position.activations, 1);
    tokio::time::timeout(Duration::from_secs(5), operator.list_clubs(ClubId(0))).await.expect("in time").expect("a reply");
}

/// A load test against an engine with its guard on: refusals by the guard count like those of a busy engine, and everything else
/// agrees.
#[tokio::test(flavor = "multi_thread")]
async fn a_load_test_of_a_guarded_engine_finds_no_differences() {
    let server = Server::guarded("[guard.client]\nmisses_at_once = 1\nmisses_per_minute = 1\n");
    let load = scrip_loadtest::load::Load::Closed { window: 64 };
    let found = crate::support::load::run(&crate::support::load::small(load, 2_000), &server.dial(Role::Operator)).await;
    let audit = found.audit.expect("it was audited");
    assert_eq!(audit.differences.count(), 0, "{:#?}", audit.differences.first());
    let counts = audit.counts;
    assert!(counts.refused_busy > 0 && counts.unanswered == 0);
    assert_eq!(counts.answered + counts.refused_busy, counts.requests);
}

/// Z9: the player who guesses is locked out. A player keeps guessing at a gateway that has reached its limit of lockouts: the
/// player is locked out, and nobody else is.
#[tokio::test(flavor = "multi_thread")]
async fn one_player_cannot_lock_out_the_gateway() {
    let server = Server::guarded("");
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    campaign(&operator, terms("Spring", None, 100), &["GOOD".to_owned()]).await;
    let till = server.client(Role::Gateway).await;
    for client in 1..=120_u128 {
        let codes = (0..10).map(|number| format!("guess-{client}-{number}")).collect();
        let check = Check { client: Some(ClientId(client)), ..Check::new(arena, codes) };
        till.call(RequestId(0), &check).await.expect("the first ten are within the budget");
    }
    let guess = async |number: u32| redeemed(&till, &from_network(999, arena, &format!("more-{number}"), "203.0.113.7")).await;
    let mut let_through = 0;
    for number in 0..200 {
        let_through += u32::from(guess(number).await.is_ok());
    }
    assert!((10..40).contains(&let_through), "{let_through}");
    let other = redeemed(&till, &from_network(5_555, arena, "GOOD", "203.0.113.7")).await;
    assert!(matches!(other, Ok(RedeemOutcome::Redeemed(_))), "{other:?}");
}

/// A campaign of single-use codes has ended, and a hall full of players tries them: that is not guessing, and nobody is locked
/// out.
#[tokio::test(flavor = "multi_thread")]
async fn codes_of_an_ended_campaign_lock_nobody_out() {
    let server = Server::guarded(STRICT);
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    let ended = Terms { ends_ms: Some(1), enforce_period: true, ..terms("Ended", Some(1), 100) };
    let archived = terms("Archived", Some(1), 100);
    let till = server.client(Role::Gateway).await;
    for (terms, prefix, expected) in
        [(ended, "E", RedeemOutcome::OutsidePeriod), (archived, "A", RedeemOutcome::CampaignArchived)]
    {
        let codes: Vec<_> = (0..100).map(|number| format!("{prefix}-{number}")).collect();
        let of = campaign(&operator, terms, &codes).await;
        if expected == RedeemOutcome::CampaignArchived {
            operator.call(RequestId::now(), &ArchiveCampaign { campaign: of }).await.expect("a reply");
        }
        for (client, code) in (1..).zip(&codes) {
            assert_eq!(redeemed(&till, &from_network(client, arena, code, "203.0.113.7")).await, Ok(expected), "{code}");
        }
        let check = till.check(arena, codes).await;
        assert!(matches!(check, Ok(CheckOutcome::Checked { .. })), "{check:?}");
    }
    assert_eq!(operator.list_lockouts(None).await.expect("a reply").total, 0);
}

/// Z9: only a credential that may redeem acts for clients. Z15: only operators can list and lift lockouts.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_not_redeem_locks_nobody_out_and_operators_lift_lockouts() {
    let server = Server::guarded(STRICT);
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    campaign(&operator, terms("Spring", Some(10), 100), &["GOOD".to_owned()]).await;
    campaign(&operator, terms("Used up", Some(1), 100), &["SPENT".to_owned()]).await;
    operator.redeem(RequestId::now(), &Redeem::new(ClientId(9), arena, "SPENT")).await.expect("a reply");
    let here = "203.0.113.7";
    let network: ClientNetwork = here.parse().expect("an address");
    let check = |code: String| Check { client: Some(ClientId(42)), network, ..Check::new(arena, vec![code]) };
    for role in [Role::Reporter, Role::Marketing, Role::Cashier] {
        let client = server.client(role).await;
        for number in 0..29 {
            client.call(RequestId(0), &check(format!("{role}-{number}"))).await.expect("its own budget has some left");
        }
        client.call(RequestId(0), &check(format!("{role}-last"))).await.expect("the last one");
        let refused = client.call(RequestId(0), &check("SPENT".to_owned())).await;
        assert!(matches!(refused, Err(ClientError::Refused(Refusal::TooManyMisses { .. }))), "{role}: {refused:?}");
    }
    let till = server.client(Role::Gateway).await;
    // One used-up code is one failed attempt, however often it is tried.
    for _ in 0..100 {
        let outcome = redeemed(&till, &from_network(42, arena, "SPENT", here)).await;
        assert_eq!(outcome, Ok(RedeemOutcome::CodeExhausted));
    }
    assert!(matches!(redeemed(&till, &from_network(42, arena, "GOOD", here)).await, Ok(RedeemOutcome::Redeemed(_))));

    for number in 0..2 {
        redeemed(&till, &from_network(42, arena, &format!("guess-{number}"), here)).await.expect("a reply");
    }
    assert_locked_out(redeemed(&till, &from_network(42, arena, "GOOD", here)).await);
    let lockouts = |role, args: &[&str]| run(server.scrip(role).arg("lockouts").args(args), b"");
    let listed = lockouts(Role::Operator, &["list", "--json"]).exits(0).json().remove(0);
    let till_id = u64::from(till.welcome().credential.0);
    let mut clients = listed["lockouts"].as_array().expect("a list").iter().filter(|lockout| lockout.get("client").is_some());
    let (of_client, None) = (clients.next().expect("client 42"), clients.next()) else { panic!("{listed}") };
    assert_eq!((of_client["client"].as_str(), of_client["caused_by"].as_u64()), (Some("42"), Some(till_id)), "{listed}");
    assert_eq!(listed["total"].as_u64(), Some(1 + 3), "the client, and three credentials that guessed: {listed}");
    let table = lockouts(Role::Operator, &["list", "--kind", "client"]).exits(0).out;
    assert!(table.contains("client") && table.contains("42") && !table.contains("credential  "), "{table}");
    // The third code exists: it counts against the client at this gateway alone.
    assert!(table.contains("at that credential") && of_client["everywhere"] == false, "{table}");
    for role in [Role::Gateway, Role::Marketing, Role::Cashier, Role::Reporter] {
        lockouts(role, &["list"]).exits(4);
        lockouts(role, &["lift", "client", "42"]).exits(4);
    }

    assert_eq!(lockouts(Role::Operator, &["lift", "client", "42"]).exits(0).out, "lifted: client 42\n");
    assert!(matches!(redeemed(&till, &from_network(42, arena, "GOOD", here)).await, Ok(RedeemOutcome::Redeemed(_))));
    assert_eq!(lockouts(Role::Operator, &["lift", "client", "42"]).exits(1).out, "client 42 is not locked out\n");
    assert_eq!(lockouts(Role::Operator, &["lift", "credential", "--all"]).exits(0).out, "lifted: 3 lockouts\n");
    assert_eq!(lockouts(Role::Operator, &["list"]).exits(0).out, "there are no lockouts\n");
    lockouts(Role::Operator, &["lift", "client"]).exits(2);
    lockouts(Role::Operator, &["lift", "club", "1"]).exits(2);
    lockouts(Role::Operator, &["lift", "network", "here"]).exits(9);
    assert!(server.log().contains("lockouts lifted") && server.log().contains("client 42"), "{}", server.log());
}
