//! Hold, confirm and release (Z1, Z5; pains 8, 9, 10, 22).
//!
//! Positions: the settings are at 1, so that the first club is at 2 and the first campaign at 3.

use scrip_protocol::command::{HOLD_KEPT_MS, HOLD_TTL_MAX_MS, OnConflict, RegisterClub, Terms, UpdateCampaign};
use scrip_protocol::{CampaignId, ClientId, ClubId, Money, Position, Settings};

use super::script::{check, check_with};
use super::shown::recount;
use super::{Bench, list, stamp};
use crate::index::normalise;
use crate::state::{CodesRequest, CreateCampaignRequest, HoldRequest, Mutation, RedeemRequest};

/// Z1, pain 8: a use is held for one client during the payment, and nobody else can take it; the confirmation is the activation.
#[test]
fn a_hold_becomes_the_activation() {
    check(
        r#"
        club Arena
        campaign amount=5.00 cap=1 codes=A,B
        hold client=7 code=" a "
        show client 7
        show campaign 1
        check code=A
        redeem client=8 code=A
        hold client=8 code=A
        hold client=7 code=A
        at 60000
        confirm 4
        show client 7
        show campaign 1
        check code=A
        redeem client=8 code=A
        redeem client=7 code=B
        "#,
        r#"
        registered as club 1
        created campaign 1: added 2, skipped 0
        hold 4: campaign 1, 5.00, until 900000
        unknown
        active, redeemable, 0 of 2 codes activated, 0 activations, 0.00 issued
        code_exhausted: 0 activated, 1 held
        code_exhausted
        code_exhausted
        code_exhausted
        campaign 1: 5.00 credited, balance 5.00
        "" has 5.00
        active, redeemable, 1 of 2 codes activated, 1 activations, 5.00 issued
        code_exhausted: 1 activated, 0 held
        code_exhausted
        campaign 1: 5.00 credited, balance 10.00
        "#,
    );
}

/// Pain 9, pain 10: a failed payment costs nobody the use.
#[test]
fn a_released_use_is_free_at_once() {
    check(
        r#"
        club Arena
        campaign amount=5.00 cap=1 codes=A
        hold client=7 code=A
        release 4
        check code=A
        confirm 4
        release 4
        hold client=8 code=A
        confirm 8
        show client 7
        release 8
        "#,
        r#"
        registered as club 1
        created campaign 1: added 1, skipped 0
        hold 4: campaign 1, 5.00, until 900000
        released: the code has its use back
        redeemable: 0 activated, 0 held
        refused: the hold was released
        refused: the hold was already released
        hold 8: campaign 1, 5.00, until 900000
        campaign 1: 5.00 credited, balance 5.00
        unknown
        refused: the hold was already confirmed: 5.00 credited, bonus balance 5.00 at the time, campaign 1, activation 9
        "#,
    );
}

/// Z1: the checks are those of a redemption, after the duration. Each attempt also fails all later checks.
#[test]
fn refusals_of_a_hold_come_in_order_of_precedence() {
    let longest = HOLD_TTL_MAX_MS;
    let script = format!(
        r#"
        club Arena
        club Base
        campaign amount=92233720368547758.07 cap=1 clubs=1 codes=X
        redeem client=1 club=1 code=X
        switch 1 off
        hold client=1 club=9 code="x x" ttl=999
        hold client=1 club=9 code="x x" ttl={}
        hold client=1 club=9 code="x x" ttl=0
        hold client=1 club=9 code="x x" ttl=1000
        hold client=1 club=9 code=none ttl={longest}
        hold client=1 club=2 code=none
        hold client=1 club=2 code=X
        switch 1 on
        hold client=1 club=2 code=X
        hold client=1 club=1 code=X
        add 1 codes=Y
        hold client=1 club=1 code=Y
        hold client=2 club=1 code=Y
        "#,
        longest + 1
    );
    check(
        &script,
        r#"
        registered as club 1
        registered as club 2
        created campaign 1: added 1, skipped 0
        campaign 1: 92233720368547758.07 credited, balance 92233720368547758.07
        inactive: its codes are refused
        refused: a hold lasts at least 1 second and at most 7 days
        refused: a hold lasts at least 1 second and at most 7 days
        refused: a hold lasts at least 1 second and at most 7 days
        invalid_code: character 2 is white space
        unknown_club
        unknown_code
        campaign_inactive
        active: its codes are accepted
        club_excluded
        code_exhausted
        added 1, skipped 0
        amount_limit
        amount_limit
        "#,
    );
}

