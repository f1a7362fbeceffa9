//! What an audit may find: each kind of difference by its name.

use std::collections::BTreeMap;

use scrip_protocol::frame::Malformed;
use scrip_protocol::{CampaignId, ClientId, ClubId, Money, Position, RequestId};

use crate::caller::Told;
use crate::mix::Shape;

/// How many differences of each kind are kept; the rest is counted.
const KEPT_OF_A_KIND: usize = 5;

/// The sums of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CampaignSums {
    /// Codes.
    pub codes: u32,
    /// Those activated at least once.
    pub codes_activated: u32,
    /// Activations.
    pub activations: u64,
    /// Bonuses, in minor units, less what refunds took back.
    pub issued: i128,
    /// Refunds.
    pub refunds: u64,
    /// What refunds could not take back, in minor units.
    pub uncollected: i128,
}

impl std::fmt::Display for CampaignSums {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let CampaignSums { codes, codes_activated, activations, issued, refunds, uncollected } = self;
        write!(f, "{codes} codes, {codes_activated} of them activated, {activations} activations, {issued} issued, ")?;
        write!(f, "{refunds} refunds, {uncollected} uncollected")
    }
}

/// What a hold promises, and what its confirmation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// To whom.
    pub client: ClientId,
    /// Where.
    pub club: ClubId,
    /// Of which campaign.
    pub campaign: CampaignId,
    /// Which of its codes, counted from 0.
    pub slot: u32,
    /// How much.
    pub amount: Money,
}

impl std::fmt::Display for Promise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Promise { client, club, campaign, slot, amount } = self;
        write!(f, "{} to client {client} at club {club} for code {slot} of campaign {campaign}", amount.0)
    }
}

