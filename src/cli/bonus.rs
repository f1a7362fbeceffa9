//! `scrip bonus`: manual changes of the bonus balance.

use clap::{Args, Subcommand, ValueEnum};
use scrip_client::Client;
use scrip_protocol::command::{BonusOutcome, CreditBonus, PaidFor, PayBonus, RefundBonus, RefundBonusOutcome, WriteOffBonus};
use scrip_protocol::{ClientId, ClubId, Money, Position, RequestId};

use super::note::NoteOptions;
use crate::exit::Exit;
use crate::reach::{Reach, RequestArgs};

/// Credit, write off, pay with and refund bonuses
///
/// Payments and write-offs beyond the bonus balance are refused. The journal records who made each change.
#[derive(Debug, Args)]
pub(crate) struct Bonus {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Credit a client's bonus balance by hand
    Credit(ByHand),
    /// Write off part of a client's bonus balance by hand, for example to correct a credit
    WriteOff(ByHand),
    Pay(Pay),
    Refund(Refund),
}

#[derive(Debug, Args)]
struct ByHand {
    /// Amount, such as 50 or 12.50
    amount: Money,
    /// Client id: a decimal number or a UUID
    ///
    /// Decimal numbers have no leading zeros; UUIDs are in lower case with hyphens.
    #[arg(long)]
    client: ClientId,
    /// Number of the club, if it happens at one
    #[arg(long)]
    club: Option<ClubId>,
    #[command(flatten)]
    note: NoteOptions,
    #[command(flatten)]
    request_args: RequestArgs,
    #[command(flatten)]
    reach: Reach,
}

/// Pay with a client's bonuses
///
/// The ledger attributes a payment made with a gateway credential to the app (System), and one made with a cashier credential to
/// the cashier (Administrator).
#[derive(Debug, Args)]
struct Pay {
    /// Amount, such as 50 or 12.50
    amount: Money,
    /// Client id: a decimal number or a UUID
    ///
    /// Decimal numbers have no leading zeros; UUIDs are in lower case with hyphens.
    #[arg(long)]
    client: ClientId,
    /// Number of the club
    #[arg(long)]
    club: ClubId,
    /// What is paid for: gaming time or an order
    #[arg(long = "for", value_enum, hide_possible_values = true, value_name = "gaming-time|order")]
    paid_for: For,
    #[command(flatten)]
    note: NoteOptions,
    #[command(flatten)]
    request_args: RequestArgs,
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

/// Refund a payment made with bonuses, in full or in part
#[derive(Debug, Args)]
struct Refund {
    /// Number of the payment: the operation that `scrip bonus pay` printed
    payment: Position,
    /// Amount to refund [default: everything not yet refunded]
    #[arg(long)]
    amount: Option<Money>,
    #[command(flatten)]
    note: NoteOptions,
    #[command(flatten)]
    request_args: RequestArgs,
    #[command(flatten)]
    reach: Reach,
}

impl Bonus {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        match self.command {
            Command::Credit(ByHand { amount, client, club, note, request_args, reach }) => {
                let command = CreditBonus { client, club, amount, note: note.into() };
                let call = async |client: &Client, request| client.credit_bonus(request, &command).await;
                let (request, outcome) = reach.change(&request_args, call).await?;
                Ok(answer(&reach, request, &outcome))
            }
            Command::WriteOff(ByHand { amount, client, club, note, request_args, reach }) => {
                let command = WriteOffBonus { client, club, amount, note: note.into() };
                let call = async |client: &Client, request| client.write_off_bonus(request, &command).await;
                let (request, outcome) = reach.change(&request_args, call).await?;
                Ok(answer(&reach, request, &outcome))
            }
            Command::Pay(Pay { amount, client, club, paid_for, note, request_args, reach }) => {
                let command = PayBonus { client, club, amount, paid_for: paid_for.into(), note: note.into() };
                let call = async |client: &Client, request| client.pay_bonus(request, &command).await;
                let (request, outcome) = reach.change(&request_args, call).await?;
                Ok(answer(&reach, request, &outcome))
            }
            Command::Refund(Refund { payment, amount, note, request_args, reach }) => {
                let command = RefundBonus { payment, amount, note: note.into() };
                let call = async |client: &Client, request| client.refund_bonus(request, &command).await;
                reach.carry_out(&request_args, call, |outcome| matches!(outcome, RefundBonusOutcome::Done(_))).await
            }
        }
    }
}

fn answer(reach: &Reach, request: RequestId, outcome: &BonusOutcome) -> Exit {
    reach.answer(request, outcome);
    if matches!(outcome, BonusOutcome::Done(_)) { Exit::Done } else { Exit::Refused }
}
