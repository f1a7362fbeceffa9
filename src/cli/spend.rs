//! `scrip spend`: sessions and purchases, which rules look at later (`totalSpentMajor`, `sessionsCount`).

use clap::{Args, Subcommand};
use scrip_client::Client;
use scrip_protocol::command::{PaidFrom, RecordPurchase, RecordSession, SpendOutcome};
use scrip_protocol::{ClientId, ClubId, Money};

use super::note::NoteOptions;
use crate::exit::Exit;
use crate::reach::{Asking, Reach};

/// Record what a client has spent money on
///
/// What is paid with bonuses is none of it: that is `scrip bonus pay`.
#[derive(Debug, Args)]
pub(crate) struct Spend {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Record a session that a client has had
    Session(Spending),
    /// Record what a client has bought
    Purchase(Spending),
}

#[derive(Debug, Args)]
struct Spending {
    /// What it cost in money, as in 300 or 12.50. A session may have cost nothing
    price: Money,
    /// The client's id: a decimal number without leading zeros, or a UUID in lower case with hyphens
    #[arg(long)]
    client: ClientId,
    /// The club's number
    #[arg(long)]
    club: ClubId,
    /// It is paid from the client's gaming balance, which must have as much. This is so where nothing else is said
    #[arg(long, conflicts_with = "directly")]
    from_balance: bool,
    /// It is paid at the till: the gaming balance stays as it is
    #[arg(long)]
    directly: bool,
    #[command(flatten)]
    note: NoteOptions,
    #[command(flatten)]
    asking: Asking,
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
                let asked = RecordSession { client: of.client, club: of.club, price: of.price, paid_from, note: of.note.into() };
                let call = async |client: &Client, request| client.record_session(request, &asked).await;
                let (request, outcome) = of.reach.change(&of.asking, call).await?;
                (request, of.reach, outcome)
            }
            Command::Purchase(of) => {
                let paid_from = of.paid_from();
                let asked = RecordPurchase { client: of.client, club: of.club, price: of.price, paid_from, note: of.note.into() };
                let call = async |client: &Client, request| client.record_purchase(request, &asked).await;
                let (request, outcome) = of.reach.change(&of.asking, call).await?;
                (request, of.reach, outcome)
            }
        };
        reach.answer(request, &outcome);
        Ok(if matches!(outcome, SpendOutcome::Recorded { .. }) { Exit::Done } else { Exit::Refused })
    }
}
