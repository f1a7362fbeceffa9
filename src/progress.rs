//! A progress bar for work that takes over a second, on a terminal only.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use scrip_journal::ReplayProgress;

use crate::print;

/// Time before anything is shown.
const QUIET: Duration = Duration::from_secs(1);

/// Progress of work measured in journal positions, in bytes or in parts of a list.
pub(crate) struct Progress {
    began: Instant,
    doing: &'static str,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Starts the clock. `doing` names the work: `verifying the journal`.
    pub(crate) fn new(doing: &'static str) -> Progress {
        Progress { began: Instant::now(), doing, bar: None }
    }

    /// Shows the current position, of `last`.
    pub(crate) fn at(&mut self, position: u64, last: u64) {
        self.show(position, Some(last), || format!("at {}", print::grouped(position)));
    }

    /// Shows the progress of a replay.
    pub(crate) fn replayed(&mut self, so_far: ReplayProgress) {
        self.show(so_far.bytes_done, Some(so_far.bytes_total), || format!("at {}", print::grouped(so_far.position.0)));
    }

    /// Shows how many bytes are done, of how many.
    pub(crate) fn bytes(&mut self, done: u64, of: u64) {
        self.show(done, Some(of), || format!("{} of {}", print::bytes(done as f64), print::bytes(of as f64)));
    }

    /// Shows the line of a list: the parts done, and the total if known.
    pub(crate) fn line(&mut self, line: u32, parts: u64, of: Option<u64>) {
        self.show(parts, of, || format!("at line {}", print::grouped(line)));
    }

    fn show(&mut self, done: u64, of: Option<u64>, message: impl FnOnce() -> String) {
        if self.began.elapsed() < QUIET {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let template = match of {
                Some(_) => format!("{} {{bar:40}} {{percent}} %, {{eta}} left, {{msg}}", self.doing),
                None => format!("{} {{spinner}} {{msg}}", self.doing),
            };
            let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
            of.map_or_else(ProgressBar::new_spinner, ProgressBar::new).with_style(style)
        });
        if let Some(of) = of {
            bar.set_length(of);
        }
        bar.set_message(message());
        bar.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
