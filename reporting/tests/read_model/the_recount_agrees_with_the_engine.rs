//! Checks the recount itself: its figures from the journal equal those of the engine's state, which is computed differently.

use scrip_protocol::CampaignId;
use scrip_protocol::command::{
    ArchiveCause, CampaignCard, CodeFilter, CodeRow, ListCodes, ListCodesOutcome, ShowCampaignOutcome, ShowClientOutcome,
    UsageFilter,
};

use crate::support::recount::{Archived, Past, Status, Usage};
use crate::support::workload::Workload;
use crate::support::{say, seed};

/// T1 to T5, A7 to A10, B1, X1 to X5, Z1, Z2: counters, codes and accounts at several moments of a random workload.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recount_agrees_with_the_engine() {
    let mut workload = Workload::start(seed()).await;
    for round in 0..8 {
        workload.go(12).await;
        if round == 4 {
            workload.until_holds_expire().await;
        }
        workload.tail().await;
        check(&workload).await;
    }
    let kinds = kinds(&workload.recount.now());
    say(&format!("{} records: {kinds:?}", workload.recount.end().position));
    workload.stop().await;
}

/// The number of records of each kind.
fn kinds(past: &Past<'_>) -> std::collections::BTreeMap<String, usize> {
    let mut kinds = std::collections::BTreeMap::new();
    for recorded in past.records {
        let record = serde_json::to_value(&recorded.record).expect("a record can be JSON");
        *kinds.entry(record["record"].as_str().expect("a word").to_owned()).or_default() += 1;
    }
    kinds
}

/// No request is in progress: both are as of the same position.
async fn check(workload: &Workload) {
    let past = workload.recount.now();
    for campaign in past.campaigns() {
        let shown = workload.operator.show_campaign(campaign).await.expect("it answers");
        let ShowCampaignOutcome::Campaign(card) = shown else { panic!("campaign {campaign} is not there") };
        assert_eq!(card.as_of, past.end.position);
        check_campaign(&past, &card);
        for (status, usage) in [
            ((Status::All, CodeFilter::All), (Usage::All, UsageFilter::All)),
            ((Status::Active, CodeFilter::Active), (Usage::Used, UsageFilter::Used)),
            ((Status::Archived, CodeFilter::Archived), (Usage::Unused, UsageFilter::Unused)),
        ] {
            let query = ListCodes { campaign, from_slot: 0, status: status.1, usage: usage.1 };
            let listed = workload.operator.list_codes(&query).await.expect("it answers");
            let ListCodesOutcome::Codes { codes, next: None, .. } = listed else { panic!("more than a page") };
            check_codes(&past, campaign, status.0, usage.0, &codes);
        }
    }
    for card in past.cards() {
        let shown = workload.operator.show_client(card.client).await.expect("it answers");
        let ShowClientOutcome::Client(shown) = shown else { panic!("client {} is not there", card.client) };
        let accounts = shown.accounts;
        let found = (accounts.gaming.0, accounts.bonus.0, accounts.spent.0, u64::from(accounts.sessions), shown.name);
        assert_eq!(found, (card.gaming, card.bonus, card.spent, card.sessions, card.name), "client {}", card.client);
    }
}

fn check_campaign(past: &Past<'_>, card: &CampaignCard) {
    let campaign = card.campaign;
    let counters = past.counters_at(campaign, card.as_of_ms).expect("it was created");
    assert!(card.as_of_ms >= past.end.time_ms);
    assert_eq!(Some(&card.terms), past.terms(campaign).as_ref(), "terms of campaign {campaign}");
    assert_eq!((Some(card.created_ms), card.archived_ms), (past.created_ms(campaign), past.archived_ms(campaign)));
    let of_card = (
        [card.codes, card.codes_archived, card.codes_activated, card.codes_available, card.codes_redeemable].map(u64::from),
        (card.activations, card.refunds),
        (i128::from(card.issued.0), i128::from(card.uncollected.0), card.low_stock),
    );
    let counted = (
        [counters.codes, counters.codes_archived, counters.codes_activated, counters.codes_available, counters.codes_redeemable],
        (counters.activations, counters.refunds),
        (counters.issued, counters.uncollected, counters.low_stock),
    );
    assert_eq!(of_card, counted, "campaign {campaign}");
    assert_eq!(u64::from(card.held), counters.held, "campaign {campaign} at {}", card.as_of_ms);
    let added: Vec<_> = card.added.iter().map(|added| (added.at_ms, added.codes, added.position.0)).collect();
    let addings = past.addings(campaign);
    let counted: Vec<_> = addings.iter().map(|(adding, _)| (adding.at_ms, adding.codes, adding.position)).collect();
    assert_eq!(added, counted[counted.len().saturating_sub(100)..], "campaign {campaign}");
}

fn check_codes(past: &Past<'_>, campaign: CampaignId, status: Status, usage: Usage, rows: &[CodeRow]) {
    let is_campaign_archived = past.archived_ms(campaign).is_some();
    let rows: Vec<_> = rows.iter().map(|row| (row.slot, row.code.clone(), row.activations as usize, row.archived)).collect();
    let lines = past.code_table(campaign, status, usage);
    let counted: Vec<_> = lines
        .iter()
        .map(|line| {
            let cause = match line.code.archived {
                Archived::Alone => Some(ArchiveCause::Alone),
                Archived::LeftBehind => Some(ArchiveCause::ByCampaign),
                Archived::No => is_campaign_archived.then_some(ArchiveCause::ByCampaign),
            };
            (line.code.slot, line.code.text.clone(), line.uses.len(), cause)
        })
        .collect();
    assert_eq!(rows, counted, "campaign {campaign}, {status:?}, {usage:?}");
}
