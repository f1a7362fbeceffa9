//! Archive and restore, by requirement: of campaigns, of single codes, and of both combined. After each script the holders of
//! values, the counters and a replay are compared ([`check`]).

use scrip_protocol::batch::BatchBuilder;
use scrip_protocol::command::{CampaignRestored, OnConflict, Terms};
use scrip_protocol::{CampaignId, Money, Record, Settings};

use super::script::{check, check_with, printed};
use super::{Answer, Bench, START_MS, list, stamp};
use crate::state::{CodesRequest, CreateCampaignRequest, Mutation};

/// X1, X3, C7, D2: an archived campaign and all its codes stop at once; everything is kept, including the switch; a restore
/// brings it back.
#[test]
fn an_archived_campaign_stops_at_once_and_is_restored_unchanged() {
    check(
        r#"
        club Arena
        campaign amount=1 cap=2 codes=A,B,C
        redeem code=A
        archive 1
        archive 1
        archive 2
        redeem code=A
        redeem code=B
        check code=A
        show campaign 1
        card 1
        codes 1
        codes 1 active
        codes 1 archived used
        add 1 codes=D
        generate 1 count=1
        restore 2
        restore 1
        restore 1
        card 1
        redeem code=A
        redeem code=B
        codes 1
        switch 1 off
        archive 1
        switch 1 on
        switch 1 off
        restore 1
        redeem code=B
        switch 1 on
        redeem code=B
        "#,
        r#"
        registered as club 1
        created campaign 1: added 3, skipped 0
        campaign 1: 1.00 credited, balance 1.00
        archived with 3 codes
        refused: the campaign is already archived
        refused: there is no such campaign
        campaign_archived
        campaign_archived
        campaign_archived: 1 activated, 0 held
        inactive, not redeemable, 1 of 3 codes activated, 1 activations, 1.00 issued
        3 codes: 3 archived, 1 activated, 0 available, 0 redeemable
        A x1 archived with its campaign; B archived with its campaign; C archived with its campaign
        none
        A x1 archived with its campaign
        refused: the campaign is archived
        refused: the campaign is archived
        refused: there is no such campaign
        restored with 3 codes
        refused: the campaign is not archived
        3 codes: 0 archived, 1 activated, 2 available, 3 redeemable
        campaign 1: 1.00 credited, balance 2.00
        campaign 1: 1.00 credited, balance 3.00
        A x2; B x1; C
        inactive: its codes are refused
        archived with 3 codes
        active: its codes are accepted
        inactive: its codes are refused
        restored with 3 codes
        campaign_inactive
        active: its codes are accepted
        campaign 1: 1.00 credited, balance 4.00
        "#,
    );
}

/// X2, X3: a single code is revoked, and the rest of its campaign is unaffected. A10: the total stays.
#[test]
fn a_single_code_is_archived_by_itself() {
    check(
        r#"
        club Arena
        campaign amount=1 cap=1 codes=A,B,C
        redeem code=A
        archive-codes 1 codes=" a , B"
        redeem code=A
        redeem code=B
        redeem code=C
        check code=A
        codes 1
        codes 1 archived unused
        codes 1 active
        show campaign 1
        card 1
        restore-codes 1 codes=b
        redeem code=B
        card 1
        codes 1 archived
        "#,
        r#"
        registered as club 1
        created campaign 1: added 3, skipped 0
        campaign 1: 1.00 credited, balance 1.00
        archived 2, skipped 0
        code_archived
        code_archived
        campaign 1: 1.00 credited, balance 2.00
        code_archived, code_exhausted: 1 activated, 0 held
        A x1 archived by itself; B archived by itself; C x1
        B archived by itself
        C x1
        active, redeemable, 2 of 3 codes activated, 2 activations, 2.00 issued
        3 codes: 2 archived, 2 activated, 0 available, 0 redeemable
        restored 1, skipped 0
        campaign 1: 1.00 credited, balance 3.00
        3 codes: 1 archived, 3 activated, 0 available, 0 redeemable
        A x1 archived by itself
        "#,
    );
}

