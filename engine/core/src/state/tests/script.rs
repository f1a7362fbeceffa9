//! The notation: one command per line, a word and its arguments; arguments with spaces are quoted.
//!
//! ```text
//! club Arena                                          registers a club; they are numbered from 1
//! client 7 Ann                                        registers a client
//! campaign amount=5.00 cap=2 clubs=1,2 codes=A,B      also name= from= to= off skip; they are numbered from 1
//!                                                     per-client=1 uses=10 budget=50.00 low=3 enforce, as in `update`
//! update 1 cap=2 amount=1                             changes terms; cap=none removes a limit
//! add 1 codes=C,D skip                                adds codes to campaign 1, skipping lines that cannot be added
//! archive 1                                           also `restore 1`
//! archive-codes 1 codes=A,B                           also `restore-codes 1 codes=A,B`
//! generate 1 count=3 pattern=VIP-****                 also alphabet=; drawn=A,B,C space=9000000 existing=2: as if
//!                                                     these had been drawn, and 2 codes of the pattern existed
//! redeem client=7 club=1 code=" a "
//! hold code=A ttl=1000                                client, club as in redeem; ttl in ms, 15 minutes by default
//! confirm 4                                           the hold at position 4, also `release 4`; by=2 as credential 2 instead of 1;
//!                                                     operator: of any credential
//! refund 7                                            the activation at position 7; also force; by=2, operator as above;
//!                                                     kept-from=9 as if the journal began at position 9
//! check code=A club=1
//! switch 1 off
//! at 1000                                             the time, in milliseconds after the start; answers nothing
//! show client 7                                       also `show campaign 1`, `show added 1` and the queries of `shown`
//! ```
//! [`ledger`] has the ledger and the rules of top-ups, and [`readers`] the readers of the journal. `top-up=5` on `redeem` and
//! `confirm` is the top-up during which the code is entered, looked up in the journal from kept-from= on.
//! `request=3` on a command that changes something is its request id. A line that starts with `#` is a comment. Each command
//! answers one line.

mod ledger;
mod readers;

use scrip_protocol::command::{
    AddCodes, AddCodesOutcome, AddCredential, AddCredentialOutcome, ArchiveCampaign, ArchiveCampaignOutcome, ArchiveCodes,
    ArchiveCodesOutcome, ArchiveRule, ArchiveRuleOutcome, BonusOutcome, CheckOutcome, CodeChecked, CodeConflict, Confirm,
    ConfirmOutcome, CreateCampaign, CreateCampaignOutcome, CreateRule, CreateRuleOutcome, CreditBonus, ForgetReader,
    ForgetReaderOutcome, GenerateCodes, GenerateCodesOutcome, HOLD_TTL_DEFAULT_MS, Hold, HoldOutcome, KeepReader,
    KeepReaderOutcome, OnConflict, PATTERN, PayBonus, RecordPurchase, RecordSession, RedeemOutcome, Refund, RefundBonus,
    RefundBonusOutcome, RefundOutcome, RefundTopUp, RefundTopUpOutcome, RegisterClient, RegisterClientOutcome, RegisterClub,
    RegisterClubOutcome, RegisterGroup, RegisterGroupOutcome, Release, ReleaseOutcome, RestoreCampaign, RestoreCampaignOutcome,
    RestoreCodes, RestoreCodesOutcome, RestoreRule, RestoreRuleOutcome, RevokeCredential, RevokeCredentialOutcome, ShowCampaign,
    ShowCampaignOutcome, ShowClient, ShowClientOutcome, SkippedLine, SpendOutcome, SwitchCampaign, SwitchCampaignOutcome,
    SwitchRule, SwitchRuleOutcome, Terms, TopUp, TopUpOutcome, ToppedUp, UpdateCampaign, UpdateCampaignOutcome, UpdateRule,
    UpdateRuleOutcome, WriteOffBonus,
};
use scrip_protocol::{CampaignId, ClientId, ClubId, CredentialId, Kind, Position, Settings, Stamp, wire};

use super::{Answer, Bench, START_MS, list, shown, stamp};
use crate::generate::draw;
use crate::index::normalise;
use crate::state::refund::activation_of;
use crate::state::requests::{Admission, Remembered};
use crate::state::{
    AddCodesRequest, CodesRequest, ConfirmRequest, CreateCampaignRequest, Drawn, GenerateRequest, HoldRequest, Mutation,
    NamedHold, RedeemRequest, RefundRequest,
};
use scrip_protocol::codes::CodeForm;

