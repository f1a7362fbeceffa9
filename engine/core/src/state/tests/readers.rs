//! Readers of the journal, and records that were dropped because all readers had passed them.
//!
//! Positions: the settings are at 1. Refusals are records as well.

use scrip_protocol::command::{NAME_BYTES_MAX, READERS_MAX, READERS_PER_CREDENTIAL_MAX};
use scrip_protocol::{Position, Settings};

use super::script::{check, check_with};

/// Z10: a reader is registered, moves, and is removed; the list shows where each one is, and since when. It never moves
/// backwards, because earlier records may have been dropped.
#[test]
fn a_reader_moves_forwards_and_never_backwards() {
    check(
        "
        readers
        club Arena
        reader reports 2
        reader crm 0
        readers
        at 500
        reader reports 4
        reader reports 3
        reader reports 4
        readers
        forget-reader crm
        forget-reader crm
        reader crm 1
        readers
        ",
        "
        none
        registered as club 1
        kept: the journal after position 2 is kept for this reader
        kept: the journal after position 0 is kept for this reader
        crm at 0 since 0, reports at 2 since 0
        kept: the journal after position 4 is kept for this reader
        refused: the reader is already at position 4 and cannot move back
        kept: the journal after position 4 is kept for this reader
        crm at 0 since 0, reports at 4 since 500
        removed: segments are no longer kept for it
        refused: there is no reader of that name
        kept: the journal after position 1 is kept for this reader
        crm at 1 since 500, reports at 4 since 500
        ",
    );
}

/// A reader cannot be ahead of the journal, nor start at dropped records. A reader of everything that is left starts before it.
#[test]
fn a_reader_is_within_the_journal() {
    check(
        "
        reader reports 2
        reader reports 1
        reader reports 4 kept-from=9
        reader crm 2 kept-from=4
        reader crm 3 kept-from=4
        reader crm 2 kept-from=4
        readers
        ",
        "
        refused: the newest record is at position 1
        kept: the journal after position 1 is kept for this reader
        refused: the newest record is at position 3
        refused: the journal begins at position 4 and no longer has everything after the reader's position
        kept: the journal after position 3 is kept for this reader
        refused: the reader is already at position 3 and cannot move back
        crm at 3 since 0, reports at 1 since 0
        ",
    );
}

/// Z10: records that a drop in progress closes for new readers are still available to a registered one, which retains them.
#[test]
fn a_registered_reader_moves_within_records_closed_to_new_ones() {
    check(
        "
        reader reports 1
        club Arena
        club Forum
        reader crm 2 kept-from=2 open-from=4
        reader reports 2 kept-from=2 open-from=4
        reader crm 3 kept-from=2 open-from=4
        forget-reader reports
        reader reports 2 kept-from=2 open-from=4
        reader crm 4 kept-from=6 open-from=1
        ",
        "
        kept: the journal after position 1 is kept for this reader
        registered as club 1
        registered as club 2
        refused: the journal begins at position 4 and no longer has everything after the reader's position
        kept: the journal after position 2 is kept for this reader
        kept: the journal after position 3 is kept for this reader
        removed: segments are no longer kept for it
        refused: the journal begins at position 4 and no longer has everything after the reader's position
        refused: the journal begins at position 6 and no longer has everything after the reader's position
        ",
    );
}

/// Z3: a retry gets the first answer, although the reader has moved on, or no longer exists.
#[test]
fn a_retry_gets_the_first_answer() {
    check(
        "
        reader reports 0 request=1
        reader reports 2
        reader reports 0 request=1
        forget-reader reports request=2
        forget-reader reports request=2
        reader reports 0 request=1
        readers
        ",
        "
        kept: the journal after position 0 is kept for this reader
        kept: the journal after position 2 is kept for this reader
        again: kept: the journal after position 0 is kept for this reader
        removed: segments are no longer kept for it
        again: removed: segments are no longer kept for it
        again: kept: the journal after position 0 is kept for this reader
        none
        ",
    );
}

/// The maximum number of readers, with names of the maximum length; no more can be added, but the existing ones can move.
#[test]
fn the_number_of_readers_is_limited() {
    let long = "x".repeat(NAME_BYTES_MAX);
    let mut script = format!("reader \" \" 1\nreader {long}x 1\nreader {long} 1\n");
    let invalid = "refused: a reader's name has 1 to 200 bytes\n";
    let mut expected = invalid.repeat(2);
    for number in 1..READERS_MAX {
        script += &format!("reader reader-{number} 1 by={}\n", number / READERS_PER_CREDENTIAL_MAX + 2);
    }
    expected += &"kept: the journal after position 1 is kept for this reader\n".repeat(READERS_MAX);
    script += "reader one-more 2\nreader one-more 9999\nreader reader-7 2 by=2\nforget-reader reader-1 by=2\nreader one-more 2\n";
    expected += "refused: there are already 64 readers\n\
                 refused: the newest record is at position 68\n\
                 kept: the journal after position 2 is kept for this reader\n\
                 removed: segments are no longer kept for it\n\
                 kept: the journal after position 2 is kept for this reader\n";
    let bench = check_with(Settings::default(), &script, &expected);
    assert_eq!(bench.state.list_readers().readers.len(), READERS_MAX);
    assert_eq!(bench.state.readers.all_passed(), Some(Position(1)));
}

