//! Every table of the organisation that a command adds to has a limit, and only operators fill the last tenth of those that others
//! may add to.

use scrip_protocol::command::{
    ArchiveCampaign, ArchiveCampaignOutcome, CAMPAIGNS_MAX, CLUBS_MAX, CampaignCreated, ClubRegistered, CodeTexts,
    CreateCampaign, CreateCampaignOutcome, CreateRule, CreateRuleOutcome, CredentialAdded, GROUPS_MAX, Grant, GroupRegistered,
    Lint, OnConflict, RULES_MAX, RedeemOutcome, RegisterClub, RegisterClubOutcome, RegisterGroup, RegisterGroupOutcome,
    RuleEvent, RuleSaved, RuleTerms, Secret, SwitchRule, SwitchRuleOutcome, Terms,
};
use scrip_protocol::{
    CampaignId, ClientId, ClubId, Command, CredentialId, GroupId, Money, Position, Record, Role, RuleId, Stamp, wire,
};

use super::{START_MS, list, stamp, through_a_file};
use crate::index::{Index, normalise};
use crate::state::requests::Remembered;
use crate::state::{CreateCampaignRequest, Mutation, RedeemRequest, State, reply_of};

/// The credential of most requests.
const OPERATOR: CredentialId = CredentialId(1);

const MARKETING: CredentialId = CredentialId(2);

/// A state, and how many requests it was sent.
struct Full {
    state: State,
    index: Index,
    requests: u64,
}

impl Full {
    /// A state with two credentials and that many rows, all from records.
    fn of(rows: usize, record: impl Fn(u32) -> Record) -> Full {
        let mut state = State::default();
        for (credential, role) in [(OPERATOR, Role::Operator), (MARKETING, Role::Marketing)] {
            let secret = Secret::Token([credential.0 as u8; 32]);
            let grant = Grant { name: role.to_string(), role, clubs: Vec::new(), reasons: true, secret };
            state.apply(START_MS, &CredentialAdded { stamp: None, credential, grant }.into());
        }
        (1..=rows as u32).for_each(|number| {
            state.apply(START_MS, &record(number));
        });
        Full { index: Index::of(&state), state, requests: 1_000_000 }
    }

    /// Applies one more record, as an earlier version may have written it, and opens a snapshot of that.
    fn with(mut self, record: &Record) -> Full {
        self.state.apply(START_MS, record);
        let state = through_a_file(&self.state);
        assert!(state == self.state);
        Full { index: Index::of(&state), state, ..self }
    }

    /// The outcome of an operator's request.
    fn run<C: Command>(&mut self, mutation: &Mutation) -> C::Outcome {
        self.run_by::<C>(OPERATOR, mutation)
    }

    /// The outcome of a request of a credential.
    fn run_by<C: Command>(&mut self, credential: CredentialId, mutation: &Mutation) -> C::Outcome {
        self.requests += 1;
        let stamp = Stamp { credential, ..stamp(START_MS, self.requests, self.requests) };
        let record = self.state.decide(START_MS, stamp, mutation, &self.index);
        self.state.apply(START_MS, &record);
        self.index.follow(&self.state, &record);
        match reply_of(self.state.position(), &record) {
            Some(Remembered::Other(reply)) => wire::decode(C::KIND.word(), &reply.1).expect("it was just encoded"),
            other => panic!("{other:?}"),
        }
    }
}

fn club(number: u32) -> Record {
    ClubRegistered { stamp: stamp(START_MS, number.into(), 0), club: ClubId(number), name: format!("club {number}") }.into()
}

fn codes(number: u32) -> CodeTexts {
    [format!("code-{number}")].iter().collect()
}

fn campaign(number: u32) -> Record {
    let (stamp, campaign, terms) = (stamp(START_MS, number.into(), 0), CampaignId(number), Terms::new("Summer", Money(100)));
    CampaignCreated { stamp, campaign, terms, codes: codes(number), skipped: Vec::new() }.into()
}

fn rule_terms() -> RuleTerms {
    RuleTerms {
        name: "Rule".into(),
        description: String::new(),
        active: false,
        clubs: Vec::new(),
        event: RuleEvent::BalanceToppedUp,
        conditions: String::new(),
        actions: vec![scrip_protocol::command::Action::AddBonus { formula: "1".into() }],
        tags: Vec::new(),
    }
}

fn rule(number: u32) -> Record {
    let stamp = stamp(START_MS, number.into(), 0);
    RuleSaved { stamp, rule: RuleId(number), new: true, terms: rule_terms(), lint: Lint::default() }.into()
}

fn group(number: u32) -> Record {
    GroupRegistered { stamp: stamp(START_MS, number.into(), 0), group: GroupId(number), name: format!("group {number}") }.into()
}

fn create_campaign(code: &str) -> Mutation {
    let (terms, list) = (Terms::new("Winter", Money(100)), list([code]));
    Mutation::CreateCampaign(Box::new(CreateCampaignRequest { terms, list, on_conflict: OnConflict::Reject }))
}

fn create_rule(name: &str) -> Mutation {
    Mutation::CreateRule(Box::new(CreateRule { terms: RuleTerms { name: name.into(), ..rule_terms() } }))
}

