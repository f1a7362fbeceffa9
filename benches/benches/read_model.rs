//! How fast the read model applies activations, and how fast a campaign's page is read from it afterwards.
//!
//! `cargo bench -p scrip-benches --bench read_model -- 10000000`
//!
//! A journal of that many activations is built in memory as an engine under load would write it: batches of 128 KiB, each code
//! activated once, 100,000 clients. It is applied in transactions of as many batches as a follower that lags behind gives it. The
//! codes come in the order of campaigns (`in order`), or from all campaigns at random (`scattered`), where every transaction
//! changes pages all over the file.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::path::Path;
use std::time::{Duration, Instant};

use scrip_protocol::batch::{BatchBuilder, ChainEnd};
use scrip_protocol::command::{Activation, CampaignCreated, ClubRegistered, CodeTexts, Terms};
use scrip_protocol::record::SettingsSet;
use scrip_protocol::{CampaignId, ClientId, ClubId, CredentialId, Money, Position, Record, RequestId, Settings, Stamp};
use scrip_reporting::figures;
use scrip_reporting::follow::RECORDS_AT_ONCE;
use scrip_reporting::read_model::{ReadModel, Readers};

const CODES_PER_CAMPAIGN: u64 = 50_000;
const CLIENTS: u64 = 100_000;
const BATCH_BYTES: usize = 128 << 10;
/// When the journal begins, in milliseconds since 1970, and how many activations a millisecond has.
const BEGAN_MS: u64 = 1_790_000_000_000;
const A_MILLISECOND: u64 = 300;

fn main() {
    let sizes: Vec<u64> = std::env::args().skip(1).filter_map(|size| size.parse().ok()).collect();
    // Cargo's own tests of benches, and a run of all benches, give no size.
    if sizes.is_empty() {
        println!(
            "read_model: give the numbers of activations, as in: cargo bench -p scrip-benches --bench read_model -- 1000000"
        );
    }
    for activations in sizes {
        for scattered in [false, true] {
            measure(activations, scattered);
        }
    }
}

fn measure(activations: u64, scattered: bool) {
    let dir = tempfile::tempdir().expect("there is room for temporary files");
    let path = dir.path().join("read-model.sqlite");
    let mut model = ReadModel::open(&path).expect("it is new").expect("it is of this version");
    let mut journal = Journal::new(activations, scattered);
    let began = Instant::now();
    model.apply(&journal.beginning()).expect("the chain is whole");
    let imported = began.elapsed();
    let (mut took, mut slowest) = (Duration::ZERO, Duration::ZERO);
    while let Some(batches) = journal.some(RECORDS_AT_ONCE) {
        let began = Instant::now();
        model.apply(&batches).expect("the chain is whole");
        took += began.elapsed();
        slowest = slowest.max(began.elapsed());
    }
    let order = if scattered { "scattered" } else { "in order" };
    let a_second = |count: u64, took: Duration| (count as f64 / took.as_secs_f64()) as u64;
    println!("{activations} activations, {order}");
    println!("  codes imported: {}/s", a_second(activations, imported));
    println!("  activations applied: {}/s; slowest transaction {slowest:.1?}", a_second(activations, took));
    println!("  the file has {} bytes for each activation and its code", bytes(dir.path()) / activations);
    if false {
        page(&path);
    }
}

fn bytes(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).expect("it is there").map(|file| file.and_then(|file| file.metadata()));
    files.map(|file| file.expect("it is there").len()).sum()
}

/// The counters of a campaign: the first query of a reader, and the following ones.
fn page(path: &Path) {
    let readers = Readers::new(path);
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..101 {
        let began = Instant::now();
        let found = readers.view(|view| figures::of_campaign(view, CampaignId(1))).expect("it can be read");
        times.push(began.elapsed());
        assert_eq!(found.map(|of| of.codes_activated), Some(CODES_PER_CAMPAIGN));
    }
    let first = times[0];
    times.sort_unstable();
    println!("  counters of a campaign: first {first:.1?}, then {:.1?} at the median", times[50]);
}

/// A journal under construction.
struct Journal {
    chain: ChainEnd,
    activations: u64,
    done: u64,
    scattered: bool,
    random: fastrand::Rng,
}

impl Journal {
    fn new(activations: u64, scattered: bool) -> Journal {
        let whole = activations.next_multiple_of(CODES_PER_CAMPAIGN);
        Journal { chain: ChainEnd::default(), activations: whole, done: 0, scattered, random: fastrand::Rng::with_seed(1) }
    }

    fn stamp(&mut self, ms: u64) -> Stamp {
        let request = RequestId::from_parts(ms, std::array::from_fn(|_| self.random.u8(..)));
        Stamp { request, body: 1, credential: CredentialId(1) }
    }

    fn sealed(&mut self, ms: u64, records: &[Record]) -> Vec<u8> {
        let mut batch = BatchBuilder::new(ms);
        records.iter().for_each(|record| batch.push(record));
        batch.seal(&mut self.chain)
    }

    fn beginning(&mut self) -> Vec<Vec<u8>> {
        let ms = BEGAN_MS;
        let settings = SettingsSet::new(Settings::default());
        let club = ClubRegistered { stamp: self.stamp(ms), club: ClubId(1), name: "Arena".into() };
        let mut batches = vec![self.sealed(ms, &[settings.into(), club.into()])];
        for campaign in 0..self.activations / CODES_PER_CAMPAIGN {
            let codes: CodeTexts = (0..CODES_PER_CAMPAIGN).map(|n| format!("SUMMER-{campaign:04}-{n:06}")).collect();
            let (stamp, skipped) = (self.stamp(ms), Vec::new());
            let terms = Terms { activations_per_code_max: Some(1), ..Terms::new("Summer", Money(500)) };
            let campaign = CampaignId(campaign as u32 + 1);
            batches.push(self.sealed(ms, &[CampaignCreated { stamp, campaign, terms, codes, skipped }.into()]));
        }
        batches
    }

    /// The next batches, with about that many records; none at the end.
    fn some(&mut self, records: usize) -> Option<Vec<Vec<u8>>> {
        let (mut batches, until) = (Vec::new(), self.done + records as u64);
        while self.done < until.min(self.activations) {
            let ms = BEGAN_MS + self.done / A_MILLISECOND;
            let mut batch = BatchBuilder::with_room(ms, BATCH_BYTES);
            while batch.len() < BATCH_BYTES - 256 && self.done < self.activations {
                // A step coprime to the number of codes visits each code once.
                let step = if self.scattered { 7_368_787 } else { 1 };
                let code = (u128::from(self.done) * step % u128::from(self.activations)) as u64;
                let (client, stamp) = (self.random.u64(..CLIENTS), self.stamp(ms));
                let activation = Activation {
                    stamp,
                    client: ClientId(client.into()),
                    club: ClubId(1),
                    campaign: CampaignId((code / CODES_PER_CAMPAIGN) as u32 + 1),
                    slot: (code % CODES_PER_CAMPAIGN) as u32,
                    amount: Money(500),
                    balance: Money(1_000),
                    top_up: Position(0),
                };
                batch.push(&activation.into());
                self.done += 1;
            }
            batches.push(batch.seal(&mut self.chain));
        }
        Some(batches).filter(|batches| !batches.is_empty())
    }
}
