use super::start::CLOCK_EARLIEST_MS;
use super::*;
use scrip_protocol::Position;

const START: u64 = 1_790_000_000_000;
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A timeline, and the clocks that it reads.
struct Run {
    timeline: Timeline,
    reading: Reading,
}

impl Run {
    fn new(newest_ms: u64, wall_ms: u64) -> Run {
        let reading = Reading { wall_ms, elapsed_ms: 7 };
        Run { timeline: Timeline::new(newest_ms, reading), reading }
    }

    /// Lets time pass, sets the clock forward or back by a step, and reads it.
    fn after(&mut self, passed_ms: u64, step_ms: i64) -> Now {
        self.reading.elapsed_ms += passed_ms;
        self.reading.wall_ms = self.reading.wall_ms.saturating_add(passed_ms).saturating_add_signed(step_ms);
        let before = self.timeline.record_ms;
        let now = self.timeline.advance(self.reading);
        assert!(now.record_ms >= before, "the time of records never runs backwards");
        assert_eq!(now.elapsed_ms, self.reading.elapsed_ms, "what passes is not changed by setting the clock");
        Now { elapsed_ms: 0, ..now }
    }

    fn steps(&self) -> (u64, u64, bool) {
        (self.timeline.steps_forward, self.timeline.steps_back, self.timeline.is_followed)
    }
}

fn even(ms: u64) -> Now {
    Now { record_ms: ms, requests: ms.into(), elapsed_ms: 0 }
}

#[test]
fn an_even_clock_is_followed() {
    let mut run = Run::new(START - DAY, START);
    assert_eq!(run.after(0, 0), even(START));
    assert_eq!(run.after(20, 0), even(START + 20));
    assert_eq!(run.after(40 * DAY, 0), even(START + 20 + 40 * DAY), "no reading for weeks");
    assert_eq!(run.steps(), (0, 0, true));
}

/// A machine that slept, or a clock that NTP set after boot.
#[test]
fn a_step_forward_is_followed_up_to_its_bound() {
    let mut run = Run::new(START, START);
    assert_eq!(run.after(5, 61_000), even(START + 61_005));
    let far = START + 61_005 + CLOCK_AHEAD_MS_MAX;
    assert_eq!(run.after(0, CLOCK_AHEAD_MS_MAX as i64), even(far));
    assert_eq!(run.steps(), (2, 0, true));
    let now = run.after(10, CLOCK_AHEAD_MS_MAX as i64 + 1);
    assert_eq!((now, run.steps()), (even(far + 10), (3, 0, false)));
    assert_eq!(run.after(HOUR, 0), even(far + 10 + HOUR), "time continues as if the clock had not moved");
    // Set right, it is followed again.
    assert_eq!(run.after(0, -(CLOCK_AHEAD_MS_MAX as i64) - 1), even(far + 10 + HOUR));
    assert_eq!(run.steps(), (3, 1, true));
}

/// While the clock is behind, the time of records runs at half speed, and ids by both clocks are accepted.
#[test]
fn a_clock_set_back_is_caught_up_with_at_half_speed() {
    let mut run = Run::new(START, START);
    let now = run.after(0, -(HOUR as i64));
    let requests = |earliest_ms, latest_ms| ClockRange { earliest_ms, latest_ms };
    assert_eq!((now.record_ms, now.requests), (START, requests(START - HOUR, START)));
    for minutes in 1..120 {
        let now = run.after(MINUTE, 0);
        let passed = minutes * MINUTE;
        assert_eq!(now.record_ms, START + passed / 2, "after {minutes} minutes");
        assert_eq!(now.requests, requests(START - HOUR + passed, START + passed));
    }
    assert_eq!(run.after(MINUTE, 0).record_ms, START + HOUR);
    assert_eq!(run.after(MINUTE, 0).record_ms, START + HOUR + MINUTE, "it has caught up");
    assert_eq!(run.steps(), (0, 1, true));
    // Slowly even if it is read a thousand times a second.
    let mut run = Run::new(START, START);
    run.after(0, -(HOUR as i64));
    for _ in 0..10_000 {
        run.after(1, 0);
    }
    assert_eq!(run.timeline.record_ms, START + 5_000);
}

/// A clock that was ahead once, and is right at the next start.
#[test]
fn a_start_behind_the_newest_record_continues_after_it() {
    let ahead = START + 366 * DAY;
    let mut run = Run::new(ahead, START);
    let now = run.after(HOUR, 0);
    assert_eq!((now.record_ms, now.requests), (ahead + HOUR / 2, (START + HOUR).into()));
    // Slightly behind, so that the clock may not be set yet, ids by both are accepted.
    let now = Run::new(START + MINUTE, START).after(0, 0);
    assert_eq!(now.requests, ClockRange { earliest_ms: START, latest_ms: START + MINUTE });
    // Setting back a clock that started in 1970 is not too large a step.
    let mut run = Run::new(START, 0);
    assert_eq!(run.after(0, START as i64 + 5), even(START + 5));
}

