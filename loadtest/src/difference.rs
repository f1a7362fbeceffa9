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
    /// Bonuses, in minor units, less what refunds collected.
    pub issued: i128,
    /// Refunds.
    pub refunds: u64,
    /// What refunds could not collect, in minor units.
    pub uncollected: i128,
}

impl std::fmt::Display for CampaignSums {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let CampaignSums { codes, codes_activated, activations, issued, refunds, uncollected } = self;
        write!(f, "{codes} codes, {codes_activated} of them activated, {activations} activations, {issued} issued, ")?;
        write!(f, "{refunds} refunds, {uncollected} uncollected")
    }
}

/// A client's balances and counters, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AccountSums {
    /// The gaming balance.
    pub gaming: i128,
    /// The bonus balance.
    pub bonus: i128,
    /// The total paid in money for sessions and purchases.
    pub spent: i128,
    /// The number of sessions.
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

/// The word for an account.
const fn account_word(account: Account) -> &'static str {
    match account {
        Account::Gaming => "gaming",
        Account::Bonus => "bonus",
    }
}

/// What a hold promises, and what its confirmation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// The client.
    pub client: ClientId,
    /// The club.
    pub club: ClubId,
    /// The campaign.
    pub campaign: CampaignId,
    /// The code's slot.
    pub slot: u32,
    /// The amount.
    pub amount: Money,
}

impl std::fmt::Display for Promise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Promise { client, club, campaign, slot, amount } = self;
        write!(f, "{} to client {client} at club {club} for code {slot} of campaign {campaign}", amount.0)
    }
}

