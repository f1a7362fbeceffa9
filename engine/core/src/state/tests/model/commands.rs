//! Random requests of every kind, each with the model's answer.

use scrip_protocol::command::{
    AddCodes, AddCredential, ArchiveCampaign, ArchiveCodes, Confirm, CreateCampaign, GenerateCodes,
    GenerateCodesOutcome as Outcome, Grant, HOLD_TTL_MAX_MS, Hold, InvalidPattern, OnConflict, Refund, RegisterClient,
    RegisterClientOutcome, RegisterClub, RegisterClubOutcome, Release, RestoreCampaign, RestoreCodes, RevokeCredential, Secret,
    SwitchCampaign, SwitchCampaignOutcome, Terms, ToppedUp, UpdateCampaign,
};
use scrip_protocol::{CampaignId, ClientId, ClubId, CredentialId, Money, Position, Record, Role};

use super::operations::{SHARES, record_at, some_operation, some_position};
use super::readers::{READERS, some_reader};
use super::{Bench, Model, ModelHold, START_MS, encoded};
use crate::index::normalise;
use crate::state::requests::Remembered;
use crate::state::tests::list;
use crate::state::{
    AddCodesRequest, CodesRequest, ConfirmRequest, CreateCampaignRequest, Drawn, GenerateRequest, HoldRequest, Mutation,
    NamedHold, RedeemRequest, RefundRequest,
};

/// Few codes, clubs and clients, so that they interact; in odd spelling, so that normalisation matters.
const TEXTS: [&str; 16] = ["a", "A", " a ", "B", "b", "c", "d", "e", "E ", "f", "g", "h", "i", "", "in side", "A B"];

/// Enough campaigns for codes to move between them.
const CAMPAIGNS_MAX: usize = 7;

/// Mostly the first one, which exists.
pub(super) fn some_club(random: &mut fastrand::Rng) -> u32 {
    [0, 1, 1, 1, 1, 2, 2, 3][random.usize(..8)]
}

pub(super) fn some_clubs(random: &mut fastrand::Rng) -> Vec<ClubId> {
    let count = [0, 0, 1, 2][random.usize(..4)];
    (0..count).map(|_| ClubId(random.u32(..5).max(random.u32(..3)))).collect()
}

/// Most often one of the first.
fn some_text(random: &mut fastrand::Rng) -> &'static str {
    TEXTS[random.usize(..TEXTS.len()).min(random.usize(..TEXTS.len()))]
}

fn some_texts(random: &mut fastrand::Rng, most: usize) -> Vec<&'static str> {
    (0..random.usize(..=most)).map(|_| TEXTS[random.usize(..TEXTS.len())]).collect()
}

/// One of a few clients, others later: clients with full accounts are of no further use.
pub(super) fn some_client(random: &mut fastrand::Rng, number: u64) -> u128 {
    random.u128(1..5) + 4 * u128::from(number / 400)
}

/// Within a range of milliseconds from now.
fn some_time(random: &mut fastrand::Rng, model: &Model, from_now_ms: std::ops::Range<i64>) -> Option<u64> {
    let around = model.now_ms.max(START_MS).saturating_add_signed(random.i64(from_now_ms));
    [None, None, Some(around)][random.usize(..3)]
}

fn some_cap(random: &mut fastrand::Rng) -> Option<u32> {
    [None, Some(1), Some(1), Some(2), Some(3), Some(9), Some(random.u32(..3))][random.usize(..7)]
}

/// A limit other than the cap of a code.
fn some_limit<T>(random: &mut fastrand::Rng, some: impl Fn(&mut fastrand::Rng) -> T) -> Option<T> {
    (random.u32(..3) == 0).then(|| some(random))
}

fn some_terms(random: &mut fastrand::Rng, model: &Model) -> Terms {
    Terms {
        name: if random.u32(..20) == 0 { "" } else { ["a campaign", "another"][random.usize(..2)] }.to_owned(),
        amount: Model::some_amount(random),
        clubs: some_clubs(random),
        starts_ms: some_time(random, model, -3_000..1_000),
        ends_ms: some_time(random, model, -1_000..3_000),
        enforce_period: random.u32(..3) == 0,
        activations_per_code_max: some_cap(random),
        activations_per_client_max: some_limit(random, |random| random.u32(..4)),
        activations_max: some_limit(random, |random| random.u64(..12)),
        budget: some_limit(random, |random| Money(random.i64(-100..1_500))),
        low_stock: random.bool().then(|| random.u32(..4)),
        active: random.u32(..6) > 0,
    }
}

