//! The ledger: credits, write-offs and payments of bonuses, their refunds, sessions and purchases (B1 to B6, A13, A28 to A30).
//! `top_ups` tests what rules do on top-ups.
//!
//! Positions: the settings are at 1. Refusals are records as well.

use scrip_protocol::Settings;
use scrip_protocol::command::{COMMENT_BYTES_MAX, NAME_BYTES_MAX, TAG_BYTES_MAX};

use super::script::{check, check_with};

/// B2, B3, B6, A13, A28, D6: every kind of operation, with its label, executor and origin. A gateway is the system and a cashier
/// a person; a refund is always the system's; credits by rules and codes are automatic.
#[test]
fn every_operation_has_its_label_and_its_executor() {
    check(
        r#"
        credential gateway App
        credential cashier Till
        club Arena
        client 7 Ann
        rule bonus="{{topupAmountMajor}} * 0.1" tags=welcome
        campaign amount=3.00 codes=A
        top-up 7 100.00 ACQUIRING
        credit 7 5.00 by=2 name=Bob comment="a late start" tags=sorry,birthday
        pay 7 2.00
        pay 7 1.00 order by=2
        write-off 7 4.00 by=2
        refund-payment 10
        refund-payment 11 by=2
        redeem client=7 code=A top-up=8
        refund 15
        session 7 2.50
        purchase 7 1.25 by=2 name=Bob
        session 7 1.00 directly
        refund-top-up 8 amount=50.00 claw-back
        accounts 7
        entries 8
        entries 9
        entries 10
        entries 11
        entries 12
        entries 13
        entries 14
        entries 15
        entries 16
        entries 17
        entries 18
        entries 19
        entries 20
        entries 5
        "#,
        r#"
        added as credential 1
        added as credential 2
        registered as club 1
        registered
        created rule 1
        created campaign 1: added 1, skipped 0
        topped up: gaming balance 100.00, 10.00 credited, bonus balance 10.00, rules fired 1, top-up 8
        Bonus Credit: 5.00, bonus balance 15.00, operation 9
        Bonus Payment: 2.00, bonus balance 13.00, operation 10
        Bonus Payment: 1.00, bonus balance 12.00, operation 11
        Bonus Write-Off: 4.00, bonus balance 8.00, operation 12
        Bonus Refund: 2.00, bonus balance 10.00, operation 13
        Bonus Refund: 1.00, bonus balance 11.00, operation 14
        campaign 1: 3.00 credited, balance 14.00
        refunded: 3.00 debited from client 7, bonus balance 11.00
        recorded: gaming balance 97.50, 2.50 spent in total, sessions 1, operation 17
        recorded: gaming balance 96.25, 3.75 spent in total, sessions 1, operation 18
        recorded: gaming balance 96.25, 4.75 spent in total, sessions 2, operation 19
        refunded: 50.00, gaming balance 46.25, 5.00 of the bonus debited, bonus balance 6.00
        gaming 46.25, bonus 6.00, 4.75 spent, sessions 2
        7 gaming 100.00: Top-Up / System 1 App; 7 bonus 10.00: Bonus Credit / System, of rule 1 #welcome
        7 bonus 5.00: Bonus Credit / Administrator 2 Bob #birthday #sorry
        7 bonus -2.00: Bonus Payment / System 1 App
        7 bonus -1.00: Bonus Payment / Administrator 2 Till
        7 bonus -4.00: Bonus Write-Off / Administrator 2 Till
        7 bonus 2.00: Bonus Refund / System 1 App, of payment 10
        7 bonus 1.00: Bonus Refund / System 2 Till, of payment 11
        7 bonus 3.00: Bonus Credit / System, of code 0 of campaign 1 #promo-code
        7 bonus -3.00: Bonus Write-Off / System, of activation 15 #promo-code-refund
        7 gaming -2.50: Session / System 1 App
        7 gaming -1.25: Purchase / Administrator 2 Bob
        none
        7 gaming -50.00: Top-Up Refund / System 1 App, of top-up 8; 7 bonus -5.00: Bonus Write-Off / System, of top-up 8 #claw-back
        none
        "#,
    );
}