/// Z15: a reader belongs to the credential that registered it. No other one moves it, removes it or learns where it is, except
/// operators, who do not become its owners.
#[test]
fn a_reader_is_moved_by_its_own_credential_and_by_operators() {
    check(
        "
        club Arena
        reader reports 1
        reader reports 2 by=2
        reader reports 9999 by=2
        reader reports 0 by=2
        forget-reader reports by=2
        forget-reader none by=2
        reader reports 2
        reader reports 3 by=2 operator
        reader reports 4
        forget-reader reports by=2 operator
        reader reports 5 by=2
        reader reports 6
        forget-reader reports
        readers
        ",
        "
        registered as club 1
        kept: the journal after position 1 is kept for this reader
        refused: the reader belongs to another credential; an operator can remove it, so that it can be registered again
        refused: the reader belongs to another credential; an operator can remove it, so that it can be registered again
        refused: the reader belongs to another credential; an operator can remove it, so that it can be registered again
        refused: the reader belongs to another credential; an operator can remove it
        refused: there is no reader of that name
        kept: the journal after position 2 is kept for this reader
        kept: the journal after position 3 is kept for this reader
        kept: the journal after position 4 is kept for this reader
        removed: segments are no longer kept for it
        kept: the journal after position 5 is kept for this reader
        refused: the reader belongs to another credential; an operator can remove it, so that it can be registered again
        refused: the reader belongs to another credential; an operator can remove it
        reports at 5 since 0
        ",
    );
}

/// One credential does not fill the table of readers alone; operators may.
#[test]
fn the_readers_of_a_credential_are_limited() {
    let (mut script, mut expected) = (String::new(), String::new());
    for number in 0..READERS_PER_CREDENTIAL_MAX {
        script += &format!("reader reader-{number} 1\n");
        expected += "kept: the journal after position 1 is kept for this reader\n";
    }
    script += "reader one-more 1\nreader reader-3 1\nreader one-more 1 operator\nreader another 1 by=2\n";
    expected += "refused: this credential already has 16 readers\n";
    expected += &"kept: the journal after position 1 is kept for this reader\n".repeat(3);
    check(&script, &expected);
}

/// Z10: a reader that was registered before its credential was recorded belongs to none, and only operators move or remove it.
#[test]
fn a_reader_without_a_credential_is_moved_by_operators() {
    let mut bench = check_with(Settings::default(), "club Arena", "registered as club 1");
    let stamp =
        scrip_protocol::Stamp { request: scrip_protocol::RequestId(77), body: 1, credential: scrip_protocol::CredentialId(1) };
    let kept = scrip_protocol::command::ReaderKept { stamp, name: "reports".into(), position: Position(1) };
    bench.state.apply(super::START_MS, &kept.into());
    assert_eq!(bench.state.list_readers().readers[0].credential, None);
    let decided = |anyones| {
        let mutation = scrip_protocol::command::KeepReader { name: "reports".into(), position: Position(2) };
        let mutation =
            crate::state::KeepReaderRequest { request: mutation, kept_from: Position(1), open_from: Position(1), anyones };
        let mutation = crate::state::Mutation::KeepReader(Box::new(mutation));
        bench.state.decide(super::START_MS, stamp, &mutation, &bench.index)
    };
    assert!(matches!(decided(false), scrip_protocol::Record::RequestRefused(_)));
    assert!(matches!(decided(true), scrip_protocol::Record::ReaderKept(_)));
}

/// Z2, Z3: a dropped activation, top-up or payment is reported as dropped, not as unknown, and the same again on a retry. Faults
/// of the request itself are reported first.
#[test]
fn a_dropped_record_is_not_reported_as_unknown() {
    check(
        "
        club Arena
        campaign amount=2.00 codes=A,B
        redeem client=7 code=A
        redeem client=7 code=B
        top-up 7 10.00 CASH
        pay 7 1.00
        refund 4 kept-from=5
        refund 5 kept-from=5 request=1
        refund 5 kept-from=9 request=1
        refund 5 kept-from=9
        refund 0 kept-from=9
        refund-top-up 6 kept-from=7
        refund-top-up 6 kept-from=7 amount=0
        refund-top-up 6 kept-from=6 amount=1.00
        refund-payment 7 kept-from=8
        refund-payment 7 kept-from=8 amount=0
        refund-payment 7 kept-from=7 amount=0.50
        ",
        "
        registered as club 1
        created campaign 1: added 2, skipped 0
        campaign 1: 2.00 credited, balance 2.00
        campaign 1: 2.00 credited, balance 4.00
        topped up: gaming balance 10.00, bonus balance 4.00, rules fired 0, top-up 6
        Bonus Payment: 1.00, bonus balance 3.00, operation 7
        refused: the journal begins at position 5; earlier operations cannot be refunded
        refunded: 2.00 debited from client 7, bonus balance 1.00
        again: refunded: 2.00 debited from client 7, bonus balance 1.00
        refused: the journal begins at position 9; earlier operations cannot be refunded
        refused: there is no such activation, or it is not yours
        refused: the journal begins at position 7; earlier operations cannot be refunded
        refused: the amount must be more than 0
        refunded: 1.00, gaming balance 9.00, bonus balance 1.00
        refused: the journal begins at position 8; earlier operations cannot be refunded
        refused: the amount must be more than 0
        Bonus Refund: 0.50, bonus balance 1.50, operation 17
        ",
    );
}
