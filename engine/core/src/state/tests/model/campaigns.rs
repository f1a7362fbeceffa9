//! Campaigns, their codes and credentials in the model.

use std::collections::HashMap;

use scrip_protocol::codes::InvalidCode;
use scrip_protocol::command::{
    AddCodesOutcome, AddCredentialOutcome, ArchiveCampaignOutcome, ArchiveCodesOutcome, CodeConflict, CodeLimit, CodesReport,
    CreateCampaignOutcome, GUESSES_PER_HIT_MIN, GenerateCodesOutcome, Grant, InvalidTerms, LINES_MAX, LineVerdict, OnConflict,
    RestoreCampaignOutcome, RestoreCodesOutcome, RevokeCredentialOutcome, SkippedLine, Terms, UpdateCampaign,
    UpdateCampaignOutcome,
};
use scrip_protocol::{CampaignId, ClubId, CredentialId, Money, Role};

use super::{Archived, CODES_MAX, Campaign, Code, Model, code_of};

/// Codes as written and as normalised; and the lines without a wanted code.
type Sorted = (Vec<(String, String)>, Vec<SkippedLine>);

impl Model {
    /// The index of an existing campaign.
    pub(super) fn known_campaign(&self, campaign: u32) -> Option<usize> {
        (campaign as usize).checked_sub(1).filter(|at| *at < self.campaigns.len())
    }

    /// The result for each line of a list: a code, or why none.
    fn lines(&self, texts: &[&str], verdict: impl Fn(&str) -> Option<LineVerdict>) -> Sorted {
        let (mut taken, mut skipped, mut lines) = (Vec::new(), Vec::new(), HashMap::new());
        for (line, text) in (1..).zip(texts) {
            let why = match code_of(text) {
                Err(InvalidCode::Empty) => continue,
                Err(why) => LineVerdict::Invalid(why),
                Ok(code) => match lines.get(&code) {
                    Some(of_line) => LineVerdict::DuplicateInList { of_line: *of_line },
                    None => {
                        lines.insert(code.clone(), line);
                        match verdict(&code) {
                            Some(why) => why,
                            None => {
                                taken.push((text.trim().to_owned(), code));
                                continue;
                            }
                        }
                    }
                },
            };
            skipped.push(SkippedLine { line, code: text.trim().to_owned(), why });
        }
        (taken, skipped)
    }

    /// The slot of a value in a campaign.
    fn slot(&self, campaign: usize, code: &str) -> Option<usize> {
        self.campaigns[campaign].codes.iter().position(|other| other.code == code)
    }

    /// Divides a list for a campaign, existing or new; or returns why not, as an outcome of adding.
    fn sort(&self, campaign: Option<usize>, texts: &[&str], on_conflict: OnConflict) -> Result<Sorted, AddCodesOutcome> {
        let verdict = |code: &str| match (self.holder(code), campaign) {
            (Some(holder), campaign) if Some(holder) != campaign => Some(LineVerdict::HeldBy(CampaignId(holder as u32 + 1))),
            (_, Some(campaign)) => self.slot(campaign, code).map(|_| LineVerdict::AlreadyInCampaign),
            (_, None) => None,
        };
        let (added, skipped) = self.lines(texts, verdict);
        if added.is_empty() && skipped.is_empty() {
            return Err(AddCodesOutcome::CodesMissing);
        }
        let is_conflict = |line: &&SkippedLine| matches!(line.why, LineVerdict::Invalid(_) | LineVerdict::HeldBy(_));
        let conflicts: Vec<SkippedLine> = skipped.iter().filter(is_conflict).cloned().collect();
        if on_conflict == OnConflict::Reject && !conflicts.is_empty() {
            return Err(AddCodesOutcome::Conflicts(conflicts));
        }
        let current = campaign.map_or(0, |campaign| self.campaigns[campaign].codes.len() as u32);
        let would_add = added.len() as u32;
        if current + would_add > CODES_MAX {
            return Err(AddCodesOutcome::TooManyCodes(CodeLimit { limit: CODES_MAX, current, would_add }));
        }
        if campaign.is_none() && added.is_empty() {
            return Err(AddCodesOutcome::Conflicts(skipped));
        }
        Ok((added, skipped))
    }

    fn add_to(&mut self, campaign: usize, codes: Vec<(String, String)>) {
        let new = |(text, code)| Code { text, code, archived: Archived::No, freed: 0 };
        self.campaigns[campaign].codes.extend(codes.into_iter().map(new));
    }

