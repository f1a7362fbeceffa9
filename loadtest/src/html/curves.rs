//! The curves of a phase.

use super::chart::{Axis, Chart, Curve, Level, Note};
use super::escaped::Escaped;
use crate::memory::Resident;
use crate::numbers::{bytes, grouped, rate, time_us};
use crate::probe::Floor;
use crate::report::{Interval, Model, Phase};

/// Maximum number of stretches of a curve over time. A longer phase is drawn in longer stretches.
const STRETCHES_MAX: usize = 300;

/// A name in a legend: the CSS class of its curve, and its text.
type Named = (&'static str, &'static str);

fn figure(title: &str, legend: &[Named], remark: &str, chart: &Chart) -> String {
    let mut names: String = legend.iter().map(|(class, name)| format!("<span class=\"{class}\">{name}</span> ")).collect();
    // Beside the picture: inside it they would cover the curves.
    for level in &chart.levels {
        let (class, beyond) = if chart.shows(level) { ("dashes", "") } else { ("beyond", ", above the picture") };
        names.push_str(&format!("<span class=\"{class}\">{}{beyond}</span> ", Escaped(&level.words)));
    }
    let remark = if remark.is_empty() { String::new() } else { format!("<small>{remark}</small>") };
    format!("<figure>\n<figcaption><b>{title}</b> {names}{remark}</figcaption>\n{}</figure>\n", chart.svg())
}

/// Answers per second over time, with the echo's rate as its limit and the offered rate as its target.
pub(super) fn throughput(phase: &Phase, floor: Option<&Floor>) -> String {
    let (stretches, remark) = stretches(&phase.series);
    let (Some(first), Some(last)) = (stretches.first(), stretches.last()) else { return String::new() };
    let steps = |of: &dyn Fn(&Interval) -> f64| {
        stretches.iter().flat_map(|stretch| [(stretch.from_ms, of(stretch)), (stretch.to_ms, of(stretch))]).collect::<Vec<_>>()
    };
    let busy_rate = |stretch: &Interval| Interval { answered: stretch.busy, ..stretch.clone() }.per_second();
    let mut legend = vec![("answers", "answers")];
    let mut curves = vec![Curve { class: "answers", points: steps(&Interval::per_second) }];
    if stretches.iter().any(|stretch| stretch.busy > 0) {
        legend.push(("busy", "busy"));
        curves.push(Curve { class: "busy", points: steps(&busy_rate) });
    }
    let mut levels = Vec::new();
    let highest = curves.iter().flat_map(|curve| &curve.points).map(|(_, y)| *y).fold(0.0, f64::max);
    let mut top = highest;
    if let Model::Open { per_second } = phase.model {
        levels.push(Level { value: per_second, words: format!("offered {}", rate(per_second)) });
        top = top.max(per_second);
    }
    let limit = floor.filter(|floor| phase.shares(floor).rate.is_some()).map(|floor| floor.echo.limit_per_second());
    if let Some(limit) = limit {
        levels.push(Level { value: limit, words: format!("raw QUIC echo {}", rate(limit)) });
        // Drawn only if it leaves the curve enough room; otherwise a note mentions it.
        if limit < 2.5 * highest {
            top = top.max(limit);
        }
    }
    let chart = Chart {
        about: format!("Answers per second over {}, up to {}", time_us((last.to_ms - first.from_ms) * 1e3), rate(highest)),
        x: Axis::until("time", last.to_ms, |ms| time_words(ms * 1e3)),
        y: Axis::linear("answers per second", top, |number| grouped(number.round() as u64)),
        curves,
        levels,
        notes: notes(&stretches),
    };
    figure("Throughput over time", &legend, remark, &chart)
}

/// Latency over time.
pub(super) fn latency(phase: &Phase, floor: Option<&Floor>) -> String {
    let (stretches, remark) = stretches(&phase.series);
    let times = || stretches.iter().flat_map(|stretch| [stretch.p50_us, stretch.max_us]).filter(|us| *us > 0.0);
    let (Some(last), Some(lowest)) = (stretches.last(), times().reduce(f64::min)) else { return String::new() };
    let highest = times().fold(lowest, f64::max);
    let curve = |class: &'static str, of: &dyn Fn(&Interval) -> f64| Curve {
        class,
        points: stretches.iter().map(|stretch| ((stretch.from_ms + stretch.to_ms) / 2.0, of(stretch))).collect(),
    };
    let (levels, lowest) = floor_level(phase, floor, lowest);
    let chart = Chart {
        about: format!("Latency over time, from {} to {}", time_us(lowest), time_us(highest)),
        x: Axis::until("time", last.to_ms, |ms| time_words(ms * 1e3)),
        y: Axis::log("latency", lowest, highest, time_words),
        curves: vec![
            curve("max", &|stretch| stretch.max_us),
            curve("p99", &|stretch| stretch.p99_us),
            curve("p50", &|stretch| stretch.p50_us),
        ],
        levels,
        notes: notes(&stretches),
    };
    figure("Latency over time", &[("p50", "p50"), ("p99", "p99"), ("max", "max")], remark, &chart)
}

