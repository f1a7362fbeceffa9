//! Curves as SVG. The page defines colours and fonts; this file defines the geometry.

use std::fmt::Write;

use super::escaped::Escaped;

/// The size of the picture in SVG units; the page scales it.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 260.0;
/// The margin for the axes.
const LEFT: f64 = 72.0;
const RIGHT: f64 = 32.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 44.0;

/// The scale of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// Linear.
    Linear,
    /// Logarithmic.
    Log,
}

/// An axis: the range of values that it shows, and how they are written.
pub(super) struct Axis {
    low: f64,
    high: f64,
    scale: Scale,
    ticks: Vec<(f64, String)>,
    /// Its title.
    name: &'static str,
}

impl Axis {
    /// From 0 to a round number at or above the highest.
    pub(super) fn linear(name: &'static str, highest: f64, words: impl Fn(f64) -> String) -> Axis {
        let step = round_step(if highest > 0.0 { highest / 5.0 } else { 0.2 });
        let steps = (highest / step).ceil().max(1.0);
        let ticks = (0..=steps as u32).map(|n| (f64::from(n) * step, words(f64::from(n) * step))).collect();
        Axis { low: 0.0, high: steps * step, scale: Scale::Linear, ticks, name }
    }

    /// From 0 to exactly the highest value: for time.
    pub(super) fn until(name: &'static str, highest: f64, words: impl Fn(f64) -> String) -> Axis {
        let mut axis = Axis::linear(name, highest, words);
        if highest > 0.0 {
            axis.high = highest;
            axis.ticks.retain(|(value, _)| *value <= highest * 1.000_001);
        }
        axis
    }

    /// From a round number at or below the lowest to one at or above the highest, both above 0. Round: 1, 2 or 5 times a power of
    /// ten.
    pub(super) fn log(name: &'static str, lowest: f64, highest: f64, words: impl Fn(f64) -> String) -> Axis {
        let lowest = if lowest > 0.0 { lowest } else { 1.0 };
        let highest = highest.max(lowest);
        let rounds = (lowest.log10().floor() as i32 - 1..=highest.log10().ceil() as i32 + 1)
            .flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)));
        let rounds: Vec<f64> = rounds.collect();
        let low = rounds.iter().copied().rfind(|round| *round <= lowest * 1.000_001).unwrap_or(lowest);
        let high = rounds.iter().copied().find(|round| *round >= highest * 0.999_999 && *round > low).unwrap_or(highest * 10.0);
        // Over more than three powers of ten, only powers of ten are labelled.
        let is_wide = high / low > 1_000.0;
        let is_shown = |round: &f64| *round >= low && *round <= high && (!is_wide || is_power_of_ten(*round));
        let ticks = rounds.iter().copied().filter(is_shown).map(|round| (round, words(round))).collect();
        Axis { low, high, scale: Scale::Log, ticks, name }
    }

    /// Shares of the answers, each given as the number of answers of which one is above it: 1 is 0 %, 100 is 99 %. Up to `count`.
    pub(super) fn percentiles(name: &'static str, count: u64) -> Axis {
        let high = (count as f64).clamp(10.0, 1e7);
        let mut ticks = vec![(1.0, "0 %".to_owned()), (2.0, "50 %".to_owned()), (10.0, "90 %".to_owned())];
        for nines in 2..=7_u32 {
            let decimals = nines as usize - 2;
            ticks.push((10_f64.powi(nines as i32), format!("{:.decimals$} %", 100.0 - 10_f64.powi(2 - nines as i32))));
        }
        ticks.retain(|(value, _)| *value <= high * 1.000_001);
        Axis { low: 1.0, high, scale: Scale::Log, ticks, name }
    }

    /// The position of a value: 0 at the start of the axis, 1 at its end.
    fn place(&self, value: f64) -> f64 {
        let place = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log => (value / self.low).log10() / (self.high / self.low).log10(),
        };
        place.clamp(0.0, 1.0)
    }
}

/// 1, 2 or 5 times a power of ten, at or above `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|digit| digit * power).find(|round| *round >= step * 0.999_999).unwrap_or(10.0 * power)
}

fn is_power_of_ten(round: f64) -> bool {
    (round.log10() - round.log10().round()).abs() < 1e-9
}

/// A curve. Values that are not finite, or not above 0 on a logarithmic axis, are gaps in it.
pub(super) struct Curve {
    /// The CSS class that defines its colour.
    pub(super) class: &'static str,
    /// Its points, in drawing order.
    pub(super) points: Vec<(f64, f64)>,
}

/// A level across the picture.
pub(super) struct Level {
    /// Its value.
    pub(super) value: f64,
    /// Its label.
    pub(super) words: String,
}

/// The tooltip of a stretch.
pub(super) struct Note {
    /// Its start and end.
    pub(super) from: f64,
    pub(super) to: f64,
    /// The text, one string per line.
    pub(super) words: String,
}

/// A picture of curves.
pub(super) struct Chart {
    /// A description for those who do not see it.
    pub(super) about: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) curves: Vec<Curve>,
    /// Levels to compare the curves with. A level beyond the axis is not drawn.
    pub(super) levels: Vec<Level>,
    pub(super) notes: Vec<Note>,
}

