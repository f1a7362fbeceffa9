//! Random commands against a model that is slow and obviously right: codes in a map, money in 128 bits, no slots and no index; holds
//! in a list that is gone through from one end to the other.

use std::collections::HashMap;

use scrip_protocol::codes::InvalidCode;
use scrip_protocol::command::{
    Activated, AddCodes, AddCodesOutcome, CodeLimit, CodesReport, Confirm, ConfirmOutcome, CreateCampaign, CreateCampaignOutcome,
    HOLD_KEPT_MS, HOLD_TTL_MAX_MS, HOLD_TTL_MIN_MS, Held, Hold, HoldOutcome, InvalidTerms, LineVerdict, OnConflict,
    RedeemOutcome, RegisterClub, RegisterClubOutcome, Release, ReleaseOutcome, SkippedLine, SwitchCampaign,
    SwitchCampaignOutcome, Terms,
};
use scrip_protocol::{
    CampaignId, ClientId, ClubId, Command, CredentialId, Kind, Money, Position, Refusal, Settings, Stamp, wire,
};

use super::{Answer, Bench, START_MS, list, stamp};
use crate::index::normalise;
use crate::state::requests::Remembered;
use crate::state::{Asked, AskedAddCodes, AskedCreateCampaign, AskedHold, AskedRedeem, NamedHold};

const CODES_MAX: u32 = 6;

#[derive(Default)]
struct Model {
    now_ms: u64,
    position: u64,
    holds: Vec<ModelHold>,
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

#[derive(Clone)]
struct ModelHold {
    hold: Position,
    by: u32,
    client: u128,
    club: u32,
    code: String,
    amount: Money,
    expires_ms: u64,
    end: Option<(u64, ModelEnd)>,
}

#[derive(Clone)]
enum ModelEnd {
    Confirmed(Activated),
    Released,
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
    /// Holds of a code that nobody has ended and whose time is not up.
    fn open_holds(&self, code: &str) -> u32 {
        let open = |hold: &&ModelHold| hold.code == code && hold.end.is_none() && self.now_ms < hold.expires_ms;
        self.holds.iter().filter(open).count() as u32
    }

    /// Why a use of a code is not to be had.
    fn refusal_of(&self, club: u32, code: &str) -> Option<RedeemOutcome> {
        let Code { campaign, activations } = self.codes[code];
        let terms = &self.campaigns[campaign];
        if !terms.active {
            return Some(RedeemOutcome::CampaignInactive);
        }
        if !terms.clubs.is_empty() && !terms.clubs.contains(&ClubId(club)) {
            return Some(RedeemOutcome::ClubExcluded);
        }
        let uses = activations + self.open_holds(code);
        terms.activations_per_code_max.is_some_and(|max| uses >= max).then_some(RedeemOutcome::CodeExhausted)
    }

    /// What a client and a campaign would have after a bonus; none where that is more than they can have.
    fn sums(&self, client: u128, campaign: usize, amount: Money) -> Option<(i128, i128)> {
        let balance = self.balances.get(&client).copied().unwrap_or(0) + i128::from(amount.0);
        let issued = self.issued.get(&campaign).copied().unwrap_or(0) + i128::from(amount.0);
        (i64::try_from(balance).is_ok() && i64::try_from(issued).is_ok()).then_some((balance, issued))
    }

    /// The code, its campaign and the amount of a use that a client may have.
    fn permitted(&self, client: u128, club: u32, text: &str) -> Result<(String, usize, Money), RedeemOutcome> {
        let code = code_of(text).map_err(RedeemOutcome::InvalidCode)?;
        if club == 0 || club as usize > self.clubs.len() {
            return Err(RedeemOutcome::UnknownClub);
        }
        let campaign = self.codes.get(&code).ok_or(RedeemOutcome::UnknownCode)?.campaign;
        if let Some(refusal) = self.refusal_of(club, &code) {
            return Err(refusal);
        }
        let amount = self.campaigns[campaign].amount;
        self.sums(client, campaign, amount).ok_or(RedeemOutcome::AmountLimit)?;
        Ok((code, campaign, amount))
    }

