//! What each role sees, and what callers without reasons learn.

use scrip_protocol::command::RedeemOutcome;

use super::*;
use crate::shown::At;

const ROLES: [&str; 5] = ["operator", "marketing", "cashier", "gateway", "reporter"];
/// The credentials of the two gateways, with and without reasons.
const GATEWAYS: [u32; 2] = [4, 10];

/// The id of a request that the tests add.
fn id(credential: u32, number: usize) -> String {
    format!("0190b6a0-7c1e-7d43-9a52-{credential:04x}{number:08x}")
}

/// Refused attempts at codes for each reason, of both gateways; and attempts without a record.
struct Refused {
    server: Server,
    requests: Vec<(u32, String)>,
    /// Words that a caller without reasons must never see.
    reasons: Vec<String>,
}

impl Refused {
    fn new() -> Refused {
        let server = Server::new(sample::fill);
        let sqlite = Connection::open(&server.path).expect("SQLite opens");
        let (mut requests, mut reasons) = (Vec::new(), Vec::new());
        let about_codes = RedeemOutcome::FAILED_ATTEMPTS.iter().copied();
        let mut position = 1_000;
        for reason in about_codes.filter(|reason| *reason != "not_accepted") {
            reasons.push(format!("\"{reason}\""));
            for (command, reply) in [
                ("redeem", format!("\"{reason}\"")),
                ("hold", format!("{{\"refused\":\"{reason}\"}}")),
                ("confirm", format!("{{\"expired\":\"{reason}\"}}")),
            ] {
                let (kind, said) = match command {
                    "redeem" => (11, reason),
                    "hold" => (13, reason),
                    _ => (15, "expired"),
                };
                let decided = format!("decided by rule {}", reason.len() * 7);
                for credential in GATEWAYS {
                    let request = id(credential, position);
                    let bytes = u128::from_str_radix(&request.replace('-', ""), 16).expect("it is hexadecimal").to_be_bytes();
                    let campaign = if reason == "unknown_code" { None } else { Some(77) };
                    sqlite
                        .execute(
                            "INSERT INTO refusal VALUES (?1, 1789900001700, ?2, ?3, ?4, 7, 1, 'secret', ?5, NULL, ?6, ?7, ?8)",
                            (position as i64, command, credential, bytes, campaign, said, &decided, &reply),
                        )
                        .expect("the row fits");
                    sqlite
                        .execute("INSERT INTO request VALUES (?1, ?2, ?3, ?4)", (bytes, position as i64, kind, credential))
                        .expect("the row fits");
                    sqlite.execute("INSERT INTO client_history VALUES (0, 7, ?1)", [position as i64]).expect("the row fits");
                    requests.push((credential, request));
                    position += 1;
                }
            }
        }
        reasons.extend(["decided by rule".to_owned(), "\"campaign\":77".to_owned()]);
        let attempt = |_: &crate::refusals::RefusalFilter, _, _| {
            vec![crate::refusals::Attempt {
                at: At(1),
                command: "check".into(),
                credential: 4,
                client: None,
                club: None,
                code: Some("secret".into()),
                campaign: Some(77),
                reason: "code_exhausted".into(),
                decided: "decided by rule 1".into(),
            }]
        };
        let router = router(server.api.clone().with_attempts(Arc::new(attempt)));
        Refused { server: Server { router, ..server }, requests, reasons }
    }

    /// Every path that may show a refusal.
    fn paths(&self) -> Vec<String> {
        let own = ["?client=7", "?code=secret", "?limit=1000"].map(|query| format!("/v1/refusals{query}"));
        let clients = ["refusals", "all"].map(|kind| format!("/v1/clients/7/operations?kind={kind}&limit=500"));
        let codes = ["/v1/codes/secret", "/v1/search?q=secret"].map(str::to_owned);
        let requests = self.requests.iter().map(|(_, request)| format!("/v1/requests/{request}"));
        let searches = self.requests.iter().map(|(_, request)| format!("/v1/search?q={request}"));
        let all = PATHS.map(str::to_owned).into_iter().chain(own).chain(clients).chain(codes);
        all.chain(requests).chain(searches).collect()
    }

    fn reveals(&self, answer: &Answer) -> bool {
        let text = String::from_utf8_lossy(&answer.body);
        self.reasons.iter().any(|reason| text.contains(&**reason))
    }
}

