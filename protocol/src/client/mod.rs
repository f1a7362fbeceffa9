//! The client: calls an engine over QUIC.
//!
//! - [`Client`] for commands: many in flight at once, repeated under the same request id when the connection is lost. Its methods
//!   for campaigns and their codes are in `campaigns.rs`, for the ledger in `ledger.rs`, for the rules of top-ups in `rules.rs`, for
//!   snapshots and the readers of the journal in `operators.rs`.
//! - [`Tailing`] for the journal, [`Watching`] for refused attempts that left no record in it.
//! - [`Dial`] for a connection whose lanes the caller drives by itself.
//!
//! A request has three ends: an outcome; a [`Refusal`], and nothing was done; or [`ClientError::NoAnswer`], and whether it was done
//! is unknown. Whoever gets the last asks again, under the same request id, until an answer comes: it is then the answer to
//! the first asking.

mod campaigns;
mod dial;
mod driver;
mod ledger;
mod operators;
mod parts;
mod rules;
mod tailing;
mod watching;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

pub use dial::{ConnectError, Dial, Dialled, client_config};
pub use parts::PartError;
pub use tailing::{TailError, Tailing};
pub use watching::Watching;

use crate::command::{
    Check, CheckOutcome, Command, Confirm, ConfirmOutcome, Hold, HoldOutcome, ListClubs, ListClubsOutcome, Redeem, RedeemOutcome,
    Refund, RefundOutcome, RegisterClient, RegisterClientOutcome, RegisterClub, RegisterClubOutcome, Release, ReleaseOutcome,
    ShowClient, ShowClientOutcome,
};
use crate::frame::{Frame, LENGTH_BYTES, Malformed, REPLY_BYTES_MAX, REQUEST_BYTES_MAX, push_request};
use crate::hello::Welcome;
use crate::ids::{ClientId, ClubId, Position, RequestId};
use crate::refusal::Refusal;
use driver::{Calls, Driver, Reply};

/// How many requests a client has in flight at the most; further calls wait.
pub const IN_FLIGHT_MAX: usize = 16_384;

/// Why a call has no outcome.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// The engine refused it. Nothing was done.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// No answer came in time, or the credential was revoked before one came. If the command changes something, whether it was done is unknown: ask again under the same id.
    #[error("no answer to request {request} within {waited:?}{}; whether it was done is unknown until the same request is asked again", .last.as_ref().map(|error| format!(" ({error})")).unwrap_or_default())]
    NoAnswer {
        /// The request.
        request: RequestId,
        /// How long was waited.
        waited: Duration,
        /// Why the connection was lost, if it was.
        last: Option<ConnectError>,
    },
    /// The engine cannot be called with what this client was given. Nothing was done.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The request is larger than a frame may be. It was not sent.
    #[error("the request has {0} bytes, and a frame has at most {REQUEST_BYTES_MAX}")]
    TooLarge(usize),
    /// The reply is not what it should be.
    #[error("the engine's reply: {0}")]
    Reply(#[from] Malformed),
}

/// A client of one engine. Cheap to clone; clones share a connection. Must be used within a tokio runtime.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use scrip_protocol::client::{Client, Dial};
/// use scrip_protocol::command::Redeem;
/// use scrip_protocol::{ClientId, ClubId, RequestId};
///
/// let dial = Dial::new("127.0.0.1:4600", std::fs::read("data/tls/ca.pem")?, std::env::var("SCRIP_TOKEN")?)?;
/// let client = Client::connect(dial).await?;
/// let request = RequestId::now(); // to be stored before it is sent, so that it can be sent again
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
}

impl Client {
    /// Connects and says hello.
    ///
    /// # Errors
    /// When the engine cannot be reached, or does not take the token.
    pub async fn connect(dial: Dial) -> Result<Client, ConnectError> {
        let patience = dial.patience;
        let first = dial.connect().await?;
        let welcome = Arc::new(first.welcome.clone());
        let calls = Arc::new(Calls::default());
        tokio::spawn(Driver::new(dial, Arc::downgrade(&calls)).run(first));
        let calls = Arc::new(Handles(calls));
        Ok(Client { calls, in_flight: Arc::new(Semaphore::new(IN_FLIGHT_MAX)), patience, welcome })
    }

