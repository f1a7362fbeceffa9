//! The cases, by requirement.

use scrip_protocol::command::{Activation, CLUBS_PER_CAMPAIGN_MAX, CreateCampaignOutcome, NAME_BYTES_MAX};
use scrip_protocol::{CampaignId, ClientId, ClubId, Money, Position, Record, Settings, UtcTime, wire};

use super::script::{check, check_with};
use super::{Bench, START_MS, list, stamp};
use crate::state::requests::Remembered;
use crate::state::{CreateCampaignRequest, Mutation};

/// D1, D2, D4: the code is validated, the bonus credited and the activation recorded in one step.
#[test]
fn a_code_is_redeemed() {
    check(
        r#"
        club Arena
        client 7 Ann
        campaign amount=5.00 cap=1 codes=SUMMER,AUTUMN
        redeem client=7 club=1 code=SUMMER
        redeem client=7 club=1 code=SUMMER
        redeem client=7 club=1 code=AUTUMN
        show client 7
        show campaign 1
        "#,
        r#"
        registered as club 1
        registered
        created campaign 1: added 2, skipped 0
        campaign 1: 5.00 credited, balance 5.00
        code_exhausted
        campaign 1: 5.00 credited, balance 10.00
        "Ann" has 10.00
        active, redeemable, 2 of 2 codes activated, 2 activations, 10.00 issued
        "#,
    );
}

/// D2: each failure has its own reason. Each attempt also fails all later checks.
#[test]
fn refusals_of_a_redemption_come_in_order_of_precedence() {
    check(
        r#"
        club Arena
        club Base
        campaign amount=92233720368547758.07 cap=1 clubs=1 codes=X
        redeem client=1 club=1 code=X
        switch 1 off
        redeem client=1 club=9 code="x x"
        redeem client=1 club=9 code=none
        redeem client=1 club=0 code=none
        redeem client=1 club=2 code=none
        redeem client=1 club=2 code=X
        switch 1 on
        redeem client=1 club=2 code=X
        redeem client=1 club=1 code=X
        add 1 codes=Y
        redeem client=1 club=1 code=Y
        "#,
        r#"
        registered as club 1
        registered as club 2
        created campaign 1: added 1, skipped 0
        campaign 1: 92233720368547758.07 credited, balance 92233720368547758.07
        inactive: its codes are refused
        invalid_code: character 2 is white space
        unknown_club
        unknown_club
        unknown_code
        campaign_inactive
        active: its codes are accepted
        club_excluded
        code_exhausted
        added 1, skipped 0
        amount_limit
        "#,
    );
}

/// D3, D5: the cap counts per code, not per campaign; without one there is no limit.
#[test]
fn a_code_can_be_used_exactly_up_to_its_cap() {
    check(
        r#"
        club Arena
        campaign amount=1 cap=3 codes=A,B
        redeem client=1 code=A
        redeem client=2 code=A
        redeem client=1 code=A
        redeem client=3 code=A
        redeem client=3 code=B
        show campaign 1
        "#,
        r#"
        registered as club 1
        created campaign 1: added 2, skipped 0
        campaign 1: 1.00 credited, balance 1.00
        campaign 1: 1.00 credited, balance 1.00
        campaign 1: 1.00 credited, balance 2.00
        code_exhausted
        campaign 1: 1.00 credited, balance 1.00
        active, redeemable, 2 of 2 codes activated, 4 activations, 4.00 issued
        "#,
    );
    for (cap, attempts, activations) in [("cap=1", 5, 1), ("cap=3", 2, 2), ("cap=3", 9, 3), ("", 500, 500)] {
        let script =
            format!("club Arena\ncampaign amount=1 {cap} codes=A\n{}show campaign 1", "redeem code=a\n".repeat(attempts));
        let redemptions: String = (1..=attempts)
            .map(|nth| match nth <= activations {
                true => format!("campaign 1: 1.00 credited, balance {nth}.00\n"),
                false => "code_exhausted\n".to_owned(),
            })
            .collect();
        let shown = format!("active, redeemable, 1 of 1 codes activated, {activations} activations, {activations}.00 issued");
        check(&script, &format!("registered as club 1\ncreated campaign 1: added 1, skipped 0\n{redemptions}{shown}"));
    }
}

