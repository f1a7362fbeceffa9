//! Campaigns, by requirement: their lists, their terms as they change, their period, their stock.

use scrip_protocol::command::{
    CAMPAIGNS_LOOKED_AT, CAMPAIGNS_PER_PAGE, CampaignFilter, ListCampaigns, ListClubs, OnConflict, Terms,
};
use scrip_protocol::{CampaignId, ClubId, CredentialId, GroupId, Money, RuleId, Settings};

use super::script::check;
use super::shown::campaigns;
use super::{Answer, Bench, START_MS, list, stamp};
use crate::state::{CreateCampaignRequest, Mutation};

/// C1, C6: one list for all clubs, by status, name and club. An active campaign is switched on, within its period and not
/// archived.
#[test]
fn campaigns_are_listed_by_status_name_and_club() {
    check(
        r#"
        club Arena
        club Base
        campaign name="Summer SALE" amount=1 codes=A
        campaign name="Летняя распродажа" amount=1 codes=B clubs=1 off
        campaign name="summer night" amount=1 codes=C clubs=2 from=1000 to=2000
        campaign name=Winter amount=1 codes=D clubs=1,2
        archive 4
        campaigns
        campaigns active
        campaigns inactive
        campaigns archived
        campaigns all
        campaigns all text=summer
        campaigns all text=РАСПРОДАЖА
        campaigns all text="R s"
        campaigns all text=none
        campaigns all club=1
        campaigns all club=2
        campaigns club=2
        campaigns archived club=2 text=win
        campaigns all club=9
        at 1000
        campaigns active
        at 2001
        campaigns active
        campaigns inactive
        switch 2 on
        campaigns active
        archive 1
        campaigns active
        campaigns archived
        restore 1
        campaigns active
        "#,
        r#"
        registered as club 1
        registered as club 2
        created campaign 1: added 1, skipped 0
        created campaign 2: added 1, skipped 0
        created campaign 3: added 1, skipped 0
        created campaign 4: added 1, skipped 0
        archived with 1 codes
        1, 2, 3
        1
        2, 3
        4
        1, 2, 3, 4
        1, 3
        2
        1
        none
        1, 2, 4
        1, 3, 4
        1, 3
        4
        1
        1, 3
        1
        2, 3
        active: its codes are accepted
        1, 2
        archived with 1 codes
        2
        1, 4
        restored with 1 codes
        1, 2
        "#,
    );
}

/// The greatest numbers that a caller can send are after every row, and give empty pages.
#[test]
fn pages_after_the_greatest_numbers_are_empty() {
    let bench = Bench::new(Settings::default());
    for last in [u32::MAX - 1, u32::MAX] {
        assert_eq!(bench.state.list_clubs(&ListClubs { after: ClubId(last) }).clubs, []);
        assert_eq!(bench.state.clubs.after(ClubId(last)).count(), 0);
        assert_eq!(bench.state.campaigns.after(CampaignId(last)).count(), 0);
        assert_eq!(bench.state.groups.after(GroupId(last)).count(), 0);
        assert_eq!(bench.state.rules.after(RuleId(last)).count(), 0);
        assert_eq!(bench.state.credentials.after(CredentialId(last)).count(), 0);
    }
}