/// X2, A6: codes that cannot be archived or restored are skipped with the reason, and the rest is done. Refusals are in order of
/// precedence.
#[test]
fn single_codes_that_cannot_be_changed_are_reported() {
    check(
        r#"
        club Arena
        campaign amount=1 codes=A,B,C
        campaign amount=1 codes=X
        archive-codes 3 codes=
        archive-codes 1 codes=
        archive-codes 1 codes=" , "
        archive-codes 1 codes=A,x,new,a,"b b",A,B
        archive-codes 1 codes=A,C
        restore-codes 3 codes=
        restore-codes 1 codes=
        restore-codes 1 codes=C,X,new,c,"b b",A
        restore-codes 1 codes=A,C
        archive 1
        restore-codes 1 codes=
        restore-codes 1 codes=B
        archive-codes 1 codes=" ,"
        "#,
        r#"
        registered as club 1
        created campaign 1: added 3, skipped 0
        created campaign 2: added 1, skipped 0
        refused: there is no such campaign
        refused: no code was given
        refused: no code was given
        archived 2, skipped 5; 2 x: not in this campaign; 3 new: not in this campaign; 4 a: duplicate of line 1; 5 b b: invalid: character 2 is white space; 6 A: duplicate of line 1
        archived 1, skipped 1; 1 A: already archived
        refused: there is no such campaign
        refused: no code was given
        restored 2, skipped 4; 2 X: not in this campaign; 3 new: not in this campaign; 4 c: duplicate of line 1; 5 b b: invalid: character 2 is white space
        restored 0, skipped 2; 1 A: not archived; 2 C: not archived
        archived with 2 codes
        refused: the campaign is archived; restore it first
        refused: the campaign is archived; restore it first
        refused: no code was given
        "#,
    );
}

/// K8, X6: an archived value is free; the campaign that takes it has its own amount and counters for it. The refusal of a value
/// that nobody holds is that of the campaign that held it last.
#[test]
fn a_value_may_be_in_an_archived_and_in_an_active_campaign() {
    check(
        r#"
        club Arena
        campaign amount=1 cap=1 codes=A,B
        redeem code=A
        campaign amount=2 codes=A
        archive 1
        free codes=A,B,C
        campaign amount=2 cap=1 codes=a,C
        free codes=A,B,C
        redeem code=A
        redeem code=A
        redeem code=B
        codes 1
        codes 1 conflicting
        codes 2
        archive-codes 2 codes=A
        check code=A
        codes 1 conflicting
        archive 2
        check code=A
        campaign amount=3 codes=A off
        check code=A
        codes 1 conflicting
        codes 2 conflicting
        archive 3
        redeem code=A
        show campaign 1
        show campaign 2
        "#,
        r#"
        registered as club 1
        created campaign 1: added 2, skipped 0
        campaign 1: 1.00 credited, balance 1.00
        refused: lines that cannot be added: 1; 1 A: held by campaign 1
        archived with 2 codes
        free, free, free
        created campaign 2: added 2, skipped 0
        held by campaign 2, free, held by campaign 2
        campaign 2: 2.00 credited, balance 3.00
        code_exhausted
        campaign_archived
        A x1 archived with its campaign, held by 2; B archived with its campaign
        A x1 archived with its campaign, held by 2
        a x1; C
        archived 1, skipped 0
        code_archived, code_exhausted: 1 activated, 0 held
        none
        archived with 1 codes
        code_archived, campaign_archived, code_exhausted: 1 activated, 0 held
        created campaign 3: added 1, skipped 0
        campaign_inactive: 0 activated, 0 held
        A x1 archived with its campaign, held by 3
        a x1 archived by itself, held by 3
        archived with 1 codes
        campaign_archived
        inactive, not redeemable, 1 of 2 codes activated, 1 activations, 1.00 issued
        inactive, not redeemable, 1 of 2 codes activated, 1 activations, 2.00 issued
        "#,
    );
}