impl Chart {
    /// The picture.
    pub(super) fn svg(&self) -> String {
        let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n", Escaped(&self.about));
        self.axes(&mut svg);
        for curve in &self.curves {
            let path = self.path(&curve.points);
            if !path.is_empty() {
                put(&mut svg, format_args!("<path class=\"curve {}\" d=\"{path}\"/>\n", curve.class));
            }
        }
        self.levels(&mut svg);
        for note in &self.notes {
            let (left, right) = (self.at_x(note.from), self.at_x(note.to));
            let height = HEIGHT - TOP - BOTTOM;
            put(
                &mut svg,
                format_args!(
                    "<rect class=\"note\" x=\"{left:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{height}\"><title>{}</title></rect>\n",
                    (right - left).max(0.5),
                    Escaped(&note.words)
                ),
            );
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn at_x(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn at_y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - TOP - BOTTOM)
    }

    fn axes(&self, svg: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for (value, words) in &self.y.ticks {
            let y = self.at_y(*value);
            put(svg, format_args!("<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>"));
            let (x, y) = (LEFT - 8.0, y + 4.0);
            put(svg, format_args!("<text class=\"right\" x=\"{x}\" y=\"{y:.1}\">{}</text>\n", Escaped(words)));
        }
        for (value, words) in &self.x.ticks {
            let x = self.at_x(*value);
            put(svg, format_args!("<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/>"));
            let y = bottom + 16.0;
            put(svg, format_args!("<text class=\"middle\" x=\"{x:.1}\" y=\"{y}\">{}</text>\n", Escaped(words)));
        }
        put(svg, format_args!("<path class=\"axis\" d=\"M{LEFT} {TOP}V{bottom}H{right}\"/>\n"));
        let (middle, low) = ((LEFT + right) / 2.0, HEIGHT - 8.0);
        put(svg, format_args!("<text class=\"middle name\" x=\"{middle}\" y=\"{low}\">{}</text>\n", Escaped(self.x.name)));
        put(svg, format_args!("<text class=\"name\" x=\"4\" y=\"12\">{}</text>\n", Escaped(self.y.name)));
    }

    fn levels(&self, svg: &mut String) {
        for level in self.levels.iter().filter(|level| self.shows(level)) {
            let (y, right) = (self.at_y(level.value), WIDTH - RIGHT);
            put(svg, format_args!("<path class=\"level\" d=\"M{LEFT} {y:.1}H{right}\"/>\n"));
        }
    }

    /// Whether a level is within the picture.
    pub(super) fn shows(&self, level: &Level) -> bool {
        (self.y.low..=self.y.high).contains(&level.value)
    }

    fn path(&self, points: &[(f64, f64)]) -> String {
        let mut path = String::new();
        let mut is_begun = false;
        for (x, y) in points {
            let is_there = x.is_finite() && y.is_finite() && (self.y.scale == Scale::Linear || *y > 0.0);
            if is_there {
                let command = if is_begun { 'L' } else { 'M' };
                put(&mut path, format_args!("{command}{:.1} {:.1}", self.at_x(*x), self.at_y(*y)));
                if !is_begun {
                    // Makes a point with gaps on both sides visible.
                    path.push_str("h0.1");
                }
            }
            is_begun = is_there;
        }
        path
    }
}

/// Appends formatted text.
fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, words)| words.as_str()).collect()
    }

    #[test]
    fn axes_begin_and_end_at_round_numbers() {
        let plain = |value: f64| format!("{value}");
        assert_eq!(words(&Axis::linear("", 925.0, plain)), ["0", "200", "400", "600", "800", "1000"]);
        assert_eq!(words(&Axis::linear("", 0.0, plain)), ["0", "0.2"]);
        assert_eq!(words(&Axis::until("", 1.2, plain)), ["0", "0.5", "1"]);
        assert_eq!(words(&Axis::log("", 30.0, 450.0, plain)), ["20", "50", "100", "200", "500"]);
        assert_eq!(words(&Axis::log("", 1.0, 20_000.0, plain)), ["1", "10", "100", "1000", "10000"]);
        assert_eq!(words(&Axis::log("", 0.0, 0.0, plain)), ["1", "2"]);
        assert_eq!(words(&Axis::percentiles("", 5_000)), ["0 %", "50 %", "90 %", "99 %", "99.9 %"]);
        assert_eq!(words(&Axis::percentiles("", 0)), ["0 %", "50 %", "90 %"]);
    }

    #[test]
    fn what_cannot_be_placed_is_a_gap() {
        let axis = || Axis::log("", 1.0, 100.0, |value| value.to_string());
        let chart = Chart { about: String::new(), x: axis(), y: axis(), curves: vec![], levels: vec![], notes: vec![] };
        let path = chart.path(&[(1.0, 1.0), (10.0, 0.0), (20.0, f64::NAN), (50.0, 10.0), (100.0, 10.0)]);
        assert_eq!(path.matches('M').count(), 2, "{path}");
        assert_eq!(path.matches('L').count(), 1, "{path}");
        assert_eq!(chart.path(&[(1.0, -1.0)]), "");
    }
}
