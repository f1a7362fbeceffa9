//! `scrip snapshot`: the state in a file, so that a start replays only the journal after it.
//!
//! `create` requests a snapshot from the running engine, or with --offline does what an engine does when it starts and stops.
//! `list` and `verify` read the files, whether or not an engine runs on them, and change nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, Subcommand};
use scrip_engine::folder::{Folder, FolderError};
use scrip_engine::snapshot::{self, Counts, Header, Kept, Pace, PassedOver, Snapshot, SnapshotError};
use scrip_engine::{Recovered, recover};
use scrip_journal::disk::{Disk, OsDisk};
use scrip_journal::{Journal, SEGMENT_BYTES};
use scrip_protocol::command::{SnapshotTaken, TakeSnapshotOutcome};
use scrip_protocol::{Position, unix_time_ms};
use serde::Serialize;

use crate::exit::Exit;
use crate::print;
use crate::progress::Progress;
use crate::reach::Reach;

/// How long to wait for the reply: the engine reads the journal since the newest snapshot, and writes at a throttled pace.
const PATIENCE: Duration = Duration::from_secs(4 * 60 * 60);

/// How many characters of a hash are shown.
const HASH_CHARS: usize = 12;

/// Take, list and verify snapshots
///
/// The engine takes a snapshot when it stops, and when the journal has grown by the size set in scrip.toml. It keeps the two
/// newest.
#[derive(Debug, Args)]
pub(crate) struct SnapshotCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take a snapshot of the running engine, and wait until it is durable
    Create {
        /// Read the data folder directly; no engine may be running on it
        #[arg(long, conflicts_with = "server")]
        offline: bool,
        #[command(flatten)]
        reach: Reach,
    },
    /// List the snapshots of a data folder, newest first
    List {
        #[command(flatten)]
        local: Local,
    },
    /// Read snapshots in full and check every section
    Verify {
        /// Snapshot file [default: all snapshots of the data folder]
        file: Option<PathBuf>,
        #[command(flatten)]
        local: Local,
    },
}

/// A data folder on this machine.
#[derive(Debug, Args)]
struct Local {
    /// Data folder
    #[arg(long, env = "SCRIP_DATA", default_value = "scrip-data", value_name = "DIR")]
    data: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl SnapshotCommand {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        match self.command {
            Command::Create { offline, reach } => {
                let outcome = match offline {
                    true => tokio::task::block_in_place(|| create_offline(&reach.folder()))?,
                    false => reach.client().await?.take_snapshot(PATIENCE).await?,
                };
                Ok(print_outcome(&outcome, reach.json))
            }
            Command::List { local } => list(&local),
            Command::Verify { file, local } => verify(file, &local),
        }
    }
}

/// Recovers a folder like an engine that starts, and writes the snapshot of an engine that stops.
fn create_offline(folder: &Folder) -> anyhow::Result<TakeSnapshotOutcome> {
    if !folder.exists() {
        return Err(FolderError::Missing(folder.dir().to_owned()).into());
    }
    let (began, disk, dir) = (Instant::now(), Arc::new(OsDisk) as Arc<dyn Disk>, folder.snapshots_path());
    let mut progress = Progress::new("replaying the journal");
    // The old snapshot is checked as a whole: otherwise its damage would be copied under a new, valid hash.
    let recovered = recover(&disk, folder, SEGMENT_BYTES, u64::MAX, &mut |so_far| progress.replayed(so_far));
    drop(progress);
    let Recovered { state, journal, snapshot, passed_over, .. } =
        recovered.with_context(|| folder.dir().display().to_string())?;
    journal.reader().check_sealed(&|| true)?;
    let (since, end) = (snapshot.map_or(Position(0), |snapshot| snapshot.header().end.position), journal.end());
    if since == end.position {
        return Ok(TakeSnapshotOutcome::NothingNew { since });
    }
    let mut progress = Progress::new("writing the snapshot");
    let written = snapshot::write(&*disk, &dir, &state, end, Pace::Full, &mut |done, of| progress.bytes(done, of))?;
    drop(progress);
    let codes = Snapshot::open(&*disk, &written.path)?.header().counts.codes;
    let passed_over = PassedOver::check(&*disk, &passed_over);
    snapshot::replace(&*disk, &dir, &written.path, &passed_over, &mut |path| {
        print::complain(&format!("scrip: {}: removing a damaged snapshot; a newer valid one replaces it", path.display()));
    })?;
    let milliseconds = began.elapsed().as_millis() as u64;
    Ok(TakeSnapshotOutcome::Taken(SnapshotTaken { position: written.position, bytes: written.bytes, codes, milliseconds }))
}

