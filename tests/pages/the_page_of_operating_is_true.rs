//! The page for operators, docs/operating.md, has the text of every refusal to start and of every stop (Z11).
//!
//! Each list below has every variant of an error: the function beside it does not compile when a variant is added until it gets a
//! number, and the test fails until the list has that number.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use scrip_client::{ConnectError, TailError};
use scrip_core::guard::GuardLimits;
use scrip_engine::backup::BackupError;
use scrip_engine::certificates::IssueError;
use scrip_engine::credentials::{InvalidCredential, WhyInvalid};
use scrip_engine::folder::{Config, Folder, FolderError};
use scrip_engine::pipeline::ClockError;
use scrip_engine::server::ServerError;
use scrip_engine::snapshot::SnapshotError;
use scrip_engine::{Damage, EngineError};
use scrip_journal::JournalError;
use scrip_protocol::batch::BatchError;
use scrip_protocol::codes::{RecordedForm, UnknownForm};
use scrip_protocol::frame::Malformed;
use scrip_protocol::private::SecretError;
use scrip_protocol::{CredentialId, Kind, Position, Refusal, Role, Settings, UtcTime};
use scrip_reporting::attempts::{Attempts, AttemptsError};
use scrip_reporting::follow::FollowError;
use scrip_reporting::read_model::ReadModelError;
use scrip_reporting::sidecar::SidecarError;
use scrip_reporting::store::{Store, read_model_path};

use crate::support::{run, scrip};

const PAGE: &str = include_str!("../../docs/operating.md");

/// Placeholders for paths and causes in the errors made here, and for numbers.
const ANY: &str = "<>";
const NUMBER: u64 = 7_777_777;
const P: Position = Position(NUMBER);

fn path() -> PathBuf {
    ANY.into()
}

fn any() -> String {
    ANY.to_owned()
}

fn refused() -> io::Error {
    io::Error::other(ANY)
}

fn unknown_form() -> UnknownForm {
    UnknownForm(RecordedForm { form: 3, unicode: [17, 0, 0] })
}

/// The mode in its text is a number.
fn exposed() -> SecretError {
    SecretError::Exposed { path: path(), mode: u32::from_str_radix(&NUMBER.to_string(), 8).expect("its digits are octal") }
}

/// The rows of the page's tables, each on its own, and its paragraphs.
fn places() -> Vec<String> {
    let rows = PAGE.lines().filter(|line| line.starts_with('|')).map(str::to_owned);
    let paragraphs = PAGE.split("\n\n").filter(|text| !text.starts_with('|')).map(str::to_owned);
    let plain = |text: String| text.replace('`', "").split_whitespace().collect::<Vec<_>>().join(" ");
    rows.chain(paragraphs).map(plain).collect()
}

/// Checks that one row or paragraph of the page has all the constant words of an error.
#[track_caller]
fn is_on_page(error: &impl ToString) {
    let cause = BatchError::Changed.to_string();
    let words = error.to_string().replace(&cause, ANY).replace(&NUMBER.to_string(), ANY).replace('`', "");
    let fixed: Vec<&str> =
        words.split(ANY).map(|part| part.trim_matches([' ', ':', '"', '['])).filter(|part| part.len() > 3).collect();
    let found = places().iter().any(|place| fixed.iter().all(|part| place.contains(part)));
    assert!(found, "docs/operating.md lacks this: {words}");
}

/// Checks each error, and that all numbers from 0 on occur.
#[track_caller]
fn all_are_on_page<E: ToString>(errors: &[E], number: impl Fn(&E) -> usize) {
    for (at, error) in errors.iter().enumerate() {
        assert_eq!(number(error), at, "{}", error.to_string());
        is_on_page(error);
    }
}

