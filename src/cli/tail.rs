//! `scrip tail`: the journal as JSON lines.

use clap::Args;
use scrip_protocol::batch::Batch;
use scrip_protocol::client::Tailing;
use scrip_protocol::{Position, Record};
use serde::Serialize;

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
    #[command(flatten)]
    reach: Reach,
}

/// A record as it is printed.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    pub(super) position: Position,
    pub(super) at_ms: u64,
    #[serde(flatten)]
    pub(super) record: &'a Record,
}

impl Tail {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        let mut tailing = Tailing::start(self.reach.dial()?, self.from, self.follow).await?;
        while let Some(bytes) = tailing.next().await? {
            let batch = Batch::parse(&bytes)?;
            for item in batch.records() {
                let (position, record) = item?;
                if position >= self.from {
                    print::json(&Line { position, at_ms: batch.time_ms, record: &record });
                }
            }
        }
        Ok(Exit::Done)
    }
}