/// Z1: the use is free from the exact millisecond of the expiry, and not before.
#[test]
fn a_hold_expires_at_its_time() {
    check(
        r#"
        club Arena
        campaign amount=1 cap=1 codes=A,B
        hold client=7 code=A ttl=1000
        hold client=7 code=B ttl=1000
        at 999
        check code=A
        redeem client=8 code=A
        confirm 5
        at 1000
        check code=A
        redeem client=8 code=A
        confirm 4
        release 4
        confirm 4
        "#,
        r#"
        registered as club 1
        created campaign 1: added 2, skipped 0
        hold 4: campaign 1, 1.00, until 1000
        hold 5: campaign 1, 1.00, until 1000
        code_exhausted: 0 activated, 1 held
        code_exhausted
        campaign 1: 1.00 credited, balance 1.00
        redeemable: 0 activated, 0 held
        campaign 1: 1.00 credited, balance 1.00
        refused: the hold has expired, and its use was taken meanwhile
        released: the code has its use back
        refused: the hold was released
        "#,
    );
}

/// Z1: an expired hold can be confirmed as long as any use is free.
#[test]
fn a_late_confirmation_takes_a_free_use() {
    check(
        r#"
        club Arena
        campaign amount=1 cap=1 codes=A,B
        hold client=7 code=A ttl=1000
        at 500000
        confirm 4
        confirm 4
        # Taken by a hold that comes to nothing: its use is free again for the first request.
        hold client=7 code=B ttl=1000
        at 501000
        hold client=8 code=B ttl=1000
        confirm 7
        release 8
        confirm 7
        # And taken by a hold that has expired like the first.
        campaign amount=1 cap=1 codes=C
        hold client=7 code=C ttl=1000
        at 502000
        hold client=8 code=C ttl=1000
        at 503000
        confirm 13
        confirm 14
        "#,
        r#"
        registered as club 1
        created campaign 1: added 2, skipped 0
        hold 4: campaign 1, 1.00, until 1000
        campaign 1: 1.00 credited, balance 1.00
        refused: the hold was already confirmed: 1.00 credited, bonus balance 1.00 at the time, campaign 1, activation 5
        hold 7: campaign 1, 1.00, until 501000
        hold 8: campaign 1, 1.00, until 502000
        refused: the hold has expired, and its use was taken meanwhile
        released: the code has its use back
        campaign 1: 1.00 credited, balance 2.00
        created campaign 2: added 1, skipped 0
        hold 13: campaign 2, 1.00, until 502000
        hold 14: campaign 2, 1.00, until 503000
        campaign 2: 1.00 credited, balance 3.00
        refused: the hold has expired, and its use was taken meanwhile
        "#,
    );
}

/// Pain 22, and its opposite: holds are honoured until they expire, and a campaign that is off stays off after that.
#[test]
fn a_campaign_switched_off_honours_holds_and_grants_no_more() {
    check(
        r#"
        club Arena
        campaign amount=1 cap=2 codes=A
        hold client=7 code=A ttl=2000
        hold client=8 code=A ttl=1000
        switch 1 off
        at 1000
        confirm 5
        at 1999
        confirm 4
        at 2000
        switch 1 on
        confirm 5
        "#,
        r#"
        registered as club 1
        created campaign 1: added 1, skipped 0
        hold 4: campaign 1, 1.00, until 2000
        hold 5: campaign 1, 1.00, until 1000
        inactive: its codes are refused
        refused: the hold has expired, and the code can no longer be redeemed: the campaign is switched off
        campaign 1: 1.00 credited, balance 1.00
        active: its codes are accepted
        campaign 1: 1.00 credited, balance 1.00
        "#,
    );
}