/// One thing that does not agree.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Difference {
    /// Positions are not one after the other.
    #[error("position {position} follows position {after}")]
    PositionsBroken {
        /// Where.
        position: Position,
        /// What stands before it.
        after: Position,
    },
    /// A request has more than one record.
    #[error("position {position}: request {request} has a second record")]
    SecondRecord {
        /// Where the second stands.
        position: Position,
        /// The request.
        request: RequestId,
    },
    /// A recorded balance is not the sum of the entries before it.
    #[error("position {position}: the balance of client {client} is {recounted}, and {} is recorded", .recorded.0)]
    Balance {
        /// Where.
        position: Position,
        /// Whose.
        client: ClientId,
        /// The record's.
        recorded: Money,
        /// The sum, in minor units.
        recounted: i128,
    },
    /// An activation of a campaign, or a campaign of the run, that there is not.
    #[error("position {position}: there is no campaign {campaign}")]
    NoCampaign {
        /// Where.
        position: Position,
        /// The campaign.
        campaign: CampaignId,
    },
    /// An activation of a code that there is not.
    #[error("position {position}: campaign {campaign} has no code {slot}")]
    NoCode {
        /// Where.
        position: Position,
        /// The campaign.
        campaign: CampaignId,
        /// Which of its codes, counted from 0.
        slot: u32,
    },
    /// A code was activated, or is held, more often than it may be.
    #[error("position {position}: code {slot} of campaign {campaign} is activated or held {uses} times, over its cap of {cap}")]
    OverCap {
        /// The activation or the hold that is too many.
        position: Position,
        /// The campaign.
        campaign: CampaignId,
        /// Which of its codes, counted from 0.
        slot: u32,
        /// How many activations and open holds it has by then.
        uses: u64,
        /// How often it may be.
        cap: u32,
    },
    /// A client has, or holds, more uses of a campaign than he may have.
    #[error("position {position}: client {client} has {uses} uses of campaign {campaign}, over his limit of {max}")]
    OverClientLimit {
        /// The activation or the hold that is too many.
        position: Position,
        /// The campaign.
        campaign: CampaignId,
        /// Whose.
        client: ClientId,
        /// How many activations, as far as they are counted, and open holds he has by then.
        uses: u64,
        /// How many he may have.
        max: u32,
    },
    /// A campaign's codes were activated, or are held, more often than they may be in all.
    #[error("position {position}: the codes of campaign {campaign} are activated or held {uses} times, over its limit of {max}")]
    OverCampaignLimit {
        /// The activation or the hold that is too many.
        position: Position,
        /// The campaign.
        campaign: CampaignId,
        /// How many activations and open holds it has by then.
        uses: u64,
        /// How many it may have.
        max: u64,
    },
    /// A campaign has given, and promised, more than its budget.
    #[error("position {position}: campaign {campaign} has issued and held {committed}, over its budget of {}", .budget.0)]
    OverBudget {
        /// The activation or the hold that is too much.
        position: Position,
        /// The campaign.
        campaign: CampaignId,
        /// The sum of what is issued and of its open holds by then, in minor units.
        committed: i128,
        /// How much it may be.
        budget: Money,
    },
    /// A refund of what is no activation, or was refunded before.
    #[error("position {position}: there is no activation {activation} to refund, or it was refunded before")]
    SecondRefund {
        /// Where.
        position: Position,
        /// What was refunded.
        activation: Position,
    },
    /// A refund of another use than its activation, or of another amount; or more is uncollected than the client had spent.
    #[error("position {position}: this refund is not that of activation {activation}")]
    RefundUnlike {
        /// Where.
        position: Position,
        /// The activation.
        activation: Position,
    },
    /// An activation while the campaign or the code was off or archived, or with another amount than its terms say.
    #[error("position {position}: this activation is not on the terms of campaign {campaign}")]
    Terms {
        /// Where.
        position: Position,
        /// The campaign.
        campaign: CampaignId,
    },
    /// A hold while the campaign was off, or of another amount than its terms say.
    #[error("position {position}: this hold is not on the terms of campaign {campaign}")]
    HoldTerms {
        /// Where.
        position: Position,
        /// The campaign.
        campaign: CampaignId,
    },
    /// A confirmation or a release of a hold that there is not.
    #[error("position {position}: there is no hold {hold}")]
    NoHold {
        /// Where.
        position: Position,
        /// The hold.
        hold: Position,
    },
    /// A hold ended twice.
    #[error("position {position}: hold {hold} had ended before")]
    HoldEnded {
        /// Where it ends once more.
        position: Position,
        /// The hold.
        hold: Position,
    },
    /// A confirmation did something else than its hold promised.
    #[error("position {position}: hold {hold} promised {promised}; done was {done}")]
    HoldBroken {
        /// Where.
        position: Position,
        /// The hold.
        hold: Position,
        /// What it promised.
        promised: Box<Promise>,
        /// What was done.
        done: Box<Promise>,
    },
    /// A hold was confirmed after its time, when its campaign was off.
    #[error("position {position}: hold {hold} had expired, and its campaign was off")]
    HoldExpired {
        /// Where.
        position: Position,
        /// The hold.
        hold: Position,
    },
    /// A recorded refusal is no answer to its command.
    #[error("position {position}: the recorded reply cannot be read: {cause}")]
    ReplyUnreadable {
        /// Where.
        position: Position,
        /// Why.
        cause: Malformed,
    },
    /// An answer without a record.
    #[error("request {request} was answered {told:?}, and nothing is recorded")]
    NoRecord {
        /// The request.
        request: RequestId,
        /// The answer.
        told: Box<Told>,
    },
    /// An answer that is not what the record says.
    #[error("request {request} was answered {told:?}, and {recorded:?} is recorded")]
    AnsweredOtherwise {
        /// The request.
        request: RequestId,
        /// The answer.
        told: Box<Told>,
        /// What the record says.
        recorded: Box<Told>,
    },
    /// A record without an answer.
    #[error("request {request} has a record, and no answer came")]
    AnswerMissing {
        /// The request.
        request: RequestId,
    },
    /// A record of a request that was refused without one, or changes nothing.
    #[error("request {request} has a record, and its answer said that nothing was done")]
    RefusedWithRecord {
        /// The request.
        request: RequestId,
    },
    /// The same request was answered differently at different times.
    #[error("request {request} was answered {told:?}, and {otherwise:?} when it was repeated")]
    RepeatUnlike {
        /// The request.
        request: RequestId,
        /// One answer.
        told: Box<Told>,
        /// Another.
        otherwise: Box<Told>,
    },
    /// An answer that a request of its shape cannot have.
    #[error("request {request} ({shape:?}) was answered {told:?}")]
    Unexpected {
        /// The request.
        request: RequestId,
        /// What it is.
        shape: Shape,
        /// The answer.
        told: Box<Told>,
    },
    /// A campaign has more or fewer activations than were answered.
    #[error("campaign {campaign}: {answered} activations were answered, and {recorded} are recorded")]
    Activations {
        /// The campaign.
        campaign: CampaignId,
        /// Answers that say redeemed.
        answered: u64,
        /// Records.
        recorded: u64,
    },
    /// A code with a cap was not activated as often as it was tried and may be.
    #[error("campaign {campaign}: {expected} activations of its code were due, and {recorded} are recorded")]
    CapNotMet {
        /// The campaign.
        campaign: CampaignId,
        /// The lesser of the cap and the tries.
        expected: u64,
        /// Records.
        recorded: u64,
    },
    /// The engine does not know a campaign of the journal.
    #[error("the engine does not know campaign {campaign}")]
    EngineLacksCampaign {
        /// The campaign.
        campaign: CampaignId,
    },
    /// The engine's sums of a campaign are not those of the journal.
    #[error("campaign {campaign}: the engine says {engine}; the journal {journal}")]
    CampaignSums {
        /// The campaign.
        campaign: CampaignId,
        /// What the engine says.
        engine: CampaignSums,
        /// What the journal says.
        journal: CampaignSums,
    },
    /// The engine's balance of a client is not the sum of the journal's entries.
    #[error("client {client}: the engine says {}, the journal {journal}", .engine.0)]
    EngineBalance {
        /// The client.
        client: ClientId,
        /// What the engine says.
        engine: Money,
        /// The sum, in minor units.
        journal: i128,
    },
}

