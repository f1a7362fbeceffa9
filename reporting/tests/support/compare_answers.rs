//! Compares the answers of the sidecar with the recount: statistics, the code table, histories and search. Pages have only a few
//! rows, so that their boundaries matter.

use jiff::tz::TimeZone;
use scrip_protocol::codes::normalise;
use scrip_protocol::{CampaignId, ClientId, ClubId, Position};
use scrip_reporting::figures::activation_list::{self, Before};
use scrip_reporting::figures::activity::{self, Days, Happened};
use scrip_reporting::figures::campaign_list;
use scrip_reporting::figures::code_table::{self, CodeFilter, CodeStatus};
use scrip_reporting::figures::{CampaignFigures, of_campaign};
use scrip_reporting::history;
use scrip_reporting::history::operations::{self, HoldState, KindFilter, Operation, OperationFilter};
use scrip_reporting::read_model::View;
use scrip_reporting::refusals::{self, RefusalFilter};
use scrip_reporting::search;

use super::recount::{Archived, CodeLine, Past, Status, Tally, Usage, Use};

/// Time zones whose days begin at different times: the second has a half-hour offset, the third one more hour in summer.
const ZONES: [&str; 3] = ["UTC", "Asia/Kolkata", "Europe/Berlin"];

/// Checks every answer. Panics if one differs from the recount.
pub(crate) fn check(view: &View<'_>, past: &Past<'_>, random: &mut fastrand::Rng) -> rusqlite::Result<()> {
    assert_eq!((view.as_of.position, view.as_of.time_ms), (past.end.position, past.end.time_ms));
    let limit = random.usize(1..40);
    for campaign in past.campaigns() {
        counters(view, past, campaign)?;
        days_and_clubs(view, past, campaign, limit)?;
        code_table(view, past, campaign, limit)?;
        let uses = past.uses_of(campaign);
        let pages = all_pages(|before| activation_list::of_campaign(view, campaign, Before { before, limit }))?;
        let whole = |used: &Use<'_>| (used.position, used.refund.map(|refund| refund.position));
        let mut counted: Vec<_> = uses.iter().map(whole).collect();
        counted.reverse();
        assert_eq!(pages, counted, "activations of campaign {campaign}");
        if let Some(used) = random.choice(&uses) {
            let slot = used.activation.slot;
            let pages = all_pages(|before| activation_list::of_code(view, campaign, slot, Before { before, limit }))?;
            let mut counted: Vec<_> = past.uses_of_code(campaign, slot).iter().map(whole).collect();
            counted.reverse();
            assert_eq!(pages, counted, "activations of code {slot} of campaign {campaign}");
        }
    }
    assert_eq!(of_campaign(view, CampaignId(999_999))?, None);
    clients(view, past, limit)?;
    refused(view, past, limit, random)?;
    searched(view, past, random)
}

fn counters(view: &View<'_>, past: &Past<'_>, campaign: CampaignId) -> rusqlite::Result<()> {
    let counted = past.counters_at(campaign, view.now_ms).expect("it was created");
    let amount = |sum: i128| i64::try_from(sum).unwrap_or(i64::MAX);
    let counted = CampaignFigures {
        codes: counted.codes,
        codes_archived: counted.codes_archived,
        codes_activated: counted.codes_activated,
        codes_available: counted.codes_available,
        codes_redeemable: counted.codes_redeemable,
        activations: counted.activations,
        held: counted.held,
        issued: amount(counted.issued),
        refunds: counted.refunds,
        taken_back: Some(scrip_reporting::shown::Amount(amount(counted.taken_back))),
        uncollected: amount(counted.uncollected),
        utilisation: counted.utilisation,
        low_stock: counted.low_stock,
        as_of: view.now(),
    };
    let shown = campaign_list::show(view, campaign)?.expect("it was created").campaign;
    let of_card = (shown.codes_redeemable, shown.low_stock, shown.codes, shown.activations);
    assert_eq!(of_card, (counted.codes_redeemable, counted.low_stock, counted.codes, counted.activations), "{campaign}");
    assert_eq!(of_campaign(view, campaign)?, Some(counted), "campaign {campaign}");
    Ok(())
}

