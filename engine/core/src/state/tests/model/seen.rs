//! The outcomes of random commands, and whether any was missed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use scrip_protocol::command::{
    AddCodes, AddCodesOutcome, AddCredential, ArchiveCampaign, ArchiveCodes, ArchiveCodesOutcome, ArchiveRule, Confirm,
    CreateCampaign, CreateCampaignOutcome, CreateRule, CreditBonus, ForgetReader, GenerateCodes, Hold, KeepReader, PayBonus,
    RecordPurchase, RecordSession, Refund, RefundBonus, RefundOutcome, RefundTopUp, RefundTopUpOutcome, RegisterClient,
    RegisterClub, RegisterGroup, Release, RestoreCampaign, RestoreCampaignOutcome, RestoreCodes, RestoreCodesOutcome,
    RestoreRule, RevokeCredential, SkippedLine, SwitchCampaign, SwitchRule, TopUp, TopUpDone, TopUpGivenBack, TopUpOutcome,
    UpdateCampaign, UpdateRule, WriteOffBonus,
};
use scrip_protocol::{Command, Kind, Money, wire};

use crate::state::requests::Remembered;

#[derive(Default)]
pub(super) struct Seen {
    /// How often each occurred, by command and outcome.
    outcomes: BTreeMap<String, usize>,
}

impl Seen {
    pub(super) fn count(&mut self, reply: &Remembered) {
        for outcome in outcomes_of(reply) {
            *self.outcomes.entry(outcome).or_default() += 1;
        }
    }

    /// Checks that every possible outcome occurred, and no other.
    pub(super) fn check(&self) {
        let (expected, found) = (expected(), self.found());
        let missed: Vec<_> = expected.difference(&found).collect();
        let unforeseen: Vec<_> = found.difference(&expected).collect();
        assert!(missed.is_empty() && unforeseen.is_empty(), "missed {missed:?}, unforeseen {unforeseen:?}: {:?}", self.outcomes);
    }

    /// Whether every possible outcome occurred.
    pub(super) fn is_complete(&self) -> bool {
        expected().is_subset(&self.found())
    }

    fn found(&self) -> BTreeSet<String> {
        self.outcomes.keys().cloned().collect()
    }
}

/// Every outcome that random commands can have.
fn expected() -> BTreeSet<String> {
    let refusals = "UnknownCode CodeArchived CampaignArchived CampaignInactive OutsidePeriod ClubExcluded CodeExhausted";
    let limits = "ClientExhausted CampaignExhausted BudgetExhausted";
    let terms = "InvalidTerms.Name InvalidTerms.Amount InvalidTerms.Cap InvalidTerms.PeriodReversed InvalidTerms.PeriodMissing \
                     InvalidTerms.UnknownClub";
    let budget = "InvalidTerms.Budget";
    let notes = "InvalidNote.By InvalidNote.Comment InvalidNote.Tags";
    let rules = "InvalidRule.Name InvalidRule.Description InvalidRule.UnknownClub InvalidRule.Conditions InvalidRule.Actions \
                     InvalidRule.SecondAction InvalidRule.Formula InvalidRule.UnknownGroup InvalidRule.PushEmpty InvalidRule.Push \
                     InvalidRule.PushTooLong InvalidRule.Tags";
    let lines = "line.Invalid line.DuplicateInList line.HeldBy";
    let expected = [
            ("redeem", format!("Redeemed InvalidCode UnknownClub UnknownTopUp {refusals} {limits} AmountLimit")),
            ("hold", format!("Held InvalidTtl Refused.InvalidCode Refused.UnknownClub Refused.AmountLimit {}", within("Refused", &[refusals, limits]))),
            ("confirm", {
                // Its code exists, whatever happened to it; and it was held at its club.
                let expired = within("Expired", &[refusals, limits]).replace("Expired.UnknownCode", "");
                format!("Confirmed UnknownHold AlreadyConfirmed Released UnknownTopUp AmountLimit {expired}")
            }),
            ("release", "Released UnknownHold AlreadyConfirmed AlreadyReleased".to_owned()),
            ("refund", "Refunded uncollected NotKept UnknownActivation AlreadyRefunded BonusSpent".to_owned()),
            ("keep-reader", "Kept InvalidName OtherCredential BeyondEnd AlreadyFurther NotKept".to_owned()),
            ("forget-reader", "Forgotten UnknownReader OtherCredential".to_owned()),
            ("register-group", "Registered InvalidName NameTaken".to_owned()),
            ("top-up", format!("ToppedUp fired failed InvalidAmount {notes} UnknownClub AmountLimit")),
            ("refund-top-up", format!("Refunded clawed uncollected InvalidAmount {notes} NotKept UnknownTopUp MoreThanLeft Overdraft")),
            ("credit-bonus", format!("Done InvalidAmount {notes} UnknownClub UnknownClient AmountLimit")),
            ("write-off-bonus", format!("Done InvalidAmount {notes} UnknownClub UnknownClient Overdraft")),
            ("pay-bonus", format!("Done InvalidAmount {notes} UnknownClub UnknownClient Overdraft")),
            ("refund-bonus", format!("Done InvalidAmount {notes} NotKept UnknownPayment MoreThanLeft AmountLimit")),
            ("record-session", format!("Recorded InvalidAmount {notes} UnknownClub UnknownClient Overdraft AmountLimit")),
            ("record-purchase", format!("Recorded InvalidAmount {notes} UnknownClub UnknownClient Overdraft AmountLimit")),
            ("create-rule", format!("Created {rules}")),
            ("update-rule", format!("Updated UnknownRule RuleArchived RuleInactive {rules}")),
            ("switch-rule", "Switched UnknownRule RuleArchived".to_owned()),
            ("archive-rule", "Archived UnknownRule AlreadyArchived".to_owned()),
            ("restore-rule", "Restored UnknownRule NotArchived".to_owned()),
            ("register-club", "Registered NameTaken".to_owned()),
            ("register-client", "Registered".to_owned()),
            ("create-campaign", format!("Created {terms} {budget} CodesMissing Conflicts TooManyCodes {lines}")),
            ("add-codes", format!("Added UnknownCampaign CampaignArchived CodesMissing Conflicts TooManyCodes {lines} line.AlreadyInCampaign")),
            ("switch-campaign", "Switched UnknownCampaign".to_owned()),
            ("update-campaign", format!("Updated UnknownCampaign {terms} {budget}")),
            ("archive-campaign", "Archived UnknownCampaign AlreadyArchived".to_owned()),
            ("restore-campaign", "Restored UnknownCampaign NotArchived StillHeld in-part none-of-it".to_owned()),
            ("archive-codes", "Archived UnknownCampaign CodesMissing line.Invalid line.DuplicateInList line.NotInCampaign line.AlreadyArchived".to_owned()),
            ("restore-codes", format!("Restored UnknownCampaign CampaignArchived CodesMissing {lines} line.NotInCampaign line.NotArchived")),
            ("generate-codes", "Generated UnknownCampaign CampaignArchived InvalidCount InvalidPattern.NothingDrawn TooManyCodes SpaceTooSmall Collisions".to_owned()),
            ("add-credential", "Added InvalidName ClubsNotForRole UnknownClub SecretTaken".to_owned()),
            ("revoke-credential", "Revoked UnknownCredential AlreadyRevoked LastOperator".to_owned()),
        ];
    let named = |(command, outcomes): &(&str, String)| {
        outcomes.split_whitespace().map(|outcome| format!("{command} {outcome}")).collect::<Vec<_>>()
    };
    expected.iter().flat_map(named).collect()
}