/// Prints the outcome of taking a snapshot.
fn print_outcome(outcome: &TakeSnapshotOutcome, json: bool) -> Exit {
    match (outcome, json) {
        (outcome, true) => print::json(outcome),
        (TakeSnapshotOutcome::Taken(taken), false) => {
            let SnapshotTaken { position, bytes, codes, milliseconds } = *taken;
            print::line(format_args!(
                "taken up to position {}: {}, {}, in {}",
                print::grouped(position.0),
                print::count(codes, "code"),
                print::bytes(bytes as f64),
                print::time_us(milliseconds as f64 * 1000.0)
            ));
        }
        (TakeSnapshotOutcome::NothingNew { since: Position(0) }, false) => {
            print::line("the journal has no records yet: nothing to snapshot")
        }
        (outcome @ (TakeSnapshotOutcome::NothingNew { .. } | TakeSnapshotOutcome::Failed(_)), false) => print::line(outcome),
    }
    match outcome {
        TakeSnapshotOutcome::Taken(_) | TakeSnapshotOutcome::NothingNew { .. } => Exit::Done,
        TakeSnapshotOutcome::Failed(_) => Exit::Data,
    }
}

/// A snapshot for scripts.
#[derive(Serialize)]
struct Card<'a> {
    path: &'a Path,
    position: Position,
    bytes: u64,
    /// The time of its newest record.
    #[serde(skip_serializing_if = "Option::is_none")]
    time_ms: Option<u64>,
    /// The hash, in hexadecimal, of the last batch it includes.
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    /// The version of its format.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<Counts>,
    /// Whether every section was checked and is valid; absent if that was not checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    whole: Option<bool>,
    /// The defect.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl<'a> Card<'a> {
    fn of(kept: &'a Kept, header: Result<&'a Header, &SnapshotError>) -> Card<'a> {
        let (header, why) = match header {
            Ok(header) => (Some(header), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Card {
            path: &kept.path,
            position: kept.position,
            bytes: kept.bytes,
            time_ms: header.map(|header| header.end.time_ms),
            hash: header.map(|header| hexadecimal(&header.end.hash)),
            version: header.map(|header| header.version),
            counts: header.map(|header| header.counts),
            whole: None,
            why,
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn list(local: &Local) -> anyhow::Result<Exit> {
    let kept = in_folder(local)?;
    let opened: Vec<_> = kept.iter().map(|kept| (kept, Snapshot::open(&OsDisk, &kept.path))).collect();
    let headers = || opened.iter().map(|(kept, opened)| (*kept, opened.as_ref().map(Snapshot::header)));
    match local.json {
        true => headers().for_each(|(kept, header)| print::json(&Card::of(kept, header))),
        false if kept.is_empty() => print::line("there are no snapshots"),
        false => {
            let head = [">POSITION", "TIME", ">AGE", ">CAMPAIGNS", ">CODES", ">CLIENTS", ">REQUESTS", ">SIZE", "HASH"];
            let now_ms = unix_time_ms();
            print::table(&head, &headers().map(|(kept, header)| row(kept, header.ok(), now_ms)).collect::<Vec<_>>());
        }
    }
    let damaged: Vec<_> = opened.iter().filter_map(|(_, opened)| opened.as_ref().err()).collect();
    damaged.iter().for_each(|error| print::complain(&format!("scrip: {error}")));
    Ok(if damaged.is_empty() { Exit::Done } else { Exit::Data })
}

fn row(kept: &Kept, header: Option<&Header>, now_ms: u64) -> Vec<String> {
    let (position, size) = (print::grouped(kept.position.0), print::bytes(kept.bytes as f64));
    let Some(Header { end, counts, .. }) = header else {
        let unknown = || "-".to_owned();
        return vec![position, unknown(), unknown(), unknown(), unknown(), unknown(), unknown(), size, unknown()];
    };
    vec![
        position,
        print::time(end.time_ms),
        age(now_ms.saturating_sub(end.time_ms)),
        print::grouped(counts.campaigns),
        print::grouped(counts.codes),
        print::grouped(counts.clients),
        print::grouped(counts.requests),
        size,
        hexadecimal(&end.hash)[..HASH_CHARS].to_owned(),
    ]
}

/// In the largest unit that fits at least once.
fn age(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        86_400.. => format!("{} d", seconds / 86_400),
    }
}

fn verify(file: Option<PathBuf>, local: &Local) -> anyhow::Result<Exit> {
    let kept = match file {
        Some(path) => vec![named(path)?],
        None => in_folder(local)?,
    };
    if kept.is_empty() && !local.json {
        print::line("there are no snapshots");
    }
    let mut all_whole = true;
    for kept in &kept {
        let began = Instant::now();
        let opened = Snapshot::open(&OsDisk, &kept.path);
        let verified = opened
            .as_ref()
            .map_err(ToString::to_string)
            .and_then(|snapshot| tokio::task::block_in_place(|| read_whole(snapshot, kept)).map_err(|error| error.to_string()));
        all_whole &= verified.is_ok();
        if local.json {
            let card = Card::of(kept, opened.as_ref().map(Snapshot::header));
            print::json(&Card { whole: Some(verified.is_ok()), why: verified.err(), ..card });
            continue;
        }
        match verified {
            Ok(()) => print::line(format_args!(
                "whole: {}, up to position {}, {} read in {}",
                kept.path.display(),
                print::grouped(kept.position.0),
                print::bytes(kept.bytes as f64),
                print::time_us(began.elapsed().as_micros() as f64)
            )),
            Err(why) => print::line(format_args!("damaged: {why}")),
        }
    }
    Ok(if all_whole { Exit::Done } else { Exit::Data })
}

/// Verifies a snapshot, with a progress bar when that takes over a second.
fn read_whole(snapshot: &Snapshot, kept: &Kept) -> Result<(), SnapshotError> {
    let mut progress = Progress::new("reading the snapshot");
    snapshot.verify(&mut |bytes| progress.bytes(bytes, kept.bytes))
}

fn in_folder(local: &Local) -> anyhow::Result<Vec<Kept>> {
    let folder = Folder::at(&local.data);
    if !folder.exists() {
        return Err(FolderError::Missing(local.data.clone()).into());
    }
    Ok(snapshot::list(&OsDisk, &folder.snapshots_path())?)
}

/// A file given by its path.
fn named(path: PathBuf) -> anyhow::Result<Kept> {
    let metadata = std::fs::metadata(&path).map_err(|source| SnapshotError::Io { path: path.clone(), source })?;
    let of_name = path.file_stem().and_then(|stem| stem.to_string_lossy().parse().ok());
    let position = Snapshot::open(&OsDisk, &path).map_or(of_name, |snapshot| Some(snapshot.header().end.position));
    let position = position.unwrap_or_default();
    Ok(Kept { position, path, bytes: metadata.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_uses_the_largest_unit_that_fits() {
        let ages = [(999, "0 s"), (59_999, "59 s"), (60_000, "1 min"), (3_600_000, "1 h"), (172_800_000, "2 d")];
        for (ms, text) in ages {
            assert_eq!(age(ms), text);
        }
    }
}
