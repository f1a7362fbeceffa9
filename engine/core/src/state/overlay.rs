//! Rows that never move: a growing vector would copy everything it holds, and with millions of rows callers would feel the stall.
//!
//! The first rows may be in a snapshot, which never changes: a page of it is copied when one of its rows changes for the first
//! time.

use bytemuck::Pod;

use crate::rows::Rows;

/// Rows, numbered from 0 in the order in which they were added.
#[derive(Debug)]
pub(crate) struct Overlay<T: Pod> {
    base: Rows<T>,
    /// The chunks. An empty one stands for unchanged rows of the snapshot; all others but the last are full.
    chunks: Vec<Vec<T>>,
    length: usize,
}

impl<T: Pod> Default for Overlay<T> {
    fn default() -> Overlay<T> {
        Overlay::over(Rows::default())
    }
}

impl<T: Pod> Overlay<T> {
    /// Rows per chunk: a page of memory.
    pub(crate) const CHUNK: usize = 4096 / size_of::<T>();

    /// The rows of a snapshot.
    pub(crate) fn over(base: Rows<T>) -> Overlay<T> {
        let length = base.len();
        Overlay { base, chunks: vec![Vec::new(); length.div_ceil(Self::CHUNK)], length }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    #[inline]
    pub(crate) fn get(&self, row: u32) -> Option<&T> {
        let chunk = self.chunks.get(row as usize / Self::CHUNK)?;
        if chunk.is_empty() { self.base.get(row as usize) } else { chunk.get(row as usize % Self::CHUNK) }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, row: u32) -> Option<&mut T> {
        self.chunk_mut(row as usize / Self::CHUNK)?.get_mut(row as usize % Self::CHUNK)
    }

    /// A chunk with mutable rows.
    #[inline]
    fn chunk_mut(&mut self, number: usize) -> Option<&mut Vec<T>> {
        let chunk = self.chunks.get_mut(number)?;
        if chunk.is_empty() {
            let first = number * Self::CHUNK;
            let end = self.base.len().min(first + Self::CHUNK);
            // With room for later rows, unless the chunk is full.
            chunk.reserve_exact(Self::CHUNK);
            chunk.extend_from_slice(self.base.get(first..end)?);
        }
        Some(chunk)
    }

    pub(crate) fn push(&mut self, row: T) {
        if self.length == self.chunks.len() * Self::CHUNK {
            // Keep a small table small.
            let room = if self.chunks.is_empty() { 0 } else { Self::CHUNK };
            self.chunks.push(Vec::with_capacity(room));
        }
        let number = self.length / Self::CHUNK;
        // Copy the rows of the snapshot that precede it in its chunk.
        if !self.length.is_multiple_of(Self::CHUNK) && self.chunks[number].is_empty() {
            self.chunk_mut(number);
        }
        self.chunks[number].push(row);
        self.length += 1;
    }

    /// Adds so many rows of zeros.
    pub(crate) fn push_zeros(&mut self, count: usize) {
        (0..count).for_each(|_| self.push(T::zeroed()));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let of_base = |first: usize| self.base.get(first..self.base.len().min(first + Self::CHUNK)).unwrap_or_default();
        let numbered = (0..).step_by(Self::CHUNK).zip(&self.chunks);
        numbered.flat_map(move |(first, chunk)| if chunk.is_empty() { of_base(first) } else { chunk.as_slice() })
    }

    /// The rows of the snapshot, unchanged.
    pub(crate) fn base(&self) -> &Rows<T> {
        &self.base
    }

    /// The chunks that differ from the snapshot, each with the number of its first row.
    pub(crate) fn changed(&self) -> impl Iterator<Item = (usize, &[T])> {
        let numbered = (0..).step_by(Self::CHUNK).zip(&self.chunks);
        numbered.filter(|(_, chunk)| !chunk.is_empty()).map(|(first, chunk)| (first, chunk.as_slice()))
    }
}

impl<T: Pod + PartialEq> PartialEq for Overlay<T> {
    fn eq(&self, other: &Overlay<T>) -> bool {
        self.length == other.length && self.iter().eq(other.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::in_memory;

    const CHUNK: usize = Overlay::<u32>::CHUNK;

    /// Rows of a snapshot.
    fn base(count: u32) -> Rows<u32> {
        let bytes: Vec<u8> = (0..count).flat_map(u32::to_le_bytes).collect();
        let (ground, range) = in_memory(&bytes);
        Rows::over(&ground, range).expect("they are there")
    }

    #[test]
    fn rows_keep_their_numbers_over_the_edges_of_chunks() {
        for begun in [0, 1, 5, CHUNK as u32 - 1, CHUNK as u32, CHUNK as u32 + 1] {
            let mut rows = Overlay::over(base(begun));
            let mut plain: Vec<u32> = (0..begun).collect();
            assert_eq!((rows.len(), rows.get(begun)), (begun as usize, None));
            for row in begun..3 * CHUNK as u32 + 1 {
                assert_eq!(rows.len(), row as usize);
                rows.push(row);
                plain.push(row);
                assert_eq!((rows.get(row), rows.get(row + 1)), (Some(&row), None));
            }
            for row in [0, CHUNK as u32, 2 * CHUNK as u32 - 1] {
                *rows.get_mut(row).expect("it is there") = 7;
                plain[row as usize] = 7;
            }
            assert!(rows.iter().eq(&plain), "over {begun}");
        }
    }

    #[test]
    fn rows_of_a_snapshot_are_only_copied_to_be_changed() {
        let mut rows = Overlay::over(base(3 * CHUNK as u32 + 7));
        *rows.get_mut(CHUNK as u32 + 3).expect("it is there") = 0;
        let changed: Vec<_> = rows.changed().map(|(first, rows)| (first, rows.len())).collect();
        assert_eq!(changed, [(CHUNK, CHUNK)]);
        assert_eq!((rows.get(CHUNK as u32 + 3), rows.base().get(CHUNK + 3)), (Some(&0), Some(&(CHUNK as u32 + 3))));
        assert!(rows.get_mut(3 * CHUNK as u32 + 7).is_none());
        rows.push_zeros(2);
        assert_eq!((rows.len(), rows.get(3 * CHUNK as u32 + 8)), (3 * CHUNK + 9, Some(&0)));
        let plain = (0..3 * CHUNK as u32 + 7).map(|row| if row == CHUNK as u32 + 3 { 0 } else { row }).chain([0, 0]);
        assert!(rows.iter().copied().eq(plain));
    }
}
