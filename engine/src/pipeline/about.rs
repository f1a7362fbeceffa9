//! The client, code and so on of a change that is refused without a record, for its report.

use scrip_protocol::{ClientId, ClubId};

use crate::attempts::About;
use scrip_core::state::{Mutation, RedeemRequest};

pub(super) fn about(request: &Mutation) -> About {
    let redemption = |request: &RedeemRequest| About {
        client: Some(request.client),
        club: Some(request.club),
        code: request.code.as_ref().ok().copied(),
    };
    let client = |client: ClientId, club: Option<ClubId>| About { client: Some(client), club, code: None };
    match request {
        Mutation::Redeem(request) => redemption(request),
        Mutation::Hold(request) => redemption(&request.redeem),
        Mutation::Refund(request) => {
            let found = request.found.as_ref();
            found.map_or(About::default(), |found| client(found.client, Some(found.club)))
        }
        Mutation::RegisterClient(request) => client(request.client, None),
        Mutation::TopUp(request) => client(request.client, Some(request.club)),
        Mutation::RefundTopUp(request) => {
            let found = request.found.as_ref();
            found.map_or(About::default(), |found| client(found.client, Some(found.club)))
        }
        Mutation::CreditBonus(request) => client(request.client, request.club),
        Mutation::WriteOffBonus(request) => client(request.client, request.club),
        Mutation::PayBonus(request) => client(request.client, Some(request.club)),
        Mutation::RefundBonus(request) => {
            let found = request.found.as_ref();
            found.map_or(About::default(), |found| client(found.client, found.club))
        }
        Mutation::RecordSession(request) => client(request.client, Some(request.club)),
        Mutation::RecordPurchase(request) => client(request.client, Some(request.club)),
        Mutation::Confirm(_)
        | Mutation::Release(_)
        | Mutation::RegisterClub(_)
        | Mutation::CreateCampaign(_)
        | Mutation::AddCodes(_)
        | Mutation::SwitchCampaign(_)
        | Mutation::UpdateCampaign(_)
        | Mutation::ArchiveCampaign(_)
        | Mutation::RestoreCampaign(_)
        | Mutation::GenerateCodes(_)
        | Mutation::ArchiveCodes(_)
        | Mutation::RestoreCodes(_)
        | Mutation::AddCredential(_)
        | Mutation::RevokeCredential(_)
        | Mutation::RegisterGroup(_)
        | Mutation::CreateRule(_)
        | Mutation::UpdateRule(_)
        | Mutation::SwitchRule(_)
        | Mutation::ArchiveRule(_)
        | Mutation::RestoreRule(_)
        | Mutation::KeepReader(_)
        | Mutation::ForgetReader(_) => About::default(),
    }
}
