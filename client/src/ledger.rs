//! The client's methods for the ledger: top-ups, manual bonus operations, spending, and groups of clients.
//!
//! Methods that change something take a request id first. Money moves at most once under an id, however often the request is
//! retried, so store the id before you send a payment.

use super::{Client, ClientError};
use scrip_protocol::command::{
    BonusOutcome, CreditBonus, ListGroups, ListGroupsOutcome, PayBonus, RecordPurchase, RecordSession, RefundBonus,
    RefundBonusOutcome, RefundTopUp, RefundTopUpOutcome, RegisterGroup, RegisterGroupOutcome, SpendOutcome, TopUp, TopUpOutcome,
    WriteOffBonus,
};
use scrip_protocol::ids::{GroupId, RequestId};

impl Client {
    /// Tops up a client's gaming balance. Matching rules fire at once.
    ///
    /// ```no_run
    /// # async fn example(client: scrip_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use scrip_protocol::command::{Note, TopUp, TopUpOutcome};
    /// use scrip_protocol::{ClientId, ClubId, Money, RequestId, TopUpSource};
    ///
    /// let (client_id, club, source) = (ClientId(42), ClubId(1), TopUpSource::Acquiring);
    /// let paid = TopUp { client: client_id, club, amount: Money(50_000), source, note: Note::default() };
    /// let request = RequestId::now(); // store it before sending, so that the request can be retried
    /// if let TopUpOutcome::ToppedUp(done) = client.top_up(request, &paid).await? {
    ///     println!("top-up {}: {} credited", done.top_up, done.credited);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn top_up(&self, request: RequestId, top_up: &TopUp) -> Result<TopUpOutcome, ClientError> {
        self.call(request, top_up).await
    }

    /// Refunds a top-up, in full or in part.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn refund_top_up(&self, request: RequestId, refund: &RefundTopUp) -> Result<RefundTopUpOutcome, ClientError> {
        self.call(request, refund).await
    }

    /// Credits a client's bonus balance.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn credit_bonus(&self, request: RequestId, credit: &CreditBonus) -> Result<BonusOutcome, ClientError> {
        self.call(request, credit).await
    }

    /// Writes off some of a client's bonus balance.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn write_off_bonus(&self, request: RequestId, write_off: &WriteOffBonus) -> Result<BonusOutcome, ClientError> {
        self.call(request, write_off).await
    }

    /// Pays with bonuses.
    ///
    /// ```no_run
    /// # async fn example(client: scrip_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use scrip_protocol::command::{BonusOutcome, Note, PaidFor, PayBonus};
    /// use scrip_protocol::{ClientId, ClubId, Money, RequestId};
    ///
    /// let (client_id, club, paid_for) = (ClientId(42), ClubId(1), PaidFor::GamingTime);
    /// let payment = PayBonus { client: client_id, club, amount: Money(1_250), paid_for, note: Note::default() };
    /// match client.pay_bonus(RequestId::now(), &payment).await? {
    ///     BonusOutcome::Done(done) => println!("paid; {} left", done.balance),
    ///     BonusOutcome::Overdraft { balance } => println!("only {balance} left"),
    ///     refused => println!("{refused}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn pay_bonus(&self, request: RequestId, payment: &PayBonus) -> Result<BonusOutcome, ClientError> {
        self.call(request, payment).await
    }

    /// Refunds a bonus payment, in full or in part.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn refund_bonus(&self, request: RequestId, refund: &RefundBonus) -> Result<RefundBonusOutcome, ClientError> {
        self.call(request, refund).await
    }

    /// Records a client's session.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn record_session(&self, request: RequestId, session: &RecordSession) -> Result<SpendOutcome, ClientError> {
        self.call(request, session).await
    }

    /// Records a client's purchase.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn record_purchase(&self, request: RequestId, purchase: &RecordPurchase) -> Result<SpendOutcome, ClientError> {
        self.call(request, purchase).await
    }

    /// Registers a group of clients.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn register_group(&self, request: RequestId, name: &str) -> Result<RegisterGroupOutcome, ClientError> {
        self.call(request, &RegisterGroup { name: name.to_owned() }).await
    }

    /// Lists groups, starting after the given one; 0 starts from the first.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn list_groups(&self, after: GroupId) -> Result<ListGroupsOutcome, ClientError> {
        self.call(RequestId(0), &ListGroups { after }).await
    }
}
