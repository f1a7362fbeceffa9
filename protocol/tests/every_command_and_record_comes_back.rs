//! Every command of the table, and every record, is decoded to the same value from its bytes, and from no prefix of them.
//!
//! Modified bytes may be another valid value, or none; the reader never panics. Values printed as JSON have no duplicate keys.

mod strict_json;

use std::fmt::Debug;

use scrip_protocol::codes::InvalidCode;
use scrip_protocol::command::*;
use scrip_protocol::frame::{Frame, Malformed, REPLY_BYTES_MAX, REQUEST_BYTES_MAX, push_request, push_value};
use scrip_protocol::ledger::ExecutorKind;
use scrip_protocol::record::{JournalLine, SettingsApplied, SettingsSet};
use scrip_protocol::wire::{self, Wire};
use scrip_protocol::{
    Accounts, AnyCommand, CampaignId, ClientId, ClientNetwork, ClubId, CredentialId, Executor, FormulaFailure, GroupId, Kind,
    Label, Money, Position, Record, Refusal, RequestId, Role, RuleId, Settings, Stamp, TextProblem, TopUpSource, Variable,
    Variables,
};
use strict_json::check_json;

const CLIENT: ClientId = ClientId(u128::MAX - 5);
const CLUB: ClubId = ClubId(3);
const CAMPAIGN: CampaignId = CampaignId(4);
const RULE: RuleId = RuleId(5);
const AT: Position = Position(u64::MAX - 6);
const AMOUNT: Money = Money(i64::MAX - 7);

fn texts(texts: &[&str]) -> CodeTexts {
    texts.iter().collect()
}

fn note() -> Note {
    Note { by: "Ann".into(), comment: "a comment that is longer than a short one".into(), tags: vec!["a".into(), "ж".into()] }
}

fn terms() -> Terms {
    Terms { clubs: vec![CLUB], budget: Some(AMOUNT), ..Terms::new("a campaign", Money(500)) }
}

fn grant() -> Grant {
    Grant { name: "till".into(), role: Role::Gateway, clubs: vec![CLUB], reasons: false, secret: Secret::Token([7; 32]) }
}

fn rule_terms() -> RuleTerms {
    RuleTerms {
        name: "Tenth".into(),
        description: "a tenth of what is topped up".into(),
        active: true,
        clubs: vec![CLUB, ClubId(9)],
        event: RuleEvent::BalanceToppedUp,
        conditions: "topupAmountMajor >= 500".into(),
        actions: vec![
            Action::AddBonus { formula: "{{topupAmountMajor}} * 0.1".into() },
            Action::AssignGroup { group: GroupId(1) },
            Action::UnassignGroup { group: GroupId(2) },
            Action::SendPush(Push { title: "Title".into(), body: "{{topupAmountMajor}}".into() }),
        ],
        tags: vec!["gold".into()],
    }
}

fn variables() -> Variables {
    let source = TopUpSource::PosTerminal;
    Variables { amount: AMOUNT, source, gaming: Money(1), bonus: Money(2), spent: Money(3), sessions: u32::MAX }
}

fn accounts() -> Accounts {
    Accounts { gaming: Money(1), bonus: AMOUNT, spent: Money(3), sessions: 4 }
}

fn problem() -> TextProblem {
    TextProblem { at: 7, found: "topupAmount".into(), expected: "a variable".into(), nearest: Some("topupAmountMajor".into()) }
}

fn lint() -> Lint {
    let overlap = |to| Finding::Overlaps(Overlap { rule: RULE, name: "another rule".into(), from: Money(1), to });
    Lint {
        findings: vec![
            Finding::NeverHolds { variable: Variable::SessionsCount },
            overlap(None),
            overlap(Some(AMOUNT)),
            Finding::MoreOverlaps(8),
            Finding::NotPositive { at: variables(), result: "-1/3".into() },
            Finding::RoundsToNothing { at: variables(), result: "0.4".into() },
            Finding::DividesByZero { at: variables() },
            Finding::PushTooLong { part: PushPart::Body, at: variables(), chars: 121 },
        ],
        stacked: vec![StackedRate { amount: AMOUNT, source: TopUpSource::Cash, credited: Money(1), rules: 3 }],
    }
}

fn invalid_rules() -> Vec<InvalidRule> {
    vec![
        InvalidRule::Name,
        InvalidRule::Description,
        InvalidRule::TooManyClubs,
        InvalidRule::UnknownClub(CLUB),
        InvalidRule::Conditions(problem()),
        InvalidRule::Actions,
        InvalidRule::SecondAction(2),
        InvalidRule::Formula(TextProblem { nearest: None, ..problem() }),
        InvalidRule::UnknownGroup(GroupId(9)),
        InvalidRule::PushEmpty(PushPart::Title),
        InvalidRule::Push { part: PushPart::Title, problem: problem() },
        InvalidRule::PushTooLong { part: PushPart::Body, chars: 500 },
        InvalidRule::Tags(InvalidTags::Tag(3)),
    ]
}

