//! The rows of exports, and their contents.

use super::handwritten::{AS_OF, Model, NOW_MS, codes, export, log};
use crate::export::{ExportError, Format, Status, Usage, What, activation_log, code_list};
use scrip_protocol::CampaignId;

/// T7, A14, T6: one row for each activation of each code, by slot, then in order; one row without activation for a code that had
/// none.
#[test]
fn a_code_list_has_a_row_for_each_activation() {
    let model = Model::new();
    model.campaign(1, "Winter", &["ONE", "TWO", "THREE"]);
    model.put("UPDATE codes_added SET codes = 1", &[]);
    model.put("INSERT INTO codes_added VALUES (1, 1, 2, ?1, 2, 'added')", &[&(NOW_MS + 60_000)]);
    model.activate(20, 1, 0);
    model.activate_by(30, 1, 2, &"0190b6a0-7c1e-7d43-9a52-3f8d2f0b6c11", 2);
    model.activate(40, 1, 0);
    model.activate(50, 1, 0);
    model.refund(60, 40, 200);
    assert_eq!(
        model.lines(codes(1)),
        [
            "campaign,campaign_name,code,status,added_at,activations,activation,activated_at,client,client_name,club,club_name,amount,\
             refunded_at,refunded_amount,as_of_position",
            "1,Winter,ONE,active,2026-12-31T00:00:00.000Z,2,20,2026-12-31T00:00:20.000Z,7,Ann,1,Arena North,5.00,,,90000",
            "1,Winter,ONE,active,2026-12-31T00:00:00.000Z,2,40,2026-12-31T00:00:40.000Z,7,Ann,1,Arena North,5.00,\
             2026-12-31T00:01:00.000Z,3.00,90000",
            "1,Winter,ONE,active,2026-12-31T00:00:00.000Z,2,50,2026-12-31T00:00:50.000Z,7,Ann,1,Arena North,5.00,,,90000",
            "1,Winter,TWO,active,2026-12-31T00:01:00.000Z,0,,,,,,,,,,90000",
            "1,Winter,THREE,active,2026-12-31T00:01:00.000Z,1,30,2026-12-31T00:00:30.000Z,0190b6a0-7c1e-7d43-9a52-3f8d2f0b6c11,,2,\
             Arena South,5.00,,,90000",
        ]
    );
}

/// The codes under two filters, each as `code status activations`.
fn filtered(model: &Model, status: Status, usage: Usage) -> Vec<String> {
    let rows = model.rows(What::Codes { campaign: CampaignId(1), status, usage });
    let cell = |row: &str, at: usize| row.split(',').nth(at).expect("rows have all columns").to_owned();
    rows.iter().map(|row| format!("{} {} {}", cell(row, 2), cell(row, 3), cell(row, 5))).collect()
}

/// X3, T5: archived codes are exported with the kind of archiving; both filters apply together. A code whose activations were all
/// refunded is unused, but they stay in its rows.
#[test]
fn archived_codes_are_exported_and_both_filters_apply() {
    let model = Model::new();
    model.campaign(1, "Winter", &["USED", "FREE", "BACK", "GONE", "LEFT"]);
    model.put("UPDATE code SET archived = 2 WHERE slot = 3", &[]);
    model.put("UPDATE code SET archived = 1 WHERE slot = 4", &[]);
    for (position, slot) in [(10, 0), (20, 2), (30, 3)] {
        model.activate(position, 1, slot);
    }
    model.refund(40, 20, 0);

    let all = ["USED active 1", "FREE active 0", "BACK active 0", "GONE archived 1", "LEFT archived_left_behind 0"];
    assert_eq!(filtered(&model, Status::All, Usage::All), all);
    assert_eq!(filtered(&model, Status::All, Usage::Used), [all[0], all[3]]);
    assert_eq!(filtered(&model, Status::All, Usage::Unused), [all[1], all[2], all[4]]);
    assert_eq!(filtered(&model, Status::Active, Usage::All), all[..3]);
    assert_eq!(filtered(&model, Status::Active, Usage::Used), all[..1]);
    assert_eq!(filtered(&model, Status::Active, Usage::Unused), all[1..3]);
    assert_eq!(filtered(&model, Status::Archived, Usage::All), all[3..]);
    assert_eq!(filtered(&model, Status::Archived, Usage::Used), all[3..4]);
    assert_eq!(filtered(&model, Status::Archived, Usage::Unused), all[4..]);
    let refunded = &model.rows(codes(1))[2];
    assert!(
        refunded.ends_with(",0,20,2026-12-31T00:00:20.000Z,7,Ann,1,Arena North,5.00,2026-12-31T00:00:40.000Z,5.00,90000"),
        "{refunded}"
    );

    model.put("UPDATE campaign SET archived_ms = 1", &[]);
    let with_it = [
        "USED archived_with_campaign 1",
        "FREE archived_with_campaign 0",
        "BACK archived_with_campaign 0",
        "GONE archived 1",
        "LEFT archived_with_campaign 0",
    ];
    assert_eq!(filtered(&model, Status::All, Usage::All), with_it);
    assert_eq!(filtered(&model, Status::Archived, Usage::All), with_it);
    assert_eq!(filtered(&model, Status::Archived, Usage::Used), [with_it[0], with_it[3]]);
    assert_eq!(filtered(&model, Status::Active, Usage::All), [""; 0]);
}

