//! Watching the engine beside the tail: how far its journal goes, and the position of a registered reader, so that the engine keeps
//! the journal after it.

use std::time::Duration;

use scrip_protocol::command::{KeepReader, KeepReaderOutcome, ShowStatus, Status};
use scrip_protocol::{Position, Refusal, RequestId};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::{Client, ClientError, Dial};

/// How often the status is read.
const EVERY: Duration = Duration::from_millis(500);

/// How often the position of a reader is reported at most: a report is a record, which the consumer then reads.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// The pause after a refused report: a refusal is a record as well, and only an operator can change the answer.
const REPORT_AGAIN: Duration = Duration::from_secs(600);

/// Reads the engine's status twice a second, and reports the position of a reader, if one is registered.
pub struct EngineWatch {
    dial: Dial,
    reader: Option<RegisteredReader>,
    connected: Option<Connected>,
    /// When to connect.
    connect_at: Option<Instant>,
}

/// A connection, and when its next status is due.
struct Connected {
    client: Client,
    ticks: Interval,
    /// The time by which the engine judges request ids, as of the last status.
    requests_ms: u64,
}

impl EngineWatch {
    /// Watches an engine; `reader` is the name under which it keeps the journal for the consumer.
    pub fn new(dial: Dial, reader: Option<String>) -> EngineWatch {
        EngineWatch { dial, reader: reader.map(RegisteredReader::new), connected: None, connect_at: None }
    }

    /// The name of the reader.
    pub fn reader(&self) -> Option<&str> {
        self.reader.as_ref().map(|reader| reader.name.as_str())
    }

    /// Waits for the next status. After an error the watch can be used again: it connects again, after a pause.
    ///
    /// # Errors
    /// When there is no connection, or the engine refuses.
    pub async fn next(&mut self) -> Result<Status, ClientError> {
        let connected = match &mut self.connected {
            Some(connected) => connected,
            None => {
                if let Some(at) = self.connect_at {
                    tokio::time::sleep_until(at).await;
                }
                let client = match Client::connect(self.dial.clone()).await {
                    Ok(client) => client,
                    Err(error) => return Err(self.disconnected(error.into())),
                };
                let mut ticks = tokio::time::interval(EVERY);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                self.connected.insert(Connected { client, ticks, requests_ms: 0 })
            }
        };
        connected.ticks.tick().await;
        match connected.client.call(RequestId(0), &ShowStatus {}).await {
            Ok(status) => {
                connected.requests_ms = status.requests_ms;
                Ok(status)
            }
            Err(error) => Err(self.disconnected(error)),
        }
    }

    fn disconnected(&mut self, error: ClientError) -> ClientError {
        self.connected = None;
        self.connect_at = Some(Instant::now() + EVERY * 2);
        error
    }

    /// Whether to report the reader's position, if the newest record that says more than the positions of readers is `changed`. While
    /// nothing else happens the position is reported once: the record of that report, and those of other readers, are no change.
    pub fn is_report_due(&self, changed: Position) -> bool {
        self.connected.is_some() && self.reader.as_ref().is_some_and(|reader| reader.is_due(Instant::now(), changed))
    }

    /// Reports the reader's position, which must survive a power cut: the engine may drop the journal up to it. Does nothing, and
    /// returns `None`, without a reader or a connection. The request has the engine's time, so that the clock of this machine does
    /// not matter. A report that is refused is made again later, on the same connection.
    ///
    /// # Errors
    /// When the report has no outcome.
    pub async fn report(&mut self, position: Position) -> Result<Option<KeepReaderOutcome>, ClientError> {
        let (Some(reader), Some(connected)) = (&mut self.reader, &self.connected) else { return Ok(None) };
        let command = KeepReader { name: reader.name.clone(), position };
        match connected.client.call(RequestId::at(connected.requests_ms), &command).await {
            Ok(outcome) => {
                reader.reported(Instant::now(), position, &outcome);
                Ok(Some(outcome))
            }
            Err(ClientError::Refused(refusal)) => {
                reader.refused(Instant::now(), &refusal);
                Err(ClientError::Refused(refusal))
            }
            Err(error) => Err(self.disconnected(error)),
        }
    }

    /// Makes the next report due as late as after a report: the consumer could not make its position durable.
    pub fn postpone_report(&mut self) {
        if let Some(reader) = &mut self.reader {
            reader.postpone(Instant::now());
        }
    }
}

/// Whether the engine keeps the journal after the reader.
fn is_kept(outcome: &KeepReaderOutcome) -> bool {
    match outcome {
        KeepReaderOutcome::Kept { .. } => true,
        // A consumer that is built again is where it was before; the engine keeps what the older one had not read.
        KeepReaderOutcome::AlreadyFurther { .. } => true,
        KeepReaderOutcome::InvalidName
        | KeepReaderOutcome::BeyondEnd { .. }
        | KeepReaderOutcome::NotKept { .. }
        | KeepReaderOutcome::OtherCredential
        | KeepReaderOutcome::TooManyReaders
        | KeepReaderOutcome::TooManyOfCredential => false,
    }
}

