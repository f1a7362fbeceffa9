//! Random commands against a model that is slow and obviously right: codes in a map, money in 128 bits, no slots and no index.

use std::collections::HashMap;

use scrip_protocol::codes::InvalidCode;
use scrip_protocol::command::{
    Activated, AddCodes, AddCodesOutcome, CodeLimit, CodesReport, CreateCampaign, CreateCampaignOutcome, LineVerdict, OnConflict,
    RedeemOutcome, RegisterClub, RegisterClubOutcome, SkippedLine, SwitchCampaign, SwitchCampaignOutcome, Terms,
};
use scrip_protocol::{CampaignId, ClientId, ClubId, Command, Money, Position, Refusal, Settings, Stamp, wire};

use super::{Answer, Bench, START_MS, lines, stamp};
use crate::index::normalise;
use crate::state::requests::Remembered;
use crate::state::{Asked, AskedAddCodes, AskedCreateCampaign, AskedRedeem};

const CODES_MAX: u32 = 6;

#[derive(Default)]
struct Model {
    position: u64,
    clubs: Vec<String>,
    campaigns: Vec<Terms>,
    /// By code in lower case.
    codes: HashMap<String, Code>,
    balances: HashMap<u128, i128>,
    issued: HashMap<usize, i128>,
    activations: HashMap<usize, u64>,
}

#[derive(Default)]
struct Code {
    campaign: usize,
    activations: u32,
}

/// The code that a text is; the texts here have no other white space or letters than these.
fn code_of(text: &str) -> Result<String, InvalidCode> {
    let code = text.trim().to_lowercase();
    match code.chars().position(|c| c == ' ') {
        _ if code.is_empty() => Err(InvalidCode::Empty),
        Some(before) => Err(InvalidCode::InnerWhiteSpace { at: before as u32 + 1 }),
        None => Ok(code),
    }
}

impl Model {
    fn redeem(&mut self, client: u128, club: u32, text: &str) -> RedeemOutcome {
        self.position += 1;
        let code = match code_of(text) {
            Ok(code) => code,
            Err(why) => return RedeemOutcome::InvalidCode(why),
        };
        if club == 0 || club as usize > self.clubs.len() {
            return RedeemOutcome::UnknownClub;
        }
        let Some(code) = self.codes.get_mut(&code) else { return RedeemOutcome::UnknownCode };
        let terms = &self.campaigns[code.campaign];
        if !terms.active {
            return RedeemOutcome::CampaignInactive;
        }
        if !terms.clubs.is_empty() && !terms.clubs.contains(&ClubId(club)) {
            return RedeemOutcome::ClubExcluded;
        }
        if terms.activations_per_code_max == Some(code.activations) {
            return RedeemOutcome::CodeExhausted;
        }
        let balance = self.balances.get(&client).copied().unwrap_or(0) + i128::from(terms.amount.0);
        let issued = self.issued.get(&code.campaign).copied().unwrap_or(0) + i128::from(terms.amount.0);
        let (Ok(new), Ok(_)) = (i64::try_from(balance), i64::try_from(issued)) else { return RedeemOutcome::AmountLimit };
        code.activations += 1;
        self.balances.insert(client, balance);
        self.issued.insert(code.campaign, issued);
        *self.activations.entry(code.campaign).or_default() += 1;
        RedeemOutcome::Redeemed(Activated {
            activation: Position(self.position),
            campaign: CampaignId(code.campaign as u32 + 1),
            amount: terms.amount,
            balance: Money(new),
        })
    }

    /// What becomes of a list for a campaign, by its place among the campaigns.
    fn list(&self, campaign: usize, texts: &[&str]) -> (Vec<String>, Vec<SkippedLine>) {
        let (mut added, mut skipped, mut lines) = (Vec::new(), Vec::new(), HashMap::new());
        for (line, text) in (1..).zip(texts) {
            let why = match code_of(text) {
                Err(InvalidCode::Empty) => continue,
                Err(why) => LineVerdict::Invalid(why),
                Ok(code) => match (lines.get(&code).copied(), self.codes.get(&code)) {
                    (Some(of_line), _) => LineVerdict::DuplicateInList { of_line },
                    (None, held) => {
                        lines.insert(code.clone(), line);
                        match held {
                            Some(code) if code.campaign == campaign => LineVerdict::AlreadyInCampaign,
                            Some(code) => LineVerdict::HeldBy(CampaignId(code.campaign as u32 + 1)),
                            None => {
                                added.push(code);
                                continue;
                            }
                        }
                    }
                },
            };
            skipped.push(SkippedLine { line, code: text.trim().to_owned(), why });
        }
        (added, skipped)
    }

    fn codes_of(&self, campaign: usize) -> impl Iterator<Item = &Code> {
        self.codes.values().filter(move |code| code.campaign == campaign)
    }

