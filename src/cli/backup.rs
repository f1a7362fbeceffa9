//! `scrip backup`: a consistent copy of an organisation, taken while its engine runs.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use scrip_client::{TailError, Tailing};
use scrip_engine::backup::{BackupError, Taking};
use scrip_engine::folder::{Folder, FolderError};
use scrip_journal::disk::{Disk, OsDisk};
use scrip_journal::walk;
use scrip_protocol::{Position, private};
use serde_json::json;

use crate::exit::Exit;
use crate::print;
use crate::progress::Progress;
use crate::reach::{Reach, connect};

/// Back up an organisation while its engine runs
///
/// Copies the journal up to now and the files beside it into a folder. If the folder already holds a backup of the organisation,
/// only what is new is copied.
///
/// A backup contains all data of the organisation, and its private keys unless you pass --without-keys. Protect it like the data
/// folder.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// Folder for the backup
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
    /// Leave out the private keys; they must be put back after a restore
    #[arg(long)]
    without_keys: bool,
    /// Read the data folder directly; no engine may be running on it
    #[arg(long, conflicts_with = "server")]
    offline: bool,
    #[command(flatten)]
    reach: Reach,
}

impl Backup {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        let failed = |source| BackupError::Io { path: self.to.clone(), source };
        // Whatever mode it had: it holds the keys and the journal.
        private::folder(&self.to).and_then(|()| disk.create_folder(&self.to)).map_err(failed)?;
        let mut taking = tokio::task::block_in_place(|| Taking::open(&disk, &self.to))?;
        let folder = self.reach.folder_at_hand();
        match &folder {
            Some(folder) if self.offline => tokio::task::block_in_place(|| read_offline(&*disk, folder, &mut taking))?,
            None if self.offline => return Err(FolderError::Missing(self.reach.folder().dir().to_owned()).into()),
            Some(_) | None => self.read_live(folder.as_ref(), &mut taking).await?,
        }
        let added = taking.added();
        let made = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let finish = || taking.finish(made, folder.as_ref(), !self.without_keys);
        let (manifest, snapshot) = tokio::task::block_in_place(finish)?;
        if self.reach.json {
            print::json(&json!({ "backup": manifest, "added": added, "snapshot": snapshot }));
            return Ok(Exit::Done);
        }
        let position = print::grouped(manifest.position.0);
        print::line(format_args!("backed up to position {position}: {} added", print::count(added, "record")));
        print::line(format_args!("hash {}", manifest.hash));
        if manifest.begins_after > Position(0) {
            let after = print::grouped(manifest.begins_after.0);
            print::line(format_args!(
                "begins with the snapshot of position {after}: the journal no longer has all records before it"
            ));
        }
        if let Some(snapshot) = snapshot {
            print::line(format_args!("with the snapshot of position {}", print::grouped(snapshot.0)));
        }
        match (&folder, manifest.keys) {
            (None, _) => print::line("only the journal was copied: the data folder is not on this machine"),
            (Some(_), false) => print::line("without private keys: put them back after a restore"),
            (Some(_), true) => {}
        }
        Ok(Exit::Done)
    }

    /// Copies what an engine has made durable until now.
    async fn read_live(&self, folder: Option<&Folder>, taking: &mut Taking) -> anyhow::Result<()> {
        let dial = self.reach.dial()?;
        let last = connect(dial.clone()).await?.welcome().durable;
        let mut progress = Progress::new("backing up");
        let mut from = taking.from();
        let mut tailing = Tailing::start(dial.clone(), from, false).await?;
        loop {
            let batch = match tailing.next().await {
                Err(TailError::BeyondEnd { next }) if taking.end().position > Position(0) => {
                    return Err(self.shorter(taking, Position(next.0 - 1)));
                }
                // Nothing was read yet: a tail that has begun continues, whatever is dropped meanwhile.
                Err(TailError::Dropped { first }) if first > from => {
                    from = tokio::task::block_in_place(|| begin(taking, folder, first))?;
                    tailing = Tailing::start(dial.clone(), from, false).await?;
                    continue;
                }
                next => next?,
            };
            let Some(bytes) = batch else { break };
            tokio::task::block_in_place(|| taking.take(bytes))?;
            progress.at(taking.end().position.0, last.0);
            if taking.end().position >= last {
                break;
            }
        }
        match taking.end().position < last {
            true => Err(self.shorter(taking, last)),
            false => Ok(()),
        }
    }

    fn shorter(&self, taking: &Taking, journal: Position) -> anyhow::Error {
        BackupError::Shorter { dir: self.to.clone(), backup: taking.end().position, journal }.into()
    }
}

/// The position to read on from in a journal whose first records are gone. A new backup begins with the newest snapshot, which
/// stands for those records, and continues after it.
fn begin(taking: &mut Taking, folder: Option<&Folder>, first: Position) -> Result<Position, BackupError> {
    if let Some(from) = taking.from_within(first)? {
        return Ok(from);
    }
    let folder = folder.ok_or(BackupError::NoSnapshot { first })?;
    taking.begin_with(&folder.snapshots_path(), first)?;
    Ok(taking.from())
}

/// Copies from a data folder on which no engine runs.
fn read_offline(disk: &dyn Disk, folder: &Folder, taking: &mut Taking) -> anyhow::Result<()> {
    let from = begin(taking, Some(folder), first_kept(disk, folder))?;
    let (mut failed, backup) = (None, taking.end().position);
    let end = walk(disk, &folder.journal_path(), from, &mut |_, _, bytes| match taking.take(bytes.to_vec()) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    });
    if let Some(error) = failed {
        return Err(error.into());
    }
    let journal = end?.position;
    match journal < backup {
        true => Err(BackupError::Shorter { dir: folder.dir().to_owned(), backup, journal }.into()),
        false => Ok(()),
    }
}

/// The first position of a journal, by the names of its segments. Reading the segments checks the names.
fn first_kept(disk: &dyn Disk, folder: &Folder) -> Position {
    let files = disk.list(&folder.journal_path()).unwrap_or_default();
    let firsts = files.iter().filter_map(|file| file.name.strip_suffix(".redb")?.parse().ok());
    firsts.min().map_or(Position(1), Position)
}
