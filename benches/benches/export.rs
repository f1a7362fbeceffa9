//! Speed and memory use of exports, in every format, from a read model with a given number of activations.
//!
//! `cargo bench -p scrip-benches --bench export -- 10000000`
//!
//! The read model is written with plain statements: 50,000 codes per campaign, each activated once, in an order in which
//! neighbours lie far apart; 1,000,000 clients, 300 clubs, one refund per fifty activations. It is built in a temporary folder,
//! or in a file named after the number, which is reused if it exists. Output bytes are counted and discarded. Memory is the peak
//! resident size that the kernel reports during the export.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rusqlite::{Connection, OpenFlags, params};
use scrip_protocol::{CampaignId, Position};
use scrip_reporting::export::{Export, Format, Status, Usage, What};
use scrip_reporting::read_model::{AsOf, SCHEMA, View};

const CODES_PER_CAMPAIGN: u64 = 50_000;
const CLIENTS: u64 = 1_000_000;
const CLUBS: u64 = 300;
const NOW_MS: u64 = scrip_benches::NOW_MS;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let Some(activations) = arguments.next().and_then(|number| number.parse::<u64>().ok()) else {
        println!("export: give the number of activations, as in: cargo bench -p scrip-benches --bench export -- 10000000");
        return;
    };
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let file = arguments.next().map_or_else(|| folder.path().join("read-model.sqlite"), PathBuf::from);
    if !file.exists() {
        let began = Instant::now();
        make(&file, activations).expect("it can be written");
        println!("a read model of {activations} activations made in {:.0} s", began.elapsed().as_secs_f64());
    }
    let connection = Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("it can be read");
    // The cache size of the sidecar's readers.
    connection.execute_batch("PRAGMA cache_size = -16384; BEGIN").expect("a transaction can be begun");
    let view =
        View { connection: &connection, as_of: AsOf::whole(Position(activations), NOW_MS), now_ms: NOW_MS, requests_ms: NOW_MS };

    let one = CampaignId(1);
    let codes = What::Codes { campaign: one, status: Status::All, usage: Usage::All };
    let of = |campaign| What::Activations { campaign, from_ms: None, to_ms: None };
    for format in [Format::Csv, Format::Xlsx, Format::Parquet] {
        measure(&view, "code list of a campaign", codes.clone(), format);
        measure(&view, "log of a campaign", of(Some(one)), format);
    }
    for format in [Format::Csv, Format::Parquet, Format::Xlsx] {
        measure(&view, "log of all", of(None), format);
    }
}

fn measure(view: &View<'_>, name: &str, what: What, format: Format) {
    let export = Export { what, format, byte_order_mark: false, scratch: None, scratch_bytes_max: None };
    reset_peak();
    let before = resident();
    let began = Instant::now();
    let done = export.run(view, io::sink(), &mut |_, _| true).expect("it is exported");
    let took = began.elapsed().as_secs_f64();
    println!(
        "{name}, {format}: {} rows, {:.1} MB in {took:.2} s: {:.0} rows/s, {:.1} MB/s; {:.0} MB resident before, {:.0} MB at most",
        done.rows,
        done.bytes as f64 / 1e6,
        done.rows as f64 / took,
        done.bytes as f64 / 1e6 / took,
        before as f64 / 1e6,
        peak() as f64 / 1e6,
    );
}

/// Resets the kernel's peak of resident memory.
fn reset_peak() {
    std::fs::write("/proc/self/clear_refs", "5").expect("a process may do that to itself");
}

fn peak() -> u64 {
    status("VmHWM:")
}

fn resident() -> u64 {
    status("VmRSS:")
}

fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux reports it");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("it is a number") * 1_024
}

/// Spreads numbers over a range of that size: a step coprime to any number of codes here, and the step back.
struct Spread {
    of: u64,
    step: u64,
    back: u64,
}

impl Spread {
    fn over(of: u64) -> Spread {
        let step = (0..).map(|n| 7_919_000_003 % of.max(2) + n).find(|step| gcd(*step, of) == 1).expect("1 has none");
        // Euclid's algorithm, with the factor of the step carried along.
        let (mut a, mut b, mut x, mut y) = (step as i128, of as i128, 1_i128, 0_i128);
        while b != 0 {
            let times = a / b;
            (a, b) = (b, a - times * b);
            (x, y) = (y, x - times * y);
        }
        Spread { of, step, back: x.rem_euclid(of as i128) as u64 }
    }

