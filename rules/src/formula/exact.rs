//! Exact numbers: fractions that never overflow and never lose precision (A20, A21; pain 28: floating-point noise made coupons
//! invalid).
//!
//! Nearly every formula is evaluated in two 128-bit whole numbers, a numerator and a denominator, which are not even reduced. If
//! a step would overflow, it uses arbitrarily large numbers, not reduced either: finding the common divisor costs many times what
//! it would save, because a formula is too short for its numbers to grow long. Rounding happens once, at the end.

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, Mul, Neg, Sub};

use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive, Zero};
use scrip_protocol::Money;

/// The most decimals that are printed. A number with more is printed as a fraction.
const DECIMALS_SHOWN_MAX: u32 = 18;

/// An exact number.
///
/// - Created by evaluating a formula, from a whole number, or from [`Money`] (which counts as major units: 12.50 is 12.5).
/// - [`Exact::sign`], [`Exact::is_positive`] and `Ord` compare exactly.
/// - [`Exact::round`] rounds to a whole number.
/// - Printed as a decimal, `166.5`, or as a fraction if that would be too long or endless, `1/3`.
#[derive(Debug, Clone)]
pub struct Exact(Form);

#[derive(Debug, Clone)]
enum Form {
    /// The denominator is positive, and neither is `i128::MIN`, so that both can be negated. Not necessarily reduced.
    Small { numerator: i128, denominator: i128 },
    /// For numbers that do not fit.
    Big(Box<Big>),
}

/// A fraction of large numbers. The denominator is positive. Not necessarily reduced.
#[derive(Debug, Clone)]
struct Big {
    numerator: BigInt,
    denominator: BigInt,
}

/// How many bits a large number may have to become a small one again: far enough from the ends of `i128`.
const SMALL_BITS_MAX: u64 = 126;

impl Exact {
    /// A fraction. The denominator must be positive, and both far from the ends of `i128`.
    pub(super) fn fraction(numerator: i128, denominator: i128) -> Exact {
        debug_assert!(denominator > 0 && numerator != i128::MIN, "the invariant of Form::Small");
        Exact(Form::Small { numerator, denominator })
    }

    /// How the number compares with zero.
    pub fn sign(&self) -> Ordering {
        match &self.0 {
            Form::Small { numerator, .. } => numerator.cmp(&0),
            Form::Big(big) => big.numerator.cmp(&BigInt::ZERO),
        }
    }

    /// Whether it is more than zero, however little.
    pub fn is_positive(&self) -> bool {
        self.sign() == Ordering::Greater
    }

    /// The nearest whole number; ties go away from zero (U6, A20): 2.5 becomes 3, -2.5 becomes -3. `None` on overflow.
    pub fn round(&self) -> Option<i64> {
        match &self.0 {
            Form::Small { numerator, denominator } => {
                let (whole, rest) = (numerator / denominator, (numerator % denominator).abs());
                // The remainder is smaller than the denominator: twice the remainder might overflow, the difference does not.
                let away = if rest >= denominator - rest { numerator.signum() } else { 0 };
                i64::try_from(whole + away).ok()
            }
            Form::Big(big) => {
                let (whole, rest) = big.numerator.div_rem(&big.denominator);
                let away = if rest.abs() * 2 >= big.denominator { big.numerator.signum() } else { BigInt::ZERO };
                (whole + away).to_i64()
            }
        }
    }

    /// The quotient, or `None` if the divisor is zero.
    pub fn checked_div(self, divisor: Exact) -> Option<Exact> {
        if divisor.sign() == Ordering::Equal {
            return None;
        }
        let quotient = self.combined(
            divisor,
            |(a, b), (c, d)| {
                let (numerator, denominator) = (a.checked_mul(d)?, b.checked_mul(c)?);
                // Neither of the two factors is i128::MIN, but their product may be.
                if denominator < 0 {
                    Some((numerator.checked_neg()?, denominator.checked_neg()?))
                } else {
                    Some((numerator, denominator))
                }
            },
            |one, other| {
                let (numerator, denominator) = (one.numerator * other.denominator, one.denominator * other.numerator);
                match denominator.is_negative() {
                    true => Big { numerator: -numerator, denominator: -denominator },
                    false => Big { numerator, denominator },
                }
            },
        );
        Some(quotient)
    }

    /// The same number as a reduced fraction of whole numbers of any size.
    pub fn to_ratio(&self) -> BigRational {
        let Big { numerator, denominator } = self.clone().into_big();
        BigRational::new(numerator, denominator)
    }