fn some_update(random: &mut fastrand::Rng, model: &Model, campaign: u32) -> UpdateCampaign {
    let terms = some_terms(random, model);
    let mut update = UpdateCampaign { campaign: CampaignId(campaign), ..UpdateCampaign::default() };
    let mut request = |one_in: u32| random.u32(..one_in) == 0;
    update.name = request(4).then_some(terms.name);
    update.amount = request(2).then_some(terms.amount);
    update.clubs = request(4).then_some(terms.clubs);
    update.starts_ms = request(4).then_some(terms.starts_ms);
    update.ends_ms = request(4).then_some(terms.ends_ms);
    update.enforce_period = request(4).then_some(terms.enforce_period);
    let cap = terms.activations_per_code_max;
    update.activations_per_code_max = request(2).then_some(cap);
    update.activations_per_client_max = request(2).then_some(terms.activations_per_client_max);
    update.activations_max = request(2).then_some(terms.activations_max);
    update.budget = request(2).then_some(terms.budget);
    update.low_stock = request(4).then_some(terms.low_stock);
    update
}

/// A hold, existing or not.
fn some_hold(random: &mut fastrand::Rng, model: &Model) -> NamedHold {
    let hold = match model.holds.len() {
        0 => Position(random.u64(..9)),
        holds => match random.u32(..12) {
            0 => Position(random.u64(..model.position + 2)),
            1..4 => model.holds[random.usize(..holds)].hold,
            // An expired one, which has the most possible outcomes.
            4..8 => {
                let expired = |hold: &&ModelHold| hold.end.is_none() && hold.expires_ms <= model.now_ms;
                let expired: Vec<&ModelHold> = model.holds.iter().rev().take(20).filter(expired).collect();
                random.choice(expired).unwrap_or(&model.holds[holds - 1]).hold
            }
            // Mostly a young one, which may be open.
            _ => model.holds[random.usize(holds.saturating_sub(4)..holds)].hold,
        },
    };
    NamedHold { hold, anyones: random.bool() }
}

/// An activation, existing or not, as a lane finds it in the journal.
fn some_refund(random: &mut fastrand::Rng, model: &Model, bench: &Bench) -> RefundRequest {
    let activation = match model.activations.len() {
        activations if activations > 0 && random.u32(..8) > 0 => {
            // Mostly one that was not refunded, so that amounts also fall.
            let drawn = std::iter::repeat_with(|| &model.activations[random.usize(..activations)]).take(3);
            let drawn: Vec<_> = drawn.collect();
            drawn.iter().find(|one| !one.refunded).unwrap_or(&drawn[0]).position
        }
        _ => random.u64(..model.position + 2),
    };
    let record = (activation as usize).checked_sub(1).and_then(|at| bench.records.get(at)).map(|(_, record)| record);
    let found = if let Some(Record::Activation(activation)) = record {
        Some(activation.clone())
    } else if let Some(Record::HoldConfirmed(confirmed)) = record {
        Some(confirmed.activation.clone())
    } else {
        None
    };
    let kept_from = some_kept_from(random, model);
    RefundRequest { activation: Position(activation), found, kept_from, anyones: random.bool(), force: random.bool() }
}

/// The top-up that a request names, and its client: mostly none.
fn some_top_up_named(random: &mut fastrand::Rng, model: &Model, bench: &Bench) -> (Position, Option<ClientId>) {
    if random.u32(..6) > 0 {
        return (Position(0), None);
    }
    let top_up = some_position(random, model, |at| model.top_ups[at].position, model.top_ups.len());
    let found: Option<ToppedUp> = record_at(bench, top_up).and_then(|record| record.try_into().ok());
    (top_up, found.map(|top_up| top_up.client))
}

/// Where the journal begins: rarely after its first record.
pub(super) fn some_kept_from(random: &mut fastrand::Rng, model: &Model) -> Position {
    Position(if random.u32(..16) == 0 { random.u64(1..=model.position) } else { 1 })
}

fn some_grant(random: &mut fastrand::Rng) -> Grant {
    let role = Role::ALL[random.usize(..Role::ALL.len())];
    let clubs = if role == Role::Gateway || random.u32(..4) == 0 { some_clubs(random) } else { Vec::new() };
    let secret = [random.u8(..60); 32];
    Grant {
        name: if random.u32(..8) == 0 { "" } else { "somebody" }.to_owned(),
        role,
        clubs,
        reasons: random.bool(),
        secret: if random.bool() { Secret::Token(secret) } else { Secret::Certificate(secret) },
    }
}

