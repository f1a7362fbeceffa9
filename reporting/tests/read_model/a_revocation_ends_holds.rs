//! The open holds of a credential expire when it is revoked, as they do in the engine.

use scrip_protocol::command::{CodeHeld, CredentialRevoked, HoldReleased, Terms};
use scrip_protocol::{CampaignId, ClientId, ClubId, CredentialId, Money, Position, Record, Stamp};

use crate::support::read_model;
use crate::support::synthetic::{Journal, created, stamp};

#[test]
fn the_open_holds_of_a_revoked_credential_expire_then() {
    let mut journal = Journal::default();
    journal.batch(0, &[created(1, Terms::new("Autumn", Money(500)), &["A", "B"])]);
    let (one, other) = (CredentialId(1), CredentialId(2));
    let held = |number, credential, expires_ms| -> Record {
        let (client, club, campaign) = (ClientId(9), ClubId(1), CampaignId(1));
        let stamp = Stamp { credential, ..stamp(number) };
        CodeHeld { stamp, client, club, campaign, slot: 0, amount: Money(500), expires_ms }.into()
    };
    let later = 2_000_000_000_000;
    journal.batch(1, &[held(1, one, later), held(2, one, 5), held(3, other, later), held(4, one, later)]);
    let released = HoldReleased { stamp: stamp(5), hold: Position(5) };
    journal.batch(2, &[released.into(), CredentialRevoked { stamp: stamp(6), credential: one }.into()]);
    for group in [1, 3] {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("read-model.sqlite");
        read_model::apply(&mut read_model::open(&path), &journal.batches, || group, |_| true);
        let connection = read_model::look(&path);
        let mut statement = connection.prepare("SELECT expires_ms FROM hold ORDER BY hold").expect("it is a query");
        let found = statement.query_map([], |row| row.get::<_, i64>(0)).expect("it can be asked");
        let found: Vec<i64> = found.collect::<Result<_, _>>().expect("it is answered");
        // Open, expired before, another credential's, released before.
        assert_eq!(found, [1_790_000_000_002, 5, later, later].map(|expires_ms: u64| expires_ms as i64));
    }
}
