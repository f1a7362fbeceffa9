//! What was refunded: which activations, and how much of each top-up and bonus payment. The operations themselves are in the
//! journal; this is only what a second refund must know.

use std::collections::{BTreeMap, BTreeSet};

use scrip_protocol::{Money, Position};

use super::frozen::GivenBackRow;
use crate::rows::Rows;

/// Refunded operations and amounts.
#[derive(Debug, Default)]
pub struct GivenBack {
    base_refunded: Rows<u64>,
    refunded: BTreeSet<Position>,
    base_amounts: Rows<GivenBackRow>,
    /// Amounts that changed since the snapshot.
    amounts: BTreeMap<Position, Money>,
}

impl GivenBack {
    pub(super) fn over(refunded: Rows<u64>, amounts: Rows<GivenBackRow>) -> GivenBack {
        GivenBack { base_refunded: refunded, base_amounts: amounts, ..GivenBack::default() }
    }

    /// Whether an activation was refunded.
    pub fn is_refunded(&self, activation: Position) -> bool {
        self.refunded.contains(&activation) || self.base_refunded.binary_search(&activation.0).is_ok()
    }

    /// The refunded amount of a top-up or bonus payment.
    pub fn of(&self, operation: Position) -> Money {
        let base = || self.base_amounts.binary_search_by_key(&operation.0, |row| row.position);
        let in_base = || base().map_or(Money(0), |at| Money(self.base_amounts[at].amount));
        self.amounts.get(&operation).copied().unwrap_or_else(in_base)
    }

    pub(super) fn refund(&mut self, activation: Position) {
        if !self.is_refunded(activation) {
            self.refunded.insert(activation);
        }
    }

    /// Adds a refunded amount to an operation.
    pub(super) fn give_back(&mut self, operation: Position, amount: Money) {
        let given = Money(self.of(operation).0.saturating_add(amount.0));
        self.amounts.insert(operation, given);
    }

    /// The refunded activations, ascending.
    pub fn refunded(&self) -> impl Iterator<Item = Position> {
        merged(self.base_refunded.iter().copied().map(Position), self.refunded.iter().copied(), |position| *position)
    }

    /// Their rows for a snapshot.
    pub fn rows(&self) -> impl Iterator<Item = GivenBackRow> {
        self.amounts().map(|(operation, amount)| GivenBackRow { position: operation.0, amount: amount.0 })
    }

    /// The operations with a refunded amount, in order.
    pub fn amounts(&self) -> impl Iterator<Item = (Position, Money)> {
        let base = self.base_amounts.iter().map(|row| (Position(row.position), Money(row.amount)));
        merged(base, self.amounts.iter().map(|(operation, amount)| (*operation, *amount)), |(operation, _)| *operation)
    }
}

impl PartialEq for GivenBack {
    fn eq(&self, other: &GivenBack) -> bool {
        self.refunded().eq(other.refunded()) && self.amounts().eq(other.amounts())
    }
}

/// Merges two ascending sequences; for equal keys, the second wins.
pub(super) fn merged<T, K: Ord>(
    first: impl Iterator<Item = T>,
    second: impl Iterator<Item = T>,
    key: impl Fn(&T) -> K,
) -> impl Iterator<Item = T> {
    let (mut first, mut second) = (first.peekable(), second.peekable());
    std::iter::from_fn(move || match (first.peek(), second.peek()) {
        (Some(ours), Some(theirs)) if key(ours) < key(theirs) => first.next(),
        (Some(ours), Some(theirs)) => {
            if key(ours) == key(theirs) {
                first.next();
            }
            second.next()
        }
        (Some(_), None) => first.next(),
        (None, _) => second.next(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_sequences_are_in_order_and_the_second_wins() {
        let all = |first: &[(u8, u8)], second: &[(u8, u8)]| {
            merged(first.iter().copied(), second.iter().copied(), |(key, _)| *key).collect::<Vec<_>>()
        };
        assert_eq!(all(&[(1, 0), (3, 0), (5, 0)], &[(0, 1), (3, 1), (9, 1)]), [(0, 1), (1, 0), (3, 1), (5, 0), (9, 1)]);
        assert_eq!(all(&[], &[(1, 1)]), [(1, 1)]);
        assert_eq!(all(&[(1, 0)], &[]), [(1, 0)]);
    }
}
