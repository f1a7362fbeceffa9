//! Tailing: the journal's batches, checked as they arrive.

use super::dial::{ConnectError, Dial};
use super::parts::{PartError, Parts};
use scrip_protocol::batch::{Batch, BatchError, ChainEnd};
use scrip_protocol::codes::RecordedForm;
use scrip_protocol::command::{Tail, TailOutcome};
use scrip_protocol::frame::Malformed;
use scrip_protocol::ids::Position;
use scrip_protocol::refusal::Refusal;

/// A tail of the journal on a connection of its own.
pub struct Tailing {
    parts: Parts<Tail>,
    chain: Chain,
    ended: bool,
}

/// Where the chain of what a tail has brought stands.
#[derive(Debug, Clone, Copy)]
enum Chain {
    /// Nothing is here yet, and the batch that holds this position comes first.
    From(Position),
    /// Nothing is here yet, and what comes first must continue this, which was read before.
    Resumed(ChainEnd),
    /// The newest batch.
    At(ChainEnd),
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
    #[error("the journal ends before that position: the next position is {next}")]
    BeyondEnd {
        /// The position after the newest durable record.
        next: Position,
    },
    /// The journal no longer has the position.
    #[error(
        "the journal begins at position {first} and no longer has the records before it: rebuild a full history from a backup, or \
         start a read model from a snapshot"
    )]
    Dropped {
        /// The first position in the journal.
        first: Position,
    },
    /// The engine cannot read its journal.
    #[error("the engine cannot read its journal there; see its log")]
    Unreadable,
    /// The received bytes are not a reply.
    #[error("malformed reply from the engine: {0}")]
    Malformed(#[from] Malformed),
    /// The engine's journal is not the one that was read before: its first batch is intact, but does not continue it.
    #[error("the journal does not continue what was read up to position {after}: {cause}")]
    Forked {
        /// Up to where was read before.
        after: Position,
        /// How the two differ.
        cause: BatchError,
    },
    /// The received bytes are not the next batch.
    #[error("the batch after position {after}: {cause}")]
    Batch {
        /// The newest position that was in order.
        after: Position,
        /// What is wrong.
        cause: BatchError,
    },
}

impl From<PartError> for TailError {
    fn from(error: PartError) -> TailError {
        match error {
            PartError::Connect(error) => error.into(),
            PartError::Refused(refusal) => TailError::Refused(refusal),
            PartError::Malformed(malformed) => malformed.into(),
        }
    }
}

impl Tailing {
    /// Begins to tail from a position; with `follow`, without an end.
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn start(dial: Dial, from: Position, follow: bool) -> Result<Tailing, TailError> {
        Tailing::begin(dial, from, follow, Chain::From(from.max(Position(1)))).await
    }

    /// Begins to tail behind what was read before; with `follow`, without an end. The first batch must continue that, or the tail ends
    /// with [`TailError::Forked`]. Where the journal ends at the cursor there is nothing to compare before the next batch comes; where
    /// it ends before it, the answer is [`TailError::BeyondEnd`].
    ///
    /// ```no_run
    /// # async fn example(dial: scrip_client::Dial, cursor: scrip_protocol::batch::ChainEnd) -> Result<(), Box<dyn std::error::Error>> {
    /// use scrip_protocol::batch::Batch;
    /// use scrip_client::Tailing;
    ///
    /// let mut tailing = Tailing::resume(dial, cursor, true).await?;
    /// while let Some(bytes) = tailing.next().await? {
    ///     let batch = Batch::parse(&bytes)?;
    ///     let cursor = batch.end(); // to be stored together with what the batch brought
    ///     println!("up to {}", cursor.position);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn resume(dial: Dial, cursor: ChainEnd, follow: bool) -> Result<Tailing, TailError> {
        Tailing::begin(dial, cursor.next(), follow, Chain::Resumed(cursor)).await
    }

    async fn begin(dial: Dial, from: Position, follow: bool, chain: Chain) -> Result<Tailing, TailError> {
        Ok(Tailing { parts: Parts::ask(dial, &Tail { from, follow }).await?, chain, ended: false })
    }

    /// The form in which the engine compares codes.
    pub fn codes(&self) -> RecordedForm {
        self.parts.welcome().codes
    }

    /// Where the chain stands with the newest batch that has come; none before the first.
    pub fn end(&self) -> Option<ChainEnd> {
        match self.chain {
            Chain::From(_) | Chain::Resumed(_) => None,
            Chain::At(end) => Some(end),
        }
    }

    /// The next batch's bytes, for [`Batch::parse`]; its hash and its place in the chain have been checked. `None` at the end. The
    /// first batch is the one that contains the requested position, so it may begin with earlier records.
    ///
    /// # Errors
    /// See [`TailError`].
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, TailError> {
        if self.ended {
            return Ok(None);
        }
        match self.parts.next().await? {
            TailOutcome::Batch(bytes) => {
                self.chain.take(&bytes)?;
                Ok(Some(bytes))
            }
            TailOutcome::End { .. } => {
                self.ended = true;
                Ok(None)
            }
            TailOutcome::BeyondEnd { next } => Err(TailError::BeyondEnd { next }),
            TailOutcome::Dropped { first } => Err(TailError::Dropped { first }),
            TailOutcome::Unreadable => Err(TailError::Unreadable),
        }
    }
}

