//! A gateway without reasons sees the same for every refused code, whatever the reason (Z9): in the replies, their sizes, what
//! they cost, when and for how long it is locked out, and in the metrics that anybody can read.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use scrip_client::Client;
use scrip_engine::credentials::{new_token, secret_of_token};
use scrip_protocol::command::{
    AddCredential, AddCredentialOutcome, ArchiveCampaign, ArchiveCodes, BonusOutcome, Check, CheckOutcome, CodeChecked, Confirm,
    CreditBonus, Grant, HOLD_TTL_DEFAULT_MS, Hold, HoldOutcome, LockoutKey, Note, Redeem, RedeemOutcome, Terms,
};
use scrip_protocol::frame::REFUSAL;
use scrip_protocol::{ClientId, ClientNetwork, ClubId, CredentialId, Money, Position, Refusal, RequestId, Role, wire};

use crate::support::metrics::samples;
use crate::support::{Lane, Server, campaign, club, terms};

/// Three different wrong codes of a client, ninety of a network, twenty-one of a credential, which counts each as a tenth. A
/// lockout lasts longer than the test.
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
misses_at_once = 3
misses_per_minute = 1
lockout_first_ms = 600000
lockout_longest_ms = 600000
[metrics]
listen = \"127.0.0.1:0\"
";

/// How many codes are prepared for each reason.
const CODES: usize = 24;

/// Codes that are refused for one reason.
struct Refused {
    reason: &'static str,
    /// Whether a check can predict the reason; it cannot if the reason depends on the client.
    is_predictable: bool,
    client: ClientId,
    codes: Vec<String>,
}

/// The codes of all reasons have the same length.
fn codes(number: usize) -> Vec<String> {
    (0..CODES).map(|code| format!("R{number:02}-C{code:02}")).collect()
}

async fn redeem(operator: &Client, client: ClientId, club: ClubId, code: &str) {
    let outcome = operator.redeem(RequestId::now(), &Redeem::new(client, club, code)).await.expect("a reply");
    assert!(matches!(outcome, RedeemOutcome::Redeemed(_)), "{code}: {outcome}");
}

/// A campaign for each reason, or none.
async fn prepare(operator: &Client, arena: ClubId, north: ClubId) -> Vec<Refused> {
    let mut prepared = Vec::new();
    for (number, reason) in RedeemOutcome::FAILED_ATTEMPTS.iter().copied().chain(["held"]).enumerate() {
        let (codes, client) = (codes(number), ClientId(1_000 + number as u128));
        let plain = terms(reason, Some(1), 100);
        let own = match reason {
            "campaign_inactive" => Terms { active: false, ..plain },
            "outside_period" => Terms { ends_ms: Some(1), enforce_period: true, ..plain },
            "club_excluded" => Terms { clubs: vec![north], ..plain },
            "client_exhausted" => Terms { activations_per_client_max: Some(1), ..plain },
            "campaign_exhausted" => Terms { activations_max: Some(1), ..plain },
            "budget_exhausted" => Terms { budget: Some(Money(150)), ..plain },
            "code_archived" | "campaign_archived" | "code_exhausted" | "amount_limit" | "held" => plain,
            // The last outcome is what all of them look like.
            "unknown_code" => {
                prepared.push(Refused { reason, is_predictable: true, client, codes });
                continue;
            }
            "not_accepted" => continue,
            other => panic!("{other} is a new reason: prepare codes for it here"),
        };
        let mut all = codes.clone();
        all.push(format!("ONE-{number}"));
        let of = campaign(operator, own, &all).await;
        match reason {
            "code_archived" => {
                let codes = codes.iter().collect();
                operator.call(RequestId::now(), &ArchiveCodes { campaign: of, codes }).await.expect("a reply");
            }
            "campaign_archived" => {
                operator.call(RequestId::now(), &ArchiveCampaign { campaign: of }).await.expect("a reply");
            }
            "code_exhausted" => {
                for code in &codes {
                    redeem(operator, ClientId(9), arena, code).await;
                }
            }
            "held" => {
                for code in &codes {
                    let hold = Hold::new(ClientId(9), arena, code, HOLD_TTL_DEFAULT_MS);
                    let outcome = operator.hold(RequestId::now(), &hold).await.expect("a reply");
                    assert!(matches!(outcome, HoldOutcome::Held(_)), "{outcome}");
                }
            }
            "client_exhausted" | "campaign_exhausted" | "budget_exhausted" => {
                redeem(operator, client, arena, all.last().expect("one more")).await;
            }
            "amount_limit" => {
                operator.register_client(RequestId::now(), client, "Rich").await.expect("a reply");
                let credit = CreditBonus { client, club: None, amount: Money(i64::MAX - 50), note: Note::default() };
                let outcome = operator.credit_bonus(RequestId::now(), &credit).await.expect("a reply");
                assert!(matches!(outcome, BonusOutcome::Done(_)), "{outcome}");
            }
            _ => {}
        }
        prepared.push(Refused { reason, is_predictable: !["client_exhausted", "amount_limit"].contains(&reason), client, codes });
    }
    prepared
}

