//! `scrip loadtest`: loads an engine, measures it against the limits of the machine, and audits the result.

mod document;
mod options;
mod own;
mod probe;
mod run;
mod versus;
mod watch;

use clap::{Args, Subcommand};

use crate::exit::Exit;

/// Load-test an engine and audit the outcome of every request
///
/// Measures the engine against the limits of this machine. By default it starts an engine of its own in a temporary folder, redeems
/// a million codes over one connection with 16,384 requests in flight, then 2,000 codes one at a time, and audits the journal. With
/// --data or --server it loads a running engine: it creates a club, campaigns and clients of its own there, and touches nothing
/// else.
///
/// Every run ends with an audit of the journal since the run began: each reply is compared with its record, each record of the run
/// with its reply, each balance with the sum of its entries. Any difference is printed, and the exit code is 8. Ctrl-C stops the
/// sending; the audit follows.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Loadtest {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    options: options::Options,
    #[command(flatten)]
    documents: document::Documents,
}

#[derive(Debug, Subcommand)]
enum Part {
    Probe(probe::ProbeCommand),
    Versus(versus::Versus),
}

impl Loadtest {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        match self.part {
            Some(Part::Probe(probe)) => probe.run().await,
            Some(Part::Versus(versus)) => versus.run().await,
            None => run::run(self.options, self.documents).await,
        }
    }
}
