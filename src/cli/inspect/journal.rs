//! `scrip inspect journal`: the segments of a journal, or one of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use scrip_journal::salvage::{self, Found, Reading, Remains};
use scrip_protocol::batch::{Batch, ChainEnd};
use scrip_protocol::record::JournalLine;
use scrip_protocol::{Position, Record};
use serde_json::{Value, json};

use super::hexadecimal;
use crate::exit::{Exit, InputError};
use crate::print;

/// How many faults of a segment are printed; the rest are counted.
const FAULTS_SHOWN: usize = 100;

/// Show a journal's segments: their batches, kinds of records, times and hashes
#[derive(Debug, Args)]
pub(super) struct Journal {
    /// Folder of a journal, data folder, backup, or a single segment (.redb)
    path: PathBuf,
    /// Print the records instead, one per line of JSON
    #[arg(long)]
    records: bool,
    /// With --records: position of the first record
    #[arg(long, default_value = "1", value_name = "POSITION", requires = "records")]
    from: Position,
    /// With --records: maximum number of records
    #[arg(long, value_name = "NUMBER", requires = "records")]
    limit: Option<u64>,
    /// List every batch, even if the segment is intact
    #[arg(long, conflicts_with = "records")]
    batches: bool,
    /// Search the bytes of the files for batches, even if they are intact
    #[arg(long)]
    search: bool,
    /// Print JSON: an object for each segment
    #[arg(long)]
    json: bool,
}

impl Journal {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        // redb may panic on a damaged file. The panic is caught, and its message is reported with the file.
        std::panic::set_hook(Box::new(|_| {}));
        let done = self.inspect();
        drop(std::panic::take_hook());
        done
    }

    fn inspect(&self) -> anyhow::Result<Exit> {
        let (paths, mut damaged) = (segments(&self.path)?, false);
        let mut left = self.limit.unwrap_or(u64::MAX);
        // The end of the chain after the segments so far, if known.
        let mut before: Option<ChainEnd> = None;
        for path in &paths {
            let mut segment = Segment::default();
            let remains = salvage::segment(path, self.search, &mut |found| {
                if self.records {
                    self.print_records(&found, &mut left, &mut segment);
                }
                segment.add(&found);
            });
            let remains = remains.with_context(|| path.display().to_string())?;
            segment.join(&remains, before);
            damaged |= !segment.faults.is_empty() || segment.faults_more > 0;
            before = segment.chain.or(remains.start);
            match (self.records, self.json) {
                (true, _) => segment.faults.iter().for_each(|fault| print::complain(&fault.text(path))),
                (false, true) => print::json(&segment.as_json(path, &remains, self.batches)),
                (false, false) => segment.print(path, &remains, self.batches),
            }
        }
        Ok(if damaged { Exit::Data } else { Exit::Done })
    }

    fn print_records(&self, found: &Found<'_>, left: &mut u64, segment: &mut Segment) {
        let Ok(batch) = &found.batch else { return };
        for item in batch.records() {
            match item {
                Ok((position, record)) if position >= self.from && *left > 0 => {
                    *left -= 1;
                    print::json(&JournalLine { position, at_ms: batch.time_ms, record: &record });
                }
                Ok(_) => {}
                Err(cause) => segment.fault(found.first, found.offset, &cause),
            }
        }
    }
}

/// The files to inspect, in order.
fn segments(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let inner = path.join("journal");
    let dir = if inner.is_dir() { inner } else { path.to_owned() };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".redb") || name.ends_with(".redb.new") {
            found.push(path);
        }
    }
    found.sort();
    match found.is_empty() {
        true => Err(InputError { place: dir.display().to_string(), why: "no journal segment found here".into() }.into()),
        false => Ok(found),
    }
}

/// A defect, and where it is.
#[derive(Debug)]
struct Fault {
    position: Option<Position>,
    offset: Option<u64>,
    why: String,
}

impl Fault {
    fn text(&self, path: &Path) -> String {
        let position = self.position.map(|position| format!(", position {position}")).unwrap_or_default();
        let offset = self.offset.map(|offset| format!(", offset {offset}")).unwrap_or_default();
        format!("{}{position}{offset}: {}", path.display(), self.why)
    }
}