    /// The outcome of adding.
    pub(super) fn tried(&self, campaign: Option<u32>, texts: &[&str], on_conflict: OnConflict) -> AddCodesOutcome {
        let known = match campaign {
            Some(campaign) => match self.known_campaign(campaign) {
                None => return AddCodesOutcome::UnknownCampaign,
                Some(at) if self.campaigns[at].archived => return AddCodesOutcome::CampaignArchived,
                Some(at) => Some(at),
            },
            None => None,
        };
        match self.sort(known, texts, on_conflict) {
            Ok((added, skipped)) => AddCodesOutcome::Added(CodesReport { added: added.len() as u32, skipped }),
            Err(refusal) => refusal,
        }
    }

    pub(super) fn add(&mut self, campaign: u32, texts: &[&str], on_conflict: OnConflict) -> AddCodesOutcome {
        let outcome = self.tried(Some(campaign), texts, on_conflict);
        if let (AddCodesOutcome::Added(_), Some(at)) = (&outcome, self.known_campaign(campaign))
            && let Ok((added, _)) = self.sort(Some(at), texts, on_conflict)
        {
            self.add_to(at, added);
        }
        outcome
    }

    /// What is wrong with terms; otherwise they are put in order.
    fn invalid(&self, terms: &mut Terms) -> Option<InvalidTerms> {
        terms.clubs.sort();
        terms.clubs.dedup();
        let caps = [terms.activations_per_code_max, terms.activations_per_client_max];
        let unknown = |club: &&ClubId| club.0 == 0 || club.0 as usize > self.clubs.len();
        if terms.name.is_empty() {
            Some(InvalidTerms::Name)
        } else if terms.amount.0 <= 0 {
            Some(InvalidTerms::Amount)
        } else if caps.contains(&Some(0)) || terms.activations_max == Some(0) {
            Some(InvalidTerms::Cap)
        } else if terms.budget.is_some_and(|budget| budget.0 <= 0) {
            Some(InvalidTerms::Budget)
        } else if terms.starts_ms.is_some_and(|starts| terms.ends_ms.is_some_and(|ends| ends < starts)) {
            Some(InvalidTerms::PeriodReversed)
        } else if terms.enforce_period && terms.starts_ms.is_none() && terms.ends_ms.is_none() {
            Some(InvalidTerms::PeriodMissing)
        } else {
            terms.clubs.iter().find(unknown).map(|club| InvalidTerms::UnknownClub(*club))
        }
    }

    pub(super) fn create(&mut self, terms: &Terms, texts: &[&str], on_conflict: OnConflict) -> CreateCampaignOutcome {
        let mut terms = terms.clone();
        if let Some(why) = self.invalid(&mut terms) {
            return CreateCampaignOutcome::InvalidTerms(why);
        }
        match self.sort(None, texts, on_conflict) {
            Ok((added, skipped)) => {
                let codes = CodesReport { added: added.len() as u32, skipped };
                let counted_from = terms.activations_per_client_max.map(|_| 0);
                self.campaigns.push(Campaign { terms, archived: false, codes: Vec::new(), counted_from });
                self.add_to(self.campaigns.len() - 1, added);
                CreateCampaignOutcome::Created { campaign: CampaignId(self.campaigns.len() as u32), codes }
            }
            Err(AddCodesOutcome::CodesMissing) => CreateCampaignOutcome::CodesMissing,
            Err(AddCodesOutcome::Conflicts(lines)) => CreateCampaignOutcome::Conflicts(lines),
            Err(AddCodesOutcome::TooManyCodes(limit)) => CreateCampaignOutcome::TooManyCodes(limit),
            Err(other) => unreachable!("the model does not answer {other:?} to that"),
        }
    }

