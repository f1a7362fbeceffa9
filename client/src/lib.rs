//! The client: calls an engine over QUIC.
//!
//! - [`Client`] for commands: many in flight at once, retried under the same request id when the connection is lost. Its methods
//!   for campaigns and their codes are in `campaigns.rs`, for the ledger in `ledger.rs`, for the rules of top-ups in `rules.rs`, for
//!   snapshots and the readers of the journal in `operators.rs`.
//! - [`Follower`] for the journal, over lost connections, with [`EngineWatch`] for the lag and a registered reader.
//! - [`Tailing`] for the journal, on one connection; [`Watching`] for refused attempts that left no record in it.
//! - [`Dial`] for a connection whose lanes the caller drives by itself.
//!
//! A request that changes something ends in one of three ways: an outcome; an error that guarantees that it was not executed; or
//! [`ClientError::Unknown`]. Once a connection was passed a byte of the request, or if the caller sends a retry
//! ([`Client::retrying`]), only an outcome is certain: a refusal of a retry proves nothing about the first attempt, and an error
//! while reconnecting proves nothing about the previous connection. After `Unknown`, send the same request again under the same
//! id until there is an outcome. It is the outcome of the first attempt that was executed.
//!
//! Dropping the future of a call cancels it: if no connection was passed the request, it is never sent; otherwise it may be
//! executed, and is not sent again.

mod attempts;
mod backoff;
mod campaigns;
mod dial;
mod driver;
mod follower;
mod ledger;
mod listing;
mod operators;
mod parts;
mod rules;
mod tailing;

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

pub use attempts::Watching;
pub use backoff::Backoff;
pub use dial::{ConnectError, Dial, Dialled, client_config};
pub use follower::{EngineWatch, Followed, Follower, FollowerError};
pub use parts::PartError;
pub use tailing::{TailError, Tailing};

pub use driver::Closed;
use driver::{Calls, Driver, Pending, Reply, Sent};
use scrip_protocol::command::{
    Check, CheckOutcome, Command, Confirm, ConfirmOutcome, Hold, HoldOutcome, ListClubs, ListClubsOutcome, Redeem, RedeemOutcome,
    Refund, RefundOutcome, RegisterClient, RegisterClientOutcome, RegisterClub, RegisterClubOutcome, Release, ReleaseOutcome,
    ShowClient, ShowClientOutcome,
};
use scrip_protocol::frame::{Frame, LENGTH_BYTES, Malformed, REPLY_BYTES_MAX, REQUEST_BYTES_MAX, push_request};
use scrip_protocol::hello::Welcome;
use scrip_protocol::ids::{ClientId, ClubId, Position, RequestId};
use scrip_protocol::refusal::Refusal;

/// Maximum number of requests that a client has in flight; further calls wait.
pub const IN_FLIGHT_MAX: usize = 16_384;

/// Why a call has no outcome.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// The engine refused the request, which was sent once. It was not executed.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The request may have been executed, now or by an earlier attempt. Retry it under the same id to find out.
    #[error(
        "request {request} has no outcome after {waited:.1?}{}; send it again under the same id to find out whether it was executed",
        cause_in_words(.cause)
    )]
    Unknown {
        /// The request.
        request: RequestId,
        /// How long the client waited and retried.
        waited: Duration,
        /// What arrived instead of an outcome, if anything.
        cause: Option<NoOutcome>,
    },
    /// A command that changes nothing got no answer in time.
    #[error("no reply within {waited:.1?}{}", .last.as_ref().map(|error| format!(" ({error})")).unwrap_or_default())]
    NoAnswer {
        /// How long the client waited.
        waited: Duration,
        /// Why the connection was lost, if it was.
        last: Option<ConnectError>,
    },
    /// The engine cannot be reached, or rejects this client. The request was never sent.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The request exceeds the maximum frame size. It was not sent.
    #[error("the request has {0} bytes; a frame has at most {REQUEST_BYTES_MAX}")]
    TooLarge(usize),
    /// The reply to a command that changes nothing is malformed.
    #[error("malformed reply from the engine: {0}")]
    Reply(#[from] Malformed),
}

/// What arrived instead of an outcome.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoOutcome {
    /// The connection was lost and could not be reopened.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A retry was refused, which proves nothing about earlier attempts.
    #[error("a retry was refused: {0}")]
    Refused(Refusal),
    /// The reply is malformed.
    #[error("malformed reply from the engine: {0}")]
    Reply(#[from] Malformed),
}

fn cause_in_words(cause: &Option<NoOutcome>) -> String {
    cause.as_ref().map(|cause| format!(" ({cause})")).unwrap_or_default()
}

/// A client of one engine. Cheap to clone; clones share a connection. Must be used within a tokio runtime.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use scrip_client::{Client, Dial};
/// use scrip_protocol::command::Redeem;
/// use scrip_protocol::{ClientId, ClubId, RequestId};
///
/// let dial = Dial::new("127.0.0.1:4600", std::fs::read("data/tls/ca.pem")?, std::env::var("SCRIP_TOKEN")?)?;
/// let client = Client::connect(dial).await?;
/// let request = RequestId::now(); // store it before sending, so that the request can be retried
/// let redeem = Redeem::new(ClientId(42), ClubId(1), "SUMMER-25");
/// println!("{}", client.redeem(request, &redeem).await?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    calls: Arc<Handles>,
    in_flight: Arc<Semaphore>,
    patience: Duration,
    welcome: Arc<Welcome>,
    closed: Closed,
    /// Whether an earlier attempt may have been executed, unknown to this client.
    retrying: bool,
}

