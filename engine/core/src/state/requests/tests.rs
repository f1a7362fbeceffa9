use std::collections::VecDeque;

use super::*;
use scrip_protocol::command::{AddCodes, CodesAdded, LineVerdict, SkippedLine};
use scrip_protocol::{CampaignId, Command, CredentialId, Position, Record};

use crate::state::reply_of;

const START: u64 = 1_790_000_000_000;
const HOUR: u64 = 3_600_000;

fn window(limit: u64) -> Requests {
    let mut requests = Requests::default();
    let settings = Settings { requests_max: limit, ..Settings::default() };
    requests.set(&settings);
    requests
}

fn stamp(time_ms: u64, n: u64) -> Stamp {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&n.to_be_bytes());
    Stamp { request: RequestId::from_parts(time_ms, random), body: n, credential: CredentialId(1) }
}

fn reply(n: u64) -> Remembered {
    Remembered::Other(Box::new((1, n.to_le_bytes().to_vec())))
}

#[test]
fn a_request_is_new_once() {
    let mut requests = window(100);
    let first = stamp(START, 1);
    assert_eq!(requests.admit(START, &first), Admission::New);
    requests.remember(START, &first, reply(1), Position(1));
    assert_eq!(requests.admit(START + 23 * HOUR, &first), Admission::Repeated(Cow::Owned(reply(1))));
    let other_body = Stamp { body: 2, ..first };
    assert_eq!(requests.admit(START, &other_body), Admission::Refused(Refusal::RequestIdReused));
}

#[test]
fn ids_outside_the_window_are_refused_at_its_exact_limits() {
    let requests = window(100);
    let now = START + 24 * HOUR;
    assert_eq!(requests.admit(now, &stamp(START, 1)), Admission::New);
    assert_eq!(requests.admit(now, &stamp(START - 1, 1)), Admission::Refused(Refusal::RequestTooOld { oldest_ms: START }));
    assert_eq!(requests.admit(now, &stamp(now + 60_000, 1)), Admission::New);
    let ahead = requests.admit(now, &stamp(now + 60_001, 1));
    assert_eq!(ahead, Admission::Refused(Refusal::RequestFromFuture { now_ms: now }));
    let not_v7 = Stamp { request: RequestId(u128::from(START) << 80), body: 0, credential: CredentialId(1) };
    assert_eq!(requests.admit(START, &not_v7), Admission::Refused(Refusal::RequestIdInvalid));
}

/// Z3: a request that was executed while the clock was ahead, or while ids could be further ahead of it, gets its first answer
/// and is not refused.
#[test]
fn an_executed_request_is_answered_whatever_the_clock_shows() {
    let mut requests = window(100);
    let ahead = START + 20 * 24 * HOUR;
    requests.remember(ahead, &stamp(ahead, 1), reply(1), Position(1));
    for clock in [START, ahead - 60_001, ahead] {
        assert_eq!(requests.admit(clock, &stamp(ahead, 1)), Admission::Repeated(Cow::Owned(reply(1))), "by {clock}");
    }
    let other = requests.admit(START, &stamp(ahead, 2));
    assert_eq!(other, Admission::Refused(Refusal::RequestFromFuture { now_ms: START }));
}

#[test]
fn expired_ids_are_forgotten_a_few_at_a_time() {
    let mut requests = window(1_000_000);
    for n in 0..10_000 {
        requests.remember(START, &stamp(START, n), reply(n), Position(1));
    }
    let later = START + 25 * HOUR;
    for n in 0..1_000 {
        requests.remember(later, &stamp(later, n), reply(n), Position(1));
    }
    assert_eq!(requests.len(), 10_000 - 8 * 1_000 + 1_000);
    assert_eq!(requests.admit(later, &stamp(later, 999)), Admission::Repeated(Cow::Owned(reply(999))));
}