/// A reader, and its last report.
struct RegisteredReader {
    name: String,
    reported_at: Option<Instant>,
    /// The reported position; none if the engine refused it.
    position: Option<Position>,
}

impl RegisteredReader {
    fn new(name: String) -> RegisteredReader {
        RegisteredReader { name, reported_at: None, position: None }
    }

    fn reported(&mut self, at: Instant, position: Position, outcome: &KeepReaderOutcome) {
        (self.reported_at, self.position) = (Some(at), is_kept(outcome).then_some(position));
    }

    /// The engine did not execute the report. What passes by itself, or with a clock that is set right, is tried again soon.
    fn refused(&mut self, at: Instant, refusal: &Refusal) {
        match refusal {
            Refusal::Busy { .. }
            | Refusal::TooManyMisses { .. }
            | Refusal::RequestTooOld { .. }
            | Refusal::RequestFromFuture { .. }
            | Refusal::RequestIdReused => self.postpone(at),
            Refusal::Forbidden { .. } | Refusal::ClubForbidden { .. } | Refusal::Revoked | Refusal::RequestIdInvalid => {
                (self.reported_at, self.position) = (Some(at), None);
            }
        }
    }

    fn postpone(&mut self, now: Instant) {
        (self.reported_at, self.position) = (Some(now), self.position.or(Some(Position(0))));
    }

    fn is_due(&self, now: Instant, changed: Position) -> bool {
        let Some(at) = self.reported_at else { return true };
        match self.position {
            Some(position) => changed > position && now >= at + REPORT_EVERY,
            None => now >= at + REPORT_AGAIN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(at: Instant, position: Option<Position>) -> RegisteredReader {
        RegisteredReader { name: "sidecar".into(), reported_at: Some(at), position }
    }

    /// A quiet shop: the reader moves up to the newest record that says something, within a minute and however few these are, and then
    /// reports nothing more, although its own moves and those of other readers are records as well.
    #[test]
    fn the_last_change_is_reported_and_then_nothing() {
        let begun = Instant::now();
        let seconds = |seconds| begun + Duration::from_secs(seconds);
        let new = RegisteredReader::new("sidecar".into());
        assert!(new.is_due(begun, Position(0)), "it registers at once, whatever there is");
        let at_7 = reader(begun, Some(Position(7)));
        assert!(!at_7.is_due(seconds(3_600), Position(7)), "nothing has changed since");
        assert!(!at_7.is_due(seconds(59), Position(8)));
        assert!(at_7.is_due(seconds(60), Position(8)), "one record is enough");
        let at_9 = reader(begun, Some(Position(9)));
        assert!(!at_9.is_due(seconds(3_600), Position(8)), "8 is the last change, and 9 the record of the first move");
    }

    /// A refused report is made again, seldom: an operator may have changed the answer.
    #[test]
    fn a_refused_reader_is_registered_later() {
        let begun = Instant::now();
        let refused = reader(begun, None);
        assert!(!refused.is_due(begun + REPORT_EVERY, Position(1_000_000)));
        assert!(refused.is_due(begun + REPORT_AGAIN, Position(0)));
    }

    /// A report counts if the engine keeps the journal after the reader, although the reader may be known further on.
    #[test]
    fn a_report_counts_unless_it_was_refused() {
        let begun = Instant::now();
        let (kept, further) = (KeepReaderOutcome::Kept { position: Position(7) }, Position(9));
        for (outcome, is_due) in [
            (kept, true),
            (KeepReaderOutcome::AlreadyFurther { position: further }, true),
            (KeepReaderOutcome::BeyondEnd { newest: Position(1) }, false),
            (KeepReaderOutcome::OtherCredential, false),
        ] {
            let mut reader = RegisteredReader::new("sidecar".into());
            reader.reported(begun, Position(7), &outcome);
            assert_eq!(reader.is_due(begun + REPORT_EVERY, Position(8)), is_due, "{outcome:?}");
            assert_eq!(reader.is_due(begun + REPORT_AGAIN, Position(7)), !is_due, "{outcome:?}");
        }
    }

    /// A position that could not be made durable is tried again a minute later, as after a report, also before the first one.
    #[test]
    fn a_postponed_report_is_made_a_minute_later() {
        let begun = Instant::now();
        let registered = reader(begun - REPORT_EVERY, Some(Position(7)));
        for (mut reader, changed) in [(RegisteredReader::new("sidecar".into()), Position(1)), (registered, Position(8))] {
            assert!(reader.is_due(begun, changed));
            reader.postpone(begun);
            assert!(!reader.is_due(begun + REPORT_EVERY / 2, changed));
            assert!(reader.is_due(begun + REPORT_EVERY, changed));
        }
    }
}
