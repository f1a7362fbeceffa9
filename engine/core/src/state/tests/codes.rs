//! Codes of campaigns, by requirement: lists, checks of free values, dry runs, generation.

use std::cell::Cell;

use scrip_protocol::command::{
    CODES_LOOKED_AT, CODES_PER_PAGE, CodeFilter, CodeLimit, CreateCampaignOutcome, GUESSES_PER_HIT_MIN, LINES_MAX, LineVerdict,
    OnConflict, Terms, UsageFilter,
};
use scrip_protocol::record::CODES_PER_CAMPAIGN_MAX;
use scrip_protocol::{CampaignId, Money, Record, Settings, wire};

use super::script::{check, check_with, ran, run_on_any};
use super::shown::rows;
use super::{Answer, Bench, START_MS, list, stamp, through_a_file};
use crate::index::snapshot_codes::not_codes;
use crate::index::{Index, normalise};
use crate::state::requests::Remembered;
use crate::state::{AddCodesRequest, CodesRequest, CreateCampaignRequest, Lookup, Mutation, State};

/// T5, X3: the filters for status and for usage combine.
#[test]
fn codes_are_shown_by_status_and_usage() {
    check(
        r#"
        club Arena
        campaign amount=1 cap=2 codes=A,B,C,D,E
        redeem code=A
        redeem code=A
        redeem code=B
        archive-codes 1 codes=B,C
        codes 1
        codes 1 used
        codes 1 unused
        codes 1 active
        codes 1 active used
        codes 1 active unused
        codes 1 archived
        codes 1 archived used
        codes 1 archived unused
        codes 1 conflicting
        campaign amount=1 codes=B,C
        codes 1 conflicting
        codes 1 conflicting used
        codes 1 conflicting unused
        codes 2 archived
        codes 3
        "#,
        r#"
        registered as club 1
        created campaign 1: added 5, skipped 0
        campaign 1: 1.00 credited, balance 1.00
        campaign 1: 1.00 credited, balance 2.00
        campaign 1: 1.00 credited, balance 3.00
        archived 2, skipped 0
        A x2; B x1 archived by itself; C archived by itself; D; E
        A x2; B x1 archived by itself
        C archived by itself; D; E
        A x2; D; E
        A x2
        D; E
        B x1 archived by itself; C archived by itself
        B x1 archived by itself
        C archived by itself
        none
        created campaign 2: added 2, skipped 0
        B x1 archived by itself, held by 2; C archived by itself, held by 2
        B x1 archived by itself, held by 2
        C archived by itself, held by 2
        none
        unknown
        "#,
    );
}

/// X3, X4, K1: pages list all codes of a large campaign, each once, in order, with any filter; also the conflicts, which no reply
/// to a restore lists completely. Pain 18.
#[test]
fn pages_show_every_code_once() {
    let mut bench = Bench::new(Settings::default());
    let mut number = 0;
    let mut run = |bench: &mut Bench, request: Mutation| {
        number += 1;
        assert!(matches!(bench.run(stamp(START_MS, number, number), &request), Answer::New(_)));
    };
    let texts: Vec<String> = (0..2 * CODES_LOOKED_AT + 100).map(|number| format!("code-{number}")).collect();
    let some = |first: usize, step: usize| list(texts.iter().skip(first).step_by(step).map(String::as_str));
    let create = |list| {
        let terms = Terms::new("a campaign", Money(1));
        let on_conflict = OnConflict::Reject;
        Mutation::CreateCampaign(Box::new(CreateCampaignRequest { terms, list, on_conflict }))
    };
    run(&mut bench, create(some(0, 1)));
    let campaign = CampaignId(1);
    run(&mut bench, Mutation::ArchiveCodes(Box::new(CodesRequest { campaign, list: some(0, 2) })));
    // Only codes of the last of three examined ranges, so that the pages before them are empty.
    run(&mut bench, create(some(2 * CODES_LOOKED_AT, 4)));
    let shown = |status, usage| {
        let rows = rows(&bench, campaign, status, usage).expect("there is that campaign");
        rows.iter().map(|row| row.code.clone()).collect::<Vec<_>>()
    };
    let expected = |first: usize, step: usize| texts.iter().skip(first).step_by(step).cloned().collect::<Vec<_>>();
    assert_eq!(shown(CodeFilter::All, UsageFilter::All), texts);
    assert_eq!(shown(CodeFilter::All, UsageFilter::Unused), texts);
    assert_eq!(shown(CodeFilter::All, UsageFilter::Used), Vec::<String>::new());
    assert_eq!(shown(CodeFilter::Archived, UsageFilter::All), expected(0, 2));
    assert_eq!(shown(CodeFilter::Active, UsageFilter::All), expected(1, 2));
    assert_eq!(shown(CodeFilter::Conflicting, UsageFilter::All), expected(2 * CODES_LOOKED_AT, 4));
    assert!(texts.len() > 8 * CODES_PER_PAGE, "there are many pages");
    bench.compare_with_replay();
}

