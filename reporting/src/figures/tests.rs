//! Figures of the sample.

use jiff::tz::TimeZone;
use scrip_protocol::{CampaignId, Position, RuleId};

use super::activation_list::{self, Before};
use super::activity::{self, DAYS_MAX, Days, Happened};
use super::campaign_list::{self, CampaignFilter, Status, StatusFilter};
use super::code_table::{self, CodeFilter, CodeStatus};
use super::*;
use crate::sample::{self, plan};
use crate::{history, refusals, search};

const AUTUMN: CampaignId = CampaignId(1);
const ALL: Before = Before { before: None, limit: 100 };

/// T1, T2, T3, A7 to A10, Z1, Z16, Z10: the counters follow the engine's definitions, as of a position.
#[test]
fn counters_follow_from_the_table() {
    let figures = sample::view(|view| of_campaign(view, AUTUMN)).expect("there is such a campaign");
    let CampaignFigures { codes, codes_archived, codes_activated, codes_available, codes_redeemable, .. } = figures;
    assert_eq!([codes, codes_archived, codes_activated, codes_available, codes_redeemable], [4, 1, 1, 2, 2]);
    assert_eq!(
        (figures.activations, figures.issued, figures.refunds, figures.taken_back),
        (2, 1_000, 1, Some(shown::Amount(500)))
    );
    assert_eq!((figures.held, figures.low_stock, figures.utilisation.as_str()), (1, true, "25.00"));
    assert_eq!(figures.as_of.position, Position(sample::POSITION));
    let archived = sample::view(|view| of_campaign(view, CampaignId(2))).expect("there is such a campaign");
    assert_eq!((archived.codes_archived, archived.codes_available, archived.codes_redeemable), (1, 0, 0));
    assert!(!archived.low_stock);
    let empty = sample::view(|view| of_campaign(view, CampaignId(3))).expect("there is such a campaign");
    assert_eq!(empty.utilisation, "-");
    assert_eq!(sample::view(|view| of_campaign(view, CampaignId(99))), None);
}

/// A1, C6, Z1, Z16: while no records arrive, holds expire, periods end and days begin by the engine's time, and the answers have
/// that time.
#[test]
fn figures_follow_the_time_while_no_records_arrive() {
    let at = |now_ms| {
        sample::view_at(now_ms, |view| {
            let figures = of_campaign(view, AUTUMN)?.expect("there is such a campaign");
            let days = Days { zone: TimeZone::UTC, last: None, days: 1 };
            let today = activity::by_day(view, AUTUMN, &days)?.expect("there is such a campaign").days[0].date.to_string();
            let enforced = campaign_list::show(view, CampaignId(4))?.expect("there is such a campaign").campaign.redeemable;
            Ok((figures.held, figures.codes_redeemable, figures.as_of.time_ms, today, enforced))
        })
    };
    let (now, second) = (sample::NOW_MS, 1_000);
    assert_eq!(at(now - 2 * second), (2, 2, now - 2 * second, "2026-09-21".to_owned(), true));
    assert_eq!(at(now), (1, 2, now, "2026-09-21".to_owned(), false));
    assert_eq!(at(now + second), (0, 2, now + second, "2026-09-21".to_owned(), false));
    assert_eq!(at(now + 86_400 * second), (0, 2, now + 86_400 * second, "2026-09-22".to_owned(), false));
}

/// C1, C6, C8, A1: status follows the switch and the period, redeemability the switch; the list filters by both, by text, club
/// and stock.
#[test]
fn campaigns_are_listed_by_what_they_are() {
    let list = |filter: CampaignFilter| {
        let limit = filter.limit.max(1) + if filter.limit == 0 { 99 } else { 0 };
        let page = sample::view(|view| campaign_list::list(view, &CampaignFilter { limit, ..filter }));
        (page.campaigns.iter().map(|campaign| campaign.campaign).collect::<Vec<_>>(), page.next)
    };
    let of = CampaignFilter::default;
    let status = |status| CampaignFilter { status: Some(status), ..of() };
    assert_eq!(list(of()), (vec![1, 3, 4], None));
    assert_eq!(list(status(StatusFilter::All)), (vec![1, 2, 3, 4], None));
    assert_eq!(list(status(StatusFilter::Only(Status::Active))), (vec![3], None));
    assert_eq!(list(status(StatusFilter::Only(Status::Inactive))), (vec![1, 4], None));
    assert_eq!(list(status(StatusFilter::Only(Status::Archived))), (vec![2], None));
    assert_eq!(list(CampaignFilter { redeemable: Some(false), ..of() }), (vec![4], None));
    assert_eq!(list(CampaignFilter { club: Some(2), ..of() }), (vec![1, 3], None));
    assert_eq!(list(CampaignFilter { text: Some("AUT".into()), ..of() }), (vec![1], None));
    assert_eq!(list(CampaignFilter { low_stock: Some(true), ..of() }), (vec![1], None));
    assert_eq!(list(CampaignFilter { limit: 2, ..of() }), (vec![1, 3], Some(3)));
    assert_eq!(list(CampaignFilter { limit: 2, after: 3, ..of() }), (vec![4], None));
}