/// X4, X5, A6: free values are restored at once; the others are listed with their holders, stay archived, and are restored once
/// they are free.
#[test]
fn a_restore_restores_free_codes_and_the_rest_once_they_are_free() {
    check(
        r#"
        club Arena
        campaign amount=1 codes=A,B,C,D
        archive 1
        campaign amount=2 codes=B,X
        campaign amount=3 codes=c
        restore 1
        show campaign 1
        card 1
        codes 1
        redeem code=A
        redeem code=B
        redeem code=C
        restore 1
        restore 1
        archive-codes 2 codes=B
        restore 1
        redeem code=B
        restore 1
        codes 1 conflicting
        archive 3
        codes 1 conflicting
        redeem code=C
        restore 1
        restore 1
        redeem code=C
        codes 1
        codes 2
        restore-codes 2 codes=B
        restore 3
        codes 3
        "#,
        r#"
        registered as club 1
        created campaign 1: added 4, skipped 0
        archived with 4 codes
        created campaign 2: added 2, skipped 0
        created campaign 3: added 1, skipped 0
        restored with 2 codes; 2 stay archived, because other campaigns hold them; B: held by campaign 2; C: held by campaign 3
        active, redeemable, 0 of 4 codes activated, 0 activations, 0.00 issued
        4 codes: 2 archived, 0 activated, 2 available, 2 redeemable
        A; B archived with its campaign, held by 2; C archived with its campaign, held by 3; D
        campaign 1: 1.00 credited, balance 1.00
        campaign 2: 2.00 credited, balance 3.00
        campaign 3: 3.00 credited, balance 6.00
        refused: other campaigns still hold the codes that stay archived: 2
        refused: other campaigns still hold the codes that stay archived: 2
        archived 1, skipped 0
        restored with 1 codes; 1 stay archived, because other campaigns hold them; C: held by campaign 3
        campaign 1: 1.00 credited, balance 7.00
        refused: other campaigns still hold the codes that stay archived: 1
        C archived with its campaign, held by 3
        archived with 1 codes
        none
        campaign_archived
        restored with 1 codes
        refused: the campaign is not archived
        campaign 1: 1.00 credited, balance 8.00
        A x1; B x1; C x1; D
        B x1 archived by itself, held by 1; X
        restored 0, skipped 1; 1 B: held by campaign 1
        restored with 0 codes; 1 stay archived, because other campaigns hold them; c: held by campaign 1
        c x1 archived with its campaign, held by 1
        "#,
    );
}

/// X5: archived again after a partial restore: whether its codes come back depends on who holds them then.
#[test]
fn a_campaign_is_archived_again_after_a_partial_restore() {
    check(
        r#"
        club Arena
        campaign amount=1 codes=A,B,C
        archive 1
        campaign amount=2 codes=A
        restore 1
        archive 1
        codes 1
        campaign amount=3 codes=B
        archive 2
        restore 1
        codes 1
        archive 1
        archive 3
        campaign amount=4 codes=C
        restore 1
        archive 4
        restore 1
        codes 1
        redeem code=A
        redeem code=B
        redeem code=C
        "#,
        r#"
        registered as club 1
        created campaign 1: added 3, skipped 0
        archived with 3 codes
        created campaign 2: added 1, skipped 0
        restored with 2 codes; 1 stay archived, because other campaigns hold them; A: held by campaign 2
        archived with 2 codes
        A archived with its campaign, held by 2; B archived with its campaign; C archived with its campaign
        created campaign 3: added 1, skipped 0
        archived with 1 codes
        restored with 2 codes; 1 stay archived, because other campaigns hold them; B: held by campaign 3
        A; B archived with its campaign, held by 3; C
        archived with 2 codes
        archived with 1 codes
        created campaign 4: added 1, skipped 0
        restored with 2 codes; 1 stay archived, because other campaigns hold them; C: held by campaign 4
        archived with 1 codes
        restored with 1 codes
        A; B; C
        campaign 1: 1.00 credited, balance 1.00
        campaign 1: 1.00 credited, balance 2.00
        campaign 1: 1.00 credited, balance 3.00
        "#,
    );
}

