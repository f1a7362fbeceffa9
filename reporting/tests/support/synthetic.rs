//! Journals made without an engine, with values that one would rarely reach: extreme amounts and times, empty and long names,
//! codes of 64 bytes, campaigns and clients without any activity, and positions past a stretch.

use scrip_protocol::batch::{BatchBuilder, ChainEnd};
use scrip_protocol::command::{
    Activation, ActivationRefunded, BonusChanged, BonusOperation, CampaignArchived, CampaignCreated, CampaignRestored,
    ClientRegistered, ClubRegistered, CodeHeld, CodesAdded, HoldConfirmed, Refunded, Terms,
};
use scrip_protocol::record::SettingsSet;
use scrip_protocol::{CampaignId, ClientId, ClubId, CredentialId, Executor, Money, Position, Record, RequestId, Settings, Stamp};

/// A journal being made.
#[derive(Default)]
pub(crate) struct Journal {
    chain: ChainEnd,
    pub(crate) batches: Vec<Vec<u8>>,
}

/// The time of the first batch.
pub(crate) const BEGAN_MS: u64 = 1_790_000_000_000;

impl Journal {
    /// A journal that continues another.
    pub(crate) fn after(chain: ChainEnd) -> Journal {
        Journal { chain, batches: Vec::new() }
    }

    /// Appends a batch, written so many milliseconds after the first.
    pub(crate) fn batch(&mut self, after_ms: u64, records: &[Record]) {
        let mut batch = BatchBuilder::new(BEGAN_MS + after_ms);
        records.iter().for_each(|record| batch.push(record));
        self.batches.push(batch.seal(&mut self.chain));
    }

    /// The position of the newest record.
    pub(crate) fn newest(&self) -> Position {
        self.chain.position
    }
}

/// A unique stamp.
pub(crate) fn stamp(number: u64) -> Stamp {
    let request = RequestId::from_parts(BEGAN_MS, [0; 10]);
    Stamp { request: RequestId(request.0 + u128::from(number)), body: u64::MAX, credential: CredentialId(u32::MAX) }
}

pub(crate) fn created(campaign: u32, terms: Terms, codes: &[&str]) -> Record {
    let (stamp, codes) = (stamp(1_000_000 + u64::from(campaign)), codes.iter().collect());
    CampaignCreated { stamp, campaign: CampaignId(campaign), terms, codes, skipped: Vec::new() }.into()
}

pub(crate) fn activation(number: u64, client: u128, campaign: u32, slot: u32, amount: i64, balance: i64) -> Activation {
    Activation {
        stamp: stamp(number),
        client: ClientId(client),
        club: ClubId(1),
        campaign: CampaignId(campaign),
        slot,
        amount: Money(amount),
        balance: Money(balance),
        top_up: Position(0),
    }
}

pub(crate) fn refunded(number: u64, of: &Activation, at: Position, taken: i64, uncollected: i64) -> Record {
    let (client, taken, uncollected) = (of.client, Money(taken), Money(uncollected));
    let refunded = Refunded { client, taken, uncollected, balance: Money(of.balance.0 - taken.0) };
    ActivationRefunded { stamp: stamp(number), activation: at, campaign: of.campaign, slot: of.slot, refunded }.into()
}

/// Operations of a few clients around a position at which stretches end, in a journal that continues another.
pub(crate) fn around(before: ChainEnd) -> Vec<Vec<u8>> {
    let mut journal = Journal::after(before);
    let club = ClubRegistered { stamp: stamp(1), club: ClubId(1), name: "Club".to_owned() };
    let codes: Vec<String> = (0..12).map(|code| format!("code-{code}")).collect();
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    journal.batch(0, &[club.into(), created(1, Terms::new("A campaign", Money(500)), &codes)]);
    for slot in 0..12 {
        let redeemed = activation(100 + u64::from(slot), u128::from(slot % 3), 1, slot, 500, 500 * i64::from(slot / 3 + 1));
        journal.batch(u64::from(slot), &[redeemed.into()]);
    }
    journal.batches
}

