//! Engines in the test's own process, with limits of their own.

use scrip_client::Dial;
use scrip_core::guard::GuardLimits;
use scrip_engine::folder::{Config, Folder};
use scrip_engine::{Engine, Start};
use scrip_protocol::{Role, Settings};

/// An engine in this process, and the parameters for an operator to connect.
pub(crate) fn engine(start: Start) -> (tempfile::TempDir, Engine, Dial) {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = Folder::at(dir.path().join("data"));
    let config = Config::new(([127, 0, 0, 1], 0).into(), Settings::default(), GuardLimits::OFF);
    let issued = folder.init(&config, &[]).expect("an empty folder");
    let operator = issued.into_iter().find(|issued| issued.credential.role == Role::Operator).expect("a token for each role");
    let (engine, dial) = start_on(&folder, start, &operator.token);
    (dir, engine, dial)
}

/// Starts an engine on an existing folder.
pub(crate) fn start_on(folder: &Folder, start: Start, token: &str) -> (Engine, Dial) {
    let engine = tokio::task::block_in_place(|| Engine::start(folder, start, &mut |_| {})).expect("the folder is intact");
    let authority = std::fs::read(folder.ca_path()).expect("init created it");
    let dial = Dial::new(&engine.address().to_string(), authority, token).expect("an address");
    (engine, dial)
}
