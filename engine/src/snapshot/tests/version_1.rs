//! Snapshots of version 1, as the earlier engine wrote them: ids that it may have forgotten stay refused, and a sound snapshot
//! agrees with its journal.

use scrip_protocol::command::ClientRegistered;
use scrip_protocol::record::SettingsApplied;
use scrip_protocol::{ClientId, CredentialId, Kind, Record, Refusal, RequestId, Settings, Stamp, wire};

use super::{Kept, Snapshot, dir, end_of, new_disk, written};
use crate::snapshot::layout::{self, PAGE};
use scrip_core::state::frozen::{Part, Small};
use scrip_core::state::requests::Admission;
use scrip_core::state::{State, first_difference};
use scrip_journal::disk::Disk;
use scrip_journal::disk::double::Double;

const START: u64 = 1_790_000_000_000;
const HOUR: u64 = 3_600_000;

/// Rewrites a new snapshot as version 1: without the sections added since, and with the horizon of the earlier engine.
pub(crate) fn as_version_1(disk: &Double, kept: &Kept, horizon_ms: u64) {
    let mut header = Snapshot::open(disk, &kept.path).expect("it was just written").header().clone();
    header.version = 1;
    header.sections.retain(|section| !Part::ALL.iter().any(|part| section.is(*part) && part.is_lacking(1)));
    disk.tamper(&kept.path, |bytes| {
        let small = header.sections.last_mut().expect("there is one");
        assert!(small.is(Part::Small), "the small part is the last");
        let start = small.offset as usize;
        let mut value: Small = wire::decode("small", &bytes[start..start + small.bytes as usize]).expect("it was just written");
        value.window.horizon_ms = horizon_ms;
        bytes.truncate(start);
        wire::encode(&value, bytes);
        small.bytes = (bytes.len() - start) as u64;
        small.hash = blake3::hash(&bytes[start..]).into();
        bytes.resize(bytes.len().next_multiple_of(PAGE), 0);
        header.bytes = bytes.len() as u64;
        bytes[..PAGE].copy_from_slice(&layout::encode(&header)[..]);
    });
}

/// The state of a version 1 snapshot whose engine had forgotten that many more of the oldest ids than a replay does.
fn through_version_1(records: &[(u64, Record)], horizon_ms: u64, forgotten: usize) -> State {
    let disk = new_disk();
    let mut earlier = replayed(records);
    earlier.requests.forget_as_version_1(forgotten);
    let kept = written(&disk, &dir(), &earlier).expect("the disk takes it");
    as_version_1(&disk, &kept, horizon_ms);
    let snapshot = Snapshot::open(&disk, &kept.path).expect("it is whole");
    assert_eq!((snapshot.header().version, snapshot.header().sections.len()), (1, 18));
    snapshot.verify(&mut |_| {}).expect("it is whole");
    snapshot.state().expect("it is whole")
}

fn through_a_file(state: &State) -> State {
    let disk = new_disk();
    let kept = written(&disk as &dyn Disk, &dir(), state).expect("the disk takes it");
    let snapshot = Snapshot::open(&disk, &kept.path).expect("it was just written");
    assert_eq!(snapshot.header().end, end_of(state));
    snapshot.state().expect("it was just written")
}

fn replayed(records: &[(u64, Record)]) -> State {
    super::replayed(records)
}

fn stamp(id_ms: u64, n: u64) -> Stamp {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&n.to_be_bytes());
    Stamp { request: RequestId::from_parts(id_ms, random), body: n, credential: CredentialId(1) }
}

/// A request whose id has a time, executed at that time.
fn request(at_ms: u64, n: u64) -> (u64, Record) {
    (at_ms, ClientRegistered { stamp: stamp(at_ms, n), client: ClientId(n.into()), name: "Ann".into(), new: true }.into())
}

fn settings(at_ms: u64, change: impl FnOnce(&mut Settings)) -> (u64, Record) {
    let mut settings = Settings::default();
    change(&mut settings);
    (at_ms, SettingsApplied { settings }.into())
}

fn admit(state: &State, now_ms: u64, id_ms: u64, n: u64) -> Admission<'_> {
    state.admit(now_ms, &stamp(id_ms, n), || Kind::RegisterClient)
}

fn is_too_old(admission: &Admission<'_>) -> bool {
    matches!(admission, Admission::Refused(Refusal::RequestTooOld { .. }))
}

/// A request that the earlier engine executed and forgot is not executed again, even if the same start makes the window longer,
/// or after later snapshots.
#[test]
fn what_version_1_forgot_stays_refused_after_a_longer_window_and_later_snapshots() {
    let records = [settings(START, |_| {}), request(START, 1), request(START + 20 * HOUR, 2), request(START + 30 * HOUR, 3)];
    let mut state = through_version_1(&records, 0, 0);
    let longer = settings(START + 30 * HOUR, |settings| settings.request_window_ms = 48 * HOUR);
    state.apply(longer.0, &longer.1);
    for generation in 0..3 {
        let now_ms = START + 30 * HOUR + generation;
        assert!(is_too_old(&admit(&state, now_ms, START, 1)), "generation {generation}");
        assert!(is_too_old(&admit(&state, now_ms, START + 6 * HOUR - 1, 9)), "nobody knows whether it was executed");
        for (id_ms, n) in [(START + 20 * HOUR, 2), (START + 30 * HOUR, 3)] {
            assert!(matches!(admit(&state, now_ms, id_ms, n), Admission::Repeated(_)), "{n} is remembered");
        }
        assert_eq!(admit(&state, now_ms, START + 6 * HOUR, 9), Admission::New);
        state = through_a_file(&state);
    }
}

