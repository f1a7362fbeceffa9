//! The display and the samples of a run in progress.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use scrip_engine::Engine;
use scrip_loadtest::load::Live;

use crate::print;

/// How often requests under way are sampled; the display moves every fourth time.
const LOOK: Duration = Duration::from_millis(50);
const LOOKS_PER_DISPLAY: u32 = 4;

/// Watches until it is dropped: shows the progress if standard error is a terminal, unless `quiet`, and samples how many requests
/// are under way in an engine of our own.
pub(super) async fn watch(live: &Arc<Live>, engine: Option<&Engine>, quiet: bool, under_way_max: &mut usize) {
    let bar = match !quiet && std::io::stderr().is_terminal() {
        true => ProgressBar::new_spinner(),
        false => ProgressBar::hidden(),
    };
    bar.set_style(ProgressStyle::with_template("  {spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()));
    let _clear = Clear(bar.clone());
    let (mut looks, mut before) = (0_u32, (String::new(), 0_u64));
    loop {
        tokio::time::sleep(LOOK).await;
        looks = looks.wrapping_add(1);
        if let Some(engine) = engine {
            *under_way_max = (*under_way_max).max(engine.requests_under_way());
        }
        if !looks.is_multiple_of(LOOKS_PER_DISPLAY) {
            continue;
        }
        let (doing, so_far) = live.look();
        let Some(so_far) = so_far else {
            bar.set_message(doing);
            bar.tick();
            continue;
        };
        let since = if before.0 == doing { so_far.answered.saturating_sub(before.1) } else { so_far.answered };
        let per_second = since as f64 / (LOOK * LOOKS_PER_DISPLAY).as_secs_f64();
        bar.set_message(format!(
            "{doing}: {} answered, {}/s, p99 {:.2?}, {} busy",
            print::grouped(so_far.answered),
            print::grouped(per_second as u64),
            so_far.p99,
            print::grouped(so_far.busy),
        ));
        bar.tick();
        before = (doing, so_far.answered);
    }
}

struct Clear(ProgressBar);

impl Drop for Clear {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
