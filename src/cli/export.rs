//! `scrip export`: code lists and activation logs as files, from the read model.
//!
//! The command opens the read model itself, so it does not need a running sidecar. A file appears once it is complete.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use scrip_protocol::{CampaignId, Position};
use scrip_reporting::export::{Done, Export, ExportError, Format, Head, Status, Usage, What};
use scrip_reporting::read_model::{Readers, View};
use serde_json::json;
use tempfile::NamedTempFile;

use crate::exit::{Exit, InputError, NoReadModel};
use crate::print;
use crate::progress::Progress;

/// How often the position of the read model is checked while waiting for it.
const LOOK_AFTER: Duration = Duration::from_millis(20);

/// Export codes or activations to a CSV, XLSX or Parquet file
///
/// The rows come from the read model that `scrip sidecar` maintains, whether or not it is running. All are as of one journal
/// position, which is part of the file name.
///
/// In a CSV, text that a spreadsheet would run as a formula gets a leading apostrophe. Excel may read numeric codes in a CSV as
/// numbers; use --format xlsx to avoid that.
#[derive(Debug, Args)]
pub(crate) struct ExportCommand {
    #[command(subcommand)]
    what: Wanted,
    #[command(flatten)]
    to: To,
}

#[derive(Debug, Subcommand)]
enum Wanted {
    /// Export the codes of a campaign, including archived ones
    ///
    /// A row for each activation, and one for each code that was never activated.
    Codes {
        /// Number of the campaign
        campaign: CampaignId,
        /// Filter by status: all, active, archived
        #[arg(long, default_value = "all", value_name = "STATUS")]
        status: Status,
        /// Filter by usage: all, used, unused
        #[arg(long, default_value = "all", value_name = "USAGE")]
        usage: Usage,
    },
    /// Export activations: client, time, club, and whether they were refunded
    Activations {
        /// Only activations of this campaign
        #[arg(long, value_name = "CAMPAIGN")]
        campaign: Option<CampaignId>,
        /// Only activations at this time or later, such as 2026-12-31T18:00:00Z
        #[arg(long, value_name = "TIME")]
        from: Option<Timestamp>,
        /// Only activations before this time
        #[arg(long, value_name = "TIME")]
        to: Option<Timestamp>,
    },
}

/// Source and destination.
#[derive(Debug, Args)]
struct To {
    /// Format: csv, xlsx, parquet
    #[arg(long, global = true, default_value = "csv", value_name = "FORMAT")]
    format: Format,
    /// Output file; - for standard output [default: named after the position]
    ///
    /// By default the file is created in the current folder.
    #[arg(long, global = true, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Overwrite an existing file
    #[arg(long, global = true)]
    force: bool,
    /// Begin a CSV with a byte order mark, for old spreadsheet programs
    #[arg(long, global = true)]
    byte_order_mark: bool,
    /// Folder of the read model [default: `reporting` in the data folder]
    #[arg(long, global = true, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Data folder
    #[arg(long, global = true, env = "SCRIP_DATA", default_value = "scrip-data", value_name = "DIR")]
    data: PathBuf,
    /// Wait until the read model has applied this position
    #[arg(long, global = true, value_name = "POSITION")]
    wait_for: Option<Position>,
    /// How long to wait for --wait-for, in seconds
    #[arg(long, global = true, default_value_t = 60, value_name = "SECONDS")]
    wait_seconds: u64,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

impl ExportCommand {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let To { format, out, force, byte_order_mark, store, data, wait_for, wait_seconds, json } = self.to;
        let store = store.unwrap_or_else(|| data.join("reporting"));
        let file = store.join("read-model.sqlite");
        if !file.exists() {
            return Err(NoReadModel { file }.into());
        }
        if let Some(out) = out.as_deref().filter(|out| *out != Path::new("-")) {
            refuse_existing(out, force)?;
        }
        let readers = Readers::new(&file);
        if let Some(position) = wait_for
            && !wait(&readers, position, Duration::from_secs(wait_seconds))?
        {
            print::complain(&format!("scrip: the read model did not reach position {position} within {wait_seconds} s"));
            return Ok(Exit::Unreachable);
        }
        let export = Export { what: self.what.into(), format, byte_order_mark, scratch: None, scratch_bytes_max: None };
        let mut progress = Progress::new("exporting");
        let written = readers.view(|view| Ok(write(&export, view, out.as_deref(), force, &mut progress)));
        drop(progress);
        match written? {
            Ok(written) => written.report(json),
            Err(error) => match error.downcast() {
                // A failed file is an input error by now, so this is standard output.
                Ok(ExportError::Sink(why)) => print::failed(why),
                Ok(error) => return Err(error.into()),
                Err(error) => return Err(error),
            },
        }
        Ok(Exit::Done)
    }
}

