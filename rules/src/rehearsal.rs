//! What a rule would have done to past top-ups, before it is enabled (Z12).
//!
//! A [`Rehearsing`] receives the records of a period, one after the other, and adds up. Each top-up is evaluated with the
//! balances that the client had then (A22); later effects of the rule's own credits are not simulated. A top-up counts once,
//! whatever else fired on it (A23).
//!
//! It stores 16 bytes and a set entry for each client that the rule would have fired for, because they are counted exactly: for a
//! million clients some 40 MB. Everything else is bounded by the number of rules. Sums are exact; a sum that would overflow an
//! amount is reported as such.

use std::collections::{BTreeMap, HashSet};

use scrip_protocol::command::{Rehearsal, StackedWith, ToppedUp, WouldFire};
use scrip_protocol::{ClientId, Money, Position, RuleId};

use crate::compiled::Compiled;

/// How many of the rules that it would have stacked with, and of its largest firings, are reported.
const REPORTED_MAX: usize = 10;

/// The sums so far, in minor units: 2^64 amounts fit.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    topped_up: i128,
    credited: i128,
    stacked_credited: i128,
}

/// A rehearsal in progress. Call [`Rehearsing::look`] for each top-up, then [`Rehearsing::finish`].
#[derive(Debug, Clone)]
pub struct Rehearsing {
    compiled: Compiled,
    replaces: RuleId,
    done: Rehearsal,
    sums: Sums,
    clients: HashSet<ClientId>,
    stacked_with: BTreeMap<RuleId, u64>,
}

impl Rehearsing {
    /// Starts a rehearsal. Firings of the rule that it would replace are excluded from the stacking; 0 for none.
    pub fn new(compiled: Compiled, replaces: RuleId) -> Rehearsing {
        let (done, sums) = (Rehearsal::default(), Sums::default());
        Rehearsing { compiled, replaces, done, sums, clients: HashSet::new(), stacked_with: BTreeMap::new() }
    }

    /// Adds a top-up of the period, which has this position.
    pub fn look(&mut self, position: Position, record: &ToppedUp) {
        self.done.top_ups += 1;
        if !self.compiled.matches(record.club, &record.variables) {
            return;
        }
        if self.is_beyond(record) {
            self.done.failed += 1;
            return;
        }
        let others = || record.fired.iter().filter(|fired| fired.rule != self.replaces);
        let credited_by_others: i128 = others().map(|fired| i128::from(fired.credited().0)).sum();
        let Ok(fired) = self.compiled.fire(self.replaces, &record.variables) else {
            self.done.failed += 1;
            return;
        };
        let credited = fired.credited();
        // It would have failed then if the balance overflowed on top of the other rules' credits.
        let balance = i128::from(record.variables.bonus.0) + credited_by_others + i128::from(credited.0);
        if amount(balance).is_none() {
            self.done.failed += 1;
            return;
        }
        if others().next().is_some() {
            self.done.stacked += 1;
            self.sums.stacked_credited += credited_by_others;
            others().for_each(|fired| *self.stacked_with.entry(fired.rule).or_default() += 1);
        }
        self.done.fired += 1;
        self.done.without_credit += u64::from(credited == Money(0));
        self.clients.insert(record.client);
        self.sums.topped_up += i128::from(record.variables.amount.0);
        self.sums.credited += i128::from(credited.0);
        self.keep_if_large(WouldFire { top_up: position, amount: record.variables.amount, credited });
    }

    /// Whether rules with lower numbers left no room on a top-up. A new rule gets the highest number.
    fn is_beyond(&self, record: &ToppedUp) -> bool {
        let rules = record.fired.iter().map(|fired| fired.rule).chain(record.failed.iter().map(|failed| failed.rule));
        record.beyond > 0 && (self.replaces == RuleId(0) || rules.max() < Some(self.replaces))
    }

    /// The result. The caller, who read the records, passes the last position.
    pub fn finish(self, as_of: Position) -> Rehearsal {
        let stacked_with = self.stacked_with.into_iter().map(|(rule, top_ups)| StackedWith { rule, top_ups });
        let mut stacked_with: Vec<StackedWith> = stacked_with.collect();
        // The sort is stable: equal ones stay in the order of their numbers.
        stacked_with.sort_by_key(|with| std::cmp::Reverse(with.top_ups));
        stacked_with.truncate(REPORTED_MAX);
        Rehearsal {
            clients: self.clients.len() as u64,
            topped_up: amount(self.sums.topped_up),
            credited: amount(self.sums.credited),
            stacked_credited: amount(self.sums.stacked_credited),
            stacked_with,
            as_of,
            ..self.done
        }
    }

    /// The largest credits first; among equal ones, the earlier first.
    fn keep_if_large(&mut self, firing: WouldFire) {
        let largest = &mut self.done.largest;
        let order = |firing: &WouldFire| (std::cmp::Reverse(firing.credited), firing.top_up);
        if firing.credited > Money(0) {
            largest.insert(largest.partition_point(|other| order(other) < order(&firing)), firing);
            largest.truncate(REPORTED_MAX);
        }
    }
}

/// A sum as an amount, if it fits.
fn amount(sum: i128) -> Option<Money> {
    i64::try_from(sum).ok().map(Money)
}

#[cfg(test)]
mod tests {
    use scrip_protocol::command::RuleFired;
    use scrip_protocol::{ClubId, CredentialId, Executor, RequestId, Stamp, Variables};

    use super::*;
    use crate::sample::{compiled, top_up};

