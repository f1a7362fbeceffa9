//! The notation of readers of the journal.
//!
//! ```text
//! reader reports 5                                    registers a reader that has read up to position 5, or moves it;
//!                                                     kept-from=4 as if the journal began at position 4
//! forget-reader reports
//! readers                                             where each is, and since when
//! ```

use scrip_protocol::command::{ForgetReader, KeepReader};

use super::super::{Bench, START_MS};
use super::{Words, kept_from, parsed};
use crate::state::{Asked, AskedKeepReader};

/// The request that a line asks for; none where the word is none of these.
pub(super) fn asked(words: &Words) -> Option<Asked> {
    let name = words.at(1).to_owned();
    Some(match words.at(0) {
        "reader" => {
            let asked = KeepReader { name, position: parsed(words.at(2)) };
            Asked::KeepReader(Box::new(AskedKeepReader { asked, kept_from: kept_from(words) }))
        }
        "forget-reader" => Asked::ForgetReader(ForgetReader { name }),
        _ => return None,
    })
}

pub(super) fn shows(word: &str) -> bool {
    word == "readers"
}

pub(super) fn shown(bench: &Bench) -> String {
    let readers = bench.state.list_readers().readers;
    if readers.is_empty() {
        return "none".to_owned();
    }
    let one = |reader: &scrip_protocol::command::Reader| {
        format!("{} at {} since {}", reader.name, reader.position, reader.moved_ms - START_MS)
    };
    readers.iter().map(one).collect::<Vec<_>>().join(", ")
}
