//! Records of refusals contain the subject of the request (Z13).

use scrip_protocol::command::{
    Activation, AddCredential, BonusChanged, BonusOperation, CreditBonus, Grant, Note, OnConflict, PaidFor, PaidFrom, PayBonus,
    RecordPurchase, RecordSession, RegisterClient, RegisterClub, Secret, Subject, Terms, TopUp, ToppedUp, WriteOffBonus,
};
use scrip_protocol::ledger::Executor;
use scrip_protocol::record::{SettingsApplied, SettingsSet};
use scrip_protocol::{
    CampaignId, ClientId, ClubId, CredentialId, Kind, Money, Position, Record, Refusal, Role, Settings, Stamp, TopUpSource,
    Variables,
};

use super::{Bench, START_MS, stamp};
use crate::index::{Index, normalise, trim};
use crate::state::requests::Admission;
use crate::state::{
    CodeList, CodesRequest, CreateCampaignRequest, HoldRequest, Mutation, NamedHold, RedeemRequest, RefundBonusRequest,
    RefundRequest, RefundTopUpRequest, State,
};

const CLIENT: ClientId = ClientId(42);
const CLUB: ClubId = ClubId(1);
const CAMPAIGN: CampaignId = CampaignId(1);
/// The position of the operation that requests name.
const AT: Position = Position(900);

fn list(codes: &[&str]) -> CodeList {
    CodeList::prepare(&codes.iter().collect(), 1, trim, normalise)
}

/// An organisation with a club, a campaign of two codes, and a released hold of the first.
fn bench() -> (Bench, Position) {
    let mut bench = Bench::new(Settings::default());
    let campaign = CreateCampaignRequest {
        terms: Terms::new("Autumn", Money(500)),
        list: list(&["AbC", "DEF"]),
        on_conflict: OnConflict::Reject,
    };
    let redeem = RedeemRequest { client: CLIENT, club: CLUB, code: normalise("abc"), top_up: Position(0), is_their_top_up: true };
    let hold = HoldRequest { redeem, ttl_ms: 60_000 };
    let request = [
        Mutation::RegisterClub(RegisterClub { name: "Arena".into() }),
        Mutation::CreateCampaign(Box::new(campaign)),
        Mutation::Hold(Box::new(hold)),
    ];
    for (request, number) in request.iter().zip(1..) {
        bench.run(stamp(START_MS, number, number), request);
    }
    let hold = bench.state.position();
    bench.run(stamp(START_MS, 4, 4), &Mutation::Release(NamedHold { hold, anyones: true }));
    (bench, hold)
}

/// The subject in the record of a refused request.
#[track_caller]
fn subject(bench: &mut Bench, number: u64, request: &Mutation) -> Subject {
    bench.run(stamp(START_MS, number, number), request);
    let record = &bench.records.last().expect("it made a record").1;
    let Record::RequestRefused(refused) = record else { panic!("{request:?} was not refused: {record:?}") };
    refused.subject.clone()
}

