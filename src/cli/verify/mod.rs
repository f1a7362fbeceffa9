//! `scrip verify`: recomputes every counter and balance from the journal, and compares them with the snapshots or a running
//! engine.
//!
//! Both modes use the engine's own `apply`. They find a file, or an engine's memory, that is not what the journal yields; they do
//! not find mistakes in `apply` itself. The load test's audit counts independently.

mod live;
mod offline;

use std::time::Duration;

use clap::Args;
use scrip_core::state::{Difference, State};
use scrip_protocol::CampaignId;
use scrip_protocol::batch::ChainEnd;
use scrip_protocol::command::{ShowCampaign, ShowCampaignOutcome};
use serde_json::{Map, Value};

use crate::exit::Exit;
use crate::print;
use crate::reach::Reach;

/// Recompute all state from the journal and report differences
///
/// Compares the state with the snapshots, or with a running engine, and checks the hash chain of the journal. If anything differs,
/// prints the first difference and exits with 8. Exits with 6 if a file is damaged. Without --live no engine may be running on the
/// data folder.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Compare with a running engine, which keeps working
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    reach: Reach,
}

impl Verify {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        let report = match self.live {
            true => live::verify(&self.reach).await?,
            false => tokio::task::block_in_place(|| offline::verify(&self.reach.folder()))?,
        };
        report.print(self.reach.json);
        Ok(if report.difference.is_some() { Exit::Mismatch } else { Exit::Done })
    }
}

/// The number of things in a state.
fn counted(state: &State) -> Vec<(&'static str, u64)> {
    let (mut campaigns, mut codes) = (0, 0);
    for (campaign, _) in state.campaigns.after(CampaignId(0)) {
        campaigns += 1;
        if let ShowCampaignOutcome::Campaign(card) = state.show_campaign(0, &ShowCampaign { campaign }) {
            codes += u64::from(card.codes);
        }
    }
    let (clients, requests) = (state.clients.len() as u64, state.requests.len() as u64);
    vec![("campaigns", campaigns), ("codes", codes), ("clients", clients), ("requests remembered", requests)]
}

/// The result of a verification.
struct Report {
    /// What the journal was compared with: `the snapshot`, `the engine`.
    other: &'static str,
    /// Where recomputing started: 0, or the position of a snapshot.
    began_after: u64,
    /// The end of the journal.
    end: ChainEnd,
    batches: u64,
    records: u64,
    /// What was compared, with counts.
    compared: Vec<(&'static str, u64)>,
    difference: Option<Difference>,
    took: Duration,
}

impl Report {
    fn print(&self, json: bool) {
        let hash: String = self.end.hash.iter().map(|byte| format!("{byte:02x}")).collect();
        if json {
            let mut value = Map::new();
            let difference = self.difference.as_ref().map(
                |of| serde_json::json!({ "what": of.what, "journal": of.ours, "other": of.theirs, "words": self.words(of) }),
            );
            value.insert("began_after".into(), self.began_after.into());
            value.insert("position".into(), self.end.position.0.into());
            value.insert("hash".into(), hash.into());
            value.insert("batches".into(), self.batches.into());
            value.insert("records".into(), self.records.into());
            value.extend(self.compared.iter().map(|(name, number)| (name.replace(' ', "_"), Value::from(*number))));
            value.insert("difference".into(), difference.unwrap_or(Value::Null));
            print::json(&value);
            return;
        }
        if self.began_after > 0 {
            let after = print::grouped(self.began_after);
            print::line(format_args!(
                "the journal no longer has its first records: started from the snapshot of position {after}, which is taken as correct"
            ));
        }
        let counts = [("batches", self.batches), ("records", self.records)];
        let counts = counts.iter().chain(&self.compared).map(|(name, number)| vec![(*name).to_owned(), print::grouped(*number)]);
        let rows: Vec<_> = counts
            .chain([
                vec!["position".to_owned(), print::grouped(self.end.position.0)],
                vec!["hash".to_owned(), hash],
                vec!["took".to_owned(), format!("{:.1?}", self.took)],
            ])
            .collect();
        print::table(&["", ""], &rows);
        match &self.difference {
            None => print::line("no differences"),
            Some(difference) => print::line(format_args!("DIFFERS  {}", self.words(difference))),
        }
    }

    fn words(&self, difference: &Difference) -> String {
        difference.said_of("the journal", self.other)
    }
}
