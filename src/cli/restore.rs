//! `scrip restore`: a data folder made of a backup.

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

/// Make a data folder of a backup: all of it, or as it was at a position or a time
///
/// What was done after the point is forgotten: callers that repeat a request from after it have it executed again. Where the position
/// lies within a batch, that batch is sealed anew with the records up to there, and the chain of hashes of the restored journal differs
/// from the backup's from there on: a backup of what is restored begins anew, in another folder.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The folder of the backup
    #[arg(long, value_name = "FOLDER")]
    from: PathBuf,
    /// The data folder to make
    #[arg(long, env = "SCRIP_DATA", default_value = "scrip-data", value_name = "DIR")]
    data: PathBuf,
    /// Up to and with the record of this position
    #[arg(long, value_name = "POSITION", conflicts_with = "to_time", value_parser = clap::value_parser!(u64).range(1..))]
    to_position: Option<u64>,
    /// Up to this time, as in 2026-12-31T18:00:00Z: every batch that was written at it or before
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
                Some(first_ms) => error.context(format!("the first moment that can be restored is {}", print::time(first_ms))),
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
            print::line(format_args!("the batch at position {batch} was sealed anew: the chain of hashes differs from there on"));
        }
        print::line(format_args!(
            "{} of the backup left out; whatever was done after position {position}, there or since, is forgotten: requests that callers \
             repeat from after it may be executed again",
            print::count(left_out, "record")
        ));
        for name in missing {
            print::line(format_args!("{name} is not in the backup: put it back before the engine is started"));
        }
        Ok(Exit::Done)
    }
}
