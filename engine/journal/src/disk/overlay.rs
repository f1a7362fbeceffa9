//! A file that is only read: changes stay in memory.
//!
//! redb repairs a file that was not closed before it can be read. This lets redb do so for inspection without changing the file.
//! It takes no locks: the caller ensures that nobody writes the file meanwhile.

use std::collections::BTreeMap;
use std::io;

use parking_lot::Mutex;
use redb::StorageBackend;

const PAGE_BYTES: usize = 4096;

/// A redb storage over another one, which it never writes to.
#[derive(Debug)]
pub struct Overlay {
    below: Box<dyn StorageBackend>,
    changes: Mutex<Changes>,
}

#[derive(Debug)]
struct Changes {
    len: u64,
    /// How much of the underlying file is still valid: a truncated part reads as zeros when the file grows again.
    below_bytes: u64,
    /// The written pages, whole.
    pages: BTreeMap<u64, Box<[u8; PAGE_BYTES]>>,
}

impl Overlay {
    /// Starts with the file as it is.
    ///
    /// # Errors
    /// If its length cannot be read.
    pub fn over(below: Box<dyn StorageBackend>) -> io::Result<Overlay> {
        let len = below.len()?;
        Ok(Overlay { below, changes: Mutex::new(Changes { len, below_bytes: len, pages: BTreeMap::new() }) })
    }

    fn read_below(&self, below_bytes: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = below_bytes.saturating_sub(offset).min(out.len() as u64) as usize;
        let (there, beyond) = out.split_at_mut(there);
        beyond.fill(0);
        if there.is_empty() { Ok(()) } else { self.below.read(offset, there) }
    }
}

/// The parts of a range within single pages: the page, and the start of the part in the page and in the range.
fn parts(offset: u64, bytes: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let (page, within) = (at / PAGE_BYTES as u64, (at % PAGE_BYTES as u64) as usize);
        let part = done..bytes.min(done + PAGE_BYTES - within);
        done = part.end;
        (!part.is_empty()).then_some((page, within, part))
    })
}

fn check_range(len: u64, offset: u64, bytes: usize) -> io::Result<()> {
    match offset.checked_add(bytes as u64).is_some_and(|end| end <= len) {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "past the end of the file")),
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.changes.lock().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let changes = self.changes.lock();
        check_range(changes.len, offset, out.len())?;
        self.read_below(changes.below_bytes, offset, out)?;
        for (page, within, part) in parts(offset, out.len()) {
            if let Some(written) = changes.pages.get(&page) {
                let length = part.len();
                out[part].copy_from_slice(&written[within..within + length]);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut changes = self.changes.lock();
        if len < changes.len {
            changes.below_bytes = changes.below_bytes.min(len);
            let pages_left = len.div_ceil(PAGE_BYTES as u64);
            drop(changes.pages.split_off(&pages_left));
            if let Some(last) = changes.pages.get_mut(&(len / PAGE_BYTES as u64)) {
                last[(len % PAGE_BYTES as u64) as usize..].fill(0);
            }
        }
        changes.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut changes = self.changes.lock();
        changes.len = changes.len.max(offset + data.len() as u64);
        for (page, within, part) in parts(offset, data.len()) {
            if !changes.pages.contains_key(&page) {
                let mut before = Box::new([0; PAGE_BYTES]);
                self.read_below(changes.below_bytes, page * PAGE_BYTES as u64, &mut before[..])?;
                changes.pages.insert(page, before);
            }
            let written = changes.pages.get_mut(&page).expect("it was inserted above if missing");
            written[within..within + part.len()].copy_from_slice(&data[part]);
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.below.close()
    }
}

#[cfg(test)]
#[expect(clippy::print_stdout, reason = "a random test prints its seed")]
mod tests {
    use super::*;
    use redb::backends::InMemoryBackend;

    #[test]
    fn it_reads_like_a_changed_file_and_leaves_the_underlying_file_unchanged() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..50 {
            let bytes = random.usize(1..20_000);
            let whole: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(bytes).collect();
            let below = std::sync::Arc::new(InMemoryBackend::new());
            below.set_len(whole.len() as u64).and_then(|()| below.write(0, &whole)).expect("memory takes it");
            let overlay = Overlay::over(Box::new(Shared(below.clone()))).expect("memory has a length");
            let mut model = whole.clone();
            for _ in 0..40 {
                if random.u8(..4) == 0 {
                    let len = random.usize(..20_000);
                    overlay.set_len(len as u64).expect("memory takes it");
                    model.resize(len, 0);
                } else if !model.is_empty() {
                    let from = random.usize(..model.len());
                    let bytes = vec![random.u8(1..); random.usize(1..=model.len() - from)];
                    overlay.write(from as u64, &bytes).expect("memory takes it");
                    model[from..from + bytes.len()].copy_from_slice(&bytes);
                }
                let from = random.usize(..=model.len());
                let mut read = vec![0; random.usize(..=model.len() - from)];
                overlay.read(from as u64, &mut read).expect("it lies within the file");
                assert_eq!(read, model[from..from + read.len()]);
                assert_eq!(overlay.len().expect("memory has a length"), model.len() as u64);
                assert!(overlay.read(model.len() as u64, &mut [0]).is_err(), "past its end there is nothing");
            }
            let mut after = vec![0; whole.len()];
            below.read(0, &mut after).expect("its length is unchanged");
            assert_eq!(after, whole);
        }
    }

    #[derive(Debug)]
    struct Shared(std::sync::Arc<InMemoryBackend>);

    impl StorageBackend for Shared {
        fn len(&self) -> io::Result<u64> {
            self.0.len()
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.0.read(offset, out)
        }

        fn set_len(&self, _len: u64) -> io::Result<()> {
            panic!("the file below is never written")
        }

        fn sync_data(&self) -> io::Result<()> {
            panic!("the file below is never written")
        }

        fn write(&self, _offset: u64, _data: &[u8]) -> io::Result<()> {
            panic!("the file below is never written")
        }
    }
}
