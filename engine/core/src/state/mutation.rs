//! The requests that change something, and what each is about.
//!
//! `mutations!` below is the one table of them. A row gives the type of the request, and what a request of it names: a refusal and the
//! record of a refusal report that.

use scrip_protocol::command::{
    AddCredential, CreateRule, CreditBonus, PayBonus, RecordPurchase, RecordSession, RegisterClient, RegisterClub, RegisterGroup,
    RevokeCredential, SwitchCampaign, SwitchRule, TopUp, UpdateCampaign, UpdateRule, WriteOffBonus,
};
use scrip_protocol::{CampaignId, ClientId, ClubId, Kind, Position, RuleId, Stamp};

use super::add_codes::AddCodesRequest;
use super::archive_codes::CodesRequest;
use super::bonus::RefundBonusRequest;
use super::code_list::CodeList;
use super::confirm::{ConfirmRequest, NamedHold};
use super::create_campaign::CreateCampaignRequest;
use super::generate_codes::GenerateRequest;
use super::hold_code::HoldRequest;
use super::readers::{ForgetReaderRequest, KeepReaderRequest};
use super::redeem::RedeemRequest;
use super::refund::RefundRequest;
use super::refund_top_up::RefundTopUpRequest;

/// A client, and the club if there is one.
#[derive(Debug, Clone, Copy)]
pub struct Person {
    /// The client.
    pub client: ClientId,
    /// The club.
    pub club: Option<ClubId>,
}