fn tally(happened: &Happened) -> Tally {
    Tally {
        activations: happened.activations,
        issued: happened.issued.0.into(),
        refunds: happened.refunds,
        taken_back: happened.taken_back.0.into(),
    }
}

fn at_most(tally: Tally) -> Tally {
    let most = i128::from(i64::MAX);
    Tally { issued: tally.issued.min(most), taken_back: tally.taken_back.min(most), ..tally }
}

fn days_and_clubs(view: &View<'_>, past: &Past<'_>, campaign: CampaignId, limit: usize) -> rusqlite::Result<()> {
    for name in ZONES {
        let zone = TimeZone::get(name).expect("the zones are built in");
        let query = Days { zone: zone.clone(), last: None, days: activity::DAYS_MAX };
        let days = activity::by_day(view, campaign, &query)?.expect("it was created").days;
        // Days without activity may be included.
        let found: Vec<_> = days.iter().map(|day| (day.date, tally(&day.happened))).collect();
        let found: Vec<_> = found.into_iter().filter(|(_, tally)| *tally != Tally::default()).collect();
        let first = days.first().expect("at least the day of the newest batch is there").date;
        let counted = past.days_of(campaign, &zone).into_iter().filter(|(date, _)| *date >= first);
        let counted: Vec<_> = counted.map(|(date, tally)| (date, at_most(tally))).collect();
        assert_eq!(found, counted, "days of campaign {campaign} in {name}");
    }
    let (mut found, mut after, mut is_first) = (Vec::new(), None, true);
    while is_first || after.is_some() {
        let page = activity::by_club(view, campaign, after, limit)?.expect("it was created");
        let number = |club: &activity::Club| ClubId(club.club.expect("all of the history is here"));
        found.extend(page.clubs.iter().map(|club| (number(club), tally(&club.happened))));
        (after, is_first) = (page.next, false);
    }
    let counted: Vec<_> = past.clubs_of(campaign).into_iter().map(|(club, tally)| (club, at_most(tally))).collect();
    assert_eq!(found, counted, "clubs of campaign {campaign}");
    Ok(())
}

/// T5, T6: both filters; client, time and club.
fn code_table(view: &View<'_>, past: &Past<'_>, campaign: CampaignId, limit: usize) -> rusqlite::Result<()> {
    for (status, archived) in [(Status::All, None), (Status::Active, Some(false)), (Status::Archived, Some(true))] {
        for (usage, used) in [(Usage::All, None), (Usage::Used, Some(true)), (Usage::Unused, Some(false))] {
            let (mut found, mut after, mut is_first) = (Vec::new(), None, true);
            while is_first || after.is_some() {
                is_first = false;
                let filter = CodeFilter { archived, used, after, limit };
                let page = code_table::list(view, campaign, &filter)?.expect("it was created");
                after = page.next;
                found.extend(page.codes);
            }
            let (lines, is_campaign_archived) = (past.code_table(campaign, status, usage), past.archived_ms(campaign).is_some());
            let shown: Vec<_> = found.iter().map(|code| (code.slot, code.code.as_str(), code.status, code.activations)).collect();
            let counted: Vec<_> = lines
                .iter()
                .map(|line| {
                    (line.code.slot, line.code.text.as_str(), status_of(line, is_campaign_archived), line.uses.len() as u64)
                })
                .collect();
            assert_eq!(shown, counted, "codes of campaign {campaign}, {status:?}, {usage:?}");
            for code in found {
                let uses = past.uses_of_code(campaign, code.slot);
                for of in code.first.iter().chain(&code.last) {
                    let used = uses.iter().find(|used| used.position == of.activation).expect("an activation of the code");
                    let where_and_when = (of.at.0, of.client.0, ClubId(of.club), of.refunded);
                    let activation = used.activation;
                    assert_eq!(where_and_when, (used.at_ms, activation.client, activation.club, !used.stands()));
                }
                assert_eq!(code.first.map(|of| of.activation), uses.first().map(|used| used.position));
                let last = uses.last().map(|used| used.position).filter(|_| uses.len() > 1);
                assert_eq!(code.last.map(|of| of.activation), last, "code {} of campaign {campaign}", code.slot);
            }
        }
    }
    Ok(())
}

