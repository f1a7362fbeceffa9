use super::*;
use scrip_protocol::CampaignId;
use scrip_protocol::command::{CodeTexts, Terms};

pub(super) const AT: CodeAt = CodeAt { campaign: CampaignId(1), slot: 0 };

pub(super) fn campaigns(cap: Option<u32>) -> Campaigns {
    let terms = Terms { activations_per_code_max: cap, ..Terms::new("a campaign", Money(1)) };
    let (mut campaign, mut codes) = (Campaign::new(terms, 0), CodeTexts::default());
    codes.push("A");
    campaign.add_codes(&codes, 0, Position(1));
    let mut campaigns = Campaigns::default();
    campaigns.add(campaign);
    campaigns
}

/// A record of a hold.
pub(super) fn give(holds: &mut Holds, campaigns: &mut Campaigns, position: u64, now_ms: u64, expires_ms: u64) {
    give_to(holds, campaigns, CredentialId(1), position, now_ms, expires_ms);
}

fn is_full(holds: &Holds, now_ms: u64) -> bool {
    holds.is_full(CredentialId(1), now_ms)
}

pub(super) fn give_to(
    holds: &mut Holds,
    campaigns: &mut Campaigns,
    credential: CredentialId,
    position: u64,
    now_ms: u64,
    expires_ms: u64,
) {
    holds.begin(campaigns, now_ms);
    let hold = Hold::given(AT, ClientId(1), ClubId(1), credential, Money(1), expires_ms);
    holds.give(campaigns, Position(position), hold, now_ms);
}

#[test]
fn at_the_limit_the_first_ended_hold_is_forgotten_and_never_an_open_one() {
    let (mut campaigns, mut holds) = (campaigns(None), Holds { limit: 3, ..Holds::default() });
    for (position, expires_ms) in [(1, 5_000), (2, 2_000), (3, 9_000)] {
        assert!(!is_full(&holds, 0));
        give(&mut holds, &mut campaigns, position, 0, expires_ms);
    }
    assert!(is_full(&holds, 1_999) && !is_full(&holds, 2_000), "one has expired");
    holds.end(&mut campaigns, Position(3), End::Released, 1_000);
    assert!(!is_full(&holds, 1_000), "one was released");
    give(&mut holds, &mut campaigns, 4, 1_000, 9_000);
    let known = |holds: &Holds| [1, 2, 3, 4, 5].map(|hold| holds.known(Position(hold), 1_000).is_some());
    assert_eq!(known(&holds), [true, true, false, true, false]);
    assert!(is_full(&holds, 1_999));
    give(&mut holds, &mut campaigns, 5, 2_000, 9_000);
    assert_eq!(known(&holds), [true, false, false, true, true]);
    assert_eq!((holds.len(), campaigns.of(AT.campaign).map(|campaign| campaign.held)), (3, Some(3)));
}

#[test]
fn each_record_notes_a_few_expired_holds_until_all_are_gone() {
    let (mut campaigns, mut holds) = (campaigns(None), Holds::default());
    let given = 5 * SWEPT_PER_RECORD;
    (1..=given as u64).for_each(|position| give(&mut holds, &mut campaigns, position, 0, 1_000));
    let held = |campaigns: &Campaigns| campaigns.of(AT.campaign).map_or(0, |campaign| campaign.held as usize);
    holds.begin(&mut campaigns, 999);
    assert_eq!((held(&campaigns), holds.touched()), (given, [].as_slice()));
    for records in 1..=5 {
        holds.begin(&mut campaigns, 1_000);
        assert_eq!(held(&campaigns), given - records * SWEPT_PER_RECORD);
    }
    assert_eq!((seen(&holds, &campaigns), holds.codes().count(), holds.len()), (None, 0, given));
    for _ in 0..5 {
        holds.begin(&mut campaigns, 1_000 + HOLD_KEPT_MS);
    }
    assert_eq!(holds, Holds::default());
}

fn seen(holds: &Holds, campaigns: &Campaigns) -> Option<HeldUses> {
    holds.of_code(AT, campaigns.of(AT.campaign).expect("there is one"))
}

/// Held uses of the code at a time, as a redemption counts them.
pub(super) fn held(holds: &Holds, campaigns: &Campaigns, now_ms: u64) -> u32 {
    let mut standing = Standing { now_ms, ..Standing::default() };
    holds.add_to(&mut standing, AT, ClientId(1), campaigns.of(AT.campaign).expect("there is one"));
    standing.code_uses
}

#[test]
fn the_uses_of_a_code_are_exact_even_while_expired_holds_are_counted() {
    let (mut campaigns, mut holds) = (campaigns(Some(40)), Holds::default());
    (1..=40).for_each(|position| give(&mut holds, &mut campaigns, position, 0, 1_000 + position));
    // Expired holds never count as held, and a use is free as soon as one has expired.
    assert_eq!(held(&holds, &campaigns, 1_000), 40);
    assert_eq!(held(&holds, &campaigns, 1_001), 39);
    let held_uses = seen(&holds, &campaigns).expect("there are some");
    assert_eq!([1_000, 1_001, 1_005].map(|now_ms| held_uses.at(now_ms)), [40, 39, 35]);
    // The forty-first replaces the earliest, and no other.
    give(&mut holds, &mut campaigns, 41, 1_001, 5_000);
    assert_eq!(held(&holds, &campaigns, 1_001), 40);
    assert_eq!(seen(&holds, &campaigns).map(|held| held.at(1_001)), Some(40));
    // The cap is lowered: a use is free once enough have expired, and not before, for the state and for readers outside.
    let of = campaigns.of_mut(AT.campaign).expect("there is one");
    of.terms = std::sync::Arc::new(Terms { activations_per_code_max: Some(10), ..Terms::clone(&of.terms) });
    let held_uses = seen(&holds, &campaigns).expect("there are some");
    for (now_ms, is_free) in [(1_030, false), (1_031, false), (1_032, true), (5_000, true)] {
        assert_eq!((held(&holds, &campaigns, now_ms) < 10, held_uses.at(now_ms) < 10), (is_free, is_free), "at {now_ms}");
    }
    give(&mut holds, &mut campaigns, 42, 1_032, 6_000);
    assert_eq!((held(&holds, &campaigns, 1_032), seen(&holds, &campaigns).map(|held| held.at(1_032))), (10, Some(10)));
}
