//! The subject of a refused request, for its record: reports find refusals by client, code or club (Z13).

use scrip_protocol::command::Subject;
use scrip_protocol::{ClientId, ClubId, Stamp};

use super::mutation::{Mutation, Named, Person};
use super::{CodeAt, CodeList, NamedHold, NormalisedCode, State};

impl State {
    /// What a request is about.
    pub(super) fn subject(&self, now_ms: u64, stamp: &Stamp, request: &Mutation) -> Subject {
        let may_name = |owner: &Stamp, anyones: bool| anyones || owner.credential == stamp.credential;
        match request.named() {
            // The refusal of a redemption has a record of its own.
            Named::Nothing | Named::Redemption(_) => Subject::default(),
            Named::Person(Person { client, club }) => Subject { client: Some(client), club, ..Subject::default() },
            // The operation that the request names, with what it was about if the caller may name it.
            Named::Hold(hold) => {
                let of = self.held(now_ms, stamp, hold).unwrap_or_default();
                Subject { operation: Some(hold.hold), ..of }
            }
            Named::Activation(request) => {
                let found = request.found.as_ref().filter(|found| may_name(&found.stamp, request.anyones));
                let of = found.map(|found| {
                    let at = CodeAt { campaign: found.campaign, slot: found.slot };
                    self.of_code(at, found.client, found.club)
                });
                Subject { operation: Some(request.activation), ..of.unwrap_or_default() }
            }
            Named::Operation { operation, anyones, found } => {
                let person = found.filter(|(owner, _)| may_name(owner, anyones)).map(|(_, person)| person);
                let (client, club) = (person.map(|person| person.client), person.and_then(|person| person.club));
                Subject { client, club, operation: Some(operation), ..Subject::default() }
            }
            Named::Campaign(campaign) => Subject { campaign: Some(campaign), ..Subject::default() },
            Named::Codes { campaign, list } => Subject { campaign, code: only(list), ..Subject::default() },
        }
    }

    fn held(&self, now_ms: u64, stamp: &Stamp, named: NamedHold) -> Option<Subject> {
        let hold = named.of(self, now_ms, stamp)?;
        Some(self.of_code(hold.at, hold.client, hold.club))
    }

    fn of_code(&self, at: CodeAt, client: ClientId, club: ClubId) -> Subject {
        let text = self.campaigns.of(at.campaign).and_then(|campaign| campaign.text_of(at.slot));
        let code = text.and_then(|text| self.code_form().normalise(text).ok()).map(|code| code.as_str().to_owned());
        Subject { client: Some(client), club: Some(club), code, campaign: Some(at.campaign), operation: None }
    }
}

/// The code of a list with one code.
fn only(list: &CodeList) -> Option<String> {
    let [code] = list.normalised() else { return None };
    Some(NormalisedCode::as_str(code).to_owned())
}
