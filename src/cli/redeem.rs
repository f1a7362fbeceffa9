//! `scrip redeem`: redeems a code and credits the bonus.

use clap::Args;
use scrip_client::Client;
use scrip_protocol::command::RedeemOutcome;
use scrip_protocol::{ClientId, ClientNetwork, ClubId, Position};

use crate::exit::Exit;
use crate::reach::{Reach, RequestArgs};

/// Redeem a code for a client at a club
///
/// Credits the campaign's bonus to the client. Exits with 0 if the bonus was credited, and with 1 if the code was refused.
#[derive(Debug, Args)]
pub(crate) struct Redeem {
    /// Code, as it was typed
    #[arg(allow_hyphen_values = true)]
    code: String,
    /// Client id: a decimal number or a UUID
    ///
    /// Decimal numbers have no leading zeros; UUIDs are in lower case with hyphens.
    #[arg(long)]
    client: ClientId,
    /// Number of the club
    #[arg(long)]
    club: ClubId,
    /// IP address of the client, if known; used for lockouts
    #[arg(long, value_name = "ADDRESS", default_value = "-", hide_default_value = true)]
    network: ClientNetwork,
    /// Number of the top-up during which the code was typed, if any
    ///
    /// Must be a top-up of the same client. It is stored with the activation.
    #[arg(long, value_name = "POSITION", default_value = "0", hide_default_value = true)]
    top_up: Position,
    #[command(flatten)]
    request_args: RequestArgs,
    #[command(flatten)]
    reach: Reach,
}

impl Redeem {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        let command = scrip_protocol::command::Redeem {
            client: self.client,
            club: self.club,
            code: self.code,
            network: self.network,
            top_up: self.top_up,
        };
        let call = async |client: &Client, request| client.redeem(request, &command).await;
        self.reach.carry_out(&self.request_args, call, |outcome| matches!(outcome, RedeemOutcome::Redeemed(_))).await
    }
}
