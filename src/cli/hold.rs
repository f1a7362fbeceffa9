//! `scrip hold`, `scrip confirm`, `scrip release`: a use of a code kept while the payment is taken.

use clap::Args;
use jiff::{SignedDuration, Span, SpanRelativeTo};
use scrip_client::Client;
use scrip_protocol::command::{
    ConfirmOutcome, HOLD_TTL_DEFAULT_MS, HOLD_TTL_MAX_MS, HOLD_TTL_MIN_MS, HoldOutcome, ReleaseOutcome,
};
use scrip_protocol::{ClientId, ClientNetwork, ClubId, Position};

use crate::exit::Exit;
use crate::print;
use crate::reach::{Asking, Reach};

/// Keep one use of a code for a client while the payment is taken
///
/// Nobody else can use it meanwhile, and nothing is credited yet. When the payment is done, `scrip confirm` credits the bonus; when it
/// fails, `scrip release` gives the use back. If neither happens, the use is free again by itself when the time is up.
#[derive(Debug, Args)]
pub(crate) struct Hold {
    /// The code, as it was typed
    #[arg(allow_hyphen_values = true)]
    code: String,
    /// The client's id: a decimal number without leading zeros, or a UUID in lower case with hyphens
    #[arg(long)]
    client: ClientId,
    /// The club's number
    #[arg(long)]
    club: ClubId,
    /// How long to keep it, as in 90s, 15m, 2h or 7d: 1 second to 7 days; without it, 15 minutes
    #[arg(long = "for", value_name = "TIME", value_parser = ttl)]
    ttl_ms: Option<u64>,
    /// The internet address that the client calls from, if you know it: who tries too many codes from there is stopped
    #[arg(long, value_name = "ADDRESS", default_value = "-", hide_default_value = true)]
    network: ClientNetwork,
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    reach: Reach,
}

/// Credit the bonus of a hold: the payment is done
///
/// The amount is the one that the hold promised, even if the campaign was switched off since. After its time a hold can be
/// confirmed only if nobody has taken its use meanwhile.
#[derive(Debug, Args)]
pub(crate) struct Confirm {
    /// The hold's number, which `scrip hold` has printed
    hold: Position,
    /// The number of the top-up during which the code was typed, if it was one: a top-up of the same client, kept with the activation
    #[arg(long, value_name = "POSITION", default_value = "0", hide_default_value = true)]
    top_up: Position,
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    reach: Reach,
}

/// Give the use of a hold back: the payment has failed
#[derive(Debug, Args)]
pub(crate) struct Release {
    /// The hold's number, which `scrip hold` has printed
    hold: Position,
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    reach: Reach,
}

impl Hold {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        let ttl_ms = self.ttl_ms.unwrap_or(HOLD_TTL_DEFAULT_MS);
        let asked = scrip_protocol::command::Hold {
            client: self.client,
            club: self.club,
            code: self.code,
            ttl_ms,
            network: self.network,
        };
        let call = async |client: &Client, request| client.hold(request, &asked).await;
        let (request, outcome) = self.reach.change(&self.asking, call).await?;
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
        let asked = scrip_protocol::command::Confirm { hold: self.hold, top_up: self.top_up };
        let call = async |client: &Client, request| client.call(request, &asked).await;
        let (request, outcome) = self.reach.change(&self.asking, call).await?;
        self.reach.answer(request, &outcome);
        Ok(if matches!(outcome, ConfirmOutcome::Confirmed(_)) { Exit::Done } else { Exit::Refused })
    }
}

impl Release {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        let call = async |client: &Client, request| client.release(request, self.hold).await;
        let (request, outcome) = self.reach.change(&self.asking, call).await?;
        self.reach.answer(request, &outcome);
        Ok(if matches!(outcome, ReleaseOutcome::Released) { Exit::Done } else { Exit::Refused })
    }
}

/// A time to live in milliseconds.
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
    format!("{text:?} is not a time from 1 second to 7 days, as in 90s, 15m, 2h or 7d")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Z1: 1 second to 7 days.
    #[test]
    fn times_are_read_as_people_write_them() {
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
