//! A follower of the journal, against a scripted peer: it goes on from its cursor over lost connections, and stops where a person
//! has to decide.

mod peer;

use std::time::Duration;

use peer::{Peer, REQUESTS_MS, Session};
use scrip_client::{ClientError, EngineWatch, Followed, Follower, FollowerError, TailError};
use scrip_protocol::batch::{Batch, BatchBuilder, BatchError, ChainEnd};
use scrip_protocol::command::{KeepReaderOutcome, TailOutcome};
use scrip_protocol::hello::CloseCode;
use scrip_protocol::record::SettingsSet;
use scrip_protocol::{Position, Refusal, Role, Settings};

/// Far more than anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// The batches of a journal, of one record each.
fn journal(organisation: &str, batches: u64) -> Vec<Vec<u8>> {
    let mut chain = ChainEnd::default();
    let sealed = |time_ms| {
        let mut batch = BatchBuilder::new(time_ms);
        batch.push(&SettingsSet::new(Settings { organisation: organisation.to_owned(), ..Settings::default() }).into());
        batch.seal(&mut chain)
    };
    (1..=batches).map(sealed).collect()
}

fn end_of(batch: &[u8]) -> ChainEnd {
    Batch::parse(batch).expect("it is a batch").end()
}

fn batches(bytes: &[Vec<u8>]) -> Vec<TailOutcome> {
    bytes.iter().cloned().map(TailOutcome::Batch).collect()
}

async fn next(follower: &mut Follower) -> Result<Followed, FollowerError> {
    tokio::time::timeout(DEADLINE, follower.next()).await.expect("something comes next")
}

/// Follows until the follower stops, or has read so many batches. Returns these, how often it was connected, and why it stopped.
async fn follow(follower: &mut Follower, until: usize) -> (Vec<Vec<u8>>, usize, Option<FollowerError>) {
    let (mut read, mut connected) = (Vec::new(), 0);
    while read.len() < until {
        match next(follower).await {
            Ok(Followed::Connected) => connected += 1,
            Ok(Followed::Disconnected(_)) => {}
            Ok(Followed::Batch(bytes)) => {
                assert_eq!(follower.cursor(), end_of(&bytes), "the cursor is the end of the newest batch");
                read.push(bytes);
            }
            Err(error) => return (read, connected, Some(error)),
        }
    }
    (read, connected, None)
}

/// Whatever ends a connection: each batch comes once, in order, and each connection asks for what comes after the last one.
#[tokio::test]
async fn each_batch_is_read_once_over_lost_connections() {
    let journal = journal("ours", 5);
    let peer = Peer::start(vec![
        Session::Tail(batches(&journal[..2]), CloseCode::ShuttingDown),
        Session::Closes(CloseCode::ShuttingDown),
        Session::Tail(Vec::new(), CloseCode::ShuttingDown),
        Session::Refuses(Refusal::Busy { retry_after_ms: 1 }),
        Session::Tail(batches(&journal[2..3]), CloseCode::JournalFailed),
        Session::Tail(vec![TailOutcome::Batch(journal[3].clone()), TailOutcome::Unreadable], CloseCode::Done),
        Session::Stays(batches(&journal[4..])),
    ]);
    let mut follower = Follower::new(peer.dial(), ChainEnd::default());
    let (read, connected, stopped) = follow(&mut follower, journal.len()).await;
    assert!(stopped.is_none(), "{stopped:?}");
    assert_eq!(read, journal);
    assert_eq!(connected, 6, "one connection was closed before the hello was answered");
    assert_eq!(peer.tails(), [1, 3, 3, 3, 4, 5].map(Position));
}

/// A cursor that was stored is continued; where the journal there is another one, or ends before it, or no longer has what comes
/// after it, the follower stops.
#[tokio::test]
async fn a_follower_stops_where_its_cursor_cannot_be_continued() {
    let (ours, theirs) = (journal("ours", 3), journal("theirs", 3));
    let peer = Peer::start(vec![
        Session::Stays(batches(&ours[1..])),
        Session::Stays(batches(&theirs[1..])),
        Session::Stays(vec![TailOutcome::BeyondEnd { next: Position(1) }]),
        Session::Stays(vec![TailOutcome::Dropped { first: Position(9) }]),
        Session::Refuses(Refusal::Forbidden { role: Role::Gateway }),
        Session::Stays(vec![TailOutcome::Batch(ours[1].clone()), TailOutcome::End { next: Position(3) }]),
        Session::OtherForm,
    ]);
    let mut errors = Vec::new();
    for expected in [2, 0, 0, 0, 0, 1, 0] {
        let mut follower = Follower::new(peer.dial(), end_of(&ours[0]));
        // One batch more than there is, except in the first session, which goes on.
        let until = if expected == 2 { 2 } else { expected + 1 };
        let (read, _, error) = follow(&mut follower, until).await;
        assert_eq!(read, ours[1..=expected]);
        errors.extend(error);
    }
    let [forked, behind, dropped, forbidden, ended, form] = errors.try_into().expect("all sessions but the first stop");
    assert!(matches!(forked, FollowerError::Tail(TailError::Forked { cause: BatchError::BrokenChain, .. })), "{forked:?}");
    assert!(matches!(behind, FollowerError::Behind { journal: Position(0), cursor: Position(1) }), "{behind:?}");
    assert!(matches!(dropped, FollowerError::Tail(TailError::Dropped { first: Position(9) })), "{dropped:?}");
    assert!(matches!(forbidden, FollowerError::Tail(TailError::Refused(Refusal::Forbidden { .. }))), "{forbidden:?}");
    assert!(matches!(ended, FollowerError::Tail(TailError::Malformed(_))), "{ended:?}");
    assert!(matches!(form, FollowerError::CodeForm(_)), "{form:?}");
    // The last one is refused by its hello, before its tail is read.
    assert_eq!(peer.tails()[..6], [2; 6].map(Position), "none of these was tried again");
}

