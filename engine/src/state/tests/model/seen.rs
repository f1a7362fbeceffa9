//! Which outcomes random commands came to, and whether any was missed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use scrip_protocol::command::{
    AddCodes, AddCodesOutcome, AddCredential, ArchiveCampaign, ArchiveCodes, ArchiveCodesOutcome, Confirm, CreateCampaign,
    CreateCampaignOutcome, GenerateCodes, Hold, Refund, RegisterClient, RegisterClub, Release, RestoreCampaign,
    RestoreCampaignOutcome, RestoreCodes, RestoreCodesOutcome, RevokeCredential, SkippedLine, SwitchCampaign, UpdateCampaign,
};
use scrip_protocol::{Command, Kind, wire};

use crate::state::requests::Remembered;

#[derive(Default)]
pub(super) struct Seen {
    /// How often each, by command and outcome.
    outcomes: BTreeMap<String, usize>,
}

impl Seen {
    pub(super) fn count(&mut self, reply: &Remembered) {
        for outcome in outcomes_of(reply) {
            *self.outcomes.entry(outcome).or_default() += 1;
        }
    }

    /// Checks that each was seen that can be, and no other.
    pub(super) fn check(&self) {
        let refusals = "UnknownCode CodeArchived CampaignArchived CampaignInactive OutsidePeriod ClubExcluded CodeExhausted";
        let limits = "ClientExhausted CampaignExhausted BudgetExhausted";
        let terms = "InvalidTerms.Name InvalidTerms.Amount InvalidTerms.Cap InvalidTerms.PeriodReversed InvalidTerms.PeriodMissing \
                     InvalidTerms.UnknownClub";
        let budget = "InvalidTerms.Budget";
        let lines = "line.Invalid line.DuplicateInList line.HeldBy";
        let expected = [
            ("redeem", format!("Redeemed InvalidCode UnknownClub {refusals} {limits} AmountLimit")),
            ("hold", format!("Held InvalidTtl Refused.InvalidCode Refused.UnknownClub Refused.AmountLimit {}", within("Refused", &[refusals, limits]))),
            ("confirm", {
                // Its code is known, whatever became of it; and at its club it was given.
                let expired = within("Expired", &[refusals, limits]).replace("Expired.UnknownCode", "");
                format!("Confirmed UnknownHold AlreadyConfirmed Released AmountLimit {expired}")
            }),
            ("release", "Released UnknownHold AlreadyConfirmed AlreadyReleased".to_owned()),
            ("refund", "Refunded UnknownActivation AlreadyRefunded".to_owned()),
            ("register-club", "Registered NameTaken".to_owned()),
            ("register-client", "Registered".to_owned()),
            ("create-campaign", format!("Created {terms} {budget} CodesMissing Conflicts TooManyCodes {lines}")),
            ("add-codes", format!("Added UnknownCampaign CampaignArchived CodesMissing Conflicts TooManyCodes {lines} line.AlreadyInCampaign")),
            ("switch-campaign", "Switched UnknownCampaign".to_owned()),
            ("update-campaign", format!("Updated UnknownCampaign {terms} {budget}")),
            ("archive-campaign", "Archived UnknownCampaign AlreadyArchived".to_owned()),
            ("restore-campaign", "Restored UnknownCampaign NotArchived in-part none-of-it".to_owned()),
            ("archive-codes", "Archived UnknownCampaign CodesMissing line.Invalid line.DuplicateInList line.NotInCampaign line.AlreadyArchived".to_owned()),
            ("restore-codes", format!("Restored UnknownCampaign CampaignArchived CodesMissing {lines} line.NotInCampaign line.NotArchived")),
            ("generate-codes", "Generated UnknownCampaign CampaignArchived InvalidCount InvalidPattern.NothingDrawn TooManyCodes SpaceTooSmall Collisions".to_owned()),
            ("add-credential", "Added InvalidName ClubsNotForRole UnknownClub SecretTaken".to_owned()),
            ("revoke-credential", "Revoked UnknownCredential AlreadyRevoked LastOperator".to_owned()),
        ];
        let named = |(command, outcomes): &(&str, String)| {
            outcomes.split_whitespace().map(|outcome| format!("{command} {outcome}")).collect::<Vec<_>>()
        };
        let expected: BTreeSet<String> = expected.iter().flat_map(named).collect();
        let found: BTreeSet<String> = self.outcomes.keys().cloned().collect();
        let missed: Vec<_> = expected.difference(&found).collect();
        let unforeseen: Vec<_> = found.difference(&expected).collect();
        assert!(missed.is_empty() && unforeseen.is_empty(), "missed {missed:?}, unforeseen {unforeseen:?}: {:?}", self.outcomes);
    }
}