/// A random request of a credential, with the model's answer.
pub(super) fn some_request(
    random: &mut fastrand::Rng,
    model: &mut Model,
    bench: &Bench,
    by: u32,
    number: u64,
) -> (Mutation, Remembered) {
    model.position += 1;
    model.posted.clear();
    let on_conflict = if random.bool() { OnConflict::Skip } else { OnConflict::Reject };
    let of_hold = model.holds.iter().rev().take(6).map(|hold| hold.at.0 as u32 + 1).collect::<Vec<_>>();
    let campaign = match random.u32(..4) {
        // One with held uses, so that confirmations meet changed conditions.
        0 if !of_hold.is_empty() => of_hold[random.usize(..of_hold.len())],
        _ => random.u32(..model.campaigns.len() as u32 + 2).max(random.u32(..2)),
    };
    // First something to redeem, and where.
    let which = match number {
        0..2 => 0,
        2..5 => 1,
        _ => random.u32(..49 + SHARES + READERS),
    };
    match which {
        0 => {
            let name = format!("club {}", random.u32(..5));
            let outcome = match model.clubs.iter().position(|other| *other == name) {
                Some(at) => RegisterClubOutcome::NameTaken(ClubId(at as u32 + 1)),
                None => {
                    model.clubs.push(name.clone());
                    RegisterClubOutcome::Registered(ClubId(model.clubs.len() as u32))
                }
            };
            (Mutation::RegisterClub(RegisterClub { name }), encoded::<RegisterClub>(&outcome))
        }
        1 | 44 => {
            let mut terms = some_terms(random, model);
            if model.campaigns.len() >= CAMPAIGNS_MAX {
                terms.amount = Money(0);
            }
            let valid = [TEXTS.len(), TEXTS.len() - 3][random.usize(..2)];
            let texts: Vec<_> = (0..random.usize(..12)).map(|_| TEXTS[random.usize(..valid)]).collect();
            let outcome = model.create(&terms, &texts, on_conflict);
            let request = CreateCampaignRequest { terms, list: list(texts), on_conflict };
            (Mutation::CreateCampaign(Box::new(request)), encoded::<CreateCampaign>(&outcome))
        }
        2 | 3 => {
            let texts = some_texts(random, 6);
            let request_for = |campaign: Option<u32>| AddCodesRequest {
                campaign: campaign.map(CampaignId),
                list: list(texts.iter().copied()),
                on_conflict,
            };
            // The dry run first, for this campaign or a new one.
            let tried = random.bool().then_some(campaign);
            let expected = model.tried(tried, &texts, on_conflict);
            assert_eq!(bench.state.try_codes(&request_for(tried), &bench.index), expected);
            let outcome = model.add(campaign, &texts, on_conflict);
            (Mutation::AddCodes(Box::new(request_for(Some(campaign)))), encoded::<AddCodes>(&outcome))
        }
        4 => {
            let active = random.u32(..3) > 0;
            let outcome = match model.known_campaign(campaign) {
                Some(at) => {
                    model.campaigns[at].terms.active = active;
                    SwitchCampaignOutcome::Switched { active }
                }
                None => SwitchCampaignOutcome::UnknownCampaign,
            };
            let request = SwitchCampaign { campaign: CampaignId(campaign), active };
            (Mutation::SwitchCampaign(request), encoded::<SwitchCampaign>(&outcome))
        }
        5..=9 | 48 => {
            let (client, club, text) = (some_client(random, number), some_club(random), some_text(random));
            let ttl_ms = [1_000, 1_000, 1_100, 1_500, 3_000, HOLD_TTL_MAX_MS, 999, HOLD_TTL_MAX_MS + 1][random.usize(..8)];
            let outcome = model.hold(by, client, club, text, ttl_ms);
            let redeem = RedeemRequest {
                client: ClientId(client),
                club: ClubId(club),
                code: normalise(text),
                top_up: Position(0),
                is_their_top_up: true,
            };
            (Mutation::Hold(Box::new(HoldRequest { redeem, ttl_ms })), encoded::<Hold>(&outcome))
        }
        10..=12 | 45 | 46 => {
            let named = some_hold(random, model);
            let (top_up, top_up_of) = some_top_up_named(random, model, bench);
            let outcome = model.confirm(by, &named, top_up);
            (Mutation::Confirm(ConfirmRequest { hold: named, top_up, top_up_of }), encoded::<Confirm>(&outcome))
        }
        13 => {
            let named = some_hold(random, model);
            let outcome = model.release(by, &named);
            (Mutation::Release(named), encoded::<Release>(&outcome))
        }
        14 | 15 => {
            let request = some_update(random, model, campaign);
            let outcome = model.update(&request);
            (Mutation::UpdateCampaign(Box::new(request)), encoded::<UpdateCampaign>(&outcome))
        }
        16 => {
            let outcome = model.archive(campaign);
            (Mutation::ArchiveCampaign(CampaignId(campaign)), encoded::<ArchiveCampaign>(&outcome))
        }
        17..=19 => {
            let outcome = model.restore(campaign);
            (Mutation::RestoreCampaign(CampaignId(campaign)), encoded::<RestoreCampaign>(&outcome))
        }
        20 => {
            let texts = some_texts(random, 4);
            let outcome = model.archive_codes(campaign, &texts);
            let request = CodesRequest { campaign: CampaignId(campaign), list: list(texts) };
            (Mutation::ArchiveCodes(Box::new(request)), encoded::<ArchiveCodes>(&outcome))
        }
        21 | 22 => {
            let texts = some_texts(random, 6);
            let outcome = model.restore_codes(campaign, &texts);
            let request = CodesRequest { campaign: CampaignId(campaign), list: list(texts) };
            (Mutation::RestoreCodes(Box::new(request)), encoded::<RestoreCodes>(&outcome))
        }
        23 => some_generation(random, model, campaign),
        24..=27 => {
            let request = some_refund(random, model, bench);
            let outcome = model.refund(by, &request);
            (Mutation::Refund(Box::new(request)), encoded::<Refund>(&outcome))
        }
        47 => {
            let grant = some_grant(random);
            let outcome = model.add_credential(&grant);
            (Mutation::AddCredential(Box::new(AddCredential { grant })), encoded::<AddCredential>(&outcome))
        }
        28 => {
            let credential = random.u32(..model.credentials.len() as u32 + 2);
            let outcome = model.revoke(credential);
            let request = RevokeCredential { credential: CredentialId(credential) };
            (Mutation::RevokeCredential(request), encoded::<RevokeCredential>(&outcome))
        }
        29 => {
            let (client, name) = (some_client(random, number), "Ann".to_owned());
            let outcome = RegisterClientOutcome::Registered { new: !model.clients.contains_key(&client) };
            model.clients.entry(client).or_default();
            (Mutation::RegisterClient(RegisterClient { client: ClientId(client), name }), encoded::<RegisterClient>(&outcome))
        }
        30..44 => {
            let (client, club, text) = (some_client(random, number), some_club(random), some_text(random));
            let (top_up, top_up_of) = some_top_up_named(random, model, bench);
            let outcome = model.redeem(by, client, club, text, top_up);
            let is_their_top_up = top_up == Position(0) || top_up_of == Some(ClientId(client));
            let (code, client, club) = (normalise(text), ClientId(client), ClubId(club));
            let request = RedeemRequest { client, club, code, top_up, is_their_top_up };
            (Mutation::Redeem(request), Remembered::Redeem(outcome))
        }
        which if which < 49 + SHARES => some_operation(random, model, bench, by, number),
        _ => some_reader(random, model, by),
    }
}