/// Runs a script on an empty state and compares its answers line by line, and then the state with its replay.
#[track_caller]
pub(super) fn check(script: &str, expected: &str) {
    check_with(Settings::default(), script, expected);
}

/// The same with other settings. Returns the bench.
#[track_caller]
pub(super) fn check_with(settings: Settings, script: &str, expected: &str) -> Bench {
    let mut bench = Bench::new(settings);
    let mut bodies = Vec::new();
    let mut answers = Vec::new();
    for line in meant(script) {
        let answer = run_line(&mut bench, &mut bodies, line);
        answers.extend(answer.map(|answer| format!("{line}  ->  {answer}")));
    }
    let commands: Vec<&str> = meant(script).filter(|line| !line.starts_with("at ")).collect();
    let expected: Vec<&str> = meant(expected).collect();
    assert_eq!(commands.len(), expected.len(), "each command but `at` answers one line");
    let expected: Vec<String> = commands.iter().zip(expected).map(|(line, answer)| format!("{line}  ->  {answer}")).collect();
    assert_eq!(answers, expected, "\nfound:\n{}\nexpected:\n{}\n", answers.join("\n"), expected.join("\n"));
    bench.compare_with_replay();
    bench
}

/// Runs a script and ignores its answers.
pub(super) fn ran(script: &str) -> Bench {
    let (mut bench, mut bodies) = (Bench::new(Settings::default()), Vec::new());
    for line in meant(script) {
        run_line(&mut bench, &mut bodies, line);
    }
    bench
}

/// Runs a script on a state that may be damaged, and ignores the answers.
pub(super) fn run_on_any(bench: &mut Bench, script: &str) {
    // Requests that were not sent before.
    let mut bodies = vec![String::new(); 10_000];
    for line in meant(script) {
        let words = Words::of(line);
        if words.at(0) == "at" {
            bench.now_ms = START_MS + parsed::<u64>(words.at(1));
        } else if let Some(request) = request(bench, &words) {
            let stamp = stamp_of(bench, &mut bodies, &words);
            if bench.state.admit(bench.now_ms, &stamp, || request.kind()) == Admission::New {
                let record = bench.state.decide(bench.now_ms, stamp, &request, &bench.index);
                bench.follow(record);
            }
        } else {
            shown(bench, &words);
        }
    }
}

fn meant(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The words of a line, some of them `key=value`.
pub(super) struct Words {
    words: Vec<String>,
}

impl Words {
    fn of(line: &str) -> Words {
        let (mut words, mut quoted) = (vec![String::new()], false);
        for c in line.chars() {
            match c {
                '"' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                c => words.last_mut().expect("there is one from the start").push(c),
            }
        }
        words.retain(|word| !word.is_empty());
        Words { words }
    }

    /// The words without a key, in order.
    pub(super) fn at(&self, at: usize) -> &str {
        self.words.get(at).map_or("", String::as_str)
    }

    pub(super) fn has(&self, word: &str) -> bool {
        self.words.iter().any(|other| other == word)
    }

    pub(super) fn value(&self, key: &str) -> Option<&str> {
        self.words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    pub(super) fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.value(key).map(|value| parsed(value))
    }

    pub(super) fn limit<T: std::str::FromStr>(&self, key: &str) -> Option<Option<T>> {
        self.value(key).map(|value| (value != "none").then(|| parsed(value)))
    }

    pub(super) fn list(&self, key: &str) -> Vec<&str> {
        self.value(key).filter(|value| !value.is_empty()).map_or(Vec::new(), |value| value.split(',').collect())
    }

    pub(super) fn on_conflict(&self) -> OnConflict {
        if self.has("skip") { OnConflict::Skip } else { OnConflict::Reject }
    }
}

#[track_caller]
pub(super) fn parsed<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("the script's {text:?} is not what is needed there"))
}

fn run_line(bench: &mut Bench, bodies: &mut Vec<String>, line: &str) -> Option<String> {
    let words = Words::of(line);
    if words.at(0) == "at" {
        bench.now_ms = START_MS + parsed::<u64>(words.at(1));
        return None;
    }
    let Some(request) = request(bench, &words) else { return Some(shown(bench, &words)) };
    let stamp = stamp_of(bench, bodies, &words);
    Some(match bench.run(stamp, &request) {
        Answer::New(reply) => printed(&reply),
        Answer::Again(reply) => format!("again: {}", printed(&reply)),
        Answer::Refused(refusal) => format!("not executed: {refusal}"),
    })
}