/// C1: pages list all campaigns, each once, in order, even if most pass no filter; the number examined per page is limited.
#[test]
fn pages_show_every_campaign_once() {
    let mut bench = Bench::new(Settings::default());
    let count = (CAMPAIGNS_LOOKED_AT + 2 * CAMPAIGNS_PER_PAGE) as u64 + 1;
    for number in 1..=count {
        let name = match number {
            last if last == count => "last",
            third if third % 3 == 0 => "third",
            _ => "other",
        };
        let code = format!("code-{number}");
        let request = Mutation::CreateCampaign(Box::new(CreateCampaignRequest {
            terms: Terms::new(name, Money(1)),
            list: list([code.as_str()]),
            on_conflict: OnConflict::Reject,
        }));
        assert!(matches!(bench.run(stamp(START_MS, number, number), &request), Answer::New(_)));
    }
    let shown = |text: &str| {
        let text = text.to_owned();
        campaigns(&bench, ListCampaigns { status: CampaignFilter::All, text, ..ListCampaigns::default() })
    };
    let expected = |step: usize| (1..=count as u32).map(CampaignId).skip(step - 1).step_by(step).collect::<Vec<_>>();
    assert_eq!(shown(""), expected(1));
    let mut thirds = expected(3);
    thirds.retain(|id| u64::from(id.0) != count);
    assert_eq!(shown("THIRD"), thirds);
    assert_eq!((shown("last"), shown("lasting")), (vec![CampaignId(count as u32)], vec![]));
    // No name is as long as this, in any letter case: nothing is examined.
    let page = |text: String| bench.state.list_campaigns(START_MS, &ListCampaigns { text, ..ListCampaigns::default() });
    let (short, long) = (page("lasting".into()), page("last".repeat(300)));
    assert_eq!((short.campaigns, short.next), (vec![], Some(CampaignId(CAMPAIGNS_LOOKED_AT as u32))));
    assert_eq!((long.campaigns, long.next), (vec![], None));
}

/// A8, C4, D4: a changed amount applies to later activations, of all codes of the campaign; issued bonuses stay.
#[test]
fn a_changed_amount_applies_to_later_activations() {
    check(
        r#"
        club Arena
        campaign amount=1 codes=A,B
        redeem code=A
        hold code=A
        update 1 amount=2.50
        redeem code=A
        redeem code=B
        confirm 5
        show campaign 1
        update 1 amount=0
        update 2 amount=0
        archive 1
        update 1 amount=3
        restore 1
        redeem code=B
        show campaign 1
        "#,
        r#"
        registered as club 1
        created campaign 1: added 2, skipped 0
        campaign 1: 1.00 credited, balance 1.00
        hold 5: campaign 1, 1.00, until 900000
        updated
        campaign 1: 2.50 credited, balance 3.50
        campaign 1: 2.50 credited, balance 6.00
        campaign 1: 1.00 credited, balance 7.00
        active, redeemable, 2 of 2 codes activated, 4 activations, 7.00 issued
        refused: the bonus amount must be more than 0
        refused: there is no such campaign
        archived with 2 codes
        updated
        restored with 2 codes
        campaign 1: 3.00 credited, balance 10.00
        active, redeemable, 2 of 2 codes activated, 5 activations, 10.00 issued
        "#,
    );
}

/// D3, A9: a changed cap applies to used codes, including archived ones; the counters follow it.
#[test]
fn a_changed_cap_applies_at_once() {
    check(
        r#"
        club Arena
        campaign amount=1 cap=1 codes=A,B,C
        redeem code=A
        redeem code=B
        archive-codes 1 codes=B
        card 1
        update 1 cap=2
        card 1
        redeem code=A
        redeem code=A
        update 1 cap=none
        card 1
        redeem code=A
        update 1 cap=1
        card 1
        redeem code=A
        restore-codes 1 codes=B
        card 1
        redeem code=B
        update 1 cap=0
        update 1 cap=3
        restore 1
        card 1
        "#,
        r#"
        registered as club 1
        created campaign 1: added 3, skipped 0
        campaign 1: 1.00 credited, balance 1.00
        campaign 1: 1.00 credited, balance 2.00
        archived 1, skipped 0
        3 codes: 1 archived, 2 activated, 1 available, 1 redeemable
        updated
        3 codes: 1 archived, 2 activated, 1 available, 2 redeemable
        campaign 1: 1.00 credited, balance 3.00
        code_exhausted
        updated
        3 codes: 1 archived, 2 activated, 1 available, 2 redeemable
        campaign 1: 1.00 credited, balance 4.00
        updated
        3 codes: 1 archived, 2 activated, 1 available, 1 redeemable
        code_exhausted
        restored 1, skipped 0
        3 codes: 0 archived, 2 activated, 1 available, 1 redeemable
        code_exhausted
        refused: a limit of activations must be at least 1; leave it out for no limit
        updated
        refused: the campaign is not archived
        3 codes: 0 archived, 2 activated, 1 available, 2 redeemable
        "#,
    );
}

