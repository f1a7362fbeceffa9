//! Refunds of activations (Z2; pain 10).
//!
//! Positions: the settings are at 1, so that the first club is at 2 and the first campaign at 3.

use scrip_protocol::command::{ShowCampaign, ShowCampaignOutcome};
use scrip_protocol::{CampaignId, ClientId, ClubId, Money, Position, Settings};

use super::script::{check, check_with};
use super::{Bench, list, stamp};
use crate::state::{CodesRequest, Mutation, RefundRequest};

/// Z2, pain 10: the use is returned to the code, the client and the campaign, and the bonus to the budget; once.
#[test]
fn a_refund_returns_every_use() {
    for (limit, refused) in [
        ("cap=1", "code_exhausted"),
        ("per-client=1", "client_exhausted"),
        ("uses=1", "campaign_exhausted"),
        ("budget=5.00", "budget_exhausted"),
    ] {
        let script = format!(
            r#"
            club Arena
            campaign amount=5.00 {limit} codes=A
            redeem client=7 code=A
            redeem client=7 code=A
            refund 4
            show client 7
            show campaign 1
            redeem client=7 code=A
            redeem client=7 code=A
            refund 4
            refund 4 operator force
            show client 7
            show campaign 1
            "#
        );
        let expected = format!(
            r#"
            registered as club 1
            created campaign 1: added 1, skipped 0
            campaign 1: 5.00 credited, balance 5.00
            {refused}
            refunded: 5.00 debited from client 7, bonus balance 0.00
            "" has 0.00
            active, redeemable, 0 of 1 codes activated, 0 activations, 0.00 issued
            campaign 1: 5.00 credited, balance 5.00
            {refused}
            refused: the activation was already refunded
            refused: the activation was already refunded
            "" has 5.00
            active, redeemable, 1 of 1 codes activated, 1 activations, 5.00 issued
            "#
        );
        check(&script, &expected);
    }
}

/// Z2: only an activation can be refunded, and another credential's looks like none; an operator can refund any.
#[test]
fn an_activation_is_refunded_by_its_credential_or_an_operator() {
    let unknown = "refused: there is no such activation, or it is not yours";
    check(
        r#"
        club Arena
        campaign amount=5.00 cap=3 codes=A
        redeem client=7 code=A by=2
        redeem client=7 code=A by=2
        redeem client=7 code=A
        redeem client=7 code=A
        refund 0
        refund 0 operator
        refund 1 operator
        refund 3
        # A refused redemption, and refusals of refunds, are no activations either.
        refund 7
        refund 9
        refund 99 operator
        refund 18446744073709551615 operator
        refund 4
        refund 4 by=3
        refund 4 by=2
        refund 4
        refund 5 operator
        refund 5 by=2
        refund 6
        show client 7
        "#,
        &format!(
            r#"
            registered as club 1
            created campaign 1: added 1, skipped 0
            campaign 1: 5.00 credited, balance 5.00
            campaign 1: 5.00 credited, balance 10.00
            campaign 1: 5.00 credited, balance 15.00
            code_exhausted
            {unknown}
            {unknown}
            {unknown}
            {unknown}
            {unknown}
            {unknown}
            {unknown}
            {unknown}
            {unknown}
            {unknown}
            refunded: 5.00 debited from client 7, bonus balance 10.00
            {unknown}
            refunded: 5.00 debited from client 7, bonus balance 5.00
            refused: the activation was already refunded
            refunded: 5.00 debited from client 7, bonus balance 0.00
            "" has 0.00
            "#
        ),
    );
}

