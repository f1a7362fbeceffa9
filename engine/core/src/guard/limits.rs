//! The limits of the guard: `[guard]` in `scrip.toml`. The defaults here apply to what is left out there.

use std::ops::RangeInclusive;

use serde::{Deserialize, Deserializer, Serialize};

const MINUTE_MS: u32 = 60_000;
const DAY_MS: u32 = 24 * 60 * MINUTE_MS;

/// Far more than anyone mistypes; with the longest times below, all sums of a budget stay far below 64 bits.
pub(super) const MISSES_MAX: u32 = 1_000_000;

/// The longest time: refuses one that was set by mistake and that only a restart would end. A wait also fits into the 32 bits of
/// a reply.
pub(super) const TIME_MAX_MS: u32 = 30 * DAY_MS;

/// Permitted failed attempts per credential, client, and network of clients (Z9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuardLimits {
    /// Per client.
    #[serde(deserialize_with = "of_client")]
    pub client: BudgetLimits,
    /// Per network of clients.
    #[serde(deserialize_with = "of_network")]
    pub network: BudgetLimits,
    /// Per credential.
    #[serde(deserialize_with = "of_credential")]
    pub credential: BudgetLimits,
}

/// A budget of failed attempts, and what happens when it is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BudgetLimits {
    /// Attempts regained per minute, until the budget is full. 0 turns the budget off.
    pub misses_per_minute: u32,
    /// Attempts in a full budget. The last of them starts a lockout.
    pub misses_at_once: u32,
    /// Length of the first lockout. Each further one lasts twice as long.
    pub lockout_first_ms: u32,
    /// Maximum length of a lockout.
    pub lockout_longest_ms: u32,
    /// Each such period without a lockout takes one doubling back.
    pub quiet_ms: u32,
}

/// A number under `[guard]` that is out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("guard.{budget}.{field}: this must be {min} to {max}")]
pub struct InvalidGuardLimit {
    /// The budget.
    pub budget: &'static str,
    /// The number.
    pub field: &'static str,
    /// The minimum.
    pub min: u32,
    /// The maximum.
    pub max: u32,
}

impl GuardLimits {
    /// For a player who types codes off cards: mistyping three or four times is common, ten times in a minute is not. Half a
    /// minute is no punishment for those who do, and an hour makes it pointless to continue.
    pub const CLIENT: BudgetLimits = BudgetLimits {
        misses_per_minute: 10,
        misses_at_once: 10,
        lockout_first_ms: MINUTE_MS / 2,
        lockout_longest_ms: 60 * MINUTE_MS,
        quiet_ms: 60 * MINUTE_MS,
    };

    /// For a hall of players behind one address: six clients at their limit at once. The longest lockout is a quarter of an hour,
    /// because it also affects neighbours and the next user of the address.
    pub const NETWORK: BudgetLimits = BudgetLimits {
        misses_per_minute: 60,
        misses_at_once: 60,
        lockout_first_ms: MINUTE_MS / 2,
        lockout_longest_ms: 15 * MINUTE_MS,
        quiet_ms: 60 * MINUTE_MS,
    };

    /// For a gateway, which stands for all its players: a hundred failed attempts a second are those of a thousand attempts of
    /// which every tenth is mistyped, or of an attack with many clients from many networks. That is slowed down without stopping
    /// the gateway's business for long: a second at first, a minute at most.
    pub const CREDENTIAL: BudgetLimits = BudgetLimits {
        misses_per_minute: 6_000,
        misses_at_once: 6_000,
        lockout_first_ms: 1_000,
        lockout_longest_ms: MINUTE_MS,
        quiet_ms: 10 * MINUTE_MS,
    };

    /// No limits.
    pub const OFF: GuardLimits = GuardLimits {
        client: BudgetLimits { misses_per_minute: 0, ..GuardLimits::CLIENT },
        network: BudgetLimits { misses_per_minute: 0, ..GuardLimits::NETWORK },
        credential: BudgetLimits { misses_per_minute: 0, ..GuardLimits::CREDENTIAL },
    };

    /// Checks that every number is in its range.
    ///
    /// # Errors
    /// Names the first number that is not.
    pub fn check(&self) -> Result<(), InvalidGuardLimit> {
        self.client.check("client")?;
        self.network.check("network")?;
        self.credential.check("credential")
    }
}

impl Default for GuardLimits {
    fn default() -> GuardLimits {
        GuardLimits { client: GuardLimits::CLIENT, network: GuardLimits::NETWORK, credential: GuardLimits::CREDENTIAL }
    }
}