impl Difference {
    /// The word of its kind.
    pub const fn word(&self) -> &'static str {
        match self {
            Difference::PositionsBroken { .. } => "positions_broken",
            Difference::SecondRecord { .. } => "second_record",
            Difference::Balance { .. } => "balance",
            Difference::NoCampaign { .. } => "no_campaign",
            Difference::NoCode { .. } => "no_code",
            Difference::OverCap { .. } => "over_cap",
            Difference::OverClientLimit { .. } => "over_client_limit",
            Difference::OverCampaignLimit { .. } => "over_campaign_limit",
            Difference::OverBudget { .. } => "over_budget",
            Difference::SecondRefund { .. } => "second_refund",
            Difference::RefundUnlike { .. } => "refund_unlike",
            Difference::Terms { .. } => "terms",
            Difference::HoldTerms { .. } => "hold_terms",
            Difference::NoHold { .. } => "no_hold",
            Difference::HoldEnded { .. } => "hold_ended",
            Difference::HoldBroken { .. } => "hold_broken",
            Difference::HoldExpired { .. } => "hold_expired",
            Difference::ReplyUnreadable { .. } => "reply_unreadable",
            Difference::NoRecord { .. } => "no_record",
            Difference::AnsweredOtherwise { .. } => "answered_otherwise",
            Difference::AnswerMissing { .. } => "answer_missing",
            Difference::RefusedWithRecord { .. } => "refused_with_record",
            Difference::RepeatUnlike { .. } => "repeat_unlike",
            Difference::Unexpected { .. } => "unexpected",
            Difference::Activations { .. } => "activations",
            Difference::CapNotMet { .. } => "cap_not_met",
            Difference::EngineLacksCampaign { .. } => "engine_lacks_campaign",
            Difference::CampaignSums { .. } => "campaign_sums",
            Difference::EngineBalance { .. } => "engine_balance",
        }
    }
}

impl serde::Serialize for Difference {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What does not agree: all of it counted, and the first of each kind kept.
#[derive(Debug, Default, Clone, serde::Serialize)]
pub struct Differences {
    count: usize,
    by_kind: BTreeMap<&'static str, usize>,
    first: Vec<Difference>,
}

impl Differences {
    pub(crate) fn note(&mut self, difference: Difference) {
        self.count += 1;
        let of_its_kind = self.by_kind.entry(difference.word()).or_default();
        *of_its_kind += 1;
        if *of_its_kind <= KEPT_OF_A_KIND {
            self.first.push(difference);
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many there are of each kind, by its word.
    pub fn by_kind(&self) -> &BTreeMap<&'static str, usize> {
        &self.by_kind
    }

    /// The first of each kind.
    pub fn first(&self) -> &[Difference] {
        &self.first
    }
}