/// A gateway without reasons.
async fn shop(server: &Server, operator: &Client, name: &str) -> (Lane, CredentialId) {
    let token = new_token(Role::Gateway);
    let secret = secret_of_token(&token);
    let grant = Grant { name: name.to_owned(), role: Role::Gateway, clubs: Vec::new(), reasons: false, secret };
    let outcome = operator.call(RequestId::now(), &AddCredential { grant }).await.expect("a reply");
    let AddCredentialOutcome::Added(credential) = outcome else { panic!("{outcome}") };
    (Lane::open(&server.dial(Role::Operator).with_token(token.as_str())).await.expect("the new token works at once"), credential)
}

/// What such a gateway sees: each reply with its kind and its bytes, without numbers that count up from one request to the next.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    replies: Vec<(&'static str, u16, usize, String)>,
    lockouts: Vec<&'static str>,
    counted: BTreeMap<String, f64>,
}

impl Seen {
    fn reply(&mut self, what: &'static str, reply: &crate::support::Reply, shown: String) {
        self.replies.push((what, reply.kind, reply.body.len(), shown));
    }

    /// A refusal by the guard. Between two reasons only the remaining time may differ.
    fn locked_out(&mut self, what: &'static str, reply: &crate::support::Reply) {
        assert_eq!(reply.kind, REFUSAL, "{what}: the guard refuses it");
        let refusal: Refusal = wire::decode("refusal", &reply.body).expect("it is a refusal");
        let Refusal::TooManyMisses { retry_after_ms } = refusal else { panic!("{what}: {refusal}") };
        assert!((500_000..=600_000).contains(&retry_after_ms), "{what}: {retry_after_ms}");
        self.reply(what, reply, "locked out".to_owned());
    }
}

