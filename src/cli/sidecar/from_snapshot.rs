//! `scrip sidecar --from-snapshot`: a read model that begins with what a snapshot of the engine says.
//!
//! The snapshot is read whole and checked before anything of it is believed: the engine finds out about damage while it runs, and then
//! stops; a read model would go on with it. What is written is said in `scrip_reporting::read_model::seed`.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use scrip_engine::disk::OsDisk;
use scrip_engine::folder::Folder;
use scrip_engine::snapshot::{self, Snapshot, SnapshotError};
use scrip_engine::state::{Campaign, State};
use scrip_protocol::{CampaignId, ClubId, CredentialId, GroupId, Position, RuleId};
use scrip_reporting::read_model::Seed;
use scrip_reporting::read_model::seed::{SeedError, SeededCampaign, SeededCode, SeededHold};
use scrip_reporting::store::Store;

use crate::print;
use crate::progress::Progress;

/// Builds the read model of a folder from a snapshot, or from the newest whole one of the engine's data folder. Returns which that was, and up to
/// which record it goes.
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
    let (mut progress, codes) = (Progress::new("beginning with the snapshot"), snapshot.header().counts.codes);
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

/// The newest snapshot that is whole; those before it are named. Where none is, why the newest is not.
fn newest_whole(dir: &Path) -> Result<(Snapshot, State), SnapshotError> {
    let mut newest = None;
    for kept in snapshot::list(&OsDisk, dir)? {
        match whole(&kept.path) {
            Ok(found) => {
                let passed_over: Option<&SnapshotError> = newest.as_ref();
                passed_over.into_iter().for_each(|why| print::complain(&format!("scrip: an older snapshot is taken: {why}")));
                return Ok(found);
            }
            Err(why) => newest = newest.or(Some(why)),
        }
    }
    let none = || {
        let source = io::Error::new(io::ErrorKind::NotFound, "there is no snapshot here: `scrip snapshot create` takes one");
        SnapshotError::Io { path: dir.to_owned(), source }
    };
    Err(newest.unwrap_or_else(none))
}

/// Tells what a state has. `progress` is told how many codes are done.
fn write(state: &State, seed: &mut Seed<'_>, progress: &mut dyn FnMut(u64)) -> Result<(), SeedError> {
    seed.settings(state.settings(), state.code_form())?;
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