/// Latency by percentile: each step to the right is ten times rarer.
pub(super) fn percentiles(phase: &Phase, floor: Option<&Floor>) -> String {
    if phase.latency.is_empty() {
        return String::new();
    }
    let count = phase.latency.len();
    // The slowest answer is one of `count`; the share of 100 % has no place on this axis.
    let rarity = |quantile: f64| (1.0 / (1.0 - quantile).max(f64::EPSILON)).min(count as f64);
    let of = |nanoseconds: u64| nanoseconds as f64 / 1e3;
    let mut points: Vec<(f64, f64)> = vec![(1.0, of(phase.latency.min()))];
    points
        .extend(phase.latency.iter_quantiles(10).map(|step| (rarity(step.quantile_iterated_to()), of(step.value_iterated_to()))));
    points.push((count as f64, phase.max_us()));
    let lowest = points.iter().map(|(_, us)| *us).filter(|us| *us > 0.0).fold(phase.max_us().max(0.001), f64::min);
    let (levels, lowest) = floor_level(phase, floor, lowest);
    let stretch = |pair: &[(f64, f64)]| Note {
        from: pair[0].0,
        to: pair[1].0,
        words: format!("{} % within {}", share_words(pair[1].0), time_us(pair[1].1)),
    };
    let chart = Chart {
        about: format!("Latency by percentile, up to {}", time_us(phase.max_us())),
        x: Axis::percentiles("share of the answers", count),
        y: Axis::log("latency", lowest, phase.max_us(), time_words),
        notes: points.windows(2).filter(|pair| pair[1].0 > pair[0].0).map(stretch).collect(),
        curves: vec![Curve { class: "p50", points }],
        levels,
    };
    figure("Latency by percentile", &[], "to the right, ten times rarer at each step", &chart)
}

/// Resident memory over time.
pub(super) fn memory(samples: &[Resident]) -> String {
    let highest = samples.iter().map(|sample| sample.bytes).max().unwrap_or_default() as f64;
    let until = samples.last().map_or(0.0, |sample| sample.at_ms);
    const MIB: f64 = 1048576.0;
    let chart = Chart {
        about: format!("Memory over time, up to {}", bytes(highest)),
        x: Axis::until("time from the run's beginning", until, |ms| time_words(ms * 1e3)),
        y: Axis::linear("resident", highest / MIB, |number| format!("{} MiB", grouped(number.round() as u64))),
        curves: vec![Curve {
            class: "answers",
            points: samples.iter().map(|sample| (sample.at_ms, sample.bytes as f64 / MIB)).collect(),
        }],
        levels: Vec::new(),
        notes: samples
            .windows(2)
            .map(|pair| Note {
                from: pair[0].at_ms,
                to: pair[1].at_ms,
                words: format!("{}: {}", time_us(pair[1].at_ms * 1e3), bytes(pair[1].bytes as f64)),
            })
            .collect(),
    };
    figure("Memory of the process", &[], "engine, load and audit together", &chart)
}

/// The floor of a latency, if it is comparable, and the lowest value with it.
fn floor_level(phase: &Phase, floor: Option<&Floor>, lowest: f64) -> (Vec<Level>, f64) {
    match floor.filter(|floor| phase.shares(floor).p50.is_some()).map(Floor::alone_us) {
        Some(us) => {
            let words = format!("echo + commit alone, p50 {}", time_us(us));
            (vec![Level { value: us, words }], lowest.min(us))
        }
        None => (Vec::new(), lowest),
    }
}

/// A time without trailing zero decimals.
fn time_words(us: f64) -> String {
    if us == 0.0 {
        return "0".to_owned();
    }
    let words = time_us(us);
    let Some((number, unit)) = words.split_once(' ') else { return words };
    match number.contains('.') {
        true => format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.')),
        false => words,
    }
}