#[test]
fn at_the_limit_the_oldest_ids_are_forgotten_but_never_young_ones() {
    let mut requests = window(100);
    for n in 0..100 {
        requests.remember(START, &stamp(START + n, n), reply(n), Position(1));
    }
    let full = requests.admit(START + 100, &stamp(START + 100, 100));
    assert_eq!(full, Admission::Refused(Refusal::Busy { retry_after_ms: KEPT_AT_LEAST_MS as u32 - 100 }));
    let later = START + KEPT_AT_LEAST_MS;
    assert_eq!(requests.admit(later, &stamp(later, 100)), Admission::New);
    requests.remember(later, &stamp(later, 100), reply(100), Position(1));
    assert_eq!(requests.len(), 100);
    assert_eq!(requests.admit(later, &stamp(START, 0)), Admission::Refused(Refusal::RequestTooOld { oldest_ms: START + 1 }));
    assert_eq!(requests.admit(later, &stamp(START + 1, 1)), Admission::Repeated(Cow::Owned(reply(1))));
}

#[test]
fn a_longer_window_does_not_admit_forgotten_ids() {
    let mut requests = window(100);
    let now = START + 30 * HOUR;
    requests.remember(START, &stamp(START, 1), reply(1), Position(1));
    requests.remember(now, &stamp(now, 2), reply(2), Position(1));
    requests.set(&Settings { request_window_ms: 48 * HOUR, ..Settings::default() });
    let refused = Admission::Refused(Refusal::RequestTooOld { oldest_ms: START + 1 });
    assert_eq!(requests.admit(now, &stamp(START, 1)), refused);
    assert_eq!(requests.admit(now, &stamp(START + 1, 3)), Admission::New);
}

/// After the limit is lowered, each record forgets a few ids, and none younger than 60 s.
#[test]
fn a_lowered_limit_forgets_a_few_at_a_time_and_never_young_ids() {
    let mut requests = window(20_000);
    for n in 0..10_000 {
        requests.remember(START + n, &stamp(START + n, n), reply(n), Position(1));
    }
    requests.set(&Settings { requests_max: 1_000, ..Settings::default() });
    let now = START + KEPT_AT_LEAST_MS + 99;
    requests.remember(now, &stamp(now, 10_000), reply(0), Position(1));
    assert_eq!(requests.len(), 10_001 - 8);
    for n in 10_001..10_100 {
        requests.remember(now, &stamp(now, n), reply(n), Position(1));
    }
    // Of the 100 that are old enough, and of one more for each later record, which found the oldest to be old enough.
    assert!(requests.len() >= 10_100 - 200, "{}", requests.len());
    let young = stamp(START + 9_999, 9_999);
    assert_eq!(requests.admit(now, &young), Admission::Repeated(Cow::Owned(reply(9_999))));
    let full = requests.admit(now, &stamp(now, 20_000));
    assert!(matches!(full, Admission::Refused(Refusal::Busy { .. })), "{full:?}");
    let later = now + 2 * KEPT_AT_LEAST_MS;
    let mut admitted = 0;
    while requests.admit(later, &stamp(later, 30_000 + admitted)) == Admission::New {
        requests.remember(later, &stamp(later, 30_000 + admitted), reply(admitted), Position(1));
        admitted += 1;
    }
    assert_eq!(requests.len() as u64, admitted, "only those younger than 60 s are left");
    assert!(admitted > 1_000);
}

