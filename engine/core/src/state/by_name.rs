//! The ids of a table's rows by name, so that a command that names a row need not walk the table.

use std::collections::BTreeMap;

/// Ids by name. Names are compared exactly.
#[derive(Debug, PartialEq)]
pub(super) struct ByName<T>(BTreeMap<Box<str>, T>);

impl<T> Default for ByName<T> {
    fn default() -> ByName<T> {
        ByName(BTreeMap::new())
    }
}

impl<T: Copy> ByName<T> {
    /// The row with this name.
    pub(super) fn of(&self, name: &str) -> Option<T> {
        self.0.get(name).copied()
    }

    /// Adds a row. If several rows have the same name, which no command creates, the first is returned.
    pub(super) fn add(&mut self, name: &str, id: T) {
        self.0.entry(name.into()).or_insert(id);
    }

    /// Indexes the rows of a table, in order.
    pub(super) fn from_rows<'a>(rows: impl Iterator<Item = (T, &'a str)>) -> ByName<T> {
        let mut by_name = ByName::default();
        rows.for_each(|(id, name)| by_name.add(name, id));
        by_name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_matched_exactly_and_finds_its_first_row() {
        let by_name = ByName::from_rows([(1, "Arena"), (2, "arena"), (3, "Arena")].into_iter());
        assert_eq!(["Arena", "arena", "ARENA", ""].map(|name| by_name.of(name)), [Some(1), Some(2), None, None]);
    }
}
