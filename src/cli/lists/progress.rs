//! A progress bar for lists that take over a second, on a terminal only.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::print;

/// Time before anything is shown.
const QUIET: Duration = Duration::from_secs(1);

/// The progress of a list.
pub(crate) struct Progress {
    began: Instant,
    doing: &'static str,
    total: Option<u64>,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Starts the clock; `total` is the number of parts, if known.
    pub(crate) fn new(doing: &'static str, total: Option<u64>) -> Progress {
        Progress { began: Instant::now(), doing, total, bar: None }
    }

    /// Shows the progress.
    pub(crate) fn at(&mut self, parts: u64, lines: u32) {
        if self.began.elapsed() < QUIET {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let template = match self.total {
                Some(_) => format!("{} {{bar:40}} {{percent}} %, {{eta}} left, at line {{msg}}", self.doing),
                None => format!("{} {{spinner}} at line {{msg}}", self.doing),
            };
            let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
            self.total.map_or_else(ProgressBar::new_spinner, ProgressBar::new).with_style(style)
        });
        bar.set_message(print::grouped(lines));
        bar.set_position(parts);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
