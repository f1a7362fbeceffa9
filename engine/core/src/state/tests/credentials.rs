//! Credentials as commands and records (Z15).

use scrip_protocol::codes::RecordedForm;
use scrip_protocol::command::{
    AddCredential, AddCredentialOutcome as Added, CLUBS_PER_CREDENTIAL_MAX, CredentialAdded, CredentialRevoked, Grant,
    HOLD_KEPT_MS, ListCredentials, RegisterClub, RevokeCredential, RevokeCredentialOutcome as Revoked, Secret,
};
use scrip_protocol::record::{SettingsApplied, SettingsSet};
use scrip_protocol::{CampaignId, ClubId, CredentialId, Kind, Record, RequestId, Role, Settings, Stamp, wire};

use super::{Answer, Bench, START_MS, stamp};
use crate::index::Index;
use crate::state::requests::Remembered;
use crate::state::{Mutation, NamedHold, State};

/// Two clubs, and the credentials of an operator and of a gateway, numbered 5 and 1 as a file may number them.
struct Organisation {
    bench: Bench,
    requests: u64,
}

fn grant(role: Role, secret: u8) -> Grant {
    Grant { name: format!("{role} {secret}"), role, clubs: Vec::new(), reasons: true, secret: Secret::Token([secret; 32]) }
}

impl Organisation {
    fn new() -> Organisation {
        let mut organisation = Organisation { bench: Bench::new(Settings::default()), requests: 0 };
        for (number, role) in [(1, Role::Gateway), (5, Role::Operator)] {
            let added = CredentialAdded { stamp: None, credential: CredentialId(number), grant: grant(role, number as u8) };
            organisation.bench.follow(added.into());
        }
        for name in ["Arena", "North"] {
            organisation.run(&Mutation::RegisterClub(RegisterClub { name: name.to_owned() }));
        }
        organisation
    }

    fn run(&mut self, mutation: &Mutation) -> Vec<u8> {
        self.requests += 1;
        let answer = self.bench.run(stamp(self.bench.now_ms, self.requests, self.requests), mutation);
        let Answer::New(Remembered::Other(reply)) = answer else { panic!("{answer:?}") };
        reply.1
    }

    fn add(&mut self, grant: Grant) -> Added {
        let bytes = self.run(&Mutation::AddCredential(Box::new(AddCredential { grant })));
        wire::decode(Kind::AddCredential.word(), &bytes).expect("it was just encoded")
    }

    fn revoke(&mut self, credential: u32) -> Revoked {
        let bytes = self.run(&Mutation::RevokeCredential(RevokeCredential { credential: CredentialId(credential) }));
        wire::decode(Kind::RevokeCredential.word(), &bytes).expect("it was just encoded")
    }

    /// Number, role and whether it is revoked, for each.
    fn listed(&self, after: u32) -> Vec<(u32, Role, bool)> {
        let list = self.bench.state.list_credentials(&ListCredentials { after: CredentialId(after) });
        list.credentials.iter().map(|card| (card.credential.0, card.role, card.revoked_ms.is_some())).collect()
    }
}

/// Z15: numbers continue after the greatest, whatever gaps the first ones have, and are never reused.
#[test]
fn credentials_are_numbered_after_existing_ones() {
    let mut of = Organisation::new();
    assert_eq!(of.add(grant(Role::Cashier, 6)), Added::Added(CredentialId(6)));
    assert_eq!(of.revoke(6), Revoked::Revoked);
    assert_eq!(of.add(grant(Role::Reporter, 7)), Added::Added(CredentialId(7)));
    let all = [(1, Role::Gateway, false), (5, Role::Operator, false), (6, Role::Cashier, true), (7, Role::Reporter, false)];
    assert_eq!(of.listed(0), all);
    assert_eq!(of.listed(1), all[1..]);
    assert_eq!(of.listed(6), all[3..]);
    assert_eq!(of.listed(7), []);
    of.bench.compare_with_replay();
}