fn card() -> RuleCard {
    RuleCard {
        rule: RULE,
        terms: rule_terms(),
        created_ms: 1,
        changed_ms: 2,
        archived_ms: Some(3),
        fired: u64::MAX,
        failed: 4,
        credited: AMOUNT,
        as_of: AT,
    }
}

fn status() -> Status {
    let counted = |word: &str| vec![Counted { word: word.into(), count: u64::MAX }];
    let steps = vec![DurationStep { us_max: 100, count: 1 }, DurationStep { us_max: 200, count: 2 }];
    let flushes = Durations { steps, longer: 3, sum_us: 4 };
    Status {
        now_ms: 1,
        requests_ms: 1,
        started_ms: 2,
        journal: JournalStatus {
            first: Position(1),
            durable: AT,
            time_ms: 3,
            disk_bytes: 4,
            batches: 5,
            records: 6,
            bytes: 7,
            flushes,
        },
        snapshot: Some(SnapshotStatus { position: AT, time_ms: 8 }),
        readers: vec![
            ReaderStatus { name: "reports".into(), position: AT, moved_ms: 9, lag_records: 10, lag_ms: Some(11) },
            ReaderStatus { name: "a reader with a long name".into(), position: AT, moved_ms: 9, lag_records: 10, lag_ms: None },
        ],
        sizes: StateSizes { clients: 12, campaigns: 13, codes: 14, holds: 15, requests: 16, guarded: 17 },
        requests: counted("redeem"),
        redemptions: counted("campaign_exhausted"),
        holds: counted("held"),
        refusals: counted("busy"),
        repeated: 18,
        lockouts: 19,
        rule_failures: counted("overflow"),
        pushes_too_long: 24,
        load: Load { connections: 20, tails: 21, ..Load::default() },
        attempts: AttemptCounts { all: 22, lost: 23 },
    }
}

fn attempt() -> Attempt {
    Attempt {
        sequence: 8,
        at_ms: 9,
        after: AT,
        command: "redeem".into(),
        credential: CredentialId(7),
        request: RequestId(u128::MAX - 9),
        client: Some(CLIENT),
        club: None,
        code: Some("a code that is long enough".into()),
        network: ClientNetwork(7),
        refusal: Refusal::TooManyMisses { retry_after_ms: 5 },
    }
}

const INVALID_NOTES: [InvalidNote; 4] =
    [InvalidNote::By, InvalidNote::Comment, InvalidNote::Tags(InvalidTags::TooMany), InvalidNote::Tags(InvalidTags::Tag(8))];

/// A value is decoded whole, from no part of its bytes, and reading modified bytes does not panic.
fn check_bytes<T: Debug + PartialEq>(what: &str, bytes: &[u8], value: &T, decode: impl Fn(&[u8]) -> Result<T, Malformed>) {
    assert_eq!(decode(bytes).as_ref(), Ok(value), "{what}");
    for cut in 0..bytes.len() {
        assert_ne!(decode(&bytes[..cut]).as_ref(), Ok(value), "{what}, cut at {cut}");
    }
    let mut changed = bytes.to_vec();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            changed[at] ^= 1 << bit;
            drop(decode(&changed));
            changed[at] ^= 1 << bit;
        }
    }
}

fn check_value<T: Wire + Debug + PartialEq>(what: &'static str, value: &T) {
    let mut bytes = Vec::new();
    wire::encode(value, &mut bytes);
    check_bytes(what, &bytes, value, |bytes| wire::decode(what, bytes));
}

#[test]
fn no_record_is_printed_with_a_duplicate_key() {
    records().iter().for_each(|record| check_json(&JournalLine { position: AT, at_ms: 7, record }));
}

/// A request and its possible replies, in their frames and as JSON.
fn check<C: Command<Outcome: PartialEq> + Debug + PartialEq>(command: C, outcomes: Vec<C::Outcome>) {
    let (word, id) = (C::KIND.word(), RequestId::from_parts(1_790_000_000_000, [3; 10]));
    let mut frame = Vec::new();
    push_request(&mut frame, 5, id, &command);
    let (whole, length) = Frame::split(&frame, REQUEST_BYTES_MAX).expect("well formed").expect("whole");
    assert_eq!((length, whole.correlation), (frame.len(), 5), "{word}");
    let request = whole.request().expect("a known kind");
    assert_eq!((request.kind, request.request), (C::KIND, C::KIND.mutates().then_some(id)), "{word}");
    assert!(AnyCommand::decode(request.kind, request.payload).is_ok(), "{word}");
    check_bytes(word, request.payload, &command, |bytes| wire::decode(word, bytes));
    assert!(!outcomes.is_empty(), "{word}");
    for outcome in outcomes {
        check_json(&outcome);
        let mut frame = Vec::new();
        push_value(&mut frame, C::KIND as u16, 6, &outcome);
        let (whole, _) = Frame::split(&frame, REPLY_BYTES_MAX).expect("well formed").expect("whole");
        assert_eq!(whole.reply::<C>(), Ok(Ok(outcome)), "{word}");
        let (again, value) = (whole.body.to_vec(), whole.reply::<C>().expect("it was read just now").expect("it is no refusal"));
        check_bytes(word, &again, &value, |bytes| wire::decode(word, bytes));
    }
}

