//! Refused attempts that leave no record, reported outside the journal (Z13).
//!
//! Every redemption or hold that the engine decides leaves a record, refused or not. A request refused before that, because of
//! its id, the caller's role or clubs, or a lockout, leaves none: writing one would let anybody fill the disk. The engine keeps
//! the newest [`ATTEMPTS_KEPT`] of these in memory for watchers. They are lost when the process ends, and those above
//! [`ATTEMPTS_PER_SECOND`] are only counted.

use std::fmt;
use std::str::FromStr;

use crate::ids::{ClientId, ClubId, CredentialId, InvalidId, Position, RequestId, serde_as_text};
use crate::network::ClientNetwork;
use crate::refusal::Refusal;

/// How many attempts are kept; the oldest are discarded first.
pub const ATTEMPTS_KEPT: usize = 65_536;

/// How many attempts of one second are kept. Further ones are counted as lost.
pub const ATTEMPTS_PER_SECOND: u64 = 10_000;

/// Maximum number of attempts in one frame.
pub const ATTEMPTS_PER_FRAME: usize = 256;

/// One run of an engine's process: a random number. Each run numbers its attempts from 1; 0 is no run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct RunId(pub u128);

impl RunId {
    /// A new one.
    ///
    /// # Panics
    /// When the operating system cannot provide random numbers.
    pub fn random() -> RunId {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system has a random generator");
        RunId(u128::from_le_bytes(bytes))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for RunId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<RunId, InvalidId> {
        let invalid = || InvalidId { text: text.to_owned(), expected: "a run: 32 hexadecimal digits" };
        let is_hexadecimal = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = is_hexadecimal.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        number.map(RunId).ok_or_else(invalid)
    }
}

serde_as_text!(RunId);

/// The request for refused attempts that left no record. The answer is many frames, each a [`WatchAttemptsOutcome`].
#[wire_format(serde::Deserialize)]
pub struct WatchAttempts {
    /// The newest attempt that the caller already has; 0 for none.
    pub after: u64,
    /// The run that `after` belongs to. If the engine is in another run, it begins with the oldest attempt that it keeps.
    pub run: RunId,
    /// Whether to stay connected and send new attempts.
    pub follow: bool,
}

/// One part of the answer to [`WatchAttempts`].
#[wire_format]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum WatchAttemptsOutcome {
    /// Attempts, in order. The first part may be empty: it identifies the run.
    Attempts(Attempts) = 0,
    /// Everything there was has been sent, and nothing follows.
    End = 1,
}

/// Some attempts of a run, in order.
#[wire_format]
pub struct Attempts {
    /// The run.
    pub run: RunId,
    /// How many attempts between the last part, or the requested start, and `through` are missing: they exceeded the rate, or
    /// newer ones replaced them.
    pub lost: u64,
    /// The number to continue after.
    pub through: u64,
    /// The attempts.
    pub attempts: Vec<Attempt>,
}

/// A refused attempt that left no record. The engine did not execute it.
#[wire_format]
pub struct Attempt {
    /// Its number in its run, from 1. Lost attempts have numbers as well.
    pub sequence: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The newest durable record at that time.
    pub after: Position,
    /// The word of the command, such as `redeem`.
    pub command: String,
    /// Who sent it.
    pub credential: CredentialId,
    /// The request's id; 0 for a command that has none.
    pub request: RequestId,
    /// For which client, if the command names one and the engine got as far as reading it.
    pub client: Option<ClientId>,
    /// At which club, likewise.
    pub club: Option<ClubId>,
    /// The normalised code, if the command is about one that can be a code.
    pub code: Option<String>,
    /// The client's network, if known.
    pub network: ClientNetwork,
    /// Why it was refused.
    pub refusal: Refusal,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{HoldOutcome, RedeemOutcome};

    #[test]
    fn run_ids_round_trip_as_text() {
        let run = RunId::random();
        assert_eq!(run.to_string().parse(), Ok(run));
        for text in ["", "7", "+0000000000000000000000000000007", "zz"] {
            assert!(text.parse::<RunId>().is_err(), "{text}");
        }
    }

    /// Words in metrics and reports are unique.
    #[test]
    fn words_of_outcomes_and_refusals_are_unique_and_found_by_their_numbers() {
        for words in [&RedeemOutcome::WORDS[..], &HoldOutcome::WORDS, &Refusal::WORDS] {
            let mut sorted = words.to_vec();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), words.len(), "{words:?}");
        }
        assert_eq!(RedeemOutcome::NotAccepted.word(), "not_accepted");
        assert_eq!(HoldOutcome::Refused(RedeemOutcome::UnknownCode).word(), "unknown_code");
        assert_eq!((HoldOutcome::InvalidTtl.word(), HoldOutcome::TooManyHolds.word()), ("invalid_ttl", "too_many_holds"));
        assert_eq!(Refusal::TooManyMisses { retry_after_ms: 1 }.word(), "too_many_misses");
        assert_eq!((Refusal::Revoked.word(), Refusal::RequestIdReused.number()), ("revoked", 6));
    }
}