/// C2: clubs are a list, and an empty one means all, including those registered later.
#[test]
fn a_campaign_without_clubs_runs_at_all_of_them() {
    check(
        r#"
        club Arena
        club Base
        campaign amount=1 codes=ALL
        campaign amount=1 clubs=2,1,2 codes=BOTH
        campaign amount=1 clubs=2 codes=ONE
        club Cave
        redeem club=3 code=ALL
        redeem club=1 code=BOTH
        redeem club=2 code=BOTH
        redeem club=3 code=BOTH
        redeem club=1 code=ONE
        redeem club=2 code=ONE
        "#,
        r#"
        registered as club 1
        registered as club 2
        created campaign 1: added 1, skipped 0
        created campaign 2: added 1, skipped 0
        created campaign 3: added 1, skipped 0
        registered as club 3
        campaign 1: 1.00 credited, balance 1.00
        campaign 2: 1.00 credited, balance 2.00
        campaign 2: 1.00 credited, balance 3.00
        club_excluded
        club_excluded
        campaign 3: 1.00 credited, balance 4.00
        "#,
    );
}

/// C7, C8, C9, A1: the switch stops redemption; the period only informs.
#[test]
fn a_campaign_is_stopped_by_its_switch_and_not_by_its_period() {
    check(
        r#"
        club Arena
        campaign amount=1 from=1000 to=2000 codes=A,B
        show campaign 1
        redeem code=A
        at 1000
        show campaign 1
        at 2000
        show campaign 1
        at 2001
        show campaign 1
        redeem code=A
        switch 1 off
        show campaign 1
        redeem code=A
        redeem code=B
        switch 1 off
        switch 1 on
        redeem code=A
        switch 2 on
        campaign amount=1 off codes=C
        redeem code=C
        "#,
        r#"
        registered as club 1
        created campaign 1: added 2, skipped 0
        inactive, redeemable, 0 of 2 codes activated, 0 activations, 0.00 issued
        campaign 1: 1.00 credited, balance 1.00
        active, redeemable, 1 of 2 codes activated, 1 activations, 1.00 issued
        active, redeemable, 1 of 2 codes activated, 1 activations, 1.00 issued
        inactive, redeemable, 1 of 2 codes activated, 1 activations, 1.00 issued
        campaign 1: 1.00 credited, balance 2.00
        inactive: its codes are refused
        inactive, not redeemable, 1 of 2 codes activated, 2 activations, 2.00 issued
        campaign_inactive
        campaign_inactive
        inactive: its codes are refused
        active: its codes are accepted
        campaign 1: 1.00 credited, balance 3.00
        refused: there is no such campaign
        created campaign 2: added 1, skipped 0
        campaign_inactive
        "#,
    );
}

/// K4, K9: letter case and surrounding characters of a code do not matter, in lists and in redemptions.
#[test]
fn codes_are_the_same_whatever_their_case() {
    check(
        r#"
        club Arena
        campaign amount=1 codes="Summer, ЛЕТО ,Straße" skip
        redeem code="  sUMMER	"
        redeem code=лето
        redeem code=STRASSE
        redeem code=""
        add 1 codes=" SUMMER,лето " skip
        "#,
        r#"
        registered as club 1
        created campaign 1: added 3, skipped 0
        campaign 1: 1.00 credited, balance 1.00
        campaign 1: 1.00 credited, balance 2.00
        campaign 1: 1.00 credited, balance 3.00
        invalid_code: it is empty
        added 0, skipped 2; 1 SUMMER: already in this campaign; 2 лето: already in this campaign
        "#,
    );
}

/// D1, B5: an unknown client is registered by the first redemption; a refused one leaves no trace of the client.
#[test]
fn an_unknown_client_is_registered_by_a_redemption() {
    check(
        r#"
        club Arena
        campaign amount=2.50 codes=A
        redeem client=8 code=none
        show client 8
        redeem client=8 code=A
        show client 8
        client 8 Bob
        redeem client=8 code=A
        show client 8
        client 8
        show client 8
        client 9 Cid
        show client 9
        redeem client=0190b6a0-7c1e-7d43-9a52-3f8d2f0b6c11 code=A
        show client 0190b6a0-7c1e-7d43-9a52-3f8d2f0b6c11
        "#,
        r#"
        registered as club 1
        created campaign 1: added 1, skipped 0
        unknown_code
        unknown
        campaign 1: 2.50 credited, balance 2.50
        "" has 2.50
        already registered; the name was set
        campaign 1: 2.50 credited, balance 5.00
        "Bob" has 5.00
        already registered; the name was set
        "" has 5.00
        registered
        "Cid" has 0.00
        campaign 1: 2.50 credited, balance 2.50
        "" has 2.50
        "#,
    );
}

