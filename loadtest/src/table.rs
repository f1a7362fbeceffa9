//! The results as rows of tables, for the terminal and for the page.

use crate::numbers::{bytes, grouped, rate, share, time_us};
use crate::probe::{Floor, Spread};
use crate::ramp::Step;
use crate::report::{Climb, Engine, Model, Phase, Report};

/// The headings of the columns of [`phases`]; all but the first two contain figures. Activations have their own columns unless
/// they equal the number of answers.
pub fn phases_head(report: &Report) -> Vec<&'static str> {
    let activated: &[&str] = if tells_activations(report) { &["activated", "of echo"] } else { &[] };
    let times = ["p50", "p99", "p99.9", "max", "by floor", "cpu", "answers", "busy"];
    [&["phase", "load", "rate", "of echo"], activated, &times].concat()
}

fn tells_activations(report: &Report) -> bool {
    report.phases.iter().any(|phase| phase.activations != phase.answered())
}

/// The headings of the columns of [`steps`]; all but the last contain figures.
pub const STEPS_HEAD: [&str; 4] = ["offered", "answered", "p99", ""];

/// The headings of the columns of [`floor`]; all but the first contain figures.
pub const FLOOR_HEAD: [&str; 6] = ["floor", "p50", "p99", "rate", "lowest", "highest"];

/// A cell without a value.
const NOTHING: &str = "-";

/// A row for each phase, with the floor where the comparison is meaningful.
pub fn phases(report: &Report) -> Vec<Vec<String>> {
    let row = |phase: &Phase| {
        let shares = report.floor.as_ref().map(|floor| phase.shares(floor));
        let part = |part: Option<f64>| part.map_or(NOTHING.to_owned(), share);
        let time = |us: f64| if phase.latency.is_empty() { NOTHING.to_owned() } else { time_us(us) };
        let mut cells =
            vec![phase.name.clone(), load(phase), rate(phase.per_second()), part(shares.and_then(|shares| shares.rate))];
        if tells_activations(report) {
            cells.extend([rate(phase.activations_per_second()), part(shares.and_then(|shares| shares.activations))]);
        }
        cells.extend([
            time(phase.quantile_us(0.5)),
            time(phase.quantile_us(0.99)),
            time(phase.quantile_us(0.999)),
            time(phase.max_us()),
            part(shares.and_then(|shares| shares.p50)),
            phase.processor_us().map_or(NOTHING.to_owned(), time_us),
            grouped(phase.answered()),
            grouped(phase.busy),
        ]);
        cells
    };
    report.phases.iter().map(row).collect()
}

/// How load is offered, short enough for a column; [`meaning`] explains it.
fn load(phase: &Phase) -> String {
    let connections = grouped(phase.connections as u64);
    match phase.model {
        Model::Open { per_second } => format!("open, {}", rate(per_second)),
        Model::Closed { window } => format!("closed, {connections} x {}", grouped(window as u64)),
        Model::Burst => format!("burst, {connections} x all"),
    }
}

/// The particulars of a phase that are not zero, each with its name.
pub fn particulars(phase: &Phase) -> Vec<Vec<String>> {
    let found = &phase.particulars;
    let counts = [
        ("never sent", found.unsent),
        ("following holds", found.followed),
        ("without an answer", found.unanswered),
        ("refused as busy", found.refused_busy),
        ("retries answered alike", found.repeats_alike),
        ("reconnects", found.reconnects),
        ("retried after reconnects", found.resent),
    ];
    let counts = counts.into_iter().filter(|(_, count)| *count > 0).map(|(what, count)| (what, grouped(count)));
    let wait = found.retry_after_ms.map(|(low, high)| match low == high {
        true => ("retry after", format!("{low} ms")),
        false => ("retry after", format!("{low} to {high} ms")),
    });
    let late = found
        .pacing_late_us
        .into_iter()
        .flat_map(|(p99, max)| [("released late, p99", time_us(p99)), ("released late, max", time_us(max))]);
    let drained = found.drained_ms.filter(|ms| *ms >= 1.0).map(|ms| ("last answer after last due", time_us(ms * 1e3)));
    let processor = phase.processor.into_iter().flat_map(|used| {
        let seconds = |seconds: f64| format!("{seconds:.2} s");
        [("processor, user", seconds(used.user_s)), ("processor, system", seconds(used.system_s))]
    });
    let upkeep = found.upkeep.iter().map(|taken| {
        let (median, max) = (time_us(taken.median_ms * 1e3), time_us(taken.max_ms * 1e3));
        let reply = grouped(taken.reply_bytes_max as u64);
        vec![
            format!("campaigns: {}", taken.step),
            format!("{} times, median {median}, max {max}, {reply} bytes answered", taken.times),
        ]
    });
    let all = counts.chain(wait).chain(late).chain(drained).chain(processor);
    all.map(|(what, figure)| vec![what.to_owned(), figure]).chain(upkeep).collect()
}

