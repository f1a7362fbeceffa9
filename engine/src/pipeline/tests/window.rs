//! The idempotency window against a naive model that forgets nothing: a machine's clock that runs, jumps forward and back,
//! callers whose clocks are right, late and ahead, settings that change, full windows, snapshots and replays.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::pipeline::{Clock, EngineClock, Reading};
use scrip_protocol::batch::{Batch, BatchBuilder, BatchTime, ChainEnd};
use scrip_protocol::command::ClientRegistered;
use scrip_protocol::record::SettingsSet;
use scrip_protocol::{ClientId, Kind, Record, Refusal, RequestId, Settings, Stamp};

use scrip_core::state::requests::{Admission, ClockRange, KEPT_AT_LEAST_MS, Remembered};
use scrip_core::state::tests::{START_MS, stamp, through_a_file};
use scrip_core::state::{State, reply_of};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A machine's clocks, set by the test.
#[derive(Clone, Default)]
struct Hands(Arc<(AtomicU64, AtomicU64)>);

impl Hands {
    fn pass(&self, by_ms: u64) {
        self.0.0.fetch_add(by_ms, Ordering::SeqCst);
        self.0.1.fetch_add(by_ms, Ordering::SeqCst);
    }

    fn set(&self, wall_ms: u64) {
        self.0.0.store(wall_ms, Ordering::SeqCst);
    }

    fn wall_ms(&self) -> u64 {
        self.0.0.load(Ordering::SeqCst)
    }
}

impl Clock for Hands {
    fn read(&mut self) -> Reading {
        Reading { wall_ms: self.wall_ms(), elapsed_ms: self.0.1.load(Ordering::SeqCst) }
    }
}

/// An engine's window with everything that it has executed.
struct Shop {
    seed: u64,
    random: fastrand::Rng,
    hands: Hands,
    clock: EngineClock,
    settings: Settings,
    live: State,
    /// The same state after snapshots.
    restarted: State,
    journal: Vec<Vec<u8>>,
    chain: ChainEnd,
    executed: Vec<Stamp>,
    answers: HashMap<RequestId, Remembered>,
    /// The times of the forgotten ids.
    forgotten: BTreeSet<u64>,
    counts: [u32; 6],
}

impl Shop {
    fn open(seed: u64) -> Shop {
        let hands = Hands::default();
        hands.set(START_MS);
        let clock = EngineClock::new(Box::new(hands.clone()), 0);
        let mut shop = Shop {
            seed,
            random: fastrand::Rng::with_seed(seed),
            hands,
            clock,
            settings: Settings::default(),
            live: State::default(),
            restarted: State::default(),
            journal: Vec::new(),
            chain: ChainEnd::default(),
            executed: Vec::new(),
            answers: HashMap::new(),
            forgotten: BTreeSet::new(),
            counts: [0; 6],
        };
        shop.change_settings();
        shop
    }

    /// The time of a batch, and the times against which ids are checked.
    fn now(&self) -> (BatchTime, ClockRange) {
        let now = self.clock.now();
        (BatchTime::new(now.record_ms, now.requests.earliest_ms), now.requests)
    }

    fn write(&mut self, time: BatchTime, record: &Record) {
        self.live.apply(time, record);
        let mut batch = BatchBuilder::new(time);
        batch.push(record);
        self.journal.push(batch.seal(&mut self.chain));
        replay(&mut self.restarted, self.journal.last().expect("it was just written"));
    }

    fn change_settings(&mut self) {
        let random = &mut self.random;
        self.settings.request_window_ms = random.choice([MINUTE, 3 * MINUTE, 20 * MINUTE, DAY]).expect("there are some");
        self.settings.request_skew_ms = random.u64(..=MINUTE);
        self.settings.requests_max = random.choice([1, 4, 20, 60, 1_000]).expect("there are some");
        let (time, _) = self.now();
        self.write(time, &SettingsSet::new(self.settings.clone()).into());
    }

    /// A snapshot, and a restart at whatever the clock shows.
    fn restart(&mut self) {
        self.restarted = through_a_file(&self.restarted);
        self.clock = EngineClock::new(Box::new(self.hands.clone()), self.live.now_ms());
    }

