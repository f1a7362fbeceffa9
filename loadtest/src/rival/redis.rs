//! Redis as a rival: a Lua script for each request, and an append-only file that is flushed before the answers are sent.
//!
//! Redis reads up to 16 KiB from a connection, runs it, flushes once, and answers: requests that wait together share a flush.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::time::Instant;

use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::encode::encode_borrowed;
use redis_protocol::resp2::types::{BorrowedFrame, OwnedFrame, Resp2Frame};
use scrip_protocol::RequestId;
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::books::{Books, Row};
use super::error::RivalError;
use super::offer::{Answered, Answers, Offer, Terms, gather};
use super::process::{Folders, Server, find, server_command, usual_folders};
use crate::plan::Planned;

const PROGRAM: &str = "redis-server";
const SCRIPT: &str = include_str!("redeem.lua");

/// Its settings: every write is flushed before it is answered. Its file is not rewritten, which would disturb the run.
pub(super) const SETTINGS: &[&str] =
    &["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--auto-aof-rewrite-percentage", "0"];

/// How many codes an import sends in one command.
const CODES_PER_COMMAND: usize = 1_000;

/// How many fields a scan requests at once.
const FIELDS_PER_SCAN: &[u8] = b"2000";

/// How many commands are written at once at most.
const WRITTEN_AT_ONCE: usize = 512;

/// A running Redis.
pub struct Redis {
    // Stopped before its folders are removed.
    _server: Server,
    folders: Folders,
    control: Connection,
    script: Vec<u8>,
    version: String,
}

impl Redis {
    pub(super) async fn start(dir: &Path, programs: Option<&Path>, terms: Terms) -> Result<Redis, RivalError> {
        let looked = programs.map_or_else(usual_folders, |folder| vec![folder.to_owned()]);
        let program = find(PROGRAM, "redis-server", &looked)?;
        let folders = Folders::make(dir)?;
        let mut command = server_command(&program, folders.data(), None);
        command.args(SETTINGS).args(["--port", "0", "--daemonize", "no"]);
        command.arg("--dir").arg(folders.data()).arg("--unixsocket").arg(socket(&folders));
        let mut server = Server::start(PROGRAM, command, folders.data(), None)?;
        let mut control = server
            .ready(async || {
                let mut connection = Connection::open(&folders).await?;
                connection.call(&[b"PING"]).await.map(|_| connection)
            })
            .await?;
        let (cap, amount) = (terms.cap.to_string(), terms.amount.to_string());
        control.call(&[b"HSET", b"terms", b"cap", cap.as_bytes(), b"amount", amount.as_bytes()]).await?;
        let script = bytes_of(control.call(&[b"SCRIPT", b"LOAD", SCRIPT.as_bytes()]).await?)?;
        let info = bytes_of(control.call(&[b"INFO", b"server"]).await?)?;
        let info = String::from_utf8_lossy(&info).into_owned();
        let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or("unknown");
        Ok(Redis { _server: server, folders, control, script, version: format!("Redis {version}") })
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    pub(super) async fn import(&mut self, codes: &[String]) -> Result<(), RivalError> {
        for codes in codes.chunks(CODES_PER_COMMAND) {
            let mut command: Vec<&[u8]> = vec![b"HSET", b"codes"];
            command.extend(codes.iter().flat_map(|code| [code.as_bytes(), b"0"]));
            self.control.call(&command).await?;
        }
        Ok(())
    }

    pub(super) async fn run(&self, offer: Offer, lists: Vec<Vec<Planned>>) -> Result<Answers, RivalError> {
        let mut ready = Vec::new();
        for list in lists {
            ready.push((Connection::open(&self.folders).await?, Written::of(&list, &self.script)));
        }
        let started = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for (connection, list) in ready {
            tasks.spawn(connection.pump(list, offer.window, started + offer.time_max));
        }
        gather(tasks, started).await
    }

    pub(super) async fn books(&mut self) -> Result<Books, RivalError> {
        let mut books = Books::default();
        self.scan(b"redemptions", |request, row| {
            let request = <[u8; 16]>::try_from(request).ok()?;
            let mut fields = std::str::from_utf8(row).ok()?.splitn(5, ' ');
            let mut number = || fields.next()?.parse::<i64>().ok();
            let (answer, amount, client, _club) = (number()?, number()?, number()?, number()?);
            let row = Row { code: fields.next()?.to_owned(), client, amount, answer };
            books.row(RequestId(u128::from_be_bytes(request)), row);
            Some(())
        })
        .await?;
        self.scan(b"balances", |client, balance| {
            books.balance(number_of(client)?, number_of(balance)?);
            Some(())
        })
        .await?;
        self.scan(b"codes", |code, uses| {
            books.uses(std::str::from_utf8(code).ok()?.to_owned(), number_of(uses)?);
            Some(())
        })
        .await?;
        Ok(books)
    }

    /// Reads every field of a hash, some possibly more than once.
    async fn scan(&mut self, key: &[u8], mut field: impl FnMut(&[u8], &[u8]) -> Option<()>) -> Result<(), RivalError> {
        let mut cursor = b"0".to_vec();
        loop {
            let reply = self.control.call(&[b"HSCAN", key, &cursor, b"COUNT", FIELDS_PER_SCAN]).await?;
            let OwnedFrame::Array(reply) = reply else { return Err(unexpected(&reply)) };
            let [next, OwnedFrame::Array(fields)] = reply.as_slice() else {
                return Err(unexpected(&OwnedFrame::Array(reply)));
            };
            for pair in fields.chunks(2) {
                let read = match pair {
                    [OwnedFrame::BulkString(name), OwnedFrame::BulkString(value)] => field(name, value),
                    _ => None,
                };
                read.ok_or_else(|| RivalError::Reply(format!("{pair:?} in {}", String::from_utf8_lossy(key))))?;
            }
            cursor = bytes_of(next.clone())?;
            if cursor == b"0" {
                return Ok(());
            }
        }
    }
}

fn number_of<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn socket(folders: &Folders) -> std::path::PathBuf {
    folders.sockets().join("redis")
}

/// Appends a command.
fn push(command: &[&[u8]], out: &mut Vec<u8>) {
    let parts: Vec<_> = command.iter().map(|part| BorrowedFrame::BulkString(part)).collect();
    let frame = BorrowedFrame::Array(&parts);
    let begin = out.len();
    out.resize(begin + frame.encode_len(false), 0);
    encode_borrowed(&mut out[begin..], &frame, false).expect("there is room for as many bytes as the frame reports");
}

fn bytes_of(reply: OwnedFrame) -> Result<Vec<u8>, RivalError> {
    match reply {
        OwnedFrame::BulkString(bytes) => Ok(bytes),
        OwnedFrame::SimpleString(_) | OwnedFrame::Error(_) | OwnedFrame::Integer(_) | OwnedFrame::Array(_) | OwnedFrame::Null => {
            Err(unexpected(&reply))
        }
    }
}

fn unexpected(reply: &OwnedFrame) -> RivalError {
    RivalError::Reply(reply.as_str().map_or_else(|| format!("{reply:?}"), str::to_owned))
}

/// A list of requests as commands, encoded before the clock starts, as an engine's are.
struct Written {
    ids: Vec<RequestId>,
    commands: Vec<u8>,
    ends: Vec<usize>,
}

impl Written {
    fn of(list: &[Planned], script: &[u8]) -> Written {
        let mut written = Written { ids: Vec::new(), commands: Vec::new(), ends: vec![0] };
        for Planned { request, redeem } in list {
            let (client, club) = (redeem.client.0.to_string(), redeem.club.0.to_string());
            let id = request.0.to_be_bytes();
            let command: [&[u8]; 7] = [b"EVALSHA", script, b"0", &id, redeem.code.as_bytes(), client.as_bytes(), club.as_bytes()];
            push(&command, &mut written.commands);
            written.ids.push(*request);
            written.ends.push(written.commands.len());
        }
        written
    }
}

struct Connection {
    stream: UnixStream,
    received: Vec<u8>,
    /// How much of what was received has been read.
    read: usize,
}

impl Connection {
    async fn open(folders: &Folders) -> Result<Connection, RivalError> {
        let stream = UnixStream::connect(socket(folders)).await?;
        Ok(Connection { stream, received: Vec::new(), read: 0 })
    }