/// Sends the same requests for each reason, with other codes.
async fn look(
    server: &Server,
    operator: &Client,
    metrics: SocketAddr,
    arena: ClubId,
    refused: &Refused,
) -> (Seen, RedeemOutcome) {
    let Refused { reason, is_predictable, client, codes } = refused;
    let (mut shop, credential) = shop(server, operator, reason).await;
    let network: ClientNetwork = format!("203.0.{}.1", client.0 % 200).parse().expect("an address");
    let redeem = |code: &str| Redeem { network, ..Redeem::new(*client, arena, code) };
    let hold = |code: &str| Hold { network, ..Hold::new(*client, arena, code, HOLD_TTL_DEFAULT_MS) };
    // If a check cannot predict the refusal of a code, an unknown code is checked instead.
    let checked = |number: usize| match is_predictable {
        true => codes[number].clone(),
        false => codes[number].replace('C', "X"),
    };
    let before = samples(metrics);
    let mut seen = Seen::default();
    let first = RequestId::now();
    for (what, id, code) in
        [("first", first, 0), ("retry", first, 0), ("the same code again", RequestId::now(), 0), ("second", RequestId::now(), 1)]
    {
        let reply = shop.call(1, id, &redeem(&codes[code])).await;
        let outcome = reply.outcome::<Redeem>();
        assert_eq!(outcome, Ok(RedeemOutcome::NotAccepted), "{reason}, {what}");
        let shown = format!("{:?}", reply.body);
        seen.reply(what, &reply, shown);
    }
    let reply = shop.call(1, RequestId::now(), &hold(&codes[1])).await;
    let shown = format!("{:?}", reply.body);
    seen.reply("hold", &reply, shown);
    let check = Check { client: Some(*client), network, ..Check::new(arena, vec![checked(1)]) };
    // Of a code that was already tried, if it can be the same one.
    if *is_predictable {
        let reply = shop.call(1, RequestId(0), &check).await;
        let Ok(CheckOutcome::Checked { codes, .. }) = reply.outcome::<Check>() else { panic!("{reason}: no check") };
        assert_eq!(codes, [CodeChecked::NotAccepted], "{reason}");
        seen.reply("check", &reply, "not accepted".to_owned());
    } else {
        seen.replies.push(("check", scrip_protocol::Kind::Check as u16, 0, "not accepted".to_owned()));
    }
    let third = shop.call(1, RequestId::now(), &redeem(&codes[2])).await;
    let shown = format!("{:?}", third.body);
    seen.reply("third", &third, shown);
    // The client's last allowed attempt was its third wrong code, not its sixth request about one.
    seen.locked_out("redeem while locked out", &shop.call(1, RequestId::now(), &redeem(&codes[3])).await);
    seen.locked_out("hold while locked out", &shop.call(1, RequestId::now(), &hold(&codes[4])).await);
    seen.locked_out("check while locked out", &shop.call(1, RequestId(0), &check).await);
    let unknown = shop.call(1, RequestId::now(), &Confirm::new(Position(1))).await;
    seen.reply("confirm of no hold", &unknown, format!("{:?}", unknown.body));
    // The credential was charged for three codes. Sixteen more leave two; four more then lock it out, even if two have been
    // regained by the time that the test took.
    let many = |from: usize, to: usize| Check::new(arena, (from..to).map(checked).collect());
    for (what, check) in [("sixteen", many(3, 19)), ("four more", many(19, 23))] {
        let reply = shop.call(1, RequestId(0), &check).await;
        let Ok(CheckOutcome::Checked { codes, .. }) = reply.outcome::<Check>() else { panic!("{reason}, {what}: no check") };
        assert!(codes.iter().all(|code| *code == CodeChecked::NotAccepted), "{reason}, {what}");
        seen.reply(what, &reply, "not accepted".to_owned());
    }
    seen.locked_out("credential", &shop.call(1, RequestId(0), &many(23, 24)).await);

    for lockout in operator.list_lockouts(None).await.expect("a reply").lockouts {
        if lockout.caused_by == credential {
            assert!([LockoutKey::Client(*client), LockoutKey::Credential(credential)].contains(&lockout.key), "{reason}");
            seen.lockouts.push(lockout.key.kind().word());
        }
    }
    let after = samples(metrics);
    let moves = |name: &str| {
        !["seconds", "disk_bytes", "reader", "connections", "lanes", "under_way"].iter().any(|part| name.contains(part))
    };
    let moved = after.iter().filter(|(name, _)| moves(name));
    let moved = moved.map(|(name, now)| (name.clone(), now - before.get(name).copied().unwrap_or(0.0)));
    seen.counted = moved.filter(|(_, difference)| *difference != 0.0).collect();
    // A caller with reasons gets the reason for the very same request.
    let reason = operator.redeem(first, &redeem(&codes[0])).await.expect("a reply");
    (seen, reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_of_a_code_looks_the_same() {
    let server = Server::guarded(STRICT);
    let metrics = server.metrics().expect("the configuration has it");
    let operator = server.client(Role::Operator).await;
    let (arena, north) = (club(&operator, "Arena").await, club(&operator, "North").await);
    let all = prepare(&operator, arena, north).await;
    let mut reasons = BTreeSet::new();
    let mut first: Option<Seen> = None;
    for refused in &all {
        let (mut seen, reason) = look(&server, &operator, metrics, arena, refused).await;
        reasons.insert(reason.word());
        let Some(first) = &first else {
            first = Some(seen);
            continue;
        };
        if !refused.is_predictable {
            // Its checks used other codes, one fewer.
            seen.counted.clone_from(&first.counted);
            let check = seen.replies.iter_mut().find(|(what, ..)| *what == "check").expect("it exists");
            check.2 = first.replies.iter().find(|(what, ..)| *what == "check").expect("it exists").2;
        }
        assert_eq!(&seen, first, "{}: what a gateway without reasons sees", refused.reason);
    }
    let seen = first.expect("there are reasons");
    assert_eq!(seen.lockouts, ["credential", "client"]);
    assert_eq!(seen.counted["scrip_engine_redemptions_total{outcome=\"not_accepted\"}"], 4.0, "{:?}", seen.counted);
    let masked: BTreeSet<_> = RedeemOutcome::FAILED_ATTEMPTS.iter().copied().filter(|word| *word != "not_accepted").collect();
    assert_eq!(reasons, masked, "every reason was tried");
    // No publicly readable counter contains a reason.
    let named = samples(metrics).into_keys().filter(|name| masked.iter().any(|reason| name.contains(&format!("\"{reason}\""))));
    assert_eq!(named.collect::<Vec<_>>(), Vec::<String>::new());
}