/// Equal words have equal bodies.
fn stamp_of(bench: &Bench, bodies: &mut Vec<String>, words: &Words) -> Stamp {
    // The lane knows where the journal begins; it is not part of the request.
    let of_request = |word: &&str| !word.starts_with("request=") && !word.starts_with("kept-from=");
    let without_id: Vec<&str> = words.words.iter().map(String::as_str).filter(of_request).collect();
    bodies.push(without_id.join(" "));
    let newest = bodies.last().expect("one was just added");
    let body = bodies.iter().position(|body| body == newest).unwrap_or(0) as u64;
    let stamp = match words.number("request") {
        Some(number) => stamp(START_MS, number, body),
        None => stamp(bench.now_ms, 1_000_000 + bodies.len() as u64, body),
    };
    Stamp { credential: words.number("by").map_or(stamp.credential, CredentialId), ..stamp }
}

/// The request on a line; none if it changes nothing.
fn request(bench: &Bench, words: &Words) -> Option<Mutation> {
    Some(match words.at(0) {
        "club" => Mutation::RegisterClub(RegisterClub { name: words.at(1).to_owned() }),
        "client" => Mutation::RegisterClient(RegisterClient { client: parsed(words.at(1)), name: words.at(2).to_owned() }),
        "campaign" => Mutation::CreateCampaign(Box::new(CreateCampaignRequest {
            terms: Terms {
                clubs: words.list("clubs").into_iter().map(parsed).collect(),
                starts_ms: words.number("from").map(|after: u64| START_MS + after),
                ends_ms: words.number("to").map(|after: u64| START_MS + after),
                enforce_period: words.has("enforce"),
                activations_per_code_max: words.number("cap"),
                activations_per_client_max: words.number("per-client"),
                activations_max: words.number("uses"),
                budget: words.number("budget"),
                low_stock: words.number("low"),
                active: !words.has("off"),
                ..Terms::new(words.value("name").unwrap_or("a campaign"), words.number("amount").unwrap_or_default())
            },
            list: list(words.list("codes")),
            on_conflict: words.on_conflict(),
        })),
        "add" => Mutation::AddCodes(Box::new(AddCodesRequest {
            campaign: Some(parsed(words.at(1))),
            list: list(words.list("codes")),
            on_conflict: words.on_conflict(),
        })),
        "archive" => Mutation::ArchiveCampaign(parsed(words.at(1))),
        "restore" => Mutation::RestoreCampaign(parsed(words.at(1))),
        "archive-codes" => Mutation::ArchiveCodes(codes(words)),
        "restore-codes" => Mutation::RestoreCodes(codes(words)),
        "generate" => Mutation::GenerateCodes(Box::new(generation(words))),
        "redeem" => Mutation::Redeem(redemption(bench, words)),
        "hold" => Mutation::Hold(Box::new(HoldRequest {
            redeem: redemption(bench, words),
            ttl_ms: words.number("ttl").unwrap_or(HOLD_TTL_DEFAULT_MS),
        })),
        "confirm" => Mutation::Confirm(ConfirmRequest {
            hold: named(words),
            top_up: words.number("top-up").unwrap_or_default(),
            top_up_of: top_up_of(bench, words),
        }),
        "release" => Mutation::Release(named(words)),
        "switch" => Mutation::SwitchCampaign(SwitchCampaign { campaign: parsed(words.at(1)), active: words.at(2) == "on" }),
        "update" => Mutation::UpdateCampaign(Box::new(UpdateCampaign {
            campaign: parsed(words.at(1)),
            name: words.value("name").map(str::to_owned),
            amount: words.number("amount"),
            clubs: words.value("clubs").map(|_| words.list("clubs").into_iter().map(parsed).collect()),
            starts_ms: words.limit("from").map(|from| from.map(|after: u64| START_MS + after)),
            ends_ms: words.limit("to").map(|to| to.map(|after: u64| START_MS + after)),
            enforce_period: words.number("enforce"),
            activations_per_code_max: words.limit("cap"),
            activations_per_client_max: words.limit("per-client"),
            activations_max: words.limit("uses"),
            budget: words.limit("budget"),
            low_stock: words.limit("low"),
        })),
        "refund" => Mutation::Refund(Box::new(refund(bench, words))),
        "show" | "check" => return None,
        other if shown::knows(other) || ledger::shows(other) || readers::shows(other) => return None,
        other => {
            let request = ledger::request(bench, words).or_else(|| readers::request(words));
            request.unwrap_or_else(|| panic!("the notation has no {other:?}"))
        }
    })
}