/// Z5: activations and open holds together never exceed the cap, and reach it if there are enough requests.
#[test]
fn holds_count_against_the_cap() {
    check(
        r#"
        club Arena
        campaign amount=1 cap=3 codes=A,B
        hold client=1 code=A ttl=3000
        redeem client=2 code=A
        hold client=3 code=A ttl=1000
        redeem client=4 code=A
        hold client=4 code=A
        redeem client=4 code=B
        check code=A
        at 1000
        check code=A
        hold client=4 code=A ttl=5000
        redeem client=5 code=A
        confirm 6
        confirm 4
        confirm 11
        redeem client=5 code=A
        show campaign 1
        "#,
        r#"
        registered as club 1
        created campaign 1: added 2, skipped 0
        hold 4: campaign 1, 1.00, until 3000
        campaign 1: 1.00 credited, balance 1.00
        hold 6: campaign 1, 1.00, until 1000
        code_exhausted
        code_exhausted
        campaign 1: 1.00 credited, balance 1.00
        code_exhausted: 1 activated, 2 held
        redeemable: 1 activated, 1 held
        hold 10: campaign 1, 1.00, until 6000
        code_exhausted
        refused: the hold has expired, and its use was taken meanwhile
        campaign 1: 1.00 credited, balance 1.00
        refused: there is no such hold, it ended long ago, or it is not yours
        code_exhausted
        active, redeemable, 2 of 2 codes activated, 3 activations, 3.00 issued
        "#,
    );
}

/// However many holds expire at one moment, exactly their uses are free from then on: more than one record notes.
#[test]
fn many_holds_that_expire_at_once_give_back_exactly_their_uses() {
    const CAP: usize = 60;
    let held: String = (4..4 + CAP).map(|hold| format!("hold {hold}: campaign 1, 1.00, until 1000\n")).collect();
    let again = (4 + CAP + 1..).take(CAP / 2).map(|hold| format!("hold {hold}: campaign 1, 1.00, until 2000\n"));
    let credited = (1..=CAP / 2).map(|nth| format!("campaign 1: 1.00 credited, balance {nth}.00\n"));
    let script = format!(
        "club Arena\ncampaign amount=1 cap={CAP} codes=A\n{}redeem code=A\nat 1000\n{}{}redeem code=A\nhold code=A\ncheck code=A",
        "hold code=A ttl=1000\n".repeat(CAP),
        "hold code=A ttl=1000\n".repeat(CAP / 2),
        "redeem code=A\n".repeat(CAP / 2),
    );
    let expected = format!(
        "registered as club 1\ncreated campaign 1: added 1, skipped 0\n{held}code_exhausted\n{}{}code_exhausted\ncode_exhausted\n\
         code_exhausted: {} activated, {} held",
        again.collect::<String>(),
        credited.collect::<String>(),
        CAP / 2,
        CAP / 2,
    );
    check(&script, &expected);
}

/// A gateway ends its own holds; an operator any. Another credential's hold looks like one that does not exist.
#[test]
fn a_hold_is_ended_by_its_credential_or_an_operator() {
    check(
        r#"
        club Arena
        campaign amount=1 codes=A
        hold code=A by=2
        hold code=A by=2
        confirm 4
        release 4
        confirm 3
        confirm 99
        release 99 operator
        confirm 4 by=2
        confirm 4
        release 5 operator
        release 5 by=2
        "#,
        r#"
        registered as club 1
        created campaign 1: added 1, skipped 0
        hold 4: campaign 1, 1.00, until 900000
        hold 5: campaign 1, 1.00, until 900000
        refused: there is no such hold, it ended long ago, or it is not yours
        refused: there is no such hold, it ended long ago, or it is not yours
        refused: there is no such hold, it ended long ago, or it is not yours
        refused: there is no such hold, it ended long ago, or it is not yours
        refused: there is no such hold, it ended long ago, or it is not yours
        campaign 1: 1.00 credited, balance 1.00
        refused: there is no such hold, it ended long ago, or it is not yours
        released: the code has its use back
        refused: the hold was already released
        "#,
    );
}