/// A batch in the list of batches.
#[derive(Debug)]
struct Listed {
    first: Position,
    offset: Option<u64>,
    bytes: usize,
    count: u32,
    time_ms: u64,
    /// Whether it continues the previous batch in the list; `None` for the first.
    continues: Option<bool>,
    whole: bool,
}

/// The contents of a segment.
#[derive(Debug, Default)]
struct Segment {
    batches: Vec<Listed>,
    records: u64,
    bytes: u64,
    times: Option<(u64, u64)>,
    kinds: BTreeMap<u16, (String, u64)>,
    /// The first whole batch: its position, and the hash that it expects before it.
    first: Option<(Position, [u8; 32])>,
    /// The end of the newest whole batch.
    chain: Option<ChainEnd>,
    faults: Vec<Fault>,
    faults_more: u64,
}

impl Segment {
    fn fault(&mut self, position: impl Into<Option<Position>>, offset: Option<u64>, why: impl ToString) {
        match self.faults.len() < FAULTS_SHOWN {
            true => self.faults.push(Fault { position: position.into(), offset, why: why.to_string() }),
            false => self.faults_more += 1,
        }
    }

    fn add(&mut self, found: &Found<'_>) {
        let Found { first, offset, bytes, batch } = found;
        let mut listed =
            Listed { first: *first, offset: *offset, bytes: *bytes, count: 0, time_ms: 0, continues: None, whole: false };
        match batch {
            Err(cause) => self.fault(*first, *offset, cause),
            Ok(batch) => {
                (listed.count, listed.time_ms, listed.whole) = (batch.count, batch.time_ms, true);
                listed.continues = self.follow(batch, *offset);
                self.count(batch, *offset);
            }
        }
        self.batches.push(listed);
    }

    fn follow(&mut self, batch: &Batch<'_>, offset: Option<u64>) -> Option<bool> {
        let Some(mut chain) = self.chain else {
            (self.first, self.chain) = (Some((batch.first, batch.previous)), Some(batch.end()));
            return None;
        };
        let followed = batch.follow(&mut chain);
        self.chain = Some(batch.end());
        if let Err(cause) = &followed {
            self.fault(batch.first, offset, cause);
        }
        Some(followed.is_ok())
    }

    fn count(&mut self, batch: &Batch<'_>, offset: Option<u64>) {
        let (from, to) = self.times.unwrap_or((batch.time_ms, batch.time_ms));
        self.times = Some((from.min(batch.time_ms), to.max(batch.time_ms)));
        for item in batch.records() {
            match item {
                Ok((_, record)) => {
                    self.records += 1;
                    self.kinds.entry(record.kind()).or_insert_with(|| (word(&record), 0)).1 += 1;
                }
                Err(cause) => self.fault(batch.first, offset, cause),
            }
        }
    }

    /// Compares the batches with the segment's own start and seal, and with the segment before it.
    fn join(&mut self, remains: &Remains, before: Option<ChainEnd>) {
        self.bytes = remains.bytes;
        if let Reading::Searched { cause: Some(cause) } = &remains.reading {
            self.fault(None, None, format_args!("redb cannot read it: {cause}"));
        }
        let start = remains.start;
        if let (Some(start), Some((first, previous))) = (start, self.first)
            && (start.next(), start.hash) != (first, previous)
        {
            self.fault(first, None, "its first batch does not continue from the start that the segment records");
        }
        let begins = self.first.or(start.map(|start| (start.next(), start.hash)));
        if let (Some(before), Some((first, previous))) = (before, begins)
            && (before.next(), before.hash) != (first, previous)
        {
            let why = format!("it does not continue the previous segment, which ends at position {}", before.position);
            self.fault(first, None, why);
        }
        if let Some(seal) = remains.seal
            && Some(seal) != self.chain.or(start)
        {
            self.fault(None, None, format_args!("its seal records an end at position {}, but it ends elsewhere", seal.position));
        }
    }

    fn positions(&self) -> Option<(Position, Position)> {
        Some((self.batches.first()?.first, self.chain?.position))
    }

