//! Codes: typing, ownership and generation.

use scrip_protocol::command::{
    AddCodesOutcome, ArchiveCampaign, CheckFree, CheckFreeOutcome, CodeFilter, CodeFree, CreateCampaignOutcome, GenerateCodes,
    GenerateCodesOutcome, LineVerdict, ListCodes, ListCodesOutcome, OnConflict, RedeemOutcome, RestoreCampaign, Terms,
    UsageFilter,
};
use scrip_protocol::{CampaignId, RequestId, Role, unix_time_ms};

use super::{add, begin, card, create, numbered, redeem};
use crate::support::{campaign, redemption, run, terms};

/// Pain 12: a code typed in lower case was accepted and not marked as used.
#[tokio::test(flavor = "multi_thread")]
async fn pain_12_a_code_is_used_however_its_letters_are_typed() {
    let (_server, operator, arena) = begin().await;
    campaign(&operator, terms("Case", Some(1), 100), &["Straße-ÄÖ-Ab".to_owned()]).await;
    let first = redeem(&operator, &redemption(1, arena, "strasse-äö-ab")).await;
    assert!(matches!(first, RedeemOutcome::Redeemed(_)), "{first}");
    for typed in ["Straße-ÄÖ-Ab", "STRASSE-ÄÖ-AB", "straße-äö-AB"] {
        assert_eq!(redeem(&operator, &redemption(2, arena, typed)).await, RedeemOutcome::CodeExhausted, "{typed}");
    }
}

/// Pain 13: spaces pasted along with a code made it invalid.
#[tokio::test(flavor = "multi_thread")]
async fn pain_13_white_space_around_a_pasted_code_does_not_matter() {
    let (_server, operator, arena) = begin().await;
    let pasted = [" PASTE", "PASTE\t", "\r\nPASTE\r\n", "\u{a0}PASTE\u{a0}", "\u{feff}PASTE", "PASTE\u{200b}", "\u{3000}PASTE"];
    let id = campaign(&operator, terms("Paste", Some(pasted.len() as u32), 100), &["  PASTE \u{200b}".to_owned()]).await;
    for typed in pasted {
        let outcome = redeem(&operator, &redemption(1, arena, typed)).await;
        assert!(matches!(outcome, RedeemOutcome::Redeemed(_)), "{typed:?}: {outcome}");
    }
    assert_eq!(card(&operator, id).await.codes_redeemable, 0);
}

/// Pain 14: the same code got into two promotions, or was reported as saved when nothing was; and the code of a deleted promotion
/// could not be reused.
#[tokio::test(flavor = "multi_thread")]
async fn pain_14_a_code_belongs_to_one_campaign_and_a_refusal_saves_nothing() {
    let (_server, operator, _) = begin().await;
    let first = campaign(&operator, terms("First", Some(1), 100), &["MINE".to_owned()]).await;
    let refused = create(&operator, terms("Second", Some(1), 100), &["NEW", "mine"], OnConflict::Reject).await;
    let CreateCampaignOutcome::Conflicts(lines) = &refused else { panic!("{refused}") };
    assert_eq!((lines[0].line, lines[0].why), (2, LineVerdict::HeldBy(first)));
    // Nothing was saved: neither the campaign nor the code that was free.
    let free = |codes: &[&str]| CheckFree { codes: codes.iter().collect() };
    let verdicts = operator.call(RequestId(0), &free(&["NEW", "MINE"])).await.expect("a reply");
    let CheckFreeOutcome::Checked { codes, .. } = verdicts else { panic!("a check can have two codes") };
    assert_eq!(codes, [CodeFree::Free, CodeFree::HeldBy(first)]);
    // The code of an archived campaign is free for another one.
    operator.call(RequestId::now(), &ArchiveCampaign { campaign: first }).await.expect("a reply");
    let created = create(&operator, terms("Second", Some(1), 100), &["NEW", "mine"], OnConflict::Reject).await;
    assert!(matches!(created, CreateCampaignOutcome::Created { campaign: CampaignId(2), .. }), "{created}");
}

