//! `scrip redeem`: takes one use of a code, and credits the bonus.

use clap::Args;
use scrip_client::Client;
use scrip_protocol::command::RedeemOutcome;
use scrip_protocol::{ClientId, ClientNetwork, ClubId, Position};

use crate::exit::Exit;
use crate::reach::{Asking, Reach};

/// Redeem a code for a client at a club
#[derive(Debug, Args)]
pub(crate) struct Redeem {
    /// The code, as it was typed
    #[arg(allow_hyphen_values = true)]
    code: String,
    /// The client's id: a decimal number without leading zeros, or a UUID in lower case with hyphens
    #[arg(long)]
    client: ClientId,
    /// The club's number
    #[arg(long)]
    club: ClubId,
    /// The internet address that the client calls from, if you know it: who tries too many codes from there is stopped
    #[arg(long, value_name = "ADDRESS", default_value = "-", hide_default_value = true)]
    network: ClientNetwork,
    /// The number of the top-up during which the code was typed, if it was one: a top-up of the same client, kept with the activation
    #[arg(long, value_name = "POSITION", default_value = "0", hide_default_value = true)]
    top_up: Position,
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    reach: Reach,
}

impl Redeem {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        let asked = scrip_protocol::command::Redeem {
            client: self.client,
            club: self.club,
            code: self.code,
            network: self.network,
            top_up: self.top_up,
        };
        let call = async |client: &Client, request| client.redeem(request, &asked).await;
        let (request, outcome) = self.reach.change(&self.asking, call).await?;
        self.reach.answer(request, &outcome);
        Ok(if matches!(outcome, RedeemOutcome::Redeemed(_)) { Exit::Done } else { Exit::Refused })
    }
}