    /// Sends a command and waits for its reply.
    async fn call(&mut self, command: &[&[u8]]) -> Result<OwnedFrame, RivalError> {
        let mut bytes = Vec::new();
        push(command, &mut bytes);
        let mut written = 0;
        while written < bytes.len() {
            self.stream.writable().await?;
            written += unless_blocked(self.stream.try_write(&bytes[written..]))?;
        }
        loop {
            if let Some(reply) = self.reply()? {
                return Ok(reply);
            }
            self.stream.readable().await?;
            self.receive()?;
        }
    }

    /// Receives whatever is available.
    fn receive(&mut self) -> Result<(), RivalError> {
        self.received.drain(..self.read);
        self.read = 0;
        self.received.reserve(64 << 10);
        match self.stream.try_read_buf(&mut self.received) {
            Ok(0) => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The next reply if it is complete. An error reply is a reply.
    fn reply(&mut self) -> Result<Option<OwnedFrame>, RivalError> {
        let Some((reply, bytes)) = decode(&self.received[self.read..])? else { return Ok(None) };
        self.read += bytes;
        match reply {
            OwnedFrame::Error(_) => Err(unexpected(&reply)),
            OwnedFrame::SimpleString(_)
            | OwnedFrame::Integer(_)
            | OwnedFrame::BulkString(_)
            | OwnedFrame::Array(_)
            | OwnedFrame::Null => Ok(Some(reply)),
        }
    }

    /// Sends a list with at most `window` requests in flight, and none after `until`. Replies arrive in order.
    async fn pump(mut self, list: Written, window: usize, until: Instant) -> Result<Answered, RivalError> {
        let mut answered = Answered::none();
        answered.answers.reserve(list.ids.len());
        let mut sent_at: VecDeque<Instant> = VecDeque::with_capacity(window);
        let mut sent = 0;
        // How many bytes of the commands up to `sent` have been passed to the socket.
        let mut written = 0;
        loop {
            let room = window - sent_at.len();
            if written == list.ends[sent] && room > 0 && sent < list.ids.len() {
                let now = Instant::now();
                if now < until {
                    let more = room.min(WRITTEN_AT_ONCE).min(list.ids.len() - sent);
                    sent += more;
                    sent_at.extend(std::iter::repeat_n(now, more));
                }
            }
            if sent_at.is_empty() {
                return Ok(answered);
            }
            let waiting = &list.commands[written..list.ends[sent]];
            let interest = if waiting.is_empty() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
            let ready = self.stream.ready(interest).await?;
            if ready.is_writable() && !waiting.is_empty() {
                written += unless_blocked(self.stream.try_write(waiting))?;
            }
            if ready.is_readable() {
                self.receive()?;
                let now = Instant::now();
                while let Some(reply) = self.reply()? {
                    let (OwnedFrame::Integer(answer), Some(at)) = (&reply, sent_at.pop_front()) else {
                        return Err(unexpected(&reply));
                    };
                    let request = list.ids[answered.answers.len()];
                    answered.note(request, *answer, now.saturating_duration_since(at));
                }
            }
        }
    }
}

/// How many bytes were written; 0 if there was no room.
fn unless_blocked(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        written => written,
    }
}
