//! The differences that an audit can find, each kind with a name.

use std::collections::BTreeMap;

use scrip_protocol::frame::Malformed;
use scrip_protocol::{Account, Accounts, CampaignId, ClientId, ClubId, GroupId, Money, Position, RequestId, RuleId};

use crate::answer::Answer;
use crate::mix::Shape;

/// How many differences of each kind are kept; the others are counted.
const FIRST_OF_A_KIND: usize = 5;

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

/// What a client has, and what is counted of it; in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AccountSums {
    /// The gaming balance.
    pub gaming: i128,
    /// The bonus balance.
    pub bonus: i128,
    /// What was paid in money for sessions and purchases.
    pub spent: i128,
    /// How many sessions there were.
    pub sessions: u64,
}

impl From<Accounts> for AccountSums {
    fn from(accounts: Accounts) -> AccountSums {
        let Accounts { gaming, bonus, spent, sessions } = accounts;
        AccountSums { gaming: gaming.0.into(), bonus: bonus.0.into(), spent: spent.0.into(), sessions: sessions.into() }
    }
}

impl std::fmt::Display for AccountSums {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let AccountSums { gaming, bonus, spent, sessions } = self;
        write!(f, "gaming balance {gaming}, bonus balance {bonus}, {spent} spent, {sessions} sessions")
    }
}

/// What a rule has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RuleSums {
    /// How often it has fired.
    pub fired: u64,
    /// How often it has failed.
    pub failed: u64,
    /// What it has credited, in minor units.
    pub credited: i128,
}

impl std::fmt::Display for RuleSums {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let RuleSums { fired, failed, credited } = self;
        write!(f, "fired {fired} times, failed {failed} times, {credited} credited")
    }
}