/// Z11: the text of every error of the journal is on the page.
#[test]
fn every_refusal_of_the_journal_is_on_the_page() {
    let (dir, cause) = (path, || BatchError::Changed);
    let errors = [
        JournalError::Locked { dir: dir() },
        JournalError::Io { path: path(), source: refused() },
        JournalError::Unreadable { path: path(), cause: any() },
        JournalError::NotThatSegment { path: path(), why: ANY },
        JournalError::TornEnd { path: path(), position: P, cause: cause() },
        JournalError::Damaged { path: path(), position: P, cause: cause() },
        JournalError::Gap { path: path(), expected: P, found: P },
        JournalError::BrokenChain { path: path(), position: P },
        JournalError::MissingSegment { dir: dir(), expected: P },
        JournalError::OtherHistory { path: path(), position: P },
        JournalError::EndsBefore { dir: dir(), end: P, from: P },
        JournalError::Dropped { dir: dir(), position: P, first: P },
        JournalError::AlreadyThere { dir: dir() },
        JournalError::NotNext { dir: dir(), position: P, cause: cause() },
        JournalError::Unsealed { path: path() },
        JournalError::SealBroken { path: path(), sealed: P, found: P },
        JournalError::Write { path: path(), cause: any() },
        JournalError::Missing { position: P },
        JournalError::Discontinuous { position: P, cause: cause() },
    ];
    all_are_on_page(&errors, |error| match error {
        JournalError::Locked { .. } => 0,
        JournalError::Io { .. } => 1,
        JournalError::Unreadable { .. } => 2,
        JournalError::NotThatSegment { .. } => 3,
        JournalError::TornEnd { .. } => 4,
        JournalError::Damaged { .. } => 5,
        JournalError::Gap { .. } => 6,
        JournalError::BrokenChain { .. } => 7,
        JournalError::MissingSegment { .. } => 8,
        JournalError::OtherHistory { .. } => 9,
        JournalError::EndsBefore { .. } => 10,
        JournalError::Dropped { .. } => 11,
        JournalError::AlreadyThere { .. } => 12,
        JournalError::NotNext { .. } => 13,
        JournalError::Unsealed { .. } => 14,
        JournalError::SealBroken { .. } => 15,
        JournalError::Write { .. } => 16,
        JournalError::Missing { .. } => 17,
        JournalError::Discontinuous { .. } => 18,
    });
}

/// Z11: and the text of every error of a snapshot.
#[test]
fn every_refusal_of_a_snapshot_is_on_the_page() {
    let errors = [
        SnapshotError::Io { path: path(), source: refused() },
        SnapshotError::Header { path: path(), what: ANY },
        SnapshotError::Version { path: path(), version: NUMBER as u32 },
        SnapshotError::Damaged { path: path(), section: ANY, offset: NUMBER, end: NUMBER },
        SnapshotError::Inconsistent { path: path(), what: ANY },
        SnapshotError::Misnamed { path: path(), found: P },
        SnapshotError::TooMany { path: path(), what: ANY },
        SnapshotError::NoRoom { dir: path(), bytes: NUMBER, free: NUMBER, reserve: NUMBER },
        SnapshotError::Unreadable { path: path(), offset: NUMBER, source: refused() },
    ];
    all_are_on_page(&errors, |error| match error {
        SnapshotError::Io { .. } => 0,
        SnapshotError::Header { .. } => 1,
        SnapshotError::Version { .. } => 2,
        SnapshotError::Damaged { .. } => 3,
        SnapshotError::Inconsistent { .. } => 4,
        SnapshotError::Misnamed { .. } => 5,
        SnapshotError::TooMany { .. } => 6,
        SnapshotError::NoRoom { .. } => 7,
        SnapshotError::Unreadable { .. } => 8,
    });
}

