//! Numbers in a formula: digits with at most one point.

use std::fmt;

use super::Exact;

/// The most digits that a number has before its point, and the most after it.
pub const DIGITS_MAX: usize = 18;

/// A number that is not negative, with at most [`DIGITS_MAX`] digits on either side of the point. Equal numbers compare equal,
/// however many zeros were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decimal {
    /// All digits, as if there were no point: less than 10 to the power of 36. Ends in a zero only if `decimals` is 0.
    digits: i128,
    /// How many of them are after the point.
    decimals: u32,
}

impl Decimal {
    /// A number from its digits before and after the point: ASCII digits, at most [`DIGITS_MAX`] each; there may be none after
    /// the point.
    pub(super) fn new(whole: &str, decimals: &str) -> Decimal {
        debug_assert!(whole.len() <= DIGITS_MAX && decimals.len() <= DIGITS_MAX, "the lexer counts digits");
        let decimals = decimals.trim_end_matches('0');
        let digits = whole.bytes().chain(decimals.bytes()).fold(0, |digits, byte| digits * 10 + i128::from(byte - b'0'));
        Decimal { digits, decimals: u32::try_from(decimals.len()).expect("at most 18 digits") }
    }

    /// The same number as a fraction.
    pub(super) fn exact(self) -> Exact {
        Exact::fraction(self.digits, 10_i128.pow(self.decimals))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10_i128.pow(self.decimals);
        write!(f, "{}", self.digits / unit)?;
        match self.decimals {
            0 => Ok(()),
            decimals => write!(f, ".{:0width$}", self.digits % unit, width = decimals as usize),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// U5: `0.1` and `0.10` are one number.
    #[test]
    fn redundant_zeros_are_left_out() {
        for (whole, decimals, expected) in [
            ("0", "10", "0.1"),
            ("007", "", "7"),
            ("5", "000", "5"),
            ("0", "05", "0.05"),
            ("000", "0", "0"),
            ("100", "", "100"),
            ("999999999999999999", "999999999999999999", "999999999999999999.999999999999999999"),
        ] {
            let number = Decimal::new(whole, decimals);
            assert_eq!(number.to_string(), expected);
            assert_eq!(number.exact().to_string(), expected);
        }
        assert_eq!(Decimal::new("0", "1"), Decimal::new("00", "100"));
    }
}