/// Neither a balance nor a campaign's sum ever overflows; the use of the code is not spent.
#[test]
fn amounts_never_overflow() {
    check(
        r#"
        club Arena
        campaign amount=92233720368547758.06 codes=A
        campaign amount=0.01 cap=2 codes=B
        redeem client=1 code=A
        redeem client=2 code=A
        redeem client=1 code=B
        redeem client=1 code=B
        redeem client=2 code=B
        show client 1
        show client 2
        show campaign 1
        show campaign 2
        "#,
        r#"
        registered as club 1
        created campaign 1: added 1, skipped 0
        created campaign 2: added 1, skipped 0
        campaign 1: 92233720368547758.06 credited, balance 92233720368547758.06
        amount_limit
        campaign 2: 0.01 credited, balance 92233720368547758.07
        amount_limit
        campaign 2: 0.01 credited, balance 0.01
        "" has 92233720368547758.07
        "" has 0.01
        active, redeemable, 1 of 1 codes activated, 1 activations, 92233720368547758.06 issued
        active, redeemable, 1 of 1 codes activated, 2 activations, 0.02 issued
        "#,
    );
}

/// C3: each request fails the check that it is refused for, and all later ones.
#[test]
fn refusals_of_a_campaign_come_in_order_of_precedence() {
    let (long, too_long) = ("n".repeat(NAME_BYTES_MAX), "n".repeat(NAME_BYTES_MAX + 1));
    let clubs = |count: usize| (1..=count).map(|club| club.to_string()).collect::<Vec<_>>().join(",");
    let (many, too_many) = (clubs(CLUBS_PER_CAMPAIGN_MAX), clubs(CLUBS_PER_CAMPAIGN_MAX + 1));
    let settings = Settings { codes_per_campaign_max: 2, ..Settings::default() };
    let script = format!(
        r#"
        club Arena
        campaign amount=1 codes=HELD
        campaign name= amount=0 cap=0 from=2 to=1 clubs={too_many}
        campaign name=" " amount=1 codes=A
        campaign name={too_long} amount=1 codes=A
        campaign name={long} amount=0 cap=0 from=2 to=1 clubs={too_many}
        campaign amount=-0.01 cap=0
        campaign amount=0.01 cap=0 from=2 to=1 clubs={too_many}
        campaign amount=1 cap=1 from=2 to=1 clubs={too_many}
        campaign amount=1 from=1 to=1 clubs={too_many}
        campaign amount=1 clubs={many}
        campaign amount=1 clubs=1,0
        campaign amount=1 clubs=1 codes=
        campaign amount=1 clubs=1 codes=" ,"
        campaign amount=1 clubs=1 codes="A,B,C,held,D D"
        campaign amount=1 clubs=1 codes="held,D D,held" skip
        campaign amount=1 clubs=1 codes="A,B,C,held" skip
        campaign amount=1 clubs=1 codes=A,B from=1 to=1
        "#
    );
    check_with(
        settings,
        &script,
        r#"
        registered as club 1
        created campaign 1: added 1, skipped 0
        refused: a campaign's name has 1 to 200 bytes
        refused: a campaign's name has 1 to 200 bytes
        refused: a campaign's name has 1 to 200 bytes
        refused: the bonus amount must be more than 0
        refused: the bonus amount must be more than 0
        refused: a limit of activations must be at least 1; leave it out for no limit
        refused: the period ends before it starts
        refused: a campaign can name at most 10000 clubs; leave them out for all
        refused: the organisation has no club 2
        refused: the organisation has no club 0
        refused: the list has no codes
        refused: the list has no codes
        refused: lines that cannot be added: 2; 4 held: held by campaign 1; 5 D D: invalid: character 2 is white space
        refused: lines that cannot be added: 3; 1 held: held by campaign 1; 2 D D: invalid: character 2 is white space; 3 held: duplicate of line 1
        refused: a campaign holds at most 2 codes; this one has 0 and the list would add 3
        created campaign 2: added 2, skipped 0
        "#,
    );
}