/// A1, K9: a campaign whose period is over but that still accepts codes shows it; its page has the origin of its codes and its
/// changes.
#[test]
fn a_campaign_is_shown_with_the_origin_of_its_codes() {
    let page = sample::view(|view| campaign_list::show(view, AUTUMN)).expect("there is such a campaign");
    assert!(page.campaign.ended_still_accepting && page.campaign.redeemable);
    assert_eq!(page.campaign.status, Status::Inactive);
    let added: Vec<_> = page.added.iter().map(|added| (added.codes, added.how.as_str())).collect();
    assert_eq!(added, [(1, "added"), (3, "created")]);
    assert_eq!(page.changes.len(), 2);
    assert_eq!(page.changes[0].credential_name.as_deref(), Some("marketing"));
    let enforced = sample::view(|view| campaign_list::show(view, CampaignId(4))).expect("there is such a campaign");
    assert!(!enforced.campaign.ended_still_accepting);
}

#[track_caller]
fn days(zone: &str, last: &str, days: u16) -> Vec<(String, u64)> {
    let zone = TimeZone::get(zone).expect("there is such a time zone");
    let query = Days { zone, last: Some(last.parse().expect("it is a day")), days };
    let activity = sample::view(|view| activity::by_day(view, AUTUMN, &query)).expect("there is such a campaign");
    activity.days.iter().map(|day| (day.date.to_string(), day.happened.activations)).collect()
}

/// Pain 21, T4: days are those of the requested time zone, with 23 to 25 hours, and days without activations are included.
#[test]
fn days_are_those_of_the_time_zone() {
    let of = |rows: &[(&str, u64)]| rows.iter().map(|(day, n)| ((*day).to_owned(), *n)).collect::<Vec<_>>();
    assert_eq!(days("UTC", "2026-09-21", 3), of(&[("2026-09-19", 0), ("2026-09-20", 3), ("2026-09-21", 0)]));
    assert_eq!(days("Europe/Berlin", "2026-09-21", 2), of(&[("2026-09-20", 1), ("2026-09-21", 2)]));
    assert_eq!(days("Asia/Kathmandu", "2026-09-21", 1), of(&[("2026-09-21", 3)]));
    assert_eq!(days("Europe/Berlin", "2026-10-26", 2), of(&[("2026-10-25", 7), ("2026-10-26", 0)]));
    assert_eq!(days("UTC", "2026-09-21", 400).len(), 400);
    assert_eq!(days("Pacific/Kiritimati", "9999-12-31", 2).len(), 2);
    assert_eq!(days("America/New_York", "0000-01-01", 400).len(), 400);
}

/// T6: activations and refunds by club.
#[test]
fn clubs_have_their_own_figures() {
    let clubs = sample::view(|view| activity::by_club(view, AUTUMN, None, 1)).expect("there is such a campaign");
    assert_eq!((clubs.clubs[0].name.as_deref(), clubs.clubs[0].happened.activations, clubs.next), (Some("North"), 2, Some(1)));
    let clubs = sample::view(|view| activity::by_club(view, AUTUMN, Some(1), 1)).expect("there is such a campaign");
    assert_eq!((clubs.clubs[0].happened.taken_back, clubs.next), (shown::Amount(500), None));
}