/// One of each kind; for the ledger and rules, every reply.
fn check_kind(kind: Kind) {
    let (campaign, on_conflict) = (CAMPAIGN, OnConflict::Skip);
    let codes = || texts(&["CODE", "КОД", ""]);
    match kind {
        Kind::Redeem => {
            let command = Redeem { top_up: AT, network: ClientNetwork(7), ..Redeem::new(CLIENT, CLUB, "CODE") };
            check(command, vec![RedeemOutcome::InvalidCode(InvalidCode::Empty), RedeemOutcome::UnknownCode]);
        }
        Kind::Check => {
            let code = CodeStanding { campaign, amount: AMOUNT, activations: 1, held: 2, activations_max: Some(3) };
            let reasons = vec![RedeemOutcome::CampaignInactive, RedeemOutcome::CodeExhausted];
            let refused = CodeChecked::Refused { reasons, code };
            let free = CodeChecked::Free { outcome: RedeemOutcome::UnknownCode };
            let codes = vec![CodeChecked::Redeemable(code), refused, free, CodeChecked::NotAccepted];
            let outcomes = vec![CheckOutcome::Checked { codes, as_of: AT }, CheckOutcome::TooManyCodes];
            check(Check::new(CLUB, vec!["CODE".into()]), outcomes);
        }
        Kind::Hold => check(Hold::new(CLIENT, CLUB, "CODE", 60_000), vec![HoldOutcome::InvalidTtl]),
        Kind::Confirm => check(Confirm { top_up: AT, ..Confirm::new(Position(9)) }, vec![ConfirmOutcome::UnknownHold]),
        Kind::Release => check(Release { hold: AT }, vec![ReleaseOutcome::Released]),
        Kind::Refund => check(
            Refund { activation: AT, force: true },
            vec![RefundOutcome::NotKept { first: AT }, RefundOutcome::BonusSpent { balance: AMOUNT }],
        ),
        Kind::RegisterClub => check(
            RegisterClub { name: "Club".into() },
            vec![RegisterClubOutcome::NameTaken(CLUB), RegisterClubOutcome::TooManyClubs],
        ),
        Kind::ListClubs => check(
            ListClubs { after: CLUB },
            vec![ListClubsOutcome { clubs: vec![Club { club: CLUB, name: "Club".into() }], as_of: AT }],
        ),
        Kind::RegisterGroup => check(
            RegisterGroup { name: "Gold".into() },
            vec![
                RegisterGroupOutcome::Registered(GroupId(1)),
                RegisterGroupOutcome::InvalidName,
                RegisterGroupOutcome::NameTaken(GroupId(2)),
                RegisterGroupOutcome::TooManyGroups,
            ],
        ),
        Kind::ListGroups => {
            let group = Group { group: GroupId(1), name: "Gold".into(), clients: u64::MAX };
            check(ListGroups { after: GroupId(8) }, vec![ListGroupsOutcome { groups: vec![group], as_of: AT }]);
        }
        Kind::RegisterClient => check(
            RegisterClient { client: CLIENT, name: "Ann".into() },
            vec![RegisterClientOutcome::Registered { new: true }, RegisterClientOutcome::InvalidName],
        ),
        Kind::ShowClient => {
            let groups = vec![GroupId(1), GroupId(2)];
            let card = ClientCard { client: CLIENT, name: "Ann".into(), accounts: accounts(), groups, as_of: AT };
            check(ShowClient { client: CLIENT }, vec![ShowClientOutcome::Client(card), ShowClientOutcome::UnknownClient]);
        }
        Kind::CreateCampaign => check(
            CreateCampaign { terms: terms(), lines: codes(), on_conflict },
            vec![
                CreateCampaignOutcome::Created { campaign, codes: report() },
                CreateCampaignOutcome::InvalidTerms(InvalidTerms::UnknownClub(CLUB)),
                CreateCampaignOutcome::CodesMissing,
                CreateCampaignOutcome::Conflicts(skipped()),
                CreateCampaignOutcome::TooManyCodes(LIMIT),
                CreateCampaignOutcome::TooManyCampaigns,
            ],
        ),
        Kind::AddCodes => check(AddCodes { campaign, lines: codes(), first_line: 7, on_conflict }, adding_outcomes()),
        Kind::SwitchCampaign => check(
            SwitchCampaign { campaign, active: true },
            vec![SwitchCampaignOutcome::Switched { active: true }, SwitchCampaignOutcome::UnknownCampaign],
        ),
        Kind::ListCampaigns => check(
            ListCampaigns { text: "spring".into(), ..ListCampaigns::default() },
            vec![ListCampaignsOutcome { campaigns: vec![campaign_card()], next: Some(campaign), as_of: AT }],
        ),
        Kind::ShowCampaign => check(
            ShowCampaign { campaign },
            vec![ShowCampaignOutcome::Campaign(campaign_card()), ShowCampaignOutcome::UnknownCampaign],
        ),
        Kind::UpdateCampaign => {
            let refused = UpdateCampaignOutcome::InvalidTerms(InvalidTerms::Amount);
            let outcomes = vec![UpdateCampaignOutcome::Updated(terms()), UpdateCampaignOutcome::UnknownCampaign, refused];
            check(UpdateCampaign { campaign, name: Some("new".into()), ..UpdateCampaign::default() }, outcomes);
        }
        Kind::ArchiveCampaign => check(
            ArchiveCampaign { campaign },
            vec![ArchiveCampaignOutcome::Archived { codes: 7 }, ArchiveCampaignOutcome::AlreadyArchived],
        ),
        Kind::RestoreCampaign => {
            let first = vec![CodeConflict { slot: 1, code: "CODE".into(), held_by: campaign }];
            let restored = RestoreCampaignOutcome::Restored { restored: 7, conflicts: 1, first };
            check(
                RestoreCampaign { campaign },
                vec![restored, RestoreCampaignOutcome::NotArchived, RestoreCampaignOutcome::StillHeld { codes: 7 }],
            );
        }
        Kind::Tail => check(
            Tail { from: AT, follow: true },
            vec![TailOutcome::End { next: AT }, TailOutcome::Unreadable, TailOutcome::Dropped { first: AT }],
        ),
        Kind::ShowStatus => check(ShowStatus {}, vec![status()]),
        Kind::WatchAttempts => {
            let attempts = Attempts { run: RunId(u128::MAX - 3), lost: 1, through: 9, attempts: vec![attempt()] };
            let outcomes = vec![WatchAttemptsOutcome::Attempts(attempts), WatchAttemptsOutcome::End];
            check(WatchAttempts { after: 7, run: RunId(8), follow: true }, outcomes);
        }
        Kind::TryCodes => {
            check(
                TryCodes { campaign: Some(campaign), lines: codes(), first_line: 1, earlier: 2, on_conflict },
                adding_outcomes(),
            );
        }
        Kind::GenerateCodes => {
            let (pattern, alphabet) = ("AB-****".to_owned(), "XYZ".to_owned());
            let outcomes = vec![
                GenerateCodesOutcome::Generated { first_slot: 7, codes: 8, guesses_per_hit: 9 },
                GenerateCodesOutcome::InvalidCount,
                GenerateCodesOutcome::TooManyCodes(LIMIT),
                GenerateCodesOutcome::SpaceTooSmall { guesses_per_hit: 2 },
            ];
            check(GenerateCodes { campaign, count: 9, pattern, alphabet }, outcomes);
        }
        Kind::ArchiveCodes => check(
            ArchiveCodes { campaign, codes: codes() },
            vec![ArchiveCodesOutcome::Archived { codes: 7, skipped: skipped() }, ArchiveCodesOutcome::CodesMissing],
        ),
        Kind::RestoreCodes => check(
            RestoreCodes { campaign, codes: codes() },
            vec![RestoreCodesOutcome::Restored { codes: 7, skipped: skipped() }, RestoreCodesOutcome::CampaignArchived],
        ),
        Kind::ListCodes => {
            let (status, usage) = (CodeFilter::Archived, UsageFilter::Used);
            let (archived, held_by) = (Some(ArchiveCause::Alone), Some(campaign));
            let codes = vec![CodeRow { slot: 5, code: "CODE".into(), activations: 6, archived, held_by }];
            let outcomes = vec![ListCodesOutcome::Codes { codes, next: Some(6), as_of: AT }, ListCodesOutcome::UnknownCampaign];
            check(ListCodes { campaign, from_slot: 5, status, usage }, outcomes);
        }
        Kind::CheckFree => check(
            CheckFree { codes: codes() },
            vec![CheckFreeOutcome::Checked { codes: Vec::new(), as_of: AT }, CheckFreeOutcome::TooManyLines],
        ),
        Kind::AddCredential => check(
            AddCredential { grant: grant() },
            vec![AddCredentialOutcome::Added(CredentialId(8)), AddCredentialOutcome::UnknownClub(CLUB)],
        ),
        Kind::RevokeCredential => check(
            RevokeCredential { credential: CredentialId(8) },
            vec![RevokeCredentialOutcome::Revoked, RevokeCredentialOutcome::LastOperator],
        ),
        Kind::ListCredentials => {
            let card = CredentialCard {
                credential: CredentialId(9),
                name: "till".into(),
                role: Role::Gateway,
                clubs: vec![CLUB],
                reasons: false,
                certificate: true,
                added_ms: 1,
                revoked_ms: Some(2),
            };
            let outcomes = vec![ListCredentialsOutcome { credentials: vec![card], as_of: AT }];
            check(ListCredentials { after: CredentialId(8) }, outcomes);
        }
        Kind::TopUp => {
            let done = TopUpDone { top_up: AT, gaming: AMOUNT, bonus: Money(1), credited: Money(2), fired: 3, failed: 4 };
            let mut outcomes = vec![
                TopUpOutcome::ToppedUp(done),
                TopUpOutcome::InvalidAmount,
                TopUpOutcome::UnknownClub,
                TopUpOutcome::AmountLimit,
            ];
            outcomes.extend(INVALID_NOTES.map(TopUpOutcome::InvalidNote));
            for source in TopUpSource::ALL {
                check(TopUp { client: CLIENT, club: CLUB, amount: AMOUNT, source, note: note() }, outcomes.clone());
            }
        }
        Kind::RefundTopUp => {
            let (amount, gaming, clawed, uncollected, bonus) = (AMOUNT, Money(1), Money(2), Money(3), Money(4));
            let mut outcomes = vec![
                RefundTopUpOutcome::Refunded(TopUpGivenBack { amount, gaming, clawed, uncollected, bonus }),
                RefundTopUpOutcome::InvalidAmount,
                RefundTopUpOutcome::NotKept { first: AT },
                RefundTopUpOutcome::UnknownTopUp,
                RefundTopUpOutcome::MoreThanLeft { left: AMOUNT },
                RefundTopUpOutcome::Overdraft { balance: AMOUNT },
            ];
            outcomes.extend(INVALID_NOTES.map(RefundTopUpOutcome::InvalidNote));
            for amount in [None, Some(AMOUNT)] {
                check(RefundTopUp { top_up: AT, amount, claw_back: true, note: note() }, outcomes.clone());
            }
        }
        Kind::CreditBonus => {
            check(CreditBonus { client: CLIENT, club: None, amount: AMOUNT, note: note() }, bonus_outcomes(Label::BonusCredit));
        }
        Kind::WriteOffBonus => {
            let outcomes = bonus_outcomes(Label::BonusWriteOff);
            check(WriteOffBonus { client: CLIENT, club: Some(CLUB), amount: AMOUNT, note: Note::default() }, outcomes);
        }
        Kind::PayBonus => {
            for paid_for in [PaidFor::GamingTime, PaidFor::Order] {
                let command = PayBonus { client: CLIENT, club: CLUB, amount: AMOUNT, paid_for, note: note() };
                check(command, bonus_outcomes(Label::BonusPayment));
            }
        }
        Kind::RefundBonus => {
            let mut outcomes = vec![
                RefundBonusOutcome::Done(bonus_done(Label::BonusRefund)),
                RefundBonusOutcome::InvalidAmount,
                RefundBonusOutcome::NotKept { first: AT },
                RefundBonusOutcome::UnknownPayment,
                RefundBonusOutcome::MoreThanLeft { left: AMOUNT },
                RefundBonusOutcome::AmountLimit,
            ];
            outcomes.extend(INVALID_NOTES.map(RefundBonusOutcome::InvalidNote));
            check(RefundBonus { payment: AT, amount: Some(AMOUNT), note: note() }, outcomes);
        }
        Kind::RecordSession => {
            let (price, paid_from) = (AMOUNT, PaidFrom::GamingBalance);
            check(RecordSession { client: CLIENT, club: CLUB, price, paid_from, note: note() }, spend_outcomes());
        }
        Kind::RecordPurchase => {
            let (price, paid_from) = (AMOUNT, PaidFrom::Directly);
            check(RecordPurchase { client: CLIENT, club: CLUB, price, paid_from, note: note() }, spend_outcomes());
        }
        Kind::CreateRule => {
            let mut outcomes = vec![CreateRuleOutcome::Created { rule: RULE, lint: lint() }];
            outcomes.extend(invalid_rules().into_iter().map(CreateRuleOutcome::InvalidRule));
            outcomes.push(CreateRuleOutcome::TooManyRules);
            check(CreateRule { terms: rule_terms() }, outcomes);
        }
        Kind::UpdateRule => {
            let refused = [UpdateRuleOutcome::UnknownRule, UpdateRuleOutcome::RuleArchived, UpdateRuleOutcome::RuleInactive];
            let mut outcomes = vec![UpdateRuleOutcome::Updated { lint: lint() }];
            outcomes.extend(refused.into_iter().chain(invalid_rules().into_iter().map(UpdateRuleOutcome::InvalidRule)));
            let push = Some(PushChange::Replace { title: Some("Hi".into()), body: None });
            let some = ActionChanges::Some { bonus: Some(None), assigned: Some(vec![GroupId(2)]), unassigned: None, push };
            let changes = RuleChanges { actions: Some(some), ..RuleChanges::whole(rule_terms()) };
            check(UpdateRule { rule: RULE, changes }, outcomes.clone());
            check(UpdateRule { rule: RULE, changes: RuleChanges::whole(rule_terms()) }, outcomes);
        }
        Kind::SwitchRule => check(
            SwitchRule { rule: RULE, active: true },
            vec![SwitchRuleOutcome::Switched { active: true }, SwitchRuleOutcome::UnknownRule, SwitchRuleOutcome::RuleArchived],
        ),
        Kind::ArchiveRule => check(
            ArchiveRule { rule: RULE },
            vec![ArchiveRuleOutcome::Archived, ArchiveRuleOutcome::UnknownRule, ArchiveRuleOutcome::AlreadyArchived],
        ),
        Kind::RestoreRule => check(
            RestoreRule { rule: RULE },
            vec![RestoreRuleOutcome::Restored, RestoreRuleOutcome::UnknownRule, RestoreRuleOutcome::NotArchived],
        ),
        Kind::ListRules => {
            for filter in [RuleFilter::Present, RuleFilter::Active, RuleFilter::Inactive, RuleFilter::Archived] {
                let page = ListRulesOutcome { rules: vec![card(), card()], next: Some(RULE), as_of: AT };
                check(ListRules { after: RULE, filter, club: CLUB }, vec![page]);
            }
        }
        Kind::ShowRule => check(ShowRule { rule: RULE }, vec![ShowRuleOutcome::Rule(card()), ShowRuleOutcome::UnknownRule]),
        Kind::LintRule => {
            let mut outcomes = vec![LintRuleOutcome::Lint { lint: lint(), as_of: AT }, LintRuleOutcome::UnknownRule];
            outcomes.extend(invalid_rules().into_iter().map(LintRuleOutcome::InvalidRule));
            check(LintRule { terms: rule_terms(), replaces: RULE }, outcomes);
        }
        Kind::RehearseRule => {
            let rehearsal = Rehearsal {
                top_ups: 1,
                fired: 2,
                clients: 3,
                topped_up: Some(AMOUNT),
                credited: None,
                without_credit: 5,
                failed: 6,
                stacked: 7,
                stacked_credited: Some(Money(8)),
                stacked_with: vec![StackedWith { rule: RULE, top_ups: 9 }],
                largest: vec![WouldFire { top_up: AT, amount: AMOUNT, credited: Money(10) }],
                as_of: AT,
            };
            let not_kept = RehearseRuleOutcome::NotKept { first: AT, first_ms: u64::MAX };
            let others = [RehearseRuleOutcome::PeriodReversed, not_kept, RehearseRuleOutcome::Unreadable];
            let mut outcomes = vec![RehearseRuleOutcome::Rehearsed(rehearsal)];
            outcomes.extend(others.into_iter().chain(invalid_rules().into_iter().map(RehearseRuleOutcome::InvalidRule)));
            check(RehearseRule { terms: rule_terms(), replaces: RULE, from_ms: 1, to_ms: u64::MAX }, outcomes);
        }
        Kind::ListLockouts => {
            let of = |key| Lockout { key, until_ms: u64::MAX, caused_by: CredentialId(9), everywhere: false };
            let keys =
                [LockoutKey::Credential(CredentialId(2)), LockoutKey::Client(CLIENT), LockoutKey::Network(ClientNetwork(7))];
            let outcome = ListLockoutsOutcome { lockouts: keys.map(of).to_vec(), total: u64::MAX, now_ms: 1 };
            check(ListLockouts { kind: Some(LockoutKind::Network) }, vec![outcome]);
        }
        Kind::LiftLockouts => {
            check(LiftLockouts { which: WhichLockouts::Of(LockoutKey::Client(CLIENT)) }, vec![LiftLockoutsOutcome { lifted: 1 }]);
        }
        Kind::TakeSnapshot => {
            let taken = SnapshotTaken { position: AT, bytes: u64::MAX, codes: 1, milliseconds: 2 };
            let failed = TakeSnapshotOutcome::Failed("no space left on device, which is longer than a short text".into());
            let outcomes = vec![TakeSnapshotOutcome::Taken(taken), TakeSnapshotOutcome::NothingNew { since: AT }, failed];
            check(TakeSnapshot {}, outcomes);
        }
        Kind::KeepReader => check(
            KeepReader { name: "reports".into(), position: AT },
            vec![
                KeepReaderOutcome::Kept { position: AT },
                KeepReaderOutcome::InvalidName,
                KeepReaderOutcome::BeyondEnd { newest: AT },
                KeepReaderOutcome::AlreadyFurther { position: AT },
                KeepReaderOutcome::NotKept { first: AT },
                KeepReaderOutcome::TooManyReaders,
                KeepReaderOutcome::OtherCredential,
                KeepReaderOutcome::TooManyOfCredential,
            ],
        ),
        Kind::ForgetReader => check(
            ForgetReader { name: "reports".into() },
            vec![ForgetReaderOutcome::Forgotten, ForgetReaderOutcome::UnknownReader, ForgetReaderOutcome::OtherCredential],
        ),
        Kind::ListReaders => {
            let name = || "reports, by a name that is longer".to_owned();
            let of = |credential| Reader { name: name(), position: AT, moved_ms: u64::MAX, credential };
            let readers = vec![of(None), of(Some(CredentialId(u32::MAX)))];
            check(ListReaders {}, vec![ListReadersOutcome { readers, as_of: AT }]);
        }
    }
}

