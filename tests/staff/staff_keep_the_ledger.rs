//! The ledger on the command line: top-ups, bonuses by hand, spending, and their refunds, with the credentials that may do each:
//! the output, the refusals, and the executors in the journal.

use scrip_client::Tailing;
use scrip_protocol::batch::Batch;
use scrip_protocol::ledger::entries;
use scrip_protocol::{Account, Position, RequestId, Role};
use serde_json::{Value, json};

use crate::support::{Ran, Server, run};

/// Runs the program in a role.
fn scrip(server: &Server, role: Role, args: &[&str]) -> Ran {
    run(server.scrip(role).args(args), b"")
}

/// Runs the program in a role; it must succeed. Returns its output.
#[track_caller]
fn done(server: &Server, role: Role, args: &[&str]) -> String {
    scrip(server, role, args).exits(0).out
}

/// Runs the program in a role; it must be refused. Returns its output.
#[track_caller]
fn refused(server: &Server, role: Role, args: &[&str]) -> String {
    scrip(server, role, args).exits(1).out
}

/// The outcome of a successful command.
#[track_caller]
fn outcome(server: &Server, role: Role, args: &[&str]) -> Value {
    scrip(server, role, &[args, &["--json"]].concat()).exits(0).json()[0]["outcome"].clone()
}

/// Tops up client 42 in cash, and returns the top-up's number.
fn topped_up(server: &Server, role: Role, amount: &str) -> String {
    let args = ["top-up", amount, "--client", "42", "--club", "1", "--source", "CASH"];
    outcome(server, role, &args)["topped_up"]["top_up"].to_string()
}

/// An engine with two clubs.
fn prepare() -> Server {
    let server = Server::start();
    for club in ["Arena North", "South"] {
        done(&server, Role::Operator, &["club", "add", club]);
    }
    server
}

/// The movements of accounts in the journal: label, kind and name of the executor, account, amount in minor units.
async fn movements(server: &Server) -> Vec<(String, String, Account, i64)> {
    let mut tailing = Tailing::start(server.dial(Role::Reporter), Position(1), false).await.expect("the journal can be tailed");
    let mut found = Vec::new();
    while let Some(bytes) = crate::support::within(tailing.next()).await.expect("the next batch") {
        for item in Batch::parse(&bytes).expect("it is valid").records() {
            let (_, record) = item.expect("a record");
            found.extend(entries(&record).into_iter().map(|entry| {
                let executor = format!("{} {}", entry.executor.kind, entry.executor.name).trim_end().to_owned();
                (entry.label.to_string(), executor, entry.account, entry.amount.0)
            }));
        }
    }
    found
}