/// Z6, K7, K4: whether values can be added, and which campaigns hold the others; letter case and white space aside.
#[test]
fn values_are_free_or_held_by_a_campaign() {
    check(
        r#"
        club Arena
        campaign amount=1 codes=Summer,ЛЕТО off
        campaign amount=1 codes=B to=0
        free codes=" sUMMER,лето ,b,C,"
        free codes="in side, ,C"
        archive-codes 1 codes=summer
        archive 2
        free codes=SUMMER,ЛЕТО,B
        campaign amount=1 codes=SUMMER
        free codes=SUMMER,ЛЕТО,B
        restore 2
        free codes=SUMMER,ЛЕТО,B
        "#,
        r#"
        registered as club 1
        created campaign 1: added 2, skipped 0
        created campaign 2: added 1, skipped 0
        held by campaign 1, held by campaign 1, held by campaign 2, free, invalid: it is empty
        invalid: character 3 is white space, invalid: it is empty, free
        archived 1, skipped 0
        archived with 1 codes
        free, held by campaign 1, free
        created campaign 3: added 1, skipped 0
        held by campaign 3, held by campaign 1, free
        restored with 1 codes
        held by campaign 3, held by campaign 1, held by campaign 2
        "#,
    );
}

/// A limit in an older journal that exceeds the maximum of a campaign is not applied.
#[test]
fn a_campaign_never_holds_more_than_a_record_can_restore() {
    let settings = Settings { codes_per_campaign_max: u32::MAX, ..Settings::default() };
    let mut bench = Bench::new(settings);
    let terms = Terms::new("Large", Money(100));
    let create =
        CreateCampaignRequest { terms, list: list(["A"]).after(CODES_PER_CAMPAIGN_MAX), on_conflict: OnConflict::Reject };
    let Answer::New(Remembered::Other(reply)) = bench.run(stamp(START_MS, 1, 1), &Mutation::CreateCampaign(Box::new(create)))
    else {
        panic!("a new request");
    };
    let outcome: CreateCampaignOutcome = wire::decode("create-campaign", &reply.1).expect("its reply");
    let limit = CodeLimit { limit: CODES_PER_CAMPAIGN_MAX, current: 0, would_add: CODES_PER_CAMPAIGN_MAX + 1 };
    assert_eq!(outcome, CreateCampaignOutcome::TooManyCodes(limit));
}

