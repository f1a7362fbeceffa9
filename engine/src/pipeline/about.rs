//! Whom and what a change is about: what is told of it where it is refused and leaves no record.

use scrip_protocol::{ClientId, ClubId};

use crate::attempts::About;
use scrip_core::state::{Asked, AskedRedeem};

pub(super) fn about(asked: &Asked) -> About {
    let redemption = |asked: &AskedRedeem| About {
        client: Some(asked.client),
        club: Some(asked.club),
        code: asked.code.as_ref().ok().copied(),
    };
    let client = |client: ClientId, club: Option<ClubId>| About { client: Some(client), club, code: None };
    match asked {
        Asked::Redeem(asked) => redemption(asked),
        Asked::Hold(asked) => redemption(&asked.redeem),
        Asked::Refund(asked) => {
            let found = asked.found.as_ref();
            found.map_or(About::default(), |found| client(found.client, Some(found.club)))
        }
        Asked::RegisterClient(asked) => client(asked.client, None),
        Asked::TopUp(asked) => client(asked.client, Some(asked.club)),
        Asked::RefundTopUp(asked) => {
            let found = asked.found.as_ref();
            found.map_or(About::default(), |found| client(found.client, Some(found.club)))
        }
        Asked::CreditBonus(asked) => client(asked.client, asked.club),
        Asked::WriteOffBonus(asked) => client(asked.client, asked.club),
        Asked::PayBonus(asked) => client(asked.client, Some(asked.club)),
        Asked::RefundBonus(asked) => {
            let found = asked.found.as_ref();
            found.map_or(About::default(), |found| client(found.client, found.club))
        }
        Asked::RecordSession(asked) => client(asked.client, Some(asked.club)),
        Asked::RecordPurchase(asked) => client(asked.client, Some(asked.club)),
        Asked::Confirm(_)
        | Asked::Release(_)
        | Asked::RegisterClub(_)
        | Asked::CreateCampaign(_)
        | Asked::AddCodes(_)
        | Asked::SwitchCampaign(_)
        | Asked::UpdateCampaign(_)
        | Asked::ArchiveCampaign(_)
        | Asked::RestoreCampaign(_)
        | Asked::GenerateCodes(_)
        | Asked::ArchiveCodes(_)
        | Asked::RestoreCodes(_)
        | Asked::AddCredential(_)
        | Asked::RevokeCredential(_)
        | Asked::RegisterGroup(_)
        | Asked::CreateRule(_)
        | Asked::UpdateRule(_)
        | Asked::SwitchRule(_)
        | Asked::ArchiveRule(_)
        | Asked::RestoreRule(_)
        | Asked::KeepReader(_)
        | Asked::ForgetReader(_) => About::default(),
    }
}