fn status_of(line: &CodeLine<'_>, is_campaign_archived: bool) -> CodeStatus {
    match (line.code.archived, is_campaign_archived) {
        (Archived::Alone, _) => CodeStatus::Archived,
        (Archived::LeftBehind | Archived::No, true) => CodeStatus::ArchivedWithCampaign,
        (Archived::LeftBehind, false) => CodeStatus::ArchivedLeftBehind,
        (Archived::No, false) => CodeStatus::Active,
    }
}

/// All pages of activations, as positions with the positions of their refunds.
fn all_pages(
    mut page: impl FnMut(Option<u64>) -> rusqlite::Result<Option<activation_list::Activations>>,
) -> rusqlite::Result<Vec<(u64, Option<u64>)>> {
    let (mut found, mut before, mut is_first) = (Vec::new(), None, true);
    while is_first || before.is_some() {
        is_first = false;
        let activation_list::Activations { activations, next, .. } = page(before)?.expect("it was created");
        found.extend(activations.iter().map(|of| (of.activation, of.refund.as_ref().map(|refund| refund.refund))));
        before = next;
    }
    Ok(found)
}

/// B5: the balances of a client, and all its operations.
fn clients(view: &View<'_>, past: &Past<'_>, limit: usize) -> rusqlite::Result<()> {
    let (movements, refusals, holds) = (past.movements(), past.refusals(), past.holds());
    for card in past.cards() {
        let shown = history::card(view, card.client)?.expect("it was registered");
        let found = (
            shown.name.as_str(),
            shown.registered_at.map_or(0, |at| at.0),
            shown.gaming.0,
            shown.bonus.0,
            shown.spent.0,
            shown.sessions,
        );
        let counted = (card.name.as_str(), card.registered_ms, card.gaming, card.bonus, card.spent, card.sessions);
        assert_eq!((found, shown.activations), (counted, card.activations), "client {}", card.client);
        let mut found_all = Vec::new();
        let (mut before, mut is_first) = (None, true);
        while is_first || before.is_some() {
            is_first = false;
            let filter = OperationFilter { kind: KindFilter::All, before, limit, ..OperationFilter::default() };
            let page = operations::list(view, card.client, &filter)?.expect("it was registered");
            before = page.next;
            found_all.extend(page.operations);
        }
        let is_theirs = |client: ClientId| client == card.client;
        let entry = |of: &super::recount::Movement| (of.position, u64::from(of.nth), of.amount, of.balance);
        let mut counted: Vec<_> = movements.iter().filter(|of| is_theirs(of.client)).map(entry).collect();
        let mut found: Vec<_> = found_all
            .iter()
            .filter_map(|operation| match operation {
                Operation::Entry(of) => Some((of.position, of.nth, of.amount.0, of.balance.0)),
                Operation::Hold(_) | Operation::Refusal(_) | Operation::Spending(_) | Operation::Refund(_) => None,
            })
            .collect();
        let positions: Vec<_> = found.iter().map(|(position, ..)| *position).collect();
        assert!(positions.is_sorted_by(|one, other| one >= other), "client {}: the newest first", card.client);
        found.sort_unstable();
        counted.sort_unstable();
        assert_eq!(found, counted, "entries of client {}", card.client);
        let open = |operation: &Operation| match operation {
            Operation::Hold(hold) => (hold.state == HoldState::Open).then_some(hold.position),
            Operation::Entry(_) | Operation::Refusal(_) | Operation::Spending(_) | Operation::Refund(_) => None,
        };
        let counted = holds.iter().filter(|hold| is_theirs(hold.record.client) && hold.is_open(view.now_ms));
        let counted: Vec<_> = counted.map(|hold| hold.position).collect();
        assert_eq!(found_all.iter().rev().filter_map(open).collect::<Vec<_>>(), counted, "client {}", card.client);
        let others = |is_hold: bool| -> Vec<u64> {
            let of = |operation: &Operation| match operation {
                Operation::Hold(of) => is_hold.then_some(of.position),
                Operation::Refusal(of) => (!is_hold).then_some(of.position),
                Operation::Entry(_) | Operation::Spending(_) | Operation::Refund(_) => None,
            };
            found_all.iter().rev().filter_map(of).collect()
        };
        let held: Vec<u64> = holds.iter().filter(|of| is_theirs(of.record.client)).map(|of| of.position).collect();
        assert_eq!(others(true), held, "holds of client {}", card.client);
        let refused = refusals.iter().filter(|of| of.client == Some(card.client));
        assert_eq!(others(false), refused.map(|of| of.position).collect::<Vec<_>>(), "refusals of client {}", card.client);
    }
    Ok(())
}