/// A5: a code that is archived by itself, before its campaign, while its campaign is archived, or after a partial restore, is not
/// restored with it.
#[test]
fn restoring_a_campaign_leaves_separately_archived_codes() {
    check(
        r#"
        club Arena
        campaign amount=1 codes=A,B,C,D
        archive-codes 1 codes=A
        archive 1
        archive-codes 1 codes=A,B
        codes 1
        restore 1
        codes 1
        redeem code=A
        redeem code=C
        restore-codes 1 codes=A
        archive 1
        campaign amount=2 codes=C,D
        restore 1
        archive-codes 1 codes=C
        codes 1
        archive 2
        restore 1
        codes 1
        restore 1
        restore-codes 1 codes=B,C
        codes 1
        archive-codes 1 codes=A,B,C,D
        archive 1
        card 1
        restore 1
        card 1
        "#,
        r#"
        registered as club 1
        created campaign 1: added 4, skipped 0
        archived 1, skipped 0
        archived with 3 codes
        archived 1, skipped 1; 1 A: already archived
        A archived by itself; B archived by itself; C archived with its campaign; D archived with its campaign
        restored with 2 codes
        A archived by itself; B archived by itself; C; D
        code_archived
        campaign 1: 1.00 credited, balance 1.00
        restored 1, skipped 0
        archived with 3 codes
        created campaign 2: added 2, skipped 0
        restored with 1 codes; 2 stay archived, because other campaigns hold them; C: held by campaign 2; D: held by campaign 2
        archived 1, skipped 0
        A; B archived by itself; C x1 archived by itself, held by 2; D archived with its campaign, held by 2
        archived with 2 codes
        restored with 1 codes
        A; B archived by itself; C x1 archived by itself; D
        refused: the campaign is not archived
        restored 2, skipped 0
        A; B; C x1; D
        archived 4, skipped 0
        archived with 0 codes
        4 codes: 4 archived, 1 activated, 0 available, 0 redeemable
        restored with 0 codes
        4 codes: 4 archived, 1 activated, 0 available, 0 redeemable
        "#,
    );
}

/// A6, X5: a single code is restored like a campaign's: not while another campaign holds it, and however it was archived.
#[test]
fn a_single_code_is_restored_when_its_value_is_free() {
    check(
        r#"
        club Arena
        campaign amount=1 codes=A,B
        archive-codes 1 codes=A
        campaign amount=2 codes=A
        restore-codes 1 codes=A
        archive 2
        archive 1
        restore 1
        restore-codes 1 codes=A
        redeem code=A
        restore 2
        archive 1
        restore 2
        redeem code=A
        restore 1
        restore-codes 1 codes=a
        archive-codes 2 codes=A
        restore-codes 1 codes=a
        redeem code=A
        codes 1
        codes 2
        "#,
        r#"
        registered as club 1
        created campaign 1: added 2, skipped 0
        archived 1, skipped 0
        created campaign 2: added 1, skipped 0
        restored 0, skipped 1; 1 A: held by campaign 2
        archived with 1 codes
        archived with 1 codes
        restored with 1 codes
        restored 1, skipped 0
        campaign 1: 1.00 credited, balance 1.00
        restored with 0 codes; 1 stay archived, because other campaigns hold them; A: held by campaign 1
        archived with 2 codes
        restored with 1 codes
        campaign 2: 2.00 credited, balance 3.00
        restored with 1 codes; 1 stay archived, because other campaigns hold them; A: held by campaign 2
        restored 0, skipped 1; 1 a: held by campaign 2
        archived 1, skipped 0
        restored 1, skipped 0
        campaign 1: 1.00 credited, balance 4.00
        A x2; B
        A x1 archived by itself, held by 1
        "#,
    );
}

