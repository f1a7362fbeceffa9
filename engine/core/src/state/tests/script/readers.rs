//! The notation of readers of the journal.
//!
//! ```text
//! reader reports 5                                    registers a reader that has read up to position 5, or moves it;
//!                                                     kept-from=4 as if the journal began at position 4; by=2 as
//!                                                     credential 2 instead of 1; operator: of any credential
//! forget-reader reports                               by=2, operator as above
//! readers                                             where each is, and since when
//! ```

use scrip_protocol::command::{ForgetReader, KeepReader};

use super::super::{Bench, START_MS};
use super::{Words, kept_from, parsed};
use crate::state::{ForgetReaderRequest, KeepReaderRequest, Mutation};

/// The request on a line; none if its word is not one of these.
pub(super) fn request(words: &Words) -> Option<Mutation> {
    let name = words.at(1).to_owned();
    Some(match words.at(0) {
        "reader" => {
            let request = KeepReader { name, position: parsed(words.at(2)) };
            let (kept_from, anyones) = (kept_from(words), words.has("operator"));
            let open_from = words.number("open-from").unwrap_or(kept_from);
            Mutation::KeepReader(Box::new(KeepReaderRequest { request, kept_from, open_from, anyones }))
        }
        "forget-reader" => {
            Mutation::ForgetReader(ForgetReaderRequest { request: ForgetReader { name }, anyones: words.has("operator") })
        }
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
