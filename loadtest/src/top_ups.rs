//! Top-ups of a load, and the rules that fire on them: of however many there are, two match each top-up.
//!
//! The rules form two rows of half-open ranges over all amounts, and each amount is in one range of each row: like a shop with
//! two sets of tiers.

use scrip_protocol::command::{Action, Note, RuleEvent, RuleTerms, TopUp};
use scrip_protocol::{ClientId, ClubId, Money, TopUpSource};

/// The ranges of the rules divide the amounts below this one, in major units; the last of a row has no upper bound.
const MAJOR_UNITS: u32 = 1_000;

/// How many of `rules` rules fire on each top-up.
pub fn firings(rules: u32) -> u32 {
    rules.min(2)
}

/// The rules of a club.
pub fn rules(count: u32, club: ClubId, name: &str) -> Vec<RuleTerms> {
    let rows = [(count.div_ceil(2), "{{topupAmountMajor}} * 0.1"), (count / 2, "{{topupAmountMajor}} * 0.05 + 1")];
    let row = |(length, formula): (u32, &'static str)| {
        let begin = move |at: u32| u64::from(MAJOR_UNITS) * u64::from(at) / u64::from(length);
        (0..length).map(move |at| {
            let from = format!("topupAmountMajor >= {}", begin(at));
            let conditions = if at + 1 == length { from } else { format!("{from} AND topupAmountMajor < {}", begin(at + 1)) };
            (conditions, formula)
        })
    };
    let terms = |(at, (conditions, formula)): (usize, (String, &str))| RuleTerms {
        name: format!("{name}: rule {}", at + 1),
        description: String::new(),
        active: true,
        clubs: vec![club],
        event: RuleEvent::BalanceToppedUp,
        conditions,
        actions: vec![Action::AddBonus { formula: formula.to_owned() }],
        tags: Vec::new(),
    };
    rows.into_iter().flat_map(row).enumerate().map(terms).collect()
}

/// A top-up with a random amount and source.
pub fn draw(client: ClientId, club: ClubId, random: &mut fastrand::Rng) -> TopUp {
    let amount = Money(random.i64(1..i64::from(MAJOR_UNITS) * 100 * 2));
    let source = TopUpSource::ALL[random.usize(..TopUpSource::ALL.len())];
    TopUp { client, club, amount, source, note: Note::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each amount is in one range of each row, whatever their number.
    #[test]
    fn two_rules_are_of_each_amount() {
        for count in [0, 1, 2, 3, 10, 999, 10_000] {
            let rules = rules(count, ClubId(1), "Load");
            assert_eq!(rules.len(), count as usize);
            let bounds = |rule: &RuleTerms| {
                let numbers = rule.conditions.split_whitespace().filter_map(|word| word.parse::<u32>().ok());
                let numbers: Vec<u32> = numbers.collect();
                (numbers[0], numbers.get(1).copied().unwrap_or(u32::MAX))
            };
            let ranges: Vec<(u32, u32)> = rules.iter().map(bounds).collect();
            for major in (0..MAJOR_UNITS * 2).step_by(7) {
                let matching = ranges.iter().filter(|(from, to)| (*from..*to).contains(&major)).count();
                assert_eq!(matching, firings(count) as usize, "of {count} rules on {major}");
            }
        }
    }
}
