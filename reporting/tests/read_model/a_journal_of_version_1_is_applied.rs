//! A journal of version 1 gives the tables of a recount, and its revocations end the holds that the engine ends.

use std::ops::ControlFlow;
use std::path::Path;

use scrip_core::state::State;
use scrip_journal::disk::OsDisk;
use scrip_journal::walk;
use scrip_protocol::batch::{Batch, ChainEnd};
use scrip_protocol::codes::RecordedForm;
use scrip_protocol::command::{CodeHeld, CredentialAdded, CredentialRevoked, Grant, Secret};
use scrip_protocol::record::SettingsSet;
use scrip_protocol::{CampaignId, ClientId, ClubId, CredentialId, Money, Position, Record, Role, Stamp};

use crate::support::recount::Recount;
use crate::support::synthetic::{BEGAN_MS, Journal, stamp};
use crate::support::{model_files, tables};

/// The batches of the stored journal of version 1, and where it ends.
fn stored() -> (Vec<Vec<u8>>, ChainEnd) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/v1/journal");
    let mut batches = Vec::new();
    let walked = walk(&OsDisk, &dir, Position(0), &mut |_, _, bytes| {
        batches.push(bytes.to_vec());
        ControlFlow::Continue(())
    });
    (batches, walked.expect("it is intact"))
}

fn replay(state: &mut State, batches: &[Vec<u8>]) {
    for bytes in batches {
        let batch = Batch::parse(bytes).expect("it is intact");
        for item in batch.records() {
            state.apply(batch.time_ms, &item.expect("it is intact").1);
        }
    }
}

/// The expiries of the open holds of a credential, by position.
fn of_tables(path: &Path, credential: CredentialId) -> Vec<(u64, u64)> {
    let connection = model_files::look(path);
    let query = "SELECT hold, expires_ms FROM hold WHERE credential = ? AND ended IS NULL ORDER BY hold";
    let mut statement = connection.prepare(query).expect("it is a query");
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64));
    let found = statement.query_map([credential.0], row).expect("it can be run");
    found.collect::<Result<_, _>>().expect("it is answered")
}

fn of_engine(state: &State, credential: CredentialId) -> Vec<(u64, u64)> {
    let open = state.holds.open().filter(|held| held.credential == credential);
    let mut open: Vec<_> = open.map(|held| (held.hold.0, held.expires_ms)).collect();
    open.sort_unstable();
    open
}

/// Z1, Z10: a revocation leaves holds open until a record names the form of codes, in the tables as in the engine.
#[test]
fn a_revocation_ends_the_holds_that_the_engine_ends() {
    let (batches, end) = stored();
    let mut state = State::default();
    replay(&mut state, &batches);
    let settings = state.settings().clone();
    let names_the_form = SettingsSet { settings, codes: RecordedForm::of(state.code_form()) };
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("read-model.sqlite");
    let mut model = model_files::open(&path);
    model_files::apply(&mut model, &batches, || 3, |_| true);
    tables::compare(&model_files::look(&path), &Recount::of(&batches).now(), "the stored journal");

    let mut journal = Journal::after(end);
    let query = "SELECT max(credential) FROM credential";
    let newest: u32 = model_files::look(&path).query_row(query, [], |row| row.get(0)).expect("there are some");
    let (before, after) = (CredentialId(newest + 1), CredentialId(newest + 2));
    let added = |credential: CredentialId| -> Record {
        let (name, secret) = (format!("Till {credential}"), Secret::Token([credential.0 as u8; 32]));
        let grant = Grant { name, role: Role::Gateway, clubs: Vec::new(), reasons: true, secret };
        CredentialAdded { stamp: None, credential, grant }.into()
    };
    let now_ms = end.time_ms.max(BEGAN_MS) + 10;
    let expires_ms = now_ms + 7 * 24 * 3_600_000;
    let held = |number, credential| -> Record {
        let stamp = Stamp { credential, ..stamp(number) };
        let (client, club, campaign) = (ClientId(7), ClubId(1), CampaignId(1));
        CodeHeld { stamp, client, club, campaign, slot: 0, amount: Money(500), expires_ms }.into()
    };
    let revoked = |number, credential| -> Record { CredentialRevoked { stamp: stamp(number), credential }.into() };
    journal.batch(now_ms - BEGAN_MS, &[added(before), added(after)]);
    let records = [held(1, before), held(2, after), revoked(3, before), names_the_form.into(), revoked(4, after)];
    journal.batch(now_ms - BEGAN_MS, &records);
    replay(&mut state, &journal.batches);
    model_files::apply(&mut model, &journal.batches, || 1, |_| true);
    let expected = |hold: u64, expires_ms| vec![(end.position.0 + 2 + hold, expires_ms)];
    assert_eq!(of_tables(&path, before), expected(1, expires_ms));
    assert_eq!(of_engine(&state, before), expected(1, expires_ms));
    assert_eq!(of_tables(&path, after), expected(2, now_ms));
    assert_eq!(of_engine(&state, after), expected(2, now_ms));
    let whole = [batches, journal.batches].concat();
    tables::compare(&model_files::look(&path), &Recount::of(&whole).now(), "the continued journal");
}