const LIMIT: CodeLimit = CodeLimit { limit: 50_000, current: 49_999, would_add: 2 };

fn report() -> CodesReport {
    CodesReport { added: 7, skipped: skipped() }
}

fn adding_outcomes() -> Vec<AddCodesOutcome> {
    vec![
        AddCodesOutcome::Added(report()),
        AddCodesOutcome::UnknownCampaign,
        AddCodesOutcome::Conflicts(skipped()),
        AddCodesOutcome::TooManyCodes(LIMIT),
    ]
}

fn campaign_card() -> CampaignCard {
    CampaignCard {
        campaign: CAMPAIGN,
        terms: terms(),
        status_active: true,
        redeemable: false,
        archived_ms: Some(1),
        created_ms: 2,
        codes: 3,
        codes_archived: 4,
        codes_activated: 5,
        codes_available: 6,
        codes_redeemable: 7,
        low_stock: true,
        activations: 8,
        held: 9,
        issued: AMOUNT,
        refunds: 10,
        uncollected: Money(11),
        clients_counted_from_ms: Some(12),
        added: vec![CodesBatch { at_ms: 13, codes: 14, position: AT }],
        as_of: AT,
        as_of_ms: 15,
    }
}

fn bonus_done(label: Label) -> BonusDone {
    BonusDone { operation: AT, label, amount: AMOUNT, balance: Money(1) }
}

