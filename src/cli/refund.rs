//! `scrip refund`: refunds an activation (Z2).

use clap::Args;
use scrip_client::Client;
use scrip_protocol::Position;
use scrip_protocol::command::RefundOutcome;

use crate::exit::Exit;
use crate::reach::{Reach, RequestArgs};

/// Refund an activation: free its use and debit the bonus
///
/// Refuses if the client has already spent the bonus; --force refunds anyway. An activation can be refunded once.
#[derive(Debug, Args)]
pub(crate) struct Refund {
    /// Number of the activation, as `scrip redeem` or `scrip confirm` printed it
    activation: Position,
    /// Refund even if the client has spent the bonus (operators only)
    ///
    /// Debits what is left of the bonus and records the rest as uncollected.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    request_args: RequestArgs,
    #[command(flatten)]
    reach: Reach,
}

impl Refund {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        let call = async |client: &Client, request| client.refund(request, self.activation, self.force).await;
        self.reach.carry_out(&self.request_args, call, |outcome| matches!(outcome, RefundOutcome::Refunded(_))).await
    }
}
