//! An answer of many frames, on a connection of its own.

use std::marker::PhantomData;

use bytes::Bytes;

use super::dial::{ConnectError, Dial, Dialled};
use scrip_protocol::command::Command;
use scrip_protocol::frame::{FrameBuffer, Malformed, REPLY_BYTES_MAX, push_request};
use scrip_protocol::hello::Welcome;
use scrip_protocol::ids::RequestId;
use scrip_protocol::refusal::Refusal;

/// Why there is no next part.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The engine refused.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The reply is malformed.
    #[error("malformed reply from the engine: {0}")]
    Malformed(#[from] Malformed),
}

/// The parts of the answer to a command.
pub(super) struct Parts<C> {
    dialled: Dialled,
    frames: FrameBuffer,
    pieces: Vec<Bytes>,
    outcome: PhantomData<fn() -> C>,
}

impl<C: Command> Parts<C> {
    pub(super) async fn ask(dial: Dial, command: &C) -> Result<Parts<C>, ConnectError> {
        let mut dialled = dial.connect().await?;
        let mut request = Vec::new();
        push_request(&mut request, 1, RequestId(0), command);
        // If this fails, reading returns the reason.
        let _ = dialled.send.write_all(&request).await;
        let pieces = vec![Bytes::new(); 256];
        Ok(Parts { dialled, frames: FrameBuffer::default(), pieces, outcome: PhantomData })
    }

    /// The answer to the hello.
    pub(super) fn welcome(&self) -> &Welcome {
        &self.dialled.welcome
    }

    /// Waits for the next part. The parts themselves mark the last one.
    pub(super) async fn next(&mut self) -> Result<C::Outcome, PartError> {
        loop {
            if let Some(frame) = self.frames.next(REPLY_BYTES_MAX)? {
                return frame.reply::<C>()?.map_err(PartError::Refused);
            }
            match self.dialled.receive.read_chunks(&mut self.pieces).await {
                Ok(Some(count)) => {
                    self.pieces[..count].iter_mut().for_each(|piece| self.frames.extend(&std::mem::take(piece)));
                }
                Ok(None) | Err(_) => {
                    let error = self.dialled.connection.closed().await;
                    return Err(ConnectError::of(&error, self.dialled.address).into());
                }
            }
        }
    }
}