    /// Adds a list to a campaign, or says why not, in the words of adding.
    fn add(&mut self, campaign: usize, texts: &[&str], on_conflict: OnConflict) -> AddCodesOutcome {
        let (added, skipped) = self.list(campaign, texts);
        if added.is_empty() && skipped.is_empty() {
            return AddCodesOutcome::CodesMissing;
        }
        let is_conflict = |line: &&SkippedLine| matches!(line.why, LineVerdict::Invalid(_) | LineVerdict::HeldBy(_));
        let conflicts: Vec<SkippedLine> = skipped.iter().filter(is_conflict).cloned().collect();
        if on_conflict == OnConflict::Reject && !conflicts.is_empty() {
            return AddCodesOutcome::Conflicts(conflicts);
        }
        let (current, would_add) = (self.codes_of(campaign).count() as u32, added.len() as u32);
        if current + would_add > CODES_MAX {
            return AddCodesOutcome::TooManyCodes(CodeLimit { limit: CODES_MAX, current, would_add });
        }
        if campaign == self.campaigns.len() && added.is_empty() {
            return AddCodesOutcome::Conflicts(skipped);
        }
        self.codes.extend(added.into_iter().map(|code| (code, Code { campaign, activations: 0 })));
        AddCodesOutcome::Added(CodesReport { added: would_add, skipped })
    }

    fn create(&mut self, terms: &Terms, texts: &[&str], on_conflict: OnConflict) -> CreateCampaignOutcome {
        self.position += 1;
        if terms.amount.0 <= 0 {
            return CreateCampaignOutcome::InvalidAmount;
        }
        if let Some(unknown) = terms.clubs.iter().filter(|club| club.0 == 0 || club.0 as usize > self.clubs.len()).min() {
            return CreateCampaignOutcome::UnknownClub(*unknown);
        }
        match self.add(self.campaigns.len(), texts, on_conflict) {
            AddCodesOutcome::Added(codes) => {
                self.campaigns.push(terms.clone());
                CreateCampaignOutcome::Created { campaign: CampaignId(self.campaigns.len() as u32), codes }
            }
            AddCodesOutcome::UnknownCampaign => unreachable!("the model asks for none"),
            AddCodesOutcome::CodesMissing => CreateCampaignOutcome::CodesMissing,
            AddCodesOutcome::Conflicts(lines) => CreateCampaignOutcome::Conflicts(lines),
            AddCodesOutcome::TooManyCodes(limit) => CreateCampaignOutcome::TooManyCodes(limit),
        }
    }

    fn compare(&self, bench: &Bench) {
        let state = &bench.state;
        assert_eq!(state.position(), Position(self.position));
        let balances: HashMap<u128, i128> = state.clients.iter().map(|(id, money)| (id.0, money.0.into())).collect();
        assert_eq!(balances, self.balances);
        assert_eq!(state.campaigns.next(), CampaignId(self.campaigns.len() as u32 + 1));
        assert_eq!(bench.index.len(), self.codes.len());
        for (at, (_, campaign)) in state.campaigns.after(CampaignId(0)).enumerate() {
            let used = self.codes_of(at).filter(|code| code.activations > 0).count();
            assert_eq!(campaign.codes.len(), self.codes_of(at).count());
            assert_eq!(campaign.codes_activated as usize, used);
            assert_eq!(campaign.activations, self.activations.get(&at).copied().unwrap_or(0));
            assert_eq!(i128::from(campaign.issued.0), self.issued.get(&at).copied().unwrap_or(0));
            assert_eq!(campaign.terms.active, self.campaigns[at].active);
            for (text, activations) in campaign.codes.iter().zip(&campaign.activations_of) {
                let code = &self.codes[&code_of(text).expect("only codes are added")];
                assert_eq!((at, *activations), (code.campaign, code.activations), "{text}");
            }
        }
    }
}

fn encoded<C: Command>(outcome: &C::Outcome) -> Remembered {
    let mut bytes = Vec::new();
    wire::encode(outcome, &mut bytes);
    Remembered::Other(Box::new((C::KIND as u16, bytes)))
}

/// Few codes, clubs and clients, so that they meet; in odd writing, so that normalisation matters.
const TEXTS: [&str; 16] = ["a", "A", " a ", "B", "b", "c", "d", "e", "E ", "f", "g", "h", "i", "", "in side", "A B"];

fn some_texts(random: &mut fastrand::Rng) -> Vec<&'static str> {
    (0..random.usize(..7)).map(|_| TEXTS[random.usize(..TEXTS.len())]).collect()
}