/// The clock was ahead once and is right again: ids by the right clock are executed once, and those from before and from the time
/// ahead get their first answers or are refused.
#[test]
fn after_a_clock_that_was_ahead_no_id_is_executed_twice_and_new_ones_are_admitted() {
    const DAY: u64 = 24 * HOUR;
    for ahead in [25 * HOUR, 3 * DAY, 366 * DAY] {
        let mut requests = window(1_000_000);
        let mut done = Vec::new();
        let execute = |requests: &mut Requests, done: &mut Vec<Stamp>, record_ms: u64, clock: ClockRange, id_ms: u64| {
            let stamp = stamp(id_ms, done.len() as u64);
            assert_eq!(requests.admit(clock, &stamp), Admission::New, "ahead by {ahead}, after {}", done.len());
            requests.remember(record_ms, &stamp, reply(stamp.body), Position(1));
            done.push(stamp);
        };
        for n in 0..1_000 {
            execute(&mut requests, &mut done, START + n, (START + n).into(), START + n);
        }
        // The clock jumps, and so does that of every second caller.
        let wrong = START + 1_000 + ahead;
        for n in 0..1_000 {
            let clock = ClockRange { earliest_ms: wrong + n, latest_ms: wrong + n };
            let id_ms = if n % 2 == 0 || ahead > DAY { wrong + n } else { START + 1_000 + ahead - DAY + n };
            execute(&mut requests, &mut done, wrong + n, clock, id_ms);
        }
        // It is set right. The time of records continues slowly from where it was.
        let right = START + 3_000;
        for n in 0..20_000 {
            let now = right + n * 10_000;
            let record = (wrong + 1_000 + n * 5_000).max(now);
            execute(&mut requests, &mut done, record, now.into(), now);
            assert!(matches!(requests.admit(now, &done[done.len() - 1]), Admission::Repeated(_)));
        }
        // A request every 10 s: those of a day are kept, with those from the time ahead. These may keep others for two more days
        // when their time comes.
        assert!(ahead < 7 * DAY || requests.len() < 8_640 + 3_000, "{} ids are kept", requests.len());
        let now = right + 20_000 * 10_000;
        for clock in [now, wrong + 1_000, now + ahead] {
            for stamp in &done {
                assert_ne!(requests.admit(clock, stamp), Admission::New, "{stamp:?} by {clock}");
            }
        }
    }
}

#[test]
fn rows_are_found_across_many_chunks() {
    let mut requests = window(20_000);
    for n in 0..50_000 {
        requests.remember(START + n * 10, &stamp(START + n * 10, n), reply(n), Position(1));
    }
    let now = START + 500_000;
    assert_eq!(requests.len(), 20_000);
    for n in 30_000..50_000 {
        assert_eq!(requests.admit(now, &stamp(START + n * 10, n)), Admission::Repeated(Cow::Owned(reply(n))), "{n}");
    }
    assert!(requests.index.find(stamp(START, 0).request.0, |number| requests.row(number).id.0).is_none());
}

/// Memory of the remembered ids, including the allocator's overhead for a box and its text.
fn bytes_of(requests: &Requests) -> usize {
    let row = |reply: &Remembered| match reply {
        Remembered::Other(reply) => size_of::<(u16, Vec<u8>)>() + reply.1.capacity() + 2 * 16,
        Remembered::Redeem(_) | Remembered::Stored { .. } => 0,
    };
    requests.chunks.iter().flatten().map(|kept| size_of::<Row>() + 16 + row(&kept.reply)).sum()
}

/// The record of a list whose lines are all in the campaign already.
fn unchanged(request: &Stamp, lines: u32) -> Record {
    let skip = |line| SkippedLine { line, code: format!("SUMMER-{line}"), why: LineVerdict::AlreadyInCampaign };
    let skipped = (1..=lines).map(skip).collect();
    CodesAdded { stamp: *request, campaign: CampaignId(1), codes: Default::default(), skipped }.into()
}

/// 500 lists that change nothing, imported hourly for a day: replies of over a megabyte take no more memory than a row each.
#[test]
fn repeated_imports_stay_within_the_memory_of_their_ids() {
    let mut requests = window(50_000_000);
    let remember = |requests: &mut Requests, at_ms: u64, n: u64, lines: u32| {
        let stamp = stamp(at_ms, n);
        let position = Position(n + 1);
        let reply = reply_of(position, &unchanged(&stamp, lines)).expect("a request's record has its reply");
        requests.remember(at_ms, &stamp, reply.clone(), position);
        (stamp, reply)
    };
    let (first, reply) = remember(&mut requests, START, 0, 50_000);
    let Remembered::Other(bytes) = &reply else { panic!("{reply:?}") };
    assert!(bytes.1.len() > 1_000_000, "{} bytes", bytes.1.len());
    for hour in 0..24 {
        for list in 0..500 {
            // The size of the list no longer matters: 50 lines are as far above the limit as 50,000.
            remember(&mut requests, START + hour * HOUR, 1 + hour * 500 + list, 50);
        }
    }
    assert_eq!(requests.len(), 12_001);
    assert!(bytes_of(&requests) <= 12_001 * 80 + CHUNK * 80, "{} bytes", bytes_of(&requests));
    let kept = requests.admit(START + HOUR, &first);
    let stored = Remembered::Stored { kind: AddCodes::KIND as u16, position: Position(1) };
    assert_eq!(kept, Admission::Repeated(Cow::Owned(stored)));
    assert_eq!(requests.first_stored(), Some(Position(1)));
    assert_eq!(reply_of(Position(1), &unchanged(&first, 50_000)), Some(reply));
    // Once the first has expired, its record may be dropped.
    let later = START + 24 * HOUR + 1;
    remember(&mut requests, later, 20_000, 50);
    assert!(requests.first_stored() > Some(Position(1)));
}

