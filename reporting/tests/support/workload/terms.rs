//! Random contents of requests: few codes, clubs and clients, so that they collide, in odd spellings.

use fastrand::Rng;
use scrip_protocol::command::{Note, Terms};
use scrip_protocol::{ClientId, ClubId, Money, TopUpSource, unix_time_ms};

/// Numbers, including the largest SQLite INTEGER and the next ones, and UUIDs.
pub(super) fn clients() -> Vec<ClientId> {
    let large = [u128::from(i64::MAX as u64), 1 << 63, (1 << 63) + 1, u128::from(u64::MAX), 1 << 64];
    let uuids = ["0190b6a0-7c1e-7d43-9a52-3f8d2f0b6c11", "ffffffff-ffff-ffff-ffff-ffffffffffff"];
    let uuids = uuids.iter().map(|text| text.parse().expect("a UUID"));
    [0, 1, 2, 3, 7, 42, 4_095, 4_096].into_iter().chain(large).map(ClientId).chain(uuids).collect()
}

/// One of a few hundred codes, in a random spelling.
pub(super) fn code(random: &mut Rng) -> String {
    let number = random.u32(..400).min(random.u32(..400));
    match random.u32(..12) {
        0 => format!(" code-{number}\t"),
        1 => format!("CODE-{number}"),
        2 => format!("лето-{number}"),
        3 => format!("ЛЕТО-{number}"),
        4 => format!("={number}+SUM(1)"),
        _ => format!("Code-{number}"),
    }
}

pub(super) fn money(random: &mut Rng) -> Money {
    Money([1, 50, 100, 333, 500, 1_250, 50_000][random.usize(..7)])
}

pub(super) fn clubs(random: &mut Rng, known: &[ClubId]) -> Vec<ClubId> {
    match random.u32(..4) {
        0 => (0..random.usize(1..3)).filter_map(|_| random.choice(known).copied()).collect(),
        _ => Vec::new(),
    }
}

/// An optional limit.
fn limit<T>(random: &mut Rng, one_in: u32, some: impl Fn(&mut Rng) -> T) -> Option<T> {
    (random.u32(..one_in) == 0).then(|| some(random))
}

/// Within some minutes from now.
fn time(random: &mut Rng, from_now_s: std::ops::Range<i64>) -> Option<u64> {
    limit(random, 3, |random| unix_time_ms().saturating_add_signed(1_000 * random.i64(from_now_s.clone())))
}

pub(super) fn terms(random: &mut Rng, known: &[ClubId]) -> Terms {
    let name = ["Summer", "Лето", "=HYPERLINK(\"x\")", "a \"quoted\"; name, \n", ""][random.usize(..5).min(random.usize(..6))];
    Terms {
        name: name.to_owned(),
        amount: money(random),
        clubs: clubs(random, known),
        starts_ms: time(random, -300..20),
        ends_ms: time(random, -10..600),
        enforce_period: random.u32(..8) == 0,
        activations_per_code_max: [None, None, Some(1), Some(1), Some(2), Some(3), Some(9)][random.usize(..7)],
        activations_per_client_max: limit(random, 5, |random| random.u32(1..6)),
        activations_max: limit(random, 6, |random| random.u64(1..60)),
        budget: limit(random, 6, |random| Money(random.i64(1..200_000))),
        low_stock: limit(random, 2, |random| random.u32(..40)),
        active: random.u32(..8) > 0,
    }
}

pub(super) fn note(random: &mut Rng) -> Note {
    match random.u32(..3) {
        0 => Note::default(),
        1 => Note { by: "Ann".into(), comment: "=1+1, \"so\"\nit was".into(), tags: vec!["by hand".into(), "лето".into()] },
        _ => Note { by: String::new(), comment: "a word".into(), tags: vec!["b".into(), "a".into(), "b".into()] },
    }
}

pub(super) fn source(random: &mut Rng) -> TopUpSource {
    TopUpSource::ALL[random.usize(..TopUpSource::ALL.len())]
}
