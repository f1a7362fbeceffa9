//! Campaigns, codes, activations, refunds, holds, and activations by club and by time.

use std::collections::BTreeMap;

use rusqlite::types::Value;
use scrip_protocol::CampaignId;
use scrip_protocol::codes::normalise;

use super::expected::{Row, Table, client, credential, json, number, optional, request, text};
use crate::support::recount::{Archived, Hold, Past, Refund, Status, Tally, Usage, Use};

pub(super) fn tables(past: &Past<'_>) -> Vec<Table> {
    let table = |name, rows| Table { name, rows };
    vec![
        table("campaign", campaign(past)),
        table("codes_added", codes_added(past)),
        table("code", code(past)),
        table("code_use", code_use(past)),
        table("activation", activation(past)),
        table("campaign_stretch", campaign_stretch(past)),
        table("refund", refund(past)),
        table("hold", hold(past)),
        table("held", held(past)),
        table("activity", tallied(past.tallies(|campaign, at_ms, club| vec![campaign.0.into(), at_ms / 900_000, club.0.into()]))),
        table("campaign_club", tallied(past.tallies(|campaign, _, club| vec![campaign.0.into(), club.0.into()]))),
    ]
}

fn campaign(past: &Past<'_>) -> Vec<Row> {
    let row = |campaign| {
        let terms = past.terms(campaign).expect("it was created");
        let counters = past.counters(campaign).expect("it was created");
        let lines = past.code_table(campaign, Status::All, Usage::All);
        let is_exhausted = |uses: usize| terms.activations_per_code_max.is_some_and(|most| uses >= most as usize);
        let codes = |is: &dyn Fn(Archived, usize) -> bool| {
            number(lines.iter().filter(|line| is(line.code.archived, line.uses.len())).count() as u64)
        };
        let last = past.uses_of(campaign).last().map(|used| used.position);
        vec![
            number(campaign.0),
            text(terms.name),
            number(terms.amount.0),
            json(&terms.clubs),
            optional(terms.starts_ms),
            optional(terms.ends_ms),
            number(u8::from(terms.enforce_period)),
            optional(terms.activations_per_code_max),
            optional(terms.activations_per_client_max),
            optional(terms.activations_max),
            optional(terms.budget.map(|budget| budget.0)),
            optional(terms.low_stock),
            number(u8::from(terms.active)),
            optional(past.created_ms(campaign)),
            optional(past.archived_ms(campaign)),
            number(counters.codes),
            codes(&|archived, _| archived != Archived::No),
            number(counters.codes_activated),
            codes(&|_, uses| is_exhausted(uses)),
            codes(&|archived, uses| archived != Archived::No && uses > 0),
            codes(&|archived, uses| archived != Archived::No && is_exhausted(uses)),
            number(counters.activations),
            number(counters.issued),
            number(counters.refunds),
            number(counters.taken_back),
            number(counters.uncollected),
            optional(last),
        ]
    };
    past.campaigns().into_iter().map(row).collect()
}

fn codes_added(past: &Past<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for campaign in past.campaigns() {
        for (adding, _) in past.addings(campaign) {
            let of = [number(campaign.0), number(adding.first_slot), number(adding.codes), number(adding.at_ms)];
            rows.push(of.into_iter().chain([number(adding.position), text(adding.how)]).collect());
        }
    }
    rows
}

fn code(past: &Past<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for campaign in past.campaigns() {
        for code in past.codes(campaign) {
            let archived = match code.archived {
                Archived::No => 0,
                Archived::LeftBehind => 1,
                Archived::Alone => 2,
            };
            let value = normalise(&code.text).expect("it is a code").as_str().to_owned();
            let of = [number(campaign.0), number(code.slot), text(code.text), text(value)];
            rows.push(of.into_iter().chain([Value::Integer(archived), number(code.taken)]).collect());
        }
    }
    rows
}

fn code_use(past: &Past<'_>) -> Vec<Row> {
    let mut of_code: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for used in past.uses() {
        of_code.entry((used.activation.campaign, used.activation.slot)).or_default().push(used);
    }
    let row = |((campaign, slot), uses): ((CampaignId, u32), Vec<Use<'_>>)| {
        let stand = uses.iter().filter(|used| used.stands()).count();
        let (first, last) = (uses[0].position, uses[uses.len() - 1].position);

        vec![number(campaign.0), number(slot), number(stand as u64), number(uses.len() as u64), number(first), number(last)]
    };
    of_code.into_iter().map(row).collect()
}