/// A row for each step of a ramp.
pub fn steps(climb: &Climb) -> Vec<Vec<String>> {
    let row = |step: &Step| {
        let verdict = step.verdict.words().to_owned();
        vec![rate(step.per_second), rate(step.answered_per_second), time_us(step.p99_ms * 1e3), verdict]
    };
    climb.steps.iter().map(row).collect()
}

/// The result of a ramp, in a line.
pub fn rate_held(climb: &Climb) -> String {
    match climb.rate_held() {
        Some(held) => format!("the last rate that held: {}", rate(held)),
        None => "not even the first rate held".to_owned(),
    }
}

/// The load of the engine, in a line.
pub fn engine(engine: &Engine) -> String {
    let [most, limit] = [engine.requests_under_way_max, engine.requests_limit].map(|number| grouped(number as u64));
    format!("{most} requests under way at most, of {limit} allowed")
}

/// A row for each measurement of the floor.
pub fn floor(floor: &Floor) -> Vec<Vec<String>> {
    let nothing = || NOTHING.to_owned();
    let times = |p50: f64, p99: f64| [time_us(p50), time_us(p99)];
    let data = |spread: Spread| [spread.median, spread.lowest, spread.highest].map(|number| format!("{}/s", bytes(number)));
    let pieces = |spread: Spread, of: &str| {
        [rate(spread.median).replace("/s", &format!(" {of}/s")), rate(spread.lowest), rate(spread.highest)]
    };
    let row = |what: String, times: [String; 2], rates: [String; 3]| [vec![what], times.to_vec(), rates.to_vec()].concat();
    let appends = floor.appends.iter().map(|append| {
        let what = format!("append {} and flush", bytes(append.bytes as f64));
        row(what, times(append.p50_us, append.p99_us), data(append.bytes_per_second))
    });
    let commits = floor.commits.iter().map(|commit| {
        let what = format!("redb commit of {}", grouped(commit.records as u64));
        row(what, times(commit.p50_us, commit.p99_us), pieces(commit.records_per_second, "records"))
    });
    let echoes = floor.echo.pipelined.iter().map(|echo| {
        let what = format!("QUIC echo, {} in flight", grouped(echo.window as u64));
        row(what, [nothing(), nothing()], pieces(echo.frames_per_second, "frames"))
    });
    let alone = times(floor.echo.alone_p50_us, floor.echo.alone_p99_us);
    let alone = row("QUIC echo alone".to_owned(), alone, [nothing(), nothing(), nothing()]);
    appends.chain(commits).chain(echoes).chain([alone]).collect()
}

