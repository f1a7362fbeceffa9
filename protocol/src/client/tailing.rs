//! Tailing: the journal's batches, checked as they come.

use bytes::Bytes;

use super::dial::{ConnectError, Dial, Dialled};
use crate::batch::{Batch, BatchError, ChainEnd};
use crate::command::{Tail, TailOutcome};
use crate::frame::{FrameBuffer, Malformed, REPLY_BYTES_MAX, push_request};
use crate::ids::{Position, RequestId};
use crate::refusal::Refusal;

/// A tail of the journal on a connection of its own.
pub struct Tailing {
    dialled: Dialled,
    dial: Dial,
    frames: FrameBuffer,
    pieces: Vec<Bytes>,
    /// Where the chain stands, once the first batch is here.
    chain: Option<ChainEnd>,
    ended: bool,
}

/// Why a tail cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The engine refused.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The position lies past the end.
    #[error("the journal ends before that: the next position is {next}")]
    BeyondEnd {
        /// The position after the newest durable record.
        next: Position,
    },
    /// The position is not kept any more.
    #[error("the journal is kept from position {first} on; what was before it was dropped")]
    Dropped {
        /// The first position that is kept.
        first: Position,
    },
    /// The engine cannot read its journal.
    #[error("the engine cannot read its journal there; its log says why")]
    Unreadable,
    /// What came is not a reply.
    #[error("the engine's reply: {0}")]
    Malformed(#[from] Malformed),
    /// What came is not the next batch.
    #[error("the batch after position {after}: {cause}")]
    Batch {
        /// The newest position that was in order.
        after: Position,
        /// What is wrong.
        cause: BatchError,
    },
}

impl Tailing {
    /// Begins to tail from a position; with `follow`, without an end.
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn start(dial: Dial, from: Position, follow: bool) -> Result<Tailing, TailError> {
        let mut dialled = dial.connect().await?;
        let mut request = Vec::new();
        push_request(&mut request, 1, RequestId(0), &Tail { from, follow });
        // If this fails, reading will say why.
        let _ = dialled.send.write_all(&request).await;
        let pieces = vec![Bytes::new(); 256];
        Ok(Tailing { dialled, dial, frames: FrameBuffer::default(), pieces, chain: None, ended: false })
    }

    /// The next batch's bytes, for [`Batch::parse`]; its hash and its place in the chain have been checked. `None` at the end. The
    /// first batch is the one that holds the position asked for, so that records before it may come first.
    ///
    /// # Errors
    /// See [`TailError`].
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, TailError> {
        while !self.ended {
            if let Some(frame) = self.frames.next(REPLY_BYTES_MAX)? {
                match frame.reply::<Tail>()?.map_err(TailError::Refused)? {
                    TailOutcome::Batch(bytes) => return self.checked(bytes).map(Some),
                    TailOutcome::End { .. } => self.ended = true,
                    TailOutcome::BeyondEnd { next } => return Err(TailError::BeyondEnd { next }),
                    TailOutcome::Dropped { first } => return Err(TailError::Dropped { first }),
                    TailOutcome::Unreadable => return Err(TailError::Unreadable),
                }
                continue;
            }
            match self.dialled.receive.read_chunks(&mut self.pieces).await {
                Ok(Some(count)) => {
                    self.pieces[..count].iter_mut().for_each(|piece| self.frames.extend(&std::mem::take(piece)));
                }
                Ok(None) | Err(_) => {
                    let error = self.dialled.connection.closed().await;
                    return Err(ConnectError::of(&error, self.dial.address()).into());
                }
            }
        }
        Ok(None)
    }

    fn checked(&mut self, bytes: Vec<u8>) -> Result<Vec<u8>, TailError> {
        let after = self.chain.map_or(Position(0), |chain| chain.position);
        let wrong = |cause| TailError::Batch { after, cause };
        let batch = Batch::parse(&bytes).map_err(wrong)?;
        match &mut self.chain {
            Some(chain) => batch.follow(chain).map_err(wrong)?,
            None => self.chain = Some(batch.end()),
        }
        Ok(bytes)
    }
}
