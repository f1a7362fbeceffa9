//! The precedence of refusals, in one table with which the documentation and the code are compared (D2, X1, X2, A1, Z5, Z6).
//!
//! The test builds a situation in which a redemption fails every check, then fixes one reason after the other. Each time a
//! redemption, a hold and a check report the next reason, and the check all remaining ones.

use scrip_protocol::command::{
    ArchiveCause, CheckOutcome, CodeChecked, HoldOutcome, OnConflict, RedeemOutcome, RegisterClub, SwitchCampaign, Terms,
    UpdateCampaign,
};
use scrip_protocol::{CampaignId, ClientId, ClubId, Money, Position, Record, Settings};

use super::{Bench, START_MS, list, stamp};
use crate::index::normalise;
use crate::state::{CodesRequest, CreateCampaignRequest, HoldRequest, Mutation, RedeemRequest};

const CAMPAIGN: CampaignId = CampaignId(1);
/// The campaign runs at the first club, not at the second. There is no third.
const HOME: ClubId = ClubId(1);
const AWAY: ClubId = ClubId(2);
const NOWHERE: ClubId = ClubId(3);

/// The fix before an attempt, the code and the club of the attempt, and its answer.
type Row = (Option<Mutation>, &'static str, ClubId, &'static str);

/// Outcomes outside this table: the lane replaces all others by this one if the caller does not learn reasons.
const OF_THE_LANE: &str = "not_accepted";

/// The outcome of an attempt that names another client's top-up, like those before it in the table. It reveals nothing about a
/// code.
const OF_A_TOP_UP: &str = "unknown_top_up";

fn update(change: impl FnOnce(&mut UpdateCampaign)) -> Option<Mutation> {
    let mut update = UpdateCampaign { campaign: CAMPAIGN, ..UpdateCampaign::default() };
    change(&mut update);
    Some(Mutation::UpdateCampaign(Box::new(update)))
}

/// The table. In the campaign, code Y is archived by itself, Z only with the campaign; both have no use left.
fn rows() -> Vec<Row> {
    vec![
        (None, "no code", NOWHERE, "invalid_code"),
        (None, "none", NOWHERE, "unknown_club"),
        (None, "none", AWAY, OF_A_TOP_UP),
        (None, "none", AWAY, "unknown_code"),
        (None, "Y", AWAY, "code_archived"),
        (None, "Z", AWAY, "campaign_archived"),
        (Some(Mutation::RestoreCampaign(CAMPAIGN)), "Z", AWAY, "campaign_inactive"),
        (Some(Mutation::SwitchCampaign(SwitchCampaign { campaign: CAMPAIGN, active: true })), "Z", AWAY, "outside_period"),
        (update(|terms| terms.enforce_period = Some(false)), "Z", AWAY, "club_excluded"),
        (None, "Z", HOME, "code_exhausted"),
        (update(|terms| terms.activations_per_code_max = Some(None)), "Z", HOME, "client_exhausted"),
        (update(|terms| terms.activations_per_client_max = Some(None)), "Z", HOME, "campaign_exhausted"),
        (update(|terms| terms.activations_max = Some(None)), "Z", HOME, "budget_exhausted"),
        (update(|terms| terms.budget = Some(None)), "Z", HOME, "amount_limit"),
        (update(|terms| terms.amount = Some(Money(1))), "Z", HOME, "redeemed"),
    ]
}

/// Two codes activated by one client; then every possible reason against a third activation.
fn everything_fails() -> Bench {
    let mut bench = Bench::new(Settings::default());
    let mut number = 0;
    let mut run = |request: Mutation| {
        number += 1;
        bench.run(stamp(START_MS, number, number), &request);
    };
    run(Mutation::RegisterClub(RegisterClub { name: "home".into() }));
    run(Mutation::RegisterClub(RegisterClub { name: "away".into() }));
    let terms = Terms {
        clubs: vec![HOME],
        ends_ms: Some(START_MS - 1),
        activations_per_code_max: Some(1),
        activations_per_client_max: Some(2),
        ..Terms::new("a campaign", Money(1))
    };
    let created = CreateCampaignRequest { terms, list: list(["Y", "Z"]), on_conflict: OnConflict::Reject };
    run(Mutation::CreateCampaign(Box::new(created)));
    for code in ["Y", "Z"] {
        run(Mutation::Redeem(RedeemRequest {
            client: ClientId(1),
            club: HOME,
            code: normalise(code),
            top_up: Position(0),
            is_their_top_up: true,
        }));
    }
    let exhausted = update(|terms| {
        terms.activations_max = Some(Some(2));
        terms.budget = Some(Some(Money(2)));
        terms.amount = Some(Money(i64::MAX));
        terms.enforce_period = Some(true);
    });
    run(exhausted.expect("it is one"));
    run(Mutation::SwitchCampaign(SwitchCampaign { campaign: CAMPAIGN, active: false }));
    run(Mutation::ArchiveCodes(Box::new(CodesRequest { campaign: CAMPAIGN, list: list(["Y"]) })));
    run(Mutation::ArchiveCampaign(CAMPAIGN));
    bench
}

