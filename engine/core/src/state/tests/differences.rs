//! Differences between two states are found and named.
//!
//! A script exercises everything; then each of its records is omitted, or applied twice, and the resulting state is compared with
//! that of all records. The comparison by name must find a difference exactly if the states are not equal.

use scrip_protocol::Record;
use scrip_protocol::command::Activation;

use super::script::ran;
use super::{Bench, State};
use crate::state::{Difference, first_difference};

/// Something of everything. Positions: settings 1, club 2, client 3, campaign 4, and the redemption of code A by client 7 at 5.
fn everything() -> Bench {
    ran(r#"
        club Arena
        client 7 Ann
        campaign amount=2.00 cap=3 codes=A,B,C,D per-client=3
        redeem client=7 club=1 code=A
        redeem client=8 club=1 code=A
        redeem client=8 club=1 code=none
        hold code=B client=8 club=1
        hold code=B client=9 club=1
        hold code=D client=9 club=1
        confirm 8
        release 9
        refund 6
        archive-codes 1 codes=C
        campaign amount=1 codes=X,Y
        archive 2
        restore 2
        update 1 cap=2 amount=1
        switch 2 off
        add 1 codes=E,F
        group VIP
        rule bonus="{{topupAmountMajor}} * 0.1" assign=1
        rule bonus=50 off
        top-up 7 100.00 CASH
        top-up 8 10.00 CASH
        refund-top-up 24 amount=1.00 by=1 operator
        credit 7 5.00
        pay 7 1.00 order
        session 7 1.00
        credential cashier Till
        archive-rule 2
        reader reports 10
        reader webhooks 20
        reader reports 20
        forget-reader webhooks
    "#)
}

fn replayed<'a>(records: impl Iterator<Item = &'a (u64, Record)>) -> State {
    let mut state = State::default();
    records.for_each(|(time_ms, record)| {
        state.apply(*time_ms, record);
    });
    state
}

#[track_caller]
fn agrees_with_equality(ours: &State, theirs: &State, what: &str) -> Option<Difference> {
    let found = first_difference(ours, theirs);
    assert_eq!(found.is_none(), ours == theirs, "{what}: {found:?}");
    found
}

/// Z10: all contents of a recomputed state are compared: a record that is missing or applied twice is always noticed, and equal
/// states have no difference.
#[test]
fn no_record_is_missing_or_applied_twice_without_a_difference() {
    let bench = everything();
    assert!(bench.records.len() > 34, "the script makes {} records", bench.records.len());
    let replay = replayed(bench.records.iter());
    assert_eq!(agrees_with_equality(&replay, &bench.state, "a replay"), None);
    for left_out in 0..bench.records.len() {
        let what = format!("{:?}", bench.records[left_out].1);
        let kept = bench.records.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, record)| record);
        assert!(agrees_with_equality(&bench.state, &replayed(kept), &what).is_some(), "{what} left out");
        let twice = bench.records.iter().enumerate().flat_map(|(at, record)| vec![record; if at == left_out { 2 } else { 1 }]);
        assert!(agrees_with_equality(&bench.state, &replayed(twice), &what).is_some(), "{what} twice");
    }
}

/// Z10: with equal position and time, the difference is in the effect of the records, and names its place.
#[test]
fn a_changed_record_is_named_by_its_effect() {
    let bench = everything();
    let changed = |change: &dyn Fn(&mut Activation)| {
        let mut records = bench.records.clone();
        let activation = records
            .iter_mut()
            .find_map(|(_, record)| if let Record::Activation(activation) = record { Some(activation) } else { None });
        change(activation.expect("there is one"));
        let difference = first_difference(&bench.state, &replayed(records.iter())).expect("it was changed");
        difference.said_of("the journal", "the snapshot")
    };
    assert_eq!(
        changed(&|activation| activation.slot = 1),
        "campaign 1, code in slot 0: the journal has 1 activation, the snapshot has 0 activations"
    );
    assert_eq!(
        changed(&|activation| activation.balance.0 += 1_000_000),
        "request 01a0c450-6c00-7000-8000-0000000f4244, its answer: \
         the journal has redeemed: 2.00 credited, bonus balance 2.00, campaign 1, activation 5, \
         the snapshot has redeemed: 2.00 credited, bonus balance 10002.00, campaign 1, activation 5"
    );
}

/// Z10: readers, which snapshots contain and which affect retention, are compared like everything else.
#[test]
fn a_reader_at_another_position_is_named() {
    let reader = |position: u64| ran(&format!("club Arena\nreader reports {position}")).state;
    let mut found = first_difference(&reader(1), &reader(2)).expect("it is elsewhere");
    assert_eq!(
        found.said_of("the journal", "the snapshot"),
        "reader reports, its position: the journal has Position(1), the snapshot has Position(2)"
    );
    found = first_difference(&ran("club Arena\nclub Zentrum").state, &reader(1)).expect("there is none");
    assert!(!found.what.is_empty());
}
