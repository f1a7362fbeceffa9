//! What a refused request was about, for its record: whoever asks why something was refused asks by client, code or club (Z13).

use scrip_protocol::command::Subject;
use scrip_protocol::{CampaignId, ClientId, ClubId, Position, Stamp};

use super::{Asked, CodeAt, CodeList, Lookup, NamedHold, NormalisedCode, State};

impl State {
    /// What a request is about.
    pub(super) fn subject(&self, now_ms: u64, stamp: &Stamp, asked: &Asked, lookup: &impl Lookup) -> Subject {
        let person = |client: ClientId, club: Option<ClubId>| Subject { client: Some(client), club, ..Subject::default() };
        let campaign = |campaign: CampaignId| Subject { campaign: Some(campaign), ..Subject::default() };
        // The operation that the request names, with what it was about where the caller may name it.
        let operation = |at: Position, of: Option<Subject>| Subject { operation: Some(at), ..of.unwrap_or_default() };
        let may_name = |owner: &Stamp, anyones: bool| anyones || owner.credential == stamp.credential;
        match asked {
            // Their refusals have records of their own.
            Asked::Redeem(_) | Asked::Hold(_) | Asked::Confirm(_) => Subject::default(),
            Asked::Release(hold) => operation(hold.hold, self.held(now_ms, stamp, *hold, lookup)),
            Asked::Refund(asked) => {
                let found = asked.found.as_ref().filter(|found| may_name(&found.stamp, asked.anyones));
                let of = found.map(|found| {
                    let at = CodeAt { campaign: found.campaign, slot: found.slot };
                    self.of_code(at, found.client, found.club, lookup)
                });
                operation(asked.activation, of)
            }
            Asked::RefundTopUp(asked) => {
                let found = asked.found.as_ref().filter(|found| may_name(&found.stamp, asked.anyones));
                operation(asked.top_up, found.map(|found| person(found.client, Some(found.club))))
            }
            Asked::RefundBonus(asked) => {
                let found = asked.found.as_ref().filter(|found| may_name(&found.stamp, asked.anyones));
                operation(asked.payment, found.map(|found| person(found.client, found.club)))
            }
            Asked::RegisterClient(asked) => person(asked.client, None),
            Asked::TopUp(asked) => person(asked.client, Some(asked.club)),
            Asked::CreditBonus(asked) => person(asked.client, asked.club),
            Asked::WriteOffBonus(asked) => person(asked.client, asked.club),
            Asked::PayBonus(asked) => person(asked.client, Some(asked.club)),
            Asked::RecordSession(asked) => person(asked.client, Some(asked.club)),
            Asked::RecordPurchase(asked) => person(asked.client, Some(asked.club)),
            Asked::CreateCampaign(asked) => Subject { code: only(&asked.list), ..Subject::default() },
            Asked::AddCodes(asked) => Subject { campaign: asked.campaign, code: only(&asked.list), ..Subject::default() },
            Asked::ArchiveCodes(asked) | Asked::RestoreCodes(asked) => {
                Subject { campaign: Some(asked.campaign), code: only(&asked.list), ..Subject::default() }
            }
            Asked::SwitchCampaign(asked) => campaign(asked.campaign),
            Asked::UpdateCampaign(asked) => campaign(asked.campaign),
            Asked::GenerateCodes(asked) => campaign(asked.campaign),
            Asked::ArchiveCampaign(of) | Asked::RestoreCampaign(of) => campaign(*of),
            Asked::RegisterClub(_)
            | Asked::AddCredential(_)
            | Asked::RevokeCredential(_)
            | Asked::RegisterGroup(_)
            | Asked::CreateRule(_)
            | Asked::UpdateRule(_)
            | Asked::SwitchRule(_)
            | Asked::ArchiveRule(_)
            | Asked::RestoreRule(_)
            | Asked::KeepReader(_)
            | Asked::ForgetReader(_) => Subject::default(),
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

/// The code of a list of one.
fn only(list: &CodeList) -> Option<String> {
    let [code] = list.normalised() else { return None };
    Some(NormalisedCode::as_str(code).to_owned())
}
