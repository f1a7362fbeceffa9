//! Exports over HTTP, with readers that read, stall, and disconnect.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use futures_util::{FutureExt, StreamExt};
use parking_lot::Mutex;
use rusqlite::Connection;
use scrip_web::problem::Problem;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::handwritten::{AS_OF, Model, codes, export, view_of};
use crate::export::download::{DOWNLOADS_OF_ONE, Downloads, LIMITS, Limits, PACE, Pace};
use crate::export::{Export, ExportError, Format};
use crate::read_model::{Readers, log_bytes};

const DEADLINE: Duration = Duration::from_secs(30);

/// A file of many chunks.
const CODES: u32 = 40_000;

/// Some credentials.
const ONE: u32 = 1;
const OTHER: u32 = 2;

/// A pace that no reader can keep.
const HASTE: Pace = Pace { bytes_per_second: u64::MAX, grace: Duration::ZERO, total: Duration::ZERO };

/// A read model in a file, its writer, and its exports.
struct Site {
    folder: TempDir,
    writer: Mutex<Connection>,
    downloads: Downloads,
}

impl Site {
    fn new() -> Site {
        Site::with(CODES, LIMITS)
    }

    fn with(codes: u32, limits: Limits) -> Site {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("read-model.sqlite");
        let connection = Connection::open(&path).expect("a new file");
        connection.pragma_update(None, "journal_mode", "wal").expect("it is on disk");
        connection.pragma_update(None, "wal_autocheckpoint", 0).expect("it is a setting");
        let model = Model::on(connection);
        let texts: Vec<String> = (0..codes).map(|n| format!("CODE{n}")).collect();
        model.put("BEGIN", &[]);
        model.campaign(1, "Winter", &texts.iter().map(String::as_str).collect::<Vec<_>>());
        model.activate(10, 1, codes - 1);
        model.put("INSERT OR REPLACE INTO cursor VALUES (1, ?1, zeroblob(32), 1798675200000)", &[&(AS_OF as i64)]);
        model.put("COMMIT", &[]);
        let downloads = Downloads::with_limits(Arc::new(Readers::new(&path)), limits);
        Site { folder, writer: Mutex::new(model.0), downloads }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("read-model.sqlite")
    }

    async fn answer(&self, credential: u32, export: Export) -> Result<Response, ExportError> {
        let turn = self.downloads.turn(credential).await?;
        self.downloads.begin(turn, export).await
    }

    /// Waits until so many exports are in progress.
    async fn until_there_are(&self, count: usize) {
        let come = async {
            while self.downloads.places.taken() != count {
                tokio::task::yield_now().await;
            }
        };
        timeout(DEADLINE, come).await.expect("the others end");
    }

    /// Whether the log was completely checkpointed, so that no view is open.
    fn gives_the_log_back(&self) -> bool {
        let busy: i64 =
            self.writer.lock().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).expect("it is answered");
        busy == 0 && log_bytes(&self.path()) == 0
    }

    /// Deletes the only activation: the last row of the list.
    fn lose_the_last(&self) {
        self.writer.lock().execute("DELETE FROM activation", []).expect("it can be written");
    }
}

/// The bytes of a body, and whether it was complete.
async fn read(answer: Response) -> (Vec<u8>, bool) {
    let mut body = answer.into_body().into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = timeout(DEADLINE, body.next()).await.expect("the body goes on") {
        match chunk {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(_) => {
                assert!(body.next().await.is_none(), "nothing comes after an error");
                return (bytes, false);
            }
        }
    }
    (bytes, true)
}

/// T7, Z10: the response is the file, with its type, name, position and length.
#[tokio::test]
async fn an_answer_is_the_whole_file() {
    let site = Site::new();
    for format in [Format::Csv, Format::Xlsx, Format::Parquet] {
        let wanted = export(codes(1), format);
        let answer = site.answer(ONE, wanted.clone()).await.expect("it is exported");
        let header = |name: &str| answer.headers()[name].to_str().expect("it is text").to_owned();
        assert_eq!(header("content-type"), format.media_type());
        assert_eq!(header("content-disposition"), format!("attachment; filename=\"campaign-1-codes-p{AS_OF}.{format}\""));
        assert_eq!((header("scrip-position"), header("scrip-history-after")), (AS_OF.to_string(), "0".to_owned()));
        let length: usize = header("content-length").parse().expect("a number");
        let (bytes, is_whole) = read(answer).await;
        let mut expected = Vec::new();
        wanted.run(&view_of(&site.writer.lock()), &mut expected, &mut |_, _| true).expect("it is exported");
        assert!(is_whole && bytes == expected && length == bytes.len(), "{format}: {} of {}", bytes.len(), expected.len());
        site.until_there_are(0).await;
    }
}

/// Pain 43: a slow or stalled reader of an export holds no view of the read model: the log is truncated meanwhile.
#[tokio::test]
async fn a_reader_holds_no_view() {
    let site = Site::new();
    let answer = site.answer(ONE, export(codes(1), Format::Csv)).await.expect("it is exported");
    site.writer.lock().execute("UPDATE client SET name = 'Other'", []).expect("it can be written");
    assert!(log_bytes(&site.path()) > 0);
    assert!(site.gives_the_log_back(), "nobody reads in it");
    let (bytes, is_whole) = read(answer).await;
    assert!(is_whole && bytes.windows(3).any(|three| three == b"Ann"), "it is as of where it was made");
}

