//! Pages by key, with bounds on the rows examined and on the size.

/// The size of a page in bytes, for rows of unbounded size: a page ends with the row that reaches it.
pub(crate) const PAGE_BYTES: usize = 1 << 20;

/// A page: the rows that matched, and the key after which the next page begins; none if no rows are left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page<T, K> {
    pub(crate) rows: Vec<T>,
    pub(crate) next: Option<K>,
}

/// Takes rows until `rows_max` matched or `looked_at_max` were examined. Each row has its key; a row that does not match is
/// `None`.
pub(crate) fn page<T, K>(
    all: impl Iterator<Item = rusqlite::Result<(K, Option<T>)>>,
    rows_max: usize,
    looked_at_max: usize,
) -> rusqlite::Result<Page<T, K>> {
    page_within(all.map(|row| row.map(|(key, row)| (key, row.map(|row| (row, 0))))), rows_max, looked_at_max)
}

/// The same for rows with their size in bytes: ends when they reach [`PAGE_BYTES`].
pub(crate) fn page_within<T, K>(
    all: impl Iterator<Item = rusqlite::Result<(K, Option<(T, usize)>)>>,
    rows_max: usize,
    looked_at_max: usize,
) -> rusqlite::Result<Page<T, K>> {
    let (mut rows, mut bytes, mut last) = (Vec::new(), 0, None);
    for (looked_at, row) in all.enumerate() {
        let (key, row) = row?;
        // Only now is it known that there is another row.
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
    fn pages_end_when_full_or_when_enough_rows_were_examined() {
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
    fn pages_end_when_their_rows_reach_the_maximum_size() {
        let of = |bytes| {
            let all = (1..=6).map(|n| Ok((n, (n % 2 == 0).then_some((n, bytes)))));
            let Page { rows, next } = page_within(all, 10, 10).expect("no row fails");
            (rows, next)
        };
        assert_eq!(of(PAGE_BYTES / 3), (vec![2, 4, 6], None));
        assert_eq!(of(PAGE_BYTES / 2), (vec![2, 4], Some(4)));
        // A single larger row is a page.
        assert_eq!(of(PAGE_BYTES * 2), (vec![2], Some(2)));
    }
}