/// B1, B4, A12, A21, A29: money and bonuses move in and out of their accounts, and each step reports the resulting balances.
#[test]
fn each_step_reports_the_resulting_balances() {
    let server = prepare();
    let cashier = |args: &[&str]| done(&server, Role::Cashier, args);
    let at = ["--client", "42", "--club", "1"];
    let with = |args: &[&'static str]| [args, &at].concat();
    assert_eq!(
        cashier(&with(&["top-up", "500", "--source", "CASH"])),
        "topped up: gaming balance 500.00, bonus balance 0.00, rules fired 0, top-up 9\n"
    );
    assert_eq!(
        cashier(&["bonus", "credit", "12.5", "--client", "42", "--comment", "long queue", "--tag", "goodwill"]),
        "Bonus Credit: 12.50, bonus balance 12.50, operation 10\n"
    );
    assert_eq!(
        cashier(&["bonus", "write-off", "0.49", "--client", "42", "--club", "1"]),
        "Bonus Write-Off: 0.49, bonus balance 12.01, operation 11\n"
    );
    assert_eq!(
        cashier(&with(&["bonus", "pay", "10", "--for", "gaming-time"])),
        "Bonus Payment: 10.00, bonus balance 2.01, operation 12\n"
    );
    assert_eq!(cashier(&["bonus", "refund", "12", "--amount", "4"]), "Bonus Refund: 4.00, bonus balance 6.01, operation 13\n");
    assert_eq!(cashier(&["bonus", "refund", "12"]), "Bonus Refund: 6.00, bonus balance 12.01, operation 14\n");
    assert_eq!(
        cashier(&with(&["spend", "session", "120.50"])),
        "recorded: gaming balance 379.50, 120.50 spent in total, sessions 1, operation 15\n"
    );
    assert_eq!(
        cashier(&with(&["spend", "purchase", "30", "--directly"])),
        "recorded: gaming balance 379.50, 150.50 spent in total, sessions 1, operation 16\n"
    );
    assert_eq!(
        cashier(&with(&["spend", "session", "0", "--from-balance"])),
        "recorded: gaming balance 379.50, 150.50 spent in total, sessions 2, operation 17\n"
    );
    assert_eq!(
        cashier(&["refund-top-up", "9", "--amount", "79.50"]),
        "refunded: 79.50, gaming balance 300.00, bonus balance 12.01\n"
    );
    assert_eq!(
        cashier(&["client", "show", "42"]),
        "client          42\nbonus balance   12.01\ngaming balance  300.00\nspent in total  150.50\nsessions        2\n\
         groups          none\nas of position  18\n"
    );
    let shown = scrip(&server, Role::Cashier, &["client", "show", "42", "--json"]).exits(0).json();
    let accounts = json!({ "gaming": 30_000, "bonus": 1_201, "spent": 15_050, "sessions": 2 });
    assert_eq!(shown[0]["client"]["accounts"], accounts);
    let credited = outcome(&server, Role::Cashier, &["bonus", "credit", "1", "--client", "42"]);
    assert_eq!(credited, json!({ "done": { "operation": 19, "label": "bonus_credit", "amount": 100, "balance": 1_301 } }));
}

/// B4, B5, A21, A29, A30: each refusal has its reason, and changes nothing.
#[test]
fn each_refusal_has_its_reason() {
    let server = prepare();
    let top_up = topped_up(&server, Role::Operator, "100");
    done(&server, Role::Operator, &["bonus", "credit", "20", "--client", "42"]);
    let pay = ["bonus", "pay", "20", "--client", "42", "--club", "1", "--for", "order"];
    let payment = outcome(&server, Role::Operator, &pay)["done"]["operation"].to_string();
    done(&server, Role::Operator, &["bonus", "refund", &payment, "--amount", "5"]);
    let before = scrip(&server, Role::Operator, &["client", "show", "42", "--json"]).json()[0]["client"]["accounts"].clone();
    assert_eq!(before, json!({ "gaming": 10_000, "bonus": 500, "spent": 0, "sessions": 0 }));

    let long = "x".repeat(501);
    let most = "92233720368547758.07";
    let cases: &[(&str, &str)] = &[
        ("top-up 0 --client 42 --club 1 --source CASH", "the amount must be more than 0"),
        ("top-up 5 --client 42 --club 9 --source CASH", "the organisation has no such club"),
        ("top-up MOST --client 42 --club 1 --source CASH", "the amount would overflow the gaming balance"),
        ("top-up 5 --client 42 --club 1 --source CASH --comment LONG", "a comment has at most 500 bytes"),
        ("top-up 5 --client 42 --club 1 --source CASH --by LONG", "the person's name has at most 200 bytes"),
        ("refund-top-up TOP-UP --amount 0", "the amount must be more than 0"),
        ("refund-top-up PAYMENT", "there is no such top-up, or it is not yours"),
        ("refund-top-up 999999", "there is no such top-up, or it is not yours"),
        ("refund-top-up TOP-UP --amount 100.01", "only 100.00 of the top-up can still be refunded"),
        ("bonus credit 0 --client 42", "the amount must be more than 0"),
        ("bonus credit 5 --client 43", "unknown client"),
        ("bonus credit 5 --client 42 --club 9", "the organisation has no such club"),
        ("bonus credit MOST --client 42", "the amount would overflow the bonus balance"),
        ("bonus credit 5 --client 42 --tag LONG", "tag 1: a tag has 1 to 50 bytes, and no control characters"),
        ("bonus write-off 5.01 --client 42", "the bonus balance is only 5.00"),
        ("bonus pay 5.01 --client 42 --club 1 --for gaming-time", "the bonus balance is only 5.00"),
        ("bonus pay 5 --client 43 --club 1 --for gaming-time", "unknown client"),
        ("bonus refund TOP-UP", "there is no such payment, or it is not yours"),
        ("bonus refund PAYMENT --amount 0", "the amount must be more than 0"),
        ("bonus refund PAYMENT --amount 15.01", "only 15.00 of the payment can still be refunded"),
        ("spend session 100.01 --client 42 --club 1", "the gaming balance is only 100.00"),
        ("spend session 1 --client 43 --club 1", "unknown client"),
        ("spend purchase 0 --client 42 --club 1", "the price of a purchase must be more than 0; a session can be free"),
        ("spend purchase 1 --client 42 --club 9 --directly", "the organisation has no such club"),
    ];
    for (command, words) in cases {
        let word = |word: &str| match word {
            "MOST" => most.to_owned(),
            "LONG" => long.clone(),
            "TOP-UP" => top_up.clone(),
            "PAYMENT" => payment.clone(),
            word => word.to_owned(),
        };
        let args: Vec<String> = command.split(' ').map(word).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        assert_eq!(refused(&server, Role::Operator, &args), format!("refused: {words}\n"), "{command}");
    }
    // An invalid amount, source or purpose does not reach the engine.
    for command in [
        "top-up 1.234 --client 42 --club 1 --source CASH",
        "top-up 1,5 --client 42 --club 1 --source CASH",
        "top-up 5 --client 42 --club 1 --source CARD",
        "bonus pay 1 --client 42 --club 1 --for cake",
        "bonus pay 1 --client 42 --club 1",
        "spend session 1 --client 42 --club 1 --directly --from-balance",
        "spend session 1 --client 42",
    ] {
        scrip(&server, Role::Operator, &command.split(' ').collect::<Vec<_>>()).exits(2);
    }
    let after = scrip(&server, Role::Operator, &["client", "show", "42", "--json"]).json()[0]["client"]["accounts"].clone();
    assert_eq!(after, before);

    // A second refund has no effect.
    done(&server, Role::Operator, &["refund-top-up", &top_up]);
    let again = refused(&server, Role::Operator, &["refund-top-up", &top_up]);
    assert_eq!(again, "refused: the top-up was already refunded in full\n");
    done(&server, Role::Operator, &["bonus", "refund", &payment]);
    let again = refused(&server, Role::Operator, &["bonus", "refund", &payment]);
    assert_eq!(again, "refused: the payment was already refunded in full\n");
    let spent = topped_up(&server, Role::Operator, "50");
    done(&server, Role::Operator, &["spend", "session", "20", "--client", "42", "--club", "1"]);
    assert_eq!(refused(&server, Role::Operator, &["refund-top-up", &spent]), "refused: the gaming balance is only 30.00\n");
}

/// B3, Z15: a cashier credits and writes off by hand; marketing, reporters and gateways cannot. A gateway tops up, pays and
/// records for its app, and refunds its own operations; a cashier refunds anybody's.
#[test]
fn each_role_can_do_its_own_part() {
    let server = prepare();
    let of_gateway = topped_up(&server, Role::Gateway, "100");
    let of_cashier = topped_up(&server, Role::Cashier, "100");
    let credit = ["bonus", "credit", "50", "--client", "42"];
    let write_off = ["bonus", "write-off", "1", "--client", "42"];
    let pay = ["bonus", "pay", "10", "--client", "42", "--club", "1", "--for", "order"];
    let session = ["spend", "session", "10", "--client", "42", "--club", "1"];
    let top_up = ["top-up", "100", "--client", "42", "--club", "1", "--source", "ACQUIRING"];
    let rule = ["rule", "create", "--name", "Any", "--add-bonus", "1", "--inactive"];
    let group = ["group", "add", "VIP"];
    let (cashier, gateway) = (Role::Cashier, Role::Gateway);
    let may: [(&[&str], &[Role]); 7] = [
        (&credit, &[cashier]),
        (&write_off, &[cashier]),
        (&pay, &[cashier, gateway]),
        (&session, &[cashier, gateway]),
        (&top_up, &[cashier, gateway]),
        (&rule, &[Role::Marketing]),
        (&group, &[Role::Marketing]),
    ];
    for (args, roles) in may {
        for role in [Role::Gateway, Role::Marketing, Role::Cashier, Role::Reporter] {
            let ran = scrip(&server, role, args).exits(if roles.contains(&role) { 0 } else { 4 });
            let words = format!("credentials with the role {role} are not allowed to do this");
            assert_eq!(ran.err.contains(&words), !roles.contains(&role), "{args:?} as {role}: {ran:?}");
        }
    }
    let not_yours = "refused: there is no such top-up, or it is not yours\n";
    assert_eq!(refused(&server, Role::Gateway, &["refund-top-up", &of_cashier, "--amount", "1"]), not_yours);
    done(&server, Role::Gateway, &["refund-top-up", &of_gateway, "--amount", "1"]);
    done(&server, Role::Cashier, &["refund-top-up", &of_gateway, "--amount", "1"]);
    let paid = |role| outcome(&server, role, &pay)["done"]["operation"].to_string();
    let (by_app, by_cashier) = (paid(Role::Gateway), paid(Role::Cashier));
    let not_yours = "refused: there is no such payment, or it is not yours\n";
    assert_eq!(refused(&server, Role::Gateway, &["bonus", "refund", &by_cashier]), not_yours);
    done(&server, Role::Gateway, &["bonus", "refund", &by_app, "--amount", "1"]);
    done(&server, Role::Cashier, &["bonus", "refund", &by_app]);
}

/// B2, B3, B5, D6, A13, A28, A29: each movement has its label and its executor, with a name if one was given; a balance is the
/// sum of its movements.
#[tokio::test(flavor = "multi_thread")]
async fn the_journal_records_who_did_what() {
    let server = prepare();
    done(&server, Role::Marketing, &["rule", "create", "--name", "Tenth", "--add-bonus", "{{topupAmountMajor}} / 10"]);
    let campaign = ["campaign", "create", "--name", "Spring", "--amount", "5"];
    run(server.scrip(Role::Marketing).args(campaign), b"SPRING\n").exits(0);
    let at = ["--client", "42", "--club", "1"];
    let with = |args: &[&'static str]| [args, &at].concat();
    let app = topped_up(&server, Role::Gateway, "100");
    let redeemed = outcome(&server, Role::Gateway, &with(&["redeem", "SPRING"]));
    done(&server, Role::Cashier, &with(&["top-up", "50", "--source", "POS_TERMINAL", "--by", "Ann"]));
    done(&server, Role::Cashier, &["bonus", "credit", "7", "--client", "42", "--by", "Ann", "--comment", "sorry"]);
    done(&server, Role::Cashier, &["bonus", "write-off", "2", "--client", "42", "--by", "Ann"]);
    let payment = outcome(&server, Role::Gateway, &with(&["bonus", "pay", "3", "--for", "gaming-time"]));
    done(&server, Role::Cashier, &with(&["bonus", "pay", "4", "--for", "order"]));
    done(&server, Role::Gateway, &["bonus", "refund", &payment["done"]["operation"].to_string()]);
    done(&server, Role::Cashier, &with(&["spend", "session", "20"]));
    done(&server, Role::Gateway, &with(&["spend", "purchase", "5", "--directly"]));
    done(&server, Role::Operator, &["refund-top-up", &app, "--amount", "50", "--claw-back"]);
    done(&server, Role::Operator, &["refund", &redeemed["redeemed"]["activation"].to_string()]);

    let found = movements(&server).await;
    let found: Vec<_> =
        found.iter().map(|(label, executor, account, amount)| (label.as_str(), executor.as_str(), *account, *amount)).collect();
    let (gaming, bonus) = (Account::Gaming, Account::Bonus);
    assert_eq!(
        found,
        [
            ("Top-Up", "System gateway", gaming, 10_000),
            ("Bonus Credit", "System", bonus, 1_000),
            ("Bonus Credit", "System", bonus, 500),
            ("Top-Up", "Administrator Ann", gaming, 5_000),
            ("Bonus Credit", "System", bonus, 500),
            ("Bonus Credit", "Administrator Ann", bonus, 700),
            ("Bonus Write-Off", "Administrator Ann", bonus, -200),
            ("Bonus Payment", "System gateway", bonus, -300),
            ("Bonus Payment", "Administrator cashier", bonus, -400),
            ("Bonus Refund", "System gateway", bonus, 300),
            ("Session", "Administrator cashier", gaming, -2_000),
            ("Top-Up Refund", "Administrator operator", gaming, -5_000),
            ("Bonus Write-Off", "System", bonus, -500),
            ("Bonus Write-Off", "System", bonus, -500),
        ]
    );
    let sum = |of| found.iter().filter(|(_, _, account, _)| *account == of).map(|(.., amount)| amount).sum::<i64>();
    let shown = scrip(&server, Role::Reporter, &["client", "show", "42", "--json"]).exits(0).json();
    let accounts = &shown[0]["client"]["accounts"];
    assert_eq!((accounts["gaming"].as_i64(), accounts["bonus"].as_i64()), (Some(sum(gaming)), Some(sum(bonus))));
    assert_eq!(accounts["spent"], json!(2_500));
    // As the tail prints it.
    let lines = scrip(&server, Role::Reporter, &["tail"]).exits(0).json();
    let by_hand = lines.iter().find(|line| line["operation"] == "credit").expect("there was one");
    assert_eq!(json!([by_hand["record"], by_hand["comment"]]), json!(["bonus_changed", "sorry"]));
    assert_eq!(json!([by_hand["executor"]["kind"], by_hand["executor"]["name"]]), json!(["administrator", "Ann"]));
}

/// A12: the top-up during which a code was typed is stored with the activation. The activation is not a top-up itself: no rule
/// fires.
#[test]
fn an_activation_names_the_top_up_during_which_its_code_was_typed() {
    let server = prepare();
    done(&server, Role::Marketing, &["rule", "create", "--name", "Any", "--add-bonus", "1"]);
    run(server.scrip(Role::Marketing).args(["campaign", "create", "--name", "Spring", "--amount", "5"]), b"A\nB\nC\n").exits(0);
    let top_up = topped_up(&server, Role::Gateway, "100");
    let at = ["--client", "42", "--club", "1"];
    let ran = done(&server, Role::Gateway, &[&["redeem", "A", "--top-up", &top_up], &at[..]].concat());
    assert!(ran.starts_with("redeemed: 5.00 credited, bonus balance 6.00"), "{ran}");
    let held = outcome(&server, Role::Gateway, &[&["hold", "B"], &at[..]].concat());
    done(&server, Role::Gateway, &["confirm", &held["held"]["hold"].to_string(), "--top-up", &top_up]);
    done(&server, Role::Gateway, &[&["redeem", "C"], &at[..]].concat());

    let lines = scrip(&server, Role::Reporter, &["tail"]).exits(0).json();
    let of = |word: &str| -> Vec<&Value> { lines.iter().filter(|line| line["record"] == word).collect() };
    let (redeemed, confirmed) = (of("activation"), of("hold_confirmed"));
    let top_ups: Vec<&Value> = redeemed.iter().chain(&confirmed).map(|line| &line["top_up"]).collect();
    let number: u64 = top_up.parse().expect("a position");
    assert_eq!(top_ups, [&json!(number), &json!(0), &json!(number)]);
    assert_eq!(of("topped_up").len(), 1);
    assert_eq!(scrip(&server, Role::Marketing, &["rule", "show", "1", "--json"]).exits(0).json()[0]["rule"]["fired"], json!(1));
}

/// Z3, pain 27: a retry gets the same outcome, and is not executed again.
#[test]
fn retries_are_not_executed_again() {
    let mut server = prepare();
    topped_up(&server, Role::Cashier, "100");
    done(&server, Role::Cashier, &["bonus", "credit", "100", "--client", "42"]);
    let at = ["--client", "42", "--club", "1"];
    let with = |args: &[&'static str]| [args, &at].concat();
    let payment =
        outcome(&server, Role::Cashier, &with(&["bonus", "pay", "50", "--for", "order"]))["done"]["operation"].to_string();
    let commands = [
        with(&["top-up", "10", "--source", "CASH"]),
        vec!["refund-top-up", "9", "--amount", "10"],
        vec!["bonus", "credit", "10", "--client", "42"],
        vec!["bonus", "write-off", "10", "--client", "42"],
        with(&["bonus", "pay", "10", "--for", "order"]),
        vec!["bonus", "refund", &payment, "--amount", "10"],
        with(&["spend", "session", "10"]),
        with(&["spend", "purchase", "10"]),
        with(&["bonus", "pay", "1000", "--for", "order"]),
    ];
    let commands: Vec<_> = commands.into_iter().map(|args| (RequestId::now().to_string(), args)).collect();
    let send = |server: &Server| -> Vec<(i32, String)> {
        let answered = commands.iter().map(|(id, args)| {
            let ran = scrip(server, Role::Cashier, &[args.as_slice(), &["--request-id", id, "--json"]].concat());
            (ran.code, ran.out)
        });
        answered.collect()
    };
    let first = send(&server);
    let card = |server: &Server| scrip(server, Role::Cashier, &["client", "show", "42"]).exits(0).out;
    let after_first = card(&server);
    assert_eq!(send(&server), first);
    server.kill();
    server.restart();
    assert_eq!(send(&server), first, "after a kill");
    assert_eq!(card(&server), after_first);
    let codes: Vec<i32> = first.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, [0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let (id, _) = &commands[0];
    let other = [&with(&["top-up", "11", "--source", "CASH"])[..], &["--request-id", id]].concat();
    let ran = scrip(&server, Role::Cashier, &other).exits(5);
    assert!(ran.err.contains("the request id was used for another request"), "{}", ran.err);
}

/// U12: groups have names, and their clients are counted.
#[test]
fn groups_are_registered_and_listed() {
    let server = prepare();
    assert_eq!(done(&server, Role::Marketing, &["group", "list"]), "there are no groups\n");
    assert_eq!(done(&server, Role::Marketing, &["group", "add", "VIP"]), "registered as group 1\n");
    assert_eq!(outcome(&server, Role::Marketing, &["group", "add", "Newcomers"]), json!({ "registered": 2 }));
    let taken = refused(&server, Role::Marketing, &["group", "add", "VIP"]);
    assert_eq!(taken, "refused: group 1 already has that name\n");
    let nameless = refused(&server, Role::Marketing, &["group", "add", ""]);
    assert_eq!(nameless, "refused: a group's name has 1 to 200 bytes\n");
    let rule = ["rule", "create", "--name", "All", "--assign-group", "1"];
    done(&server, Role::Marketing, &rule);
    topped_up(&server, Role::Cashier, "5");
    let listed = done(&server, Role::Reporter, &["group", "list"]);
    assert_eq!(listed, "ID  NAME       CLIENTS\n 1  VIP              1\n 2  Newcomers        0\n");
    let listed = scrip(&server, Role::Gateway, &["group", "list", "--json"]).exits(0).json();
    assert_eq!(listed[0], json!({ "group": 1, "name": "VIP", "clients": 1 }));
    let shown = done(&server, Role::Cashier, &["client", "show", "42"]);
    assert!(shown.contains("\ngroups          VIP (1)\n"), "{shown}");
}