    fn as_json(&self, path: &Path, remains: &Remains, batches: bool) -> Value {
        let end = |end: ChainEnd| json!({ "position": end.position, "at_ms": end.time_ms, "hash": hexadecimal(&end.hash) });
        let (read, cause) = match &remains.reading {
            Reading::Rows => ("rows", None),
            Reading::Searched { cause } => ("searched", cause.clone()),
        };
        let kinds: serde_json::Map<_, _> = self.kinds.values().map(|(word, count)| (word.clone(), (*count).into())).collect();
        let fault = |of: &Fault| json!({ "position": of.position, "offset": of.offset, "why": of.why });
        let mut value = json!({
            "path": path.display().to_string(),
            "bytes": self.bytes,
            "read": read,
            "cause": cause,
            "start": remains.start.map(end),
            "seal": remains.seal.map(end),
            "first": self.positions().map(|(first, _)| first),
            "end": self.chain.map(end),
            "batches": self.batches.len(),
            "records": self.records,
            "from_ms": self.times.map(|(from, _)| from),
            "to_ms": self.times.map(|(_, to)| to),
            "kinds": kinds,
            "faults": self.faults.iter().map(fault).collect::<Vec<_>>(),
            "faults_not_said": self.faults_more,
        });
        if batches || read == "searched" {
            let batch = |of: &Listed| {
                json!({
                    "first": of.first, "offset": of.offset, "bytes": of.bytes, "records": of.count, "at_ms": of.time_ms,
                    "continues": of.continues, "whole": of.whole,
                })
            };
            value["found"] = self.batches.iter().map(batch).collect();
        }
        value
    }

    fn print(&self, path: &Path, remains: &Remains, batches: bool) {
        let end = |end: ChainEnd| format!("position {}, hash {}", print::grouped(end.position.0), hexadecimal(&end.hash));
        let searched = matches!(remains.reading, Reading::Searched { .. });
        let unknown = || if searched { "unknown" } else { "no" }.to_owned();
        let kinds: Vec<String> = self.kinds.values().map(|(word, count)| format!("{word} {}", print::grouped(*count))).collect();
        let positions = self
            .positions()
            .map_or("none".to_owned(), |(first, last)| format!("{} to {}", print::grouped(first.0), print::grouped(last.0)));
        let rows = [
            ("bytes", print::grouped(self.bytes)),
            ("read", if searched { "by searching its bytes for batches" } else { "through redb" }.to_owned()),
            ("continues", remains.start.map_or_else(unknown, end)),
            ("sealed", remains.seal.map_or_else(unknown, |seal| format!("at {}", end(seal)))),
            ("batches", print::grouped(self.batches.len() as u64)),
            ("records", print::grouped(self.records)),
            ("positions", positions),
            ("time", self.times.map_or("none".to_owned(), |(from, to)| format!("{} to {}", print::time(from), print::time(to)))),
            ("kinds", if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") }),
            ("ends with", self.chain.map_or("nothing".to_owned(), end)),
        ];
        print::line(path.display());
        print::table(&["", ""], &rows.map(|(name, value)| vec![format!("  {name}"), value]));
        for fault in &self.faults {
            print::line(format_args!("  DAMAGED  {}", fault.text(path)));
        }
        if self.faults_more > 0 {
            print::line(format_args!("  DAMAGED  and {} more", print::count(self.faults_more, "fault")));
        }
        if batches || searched {
            print::table(&["  >offset", ">position", ">records", ">bytes", "time", "continues"], &self.table());
        }
    }

    fn table(&self) -> Vec<Vec<String>> {
        let row = |of: &Listed| {
            let continues = match (of.whole, of.continues) {
                (false, _) => "DAMAGED",
                (true, None) => "first",
                (true, Some(true)) => "yes",
                (true, Some(false)) => "NO",
            };
            let (records, time) = match of.whole {
                true => (print::grouped(of.count), print::time(of.time_ms)),
                false => ("?".to_owned(), "?".to_owned()),
            };
            let offset = of.offset.map_or("-".to_owned(), |offset| offset.to_string());
            vec![format!("  {offset}"), of.first.to_string(), records, of.bytes.to_string(), time, continues.to_owned()]
        };
        self.batches.iter().map(row).collect()
    }
}

/// The name of a record's kind, as `scrip tail` prints it.
fn word(record: &Record) -> String {
    let value = serde_json::to_value(record).unwrap_or_default();
    value["record"].as_str().unwrap_or("record").to_owned()
}