/// Z7, A15, K5: a dry run gives the same verdict for each line as adding, and adds nothing.
#[test]
fn a_dry_run_answers_like_adding() {
    let settings = Settings { codes_per_campaign_max: 4, ..Settings::default() };
    check_with(
        settings,
        r#"
        club Arena
        campaign amount=1 codes=A,B
        campaign amount=1 codes=X
        try 1 codes="new, ,NEW,b,x,in side" skip
        try 1 codes="new, ,NEW,b,x,in side"
        try 1 codes="new,NEW,b"
        add 1 codes="new,NEW,b"
        try 1 codes="C,D"
        try 1 codes="C,b"
        try 1 codes=" ,"
        try 4 codes=C
        archive 2
        try 2 codes=C
        try 1 codes=x
        try new codes="A,C,c" skip
        try new codes="A,C,c"
        try new codes="C,D,E,F,G"
        try new codes="A,b b" skip
        campaign amount=1 codes="A,b b" skip
        try new codes=
        free codes=C,D,NEW
        "#,
        r#"
        registered as club 1
        created campaign 1: added 2, skipped 0
        created campaign 2: added 1, skipped 0
        added 1, skipped 4; 3 NEW: duplicate of line 1; 4 b: already in this campaign; 5 x: held by campaign 2; 6 in side: invalid: character 3 is white space
        refused: lines that cannot be added: 2; 5 x: held by campaign 2; 6 in side: invalid: character 3 is white space
        added 1, skipped 2; 2 NEW: duplicate of line 1; 3 b: already in this campaign
        added 1, skipped 2; 2 NEW: duplicate of line 1; 3 b: already in this campaign
        refused: a campaign holds at most 4 codes; this one has 3 and the list would add 2
        added 1, skipped 1; 2 b: already in this campaign
        refused: the list has no codes
        refused: there is no such campaign
        archived with 1 codes
        refused: the campaign is archived
        added 1, skipped 0
        added 1, skipped 2; 1 A: held by campaign 1; 3 c: duplicate of line 2
        refused: lines that cannot be added: 1; 1 A: held by campaign 1
        refused: a campaign holds at most 4 codes; this one has 0 and the list would add 5
        refused: lines that cannot be added: 2; 1 A: held by campaign 1; 2 b b: invalid: character 2 is white space
        refused: lines that cannot be added: 2; 1 A: held by campaign 1; 2 b b: invalid: character 2 is white space
        refused: the list has no codes
        free, free, held by campaign 1
        "#,
    );
}

/// Z8, K9: generated codes are added like others, in a batch of their own, and can be redeemed.
#[test]
fn codes_are_generated_and_redeemed() {
    check(
        r#"
        club Arena
        campaign amount=1 cap=1 codes=A
        at 700
        generate 1 count=2 space=9000000 existing=1 drawn=G,H,spare
        redeem code=g
        redeem code=H
        redeem code=spare
        codes 1
        card 1
        show added 1
        generate 1 count=3
        card 1
        show added 1
        "#,
        r#"
        registered as club 1
        created campaign 1: added 1, skipped 0
        generated 2 codes; guessing one takes 3000000 attempts on average
        campaign 1: 1.00 credited, balance 1.00
        campaign 1: 1.00 credited, balance 2.00
        unknown_code
        A; G x1; H x1
        3 codes: 0 archived, 2 activated, 1 available, 1 redeemable
        1 at 0, 2 at 700
        generated 3 codes; guessing one takes 18446744073709551615 attempts on average
        6 codes: 0 archived, 2 activated, 4 available, 4 redeemable
        1 at 0, 2 at 700, 3 at 700
        "#,
    );
}

/// Z8: no code is generated that any campaign has or had, archived or not, so that none prevents a restore. If too many of the
/// drawn codes exist, nothing is added.
#[test]
fn no_existing_code_is_generated() {
    check(
        r#"
        club Arena
        campaign amount=1 codes=A,B
        campaign amount=1 codes=X
        campaign amount=1 codes=Y,Z
        archive-codes 1 codes=B
        archive 3
        generate 1 count=2 space=90000000 existing=2 drawn=A,b,x,Y,new,newer,newest
        codes 1
        generate 1 count=2 space=90000000 existing=4 drawn=A,b,x,Y,NEW,fresh
        generate 1 count=1 space=90000000 drawn=
        codes 1
        restore 3
        "#,
        r#"
        registered as club 1
        created campaign 1: added 2, skipped 0
        created campaign 2: added 1, skipped 0
        created campaign 3: added 2, skipped 0
        archived 1, skipped 0
        archived with 2 codes
        generated 2 codes; guessing one takes 22500000 attempts on average
        A; B archived by itself; new; newer
        refused: too many of the generated codes already exist; use a longer pattern
        refused: too many of the generated codes already exist; use a longer pattern
        A; B archived by itself; new; newer
        restored with 2 codes
        "#,
    );
}