fn within(outer: &str, words: &[&str]) -> String {
    words.iter().flat_map(|words| words.split_whitespace()).map(|word| format!("{outer}.{word} ")).collect()
}

/// The names of an outcome and of what it carries that is worth being told apart.
fn outcomes_of(reply: &Remembered) -> Vec<String> {
    let (kind, bytes) = match reply {
        Remembered::Redeem(outcome) => return vec![format!("redeem {}", name(outcome))],
        Remembered::Other(other) => (Kind::from_number(other.0).expect("a reply has a known kind"), &other.1),
    };
    let (outcome, more): (String, Vec<String>) = match kind {
        Kind::Hold => (name(&decoded::<Hold>(bytes)), Vec::new()),
        Kind::Confirm => (name(&decoded::<Confirm>(bytes)), Vec::new()),
        Kind::Release => (name(&decoded::<Release>(bytes)), Vec::new()),
        Kind::Refund => (name(&decoded::<Refund>(bytes)), Vec::new()),
        Kind::RegisterClub => (name(&decoded::<RegisterClub>(bytes)), Vec::new()),
        Kind::RegisterClient => (name(&decoded::<RegisterClient>(bytes)), Vec::new()),
        Kind::SwitchCampaign => (name(&decoded::<SwitchCampaign>(bytes)), Vec::new()),
        Kind::UpdateCampaign => (name(&decoded::<UpdateCampaign>(bytes)), Vec::new()),
        Kind::ArchiveCampaign => (name(&decoded::<ArchiveCampaign>(bytes)), Vec::new()),
        Kind::GenerateCodes => (name(&decoded::<GenerateCodes>(bytes)), Vec::new()),
        Kind::AddCredential => (name(&decoded::<AddCredential>(bytes)), Vec::new()),
        Kind::RevokeCredential => (name(&decoded::<RevokeCredential>(bytes)), Vec::new()),
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
                | RestoreCampaignOutcome::NotArchived => None,
            };
            (name(&outcome), part.into_iter().map(str::to_owned).collect())
        }
        Kind::Redeem => panic!("a redemption has a reply of its own"),
        Kind::Check
        | Kind::ListClubs
        | Kind::ShowClient
        | Kind::ListCampaigns
        | Kind::ShowCampaign
        | Kind::Tail
        | Kind::TryCodes
        | Kind::ListCodes
        | Kind::CheckFree
        | Kind::ListCredentials => panic!("{kind:?} changes nothing"),
    };
    std::iter::once(outcome).chain(more).map(|outcome| format!("{} {outcome}", kind.word())).collect()
}

fn lines(skipped: &[SkippedLine]) -> Vec<String> {
    skipped.iter().map(|line| format!("line.{}", name(&line.why))).collect()
}

/// The name of an outcome, and of the refusal that it carries, without what that carries.
fn name(outcome: &impl Debug) -> String {
    let text = format!("{outcome:?}");
    let mut words = text.split(['(', ' ', '{', ')']);
    let outer = words.next().unwrap_or_default();
    match ["Refused", "Expired", "InvalidTerms", "InvalidPattern"].contains(&outer) {
        true => format!("{outer}.{}", words.next().unwrap_or_default()),
        false => outer.to_owned(),
    }
}

fn decoded<C: Command>(bytes: &[u8]) -> C::Outcome {
    wire::decode(C::KIND.word(), bytes).expect("the reply was just encoded")
}