/// Records are ahead, because a clock was ahead once, when the clock takes a step that is not followed.
#[test]
fn ids_by_the_right_clock_are_accepted_through_a_step_that_is_not_followed() {
    let step = 60 * DAY as i64;
    let mut run = Run::new(START + 5 * DAY, START);
    let now = run.after(HOUR, step);
    assert_eq!((now.record_ms, now.requests), (START + 5 * DAY + HOUR / 2, (START + HOUR).into()));
    let now = run.after(HOUR, 0);
    assert_eq!((now.requests, run.timeline.is_followed), ((START + 2 * HOUR).into(), false));
    // Set right, nothing has changed for requests.
    let now = run.after(HOUR, -step);
    assert_eq!((now.record_ms, now.requests), (START + 5 * DAY + 3 * HOUR / 2, (START + 3 * HOUR).into()));
    assert!(run.timeline.is_followed);
    // Also after the clock was set back while the engine ran.
    let mut run = Run::new(START, START);
    run.after(0, -(DAY as i64));
    let now = run.after(HOUR, step);
    assert_eq!(now.requests, ClockRange { earliest_ms: START - DAY + HOUR, latest_ms: START + HOUR });
}

/// Half speed ends when the clock, as if it had not moved, has caught up with the time of records.
#[test]
fn records_catch_up_while_a_step_is_not_followed() {
    let (lead, night) = (8 * 60_000, 8 * HOUR);
    let mut run = Run::new(START + lead, START);
    run.after(lead / 2, 60 * DAY as i64);
    for _ in 0..60 {
        run.after(night / 60, 0);
    }
    let passed = lead / 2 + night;
    let now = run.after(0, 0);
    assert_eq!((now.record_ms, now.requests.earliest_ms), (START + passed, START + passed));
    assert!(!run.timeline.is_followed);
}

#[test]
fn an_engine_starts_only_at_a_plausible_time() {
    let (ahead, behind) = (CLOCK_AHEAD_MS_MAX, CLOCK_BEHIND_MS_MAX);
    let check = |newest_ms, wall_ms| check_start(newest_ms, None, wall_ms);
    for wall_ms in [START - behind, START, START + 20 * DAY, START + ahead] {
        assert_eq!(check(START, wall_ms), Ok(()), "{wall_ms}");
    }
    for wall_ms in [0, CLOCK_EARLIEST_MS, START - behind - 1] {
        assert_eq!(check(START, wall_ms), Err(ClockError::Behind { wall_ms, newest_ms: START }));
    }
    for wall_ms in [START + ahead + 1, u64::MAX] {
        assert_eq!(check(START, wall_ms), Err(ClockError::Ahead { wall_ms, newest_ms: START }));
    }
    assert_eq!((check(0, START), check(0, 5)), (Ok(()), Err(ClockError::NeverSet { wall_ms: 5 })));
}

/// What a running engine notes of its clock is enough for the next start, whatever the clock does and whenever the engine
/// crashes. A clock that agrees with the records is not noted.
#[test]
fn a_clock_that_was_followed_is_accepted_at_the_next_start() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    for lead_ms in [0, 20 * MINUTE, 366 * DAY] {
        let (mut newest_ms, mut end) = (START + lead_ms, 7);
        let mut run = Run::new(newest_ms, START);
        let accepted = FollowedClock::at_start(newest_ms, Position(end), START, lead_ms > 0);
        let mut noted = Some(accepted).filter(|_| lead_ms > 0);
        for step in 0..400 {
            let passed_ms = random.u64(0..12 * HOUR);
            let step_ms = match random.u8(0..8) {
                0 => -(random.u64(0..40 * DAY) as i64),
                1 => random.u64(0..20 * DAY) as i64,
                _ => 0,
            };
            let now = run.after(passed_ms, step_ms);
            let Timeline { record_ms, last, steps_forward, steps_back, is_followed, .. } = run.timeline;
            let status = ClockStatus { record_ms, wall_ms: last.wall_ms, steps_forward, steps_back, is_followed };
            noted = FollowedClock::due(noted.as_ref(), &status, newest_ms, Position(end)).or(noted);
            if random.bool() {
                (newest_ms, end) = (now.record_ms, end + 1);
            }
            if is_followed && last.wall_ms >= START {
                let started = check_start(newest_ms, noted.as_ref(), last.wall_ms);
                assert_eq!(started, Ok(()), "seed {seed}, lead {lead_ms}, step {step}: {noted:?}");
            }
        }
    }
    let mut run = Run::new(START, START);
    for _ in 0..1_000 {
        let now = run.after(7 * MINUTE, if random.bool() { 50_000 } else { -50_000 });
        let Timeline { record_ms, last, .. } = run.timeline;
        let status = ClockStatus { record_ms, wall_ms: last.wall_ms, steps_forward: 0, steps_back: 0, is_followed: true };
        assert_eq!(FollowedClock::due(None, &status, now.record_ms, Position(1)), None, "seed {seed}");
    }
}

/// No sequence of steps makes the time of records run backwards or overflow.
#[test]
fn any_clock_is_survived() {
    let mut run = Run::new(START, START);
    for step in [i64::MAX, i64::MIN, i64::MAX, 0, -(START as i64), i64::MIN, DAY as i64, i64::MAX, i64::MAX, i64::MIN] {
        run.after(1, step);
    }
}
