//! Copies of snapshots on a disk that fails.

use super::*;
use crate::snapshot::Pace;
use scrip_core::state::State;
use scrip_journal::disk::double::Double;

/// A snapshot that cannot be read is skipped like a damaged one, and its copy is removed.
#[test]
fn an_unreadable_snapshot_is_not_copied_and_does_not_fail_the_backup() {
    let disk = Double::default();
    let (from, to) = (Path::new("/data/snapshots"), Path::new("/backup/snapshots"));
    disk.create_folder(from).and_then(|()| disk.create_folder(to)).expect("the disk takes it");
    let (state, end) = (State::default(), ChainEnd { position: Position(3), time_ms: 1, hash: [7; 32] });
    let kept = snapshot::write(&disk, from, &state, end, Pace::Full, &mut |_, _| {}).expect("the disk takes it");
    for page in (0..kept.bytes).step_by(4096) {
        disk.make_unreadable(&kept.path, page..page + 1);
        assert!(copy_snapshot(&disk, &kept, to, |_| true).is_ok_and(|copied| copied.is_none()), "page at {page}");
        assert!(disk.list(to).expect("it can be read").is_empty());
    }
    disk.make_unreadable(&kept.path, 0..0);
    assert!(copy_snapshot(&disk, &kept, to, |_| true).is_ok_and(|copied| copied == Some(end)));
}
