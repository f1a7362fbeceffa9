//! What is held is added up by the time of expiry, and equals a recount of all holds at any later time.

use scrip_protocol::command::{
    Activation, CampaignArchived, CampaignRestored, CampaignUpdated, CodeHeld, CodesArchived, CodesRestored, CredentialRevoked,
    HoldConfirmed, HoldReleased, Terms,
};
use scrip_protocol::record::SettingsSet;
use scrip_protocol::{CampaignId, ClientId, ClubId, CredentialId, Money, Position, Record, Settings, Stamp};
use scrip_reporting::figures::of_campaign;
use scrip_reporting::read_model::Readers;

use crate::support::recount::Recount;
use crate::support::synthetic::{BEGAN_MS, Journal, activation, created, refunded, stamp};
use crate::support::{model_files, seed, tables};

const CAMPAIGN: CampaignId = CampaignId(1);
const CODES: u32 = 4;

/// A campaign whose codes are held, activated, refunded, archived and limited at random.
struct Site {
    random: fastrand::Rng,
    journal: Journal,
    now_ms: u64,
    number: u64,
    balance: i64,
    /// Holds that did not end: position, slot.
    open: Vec<(Position, u32)>,
    activations: Vec<(Position, Activation)>,
    archived: Vec<u32>,
    is_campaign_archived: bool,
}

/// A time below one of these.
fn some_time(random: &mut fastrand::Rng, most: [u64; 3]) -> u64 {
    let most = most[random.usize(..3)];
    random.u64(..most)
}

impl Site {
    fn activation(&mut self, slot: u32) -> Activation {
        self.balance += 1;
        activation(self.number, 9, 1, slot, 1, self.balance)
    }

    fn record(&mut self, at: Position) -> Record {
        self.number += 1;
        let (number, stamp, slot) = (self.number, stamp(self.number), self.random.u32(..CODES));
        match self.random.u32(..14) {
            0..6 => {
                let amount = Money([500, 0, i64::MAX, 1 << 33][self.random.usize(..4)]);
                let expires_ms = self.now_ms + 1 + some_time(&mut self.random, [2, 3_000, 3_000_000]);
                let (client, club, credential) = (ClientId(9), ClubId(1), CredentialId(self.random.u32(1..200)));
                self.open.push((at, slot));
                let stamp = Stamp { credential, ..stamp };
                CodeHeld { stamp, client, club, campaign: CAMPAIGN, slot, amount, expires_ms }.into()
            }
            6 if !self.open.is_empty() => {
                let (hold, _) = self.open.swap_remove(self.random.usize(..self.open.len()));
                HoldReleased { stamp, hold }.into()
            }
            7 if !self.open.is_empty() => {
                let (hold, slot) = self.open.swap_remove(self.random.usize(..self.open.len()));
                HoldConfirmed { hold, activation: self.activation(slot) }.into()
            }
            8 => {
                let activation = self.activation(slot);
                self.activations.push((at, activation.clone()));
                activation.into()
            }
            9 if !self.activations.is_empty() => {
                let (at, activation) = self.activations.swap_remove(self.random.usize(..self.activations.len()));
                refunded(number, &activation, at, 0, 1)
            }
            10 if self.archived.contains(&slot) => {
                self.archived.retain(|other| *other != slot);
                CodesRestored { stamp, campaign: CAMPAIGN, slots: vec![slot], skipped: Vec::new() }.into()
            }
            10 => {
                self.archived.push(slot);
                CodesArchived { stamp, campaign: CAMPAIGN, slots: vec![slot], skipped: Vec::new() }.into()
            }
            11 => {
                let activations_per_code_max = [None, Some(1), Some(2), Some(3)][self.random.usize(..4)];
                let terms = Terms { activations_per_code_max, budget: Some(Money(i64::MAX)), ..Terms::new("Autumn", Money(500)) };
                CampaignUpdated { stamp, campaign: CAMPAIGN, terms }.into()
            }
            12 if self.is_campaign_archived => {
                self.is_campaign_archived = false;
                let conflicts = if self.archived.contains(&0) { vec![] } else { vec![0] };
                CampaignRestored { stamp, campaign: CAMPAIGN, restored: 1, conflicts, first: Vec::new() }.into()
            }
            12 => {
                self.is_campaign_archived = true;
                CampaignArchived { stamp, campaign: CAMPAIGN, codes: CODES }.into()
            }
            _ => CredentialRevoked { stamp, credential: CredentialId(number as u32) }.into(),
        }
    }
}

/// Z1: whatever happens to the codes and holds of a campaign, and whatever shares a transaction.
#[test]
fn what_is_held_at_a_time_equals_a_recount() {
    let mut random = fastrand::Rng::with_seed(seed());
    for _ in 0..4 {
        let mut site = Site {
            random: random.fork(),
            journal: Journal::default(),
            now_ms: BEGAN_MS,
            number: 0,
            balance: 0,
            open: Vec::new(),
            activations: Vec::new(),
            archived: Vec::new(),
            is_campaign_archived: false,
        };
        let terms = Terms { activations_per_code_max: Some(1), ..Terms::new("Autumn", Money(500)) };
        site.journal.batch(0, &[SettingsSet::new(Settings::default()).into(), created(1, terms, &["a", "b", "c", "d"])]);
        for _ in 0..60 {
            site.now_ms += some_time(&mut random, [2, 2_000, 1_000_000]);
            let first = site.journal.newest().0 + 1;
            let records: Vec<Record> = (first..first + random.u64(1..5)).map(|at| site.record(Position(at))).collect();
            site.journal.batch(site.now_ms - BEGAN_MS, &records);
        }
        let (batches, recount) = (&site.journal.batches, Recount::of(&site.journal.batches));
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("read-model.sqlite");
        let mut sizes = random.fork();
        let applied = |model: &scrip_reporting::read_model::ReadModel| {
            let past = recount.at(model.cursor().position);
            tables::compare(&model_files::look(&path), &past, "the tables");
            for _ in 0..6 {
                let now_ms = past.end.time_ms + some_time(&mut random, [2, 3_000, 4_000_000]);
                let figures = Readers::new(&path).view_at(now_ms, |view| of_campaign(view, CAMPAIGN));
                let figures = figures.expect("it can be read").expect("it was created");
                let counted = past.counters_at(CAMPAIGN, now_ms).expect("it was created");
                let found = (figures.held, figures.codes_redeemable, figures.low_stock);
                assert_eq!(found, (counted.held, counted.codes_redeemable, counted.low_stock), "at {now_ms}");
            }
            // Sometimes what is in memory is lost.
            !random.bool()
        };
        let mut applied = applied;
        while model_files::open(&path).cursor() != recount.end() {
            model_files::apply(&mut model_files::open(&path), batches, || sizes.usize(1..6), &mut applied);
        }
    }
}