/// Z9: a caller without reasons learns none through any route, whatever its role; a caller with reasons does.
#[tokio::test]
async fn those_without_reasons_learn_none_through_any_route() {
    let refused = Refused::new();
    for role in ROLES {
        let (mut revealed, mut answered) = (0, 0);
        for path in refused.paths() {
            let with = refused.server.get(role, &path).await;
            let without = refused.server.get(&format!("{role}-without"), &path).await;
            assert!(!refused.reveals(&without), "{role} {path}: {}", String::from_utf8_lossy(&without.body));
            revealed += usize::from(refused.reveals(&with));
            answered += usize::from(without.status == StatusCode::OK);
        }
        assert!(revealed > 30 && answered > 30, "{role}: {revealed} of {answered}");
        // The campaign of a code is a reason too.
        let by_campaign = refused.server.get(&format!("{role}-without"), "/v1/refusals?campaign=77").await;
        by_campaign.is_problem(StatusCode::FORBIDDEN);
    }
}

/// Refusals that do not depend on a code: they are not failed attempts.
const OF_NO_CODE: [(&str, &str); 11] = [
    ("redeem", "invalid_code"),
    ("redeem", "unknown_club"),
    ("redeem", "unknown_top_up"),
    ("hold", "invalid_code"),
    ("hold", "unknown_club"),
    ("hold", "unknown_top_up"),
    ("hold", "invalid_ttl"),
    ("hold", "too_many_holds"),
    ("confirm", "unknown_hold"),
    ("confirm", "already_confirmed"),
    ("confirm", "released"),
];

/// Z9: a refusal that is not a failed attempt does not reveal the campaign of the code, whatever the table contains. Callers
/// without reasons never learn the campaign of a refused code.
#[tokio::test]
async fn a_refusal_that_is_not_a_failed_attempt_names_no_campaign() {
    let refused = Refused::new();
    let sqlite = Connection::open(&refused.server.path).expect("SQLite opens");
    sqlite
        .execute(
            "INSERT INTO campaign SELECT 77, 'Hidden name', * FROM (SELECT amount, clubs, starts_ms, ends_ms, enforce_period, \
             activations_per_code_max, activations_per_client_max, activations_max, budget, low_stock, active, created_ms, \
             archived_ms, codes, codes_archived, codes_activated, codes_exhausted, archived_activated, archived_exhausted, \
             activations, issued, refunds, taken_back, uncollected, last_activation FROM campaign WHERE campaign = 3)",
            [],
        )
        .expect("the row fits");
    let mut requests = Vec::new();
    for ((command, reason), position) in OF_NO_CODE.into_iter().zip(5_000..) {
        for credential in GATEWAYS {
            let position = position * 16 + i64::from(credential);
            let request = id(credential, position as usize);
            let bytes = u128::from_str_radix(&request.replace('-', ""), 16).expect("it is hexadecimal").to_be_bytes();
            let kind = if command == "redeem" {
                11
            } else if command == "hold" {
                13
            } else {
                15
            };
            sqlite
                .execute(
                    "INSERT INTO refusal VALUES (?1, 1789900001700, ?2, ?3, ?4, 7, 1, 'secret', 77, NULL, ?5, 'no', '\"no\"')",
                    (position, command, credential, bytes, reason),
                )
                .expect("the row fits");
            sqlite.execute("INSERT INTO request VALUES (?1, ?2, ?3, ?4)", (bytes, position, kind, credential)).expect("it fits");
            sqlite.execute("INSERT INTO client_history VALUES (?1 / 131072, 7, ?1)", [position]).expect("the row fits");
            requests.push((command, reason, request));
        }
    }
    let names_campaign = |answer: &Answer, of: Option<&str>| {
        fn walk(value: &Value, of: Option<&str>) -> bool {
            let is_of = of.is_none_or(|of| value["reason"] == of);
            let named = value["campaign"] == 77 || value["campaign_name"] == "Hidden name";
            (is_of && named && value["reason"].is_string())
                || value.as_array().is_some_and(|list| list.iter().any(|value| walk(value, of)))
                || value.as_object().is_some_and(|fields| fields.values().any(|value| walk(value, of)))
        }
        walk(&answer.json(), of)
    };
    let paths = || {
        let of_requests = requests.iter().map(|(_, _, request)| format!("/v1/requests/{request}"));
        refused.paths().into_iter().chain(of_requests).filter(|path| !path.contains("/77"))
    };
    for role in ROLES {
        let mut seen = 0;
        for path in paths() {
            let without = refused.server.get(&format!("{role}-without"), &path).await;
            assert!(!names_campaign(&without, None), "{role}-without {path}");
            let with = refused.server.get(role, &path).await;
            for (command, reason) in OF_NO_CODE.into_iter().filter(|(command, _)| *command != "confirm") {
                assert!(!names_campaign(&with, Some(reason)), "{role} {path} {command} {reason}");
            }
            seen += usize::from(names_campaign(&with, None));
        }
        assert!(seen > 10, "{role} sees the campaigns of failed attempts: {seen}");
    }
}

