//! A ramp: rates that rise step by step until the objective breaks.

use std::time::Duration;

/// The share of the offered rate that must be answered.
const ANSWERED_MIN: f64 = 0.95;

/// How a ramp rises, and its objective.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Ramp {
    /// The first rate, per second.
    pub from: f64,
    /// The factor from each rate to the next: more than 1.
    pub factor: f64,
    /// The highest rate.
    pub to: f64,
    /// How long each rate is offered, in milliseconds.
    pub step_ms: u64,
    /// The objective: the highest 99th percentile of the latencies, in milliseconds.
    pub objective_p99_ms: f64,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The objective was met at this rate.
    Held,
    /// Answers were too late.
    TooSlow,
    /// Fewer were answered than were due.
    RateNotKept,
}

impl Verdict {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Verdict::Held => "held",
            Verdict::TooSlow => "too slow",
            Verdict::RateNotKept => "rate not kept",
        }
    }
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Step {
    /// The rate offered.
    pub per_second: f64,
    /// The rate answered, from the start to the last answer.
    pub answered_per_second: f64,
    /// The 99th percentile, in milliseconds.
    pub p99_ms: f64,
    /// How it ended.
    pub verdict: Verdict,
}

impl Ramp {
    /// The rates of its steps.
    pub fn rates(&self) -> impl Iterator<Item = f64> + use<> {
        let (factor, to) = (self.factor.max(1.01), self.to);
        std::iter::successors(Some(self.from), move |rate| Some(rate * factor)).take_while(move |rate| *rate <= to * 1.000_001)
    }

    /// How many requests a step of a rate has.
    pub fn count(&self, per_second: f64) -> usize {
        ((per_second * self.step_ms as f64 / 1e3) as usize).max(1)
    }

    /// Judges a step from the rate offered, the number of answers, the time of the last answer, and the 99th percentile of the
    /// latencies.
    pub fn judge(&self, per_second: f64, answered: u64, elapsed: Duration, p99: Duration) -> Step {
        let offered = Duration::from_secs_f64(self.count(per_second) as f64 / per_second);
        // No phase can be faster than its offer.
        let answered_per_second = answered as f64 / elapsed.max(offered).as_secs_f64().max(1e-9);
        let p99_ms = p99.as_secs_f64() * 1e3;
        let verdict = if answered_per_second < ANSWERED_MIN * per_second {
            Verdict::RateNotKept
        } else if p99_ms > self.objective_p99_ms {
            Verdict::TooSlow
        } else {
            Verdict::Held
        };
        Step { per_second, answered_per_second, p99_ms, verdict }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp() -> Ramp {
        Ramp { from: 1_000.0, factor: 2.0, to: 8_000.0, step_ms: 2_000, objective_p99_ms: 10.0 }
    }

    #[test]
    fn rates_rise_by_the_factor_to_the_last() {
        assert_eq!(ramp().rates().collect::<Vec<_>>(), [1_000.0, 2_000.0, 4_000.0, 8_000.0]);
        assert_eq!(Ramp { to: 500.0, ..ramp() }.rates().count(), 0);
        assert_eq!(ramp().count(4_000.0), 8_000);
    }

    #[test]
    fn a_step_holds_when_it_is_fast_enough_and_keeps_up() {
        let judge = |answered, elapsed_ms, p99_ms| {
            ramp().judge(4_000.0, answered, Duration::from_millis(elapsed_ms), Duration::from_millis(p99_ms)).verdict
        };
        assert_eq!(judge(8_000, 1_999, 10), Verdict::Held);
        assert_eq!(judge(8_000, 2_005, 11), Verdict::TooSlow);
        assert_eq!(judge(8_000, 2_200, 9), Verdict::RateNotKept);
        assert_eq!(judge(7_000, 2_000, 9), Verdict::RateNotKept);
    }
}