    pub(super) fn update(&mut self, request: &UpdateCampaign) -> UpdateCampaignOutcome {
        let Some(at) = self.known_campaign(request.campaign.0) else { return UpdateCampaignOutcome::UnknownCampaign };
        let mut terms = self.campaigns[at].terms.clone();
        fn change<T: Clone>(kept: &mut T, changed: &Option<T>) {
            changed.iter().for_each(|changed| kept.clone_from(changed));
        }
        change(&mut terms.name, &request.name);
        change(&mut terms.amount, &request.amount);
        change(&mut terms.clubs, &request.clubs);
        change(&mut terms.starts_ms, &request.starts_ms);
        change(&mut terms.ends_ms, &request.ends_ms);
        change(&mut terms.enforce_period, &request.enforce_period);
        change(&mut terms.activations_per_code_max, &request.activations_per_code_max);
        change(&mut terms.activations_per_client_max, &request.activations_per_client_max);
        change(&mut terms.activations_max, &request.activations_max);
        change(&mut terms.budget, &request.budget);
        change(&mut terms.low_stock, &request.low_stock);
        if let Some(why) = self.invalid(&mut terms) {
            return UpdateCampaignOutcome::InvalidTerms(why);
        }
        let campaign = &mut self.campaigns[at];
        campaign.terms = terms.clone();
        if terms.activations_per_client_max.is_some() && campaign.counted_from.is_none() {
            campaign.counted_from = Some(self.position);
        }
        UpdateCampaignOutcome::Updated(terms)
    }

    pub(super) fn archive(&mut self, campaign: u32) -> ArchiveCampaignOutcome {
        let Some(at) = self.known_campaign(campaign) else { return ArchiveCampaignOutcome::UnknownCampaign };
        if self.campaigns[at].archived {
            return ArchiveCampaignOutcome::AlreadyArchived;
        }
        let campaign = &mut self.campaigns[at];
        campaign.archived = true;
        let mut codes = 0;
        for code in campaign.codes.iter_mut().filter(|code| code.archived == Archived::No) {
            code.freed = self.position;
            codes += 1;
        }
        ArchiveCampaignOutcome::Archived { codes }
    }

    pub(super) fn restore(&mut self, campaign: u32) -> RestoreCampaignOutcome {
        let Some(at) = self.known_campaign(campaign) else { return RestoreCampaignOutcome::UnknownCampaign };
        let of = &self.campaigns[at];
        let to_restore = |code: &Code| match code.archived {
            Archived::No => of.archived,
            Archived::LeftOver => true,
            Archived::Alone => false,
        };
        let slots: Vec<usize> = (0..of.codes.len()).filter(|slot| to_restore(&of.codes[*slot])).collect();
        if slots.is_empty() && !of.archived {
            return RestoreCampaignOutcome::NotArchived;
        }
        let holders: Vec<_> = slots.iter().map(|slot| (*slot, self.holder(&of.codes[*slot].code))).collect();
        if !of.archived && holders.iter().all(|(_, holder)| holder.is_some()) {
            return RestoreCampaignOutcome::StillHeld { codes: slots.len() as u32 };
        }
        let of = &mut self.campaigns[at];
        of.archived = false;
        let (mut restored, mut first) = (0, Vec::new());
        for (slot, holder) in holders {
            let code = &mut of.codes[slot];
            match holder {
                None => {
                    code.archived = Archived::No;
                    restored += 1;
                }
                Some(holder) => {
                    code.archived = Archived::LeftOver;
                    let held_by = CampaignId(holder as u32 + 1);
                    first.push(CodeConflict { slot: slot as u32, code: code.text.clone(), held_by });
                }
            }
        }
        RestoreCampaignOutcome::Restored { restored, conflicts: first.len() as u32, first }
    }

    pub(super) fn archive_codes(&mut self, campaign: u32, texts: &[&str]) -> ArchiveCodesOutcome {
        let Some(at) = self.known_campaign(campaign) else { return ArchiveCodesOutcome::UnknownCampaign };
        let (taken, skipped) = self.lines(texts, |code| match self.slot(at, code) {
            None => Some(LineVerdict::NotInCampaign),
            Some(slot) => (self.code((at, slot)).archived == Archived::Alone).then_some(LineVerdict::AlreadyArchived),
        });
        if taken.is_empty() && skipped.is_empty() {
            return ArchiveCodesOutcome::CodesMissing;
        }
        for (_, code) in &taken {
            let slot = self.slot(at, code).expect("it was found");
            let live = self.is_live((at, slot));
            let code = &mut self.campaigns[at].codes[slot];
            code.archived = Archived::Alone;
            if live {
                code.freed = self.position;
            }
        }
        ArchiveCodesOutcome::Archived { codes: taken.len() as u32, skipped }
    }