/// C2, C3, C5: name, clubs and period are changed together or one by one, for all codes; invalid terms change nothing.
#[test]
fn changes_of_terms_are_checked_like_new_terms() {
    check(
        r#"
        club Arena
        club Base
        campaign name=old amount=1 clubs=1 codes=A from=1000 to=2000
        update 1 name=new clubs=2,2
        campaigns all text=NEW club=2
        campaigns all club=1
        redeem code=A club=1
        redeem code=A club=2
        update 1 clubs=
        redeem code=A club=1
        update 1 clubs=3
        update 1 name=
        update 1 from=2001
        update 1 from=2000
        update 1 to=1999
        update 1 from=none to=5
        update 1 to=none
        update 1 enforce=true
        campaigns active
        redeem code=A club=2
        "#,
        r#"
        registered as club 1
        registered as club 2
        created campaign 1: added 1, skipped 0
        updated
        1
        none
        club_excluded
        campaign 1: 1.00 credited, balance 1.00
        updated
        campaign 1: 1.00 credited, balance 2.00
        refused: the organisation has no club 3
        refused: a campaign's name has 1 to 200 bytes
        refused: the period ends before it starts
        updated
        refused: the period ends before it starts
        updated
        updated
        refused: there is no period to enforce: set a start, an end, or both
        1
        campaign 1: 1.00 credited, balance 3.00
        "#,
    );
}

/// A1, C8: an enforced period stops redemption outside it, to the millisecond; holds and late confirmations as well.
#[test]
fn a_period_that_is_enforced_stops_redemption() {
    check(
        r#"
        club Arena
        campaign amount=1 enforce codes=X
        campaign amount=1 from=1000 to=2000 enforce cap=9 codes=A
        show campaign 1
        redeem code=A
        hold code=A
        check code=A
        at 999
        redeem code=A
        at 1000
        redeem code=A
        hold code=A ttl=1000
        show campaign 1
        at 2000
        redeem code=A
        hold code=A ttl=1000
        at 2001
        redeem code=A
        confirm 7
        confirm 9
        show campaign 1
        switch 1 off
        redeem code=A
        switch 1 on
        update 1 enforce=false
        redeem code=A
        check code=A
        "#,
        r#"
        registered as club 1
        refused: there is no period to enforce: set a start, an end, or both
        created campaign 1: added 1, skipped 0
        inactive, not redeemable, 0 of 1 codes activated, 0 activations, 0.00 issued
        outside_period
        outside_period
        outside_period: 0 activated, 0 held
        outside_period
        campaign 1: 1.00 credited, balance 1.00
        hold 9: campaign 1, 1.00, until 2000
        active, redeemable, 1 of 1 codes activated, 1 activations, 1.00 issued
        campaign 1: 1.00 credited, balance 2.00
        hold 11: campaign 1, 1.00, until 3000
        outside_period
        refused: there is no such hold, it ended long ago, or it is not yours
        refused: the hold has expired, and the code can no longer be redeemed: outside the campaign's period
        inactive, not redeemable, 1 of 1 codes activated, 2 activations, 2.00 issued
        inactive: its codes are refused
        campaign_inactive
        active: its codes are accepted
        updated
        campaign 1: 1.00 credited, balance 3.00
        redeemable: 3 activated, 1 held
        "#,
    );
}