/// Z11: and those of an engine, its folder and its server, at a start or while it runs.
#[test]
fn every_refusal_and_stop_of_an_engine_is_on_the_page() {
    let journal = || JournalError::Locked { dir: path() };
    let errors = [
        EngineError::Folder(FolderError::Missing(path())),
        EngineError::Recovery(journal()),
        EngineError::Snapshot(SnapshotError::Misnamed { path: path(), found: P }),
        EngineError::Damaged(Arc::new(Damage::Journal(journal()))),
        EngineError::Journal(Arc::new(journal())),
        EngineError::Server(ServerError::Certificate { path: path(), cause: any() }),
        EngineError::Clock(ClockError::NeverSet { wall_ms: 0 }),
        EngineError::CodeForm(RecordedForm { form: 3, unicode: [17, 0, 0] }),
    ];
    all_are_on_page(&errors, |error| match error {
        EngineError::Folder(_) => 0,
        EngineError::Recovery(_) => 1,
        EngineError::Snapshot(_) => 2,
        EngineError::Damaged(_) => 3,
        EngineError::Journal(_) => 4,
        EngineError::Server(_) => 5,
        EngineError::Clock(_) => 6,
        EngineError::CodeForm(_) => 7,
    });
    let (never, newest_ms) = (UtcTime(0).to_string(), 0);
    for error in [
        ClockError::NeverSet { wall_ms: 0 },
        ClockError::Behind { wall_ms: 0, newest_ms },
        ClockError::Ahead { wall_ms: 0, newest_ms },
        ClockError::BehindAccepted { wall_ms: 0, followed_ms: 0 },
        ClockError::AheadAccepted { wall_ms: 0, followed_ms: 0 },
    ] {
        is_on_page(&error.to_string().replace(&never, ANY));
    }

    let invalid = InvalidCredential { credential: CredentialId(NUMBER as u32), name: any(), why: WhyInvalid::NumberTwice };
    let dir = tempfile::tempdir().expect("a folder");
    let config = Config::new(([127, 0, 0, 1], 0).into(), Settings::default(), GuardLimits::OFF);
    let no_name = Folder::at(dir.path().join("data")).init(&config, &["é".to_owned()]);
    let errors = [
        FolderError::Io { path: path(), source: refused() },
        FolderError::Exists(path()),
        FolderError::Missing(path()),
        FolderError::Config { path: path(), cause: any() },
        FolderError::Credential { path: path(), source: invalid },
        FolderError::AuthorityKey { path: path(), source: IssueError::OtherAuthority(any()) },
        no_name.err().expect("no certificate has that name"),
        FolderError::Secret(exposed()),
    ];
    for (at, error) in errors.iter().enumerate() {
        let number = match error {
            FolderError::Io { .. } => 0,
            FolderError::Exists(_) => 1,
            FolderError::Missing(_) => 2,
            FolderError::Config { .. } => 3,
            FolderError::Credential { .. } => 4,
            FolderError::AuthorityKey { .. } => 5,
            FolderError::Certificate { .. } => 6,
            FolderError::Secret(_) => 7,
        };
        assert_eq!(number, at, "{error}");
        match error {
            // Its text is that of the reasons, which the file's own errors have.
            FolderError::Credential { .. } => is_on_page(&format!("{ANY}: credential {ANY} ({ANY}): {ANY}")),
            FolderError::Certificate { .. } => is_on_page(&format!("a certificate for {ANY} could not be made: {ANY}")),
            FolderError::Io { .. }
            | FolderError::Exists(_)
            | FolderError::Missing(_)
            | FolderError::Config { .. }
            | FolderError::Secret(_)
            | FolderError::AuthorityKey { .. } => is_on_page(error),
        }
    }
    let errors = [
        ServerError::Folder(FolderError::Missing(path())),
        ServerError::Certificate { path: path(), cause: any() },
        ServerError::Listen { address: ([0, 0, 0, 0], 1).into(), source: refused() },
        ServerError::Key(exposed()),
    ];
    for (at, error) in errors.iter().enumerate() {
        let number = match error {
            ServerError::Folder(_) => 0,
            ServerError::Certificate { .. } => 1,
            ServerError::Listen { .. } => 2,
            ServerError::Key(_) => 3,
        };
        assert_eq!(number, at, "{error}");
        is_on_page(&error.to_string().replace("0.0.0.0:1", ANY));
    }
}

