//! The subject of a refused request, for its record: reports find refusals by client, code or club (Z13).

use scrip_protocol::command::Subject;
use scrip_protocol::{CampaignId, ClientId, ClubId, Position, Stamp};

use super::{CodeAt, CodeList, Lookup, Mutation, NamedHold, NormalisedCode, State};

impl State {
    /// The subject of a request.
    pub(super) fn subject(&self, now_ms: u64, stamp: &Stamp, request: &Mutation, lookup: &impl Lookup) -> Subject {
        let person = |client: ClientId, club: Option<ClubId>| Subject { client: Some(client), club, ..Subject::default() };
        let campaign = |campaign: CampaignId| Subject { campaign: Some(campaign), ..Subject::default() };
        // The operation that the request names, with its subject if the caller may name it.
        let operation = |at: Position, of: Option<Subject>| Subject { operation: Some(at), ..of.unwrap_or_default() };
        let may_name = |owner: &Stamp, anyones: bool| anyones || owner.credential == stamp.credential;
        match request {
            // Their refusals have records of their own.
            Mutation::Redeem(_) | Mutation::Hold(_) | Mutation::Confirm(_) => Subject::default(),
            Mutation::Release(hold) => operation(hold.hold, self.held(now_ms, stamp, *hold, lookup)),
            Mutation::Refund(request) => {
                let found = request.found.as_ref().filter(|found| may_name(&found.stamp, request.anyones));
                let of = found.map(|found| {
                    let at = CodeAt { campaign: found.campaign, slot: found.slot };
                    self.of_code(at, found.client, found.club, lookup)
                });
                operation(request.activation, of)
            }
            Mutation::RefundTopUp(request) => {
                let found = request.found.as_ref().filter(|found| may_name(&found.stamp, request.anyones));
                operation(request.top_up, found.map(|found| person(found.client, Some(found.club))))
            }
            Mutation::RefundBonus(request) => {
                let found = request.found.as_ref().filter(|found| may_name(&found.stamp, request.anyones));
                operation(request.payment, found.map(|found| person(found.client, found.club)))
            }
            Mutation::RegisterClient(request) => person(request.client, None),
            Mutation::TopUp(request) => person(request.client, Some(request.club)),
            Mutation::CreditBonus(request) => person(request.client, request.club),
            Mutation::WriteOffBonus(request) => person(request.client, request.club),
            Mutation::PayBonus(request) => person(request.client, Some(request.club)),
            Mutation::RecordSession(request) => person(request.client, Some(request.club)),
            Mutation::RecordPurchase(request) => person(request.client, Some(request.club)),
            Mutation::CreateCampaign(request) => Subject { code: only(&request.list), ..Subject::default() },
            Mutation::AddCodes(request) => {
                Subject { campaign: request.campaign, code: only(&request.list), ..Subject::default() }
            }
            Mutation::ArchiveCodes(request) | Mutation::RestoreCodes(request) => {
                Subject { campaign: Some(request.campaign), code: only(&request.list), ..Subject::default() }
            }
            Mutation::SwitchCampaign(request) => campaign(request.campaign),
            Mutation::UpdateCampaign(request) => campaign(request.campaign),
            Mutation::GenerateCodes(request) => campaign(request.campaign),
            Mutation::ArchiveCampaign(of) | Mutation::RestoreCampaign(of) => campaign(*of),
            Mutation::RegisterClub(_)
            | Mutation::AddCredential(_)
            | Mutation::RevokeCredential(_)
            | Mutation::RegisterGroup(_)
            | Mutation::CreateRule(_)
            | Mutation::UpdateRule(_)
            | Mutation::SwitchRule(_)
            | Mutation::ArchiveRule(_)
            | Mutation::RestoreRule(_)
            | Mutation::KeepReader(_)
            | Mutation::ForgetReader(_) => Subject::default(),
        }
    }

    fn held(&self, now_ms: u64, stamp: &Stamp, named: NamedHold, lookup: &impl Lookup) -> Option<Subject> {
        let hold = named.of(self, now_ms, stamp)?;
        Some(self.of_code(hold.at, hold.client, hold.club, lookup))
    }

    fn of_code(&self, at: CodeAt, client: ClientId, club: ClubId, lookup: &impl Lookup) -> Subject {
        let text = self.campaigns.of(at.campaign).and_then(|campaign| campaign.text_of(at.slot));
        let code = text.and_then(|text| lookup.normalised(text)).map(|code| code.as_str().to_owned());
        Subject { client: Some(client), club: Some(club), code, campaign: Some(at.campaign), operation: None }
    }
}

/// The code of a list with one code.
fn only(list: &CodeList) -> Option<String> {
    let [code] = list.normalised() else { return None };
    Some(NormalisedCode::as_str(code).to_owned())
}