/// Z16: a campaign reports when fewer codes than its threshold can still be activated: used, archived and added codes affect it.
#[test]
fn a_campaign_reports_low_stock() {
    check(
        r#"
        club Arena
        campaign amount=1 cap=1 low=2 codes=A,B,C
        campaign amount=1 codes=X
        card 1
        redeem code=A
        campaigns low
        archive-codes 1 codes=B
        card 1
        card 2
        campaigns low
        campaigns active low
        add 1 codes=D
        campaigns low
        redeem code=D
        campaigns low
        update 1 low=none
        campaigns low
        update 1 low=5
        update 2 low=1
        campaigns low
        archive 1
        card 1
        campaigns all low
        restore 1
        campaigns all low
        update 1 cap=none low=3
        card 1
        "#,
        r#"
        registered as club 1
        created campaign 1: added 3, skipped 0
        created campaign 2: added 1, skipped 0
        3 codes: 0 archived, 0 activated, 3 available, 3 redeemable
        campaign 1: 1.00 credited, balance 1.00
        none
        archived 1, skipped 0
        3 codes: 1 archived, 1 activated, 1 available, 1 redeemable, low on stock
        1 codes: 0 archived, 0 activated, 1 available, 1 redeemable
        1
        1
        added 1, skipped 0
        none
        campaign 1: 1.00 credited, balance 2.00
        1
        updated
        none
        updated
        updated
        1
        archived with 3 codes
        4 codes: 4 archived, 2 activated, 0 available, 0 redeemable
        none
        restored with 3 codes
        1
        updated
        4 codes: 1 archived, 2 activated, 1 available, 3 redeemable
        "#,
    );
}

/// Z16, A9, Z1: held uses, and uses beyond the campaign's limit and budget, cannot be activated. A hold that expires returns its
/// use at that moment, without any record.
#[test]
fn held_uses_and_uses_beyond_a_limit_are_not_in_stock() {
    check(
        r#"
        club Arena
        campaign amount=1 cap=1 low=3 codes=A,B,C,D
        card 1
        hold code=A ttl=1000
        hold code=B ttl=2000
        card 1
        campaigns low
        at 999
        card 1
        at 1000
        card 1
        campaigns low
        at 2000
        card 1
        update 1 cap=none uses=3 low=none
        hold code=A ttl=1000
        card 1
        redeem code=A
        card 1
        at 3000
        card 1
        update 1 uses=none budget=2.50
        card 1
        hold code=A ttl=1000
        card 1
        at 4000
        card 1
        update 1 amount=0.50
        card 1
        archive 1
        card 1
        "#,
        r#"
        registered as club 1
        created campaign 1: added 4, skipped 0
        4 codes: 0 archived, 0 activated, 4 available, 4 redeemable
        hold 4: campaign 1, 1.00, until 1000
        hold 5: campaign 1, 1.00, until 2000
        4 codes: 0 archived, 0 activated, 4 available, 2 redeemable, low on stock
        1
        4 codes: 0 archived, 0 activated, 4 available, 2 redeemable, low on stock
        4 codes: 0 archived, 0 activated, 4 available, 3 redeemable
        none
        4 codes: 0 archived, 0 activated, 4 available, 4 redeemable
        updated
        hold 7: campaign 1, 1.00, until 3000
        4 codes: 0 archived, 0 activated, 4 available, 2 redeemable
        campaign 1: 1.00 credited, balance 1.00
        4 codes: 0 archived, 1 activated, 3 available, 1 redeemable
        4 codes: 0 archived, 1 activated, 3 available, 2 redeemable
        updated
        4 codes: 0 archived, 1 activated, 3 available, 1 redeemable
        hold 10: campaign 1, 1.00, until 4000
        4 codes: 0 archived, 1 activated, 3 available, 0 redeemable
        4 codes: 0 archived, 1 activated, 3 available, 1 redeemable
        updated
        4 codes: 0 archived, 1 activated, 3 available, 3 redeemable
        archived with 4 codes
        4 codes: 4 archived, 1 activated, 0 available, 0 redeemable
        "#,
    );
}