/// K5, K6, K7, K9, Z7: every line that adds nothing is reported with the reason.
#[test]
fn adding_codes_gives_a_verdict_for_each_line() {
    check(
        r#"
        club Arena
        campaign amount=1 codes=ONE,TWO
        campaign amount=1 codes=OTHER
        add 3 codes=X
        add 1 codes=
        add 1 codes="new, ,NEW,two,other,in side,fresh,New" skip
        add 1 codes="third,THIRD,two" 
        add 1 codes="third,fourth"
        at 500
        add 1 codes=fifth
        show added 1
        redeem code=fresh
        show campaign 1
        "#,
        r#"
        registered as club 1
        created campaign 1: added 2, skipped 0
        created campaign 2: added 1, skipped 0
        refused: there is no such campaign
        refused: the list has no codes
        added 2, skipped 5; 3 NEW: duplicate of line 1; 4 two: already in this campaign; 5 other: held by campaign 2; 6 in side: invalid: character 3 is white space; 8 New: duplicate of line 1
        added 1, skipped 2; 2 THIRD: duplicate of line 1; 3 two: already in this campaign
        added 1, skipped 1; 1 third: already in this campaign
        added 1, skipped 0
        2 at 0, 2 at 0, 1 at 0, 1 at 0, 1 at 500
        campaign 1: 1.00 credited, balance 1.00
        active, redeemable, 1 of 7 codes activated, 1 activations, 1.00 issued
        "#,
    );
}

/// A3, K7, A4: a code is held by one campaign, whether it is switched on or not. Rejecting adds nothing; skipping adds the rest.
#[test]
fn a_conflict_rejects_the_list_or_is_skipped() {
    check(
        r#"
        club Arena
        campaign amount=1 codes=A off
        campaign amount=2 codes=B,a,C,a
        campaign amount=2 codes=B,a,C,a skip
        add 2 codes=D,A
        redeem code=D
        add 2 codes=D,A skip
        redeem code=D
        redeem code=A
        "#,
        r#"
        registered as club 1
        created campaign 1: added 1, skipped 0
        refused: lines that cannot be added: 1; 2 a: held by campaign 1
        created campaign 2: added 2, skipped 2; 2 a: held by campaign 1; 4 a: duplicate of line 2
        refused: lines that cannot be added: 1; 2 A: held by campaign 1
        unknown_code
        added 1, skipped 1; 2 A: held by campaign 1
        campaign 2: 2.00 credited, balance 2.00
        campaign_inactive
        "#,
    );
}

/// K1, A2: the limit counts a campaign's codes without duplicates, and is all or nothing.
#[test]
fn the_number_of_codes_of_a_campaign_is_limited() {
    let settings = Settings { codes_per_campaign_max: 4, ..Settings::default() };
    check_with(
        settings,
        r#"
        club Arena
        campaign amount=1 codes=A,B,C,D,E
        campaign amount=1 codes=A,B,C,a,b,c,
        add 1 codes=D,E skip
        redeem code=D
        add 1 codes=D,d,A skip
        add 1 codes=E skip
        add 1 codes=A,B skip
        show campaign 1
        campaign amount=1 codes=E,F,G,H
        "#,
        r#"
        registered as club 1
        refused: a campaign holds at most 4 codes; this one has 0 and the list would add 5
        created campaign 1: added 3, skipped 3; 4 a: duplicate of line 1; 5 b: duplicate of line 2; 6 c: duplicate of line 3
        refused: a campaign holds at most 4 codes; this one has 3 and the list would add 2
        unknown_code
        added 1, skipped 2; 2 d: duplicate of line 1; 3 A: already in this campaign
        refused: a campaign holds at most 4 codes; this one has 4 and the list would add 1
        added 0, skipped 2; 1 A: already in this campaign; 2 B: already in this campaign
        active, redeemable, 0 of 4 codes activated, 0 activations, 0.00 issued
        created campaign 2: added 4, skipped 0
        "#,
    );
}

/// K1 with the real limit.
#[test]
fn fifty_thousand_codes_are_accepted_and_not_one_more() {
    let texts: Vec<String> = (0..50_001).map(|number| format!("CODE-{number}")).collect();
    let mut bench = Bench::new(Settings::default());
    let mut create = |number: u64, count: usize| {
        let mut terms = terms();
        terms.name = format!("{count} codes");
        let list = list(texts[..count].iter().map(String::as_str));
        let on_conflict = scrip_protocol::command::OnConflict::Reject;
        let mutation = Mutation::CreateCampaign(Box::new(CreateCampaignRequest { terms, list, on_conflict }));
        let super::Answer::New(Remembered::Other(reply)) = bench.run(stamp(START_MS, number, number), &mutation) else {
            panic!("the request is new")
        };
        wire::decode::<CreateCampaignOutcome>("create-campaign", &reply.1).expect("the reply was just encoded")
    };
    assert!(matches!(create(1, 50_001), CreateCampaignOutcome::TooManyCodes(limit) if limit.would_add == 50_001));
    assert!(matches!(create(2, 50_000), CreateCampaignOutcome::Created { codes, .. } if codes.added == 50_000));
    bench.compare_with_replay();
}

