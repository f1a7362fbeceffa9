//! The client's methods for operators: snapshots, the readers of the journal, and the engine's status.

use std::time::Duration;

use super::{Client, ClientError};
use scrip_protocol::command::{
    ForgetReader, ForgetReaderOutcome, KeepReader, KeepReaderOutcome, LiftLockouts, LiftLockoutsOutcome, ListLockouts,
    ListLockoutsOutcome, ListReaders, ListReadersOutcome, LockoutKind, ShowStatus, Status, TakeSnapshot, TakeSnapshotOutcome,
    WhichLockouts,
};
use scrip_protocol::ids::{Position, RequestId};

impl Client {
    /// Takes a snapshot, and waits up to `patience` until it is durable. The time grows with the state and with what was written
    /// since the newest snapshot. The engine takes the snapshot even if the wait times out.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn take_snapshot(&self, patience: Duration) -> Result<TakeSnapshotOutcome, ClientError> {
        self.call_within(patience, RequestId(0), &TakeSnapshot {}).await
    }

    /// Registers a reader of the journal, or moves it: it has read everything up to a position, and the engine keeps what follows
    /// for it.
    ///
    /// ```no_run
    /// # async fn example(client: scrip_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use scrip_protocol::command::KeepReaderOutcome;
    /// use scrip_protocol::{Position, RequestId};
    ///
    /// // Everything up to here is stored elsewhere by now.
    /// match client.keep_reader(RequestId::now(), "reports", Position(81_000)).await? {
    ///     KeepReaderOutcome::Kept { .. } => {}
    ///     refused => println!("{refused}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn keep_reader(
        &self,
        request: RequestId,
        name: &str,
        position: Position,
    ) -> Result<KeepReaderOutcome, ClientError> {
        self.call(request, &KeepReader { name: name.to_owned(), position }).await
    }

    /// Removes a reader. The engine no longer keeps segments for it.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn forget_reader(&self, request: RequestId, name: &str) -> Result<ForgetReaderOutcome, ClientError> {
        self.call(request, &ForgetReader { name: name.to_owned() }).await
    }

    /// Lists the readers of the journal.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn list_readers(&self) -> Result<ListReadersOutcome, ClientError> {
        self.call(RequestId(0), &ListReaders {}).await
    }

    /// Lists the current lockouts, of one kind or of all.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn list_lockouts(&self, kind: Option<LockoutKind>) -> Result<ListLockoutsOutcome, ClientError> {
        self.call(RequestId(0), &ListLockouts { kind }).await
    }

    /// Lifts lockouts.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn lift_lockouts(&self, which: WhichLockouts) -> Result<LiftLockoutsOutcome, ClientError> {
        self.call(RequestId(0), &LiftLockouts { which }).await
    }

    /// Shows the engine's status, and its counters since the process began.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn show_status(&self) -> Result<Status, ClientError> {
        self.call(RequestId(0), &ShowStatus {}).await
    }
}
