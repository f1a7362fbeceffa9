//! Pages by key, of a bounded number of rows that are looked at, and of bounded size.

/// How many bytes the rows of a page have, where their size is not bounded by their kind: a page ends with the row that reaches it.
pub(crate) const PAGE_BYTES: usize = 1 << 20;

/// A page: what passed, and the key behind which the next page begins; none where nothing is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page<T, K> {
    pub(crate) rows: Vec<T>,
    pub(crate) next: Option<K>,
}

/// Takes rows until `rows_max` of them passed or `looked_at_max` were looked at. Each comes with its key; one that does not pass is `None`.
pub(crate) fn page<T, K>(
    all: impl Iterator<Item = rusqlite::Result<(K, Option<T>)>>,
    rows_max: usize,
    looked_at_max: usize,
) -> rusqlite::Result<Page<T, K>> {
    page_within(all.map(|row| row.map(|(key, row)| (key, row.map(|row| (row, 0))))), rows_max, looked_at_max)
}

/// The same, for rows that come with their size in bytes: takes no more when they have [`PAGE_BYTES`].
pub(crate) fn page_within<T, K>(
    all: impl Iterator<Item = rusqlite::Result<(K, Option<(T, usize)>)>>,
    rows_max: usize,
    looked_at_max: usize,
) -> rusqlite::Result<Page<T, K>> {
    let (mut rows, mut bytes, mut last) = (Vec::new(), 0, None);
    for (looked_at, row) in all.enumerate() {
        let (key, row) = row?;
        // That there is one more is known only now.
        if rows.len() >= rows_max || looked_at >= looked_at_max || bytes >= PAGE_BYTES {
            return Ok(Page { rows, next: last });
        }
        if let Some((row, of_row)) = row {
            rows.push(row);
            bytes += of_row;
        }
        last = Some(key);
    }
    Ok(Page { rows, next: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_end_where_they_are_full_or_have_looked_far_enough() {
        let of = |rows_max, looked_at_max| {
            let all = (1..=6).map(|n| Ok((n, (n % 2 == 0).then_some(n))));
            let Page { rows, next } = page(all, rows_max, looked_at_max).expect("no row fails");
            (rows, next)
        };
        assert_eq!(of(10, 10), (vec![2, 4, 6], None));
        assert_eq!(of(2, 10), (vec![2, 4], Some(4)));
        assert_eq!(of(3, 10), (vec![2, 4, 6], None));
        assert_eq!(of(10, 3), (vec![2], Some(3)));
        assert_eq!(of(10, 1), (vec![], Some(1)));
        assert_eq!(of(10, 6), (vec![2, 4, 6], None));
    }

    #[test]
    fn pages_end_where_their_rows_have_as_many_bytes_as_they_may() {
        let of = |bytes| {
            let all = (1..=6).map(|n| Ok((n, (n % 2 == 0).then_some((n, bytes)))));
            let Page { rows, next } = page_within(all, 10, 10).expect("no row fails");
            (rows, next)
        };
        assert_eq!(of(PAGE_BYTES / 3), (vec![2, 4, 6], None));
        assert_eq!(of(PAGE_BYTES / 2), (vec![2, 4], Some(4)));
        // One that is larger by itself is a page.
        assert_eq!(of(PAGE_BYTES * 2), (vec![2], Some(2)));
    }
}