/// The client of the top-up on a line, as a lane would find it in the journal.
fn top_up_of(bench: &Bench, words: &Words) -> Option<ClientId> {
    let top_up: Position = words.number("top-up").filter(|top_up| *top_up >= kept_from(words))?;
    let (_, record) = bench.records.get((top_up.0 as usize).checked_sub(1)?)?;
    ToppedUp::try_from(record.clone()).ok().map(|top_up| top_up.client)
}

fn redemption(bench: &Bench, words: &Words) -> RedeemRequest {
    let client = words.number("client").unwrap_or(ClientId(1));
    RedeemRequest {
        client,
        club: words.number("club").unwrap_or(ClubId(1)),
        code: normalise(words.value("code").unwrap_or_default()),
        top_up: words.number("top-up").unwrap_or_default(),
        is_their_top_up: words.value("top-up").is_none() || top_up_of(bench, words) == Some(client),
    }
}

/// With the activation as a lane would find it in the journal.
fn refund(bench: &Bench, words: &Words) -> RefundRequest {
    let activation: Position = parsed(words.at(1));
    let record = (activation.0 as usize).checked_sub(1).and_then(|at| bench.records.get(at));
    let found = record.and_then(|(_, record)| activation_of(record.clone()));
    let kept_from = kept_from(words);
    RefundRequest { activation, found, kept_from, anyones: words.has("operator"), force: words.has("force") }
}

/// Where the journal begins: at its first record, unless the line sets it.
pub(super) fn kept_from(words: &Words) -> Position {
    words.number("kept-from").unwrap_or(Position(1))
}

fn codes(words: &Words) -> Box<CodesRequest> {
    Box::new(CodesRequest { campaign: parsed(words.at(1)), list: list(words.list("codes")) })
}

fn generation(words: &Words) -> GenerateRequest {
    let count = words.number("count").unwrap_or_default();
    let request = GenerateCodes {
        campaign: parsed(words.at(1)),
        count,
        pattern: words.value("pattern").unwrap_or(PATTERN).to_owned(),
        alphabet: words.value("alphabet").unwrap_or_default().to_owned(),
    };
    match words.number("space") {
        Some(space) => {
            let existing = words.number("existing").unwrap_or_default();
            GenerateRequest {
                campaign: request.campaign,
                count,
                drawn: Ok(Drawn { space, existing, list: list(words.list("drawn")) }),
            }
        }
        None => draw(&request, CodeForm::CURRENT, |_, _| 0),
    }
}

fn named(words: &Words) -> NamedHold {
    NamedHold { hold: parsed(words.at(1)), anyones: words.has("operator") }
}