/// A call that is dropped while it waits for a batch loses nothing.
#[tokio::test]
async fn a_dropped_call_loses_no_batch() {
    let journal = journal("ours", 40);
    let peer = Peer::start(vec![
        Session::Tail(batches(&journal[..20]), CloseCode::ShuttingDown),
        Session::Stays(batches(&journal[20..])),
    ]);
    let mut follower = Follower::new(peer.dial(), ChainEnd::default());
    let (mut read, mut dropped, mut is_connected) = (Vec::new(), 0, false);
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while read.len() < journal.len() {
        assert!(tokio::time::Instant::now() < deadline, "{} batches came", read.len());
        let followed = tokio::select! {
            biased;
            followed = next(&mut follower) => followed,
            // Polled once, the call is dropped unless a batch is there already.
            () = tokio::task::yield_now(), if is_connected => {
                dropped += 1;
                continue;
            }
        };
        match followed.expect("it goes on") {
            Followed::Connected => is_connected = true,
            Followed::Disconnected(_) => is_connected = false,
            Followed::Batch(bytes) => read.push(bytes),
        }
    }
    assert_eq!(read, journal);
    assert!(dropped > 0, "no call was dropped");
}

/// A reader is registered on the connection that reads the status; after a lost connection both go on.
#[tokio::test]
async fn a_watch_reports_its_reader_and_goes_on_over_lost_connections() {
    let kept = KeepReaderOutcome::Kept { position: Position(7) };
    let peer = Peer::start(vec![
        Session::OneStatus(CloseCode::ShuttingDown),
        Session::Reports(vec![Ok(KeepReaderOutcome::TooManyReaders), Ok(kept.clone())]),
    ]);
    let mut watch = EngineWatch::new(peer.dial(), Some("consumer".into()));
    assert!(!watch.is_report_due(Position(7)), "without a connection there is nobody to report to");
    assert_eq!(watch.report(Position(7)).await.expect("nothing was sent"), None);
    let mut statuses = 0;
    while statuses < 2 {
        let status = tokio::time::timeout(DEADLINE, watch.next()).await.expect("it goes on");
        statuses += usize::from(status.is_ok_and(|status| status.journal.durable == Position(7)));
    }
    assert!(watch.is_report_due(Position(7)));
    for expected in [KeepReaderOutcome::TooManyReaders, kept] {
        let outcome = tokio::time::timeout(DEADLINE, watch.report(Position(7))).await.expect("it is answered");
        assert_eq!(outcome.expect("it is answered"), Some(expected));
        assert!(!watch.is_report_due(Position(8)), "a report, refused or not, is not repeated at once");
    }
    assert_eq!(peer.reports(), [("consumer".to_owned(), Position(7)), ("consumer".to_owned(), Position(7))]);
}

/// The clock of a consumer's machine does not matter: a report has the time by which the engine judges its id.
#[tokio::test]
async fn a_reader_is_registered_whatever_the_clock_of_its_machine_shows() {
    let kept = KeepReaderOutcome::Kept { position: Position(7) };
    let peer = Peer::start(vec![Session::Reports(vec![Ok(kept.clone())])]);
    let mut watch = EngineWatch::new(peer.dial(), Some("consumer".into()));
    tokio::time::timeout(DEADLINE, watch.next()).await.expect("it goes on").expect("a status");
    assert_eq!(watch.report(Position(7)).await.expect("it is answered"), Some(kept));
    assert_eq!(peer.report_times_ms(), [REQUESTS_MS]);
}

/// A refused report is an error that leaves the connection alone, and is not made again at once: the status goes on.
#[tokio::test]
async fn a_refused_report_is_returned_and_the_watch_stays_connected() {
    let refusals = [Refusal::RequestFromFuture { now_ms: 1 }, Refusal::Forbidden { role: Role::Gateway }];
    // One session: the peer would not serve another connection while this one is open.
    let peer = Peer::start(vec![Session::Reports(refusals.into_iter().map(Err).collect())]);
    let mut watch = EngineWatch::new(peer.dial(), Some("consumer".into()));
    for refusal in refusals {
        tokio::time::timeout(DEADLINE, watch.next()).await.expect("it goes on").expect("a status");
        let refused = watch.report(Position(7)).await;
        assert!(matches!(&refused, Err(ClientError::Refused(found)) if *found == refusal), "{refused:?}");
        assert!(!watch.is_report_due(Position(8)), "{refusal}: it is not repeated at once");
        tokio::time::timeout(DEADLINE, watch.next()).await.expect("it goes on").expect("a status on the same connection");
    }
}