    pub(super) fn restore_codes(&mut self, campaign: u32, texts: &[&str]) -> RestoreCodesOutcome {
        let Some(at) = self.known_campaign(campaign) else { return RestoreCodesOutcome::UnknownCampaign };
        if self.campaigns[at].archived {
            return RestoreCodesOutcome::CampaignArchived;
        }
        let (taken, skipped) = self.lines(texts, |code| match self.slot(at, code) {
            None => Some(LineVerdict::NotInCampaign),
            Some(slot) if self.code((at, slot)).archived == Archived::No => Some(LineVerdict::NotArchived),
            Some(_) => self.holder(code).map(|holder| LineVerdict::HeldBy(CampaignId(holder as u32 + 1))),
        });
        if taken.is_empty() && skipped.is_empty() {
            return RestoreCodesOutcome::CodesMissing;
        }
        for (_, code) in &taken {
            let slot = self.slot(at, code).expect("it was found");
            self.campaigns[at].codes[slot].archived = Archived::No;
        }
        RestoreCodesOutcome::Restored { codes: taken.len() as u32, skipped }
    }

    /// With codes as if they had been drawn from a pattern with that many codes, of which that many exist.
    pub(super) fn generate(
        &mut self,
        campaign: u32,
        count: u32,
        (space, existing): (u128, u64),
        drawn: &[&str],
    ) -> GenerateCodesOutcome {
        let Some(at) = self.known_campaign(campaign) else { return GenerateCodesOutcome::UnknownCampaign };
        if self.campaigns[at].archived {
            return GenerateCodesOutcome::CampaignArchived;
        }
        if count == 0 || count as usize > LINES_MAX {
            return GenerateCodesOutcome::InvalidCount;
        }
        let current = self.campaigns[at].codes.len() as u32;
        if current + count > CODES_MAX {
            return GenerateCodesOutcome::TooManyCodes(CodeLimit { limit: CODES_MAX, current, would_add: count });
        }
        let guesses_per_hit = (space / (u128::from(existing) + u128::from(count))) as u64;
        if guesses_per_hit < GUESSES_PER_HIT_MIN {
            return GenerateCodesOutcome::SpaceTooSmall { guesses_per_hit };
        }
        let (mut new, _) = self.lines(drawn, |code| self.find(code).map(|_| LineVerdict::AlreadyInCampaign));
        if new.len() < count as usize {
            return GenerateCodesOutcome::Collisions;
        }
        new.truncate(count as usize);
        self.add_to(at, new);
        GenerateCodesOutcome::Generated { first_slot: current, codes: count, guesses_per_hit }
    }

    pub(super) fn add_credential(&mut self, grant: &Grant) -> AddCredentialOutcome {
        let mut grant = grant.clone();
        grant.clubs.sort();
        grant.clubs.dedup();
        if grant.name.is_empty() {
            return AddCredentialOutcome::InvalidName;
        }
        if !grant.clubs.is_empty() && grant.role != Role::Gateway {
            return AddCredentialOutcome::ClubsNotForRole;
        }
        if let Some(club) = grant.clubs.iter().find(|club| club.0 == 0 || club.0 as usize > self.clubs.len()) {
            return AddCredentialOutcome::UnknownClub(*club);
        }
        if self.credentials.iter().any(|(other, _)| other.secret == grant.secret) {
            return AddCredentialOutcome::SecretTaken;
        }
        self.credentials.push((grant, None));
        AddCredentialOutcome::Added(CredentialId(self.credentials.len() as u32))
    }

    pub(super) fn revoke(&mut self, credential: u32) -> RevokeCredentialOutcome {
        let at = (credential as usize).wrapping_sub(1);
        let Some((grant, revoked)) = self.credentials.get(at) else { return RevokeCredentialOutcome::UnknownCredential };
        if revoked.is_some() {
            return RevokeCredentialOutcome::AlreadyRevoked;
        }
        let operators =
            self.credentials.iter().filter(|(grant, revoked)| grant.role == Role::Operator && revoked.is_none()).count();
        if grant.role == Role::Operator && operators == 1 {
            return RevokeCredentialOutcome::LastOperator;
        }
        self.credentials[at].1 = Some(self.now_ms);
        for hold in self.holds.iter_mut().filter(|hold| hold.by == credential && hold.end.is_none()) {
            hold.expires_ms = hold.expires_ms.min(self.now_ms);
        }
        RevokeCredentialOutcome::Revoked
    }

    /// An amount, valid or not; rarely one of which few fill an account.
    pub(super) fn some_amount(random: &mut fastrand::Rng) -> Money {
        Money(match random.u32(..40) {
            0 => i64::MAX,
            1 => i64::MAX / 3,
            2..6 => -random.i64(0..2),
            _ => random.i64(1..400),
        })
    }
}
