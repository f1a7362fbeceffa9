//! Money: whole minor units (cents, kopecks) of the organisation's one currency.

use std::fmt;
use std::str::FromStr;

/// An amount in minor units. In JSON it is that whole number; in text it has two decimals.
#[wire_format(Copy, PartialOrd, Ord, Hash, Default, serde::Deserialize)]
#[serde(transparent)]
pub struct Money(pub i64);

impl Money {
    /// The sum, or `None` on overflow.
    pub fn checked_add(self, other: Money) -> Option<Money> {
        self.0.checked_add(other.0).map(Money)
    }
}

/// A text that is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an amount: digits with at most two decimals, such as 500 or 12.50")]
pub struct InvalidMoney(pub String);

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let minor = self.0.unsigned_abs();
        f.pad(&format!("{sign}{}.{:02}", minor / 100, minor % 100))
    }
}

impl FromStr for Money {
    type Err = InvalidMoney;
    fn from_str(text: &str) -> Result<Self, InvalidMoney> {
        let invalid = || InvalidMoney(text.to_owned());
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let (major, decimals) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(major) || !all_digits(decimals) || decimals.len() > 2 {
            return Err(invalid());
        }
        let major: i64 = major.parse().map_err(|_| invalid())?;
        let minor: i64 = format!("{decimals:0<2}").parse().map_err(|_| invalid())?;
        let total = major.checked_mul(100).and_then(|m| m.checked_add(minor)).ok_or_else(invalid)?;
        Ok(Money(sign * total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_exactly() {
        for (text, minor) in [("500", 50_000), ("12.5", 1_250), ("12.50", 1_250), ("0.01", 1), ("-3.07", -307)] {
            assert_eq!(text.parse(), Ok(Money(minor)), "{text}");
        }
        for text in ["", ".5", "5.", "1.234", "1e3", "1,5", "92233720368547758.08", "--1", "+1"] {
            assert!(text.parse::<Money>().is_err(), "{text}");
        }
        assert_eq!(Money(-307).to_string(), "-3.07");
        assert_eq!(Money(i64::MIN).to_string(), "-92233720368547758.08");
    }
}
