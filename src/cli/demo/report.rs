//! The demo's reporting sidecar: started beside the engine, compared with the burst, and left running for the user.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use scrip_client::Dial;
use scrip_engine::Engine;
use scrip_engine::folder::Folder;
use scrip_protocol::{CampaignId, Money, Position};
use scrip_reporting::figures;
use scrip_reporting::read_model::Readers;
use scrip_reporting::sidecar::{DESCRIPTORS_RESERVED, LISTENER_LIMITS, Sidecar, SidecarSettings};
use scrip_reporting::store::read_model_path;
use scrip_web::listener::descriptors;

use crate::cli::sidecar::{LISTEN, store_in};
use crate::print;

/// How long the sidecar may take to read what the demo did.
const PATIENCE: Duration = Duration::from_secs(60);

/// The sidecar of a demo.
pub(super) struct Report {
    sidecar: Sidecar,
    readers: Readers,
    began: Instant,
}

impl Report {
    /// Starts it in the demo's folder.
    pub(super) async fn start(folder: &Folder, dial: Dial) -> anyhow::Result<Report> {
        let listen: SocketAddr = LISTEN.parse().context("the default address is valid")?;
        // If another sidecar has the default port, the demo takes any.
        let listen = std::net::TcpListener::bind(listen).map_or(([127, 0, 0, 1], 0).into(), |_| listen);
        let store = store_in(folder);
        let readers = Readers::new(&read_model_path(&store));
        let reserve = Engine::DESCRIPTORS_RESERVED + DESCRIPTORS_RESERVED;
        let connections = LISTENER_LIMITS.within(descriptors::for_connections(reserve)?);
        let settings = SidecarSettings { dial, store, listen, connections, reader: Some("sidecar".into()), rebuild: false };
        let began = Instant::now();
        let sidecar = Sidecar::start(settings, &mut |_| {}).await.context("the reporting sidecar")?;
        Ok(Report { sidecar, readers, began })
    }

    /// Waits until the sidecar has applied a position, prints its figures for a campaign, and returns its number of activations.
    pub(super) async fn activations_of(&self, campaign: CampaignId, position: Position) -> anyhow::Result<u64> {
        let mut progress = self.sidecar.standing();
        let applied = progress.wait_for(|progress| progress.applied >= position);
        if !matches!(tokio::time::timeout(PATIENCE, applied).await, Ok(Ok(_))) {
            bail!("the reporting sidecar has not reached position {position}");
        }
        let took = self.began.elapsed();
        let read = || self.readers.view(|view| figures::of_campaign(view, campaign));
        let Some(found) = tokio::task::block_in_place(read)? else {
            bail!("the reporting sidecar does not have campaign {campaign}")
        };
        print::line(format_args!(
            "\n  sidecar  http://{}, at position {} after {took:.2?}",
            self.address(),
            print::grouped(position.0)
        ));
        print::line(format_args!(
            "           campaign {campaign}: {} of {} codes activated ({} %), {} credited, {} codes left",
            print::grouped(found.codes_activated),
            print::grouped(found.codes),
            found.utilisation,
            Money(found.issued),
            print::grouped(found.codes_available),
        ));
        Ok(found.activations)
    }

    /// The HTTP address.
    pub(super) fn address(&self) -> SocketAddr {
        self.sidecar.address()
    }

    /// Resolves when the sidecar has halted.
    pub(super) async fn halted(&self) {
        self.sidecar.halted().await;
    }

    /// Stops the sidecar.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        Ok(self.sidecar.stop().await?)
    }
}
