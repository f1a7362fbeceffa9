//! A record costs as much as it changes, however large its campaign is.

use scrip_protocol::command::{
    CredentialAdded, Grant, OnConflict, RegisterClub, RevokeCredential, Secret, Terms, UpdateCampaign,
};
use scrip_protocol::{CampaignId, ClientId, ClubId, CredentialId, Money, Role, Settings, Stamp};

use super::{Bench, list, stamp};
use crate::index::{Index, normalise};
use crate::state::holds::FREE_FROMS;
use crate::state::tables::RECOUNTS;
use crate::state::{CodesRequest, CreateCampaignRequest, HoldRequest, Mutation, RedeemRequest};

const CAMPAIGN: CampaignId = CampaignId(1);

struct Shop {
    bench: Bench,
    number: u64,
    codes: Vec<String>,
}

impl Shop {
    /// A club and a campaign.
    fn new(count: u32, terms: Terms) -> Shop {
        let codes: Vec<String> = (0..count).map(|slot| format!("CODE{slot}")).collect();
        let mut shop = Shop { bench: Bench::new(Settings::default()), number: 0, codes };
        shop.run(1, &Mutation::RegisterClub(RegisterClub { name: "club".into() }));
        let list = list(shop.codes.iter().map(String::as_str));
        shop.run(1, &Mutation::CreateCampaign(Box::new(CreateCampaignRequest { terms, list, on_conflict: OnConflict::Reject })));
        shop
    }

    fn run(&mut self, credential: u32, mutation: &Mutation) {
        self.number += 1;
        let stamp = stamp(self.bench.now_ms, self.number, self.number);
        self.bench.run(Stamp { credential: CredentialId(credential), ..stamp }, mutation);
    }

    fn use_of(&self, slot: usize) -> RedeemRequest {
        let (client, club, code) = (ClientId(1), ClubId(1), normalise(&self.codes[slot]));
        RedeemRequest { client, club, code, top_up: scrip_protocol::Position(0), is_their_top_up: true }
    }

    fn some(&self, slots: &[usize]) -> Box<CodesRequest> {
        Box::new(CodesRequest { campaign: CAMPAIGN, list: list(slots.iter().map(|slot| self.codes[*slot].as_str())) })
    }

    /// Compares the campaign's counters with a recount, and what the index shows with a new one.
    #[track_caller]
    fn is_counted_right(&mut self) {
        let counts = |shop: &Shop| {
            let campaign = shop.bench.state.campaigns.of(CAMPAIGN).expect("it was created");
            (campaign.codes_available(), campaign.codes_not_exhausted())
        };
        let before = counts(self);
        self.bench.state.campaigns.of_mut(CAMPAIGN).expect("it was created").recount();
        assert_eq!(before, counts(self), "what is counted as it changes is what a recount finds");
        assert!(Index::of(&self.bench.state).agrees_with(&self.bench.index));
    }
}

/// Archiving or restoring codes recounts these alone, whether they are activated, used up, archived twice, or left over by a restore.
#[test]
fn an_archive_of_some_codes_recounts_these_alone() {
    let mut shop = Shop::new(300, Terms { activations_per_code_max: Some(2), ..Terms::new("shop", Money(1)) });
    for slot in (0..300).filter(|slot| slot % 3 > 0) {
        for _ in 0..slot % 3 {
            let redeem = shop.use_of(slot);
            shop.run(1, &Mutation::Redeem(redeem));
        }
    }
    let many: Vec<usize> = (100..300).collect();
    let steps: [(bool, &[usize]); 8] = [
        (true, &[0, 1, 2]),
        (true, &[1, 2, 3, 5]),
        (true, &many),
        (false, &[2]),
        (false, &[2, 5, 299]),
        (true, &[299]),
        (false, &many),
        (true, &[298]),
    ];
    for (is_archive, slots) in steps {
        let request = shop.some(slots);
        let before = RECOUNTS.get();
        shop.run(1, &if is_archive { Mutation::ArchiveCodes(request) } else { Mutation::RestoreCodes(request) });
        assert_eq!(RECOUNTS.get(), before, "{is_archive} {slots:?}");
        shop.is_counted_right();
    }
    // Those that are left over by a restore are archived already.
    shop.run(1, &Mutation::ArchiveCampaign(CAMPAIGN));
    let list = list([shop.codes[7].as_str(), shop.codes[8].as_str()]);
    let terms = Terms::new("other", Money(1));
    shop.run(1, &Mutation::CreateCampaign(Box::new(CreateCampaignRequest { terms, list, on_conflict: OnConflict::Reject })));
    shop.run(1, &Mutation::RestoreCampaign(CAMPAIGN));
    let request = shop.some(&[7, 8, 9]);
    shop.run(1, &Mutation::ArchiveCodes(request));
    shop.is_counted_right();
    shop.bench.compare_with_replay();
}

/// Terms other than the cap recount no code.
#[test]
fn a_change_of_other_terms_recounts_nothing() {
    let mut shop = Shop::new(20, Terms::new("shop", Money(1)));
    let before = RECOUNTS.get();
    let change = UpdateCampaign { campaign: CAMPAIGN, name: Some("renamed".into()), ..UpdateCampaign::default() };
    shop.run(1, &Mutation::UpdateCampaign(Box::new(change)));
    assert_eq!(RECOUNTS.get(), before);
    shop.is_counted_right();
}

/// Hundreds of holds that expire with one record are shown with one look at their campaign.
#[test]
fn a_record_looks_once_at_what_a_campaign_has_in_all() {
    let mut shop = Shop::new(200, Terms { activations_max: Some(150), ..Terms::new("shop", Money(1)) });
    for (number, role) in [(1, Role::Operator), (2, Role::Gateway)] {
        let (name, secret) = (role.to_string(), Secret::Token([number as u8; 32]));
        let grant = Grant { name, role, clubs: Vec::new(), reasons: true, secret };
        shop.bench.follow(CredentialAdded { stamp: None, credential: CredentialId(number), grant }.into());
    }
    for slot in 0..150 {
        let redeem = shop.use_of(slot);
        shop.run(2, &Mutation::Hold(Box::new(HoldRequest { redeem, ttl_ms: 600_000 })));
    }
    let before = FREE_FROMS.get();
    shop.run(1, &Mutation::RevokeCredential(RevokeCredential { credential: CredentialId(2) }));
    assert!(shop.bench.state.holds.touched().len() >= 150, "{:?}", shop.bench.state.holds.touched().len());
    assert_eq!(FREE_FROMS.get() - before, 1);
    shop.is_counted_right();
}