impl Chain {
    /// Checks that a batch is valid and the next one, and moves the end of the chain to its end.
    fn take(&mut self, bytes: &[u8]) -> Result<(), TailError> {
        let after = match self {
            Chain::From(from) => Position(from.0 - 1),
            Chain::Resumed(end) | Chain::At(end) => end.position,
        };
        let batch = Batch::parse(bytes).map_err(|cause| TailError::Batch { after, cause })?;
        match *self {
            Chain::From(from) if (batch.first..=batch.end().position).contains(&from) => {}
            Chain::From(from) => {
                return Err(TailError::Batch { after, cause: BatchError::Gap { expected: from, found: batch.first } });
            }
            Chain::Resumed(mut end) => batch.follow(&mut end).map_err(|cause| TailError::Forked { after, cause })?,
            Chain::At(mut end) => batch.follow(&mut end).map_err(|cause| TailError::Batch { after, cause })?,
        }
        *self = Chain::At(batch.end());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scrip_protocol::Settings;
    use scrip_protocol::batch::BatchBuilder;
    use scrip_protocol::record::SettingsSet;

    /// Sealed batches of one record each, the journal of an organisation of a given name.
    fn journal(name: &str) -> Vec<(Vec<u8>, ChainEnd)> {
        let mut chain = ChainEnd::default();
        let sealed = |time_ms| {
            let mut batch = BatchBuilder::new(time_ms);
            batch.push(&SettingsSet::new(Settings { organisation: name.to_owned(), ..Settings::default() }).into());
            (batch.seal(&mut chain), chain)
        };
        (1..=3).map(sealed).collect()
    }

    fn resumed(cursor: ChainEnd, batches: &[&Vec<u8>]) -> Result<(), TailError> {
        let mut chain = Chain::Resumed(cursor);
        batches.iter().try_for_each(|bytes| chain.take(bytes))
    }

    /// Z11: a resumed tail reports when the engine's journal is not the one that was read before.
    #[test]
    fn what_was_read_before_is_continued_or_the_journal_is_another() {
        let (ours, theirs) = (journal("ours"), journal("theirs"));
        let (first, cursor) = &ours[0];
        assert!(resumed(ChainEnd::default(), &[first, &ours[1].0]).is_ok());
        assert!(resumed(*cursor, &[&ours[1].0, &ours[2].0]).is_ok());
        let forked = resumed(*cursor, &[&theirs[1].0]);
        assert!(matches!(forked, Err(TailError::Forked { after: Position(1), cause: BatchError::BrokenChain })), "{forked:?}");
        // Where the batches of the other journal are cut elsewhere, the first one sent begins before the cursor.
        let forked = resumed(ours[1].1, &[&theirs[1].0]);
        assert!(matches!(forked, Err(TailError::Forked { cause: BatchError::Gap { .. }, .. })), "{forked:?}");
    }

    /// Z11: a batch that is changed in transit, or missing after the first one, is not mistaken for another journal.
    #[test]
    fn a_changed_or_missing_batch_is_distinguished_from_another_journal() {
        let ours = journal("ours");
        let mut changed = ours[1].0.clone();
        *changed.last_mut().expect("it has bytes") ^= 1;
        let damaged = resumed(ours[0].1, &[&changed]);
        assert!(matches!(damaged, Err(TailError::Batch { cause: BatchError::Changed, .. })), "{damaged:?}");
        let missing = resumed(ChainEnd::default(), &[&ours[0].0, &ours[2].0]);
        assert!(matches!(missing, Err(TailError::Batch { after: Position(1), cause: BatchError::Gap { .. } })), "{missing:?}");
    }

    /// Z11: the first batch contains the requested position, so no record is skipped.
    #[test]
    fn a_tail_begins_with_the_batch_that_holds_its_position() {
        let ours = journal("ours");
        let begun = |from, bytes| Chain::From(Position(from)).take(bytes);
        assert!(begun(2, &ours[1].0).is_ok());
        for (from, at) in [(1, 1), (1, 2), (2, 0)] {
            let skipped = begun(from, &ours[at].0);
            assert!(matches!(skipped, Err(TailError::Batch { cause: BatchError::Gap { .. }, .. })), "from {from}: {skipped:?}");
        }
    }

    /// Pain 18: the error for a dropped position names the first position of the journal, and how to rebuild a full history.
    #[test]
    fn the_error_for_a_dropped_position_says_what_to_do() {
        let text = TailError::Dropped { first: Position(81_000) }.to_string();
        assert!(text.contains("backup") && text.contains("snapshot") && text.contains("at position 81000 "), "{text}");
    }
}
