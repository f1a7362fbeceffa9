//! The output formats of a run's results.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use scrip_loadtest::json::Document;
use scrip_loadtest::probe::Floor;
use scrip_loadtest::report::Report;
use scrip_loadtest::{html, table};

use crate::exit::Exit;
use crate::print;

/// Where the results go.
#[derive(Debug, Args)]
pub(crate) struct Documents {
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
    /// Write the results to a file, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write the results to a file, as an HTML page with charts
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Documents {
    /// Checks that the files can be written, before a run of minutes. Leaves their contents.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        for path in [&self.report, &self.html].into_iter().flatten() {
            File::options().append(true).create(true).open(path).with_context(|| cannot_write(path))?;
        }
        Ok(())
    }

    /// Prints the next step for people.
    pub(crate) fn say(&self, text: &str) {
        if !self.json {
            print::complain(text);
        }
    }

    /// Whether nothing is printed for people during the run.
    pub(crate) fn is_quiet(&self) -> bool {
        self.json
    }

    /// Prints the results, writes them to files as requested, and returns the exit code of the run.
    pub(crate) fn give(&self, report: &Report) -> anyhow::Result<Exit> {
        let document = Document::of(report);
        match self.json {
            true => print::json(&document),
            false => print_tables(report),
        }
        // After printing, so that a full disk does not lose the results.
        if let Some(path) = &self.report {
            let mut text = serde_json::to_string_pretty(&document)?;
            text.push('\n');
            std::fs::write(path, text).with_context(|| cannot_write(path))?;
        }
        if let Some(path) = &self.html {
            std::fs::write(path, html::page(report)).with_context(|| cannot_write(path))?;
        }
        let is_sound = report.audit.as_ref().is_none_or(|audit| audit.differences.count() == 0);
        Ok(if is_sound { Exit::Done } else { Exit::Mismatch })
    }
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

fn print_tables(report: &Report) {
    print_table(&table::phases_head(report), 2, &table::phases(report));
    for phase in &report.phases {
        let found: Vec<_> = table::particulars(phase).iter().map(|row| row.join(" ")).collect();
        if !found.is_empty() {
            print::line(format_args!("{}: {}", phase.name, found.join("; ")));
        }
    }
    report.climb.iter().for_each(|climb| print::line(format_args!("ramp: {}", table::rate_held(climb))));
    report.engine.iter().for_each(|engine| print::line(format_args!("engine: {}", table::engine(engine))));
    if let Some(floor) = &report.floor {
        print::line("");
        print_floor(floor);
    }
    print::line("");
    table::meaning(report).into_iter().for_each(print::line);
    if let Some(audit) = &report.audit {
        print::line(format_args!("audit: {}", audit.verdict()));
        print::line(format_args!("audit: {}", audit.counted()));
        audit.differences.texts().iter().for_each(|difference| print::complain(difference));
    }
}

/// Prints the floor of a machine.
pub(super) fn print_floor(floor: &Floor) {
    print_table(&table::FLOOR_HEAD, 1, &table::floor(floor));
}

/// Prints a table whose first `words` columns are text and whose others are numbers.
fn print_table(head: &[&str], words: usize, rows: &[Vec<String>]) {
    let side = |column: usize| if column < words { "" } else { ">" };
    let head: Vec<String> =
        head.iter().enumerate().map(|(column, name)| format!("{}{}", side(column), name.to_uppercase())).collect();
    print::table(&head.iter().map(String::as_str).collect::<Vec<_>>(), rows);
}
