//! Every byte of a small snapshot is changed in turn, and the file is cut at every page: the change is reported or harmless. An
//! engine uses a large snapshot before it is verified; queries of damaged tables may then return anything, but they return.

use scrip_protocol::command::CheckOutcome;
use scrip_protocol::{CampaignId, ClientId, ClubId, CredentialId, Kind, Position, Record, Stamp};

use super::{Sample, Snapshot, SnapshotError, new_disk, written};
use crate::snapshot::Section;
use crate::snapshot::layout::PAGE;
use scrip_core::index::{Index, normalise};
use scrip_core::state::tests::run_on_any;
use scrip_core::state::{Lookup, State, first_difference};
use scrip_journal::disk::double::Image;
use scrip_journal::disk::double::each;

/// Every query about everything in the sample, and records of every kind.
const AFTER: &str = r#"
    check code=A club=1
    check code=łódź-25
    codes 1 archived unused
    codes 1 used
    codes 2 active
    card 1
    card 2
    campaigns all
    free codes=A,B,C,Q,ŁÓDŹ-25
    try 1 codes=A,Z skip
    try new codes=A,C
    show client 7
    show added 1
    accounts 8
    groups
    rules active
    readers
    redeem client=7 club=1 code=A
    redeem client=8 club=1 code=A
    redeem client=9 club=1 code=łódź-25
    redeem client=8 club=1 code=B
    redeem client=8 club=2 code=E
    redeem client=9 club=1 code=C
    redeem client=9 club=1 code=X
    redeem client=7 club=1 code=none
    refund 10
    refund 10
    refund 11
    refund 12 force
    hold code=A client=7 club=1
    hold code=E client=8 club=1
    hold code=Y client=10 club=1
    confirm 18
    archive-codes 1 codes=A,ŁÓDŹ-25
    restore-codes 1 codes=A,C
    add 1 codes=A,F,X skip
    add 2 codes=B,G skip
    update 1 cap=1 per-client=1 uses=4
    archive 1
    campaign amount=1 codes=A,E,ŁÓDŹ-25 skip
    restore 1
    archive 2
    restore 2
    generate 1 count=2 pattern=VIP-** drawn=VIP-AA,VIP-AB space=9000000
    client 8 Bob
    client 7
    client 10 Eve
    top-up 7 700.00 CASH
    top-up 8 1.00 CASH
    top-up 9 600.00 CASH
    top-up 9 1.00 CASH
    refund-top-up 27 operator claw-back
    refund-top-up 28 operator claw-back amount=500.00
    credit 8 1.00
    write-off 7 1.00
    pay 8 1.00
    refund-payment 32 operator
    session 9 1.00
    purchase 8 1.00 directly
    reader reports 20
    card 1
    card 2
    card 3
    codes 1 conflicting
    accounts 7
    accounts 9
    groups
    check code=A club=1
"#;

/// The location of a byte in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place<'a> {
    Header,
    In(&'a Section),
    Between,
}

fn place(sections: &[Section], at: usize) -> Place<'_> {
    let holds = |section: &&Section| (section.offset..section.offset + section.bytes).contains(&(at as u64));
    match sections.iter().find(holds) {
        _ if at < PAGE => Place::Header,
        Some(section) => Place::In(section),
        None => Place::Between,
    }
}

/// Z11, pain 29: a changed byte is reported with its file and section, and no query of a state over it panics.
#[test]
fn any_byte_changed_is_named_and_harms_nobody_who_did_not_look() {
    let sample = Sample::new();
    let snapshot = sample.open();
    let sections = &snapshot.header().sections;
    let image = sample.disk.image();
    each(sample.kept.bytes as usize, fastrand::u64(..), |at, random| {
        let disk = image.clone().disk();
        let bit = random.u8(..8);
        disk.tamper(&sample.kept.path, |bytes| bytes[at] ^= 1 << bit);
        let what = format!("bit {bit} of byte {at}");
        let opened = Snapshot::open(&disk, &sample.kept.path);
        let place = place(sections, at);
        if place == Place::Header {
            let error = opened.expect_err(&what);
            assert!(error.to_string().starts_with("/data/snapshots/"), "{what}: {error}");
            return;
        }
        let opened = opened.expect(&what);
        let verified = opened.verify(&mut |_| {});
        let Place::In(section) = place else {
            verified.expect(&what);
            if random.u8(..64) == 0 {
                assert_eq!(opened.state().expect(&what), sample.state, "{what}");
            }
            return;
        };
        check_named(&verified, section, &what);
        match opened.state() {
            Err(error) => {
                assert!(error.to_string().starts_with("/data/snapshots/"), "{what}: {error}");
                if section.name == "small" {
                    check_named(&Err(error), section, &what);
                }
            }
            Ok(state) => {
                assert_ne!(section.name, "small", "{what}");
                println!("{what}, in {}", section.name);
                use_all(&sample.state, state, &sample.records);
            }
        }
    });
}

