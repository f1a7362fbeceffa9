//! Codes that look the same are one code, however they are written, and an invisible character never locks a player out (K4, K9,
//! pain 20).

use scrip_protocol::codes::{CharacterAt, InvalidCode};
use scrip_protocol::command::{CreateCampaign, CreateCampaignOutcome, LineVerdict, OnConflict, Redeem, RedeemOutcome};
use scrip_protocol::{CampaignId, ClientId, RequestId, Role};

use crate::support::fake::{FakeEngine, Session};
use crate::support::{Server, campaign, club, run, scrip, terms};

fn codes(codes: &[&str]) -> Vec<String> {
    codes.iter().map(|code| (*code).to_owned()).collect()
}

/// With the settings of `scrip init`, ten failed attempts lock a client out.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_redeemed_however_it_is_pasted() {
    let server = Server::start();
    let client = server.client(Role::Operator).await;
    let arena = club(&client, "Arena").await;
    campaign(&client, terms("Café", None, 100), &codes(&["CAFÉ-İ25"])).await;
    let redeem = async |code: &str| {
        client.redeem(RequestId::now(), &Redeem::new(ClientId(7), arena, code)).await.expect("the client is not locked out")
    };
    let signs = [
        '\u{61c}', '\u{180e}', '\u{34f}', '\u{3164}', '\u{2800}', '\u{fffc}', '\u{fe0f}', '\u{2066}', '\u{200b}', '\u{feff}',
        '\n',
    ];
    for sign in signs {
        for written in ["CAFÉ-İ25", "cafe\u{301}-i25", "ＣＡＦＥ\u{301}-ı２５"] {
            let outcome = redeem(&format!("{sign}{written}{sign}")).await;
            assert!(matches!(outcome, RedeemOutcome::Redeemed(_)), "{sign:?} around {written}: {outcome}");
        }
        let outcome = redeem(&format!("CAFÉ{sign}-İ25")).await;
        assert_eq!(outcome, RedeemOutcome::InvalidCode(InvalidCode::Invisible(CharacterAt::new(sign, 5))));
    }
    let ran =
        run(server.scrip(Role::Operator).args(["redeem", "CAFÉ\u{2069}-İ25", "--client", "7", "--club", "1"]), b"").exits(1);
    assert!(ran.out.contains("character 5 (U+2069) is invisible"), "{}", ran.out);
}

/// K7: two spellings of a code are not two codes of two campaigns.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_in_another_spelling_is_held_by_its_campaign() {
    let server = Server::start();
    let client = server.client(Role::Operator).await;
    campaign(&client, terms("First", None, 100), &codes(&["CAFÉ"])).await;
    let command = CreateCampaign {
        terms: terms("Second", None, 100),
        lines: ["cafe\u{301}", "ＣＡＦＥ\u{301}", "CAFE"].into_iter().collect(),
        on_conflict: OnConflict::Skip,
    };
    let outcome = client.create_campaign(RequestId::now(), &command).await.expect("a reply");
    let CreateCampaignOutcome::Created { campaign: CampaignId(2), codes } = outcome else { panic!("{outcome}") };
    assert_eq!(codes.added, 1);
    let why: Vec<_> = codes.skipped.iter().map(|skip| (skip.line, skip.why)).collect();
    assert_eq!(why, [(1, LineVerdict::HeldBy(CampaignId(1))), (2, LineVerdict::DuplicateInList { of_line: 1 })]);
}

/// K9: a program of an earlier version does not take a form of codes that it does not know for one that it knows: it would compare codes wrongly.
#[tokio::test(flavor = "multi_thread")]
async fn programs_halt_on_a_form_of_codes_that_they_do_not_know() {
    let engine = FakeEngine::start(vec![Session::OtherForm; 20]);
    let (list, store) = (engine.folder.dir().join("codes.txt"), engine.folder.dir().join("reporting"));
    std::fs::write(&list, "A\nB\n").expect("written");
    let text = |path: &std::path::Path| path.to_str().expect("temporary folders have plain names").to_owned();
    let (list, store) = (text(&list), text(&store));
    for arguments in [
        &["codes", "add", "1", &list, "--dry-run"][..],
        &["sidecar", "--store", &store, "--listen", "127.0.0.1:0", "--reader", "none"],
    ] {
        let mut program = scrip();
        program.env("SCRIP_TOKEN", "any token").env("SCRIP_SERVER", engine.address().to_string());
        program.env("SCRIP_CA", engine.folder.ca_path()).args(arguments);
        let ran = tokio::task::block_in_place(|| run(&mut program, b""));
        assert_eq!(ran.code, 6, "{ran:#?}");
        assert!(ran.err.contains("code form 200") && ran.err.contains("does not know"), "{ran:#?}");
    }
}
