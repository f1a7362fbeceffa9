//! The numbers of the guard, as they stand under `[guard]` in `scrip.toml`. What is left out there is as in the defaults here.

use std::ops::RangeInclusive;

use serde::{Deserialize, Deserializer, Serialize};

const MINUTE_MS: u32 = 60_000;
const DAY_MS: u32 = 24 * 60 * MINUTE_MS;

/// Far more than anyone mistypes; with the longest times below, all sums of a budget stay far from the end of 64 bits.
pub(super) const MISSES_MAX: u32 = 1_000_000;

/// No time is longer: one that was set by mistake, and that only a restart would end, is refused. A wait also fits a reply's 32 bits.
pub(super) const TIME_MAX_MS: u32 = 30 * DAY_MS;

/// How many misses there may be: of one credential, one client, one network of clients (Z9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuardLimits {
    /// Of each client.
    #[serde(deserialize_with = "of_client")]
    pub client: BudgetLimits,
    /// Of each network of clients.
    #[serde(deserialize_with = "of_network")]
    pub network: BudgetLimits,
    /// Of each credential.
    #[serde(deserialize_with = "of_credential")]
    pub credential: BudgetLimits,
}

/// One budget of misses, and what happens when it is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BudgetLimits {
    /// How many misses it regains in a minute, until it is full. 0: this budget is off.
    pub misses_per_minute: u32,
    /// How many misses it has when it is full. The last of them begins a lock-out.
    pub misses_at_once: u32,
    /// How long the first lock-out lasts. Each further one lasts twice as long.
    pub lockout_first_ms: u32,
    /// What no lock-out is longer than.
    pub lockout_longest_ms: u32,
    /// For each such time without a lock-out the next one is doubled once less.
    pub quiet_ms: u32,
}

/// A number under `[guard]` that is out of its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("guard.{budget}.{field}: this must be {min} to {max}")]
pub struct InvalidGuardLimit {
    /// Whose budget.
    pub budget: &'static str,
    /// Which number of it.
    pub field: &'static str,
    /// The least that it may be.
    pub min: u32,
    /// The most that it may be.
    pub max: u32,
}

impl GuardLimits {
    /// For a player who types codes off cards: mistyping one three or four times is common, ten times in a minute is not. Half a minute
    /// is no punishment for those who do, and an hour makes it pointless to go on.
    pub const CLIENT: BudgetLimits = BudgetLimits {
        misses_per_minute: 10,
        misses_at_once: 10,
        lockout_first_ms: MINUTE_MS / 2,
        lockout_longest_ms: 60 * MINUTE_MS,
        quiet_ms: 60 * MINUTE_MS,
    };

    /// For a hall of players behind one address: six of them at a client's limit at once. The longest lock-out is a quarter of an
    /// hour, because it is felt by neighbours, and by whoever is given the address next.
    pub const NETWORK: BudgetLimits = BudgetLimits {
        misses_per_minute: 60,
        misses_at_once: 60,
        lockout_first_ms: MINUTE_MS / 2,
        lockout_longest_ms: 15 * MINUTE_MS,
        quiet_ms: 60 * MINUTE_MS,
    };

    /// For a gateway, which stands for all its players: a hundred misses a second are those of a thousand attempts of which each tenth
    /// is mistyped, or of an attack with many clients from many networks. That is slowed down without ending the gateway's trade for
    /// long: a second at first, a minute at the most.
    pub const CREDENTIAL: BudgetLimits = BudgetLimits {
        misses_per_minute: 6_000,
        misses_at_once: 6_000,
        lockout_first_ms: 1_000,
        lockout_longest_ms: MINUTE_MS,
        quiet_ms: 10 * MINUTE_MS,
    };

    /// Nothing is limited.
    pub const OFF: GuardLimits = GuardLimits {
        client: BudgetLimits { misses_per_minute: 0, ..GuardLimits::CLIENT },
        network: BudgetLimits { misses_per_minute: 0, ..GuardLimits::NETWORK },
        credential: BudgetLimits { misses_per_minute: 0, ..GuardLimits::CREDENTIAL },
    };

    /// Whether every number is in its range.
    ///
    /// # Errors
    /// Names the first that is not.
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

/// What a file says of one budget.
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

    /// Z9: each number is a setting, and one alone may be set.
    #[test]
    fn what_is_left_out_is_as_by_default() {
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