/// T3, T6: refunds of activations from before the history begins belong to no known club, but are in the sums over clubs, which
/// equal the sums over days.
#[test]
fn clubs_and_days_have_the_same_sums() {
    let sums = sample::view(|view| {
        // As in a read model that began with a snapshot.
        view.connection.execute_batch(
            "INSERT INTO activity VALUES (1, 1988824, 0, 0, 0, 5, 2500); INSERT INTO campaign_club VALUES (1, 0, 0, 0, 5, 2500);",
        )?;
        let query = Days { zone: TimeZone::UTC, last: Some(jiff::civil::date(2026, 10, 30)), days: DAYS_MAX };
        let days = activity::by_day(view, AUTUMN, &query)?.expect("there is such a campaign").days;
        let days = days.iter().map(|day| day.happened);
        let (mut clubs, mut after, mut is_first) = (Vec::new(), None, true);
        while is_first || after.is_some() {
            let page = activity::by_club(view, AUTUMN, after, 1)?.expect("there is such a campaign");
            clubs.extend(page.clubs);
            (after, is_first) = (page.next, false);
        }
        let sum = |all: &mut dyn Iterator<Item = Happened>| {
            all.fold((0, 0), |(refunds, taken), of| (refunds + of.refunds, taken + of.taken_back.0))
        };
        let numbers: Vec<_> = clubs.iter().map(|club| club.club).collect();
        Ok((sum(&mut days.into_iter()), sum(&mut clubs.iter().map(|club| club.happened)), numbers))
    });
    assert_eq!(sums, ((6, 3_000), (6, 3_000), vec![None, Some(1), Some(2)]));
}

/// T5, X2, X3: both filters of the code table combine; pages continue after a slot.
#[test]
fn the_code_table_combines_its_filters() {
    let list = |archived, used, after, limit| {
        let filter = CodeFilter { archived, used, after, limit };
        let page = sample::view(|view| code_table::list(view, AUTUMN, &filter)).expect("there is such a campaign");
        (page.codes.iter().map(|code| code.slot).collect::<Vec<_>>(), page.next)
    };
    assert_eq!(list(None, None, None, 100), (vec![0, 1, 2, 3], None));
    assert_eq!(list(Some(false), None, None, 100), (vec![0, 2, 3], None));
    assert_eq!(list(Some(true), None, None, 100), (vec![1], None));
    assert_eq!(list(None, Some(true), None, 100), (vec![0], None));
    assert_eq!(list(Some(false), Some(false), None, 1), (vec![2], Some(2)));
    assert_eq!(list(Some(false), Some(false), Some(2), 1), (vec![3], None));
    assert_eq!(list(Some(true), Some(true), None, 100), (vec![], None));
}

/// T6: a redeemed code shows the client, time and club of its first and last activation.
#[test]
fn a_code_says_who_activated_it_when_and_where() {
    let filter = CodeFilter { limit: 10, ..CodeFilter::default() };
    let page = sample::view(|view| code_table::list(view, AUTUMN, &filter)).expect("there is such a campaign");
    let first = page.codes[0].first.as_ref().expect("it was activated");
    assert_eq!(
        (first.client_name.as_deref(), first.club_name.as_deref(), first.at.0),
        (Some("Ann"), Some("North"), 1_789_900_000_000)
    );
    assert_eq!(page.codes[0].last.as_ref().map(|last| last.activation), Some(5_000));
    let refunded = &page.codes[1];
    assert_eq!((refunded.status, refunded.activations, refunded.last.is_some()), (CodeStatus::Archived, 0, false));
    assert!(refunded.first.as_ref().is_some_and(|first| first.refunded));
    let with_campaign = sample::view(|view| code_table::list(view, CampaignId(2), &filter)).expect("there is such a campaign");
    assert_eq!(with_campaign.codes[0].status, CodeStatus::ArchivedWithCampaign);
}

/// T6, Z2: activations of a code, of a campaign and of all campaigns, newest first, in pages.
#[test]
fn activations_are_newest_first_in_pages() {
    let ids = |page: activation_list::Activations| (page.activations.iter().map(|a| a.activation).collect::<Vec<_>>(), page.next);
    let of_code = |before| sample::view(|view| activation_list::of_code(view, AUTUMN, 0, before)).expect("there is such a code");
    let of_campaign = |before| sample::view(|view| activation_list::of_campaign(view, AUTUMN, before)).expect("there is one");
    let (all, one) = (ALL, |before| Before { before, limit: 1 });
    assert_eq!(ids(of_code(all)), (vec![5_000, 101], None));
    assert_eq!(ids(of_code(one(None))), (vec![5_000], Some(5_000)));
    assert_eq!(ids(of_code(one(Some(5_000)))), (vec![101], None));
    assert_eq!(ids(of_campaign(all)), (vec![5_000, 102, 101], None));
    assert_eq!(ids(of_campaign(one(Some(5_000)))), (vec![102], Some(102)));
    assert_eq!(ids(of_campaign(one(Some(102)))), (vec![101], None));
    assert_eq!(ids(sample::view(|view| activation_list::of_all(view, one(None)))), (vec![5_000], Some(5_000)));
    let refunded = sample::view(|view| activation_list::one(view, Position(102))).expect("there is such an activation");
    assert_eq!(refunded.refund.map(|refund| refund.refund), Some(6_000));
    assert_eq!(sample::view(|view| activation_list::one(view, Position(u64::MAX))), None);
}

