//! Queries in the notation of [`script`](super::script); and a recount of the counters of campaigns from the lists of their
//! codes.
//!
//! ```text
//! codes 1 archived unused                  the codes of campaign 1: also active, conflicting, used
//! campaigns archived text=sum club=2 low   the numbers of campaigns: also present, active, inactive, all
//! card 1                                   the counters of campaign 1
//! free codes=A,B                           whether they can be added
//! try 1 codes=A,B skip                     the outcome of adding them; `try new` for a new campaign
//! ```

use std::collections::HashMap;

use scrip_protocol::command::{
    CampaignCard, CampaignFilter, CheckFreeOutcome, CodeFilter, CodeFree, CodeRow, ListCampaigns, ListCampaignsOutcome,
    ListCodes, ListCodesOutcome, ShowCampaign, ShowCampaignOutcome, UsageFilter,
};
use scrip_protocol::{CampaignId, ClubId};

use super::script::{Words, parsed, with_lines};
use super::{Bench, list};
use crate::index::normalise;
use crate::state::{AddCodesRequest, CodeAt, HeldOfCampaign, Lookup, OpenHold};

/// Whether a word is one of these.
pub(super) fn knows(word: &str) -> bool {
    ["codes", "campaigns", "card", "free", "try"].contains(&word)
}

pub(super) fn shown(bench: &Bench, words: &Words) -> String {
    let or_none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
    match words.at(0) {
        "codes" => {
            let (status, usage) = (code_filter(words), usage_filter(words));
            let Some(rows) = rows(bench, parsed(words.at(1)), status, usage) else { return "unknown".to_owned() };
            or_none(rows.iter().map(row).collect::<Vec<_>>().join("; "))
        }
        "campaigns" => {
            let request = ListCampaigns {
                status: campaign_filter(words),
                text: words.value("text").unwrap_or_default().to_owned(),
                club: words.number("club").unwrap_or(ClubId(0)),
                low_stock: words.has("low"),
                ..ListCampaigns::default()
            };
            or_none(campaigns(bench, request).iter().map(CampaignId::to_string).collect::<Vec<_>>().join(", "))
        }
        "card" => card(bench, parsed(words.at(1))),
        "free" => {
            let checked = bench.index.check_free(words.list("codes").into_iter());
            let CheckFreeOutcome::Checked { codes, as_of } = checked else { panic!("these are not too many") };
            assert_eq!(as_of, bench.state.position());
            codes.iter().map(CodeFree::to_string).collect::<Vec<_>>().join(", ")
        }
        "try" => tried(bench, words),
        other => panic!("the notation has no {other:?}"),
    }
}

fn tried(bench: &Bench, words: &Words) -> String {
    let campaign = (words.at(1) != "new").then(|| parsed(words.at(1)));
    let request = AddCodesRequest { campaign, list: list(words.list("codes")), on_conflict: words.on_conflict() };
    let outcome = bench.state.try_codes(&request, &bench.index);
    with_lines(&outcome)
}

fn code_filter(words: &Words) -> CodeFilter {
    match words.at(2) {
        "active" => CodeFilter::Active,
        "archived" => CodeFilter::Archived,
        "conflicting" => CodeFilter::Conflicting,
        _ => CodeFilter::All,
    }
}

fn usage_filter(words: &Words) -> UsageFilter {
    match (words.has("used"), words.has("unused")) {
        (true, _) => UsageFilter::Used,
        (_, true) => UsageFilter::Unused,
        (false, false) => UsageFilter::All,
    }
}

fn campaign_filter(words: &Words) -> CampaignFilter {
    match words.at(1) {
        "all" => CampaignFilter::All,
        "active" => CampaignFilter::Active,
        "inactive" => CampaignFilter::Inactive,
        "archived" => CampaignFilter::Archived,
        _ => CampaignFilter::Present,
    }
}

fn row(row: &CodeRow) -> String {
    let used = if row.activations > 0 { format!(" x{}", row.activations) } else { String::new() };
    let archived = row.archived.map(|cause| format!(" archived {cause}")).unwrap_or_default();
    let held_by = row.held_by.map(|campaign| format!(", held by {campaign}")).unwrap_or_default();
    format!("{}{used}{archived}{held_by}", row.code)
}

fn card(bench: &Bench, campaign: CampaignId) -> String {
    let ShowCampaignOutcome::Campaign(card) = bench.state.show_campaign(bench.now_ms, &ShowCampaign { campaign }) else {
        return "unknown".to_owned();
    };
    let low = if card.low_stock { ", low on stock" } else { "" };
    format!(
        "{} codes: {} archived, {} activated, {} available, {} redeemable{low}",
        card.codes, card.codes_archived, card.codes_activated, card.codes_available, card.codes_redeemable
    )
}

/// The codes of a campaign, from all pages.
pub(super) fn rows(bench: &Bench, campaign: CampaignId, status: CodeFilter, usage: UsageFilter) -> Option<Vec<CodeRow>> {
    let (mut rows, mut from_slot) = (Vec::new(), 0);
    loop {
        let request = ListCodes { campaign, from_slot, status, usage };
        let ListCodesOutcome::Codes { codes, next, as_of } = bench.state.list_codes(&request, &bench.index) else { return None };
        assert_eq!(as_of, bench.state.position());
        rows.extend(codes);
        let Some(next) = next else { return Some(rows) };
        assert!(next > from_slot, "every page continues");
        from_slot = next;
    }
}