/// K8, X4, X5: of three archived campaigns with one value, the one restored first gets it; the others follow in any order, each
/// once the previous one is archived.
#[test]
fn campaigns_of_one_value_are_restored_in_any_order() {
    for order in [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]] {
        let [first, second, third] = order;
        let script = format!(
            r#"
            club Arena
            campaign amount=1 codes=A,X
            archive 1
            campaign amount=2 codes=A,Y
            archive 2
            campaign amount=3 codes=A,Z
            archive 3
            restore {first}
            restore {second}
            restore {third}
            redeem code=A
            archive {first}
            restore {third}
            redeem code=A
            restore {first}
            archive-codes {third} codes=A
            restore {second}
            redeem code=A
            restore {third}
            restore {first}
            restore-codes {third} codes=A
            redeem code=X
            redeem code=Y
            redeem code=Z
            "#
        );
        let held_by = |campaign| {
            format!("restored with 1 codes; 1 stay archived, because other campaigns hold them; A: held by campaign {campaign}")
        };
        let balance = |redeemed: &[i32]| redeemed.iter().sum::<i32>();
        let redeemed = |redeemed: &[i32]| {
            let campaign = redeemed[redeemed.len() - 1];
            format!("campaign {campaign}: {campaign}.00 credited, balance {}.00", balance(redeemed))
        };
        let expected = [
            "registered as club 1".to_owned(),
            "created campaign 1: added 2, skipped 0".to_owned(),
            "archived with 2 codes".to_owned(),
            "created campaign 2: added 2, skipped 0".to_owned(),
            "archived with 2 codes".to_owned(),
            "created campaign 3: added 2, skipped 0".to_owned(),
            "archived with 2 codes".to_owned(),
            "restored with 2 codes".to_owned(),
            held_by(first),
            held_by(first),
            redeemed(&[first]),
            "archived with 2 codes".to_owned(),
            "restored with 1 codes".to_owned(),
            redeemed(&[first, third]),
            held_by(third),
            "archived 1, skipped 0".to_owned(),
            "restored with 1 codes".to_owned(),
            redeemed(&[first, third, second]),
            "refused: the campaign is not archived".to_owned(),
            "refused: other campaigns still hold the codes that stay archived: 1".to_owned(),
            format!("restored 0, skipped 1; 1 A: held by campaign {second}"),
            redeemed(&[first, third, second, 1]),
            redeemed(&[first, third, second, 1, 2]),
            redeemed(&[first, third, second, 1, 2, 3]),
        ];
        check(&script, &expected.join("\n"));
    }
}

/// K6: a value that the campaign has archived counts as in it, even if another campaign has had the value since and archived it.
/// While the other one holds it, the verdict is "held" (K7).
#[test]
fn an_archived_code_is_not_added_again() {
    check(
        r#"
        club Arena
        campaign amount=1 codes=A,B
        archive-codes 1 codes=A
        add 1 codes=a,C
        campaign amount=2 codes=A,X
        add 1 codes=A skip
        add 1 codes=A
        archive 2
        add 1 codes=A,D
        try 1 codes=A,x
        try new codes=A
        add 1 codes=X
        archive 1
        campaign amount=3 codes=B
        restore 1
        add 1 codes=B skip
        archive 3
        add 1 codes=B
        codes 1
        "#,
        r#"
        registered as club 1
        created campaign 1: added 2, skipped 0
        archived 1, skipped 0
        added 1, skipped 1; 1 a: already in this campaign
        created campaign 2: added 2, skipped 0
        added 0, skipped 1; 1 A: held by campaign 2
        refused: lines that cannot be added: 1; 1 A: held by campaign 2
        archived with 2 codes
        added 1, skipped 1; 1 A: already in this campaign
        added 1, skipped 1; 1 A: already in this campaign
        added 1, skipped 0
        added 1, skipped 0
        archived with 4 codes
        created campaign 3: added 1, skipped 0
        restored with 3 codes; 1 stay archived, because other campaigns hold them; B: held by campaign 3
        added 0, skipped 1; 1 B: held by campaign 3
        archived with 1 codes
        added 0, skipped 1; 1 B: already in this campaign
        A archived by itself; B archived with its campaign; C; D; X
        "#,
    );
}

