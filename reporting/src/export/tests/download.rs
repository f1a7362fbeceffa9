//! Exports over HTTP, with readers that go on, stop, and go away.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use futures_util::StreamExt;
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::model::{AS_OF, Model, codes, export, view_of};
use crate::export::download::{AT_ONCE, CHUNK_BYTES, CHUNKS, Downloads, STALLED, answer};
use crate::export::{Export, ExportError, Format};
use crate::read_model::Readers;

const DEADLINE: Duration = Duration::from_secs(30);

/// Many more bytes than may wait for a reader.
const CODES: u32 = 40_000;

/// A read model in a file, and room for one export.
struct Site {
    folder: TempDir,
    room: Arc<Semaphore>,
}

impl Site {
    fn new() -> Site {
        let site = Site { folder: tempfile::tempdir().expect("a temporary folder"), room: Arc::new(Semaphore::new(1)) };
        let model = Model::on(Connection::open(site.path()).expect("a new file"));
        let texts: Vec<String> = (0..CODES).map(|n| format!("CODE{n}")).collect();
        model.put("BEGIN", &[]);
        model.campaign(1, "Winter", &texts.iter().map(String::as_str).collect::<Vec<_>>());
        model.activate(10, 1, CODES - 1);
        model.put("COMMIT", &[]);
        site
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("read-model.sqlite")
    }

    async fn answer(&self, export: Export, stalled: Duration) -> Result<Response, ExportError> {
        let (path, room) = (self.path(), Arc::clone(&self.room));
        let room = room.acquire_owned().await.expect("it is not closed");
        answer(export, room, stalled, move |read| {
            read(&view_of(&Connection::open(&path).expect("it is there")));
            Ok(())
        })
        .await
    }

    /// Waits until the export is no longer under way.
    async fn ended(&self) {
        drop(timeout(DEADLINE, self.room.acquire()).await.expect("the export ends"));
    }

    /// Loses the only activation: the last row of the list.
    fn lose_the_last(&self) {
        let connection = Connection::open(self.path()).expect("it is there");
        connection.execute("DELETE FROM activation", []).expect("it can be written");
    }
}

/// What comes of a body, and whether it came to its end.
async fn read(answer: Response) -> (Vec<u8>, bool) {
    let mut body = answer.into_body().into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = timeout(DEADLINE, body.next()).await.expect("the body goes on") {
        match chunk {
            Ok(chunk) => {
                assert!(chunk.len() <= CHUNK_BYTES);
                bytes.extend_from_slice(&chunk);
            }
            Err(_) => {
                assert!(body.next().await.is_none(), "nothing comes after an error");
                return (bytes, false);
            }
        }
    }
    (bytes, true)
}

/// T7, Z10: the answer is the file, with its type, its name and its position.
#[tokio::test]
async fn an_answer_is_the_whole_file() {
    let site = Site::new();
    for format in [Format::Csv, Format::Xlsx, Format::Parquet] {
        let wanted = export(codes(1), format);
        let answer = site.answer(wanted.clone(), STALLED).await.expect("it is exported");
        let header = |name: &str| answer.headers()[name].to_str().expect("it is text").to_owned();
        assert_eq!(header("content-type"), format.media_type());
        assert_eq!(header("content-disposition"), format!("attachment; filename=\"campaign-1-codes-p{AS_OF}.{format}\""));
        assert_eq!(header("scrip-position"), AS_OF.to_string());
        let (bytes, is_whole) = read(answer).await;
        let mut expected = Vec::new();
        let connection = Connection::open(site.path()).expect("it is there");
        wanted.run(&view_of(&connection), &mut expected, &mut |_, _| true).expect("it is exported");
        assert!(is_whole && bytes == expected, "{format}: {} bytes of {}", bytes.len(), expected.len());
        site.ended().await;
    }
}

/// Memory stays the same at any size: of a reader who takes nothing, no more is kept than the chunks that may wait. After a while the
/// export ends, so that its view of the read model does, and what the reader then gets is no whole file.
#[tokio::test]
async fn a_reader_that_stops_is_cut() {
    let site = Site::new();
    let answer = site.answer(export(codes(1), Format::Csv), Duration::from_millis(50)).await.expect("it is exported");
    site.ended().await;
    let (bytes, is_whole) = read(answer).await;
    assert!(!is_whole);
    assert_eq!(bytes.len(), CHUNKS * CHUNK_BYTES);
}

/// An export ends when its reader is gone, whether it waits for him or has not yet begun to write, as a spreadsheet.
#[tokio::test]
async fn a_reader_that_goes_away_ends_his_export() {
    let site = Site::new();
    for format in [Format::Csv, Format::Xlsx] {
        drop(site.answer(export(codes(1), format), STALLED).await.expect("it is exported"));
        site.ended().await;
    }
}

/// Pain 18: an export that fails in the middle is seen to be a part: the body ends with an error, and on the wire without the chunk that
/// says that it is whole.
#[tokio::test]
async fn an_export_that_fails_is_never_a_shorter_file() {
    let site = Arc::new(Site::new());
    let whole = exchange(Arc::clone(&site)).await;
    assert!(whole.starts_with(b"HTTP/1.1 200") && whole.ends_with(b"\r\n0\r\n\r\n"));
    site.lose_the_last();
    let (bytes, is_whole) = read(site.answer(export(codes(1), Format::Csv), STALLED).await.expect("it begins")).await;
    assert!(!is_whole && bytes.len() > CHUNKS * CHUNK_BYTES);
    let part = exchange(site).await;
    assert!(part.starts_with(b"HTTP/1.1 200") && !part.ends_with(b"\r\n0\r\n\r\n"));
}

/// What a client of HTTP gets, up to the end of the connection.
async fn exchange(site: Arc<Site>) -> Vec<u8> {
    let get = move || async move { site.answer(export(codes(1), Format::Csv), STALLED).await.expect("it begins") };
    let router = axum::Router::new().route("/", axum::routing::get(get));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let server = tokio::spawn(async { axum::serve(listener, router).await });
    let mut client = tokio::net::TcpStream::connect(address).await.expect("it listens");
    client.write_all(b"GET / HTTP/1.1\r\nhost: scrip\r\nconnection: close\r\n\r\n").await.expect("it reads");
    let mut bytes = Vec::new();
    // A connection that is cut may end with an error on this side as well.
    let _ = timeout(DEADLINE, client.read_to_end(&mut bytes)).await.expect("the connection ends");
    server.abort();
    bytes
}

/// What is wrong before the first row is the answer itself.
#[tokio::test]
async fn a_campaign_that_is_not_there_has_no_answer() {
    let site = Site::new();
    let failed = site.answer(export(codes(9), Format::Csv), STALLED).await;
    assert!(matches!(failed, Err(ExportError::NoCampaign(_))), "{failed:?}");
    site.ended().await;
}

/// No more than four at once: each holds a view of the read model.
#[tokio::test]
async fn more_exports_than_there_is_room_for_are_refused() {
    let downloads = Downloads::new(Arc::new(Readers::new("read-model.sqlite".as_ref())));
    let _all = downloads.room.acquire_many(AT_ONCE as u32).await.expect("it is not closed");
    let failed = downloads.begin(export(codes(1), Format::Csv)).await;
    assert!(matches!(failed, Err(ExportError::Busy(AT_ONCE))), "{failed:?}");
}