/// From few codes, so that they collide; or from an invalid pattern.
fn some_generation(random: &mut fastrand::Rng, model: &mut Model, campaign: u32) -> (Mutation, Remembered) {
    let count = [0, 1, 1, 1, 2, 2, u32::MAX][random.usize(..7)];
    let space = [0, 5_999_999, 6_000_000, 60_000_000, u64::MAX.into()][random.usize(..5)];
    let (existing, texts) = (random.u64(..3), some_texts(random, 16));
    let request = |drawn| Mutation::GenerateCodes(Box::new(GenerateRequest { campaign: CampaignId(campaign), count, drawn }));
    if random.u32(..8) == 0 {
        // Checks before the pattern first; then nothing else.
        let outcome = model.generate(campaign, count, (0, 0), &[]);
        let before = [Outcome::UnknownCampaign, Outcome::CampaignArchived, Outcome::InvalidCount].contains(&outcome);
        let outcome = if before { outcome } else { Outcome::InvalidPattern(InvalidPattern::NothingDrawn) };
        return (request(Err(InvalidPattern::NothingDrawn)), encoded::<GenerateCodes>(&outcome));
    }
    let outcome = model.generate(campaign, count, (space, existing), &texts);
    (request(Ok(Drawn { space, existing, list: list(texts) })), encoded::<GenerateCodes>(&outcome))
}
