//! The journal of a data folder, read from its first record and compared with the snapshots beside it.

use std::ops::ControlFlow;
use std::time::Instant;

use scrip_core::state::{Difference, State, first_difference};
use scrip_engine::backup::BackupError;
use scrip_engine::folder::{Folder, FolderError};
use scrip_engine::snapshot::{self, Kept, Snapshot};
use scrip_journal::disk::{Disk, OsDisk};
use scrip_journal::walk;
use scrip_protocol::Position;
use scrip_protocol::batch::{Batch, ChainEnd};

use super::{Report, counted};
use crate::progress::Progress;

/// Reads the journal of a folder, and compares the state that it yields with each snapshot.
pub(super) fn verify(folder: &Folder) -> anyhow::Result<Report> {
    if !folder.exists() {
        return Err(FolderError::Missing(folder.dir().to_owned()).into());
    }
    let began = Instant::now();
    let mut snapshots = snapshot::list(&OsDisk, &folder.dir().join("snapshots"))?;
    snapshots.sort_by_key(|snapshot| snapshot.position);
    let mut walking = Walking { left: snapshots, ..Walking::default() };
    let (mut progress, last) = (Progress::new("verifying"), newest_segment(folder));
    let mut failed = None;
    let walked = walk(&OsDisk, &folder.journal_path(), Position(0), &mut |_, batch, _| {
        progress.at(batch.end().position.0, last.max(batch.end().position.0));
        match walking.batch(batch) {
            Ok(()) if walking.difference.is_none() => ControlFlow::Continue(()),
            Ok(()) => ControlFlow::Break(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    drop(progress);
    if let Some(error) = failed {
        return Err(error);
    }
    let end = walked?;
    // For a journal that starts after a snapshot and has no batch yet.
    if walking.chain == ChainEnd::default() && end.position > Position(0) {
        walking.begin_with_snapshot(end.next())?;
        walking.difference = hash_differs(end, walking.chain);
    }
    walking.end();
    Ok(Report {
        other: "the snapshot",
        began_after: walking.began_after,
        end: walking.chain,
        batches: walking.batches,
        records: walking.records,
        compared: [("snapshots compared", walking.compared)].into_iter().chain(counted(&walking.state)).collect(),
        difference: walking.difference,
        took: began.elapsed(),
    })
}

/// The first position of the newest segment, by its name: close enough to the end for a progress bar.
fn newest_segment(folder: &Folder) -> u64 {
    let files = OsDisk.list(&folder.journal_path()).unwrap_or_default();
    files.iter().filter_map(|file| file.name.strip_suffix(".redb")?.parse().ok()).max().unwrap_or(0)
}

/// The state while the journal is read.
#[derive(Default)]
struct Walking {
    /// The snapshots still ahead, by position.
    left: Vec<Kept>,
    state: State,
    chain: ChainEnd,
    began_after: u64,
    batches: u64,
    records: u64,
    compared: u64,
    difference: Option<Difference>,
}

impl Walking {
    fn batch(&mut self, batch: &Batch<'_>) -> anyhow::Result<()> {
        if self.batches == 0 && self.began_after == 0 && batch.first > Position(1) {
            self.begin_with_snapshot(batch.first)?;
        }
        let end = batch.end();
        if end.position < self.chain.position {
            return Ok(());
        }
        if end.position == self.chain.position {
            self.difference = hash_differs(self.chain, end);
            return Ok(());
        }
        let before = ChainEnd { position: Position(batch.first.0 - 1), hash: batch.previous, ..self.chain };
        self.difference = hash_differs(self.chain, before);
        if self.difference.is_some() {
            return Ok(());
        }
        for item in batch.records() {
            self.state.apply(batch.time(), &item?.1);
        }
        (self.batches, self.records) = (self.batches + 1, self.records + u64::from(batch.count));
        self.chain = end;
        while self.difference.is_none() && self.left.first().is_some_and(|snapshot| snapshot.position <= end.position) {
            let snapshot = self.left.remove(0);
            self.difference = self.compare(&snapshot)?;
        }
        Ok(())
    }

    /// Starts from the oldest snapshot that reaches the journal's first record.
    fn begin_with_snapshot(&mut self, first: Position) -> anyhow::Result<()> {
        self.left.retain(|snapshot| snapshot.position.0 + 1 >= first.0);
        if self.left.is_empty() {
            return Err(BackupError::NoSnapshot { first }.into());
        }
        let snapshot = Snapshot::open(&OsDisk, &self.left.remove(0).path)?;
        snapshot.verify(&mut |_| {})?;
        (self.state, self.chain) = (snapshot.state()?, snapshot.header().end);
        self.began_after = self.chain.position.0;
        Ok(())
    }

    fn compare(&mut self, kept: &Kept) -> anyhow::Result<Option<Difference>> {
        let snapshot = Snapshot::open(&OsDisk, &kept.path)?;
        snapshot.verify(&mut |_| {})?;
        self.compared += 1;
        let differs = match hash_differs(self.chain, snapshot.header().end) {
            None => first_difference(&self.state, &snapshot.state()?),
            differs => differs,
        };
        Ok(differs.map(|differs| Difference { what: format!("at position {}, {}", kept.position, differs.what), ..differs }))
    }

    /// Checks that no snapshot is beyond the end of the journal.
    fn end(&mut self) {
        if let (None, Some(beyond)) = (&self.difference, self.left.first()) {
            self.difference = Some(Difference {
                what: "the position of the newest record".to_owned(),
                ours: self.chain.position.to_string(),
                theirs: beyond.position.to_string(),
            });
        }
    }
}

/// The difference between two chain ends that should be equal.
fn hash_differs(ours: ChainEnd, theirs: ChainEnd) -> Option<Difference> {
    let words = |end: ChainEnd| {
        let hash: String = end.hash.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{hash} at position {}", end.position)
    };
    let is_same = (ours.position, ours.hash) == (theirs.position, theirs.hash);
    (!is_same).then(|| Difference { what: "the hash of the journal".to_owned(), ours: words(ours), theirs: words(theirs) })
}