fn bonus_outcomes(label: Label) -> Vec<BonusOutcome> {
    let mut outcomes = vec![
        BonusOutcome::Done(bonus_done(label)),
        BonusOutcome::InvalidAmount,
        BonusOutcome::UnknownClub,
        BonusOutcome::UnknownClient,
        BonusOutcome::Overdraft { balance: AMOUNT },
        BonusOutcome::AmountLimit,
    ];
    outcomes.extend(INVALID_NOTES.map(BonusOutcome::InvalidNote));
    outcomes
}

fn spend_outcomes() -> Vec<SpendOutcome> {
    let mut outcomes = vec![
        SpendOutcome::Recorded { operation: AT, after: accounts() },
        SpendOutcome::InvalidAmount,
        SpendOutcome::UnknownClub,
        SpendOutcome::UnknownClient,
        SpendOutcome::Overdraft { balance: AMOUNT },
        SpendOutcome::AmountLimit,
    ];
    outcomes.extend(INVALID_NOTES.map(SpendOutcome::InvalidNote));
    outcomes
}

#[test]
fn every_command_round_trips_and_no_prefix_decodes() {
    Kind::ALL.iter().for_each(|kind| check_kind(*kind));
}

fn stamp() -> Stamp {
    Stamp { request: RequestId(u128::MAX - 1), body: u64::MAX - 2, credential: CredentialId(3) }
}