/// Z9: a gateway without reasons sees the same for every refused code, of the same length.
#[tokio::test]
async fn refused_codes_look_alike_without_reasons() {
    let refused = Refused::new();
    let mut seen: std::collections::BTreeMap<String, BTreeSet<String>> = Default::default();
    for (credential, request) in &refused.requests {
        let answer = refused.server.get("gateway-without", &format!("/v1/requests/{request}")).await;
        if *credential != 10 {
            answer.is_problem(StatusCode::FORBIDDEN);
            continue;
        }
        assert_eq!(answer.status, StatusCode::OK);
        let position = answer.json()["position"].to_string();
        let body = String::from_utf8_lossy(&answer.body).replace(request, "ID").replace(&position, "POSITION");
        let command = answer.json()["did"][0]["fields"]["command"].to_string();
        seen.entry(command).or_default().insert(body);
    }
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["\"confirm\"", "\"hold\"", "\"redeem\""]);
    assert!(seen.values().all(|bodies| bodies.len() == 1), "{seen:?}");
}

/// Records of every subject: position, number of the kind, credential, and the roles that can look up the request.
const RECORDS: [(u64, u16, u32, &[&str]); 6] = [
    (101, 10, 4, &["marketing", "reporter", "operator", "gateway"]),
    (2_001, 72, 3, &["cashier", "marketing", "reporter", "operator"]),
    (2_002, 40, 2, &["marketing", "reporter", "operator"]),
    (2_003, 60, 1, &["reporter", "operator"]),
    (2_004, 90, 5, &["reporter", "operator"]),
    (2_005, 11, 4, &["cashier", "marketing", "reporter", "operator", "gateway"]),
];