/// T7, T6, A14: the log has client, time, club, credential, request and refund of each activation.
#[test]
fn a_log_has_every_activation_in_its_order() {
    let model = Model::new();
    model.campaign(1, "Winter", &["ONE"]);
    model.campaign(2, "Spring", &["TWO"]);
    model.activate(20, 1, 0);
    model.activate_by(30, 2, 0, &"0190b6a0-7c1e-7d43-9a52-3f8d2f0b6c11", 2);
    model.activate(40, 1, 0);
    model.put("UPDATE activation SET hold = 39, top_up = 12, balance = -1 WHERE activation = 40", &[]);
    model.refund(60, 20, 120);
    let lines = model.lines(log(None));
    assert_eq!(
        lines,
        [
            "activation,activated_at,campaign,campaign_name,code,client,client_name,club,club_name,amount,balance,credential,credential_name,\
             request,hold,top_up,refunded_at,refunded_amount,uncollected,as_of_position",
            "20,2026-12-31T00:00:20.000Z,1,Winter,ONE,7,Ann,1,Arena North,5.00,15.00,3,Kiosk,00000000-0000-0000-0000-000000000014,,,\
             2026-12-31T00:01:00.000Z,3.80,1.20,90000",
            "30,2026-12-31T00:00:30.000Z,2,Spring,TWO,0190b6a0-7c1e-7d43-9a52-3f8d2f0b6c11,,2,Arena South,5.00,15.00,3,Kiosk,\
             00000000-0000-0000-0000-00000000001e,,,,,,90000",
            // A negative amount stays a number.
            "40,2026-12-31T00:00:40.000Z,1,Winter,ONE,7,Ann,1,Arena North,5.00,-0.01,3,Kiosk,00000000-0000-0000-0000-000000000028,39,12,,,,\
             90000",
        ]
    );
    assert_eq!(model.rows(log(Some(2))), lines[2..3]);
    assert_eq!(model.rows(log(Some(1))), [lines[1].clone(), lines[3].clone()]);
}

/// T7: a range of time includes its start and excludes its end, for one campaign or all, across the boundaries of stretches.
#[test]
fn a_log_can_be_of_a_range_of_time() {
    let model = Model::new();
    model.campaign(1, "Winter", &["ONE"]);
    model.campaign(2, "Spring", &["TWO"]);
    let positions = [1, 2, 4_094, 4_095, 4_096, 4_097, 8_191, 8_192, 12_288, 89_999, 90_000];
    for (campaign, position) in [1, 2].into_iter().cycle().zip(positions) {
        model.activate(position, campaign, 0);
    }
    let at = |position: i64| u64::try_from(NOW_MS + position * 1_000).expect("it is after 1970");
    let check = |campaign: Option<u32>, from: Option<i64>, to: Option<i64>| {
        let what = What::Activations { campaign: campaign.map(CampaignId), from_ms: from.map(at), to_ms: to.map(at) };
        let found: Vec<i64> = model
            .rows(what)
            .iter()
            .map(|row| row.split(',').next().expect("rows have columns").parse().expect("a position"))
            .collect();
        let is_of = |at: usize| campaign.is_none_or(|campaign| campaign as usize == at % 2 + 1);
        let within = |position: i64| from.is_none_or(|from| position >= from) && to.is_none_or(|to| position < to);
        let expected = positions.into_iter().enumerate().filter(|(at, position)| is_of(*at) && within(*position));
        assert_eq!(found, expected.map(|(_, position)| position).collect::<Vec<_>>(), "{campaign:?} {from:?} {to:?}");
    };
    let ends = [
        None,
        Some(0),
        Some(1),
        Some(2),
        Some(3),
        Some(4_095),
        Some(4_096),
        Some(4_097),
        Some(8_192),
        Some(90_000),
        Some(90_001),
    ];
    for campaign in [None, Some(1), Some(2)] {
        for from in ends {
            ends.iter().for_each(|to| check(campaign, from, *to));
        }
    }
}