pub(super) fn printed(reply: &Remembered) -> String {
    let (kind, bytes) = match reply {
        Remembered::Redeem(RedeemOutcome::Redeemed(done)) => {
            return format!("campaign {}: {} credited, balance {}", done.campaign, done.amount, done.balance);
        }
        Remembered::Redeem(RedeemOutcome::InvalidCode(why)) => return format!("invalid_code: {why}"),
        Remembered::Redeem(refused) => return refused.word().to_owned(),
        Remembered::Other(other) => (Kind::from_number(other.0).expect("a reply has a known kind"), &other.1),
        Remembered::Stored { .. } => unreachable!("the bench makes it from its record"),
    };
    match kind {
        Kind::RegisterClub => decoded::<RegisterClub, RegisterClubOutcome>(bytes).to_string(),
        Kind::RegisterClient => decoded::<RegisterClient, RegisterClientOutcome>(bytes).to_string(),
        Kind::SwitchCampaign => decoded::<SwitchCampaign, SwitchCampaignOutcome>(bytes).to_string(),
        Kind::CreateCampaign => {
            let outcome = decoded::<CreateCampaign, CreateCampaignOutcome>(bytes);
            let lines: &[SkippedLine] = if let CreateCampaignOutcome::Created { codes, .. } = &outcome {
                &codes.skipped
            } else if let CreateCampaignOutcome::Conflicts(lines) = &outcome {
                lines
            } else {
                &[]
            };
            format!("{outcome}{}", skipped(lines))
        }
        Kind::AddCodes => {
            let outcome = decoded::<AddCodes, AddCodesOutcome>(bytes);
            with_lines(&outcome)
        }
        Kind::Hold => match decoded::<Hold, HoldOutcome>(bytes) {
            HoldOutcome::Held(held) => {
                format!("hold {}: campaign {}, {}, until {}", held.hold, held.campaign, held.amount, held.expires_ms - START_MS)
            }
            HoldOutcome::Refused(RedeemOutcome::InvalidCode(why)) => format!("invalid_code: {why}"),
            HoldOutcome::Refused(why) => why.word().to_owned(),
            other @ (HoldOutcome::InvalidTtl | HoldOutcome::TooManyHolds) => other.to_string(),
        },
        Kind::Confirm => match decoded::<Confirm, ConfirmOutcome>(bytes) {
            ConfirmOutcome::Confirmed(done) => {
                format!("campaign {}: {} credited, balance {}", done.campaign, done.amount, done.balance)
            }
            other @ (ConfirmOutcome::UnknownHold
            | ConfirmOutcome::AlreadyConfirmed(_)
            | ConfirmOutcome::Released
            | ConfirmOutcome::Expired(_)
            | ConfirmOutcome::UnknownTopUp
            | ConfirmOutcome::AmountLimit) => other.to_string(),
        },
        Kind::Release => decoded::<Release, ReleaseOutcome>(bytes).to_string(),
        Kind::Redeem => panic!("a redemption has a reply of its own"),
        Kind::UpdateCampaign => decoded::<UpdateCampaign, UpdateCampaignOutcome>(bytes).to_string(),
        Kind::ArchiveCampaign => decoded::<ArchiveCampaign, ArchiveCampaignOutcome>(bytes).to_string(),
        Kind::RestoreCampaign => {
            let outcome = decoded::<RestoreCampaign, RestoreCampaignOutcome>(bytes);
            let first = if let RestoreCampaignOutcome::Restored { first, .. } = &outcome { first.as_slice() } else { &[] };
            let conflict = |conflict: &CodeConflict| format!("; {}: held by campaign {}", conflict.code, conflict.held_by);
            format!("{outcome}{}", first.iter().map(conflict).collect::<String>())
        }
        Kind::ArchiveCodes => {
            let outcome = decoded::<ArchiveCodes, ArchiveCodesOutcome>(bytes);
            let lines = if let ArchiveCodesOutcome::Archived { skipped, .. } = &outcome { skipped.as_slice() } else { &[] };
            format!("{outcome}{}", skipped(lines))
        }
        Kind::RestoreCodes => {
            let outcome = decoded::<RestoreCodes, RestoreCodesOutcome>(bytes);
            let lines = if let RestoreCodesOutcome::Restored { skipped, .. } = &outcome { skipped.as_slice() } else { &[] };
            format!("{outcome}{}", skipped(lines))
        }
        Kind::GenerateCodes => decoded::<GenerateCodes, GenerateCodesOutcome>(bytes).to_string(),
        Kind::Refund => decoded::<Refund, RefundOutcome>(bytes).to_string(),
        Kind::AddCredential => decoded::<AddCredential, AddCredentialOutcome>(bytes).to_string(),
        Kind::RevokeCredential => decoded::<RevokeCredential, RevokeCredentialOutcome>(bytes).to_string(),
        Kind::RegisterGroup => decoded::<RegisterGroup, RegisterGroupOutcome>(bytes).to_string(),
        Kind::TopUp => decoded::<TopUp, TopUpOutcome>(bytes).to_string(),
        Kind::RefundTopUp => decoded::<RefundTopUp, RefundTopUpOutcome>(bytes).to_string(),
        Kind::CreditBonus => decoded::<CreditBonus, BonusOutcome>(bytes).to_string(),
        Kind::WriteOffBonus => decoded::<WriteOffBonus, BonusOutcome>(bytes).to_string(),
        Kind::PayBonus => decoded::<PayBonus, BonusOutcome>(bytes).to_string(),
        Kind::RefundBonus => decoded::<RefundBonus, RefundBonusOutcome>(bytes).to_string(),
        Kind::RecordSession => decoded::<RecordSession, SpendOutcome>(bytes).to_string(),
        Kind::RecordPurchase => decoded::<RecordPurchase, SpendOutcome>(bytes).to_string(),
        Kind::CreateRule => decoded::<CreateRule, CreateRuleOutcome>(bytes).to_string(),
        Kind::UpdateRule => decoded::<UpdateRule, UpdateRuleOutcome>(bytes).to_string(),
        Kind::SwitchRule => decoded::<SwitchRule, SwitchRuleOutcome>(bytes).to_string(),
        Kind::ArchiveRule => decoded::<ArchiveRule, ArchiveRuleOutcome>(bytes).to_string(),
        Kind::RestoreRule => decoded::<RestoreRule, RestoreRuleOutcome>(bytes).to_string(),
        Kind::KeepReader => decoded::<KeepReader, KeepReaderOutcome>(bytes).to_string(),
        Kind::ForgetReader => decoded::<ForgetReader, ForgetReaderOutcome>(bytes).to_string(),
        changes_nothing!() => panic!("{kind:?} changes nothing"),
    }
}

