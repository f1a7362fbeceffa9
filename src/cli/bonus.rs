//! `scrip bonus`: the bonus balance by hand.

use clap::{Args, Subcommand, ValueEnum};
use scrip_client::Client;
use scrip_protocol::command::{BonusOutcome, CreditBonus, PaidFor, PayBonus, RefundBonus, RefundBonusOutcome, WriteOffBonus};
use scrip_protocol::{ClientId, ClubId, Money, Position, RequestId};

use super::note::NoteOptions;
use crate::exit::Exit;
use crate::reach::{Asking, Reach};

/// Credit, write off, pay and give back bonuses
///
/// Each is journalled with who did it. The bonus balance is never below 0: what there is not is not written off, and not paid.
#[derive(Debug, Args)]
pub(crate) struct Bonus {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Credit a client's bonus balance by hand
    Credit(ByHand),
    /// Write off some of a client's bonus balance by hand, to correct a credit for instance
    WriteOff(ByHand),
    Pay(Pay),
    Refund(Refund),
}

#[derive(Debug, Args)]
struct ByHand {
    /// How much, as in 50 or 12.50
    amount: Money,
    /// The client's id: a decimal number without leading zeros, or a UUID in lower case with hyphens
    #[arg(long)]
    client: ClientId,
    /// The club's number, where it happens at one
    #[arg(long)]
    club: Option<ClubId>,
    #[command(flatten)]
    note: NoteOptions,
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    reach: Reach,
}

/// Pay with a client's bonuses
///
/// Paid with a gateway's credential, it is the app's payment (System); with a cashier's, the cashier's (Administrator).
#[derive(Debug, Args)]
struct Pay {
    /// How much, as in 50 or 12.50
    amount: Money,
    /// The client's id: a decimal number without leading zeros, or a UUID in lower case with hyphens
    #[arg(long)]
    client: ClientId,
    /// The club's number
    #[arg(long)]
    club: ClubId,
    /// What is paid: gaming time or an order
    #[arg(long = "for", value_enum, hide_possible_values = true, value_name = "gaming-time|order")]
    paid_for: For,
    #[command(flatten)]
    note: NoteOptions,
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum For {
    GamingTime,
    Order,
}

impl From<For> for PaidFor {
    fn from(paid_for: For) -> PaidFor {
        match paid_for {
            For::GamingTime => PaidFor::GamingTime,
            For::Order => PaidFor::Order,
        }
    }
}

/// Give back what was paid with bonuses, or some of it
#[derive(Debug, Args)]
struct Refund {
    /// The payment's number: the operation that `scrip bonus pay` has printed
    payment: Position,
    /// How much of it; without it, what is left of it
    #[arg(long)]
    amount: Option<Money>,
    #[command(flatten)]
    note: NoteOptions,
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    reach: Reach,
}

impl Bonus {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        match self.command {
            Command::Credit(ByHand { amount, client, club, note, asking, reach }) => {
                let asked = CreditBonus { client, club, amount, note: note.into() };
                let call = async |client: &Client, request| client.credit_bonus(request, &asked).await;
                let (request, outcome) = reach.change(&asking, call).await?;
                Ok(answer(&reach, request, &outcome))
            }
            Command::WriteOff(ByHand { amount, client, club, note, asking, reach }) => {
                let asked = WriteOffBonus { client, club, amount, note: note.into() };
                let call = async |client: &Client, request| client.write_off_bonus(request, &asked).await;
                let (request, outcome) = reach.change(&asking, call).await?;
                Ok(answer(&reach, request, &outcome))
            }
            Command::Pay(Pay { amount, client, club, paid_for, note, asking, reach }) => {
                let asked = PayBonus { client, club, amount, paid_for: paid_for.into(), note: note.into() };
                let call = async |client: &Client, request| client.pay_bonus(request, &asked).await;
                let (request, outcome) = reach.change(&asking, call).await?;
                Ok(answer(&reach, request, &outcome))
            }
            Command::Refund(Refund { payment, amount, note, asking, reach }) => {
                let asked = RefundBonus { payment, amount, note: note.into() };
                let call = async |client: &Client, request| client.refund_bonus(request, &asked).await;
                let (request, outcome) = reach.change(&asking, call).await?;
                reach.answer(request, &outcome);
                Ok(if matches!(outcome, RefundBonusOutcome::Done(_)) { Exit::Done } else { Exit::Refused })
            }
        }
    }
}

fn answer(reach: &Reach, request: RequestId, outcome: &BonusOutcome) -> Exit {
    reach.answer(request, outcome);
    if matches!(outcome, BonusOutcome::Done(_)) { Exit::Done } else { Exit::Refused }
}