/// Z15: a role sees the requests and changes on the subjects of its commands. A request that it may not see is never
/// answered as one that does not exist.
#[tokio::test]
async fn each_role_sees_what_its_commands_are_about() {
    let server = Server::new(sample::fill);
    let sqlite = Connection::open(&server.path).expect("SQLite opens");
    let mut requests = Vec::new();
    for (position, kind, credential, roles) in RECORDS {
        let request = id(credential, position as usize);
        let bytes = u128::from_str_radix(&request.replace('-', ""), 16).expect("it is hexadecimal").to_be_bytes();
        sqlite
            .execute("INSERT INTO request VALUES (?1, ?2, ?3, ?4)", (bytes, position as i64, kind, credential))
            .expect("the row fits");
        requests.push((request, roles));
    }
    for (position, kind) in
        [(3_001, "credential_added"), (3_002, "reader_kept"), (3_003, "settings_applied"), (3_004, "rule_saved")]
    {
        sqlite.execute("INSERT INTO change VALUES (?1, 4000, ?2, 1, NULL, NULL, '{}')", (position, kind)).expect("the row fits");
    }
    for role in ROLES {
        for (request, roles) in &requests {
            let answer = server.get(role, &format!("/v1/requests/{request}")).await;
            let expected = if roles.contains(&role) { StatusCode::OK } else { StatusCode::FORBIDDEN };
            assert_eq!(answer.status, expected, "{role} {request}");
            if role != "gateway" {
                let search = server.get(role, &format!("/v1/search?q={request}")).await.json();
                let is_seen = roles.contains(&role);
                assert_eq!(
                    (search["request"].is_null(), &search["may_exist"]),
                    (!is_seen, &(!is_seen).into()),
                    "{role} {request}"
                );
            }
        }
    }
    let kinds = |answer: &Answer| -> Vec<String> {
        let changes = answer.json()["changes"].as_array().cloned().unwrap_or_default();
        changes.iter().map(|change| change["kind"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let of_staff = ["rule_saved", "campaign_switched", "club_registered", "campaign_created"];
    assert_eq!(kinds(&server.get("marketing", "/v1/changes").await), of_staff);
    let all = ["rule_saved", "settings_applied", "reader_kept", "credential_added"];
    for role in ["reporter", "operator"] {
        assert_eq!(kinds(&server.get(role, "/v1/changes").await)[..4], all, "{role}");
    }
}

/// Z13, Z15: a role sees the refused commands on the subjects of its own commands.
#[tokio::test]
async fn refused_commands_are_seen_by_those_who_see_their_subject() {
    let server = Server::new(sample::fill);
    let sqlite = Connection::open(&server.path).expect("SQLite opens");
    for (position, command) in
        [(3_001, "add-credential"), (3_002, "create-campaign"), (3_003, "pay-bonus"), (3_004, "keep-reader")]
    {
        sqlite
            .execute(
                "INSERT INTO refusal VALUES (?1, 1789900001700, ?2, 1, zeroblob(16), NULL, NULL, NULL, NULL, NULL, 'no', 'no', '\"no\"')",
                (position, command),
            )
            .expect("the row fits");
    }
    for (role, expected) in [
        ("cashier", &["pay-bonus", "redeem", "redeem"][..]),
        ("marketing", &["pay-bonus", "create-campaign", "redeem", "redeem"]),
        ("operator", &["keep-reader", "pay-bonus", "create-campaign", "add-credential", "redeem", "redeem"]),
    ] {
        let answer = server.get(role, "/v1/refusals").await.json();
        let seen: Vec<_> = answer["refusals"].as_array().expect("a list").iter().map(|of| of["command"].as_str()).collect();
        assert_eq!(seen, expected.iter().map(|command| Some(*command)).collect::<Vec<_>>(), "{role}");
    }
}

/// A page of refusals or changes is bounded in bytes and in rows, and following `next` returns all of them. Rows that the caller
/// may not see are not read completely: one credential's refusals cannot make the pages of others costly.
#[tokio::test]
async fn pages_are_bounded_by_bytes() {
    const ROWS: i64 = 12;
    let server = Server::new(sample::fill);
    let sqlite = Connection::open(&server.path).expect("SQLite opens");
    let text = "x".repeat(400_000);
    for position in 3_000..3_000 + ROWS {
        sqlite
            .execute(
                "INSERT INTO refusal VALUES (?1, 1789900001700, 'add-codes', 1, zeroblob(16), NULL, NULL, NULL, 1, NULL, 'no', 'no', ?2)",
                (position, format!("\"{text}\"")),
            )
            .expect("the row fits");
        sqlite
            .execute(
                "INSERT INTO change VALUES (?1, 4000, 'rule_saved', 1, NULL, 1, ?2)",
                (position, format!("{{\"rule\":\"{text}\"}}")),
            )
            .expect("the row fits");
    }
    for (path, list) in [
        ("/v1/refusals?limit=1000", "refusals"),
        ("/v1/changes?limit=1000", "changes"),
        ("/v1/campaigns/1/changes?limit=1000", "changes"),
    ] {
        let (mut seen, mut next) = (0, String::new());
        loop {
            let answer = server.get("marketing", &format!("{path}{next}")).await;
            assert!(answer.status == StatusCode::OK && answer.body.len() < 2 << 20, "{path}: {} bytes", answer.body.len());
            let page = answer.json();
            seen += page[list].as_array().expect("a list").iter().filter(|of| of["position"].as_i64() >= Some(3_000)).count();
            if page["next"].is_null() {
                break;
            }
            next = format!("&before={}", page["next"]);
        }
        assert_eq!(seen as i64, ROWS, "{path}");
    }
    // The content of a row that a cashier may not see does not matter: it cannot be read as an answer here.
    sqlite.execute("UPDATE refusal SET reply = 'no JSON' WHERE command = 'add-codes'", []).expect("it can be changed");
    let answer = server.get("cashier", "/v1/refusals?limit=1000").await;
    assert_eq!((answer.status, answer.json()["refusals"].as_array().map(Vec::len)), (StatusCode::OK, Some(2)));
    assert_eq!(server.get("marketing", "/v1/refusals?limit=1000").await.status, StatusCode::INTERNAL_SERVER_ERROR);
}

/// Z13: how much a refusal adds to the read model depends on its reason, so that the size is only for callers that learn reasons.
#[tokio::test]
async fn the_size_of_the_read_model_is_only_for_callers_that_learn_reasons() {
    let server = Server::new(sample::fill);
    for role in ROLES {
        let answer = server.get(role, "/v1/metrics").await;
        if ["reporter", "operator"].contains(&role) {
            assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, scrip_web::probes::EXPOSITION), "{role}");
            let size = std::fs::metadata(&server.path).expect("it is there").len();
            let line = format!("scrip_sidecar_read_model_bytes{{file=\"main\"}} {size}\n");
            assert!(String::from_utf8_lossy(&answer.body).contains(&line), "{role}");
        } else {
            answer.is_problem(StatusCode::FORBIDDEN);
        }
        server.get(&format!("{role}-without"), "/v1/metrics").await.is_problem(StatusCode::FORBIDDEN);
    }
    server.send(Method::GET, "/v1/metrics", &[]).await.is_problem(StatusCode::UNAUTHORIZED);
    let open = crate::sidecar_metrics::text(&server.standing.borrow());
    assert!(open.contains("scrip_sidecar_position") && !open.contains("bytes"), "{open}");
}