    fn activate(&mut self, client: u128, code: &str, amount: Money) -> Option<Activated> {
        let campaign = self.codes[code].campaign;
        let (balance, issued) = self.sums(client, campaign, amount)?;
        self.codes.get_mut(code)?.activations += 1;
        self.balances.insert(client, balance);
        self.issued.insert(campaign, issued);
        *self.activations.entry(campaign).or_default() += 1;
        Some(Activated {
            activation: Position(self.position),
            campaign: CampaignId(campaign as u32 + 1),
            amount,
            balance: Money(balance as i64),
        })
    }

    fn redeem(&mut self, client: u128, club: u32, text: &str) -> RedeemOutcome {
        self.position += 1;
        match self.permitted(client, club, text) {
            Ok((code, _, amount)) => {
                self.activate(client, &code, amount).map_or(RedeemOutcome::AmountLimit, RedeemOutcome::Redeemed)
            }
            Err(refusal) => refusal,
        }
    }

    fn hold(&mut self, by: u32, client: u128, club: u32, text: &str, ttl_ms: u64) -> HoldOutcome {
        self.position += 1;
        if !(HOLD_TTL_MIN_MS..=HOLD_TTL_MAX_MS).contains(&ttl_ms) {
            return HoldOutcome::InvalidTtl;
        }
        let (code, campaign, amount) = match self.permitted(client, club, text) {
            Ok(permitted) => permitted,
            Err(refusal) => return HoldOutcome::Refused(refusal),
        };
        let (hold, expires_ms) = (Position(self.position), self.now_ms + ttl_ms);
        self.holds.push(ModelHold { hold, by, client, club, code, amount, expires_ms, end: None });
        HoldOutcome::Held(Held { hold, campaign: CampaignId(campaign as u32 + 1), amount, expires_ms })
    }

    /// The place of a hold that is known to whoever asks.
    fn known(&self, by: u32, named: &NamedHold) -> Option<usize> {
        let at = self.holds.iter().position(|hold| hold.hold == named.hold)?;
        let hold = &self.holds[at];
        let ended_ms = hold.end.as_ref().map_or(hold.expires_ms, |(ended_ms, _)| *ended_ms);
        (self.now_ms < ended_ms + HOLD_KEPT_MS && (named.anyones || hold.by == by)).then_some(at)
    }

    fn confirm(&mut self, by: u32, named: &NamedHold) -> ConfirmOutcome {
        self.position += 1;
        let Some(at) = self.known(by, named) else { return ConfirmOutcome::UnknownHold };
        let hold = self.holds[at].clone();
        match hold.end {
            Some((_, ModelEnd::Confirmed(done))) => return ConfirmOutcome::AlreadyConfirmed(done),
            Some((_, ModelEnd::Released)) => return ConfirmOutcome::Released,
            None => {}
        }
        if hold.expires_ms <= self.now_ms
            && let Some(refusal) = self.refusal_of(hold.club, &hold.code)
        {
            return ConfirmOutcome::Expired(refusal);
        }
        let Some(done) = self.activate(hold.client, &hold.code, hold.amount) else { return ConfirmOutcome::AmountLimit };
        self.holds[at].end = Some((self.now_ms, ModelEnd::Confirmed(done)));
        ConfirmOutcome::Confirmed(done)
    }