/// Z15: a gateway's clubs are those of the organisation, each once and in order.
#[test]
fn invalid_grants_are_refused_with_the_reason() {
    let mut of = Organisation::new();
    let at = |clubs: &[u32]| Grant { clubs: clubs.iter().copied().map(ClubId).collect(), ..grant(Role::Gateway, 9) };
    let named = |name: &str| Grant { name: name.to_owned(), ..at(&[]) };
    for (mutation, expected) in [
        (named(""), Added::InvalidName),
        (named(&"x".repeat(201)), Added::InvalidName),
        (Grant { role: Role::Cashier, ..at(&[1]) }, Added::ClubsNotForRole),
        (at(&(1..=CLUBS_PER_CREDENTIAL_MAX as u32 + 1).collect::<Vec<_>>()), Added::TooManyClubs),
        (at(&[2, 3, 1]), Added::UnknownClub(ClubId(3))),
        (grant(Role::Gateway, 5), Added::SecretTaken),
    ] {
        assert_eq!(of.add(mutation), expected);
    }
    assert_eq!(of.listed(1), [(5, Role::Operator, false)], "nothing was added");
    assert_eq!(of.add(at(&[2, 1, 2])), Added::Added(CredentialId(6)));
    let added = of.bench.state.credentials.of(CredentialId(6)).expect("it was just added");
    assert_eq!((added.grant.clubs.as_slice(), added.added_ms), ([ClubId(1), ClubId(2)].as_slice(), START_MS));
    // The hash of a certificate is a different secret from an equal hash of a token.
    let certified = Grant { secret: Secret::Certificate([5; 32]), ..grant(Role::Operator, 0) };
    assert_eq!(of.add(certified), Added::Added(CredentialId(7)));
    of.bench.compare_with_replay();
}

/// Z15: there is always an operator who can add another.
#[test]
fn the_last_operator_stays() {
    let mut of = Organisation::new();
    assert_eq!(of.revoke(2), Revoked::UnknownCredential);
    assert_eq!(of.revoke(99), Revoked::UnknownCredential);
    assert_eq!(of.revoke(5), Revoked::LastOperator);
    assert_eq!(of.add(grant(Role::Operator, 6)), Added::Added(CredentialId(6)));
    assert_eq!(of.revoke(5), Revoked::Revoked);
    assert_eq!(of.revoke(5), Revoked::AlreadyRevoked);
    assert_eq!(of.revoke(6), Revoked::LastOperator);
    assert_eq!(of.revoke(1), Revoked::Revoked);
    of.bench.compare_with_replay();
}

/// Z15: the secret of a revoked credential cannot be used under another number.
#[test]
fn a_revoked_secret_cannot_be_used_again() {
    let mut of = Organisation::new();
    assert_eq!(of.revoke(1), Revoked::Revoked);
    assert_eq!(of.add(grant(Role::Gateway, 1)), Added::SecretTaken);
    let holder = of.bench.index.holders().of_secret(&Secret::Token([1; 32])).expect("it stays known");
    assert!(holder.is_revoked() && holder.credential == CredentialId(1));
    // A record with its number does not restore it either.
    let again = CredentialAdded { stamp: None, credential: CredentialId(1), grant: grant(Role::Operator, 8) };
    of.bench.follow(Record::from(again));
    assert_eq!(of.listed(0), [(1, Role::Gateway, true), (5, Role::Operator, false)]);
    assert!(of.bench.index.holders().of_secret(&Secret::Token([8; 32])).is_none());
    of.bench.compare_with_replay();
}

/// Z15: the clubs that a holder may act for.
#[test]
fn a_holder_bound_to_clubs_may_act_for_those() {
    let mut of = Organisation::new();
    let bound = Grant { clubs: vec![ClubId(2)], reasons: false, ..grant(Role::Gateway, 6) };
    assert_eq!(of.add(bound), Added::Added(CredentialId(6)));
    let holder = |secret: u8| of.bench.index.holders().of_secret(&Secret::Token([secret; 32])).expect("it was added");
    let may = |secret: u8| [0, 1, 2, 3].map(|club| holder(secret).may_ask_for(ClubId(club)));
    assert_eq!(may(6), [false, false, true, false]);
    assert_eq!(may(1), [true; 4]);
    assert!(!holder(6).reasons && holder(1).reasons);
    assert!(!of.bench.state.credentials.is_told_reasons(CredentialId(6)));
    assert_eq!(holder(6).since, of.bench.state.position());
}