fn activation(past: &Past<'_>) -> Vec<Row> {
    let row = |used: Use<'_>| {
        let of = used.activation;
        vec![
            number(used.position),
            number(used.at_ms),
            client(of.client),
            number(of.club.0),
            number(of.campaign.0),
            number(of.slot),
            number(used.nth),
            number(of.amount.0),
            number(of.balance.0),
            credential(&of.stamp),
            request(&of.stamp),
            optional(used.hold),
            optional((of.top_up.0 > 0).then_some(of.top_up.0)),
        ]
    };
    past.uses().into_iter().map(row).collect()
}

fn campaign_stretch(past: &Past<'_>) -> Vec<Row> {
    let mut stretches: BTreeMap<_, u64> = BTreeMap::new();
    past.uses().iter().for_each(|used| *stretches.entry((used.activation.campaign.0, used.position / 4_096)).or_default() += 1);
    stretches.into_iter().map(|((campaign, stretch), uses)| vec![number(campaign), number(stretch), number(uses)]).collect()
}

fn refund(past: &Past<'_>) -> Vec<Row> {
    let row = |refund: Refund<'_>| {
        let (of, done) = (refund.record, refund.record.refunded);
        vec![
            number(refund.position),
            number(of.activation.0),
            number(refund.at_ms),
            number(of.campaign.0),
            number(of.slot),
            client(done.client),
            number(done.taken.0),
            number(done.uncollected.0),
            number(done.balance.0),
            credential(&of.stamp),
            request(&of.stamp),
        ]
    };
    past.refunds().into_iter().map(row).collect()
}

fn hold(past: &Past<'_>) -> Vec<Row> {
    let row = |hold: Hold<'_>| {
        let of = hold.record;
        vec![
            number(hold.position),
            number(hold.at_ms),
            client(of.client),
            number(of.club.0),
            number(of.campaign.0),
            number(of.slot),
            number(of.amount.0),
            number(hold.expires_ms),
            credential(&of.stamp),
            request(&of.stamp),
            hold.ended.map_or(Value::Null, |(word, _)| text(word)),
            optional(hold.ended.map(|(_, position)| position)),
        ]
    };
    past.holds().into_iter().map(row).collect()
}

/// Z1: open holds by when they expire, and the codes that are full until then.
fn held(past: &Past<'_>) -> Vec<Row> {
    let now_ms = past.end.time_ms;
    let mut sums: BTreeMap<[i64; 3], [i64; 4]> = BTreeMap::new();
    let mut add = |campaign: CampaignId, expires_ms: u64, values: [i64; 4]| {
        for length in [0, 10, 20] {
            let key = [i64::from(campaign.0), length, (expires_ms >> length) as i64];
            if key[2] << length > now_ms as i64 {
                sums.entry(key).or_default().iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            }
        }
    };
    let mut of_code: BTreeMap<(CampaignId, u32), Vec<u64>> = BTreeMap::new();
    for hold in past.holds().into_iter().filter(|hold| hold.is_open(now_ms)) {
        let (campaign, amount) = (hold.record.campaign, hold.record.amount.0);
        add(campaign, hold.expires_ms, [1, amount >> 32, amount & 0xffff_ffff, 0]);
        of_code.entry((campaign, hold.record.slot)).or_default().push(hold.expires_ms);
    }
    for ((campaign, slot), mut expiries) in of_code {
        let cap = past.terms(campaign).expect("it was created").activations_per_code_max.unwrap_or(u32::MAX) as usize;
        let room = cap.saturating_sub(past.uses_of_code(campaign, slot).iter().filter(|used| used.stands()).count());
        let is_archived = past.codes(campaign)[slot as usize].archived != Archived::No;
        expiries.sort_unstable();
        if !is_archived && room > 0 && room <= expiries.len() {
            add(campaign, expiries[expiries.len() - room], [0, 0, 0, 1]);
        }
    }
    sums.into_iter().map(|(key, values)| key.into_iter().chain(values).map(Value::Integer).collect()).collect()
}

fn tallied(tallies: BTreeMap<Vec<u64>, Tally>) -> Vec<Row> {
    let row = |(key, tally): (Vec<u64>, Tally)| {
        let sums = [number(tally.activations), number(tally.issued), number(tally.refunds), number(tally.taken_back)];
        key.into_iter().map(number).chain(sums).collect()
    };
    tallies.into_iter().map(row).collect()
}