/// A2, A10: archived codes count towards the limit of a campaign, and its total.
#[test]
fn archived_codes_count_against_the_limit() {
    let settings = Settings { codes_per_campaign_max: 3, ..Settings::default() };
    check_with(
        settings,
        r#"
        club Arena
        campaign amount=1 codes=A,B,C
        archive-codes 1 codes=A,B
        add 1 codes=D
        try 1 codes=D
        generate 1 count=1
        card 1
        "#,
        r#"
        registered as club 1
        created campaign 1: added 3, skipped 0
        archived 2, skipped 0
        refused: a campaign holds at most 3 codes; this one has 3 and the list would add 1
        refused: a campaign holds at most 3 codes; this one has 3 and the list would add 1
        refused: a campaign holds at most 3 codes; this one has 3 and the list would add 1
        3 codes: 2 archived, 0 activated, 1 available, 1 redeemable
        "#,
    );
}

/// Z1, X1, X2: until it expires a hold is a promise, whatever is archived meanwhile; after that, it fails for the code's own
/// reason. A confirmation counts for the campaign of the hold, although another campaign has the value by then.
#[test]
fn open_holds_of_archived_codes_are_confirmed_in_time_and_refused_after() {
    check(
        r#"
        club Arena
        campaign amount=1 codes=A,B,C,D
        hold code=A ttl=1000
        hold code=B ttl=1000
        hold code=C ttl=2000
        hold code=D ttl=2000
        archive-codes 1 codes=A,B
        hold code=A
        campaign amount=2 codes=A
        confirm 4
        at 1000
        confirm 5
        archive 1
        hold code=C
        confirm 6
        at 2000
        confirm 7
        restore 1
        confirm 7
        codes 1
        codes 2
        show campaign 1
        show campaign 2
        "#,
        r#"
        registered as club 1
        created campaign 1: added 4, skipped 0
        hold 4: campaign 1, 1.00, until 1000
        hold 5: campaign 1, 1.00, until 1000
        hold 6: campaign 1, 1.00, until 2000
        hold 7: campaign 1, 1.00, until 2000
        archived 2, skipped 0
        code_archived
        created campaign 2: added 1, skipped 0
        campaign 1: 1.00 credited, balance 1.00
        refused: the hold has expired, and the code can no longer be redeemed: the code is archived
        archived with 2 codes
        campaign_archived
        campaign 1: 1.00 credited, balance 2.00
        refused: the hold has expired, and the code can no longer be redeemed: the campaign is archived
        restored with 2 codes
        campaign 1: 1.00 credited, balance 3.00
        A x1 archived by itself, held by 2; B archived by itself; C x1; D x1
        A
        active, redeemable, 3 of 4 codes activated, 3 activations, 3.00 issued
        active, redeemable, 0 of 1 codes activated, 0 activations, 0.00 issued
        "#,
    );
}

/// Z3: archiving and restoring under the same request id gets the same answer again, and changes nothing.
#[test]
fn archiving_and_restoring_have_one_effect() {
    check(
        r#"
        club Arena
        campaign amount=1 codes=A,B
        archive-codes 1 codes=A request=1
        restore-codes 1 codes=A request=2
        archive-codes 1 codes=A request=1
        archive 1 request=3
        campaign amount=2 codes=B request=4
        restore 1 request=5
        archive 1 request=3
        restore 1 request=5
        generate 1 count=1 space=9000000 existing=2 drawn=G request=6
        generate 1 count=1 space=9000000 existing=3 drawn=H request=7
        redeem code=A
        redeem code=B
        codes 1
        "#,
        r#"
        registered as club 1
        created campaign 1: added 2, skipped 0
        archived 1, skipped 0
        restored 1, skipped 0
        again: archived 1, skipped 0
        archived with 2 codes
        created campaign 2: added 1, skipped 0
        restored with 1 codes; 1 stay archived, because other campaigns hold them; B: held by campaign 2
        again: archived with 2 codes
        again: restored with 1 codes; 1 stay archived, because other campaigns hold them; B: held by campaign 2
        generated 1 codes; guessing one takes 3000000 attempts on average
        generated 1 codes; guessing one takes 2250000 attempts on average
        campaign 1: 1.00 credited, balance 1.00
        campaign 2: 2.00 credited, balance 3.00
        A x1; B archived with its campaign, held by 2; G; H
        "#,
    );
}