    /// The result of a step: in small numbers if possible, else in big ones.
    fn combined(
        self,
        other: Exact,
        small: impl FnOnce((i128, i128), (i128, i128)) -> Option<(i128, i128)>,
        big: impl FnOnce(Big, Big) -> Big,
    ) -> Exact {
        if let Form::Small { numerator: a, denominator: b } = self.0
            && let Form::Small { numerator: c, denominator: d } = other.0
            && let Some((numerator, denominator)) = small((a, b), (c, d))
            && numerator != i128::MIN
        {
            return Exact(Form::Small { numerator, denominator });
        }
        let result = big(self.into_big(), other.into_big());
        let small = |number: &BigInt| number.to_i128().filter(|_| number.bits() <= SMALL_BITS_MAX);
        match (small(&result.numerator), small(&result.denominator)) {
            (Some(numerator), Some(denominator)) => Exact(Form::Small { numerator, denominator }),
            _ => Exact(Form::Big(Box::new(result))),
        }
    }

    fn into_big(self) -> Big {
        match self.0 {
            Form::Small { numerator, denominator } => Big { numerator: numerator.into(), denominator: denominator.into() },
            Form::Big(big) => *big,
        }
    }
}

impl From<i64> for Exact {
    fn from(whole: i64) -> Exact {
        Exact::fraction(whole.into(), 1)
    }
}

impl From<Money> for Exact {
    fn from(money: Money) -> Exact {
        Exact::fraction(money.0.into(), 100)
    }
}

impl Add for Exact {
    type Output = Exact;
    fn add(self, other: Exact) -> Exact {
        self.combined(
            other,
            |(a, b), (c, d)| match b == d {
                true => Some((a.checked_add(c)?, b)),
                false => Some((a.checked_mul(d)?.checked_add(c.checked_mul(b)?)?, b.checked_mul(d)?)),
            },
            |one, other| match one.denominator == other.denominator {
                true => Big { numerator: one.numerator + other.numerator, denominator: one.denominator },
                false => Big {
                    numerator: one.numerator * &other.denominator + other.numerator * &one.denominator,
                    denominator: one.denominator * other.denominator,
                },
            },
        )
    }
}

impl Sub for Exact {
    type Output = Exact;
    fn sub(self, other: Exact) -> Exact {
        self + -other
    }
}

impl Mul for Exact {
    type Output = Exact;
    fn mul(self, other: Exact) -> Exact {
        self.combined(
            other,
            |(a, b), (c, d)| Some((a.checked_mul(c)?, b.checked_mul(d)?)),
            |one, other| Big { numerator: one.numerator * other.numerator, denominator: one.denominator * other.denominator },
        )
    }
}

impl Neg for Exact {
    type Output = Exact;
    fn neg(self) -> Exact {
        match self.0 {
            Form::Small { numerator, denominator } => Exact(Form::Small { numerator: -numerator, denominator }),
            Form::Big(mut big) => {
                big.numerator = -big.numerator;
                Exact(Form::Big(big))
            }
        }
    }
}

impl Ord for Exact {
    fn cmp(&self, other: &Exact) -> Ordering {
        if let Form::Small { numerator: a, denominator: b } = self.0
            && let Form::Small { numerator: c, denominator: d } = other.0
            && let (Some(left), Some(right)) = (a.checked_mul(d), c.checked_mul(b))
        {
            return left.cmp(&right);
        }
        let (one, other) = (self.clone().into_big(), other.clone().into_big());
        (one.numerator * other.denominator).cmp(&(other.numerator * one.denominator))
    }
}