/// Two holds; one is of the credential that is revoked.
const HELD: &str = "
    club Arena
    credential operator Boss
    credential gateway Shop
    campaign amount=5.00 cap=1 codes=A,B
    hold code=A client=7 club=1 by=2
    hold code=B client=8 club=1 by=1
";

/// The holds of a revoked credential are released at once, and remembered as expired.
#[test]
fn the_holds_of_a_revoked_credential_are_released() {
    let mut state = State::default();
    super::recorded(HELD).iter().for_each(|(time_ms, record)| {
        state.apply(*time_ms, record);
    });
    let revoked_ms = state.now_ms() + 5;
    revoke(&mut state, revoked_ms);
    let open: Vec<_> = state.holds.open().map(|hold| (hold.credential.0, hold.expires_ms == revoked_ms)).collect();
    assert_eq!(open, [(2, true), (1, false)]);
    assert_eq!(state.campaigns.of(CampaignId(1)).map(|campaign| campaign.held), Some(1));
}

/// Applies the revocation of credential 2.
fn revoke(state: &mut State, at_ms: u64) {
    let stamp = Stamp { request: RequestId(1), body: 0, credential: CredentialId(1) };
    state.apply(at_ms, &CredentialRevoked { stamp, credential: CredentialId(2) }.into());
}

/// A snapshot between a revocation and the expiry of the credential's last hold continues like the state.
#[test]
fn a_snapshot_carries_the_holds_of_a_revoked_credential_that_have_yet_to_expire() {
    let script = "
        club Arena
        credential operator Boss
        credential gateway Shop
        campaign amount=5.00 codes=A
    ";
    let script = format!("{script}{}", "hold code=A client=7 club=1 by=2\n".repeat(1_500));
    let mut state = State::default();
    super::recorded(&script).iter().for_each(|(time_ms, record)| {
        state.apply(*time_ms, record);
    });
    let now_ms = state.now_ms();
    revoke(&mut state, now_ms);
    assert_eq!(state.holds.revoked_rows().count(), 1, "some holds have yet to expire");
    let mut reopened = super::through_a_file(&state);
    for _ in 0..2 {
        assert!(reopened == state);
        let set = SettingsSet { settings: Settings::default(), codes: RecordedForm::of(state.code_form()) }.into();
        [&mut state, &mut reopened].into_iter().for_each(|state| {
            state.apply(now_ms, &set);
        });
    }
    assert_eq!(state.holds.revoked_rows().count(), 0);
    assert_eq!(state.campaigns.of(CampaignId(1)).map(|campaign| campaign.held), Some(0));
}

/// Z1: after a revocation no hold of the credential is a promise, whether or not it is counted still. Its use must meet the
/// conditions of a redemption, against which the hold itself does not count.
#[test]
fn a_hold_of_a_revoked_credential_is_confirmed_as_an_expired_one_while_it_is_still_counted() {
    use scrip_protocol::command::{ConfirmOutcome as Outcome, RedeemOutcome};
    let limits = [
        ("", None),
        ("off", Some(RedeemOutcome::CampaignInactive)),
        ("cap=88", None),
        ("cap=87", Some(RedeemOutcome::CodeExhausted)),
        ("uses=88", None),
        ("uses=87", Some(RedeemOutcome::CampaignExhausted)),
        ("per-client=88", None),
        ("per-client=87", Some(RedeemOutcome::ClientExhausted)),
        ("budget=440.00", None),
        ("budget=435.00", Some(RedeemOutcome::BudgetExhausted)),
    ];
    for (limit, expected) in limits {
        let update = if limit == "off" { "switch 1 off".to_owned() } else { format!("update 1 {limit}") };
        let script = "
            club Arena
            credential operator Boss
            credential gateway Shop
            campaign amount=5.00 codes=A
        ";
        let script = format!("{script}{}{update}", "hold code=A client=7 club=1 by=2\n".repeat(600));
        let mut state = State::default();
        super::recorded(&script).iter().for_each(|(time_ms, record)| {
            state.apply(*time_ms, record);
        });
        let now_ms = state.now_ms();
        revoke(&mut state, now_ms);
        let last = state.holds.open().last().expect("one is open").hold;
        let held = |state: &State| state.campaigns.of(CampaignId(1)).map(|campaign| campaign.held);
        assert_eq!(held(&state), Some(88), "some have yet to be dropped, the last one too");
        let stamp = Stamp { request: RequestId(2), body: 0, credential: CredentialId(1) };
        let confirm = Mutation::Confirm(NamedHold { hold: last, anyones: true }.into());
        let record = state.decide(now_ms, stamp, &confirm, &Index::of(&state));
        match expected {
            Some(why) => {
                let Record::ConfirmationRefused(refused) = &record else { panic!("{limit}: {record:?}") };
                assert_eq!(refused.outcome, Outcome::Expired(why), "{limit}");
            }
            None => assert!(matches!(record, Record::HoldConfirmed(_)), "{limit}: {record:?}"),
        }
        let mut reopened = super::through_a_file(&state);
        [&mut state, &mut reopened].into_iter().for_each(|state| {
            state.apply(now_ms, &record);
        });
        assert!(reopened == state, "{limit}");
        assert_eq!(held(&state), Some(0), "{limit}");
    }
}

