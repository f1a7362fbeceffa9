//! Search, history and refusals in the sample.

use scrip_protocol::{ClientId, Label};

use super::*;
use crate::history::operations::{self, HoldState, KindFilter, Operation, OperationFilter, Origin};
use crate::sample::{self, REQUEST, UUID_CLIENT};
use crate::shown::Amount;

const ANN: ClientId = ClientId(7);

fn operations_of(client: ClientId, filter: &OperationFilter) -> (Vec<Operation>, Option<u64>) {
    let limit = if filter.limit == 0 { 100 } else { filter.limit };
    let filter = OperationFilter { limit, ..filter.clone() };
    let page = sample::view(|view| operations::list(view, client, &filter)).expect("there is such a client");
    (page.operations, page.next)
}

fn positions(filter: &OperationFilter) -> (Vec<u64>, Option<u64>) {
    let (operations, next) = operations_of(ANN, filter);
    let position = |operation: &Operation| match operation {
        Operation::Entry(entry) => entry.position,
        Operation::Hold(hold) => hold.position,
        Operation::Refusal(refusal) => refusal.position,
        Operation::Spending(spending) => spending.position,
        Operation::Refund(refund) => refund.position,
    };
    (operations.iter().map(position).collect(), next)
}

/// B2, B3, B5, A13, A28: each movement with its label, executor and origin, newest first, across stretches.
#[test]
fn operations_say_who_did_what_and_why() {
    let (operations, next) = operations_of(ANN, &OperationFilter::default());
    let rows: Vec<_> = operations
        .iter()
        .map(|operation| match operation {
            Operation::Entry(entry) => {
                (entry.position, &*entry.label, &*entry.executor.kind, &*entry.origin.kind, entry.amount.0)
            }
            Operation::Spending(paid) => (paid.position, &*paid.label, "", "", paid.amount.0),
            Operation::Hold(_) | Operation::Refusal(_) | Operation::Refund(_) => panic!("not of the ledger: {operation:?}"),
        })
        .collect();
    assert_eq!(
        rows,
        [
            (1_500_000, "Bonus Payment", "System", "request", -100),
            (500_000, "Purchase", "", "", 0),
            (6_000, "Bonus Write-Off", "System", "activation", -500),
            (300, "Bonus Credit", "System", "rule", 5_000),
            (300, "Top-Up", "Administrator", "request", 50_000),
            (102, "Bonus Credit", "System", "code", 500),
            (101, "Bonus Credit", "System", "code", 500),
        ]
    );
    assert_eq!(next, None);
    let Operation::Entry(by_code) = &operations[6] else { panic!("{operations:?}") };
    assert_eq!((by_code.origin.name.as_deref(), by_code.origin.code.as_deref()), (Some("Autumn"), Some("AbC")));
    assert_eq!((by_code.tags.as_slice(), by_code.club_name.as_deref()), (&["promo-code".to_owned()][..], Some("North")));
    let Operation::Entry(by_rule) = &operations[3] else { panic!("{operations:?}") };
    assert_eq!(by_rule.origin.name.as_deref(), Some("Gold"));
    let Operation::Entry(by_hand) = &operations[4] else { panic!("{operations:?}") };
    assert_eq!((by_hand.executor.name.as_str(), by_hand.comment.as_str()), ("Ann", "at the till"));
}

/// B8: by kind, label, amount and time, in pages of whole records.
#[test]
fn operations_are_filtered() {
    let of = OperationFilter::default;
    let kind = |kind| OperationFilter { kind, ..of() };
    assert_eq!(positions(&kind(KindFilter::Holds)).0, [201, 200]);
    assert_eq!(positions(&kind(KindFilter::Refusals)).0, [400]);
    assert_eq!(positions(&kind(KindFilter::All)).0, [1_500_000, 500_000, 6_000, 400, 300, 300, 201, 200, 102, 101]);
    assert_eq!(positions(&OperationFilter { label: Some(Label::BonusCredit), ..of() }).0, [300, 102, 101]);
    assert_eq!(positions(&OperationFilter { amount_min: Some(500), amount_max: Some(5_000), ..of() }).0, [6_000, 300, 102, 101]);
    let times = OperationFilter { from_ms: Some(1_789_900_001_000), end_ms: Some(1_789_900_003_000), ..of() };
    assert_eq!(positions(&times).0, [300, 300, 102]);
    assert_eq!(positions(&OperationFilter { limit: 4, ..of() }), (vec![1_500_000, 500_000, 6_000, 300, 300], Some(300)));
    assert_eq!(positions(&OperationFilter { limit: 3, before: Some(300), ..of() }), (vec![102, 101], None));
    let (holds, _) = operations_of(ANN, &kind(KindFilter::Holds));
    let states: Vec<_> = holds
        .iter()
        .map(|hold| match hold {
            Operation::Hold(hold) => hold.state,
            Operation::Entry(_) | Operation::Refusal(_) | Operation::Spending(_) | Operation::Refund(_) => panic!("{hold:?}"),
        })
        .collect();
    assert_eq!(states, [HoldState::Expired, HoldState::Open]);
}