fn executor() -> Executor {
    Executor { kind: ExecutorKind::Administrator, credential: CredentialId(4), name: "Ann".into() }
}

fn activation() -> Activation {
    let (stamp, campaign, amount) = (stamp(), CAMPAIGN, AMOUNT);
    Activation { stamp, client: CLIENT, club: CLUB, campaign, slot: 7, amount, balance: Money(1), top_up: AT }
}

fn skipped() -> Vec<SkippedLine> {
    vec![SkippedLine { line: 7, code: "code".into(), why: LineVerdict::HeldBy(CAMPAIGN) }]
}

/// One record of each kind; for the ledger, one of each form.
fn records() -> Vec<Record> {
    let (stamp, campaign, amount, client, club) = (stamp(), CAMPAIGN, AMOUNT, CLIENT, CLUB);
    let codes = || texts(&["CODE", "КОД"]);
    let (comment, tags) = ("a comment that is longer than a short one".to_owned(), vec!["a".to_owned(), "ж".to_owned()]);
    let fired = RuleFired {
        rule: RULE,
        result: Some(i64::MIN),
        assigned: vec![GroupId(1)],
        unassigned: vec![GroupId(2), GroupId(3)],
        push: Some(Push { title: "Title".into(), body: "Body".into() }),
        push_too_long: false,
        tags: tags.clone(),
    };
    let silent = RuleFired { result: None, push: None, push_too_long: true, ..fired.clone() };
    let (fired, failed) = (vec![fired, silent], vec![RuleFailed { rule: RULE, why: FormulaFailure::Overflow }]);
    let given_back = TopUpGivenBack { amount, gaming: Money(1), clawed: Money(2), uncollected: Money(3), bonus: Money(4) };
    let refunded = Refunded { client, taken: amount, uncollected: Money(1), balance: Money(2) };
    let code = || "CODE".to_owned();
    let subject = Subject {
        client: Some(client),
        club: Some(club),
        code: Some("a code that is longer than a short text".into()),
        campaign: Some(campaign),
        operation: Some(AT),
    };
    let mut records: Vec<Record> = vec![
        SettingsApplied { settings: Settings::default() }.into(),
        SettingsSet::new(Settings::default()).into(),
        Refused { stamp, kind: Kind::TopUp as u16, reply: vec![1, 2, 3] }.into(),
        RequestRefused { stamp, kind: Kind::Refund as u16, subject, reply: vec![1, 2, 3] }.into(),
        activation().into(),
        RedemptionRefused { stamp, client, club, code: code(), outcome: RedeemOutcome::CodeExhausted }.into(),
        CodeHeld { stamp, client, club, campaign, slot: 8, amount, expires_ms: u64::MAX }.into(),
        HoldRefused { stamp, client, club, code: code(), outcome: HoldOutcome::InvalidTtl }.into(),
        HoldConfirmed { hold: AT, activation: activation() }.into(),
        ConfirmationRefused { stamp, hold: AT, outcome: ConfirmOutcome::Released }.into(),
        HoldReleased { stamp, hold: AT }.into(),
        ActivationRefunded { stamp, activation: AT, campaign, slot: 7, refunded }.into(),
        ClubRegistered { stamp, club, name: "Club".into() }.into(),
        GroupRegistered { stamp, group: GroupId(1), name: "Gold".into() }.into(),
        ClientRegistered { stamp, client, name: "Ann".into(), new: true }.into(),
        CampaignCreated { stamp, campaign, terms: terms(), codes: codes(), skipped: skipped() }.into(),
        CodesAdded { stamp, campaign, codes: codes(), skipped: skipped() }.into(),
        CampaignSwitched { stamp, campaign, active: true }.into(),
        CampaignUpdated { stamp, campaign, terms: terms() }.into(),
        CampaignArchived { stamp, campaign, codes: 7 }.into(),
        CampaignRestored { stamp, campaign, restored: 7, conflicts: vec![1, 2], first: Vec::new() }.into(),
        CodesGenerated { stamp, campaign, first_slot: 7, codes: codes(), guesses_per_hit: 8 }.into(),
        CodesArchived { stamp, campaign, slots: vec![1, 2], skipped: skipped() }.into(),
        CodesRestored { stamp, campaign, slots: vec![1, 2], skipped: skipped() }.into(),
        CredentialAdded { stamp: Some(stamp), credential: CredentialId(9), grant: grant() }.into(),
        CredentialRevoked { stamp, credential: CredentialId(9) }.into(),
        ToppedUp {
            stamp,
            executor: executor(),
            client,
            club,
            variables: variables(),
            fired,
            failed,
            beyond: 7,
            gaming: amount,
            bonus: Money(2),
            comment: comment.clone(),
            tags: tags.clone(),
        }
        .into(),
        TopUpRefunded {
            stamp,
            top_up: AT,
            executor: executor(),
            client,
            club,
            claw_back: true,
            given_back,
            comment: comment.clone(),
            tags: tags.clone(),
        }
        .into(),
        RuleSaved { stamp, rule: RULE, new: true, terms: rule_terms(), lint: lint() }.into(),
        RuleSwitched { stamp, rule: RULE, active: true }.into(),
        RuleArchived { stamp, rule: RULE }.into(),
        RuleRestored { stamp, rule: RULE }.into(),
        ReaderKept { stamp, name: "reports, by a name that is longer".into(), position: AT }.into(),
        ReaderForgotten { stamp, name: "reports".into() }.into(),
        ReaderRegistered { stamp, name: "reports, by a name that is longer".into(), read_up_to: AT }.into(),
    ];
    let operations = [
        BonusOperation::Credit,
        BonusOperation::WriteOff,
        BonusOperation::Payment(PaidFor::GamingTime),
        BonusOperation::Payment(PaidFor::Order),
        BonusOperation::Refund { payment: AT },
    ];
    records.extend(operations.map(|operation| {
        let (comment, tags) = (comment.clone(), tags.clone());
        let (executor, club) = (executor(), Some(club).filter(|_| operation != BonusOperation::Credit));
        BonusChanged { stamp, operation, executor, client, club, amount, balance: Money(1), comment, tags }.into()
    }));
    for (on, paid_from) in [(SpentOn::Session, PaidFrom::GamingBalance), (SpentOn::Purchase, PaidFrom::Directly)] {
        let (comment, tags) = (comment.clone(), tags.clone());
        let (executor, price, after) = (Executor::system(), amount, accounts());
        records.push(Spent { stamp, on, executor, client, club, price, paid_from, after, comment, tags }.into());
    }
    records
}

#[test]
fn every_record_round_trips_and_no_prefix_decodes() {
    let records = records();
    // All kinds of records are covered: no other number decodes.
    let known = (0..=u16::MAX).filter(|kind| Record::decode(*kind, &[]) != Err(Malformed::UnknownKind(*kind)));
    let mut covered: Vec<u16> = records.iter().map(Record::kind).collect();
    covered.sort_unstable();
    covered.dedup();
    assert_eq!(known.collect::<Vec<_>>(), covered, "a record of each kind is made here");
    for record in records {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        check_bytes(&format!("{record:?}"), &bytes, &record, |bytes| Record::decode(record.kind(), bytes));
        assert_eq!(record.stamp().is_none(), matches!(record, Record::SettingsApplied(_) | Record::SettingsSet(_)), "{record:?}");
    }
}

#[test]
fn parts_of_records_and_replies_round_trip() {
    check_value("accounts", &accounts());
    check_value("variables", &variables());
    check_value("lint", &lint());
    check_value("note", &note());
    check_value("executor", &executor());
}
