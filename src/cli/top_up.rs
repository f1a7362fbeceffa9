//! `scrip top-up`, `scrip refund-top-up`: top-ups of a client's gaming balance, and their refunds.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use scrip_client::Client;
use scrip_protocol::command::{RefundTopUpOutcome, TopUpOutcome};
use scrip_protocol::{ClientId, ClubId, Money, Position, TopUpSource};

use super::note::NoteOptions;
use crate::exit::Exit;
use crate::reach::{Reach, RequestArgs};

/// Top up a client's gaming balance
///
/// Matching rules fire at once: their credits, group changes and push notifications are part of the top-up. A client that is not
/// registered yet is registered. The reply counts the rules that matched and failed; the first line of `scrip tail --from TOP-UP`
/// names them with the reasons.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  scrip top-up 500 --client 42 --club 1 --source CASH --by Ann")]
pub(crate) struct TopUp {
    /// Amount, such as 500 or 12.50
    amount: Money,
    /// Client id: a decimal number or a UUID
    ///
    /// Decimal numbers have no leading zeros; UUIDs are in lower case with hyphens.
    #[arg(long)]
    client: ClientId,
    /// Number of the club
    #[arg(long)]
    club: ClubId,
    /// Payment method: ACQUIRING (online, through the app), POS_TERMINAL (by card) or CASH
    #[arg(long, value_parser = source(), ignore_case = true, hide_possible_values = true)]
    source: TopUpSource,
    #[command(flatten)]
    note: NoteOptions,
    #[command(flatten)]
    request_args: RequestArgs,
    #[command(flatten)]
    reach: Reach,
}

/// Refund a top-up, in full or in part
///
/// Refunds at most what the client has on the gaming balance. Bonuses that rules credited for the top-up stay with the client
/// unless you pass --claw-back.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  scrip refund-top-up 1207
  scrip refund-top-up 1207 --amount 100 --claw-back --comment 'paid twice'")]
pub(crate) struct RefundTopUp {
    /// Number of the top-up, as `scrip top-up` printed it
    top_up: Position,
    /// Amount to refund [default: everything not yet refunded]
    #[arg(long)]
    amount: Option<Money>,
    /// Also debit the same share of the bonuses that rules credited for it
    ///
    /// Debits as much as the client still has; the rest is recorded as uncollected.
    #[arg(long)]
    claw_back: bool,
    #[command(flatten)]
    note: NoteOptions,
    #[command(flatten)]
    request_args: RequestArgs,
    #[command(flatten)]
    reach: Reach,
}

fn source() -> impl TypedValueParser<Value = TopUpSource> {
    let words = PossibleValuesParser::new(TopUpSource::ALL.map(TopUpSource::word));
    words.map(|word| TopUpSource::named(&word.to_uppercase()).expect("clap accepts only these words"))
}

impl TopUp {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        let command = scrip_protocol::command::TopUp {
            client: self.client,
            club: self.club,
            amount: self.amount,
            source: self.source,
            note: self.note.into(),
        };
        let call = async |client: &Client, request| client.top_up(request, &command).await;
        self.reach.carry_out(&self.request_args, call, |outcome| matches!(outcome, TopUpOutcome::ToppedUp(_))).await
    }
}

impl RefundTopUp {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        let command = scrip_protocol::command::RefundTopUp {
            top_up: self.top_up,
            amount: self.amount,
            claw_back: self.claw_back,
            note: self.note.into(),
        };
        let call = async |client: &Client, request| client.refund_top_up(request, &command).await;
        self.reach.carry_out(&self.request_args, call, |outcome| matches!(outcome, RefundTopUpOutcome::Refunded(_))).await
    }
}
