//! `scrip restore`: creates a data folder from a backup.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use scrip_engine::backup::{BackupError, Restored, Until, restore};
use scrip_engine::folder::Folder;
use scrip_journal::disk::{Disk, OsDisk};
use scrip_protocol::Position;
use serde_json::json;

use crate::exit::Exit;
use crate::print;
use crate::progress::Progress;

/// Create a data folder from a backup, in full or up to a point
///
/// The point is a position or a time. Everything after it is discarded. If a caller retries a discarded request, the engine executes it again.
///
/// If the position is inside a batch, the batch is rewritten up to that record. From there on the hash chain of the restored
/// journal differs from the backup's, so start a new backup in another folder.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// Folder of the backup
    #[arg(long, value_name = "FOLDER")]
    from: PathBuf,
    /// Data folder to create
    #[arg(long, env = "SCRIP_DATA", default_value = "scrip-data", value_name = "DIR")]
    data: PathBuf,
    /// Restore up to and including the record at this position
    #[arg(long, value_name = "POSITION", conflicts_with = "to_time", value_parser = clap::value_parser!(u64).range(1..))]
    to_position: Option<u64>,
    /// Restore every batch written at or before this time, such as 2026-12-31T18:00:00Z
    #[arg(long, value_name = "TIME")]
    to_time: Option<Timestamp>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Restore {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let until = match (self.to_position, self.to_time) {
            (Some(position), _) => Until::Position(Position(position)),
            (None, Some(time)) => Until::Time(u64::try_from(time.as_millisecond()).unwrap_or(0)),
            (None, None) => Until::End,
        };
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        let mut progress = Progress::new("restoring");
        let done = restore(&disk, &self.from, &Folder::at(&self.data), until, &mut |at, last| progress.at(at, last));
        drop(progress);
        let Restored { end, left_out, resealed, snapshot, missing } = done.map_err(|error| {
            let first_ms = if let BackupError::Before { first_ms, .. } = &error { Some(*first_ms) } else { None };
            let error = anyhow::Error::new(error);
            match first_ms {
                Some(first_ms) => error.context(format!("the earliest time that can be restored is {}", print::time(first_ms))),
                None => error,
            }
        })?;
        if self.json {
            print::json(&json!({
                "position": end.position,
                "at_ms": end.time_ms,
                "left_out": left_out,
                "resealed": resealed,
                "snapshot": snapshot,
                "missing": missing,
            }));
            return Ok(Exit::Done);
        }
        let (position, time) = (print::grouped(end.position.0), print::time(end.time_ms));
        print::line(format_args!("restored {} up to position {position}, {time}", self.data.display()));
        if let Some(snapshot) = snapshot {
            print::line(format_args!("with the snapshot of position {}", print::grouped(snapshot.0)));
        }
        if let Some(batch) = resealed {
            print::line(format_args!("the batch at position {batch} was rewritten; the hash chain differs from there on"));
        }
        print::line(format_args!(
            "{} of the backup discarded; changes after position {position} are not restored, and requests after it may be executed \
             again if callers retry them",
            print::count(left_out, "record")
        ));
        for name in missing {
            print::line(format_args!("{name} is not in the backup: put it back before starting the engine"));
        }
        Ok(Exit::Done)
    }
}