/// A journal of extreme values, each permitted by a campaign's terms or a command.
pub(crate) fn extremes() -> Vec<Vec<u8>> {
    let mut journal = Journal::default();
    let club = ClubRegistered { stamp: stamp(1), club: ClubId(1), name: "К".repeat(100) };
    journal.batch(0, &[SettingsSet::new(Settings::default()).into(), club.into()]);
    let largest = Terms {
        starts_ms: Some(0),
        ends_ms: Some(u64::MAX),
        activations_per_code_max: Some(u32::MAX),
        activations_per_client_max: Some(u32::MAX),
        activations_max: Some(u64::MAX),
        budget: Some(Money(i64::MAX)),
        low_stock: Some(u32::MAX),
        ..Terms::new("\u{0}\u{1f}\"'\u{2028}", Money(i64::MAX))
    };
    let long = [&"x".repeat(64), &"Ж".repeat(32), "straße", "219E01BE", "0012"];
    journal.batch(0, &[created(1, largest, &long), created(2, Terms::new("nothing ever", Money(1)), &["unused"])]);
    let nobody = ClientRegistered { stamp: stamp(2), client: ClientId(u128::MAX), name: String::new(), new: true };
    journal.batch(1, &[nobody.into()]);
    // The largest amount, refunded, and credited again: the total credited exceeds 64 bits, the balance does not.
    for round in 0..3 {
        let whole = activation(10 + 2 * round, 1 << 63, 1, 0, i64::MAX, i64::MAX);
        journal.batch(900_000 * round, &[whole.clone().into()]);
        let at = journal.newest();
        journal.batch(900_000 * round + 1, &[refunded(11 + 2 * round, &whole, at, i64::MAX, 0)]);
    }
    // The part spent in the meantime is uncollected, and still counts for the campaign.
    let whole = activation(20, 77, 1, 1, i64::MAX, i64::MAX);
    journal.batch(5_000_000, &[whole.clone().into()]);
    let at = journal.newest();
    let spent = BonusChanged {
        stamp: stamp(21),
        operation: BonusOperation::WriteOff,
        executor: Executor::system(),
        client: whole.client,
        club: None,
        amount: Money(i64::MAX),
        balance: Money(0),
        comment: "\u{0}".to_owned(),
        tags: Vec::new(),
    };
    let gone = Activation { balance: Money(0), ..whole };
    journal.batch(5_000_001, &[spent.into(), refunded(22, &gone, at, 0, i64::MAX)]);
    // A hold with the largest expiry, confirmed across the end of a stretch of positions.
    let held = CodeHeld {
        stamp: stamp(40),
        client: ClientId(9),
        club: ClubId(1),
        campaign: CampaignId(2),
        slot: 0,
        amount: Money(1),
        expires_ms: u64::MAX >> 1,
    };
    journal.batch(6_000_000, &[held.into()]);
    let hold = journal.newest();
    for number in 0..3 {
        let name =
            |at: u64| ClientRegistered { stamp: stamp(100_000 + at), client: ClientId(3), name: format!("{at}"), new: at == 0 };
        journal.batch(6_000_000, &(2_000 * number..2_000 * (number + 1)).map(|at| name(at).into()).collect::<Vec<_>>());
    }
    let confirmed = HoldConfirmed { hold, activation: activation(41, 9, 2, 0, 1, 1) };
    journal.batch(40_000_000_000, &[confirmed.into()]);
    // Archived and restored with everything in conflict, twice, and nothing added.
    let campaign = CampaignId(1);
    for round in 0..2 {
        let conflicts = vec![0, 2, 4];
        let archived = CampaignArchived { stamp: stamp(50 + 3 * round), campaign, codes: 5 };
        let restored = CampaignRestored { stamp: stamp(51 + 3 * round), campaign, restored: 2, conflicts, first: Vec::new() };
        let nothing = CodesAdded { stamp: stamp(52 + 3 * round), campaign, codes: Default::default(), skipped: Vec::new() };
        journal.batch(40_000_000_001 + round, &[archived.into(), restored.into(), nothing.into()]);
    }
    journal.batches
}
