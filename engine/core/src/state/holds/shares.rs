//! The share of a credential, the holds of a revoked credential, and the cost of a limit that was lowered under holds.

use scrip_protocol::command::Terms;

use super::tests::{AT, campaigns, give, give_to, held};
use super::*;
use crate::state::{State, first_difference};

/// A credential takes its share of the holds and no more, whatever the others have; its holds displace only its own.
#[test]
fn a_credential_holds_its_share_and_displaces_nobody_else() {
    let (one, other) = (CredentialId(1), CredentialId(2));
    let mut again = campaigns(None);
    let (mut campaigns, mut holds) = (campaigns(None), Holds { limit: 20, share: 5, ..Holds::default() });
    give_to(&mut holds, &mut campaigns, other, 100, 0, 1_000);
    for position in 1..=5 {
        assert!(!holds.is_full(one, 0));
        give_to(&mut holds, &mut campaigns, one, position, 0, 9_000 + position);
    }
    assert!(holds.is_full(one, 0) && !holds.is_full(other, 0));
    assert!(!holds.is_full(one, 9_001), "one has expired");
    holds.end(&mut campaigns, Position(3), End::Released, 0);
    assert!(!holds.is_full(one, 0), "one was released");
    // The other's has expired and can be confirmed for a day; the first credential opens and releases as fast as it can.
    for position in 201..300 {
        give_to(&mut holds, &mut campaigns, one, position, 2_000, 9_000);
        holds.end(&mut campaigns, Position(position), End::Released, 2_000);
    }
    assert_eq!(holds.len(), 20);
    assert!(holds.known(Position(100), 2_000).is_some(), "the other's is still known");
    assert_eq!([1, 2, 4, 5].map(|hold| holds.known(Position(hold), 2_000).is_some()), [true; 4], "what is open stays");
    let rows = holds.rows().map(|(position, hold)| (position, hold.clone())).collect();
    let mut snapshot = Holds::over(rows, &mut again, &[]);
    (snapshot.limit, snapshot.share) = (20, 5);
    snapshot.over.clear();
    snapshot.weigh(one);
    assert_eq!(snapshot, holds);
}

/// The holds of a revoked credential are released with later records, some with each, so that no record takes longer than others.
#[test]
fn the_holds_of_a_revoked_credential_expire_with_the_records_that_follow() {
    let (one, other) = (CredentialId(1), CredentialId(2));
    let mut again = campaigns(None);
    let (mut campaigns, mut holds) = (campaigns(None), Holds::default());
    let given = 2 * REVOKED_PER_RECORD + 10;
    (1..=given as u64).for_each(|position| give_to(&mut holds, &mut campaigns, one, position, 0, 900_000));
    give_to(&mut holds, &mut campaigns, other, 100_000, 0, 900_000);
    let held = |campaigns: &Campaigns| campaigns.of(AT.campaign).map_or(0, |campaign| campaign.held as usize);
    holds.revoke(&mut campaigns, one, 500, 500);
    assert_eq!(held(&campaigns), given + 1 - REVOKED_PER_RECORD);
    assert!(holds.open().filter(|hold| hold.credential == one).all(|hold| hold.expires_ms == 500));
    // A snapshot taken at this moment continues alike.
    let revoked: Vec<_> = holds.revoked_rows().collect();
    let rows = holds.rows().map(|(position, hold)| (position, hold.clone())).collect();
    assert_eq!(Holds::over(rows, &mut again, &revoked), holds);
    holds.begin(&mut campaigns, 600);
    assert_eq!(held(&campaigns), 11);
    holds.begin(&mut campaigns, 700);
    assert_eq!((held(&campaigns), holds.of_credential.count(other)), (1, Some(1)));
    assert_eq!(holds.next_ms, 900_000.min(500 + HOLD_KEPT_MS));
    let expired = holds.known(Position(1), 700).expect("it is remembered for a day");
    assert_eq!((expired.expires_ms, expired.forgotten_ms, expired.status), (500, 500 + HOLD_KEPT_MS, Status::Lapsed));
    assert!(holds.known(Position(1), 500 + HOLD_KEPT_MS).is_none());
}