/// A slow reader is not a stalled reader: one of 8 KiB/s gets its 40 MB, whatever the system's buffers took in advance; one of 2
/// KB/s or of nothing is cut off.
#[test]
fn slow_readers_pass_and_idle_ones_do_not() {
    let length: u64 = 40 << 20;
    for (speed, passes) in [(96 << 10, true), (8 << 10, true), (2_000, false), (0, false)] {
        for in_advance in [0, 64 << 10, 4 << 20] {
            let needed = if speed == 0 { 1 << 20 } else { length.div_ceil(speed) };
            let is_allowed = (0..=needed).all(|second| {
                let taken = (in_advance + second * speed).min(length);
                PACE.allows(Duration::from_secs(second), taken)
            });
            assert_eq!(is_allowed, passes, "{speed} B/s, {in_advance} B in advance");
        }
    }
    let day = Duration::from_secs(24 * 60 * 60);
    assert!(!PACE.allows(day, u64::MAX), "no export goes on for ever");
}

/// A reader whose connection stalls is not cut off during the grace period. After that it must keep the average, up to the total
/// time.
#[test]
fn a_reader_may_pause_for_the_grace_and_not_longer() {
    let Pace { bytes_per_second, grace, total } = PACE;
    let (second, moment) = (Duration::from_secs(1), Duration::from_millis(1));
    assert!(PACE.allows(grace, 0));
    assert!(!PACE.allows(grace + second, bytes_per_second - 1) && PACE.allows(grace + second, bytes_per_second));
    assert!(PACE.allows(total, u64::MAX) && !PACE.allows(total + moment, u64::MAX));
}

/// A reader that is too slow loses its place and its file, and does not get a complete file.
#[tokio::test]
async fn a_reader_that_is_too_slow_is_cut() {
    let site = Site::with(CODES, Limits { pace: HASTE, look_every: Duration::from_millis(1), ..LIMITS });
    let answer = site.answer(ONE, export(codes(1), Format::Csv)).await.expect("it is exported");
    site.until_there_are(0).await;
    let (bytes, is_whole) = read(answer).await;
    assert!(!is_whole && bytes.is_empty());
}

/// An export ends when its reader is gone: while it is built, and while it is sent.
#[tokio::test]
async fn a_reader_that_goes_away_ends_its_export() {
    let site = Site::new();
    for format in [Format::Csv, Format::Xlsx] {
        drop(site.answer(ONE, export(codes(1), format)).await.expect("it is exported"));
        site.until_there_are(0).await;
        let turn = site.downloads.turn(ONE).await.expect("its turn comes");
        let mut making = Box::pin(site.downloads.begin(turn, export(codes(1), format)));
        assert!((&mut making).now_or_never().is_none(), "it takes a while");
        drop(making);
        site.until_there_are(0).await;
        drop(timeout(DEADLINE, site.downloads.turn(ONE)).await.expect("its thread ends").expect("its turn comes"));
    }
}

/// Pain 18: an export that cannot be built is an error, never a shorter file.
#[tokio::test]
async fn an_export_that_fails_is_never_a_shorter_file() {
    let site = Site::new();
    site.lose_the_last();
    let failed = site.answer(ONE, export(codes(1), Format::Csv)).await;
    assert!(matches!(failed, Err(ExportError::Missing { .. })), "{failed:?}");
    site.until_there_are(0).await;
    let answer = exchange(Arc::new(site), "HTTP/1.1").await;
    assert!(answer.starts_with(b"HTTP/1.1 500"), "{}", String::from_utf8_lossy(&answer));
}

/// Pain 42: an HTTP/1.0 proxy receives the length, so it notices a truncated file, even when the export is cut off.
#[tokio::test]
async fn a_length_is_sent_over_http_1_0() {
    let (site, cut) = (Site::new(), Site::with(CODES, Limits { pace: HASTE, look_every: Duration::from_millis(1), ..LIMITS }));
    let whole = exchange(Arc::new(site), "HTTP/1.0").await;
    let (length, sent) = lengths(&whole).expect("a head");
    assert_eq!(length, sent, "all of it");
    let part = exchange(Arc::new(cut), "HTTP/1.0").await;
    assert!(lengths(&part).is_none_or(|(length, sent)| sent < length), "{}", String::from_utf8_lossy(&part));
}