/// Z2: a confirmed hold is refunded by the position of its confirmation; the position of the hold is not one of an activation.
#[test]
fn a_confirmed_hold_is_refunded_like_a_redemption() {
    check(
        r#"
        club Arena
        campaign amount=5.00 cap=1 per-client=1 codes=A
        hold client=7 code=A
        refund 4
        update 1 amount=9.00
        confirm 4
        refund 4
        refund 7
        confirm 4
        redeem client=7 code=A
        refund 7
        show client 7
        show campaign 1
        "#,
        r#"
        registered as club 1
        created campaign 1: added 1, skipped 0
        hold 4: campaign 1, 5.00, until 900000
        refused: there is no such activation, or it is not yours
        updated
        campaign 1: 5.00 credited, balance 5.00
        refused: there is no such activation, or it is not yours
        refunded: 5.00 debited from client 7, bonus balance 0.00
        refused: the hold was already confirmed: 5.00 credited, bonus balance 5.00 at the time, campaign 1, activation 7
        campaign 1: 9.00 credited, balance 9.00
        refused: the activation was already refunded
        "" has 9.00
        active, redeemable, 1 of 1 codes activated, 1 activations, 9.00 issued
        "#,
    );
}

/// Z2, Z6: if other uses of the code are held, the freed use is free for a check as well.
#[test]
fn a_refund_beside_open_holds_frees_one_use() {
    check(
        r#"
        club Arena
        campaign amount=1 cap=2 uses=2 codes=A,B
        hold client=1 code=A
        redeem client=2 code=A
        check code=A
        check code=B
        refund 5
        check code=A
        check code=B
        redeem client=3 code=A
        check code=A
        "#,
        r#"
        registered as club 1
        created campaign 1: added 2, skipped 0
        hold 4: campaign 1, 1.00, until 900000
        campaign 1: 1.00 credited, balance 1.00
        code_exhausted, campaign_exhausted: 1 activated, 1 held
        campaign_exhausted: 0 activated, 0 held
        refunded: 1.00 debited from client 2, bonus balance 0.00
        redeemable: 0 activated, 1 held
        redeemable: 0 activated, 0 held
        campaign 1: 1.00 credited, balance 1.00
        code_exhausted, campaign_exhausted: 1 activated, 1 held
        "#,
    );
}

/// Z2, Z5: a refund under a limit that was lowered frees only what is below it.
#[test]
fn a_refund_after_a_limit_was_lowered_frees_only_what_is_below_it() {
    check(
        r#"
        club Arena
        campaign amount=1 codes=A
        redeem client=1 code=A
        redeem client=2 code=A
        redeem client=3 code=A
        update 1 cap=2
        refund 4
        redeem client=4 code=A
        refund 5
        redeem client=4 code=A
        redeem client=4 code=A
        show campaign 1
        "#,
        r#"
        registered as club 1
        created campaign 1: added 1, skipped 0
        campaign 1: 1.00 credited, balance 1.00
        campaign 1: 1.00 credited, balance 1.00
        campaign 1: 1.00 credited, balance 1.00
        updated
        refunded: 1.00 debited from client 1, bonus balance 0.00
        code_exhausted
        refunded: 1.00 debited from client 2, bonus balance 0.00
        campaign 1: 1.00 credited, balance 1.00
        code_exhausted
        active, redeemable, 1 of 1 codes activated, 2 activations, 2.00 issued
        "#,
    );
}

/// A11, Z2: an activation from before clients were counted returns no use that was counted for another.
#[test]
fn an_activation_that_was_not_counted_returns_nothing_to_the_client() {
    check(
        r#"
        club Arena
        campaign amount=1 codes=A
        redeem client=1 code=A
        update 1 per-client=1
        redeem client=1 code=A
        refund 4
        redeem client=1 code=A
        refund 6
        redeem client=1 code=A
        redeem client=1 code=A
        "#,
        r#"
        registered as club 1
        created campaign 1: added 1, skipped 0
        campaign 1: 1.00 credited, balance 1.00
        updated
        campaign 1: 1.00 credited, balance 2.00
        refunded: 1.00 debited from client 1, bonus balance 1.00
        client_exhausted
        refunded: 1.00 debited from client 1, bonus balance 0.00
        campaign 1: 1.00 credited, balance 1.00
        client_exhausted
        "#,
    );
}