/// The share of answers below one in `count`, in percent, with as many digits as necessary.
fn share_words(rarity: f64) -> String {
    let decimals = (rarity.log10().ceil() as usize).saturating_sub(1).min(6);
    format!("{:.decimals$}", 100.0 - 100.0 / rarity)
}

fn notes(stretches: &[Interval]) -> Vec<Note> {
    let note = |stretch: &Interval| {
        let mut words = vec![
            format!("{} to {}", time_us(stretch.from_ms * 1e3), time_us(stretch.to_ms * 1e3)),
            format!("{} answers, {}", grouped(stretch.answered), rate(stretch.per_second())),
        ];
        if stretch.busy > 0 {
            words.push(format!("{} busy", grouped(stretch.busy)));
        }
        if stretch.answered > 0 {
            let (p50, p99, max) = (time_us(stretch.p50_us), time_us(stretch.p99_us), time_us(stretch.max_us));
            words.push(format!("p50 {p50}, p99 {p99}, max {max}"));
        }
        Note { from: stretch.from_ms, to: stretch.to_ms, words: words.join("\n") }
    };
    stretches.iter().map(note).collect()
}

/// A series in as many stretches as can be drawn, with a note about it. Values that cannot be added are combined by maximum.
fn stretches(series: &[Interval]) -> (Vec<Interval>, &'static str) {
    let together = series.len().div_ceil(STRETCHES_MAX).max(1);
    let joined = series.chunks(together).map(|chunk| {
        let highest = |of: fn(&Interval) -> f64| chunk.iter().map(of).fold(0.0, f64::max);
        Interval {
            from_ms: chunk[0].from_ms,
            to_ms: chunk[chunk.len() - 1].to_ms,
            answered: chunk.iter().map(|interval| interval.answered).sum(),
            busy: chunk.iter().map(|interval| interval.busy).sum(),
            p50_us: highest(|interval| interval.p50_us),
            p99_us: highest(|interval| interval.p99_us),
            max_us: highest(|interval| interval.max_us),
        }
    });
    let remark =
        if together > 1 { "drawn in longer stretches than were measured: each percentile is its highest there" } else { "" };
    (joined.collect(), remark)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn a_long_series_is_drawn_in_fewer_stretches_that_add_up() {
        let interval = |n: u32| Interval {
            from_ms: f64::from(n),
            to_ms: f64::from(n + 1),
            answered: 2,
            busy: 1,
            p50_us: 1.0,
            p99_us: 2.0,
            max_us: f64::from(n),
        };
        let series: Vec<Interval> = (0..10_001).map(interval).collect();
        let (drawn, remark) = stretches(&series);
        assert!(drawn.len() <= STRETCHES_MAX && !remark.is_empty());
        assert_eq!(
            drawn.iter().map(|stretch| (stretch.answered, stretch.busy)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1)),
            (20_002, 10_001)
        );
        assert_eq!(drawn.last().map(|stretch| (stretch.to_ms, stretch.max_us)), Some((10_001.0, 10_000.0)));
        assert_eq!(stretches(&series[..5]).0, series[..5]);
        assert!(stretches(&[]).0.is_empty());
    }

    #[test]
    fn the_floor_is_a_line_where_it_means_something() {
        let floor = samples::floor();
        let phase = |model| samples::phase("", model, 60_000, 450.0);
        let drawn = |chart: String, words: &str| (chart.contains("class=\"level\""), chart.contains(words));
        let open = phase(Model::Open { per_second: 50_000.0 });
        assert_eq!(drawn(latency(&open, Some(&floor)), "echo + commit alone, p50 300 µs"), (true, true));
        assert_eq!(drawn(throughput(&open, Some(&floor)), "raw QUIC echo 6,000,000/s, above the picture"), (true, true));
        let closed = phase(Model::Closed { window: 1_024 });
        assert_eq!(drawn(latency(&closed, Some(&floor)), "echo + commit"), (false, false));
        assert_eq!(drawn(throughput(&closed, None), "raw QUIC echo"), (false, false));
    }

    #[test]
    fn shares_have_as_many_digits_as_it_takes() {
        for (rarity, words) in [(1.0, "0"), (2.0, "50"), (100.0, "99.0"), (1_000.0, "99.90"), (1e7, "99.999990")] {
            assert_eq!(share_words(rarity), words);
        }
        assert_eq!((time_words(1_000.0), time_words(200.0)), ("1 ms".to_owned(), "200 µs".to_owned()));
    }
}