    fn set_clock(&mut self) {
        let by_ms = match self.random.u8(..4) {
            0 => self.random.u64(..2_000),
            1 => self.random.u64(..2 * self.settings.request_window_ms),
            2 => self.random.u64(..30 * DAY),
            _ => DAY + self.random.u64(..2 * HOUR),
        };
        let wall_ms = self.hands.wall_ms();
        let is_forward = wall_ms < START_MS + DAY || (wall_ms < START_MS + 100 * DAY && self.random.bool());
        self.hands.set(if is_forward { wall_ms + by_ms } else { wall_ms - by_ms });
    }

    /// The time that a caller puts into an id: mostly by a clock that is right, else late, or ahead like the machine's was.
    fn id_ms(&mut self, clock: ClockRange) -> u64 {
        let Settings { request_window_ms, request_skew_ms, .. } = self.settings;
        let random = &mut self.random;
        match random.u8(..12) {
            0 => clock.earliest_ms.saturating_sub(random.u64(..=request_window_ms + 1)),
            1 => clock.latest_ms + random.u64(..=request_skew_ms + 1),
            2 => random.u64(clock.earliest_ms..=clock.latest_ms),
            3 => clock.earliest_ms + random.u64(..=request_skew_ms),
            _ => clock.earliest_ms.saturating_sub(random.u64(..1_000)),
        }
    }

    fn is_remembered(&self, request: RequestId) -> bool {
        self.live.requests.rows().any(|(id, ..)| id == request)
    }

    fn ask(&mut self) {
        let (time, clock) = self.now();
        let stamp = match self.random.u8(..4) {
            0 if !self.executed.is_empty() => self.executed[self.random.usize(..self.executed.len())],
            _ => {
                let id_ms = self.id_ms(clock);
                let n = self.executed.len() as u64;
                stamp(id_ms, n, n)
            }
        };
        self.offer(time, clock, stamp);
    }

    fn offer(&mut self, time: BatchTime, clock: ClockRange, stamp: Stamp) {
        let Settings { request_window_ms, request_skew_ms, requests_max, .. } = self.settings;
        let (seed, id_ms, request) = (self.seed, stamp.request.time_ms(), stamp.request);
        let answer = self.answers.get(&request);
        let is_old = id_ms < clock.earliest_ms.saturating_sub(request_window_ms);
        let is_from_future = id_ms > clock.latest_ms + request_skew_ms;
        let admission = self.live.admit(clock, &stamp, || Kind::RegisterClient);
        assert_eq!(admission, self.restarted.admit(clock, &stamp, || Kind::RegisterClient), "seed {seed}");
        match admission {
            Admission::New => {
                assert!(answer.is_none(), "seed {seed}: {request} is executed again");
                assert!(!is_old && !is_from_future, "seed {seed}");
                self.counts[0] += 1;
                self.execute(time, clock, stamp);
            }
            Admission::Repeated(reply) => {
                assert_eq!(Some(&*reply), answer, "seed {seed}");
                self.counts[1] += 1;
            }
            Admission::Refused(Refusal::RequestTooOld { .. }) if is_old => self.counts[2] += 1,
            Admission::Refused(Refusal::RequestFromFuture { .. }) => assert!(is_from_future, "seed {seed}"),
            Admission::Refused(Refusal::RequestTooOld { oldest_ms }) => {
                // Only among times at which ids were forgotten.
                let is_among =
                    self.forgotten.range(..=id_ms).next().is_some() && self.forgotten.range(id_ms..oldest_ms).next().is_some();
                assert!(is_among, "seed {seed}: {request} is refused until {oldest_ms}");
                assert!(!self.is_remembered(request), "seed {seed}: {request} has an answer");
                self.counts[3] += 1;
            }
            Admission::Refused(Refusal::Busy { retry_after_ms }) => {
                assert!(answer.is_none() && self.live.requests.len() as u64 >= requests_max, "seed {seed}");
                self.counts[4] += 1;
                if id_ms <= clock.earliest_ms {
                    self.wait(retry_after_ms.into());
                }
            }
            Admission::Refused(refusal) => panic!("seed {seed}: {refusal}"),
        }
    }

