//! Which command a change is, and whom and what it is about: what is told of it where it is refused and leaves no record.

use scrip_protocol::{ClientId, ClubId, Kind};

use crate::attempts::About;
use crate::state::{Asked, AskedRedeem};

pub(super) fn about(asked: &Asked) -> (Kind, About) {
    let redemption = |asked: &AskedRedeem| About {
        client: Some(asked.client),
        club: Some(asked.club),
        code: asked.code.as_ref().ok().copied(),
    };
    let client = |client: ClientId, club: Option<ClubId>| About { client: Some(client), club, code: None };
    match asked {
        Asked::Redeem(asked) => (Kind::Redeem, redemption(asked)),
        Asked::Hold(asked) => (Kind::Hold, redemption(&asked.redeem)),
        Asked::Confirm(_) => (Kind::Confirm, About::default()),
        Asked::Release(_) => (Kind::Release, About::default()),
        Asked::Refund(asked) => {
            let found = asked.found.as_ref();
            (Kind::Refund, found.map_or(About::default(), |found| client(found.client, Some(found.club))))
        }
        Asked::RegisterClient(asked) => (Kind::RegisterClient, client(asked.client, None)),
        Asked::TopUp(asked) => (Kind::TopUp, client(asked.client, Some(asked.club))),
        Asked::RefundTopUp(asked) => {
            let found = asked.found.as_ref();
            (Kind::RefundTopUp, found.map_or(About::default(), |found| client(found.client, Some(found.club))))
        }
        Asked::CreditBonus(asked) => (Kind::CreditBonus, client(asked.client, asked.club)),
        Asked::WriteOffBonus(asked) => (Kind::WriteOffBonus, client(asked.client, asked.club)),
        Asked::PayBonus(asked) => (Kind::PayBonus, client(asked.client, Some(asked.club))),
        Asked::RefundBonus(asked) => {
            let found = asked.found.as_ref();
            (Kind::RefundBonus, found.map_or(About::default(), |found| client(found.client, found.club)))
        }
        Asked::RecordSession(asked) => (Kind::RecordSession, client(asked.client, Some(asked.club))),
        Asked::RecordPurchase(asked) => (Kind::RecordPurchase, client(asked.client, Some(asked.club))),
        Asked::RegisterClub(_) => (Kind::RegisterClub, About::default()),
        Asked::CreateCampaign(_) => (Kind::CreateCampaign, About::default()),
        Asked::AddCodes(_) => (Kind::AddCodes, About::default()),
        Asked::SwitchCampaign(_) => (Kind::SwitchCampaign, About::default()),
        Asked::UpdateCampaign(_) => (Kind::UpdateCampaign, About::default()),
        Asked::ArchiveCampaign(_) => (Kind::ArchiveCampaign, About::default()),
        Asked::RestoreCampaign(_) => (Kind::RestoreCampaign, About::default()),
        Asked::GenerateCodes(_) => (Kind::GenerateCodes, About::default()),
        Asked::ArchiveCodes(_) => (Kind::ArchiveCodes, About::default()),
        Asked::RestoreCodes(_) => (Kind::RestoreCodes, About::default()),
        Asked::AddCredential(_) => (Kind::AddCredential, About::default()),
        Asked::RevokeCredential(_) => (Kind::RevokeCredential, About::default()),
        Asked::RegisterGroup(_) => (Kind::RegisterGroup, About::default()),
        Asked::CreateRule(_) => (Kind::CreateRule, About::default()),
        Asked::UpdateRule(_) => (Kind::UpdateRule, About::default()),
        Asked::SwitchRule(_) => (Kind::SwitchRule, About::default()),
        Asked::ArchiveRule(_) => (Kind::ArchiveRule, About::default()),
        Asked::RestoreRule(_) => (Kind::RestoreRule, About::default()),
        Asked::KeepReader(_) => (Kind::KeepReader, About::default()),
        Asked::ForgetReader(_) => (Kind::ForgetReader, About::default()),
    }
}