/// Z13: refusals by client and by code, with the condition that caused them.
fn refused(view: &View<'_>, past: &Past<'_>, limit: usize, random: &mut fastrand::Rng) -> rusqlite::Result<()> {
    let refusals = past.refusals();
    let some = random.choice(refusals.iter().filter(|of| of.client.is_some() && of.code.is_some()).collect::<Vec<_>>());
    let Some(some) = some else { return Ok(()) };
    for (client, code) in [(None, None), (some.client, None), (None, some.code.clone()), (some.client, some.code.clone())] {
        let filter = RefusalFilter { client, code: code.clone(), ..RefusalFilter::default() };
        let (mut found, mut before, mut is_first) = (Vec::new(), None, true);
        while is_first || before.is_some() {
            is_first = false;
            let page = refusals::list(view, &filter, Before { before, limit }, &|_| true)?;
            before = page.next;
            found.extend(page.refusals);
        }
        let passes =
            |of: &&super::recount::Refusal<'_>| (client.is_none() || of.client == client) && (code.is_none() || of.code == code);
        let counted: Vec<_> = refusals.iter().rev().filter(passes).map(|of| (of.position, of.reason())).collect();
        assert!(found.iter().all(|of| !of.decided.is_empty()));
        let found: Vec<_> = found.into_iter().map(|of| (of.position, of.reason)).collect();
        assert_eq!(found, counted, "refusals of {client:?} and {code:?}");
    }
    Ok(())
}

/// Z3: the position of a request, and the campaign of a code.
fn searched(view: &View<'_>, past: &Past<'_>, random: &mut fastrand::Rng) -> rusqlite::Result<()> {
    for _ in 0..20 {
        let Some(recorded) = random.choice(past.records) else { break };
        if let Some(stamp) = recorded.record.stamp() {
            let found = search::by_request(view, stamp.request)?.map(|found| found.position);
            assert_eq!(found, past.request(stamp.request));
        }
    }
    if let Some(used) = random.choice(past.uses()) {
        let one = activation_list::one(view, Position(used.position))?.expect("it is an activation");
        assert_eq!((one.activation, one.at.0, one.client.0), (used.position, used.at_ms, used.activation.client));
        let campaign = used.activation.campaign;
        let text = past.codes(campaign).swap_remove(used.activation.slot as usize).text;
        assert!(normalise(&text).is_ok() && search::by_code(view, &text)?.is_some(), "{text}");
    }
    Ok(())
}