/// A difference: one contradiction.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Difference {
    /// Positions are not consecutive.
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
    #[error("position {position}: the {} balance of client {client} is {recounted}, but {} is recorded", account_word(*.account), .recorded.0)]
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
    #[error("position {position}: the {} balance of client {client} is {recounted}, but {} is recorded: below 0", account_word(*.account), .recorded.0)]
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
    #[error("position {position}: client {client} has {recounted}, but {recorded} is recorded")]
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
    /// Rules were evaluated with other balances than the client had before the top-up.
    #[error("position {position}: client {client} had {recounted} before the top-up, but its rules saw {recorded}")]
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
    /// A top-up adds another amount to the bonus balance than its rules credit together.
    #[error("position {position}: the rules of this top-up credit {credited} in all, but {stated} is added to the bonus balance")]
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
    /// A refund of something that is not a top-up.
    #[error("position {position}: there is no top-up {top_up} to refund")]
    NoTopUp {
        /// Where.
        position: Position,
        /// What was refunded.
        top_up: Position,
    },
    /// A refund of something that is not a bonus payment.
    #[error("position {position}: there is no payment {payment} to refund")]
    NoPayment {
        /// Where.
        position: Position,
        /// What was refunded.
        payment: Position,
    },
    /// A top-up or a payment is refunded to another client, or at another club.
    #[error("position {position}: operation {of} is refunded to another client or at another club")]
    GivenBackUnlike {
        /// Where.
        position: Position,
        /// The top-up or the payment.
        of: Position,
    },
    /// More of a top-up or a payment was refunded than there was.
    #[error("position {position}: {given_back} of operation {of} was refunded, more than its amount of {whole}")]
    OverGivenBack {
        /// The refund that is too much.
        position: Position,
        /// The top-up or the payment.
        of: Position,
        /// Everything refunded by then, in minor units.
        given_back: i128,
        /// The whole amount, in minor units.
        whole: i128,
    },
    /// The bonus clawed back for a top-up is neither nothing nor its share; or some is uncollected although some was left.
    #[error("position {position}: {taken} of the bonus of top-up {top_up} is clawed back or uncollected, but its share is {due}")]
    ClawBack {
        /// Where.
        position: Position,
        /// The top-up.
        top_up: Position,
        /// What is clawed back and what is uncollected, in minor units.
        taken: i128,
        /// The share of the part that is refunded, in minor units.
        due: i128,
    },
    /// A rule fired, or failed, although it is off, archived, of other clubs, or does not exist.
    #[error("position {position}: rule {rule} fired or failed, but is not live there")]
    RuleNotLive {
        /// The top-up.
        position: Position,
        /// The rule.
        rule: RuleId,
    },
    /// A rule fired or failed twice on one top-up.
    #[error("position {position}: rule {rule} fired or failed more than once on this top-up")]
    RuleTwice {
        /// The top-up.
        position: Position,
        /// The rule.
        rule: RuleId,
    },
    /// A rule did something other than its actions define.
    #[error("position {position}: rule {rule} did something else than its actions define")]
    FiredUnlike {
        /// The top-up.
        position: Position,
        /// The rule.
        rule: RuleId,
    },
    /// A use of a campaign that does not exist or, in the audit of a run, is not one of the run; or a campaign of the run without a record.
    #[error("position {position}: campaign {campaign} does not exist, or is not in this run")]
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
    /// An activation of a code that does not exist.
    #[error("position {position}: campaign {campaign} has no code {slot}")]
    NoCode {
        /// Where.
        position: Position,
        /// The campaign.
        campaign: CampaignId,
        /// The code's slot.
        slot: u32,
    },
    /// A code was activated or held more often than its cap allows.
    #[error("position {position}: code {slot} of campaign {campaign} is activated or held {uses} times, over its cap of {cap}")]
    OverCap {
        /// The activation or the hold that is too many.
        position: Position,
        /// The campaign.
        campaign: CampaignId,
        /// The code's slot.
        slot: u32,
        /// How many activations and open holds it has by then.
        uses: u64,
        /// The cap.
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
    /// A campaign's codes were activated or held more often than its limit allows.
    #[error("position {position}: the codes of campaign {campaign} are activated or held {uses} times, over its limit of {max}")]
    OverCampaignLimit {
        /// The activation or the hold that is too many.
        position: Position,
        /// The campaign.
        campaign: CampaignId,
        /// How many activations and open holds it has by then.
        uses: u64,
        /// The limit.
        max: u64,
    },
    /// A campaign has issued and held more than its budget.
    #[error("position {position}: campaign {campaign} has issued and held {committed}, over its budget of {}", .budget.0)]
    OverBudget {
        /// The activation or the hold that is too much.
        position: Position,
        /// The campaign.
        campaign: CampaignId,
        /// The sum of what is issued and of its open holds by then, in minor units.
        committed: i128,
        /// The budget.
        budget: Money,
    },
    /// A refund of something that is not an activation, or was already refunded.
    #[error("position {position}: there is no activation {activation} to refund, or it was already refunded")]
    SecondRefund {
        /// Where.
        position: Position,
        /// What was refunded.
        activation: Position,
    },
    /// A refund of another use or amount than its activation's; or more is uncollected than the client had spent.
    #[error("position {position}: this refund is not that of activation {activation}")]
    RefundUnlike {
        /// Where.
        position: Position,
        /// The activation.
        activation: Position,
    },
    /// An activation while the campaign or the code was off or archived, or with another amount than its terms.
    #[error("position {position}: this activation is not on the terms of campaign {campaign}")]
    Terms {
        /// Where.
        position: Position,
        /// The campaign.
        campaign: CampaignId,
    },
    /// A hold while the campaign was off, or with another amount than its terms.
    #[error("position {position}: this hold is not on the terms of campaign {campaign}")]
    HoldTerms {
        /// Where.
        position: Position,
        /// The campaign.
        campaign: CampaignId,
    },
    /// A confirmation or a release of a hold that does not exist.
    #[error("position {position}: there is no hold {hold}")]
    NoHold {
        /// Where.
        position: Position,
        /// The hold.
        hold: Position,
    },
    /// A hold ended twice.
    #[error("position {position}: hold {hold} had already ended")]
    HoldEnded {
        /// Where it ends again.
        position: Position,
        /// The hold.
        hold: Position,
    },
    /// A confirmation did something other than its hold promised.
    #[error("position {position}: hold {hold} promised {promised}, but its confirmation did {done}")]
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
    /// A hold was confirmed after its expiry while its campaign was off.
    #[error("position {position}: hold {hold} was confirmed although it had expired and its campaign was off")]
    HoldExpired {
        /// Where.
        position: Position,
        /// The hold.
        hold: Position,
    },
    /// A recorded refusal is not a valid reply to its command.
    #[error("position {position}: the recorded reply cannot be read: {cause}")]
    ReplyUnreadable {
        /// Where.
        position: Position,
        /// Why.
        cause: Malformed,
    },
    /// An answer without a record.
    #[error("request {request} was answered {answer:?}, but has no such record")]
    NoRecord {
        /// The request.
        request: RequestId,
        /// The answer.
        answer: Box<Answer>,
    },
    /// An answer that differs from the record.
    #[error("request {request} was answered {answer:?}, but {recorded:?} is recorded")]
    AnsweredOtherwise {
        /// The request.
        request: RequestId,
        /// The answer.
        answer: Box<Answer>,
        /// The recorded answer.
        recorded: Box<Answer>,
    },
    /// A record without an answer.
    #[error("request {request} has a record, but received no answer")]
    AnswerMissing {
        /// The request.
        request: RequestId,
    },
    /// A record of a request that was refused without one, or that changes nothing.
    #[error("request {request} has a record, but its answer was that nothing was done")]
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
    /// An answer that is impossible for the shape of its request.
    #[error("request {request} ({shape:?}) was answered {answer:?}")]
    Unexpected {
        /// The request.
        request: RequestId,
        /// Its shape.
        shape: Shape,
        /// The answer.
        answer: Box<Answer>,
    },
    /// The number of a campaign's activations differs from the answers.
    #[error("campaign {campaign}: {answered} activations were answered, but {recorded} are recorded")]
    Activations {
        /// The campaign.
        campaign: CampaignId,
        /// Answers that report an activation.
        answered: u64,
        /// Records.
        recorded: u64,
    },
    /// A code with a cap was not activated as often as it was tried, up to its cap.
    #[error("campaign {campaign}: {expected} activations of its code were due, but {recorded} are recorded")]
    CapNotMet {
        /// The campaign.
        campaign: CampaignId,
        /// The cap or the tries, whichever is less.
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
    /// The engine's sums of a campaign differ from the journal's.
    #[error("campaign {campaign}: the engine reports {engine}; the journal has {journal}")]
    CampaignSums {
        /// The campaign.
        campaign: CampaignId,
        /// What the engine reports.
        engine: CampaignSums,
        /// The journal's sums.
        journal: CampaignSums,
    },
    /// The engine's sums of a client differ from the journal's.
    #[error("client {client}: the engine reports {engine}; the journal has {journal}")]
    EngineAccounts {
        /// The client.
        client: ClientId,
        /// What the engine reports.
        engine: Box<AccountSums>,
        /// The journal's sums.
        journal: Box<AccountSums>,
    },
    /// The engine does not know a client of the journal.
    #[error("the engine does not know client {client}")]
    EngineLacksClient {
        /// The client.
        client: ClientId,
    },
    /// The engine has a client in other groups than the journal's rules.
    #[error("client {client}: the engine reports groups {engine:?}; the journal has {journal:?}")]
    EngineGroups {
        /// The client.
        client: ClientId,
        /// What the engine reports.
        engine: Vec<GroupId>,
        /// The journal's groups.
        journal: Vec<GroupId>,
    },
    /// The engine does not know a rule of the journal.
    #[error("the engine does not know rule {rule}")]
    EngineLacksRule {
        /// The rule.
        rule: RuleId,
    },
    /// The engine's sums of a rule differ from the journal's.
    #[error("rule {rule}: the engine reports {engine}; the journal has {journal}")]
    EngineRule {
        /// The rule.
        rule: RuleId,
        /// What the engine reports.
        engine: RuleSums,
        /// The journal's sums.
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