/// Z8, A2, pain 15: refusals in order of precedence, each with all later faults; a code space that is too small to be safe is
/// refused at its exact limit, however often it is requested, and nothing overflows.
#[test]
fn refusals_of_generation_come_in_order_of_precedence() {
    let settings = Settings { codes_per_campaign_max: 3, ..Settings::default() };
    let (edge, too_many) = (3 * GUESSES_PER_HIT_MIN, LINES_MAX + 1);
    let script = format!(
        r#"
        club Arena
        campaign amount=1 codes=A
        generate 2 count=0 pattern=" "
        archive 1
        generate 1 count=0 pattern=" "
        restore 1
        generate 1 count=0 pattern=" "
        generate 1 count={too_many} pattern=" "
        generate 1 count=3 pattern=" "
        generate 1 count=3 pattern=A
        generate 1 count=3 pattern=*
        generate 1 count=4294967295 pattern=*
        generate 1 count=2 pattern=*
        generate 1 count=2 pattern=****
        generate 1 count=2 space={} existing=1 drawn=B,C
        generate 1 count=2 space={edge} existing=1 drawn=B,C
        generate 1 count=2 alphabet=abA pattern=****************
        "#,
        edge - 1
    );
    check_with(
        settings,
        &script,
        r#"
        registered as club 1
        created campaign 1: added 1, skipped 0
        refused: there is no such campaign
        archived with 1 codes
        refused: the campaign is archived
        restored with 1 codes
        refused: 1 to 65536 codes can be generated at once
        refused: 1 to 65536 codes can be generated at once
        refused: character 1 of the pattern is not allowed in a code
        refused: the pattern needs at least one *, # or @
        refused: a campaign holds at most 3 codes; this one has 1 and the list would add 3
        refused: 1 to 65536 codes can be generated at once
        refused: the pattern allows too few codes: one in 15 guesses would hit, and at least 1000000 are required; use a longer pattern
        refused: the pattern allows too few codes: one in 461760 guesses would hit, and at least 1000000 are required; use a longer pattern
        refused: the pattern allows too few codes: one in 999999 guesses would hit, and at least 1000000 are required; use a longer pattern
        generated 2 codes; guessing one takes 1000000 attempts on average
        refused: character 3 of the alphabet is listed twice (letter case is ignored)
        "#,
    );
}

/// K9: stored codes with invalid texts, such as those of a program that normalises differently, are counted and logged; the
/// others are found.
#[test]
fn stored_codes_that_cannot_be_looked_up_are_counted() {
    let mut records = ran("club Arena\ncampaign amount=1 codes=A,B,C\nadd 1 codes=D").records;
    for (_, record) in &mut records {
        if let Record::CampaignCreated(created) = record {
            created.codes = ["A", "B C", "C"].into_iter().collect();
        } else if let Record::CodesAdded(added) = record {
            added.codes = ["D\u{200b}E"].into_iter().collect();
        }
    }
    let (mut state, followed) = (State::default(), Index::of(&State::default()));
    for (time_ms, record) in &records {
        state.apply(*time_ms, record);
        followed.follow(&state, record);
    }
    assert_eq!((followed.not_codes(), Index::of(&state).not_codes()), (2, 2));
    let restarted = through_a_file(&state);
    let index = Index::of(&restarted);
    let in_snapshot = |goes_on: bool| not_codes(restarted.campaigns.base(), restarted.code_form(), &|| goes_on);
    assert_eq!((index.not_codes(), in_snapshot(true), in_snapshot(false)), (0, Some(2), None));
    for code in ["a", "c"] {
        let code = normalise(code).expect("a code");
        assert!(followed.find(&code).is_some() && followed.find(&code) == index.find(&code));
    }
}