    fn fired(rule: u32, result: i64) -> RuleFired {
        compiled("", &result.to_string()).fire(RuleId(rule), &top_up(1)).expect("it has a result")
    }

    fn record(client: u128, variables: Variables, fired: Vec<RuleFired>) -> ToppedUp {
        ToppedUp {
            stamp: Stamp { request: RequestId(1), body: 2, credential: CredentialId(3) },
            executor: Executor::system(),
            client: ClientId(client),
            club: ClubId(1),
            variables,
            fired,
            failed: Vec::new(),
            beyond: 0,
            gaming: Money(0),
            bonus: Money(0),
            comment: String::new(),
            tags: Vec::new(),
        }
    }

    fn rehearse(compiled: Compiled, replaces: u32, records: &[ToppedUp]) -> Rehearsal {
        let mut rehearsing = Rehearsing::new(compiled, RuleId(replaces));
        for (at, record) in records.iter().enumerate() {
            rehearsing.look(Position(at as u64 + 1), record);
        }
        rehearsing.finish(Position(records.len() as u64))
    }

    /// Z12, A22, A23: what a draft would have cost, on which top-ups, and with which rules it would have stacked.
    #[test]
    fn a_rehearsal_shows_what_a_rule_would_have_cost() {
        let draft = compiled("topupAmountMajor >= 500", "{{topupAmountMajor}} * 0.1");
        let records = [
            record(1, top_up(49_999), vec![fired(1, 7)]),
            record(1, top_up(50_000), vec![]),
            record(2, top_up(100_000), vec![fired(1, 7), fired(2, -3)]),
            record(1, top_up(50_000), vec![fired(2, 30), fired(3, 1)]),
        ];
        let expected = Rehearsal {
            top_ups: 4,
            fired: 3,
            clients: 2,
            topped_up: Some(Money(200_000)),
            credited: Some(Money(20_000)),
            without_credit: 0,
            failed: 0,
            stacked: 2,
            stacked_credited: Some(Money(3_800)),
            stacked_with: [(2, 2), (1, 1), (3, 1)].map(|(rule, top_ups)| StackedWith { rule: RuleId(rule), top_ups }).into(),
            largest: [(3, 100_000, 10_000), (2, 50_000, 5_000), (4, 50_000, 5_000)]
                .map(|(at, amount, credited)| WouldFire {
                    top_up: Position(at),
                    amount: Money(amount),
                    credited: Money(credited),
                })
                .into(),
            as_of: Position(4),
        };
        assert_eq!(rehearse(draft.clone(), 0, &records), expected);
        // The rule that it replaces would not have fired beside it.
        let replacing = rehearse(draft, 2, &records);
        assert_eq!((replacing.stacked, replacing.stacked_credited), (2, Some(Money(800))));
        assert_eq!(replacing.stacked_with.iter().map(|with| with.rule.0).collect::<Vec<_>>(), [1, 3]);
    }

    /// A20, A22: failures are distinguished from firings that credit nothing, and the balances of that time decide.
    #[test]
    fn failures_and_firings_without_credit_are_counted() {
        let draft = compiled("", "100 / {{bonusBalanceMajor}} - 1");
        let with = |bonus| record(1, Variables { bonus: Money(bonus), ..top_up(100) }, vec![fired(1, 1)]);
        let done = rehearse(draft, 0, &[with(0), with(1_000), with(10_000), with(20_000)]);
        assert_eq!((done.top_ups, done.fired, done.failed, done.without_credit), (4, 3, 1, 2));
        assert_eq!((done.clients, done.credited, done.largest.len()), (1, Some(Money(900)), 1));
        let full = rehearse(compiled("", "1"), 0, &[with(i64::MAX - 199), with(i64::MAX - 200)]);
        assert_eq!((full.fired, full.failed), (1, 1));
    }

    /// A sum that overflows an amount is never shown as one, and the largest amount is; ten rules and ten firings are reported.
    #[test]
    fn a_sum_is_exact_or_none_and_lists_are_short() {
        let most = i64::MAX / 100;
        let others: Vec<RuleFired> = (1..=12).map(|rule| fired(rule, 0)).collect();
        let records = vec![record(1, top_up(i64::MAX), others); 12];
        let done = rehearse(compiled("", &most.to_string()), 0, &records);
        assert_eq!((done.topped_up, done.credited, done.stacked_credited, done.fired), (None, None, Some(Money(0)), 12));
        let one = rehearse(compiled("", &most.to_string()), 0, &records[..1]);
        assert_eq!((one.topped_up, one.credited), (Some(Money(i64::MAX)), Some(Money(most * 100))));
        assert_eq!(done.stacked_with.iter().map(|with| with.rule.0).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
        assert_eq!(done.largest.iter().map(|firing| firing.top_up.0).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
    }

    /// U8: where lower numbers left no room for further rules, a new rule would have failed, and so would one that was left out.
    #[test]
    fn a_rule_without_room_on_a_top_up_would_have_failed() {
        let full = ToppedUp { beyond: 1, ..record(1, top_up(500), vec![fired(1, 10), fired(5, 10)]) };
        for (replaces, failed) in [(0, 1), (7, 1), (5, 0), (3, 0)] {
            let mut rehearsing = Rehearsing::new(compiled("", "100"), RuleId(replaces));
            rehearsing.look(Position(1), &full);
            let done = rehearsing.finish(Position(1));
            assert_eq!((done.fired, done.failed), (1 - failed, failed), "{replaces}");
        }
    }
}