/// Pain 15: generating 50,000 codes used up all memory, the check of the space's size overflowed, and repeated runs failed as it
/// filled up.
/// Pain 16: it timed out at 10,000.
#[tokio::test(flavor = "multi_thread")]
async fn pain_15_fifty_thousand_codes_are_generated_and_a_small_space_is_refused() {
    let (server, operator, arena) = begin().await;
    let id = campaign(&operator, terms("Generated", Some(1), 100), &["SEED".to_owned()]).await;
    let command =
        |count: u32, pattern: &str| GenerateCodes { campaign: id, count, pattern: pattern.to_owned(), alphabet: String::new() };
    // 31 characters in 16 places: more codes than 64 bits can count.
    let generated = operator.call(RequestId::now(), &command(49_999, "****************")).await.expect("a reply");
    let GenerateCodesOutcome::Generated { first_slot: 1, codes: 49_999, guesses_per_hit } = generated else {
        panic!("{generated}")
    };
    // `SEED` does not match the pattern: no guess hits it.
    assert_eq!(u128::from(guesses_per_hit), 31_u128.pow(16) / 49_999);
    let refused = operator.call(RequestId::now(), &command(1, "****************")).await.expect("a reply");
    assert!(matches!(refused, GenerateCodesOutcome::TooManyCodes(limit) if (limit.current, limit.would_add) == (50_000, 1)));

    // Guesses hit the codes of other campaigns as well, except archived ones.
    let hit = async |pattern: &str, own: &str| {
        let into = campaign(&operator, terms("Another", Some(1), 100), &[own.to_owned()]).await;
        let command = GenerateCodes { campaign: into, ..command(1, pattern) };
        let generated = operator.call(RequestId::now(), &command).await.expect("a reply");
        let GenerateCodesOutcome::Generated { guesses_per_hit, .. } = generated else { panic!("{generated}") };
        u128::from(guesses_per_hit)
    };
    assert_eq!(hit("****************", "A").await, 31_u128.pow(16) / 50_000);
    assert_eq!(hit("sun-************", "B").await, 31_u128.pow(12));
    assert_eq!(hit("SUN-************", "C").await, 31_u128.pow(12) / 2);
    operator.call(RequestId::now(), &ArchiveCampaign { campaign: id }).await.expect("a reply");
    assert_eq!(hit("****************", "D").await, u128::from(u64::MAX).min(31_u128.pow(16) / 2));
    operator.call(RequestId::now(), &RestoreCampaign { campaign: id }).await.expect("a reply");

    let other = campaign(&operator, terms("Small", Some(1), 100), &["SMALL".to_owned()]).await;
    for _ in 0..3 {
        let small = GenerateCodes { campaign: other, ..command(1_000, "SUMMER-###") };
        let refused = operator.call(RequestId::now(), &small).await.expect("a reply");
        assert!(matches!(refused, GenerateCodesOutcome::SpaceTooSmall { guesses_per_hit: 0 }), "{refused}");
    }
    // The generated codes are read back, and redeemed as they are written.
    let listed = ListCodes { campaign: id, from_slot: 1, status: CodeFilter::All, usage: UsageFilter::All };
    let ListCodesOutcome::Codes { codes, next, .. } = operator.call(RequestId(0), &listed).await.expect("a reply") else {
        panic!("the campaign exists")
    };
    assert!(codes.len() > 1_000 && next.is_some() && codes.iter().all(|row| row.code.len() == 16));
    let outcome = redeem(&operator, &redemption(1, arena, &codes[7].code.to_lowercase())).await;
    assert!(matches!(outcome, RedeemOutcome::Redeemed(_)), "{outcome}");
    assert!(server.memory_kib() < 400 << 10, "{} KiB", server.memory_kib());
}