impl Client {
    /// Connects and sends the hello.
    ///
    /// # Errors
    /// When the engine cannot be reached, or rejects the token.
    pub async fn connect(dial: Dial) -> Result<Client, ConnectError> {
        let patience = dial.patience;
        let first = dial.connect().await?;
        let welcome = Arc::new(first.welcome.clone());
        let calls = Arc::new(Calls::default());
        let (driver, closed) = Driver::new(dial, Arc::downgrade(&calls));
        tokio::spawn(driver.run(first));
        let calls = Arc::new(Handles(calls));
        let in_flight = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
        Ok(Client { calls, in_flight, patience, welcome, closed, retrying: false })
    }

    /// A handle on the close of the connection. If the process ends before [`Closed::wait`] has returned, the engine may keep the
    /// connection, and count it against the credential, for some seconds.
    pub fn closed(&self) -> Closed {
        self.closed.clone()
    }

    /// The same client, for requests that may have been sent before: by another process, or by a call that ended with
    /// [`ClientError::Unknown`]. Its calls end with an outcome or with `Unknown`, never with an error that claims that the
    /// request was not executed.
    pub fn retrying(&self) -> Client {
        Client { retrying: true, ..self.clone() }
    }

    /// The engine's answer to the hello when this client first connected.
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// Sends any command and waits for its reply. `request` is used only if the command changes something.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn call<C: Command>(&self, request: RequestId, command: &C) -> Result<C::Outcome, ClientError> {
        self.call_within(self.patience, request, command).await
    }

    /// The same, with its own timeout, for commands that may take the engine longer.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn call_within<C: Command>(
        &self,
        patience: Duration,
        request: RequestId,
        command: &C,
    ) -> Result<C::Outcome, ClientError> {
        let frame = frame_of(request, command)?;
        let _permit = self.in_flight.acquire().await.expect("the semaphore is never closed");
        let call = Call::<C>::new(request, patience, self.retrying);
        let pending = self.calls.0.add(frame);
        self.outcome(call, command, pending).await
    }

    /// Sends many redemptions at once and waits for the replies, in the same order.
    pub async fn redeem_all(&self, redemptions: &[(RequestId, Redeem)]) -> Vec<Result<RedeemOutcome, ClientError>> {
        let mut outcomes = Vec::with_capacity(redemptions.len());
        for some in redemptions.chunks(IN_FLIGHT_MAX / 2) {
            let permits = self.in_flight.acquire_many(some.len() as u32).await.expect("the semaphore is never closed");
            let frames: Vec<_> = some.iter().map(|(request, redeem)| frame_of(*request, redeem)).collect();
            let too_large: Vec<_> = frames.iter().map(|frame| frame.as_ref().err().cloned()).collect();
            let mut added = self.calls.0.add_all(frames.into_iter().flatten().collect()).into_iter();
            let began = Instant::now();
            for ((request, redeem), too_large) in some.iter().zip(too_large) {
                if let Some(error) = too_large {
                    outcomes.push(Err(error));
                    continue;
                }
                let added = added.next().expect("every frame that was made was added");
                let call = Call { began, ..Call::<Redeem>::new(*request, self.patience, self.retrying) };
                outcomes.push(self.outcome(call, redeem, added).await);
            }
            drop(permits);
        }
        outcomes
    }

    /// Waits for the outcome of a request. If the engine is busy, a retry is sent again until the call's timeout: a busy engine
    /// may not have looked for the first attempt.
    async fn outcome<C: Command>(
        &self,
        mut call: Call<C>,
        command: &C,
        mut pending: Pending<'_>,
    ) -> Result<C::Outcome, ClientError> {
        let deadline = call.began + call.patience;
        loop {
            let Reply { frame, sent } = match pending.reply(deadline).await {
                Ok(reply) => reply,
                Err((sent, last)) => {
                    call.sent = call.sent.max(sent);
                    return Err(call.no_answer(last));
                }
            };
            call.sent = call.sent.max(sent);
            let refusal = match call.read(frame)? {
                Ok(outcome) => return Ok(outcome),
                Err(refusal) => refusal,
            };
            // A request with an invalid id was never executed.
            if !call.is_retry() || refusal == Refusal::RequestIdInvalid {
                return Err(ClientError::Refused(refusal));
            }
            let retry_at = Instant::now() + Duration::from_millis(refusal.retry_after_ms().map_or(u64::MAX >> 20, u64::from));
            if retry_at >= deadline {
                return Err(call.unknown(Some(NoOutcome::Refused(refusal))));
            }
            tokio::time::sleep_until(retry_at).await;
            pending = self.calls.0.add(frame_of(call.request, command)?);
        }
    }

    /// Redeems a code.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn redeem(&self, request: RequestId, redeem: &Redeem) -> Result<RedeemOutcome, ClientError> {
        self.call(request, redeem).await
    }

    /// Holds one use of a code while the payment is taken; [`HOLD_TTL_DEFAULT_MS`](scrip_protocol::command::HOLD_TTL_DEFAULT_MS)
    /// is a good time to live. Then [`Client::confirm`] or [`Client::release`] it.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn hold(&self, request: RequestId, hold: &Hold) -> Result<HoldOutcome, ClientError> {
        self.call(request, hold).await
    }

    /// Confirms a hold, which makes it an activation.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn confirm(&self, request: RequestId, hold: Position) -> Result<ConfirmOutcome, ClientError> {
        self.call(request, &Confirm::new(hold)).await
    }

    /// Releases a hold.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn release(&self, request: RequestId, hold: Position) -> Result<ReleaseOutcome, ClientError> {
        self.call(request, &Release { hold }).await
    }

    /// Refunds an activation, its use and its bonus. `force` does so even if the bonus was spent, and is for operators only.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn refund(&self, request: RequestId, activation: Position, force: bool) -> Result<RefundOutcome, ClientError> {
        self.call(request, &Refund { activation, force }).await
    }

    /// Checks codes: returns what redemptions would return, without redeeming.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn check(&self, club: ClubId, codes: Vec<String>) -> Result<CheckOutcome, ClientError> {
        self.call(RequestId(0), &Check::new(club, codes)).await
    }

    /// Registers a club.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn register_club(&self, request: RequestId, name: &str) -> Result<RegisterClubOutcome, ClientError> {
        self.call(request, &RegisterClub { name: name.to_owned() }).await
    }

    /// Lists clubs, starting after the given one; 0 starts from the first.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn list_clubs(&self, after: ClubId) -> Result<ListClubsOutcome, ClientError> {
        self.call(RequestId(0), &ListClubs { after }).await
    }

    /// Registers a client, or renames a registered one.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn register_client(
        &self,
        request: RequestId,
        client: ClientId,
        name: &str,
    ) -> Result<RegisterClientOutcome, ClientError> {
        self.call(request, &RegisterClient { client, name: name.to_owned() }).await
    }

    /// Shows a client's card.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn show_client(&self, client: ClientId) -> Result<ShowClientOutcome, ClientError> {
        self.call(RequestId(0), &ShowClient { client }).await
    }
}