/// An outcome in words, with the lines that it names.
pub(super) fn with_lines(outcome: &AddCodesOutcome) -> String {
    let lines: &[SkippedLine] = if let AddCodesOutcome::Added(report) = outcome {
        &report.skipped
    } else if let AddCodesOutcome::Conflicts(lines) = outcome {
        lines
    } else {
        &[]
    };
    format!("{outcome}{}", skipped(lines))
}

fn decoded<C, O: wire::Wire>(bytes: &[u8]) -> O
where
    C: scrip_protocol::Command<Outcome = O>,
{
    wire::decode(C::KIND.word(), bytes).expect("the reply was just encoded")
}

pub(super) fn skipped(lines: &[SkippedLine]) -> String {
    let one = |line: &SkippedLine| format!("; {} {}: {}", line.line, line.code, line.why);
    lines.iter().map(one).collect()
}

fn shown(bench: &Bench, words: &Words) -> String {
    let state = &bench.state;
    if shown::knows(words.at(0)) {
        return shown::shown(bench, words);
    }
    if ledger::shows(words.at(0)) {
        return ledger::shown(bench, words);
    }
    if readers::shows(words.at(0)) {
        return readers::shown(bench);
    }
    if words.at(0) == "check" {
        let code = words.value("code").unwrap_or_default();
        let checked = bench.index.check(bench.now_ms, words.number("club").unwrap_or(ClubId(0)), [code].into_iter());
        let CheckOutcome::Checked { codes, .. } = checked else { panic!("one code is not too many") };
        let (verdict, code) = match &codes[0] {
            CodeChecked::Redeemable(code) => ("redeemable".to_owned(), code),
            CodeChecked::Refused { reasons, code } => {
                (reasons.iter().map(RedeemOutcome::word).collect::<Vec<_>>().join(", "), code)
            }
            CodeChecked::Free { outcome } => return outcome.word().to_owned(),
            CodeChecked::NotAccepted => panic!("the index hides no reasons"),
        };
        return format!("{verdict}: {} activated, {} held", code.activations, code.held);
    }
    if words.at(1) == "client" {
        return match state.show_client(&ShowClient { client: parsed(words.at(2)) }) {
            ShowClientOutcome::Client(card) => format!("{:?} has {}", card.name, card.accounts.bonus),
            ShowClientOutcome::UnknownClient => "unknown".to_owned(),
        };
    }
    let campaign: CampaignId = parsed(words.at(2));
    let ShowCampaignOutcome::Campaign(card) = state.show_campaign(bench.now_ms, &ShowCampaign { campaign }) else {
        return "unknown".to_owned();
    };
    if words.at(1) == "added" {
        let one = |added: &scrip_protocol::command::CodesBatch| format!("{} at {}", added.codes, added.at_ms - START_MS);
        return card.added.iter().map(one).collect::<Vec<_>>().join(", ");
    }
    let status = if card.status_active { "active" } else { "inactive" };
    let redeemable = if card.redeemable { "redeemable" } else { "not redeemable" };
    format!(
        "{status}, {redeemable}, {} of {} codes activated, {} activations, {} issued",
        card.codes_activated, card.codes, card.activations, card.issued
    )
}