/// The campaigns that pass a filter, from all pages.
pub(super) fn campaigns(bench: &Bench, mut request: ListCampaigns) -> Vec<CampaignId> {
    let mut found = Vec::new();
    loop {
        let ListCampaignsOutcome { campaigns, next, as_of } = bench.state.list_campaigns(bench.now_ms, &request);
        assert_eq!(as_of, bench.state.position());
        found.extend(campaigns.iter().map(|card| card.campaign));
        let Some(next) = next else { return found };
        assert!(next > request.after, "every page continues");
        request.after = next;
    }
}

/// How many free codes could be activated, one after the other, until the limit or the budget refuses one.
fn could_be_activated(card: &CampaignCard, free: u32, open: &[OpenHold]) -> u32 {
    let terms = &card.terms;
    let mut uses = card.activations + open.len() as u64;
    let mut committed = i128::from(card.issued.0) + open.iter().map(|hold| i128::from(hold.amount.0)).sum::<i128>();
    let mut activated = 0;
    while activated < free {
        uses += 1;
        committed += i128::from(terms.amount.0);
        let is_over = terms.activations_max.is_some_and(|max| uses > max);
        if is_over || terms.budget.is_some_and(|budget| committed > i128::from(budget.0)) {
            break;
        }
        activated += 1;
    }
    activated
}

/// Counts what is held of a campaign now and at each later expiry, by a walk over its holds and codes.
fn held_at_all_times(bench: &Bench, id: CampaignId, rows: &[CodeRow], cap: u32) {
    let holds: Vec<OpenHold> = bench.state.holds.open().filter(|hold| hold.at.campaign == id).collect();
    let campaign = bench.state.campaigns.of(id).expect("there is that campaign");
    let is_live = |row: &&CodeRow| !campaign.archived_codes.contains_key(&row.slot);
    let later = holds.iter().flat_map(|hold| [hold.expires_ms.saturating_sub(1), hold.expires_ms]);
    for at_ms in std::iter::once(bench.now_ms).chain(later.filter(|at_ms| *at_ms > bench.now_ms)) {
        let open: Vec<_> = holds.iter().filter(|hold| at_ms < hold.expires_ms).collect();
        let mut held_of: HashMap<u32, u32> = HashMap::new();
        open.iter().for_each(|hold| *held_of.entry(hold.at.slot).or_default() += 1);
        let is_full = |row: &&CodeRow| {
            let (room, held) = (cap.saturating_sub(row.activations), held_of.get(&row.slot).copied().unwrap_or(0));
            0 < room && room <= held
        };
        let expected = HeldOfCampaign {
            uses: open.len() as u32,
            sum: open.iter().map(|hold| i128::from(hold.amount.0)).sum(),
            codes_full: rows.iter().filter(is_live).filter(is_full).count() as u32,
        };
        assert_eq!(bench.state.holds.of_campaign(id, at_ms), expected, "held of campaign {id} at {at_ms}");
    }
}

/// Recounts what the cards count, from the lists of codes; and checks that each value has at most one holder (K7), which the
/// index and the lists of conflicts name.
pub(super) fn recount(bench: &Bench) {
    let state = &bench.state;
    let mut held: HashMap<_, CodeAt> = HashMap::new();
    let mut archived = Vec::new();
    for (id, campaign) in state.campaigns.after(CampaignId(0)) {
        let rows = rows(bench, id, CodeFilter::All, UsageFilter::All).expect("there is that campaign");
        let cap = campaign.terms.activations_per_code_max.unwrap_or(u32::MAX);
        let count = |counts: &dyn Fn(&&CodeRow) -> bool| rows.iter().filter(counts).count() as u32;
        let mut counted = [
            rows.len() as u32,
            count(&|row| row.archived.is_some()),
            count(&|row| row.activations > 0),
            count(&|row| row.activations == 0 && row.archived.is_none()),
            0,
        ];
        let ShowCampaignOutcome::Campaign(card) = state.show_campaign(bench.now_ms, &ShowCampaign { campaign: id }) else {
            panic!("there is campaign {id}")
        };
        assert_eq!((card.as_of, card.as_of_ms), (state.position(), bench.now_ms));
        let is_open = |hold: &OpenHold| hold.at.campaign == id && bench.now_ms < hold.expires_ms;
        let open: Vec<OpenHold> = state.holds.open().filter(is_open).collect();
        let held_of = |slot| open.iter().filter(|hold| hold.at.slot == slot).count() as u64;
        let free = count(&|row| row.archived.is_none() && u64::from(row.activations) + held_of(row.slot) < u64::from(cap));
        counted[4] = could_be_activated(&card, free, &open);
        assert_eq!(card.held as usize, open.len(), "uses held of campaign {id}");
        held_at_all_times(bench, id, &rows, cap);
        let listed = [card.codes, card.codes_archived, card.codes_activated, card.codes_available, card.codes_redeemable];
        assert_eq!(listed, counted, "codes, archived, activated, available, redeemable of campaign {id}");
        let low = campaign.terms.low_stock.is_some_and(|least| card.archived_ms.is_none() && counted[4] < least);
        assert_eq!(card.low_stock, low, "campaign {id}");
        assert_eq!(card.activations, rows.iter().map(|row| u64::from(row.activations)).sum::<u64>(), "campaign {id}");
        for row in rows {
            let code = normalise(&row.code).expect("only codes are added");
            let at = CodeAt { campaign: id, slot: row.slot };
            match row.archived {
                None => assert_eq!(held.insert(code, at), None, "two hold {code:?}"),
                Some(_) => archived.push((code, row.held_by)),
            }
        }
    }
    for (code, at) in &held {
        assert_eq!(bench.index.find(code), Some(*at), "{code:?}");
    }
    for (code, held_by) in &archived {
        assert_eq!(*held_by, held.get(code).map(|at| at.campaign), "{code:?}");
    }
}