/// K7, A6: a campaign recognises its archived codes whose values another campaign has had since. A list costs as much as it is long,
/// however many codes are archived: they are hashed once.
#[test]
fn the_cost_of_a_list_does_not_depend_on_the_number_of_archived_codes() {
    const ARCHIVED: usize = 500;
    let all = (0..ARCHIVED).map(|n| format!("C{n}")).collect::<Vec<_>>().join(",");
    let script = |both: &str| format!("archive-codes 1 codes={both}\nadd 2 codes={both}\narchive-codes 2 codes={both}\n");
    let mut bench = ran(&format!("campaign amount=1 codes={all},LATE\ncampaign amount=1 codes=OTHER\n{}", script(&all)));
    let mut number = 1_000_000;
    let mut decided = |bench: &Bench, request: &Mutation| {
        number += 1;
        let record = bench.state.decide(bench.now_ms, stamp(bench.now_ms, number, 0), request, &bench.index);
        let skipped = if let Record::CodesAdded(record) = record {
            record.skipped
        } else if let Record::CodesArchived(record) = record {
            record.skipped
        } else if let Record::CodesRestored(record) = record {
            record.skipped
        } else {
            panic!("{record:?}")
        };
        skipped.first().map(|skip| skip.why)
    };
    let campaign = CampaignId(1);
    // How many codes it takes to be normalised to find one.
    let cost = |bench: &Bench, code: &str| {
        let (form, count) = (bench.state.code_form(), Cell::new(0));
        let counting = |text: &str| {
            count.set(count.get() + 1);
            form.normalise(text).ok()
        };
        let value = normalise(code).expect("a code");
        assert!(bench.state.campaigns.of(campaign).expect("it is there").archived_slot(&value, &counting).is_some(), "{code}");
        count.get()
    };
    let add = |code: &str| {
        let request = AddCodesRequest { campaign: Some(campaign), list: list([code]), on_conflict: OnConflict::Skip };
        Mutation::AddCodes(Box::new(request))
    };
    let of = |code: &str| Box::new(CodesRequest { campaign, list: list([code]) });
    let first = cost(&bench, "c7");
    assert!((ARCHIVED..ARCHIVED + 10).contains(&first), "the first hashes all: {first}");
    assert_eq!(decided(&bench, &add("c7")), Some(LineVerdict::AlreadyInCampaign));
    // Another one is archived after that.
    run_on_any(&mut bench, &format!("at 1000\n{}", script("LATE")));
    for code in ["c7", "late"] {
        let cost = cost(&bench, code);
        assert!(cost < 10, "{cost} for a list of one code");
        assert_eq!(decided(&bench, &add(code)), Some(LineVerdict::AlreadyInCampaign), "{code}");
        assert_eq!(decided(&bench, &Mutation::ArchiveCodes(of(code))), Some(LineVerdict::AlreadyArchived), "{code}");
        assert_eq!(decided(&bench, &Mutation::RestoreCodes(of(code))), None, "{code}");
    }
    // One that the other campaign alone had; and one that is archived nowhere in this campaign any longer.
    assert_eq!(decided(&bench, &Mutation::RestoreCodes(of("other"))), Some(LineVerdict::NotInCampaign));
    run_on_any(&mut bench, "at 2000\nrestore-codes 1 codes=C7\narchive 1");
    assert_eq!(decided(&bench, &Mutation::ArchiveCodes(of("late"))), Some(LineVerdict::AlreadyArchived));
    run_on_any(&mut bench, "at 3000\nrestore 1");
    assert_eq!(decided(&bench, &add("c7")), Some(LineVerdict::AlreadyInCampaign));
    assert_eq!(decided(&bench, &add("c8")), Some(LineVerdict::AlreadyInCampaign));
    bench.compare_with_replay();
}