/// The calls, as a client's handles hold them. Dropping the last handle ends the driver.
struct Handles(Arc<Calls>);

impl Drop for Handles {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// A call under way.
struct Call<C> {
    request: RequestId,
    began: Instant,
    patience: Duration,
    /// Whether this is a retry by the caller.
    retrying: bool,
    /// The furthest that any of its frames got.
    sent: Sent,
    command: PhantomData<fn(C)>,
}

impl<C: Command> Call<C> {
    fn new(request: RequestId, patience: Duration, retrying: bool) -> Call<C> {
        Call { request, began: Instant::now(), patience, retrying, sent: Sent::Never, command: PhantomData }
    }

    /// Whether the engine may have executed the request although it was refused.
    fn is_retry(&self) -> bool {
        C::KIND.mutates() && (self.retrying || self.sent == Sent::Again)
    }

    /// Whether the engine may have executed the request if there is no reply.
    fn may_be_done(&self) -> bool {
        C::KIND.mutates() && (self.retrying || self.sent > Sent::Never)
    }

    fn unknown(&self, cause: Option<NoOutcome>) -> ClientError {
        ClientError::Unknown { request: self.request, waited: self.began.elapsed(), cause }
    }

    fn no_answer(&self, last: Option<ConnectError>) -> ClientError {
        match last {
            last if self.may_be_done() => self.unknown(last.map(NoOutcome::Connect)),
            Some(error) if self.sent == Sent::Never => ClientError::Connect(error),
            last => ClientError::NoAnswer { waited: self.began.elapsed(), last },
        }
    }

    /// Reads a reply: an outcome or a refusal.
    fn read(&self, frame: Result<Vec<u8>, ConnectError>) -> Result<Result<C::Outcome, Refusal>, ClientError> {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) if self.may_be_done() => return Err(self.unknown(Some(error.into()))),
            Err(error) => return Err(error.into()),
        };
        let split = Frame::split(&frame, REPLY_BYTES_MAX).and_then(|split| match split {
            Some((frame, _)) => frame.reply::<C>(),
            None => Err(Malformed::Truncated { have: frame.len() as u64 }),
        });
        split.map_err(|malformed| match self.may_be_done() {
            true => self.unknown(Some(malformed.into())),
            false => malformed.into(),
        })
    }
}

/// A request's frame, its correlation still 0.
fn frame_of<C: Command>(request: RequestId, command: &C) -> Result<Vec<u8>, ClientError> {
    let mut frame = Vec::new();
    push_request(&mut frame, 0, request, command);
    match frame.len() - LENGTH_BYTES {
        length if length > REQUEST_BYTES_MAX => Err(ClientError::TooLarge(length)),
        _ => Ok(frame),
    }
}