impl PartialOrd for Exact {
    fn partial_cmp(&self, other: &Exact) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Exact {
    fn eq(&self, other: &Exact) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Exact {}

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ratio = self.to_ratio();
        let mut unit = BigInt::from(1);
        for decimals in 0..=DECIMALS_SHOWN_MAX {
            if (&unit % ratio.denom()).is_zero() {
                let digits = ratio.numer().abs() * (&unit / ratio.denom());
                let sign = if ratio.is_negative() { "-" } else { "" };
                write!(f, "{sign}{}", &digits / &unit)?;
                return match decimals {
                    0 => Ok(()),
                    _ => write!(f, ".{:0>width$}", (digits % unit).to_string(), width = decimals as usize),
                };
            }
            unit *= 10;
        }
        write!(f, "{}/{}", ratio.numer(), ratio.denom())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fraction(numerator: i128, denominator: i128) -> Exact {
        Exact::fraction(numerator, denominator)
    }

    /// U6, A20, pain 28: to the nearest whole number, ties away from zero, in both forms and for both signs.
    #[test]
    fn ties_are_rounded_away_from_zero() {
        let huge = i128::MAX / 4;
        for (numerator, denominator, expected) in [
            (0, 1, 0),
            (1, 2, 1),
            (-1, 2, -1),
            (3, 2, 2),
            (5, 2, 3),
            (-5, 2, -3),
            (49, 100, 0),
            (-49, 100, 0),
            (50, 100, 1),
            (249, 100, 2),
            (-249, 100, -2),
            (-251, 100, -3),
            (1, 3, 0),
            (2, 3, 1),
            (-2, 3, -1),
            (huge, huge * 2, 1),
            (huge - 1, huge * 2, 0),
            (-huge, huge * 2, -1),
            (i128::MAX, i128::MAX, 1),
            (i128::MAX - 1, i128::MAX, 1),
        ] {
            let small = fraction(numerator, denominator);
            assert_eq!(small.round(), Some(expected), "{numerator}/{denominator}");
            assert_eq!(Exact(Form::Big(Box::new(small.into_big()))).round(), Some(expected), "{numerator}/{denominator}, big");
        }
    }

    /// A20: overflow is reported, and the last number that fits is not.
    #[test]
    fn rounding_knows_its_ends() {
        for (twice, expected) in [
            (i128::from(i64::MAX) * 2, Some(i64::MAX)),
            (i128::from(i64::MAX) * 2 + 1, None),
            (i128::from(i64::MIN) * 2, Some(i64::MIN)),
            (i128::from(i64::MIN) * 2 - 1, None),
            (i128::MAX, None),
        ] {
            assert_eq!(fraction(twice, 2).round(), expected, "{twice}/2");
        }
        let big = fraction(i128::MAX, 1) * fraction(i128::MAX, 1);
        assert_eq!((big.round(), (-big).round()), (None, None));
    }

    /// A20: intermediate results never overflow, and a number that was temporarily too big becomes small again.
    #[test]
    fn what_overflows_goes_on_in_big_numbers() {
        let huge = || fraction(i128::MAX, 1);
        let square = huge() * huge();
        assert!(matches!(square.0, Form::Big(_)));
        assert_eq!(square.clone().checked_div(huge()), Some(huge()));
        assert_eq!(square.clone() - square.clone(), Exact::from(0));
        assert_eq!((huge() + huge()).checked_div(huge()), Some(Exact::from(2)));
        assert_eq!((-huge() - huge()).sign(), Ordering::Less);
        assert!(square > huge() && -square < -huge());
        assert!(fraction(i128::MAX - 1, i128::MAX) < fraction(i128::MAX, i128::MAX - 1));
        let little = huge().checked_div(huge() * huge()).expect("not by zero");
        assert!(little.is_positive() && !(-little.clone()).is_positive());
        assert_eq!(little.to_string(), format!("1/{}", i128::MAX));
    }

    /// The smallest 128-bit number has no positive counterpart: it is never stored in the small form.
    #[test]
    fn the_least_small_number_is_kept_big() {
        let half = || fraction(-(1 << 126), 1);
        for least in [half() + half(), half() * Exact::from(2), half() - fraction(1 << 126, 1)] {
            assert!(matches!(least.0, Form::Big(_)), "{least}");
            assert_eq!(least.to_string(), i128::MIN.to_string());
            assert_eq!((-least.clone()).to_string(), "170141183460469231731687303715884105728");
            assert_eq!(least.checked_div(half()), Some(Exact::from(2)));
        }
        let quotient = half().checked_div(fraction(1, 2)).expect("not by zero");
        assert_eq!(quotient.to_string(), i128::MIN.to_string());
        let quotient = Exact::from(1).checked_div(half() * fraction(1, 2)).expect("not by zero");
        assert_eq!(quotient * fraction(1 << 125, 1), Exact::from(-1));
        assert_eq!(Exact::from(3).checked_div(Exact::from(0)), None);
    }

    #[test]
    fn decimals_where_they_end_and_fractions_where_not() {
        for (numerator, denominator, expected) in [
            (0, 7, "0"),
            (10, 2, "5"),
            (333, 2, "166.5"),
            (-307, 100, "-3.07"),
            (-1, 8, "-0.125"),
            (1, 3, "1/3"),
            (-4, 6, "-2/3"),
            (1, 10_i128.pow(18), "0.000000000000000001"),
            (1, 10_i128.pow(19), "1/10000000000000000000"),
        ] {
            assert_eq!(fraction(numerator, denominator).to_string(), expected);
        }
        assert_eq!(Exact::from(Money(1_250)).to_string(), "12.5");
    }
}
