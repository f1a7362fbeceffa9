//! `scrip tail`: the journal as JSON lines, or the refused attempts that are not in it.

use clap::Args;
use scrip_client::{Tailing, Watching};
use scrip_protocol::Position;
use scrip_protocol::batch::Batch;
use scrip_protocol::command::RunId;
use scrip_protocol::record::JournalLine;

use crate::exit::Exit;
use crate::print;
use crate::reach::Reach;

/// Print the journal as JSON lines, oldest first
#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// Position of the first record
    #[arg(long, default_value = "1", value_name = "POSITION")]
    from: Position,
    /// Keep running and print new records
    #[arg(long)]
    follow: bool,
    /// Print refused attempts that left no record, instead of the journal
    ///
    /// The engine has only the newest in memory. They are not durable: they are gone when the engine's process ends.
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

    /// Prints one attempt a line, and a line wherever some were lost.
    async fn watch(self) -> anyhow::Result<Exit> {
        let mut watching = Watching::start(self.reach.dial()?, RunId::default(), 0, self.follow).await?;
        while let Some(page) = watching.next().await? {
            if page.lost > 0 {
                print::json(&serde_json::json!({ "lost": page.lost, "run": page.run }));
            }
            page.attempts.iter().for_each(print::json);
            if print::is_over() {
                break;
            }
        }
        Ok(Exit::Done)
    }
}
