//! `scrip verify`: every counter and balance recomputed from the journal, and compared with the snapshots or with a running engine.
//!
//! Both ways use the engine's own `apply`: what they find is not an error of reckoning, but that a file, or the memory of an engine, is
//! not what the journal makes it. The reckoning itself is counted again by the load test's audit.

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

/// Recompute everything from the journal and compare it with the snapshots; with --live with what a running engine says
///
/// Checks the chain of hashes on the way. Exits with 8 where something differs, and names the first difference; with 6 where a file is
/// damaged. Without --live no engine may run on the data folder.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Compare with a running engine, which goes on with its work
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

/// How much a state holds.
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

/// What was found.
struct Report {
    /// What the journal was compared with, as in `the snapshot`.
    other: &'static str,
    /// Where the recomputing began: 0, or the position of a snapshot.
    began_after: u64,
    /// Where the journal stood at the end.
    end: ChainEnd,
    batches: u64,
    records: u64,
    /// What was compared, with numbers.
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
                "the first records of the journal are not kept any more: begun with the snapshot of position {after}, which is believed"
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
            None => print::line("nothing differs"),
            Some(difference) => print::line(format_args!("DIFFERS  {}", self.words(difference))),
        }
    }

    fn words(&self, difference: &Difference) -> String {
        difference.said_of("the journal", self.other)
    }
}