/// A limit that was lowered under open holds: the record that takes the first free use drops some of them, and the answer is
/// exact.
#[test]
fn a_use_drops_a_few_expired_holds_however_many_there_are() {
    let (mut campaigns, mut holds) = (campaigns(Some(1_000)), Holds::default());
    (1..=1_000).for_each(|position| give(&mut holds, &mut campaigns, position, 0, 1_000 + position));
    let of = campaigns.of_mut(AT.campaign).expect("there is one");
    of.terms = std::sync::Arc::new(Terms { activations_per_code_max: Some(10), ..Terms::clone(&of.terms) });
    assert_eq!([1_990, 1_991].map(|now_ms| held(&holds, &campaigns, now_ms) < 10), [false, true]);
    give(&mut holds, &mut campaigns, 2_000, 1_991, 5_000);
    let counted = campaigns.of(AT.campaign).map_or(0, |campaign| campaign.held as usize);
    assert_eq!(counted, 1_001 - DROPPED_PER_USE - SWEPT_PER_RECORD);
    for now_ms in [1_991, 1_992, 4_999, 5_000] {
        let open = (1_001..=2_000).chain([5_000]).filter(|expires_ms| now_ms < *expires_ms).count();
        assert_eq!(held(&holds, &campaigns, now_ms) < 10, open < 10, "at {now_ms}");
    }
}

/// The share is exact, however many expired holds of others are still counted.
#[test]
fn expired_holds_of_others_let_no_credential_exceed_its_share() {
    let (one, other) = (CredentialId(1), CredentialId(2));
    let (mut campaigns, mut holds) = (campaigns(None), Holds { limit: 1_000, share: 5, ..Holds::default() });
    (100..200).for_each(|position| give_to(&mut holds, &mut campaigns, other, position, 0, 1_000));
    give_to(&mut holds, &mut campaigns, one, 1, 0, 1_001);
    (2..=5).for_each(|position| give_to(&mut holds, &mut campaigns, one, position, 0, 9_000));
    assert!(holds.is_full(one, 1_000) && !holds.is_full(one, 1_001), "one expires at 1,001");
    give_to(&mut holds, &mut campaigns, one, 6, 1_001, 9_000);
    assert_eq!(holds.of_credential.count(one), Some(6), "the expired one is still counted");
    assert!(holds.is_full(one, 1_001) && holds.is_full(one, 8_999), "five are open");
    assert!(!holds.is_full(one, 9_000));
}

/// Z10: the comparison of a snapshot with the journal includes the revoked credentials with holds that have yet to expire; if one
/// were missing, the next record would end other holds.
#[test]
fn a_snapshot_that_lost_a_revoked_holder_differs_from_the_journal() {
    let (mut campaigns, mut holds) = (campaigns(None), Holds::default());
    for position in 1..=REVOKED_PER_RECORD as u64 + 1 {
        give_to(&mut holds, &mut campaigns, CredentialId(1), position, 0, 900_000);
    }
    holds.revoke(&mut campaigns, CredentialId(1), 500, 500);
    let rows: Vec<_> = holds.rows().map(|(position, hold)| (position, hold.clone())).collect();
    let state = |revoked: &[RevokedHolderRow]| {
        let mut state = State { campaigns: tests::campaigns(None), ..State::default() };
        state.holds = Holds::over(rows.clone(), &mut state.campaigns, revoked);
        state
    };
    let revoked: Vec<_> = holds.revoked_rows().collect();
    let journal = state(&revoked);
    assert_eq!(first_difference(&journal, &state(&revoked)), None);
    let other_time = [RevokedHolderRow { revoked_ms: 501, ..revoked[0] }];
    let found = [&[][..], &other_time].map(|revoked| first_difference(&journal, &state(revoked)).map(|found| found.what));
    let expected = ["the revoked holder of credential 1", "when credential 1 was revoked"];
    assert_eq!(found, expected.map(|what| Some(what.to_owned())));
}

/// The pages state in how many records the holds of a revoked credential expire: until then, the figures of the engine and the sidecar differ.
#[test]
fn the_pages_state_in_how_many_records_the_holds_of_a_revoked_credential_expire() {
    let records = HOLDS_OPEN_PER_CREDENTIAL_MAX.div_ceil(REVOKED_PER_RECORD);
    let records = format!("{},{:03} records", records / 1_000, records % 1_000);
    let per_record = format!("{REVOKED_PER_RECORD} with each later record");
    let operating = include_str!("../../../../../docs/operating.md");
    let reporting = include_str!("../../../../../docs/reporting.md");
    let read_model = include_str!("../../../../../docs/read-model.md");
    for (name, page) in [("operating", operating), ("reporting", reporting), ("read-model", read_model)] {
        let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(page.contains(&records), "docs/{name}.md does not state {records}");
        assert!(name == "read-model" || page.contains(&per_record), "docs/{name}.md does not state {per_record}");
    }
}
