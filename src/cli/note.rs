//! The annotation of a ledger operation: the same options for every operation.

use clap::Args;
use scrip_protocol::command::Note;

/// Who performs an operation, and their remarks.
#[derive(Debug, Args)]
pub(super) struct NoteOptions {
    /// Name of the person who does it [default: the name of the credential]
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    by: String,
    /// Comment, stored with the operation
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    comment: String,
    /// Tag that reports can filter by; can be repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
}

impl From<NoteOptions> for Note {
    fn from(options: NoteOptions) -> Note {
        Note { by: options.by, comment: options.comment, tags: options.tags }
    }
}