/// Z3: a retry gets the first reply, whatever has happened to the activation and the balance since.
#[test]
fn retried_refunds_get_the_first_replies() {
    check(
        r#"
        club Arena
        campaign amount=1 cap=1 codes=A
        redeem client=7 code=A
        refund 9 request=1
        refund 4 request=2
        refund 4 request=3
        redeem client=7 code=A
        refund 9 request=1
        refund 4 request=2
        refund 4 request=3
        refund 8 request=2
        show client 7
        "#,
        r#"
        registered as club 1
        created campaign 1: added 1, skipped 0
        campaign 1: 1.00 credited, balance 1.00
        refused: there is no such activation, or it is not yours
        refunded: 1.00 debited from client 7, bonus balance 0.00
        refused: the activation was already refunded
        campaign 1: 1.00 credited, balance 1.00
        again: refused: there is no such activation, or it is not yours
        again: refunded: 1.00 debited from client 7, bonus balance 0.00
        again: refused: the activation was already refunded
        not executed: the request id was used for another request
        "" has 1.00
        "#,
    );
}

/// Runs one more request of credential 1.
fn run(bench: &mut Bench, number: u64, mutation: &Mutation) -> String {
    let stamp = stamp(bench.now_ms, number, number);
    let answer = bench.run(stamp, mutation);
    let super::Answer::New(reply) = answer else { panic!("{answer:?}") };
    super::script::printed(&reply)
}

/// The request to refund the record at a position.
fn refund(bench: &Bench, activation: u64, force: bool) -> Mutation {
    let (_, record) = &bench.records[activation as usize - 1];
    let found = crate::state::refund::activation_of(record.clone());
    Mutation::Refund(Box::new(RefundRequest {
        activation: Position(activation),
        found,
        kept_from: Position(1),
        anyones: false,
        force,
    }))
}

/// Z2: a spent bonus stays, unless an operator forces the refund: then the remainder is debited, and the rest is reported as
/// uncollected and stays issued, so that the budget does not pay it twice. The use is free either way.
#[test]
fn a_forced_refund_debits_the_remainder_of_a_spent_bonus() {
    let bench = check_with(
        Settings::default(),
        r#"
        club Arena
        campaign amount=5.00 cap=1 budget=9.99 codes=A,B
        redeem client=7 code=A
        pay 7 0.01
        refund 4
        pay 7 3.79 order
        refund 4 force
        refund 4 force
        entries 8
        show campaign 1
        # 3.80 are gone: 5.00 fit into 9.99 once more, and not twice.
        redeem client=7 code=A
        redeem client=7 code=A
        redeem client=7 code=B
        # With nothing left at all, nothing is taken.
        write-off 7 5.00
        refund 10
        refund 10 force
        entries 15
        show campaign 1
        "#,
        r#"
        registered as club 1
        created campaign 1: added 2, skipped 0
        campaign 1: 5.00 credited, balance 5.00
        Bonus Payment: 0.01, bonus balance 4.99, operation 5
        refused: the client has spent the bonus (bonus balance 4.99); an operator can force the refund
        Bonus Payment: 3.79, bonus balance 1.20, operation 7
        refunded: 1.20 debited from client 7, 3.80 uncollected, bonus balance 0.00
        refused: the activation was already refunded
        7 bonus -1.20: Bonus Write-Off / System, of activation 4 #promo-code-refund
        active, redeemable, 0 of 2 codes activated, 0 activations, 3.80 issued
        campaign 1: 5.00 credited, balance 5.00
        code_exhausted
        budget_exhausted
        Bonus Write-Off: 5.00, bonus balance 0.00, operation 13
        refused: the client has spent the bonus (bonus balance 0.00); an operator can force the refund
        refunded: 0.00 debited from client 7, 5.00 uncollected, bonus balance 0.00
        none
        active, redeemable, 0 of 2 codes activated, 0 activations, 8.80 issued
        "#,
    );
    let ShowCampaignOutcome::Campaign(card) = bench.state.show_campaign(bench.now_ms, &ShowCampaign { campaign: CampaignId(1) })
    else {
        panic!("it is there")
    };
    assert_eq!((card.activations, card.refunds, card.codes_activated), (0, 2, 0));
    assert_eq!((card.issued, card.uncollected), (Money(880), Money(880)), "what was spent was issued");
}

