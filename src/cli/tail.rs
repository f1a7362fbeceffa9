//! `scrip tail`: the journal as JSON lines; or what is told beside it.

use clap::Args;
use scrip_client::{Tailing, Watching};
use scrip_protocol::Position;
use scrip_protocol::batch::Batch;
use scrip_protocol::command::RunId;
use scrip_protocol::record::JournalLine;

use crate::exit::Exit;
use crate::print;
use crate::reach::Reach;

/// Print the journal, one record per line of JSON, oldest first
#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// The position of the first record
    #[arg(long, default_value = "1", value_name = "POSITION")]
    from: Position,
    /// Stay, and print what is written from now on
    #[arg(long)]
    follow: bool,
    /// Print the refused attempts that left no record instead: those that the engine still keeps in memory. They are not durable, and gone
    /// when its process ends
    #[arg(long, conflicts_with = "from")]
    attempts: bool,
    #[command(flatten)]
    reach: Reach,
}

impl Tail {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        if self.attempts {
            return self.watch().await;
        }
        let mut tailing = Tailing::start(self.reach.dial()?, self.from, self.follow).await?;
        while let Some(bytes) = tailing.next().await? {
            let batch = Batch::parse(&bytes)?;
            for item in batch.records() {
                let (position, record) = item?;
                if position >= self.from {
                    print::json(&JournalLine { position, at_ms: batch.time_ms, record: &record });
                }
            }
            if print::is_over() {
                break;
            }
        }
        Ok(Exit::Done)
    }

    /// One attempt a line, and a line wherever some were lost.
    async fn watch(self) -> anyhow::Result<Exit> {
        let mut watching = Watching::start(self.reach.dial()?, RunId::default(), 0, self.follow).await?;
        while let Some(told) = watching.next().await? {
            if told.lost > 0 {
                print::json(&serde_json::json!({ "lost": told.lost, "run": told.run }));
            }
            told.attempts.iter().for_each(print::json);
            if print::is_over() {
                break;
            }
        }
        Ok(Exit::Done)
    }
}