/// A28, B3: cashiers and operators are persons, whom the request may name; all others are the system. Operations of a revoked
/// credential keep its name.
#[test]
fn the_executor_follows_from_the_credential() {
    check(
        r#"
        credential gateway App
        credential marketing Desk
        credential cashier Till
        credential reporter Job
        credential operator Boss
        client 7
        credit 7 1 by=1
        credit 7 1 by=2 name=Bob
        credit 7 1 by=3
        credit 7 1 by=4
        credit 7 1 by=5 name=Bob
        credit 7 1 by=6
        credit 7 1 by=0
        entries 8
        entries 9
        entries 10
        entries 11
        entries 12
        entries 13
        entries 14
        "#,
        r#"
        added as credential 1
        added as credential 2
        added as credential 3
        added as credential 4
        added as credential 5
        registered
        Bonus Credit: 1.00, bonus balance 1.00, operation 8
        Bonus Credit: 1.00, bonus balance 2.00, operation 9
        Bonus Credit: 1.00, bonus balance 3.00, operation 10
        Bonus Credit: 1.00, bonus balance 4.00, operation 11
        Bonus Credit: 1.00, bonus balance 5.00, operation 12
        Bonus Credit: 1.00, bonus balance 6.00, operation 13
        Bonus Credit: 1.00, bonus balance 7.00, operation 14
        7 bonus 1.00: Bonus Credit / System 1 App
        7 bonus 1.00: Bonus Credit / System 2 Bob
        7 bonus 1.00: Bonus Credit / Administrator 3 Till
        7 bonus 1.00: Bonus Credit / System 4 Job
        7 bonus 1.00: Bonus Credit / Administrator 5 Bob
        7 bonus 1.00: Bonus Credit / System 6
        7 bonus 1.00: Bonus Credit / System
        "#,
    );
}

/// B1: the accounts are independent: neither pays for the other.
#[test]
fn the_two_accounts_are_independent() {
    check(
        r#"
        club Arena
        top-up 7 10.00 CASH
        pay 7 0.01
        credit 7 5.00
        session 7 10.01
        session 7 10.00
        session 7 0.01
        pay 7 5.00 order
        accounts 7
        accounts 8
        "#,
        r#"
        registered as club 1
        topped up: gaming balance 10.00, bonus balance 0.00, rules fired 0, top-up 3
        refused: the bonus balance is only 0.00
        Bonus Credit: 5.00, bonus balance 5.00, operation 5
        refused: the gaming balance is only 10.00
        recorded: gaming balance 0.00, 10.00 spent in total, sessions 1, operation 7
        refused: the gaming balance is only 0.00
        Bonus Payment: 5.00, bonus balance 0.00, operation 9
        gaming 0.00, bonus 0.00, 10.00 spent, sessions 1
        unknown
        "#,
    );
}