    fn code_of(&self, activation: u64) -> u64 {
        (u128::from(activation) * u128::from(self.step) % u128::from(self.of)) as u64
    }

    fn activation_of(&self, code: u64) -> u64 {
        (u128::from(code) * u128::from(self.back) % u128::from(self.of)) as u64
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Positions count from 1, in order; each millisecond has ten of them.
fn make(file: &Path, activations: u64) -> rusqlite::Result<()> {
    let connection = Connection::open(file)?;
    connection.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -500000;")?;
    connection.execute_batch(SCHEMA)?;
    connection.execute_batch("BEGIN")?;
    let spread = Spread::over(activations);
    connection.execute("INSERT INTO organisation VALUES (1, 'Organisation', 'EUR', 50000, 2, 1, 1, 86400000, 60000)", [])?;
    connection.execute("INSERT INTO credential VALUES (1, 'Kiosk', 'gateway', '[]', 1, 'token', x'00', 0, NULL)", [])?;
    let mut club = connection.prepare("INSERT INTO club VALUES (?1, 'Club ' || ?1, 0)")?;
    (1..=CLUBS).try_for_each(|number| club.execute([number as i64]).map(drop))?;
    let mut client =
        connection.prepare("INSERT INTO client VALUES (?1, 'Client number ' || ?1, 0, 0, 0, 0, 0, 0, 'client number ' || ?1)")?;
    (0..CLIENTS).try_for_each(|number| client.execute([number as i64]).map(drop))?;

    let mut code = connection.prepare("INSERT INTO code VALUES (?1, ?2, ?3, ?3, 0, 0)")?;
    let mut used = connection.prepare("INSERT INTO code_use VALUES (?1, ?2, ?3, 1, ?4, ?4)")?;
    let mut campaign = connection.prepare(
        "INSERT INTO campaign VALUES (?1, 'Campaign ' || ?1, 500, '[]', NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, 1, 0, NULL, ?2,
         0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL)",
    )?;
    let mut added = connection.prepare("INSERT INTO codes_added VALUES (?1, 0, ?2, ?3, 1, 'created')")?;
    for first in (0..activations).step_by(CODES_PER_CAMPAIGN as usize) {
        let (number, codes) = ((first / CODES_PER_CAMPAIGN) as i64 + 1, CODES_PER_CAMPAIGN.min(activations - first));
        campaign.execute(params![number, codes as i64])?;
        added.execute(params![number, codes as i64, NOW_MS as i64])?;
        for slot in 0..codes {
            let position = spread.activation_of(first + slot) + 1;
            code.execute(params![number, slot as i64, format!("CODE{:08X}", first + slot)])?;
            used.execute(params![number, slot as i64, i64::from(!position.is_multiple_of(50)), position as i64])?;
        }
    }

    let mut activation =
        connection.prepare("INSERT INTO activation VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, 500, ?7, 1, ?8, NULL, NULL)")?;
    let mut refund = connection.prepare("INSERT INTO refund VALUES (?1, ?2, ?3, ?4, ?5, ?6, 500, 0, 0, 1, ?7)")?;
    let mut stretch = connection
        .prepare("INSERT INTO campaign_stretch VALUES (?1, ?2, 1) ON CONFLICT DO UPDATE SET activations = activations + 1")?;
    for number in 0..activations {
        let (position, at_ms) = (number as i64 + 1, (NOW_MS + number / 10) as i64);
        let (code, client) = (spread.code_of(number), number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32);
        let (of, slot) = ((code / CODES_PER_CAMPAIGN) as i64 + 1, (code % CODES_PER_CAMPAIGN) as i64);
        let client = (client % CLIENTS) as i64;
        let request = (u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)).to_be_bytes();
        let club = (code % CLUBS) as i64 + 1;
        activation.execute(params![position, at_ms, client, club, of, slot, 500 + number as i64 % 9_000, request])?;
        stretch.execute(params![of, position / 4_096])?;
        if position % 50 == 0 {
            // The position of a refund decides nothing here.
            refund.execute(params![activations as i64 + position, position, at_ms, of, slot, client, request])?;
        }
    }
    connection.execute_batch("COMMIT; PRAGMA journal_mode = WAL;")
}
