//! A start on a snapshot of version 1 that was taken while the machine's clock was ahead: the journal tells which ids were executed.

use scrip_protocol::batch::BatchBuilder;
use scrip_protocol::command::ClientRegistered;
use scrip_protocol::record::SettingsApplied;
use scrip_protocol::{ClientId, CredentialId, Kind, Position, Record, Refusal, RequestId, Settings, Stamp, unix_time_ms};

use super::{folder, new_disk, recovered};
use crate::snapshot::tests::version_1::as_version_1;
use crate::snapshot::{self, Pace};
use scrip_core::state::requests::Admission;
use scrip_core::state::{State, first_difference};
use scrip_journal::Journal;
use scrip_journal::disk::double::Double;

/// Each batch has a segment of its own.
const SEGMENT_EACH: u64 = 1;
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

fn stamp(id_ms: u64, n: u64) -> Stamp {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&n.to_be_bytes());
    Stamp { request: RequestId::from_parts(id_ms, random), body: n, credential: CredentialId(1) }
}

/// The time in a request's id, and its number.
type TimeAndNumber = (u64, u64);

fn admit(state: &State, now_ms: u64, (id_ms, n): TimeAndNumber) -> Admission<'_> {
    state.admit(now_ms, &stamp(id_ms, n), || Kind::RegisterClient)
}

/// A folder of an engine of version 1 whose clock jumped ahead by 30 days, an hour before `now_ms`; its snapshot has forgotten what was executed
/// by the right clock. Returns the requests by the right clock, and those by the other, by their times and numbers.
fn upgraded(now_ms: u64) -> (Double, [TimeAndNumber; 3], [TimeAndNumber; 2]) {
    let disk = new_disk();
    let right = [(now_ms - 9 * DAY, 2), (now_ms - 3 * DAY, 3), (now_ms - 2 * HOUR, 4)];
    let wrong = [(now_ms + 30 * DAY, 5), (now_ms + 30 * DAY + HOUR, 6)];
    let mut journal = recovered(&disk, SEGMENT_EACH).expect("it is empty").journal;
    let mut append = |at_ms: u64, record: Record| {
        let mut batch = BatchBuilder::new(at_ms);
        batch.push(&record);
        journal.append(vec![batch]).expect("the disk takes it")
    };
    let mut end = append(now_ms - 10 * DAY, SettingsApplied { settings: Settings::default() }.into());
    for (at_ms, n) in right.into_iter().chain(wrong) {
        let record = ClientRegistered { stamp: stamp(at_ms, n), client: ClientId(n.into()), name: "Ann".into(), new: true };
        end = append(at_ms, record.into());
    }
    drop(journal);
    let state = recovered(&disk, SEGMENT_EACH).expect("it is whole").state;
    assert_eq!(state.requests.len(), 2, "those by the right clock are forgotten");
    let kept = snapshot::write(&disk, &folder().snapshots_path(), &state, end, Pace::Full, &mut |_, _| {});
    as_version_1(&disk, &kept.expect("the disk takes it"), 0);
    (disk, right, wrong)
}

/// Writes a snapshot of today and starts on it.
fn again(disk: &Double, state: &State) -> State {
    let journal = recovered(disk, SEGMENT_EACH).expect("it is whole").journal;
    snapshot::write(disk, &folder().snapshots_path(), state, journal.end(), Pace::Full, &mut |_, _| {})
        .expect("the disk takes it");
    drop(journal);
    recovered(disk, SEGMENT_EACH).expect("it is whole").state
}

/// Nothing that was executed is executed again, and new requests by the right clock are executed, also where the first records were dropped.
#[test]
fn a_snapshot_of_version_1_from_a_time_ahead_closes_nothing_and_repeats_nothing() {
    for dropped in [0, 1, 2] {
        let now_ms = unix_time_ms();
        let (disk, right, wrong) = upgraded(now_ms);
        let mut state = recovered(&disk, SEGMENT_EACH).expect("it is whole").state;
        if dropped > 0 {
            let journal = recovered(&disk, SEGMENT_EACH).expect("it is whole").journal;
            journal.reader().drop_through(Position(dropped)).expect("they can be removed");
            drop(journal);
            state = recovered(&disk, SEGMENT_EACH).expect("the snapshot has what was dropped").state;
        }
        for generation in 0..3 {
            for new_ms in [now_ms, now_ms - HOUR, now_ms + 30_000, now_ms + DAY] {
                let admitted = admit(&state, new_ms, (new_ms, 100));
                assert_eq!(admitted, Admission::New, "{dropped} dropped, generation {generation}");
            }
            for request in right {
                // By any clock that would not refuse it as older than the window.
                let refused = admit(&state, request.0, request);
                assert!(matches!(refused, Admission::Refused(Refusal::RequestTooOld { .. })), "{request:?}: {refused:?}");
            }
            for request in wrong {
                assert!(matches!(admit(&state, request.0, request), Admission::Repeated(_)), "{request:?}");
            }
            let mut replayed = State::default();
            if dropped == 0 {
                let reader = recovered(&disk, SEGMENT_EACH).expect("it is whole").journal.reader();
                for bytes in reader.read(Position(1), usize::MAX).expect("it is whole") {
                    let batch = scrip_protocol::batch::Batch::parse(&bytes).expect("it is whole");
                    batch.records().for_each(|item| replayed.apply(batch.time(), &item.expect("it is whole").1));
                }
                assert_eq!(first_difference(&replayed, &state), None);
            }
            state = again(&disk, &state);
        }
    }
}

/// Where the journal does not go back to before the clock was ahead, nobody knows which ids were executed: all are refused that may have been.
#[test]
fn without_the_journal_all_that_may_have_been_executed_is_refused() {
    let now_ms = unix_time_ms();
    let (disk, ..) = upgraded(now_ms);
    let journal = recovered(&disk, SEGMENT_EACH).expect("it is whole").journal;
    journal.reader().drop_through(Position(5)).expect("they can be removed");
    drop(journal);
    let state = recovered(&disk, SEGMENT_EACH).expect("the snapshot has what was dropped").state;
    let refused = admit(&state, now_ms, (now_ms, 100));
    assert_eq!(refused, Admission::Refused(Refusal::RequestTooOld { oldest_ms: now_ms + 29 * DAY + HOUR }));
}