/// Each refusal precedes all later ones in the table: the attempt fails these checks as well, and a check reports them.
#[test]
fn each_refusal_precedes_all_later_ones() {
    let mut bench = everything_fails();
    let alone = bench.state.campaigns.of(CAMPAIGN).and_then(|campaign| campaign.archived_codes.get(&0));
    assert_eq!(alone.map(|code| code.cause), Some(ArchiveCause::Alone));
    let rows = rows();
    let words: Vec<&str> = rows.iter().map(|(.., word)| *word).collect();
    for (at, (put_right, code, club, word)) in rows.into_iter().enumerate() {
        let number = 100 * (at as u64 + 1);
        if let Some(request) = put_right {
            bench.run(stamp(START_MS, number, number), &request);
        }
        let CheckOutcome::Checked { codes, .. } = bench.index.check(START_MS, club, [code].into_iter()) else {
            panic!("one code is not too many")
        };
        // Conditions that depend on the client are not predicted. A code that is archived by itself stays so when its campaign is
        // restored.
        let predicted = |word: &&&str| ![OF_A_TOP_UP, "client_exhausted", "amount_limit", "redeemed"].contains(*word);
        let left: Vec<&str> = words[at..].iter().filter(predicted).copied().collect();
        let reasons: Vec<&str> = match &codes[0] {
            CodeChecked::Redeemable(_) => Vec::new(),
            CodeChecked::Refused { reasons, .. } => reasons.iter().map(RedeemOutcome::word).collect(),
            CodeChecked::Free { outcome } => {
                assert_eq!(outcome.word(), if word == OF_A_TOP_UP { "unknown_code" } else { word });
                left.clone()
            }
            CodeChecked::NotAccepted => panic!("the index hides no reasons"),
        };
        assert_eq!(reasons, left, "{word} and all later ones");
        let is_their_top_up = !words[at..].contains(&OF_A_TOP_UP);
        let redeem = RedeemRequest { client: ClientId(1), club, code: normalise(code), top_up: Position(1), is_their_top_up };
        let hold = Mutation::Hold(Box::new(HoldRequest { redeem, ttl_ms: 1_000 }));
        for (more, request) in [(1, hold), (2, Mutation::Redeem(redeem))] {
            bench.run(stamp(START_MS, number + more, number + more), &request);
            let (_, record) = bench.records.last().expect("one was just added");
            let found = if let Record::HoldRefused(refused) = record {
                let HoldOutcome::Refused(why) = refused.outcome else { panic!("{refused:?}") };
                why.word()
            } else if let Record::RedemptionRefused(refused) = record {
                refused.outcome.word()
            } else {
                assert!(matches!(record, Record::CodeHeld(_) | Record::Activation(_)), "{record:?}");
                "redeemed"
            };
            assert_eq!(found, word, "{request:?}");
        }
    }
    bench.compare_with_replay();
}

/// The enumeration's documented order, which is that of precedence, is the table's.
#[test]
fn the_outcomes_are_declared_in_order_of_precedence() {
    let source = include_str!("../../../../../protocol/src/command/redeem.rs");
    let written =
        source.split_once("pub enum RedeemOutcome {").and_then(|(_, rest)| rest.split_once("\n}")).expect("it is there").0;
    // `/// …` above, then `Name(What) = 3,`
    let variants = written.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    let found: Vec<(String, usize)> = variants
        .filter_map(|line| {
            let (name, number) = line.strip_suffix(',')?.split_once(" = ")?;
            Some((snake_case(name.split('(').next()?), number.parse().ok()?))
        })
        .collect();
    let (success, refusals) = (found.first().expect("there are some"), &found[1..]);
    assert_eq!((success.0.as_str(), success.1), ("redeemed", 0));
    let mut expected: Vec<&str> = rows().iter().map(|(.., word)| *word).collect();
    assert_eq!(expected.pop(), Some("redeemed"));
    expected.push(OF_THE_LANE);
    let words: Vec<&str> = refusals.iter().map(|(word, _)| word.as_str()).collect();
    assert_eq!(words, expected);
    // A later addition has its place in the order, and the next number, because numbers are stored in journals.
    let numbers = || found.iter().filter(|(word, _)| word != OF_A_TOP_UP).map(|(_, number)| *number);
    assert!(numbers().eq(0..found.len() - 1), "their numbers are in the same order: {found:?}");
    assert!(found.contains(&(OF_A_TOP_UP.to_owned(), found.len() - 1)), "{found:?}");
}

fn snake_case(name: &str) -> String {
    let mut words = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !words.is_empty() {
            words.push('_');
        }
        words.push(c.to_ascii_lowercase());
    }
    words
}
