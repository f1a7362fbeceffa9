//! Refusals of every command are found by client, club and code, and have the numbers that caused them (Z13).

use scrip_protocol::command::{
    AddCodesOutcome, BonusOutcome, CampaignUpdated, CodeHeld, ConfirmOutcome, ConfirmationRefused, CreateCampaignOutcome,
    HoldOutcome, HoldRefused, LineVerdict, RedeemOutcome, RedemptionRefused, Refused, RequestRefused, SkippedLine, Subject,
    Terms,
};
use scrip_protocol::{CampaignId, ClientId, ClubId, Kind, Money, Position, Record, wire};
use scrip_reporting::figures::activation_list::Before;
use scrip_reporting::read_model::Readers;
use scrip_reporting::refusals::{self, Refusal, RefusalFilter};

use crate::support::model_files;
use crate::support::synthetic::{Journal, activation, created, stamp};

/// The refusals of a journal that match a filter.
fn refusals_of(batches: &[Vec<u8>], filter: &RefusalFilter) -> Vec<Refusal> {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("read-model.sqlite");
    model_files::apply(&mut model_files::open(&path), batches, || 3, |_| true);
    let page = Before { before: None, limit: 100 };
    let found = Readers::new(&path).view(|view| refusals::list(view, filter, page, &|_| true));
    found.expect("it can be read").refusals
}

fn overdraft() -> Vec<u8> {
    let mut reply = Vec::new();
    wire::encode(&BonusOutcome::Overdraft { balance: Money(7) }, &mut reply);
    reply
}

/// Z13: a refused payment is found by its client; one from an older journal, which does not have the client, is still listed.
#[test]
fn a_refused_payment_is_found_by_its_client() {
    let mut journal = Journal::default();
    let kind = Kind::PayBonus as u16;
    let subject = Subject { client: Some(ClientId(42)), club: Some(ClubId(3)), ..Subject::default() };
    let records: [Record; 2] = [
        Refused { stamp: stamp(1), kind, reply: overdraft() }.into(),
        RequestRefused { stamp: stamp(2), kind, subject, reply: overdraft() }.into(),
    ];
    journal.batch(0, &records);
    let rows = |filter: &RefusalFilter| -> Vec<_> {
        let found = refusals_of(&journal.batches, filter).into_iter();
        found.map(|of| (of.position, of.command, of.club, of.decided)).collect()
    };
    let of = RefusalFilter::default;
    let (pay, words) = ("pay-bonus".to_owned(), "the bonus balance is only 0.07".to_owned());
    assert_eq!(rows(&RefusalFilter { client: Some(ClientId(42)), ..of() }), [(2, pay.clone(), Some(3), words.clone())]);
    assert_eq!(rows(&of()), [(2, pay.clone(), Some(3), words.clone()), (1, pay, None, words)]);
}

/// Z9: a request that is refused before its code is looked up has no campaign: it is not a failed attempt, and must not reveal
/// whether a campaign has the code.
#[test]
fn only_a_failed_attempt_at_a_code_names_its_campaign() {
    let mut journal = Journal::default();
    journal.batch(0, &[created(1, Terms::new("Autumn", Money(500)), &["A"])]);
    let (client, club) = (ClientId(9), ClubId(1));
    let redemption = |outcome| RedemptionRefused { stamp: stamp(2), client, club, code: "a".into(), outcome }.into();
    let hold = |outcome| HoldRefused { stamp: stamp(3), client, club, code: "a".into(), outcome }.into();
    let records: [Record; 8] = [
        redemption(RedeemOutcome::UnknownClub),
        redemption(RedeemOutcome::UnknownTopUp),
        hold(HoldOutcome::Refused(RedeemOutcome::UnknownClub)),
        hold(HoldOutcome::Refused(RedeemOutcome::UnknownTopUp)),
        hold(HoldOutcome::InvalidTtl),
        hold(HoldOutcome::TooManyHolds),
        redemption(RedeemOutcome::CodeExhausted),
        hold(HoldOutcome::Refused(RedeemOutcome::CodeExhausted)),
    ];
    journal.batch(1, &records);
    let found = refusals_of(&journal.batches, &RefusalFilter::default());
    let campaigns: Vec<_> = found.iter().rev().map(|of| of.campaign).collect();
    assert_eq!(campaigns, [None, None, None, None, None, None, Some(1), Some(1)]);
}

