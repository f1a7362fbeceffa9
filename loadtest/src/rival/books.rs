//! The books of a rival: every row that it stores, recounted here rather than by it.

use std::collections::{BTreeSet, HashMap};

use scrip_protocol::RequestId;

use super::error::RivalError;
use super::offer::{Answer, Terms};

/// One row of a rival: a request that it answered.
pub(super) struct Row {
    pub(super) code: String,
    pub(super) client: i64,
    pub(super) amount: i64,
    pub(super) answer: i64,
}

/// The contents of a rival.
#[derive(Default)]
pub struct Books {
    rows: HashMap<RequestId, Row>,
    balances: HashMap<i64, i64>,
    uses: HashMap<String, u32>,
}

/// The sums of the books.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Sums {
    /// How many activations there are.
    pub activations: u64,
    /// How many requests were answered "redeemed".
    pub answered_redeemed: u64,
    /// How many uses all codes have.
    pub uses: u64,
    /// The sum of all bonuses, in minor units.
    pub bonuses: i128,
    /// The sum of all balances, in minor units.
    pub balances: i128,
    /// How many codes are over their cap.
    pub codes_over_cap: usize,
    /// Answers that differ from their rows, clients whose balance is not the sum of their bonuses, and codes whose uses differ
    /// from their activations.
    pub differences: usize,
}

impl Sums {
    /// Whether nothing was lost and nothing was done twice.
    pub fn agree(&self) -> bool {
        self.activations == self.answered_redeemed
            && self.activations == self.uses
            && self.bonuses == self.balances
            && self.codes_over_cap == 0
            && self.differences == 0
    }
}

impl Books {
    /// Adds a row. A second one under the same id replaces the first.
    pub(super) fn row(&mut self, request: RequestId, row: Row) {
        self.rows.insert(request, row);
    }

    pub(super) fn balance(&mut self, client: i64, balance: i64) {
        self.balances.insert(client, balance);
    }

    pub(super) fn uses(&mut self, code: String, uses: u32) {
        self.uses.insert(code, uses);
    }

    /// Adds up, and compares with all answers received.
    ///
    /// # Errors
    /// When a row has an unknown answer.
    pub fn sums(&self, terms: Terms, answers: &HashMap<RequestId, Answer>) -> Result<Sums, RivalError> {
        let mut credited: HashMap<i64, i64> = HashMap::new();
        let mut used: HashMap<&str, u32> = HashMap::new();
        let mut activations = 0;
        let mut differences = 0;
        for (request, row) in &self.rows {
            let answer = Answer::of(row.answer)?;
            if matches!(answer, Answer::Redeemed(_)) {
                activations += 1;
                *credited.entry(row.client).or_default() += row.amount;
                *used.entry(&row.code).or_default() += 1;
                differences += usize::from(row.amount != terms.amount);
            } else {
                differences += usize::from(row.amount != 0);
            }
            differences += usize::from(answers.get(request) != Some(&answer));
        }
        differences += answers.keys().filter(|request| !self.rows.contains_key(request)).count();
        let clients: BTreeSet<_> = credited.keys().chain(self.balances.keys()).collect();
        differences += clients.into_iter().filter(|client| credited.get(client) != self.balances.get(client)).count();
        let uses_of = |code: &str| self.uses.get(code).copied().unwrap_or(0);
        differences += used.iter().filter(|(code, count)| uses_of(code) != **count).count();
        differences += self.uses.iter().filter(|(code, uses)| **uses > 0 && !used.contains_key(code.as_str())).count();
        Ok(Sums {
            activations,
            answered_redeemed: answers.values().filter(|answer| matches!(answer, Answer::Redeemed(_))).count() as u64,
            uses: self.uses.values().map(|uses| u64::from(*uses)).sum(),
            bonuses: credited.values().map(|sum| i128::from(*sum)).sum(),
            balances: self.balances.values().map(|balance| i128::from(*balance)).sum(),
            codes_over_cap: used.values().filter(|count| **count > terms.cap).count(),
            differences,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { cap: 1, amount: 100 };

    /// The books of two activations of two codes by one client, and a refusal; and the answers.
    fn books() -> (Books, HashMap<RequestId, Answer>) {
        let mut books = Books::default();
        let row = |code: &str, amount, answer| Row { code: code.to_owned(), client: 7, amount, answer };
        books.row(RequestId(1), row("A", 100, 100));
        books.row(RequestId(2), row("B", 100, 200));
        books.row(RequestId(3), row("A", 0, -1));
        books.balance(7, 200);
        books.uses("A".into(), 1);
        books.uses("B".into(), 1);
        books.uses("C".into(), 0);
        let answers = [(1, Answer::Redeemed(100)), (2, Answer::Redeemed(200)), (3, Answer::CodeExhausted)];
        (books, answers.into_iter().map(|(id, answer)| (RequestId(id), answer)).collect())
    }

    fn sums(books: &Books, answers: &HashMap<RequestId, Answer>) -> Sums {
        books.sums(TERMS, answers).expect("every answer has a meaning")
    }

    #[test]
    fn whole_books_agree() {
        let (books, answers) = books();
        let sums = sums(&books, &answers);
        assert!(sums.agree(), "{sums:?}");
        assert_eq!((sums.activations, sums.bonuses), (2, 200));
    }

    #[test]
    fn each_kind_of_loss_is_found() {
        type Spoil = fn(&mut Books, &mut HashMap<RequestId, Answer>);
        let spoils: [(&str, Spoil); 6] = [
            ("a lost row", |books, _| drop(books.rows.remove(&RequestId(2)))),
            ("a row of no request", |_, answers| answers.retain(|id, _| *id != RequestId(2))),
            ("another answer", |_, answers| answers.extend([(RequestId(1), Answer::Redeemed(300))])),
            ("a lost bonus", |books, _| books.balance(7, 100)),
            ("a use without an activation", |books, _| books.uses("C".into(), 1)),
            ("a code over its cap", |books, _| books.rows.get_mut(&RequestId(2)).expect("it is there").code = "A".into()),
        ];
        for (what, spoil) in spoils {
            let (mut books, mut answers) = books();
            spoil(&mut books, &mut answers);
            assert!(!sums(&books, &answers).agree(), "{what}");
        }
    }
}