/// A hold of a revoked credential expires at the revocation and is forgotten a day later, however late the state drops it.
#[test]
fn a_revocation_ends_holds_at_its_own_time_however_late_they_are_dropped() {
    let script = "
        club Arena
        credential operator Boss
        credential gateway Shop
        campaign amount=5.00 codes=A
    ";
    let script = format!("{script}{}", "hold code=A client=7 club=1 by=2 ttl=60000\n".repeat(600));
    for later_ms in [1, 59_999, 60_000, HOLD_KEPT_MS - 1, HOLD_KEPT_MS] {
        let mut state = State::default();
        super::recorded(&script).iter().for_each(|(time_ms, record)| {
            state.apply(*time_ms, record);
        });
        let revoked_ms = state.now_ms();
        revoke(&mut state, revoked_ms);
        let last = state.holds.open().last().expect("one is open").hold;
        let released = |state: &State| {
            let stamp = Stamp { request: RequestId(2), body: 0, credential: CredentialId(1) };
            let release = Mutation::Release(NamedHold { hold: last, anyones: true });
            matches!(state.decide(revoked_ms + later_ms, stamp, &release, &Index::of(state)), Record::HoldReleased(_))
        };
        assert_eq!(released(&state), later_ms < HOLD_KEPT_MS, "before it is dropped, {later_ms} ms later");
        let set = SettingsSet { settings: Settings::default(), codes: RecordedForm::of(state.code_form()) }.into();
        state.apply(revoked_ms + later_ms, &set);
        assert_eq!(state.holds.revoked_rows().count(), 0);
        assert!(state.holds.open().all(|hold| hold.expires_ms == revoked_ms), "dropped {later_ms} ms later");
        assert_eq!(released(&state), later_ms < HOLD_KEPT_MS, "after it was dropped, {later_ms} ms later");
    }
}

/// A revocation in a journal of the first version left the credential's holds open, and its replay still does.
#[test]
fn a_revocation_in_a_first_journal_leaves_holds_open() {
    let recorded = super::recorded(HELD);
    for is_first in [true, false] {
        let mut state = State::default();
        for (n, (time_ms, record)) in recorded.iter().enumerate() {
            match n == 0 && is_first {
                true => state.apply(*time_ms, &SettingsApplied { settings: Settings::default() }.into()),
                false => state.apply(*time_ms, record),
            };
        }
        let now_ms = state.now_ms();
        revoke(&mut state, now_ms);
        let held = |state: &State| state.campaigns.of(CampaignId(1)).map(|campaign| campaign.held);
        assert_eq!(held(&state), Some(if is_first { 2 } else { 1 }));
        let mut reopened = super::through_a_file(&state);
        assert!(reopened == state);
        let codes = RecordedForm::of(state.code_form());
        let set = SettingsSet { settings: Settings::default(), codes }.into();
        [&mut state, &mut reopened].into_iter().for_each(|state| {
            state.apply(now_ms, &set);
        });
        assert!(reopened == state, "a restart changes nothing of what was revoked before");
        assert_eq!(held(&state), Some(if is_first { 2 } else { 1 }));
    }
}