/// Z11: and those of a backup and a restore.
#[test]
fn every_refusal_of_a_backup_is_on_the_page() {
    let dir = path;
    let errors = [
        BackupError::Journal(JournalError::Locked { dir: dir() }),
        BackupError::Snapshot(SnapshotError::Misnamed { path: path(), found: P }),
        BackupError::Folder(FolderError::Missing(dir())),
        BackupError::Io { path: path(), source: refused() },
        BackupError::Manifest { path: path(), cause: any() },
        BackupError::NoBackup { dir: dir() },
        BackupError::Batch { after: P, cause: BatchError::Changed },
        BackupError::OtherHistory { dir: dir(), position: P },
        BackupError::Shorter { dir: dir(), backup: P, journal: P },
        BackupError::Incomplete { dir: dir(), stated: P, found: P },
        BackupError::NoSnapshot { first: P },
        BackupError::NotKept { dir: dir(), backup: P, first: P },
        BackupError::Before { dir: dir(), first: P, first_ms: NUMBER },
        BackupError::Beyond { dir: dir(), last: P, position: P },
        BackupError::NotEmpty { dir: dir() },
        BackupError::Missing { path: path() },
    ];
    all_are_on_page(&errors, |error| match error {
        BackupError::Journal(_) => 0,
        BackupError::Snapshot(_) => 1,
        BackupError::Folder(_) => 2,
        BackupError::Io { .. } => 3,
        BackupError::Manifest { .. } => 4,
        BackupError::NoBackup { .. } => 5,
        BackupError::Batch { .. } => 6,
        BackupError::OtherHistory { .. } => 7,
        BackupError::Shorter { .. } => 8,
        BackupError::Incomplete { .. } => 9,
        BackupError::NoSnapshot { .. } => 10,
        BackupError::NotKept { .. } => 11,
        BackupError::Before { .. } => 12,
        BackupError::Beyond { .. } => 13,
        BackupError::NotEmpty { .. } => 14,
        BackupError::Missing { .. } => 15,
    });
}

/// Z9: what a role may do is on the page, request by request.
#[test]
fn the_requests_of_each_role_are_on_the_page() {
    for role in [Role::Gateway, Role::Marketing, Role::Cashier, Role::Reporter] {
        let permitted = Kind::ALL.iter().filter(|kind| kind.permits(role)).map(|kind| format!("`{}`", kind.word()));
        let row = format!("| {role} | {} |", permitted.collect::<Vec<_>>().join(", "));
        assert!(PAGE.contains(&row), "{row}");
    }
}

/// Events that are only logged are on the page as well, and so is every file of a data folder.
#[test]
fn log_messages_and_files_are_on_the_page() {
    for words in [
        "no snapshot was taken; the engine runs on, and tries again when the journal has grown",
        "no snapshot was written; the next start replays the journal",
        "this machine's clock was set back",
        "this machine's clock was set forward, or the machine slept; the engine follows it",
        "this machine's clock is behind the newest record; the time of records runs at half speed until the clock has caught up",
        "this machine's clock is over 31 days ahead of the engine's time and is not followed; requests by that clock are refused",
    ] {
        is_on_page(&words);
        let sources = [
            include_str!("../../engine/src/engine.rs"),
            include_str!("../../engine/src/keeper/mod.rs"),
            include_str!("../../engine/src/pipeline/clock.rs"),
        ];
        assert!(sources.iter().any(|source| source.contains(words)), "this is logged: {words}");
    }
    let folder = Folder::at("");
    let paths = [folder.config_path(), folder.ca_path(), folder.certificate_path(), folder.key_path(), folder.ca_key_path()];
    let dirs = [folder.journal_path(), folder.snapshots_path()];
    for name in paths.iter().chain(&dirs).map(|path| path.display().to_string()) {
        assert!(PAGE.contains(&format!("`{name}")), "{name}");
    }
}