/// A restore that restores nothing again leaves a short record, however many codes are in conflict; its retry, the first answer.
#[test]
fn a_repeated_restore_writes_a_list_of_conflicts_only_if_something_is_restored() {
    const CODES: usize = 5_000;
    let mut bench = Bench::new(Settings::default());
    let all: Vec<String> = (0..CODES).map(|number| format!("code-{number}")).collect();
    let create = || {
        let (terms, list) = (Terms::new("Summer", Money(100)), list(all.iter().map(String::as_str)));
        Mutation::CreateCampaign(Box::new(CreateCampaignRequest { terms, list, on_conflict: OnConflict::Reject }))
    };
    let restore = || Mutation::RestoreCampaign(CampaignId(1));
    let archive = Mutation::ArchiveCampaign(CampaignId(1));
    for (number, mutation) in (1..).zip([create(), archive, create(), restore()]) {
        bench.run(stamp(START_MS, number, number), &mutation);
    }
    let size = |bench: &Bench| {
        let mut batch = BatchBuilder::new(START_MS);
        batch.push(&bench.records.last().expect("a record").1);
        batch.len()
    };
    assert!(size(&bench) > 4 * CODES, "the first restore names every code in conflict");
    let first = bench.run(stamp(START_MS, 5, 5), &restore());
    let Answer::New(reply) = &first else { panic!("{first:?}") };
    assert_eq!(printed(reply), "refused: other campaigns still hold the codes that stay archived: 5000");
    assert!(size(&bench) < 300, "{} bytes", size(&bench));
    // One is free, and the rest is restored without it.
    let one = CodesRequest { campaign: CampaignId(2), list: list(["code-7"]) };
    bench.run(stamp(START_MS, 6, 6), &Mutation::ArchiveCodes(Box::new(one)));
    let again = bench.run(stamp(START_MS, 5, 5), &restore());
    assert!(matches!(&again, Answer::Again(again) if again == reply), "{again:?}");
    bench.run(stamp(START_MS, 7, 7), &restore());
    let Some((_, Record::CampaignRestored(record))) = bench.records.last() else { panic!("{:?}", bench.records.last()) };
    assert_eq!((record.restored, record.conflicts.len()), (1, CODES - 1));
    bench.compare_with_replay();
}

/// A record of a restore in a journal from elsewhere may name codes that the campaign does not have. It has no effect on these.
#[test]
fn a_restore_that_names_missing_codes_is_harmless() {
    let mut bench = Bench::new(Settings::default());
    let (terms, list) = (Terms::new("Summer", Money(100)), list(["A", "B"]));
    let create = Box::new(CreateCampaignRequest { terms, list, on_conflict: OnConflict::Reject });
    bench.run(stamp(START_MS, 1, 1), &Mutation::CreateCampaign(create));
    let (stamp, campaign) = (stamp(START_MS, 2, 2), CampaignId(1));
    let conflicts = vec![1, 2, 9, u32::MAX];
    bench.follow(CampaignRestored { stamp, campaign, restored: 0, conflicts, first: Vec::new() }.into());
    let of = bench.state.campaigns.of(campaign).expect("it was created");
    assert_eq!((of.codes_archived(), of.codes_available(), of.codes_not_exhausted()), (1, 1, 1));
    bench.compare_with_replay();
}