fn terms() -> scrip_protocol::command::Terms {
    scrip_protocol::command::Terms::new("a campaign", Money(1))
}

/// D4, D6, A8, A12, A13: one record is the activation and the credit, with the amount of that moment, the campaign and the code;
/// there are no other effects, least of all a top-up.
#[test]
fn one_record_carries_the_activation_and_the_credit() {
    let bench = check_with(
        Settings::default(),
        "club Arena\ncampaign amount=5.00 codes=A,B\nredeem client=7 code=b\nredeem client=7 code=b",
        r#"
        registered as club 1
        created campaign 1: added 2, skipped 0
        campaign 1: 5.00 credited, balance 5.00
        campaign 1: 5.00 credited, balance 10.00
        "#,
    );
    let records: Vec<&Record> = bench.records.iter().map(|(_, record)| record).collect();
    let [_settings, _club, _campaign, Record::Activation(first), Record::Activation(second)] = records.as_slice() else {
        panic!("one record for each request: {records:?}")
    };
    let expected = Activation {
        stamp: second.stamp,
        client: ClientId(7),
        club: ClubId(1),
        campaign: CampaignId(1),
        slot: 1,
        amount: Money(500),
        balance: Money(1000),
        top_up: Position(0),
    };
    assert_eq!(*second, expected);
    assert_eq!(first.balance, Money(500));
    assert_ne!(first.stamp.request, second.stamp.request);
}

/// Z3: a retry gets the first reply and changes nothing, whatever has happened since.
#[test]
fn a_retry_gets_the_first_reply() {
    check(
        r#"
        club Arena request=1
        campaign amount=5.00 cap=1 codes=A,a,B request=2
        redeem client=7 code=A request=3
        redeem client=8 code=A request=4
        add 1 codes=C request=5
        switch 1 off request=6
        switch 1 on
        at 5000
        club Arena request=1
        campaign amount=5.00 cap=1 codes=A,a,B request=2
        redeem client=7 code=A request=3
        redeem client=8 code=A request=4
        add 1 codes=C request=5
        switch 1 off request=6
        redeem client=7 code=B request=3
        club Arena request=3
        redeem client=7 code=B
        show client 7
        "#,
        r#"
        registered as club 1
        created campaign 1: added 2, skipped 1; 2 a: duplicate of line 1
        campaign 1: 5.00 credited, balance 5.00
        code_exhausted
        added 1, skipped 0
        inactive: its codes are refused
        active: its codes are accepted
        again: registered as club 1
        again: created campaign 1: added 2, skipped 1; 2 a: duplicate of line 1
        again: campaign 1: 5.00 credited, balance 5.00
        again: code_exhausted
        again: added 1, skipped 0
        again: inactive: its codes are refused
        not executed: the request id was used for another request
        not executed: the request id was used for another request
        campaign 1: 5.00 credited, balance 10.00
        "" has 10.00
        "#,
    );
}

/// Z3: a request that may have been forgotten is never executed again.
#[test]
fn a_request_older_than_the_window_is_not_executed() {
    let settings = Settings { request_window_ms: 1000, request_skew_ms: 10, ..Settings::default() };
    let oldest = UtcTime(START_MS + 1);
    check_with(
        settings,
        r#"
        club Arena request=1
        at 1000
        club Arena request=1
        club Base request=2
        at 1001
        club Arena request=1
        club Cave request=3
        club Cave
        "#,
        &format!(
            r#"
        registered as club 1
        again: registered as club 1
        registered as club 2
        not executed: the request id is older than the idempotency window (its time must be {oldest} or later)
        not executed: the request id is older than the idempotency window (its time must be {oldest} or later)
        registered as club 3
        "#
        ),
    );
}

/// Names of clubs and clients have a limited length; club names are unique.
#[test]
fn names_are_checked() {
    let (long, too_long) = ("n".repeat(NAME_BYTES_MAX), "n".repeat(NAME_BYTES_MAX + 1));
    let script = format!(
        "club Arena\nclub Arena\nclub arena\nclub\nclub {long}\nclub {too_long}\nclient 1 {long}\nclient 2 {too_long}\nshow client 2"
    );
    check(
        &script,
        r#"
        registered as club 1
        refused: club 1 already has that name
        registered as club 2
        refused: a club's name has 1 to 200 bytes
        registered as club 3
        refused: a club's name has 1 to 200 bytes
        registered
        refused: a client's name has at most 200 bytes
        unknown
        "#,
    );
}