/// B5: the card of a client with any kind of id.
#[test]
fn a_card_has_the_balances() {
    let card = |client: &str| sample::view(|view| history::card(view, client.parse().expect("it is an id")));
    let ann = card("7").expect("there is such a client");
    assert_eq!((ann.bonus, ann.gaming, ann.activations), (Amount(5_900), Amount(50_000), 1));
    assert_eq!(card(UUID_CLIENT).expect("there is such a client").name, "Änne");
    assert_eq!(card("99"), None);
    let named = |name, after| sample::view(|view| history::named(view, name, after, 1));
    assert_eq!(named("a", None).clients[0].client.0, ANN);
    assert_eq!(named("äNN", None).clients[0].name, "Änne");
    let first = named("", None);
    assert_eq!(first.next.map(|next| next.0), Some(ANN));
    assert_eq!(named("", Some(ANN)).clients[0].client.0, ClientId(8));
}

/// K4, X6, K8, Z13: a code, ignoring case, in every campaign that had it, with the one that has it now, and refused attempts.
#[test]
fn a_code_is_found_wherever_it_was() {
    for text in ["abc", "ABC", " aBc "] {
        let found = sample::view(|view| by_code(view, text)).expect("there is such a code");
        let campaigns: Vec<_> = found.campaigns.iter().map(|place| (place.campaign, place.status)).collect();
        assert_eq!(campaigns, [(1, CodeStatus::Active), (2, CodeStatus::ArchivedWithCampaign)]);
        assert_eq!((found.held_by, found.refusals.len()), (Some(1), 1));
        assert_eq!(found.refusals[0].decided, "activated 2 of 2");
    }
    let tried = sample::view(|view| by_code(view, "NOPE")).expect("somebody tried it");
    assert!(tried.campaigns.is_empty() && tried.held_by.is_none());
    for nothing in ["zzz", "", "a b", "a\0b", "\u{202e}"] {
        assert_eq!(sample::view(|view| by_code(view, nothing)), None, "{nothing:?}");
    }
}

/// Z3: a request is found however old it is, with the effects of its record and its credential.
#[test]
fn a_request_is_found_with_what_it_did() {
    let of = |request: &str| sample::view(|view| by_request(view, request.parse().expect("it is an id")));
    let found = of(REQUEST).expect("there was such a request");
    assert_eq!((found.position, found.credential, &*found.record), (101, 4, "activation"));
    assert_eq!(found.did.len(), 1);
    let did = &found.did[0];
    assert_eq!(did.what, "activation");
    assert_eq!(did.fields["amount"], "5.00");
    assert_eq!(did.fields["at"], "2026-09-20T10:26:40Z");
    assert_eq!(did.fields["client"], "7");
    assert_eq!(did.fields["request"], REQUEST);
    let top_up = of("0190b6a0-7c1e-7d43-9a52-3f8d2f0b6c12").expect("there was such a request");
    let did: Vec<&str> = top_up.did.iter().map(|did| did.what.as_str()).collect();
    assert_eq!((top_up.credential, did), (3, vec!["entry", "entry", "rule_failure"]));
    assert_eq!(of("0190b6a0-7c1e-7d43-9a52-3f8d2f0b6c99"), None);
}