impl BudgetLimits {
    fn check(&self, budget: &'static str) -> Result<(), InvalidGuardLimit> {
        let within = |field, number: u32, range: RangeInclusive<u32>| match range.contains(&number) {
            true => Ok(()),
            false => Err(InvalidGuardLimit { budget, field, min: *range.start(), max: *range.end() }),
        };
        within("misses_per_minute", self.misses_per_minute, 0..=MISSES_MAX)?;
        within("misses_at_once", self.misses_at_once, 1..=MISSES_MAX)?;
        within("lockout_first_ms", self.lockout_first_ms, 1..=TIME_MAX_MS)?;
        within("lockout_longest_ms", self.lockout_longest_ms, self.lockout_first_ms..=TIME_MAX_MS)?;
        within("quiet_ms", self.quiet_ms, 1..=TIME_MAX_MS)
    }
}

/// What a file sets of one budget.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    misses_per_minute: Option<u32>,
    misses_at_once: Option<u32>,
    lockout_first_ms: Option<u32>,
    lockout_longest_ms: Option<u32>,
    quiet_ms: Option<u32>,
}

fn of_client<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BudgetLimits, D::Error> {
    given(deserializer, GuardLimits::CLIENT)
}

fn of_network<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BudgetLimits, D::Error> {
    given(deserializer, GuardLimits::NETWORK)
}

fn of_credential<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BudgetLimits, D::Error> {
    given(deserializer, GuardLimits::CREDENTIAL)
}

fn given<'de, D: Deserializer<'de>>(deserializer: D, otherwise: BudgetLimits) -> Result<BudgetLimits, D::Error> {
    let given = Given::deserialize(deserializer)?;
    Ok(BudgetLimits {
        misses_per_minute: given.misses_per_minute.unwrap_or(otherwise.misses_per_minute),
        misses_at_once: given.misses_at_once.unwrap_or(otherwise.misses_at_once),
        lockout_first_ms: given.lockout_first_ms.unwrap_or(otherwise.lockout_first_ms),
        lockout_longest_ms: given.lockout_longest_ms.unwrap_or(otherwise.lockout_longest_ms),
        quiet_ms: given.quiet_ms.unwrap_or(otherwise.quiet_ms),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<GuardLimits, String> {
        let limits: GuardLimits = toml::from_str(text).map_err(|error| error.to_string())?;
        limits.check().map_err(|error| error.to_string())?;
        Ok(limits)
    }

    /// Z9: each number is a setting of its own.
    #[test]
    fn omitted_values_have_defaults() {
        assert_eq!(read(""), Ok(GuardLimits::default()));
        let limits = GuardLimits {
            client: BudgetLimits { misses_at_once: 5, ..GuardLimits::CLIENT },
            network: BudgetLimits { misses_per_minute: 0, ..GuardLimits::NETWORK },
            ..GuardLimits::default()
        };
        assert_eq!(read("client.misses_at_once = 5\n[network]\nmisses_per_minute = 0"), Ok(limits));
        assert_eq!(read(&toml::to_string(&limits).expect("plain values")), Ok(limits));
        assert_eq!(read(&toml::to_string(&GuardLimits::OFF).expect("plain values")), Ok(GuardLimits::OFF));
    }

    #[test]
    fn a_wrong_number_is_named() {
        for (text, expected) in [
            ("client.misses_per_minute = 1000001", "guard.client.misses_per_minute: this must be 0 to 1000000"),
            ("network.misses_at_once = 0", "guard.network.misses_at_once: this must be 1 to 1000000"),
            ("credential.lockout_first_ms = 0", "guard.credential.lockout_first_ms: this must be 1 to 2592000000"),
            ("client.lockout_longest_ms = 29999", "guard.client.lockout_longest_ms: this must be 30000 to 2592000000"),
            ("client.quiet_ms = 2592000001", "guard.client.quiet_ms: this must be 1 to 2592000000"),
        ] {
            assert_eq!(read(text), Err(expected.to_owned()));
        }
        for (text, expected) in [
            ("client.misses = 10", "misses_per_minute"),
            ("player.misses_at_once = 10", "player"),
            ("client.quiet_ms = -1", "quiet_ms"),
            ("client.misses_at_once = 4294967296", "misses_at_once"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(expected) && error.contains("line 1"), "{error}");
        }
    }
}
