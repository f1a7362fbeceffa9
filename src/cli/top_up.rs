//! `scrip top-up`, `scrip refund-top-up`: money onto a client's gaming balance, and off it again.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use scrip_protocol::client::Client;
use scrip_protocol::command::{RefundTopUpOutcome, TopUpOutcome};
use scrip_protocol::{ClientId, ClubId, Money, Position, TopUpSource};

use super::note::NoteOptions;
use crate::exit::Exit;
use crate::reach::{Asking, Reach};

/// Top up a client's gaming balance
///
/// The rules that match fire at that moment: what they credit, the groups that they change and the push notifications that they send
/// are one with the top-up. A client who is not registered is registered by it. The answer counts the rules that matched and failed; the
/// first line that `scrip tail --from TOP-UP` prints to reporters and operators names them, with the reasons.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  scrip top-up 500 --client 42 --club 1 --source CASH --by Ann")]
pub(crate) struct TopUp {
    /// How much, as in 500 or 12.50
    amount: Money,
    /// The client's id: a decimal number without leading zeros, or a UUID in lower case with hyphens
    #[arg(long)]
    client: ClientId,
    /// The club's number
    #[arg(long)]
    club: ClubId,
    /// How it is paid: ACQUIRING (online, through the app), POS_TERMINAL (by card) or CASH
    #[arg(long, value_parser = source(), ignore_case = true, hide_possible_values = true)]
    source: TopUpSource,
    #[command(flatten)]
    note: NoteOptions,
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    reach: Reach,
}

/// Give a top-up back, or some of it
///
/// No more than the client has on the gaming balance. What rules credited for it stays with the client, unless --claw-back is given.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  scrip refund-top-up 1207
  scrip refund-top-up 1207 --amount 100 --claw-back --comment 'paid twice'")]
pub(crate) struct RefundTopUp {
    /// The top-up's number, which `scrip top-up` has printed
    top_up: Position,
    /// How much of it; without it, what is left of it
    #[arg(long)]
    amount: Option<Money>,
    /// Take the same share of the bonus back that rules credited for it, as far as the client has it still; the rest is noted as
    /// uncollected
    #[arg(long)]
    claw_back: bool,
    #[command(flatten)]
    note: NoteOptions,
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    reach: Reach,
}

fn source() -> impl TypedValueParser<Value = TopUpSource> {
    let words = PossibleValuesParser::new(TopUpSource::ALL.map(TopUpSource::word));
    words.map(|word| TopUpSource::named(&word.to_uppercase()).expect("it is one of the words"))
}

impl TopUp {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        let asked = scrip_protocol::command::TopUp {
            client: self.client,
            club: self.club,
            amount: self.amount,
            source: self.source,
            note: self.note.into(),
        };
        let call = async |client: &Client, request| client.top_up(request, &asked).await;
        let (request, outcome) = self.reach.change(&self.asking, call).await?;
        self.reach.answer(request, &outcome);
        Ok(if matches!(outcome, TopUpOutcome::ToppedUp(_)) { Exit::Done } else { Exit::Refused })
    }
}

impl RefundTopUp {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        let asked = scrip_protocol::command::RefundTopUp {
            top_up: self.top_up,
            amount: self.amount,
            claw_back: self.claw_back,
            note: self.note.into(),
        };
        let call = async |client: &Client, request| client.refund_top_up(request, &asked).await;
        let (request, outcome) = self.reach.change(&self.asking, call).await?;
        self.reach.answer(request, &outcome);
        Ok(if matches!(outcome, RefundTopUpOutcome::Refunded(_)) { Exit::Done } else { Exit::Refused })
    }
}