/// Z13: refusals by client, by code, by campaign, newest first.
#[test]
fn refusals_are_found_by_client_code_and_campaign() {
    let list = |filter: RefusalFilter, limit| {
        let page = sample::view(|view| refusals::list(view, &filter, Before { before: None, limit }, &|_| true));
        (page.refusals.iter().map(|refusal| refusal.position).collect::<Vec<_>>(), page.next)
    };
    let of = RefusalFilter::default;
    assert_eq!(list(of(), 100), (vec![401, 400], None));
    assert_eq!(list(of(), 1), (vec![401], Some(401)));
    assert_eq!(list(RefusalFilter { client: Some(ANN), ..of() }, 100).0, [400]);
    assert_eq!(list(RefusalFilter { code: Some("ABC".into()), ..of() }, 100).0, [400]);
    assert_eq!(list(RefusalFilter { campaign: Some(CampaignId(1)), ..of() }, 100).0, [400]);
    assert!(list(RefusalFilter { client: Some(ANN), code: Some("nope".into()), ..of() }, 100).0.is_empty());
    assert!(list(RefusalFilter { code: Some("\0".into()), ..of() }, 100).0.is_empty());
}

/// One search guesses what a text means.
#[test]
fn a_search_guesses() {
    let of = |text| sample::view(|view| guess(view, text, true));
    assert!(of("101").activation.is_some());
    assert_eq!(of("7").clients.len(), 1);
    assert_eq!(of("ann").clients.len(), 1);
    assert!(of("def").code.is_some());
    assert!(of(REQUEST).request.is_some());
    let nothing = of("");
    assert!(nothing.code.is_none() && nothing.clients.is_empty() && nothing.request.is_none() && nothing.activation.is_none());
    let hidden = sample::view(|view| guess(view, "abc", false));
    assert!(hidden.code.is_none());
    assert!(sample::view(|view| guess(view, "Autumn", false)).campaigns.is_empty());
}

/// A search finds clients by any part of their name, however many ids precede theirs, and campaigns by number and name.
#[test]
fn a_search_finds_parts_of_names() {
    let campaigns = |text| -> Vec<u32> {
        let found = sample::view(|view| guess(view, text, true));
        found.campaigns.iter().map(|campaign| campaign.campaign).collect()
    };
    assert_eq!(campaigns("UTUM"), [1]);
    assert_eq!(campaigns("2"), [2]);
    assert_eq!((campaigns("e"), campaigns("nothing")), (vec![2, 3, 4], vec![]));
    let clients = |text| -> Vec<u128> {
        let found = sample::view(|view| {
            let many = "INSERT INTO client SELECT 1000 + value, printf('Client %d', value), 1, 0, 0, 0, 0, 0, \
                 printf('client %d', value) FROM generate_series_of_numbers";
            let series = "CREATE TEMP TABLE generate_series_of_numbers AS WITH RECURSIVE numbers (value) AS \
                 (SELECT 0 UNION ALL SELECT value + 1 FROM numbers WHERE value < 70000) SELECT value FROM numbers";
            view.connection.execute_batch(series)?;
            view.connection.execute(many, [])?;
            let last = "INSERT INTO client VALUES (900000, 'Ann-Marie O''Brian', 1, 0, 0, 0, 0, 0, 'ann-marie o''brian'), \
                 (900001, 'Brian', 1, 0, 0, 0, 0, 0, 'brian')";
            view.connection.execute(last, [])?;
            guess(view, text, true)
        });
        found.clients.iter().map(|card| card.client.0.0).collect()
    };
    assert_eq!(clients("BRIAN"), [900_001, 900_000]);
    assert_eq!(clients("marie"), [900_000]);
    assert_eq!(clients("ent 70000"), [71_000]);
    assert_eq!(clients("client").len(), FOUND_MAX);
    assert!(clients("zz").is_empty());
}

/// B2: an operation has its origin: its request, the source of a top-up, the purpose of a payment, and who did what was
/// paid for directly.
#[test]
fn operations_say_what_they_originate_from() {
    let (operations, _) = operations_of(ANN, &OperationFilter::default());
    let of = |operation: &Operation| match operation {
        Operation::Entry(entry) => {
            let Origin { source, purpose, .. } = &entry.origin;
            (entry.position, entry.request.0, source.clone(), purpose.clone())
        }
        Operation::Spending(paid) => (paid.position, paid.request.0, None, None),
        Operation::Hold(_) | Operation::Refusal(_) | Operation::Refund(_) => panic!("not of the ledger: {operation:?}"),
    };
    let request = |text: &str| text.parse::<RequestId>().expect("it is an id");
    let (top_up, none) = (request("0190b6a0-7c1e-7d43-9a52-3f8d2f0b6c12"), RequestId(0));
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        operations.iter().map(of).collect::<Vec<_>>(),
        [
            (1_500_000, none, None, some("order")),
            (500_000, none, None, None),
            (6_000, none, None, None),
            (300, top_up, some("CASH"), None),
            (300, top_up, some("CASH"), None),
            (102, none, None, None),
            (101, request(REQUEST), None, None),
        ]
    );
    let Operation::Spending(paid) = &operations[1] else { panic!("{operations:?}") };
    assert_eq!((paid.executor.name.as_str(), paid.comment.as_str(), paid.tags.len()), ("Ann", "a drink", 1));
}