/// An account in a word.
const fn account_word(account: Account) -> &'static str {
    match account {
        Account::Gaming => "gaming",
        Account::Bonus => "bonus",
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
        /// The position before it.
        after: Position,
    },
    /// A request has more than one record.
    #[error("position {position}: request {request} has a second record")]
    SecondRecord {
        /// The second record.
        position: Position,
        /// The request.
        request: RequestId,
    },
    /// A recorded balance is not the sum of the entries before it.
    #[error("position {position}: the {} balance of client {client} is {recounted}, and {} is recorded", account_word(*.account), .recorded.0)]
    Balance {
        /// Where.
        position: Position,
        /// Whose.
        client: ClientId,
        /// Which.
        account: Account,
        /// The record's.
        recorded: Money,
        /// The sum, in minor units.
        recounted: i128,
    },
    /// A balance goes below 0.
    #[error("position {position}: the {} balance of client {client} is {recounted}, and {} is recorded: below 0", account_word(*.account), .recorded.0)]
    BelowZero {
        /// Where.
        position: Position,
        /// Whose.
        client: ClientId,
        /// Which.
        account: Account,
        /// The record's.
        recorded: Money,
        /// The sum, in minor units.
        recounted: i128,
    },
    /// The recorded sum spent, or number of sessions, is not the sum of the records before it.
    #[error("position {position}: client {client} has {recounted}, and {recorded} is recorded")]
    Spending {
        /// Where.
        position: Position,
        /// Whose.
        client: ClientId,
        /// The record's.
        recorded: Box<AccountSums>,
        /// The sums of the records.
        recounted: Box<AccountSums>,
    },
    /// Rules were decided by something else than what the client had before the top-up.
    #[error("position {position}: client {client} had {recounted} before the top-up, and its rules saw {recorded}")]
    Snapshot {
        /// The top-up.
        position: Position,
        /// Whose.
        client: ClientId,
        /// What the rules saw.
        recorded: Box<AccountSums>,
        /// The sums of the records before it.
        recounted: Box<AccountSums>,
    },
    /// What a top-up adds to the bonus balance is not what its rules credit together.
    #[error("position {position}: the rules of this top-up credit {credited} in all, and {stated} is added to the bonus balance")]
    Credits {
        /// The top-up.
        position: Position,
        /// By how much the recorded bonus balance grows, in minor units.
        stated: i128,
        /// The results of its rules, each times 100.
        credited: i128,
    },
    /// An amount that no such operation can have.
    #[error("position {position}: an operation of {}", .amount.0)]
    Amount {
        /// Where.
        position: Position,
        /// The amount.
        amount: Money,
    },
    /// An operation for a client that is not registered.
    #[error("position {position}: client {client} is not registered")]
    NoClient {
        /// Where.
        position: Position,
        /// Who.
        client: ClientId,
    },
    /// A refund of what is no top-up.
    #[error("position {position}: there is no top-up {top_up} to give back")]
    NoTopUp {
        /// Where.
        position: Position,
        /// What was given back.
        top_up: Position,
    },
    /// A refund of what is no bonus payment.
    #[error("position {position}: there is no payment {payment} to give back")]
    NoPayment {
        /// Where.
        position: Position,
        /// What was given back.
        payment: Position,
    },
    /// A top-up or a payment is given back to another client, or at another club.
    #[error("position {position}: operation {of} is given back to another than whose it was, or elsewhere")]
    GivenBackUnlike {
        /// Where.
        position: Position,
        /// The top-up or the payment.
        of: Position,
    },
    /// More was given back of a top-up or a payment than there was of it.
    #[error("position {position}: {given_back} was given back of operation {of}, which was of {whole}")]
    OverGivenBack {
        /// The refund that is too much.
        position: Position,
        /// The top-up or the payment.
        of: Position,
        /// All that was given back by then, in minor units.
        given_back: i128,
        /// How much it was, in minor units.
        whole: i128,
    },
    /// What is taken back of a top-up's bonus is neither nothing nor its share; or some is uncollected though there was some left.
    #[error(
        "position {position}: {taken} of the bonus of top-up {top_up} is taken back or uncollected, and {due} would be its share"
    )]
    ClawBack {
        /// Where.
        position: Position,
        /// The top-up.
        top_up: Position,
        /// What is taken and what is uncollected, in minor units.
        taken: i128,
        /// What goes with the part that is given back, in minor units.
        due: i128,
    },
    /// A rule fired, or failed, that is off, archived, of other clubs, or that there is not.
    #[error("position {position}: rule {rule} fired or failed, and is not live there")]
    RuleNotLive {
        /// The top-up.
        position: Position,
        /// The rule.
        rule: RuleId,
    },
    /// A rule fired or failed twice on one top-up.
    #[error("position {position}: rule {rule} fired or failed before on this top-up")]
    RuleTwice {
        /// The top-up.
        position: Position,
        /// The rule.
        rule: RuleId,
    },
    /// A rule did something else than its actions define.
    #[error("position {position}: rule {rule} did something else than its actions define")]
    FiredUnlike {
        /// The top-up.
        position: Position,
        /// The rule.
        rule: RuleId,
    },
    /// A use of a campaign that does not exist or, in the audit of a run, is not one of the run; or a campaign of the run without a record.
    #[error("position {position}: campaign {campaign} does not exist, or not in this run")]
    NoCampaign {
        /// Where.
        position: Position,
        /// The campaign.
        campaign: CampaignId,
    },
    /// A request of the run is recorded for a client that is not one of the run.
    #[error("position {position}: request {request} of this run is recorded for client {client}, which is not in this run")]
    ForeignClient {
        /// Where.
        position: Position,
        /// The request.
        request: RequestId,
        /// Whose record it is.
        client: ClientId,
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
    /// A client has, or holds, more uses of a campaign than allowed.
    #[error("position {position}: client {client} has {uses} uses of campaign {campaign}, over the limit of {max}")]
    OverClientLimit {
        /// The activation or the hold that is too many.
        position: Position,
        /// The campaign.
        campaign: CampaignId,
        /// Whose.
        client: ClientId,
        /// How many counted activations and open holds the client then has.
        uses: u64,
        /// The limit.
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
    /// An activation while the campaign or the code was off or archived, or with another amount than its terms have.
    #[error("position {position}: this activation is not on the terms of campaign {campaign}")]
    Terms {
        /// Where.
        position: Position,
        /// The campaign.
        campaign: CampaignId,
    },
    /// A hold while the campaign was off, or with another amount than its terms have.
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
    #[error("request {request} was answered {answer:?}, and has no record of that")]
    NoRecord {
        /// The request.
        request: RequestId,
        /// The answer.
        answer: Box<Answer>,
    },
    /// An answer that differs from the record.
    #[error("request {request} was answered {answer:?}, and {recorded:?} is recorded")]
    AnsweredOtherwise {
        /// The request.
        request: RequestId,
        /// The answer.
        answer: Box<Answer>,
        /// The recorded answer.
        recorded: Box<Answer>,
    },
    /// A record without an answer.
    #[error("request {request} has a record, and received no answer")]
    AnswerMissing {
        /// The request.
        request: RequestId,
    },
    /// A record of a request that was refused without one, or changes nothing.
    #[error("request {request} has a record, and its answer was that nothing was done")]
    RefusedWithRecord {
        /// The request.
        request: RequestId,
    },
    /// The same request was answered differently at different times.
    #[error("request {request} was answered {answer:?}, and {other:?} when it was retried")]
    RepeatUnlike {
        /// The request.
        request: RequestId,
        /// One answer.
        answer: Box<Answer>,
        /// Another.
        other: Box<Answer>,
    },
    /// An answer that a request of its shape cannot have.
    #[error("request {request} ({shape:?}) was answered {answer:?}")]
    Unexpected {
        /// The request.
        request: RequestId,
        /// What it is.
        shape: Shape,
        /// The answer.
        answer: Box<Answer>,
    },
    /// A campaign has more or fewer activations than were answered.
    #[error("campaign {campaign}: {answered} activations were answered, and {recorded} are recorded")]
    Activations {
        /// The campaign.
        campaign: CampaignId,
        /// Answers that report an activation.
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
    #[error("campaign {campaign}: the engine reports {engine}; the journal has {journal}")]
    CampaignSums {
        /// The campaign.
        campaign: CampaignId,
        /// What the engine reports.
        engine: CampaignSums,
        /// What the journal has.
        journal: CampaignSums,
    },
    /// The engine's sums of a client are not those of the journal.
    #[error("client {client}: the engine reports {engine}; the journal has {journal}")]
    EngineAccounts {
        /// The client.
        client: ClientId,
        /// What the engine reports.
        engine: Box<AccountSums>,
        /// What the journal has.
        journal: Box<AccountSums>,
    },
    /// The engine does not know a client of the journal.
    #[error("the engine does not know client {client}")]
    EngineLacksClient {
        /// The client.
        client: ClientId,
    },
    /// The engine has a client in other groups than the rules of the journal.
    #[error("client {client}: the engine reports groups {engine:?}; the journal has {journal:?}")]
    EngineGroups {
        /// The client.
        client: ClientId,
        /// What the engine reports.
        engine: Vec<GroupId>,
        /// What the journal has.
        journal: Vec<GroupId>,
    },
    /// The engine does not know a rule of the journal.
    #[error("the engine does not know rule {rule}")]
    EngineLacksRule {
        /// The rule.
        rule: RuleId,
    },
    /// The engine's sums of a rule are not those of the journal.
    #[error("rule {rule}: the engine reports {engine}; the journal has {journal}")]
    EngineRule {
        /// The rule.
        rule: RuleId,
        /// What the engine reports.
        engine: RuleSums,
        /// What the journal has.
        journal: RuleSums,
    },
}

impl Difference {
    /// The word of its kind.
    pub const fn word(&self) -> &'static str {
        match self {
            Difference::PositionsBroken { .. } => "positions_broken",
            Difference::SecondRecord { .. } => "second_record",
            Difference::Balance { .. } => "balance",
            Difference::BelowZero { .. } => "below_zero",
            Difference::Spending { .. } => "spending",
            Difference::Snapshot { .. } => "snapshot",
            Difference::Credits { .. } => "credits",
            Difference::Amount { .. } => "amount",
            Difference::NoClient { .. } => "no_client",
            Difference::NoTopUp { .. } => "no_top_up",
            Difference::NoPayment { .. } => "no_payment",
            Difference::GivenBackUnlike { .. } => "given_back_unlike",
            Difference::OverGivenBack { .. } => "over_given_back",
            Difference::ClawBack { .. } => "claw_back",
            Difference::RuleNotLive { .. } => "rule_not_live",
            Difference::RuleTwice { .. } => "rule_twice",
            Difference::FiredUnlike { .. } => "fired_unlike",
            Difference::NoCampaign { .. } => "no_campaign",
            Difference::ForeignClient { .. } => "foreign_client",
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
            Difference::EngineAccounts { .. } => "engine_accounts",
            Difference::EngineLacksClient { .. } => "engine_lacks_client",
            Difference::EngineGroups { .. } => "engine_groups",
            Difference::EngineLacksRule { .. } => "engine_lacks_rule",
            Difference::EngineRule { .. } => "engine_rule",
        }
    }
}

/// All differences counted, and the first of each kind.
#[derive(Debug, Default, Clone, serde::Serialize, serde::Deserialize)]
pub struct Differences {
    #[serde(rename = "differences")]
    count: u64,
    /// The texts of the first.
    #[serde(rename = "first_differences")]
    texts: Vec<String>,
    #[serde(skip)]
    by_kind: BTreeMap<&'static str, usize>,
    #[serde(skip)]
    first: Vec<Difference>,
}

impl Differences {
    pub(crate) fn note(&mut self, difference: Difference) {
        self.count += 1;
        let of_its_kind = self.by_kind.entry(difference.word()).or_default();
        *of_its_kind += 1;
        if *of_its_kind <= FIRST_OF_A_KIND {
            self.texts.push(difference.to_string());
            self.first.push(difference);
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// How many there are of each kind, by its word. Empty if they were read from a document.
    pub fn by_kind(&self) -> &BTreeMap<&'static str, usize> {
        &self.by_kind
    }

    /// The first of each kind. Empty if they were read from a document.
    pub fn first(&self) -> &[Difference] {
        &self.first
    }

    /// The first of each kind, as text.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Differences as read from a document.
    #[cfg(test)]
    pub(crate) fn read(count: u64, texts: Vec<String>) -> Differences {
        Differences { count, texts, ..Differences::default() }
    }
}

/// Differences are the same if a document of them is: kinds follow from the texts.
impl PartialEq for Differences {
    fn eq(&self, other: &Differences) -> bool {
        (self.count, &self.texts) == (other.count, &other.texts)
    }
}
