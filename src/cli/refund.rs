//! `scrip refund`: takes an activation back (Z2).

use clap::Args;
use scrip_client::Client;
use scrip_protocol::Position;
use scrip_protocol::command::RefundOutcome;

use crate::exit::Exit;
use crate::reach::{Asking, Reach};

/// Take an activation back: the code has its use again, and the client's bonus is taken back
///
/// Where the client has spent the bonus, nothing is done, unless --force is given. An activation is refunded at most once.
#[derive(Debug, Args)]
pub(crate) struct Refund {
    /// The activation's number, which `scrip redeem` or `scrip confirm` has printed
    activation: Position,
    /// Refund it even where the client has spent the bonus: what is left is taken back, and the rest is noted as uncollected. For
    /// operators only
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    reach: Reach,
}

impl Refund {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        let call = async |client: &Client, request| client.refund(request, self.activation, self.force).await;
        let (request, outcome) = self.reach.change(&self.asking, call).await?;
        self.reach.answer(request, &outcome);
        Ok(if matches!(outcome, RefundOutcome::Refunded(_)) { Exit::Done } else { Exit::Refused })
    }
}