/// Pain 31: no name or code runs as a formula in a spreadsheet; quotes and line ends stay within their cell.
#[test]
fn nothing_in_a_csv_is_run() {
    let texts = [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("\nx", "'\nx"),
        ("＝1", "'＝1"),
        ("Ann;=1+1", "Ann;'=1+1"),
        ("Ann\t=1+1", "Ann\t'=1+1"),
        ("Ann, -1", "Ann, '-1"),
        ("Ann\r\n@SUM(A1)", "Ann\r\n'@SUM(A1)"),
        ("a=1", "a=1"),
        ("'x", "'x"),
        ("say \"hi\", now", "say \"hi\", now"),
    ];
    for (text, cell) in texts {
        let model = Model::new();
        model.campaign(1, text, &[text]);
        model.put("UPDATE club SET name = ?1", &[&text]);
        model.put("UPDATE client SET name = ?1", &[&text]);
        model.put("UPDATE credential SET name = ?1", &[&text]);
        model.activate(10, 1, 0);
        let (added, at) = ("2026-12-31T00:00:00.000Z", "2026-12-31T00:00:10.000Z");
        let list = ["1", cell, cell, "active", added, "1", "10", at, "7", cell, "1", cell, "5.00", "", "", "90000"];
        assert_eq!(model.fields(codes(1))[1], list);
        let request = "00000000-0000-0000-0000-00000000000a";
        let activation = ["10", at, "1", cell, cell, "7", cell, "1", cell, "5.00", "15.00", "3", cell, request];
        let rest = ["", "", "", "", "", "90000"];
        assert_eq!(model.fields(log(None))[1], [&activation[..], &rest].concat());
    }
}

