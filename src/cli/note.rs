//! What is said of an operation of the ledger: the same options for every one of them.

use clap::Args;
use scrip_protocol::command::Note;

/// Who does it, and what they say of it.
#[derive(Debug, Args)]
pub(super) struct NoteOptions {
    /// The name of the person who does it; without it, that of the credential
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    by: String,
    /// A comment, for whoever reads the operation later
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    comment: String,
    /// A tag, by which reports tell such operations apart; may be given several times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
}

impl From<NoteOptions> for Note {
    fn from(options: NoteOptions) -> Note {
        Note { by: options.by, comment: options.comment, tags: options.tags }
    }
}