/// The last club is registered, and one more is refused. A state that has more of them, from an earlier version, works as it is.
#[test]
fn the_number_of_clubs_is_limited() {
    let register = |name: &str| Mutation::RegisterClub(RegisterClub { name: name.into() });
    let mut full = Full::of(CLUBS_MAX - 1, club);
    assert_eq!(full.run::<RegisterClub>(&register("last")), RegisterClubOutcome::Registered(ClubId(CLUBS_MAX as u32)));
    assert_eq!(full.run::<RegisterClub>(&register("")), RegisterClubOutcome::InvalidName);
    assert_eq!(full.run::<RegisterClub>(&register("last")), RegisterClubOutcome::NameTaken(ClubId(CLUBS_MAX as u32)));
    assert_eq!(full.run::<RegisterClub>(&register("one more")), RegisterClubOutcome::TooManyClubs);
    let beyond = CLUBS_MAX as u32 + 1;
    full.state.apply(START_MS, &campaign(1));
    let Full { state, index, .. } = full.with(&club(beyond));
    let (code, client) = (normalise("code-1"), ClientId(7));
    let redeem = RedeemRequest { client, club: ClubId(beyond), code, top_up: Position(0), is_their_top_up: true };
    let record = state.decide(START_MS, stamp(START_MS, 9_999_999, 0), &Mutation::Redeem(redeem), &index);
    let Some(Remembered::Redeem(outcome)) = reply_of(Position(1), &record) else { panic!("{record:?}") };
    assert!(matches!(outcome, RedeemOutcome::Redeemed(_)), "{outcome:?}");
}

/// The same for campaigns, of which archived ones count.
#[test]
fn the_number_of_campaigns_is_limited() {
    let create = create_campaign;
    let mut full = Full::of(CAMPAIGNS_MAX - 1, campaign);
    let last = full.run::<CreateCampaign>(&create("last"));
    assert!(matches!(last, CreateCampaignOutcome::Created { campaign, .. } if campaign.0 as usize == CAMPAIGNS_MAX), "{last}");
    let archived = full.run::<ArchiveCampaign>(&Mutation::ArchiveCampaign(CampaignId(1)));
    assert_eq!(archived, ArchiveCampaignOutcome::Archived { codes: 1 });
    assert!(matches!(full.run::<CreateCampaign>(&create("code-2")), CreateCampaignOutcome::Conflicts(_)));
    assert_eq!(full.run::<CreateCampaign>(&create("one-more")), CreateCampaignOutcome::TooManyCampaigns);
    let beyond = CAMPAIGNS_MAX as u32 + 1;
    let mut reopened = full.with(&campaign(beyond));
    let archived = reopened.run::<ArchiveCampaign>(&Mutation::ArchiveCampaign(CampaignId(beyond)));
    assert_eq!(archived, ArchiveCampaignOutcome::Archived { codes: 1 });
    assert_eq!(reopened.run::<CreateCampaign>(&create("one-more")), CreateCampaignOutcome::TooManyCampaigns);
}

/// The same for rules.
#[test]
fn the_number_of_rules_is_limited() {
    let create = create_rule;
    let mut full = Full::of(RULES_MAX - 1, rule);
    let last = full.run::<CreateRule>(&create("last"));
    assert!(matches!(last, CreateRuleOutcome::Created { rule, .. } if rule.0 as usize == RULES_MAX), "{last}");
    assert!(matches!(full.run::<CreateRule>(&create("")), CreateRuleOutcome::InvalidRule(_)));
    assert_eq!(full.run::<CreateRule>(&create("one-more")), CreateRuleOutcome::TooManyRules);
    let beyond = RULES_MAX as u32 + 1;
    let mut reopened = full.with(&rule(beyond));
    let switch = Mutation::SwitchRule(SwitchRule { rule: RuleId(beyond), active: true });
    assert_eq!(reopened.run::<SwitchRule>(&switch), SwitchRuleOutcome::Switched { active: true });
    assert_eq!(reopened.run::<CreateRule>(&create("one-more")), CreateRuleOutcome::TooManyRules);
}

/// A credential that is not an operator's fills nine tenths of a table, and is then refused like every other such credential.
#[track_caller]
fn check_reserve<C: Command>(max: usize, record: fn(u32) -> Record, create: fn(&str) -> Mutation, too_many: &C::Outcome)
where
    C::Outcome: PartialEq + std::fmt::Debug,
{
    let mut full = Full::of(max - max / 10 - 1, record);
    assert_ne!(full.run_by::<C>(MARKETING, &create("last")), *too_many);
    for other in [MARKETING, CredentialId(3), CredentialId(0)] {
        assert_eq!(full.run_by::<C>(other, &create("one-more")), *too_many, "by {other}");
    }
    assert_ne!(full.run_by::<C>(OPERATOR, &create("one-more")), *too_many);
    assert_eq!(full.run_by::<C>(MARKETING, &create("another")), *too_many);
    assert_ne!(full.run_by::<C>(OPERATOR, &create("another")), *too_many);
}

#[test]
fn only_operators_fill_the_last_tenth_of_campaigns_rules_and_groups() {
    check_reserve::<CreateCampaign>(CAMPAIGNS_MAX, campaign, create_campaign, &CreateCampaignOutcome::TooManyCampaigns);
    check_reserve::<CreateRule>(RULES_MAX, rule, create_rule, &CreateRuleOutcome::TooManyRules);
    let register = |name: &str| Mutation::RegisterGroup(RegisterGroup { name: name.into() });
    check_reserve::<RegisterGroup>(GROUPS_MAX, group, register, &RegisterGroupOutcome::TooManyGroups);
}