/// Z14: texts are quoted and numbers are not, so that a program that also splits at other characters does not split a text.
#[test]
fn texts_are_quoted() {
    let model = Model::new();
    model.campaign(1, "Winter", &["A;B"]);
    let (bytes, _) = model.export(&export(codes(1), Format::Csv)).expect("it is exported");
    let text = String::from_utf8(bytes).expect("it is UTF-8");
    let row = text.lines().nth(1).expect("a code");
    assert_eq!(row, r#"1,"Winter","A;B","active",2026-12-31T00:00:00.000Z,0,,,,,,,,,,90000"#);
}

/// Z14: UTF-8, with a byte order mark on request.
#[test]
fn a_byte_order_mark_is_written_on_request() {
    let model = Model::new();
    model.campaign(1, "Frühling", &["ÄÖÜ"]);
    let plain = export(codes(1), Format::Csv);
    let (without, _) = model.export(&plain).expect("it is exported");
    let (with, _) = model.export(&crate::export::Export { byte_order_mark: true, ..plain }).expect("it is exported");
    assert!(without.starts_with(b"campaign,"));
    assert_eq!(with, [b"\xef\xbb\xbf".as_slice(), &without].concat());
}

/// Pain 18: if the read model lacks rows that it should have, the export fails; it is never a shorter file.
#[test]
fn a_missing_activation_is_an_error() {
    let model = Model::new();
    model.campaign(1, "Winter", &["ONE", "TWO"]);
    for position in [10, 20, 30] {
        model.activate(position, 1, 1);
    }
    for missing in [30, 10] {
        model.put("DELETE FROM activation WHERE activation = ?1", &[&missing]);
        let failed = model.export(&export(codes(1), Format::Csv)).expect_err("one is missing");
        assert!(matches!(failed, ExportError::Missing { slot: 1, expected: 3, .. }), "{failed:?}");
    }
    model.put("DELETE FROM code", &[]);
    let failed = model.export(&export(log(None), Format::Csv)).expect_err("the code of an activation is missing");
    assert!(matches!(failed, ExportError::Sqlite(_)), "{failed:?}");
}

/// Pain 18: a code whose activations are all before this history begins is listed once, with their number; a code with later
/// activations has a row for each of these, and none may be missing.
#[test]
fn activations_before_the_beginning_are_counted_but_not_listed() {
    let model = Model::new();
    model.campaign(1, "Winter", &["ONE", "TWO", "THREE"]);
    model.put("INSERT INTO code_use VALUES (1, 0, 2, 2, 0, 0), (1, 1, 1, 1, 0, 0)", &[]);
    model.activate(20, 1, 1);
    model.activate(30, 1, 1);
    assert_eq!(
        model.rows(codes(1)),
        [
            "1,Winter,ONE,active,2026-12-31T00:00:00.000Z,2,,,,,,,,,,90000",
            "1,Winter,TWO,active,2026-12-31T00:00:00.000Z,3,20,2026-12-31T00:00:20.000Z,7,Ann,1,Arena North,5.00,,,90000",
            "1,Winter,TWO,active,2026-12-31T00:00:00.000Z,3,30,2026-12-31T00:00:30.000Z,7,Ann,1,Arena North,5.00,,,90000",
            "1,Winter,THREE,active,2026-12-31T00:00:00.000Z,0,,,,,,,,,,90000",
        ]
    );
    for missing in [30, 20] {
        model.put("DELETE FROM activation WHERE activation = ?1", &[&missing]);
        let failed = model.export(&export(codes(1), Format::Csv)).expect_err("one is missing");
        assert!(matches!(failed, ExportError::Missing { slot: 1, expected: 3, .. }), "{failed:?}");
    }
}

#[test]
fn a_campaign_that_is_not_there_has_no_export() {
    let model = Model::new();
    for what in [codes(9), log(Some(9))] {
        let failed = model.export(&export(what, Format::Csv)).expect_err("there is no campaign");
        assert!(matches!(failed, ExportError::NoCampaign(CampaignId(9))), "{failed:?}");
    }
    assert_eq!(model.lines(log(None)).len(), 1, "the log of nothing is a head");
}

/// Z10: the file name has the position that the file is as of.
#[test]
fn a_file_is_named_after_its_position() {
    let model = Model::new();
    model.campaign(1, "Winter", &["ONE"]);
    let name = |what, format| export(what, format).head(&model.view()).expect("it can be exported").file_name;
    assert_eq!(name(codes(1), Format::Csv), format!("campaign-1-codes-p{AS_OF}.csv"));
    assert_eq!(name(log(Some(1)), Format::Xlsx), format!("campaign-1-activations-p{AS_OF}.xlsx"));
    assert_eq!(name(log(None), Format::Parquet), format!("activations-p{AS_OF}.parquet"));
}

/// Memory is bounded because SQLite sorts nothing, and finds everything through an index.
#[test]
fn no_statement_sorts_or_searches() {
    let model = Model::new();
    let mut queries = vec![code_list::again_query(), activation_log::query(false), activation_log::query(true)];
    for status in [Status::All, Status::Active, Status::Archived] {
        for usage in [Usage::All, Usage::Used, Usage::Unused] {
            queries.extend([false, true].map(|archived| code_list::query(status, usage, archived)));
        }
    }
    for query in queries {
        let mut statement = model.0.prepare(&format!("EXPLAIN QUERY PLAN {query}")).expect("it is a statement");
        let parameters = statement.parameter_count();
        (1..=parameters).for_each(|at| statement.raw_bind_parameter(at, 1).expect("it has so many"));
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().expect("plans are readable") {
            let step: String = row.get(3).expect("the fourth column is the step");
            assert!(step.starts_with("SEARCH"), "{step} in {query}");
        }
    }
}
