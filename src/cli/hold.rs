//! `scrip hold`, `scrip confirm`, `scrip release`: a use of a code reserved during a payment.

use clap::Args;
use jiff::{SignedDuration, Span, SpanRelativeTo};
use scrip_client::Client;
use scrip_protocol::command::{
    ConfirmOutcome, HOLD_TTL_DEFAULT_MS, HOLD_TTL_MAX_MS, HOLD_TTL_MIN_MS, HoldOutcome, ReleaseOutcome,
};
use scrip_protocol::{ClientId, ClientNetwork, ClubId, Position};

use crate::exit::Exit;
use crate::print;
use crate::reach::{Reach, RequestArgs};

/// Reserve one use of a code for a client during a payment
///
/// Until the hold ends nobody else can take that use, and nothing is credited. When the payment succeeds, `scrip confirm` credits
/// the bonus; when it fails, `scrip release` frees the use. Otherwise the use becomes free when the hold expires.
#[derive(Debug, Args)]
pub(crate) struct Hold {
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
    /// Time until the hold expires, such as 90s or 2h [default: 15m]
    ///
    /// From 1 second to 7 days.
    #[arg(long = "for", value_name = "TIME", value_parser = ttl)]
    ttl_ms: Option<u64>,
    /// IP address of the client, if known; used for lockouts
    #[arg(long, value_name = "ADDRESS", default_value = "-", hide_default_value = true)]
    network: ClientNetwork,
    #[command(flatten)]
    request_args: RequestArgs,
    #[command(flatten)]
    reach: Reach,
}

/// Confirm a hold: credit its bonus after the payment succeeded
///
/// Credits the amount that the hold promised, even if the campaign was switched off meanwhile. After it has expired, a hold can
/// be confirmed only if nobody else has taken its use.
#[derive(Debug, Args)]
pub(crate) struct Confirm {
    /// Number of the hold, as `scrip hold` printed it
    hold: Position,
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

/// Release a hold: free its use after the payment failed
#[derive(Debug, Args)]
pub(crate) struct Release {
    /// Number of the hold, as `scrip hold` printed it
    hold: Position,
    #[command(flatten)]
    request_args: RequestArgs,
    #[command(flatten)]
    reach: Reach,
}

impl Hold {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        let ttl_ms = self.ttl_ms.unwrap_or(HOLD_TTL_DEFAULT_MS);
        let command = scrip_protocol::command::Hold {
            client: self.client,
            club: self.club,
            code: self.code,
            ttl_ms,
            network: self.network,
        };
        let call = async |client: &Client, request| client.hold(request, &command).await;
        let (request, outcome) = self.reach.change(&self.request_args, call).await?;
        match &outcome {
            HoldOutcome::Held(held) if !self.reach.json => print::line(format_args!(
                "held until {}: {} to be credited, campaign {}, hold {}",
                print::time(held.expires_ms),
                held.amount,
                held.campaign,
                held.hold
            )),
            HoldOutcome::Held(_) | HoldOutcome::InvalidTtl | HoldOutcome::Refused(_) | HoldOutcome::TooManyHolds => {
                self.reach.answer(request, &outcome);
            }
        }
        Ok(if matches!(outcome, HoldOutcome::Held(_)) { Exit::Done } else { Exit::Refused })
    }
}

impl Confirm {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        let command = scrip_protocol::command::Confirm { hold: self.hold, top_up: self.top_up };
        let call = async |client: &Client, request| client.call(request, &command).await;
        self.reach.carry_out(&self.request_args, call, |outcome| matches!(outcome, ConfirmOutcome::Confirmed(_))).await
    }
}

impl Release {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        let call = async |client: &Client, request| client.release(request, self.hold).await;
        self.reach.carry_out(&self.request_args, call, |outcome| matches!(outcome, ReleaseOutcome::Released)).await
    }
}

/// Parses a time to live, in milliseconds.
fn ttl(text: &str) -> Result<u64, String> {
    let days = SpanRelativeTo::days_are_24_hours();
    let time = text.parse::<Span>().and_then(|span| span.to_duration(days)).map_err(|_| wrong(text))?;
    let shortest = SignedDuration::from_millis(HOLD_TTL_MIN_MS as i64);
    let longest = SignedDuration::from_millis(HOLD_TTL_MAX_MS as i64);
    match (shortest..=longest).contains(&time) {
        true => Ok(time.as_millis() as u64),
        false => Err(wrong(text)),
    }
}

fn wrong(text: &str) -> String {
    format!("{text:?} is not a time from 1 second to 7 days, such as 90s, 15m, 2h or 7d")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Z1: 1 second to 7 days.
    #[test]
    fn common_spellings_of_a_duration_are_accepted() {
        let times = [
            ("1s", 1_000),
            ("90s", 90_000),
            ("15m", 900_000),
            ("15 minutes", 900_000),
            ("1h 30m", 5_400_000),
            ("1500ms", 1_500),
            ("7d", 604_800_000),
            ("1 week", 604_800_000),
        ];
        for (text, ms) in times {
            assert_eq!(ttl(text), Ok(ms), "{text}");
        }
        for text in ["", "15", "999ms", "0s", "-1m", "7d 1s", "8d", "1 month", "soon"] {
            assert_eq!(ttl(text), Err(wrong(text)), "{text}");
        }
    }
}