/// No reply takes more than the stated number of bytes, at the limit and above it.
#[test]
fn an_id_costs_no_more_than_stated() {
    for length in [0, 1, REPLY_BYTES_KEPT_MAX, REPLY_BYTES_KEPT_MAX + 1, 1 << 20] {
        let mut requests = window(100);
        let reply = Remembered::Other(Box::new((41, vec![7; length])));
        assert_eq!(*requests.remember(START, &stamp(START, 1), reply.clone(), Position(9)), reply, "the caller gets all of it");
        assert!(bytes_of(&requests) <= BYTES_PER_ID_MAX, "{length} bytes cost {}", bytes_of(&requests));
        let Admission::Repeated(kept) = requests.admit(START, &stamp(START, 1)) else { panic!("it was just remembered") };
        assert_eq!(*kept == reply, length <= REPLY_BYTES_KEPT_MAX, "{length} bytes");
        assert!(kept.is_alike(&reply));
    }
}

/// A clock that is behind the time of records, because it was set back.
fn set_back(record_ms: u64, clock_ms: u64) -> (BatchTime, ClockRange) {
    (BatchTime::new(record_ms, clock_ms), ClockRange { earliest_ms: clock_ms, latest_ms: record_ms })
}

/// A caller whose clock is still ahead after the engine's was set right makes the window forget nobody's requests.
#[test]
fn a_caller_ahead_of_a_clock_that_was_set_right_makes_the_window_forget_nothing() {
    const DAY: u64 = 24 * HOUR;
    let mut requests = window(1_000_000);
    let execute = |requests: &mut Requests, (time, clock): (BatchTime, ClockRange), stamp: Stamp| {
        assert_eq!(requests.admit(clock, &stamp), Admission::New);
        requests.remember(time, &stamp, reply(stamp.body), Position(1));
        stamp
    };
    let ahead = START + 30 * DAY;
    let early: Vec<_> = (0..8).map(|n| execute(&mut requests, (START.into(), START.into()), stamp(START + n, n))).collect();
    let mut wrong = vec![];
    let mut right = early;
    for n in 0..100 {
        // Records continue from the time ahead at half speed.
        let now = || set_back(ahead + n * 500, START + n * 1_000);
        wrong.push(execute(&mut requests, now(), stamp(ahead + n * 1_000, 1_000 + n)));
        right.push(execute(&mut requests, now(), stamp(START + n * 1_000, 2_000 + n)));
        for stamp in right.iter().chain(&wrong) {
            let repeated = requests.admit(now().1, stamp);
            assert!(
                matches!(repeated, Admission::Repeated(_) | Admission::Refused(Refusal::RequestFromFuture { .. })),
                "{n}: {repeated:?}"
            );
        }
        assert_eq!(requests.admit(now().1, &stamp(START, 3_000 + n)), Admission::New, "an id that is a little older than others");
    }
    assert_eq!(requests.forgotten().rows(), []);
    assert_eq!(requests.len(), 208);
}