/// What the columns of [`phases`] mean, line by line.
pub fn meaning(report: &Report) -> Vec<String> {
    let mut lines = vec![
        "load: closed, connections x requests in flight, timed from sending; open, at a rate, and burst, all at once: timed from due"
            .to_owned(),
    ];
    lines.extend(report.floor.as_ref().map(|floor| {
        let (echo, alone) = (rate(floor.echo.limit_per_second()), time_us(floor.alone_us()));
        format!("of echo: the rate, by {echo} of raw QUIC; by floor: the p50, by {alone} of one echo and one commit alone")
    }));
    if report.phases.iter().any(|phase| phase.processor.is_some()) {
        lines.push("cpu: processor time of the whole process for each answer, load generator included".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processor::ProcessorTime;
    use crate::report::samples;

    #[track_caller]
    fn check(rows: &[Vec<String>], expected: &str) {
        let text: Vec<String> = rows.iter().map(|row| row.join(" | ")).collect();
        assert_eq!(text.join("\n"), expected);
    }

    #[test]
    fn a_phase_is_shown_with_its_floor() {
        let mut report = samples::report();
        let even = |model| {
            let mut phase = samples::nothing("steady");
            (phase.model, phase.connections, phase.busy) = (model, 2, 7);
            phase.elapsed = std::time::Duration::from_secs(2);
            phase.answers.insert("redeemed", 2_000_000);
            phase.activations = 2_000_000;
            phase.processor = Some(ProcessorTime { user_s: 1.75, system_s: 0.25 });
            phase.latency.saturating_record_n(450_000, 2_000_000);
            phase
        };
        report.phases = vec![
            even(Model::Open { per_second: 1e6 }),
            even(Model::Closed { window: 1_024 }),
            even(Model::Closed { window: 1 }),
            samples::nothing("none"),
        ];
        check(
            &phases(&report),
            "steady | open, 1,000,000/s | 1,000,000/s | 0.17 | 450 µs | 450 µs | 450 µs | 450 µs | 1.50 | 1.00 µs | 2,000,000 | 7\n\
             steady | closed, 2 x 1,024 | 1,000,000/s | 0.17 | 450 µs | 450 µs | 450 µs | 450 µs | - | 1.00 µs | 2,000,000 | 7\n\
             steady | closed, 2 x 1 | 1,000,000/s | - | 450 µs | 450 µs | 450 µs | 450 µs | 1.50 | 1.00 µs | 2,000,000 | 7\n\
             none | closed, 0 x 1 | 0.0/s | - | - | - | - | - | - | - | 0 | 0",
        );
        report.phases[0].activations = 500_000;
        assert!(
            phases(&report)[0]
                .join(" | ")
                .starts_with("steady | open, 1,000,000/s | 1,000,000/s | 0.17 | 250,000/s | 0.042 | 450")
        );
        report.floor = None;
        let head = phases_head(&report);
        assert_eq!(head[4..6], ["activated", "of echo"]);
        assert!(phases(&report).iter().all(|row| row[3] == NOTHING && row[10] == NOTHING && row.len() == head.len()));
        assert_eq!(meaning(&report).len(), 2);
    }

    #[test]
    fn particulars_are_shown_if_there_are_any() {
        let of = |phase: &Phase| particulars(phase).iter().map(|row| row.join(": ")).collect::<Vec<_>>().join("; ");
        assert_eq!(
            of(&samples::phase("", Model::Open { per_second: 5e4 }, 1_000, 450.0)),
            "never sent: 3; retries answered alike: 1,200; reconnects: 4; retried after reconnects: 170; \
             retry after: 5 to 40 ms; released late, p99: 120 µs; released late, max: 1.70 ms; processor, user: 1.50 s; \
             processor, system: 0.30 s"
        );
        assert_eq!(of(&samples::nothing("")), "");
        let climb = samples::report().climb.expect("the sample has one");
        check(&steps(&climb), "20,000/s | 19,990/s | 3.25 ms | held\n40,000/s | 39,000/s | 31.5 ms | too slow");
        assert_eq!(rate_held(&climb), "the last rate that held: 20,000/s");
        assert_eq!(rate_held(&Climb { steps: climb.steps[1..].to_vec() }), "not even the first rate held");
    }

    #[test]
    fn the_floor_has_a_row_for_each_measurement() {
        let rows = floor(&samples::floor());
        check(
            &rows,
            "append 4 KiB and flush | 150 µs | 400 µs | 23.8 MiB/s | 21.5 MiB/s | 26.2 MiB/s\n\
             redb commit of 1 | 200 µs | 500 µs | 4,500 records/s | 4,050/s | 4,950/s\n\
             redb commit of 8,192 | 2.70 ms | 5.00 ms | 2,800,000 records/s | 2,520,000/s | 3,080,000/s\n\
             QUIC echo, 1,024 in flight | - | - | 5,000,000 frames/s | 4,500,000/s | 5,500,000/s\n\
             QUIC echo, 16,384 in flight | - | - | 6,000,000 frames/s | 5,400,000/s | 6,600,000/s\n\
             QUIC echo alone | 100 µs | 180 µs | - | - | -",
        );
        assert!(rows.iter().all(|row| row.len() == FLOOR_HEAD.len()));
    }
}