    fn release(&mut self, by: u32, named: &NamedHold) -> ReleaseOutcome {
        self.position += 1;
        let Some(at) = self.known(by, named) else { return ReleaseOutcome::UnknownHold };
        match self.holds[at].end {
            Some((_, ModelEnd::Confirmed(done))) => ReleaseOutcome::AlreadyConfirmed(done),
            Some((_, ModelEnd::Released)) => ReleaseOutcome::AlreadyReleased,
            None => {
                self.holds[at].end = Some((self.now_ms, ModelEnd::Released));
                ReleaseOutcome::Released
            }
        }
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
            return CreateCampaignOutcome::InvalidTerms(InvalidTerms::Amount);
        }
        if let Some(unknown) = terms.clubs.iter().filter(|club| club.0 == 0 || club.0 as usize > self.clubs.len()).min() {
            return CreateCampaignOutcome::InvalidTerms(InvalidTerms::UnknownClub(*unknown));
        }
        match self.add(self.campaigns.len(), texts, on_conflict) {
            AddCodesOutcome::Added(codes) => {
                self.campaigns.push(terms.clone());
                CreateCampaignOutcome::Created { campaign: CampaignId(self.campaigns.len() as u32), codes }
            }
            AddCodesOutcome::UnknownCampaign | AddCodesOutcome::CampaignArchived | AddCodesOutcome::TooManyLines => {
                unreachable!("the model asks for none")
            }
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

/// Most often the first, which there is.
fn some_club(random: &mut fastrand::Rng) -> u32 {
    [0, 1, 1, 1, 1, 2, 2, 3][random.usize(..8)]
}

/// Most often one of the first.
fn some_text(random: &mut fastrand::Rng) -> &'static str {
    TEXTS[random.usize(..TEXTS.len()).min(random.usize(..TEXTS.len()))]
}

fn some_texts(random: &mut fastrand::Rng) -> Vec<&'static str> {
    (0..random.usize(..7)).map(|_| TEXTS[random.usize(..TEXTS.len())]).collect()
}

/// A hold that there may be, or not.
fn some_hold(random: &mut fastrand::Rng, model: &Model) -> NamedHold {
    let hold = match model.holds.len() {
        0 => Position(random.u64(..9)),
        holds => match random.u32(..10) {
            0 => Position(random.u64(..model.position + 2)),
            // Most often a young one, which may be open.
            1..4 => model.holds[random.usize(..holds)].hold,
            _ => model.holds[random.usize(holds.saturating_sub(4)..holds)].hold,
        },
    };
    NamedHold { hold, anyones: random.bool() }
}

/// A random request of a credential, and what the model answers to it.
fn some_request(random: &mut fastrand::Rng, model: &mut Model, by: u32, number: u64) -> (Asked, Remembered) {
    let on_conflict = if random.bool() { OnConflict::Skip } else { OnConflict::Reject };
    let campaign = random.u32(..model.campaigns.len() as u32 + 2);
    let exists = campaign >= 1 && campaign as usize <= model.campaigns.len();
    // First something to redeem, and where.
    let which = match number {
        0..2 => 0,
        2..5 => 1,
        _ => random.u32(..26),
    };
    match which {
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
                clubs: (0..random.usize(..3)).map(|_| ClubId(random.u32(..5))).collect(),
                ends_ms: random.bool().then_some(START_MS),
                activations_per_code_max: [None, Some(1), Some(2), Some(3)][random.usize(..4)],
                active: random.u32(..4) > 0,
                ..Terms::new("a campaign", Money(amount))
            };
            let texts = some_texts(random);
            let outcome = model.create(&terms, &texts, on_conflict);
            let asked = AskedCreateCampaign { terms, list: list(texts), on_conflict };
            (Asked::CreateCampaign(Box::new(asked)), encoded::<CreateCampaign>(&outcome))
        }
        2 | 3 => {
            let texts = some_texts(random);
            model.position += 1;
            let outcome = match exists {
                true => model.add(campaign as usize - 1, &texts, on_conflict),
                false => AddCodesOutcome::UnknownCampaign,
            };
            let asked = AskedAddCodes { campaign: Some(CampaignId(campaign)), list: list(texts), on_conflict };
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
        5..=8 => {
            let (client, club, text) = (random.u128(1..5), some_club(random), some_text(random));
            let ttl_ms = [1_000, 1_000, 1_100, 1_500, 3_000, HOLD_TTL_MAX_MS, 999, HOLD_TTL_MAX_MS + 1][random.usize(..8)];
            let outcome = model.hold(by, client, club, text, ttl_ms);
            let redeem = AskedRedeem { client: ClientId(client), club: ClubId(club), code: normalise(text) };
            (Asked::Hold(Box::new(AskedHold { redeem, ttl_ms })), encoded::<Hold>(&outcome))
        }
        9..=11 => {
            let named = some_hold(random, model);
            let outcome = model.confirm(by, &named);
            (Asked::Confirm(named), encoded::<Confirm>(&outcome))
        }
        12 => {
            let named = some_hold(random, model);
            let outcome = model.release(by, &named);
            (Asked::Release(named), encoded::<Release>(&outcome))
        }
        _ => {
            let (client, club, text) = (random.u128(1..5), some_club(random), some_text(random));
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
    let mut seen: HashMap<String, usize> = HashMap::new();
    for seed in (0..300).map(|more| first_seed.wrapping_add(more)) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bench = Bench::new(Settings { codes_per_campaign_max: CODES_MAX, ..Settings::default() });
        let mut model = Model { position: 1, ..Model::default() };
        let mut sent: Vec<(Stamp, Asked, Remembered)> = Vec::new();
        for number in 0..random.u64(20..600) {
            bench.now_ms += random.u64(..100);
            if random.u32(..400) == 0 {
                // Some holds will be forgotten at about that time; and the ids of the requests so far are.
                bench.now_ms += HOLD_KEPT_MS - random.u64(..3_000);
                sent.clear();
            }
            model.now_ms = bench.now_ms;
            if !sent.is_empty() && random.u32(..10) == 0 {
                let (stamp, asked, reply) = &sent[random.usize(..sent.len())];
                assert_eq!(bench.run(*stamp, asked), Answer::Again(reply.clone()), "seed {seed}, command {number}");
                let other = Stamp { body: u64::MAX, ..*stamp };
                let refused = bench.run(other, asked);
                assert_eq!(refused, Answer::Refused(Refusal::RequestIdReused), "seed {seed}, command {number}");
                continue;
            }
            let by = random.u32(1..3);
            let (asked, reply) = some_request(&mut random, &mut model, by, number);
            *seen.entry(seen_as(&reply)).or_default() += 1;
            let stamp = Stamp { credential: CredentialId(by), ..stamp(bench.now_ms, number, number) };
            let found = bench.run(stamp, &asked);
            assert_eq!(found, Answer::New(reply.clone()), "seed {seed}, command {number}: {asked:?}");
            sent.push((stamp, asked, reply));
        }
        model.compare(&bench);
        bench.compare_with_replay();
    }
    // A random test that never comes upon an outcome has not tested it.
    let outcomes_of = |command: &str| seen.keys().filter(|outcome| outcome.starts_with(command)).count();
    // Too many holds takes more than these; late confirmations are refused with two reasons.
    assert_eq!(["redeem", "hold", "confirm", "release"].map(outcomes_of), [8, 9, 7, 4], "{seen:?}");
}

/// The name of an outcome, without what it carries.
fn seen_as(reply: &Remembered) -> String {
    fn name(outcome: &impl std::fmt::Debug) -> String {
        format!("{outcome:?}").split([' ', '(', '{']).next().unwrap_or_default().to_owned()
    }
    fn decoded<C: Command>(bytes: &[u8]) -> C::Outcome {
        wire::decode(C::KIND.word(), bytes).expect("the reply was just encoded")
    }
    let (kind, bytes) = match reply {
        Remembered::Redeem(outcome) => return format!("redeem {}", outcome.word()),
        Remembered::Other(other) => (Kind::from_number(other.0).expect("a reply has a known kind"), &other.1),
    };
    if kind == Kind::Hold {
        return match decoded::<Hold>(bytes) {
            HoldOutcome::Refused(why) => format!("hold {}", why.word()),
            HoldOutcome::Held(_) => "hold held".to_owned(),
            outcome @ (HoldOutcome::InvalidTtl | HoldOutcome::TooManyHolds) => format!("hold {}", name(&outcome)),
        };
    }
    if kind == Kind::Confirm {
        return match decoded::<Confirm>(bytes) {
            ConfirmOutcome::Expired(why) => format!("confirm expired, {}", why.word()),
            outcome @ (ConfirmOutcome::Confirmed(_)
            | ConfirmOutcome::UnknownHold
            | ConfirmOutcome::AlreadyConfirmed(_)
            | ConfirmOutcome::Released
            | ConfirmOutcome::AmountLimit) => format!("confirm {}", name(&outcome)),
        };
    }
    if kind == Kind::Release {
        return format!("release {}", name(&decoded::<Release>(bytes)));
    }
    kind.word().to_owned()
}