/// B5, Z2: direct payments and refunds that found nothing to debit are listed, although no account was moved.
#[test]
fn operations_that_moved_nothing_are_listed() {
    let (of_ann, _) = operations_of(ANN, &OperationFilter::default());
    let Operation::Spending(bought) = &of_ann[1] else { panic!("{of_ann:?}") };
    assert_eq!((bought.price, bought.amount, bought.club_name.as_deref()), (Amount(1_250), Amount(0), Some("North")));
    let (of_other, _) = operations_of(ClientId(8), &OperationFilter::default());
    let Operation::Refund(refund) = &of_other[0] else { panic!("{of_other:?}") };
    assert_eq!((refund.amount, refund.uncollected, refund.code.as_deref()), (Amount(0), Amount(500), Some("GHI")));
}

/// Z3: a request whose record has no row is known by the kind of its record and by its credential.
#[test]
fn a_request_without_a_row_is_known() {
    let request = "0190b6a0-7c1e-7d43-9a52-3f8d2f0b6c13".parse().expect("it is an id");
    let found = sample::view(|view| by_request(view, request)).expect("there was one");
    assert_eq!((&*found.record, found.credential, found.position, found.did.len()), ("hold-released", 4, 202, 0));
}

/// Z15: changes with their credentials, newest first, of all campaigns or one, in pages.
#[test]
fn changes_name_who_made_them() {
    let page = |campaign, before, limit| {
        let found = sample::view(|view| changes(view, campaign, Before { before, limit }, &|_| true))?;
        let rows: Vec<_> = found.changes.into_iter().map(|of| (of.position, of.kind, of.credential_name)).collect();
        Some((rows, found.next))
    };
    let (rows, next) = page(None, None, 2).expect("there are some");
    let of = |position, kind: &str, name: &str| (position, kind.to_owned(), Some(name.to_owned()));
    assert_eq!(rows, [of(13, "campaign_switched", "marketing"), of(12, "club_registered", "operator")]);
    assert_eq!((next, page(None, next, 2).map(|(rows, next)| (rows.len(), next))), (Some(12), Some((1, None))));
    let of_campaign = page(Some(CampaignId(1)), None, 9).map(|(rows, _)| rows.iter().map(|of| of.0).collect::<Vec<_>>());
    assert_eq!((of_campaign, page(Some(CampaignId(99)), None, 9)), (Some(vec![13, 10]), None));
}

/// Z1, Z13: a client to whom nothing was ever credited is found with refused attempts and holds; one whom no record concerns is not.
#[test]
fn a_client_with_attempts_only_is_found() {
    let (card, found, holds, refusals, nobody) = sample::view(|view| {
        view.connection.execute_batch(
            "INSERT INTO refusal VALUES (450, 1789900001700, 'redeem', 4, zeroblob(16), 77, 1, 'nope', NULL, NULL, 'unknown_code', 'none', '\"unknown_code\"');
             INSERT INTO hold VALUES (1900000, 1789900001500, 77, 1, 1, 2, 500, 1790000001000, 4, zeroblob(16), NULL, NULL);
             INSERT INTO client_history VALUES (0, 77, 450), (14, 77, 1900000);",
        )?;
        let client = ClientId(77);
        let of_kind = |kind| {
            let filter = OperationFilter { kind, limit: 100, ..OperationFilter::default() };
            operations::list(view, client, &filter).map(|page| page.map(|page| page.operations.len()))
        };
        let (holds, refusals) = (of_kind(KindFilter::Holds)?, of_kind(KindFilter::Refusals)?);
        let nobody = (history::card(view, ClientId(78))?, operations::list(view, ClientId(78), &OperationFilter::default())?);
        Ok((history::card(view, client)?, guess(view, "77", false)?, holds, refusals, nobody))
    });
    let card = card.expect("records concern the client");
    assert_eq!((card.bonus, card.registered_at, card.activations), (Amount(0), None, 0));
    assert_eq!(found.clients, [card]);
    assert_eq!((holds, refusals), (Some(1), Some(1)));
    assert_eq!(nobody, (None, None));
}
