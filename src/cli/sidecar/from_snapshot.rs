//! `scrip sidecar --from-snapshot`: a read model that starts from a snapshot of the engine.
//!
//! The snapshot is read and checked as a whole before any of it is used: an engine finds damage while it runs and then stops, but
//! a read model would carry on with it. `scrip_reporting::read_model::seed` describes what is written.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use scrip_core::state::{Campaign, State};
use scrip_engine::folder::Folder;
use scrip_engine::snapshot::{self, Snapshot, SnapshotError};
use scrip_journal::disk::OsDisk;
use scrip_protocol::{CampaignId, ClubId, CredentialId, GroupId, Position, RuleId};
use scrip_reporting::read_model::Seed;
use scrip_reporting::read_model::seed::{SeedError, SeededCampaign, SeededCode, SeededHold};
use scrip_reporting::store::Store;

use crate::print;
use crate::progress::Progress;

/// Builds the read model of a folder from a snapshot, or from the newest valid one of the engine's data folder. Returns the
/// snapshot's path and its position.
pub(super) fn build(named: Option<&Path>, folder: &Folder, store: &Path) -> anyhow::Result<(PathBuf, Position)> {
    let store = Store::open(store)?;
    let (snapshot, state) = match named {
        Some(path) => whole(path)?,
        None => newest_whole(&folder.snapshots_path())?,
    };
    if let Some(recorded) = state.recorded_form() {
        recorded.known().with_context(|| snapshot.path().display().to_string())?;
    }
    let mut building = store.build()?;
    let (mut progress, codes) = (Progress::new("loading the snapshot"), snapshot.header().counts.codes);
    building.seed(snapshot.header().end, |seed| write(&state, seed, &mut |done| progress.at(done, codes.max(done))))?;
    Ok((snapshot.path().to_owned(), building.finish()?))
}

fn whole(path: &Path) -> Result<(Snapshot, State), SnapshotError> {
    let snapshot = Snapshot::open(&OsDisk, path)?;
    let (mut progress, bytes) = (Progress::new("verifying the snapshot"), snapshot.header().bytes);
    snapshot.verify(&mut |done| progress.bytes(done, bytes))?;
    let state = snapshot.state()?;
    Ok((snapshot, state))
}

/// The newest valid snapshot; damaged newer ones are reported. If there is none, the error of the newest.
fn newest_whole(dir: &Path) -> Result<(Snapshot, State), SnapshotError> {
    let mut newest = None;
    for kept in snapshot::list(&OsDisk, dir)? {
        match whole(&kept.path) {
            Ok(found) => {
                let passed_over: Option<&SnapshotError> = newest.as_ref();
                passed_over.into_iter().for_each(|why| print::complain(&format!("scrip: using an older snapshot: {why}")));
                return Ok(found);
            }
            Err(why) => newest = newest.or(Some(why)),
        }
    }
    let none = || {
        let source = io::Error::new(io::ErrorKind::NotFound, "no snapshot found here: `scrip snapshot create` takes one");
        SnapshotError::Io { path: dir.to_owned(), source }
    };
    Err(newest.unwrap_or_else(none))
}

/// Writes a state to the seed. Calls `progress` with the number of codes done.
fn write(state: &State, seed: &mut Seed<'_>, progress: &mut dyn FnMut(u64)) -> Result<(), SeedError> {
    seed.settings(state.settings(), state.recorded_form())?;
    seed.requests(state.requests.latest_ms())?;
    for (club, name) in state.clubs.after(ClubId(0)) {
        seed.club(club, name)?;
    }
    for (group, name, _) in state.groups.after(GroupId(0)) {
        seed.group(group, name)?;
    }
    for (credential, of) in state.credentials.after(CredentialId(0)) {
        seed.credential(credential, &of.grant, of.added_ms, of.revoked_ms)?;
    }
    for (rule, of) in state.rules.after(RuleId(0)) {
        seed.rule(rule, &of.terms, of.changed_ms, of.archived_ms)?;
    }
    let mut done = 0;
    for (campaign, of) in state.campaigns.after(CampaignId(0)) {
        let codes = of.codes.iter().zip(0..).map(|(code, slot)| {
            let archived = of.archived_codes.get(&slot).map(|code| (code.cause, code.freed));
            SeededCode { code, activations: of.activations_at(slot), archived }
        });
        seed.campaign(&seeded(campaign, of), codes)?;
        done += of.codes.len() as u64;
        progress(done);
    }
    for (client, accounts) in state.clients.iter() {
        seed.client(client, state.clients.name(client), &accounts)?;
    }
    for held in state.holds.open() {
        seed.hold(&SeededHold {
            hold: held.hold,
            client: held.client,
            club: held.club,
            campaign: held.at.campaign,
            slot: held.at.slot,
            amount: held.amount,
            expires_ms: held.expires_ms,
            credential: held.credential,
        })?;
    }
    Ok(())
}

fn seeded(campaign: CampaignId, of: &Campaign) -> SeededCampaign<'_> {
    SeededCampaign {
        campaign,
        terms: &of.terms,
        created_ms: of.created_ms,
        archived: of.archived.map(|archived| (archived.at_ms, archived.position)),
        activations: of.activations,
        issued: of.issued,
        refunds: of.refunds,
        uncollected: of.uncollected,
        added: &of.added,
    }
}