#[track_caller]
fn check_named(found: &Result<(), SnapshotError>, section: &Section, what: &str) {
    let Err(SnapshotError::Damaged { section: name, offset, end, .. }) = found else { panic!("{what}: {found:?}") };
    assert_eq!((*name, *offset, *end), (section.name, section.offset, section.offset + section.bytes), "{what}");
}

/// Runs all queries on a state, and applies records to it.
pub(super) fn use_all(whole: &State, state: State, records: &[(u64, Record)]) {
    let index = Index::of(&state);
    let _any = (first_difference(whole, &state), *whole == state);
    for (_, campaign) in whole.campaigns.after(CampaignId(0)) {
        for code in campaign.codes.iter() {
            index.find(&normalise(code).expect("codes are codes"));
        }
        let CheckOutcome::Checked { codes, .. } = index.check(state.now_ms(), ClubId(1), campaign.codes.iter()) else {
            panic!("they are few")
        };
        assert_eq!(codes.len(), campaign.codes.len());
        index.check_free(campaign.codes.iter());
    }
    for (_, campaign) in state.campaigns.after(CampaignId(0)) {
        let uses = campaign.clients.iter().flat_map(|clients| clients.iter()).count();
        assert!(uses <= 8 && campaign.codes.iter().count() <= campaign.codes.len());
    }
    for client in whole.clients.iter().map(|(client, _)| client).chain([ClientId(0), ClientId(u128::MAX)]) {
        let _any = (state.clients.accounts(client), state.clients.name(client), state.groups.of_client(client));
    }
    assert!(state.clients.names().count() <= 8 && state.groups.members().count() <= 8);
    for position in 0..=records.len() as u64 + 1 {
        let _any = (state.given_back.is_refunded(Position(position)), state.given_back.of(Position(position)));
    }
    assert_eq!(state.requests.rows().count(), whole.requests.len());
    for (request, body, _) in whole.requests.rows() {
        for body in [body, 99] {
            let _any = state.admit(state.now_ms(), &Stamp { request, body, credential: CredentialId(1) }, || Kind::Redeem);
        }
    }
    // No snapshot is taken of an unverified state; if it were, it would finish.
    let disk = new_disk();
    if let Ok(kept) = written(&disk, &super::dir(), &state)
        && let Ok(next) = Snapshot::open(&disk, &kept.path).and_then(|next| next.state())
    {
        Index::of(&next);
    }
    run_on_any(state, records, AFTER);
}

/// The undamaged file passes the script as well, which shows that the script works.
#[test]
fn a_whole_snapshot_is_used_as_the_damaged_ones_are() {
    let sample = Sample::new();
    use_all(&sample.state, sample.open().state().expect("it is whole"), &sample.records);
}

/// A truncated file is not a snapshot.
#[test]
fn a_file_cut_short_is_named() {
    let sample = Sample::new();
    let image = sample.disk.image();
    let bytes = sample.kept.bytes as usize;
    let pages = (0..bytes).step_by(PAGE).flat_map(|page| page.saturating_sub(1)..page + 2);
    for length in (0..PAGE + 16).chain(pages).filter(|length| *length < bytes) {
        check_length(
            &image,
            &sample,
            length,
            if length < PAGE { "it is shorter than a header" } else { "its length is not the one in its header" },
        );
    }
    for more in [1, PAGE, 3 * PAGE + 7] {
        check_length(&image, &sample, bytes + more, "its length is not the one in its header");
    }
}

#[track_caller]
fn check_length(image: &Image, sample: &Sample, length: usize, expected: &str) {
    let disk = image.clone().disk();
    disk.tamper(&sample.kept.path, |bytes| bytes.resize(length, 0));
    let error = Snapshot::open(&disk, &sample.kept.path).expect_err("it has another length");
    let named = matches!(&error, SnapshotError::Header { path, what } if *path == sample.kept.path && what.starts_with(expected));
    assert!(named, "{length} bytes: {error}");
}
