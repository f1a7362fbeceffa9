//! Shared by the benchmarks: an organisation of a given size, and requests to it.
//!
//! `cargo bench -p scrip-benches` runs them all; `cargo bench -p scrip-benches --bench index` runs one. They show which function
//! is slow; `scrip loadtest` measures the whole engine.

use scrip_core::index::{Index, normalise, trim};
use scrip_core::state::{AddCodesRequest, CodeList, CreateCampaignRequest, HoldRequest, Mutation, RedeemRequest, State};
use scrip_protocol::command::{Activation, HOLD_TTL_MAX_MS, OnConflict, RedeemOutcome, RedemptionRefused, RegisterClub, Terms};
use scrip_protocol::record::SettingsSet;
use scrip_protocol::{CampaignId, ClientId, ClubId, CredentialId, Money, Position, Record, RequestId, Settings, Stamp};

/// The allocator of the program: with another one, tables lie on other pages and take other times.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The time at which everything happens.
pub const NOW_MS: u64 = 1_790_000_000_000;

/// An organisation with one club and one campaign with that many codes, `CODE-0` and so on, without a cap.
pub struct Organisation {
    /// Its state.
    pub state: State,
    /// Its index.
    pub index: Index,
    mutation: u64,
}

impl Organisation {
    /// Creates it.
    pub fn with_codes(codes: u32) -> Organisation {
        Organisation::with_terms(codes, Terms::new("Campaign", Money(1)))
    }

    /// Creates it with terms.
    pub fn with_terms(codes: u32, terms: Terms) -> Organisation {
        let mut state = State::default();
        let settings = Settings { codes_per_campaign_max: u32::MAX, ..Settings::default() };
        state.apply(NOW_MS, &SettingsSet::new(settings).into());
        let index = Index::of(&state);
        let mut organisation = Organisation { state, index, mutation: 0 };
        organisation.change(&Mutation::RegisterClub(RegisterClub { name: "Club".into() }));
        let mutation = CreateCampaignRequest { terms, list: list(0..codes), on_conflict: OnConflict::Reject };
        organisation.change(&Mutation::CreateCampaign(Box::new(mutation)));
        organisation
    }

    /// A new stamp.
    pub fn stamp(&mut self) -> Stamp {
        self.mutation += 1;
        stamp(self.mutation)
    }

    /// Admits, decides and applies a mutation and updates the index, as the engine thread does. Returns the record.
    pub fn change(&mut self, mutation: &Mutation) -> Record {
        let stamp = self.stamp();
        assert_eq!(self.state.admit(NOW_MS, &stamp, || mutation.kind()), scrip_core::state::requests::Admission::New);
        let record = self.state.decide(NOW_MS, stamp, mutation, &self.index);
        self.state.apply(NOW_MS, &record);
        self.index.follow(&self.state, &record);
        record
    }
}

/// The stamp of the `n`-th request.
pub fn stamp(n: u64) -> Stamp {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    Stamp { request: RequestId::from_parts(NOW_MS, random), body: n, credential: CredentialId(1) }
}

/// The record of a refusal of an unknown code.
pub fn refusal(stamp: Stamp) -> Record {
    let outcome = RedeemOutcome::UnknownCode;
    RedemptionRefused { stamp, client: ClientId(1), club: ClubId(1), code: "code".into(), outcome }.into()
}

/// A request to add a range of codes, `CODE-0000000` and so on, to the first campaign.
pub fn add_codes(numbers: std::ops::Range<u32>) -> Mutation {
    let list = list(numbers);
    Mutation::AddCodes(Box::new(AddCodesRequest { campaign: Some(CampaignId(1)), list, on_conflict: OnConflict::Reject }))
}

fn list(numbers: std::ops::Range<u32>) -> CodeList {
    CodeList::prepare(&numbers.map(code).collect(), 1, trim, normalise)
}

/// The text of a code.
pub fn code(number: u32) -> String {
    format!("CODE-{number:07}")
}

/// A request to redeem a code.
pub fn redeem(number: u32) -> Mutation {
    Mutation::Redeem(redemption(number))
}

/// A request to hold a code.
pub fn hold(number: u32) -> Mutation {
    Mutation::Hold(Box::new(HoldRequest { redeem: redemption(number), ttl_ms: HOLD_TTL_MAX_MS }))
}

fn redemption(number: u32) -> RedeemRequest {
    let client = ClientId(u128::from(number % 100_000));
    RedeemRequest { client, club: ClubId(1), code: normalise(&code(number)), top_up: Position(0), is_their_top_up: true }
}

/// The record of an activation.
pub fn activation() -> Activation {
    Activation {
        stamp: Stamp { request: RequestId(1), body: 2, credential: CredentialId(3) },
        client: ClientId(4),
        club: ClubId(5),
        campaign: CampaignId(6),
        slot: 7,
        amount: Money(8),
        balance: Money(9),
        top_up: Position(0),
    }
}