/// Z2, A29: a refunded payment, or another credit, can be debited as well: a balance is one amount.
#[test]
fn a_refund_debits_any_available_bonus() {
    check(
        r#"
        club Arena
        campaign amount=5.00 codes=A
        redeem client=7 code=A
        redeem client=7 code=A
        pay 7 6.00
        refund 4
        refund-payment 6 amount=0.99
        refund 4
        refund-payment 6 amount=0.01
        refund 4
        credit 7 5.00
        refund 5
        refund-payment 6
        show client 7
        "#,
        r#"
        registered as club 1
        created campaign 1: added 1, skipped 0
        campaign 1: 5.00 credited, balance 5.00
        campaign 1: 5.00 credited, balance 10.00
        Bonus Payment: 6.00, bonus balance 4.00, operation 6
        refused: the client has spent the bonus (bonus balance 4.00); an operator can force the refund
        Bonus Refund: 0.99, bonus balance 4.99, operation 8
        refused: the client has spent the bonus (bonus balance 4.99); an operator can force the refund
        Bonus Refund: 0.01, bonus balance 5.00, operation 10
        refunded: 5.00 debited from client 7, bonus balance 0.00
        Bonus Credit: 5.00, bonus balance 5.00, operation 12
        refunded: 5.00 debited from client 7, bonus balance 0.00
        Bonus Refund: 5.00, bonus balance 5.00, operation 14
        "" has 5.00
        "#,
    );
}

/// Z2, X1, X2: archived codes are refunded like others, and the use is available again once they are restored.
#[test]
fn archived_codes_are_refunded_too() {
    let mut bench = check_with(
        Settings::default(),
        r#"
        club Arena
        campaign amount=5.00 cap=1 codes=A,B
        redeem client=7 code=A
        redeem client=7 code=B
        "#,
        r#"
        registered as club 1
        created campaign 1: added 2, skipped 0
        campaign 1: 5.00 credited, balance 5.00
        campaign 1: 5.00 credited, balance 10.00
        "#,
    );
    let (campaign, codes) = (CampaignId(1), || Box::new(CodesRequest { campaign: CampaignId(1), list: list(["A"]) }));
    run(&mut bench, 1, &Mutation::ArchiveCodes(codes()));
    let mutation = refund(&bench, 4, false);
    assert_eq!(run(&mut bench, 2, &mutation), "refunded: 5.00 debited from client 7, bonus balance 5.00");
    run(&mut bench, 3, &Mutation::ArchiveCampaign(campaign));
    let mutation = refund(&bench, 5, false);
    assert_eq!(run(&mut bench, 4, &mutation), "refunded: 5.00 debited from client 7, bonus balance 0.00");
    run(&mut bench, 5, &Mutation::RestoreCampaign(campaign));
    run(&mut bench, 6, &Mutation::RestoreCodes(codes()));
    let of = bench.state.campaigns.of(campaign).expect("it is there");
    assert_eq!((of.codes_available(), of.codes_not_exhausted(), of.codes_archived()), (2, 2, 0));
    for (number, code, answer) in [
        (7, "A", "campaign 1: 5.00 credited, balance 5.00"),
        (8, "B", "campaign 1: 5.00 credited, balance 10.00"),
        (9, "A", "code_exhausted"),
        (10, "B", "code_exhausted"),
    ] {
        let code = crate::index::normalise(code);
        let mutation = Mutation::Redeem(crate::state::RedeemRequest {
            client: ClientId(7),
            club: ClubId(1),
            code,
            top_up: Position(0),
            is_their_top_up: true,
        });
        assert_eq!(run(&mut bench, number, &mutation), answer);
    }
    bench.compare_with_replay();
}