/// The end of a hold is remembered for a day, to the millisecond, whatever else is recorded meanwhile.
#[test]
fn a_hold_that_ended_is_forgotten_after_its_time() {
    let (kept, expired_kept) = (HOLD_KEPT_MS, 1_000 + HOLD_KEPT_MS);
    let script = format!(
        r#"
        club Arena
        campaign amount=1 codes=A
        hold code=A ttl=1000
        hold code=A ttl=1000
        hold code=A ttl=1000
        release 4
        at {}
        release 4
        at {kept}
        release 4
        at {}
        confirm 5
        at {expired_kept}
        confirm 6
        confirm 5
        "#,
        kept - 1,
        expired_kept - 1,
    );
    let bench = check_with(
        Settings::default(),
        &script,
        r#"
        registered as club 1
        created campaign 1: added 1, skipped 0
        hold 4: campaign 1, 1.00, until 1000
        hold 5: campaign 1, 1.00, until 1000
        hold 6: campaign 1, 1.00, until 1000
        released: the code has its use back
        refused: the hold was already released
        refused: there is no such hold, it ended long ago, or it is not yours
        campaign 1: 1.00 credited, balance 1.00
        refused: there is no such hold, it ended long ago, or it is not yours
        refused: the hold was already confirmed: 1.00 credited, bonus balance 1.00 at the time, campaign 1, activation 10
        "#,
    );
    assert_eq!(bench.state.holds.len(), 1, "a forgotten hold takes no memory");
}

/// A confirmation can also exceed the maximum of an amount; the hold is not lost by that.
#[test]
fn a_confirmation_that_cannot_be_credited_leaves_the_hold() {
    check(
        r#"
        club Arena
        campaign amount=92233720368547758.07 codes=A
        campaign amount=1 codes=B
        hold client=7 code=A
        redeem client=7 code=B
        confirm 5
        release 5
        "#,
        r#"
        registered as club 1
        created campaign 1: added 1, skipped 0
        created campaign 2: added 1, skipped 0
        hold 5: campaign 1, 92233720368547758.07, until 900000
        campaign 2: 1.00 credited, balance 1.00
        refused: the bonus would overflow the client's balance or the campaign's total
        released: the code has its use back
        "#,
    );
}

/// Z3: a retry gets the first reply, whatever has happened to the hold since.
#[test]
fn retries_about_holds_get_the_first_replies() {
    check(
        r#"
        club Arena
        campaign amount=1 cap=1 codes=A
        hold code=A ttl=1000 request=1
        hold code=A ttl=1000 request=2
        hold code=A ttl=1 request=3
        confirm 4 request=4
        confirm 4 request=5
        release 4 request=6
        hold code=A ttl=1000 request=1
        hold code=A ttl=1000 request=2
        at 5000
        hold code=A ttl=1 request=3
        confirm 4 request=4
        confirm 4 request=5
        release 4 request=6
        confirm 5 request=4
        show client 1
        "#,
        r#"
        registered as club 1
        created campaign 1: added 1, skipped 0
        hold 4: campaign 1, 1.00, until 1000
        code_exhausted
        refused: a hold lasts at least 1 second and at most 7 days
        campaign 1: 1.00 credited, balance 1.00
        refused: the hold was already confirmed: 1.00 credited, bonus balance 1.00 at the time, campaign 1, activation 7
        refused: the hold was already confirmed: 1.00 credited, bonus balance 1.00 at the time, campaign 1, activation 7
        again: hold 4: campaign 1, 1.00, until 1000
        again: code_exhausted
        again: refused: a hold lasts at least 1 second and at most 7 days
        again: campaign 1: 1.00 credited, balance 1.00
        again: refused: the hold was already confirmed: 1.00 credited, bonus balance 1.00 at the time, campaign 1, activation 7
        again: refused: the hold was already confirmed: 1.00 credited, bonus balance 1.00 at the time, campaign 1, activation 7
        not executed: the request id was used for another request
        "" has 1.00
        "#,
    );
}