/// A window filled during a time ahead executes right requests as soon as the clock is right: nobody waits for the time that the
/// clock showed, and the window exceeds its limit by no more than a sixth.
#[test]
fn a_full_window_does_not_wait_for_the_time_of_a_clock_that_was_ahead() {
    const DAY: u64 = 24 * HOUR;
    for (limit, right_first, ahead) in [(4, 3, 30 * DAY), (800, 0, 30 * DAY), (800, 799, 10 * HOUR), (800, 400, 2 * DAY)] {
        let mut requests = window(limit);
        for n in 0..right_first {
            requests.remember(START + n, &stamp(START + n, n), reply(n), Position(1));
        }
        let wrong = START + ahead;
        for n in right_first..limit {
            requests.remember(wrong + n, &stamp(wrong + n, n), reply(n), Position(1));
        }
        let kept: Vec<_> = requests.rows().map(|(id, ..)| id).filter(|id| id.time_ms() >= wrong).collect();
        let (mut n, mut waited) = (limit, 0);
        for second in 0..1_000 {
            let clock_ms = START + KEPT_AT_LEAST_MS + 2_000 + second * 1_000;
            let (time, clock) = set_back(wrong + limit + second * 500, clock_ms);
            let new = stamp(clock_ms, n);
            match requests.admit(clock, &new) {
                Admission::New => {
                    requests.remember(time, &new, reply(n), Position(1));
                    (n, waited) = (n + 1, 0);
                }
                Admission::Refused(Refusal::Busy { retry_after_ms }) => {
                    assert!(u64::from(retry_after_ms) <= KEPT_AT_LEAST_MS, "{retry_after_ms}");
                    waited += 1;
                }
                other @ (Admission::Repeated(_) | Admission::Refused(_)) => panic!("{other:?}"),
            }
            assert!(waited <= 60, "limit {limit}, ahead by {ahead}: nothing was executed for a minute");
            assert!(requests.len() as u64 <= limit + limit / 6 + 2, "limit {limit}: {} are kept", requests.len());
            // A caller from the time ahead finds no room in a full window, and takes none from others.
            if requests.len() as u64 >= limit {
                let other = requests.admit(clock, &stamp(wrong + limit, 1_000_000));
                assert!(matches!(other, Admission::Refused(Refusal::Busy { .. })), "{other:?}");
            }
        }
        assert!(kept.iter().all(|id| requests.find(*id).is_some()), "ids of the time ahead are kept for when it comes");
    }
}

/// However far records are ahead of the machine's clock, expired ids leave, and young ones are never forgotten.
#[test]
fn ids_leave_by_age_however_far_records_are_ahead() {
    const DAY: u64 = 24 * HOUR;
    for lead in [30 * DAY, 50 * DAY, 366 * DAY, 4_000 * DAY] {
        let mut requests = window(800);
        let mut executed = VecDeque::new();
        for n in 0..20_000 {
            // Ten a second: a full window keeps them for 80 s.
            let clock_ms = START + n * 100;
            let (time, clock) = set_back(START + lead + n * 50, clock_ms);
            let new = stamp(clock_ms, n);
            assert_eq!(requests.admit(clock, &new), Admission::New, "{n}, ahead by {lead}");
            requests.remember(time, &new, reply(n), Position(1));
            executed.push_back(new.request);
            while let Some(oldest) = executed.front()
                && requests.find(*oldest).is_none()
            {
                assert!(clock_ms - oldest.time_ms() >= KEPT_AT_LEAST_MS, "{n}, ahead by {lead}");
                executed.pop_front();
            }
            assert!(executed.iter().all(|id| requests.find(*id).is_some()), "ids are forgotten in the order of their times");
            assert!(requests.len() <= 800 + 800 / 6 + 8, "{}", requests.len());
        }
        // A window that is not full forgets only what is older than it.
        let mut requests = window(1_000_000);
        for n in 0..5_000 {
            let clock_ms = START + n * 60_000;
            let (time, _) = set_back(START + lead + n * 30_000, clock_ms);
            requests.remember(time, &stamp(clock_ms, n), reply(n), Position(1));
        }
        assert!(requests.len() <= 1_440 + 10, "ahead by {lead}: {}", requests.len());
    }
}
