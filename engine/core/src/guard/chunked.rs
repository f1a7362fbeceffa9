//! Rows that never move: a growing vector would copy everything it holds, and with millions of rows callers would feel the stall.

/// Rows of a chunk.
const CHUNK: usize = 4096;

/// Rows, numbered from 0 in the order in which they were added.
#[derive(Debug, PartialEq)]
pub(super) struct Chunked<T> {
    /// All but the last are full.
    chunks: Vec<Vec<T>>,
}

impl<T> Chunked<T> {
    pub(super) fn new() -> Chunked<T> {
        Chunked { chunks: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    pub(super) fn get(&self, row: u32) -> Option<&T> {
        self.chunks.get(row as usize / CHUNK)?.get(row as usize % CHUNK)
    }

    pub(super) fn get_mut(&mut self, row: u32) -> Option<&mut T> {
        self.chunks.get_mut(row as usize / CHUNK)?.get_mut(row as usize % CHUNK)
    }

    pub(super) fn push(&mut self, row: T) {
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK => last.push(row),
            Some(_) | None => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(row);
                self.chunks.push(chunk);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_numbers_over_the_edges_of_chunks() {
        let mut rows = Chunked::new();
        assert_eq!((rows.len(), rows.get(0)), (0, None));
        for row in 0..2 * CHUNK as u32 + 1 {
            assert_eq!(rows.len(), row as usize);
            rows.push(row);
            assert_eq!((rows.get(row), rows.get(row + 1)), (Some(&row), None));
        }
        *rows.get_mut(CHUNK as u32).expect("it is there") = 7;
        assert_eq!(
            [CHUNK - 1, CHUNK, CHUNK + 1].map(|row| rows.get(row as u32).copied()),
            [Some(CHUNK as u32 - 1), Some(7), Some(CHUNK as u32 + 1)]
        );
    }
}