fn within(outer: &str, words: &[&str]) -> String {
    words.iter().flat_map(|words| words.split_whitespace()).map(|word| format!("{outer}.{word} ")).collect()
}

/// The names of an outcome and of the parts of it worth distinguishing.
fn outcomes_of(reply: &Remembered) -> Vec<String> {
    let (kind, bytes) = match reply {
        Remembered::Redeem(outcome) => return vec![format!("redeem {}", name(outcome))],
        Remembered::Other(other) => (Kind::from_number(other.0).expect("a reply has a known kind"), &other.1),
        Remembered::Stored { .. } => unreachable!("the bench makes it from its record"),
    };
    let (outcome, more): (String, Vec<String>) = match kind {
        Kind::Hold => (name(&decoded::<Hold>(bytes)), Vec::new()),
        Kind::Confirm => (name(&decoded::<Confirm>(bytes)), Vec::new()),
        Kind::Release => (name(&decoded::<Release>(bytes)), Vec::new()),
        Kind::Refund => {
            let outcome = decoded::<Refund>(bytes);
            let uncollected = matches!(&outcome, RefundOutcome::Refunded(done) if done.uncollected > Money(0));
            (name(&outcome), words([(uncollected, "uncollected")]))
        }
        Kind::RegisterClub => (name(&decoded::<RegisterClub>(bytes)), Vec::new()),
        Kind::RegisterClient => (name(&decoded::<RegisterClient>(bytes)), Vec::new()),
        Kind::SwitchCampaign => (name(&decoded::<SwitchCampaign>(bytes)), Vec::new()),
        Kind::UpdateCampaign => (name(&decoded::<UpdateCampaign>(bytes)), Vec::new()),
        Kind::ArchiveCampaign => (name(&decoded::<ArchiveCampaign>(bytes)), Vec::new()),
        Kind::GenerateCodes => (name(&decoded::<GenerateCodes>(bytes)), Vec::new()),
        Kind::AddCredential => (name(&decoded::<AddCredential>(bytes)), Vec::new()),
        Kind::RevokeCredential => (name(&decoded::<RevokeCredential>(bytes)), Vec::new()),
        Kind::RegisterGroup => (name(&decoded::<RegisterGroup>(bytes)), Vec::new()),
        Kind::TopUp => {
            let outcome = decoded::<TopUp>(bytes);
            let is = |count: fn(&TopUpDone) -> u32| matches!(&outcome, TopUpOutcome::ToppedUp(done) if count(done) > 0);
            (name(&outcome), words([(is(|done| done.fired), "fired"), (is(|done| done.failed), "failed")]))
        }
        Kind::RefundTopUp => {
            let outcome = decoded::<RefundTopUp>(bytes);
            let is = |amount: fn(&TopUpGivenBack) -> Money| matches!(&outcome, RefundTopUpOutcome::Refunded(done) if amount(done) > Money(0));
            (name(&outcome), words([(is(|done| done.clawed), "clawed"), (is(|done| done.uncollected), "uncollected")]))
        }
        Kind::CreditBonus => (name(&decoded::<CreditBonus>(bytes)), Vec::new()),
        Kind::WriteOffBonus => (name(&decoded::<WriteOffBonus>(bytes)), Vec::new()),
        Kind::PayBonus => (name(&decoded::<PayBonus>(bytes)), Vec::new()),
        Kind::RefundBonus => (name(&decoded::<RefundBonus>(bytes)), Vec::new()),
        Kind::RecordSession => (name(&decoded::<RecordSession>(bytes)), Vec::new()),
        Kind::RecordPurchase => (name(&decoded::<RecordPurchase>(bytes)), Vec::new()),
        Kind::CreateRule => (name(&decoded::<CreateRule>(bytes)), Vec::new()),
        Kind::UpdateRule => (name(&decoded::<UpdateRule>(bytes)), Vec::new()),
        Kind::SwitchRule => (name(&decoded::<SwitchRule>(bytes)), Vec::new()),
        Kind::ArchiveRule => (name(&decoded::<ArchiveRule>(bytes)), Vec::new()),
        Kind::KeepReader => (name(&decoded::<KeepReader>(bytes)), Vec::new()),
        Kind::ForgetReader => (name(&decoded::<ForgetReader>(bytes)), Vec::new()),
        Kind::RestoreRule => (name(&decoded::<RestoreRule>(bytes)), Vec::new()),
        Kind::CreateCampaign => {
            let outcome = decoded::<CreateCampaign>(bytes);
            let lines =
                if let CreateCampaignOutcome::Created { codes, .. } = &outcome { lines(&codes.skipped) } else { Vec::new() };
            (name(&outcome), lines)
        }
        Kind::AddCodes => {
            let outcome = decoded::<AddCodes>(bytes);
            let lines = if let AddCodesOutcome::Added(codes) = &outcome { lines(&codes.skipped) } else { Vec::new() };
            (name(&outcome), lines)
        }
        Kind::ArchiveCodes => {
            let outcome = decoded::<ArchiveCodes>(bytes);
            let lines = if let ArchiveCodesOutcome::Archived { skipped, .. } = &outcome { lines(skipped) } else { Vec::new() };
            (name(&outcome), lines)
        }
        Kind::RestoreCodes => {
            let outcome = decoded::<RestoreCodes>(bytes);
            let lines = if let RestoreCodesOutcome::Restored { skipped, .. } = &outcome { lines(skipped) } else { Vec::new() };
            (name(&outcome), lines)
        }
        Kind::RestoreCampaign => {
            let outcome = decoded::<RestoreCampaign>(bytes);
            let part = match &outcome {
                RestoreCampaignOutcome::Restored { restored: 0, conflicts: 1.., .. } => Some("none-of-it"),
                RestoreCampaignOutcome::Restored { conflicts: 1.., .. } => Some("in-part"),
                RestoreCampaignOutcome::Restored { .. }
                | RestoreCampaignOutcome::UnknownCampaign
                | RestoreCampaignOutcome::NotArchived
                | RestoreCampaignOutcome::StillHeld { .. } => None,
            };
            (name(&outcome), part.into_iter().map(str::to_owned).collect())
        }
        Kind::Redeem => panic!("a redemption has a reply of its own"),
        changes_nothing!() => panic!("{kind:?} changes nothing"),
    };
    std::iter::once(outcome).chain(more).map(|outcome| format!("{} {outcome}", kind.word())).collect()
}

fn words<const N: usize>(flags: [(bool, &str); N]) -> Vec<String> {
    flags.into_iter().filter(|(is, _)| *is).map(|(_, word)| word.to_owned()).collect()
}

fn lines(skipped: &[SkippedLine]) -> Vec<String> {
    skipped.iter().map(|line| format!("line.{}", name(&line.why))).collect()
}

/// The name of an outcome, and of the refusal that it carries, without what that carries.
fn name(outcome: &impl Debug) -> String {
    let text = format!("{outcome:?}");
    let mut words = text.split(['(', ' ', '{', ')']);
    let outer = words.next().unwrap_or_default();
    match ["Refused", "Expired", "InvalidTerms", "InvalidPattern", "InvalidNote", "InvalidRule"].contains(&outer) {
        true => format!("{outer}.{}", words.next().unwrap_or_default()),
        false => outer.to_owned(),
    }
}

fn decoded<C: Command>(bytes: &[u8]) -> C::Outcome {
    wire::decode(C::KIND.word(), bytes).expect("the reply was just encoded")
}