/// Z13: every refused command is found by the client, club or code that it names, itself or through the operation that it refers
/// to.
#[test]
fn a_refusal_names_the_client_the_club_and_the_code_of_its_request() {
    let (mut bench, hold) = bench();
    let (client, club, amount, none) = (CLIENT, CLUB, Money(0), Money(0));
    let (note, owner) = (Note::default, Stamp { credential: CredentialId(2), ..stamp(START_MS, 99, 99) });
    let variables =
        Variables { amount: Money(500), source: TopUpSource::Cash, gaming: none, bonus: none, spent: none, sessions: 0 };
    let topped_up = ToppedUp {
        stamp: owner,
        executor: Executor::system(),
        client,
        club,
        variables,
        fired: Vec::new(),
        failed: Vec::new(),
        beyond: 0,
        gaming: none,
        bonus: none,
        comment: String::new(),
        tags: Vec::new(),
    };
    let payment = BonusChanged {
        stamp: owner,
        operation: BonusOperation::Payment(PaidFor::Order),
        executor: Executor::system(),
        client,
        club: Some(club),
        amount: Money(500),
        balance: none,
        comment: String::new(),
        tags: Vec::new(),
    };
    let activation = Activation {
        stamp: owner,
        client,
        club,
        campaign: CAMPAIGN,
        slot: 0,
        amount: Money(500),
        balance: none,
        top_up: Position(0),
    };
    let kept_from = Position(1);
    let refund_top_up = |amount, anyones| {
        let found = Some(topped_up.clone());
        Mutation::RefundTopUp(Box::new(RefundTopUpRequest {
            top_up: AT,
            found,
            kept_from,
            anyones,
            amount: Some(amount),
            claw_back: false,
            note: note(),
        }))
    };
    let refund_bonus =
        RefundBonusRequest { payment: AT, found: Some(payment), kept_from, anyones: true, amount: Some(amount), note: note() };
    let refund = RefundRequest { activation: AT, found: Some(activation), kept_from, anyones: true, force: false };
    let person = Subject { client: Some(client), club: Some(club), ..Subject::default() };
    let named = Subject { operation: Some(AT), ..person.clone() };
    let of_code = Subject { code: Some("abc".into()), campaign: Some(CAMPAIGN), ..person.clone() };
    let codes = |codes: &[&str]| Box::new(CodesRequest { campaign: CampaignId(9), list: list(codes) });
    let of_campaign = Subject { campaign: Some(CampaignId(9)), ..Subject::default() };
    let paid_from = PaidFrom::Directly;
    let cases = [
        (Mutation::TopUp(Box::new(TopUp { client, club, amount, source: TopUpSource::Cash, note: note() })), person.clone()),
        (Mutation::PayBonus(Box::new(PayBonus { client, club, amount, paid_for: PaidFor::Order, note: note() })), person.clone()),
        (Mutation::CreditBonus(Box::new(CreditBonus { client, club: Some(club), amount, note: note() })), person.clone()),
        (Mutation::WriteOffBonus(Box::new(WriteOffBonus { client, club: Some(club), amount, note: note() })), person.clone()),
        (
            Mutation::RecordSession(Box::new(RecordSession { client, club, price: Money(-1), paid_from, note: note() })),
            person.clone(),
        ),
        (
            Mutation::RecordPurchase(Box::new(RecordPurchase { client, club, price: Money(-1), paid_from, note: note() })),
            person.clone(),
        ),
        (
            Mutation::RegisterClient(RegisterClient { client, name: "a".repeat(1_000) }),
            Subject { client: Some(client), ..Subject::default() },
        ),
        (refund_top_up(amount, true), named.clone()),
        // Another credential's top-up does not exist for a caller that may not name it.
        (refund_top_up(Money(100), false), Subject { operation: Some(AT), ..Subject::default() }),
        (Mutation::RefundBonus(Box::new(refund_bonus)), named),
        (Mutation::Refund(Box::new(refund)), Subject { operation: Some(AT), ..of_code.clone() }),
        (Mutation::Release(NamedHold { hold, anyones: true }), Subject { operation: Some(hold), ..of_code }),
        (Mutation::ArchiveCodes(codes(&["AbC"])), Subject { code: Some("abc".into()), ..of_campaign.clone() }),
        (Mutation::RestoreCodes(codes(&["AbC", "DEF"])), of_campaign.clone()),
        (Mutation::ArchiveCampaign(CampaignId(9)), of_campaign),
        (
            Mutation::AddCredential(Box::new(AddCredential {
                grant: Grant {
                    name: String::new(),
                    role: Role::Gateway,
                    clubs: Vec::new(),
                    reasons: true,
                    secret: Secret::Token([1; 32]),
                },
            })),
            Subject::default(),
        ),
    ];
    for ((request, expected), number) in cases.into_iter().zip(10..) {
        assert_eq!(subject(&mut bench, number, &request), expected, "{request:?}");
    }
    bench.compare_with_replay();
}

/// A journal of the first version remembers requests by a hash of their bytes. From before the change of the hash, a request
/// under a known id is a retry if it is the same command, and not a retry of another command's request; ids may be ahead of the
/// clock by the former settings.
#[test]
fn a_request_from_before_the_new_hash_is_answered_only_as_its_own_command() {
    const MINUTE: u64 = 60_000;
    let (state, settings) = (State::default(), |request_skew_ms| Settings { request_skew_ms, ..Settings::default() });
    let index = Index::of(&state);
    let mut bench = Bench { state, index, records: Vec::new(), now_ms: START_MS };
    bench.follow(SettingsApplied { settings: settings(60 * MINUTE) }.into());
    let old = stamp(START_MS + 59 * MINUTE, 1, 7);
    bench.run(old, &Mutation::RegisterClub(RegisterClub { name: "Arena".to_owned() }));
    bench.follow(SettingsSet::new(settings(0)).into());
    let (late, retry) = (START_MS + 59 * MINUTE, Stamp { body: 8, ..old });
    for stamp in [old, retry] {
        assert!(matches!(bench.state.admit(late, &stamp, || Kind::RegisterClub), Admission::Repeated(_)), "{stamp:?}");
        for kind in Kind::ALL.iter().filter(|kind| **kind != Kind::RegisterClub) {
            let admitted = bench.state.admit(late, &stamp, || *kind);
            assert_eq!(admitted, Admission::Refused(Refusal::RequestIdReused), "{kind:?}");
        }
    }
    bench.compare_with_replay();
}
