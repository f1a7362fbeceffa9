//! Following the journal for as long as a program runs: what reporting, and every other consumer of the journal, needs.
//!
//! - [`Follower`] reads the journal from a cursor. It connects again, with growing pauses, whenever the connection ends, and stops
//!   only where a person has to decide.
//! - [`EngineWatch`], on a connection of its own, reads the engine's status, so that the lag is known, and reports the position of
//!   a registered reader.
//!
//! The two have a connection and a task each: a consumer that is slow, or has lost its tail, must still know how far behind it is.
//! A program that reads the journal once, to its end, needs [`Tailing`] alone.

mod engine_watch;

use scrip_protocol::Position;
use scrip_protocol::batch::ChainEnd;
use scrip_protocol::codes::UnknownForm;
use scrip_protocol::frame::Malformed;
use scrip_protocol::refusal::Refusal;
use tokio::time::Instant;

pub use engine_watch::EngineWatch;

use super::backoff::Backoff;
use super::dial::Dial;
use super::tailing::{TailError, Tailing};

/// What a follower learns next.
#[derive(Debug)]
pub enum Followed {
    /// The tail is connected.
    Connected,
    /// The next batch, for [`Batch::parse`](scrip_protocol::batch::Batch::parse). It continues the cursor.
    Batch(Vec<u8>),
    /// The tail ended. The follower connects again.
    Disconnected(TailError),
}

/// Why a follower cannot go on. Trying again does not help.
#[derive(Debug, thiserror::Error)]
pub enum FollowerError {
    /// The engine compares codes in a form that this program does not know.
    #[error(transparent)]
    CodeForm(#[from] UnknownForm),
    /// The journal cannot be read from the cursor on.
    #[error(transparent)]
    Tail(TailError),
    /// The journal ends before the cursor.
    #[error(
        "the journal ends at position {journal}, before the cursor at position {cursor}: the engine was restored to an earlier state"
    )]
    Behind {
        /// The newest record of the journal.
        journal: Position,
        /// The newest record that was read before.
        cursor: Position,
    },
}

/// A tail of the journal that is continued on a new connection whenever the connection ends.
///
/// ```no_run
/// # async fn example(dial: scrip_client::Dial, cursor: scrip_protocol::batch::ChainEnd) -> Result<(), Box<dyn std::error::Error>> {
/// use scrip_client::{Followed, Follower};
///
/// let mut follower = Follower::new(dial, cursor);
/// loop {
///     match follower.next().await? {
///         Followed::Connected => {}
///         Followed::Disconnected(error) => eprintln!("{error}; connecting again"),
///         // The cursor must be stored together with what the batch brings.
///         Followed::Batch(bytes) => println!("{} bytes, up to {}", bytes.len(), follower.cursor().position),
///     }
/// }
/// # }
/// ```
pub struct Follower {
    dial: Dial,
    cursor: ChainEnd,
    tailing: Option<Tailing>,
    backoff: Backoff,
    /// When to connect.
    connect_at: Option<Instant>,
}

impl Follower {
    /// Follows the journal after a cursor; the default cursor is before the first record.
    pub fn new(dial: Dial, cursor: ChainEnd) -> Follower {
        Follower { dial, cursor, tailing: None, backoff: Backoff::of_followers(), connect_at: None }
    }

    /// The end of the newest batch.
    pub fn cursor(&self) -> ChainEnd {
        self.cursor
    }

    /// Waits for what comes next. A call that is dropped loses no batch.
    ///
    /// # Errors
    /// When trying again does not help.
    pub async fn next(&mut self) -> Result<Followed, FollowerError> {
        let Some(tailing) = &mut self.tailing else { return self.connect().await };
        match tailing.next().await {
            Ok(Some(bytes)) => {
                self.cursor = tailing.end().expect("a batch has an end");
                self.backoff.reset();
                Ok(Followed::Batch(bytes))
            }
            Ok(None) => self.disconnected(ended()),
            Err(error) => self.disconnected(error),
        }
    }

    async fn connect(&mut self) -> Result<Followed, FollowerError> {
        if let Some(at) = self.connect_at {
            tokio::time::sleep_until(at).await;
        }
        match Tailing::resume(self.dial.clone(), self.cursor, true).await {
            Ok(tailing) => {
                tailing.codes().known()?;
                self.tailing = Some(tailing);
                Ok(Followed::Connected)
            }
            Err(error) => self.disconnected(error),
        }
    }

    /// Decides whether to connect again, and when.
    fn disconnected(&mut self, error: TailError) -> Result<Followed, FollowerError> {
        self.tailing = None;
        match error {
            TailError::BeyondEnd { next } => {
                let journal = Position(next.0.saturating_sub(1));
                Err(FollowerError::Behind { journal, cursor: self.cursor.position })
            }
            // The role of a credential never changes.
            TailError::Refused(Refusal::Forbidden { .. })
            | TailError::Dropped { .. }
            | TailError::Forked { .. }
            | TailError::Batch { .. }
            | TailError::Malformed(_) => Err(FollowerError::Tail(error)),
            TailError::Connect(_) | TailError::Refused(_) | TailError::Unreadable => {
                self.connect_at = Some(Instant::now() + self.backoff.pause());
                Ok(Followed::Disconnected(error))
            }
        }
    }
}

/// The error of an engine that ends a tail which has no end.
fn ended() -> TailError {
    Malformed::Payload { what: "reply to a tail that follows", cause: "it is the end".into() }.into()
}