/// The history of a version 1 engine: its name, its records, the engine's horizon at the end, and how many more ids it had
/// forgotten than a replay does.
type History = (&'static str, Vec<(u64, Record)>, u64, usize);

fn histories() -> Vec<History> {
    let day = |n: u64| request(START + n * HOUR, n);
    let forgotten: Vec<_> = [settings(START, |_| {})].into_iter().chain((0..30).map(day)).collect();
    let mut changed = forgotten.clone();
    changed.push(settings(START + 30 * HOUR, |settings| settings.requests_max = 5_000));
    changed.extend((30..32).map(day));
    let lowered = [settings(START, |_| {})].into_iter().chain((0..20).map(day));
    let lowered = lowered.chain([settings(START + 20 * HOUR, |settings| settings.requests_max = 4)]).chain((20..21).map(day));
    let lowered: Vec<_> = lowered.collect();
    vec![
        ("ids were forgotten", forgotten, 0, 0),
        ("settings were changed", changed, START + 6 * HOUR, 0),
        ("the limit was lowered", lowered, START + 16 * HOUR + 1, 9),
        ("nothing was forgotten", vec![settings(START, |_| {}), request(START, 1)], 0, 0),
    ]
}

/// Z10: a sound snapshot of version 1 agrees with its journal, and so do later ones that descend from it.
#[test]
fn a_sound_snapshot_of_version_1_and_its_descendants_are_what_the_journal_makes_of_them() {
    for (what, mut records, horizon_ms, forgotten) in histories() {
        let mut state = through_version_1(&records, horizon_ms, forgotten);
        let is_alike = |state: &State, records: &[(u64, Record)], when: &str| {
            let replayed = replayed(records);
            assert_eq!(first_difference(&replayed, state), None, "{what}, {when}");
            assert_eq!(first_difference(state, &replayed), None, "{what}, {when}");
            assert_eq!(*state, replayed, "{what}, {when}");
        };
        is_alike(&state, &records, "as it was");
        for n in 40..100 {
            let next = request(START + n * HOUR, n);
            state.apply(next.0, &next.1);
            records.push(next);
            if n % 7 == 0 {
                state = through_a_file(&state);
            }
            is_alike(&state, &records, "later");
        }
    }
}

/// Z10: missing or changed rows are detected all the same.
#[test]
fn a_damaged_window_of_version_1_is_distinguished_from_its_journal() {
    for (what, records, horizon_ms, forgotten) in histories() {
        let sound = through_version_1(&records, horizon_ms, forgotten);
        let differs = |ours: &State, theirs: &State, how: &str| {
            let difference = first_difference(ours, theirs).unwrap_or_else(|| panic!("{what}: {how}"));
            assert!(ours != theirs, "{what}: {how}");
            difference.what
        };
        let replay = replayed(&records);
        // A recent row is missing.
        let mut last = records.clone();
        let (at_ms, record) = last.pop().expect("there is one");
        let request = record.stamp().expect("it is a request").request;
        let rows = replay.requests.len();
        let lost = through_version_1(&records, horizon_ms, rows);
        assert_eq!(differs(&replay, &lost, "all rows are lost"), format!("request {}", remembered_from(&replay, &lost)));
        // It has a different body.
        let mut other = record.clone();
        let Record::ClientRegistered(changed) = &mut other else { panic!("{other:?}") };
        changed.stamp.body += 1;
        last.push((at_ms, other));
        let changed = through_version_1(&last, horizon_ms, forgotten);
        assert_eq!(differs(&replay, &changed, "a body is changed"), format!("request {request}, the hash of its body"));
        // The times of forgotten ids are lost.
        let mut unknowing = sound;
        unknowing.requests.begin_executed(None);
        if replay.requests.forgotten().rows().is_empty() {
            assert_eq!(first_difference(&replay, &unknowing), None);
        } else {
            let found = differs(&replay, &unknowing, "the forgotten times are lost");
            assert!(found.starts_with("request ") || found == "the times at which requests were forgotten", "{found}");
        }
    }
}

/// The first request that one state remembers and the other considers new.
fn remembered_from(ours: &State, theirs: &State) -> RequestId {
    let mut rows = ours.requests.rows().map(|(id, ..)| id);
    let is_new = |id: &RequestId| {
        let stamp = Stamp { request: *id, body: 0, credential: CredentialId(1) };
        theirs.requests.admit(id.time_ms(), &stamp) == Admission::New
    };
    rows.find(is_new).expect("there is one")
}