impl From<Wanted> for What {
    fn from(wanted: Wanted) -> What {
        let ms = |time: Timestamp| u64::try_from(time.as_millisecond()).unwrap_or(0);
        match wanted {
            Wanted::Codes { campaign, status, usage } => What::Codes { campaign, status, usage },
            Wanted::Activations { campaign, from, to } => {
                What::Activations { campaign, from_ms: from.map(ms), to_ms: to.map(ms) }
            }
        }
    }
}

/// Whether the read model reached a position in time.
fn wait(readers: &Readers, position: Position, at_most: Duration) -> anyhow::Result<bool> {
    let began = Instant::now();
    while readers.view(|view| Ok(view.as_of.position))? < position {
        if began.elapsed() >= at_most {
            return Ok(false);
        }
        std::thread::sleep(LOOK_AFTER);
    }
    Ok(true)
}

/// The result: what was written, and where.
struct Written {
    /// `None` for standard output.
    file: Option<PathBuf>,
    done: Done,
}

impl Written {
    fn report(&self, json: bool) {
        let Written { file, done: Done { rows, bytes, as_of } } = self;
        let text = match json {
            true => json!({ "file": file, "rows": rows, "bytes": bytes, "as_of": as_of }).to_string(),
            false => {
                let (rows, bytes) = (print::count(*rows, "row"), print::count(*bytes, "byte"));
                let (position, time) = (print::grouped(as_of.position.0), print::time(as_of.time_ms));
                let file = file.as_deref().map_or("standard output".into(), |file| file.display().to_string());
                let history = match as_of.history_after.0 {
                    0 => String::new(),
                    after => format!("; the history begins after position {}", print::grouped(after)),
                };
                format!("{file}: {rows}, {bytes}, as of position {position}, {time}{history}")
            }
        };
        match file {
            Some(_) => print::line(text),
            None => print::complain(&text),
        }
    }
}

fn write(export: &Export, view: &View<'_>, out: Option<&Path>, force: bool, progress: &mut Progress) -> anyhow::Result<Written> {
    let Head { file_name, .. } = export.head(view)?;
    let goes_on = &mut |at, of| {
        progress.at(at, of);
        true
    };
    let path = out.map_or_else(|| PathBuf::from(file_name), Into::into);
    if path == Path::new("-") {
        let done = export.run(view, io::stdout(), goes_on)?;
        io::stdout().flush().map_err(ExportError::Sink)?;
        return Ok(Written { file: None, done });
    }
    refuse_existing(&path, force)?;
    let unusable = |why: io::Error| InputError { place: path.display().to_string(), why: why.to_string() };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(folder).map_err(unusable)?;
    let mut sink = BufWriter::with_capacity(1 << 16, file.as_file_mut());
    let done = match export.run(view, &mut sink, goes_on) {
        Err(ExportError::Sink(why)) => return Err(unusable(why).into()),
        done => done?,
    };
    sink.flush().map_err(unusable)?;
    drop(sink);
    let persisted = if force { file.persist(&path) } else { file.persist_noclobber(&path) };
    persisted.map_err(|why| unusable(why.error))?;
    Ok(Written { file: Some(path), done })
}

fn refuse_existing(path: &Path, force: bool) -> Result<(), InputError> {
    match !force && path.exists() {
        true => Err(InputError { place: path.display().to_string(), why: "this file exists; --force overwrites it".into() }),
        false => Ok(()),
    }
}
