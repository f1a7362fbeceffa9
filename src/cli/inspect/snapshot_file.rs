//! `scrip inspect snapshot`: the contents of a snapshot file, intact or damaged.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use scrip_engine::snapshot::{Fault, Header, Looked, SectionLooked, SmallLooked, Verdict, look};
use serde_json::{Value, json};

use super::hexadecimal;
use crate::exit::Exit;
use crate::print;

/// Show a snapshot: its newest record, its sizes, and which of its sections are intact
#[derive(Debug, Args)]
pub(super) struct Snapshot {
    /// Snapshot file
    path: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Snapshot {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let looked = tokio::task::block_in_place(|| look(&self.path)).with_context(|| self.path.display().to_string())?;
        match self.json {
            true => print::json(&self.as_json(&looked)),
            false => self.print(&looked),
        }
        Ok(if looked.faults.is_empty() { Exit::Done } else { Exit::Data })
    }

    fn as_json(&self, looked: &Looked) -> Value {
        let header = looked.header.as_ref();
        let section = |of: &SectionLooked| {
            json!({
                "name": of.section.name, "offset": of.section.offset, "bytes": of.section.bytes,
                "hash": hexadecimal(&of.section.hash), "good": matches!(of.verdict, Verdict::Good),
                "within": !matches!(of.verdict, Verdict::CutOff),
            })
        };
        let misnamed = looked.faults.iter().any(|fault| matches!(fault, Fault::Misnamed { .. }));
        json!({
            "path": self.path.display().to_string(),
            "bytes": looked.bytes,
            "begins_with": hexadecimal(&looked.beginning),
            "position_in_name": looked.named,
            "named_otherwise": misnamed,
            "header_good": looked.header_is_good(),
            "version": header.map(|header| header.version),
            "position": header.map(|header| header.end.position),
            "at_ms": header.map(|header| header.end.time_ms),
            "hash": header.map(|header| hexadecimal(&header.end.hash)),
            "counts": header.map(|header| header.counts),
            "sections": looked.sections.iter().map(section).collect::<Vec<_>>(),
            "small": looked.small,
            "faults": looked.faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    }

    fn print(&self, looked: &Looked) {
        let mut rows = vec![("bytes", print::grouped(looked.bytes))];
        match &looked.header {
            Some(header) => rows.extend(rows_of(header, looked)),
            None => {
                let named = looked.named.map_or("none".to_owned(), |position| print::grouped(position.0));
                rows.extend([("position by its name", named), ("begins with", hexadecimal(&looked.beginning))]);
            }
        }
        if let Some(small) = &looked.small {
            rows.extend(rows_of_small(small));
        }
        print::line(self.path.display());
        print::table(&["", ""], &rows.into_iter().map(|(name, value)| vec![format!("  {name}"), value]).collect::<Vec<_>>());
        if !looked.sections.is_empty() {
            let row = |SectionLooked { section, verdict }: &SectionLooked| {
                let word = match verdict {
                    Verdict::Good => "good",
                    Verdict::Bad => "BAD",
                    Verdict::CutOff => "CUT OFF",
                    Verdict::Unreadable(_) => "UNREADABLE",
                };
                vec![format!("  {}", section.name), section.offset.to_string(), section.bytes.to_string(), word.to_owned()]
            };
            let rows: Vec<_> = looked.sections.iter().map(row).collect();
            print::table(&["  section", ">offset", ">bytes", "hash"], &rows);
        }
        for fault in &looked.faults {
            print::line(format_args!("  DAMAGED  {fault}"));
        }
    }
}

fn rows_of(header: &Header, looked: &Looked) -> Vec<(&'static str, String)> {
    vec![
        ("header", if looked.header_is_good() { "good" } else { "BAD: its values may be wrong" }.to_owned()),
        ("format", header.version.to_string()),
        ("position", print::grouped(header.end.position.0)),
        ("time", print::time(header.end.time_ms)),
        ("hash", hexadecimal(&header.end.hash)),
        ("campaigns", print::grouped(header.counts.campaigns)),
        ("codes", print::grouped(header.counts.codes)),
        ("clients", print::grouped(header.counts.clients)),
        ("requests", print::grouped(header.counts.requests)),
    ]
}

fn rows_of_small(small: &SmallLooked) -> Vec<(&'static str, String)> {
    let reader = |(name, position): &(String, _)| format!("{name} at {position}");
    let readers: Vec<String> = small.readers.iter().map(reader).collect();
    vec![
        ("organisation", format!("{}, amounts in {}", small.organisation, small.currency)),
        ("clubs", print::grouped(small.clubs)),
        ("holds", print::grouped(small.holds)),
        ("groups", print::grouped(small.groups)),
        ("rules", print::grouped(small.rules)),
        ("credentials", print::grouped(small.credentials)),
        ("readers", if readers.is_empty() { "none".to_owned() } else { readers.join(", ") }),
    ]
}
