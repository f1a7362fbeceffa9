//! Rows in the bytes of a file.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use bytemuck::Pod;
use yoke::Yoke;

/// The bytes that contain rows: a mapped file. They begin at an address that is a multiple of 16.
pub type Ground = Arc<dyn Deref<Target = [u8]> + Send + Sync>;

/// Immutable rows of one type. They keep the bytes that contain them alive.
pub struct Rows<T: Pod>(Yoke<&'static [T], Option<Ground>>);

impl<T: Pod> Rows<T> {
    /// The rows in a range of bytes; `None` if the range is not within the bytes or does not consist of whole rows.
    pub fn over(ground: &Ground, bytes: Range<u64>) -> Option<Rows<T>> {
        let range = usize::try_from(bytes.start).ok()?..usize::try_from(bytes.end).ok()?;
        let rows = Yoke::try_attach_to_cart(ground.clone(), |ground| {
            bytemuck::try_cast_slice(ground.get(range).ok_or(())?).map_err(|_| ())
        });
        rows.ok().map(|rows| Rows(rows.wrap_cart_in_option()))
    }

    /// A range of the rows; none if it is not within them.
    pub fn part(&self, range: Range<usize>) -> Rows<T> {
        let part = self.0.map_project_cloned(|rows, _| rows.get(range).unwrap_or_default());
        Rows(part)
    }
}

impl<T: Pod> Deref for Rows<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        self.0.get()
    }
}

impl<T: Pod> Default for Rows<T> {
    fn default() -> Rows<T> {
        Rows(Yoke::new_owned(&[]))
    }
}

impl<T: Pod> Clone for Rows<T> {
    fn clone(&self) -> Rows<T> {
        Rows(self.0.clone())
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for Rows<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows", self.len())
    }
}

#[cfg(any(test, feature = "testing"))]
/// Bytes in memory, aligned as in a mapped file.
pub(crate) fn in_memory(bytes: &[u8]) -> (Ground, Range<u64>) {
    struct Aligned(Vec<u128>);
    impl Deref for Aligned {
        type Target = [u8];
        fn deref(&self) -> &[u8] {
            bytemuck::cast_slice(&self.0)
        }
    }
    let mut words = vec![0_u128; bytes.len().div_ceil(16)];
    bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
    (Arc::new(Aligned(words)), 0..bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_outlive_the_handle_that_mapped_them() {
        let words: Vec<u128> = (1..=4).collect();
        let bytes = bytemuck::cast_slice::<u128, u8>(&words).to_vec();
        let ground: Ground = Arc::new(Aligned(words));
        let rows = Rows::<u64>::over(&ground, 16..48).expect("they are there");
        drop(ground);
        assert_eq!(&*rows, [2, 0, 3, 0]);
        assert_eq!(&*rows.part(2..3), [3]);
        assert!(rows.part(3..5).is_empty() && Rows::<u64>::default().is_empty());
        assert_eq!(bytes.len(), 64);
    }

    #[test]
    fn partial_rows_are_refused() {
        let ground: Ground = Arc::new(Aligned(vec![0; 4]));
        assert!(Rows::<u64>::over(&ground, 0..64).is_some());
        for (start, end) in [(0, 65), (0, 63), (4, 12), (64, 72), (8, 0), (u64::MAX - 8, u64::MAX)] {
            let wrong = start..end;
            assert!(Rows::<u64>::over(&ground, wrong.clone()).is_none(), "{wrong:?}");
        }
    }

    struct Aligned(Vec<u128>);

    impl Deref for Aligned {
        type Target = [u8];

        fn deref(&self) -> &[u8] {
            bytemuck::cast_slice(&self.0)
        }
    }
}
