//! `scrip sidecar`: the reporting sidecar.

mod from_snapshot;

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use scrip_client::TailError;
use scrip_engine::folder::Folder;
use scrip_journal::disk::OsDisk;
use scrip_journal::walk;
use scrip_protocol::Position;
use scrip_reporting::follow::FollowError;
use scrip_reporting::sidecar::{DESCRIPTORS_RESERVED, LISTENER_LIMITS, Sidecar, SidecarError, SidecarSettings};
use scrip_reporting::store::Store;
use scrip_web::listener::{ListenerLimits, descriptors};
use serde_json::json;

use crate::exit::Exit;
use crate::print;
use crate::progress::Progress;
use crate::reach::{Reach, connect};
use crate::stop::{Starting, Stops};

/// The default address of the sidecar.
pub(crate) const LISTEN: &str = "127.0.0.1:4680";

/// Run the reporting sidecar: figures and exports over HTTP
///
/// Runs until SIGINT or SIGTERM. Follows the engine's journal with a reporter's token, and maintains SQLite tables in a folder of
/// its own, which other tools can read at the same time. The engine does not need it: you can stop it and delete its folder at any time.
#[derive(Debug, Args)]
pub(crate) struct SidecarCommand {
    /// Folder of the sidecar [default: `reporting` in the data folder]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Address to serve HTTP on (TCP)
    #[arg(long, value_name = "ADDRESS", default_value = LISTEN)]
    listen: SocketAddr,
    /// Maximum number of connections from one address
    ///
    /// Loopback addresses have no such limit. A reverse proxy on another machine may need more.
    #[arg(long, value_name = "N", default_value_t = LISTENER_LIMITS.connections_per_address_max)]
    connections_per_address: usize,
    /// Rebuild the tables from the engine's journal, then replace the current ones
    #[arg(long)]
    rebuild: bool,
    /// Rebuild the tables from the journal in this backup, then continue with the engine
    ///
    /// Use it if the engine has dropped the beginning of its journal and the backup has it.
    #[arg(long, value_name = "FOLDER", conflicts_with = "rebuild")]
    from_backup: Option<PathBuf>,
    /// Rebuild the tables from the newest valid snapshot (or FILE), without earlier history
    ///
    /// Earlier history is in counters and balances only. Use it if the engine has dropped the beginning of its journal.
    #[arg(long, value_name = "FILE", num_args = 0..=1, conflicts_with_all = ["rebuild", "from_backup"])]
    from_snapshot: Option<Option<PathBuf>>,
    /// Name of this sidecar as a journal reader, or `none`
    ///
    /// The engine keeps unread segments for a registered reader. `none` does not register the sidecar.
    #[arg(long, value_name = "NAME", default_value = "sidecar")]
    reader: String,
    #[command(flatten)]
    reach: Reach,
}

impl SidecarCommand {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        let mut stops = Stops::new()?;
        let starting = Starting::new(self.reach.json)?;
        let store = self.store.clone().unwrap_or_else(|| store_in(&self.reach.folder()));
        if let Some(backup) = &self.from_backup {
            let position = tokio::task::block_in_place(|| build_from(backup, &store))?;
            if !self.reach.json {
                print::line(format_args!("built from {} up to position {position}", backup.display()));
            }
        }
        if let Some(named) = &self.from_snapshot {
            let begin = || from_snapshot::build(named.as_deref(), &self.reach.folder(), &store);
            let (snapshot, position) = tokio::task::block_in_place(begin)?;
            if !self.reach.json {
                print::line(format_args!("started from {} at position {position}", snapshot.display()));
            }
        }
        let dial = self.reach.dial()?;
        let descriptors = descriptors::for_connections(DESCRIPTORS_RESERVED)?;
        let mut progress = Progress::new("building the read model");
        let last = match self.rebuild {
            true => connect(dial.clone()).await?.welcome().durable.0,
            false => 0,
        };
        let limits = ListenerLimits { connections_per_address_max: self.connections_per_address, ..LISTENER_LIMITS };
        let connections = limits.within(descriptors);
        let settings = SidecarSettings {
            dial,
            store: store.clone(),
            listen: self.listen,
            connections,
            reader: Some(self.reader).filter(|name| name != "none"),
            rebuild: self.rebuild,
        };
        let started = Sidecar::start(settings, &mut |Position(at)| progress.at(at, last.max(at))).await;
        drop((progress, starting));
        let sidecar = started.map_err(with_remedies).with_context(|| store.display().to_string())?;
        let (address, applied) = (sidecar.address(), sidecar.standing().borrow().applied);
        match self.reach.json {
            true => print::json(&json!({ "listening": address, "position": applied, "store": store })),
            false => print::line(format_args!(
                "listening on http://{address}; {} in {}",
                print::count(applied.0, "record"),
                store.display()
            )),
        }
        tokio::select! {
            () = stops.stopped() => {}
            () = sidecar.halted() => {}
        }
        sidecar.stop().await.map_err(with_remedies)?;
        if !self.reach.json {
            print::line("stopped");
        }
        Ok(Exit::Done)
    }
}

/// Adds what the user can do if the engine has dropped journal that the read model needs.
fn with_remedies(error: SidecarError) -> anyhow::Error {
    let dropped = matches!(
        &error,
        SidecarError::Build(TailError::Dropped { .. }) | SidecarError::Follow(FollowError::Tail(TailError::Dropped { .. }))
    );
    let error = anyhow::Error::from(error);
    match dropped {
        true => error.context(
            "the engine has dropped journal that the read model needs: `scrip sidecar --from-backup FOLDER` rebuilds it from a backup, with the \
             whole history; `scrip sidecar --from-snapshot` starts from the engine's newest snapshot, without the history before it",
        ),
        false => error,
    }
}

/// The default folder of the sidecar.
pub(crate) fn store_in(folder: &Folder) -> PathBuf {
    folder.dir().join("reporting")
}

/// Builds the read model of a folder from the journal of a backup.
fn build_from(backup: &Path, store: &Path) -> anyhow::Result<Position> {
    let store = Store::open(store)?;
    let mut building = store.build()?;
    let (mut failed, mut progress) = (None, Progress::new("building the read model"));
    let journal = backup.join("journal");
    let end = walk(&OsDisk, &journal, Position(1), &mut |_, batch, bytes| {
        progress.at(batch.first.0, batch.first.0);
        match building.take(bytes.to_vec()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    match failed {
        Some(error) => Err(error.into()),
        None => {
            end.with_context(|| backup.display().to_string())?;
            Ok(building.finish()?)
        }
    }
}
