//! A disk that fills up under load: the engine stops and reports why, loses nothing that it acknowledged, and continues once
//! there is room.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use scrip_protocol::Record;
use scrip_protocol::batch::ChainEnd;
use scrip_protocol::command::{RegisterClub, RegisterClubOutcome};

use super::{DEADLINE, Hands, Lane, Reply, START_MS, club};
use crate::pipeline::{Beginning, Chunk, Limits, Pipeline};
use scrip_core::state::State;
use scrip_journal::Segments;
use scrip_journal::disk::Disk;
use scrip_journal::disk::double::{Crash, Double, Faults};

/// An engine recovered from a disk.
fn start(disk: &Double, segment_bytes: u64) -> Pipeline {
    let mut state = State::default();
    let mut apply = |time_ms, records: &[Record]| {
        records.iter().for_each(|record| {
            state.apply(time_ms, record);
        })
    };
    let (shared, dir, none) = (Arc::new(disk.clone()), Path::new("/data/journal"), ChainEnd::default());
    let journal = Segments::open(shared, dir, segment_bytes, none, &mut apply, &mut |_| {}).expect("the journal is whole");
    let hands = Hands::at(START_MS);
    Pipeline::start(state, Box::new(journal), &Beginning::default(), Box::new(hands), Limits::default()).expect("there is room")
}

/// Registers clubs, a chunk at a time, and keeps the replies, until the journal fails or `count` requests are sent.
fn load(pipeline: &Pipeline, first: u64, count: u64, replies: &mut BTreeMap<u64, Reply>) -> u64 {
    const AT_ONCE: u64 = 100;
    let (lane, failed) = (Lane::default(), pipeline.failed());
    let mut next = first;
    while next < first + count && failed.borrow().is_none() {
        lane.0.expect(AT_ONCE as usize);
        let chunk =
            Chunk { outbox: lane.0.clone(), requests: (next..next + AT_ONCE).map(club).collect(), budget: None, reserved: None };
        next += AT_ONCE;
        assert!(pipeline.intake().offer(chunk).is_ok(), "there is room in the inbox");
        let (since, before) = (Instant::now(), replies.len());
        while replies.len() < before + AT_ONCE as usize && failed.borrow().is_none() {
            assert!(since.elapsed() < DEADLINE, "neither answered nor failed");
            replies.extend(lane.replies_now().into_iter().map(|reply| (reply.correlation, reply)));
        }
    }
    replies.extend(lane.replies_now().into_iter().map(|reply| (reply.correlation, reply)));
    next
}

/// Z3, Z4: also if the disk fills up in the middle of a rotation, and if the machine crashes after that.
#[test]
fn a_disk_that_fills_up_under_load_stops_the_engine_and_loses_nothing() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for (segment_bytes, goes_down) in [(u64::MAX, false), (u64::MAX, true), (60_000, false), (60_000, true)] {
        let disk = Double::default();
        disk.create_folder(Path::new("/data")).and_then(|()| disk.sync_folder(Path::new("/"))).expect("the disk takes it");
        let mut replies = BTreeMap::new();
        let pipeline = start(&disk, segment_bytes);
        let mutation = load(&pipeline, 1, 500, &mut replies);
        assert_eq!(replies.len(), 500);
        disk.set_faults(Faults { capacity: Some(disk.bytes() + random.u64(..1_500_000)), ..Faults::default() });
        let mutation = load(&pipeline, mutation, 100_000, &mut replies);
        let error = pipeline.finish().err().expect("the disk has filled up").to_string();
        assert!(error.starts_with("/data/journal/"), "{error}");
        assert!(error.to_lowercase().contains("no space"), "{error}");
        assert!(replies.len() >= 500 && (replies.len() as u64) < mutation - 1, "{} of {mutation} were answered", replies.len());

        // Another process, with room.
        let image = disk.image();
        let crash = Crash::ALL[random.usize(..Crash::ALL.len())];
        let disk = if goes_down { image.after(crash, &mut random).disk() } else { image.disk() };
        let pipeline = start(&disk, segment_bytes);
        let mut again = BTreeMap::new();
        let mutation = load(&pipeline, 1, mutation - 1, &mut again);
        for (request, reply) in &replies {
            assert_eq!(again.get(request), Some(reply), "request {request}");
        }
        load(&pipeline, mutation, 300, &mut again);
        assert_eq!(again.len() as u64, mutation - 1 + 300);
        let last = again.values().next_back().expect("many were answered").read::<RegisterClub>();
        assert!(matches!(last, Ok(RegisterClubOutcome::Registered(_))), "{last:?}");
        pipeline.finish().expect("there is room");
    }
}