    /// What the engine said when this client first connected.
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// Sends any command and waits for its answer. `request` is looked at only if the command changes something.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn call<C: Command>(&self, request: RequestId, command: &C) -> Result<C::Outcome, ClientError> {
        self.call_within(self.patience, request, command).await
    }

    /// The same, with a patience of its own: for what may take the engine longer than other commands.
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
        let (correlation, reply) = self.calls.0.add(frame);
        let answered = tokio::time::timeout(patience, reply).await;
        self.outcome::<C>(request, correlation, patience, answered.ok())
    }

    /// Sends many redemptions at once, and waits for the answers, in the same order.
    pub async fn redeem_all(&self, asked: &[(RequestId, Redeem)]) -> Vec<Result<RedeemOutcome, ClientError>> {
        let mut outcomes = Vec::with_capacity(asked.len());
        for some in asked.chunks(IN_FLIGHT_MAX / 2) {
            let permits = self.in_flight.acquire_many(some.len() as u32).await.expect("the semaphore is never closed");
            let frames: Vec<_> = some.iter().map(|(request, redeem)| frame_of(*request, redeem)).collect();
            let too_large: Vec<_> = frames.iter().map(|frame| frame.as_ref().err().cloned()).collect();
            let added = self.calls.0.add_all(frames.into_iter().flatten().collect());
            let mut added = added.into_iter();
            let deadline = Instant::now() + self.patience;
            for ((request, _), too_large) in some.iter().zip(too_large) {
                outcomes.push(match (too_large, added.next()) {
                    (Some(error), _) => Err(error),
                    (None, Some((correlation, reply))) => {
                        let answered = tokio::time::timeout_at(deadline, reply).await;
                        self.outcome::<Redeem>(*request, correlation, self.patience, answered.ok())
                    }
                    (None, None) => unreachable!("every frame that was made was added"),
                });
            }
            drop(permits);
        }
        outcomes
    }

    fn outcome<C: Command>(
        &self,
        request: RequestId,
        correlation: u64,
        waited: Duration,
        answered: Option<Result<Reply, tokio::sync::oneshot::error::RecvError>>,
    ) -> Result<C::Outcome, ClientError> {
        match answered {
            Some(Ok(Ok(frame))) => {
                let frame = Frame::split(&frame, REPLY_BYTES_MAX)?.ok_or(Malformed::Truncated { have: frame.len() as u64 })?.0;
                frame.reply::<C>()?.map_err(ClientError::Refused)
            }
            // It may have been on its way when the credential was revoked.
            Some(Ok(Err(error @ ConnectError::Closed { code: crate::hello::CloseCode::Revoked, .. }))) => {
                Err(ClientError::NoAnswer { request, waited, last: Some(error) })
            }
            Some(Ok(Err(error))) => Err(ClientError::Connect(error)),
            Some(Err(_)) | None => {
                let last = self.calls.0.give_up(correlation);
                Err(ClientError::NoAnswer { request, waited, last })
            }
        }
    }

    /// Redeems a code.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn redeem(&self, request: RequestId, redeem: &Redeem) -> Result<RedeemOutcome, ClientError> {
        self.call(request, redeem).await
    }

    /// Holds one use of a code while the payment is taken; [`HOLD_TTL_DEFAULT_MS`](crate::command::HOLD_TTL_DEFAULT_MS) is a good
    /// time for that. Then [`Client::confirm`] it, or [`Client::release`] it.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn hold(&self, request: RequestId, hold: &Hold) -> Result<HoldOutcome, ClientError> {
        self.call(request, hold).await
    }

    /// Makes a hold the activation.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn confirm(&self, request: RequestId, hold: Position) -> Result<ConfirmOutcome, ClientError> {
        self.call(request, &Confirm::new(hold)).await
    }

    /// Gives a held use back.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn release(&self, request: RequestId, hold: Position) -> Result<ReleaseOutcome, ClientError> {
        self.call(request, &Release { hold }).await
    }

    /// Takes an activation back, the use and the bonus. `force` does so even where the bonus was spent, and is for operators only.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn refund(&self, request: RequestId, activation: Position, force: bool) -> Result<RefundOutcome, ClientError> {
        self.call(request, &Refund { activation, force }).await
    }

    /// Says what redemptions of codes would answer.
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

    /// Lists the clubs after one; 0 from the first.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn list_clubs(&self, after: ClubId) -> Result<ListClubsOutcome, ClientError> {
        self.call(RequestId(0), &ListClubs { after }).await
    }

    /// Registers a client, or gives one another name.
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

/// The calls, as a client's handles hold them: when the last goes, the driver ends.
struct Handles(Arc<Calls>);

impl Drop for Handles {
    fn drop(&mut self) {
        self.0.close();
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
