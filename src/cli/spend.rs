//! `scrip spend`: sessions and purchases, which rules use later (`totalSpentMajor`, `sessionsCount`).

use clap::{Args, Subcommand};
use scrip_client::Client;
use scrip_protocol::command::{PaidFrom, RecordPurchase, RecordSession, SpendOutcome};
use scrip_protocol::{ClientId, ClubId, Money};

use super::note::NoteOptions;
use crate::exit::Exit;
use crate::reach::{Reach, RequestArgs};

/// Record money that a client has spent
///
/// Excludes payments made with bonuses; see `scrip bonus pay`.
#[derive(Debug, Args)]
pub(crate) struct Spend {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Record a session
    Session(Spending),
    /// Record a purchase
    Purchase(Spending),
}

#[derive(Debug, Args)]
struct Spending {
    /// Price in money, such as 300 or 12.50; a session can be free
    price: Money,
    /// Client id: a decimal number or a UUID
    ///
    /// Decimal numbers have no leading zeros; UUIDs are in lower case with hyphens.
    #[arg(long)]
    client: ClientId,
    /// Number of the club
    #[arg(long)]
    club: ClubId,
    /// Debit the client's gaming balance, which must cover the price (the default)
    #[arg(long, conflicts_with = "directly")]
    from_balance: bool,
    /// Paid at the till: the gaming balance does not change
    #[arg(long)]
    directly: bool,
    #[command(flatten)]
    note: NoteOptions,
    #[command(flatten)]
    request_args: RequestArgs,
    #[command(flatten)]
    reach: Reach,
}

impl Spending {
    fn paid_from(&self) -> PaidFrom {
        if self.directly { PaidFrom::Directly } else { PaidFrom::GamingBalance }
    }
}

impl Spend {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        let (request, reach, outcome) = match self.command {
            Command::Session(of) => {
                let paid_from = of.paid_from();
                let command =
                    RecordSession { client: of.client, club: of.club, price: of.price, paid_from, note: of.note.into() };
                let call = async |client: &Client, request| client.record_session(request, &command).await;
                let (request, outcome) = of.reach.change(&of.request_args, call).await?;
                (request, of.reach, outcome)
            }
            Command::Purchase(of) => {
                let paid_from = of.paid_from();
                let command =
                    RecordPurchase { client: of.client, club: of.club, price: of.price, paid_from, note: of.note.into() };
                let call = async |client: &Client, request| client.record_purchase(request, &command).await;
                let (request, outcome) = of.reach.change(&of.request_args, call).await?;
                (request, of.reach, outcome)
            }
        };
        reach.answer(request, &outcome);
        Ok(if matches!(outcome, SpendOutcome::Recorded { .. }) { Exit::Done } else { Exit::Refused })
    }
}
