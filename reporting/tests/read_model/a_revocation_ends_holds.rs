//! The open holds of a credential expire when it is revoked, as they do in the engine.

use std::path::Path;

use scrip_core::state::State;
use scrip_engine::snapshot::{self, Snapshot};
use scrip_journal::disk::OsDisk;
use scrip_protocol::codes::{CodeForm, RecordedForm};
use scrip_protocol::command::{CodeHeld, CredentialRevoked, HoldReleased, Terms};
use scrip_protocol::record::{SettingsApplied, SettingsSet};
use scrip_protocol::{CampaignId, ClientId, ClubId, CredentialId, Money, Position, Record, Settings, Stamp};
use scrip_reporting::read_model::seed::SeededHold;

use crate::support::model_files;
use crate::support::synthetic::{BEGAN_MS, Journal, created, stamp};

fn settings_set(form: CodeForm) -> Record {
    SettingsSet { settings: Settings::default(), codes: RecordedForm::of(form) }.into()
}

/// When each hold expires, by position.
fn expiries(path: &Path) -> Vec<i64> {
    let connection = model_files::look(path);
    let mut statement = connection.prepare("SELECT expires_ms FROM hold ORDER BY hold").expect("it is a query");
    let found = statement.query_map([], |row| row.get::<_, i64>(0)).expect("it can be run");
    found.collect::<Result<_, _>>().expect("it is answered")
}

#[test]
fn the_open_holds_of_a_revoked_credential_expire_then() {
    let mut journal = Journal::default();
    let settings = settings_set(CodeForm::CURRENT);
    journal.batch(0, &[settings, created(1, Terms::new("Autumn", Money(500)), &["A", "B"])]);
    let (one, other) = (CredentialId(1), CredentialId(2));
    let held = |number, credential, expires_ms| -> Record {
        let (client, club, campaign) = (ClientId(9), ClubId(1), CampaignId(1));
        let stamp = Stamp { credential, ..stamp(number) };
        CodeHeld { stamp, client, club, campaign, slot: 0, amount: Money(500), expires_ms }.into()
    };
    let later = 2_000_000_000_000;
    journal.batch(1, &[held(1, one, later), held(2, one, 5), held(3, other, later), held(4, one, later)]);
    let released = HoldReleased { stamp: stamp(5), hold: Position(6) };
    journal.batch(2, &[released.into(), CredentialRevoked { stamp: stamp(6), credential: one }.into()]);
    for group in [1, 3] {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("read-model.sqlite");
        model_files::apply(&mut model_files::open(&path), &journal.batches, || group, |_| true);
        // Open, already expired, another credential's, already released.
        assert_eq!(expiries(&path), [1_790_000_000_002, 5, later, later].map(|expires_ms: u64| expires_ms as i64));
    }
}

/// The state of the stored snapshot of version 1.
fn snapshot_of_version_1() -> (Snapshot, State) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/v1/snapshots");
    let stored = snapshot::list(&OsDisk, &dir).expect("it can be listed");
    let snapshot = Snapshot::open(&OsDisk, &stored[0].path).expect("it is intact");
    let state = snapshot.state().expect("it is intact");
    (snapshot, state)
}

/// Z1: a revocation in a journal of version 1 leaves holds open in the engine. So it does in a read model seeded from a snapshot
/// of version 1, until the first record that names the code form.
#[test]
fn a_read_model_seeded_from_version_1_expires_the_holds_that_the_engine_expires() {
    let form = snapshot_of_version_1().1.code_form();
    let settings_applied: Record = SettingsApplied { settings: Settings::default() }.into();
    for (before, is_expired) in [(vec![], false), (vec![settings_applied], false), (vec![settings_set(form)], true)] {
        let (snapshot, mut state) = snapshot_of_version_1();
        let end = snapshot.header().end;
        let holder = state.holds.open().next().expect("one is open").credential;
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("read-model.sqlite");
        let mut model = model_files::open(&path);
        let seeded = model.seed(end, |seed| {
            seed.settings(state.settings(), state.recorded_form())?;
            state.holds.open().try_for_each(|held| {
                seed.hold(&SeededHold {
                    hold: held.hold,
                    client: held.client,
                    club: held.club,
                    campaign: held.at.campaign,
                    slot: held.at.slot,
                    amount: held.amount,
                    expires_ms: held.expires_ms,
                    credential: held.credential,
                })
            })
        });
        seeded.expect("it can be written");
        let now_ms = end.time_ms + 1;
        let revoked = CredentialRevoked { stamp: stamp(1), credential: holder }.into();
        let records: Vec<Record> = before.into_iter().chain([revoked]).collect();
        let mut journal = Journal::after(end);
        journal.batch(now_ms - BEGAN_MS, &records);
        model_files::apply(&mut model, &journal.batches, || 1, |_| true);
        for record in &records {
            state.apply(now_ms, record);
        }
        let of_engine: Vec<i64> = state.holds.open().map(|held| held.expires_ms as i64).collect();
        assert_eq!(expiries(&path), of_engine);
        assert_eq!(of_engine.contains(&(now_ms as i64)), is_expired, "{records:?}");
    }
}