/// An error with its causes, as it is printed.
fn whole(error: &dyn std::error::Error) -> String {
    let sqlite = rusqlite::Error::InvalidQuery.to_string();
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        if !words.ends_with(&next.to_string()) {
            words = format!("{words}: {next}");
        }
        cause = next.source();
    }
    words.replace(&sqlite, ANY)
}

/// Checks each error with its causes, and that all numbers from 0 on occur.
#[track_caller]
fn all_are_on_page_with_causes<E: std::error::Error>(errors: &[E], number: impl Fn(&E) -> usize) {
    for (at, error) in errors.iter().enumerate() {
        assert_eq!(number(error), at, "{error}");
        is_on_page(&whole(error));
    }
}

/// Z11: the text of every reason for a sidecar not to start or to stop is on the page.
#[test]
fn every_refusal_of_a_sidecar_is_on_the_page() {
    let sqlite = || rusqlite::Error::InvalidQuery;
    let cause = || BatchError::Changed;
    let errors = [
        ReadModelError::Sqlite { path: path(), source: sqlite() },
        ReadModelError::File { path: path(), source: refused() },
        ReadModelError::InUse { path: path() },
        ReadModelError::OtherVersion { path: path(), found: NUMBER as i64 },
        ReadModelError::Batch { after: P, cause: cause() },
        ReadModelError::CodeForm { position: P, source: unknown_form() },
    ];
    all_are_on_page_with_causes(&errors, |error| match error {
        ReadModelError::Sqlite { .. } => 0,
        ReadModelError::File { .. } => 1,
        ReadModelError::InUse { .. } => 2,
        ReadModelError::OtherVersion { .. } => 3,
        ReadModelError::Batch { .. } => 4,
        ReadModelError::CodeForm { .. } => 5,
    });
    is_on_page(&TailError::Refused(Refusal::Busy { retry_after_ms: NUMBER as u32 }));
    let errors = [
        TailError::BeyondEnd { next: P },
        TailError::Dropped { first: P },
        TailError::Unreadable,
        TailError::Malformed(Malformed::UnknownKind(0)),
        TailError::Forked { after: P, cause: cause() },
        TailError::Batch { after: P, cause: cause() },
        TailError::Refused(Refusal::Revoked),
        // Its text is covered for every command.
        TailError::Connect(ConnectError::Protocol),
    ];
    for (at, error) in errors.iter().enumerate() {
        let number = match error {
            TailError::BeyondEnd { .. } => 0,
            TailError::Dropped { .. } => 1,
            TailError::Unreadable => 2,
            TailError::Malformed(_) => 3,
            TailError::Forked { .. } => 4,
            TailError::Batch { .. } => 5,
            TailError::Refused(_) => 6,
            TailError::Connect(_) => 7,
        };
        assert_eq!(number, at, "{error}");
        match error {
            TailError::Malformed(why) => is_on_page(&error.to_string().replace(&why.to_string(), ANY)),
            TailError::Refused(why) => is_on_page(&error.to_string().replace(&why.to_string(), ANY)),
            TailError::Connect(_) => {}
            TailError::BeyondEnd { .. }
            | TailError::Dropped { .. }
            | TailError::Unreadable
            | TailError::Forked { .. }
            | TailError::Batch { .. } => is_on_page(error),
        }
    }
    let in_use = || ReadModelError::InUse { path: path() };
    let errors = [
        FollowError::ReadModel(in_use()),
        FollowError::Tail(TailError::Dropped { first: P }),
        FollowError::Behind { journal: P, applied: P },
        FollowError::CodeForm(unknown_form()),
    ];
    all_are_on_page_with_causes(&errors, |error| match error {
        FollowError::ReadModel(_) => 0,
        FollowError::Tail(_) => 1,
        FollowError::Behind { .. } => 2,
        FollowError::CodeForm(_) => 3,
    });
    for gone in [TailError::Forked { after: P, cause: cause() }, TailError::Batch { after: P, cause: cause() }] {
        is_on_page(&whole(&FollowError::Tail(gone)));
    }
    let errors = [
        AttemptsError::Sqlite { path: path(), source: sqlite() },
        AttemptsError::OtherVersion { path: path(), found: NUMBER as i64 },
    ];
    all_are_on_page_with_causes(&errors, |error| match error {
        AttemptsError::Sqlite { .. } => 0,
        AttemptsError::OtherVersion { .. } => 1,
    });
    let errors = [
        SidecarError::ReadModel(ReadModelError::Batch { after: P, cause: cause() }),
        SidecarError::Follow(FollowError::Behind { journal: P, applied: P }),
        SidecarError::Build(TailError::Connect(ConnectError::Protocol)),
        SidecarError::Attempts(AttemptsError::Sqlite { path: path(), source: sqlite() }),
        SidecarError::Listen { address: ([0, 0, 0, 0], 1).into(), source: refused() },
    ];
    let connecting = whole(&ConnectError::Protocol);
    for (at, error) in errors.iter().enumerate() {
        let number = match error {
            SidecarError::ReadModel(_) => 0,
            SidecarError::Follow(_) => 1,
            SidecarError::Build(_) => 2,
            SidecarError::Attempts(_) => 3,
            SidecarError::Listen { .. } => 4,
        };
        assert_eq!(number, at, "{error}");
        is_on_page(&whole(error).replace("0.0.0.0:1", ANY).replace(&connecting, ANY));
    }
    is_on_page(&"the tail has ended; connecting again");
    assert!(include_str!("../../reporting/src/follow.rs").contains("the tail has ended; connecting again"));
}