/// Pain 17: duplicates that an import left out were not reported.
#[tokio::test(flavor = "multi_thread")]
async fn pain_17_every_line_that_adds_nothing_is_reported_with_its_reason() {
    let (_server, operator, _) = begin().await;
    let other = campaign(&operator, terms("Other", None, 100), &["TAKEN".to_owned()]).await;
    let id = campaign(&operator, terms("Import", None, 100), &["OLD".to_owned()]).await;
    let lines = ["NEW", "", "new", " Old ", "taken", "two words", "LAST"];
    let AddCodesOutcome::Added(report) = add(&operator, id, &lines, OnConflict::Skip).await else {
        panic!("conflicts are skipped")
    };
    let verdicts: Vec<(u32, String)> = report.skipped.iter().map(|skip| (skip.line, skip.why.to_string())).collect();
    let expected = [
        (3, "duplicate of line 1".to_owned()),
        (4, "already in this campaign".to_owned()),
        (5, format!("held by campaign {other}")),
        (6, "invalid: character 4 is white space".to_owned()),
    ];
    assert_eq!((report.added, verdicts), (2, expected.to_vec()));
}

/// Pain 21: a promotion ended hours or a day early: its end was the midnight at the beginning of its last day. Here the last day
/// is part of the period, and a campaign that enforces its period does so to the millisecond.
#[tokio::test(flavor = "multi_thread")]
async fn pain_21_the_last_day_is_part_of_the_period() {
    let (server, operator, arena) = begin().await;
    let now_ms = unix_time_ms();
    let today = now_ms / 86_400_000 * 86_400_000;
    let day = |ms: u64| {
        let ran = run(std::process::Command::new("date").args(["-u", "-d", &format!("@{}", ms / 1_000), "+%Y-%m-%d"]), b"");
        ran.exits(0).out.trim().to_owned()
    };
    let args = ["campaign", "create", "--name", "Today", "--amount", "1", "--ends", &day(today), "--json"];
    let ran = run(server.scrip(Role::Marketing).args(args), b"TODAY\n").exits(0);
    let id = CampaignId(ran.json()[0]["outcome"]["created"]["campaign"].as_u64().expect("a number") as u32);
    let shown = card(&operator, id).await;
    assert_eq!(shown.terms.ends_ms, Some(today + 86_400_000 - 1));
    assert!(shown.redeemable);

    let enforced = |starts_ms, ends_ms| Terms { starts_ms, ends_ms, enforce_period: true, ..terms("Enforced", None, 100) };
    campaign(&operator, enforced(Some(now_ms - 3_600_000), Some(now_ms + 3_600_000)), &["WITHIN".to_owned()]).await;
    campaign(&operator, enforced(Some(now_ms + 3_600_000), None), &["BEFORE".to_owned()]).await;
    campaign(&operator, enforced(None, Some(now_ms - 1)), &["AFTER".to_owned()]).await;
    let outcome = redeem(&operator, &redemption(1, arena, "WITHIN")).await;
    assert!(matches!(outcome, RedeemOutcome::Redeemed(_)), "{outcome}");
    for code in ["BEFORE", "AFTER"] {
        assert_eq!(redeem(&operator, &redemption(1, arena, code)).await, RedeemOutcome::OutsidePeriod, "{code}");
    }
}

/// Pain 18: an export claimed to be complete after 100 of 190,000 codes. Here each page of a list says whether there are more,
/// and the pages contain every code once.
#[tokio::test(flavor = "multi_thread")]
async fn pain_18_a_list_of_codes_is_complete_or_names_the_next_page() {
    let (_server, operator, _) = begin().await;
    let codes = numbered("PAGE", 20_000);
    let id = campaign(&operator, terms("Pages", None, 100), &codes).await;
    let (mut from_slot, mut read) = (Some(0), Vec::new());
    while let Some(from) = from_slot {
        let query = ListCodes { campaign: id, from_slot: from, status: CodeFilter::Active, usage: UsageFilter::Unused };
        let page = operator.call(RequestId(0), &query).await.expect("a reply");
        let ListCodesOutcome::Codes { codes, next, .. } = page else { panic!("the campaign exists") };
        read.extend(codes.into_iter().map(|row| row.code));
        from_slot = next;
    }
    assert_eq!(read, codes);
}