    /// A request by the right clock that found no room finds some after the retry delay, which is not long.
    fn wait(&mut self, retry_after_ms: u64) {
        let longest_ms = KEPT_AT_LEAST_MS + self.settings.request_skew_ms + BatchTime::ROUNDED_BY_MS;
        assert!((1..=longest_ms).contains(&retry_after_ms), "seed {}: {retry_after_ms}", self.seed);
        if self.random.bool() {
            return;
        }
        self.hands.pass(retry_after_ms);
        let (_, clock) = self.now();
        let n = self.executed.len() as u64;
        let again = self.live.admit(clock, &stamp(clock.earliest_ms, n, n), || Kind::RegisterClient);
        assert!(!matches!(again, Admission::Refused(Refusal::Busy { .. })), "seed {}: {again:?}", self.seed);
        self.counts[5] += 1;
    }

    fn execute(&mut self, time: BatchTime, clock: ClockRange, stamp: Stamp) {
        let Settings { request_window_ms, request_skew_ms, requests_max, .. } = self.settings;
        let n = self.executed.len() as u128;
        let record: Record = ClientRegistered { stamp, client: ClientId(n), name: "Ann".into(), new: true }.into();
        let before: Vec<_> = self.live.requests.rows().map(|(id, ..)| id).collect();
        self.write(time, &record);
        self.executed.push(stamp);
        let reply = reply_of(self.live.position(), &record).expect("a request's record has its reply");
        self.answers.insert(stamp.request, reply);
        let (seed, count) = (self.seed, before.len() as u64);
        // Each record may add one while rows from a time ahead are moved out of the way.
        let over_max = requests_max + requests_max / 6 + 8;
        let after: HashSet<_> = self.live.requests.rows().map(|(id, ..)| id).collect();
        for gone in before.into_iter().filter(|id| !after.contains(id)) {
            let gone_ms = gone.time_ms();
            // If a clock that was set back several times has filled the window, rows from a time ahead leave.
            let is_ahead = gone_ms > clock.earliest_ms + request_skew_ms && count > over_max;
            let is_old = gone_ms + KEPT_AT_LEAST_MS <= clock.earliest_ms;
            assert!(is_old || is_ahead, "seed {seed}: {gone} is young and forgotten");
            let has_passed = gone_ms + request_window_ms < clock.earliest_ms;
            assert!(has_passed || count >= requests_max, "seed {seed}: {gone} is forgotten without need");
            self.forgotten.insert(gone_ms);
        }
        let bound = count.max(over_max + 1);
        assert!(self.live.requests.len() as u64 <= bound, "seed {seed}: {} are kept", self.live.requests.len());
    }

    fn compare(&self) {
        let mut replayed = State::default();
        self.journal.iter().for_each(|bytes| replay(&mut replayed, bytes));
        assert_eq!(replayed, self.live, "seed {}", self.seed);
        assert_eq!(self.restarted, self.live, "seed {}", self.seed);
    }
}

fn replay(state: &mut State, bytes: &[u8]) {
    let batch = Batch::parse(bytes).expect("it was just written");
    batch.records().for_each(|item| {
        state.apply(batch.time(), &item.expect("it was just written").1);
    });
}

/// Z3: whatever the clocks do, no request is executed twice, no young one is forgotten, none by the right clock is refused for
/// longer than stated, and a replay and a restart on a snapshot answer like the live engine.
#[test]
fn the_window_keeps_its_guarantees_whatever_the_clocks_do() {
    let first = fastrand::u64(..);
    println!("seeds from {first}");
    let mut counts = [0; 6];
    for seed in (0..30).map(|n| first.wrapping_add(n)) {
        let mut shop = Shop::open(seed);
        for _ in 0..1_500 {
            match shop.random.u16(..1_000) {
                0..4 => shop.set_clock(),
                4..8 => shop.change_settings(),
                8..12 => shop.restart(),
                12..20 => shop.hands.pass(shop.settings.request_window_ms),
                20..600 => shop.hands.pass(shop.random.u64(..4_000)),
                _ => {}
            }
            shop.ask();
        }
        shop.compare();
        counts.iter_mut().zip(shop.counts).for_each(|(sum, count)| *sum += count);
    }
    println!("executed, repeated, past, among forgotten, busy, executed after the wait: {counts:?}");
    assert!(counts.iter().all(|count| *count > 20), "{counts:?}");
}