/// A20, A31: the page of a rule has the failed top-ups with their reasons, and the push notifications that were too long to be
/// sent.
#[test]
fn a_rule_says_why_it_failed() {
    let page = sample::view(|view| rule_card::show(view, RuleId(1))).expect("there is such a rule");
    let counts: Vec<_> = page.failed.iter().map(|of| (of.why.as_str(), of.count)).collect();
    assert_eq!(counts, [("overflow", 1), ("push_too_long", 1)]);
    let failures: Vec<_> = page.failures.iter().map(|of| (of.top_up, of.client.0.0, of.why.as_str())).collect();
    assert_eq!(failures, [(300, 7, "push_too_long"), (299, 8, "overflow")]);
    assert_eq!((page.name.as_str(), sample::view(|view| rule_card::show(view, RuleId(9)))), ("Gold", None));
}

/// Z1, pain 19: what is held is a sum of few rows, however many holds there are.
#[test]
fn what_is_held_is_a_sum_of_few_rows() {
    let steps = sample::view(|view| plan(view, HELD));
    assert_eq!(steps, ["SEARCH held USING PRIMARY KEY (campaign=? AND length=? AND stretch>? AND stretch<?)"]);
    for now_ms in [0, 1, 1_023, 1_024, sample::NOW_MS as i64, i64::MAX] {
        let of_lengths: Vec<_> = stretches(now_ms).collect();
        assert_eq!(of_lengths.len(), HELD_LENGTHS.len());
        for (length, from, end) in of_lengths {
            // The longest hold has seven days, which are 577 of the longest stretches.
            assert!(length == 20 || end.abs_diff(from) <= 1_024, "{length} {from} {end}");
        }
    }
}

/// Pain 19: the failures of a rule are counted when they are written, not when somebody looks at the rule.
#[test]
fn the_failures_of_a_rule_are_not_counted_one_by_one() {
    let steps = sample::view(|view| plan(view, rule_card::COUNTS));
    assert_eq!(steps, ["SEARCH rule_failure_count USING PRIMARY KEY (rule=?)"]);
}

/// Pain 19: frequent queries find their rows by keys and indexes.
#[test]
fn no_hot_query_scans_a_table() {
    let queries = [
        activation_list::select(activation_list::OF_ALL),
        activation_list::select(activation_list::ONE),
        activation_list::select(activation_list::OF_STRETCH),
        activation_list::select(activation_list::AGAIN),
        activation_list::STRETCHES.to_owned(),
        activity::BY_QUARTER.to_owned(),
        activity::BY_CLUB.to_owned(),
        campaign_list::CHANGES.to_owned(),
        code_table::LIST.to_owned(),
        code_table::USE.to_owned(),
        HELD.to_owned(),
        history::operations::POSITIONS.to_owned(),
        history::operations::ACTIVATION.to_owned(),
        history::operations::ENTRIES.to_owned(),
        history::operations::HOLD.to_owned(),
        refusals::select(refusals::OF_ALL),
        refusals::select(refusals::OF_CLIENT),
        refusals::select(refusals::OF_CODE),
        refusals::select(refusals::ONE),
        search::PLACES.to_owned(),
        crate::http::credentials::BY_SECRET.to_owned(),
        history::operations::SPENDING.to_owned(),
        history::operations::REFUND.to_owned(),
        refusals::select(refusals::OF_CAMPAIGN),
        search::staff_changes::select(search::staff_changes::OF_ALL),
        search::staff_changes::select(search::staff_changes::OF_CAMPAIGN),
        history::BEGINNING.to_owned(),
        history::ANY_OF_STRETCH.to_owned(),
        rule_card::COUNTS.to_owned(),
        rule_card::FAILURES.to_owned(),
    ];
    sample::view(|view| {
        for query in &queries {
            let steps = plan(view, query)?;
            assert!(steps.iter().all(|step| !step.starts_with("SCAN")), "{query}\n{steps:#?}");
        }
        for (query, index) in [(&queries[3], "activation_again"), (&queries[17], "refusal_by_code")] {
            let steps = plan(view, query)?;
            assert!(steps.iter().any(|step| step.contains(index)), "{query}\n{steps:#?}");
        }
        // Sorted by the key of the lookup: no page needs a sort.
        for query in queries.iter().filter(|query| query.contains("DESC") && !query.contains("code.value")) {
            let steps = plan(view, query)?;
            assert!(steps.iter().all(|step| !step.contains("TEMP B-TREE")), "{query}\n{steps:#?}");
        }
        Ok(())
    });
}