/// A random request, and what the model answers to it.
fn some_request(random: &mut fastrand::Rng, model: &mut Model) -> (Asked, Remembered) {
    let on_conflict = if random.bool() { OnConflict::Skip } else { OnConflict::Reject };
    let campaign = random.u32(..model.campaigns.len() as u32 + 2);
    let exists = campaign >= 1 && campaign as usize <= model.campaigns.len();
    match random.u32(..20) {
        0 => {
            let name = format!("club {}", random.u32(..5));
            model.position += 1;
            let outcome = match model.clubs.iter().position(|other| *other == name) {
                Some(at) => RegisterClubOutcome::NameTaken(ClubId(at as u32 + 1)),
                None => {
                    model.clubs.push(name.clone());
                    RegisterClubOutcome::Registered(ClubId(model.clubs.len() as u32))
                }
            };
            (Asked::RegisterClub(RegisterClub { name }), encoded::<RegisterClub>(&outcome))
        }
        1 => {
            let amount = [1, 250, 0, i64::MAX, i64::MAX / 3][random.usize(..5)];
            let terms = Terms {
                name: "a campaign".to_owned(),
                amount: Money(amount),
                clubs: (0..random.usize(..3)).map(|_| ClubId(random.u32(..5))).collect(),
                starts_ms: None,
                ends_ms: random.bool().then_some(START_MS),
                activations_per_code_max: [None, Some(1), Some(2), Some(3)][random.usize(..4)],
                active: random.u32(..4) > 0,
            };
            let texts = some_texts(random);
            let outcome = model.create(&terms, &texts, on_conflict);
            let asked = AskedCreateCampaign { terms, lines: lines(texts), on_conflict };
            (Asked::CreateCampaign(Box::new(asked)), encoded::<CreateCampaign>(&outcome))
        }
        2 | 3 => {
            let texts = some_texts(random);
            model.position += 1;
            let outcome = match exists {
                true => model.add(campaign as usize - 1, &texts, on_conflict),
                false => AddCodesOutcome::UnknownCampaign,
            };
            let asked = AskedAddCodes { campaign: CampaignId(campaign), lines: lines(texts), on_conflict };
            (Asked::AddCodes(Box::new(asked)), encoded::<AddCodes>(&outcome))
        }
        4 => {
            let active = random.u32(..3) > 0;
            model.position += 1;
            let outcome = match exists {
                true => {
                    model.campaigns[campaign as usize - 1].active = active;
                    SwitchCampaignOutcome::Switched { active }
                }
                false => SwitchCampaignOutcome::UnknownCampaign,
            };
            let asked = SwitchCampaign { campaign: CampaignId(campaign), active };
            (Asked::SwitchCampaign(asked), encoded::<SwitchCampaign>(&outcome))
        }
        _ => {
            let (client, club, text) = (random.u128(1..5), random.u32(..4), TEXTS[random.usize(..TEXTS.len())]);
            let outcome = model.redeem(client, club, text);
            let asked = AskedRedeem { client: ClientId(client), club: ClubId(club), code: normalise(text) };
            (Asked::Redeem(asked), Remembered::Redeem(outcome))
        }
    }
}

#[test]
fn random_commands_do_what_the_model_does() {
    let first_seed = fastrand::u64(..);
    println!("seeds from {first_seed}");
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for seed in (0..300).map(|more| first_seed.wrapping_add(more)) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bench = Bench::new(Settings { codes_per_campaign_max: CODES_MAX, ..Settings::default() });
        let mut model = Model { position: 1, ..Model::default() };
        let mut sent: Vec<(Stamp, Asked, Remembered)> = Vec::new();
        for number in 0..random.u64(20..150) {
            bench.now_ms += random.u64(..100);
            if !sent.is_empty() && random.u32(..10) == 0 {
                let (stamp, asked, reply) = &sent[random.usize(..sent.len())];
                assert_eq!(bench.run(*stamp, asked), Answer::Again(reply.clone()), "seed {seed}, command {number}");
                let other = Stamp { body: u64::MAX, ..*stamp };
                let refused = bench.run(other, asked);
                assert_eq!(refused, Answer::Refused(Refusal::RequestIdReused), "seed {seed}, command {number}");
                continue;
            }
            let (asked, reply) = some_request(&mut random, &mut model);
            if let Remembered::Redeem(outcome) = &reply {
                *seen.entry(outcome.word()).or_default() += 1;
            }
            let stamp = stamp(bench.now_ms, number, number);
            let found = bench.run(stamp, &asked);
            assert_eq!(found, Answer::New(reply.clone()), "seed {seed}, command {number}: {asked:?}");
            sent.push((stamp, asked, reply));
        }
        model.compare(&bench);
        bench.compare_with_replay();
    }
    // A random test that never comes upon an outcome has not tested it.
    assert_eq!(seen.len(), 8, "{seen:?}");
}