/// What a request names.
#[derive(Debug, Clone, Copy)]
pub enum Named<'a> {
    /// Neither a client, a campaign nor an operation.
    Nothing,
    /// A code and a client.
    Redemption(&'a RedeemRequest),
    /// A client.
    Person(Person),
    /// A hold.
    Hold(NamedHold),
    /// An activation.
    Activation(&'a RefundRequest),
    /// A top-up or a payment.
    Operation {
        /// Its position.
        operation: Position,
        /// Whether the caller may name an operation of another credential.
        anyones: bool,
        /// The stamp of its record, and its client, if the journal has such an operation.
        found: Option<(&'a Stamp, Person)>,
    },
    /// A campaign.
    Campaign(CampaignId),
    /// A list of codes.
    Codes {
        /// The campaign, unless it is new.
        campaign: Option<CampaignId>,
        /// The codes.
        list: &'a CodeList,
    },
}

fn person(client: ClientId, club: Option<ClubId>) -> Named<'static> {
    Named::Person(Person { client, club })
}

macro_rules! mutations {
    ($($(#[doc = $about:literal])* $name:ident($request:tt: $type:ty) $how:ident $names:expr;)*) => {
        /// A request that changes something, with its codes normalised.
        #[derive(Debug, Clone)]
        pub enum Mutation {
            $($(#[doc = $about])* $name($type),)*
        }

        impl Mutation {
            /// The command.
            pub fn kind(&self) -> Kind {
                match self { $(Mutation::$name(_) => Kind::$name,)* }
            }

            /// The redemption that this is, or may become: a request with one code and one client.
            #[inline]
            pub fn redemption(&self) -> Option<&RedeemRequest> {
                match self { $(Mutation::$name(_request) => mutations!(@redemption $how _request $request $names),)* }
            }

            /// What the request names.
            pub fn named(&self) -> Named<'_> {
                match self { $(Mutation::$name($request) => mutations!(@named $how $names),)* }
            }
        }
    };
    (@redemption redeems $whole:ident $request:ident $names:expr) => {{
        let $request = $whole;
        Some($names)
    }};
    (@redemption names $whole:ident $request:tt $names:expr) => { None };
    (@named redeems $names:expr) => { Named::Redemption($names) };
    (@named names $names:expr) => { $names };
}

mutations! {
    /// Redeem a code.
    Redeem(request: RedeemRequest) redeems request;
    /// Hold one use of a code. Boxed, so that a chunk of redemptions is no larger for it.
    Hold(request: Box<HoldRequest>) redeems &request.redeem;
    /// Make a hold the activation.
    Confirm(_: ConfirmRequest) names Named::Nothing;
    /// Give a held use back.
    Release(request: NamedHold) names Named::Hold(*request);
    /// Register a club.
    RegisterClub(_: RegisterClub) names Named::Nothing;
    /// Register a client.
    RegisterClient(request: RegisterClient) names person(request.client, None);
    /// Create a campaign.
    CreateCampaign(request: Box<CreateCampaignRequest>) names Named::Codes { campaign: None, list: &request.list };
    /// Add codes to a campaign.
    AddCodes(request: Box<AddCodesRequest>) names Named::Codes { campaign: request.campaign, list: &request.list };
    /// Switch a campaign on or off.
    SwitchCampaign(request: SwitchCampaign) names Named::Campaign(request.campaign);
    /// Change a campaign's terms.
    UpdateCampaign(request: Box<UpdateCampaign>) names Named::Campaign(request.campaign);
    /// Archive a campaign.
    ArchiveCampaign(request: CampaignId) names Named::Campaign(*request);
    /// Restore a campaign.
    RestoreCampaign(request: CampaignId) names Named::Campaign(*request);
    /// Generate codes for a campaign.
    GenerateCodes(request: Box<GenerateRequest>) names Named::Campaign(request.campaign);
    /// Archive single codes.
    ArchiveCodes(request: Box<CodesRequest>) names Named::Codes { campaign: Some(request.campaign), list: &request.list };
    /// Restore single codes.
    RestoreCodes(request: Box<CodesRequest>) names Named::Codes { campaign: Some(request.campaign), list: &request.list };
    /// Refund an activation.
    Refund(request: Box<RefundRequest>) names Named::Activation(request);
    /// Add a credential.
    AddCredential(_: Box<AddCredential>) names Named::Nothing;
    /// Revoke a credential.
    RevokeCredential(_: RevokeCredential) names Named::Nothing;
    /// Register a group of clients.
    RegisterGroup(_: RegisterGroup) names Named::Nothing;
    /// Top up a client's gaming balance.
    TopUp(request: Box<TopUp>) names person(request.client, Some(request.club));
    /// Refund a top-up.
    RefundTopUp(request: Box<RefundTopUpRequest>) names Named::Operation {
        operation: request.top_up,
        anyones: request.anyones,
        found: request.found.as_ref().map(|found| (&found.stamp, Person { client: found.client, club: Some(found.club) })),
    };
    /// Credit bonuses by hand.
    CreditBonus(request: Box<CreditBonus>) names person(request.client, request.club);
    /// Write bonuses off by hand.
    WriteOffBonus(request: Box<WriteOffBonus>) names person(request.client, request.club);
    /// Pay with bonuses.
    PayBonus(request: Box<PayBonus>) names person(request.client, Some(request.club));
    /// Give a bonus payment back.
    RefundBonus(request: Box<RefundBonusRequest>) names Named::Operation {
        operation: request.payment,
        anyones: request.anyones,
        found: request.found.as_ref().map(|found| (&found.stamp, Person { client: found.client, club: found.club })),
    };
    /// Record a session.
    RecordSession(request: Box<RecordSession>) names person(request.client, Some(request.club));
    /// Record a purchase.
    RecordPurchase(request: Box<RecordPurchase>) names person(request.client, Some(request.club));
    /// Create a rule.
    CreateRule(_: Box<CreateRule>) names Named::Nothing;
    /// Change a rule.
    UpdateRule(_: Box<UpdateRule>) names Named::Nothing;
    /// Switch a rule on or off.
    SwitchRule(_: SwitchRule) names Named::Nothing;
    /// Archive a rule.
    ArchiveRule(_: RuleId) names Named::Nothing;
    /// Restore a rule.
    RestoreRule(_: RuleId) names Named::Nothing;
    /// Register or move a reader of the journal.
    KeepReader(_: Box<KeepReaderRequest>) names Named::Nothing;
    /// Forget a reader.
    ForgetReader(_: ForgetReaderRequest) names Named::Nothing;
}