/// A record about a campaign only examines the held codes that it may have made full or not full: none for a change of terms
/// other than the cap, and for an archive or a restore the codes concerned.
#[test]
fn a_record_only_examines_the_held_codes_that_it_changes() {
    const CODES: u32 = 200;
    const HELD: u32 = 150;
    let mut bench = Bench::new(Settings::default());
    let mut number = 0;
    let mut run = |bench: &mut Bench, mutation: Mutation| {
        number += 1;
        bench.run(stamp(bench.now_ms, number, number), &mutation);
        bench.state.holds.looked_at.iter().map(|at| at.slot).collect::<Vec<u32>>()
    };
    let create = |name: &str, codes: &[String]| {
        let terms = Terms { activations_per_code_max: Some(1), ..Terms::new(name, Money(1)) };
        let list = list(codes.iter().map(String::as_str));
        Mutation::CreateCampaign(Box::new(CreateCampaignRequest { terms, list, on_conflict: OnConflict::Reject }))
    };
    let codes: Vec<String> = (0..CODES).map(|slot| format!("CODE{slot}")).collect();
    run(&mut bench, Mutation::RegisterClub(RegisterClub { name: "club".into() }));
    run(&mut bench, create("held", &codes));
    for code in codes.iter().take(HELD as usize) {
        let (client, club, code) = (ClientId(1), ClubId(1), normalise(code));
        let redeem = RedeemRequest { client, club, code, top_up: Position(0), is_their_top_up: true };
        let looked_at = run(&mut bench, Mutation::Hold(Box::new(HoldRequest { redeem, ttl_ms: 600_000 })));
        assert!(!looked_at.is_empty());
    }
    assert_eq!(bench.state.holds.full_codes().count(), HELD as usize);

    let campaign = CampaignId(1);
    let update = |change: UpdateCampaign| Mutation::UpdateCampaign(Box::new(UpdateCampaign { campaign, ..change }));
    let some = |slots: &[usize]| {
        let list = list(slots.iter().map(|slot| codes[*slot].as_str()));
        Box::new(CodesRequest { campaign, list })
    };
    let renamed = UpdateCampaign { name: Some("renamed".into()), ..UpdateCampaign::default() };
    let limited = UpdateCampaign { activations_max: Some(Some(9)), ..UpdateCampaign::default() };
    let same_cap = UpdateCampaign { activations_per_code_max: Some(Some(1)), ..UpdateCampaign::default() };
    let capped = |cap| UpdateCampaign { activations_per_code_max: Some(Some(cap)), ..UpdateCampaign::default() };
    let all: Vec<u32> = (0..HELD).collect();
    let taken = [codes[7].clone(), codes[180].clone()];
    // The change, the codes that are examined, and how many are full after it.
    let steps: Vec<(Mutation, &[u32], u32)> = vec![
        (update(renamed), &[], HELD),
        (update(limited), &[], HELD),
        (update(same_cap), &[], HELD),
        (Mutation::ArchiveCodes(some(&[3, 5, 199])), &[3, 5, 199], HELD - 2),
        (Mutation::RestoreCodes(some(&[5, 199])), &[5, 199], HELD - 1),
        (Mutation::ArchiveCampaign(campaign), &[], HELD - 1),
        (create("taken", &taken), &[], HELD - 1),
        (Mutation::RestoreCampaign(campaign), &[7, 180], HELD - 2),
        (Mutation::ArchiveCampaign(CampaignId(2)), &[], HELD - 2),
        (Mutation::RestoreCampaign(campaign), &[7, 180], HELD - 1),
        (update(capped(2)), &all, 0),
        (update(capped(1)), &all, HELD - 1),
    ];
    for (mutation, looked_at, full) in steps {
        assert_eq!(run(&mut bench, mutation.clone()), looked_at, "{mutation:?}");
        assert_eq!(bench.state.holds.full_codes().count(), full as usize, "{mutation:?}");
        recount(&bench);
        bench.compare_with_replay();
    }
}