/// Of a refused list of codes only the length is stored: the reply has a line for each line of the list, and refusals are stored
/// forever.
#[test]
fn a_refused_list_is_kept_as_its_length() {
    let mut journal = Journal::default();
    let skipped = |line| SkippedLine { line, code: "SPRING".into(), why: LineVerdict::AlreadyInCampaign };
    let lines: Vec<_> = (1..=5_000).map(skipped).collect();
    let refused = |kind: Kind, reply: Vec<u8>| {
        let subject = Subject { campaign: Some(CampaignId(7)), ..Subject::default() };
        RequestRefused { stamp: stamp(kind as u64), kind: kind as u16, subject, reply }.into()
    };
    let (mut added, mut created, mut budget) = (Vec::new(), Vec::new(), Vec::new());
    wire::encode(&AddCodesOutcome::Conflicts(lines.clone()), &mut added);
    wire::encode(&CreateCampaignOutcome::Conflicts(lines), &mut created);
    wire::encode(&BonusOutcome::Overdraft { balance: Money(7) }, &mut budget);
    let records: [Record; 3] =
        [refused(Kind::AddCodes, added), refused(Kind::CreateCampaign, created), refused(Kind::PayBonus, budget)];
    journal.batch(0, &records);
    let found = refusals_of(&journal.batches, &RefusalFilter::default());
    let kept: Vec<_> = found.iter().rev().map(|of| (of.reason.as_str(), of.reply.to_string(), of.decided.as_str())).collect();
    let lines = ("conflicts", r#"{"conflicts":5000}"#.to_owned(), "lines that cannot be added: 5000");
    let payment = ("overdraft", r#"{"overdraft":{"balance":7}}"#.to_owned(), "the bonus balance is only 0.07");
    assert_eq!(kept, [lines.clone(), lines, payment]);
}

/// Z13: an expired hold is judged by the held amount, even if the campaign's amount has changed since.
#[test]
fn an_expired_hold_is_decided_by_its_own_amount() {
    let mut journal = Journal::default();
    let terms = Terms { budget: Some(Money(1_000)), ..Terms::new("Autumn", Money(500)) };
    let (client, club, campaign) = (ClientId(9), ClubId(1), CampaignId(1));
    journal.batch(0, &[created(1, terms.clone(), &["A", "B"])]);
    let held = CodeHeld { stamp: stamp(1), client, club, campaign, slot: 0, amount: Money(500), expires_ms: 1 };
    journal.batch(1, &[held.into()]);
    let hold = journal.newest();
    let updated = CampaignUpdated { stamp: stamp(2), campaign, terms: Terms { amount: Money(700), ..terms } };
    let outcome = ConfirmOutcome::Expired(RedeemOutcome::BudgetExhausted);
    let refused = ConfirmationRefused { stamp: stamp(4), hold, outcome };
    let unknown = ConfirmationRefused { stamp: stamp(5), hold, outcome: ConfirmOutcome::UnknownHold };
    journal.batch(2, &[updated.into(), activation(3, 8, 1, 1, 700, 700).into(), refused.into(), unknown.into()]);
    let found = refusals_of(&journal.batches, &RefusalFilter::default());
    let expected = "the hold had expired, and then: campaign 1 (Autumn) has credited 7.00 of its budget of 10.00, and one more is 5.00; \
                    held uses count as well";
    assert_eq!((found[1].decided.as_str(), found[1].code.as_deref()), (expected, Some("a")));
    // For any other caller, the hold does not exist.
    assert_eq!((found[0].client, found[0].code.as_deref(), found[0].operation), (None, None, Some(hold.0)));
    assert!(hold > Position(0));
}
