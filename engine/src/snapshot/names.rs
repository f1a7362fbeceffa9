//! The names of snapshot files.

use std::path::{Path, PathBuf};

use scrip_protocol::Position;

/// The file name endings of a snapshot, and of one that is being written.
const ENDING: &str = ".snapshot";
pub(super) const UNFINISHED: &str = ".snapshot.new";

/// The file of a snapshot at a position, and the temporary file that it is written to first.
pub(super) fn paths(dir: &Path, position: Position) -> (PathBuf, PathBuf) {
    let of = |ending: &str| dir.join(format!("{:020}{ending}", position.0));
    (of(ENDING), of(UNFINISHED))
}

/// The position in a snapshot's name.
pub(super) fn position_of(name: &str) -> Option<Position> {
    let digits =
        name.strip_suffix(ENDING).filter(|digits| digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok().map(Position)
}