/// The length in the head, and the number of bytes after it; none if there is no head.
fn lengths(answer: &[u8]) -> Option<(usize, usize)> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    assert!(head.starts_with("http/1.0 200") && !head.contains("transfer-encoding"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    Some((length.parse().expect("a number"), answer.len() - end))
}

/// The bytes that an HTTP client receives up to the end of the connection. It begins to read when the export is complete, or cut
/// off.
async fn exchange(site: Arc<Site>, version: &str) -> Vec<u8> {
    let cuts = site.downloads.pace().total.is_zero();
    let get = move || async move {
        match site.answer(ONE, export(codes(1), Format::Csv)).await {
            Ok(answer) => {
                if cuts {
                    site.until_there_are(0).await;
                }
                answer
            }
            Err(error) => Problem::from(error).into_response(),
        }
    };
    let router = axum::Router::new().route("/", axum::routing::get(get));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let server = tokio::spawn(async { axum::serve(listener, router).await });
    let mut client = tokio::net::TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET / {version}\r\nhost: scrip\r\nconnection: close\r\n\r\n");
    client.write_all(request.as_bytes()).await.expect("it reads");
    let mut bytes = Vec::new();
    // A connection that is cut off may end with an error on this side too.
    let _ = timeout(DEADLINE, client.read_to_end(&mut bytes)).await.expect("the connection ends");
    server.abort();
    bytes
}

/// An error before the first row is the response itself.
#[tokio::test]
async fn a_campaign_that_is_not_there_has_no_answer() {
    let site = Site::with(1, LIMITS);
    let failed = site.answer(ONE, export(codes(9), Format::Csv)).await;
    assert!(matches!(failed, Err(ExportError::NoCampaign(_))), "{failed:?}");
    site.until_there_are(0).await;
}

/// One credential has some of the places, and builds one export at a time; others are not affected.
#[tokio::test]
async fn one_credential_leaves_exports_to_others() {
    let site = Site::with(1, Limits { turn: Duration::from_millis(50), ..LIMITS });
    let mut answers = Vec::new();
    for _ in 0..DOWNLOADS_OF_ONE {
        answers.push(site.answer(ONE, export(codes(1), Format::Csv)).await.expect("there is a place"));
    }
    let refused = site.answer(ONE, export(codes(1), Format::Csv)).await;
    assert!(matches!(refused, Err(ExportError::Busy)), "{refused:?}");
    let turn = site.downloads.turn(OTHER).await.expect("others have places");
    let second = site.downloads.turn(OTHER).await;
    assert!(matches!(second, Err(ExportError::Busy)), "its first one is being made: {second:?}");
    answers.clear();
    drop(site.answer(ONE, export(codes(1), Format::Csv)).await.expect("there are places again"));
    drop(site.downloads.begin(turn, export(codes(1), Format::Csv)).await.expect("it was its turn"));
}

/// One credential has some of the disk space for files; its files leave space for others, and release it when they are read.
#[tokio::test]
async fn one_credential_leaves_room_to_others() {
    let site = Site::with(2_000, LIMITS);
    let (file, _) = read(site.answer(ONE, export(codes(1), Format::Csv)).await.expect("it is exported")).await;
    let bytes = file.len() as u64;
    let limits = Limits { files_bytes: 4 * bytes, files_bytes_of_one: 2 * bytes, ..LIMITS };
    let site = Site::with(2_000, limits);
    let mut held = Vec::new();
    for credential in [ONE, OTHER] {
        for _ in 0..2 {
            held.push(site.answer(credential, export(codes(1), Format::Csv)).await.expect("there is room"));
        }
        let refused = site.answer(credential, export(codes(1), Format::Csv)).await;
        assert!(matches!(refused, Err(ExportError::NoRoom)), "{refused:?}");
        assert_eq!(site.downloads.bytes_on_disk(), held.len() as u64 * bytes, "what is not made takes none");
    }
    let refused = site.answer(OTHER + 1, export(codes(1), Format::Csv)).await;
    assert!(matches!(refused, Err(ExportError::NoRoom)), "four in all: {refused:?}");
    assert!(read(held.remove(0)).await.1);
    site.until_there_are(3).await;
    held.push(site.answer(ONE, export(codes(1), Format::Csv)).await.expect("there is room again"));
    drop(held);
    site.until_there_are(0).await;
    assert_eq!(site.downloads.bytes_on_disk(), 0);
}

/// Every limit on building an export ends it before anything is sent, and leaves nothing behind.
#[tokio::test]
async fn the_making_of_an_export_has_limits() {
    let check = async |limits: Limits, wanted: Export, is_expected: fn(&ExportError) -> bool| {
        let site = Site::with(20_000, limits);
        assert!(log_bytes(&site.path()) > 0);
        let failed = site.answer(ONE, wanted).await.map(|_| ()).expect_err("it is limited");
        assert!(is_expected(&failed), "{failed:?}");
        site.until_there_are(0).await;
        assert_eq!(site.downloads.bytes_on_disk(), 0);
    };
    let csv = || export(codes(1), Format::Csv);
    check(Limits { build: Duration::ZERO, ..LIMITS }, csv(), |error| matches!(error, ExportError::TooLong(_))).await;
    check(Limits { log_bytes: 0, ..LIMITS }, csv(), |error| matches!(error, ExportError::LogFull)).await;
    check(Limits { files_bytes: 100_000, ..LIMITS }, csv(), |error| matches!(error, ExportError::NoRoom)).await;
    let sheet = Export { scratch_bytes_max: Some(1_000_000), ..export(codes(1), Format::Xlsx) };
    check(LIMITS, sheet, |error| matches!(error, ExportError::NoRoom)).await;
}