/// Notes that each fail one check and all later ones, with the answer. The last is valid.
fn notes() -> Vec<(String, Option<&'static str>)> {
    let (name, comment) = ("n".repeat(NAME_BYTES_MAX), "c".repeat(COMMENT_BYTES_MAX));
    let (tag, tags) = ("t".repeat(TAG_BYTES_MAX), "1,2,3,4,5,6,7");
    vec![
        (format!(r#"name=n{name} comment=c{comment} tags=a,"#), Some("refused: the person's name has at most 200 bytes")),
        (format!(r#"name={name} comment=c{comment} tags=a,"#), Some("refused: a comment has at most 500 bytes")),
        (
            format!(r#"comment={comment} tags="a, ,t{tag}""#),
            Some("refused: tag 2: a tag has 1 to 50 bytes, and no control characters"),
        ),
        (format!(r#"tags=a,t{tag}"#), Some("refused: tag 2: a tag has 1 to 50 bytes, and no control characters")),
        ("tags=a\tb".to_owned(), Some("refused: tag 1: a tag has 1 to 50 bytes, and no control characters")),
        (format!(r#"tags={tags},8,9"#), Some("refused: at most 8 tags are allowed")),
        (format!(r#"name={name} comment={comment} tags={tags},1,{tag}"#), None),
    ]
}

/// Runs the lines of a command that fail for their amount, for each kind of note, and for later reasons.
#[track_caller]
fn check_precedence(before: &[(&str, &str)], invalid: &[&str], with_note: &str, after: &[(&str, &str)]) {
    let mut lines: Vec<(String, String)> = Vec::new();
    let owned = |(line, answer): &(&str, &str)| ((*line).to_owned(), (*answer).to_owned());
    let wrong_note = &notes()[0].0;
    lines.extend(before.iter().map(owned));
    for line in invalid {
        let refused = match line.starts_with("session") || line.starts_with("purchase") {
            true => "refused: the price of a purchase must be more than 0; a session can be free",
            false => "refused: the amount must be more than 0",
        };
        lines.push((format!("{line} {wrong_note}"), refused.to_owned()));
    }
    let refused_notes = notes().into_iter().filter_map(|(note, refused)| Some((note, refused?)));
    lines.extend(refused_notes.map(|(note, refused)| (format!("{with_note} {note}"), refused.to_owned())));
    let good_note = notes().pop().expect("there are some").0;
    lines.extend(after.iter().map(owned).map(|(line, answer)| (format!("{line} {good_note}"), answer)));
    let (script, expected): (Vec<String>, Vec<String>) = lines.into_iter().unzip();
    check(&script.join("\n"), &expected.join("\n"));
}

/// B4, A30: each request fails the check that it is refused for, and all later ones. Refused requests change nothing.
#[test]
fn refusals_of_bonus_operations_come_in_order_of_precedence() {
    let before = [("club Arena", "registered as club 1"), ("client 7", "registered")];
    let unknown_club = "refused: the organisation has no such club";
    let unknown_client = "refused: unknown client";
    let full = "92233720368547758.07";
    check_precedence(
        &before,
        &["credit 8 0 club=9", "credit 8 -0.01 club=9", "credit 8 -92233720368547758.07 club=9"],
        "credit 8 92233720368547758.07 club=9",
        &[
            ("credit 8 92233720368547758.07 club=9", unknown_club),
            ("credit 8 92233720368547758.07 club=0", unknown_club),
            ("credit 8 92233720368547758.07 club=1", unknown_client),
            ("accounts 8", "unknown"),
            ("credit 7 0.01", "Bonus Credit: 0.01, bonus balance 0.01, operation 16"),
            (&format!("credit 7 {full}"), "refused: the amount would overflow the bonus balance"),
            ("credit 7 92233720368547758.06", &format!("Bonus Credit: 92233720368547758.06, bonus balance {full}, operation 18")),
            ("credit 7 0.01 club=1", "refused: the amount would overflow the bonus balance"),
            ("accounts 7", &format!("gaming 0.00, bonus {full}, 0.00 spent, sessions 0")),
        ],
    );
    for (word, label) in [("write-off", "Bonus Write-Off"), ("pay", "Bonus Payment")] {
        let line = |rest: &str| format!("{word} {rest}");
        check_precedence(
            &[before[0], before[1], ("credit 7 5.00", "Bonus Credit: 5.00, bonus balance 5.00, operation 4")],
            &[&line("8 0 club=9"), &line("8 -5.00 club=9")],
            &line("8 1 club=9"),
            &[
                (&line("8 1 club=9"), unknown_club),
                (&line("8 1"), unknown_client),
                (&line("7 5.01"), "refused: the bonus balance is only 5.00"),
                (&line(&format!("7 {full}")), "refused: the bonus balance is only 5.00"),
                (&line("7 4.99 club=1"), &format!("{label}: 4.99, bonus balance 0.01, operation 17")),
                (&line("7 0.02"), "refused: the bonus balance is only 0.01"),
                (&line("7 0.01"), &format!("{label}: 0.01, bonus balance 0.00, operation 19")),
                (&line("7 0.01"), "refused: the bonus balance is only 0.00"),
                ("accounts 7", "gaming 0.00, bonus 0.00, 0.00 spent, sessions 0"),
            ],
        );
    }
}

/// A30: refunds of a payment: each request fails the check that it is refused for, and all later ones.
#[test]
fn refusals_of_a_refunded_payment_come_in_order_of_precedence() {
    let unknown = "refused: there is no such payment, or it is not yours";
    let full = "refused: the amount would overflow the bonus balance";
    check_precedence(
        &[
            ("club Arena", "registered as club 1"),
            ("client 7", "registered"),
            ("credit 7 5.00", "Bonus Credit: 5.00, bonus balance 5.00, operation 4"),
            ("pay 7 3.00", "Bonus Payment: 3.00, bonus balance 2.00, operation 5"),
            ("write-off 7 1.00", "Bonus Write-Off: 1.00, bonus balance 1.00, operation 6"),
            ("top-up 7 1.00 CASH", "topped up: gaming balance 1.00, bonus balance 1.00, rules fired 0, top-up 7"),
            (
                "credit 7 92233720368547757.06",
                "Bonus Credit: 92233720368547757.06, bonus balance 92233720368547758.06, operation 8",
            ),
        ],
        &["refund-payment 99 amount=0", "refund-payment 5 amount=-1 by=2"],
        "refund-payment 99 amount=9.00",
        &[
            ("refund-payment 99 operator", unknown),
            ("refund-payment 0 operator", unknown),
            ("refund-payment 18446744073709551615 operator", unknown),
            // Not payments: a credit, a write-off, a top-up, a refusal, the settings.
            ("refund-payment 4 operator amount=0.01", unknown),
            ("refund-payment 6 operator", unknown),
            ("refund-payment 7 operator", unknown),
            ("refund-payment 9 operator", unknown),
            ("refund-payment 1 operator", unknown),
            ("refund-payment 5 amount=9.00 by=2", unknown),
            ("refund-payment 5 amount=3.01", "refused: only 3.00 of the payment can still be refunded"),
            ("refund-payment 5", full),
            ("refund-payment 5 amount=0.02", full),
            ("refund-payment 5 amount=0.01", "Bonus Refund: 0.01, bonus balance 92233720368547758.07, operation 29"),
            ("refund-payment 5 amount=3.00", "refused: only 2.99 of the payment can still be refunded"),
            ("refund-payment 5", full),
            ("pay 7 92233720368547758.07", "Bonus Payment: 92233720368547758.07, bonus balance 0.00, operation 32"),
            ("refund-payment 5 amount=2.98 by=2 operator", "Bonus Refund: 2.98, bonus balance 2.98, operation 33"),
            ("refund-payment 5", "Bonus Refund: 0.01, bonus balance 2.99, operation 34"),
            ("refund-payment 5", "refused: the payment was already refunded in full"),
            ("refund-payment 5 amount=0.01", "refused: the payment was already refunded in full"),
            // A refund is no payment.
            ("refund-payment 34 operator", unknown),
            ("accounts 7", "gaming 1.00, bonus 2.99, 0.00 spent, sessions 0"),
        ],
    );
}

/// U3, A30: sessions and purchases: each request fails the check that it is refused for, and all later ones.
#[test]
fn refusals_of_sessions_and_purchases_come_in_order_of_precedence() {
    for (word, sessions) in [("session", 1), ("purchase", 0)] {
        let line = |rest: &str| format!("{word} {rest}");
        let invalid: &[&str] = match word {
            "purchase" => &["purchase 8 0 club=9", "purchase 8 -0.01 club=9"],
            _ => &["session 8 -0.01 club=9", "session 8 -92233720368547758.07 club=9"],
        };
        let recorded = |gaming: &str, spent: &str, sessions: u32, operation: u64| {
            format!("recorded: gaming balance {gaming}, {spent} spent in total, sessions {sessions}, operation {operation}")
        };
        check_precedence(
            &[
                ("club Arena", "registered as club 1"),
                ("top-up 7 5.00 CASH", "topped up: gaming balance 5.00, bonus balance 0.00, rules fired 0, top-up 3"),
                ("client 9", "registered"),
            ],
            invalid,
            &line("8 1 club=9"),
            &[
                (&line("8 5.01 club=9"), "refused: the organisation has no such club"),
                (&line("8 5.01"), "refused: unknown client"),
                (&line("8 5.01 directly"), "refused: unknown client"),
                (&line("7 5.01"), "refused: the gaming balance is only 5.00"),
                (&line("7 2.00"), &recorded("3.00", "2.00", sessions, 17)),
                (&line("7 92233720368547756.07 directly"), &recorded("3.00", "92233720368547758.07", 2 * sessions, 18)),
                (&line("7 3.01"), "refused: the gaming balance is only 3.00"),
                (&line("7 0.01"), "refused: the amount would overflow the client's total spending"),
                (&line("7 0.01 directly"), "refused: the amount would overflow the client's total spending"),
                (&line("9 0.01"), "refused: the gaming balance is only 0.00"),
                (&line("9 0.01 directly"), &recorded("0.00", "0.01", sessions, 23)),
                ("accounts 7", &format!("gaming 3.00, bonus 0.00, 92233720368547758.07 spent, sessions {}", 2 * sessions)),
            ],
        );
    }
    check(
        "club Arena\nclient 7\nsession 7 0\nsession 7 0 directly\nentries 4",
        "registered as club 1\nregistered\nrecorded: gaming balance 0.00, 0.00 spent in total, sessions 1, operation 4\n\
         recorded: gaming balance 0.00, 0.00 spent in total, sessions 2, operation 5\nnone",
    );
}

/// U2: top-ups: each request fails the check that it is refused for, and all later ones. A refused one registers nobody.
#[test]
fn refusals_of_a_top_up_come_in_order_of_precedence() {
    let done = |gaming: &str, top_up: u64| {
        format!("topped up: gaming balance {gaming}, bonus balance 0.00, rules fired 0, top-up {top_up}")
    };
    check_precedence(
        &[("club Arena", "registered as club 1"), ("top-up 7 0.01 CASH", &done("0.01", 3))],
        &["top-up 7 0 CASH club=9", "top-up 7 -0.01 CASH club=9"],
        "top-up 7 92233720368547758.07 CASH club=9",
        &[
            ("top-up 7 92233720368547758.07 CASH club=9", "refused: the organisation has no such club"),
            ("top-up 8 1 CASH club=0", "refused: the organisation has no such club"),
            ("accounts 8", "unknown"),
            ("top-up 7 92233720368547758.07 CASH", "refused: the amount would overflow the gaming balance"),
            ("top-up 7 92233720368547758.06 POS_TERMINAL", &done("92233720368547758.07", 15)),
            ("top-up 7 0.01 CASH", "refused: the amount would overflow the gaming balance"),
            ("top-up 8 92233720368547758.07 ACQUIRING", &done("92233720368547758.07", 17)),
            ("accounts 7", "gaming 92233720368547758.07, bonus 0.00, 0.00 spent, sessions 0"),
            ("accounts 8", "gaming 92233720368547758.07, bonus 0.00, 0.00 spent, sessions 0"),
        ],
    );
}

/// A29, A30: refunds of a top-up: each request fails the check that it is refused for, and all later ones.
#[test]
fn refusals_of_a_refunded_top_up_come_in_order_of_precedence() {
    let unknown = "refused: there is no such top-up, or it is not yours";
    check_precedence(
        &[
            ("club Arena", "registered as club 1"),
            ("top-up 7 5.00 CASH", "topped up: gaming balance 5.00, bonus balance 0.00, rules fired 0, top-up 3"),
            ("session 7 4.00", "recorded: gaming balance 1.00, 4.00 spent in total, sessions 1, operation 4"),
            ("credit 7 9.00", "Bonus Credit: 9.00, bonus balance 9.00, operation 5"),
        ],
        &["refund-top-up 99 amount=0", "refund-top-up 3 amount=-1 by=2"],
        "refund-top-up 99 amount=9.00",
        &[
            ("refund-top-up 99 operator", unknown),
            ("refund-top-up 0 operator", unknown),
            ("refund-top-up 4 operator", unknown),
            ("refund-top-up 5 operator", unknown),
            ("refund-top-up 6 operator", unknown),
            ("refund-top-up 3 amount=9.00 by=2", unknown),
            ("refund-top-up 3 amount=5.01", "refused: only 5.00 of the top-up can still be refunded"),
            ("refund-top-up 3 amount=92233720368547758.07", "refused: only 5.00 of the top-up can still be refunded"),
            ("refund-top-up 3", "refused: the gaming balance is only 1.00"),
            ("refund-top-up 3 amount=1.01", "refused: the gaming balance is only 1.00"),
            ("refund-top-up 3 amount=0.40", "refunded: 0.40, gaming balance 0.60, bonus balance 9.00"),
            ("refund-top-up 3 amount=4.61", "refused: only 4.60 of the top-up can still be refunded"),
            ("refund-top-up 3 amount=4.60", "refused: the gaming balance is only 0.60"),
            ("top-up 7 4.00 CASH", "topped up: gaming balance 4.60, bonus balance 9.00, rules fired 0, top-up 27"),
            ("refund-top-up 3 claw-back", "refunded: 4.60, gaming balance 0.00, bonus balance 9.00"),
            ("refund-top-up 3", "refused: the top-up was already refunded in full"),
            ("refund-top-up 3 amount=0.01", "refused: the top-up was already refunded in full"),
            // A refund is no top-up.
            ("refund-top-up 28 operator", unknown),
            ("accounts 7", "gaming 0.00, bonus 9.00, 4.00 spent, sessions 1"),
        ],
    );
}

/// Pain 25, A30: refunds in any number of parts, by any credentials, never exceed the whole; a gateway only refunds its own
/// operations.
#[test]
fn refunds_never_exceed_the_whole_for_any_caller() {
    check(
        r#"
        credential gateway App
        credential gateway Kiosk
        credential cashier Till
        club Arena
        top-up 7 10.00 ACQUIRING
        credit 7 10.00 by=3
        pay 7 10.00
        # What else the client has is no part of it.
        top-up 7 100.00 CASH by=3
        credit 7 100.00 by=3
        refund-top-up 6 amount=4.00
        refund-payment 8 amount=4.00
        refund-top-up 6 amount=1.00 by=2
        refund-payment 8 amount=1.00 by=2
        refund-top-up 6 amount=6.01 by=3 operator
        refund-payment 8 amount=6.01 by=3 operator
        refund-top-up 6 amount=5.00 by=3 operator
        refund-payment 8 amount=5.00 by=3 operator
        refund-top-up 6 amount=2.00
        refund-payment 8 amount=2.00
        refund-top-up 6 by=3 operator
        refund-payment 8 by=3 operator
        refund-top-up 6
        refund-payment 8
        refund-top-up 6 by=3 operator
        refund-payment 8 by=3 operator
        accounts 7
        "#,
        r#"
        added as credential 1
        added as credential 2
        added as credential 3
        registered as club 1
        topped up: gaming balance 10.00, bonus balance 0.00, rules fired 0, top-up 6
        Bonus Credit: 10.00, bonus balance 10.00, operation 7
        Bonus Payment: 10.00, bonus balance 0.00, operation 8
        topped up: gaming balance 110.00, bonus balance 0.00, rules fired 0, top-up 9
        Bonus Credit: 100.00, bonus balance 100.00, operation 10
        refunded: 4.00, gaming balance 106.00, bonus balance 100.00
        Bonus Refund: 4.00, bonus balance 104.00, operation 12
        refused: there is no such top-up, or it is not yours
        refused: there is no such payment, or it is not yours
        refused: only 6.00 of the top-up can still be refunded
        refused: only 6.00 of the payment can still be refunded
        refunded: 5.00, gaming balance 101.00, bonus balance 104.00
        Bonus Refund: 5.00, bonus balance 109.00, operation 18
        refused: only 1.00 of the top-up can still be refunded
        refused: only 1.00 of the payment can still be refunded
        refunded: 1.00, gaming balance 100.00, bonus balance 109.00
        Bonus Refund: 1.00, bonus balance 110.00, operation 22
        refused: the top-up was already refunded in full
        refused: the payment was already refunded in full
        refused: the top-up was already refunded in full
        refused: the payment was already refunded in full
        gaming 100.00, bonus 110.00, 0.00 spent, sessions 0
        "#,
    );
}

/// Z3, pain 27: a retry of any request that moves money moves it once and gets the same answer, whatever the balances are by
/// then.
#[test]
fn retries_move_money_once() {
    let requests = [
        (
            "top-up 7 10.00 CASH request=1",
            "topped up: gaming balance 10.00, 1.00 credited, bonus balance 1.00, rules fired 1, top-up 4",
        ),
        ("credit 7 5.00 request=2", "Bonus Credit: 5.00, bonus balance 6.00, operation 5"),
        ("pay 7 4.00 request=3", "Bonus Payment: 4.00, bonus balance 2.00, operation 6"),
        ("pay 7 4.00 request=4", "refused: the bonus balance is only 2.00"),
        ("refund-payment 6 request=5", "Bonus Refund: 4.00, bonus balance 6.00, operation 8"),
        ("write-off 7 1.00 request=6", "Bonus Write-Off: 1.00, bonus balance 5.00, operation 9"),
        ("session 7 2.00 request=7", "recorded: gaming balance 8.00, 2.00 spent in total, sessions 1, operation 10"),
        ("purchase 7 3.00 request=8", "recorded: gaming balance 5.00, 5.00 spent in total, sessions 1, operation 11"),
        (
            "refund-top-up 4 amount=5.00 claw-back request=9",
            "refunded: 5.00, gaming balance 0.00, 0.50 of the bonus debited, bonus balance 4.50",
        ),
        ("refund-top-up 4 request=10", "refused: the gaming balance is only 0.00"),
    ];
    let mut script = vec!["club Arena".to_owned(), r#"rule bonus="{{topupAmountMajor}} / 10""#.to_owned()];
    let mut expected = vec!["registered as club 1".to_owned(), "created rule 1".to_owned()];
    script.extend(requests.iter().map(|(line, _)| (*line).to_owned()));
    expected.extend(requests.iter().map(|(_, answer)| (*answer).to_owned()));
    script.push("switch-rule 1 off".to_owned());
    expected.push("inactive: it does not fire".to_owned());
    script.extend(requests.iter().map(|(line, _)| (*line).to_owned()));
    expected.extend(requests.iter().map(|(_, answer)| format!("again: {answer}")));
    script.extend(["pay 7 4.01 request=3".to_owned(), "accounts 7".to_owned()]);
    expected.push("not executed: the request id was used for another request".to_owned());
    expected.push("gaming 0.00, bonus 4.50, 5.00 spent, sessions 1".to_owned());
    check(&script.join("\n"), &expected.join("\n"));
}

/// B2, B4: a record keeps the comment, the club and the tags in order; a payment also its purpose.
#[test]
fn records_keep_their_notes() {
    use scrip_protocol::command::{BonusOperation, PaidFor};
    use scrip_protocol::{ClubId, Record};
    let bench = check_with(
        Settings::default(),
        "club Arena\nclient 7\ncredit 7 2 club=1 comment=\"a late start\" tags=b,a,b\npay 7 1 order comment=cola\npay 7 1",
        "registered as club 1\nregistered\nBonus Credit: 2.00, bonus balance 2.00, operation 4\n\
         Bonus Payment: 1.00, bonus balance 1.00, operation 5\nBonus Payment: 1.00, bonus balance 0.00, operation 6",
    );
    let said: Vec<_> = bench.records[3..]
        .iter()
        .map(|(_, record)| {
            let Record::BonusChanged(record) = record else { panic!("{record:?}") };
            (record.operation, record.club, record.comment.as_str(), record.tags.join(" "))
        })
        .collect();
    let expected = [
        (BonusOperation::Credit, Some(ClubId(1)), "a late start", "a b".to_owned()),
        (BonusOperation::Payment(PaidFor::Order), Some(ClubId(1)), "cola", String::new()),
        (BonusOperation::Payment(PaidFor::GamingTime), Some(ClubId(1)), "", String::new()),
    ];
    assert_eq!(said, expected);
}