/// Z11: a failed start of a sidecar has the exit code on the page, and changes nothing.
#[test]
fn a_sidecar_that_does_not_start_reports_why() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    run(scrip().arg("init").arg(&data), b"").exits(0);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let taken = taken.local_addr().expect("it is listening").to_string();
    let refused = |store: &str, listen: &str| {
        let mut sidecar = scrip();
        sidecar.args(["sidecar", "--listen", listen, "--data"]).arg(&data).arg("--store").arg(dir.path().join(store));
        run(sidecar.env("SCRIP_TOKEN", "nobody's"), b"").exits(6).err
    };
    assert!(refused("a", &taken).contains(&format!("listening on {taken} (TCP)")), "the address is taken");

    let held = Store::open(&dir.path().join("b")).expect("nobody holds it");
    assert!(refused("b", "127.0.0.1:0").contains("is in use by another process"));
    drop(held);

    let store = dir.path().join("c");
    fs::create_dir(&store).expect("folders can be created");
    fs::write(read_model_path(&store), "no database, and long enough for SQLite to see that".repeat(20)).expect("it is writable");
    assert!(refused("c", "127.0.0.1:0").contains("the read model"));

    let held = Store::open(&dir.path().join("d")).expect("nobody holds it");
    drop(Attempts::open(&held.attempts()).expect("it is new"));
    let sqlite = rusqlite::Connection::open(held.attempts()).expect("it exists");
    sqlite.pragma_update(None, "user_version", 2).expect("it is writable");
    drop((sqlite, held));
    assert!(refused("d", "127.0.0.1:0").contains("the file has version 2, and this program uses version 1"));
}

/// Every file of a sidecar's folder is on the page.
#[test]
fn the_sidecars_folder_is_on_the_page() {
    let source = include_str!("../../reporting/src/store.rs");
    let names = source.lines().filter(|line| line.starts_with("const ")).filter_map(|line| line.split('"').nth(1));
    let names: Vec<&str> = names.collect();
    assert_eq!(names, ["read-model.sqlite", "read-model.sqlite.new", "attempts.sqlite", "lock"]);
    for name in names {
        assert!(PAGE.contains(&format!("`reporting/{name}`")), "{name}");
    }
}
