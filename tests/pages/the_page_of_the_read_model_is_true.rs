//! The page for people who query the read model with their own tools, docs/read-model.md, names every table, view and column, and
//! no other; its queries return, on a small journal, what it shows; and no query reads a whole table unless the page says so.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use scrip_protocol::batch::{BatchBuilder, ChainEnd};
use scrip_protocol::command::{
    Activation, ActivationRefunded, BonusChanged, BonusOperation, CampaignCreated, CampaignUpdated, ClientRegistered,
    ClubRegistered, CodeHeld, CodesArchived, CredentialAdded, Grant, HoldConfirmed, PaidFor, RedeemOutcome, RedemptionRefused,
    Refunded, Secret, Terms, ToppedUp,
};
use scrip_protocol::ledger::ExecutorKind;
use scrip_protocol::record::SettingsSet;
use scrip_protocol::{
    CampaignId, ClientId, ClubId, CredentialId, Executor, Money, Position, Record, RequestId, Role, Settings, Stamp, TopUpSource,
    Variables,
};
use scrip_reporting::read_model::{ReadModel, SCHEMA, VERSION};

const PAGE: &str = include_str!("../../docs/read-model.md");

/// 2026-11-20T08:00:00Z.
const BEGAN_MS: u64 = 1_795_161_600_000;
const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

/// A client whose id is not a number in SQLite.
const UUID_CLIENT: &str = "0190b6a0-7c1e-7d43-9a52-3f8d2f0b6c22";

/// The journal that the page's results are of.
#[derive(Default)]
struct Journal {
    chain: ChainEnd,
    stamps: u64,
    batches: Vec<Vec<u8>>,
}

impl Journal {
    /// Appends a batch, written this many minutes after the first.
    fn batch(&mut self, minutes: u64, records: &[Record]) -> Position {
        let mut batch = BatchBuilder::new(BEGAN_MS + minutes * MINUTE_MS);
        records.iter().for_each(|record| batch.push(record));
        self.batches.push(batch.seal(&mut self.chain));
        self.chain.position
    }

    fn stamp(&mut self, credential: u32) -> Stamp {
        self.stamps += 1;
        let request = RequestId(RequestId::from_parts(BEGAN_MS, [0; 10]).0 + u128::from(self.stamps));
        Stamp { request, body: self.stamps, credential: CredentialId(credential) }
    }

    fn activation(&mut self, client: ClientId, club: u32, slot: u32, amount: i64, balance: i64) -> Activation {
        Activation {
            stamp: self.stamp(4),
            client,
            club: ClubId(club),
            campaign: CampaignId(1),
            slot,
            amount: Money(amount),
            balance: Money(balance),
            top_up: Position(0),
        }
    }

    fn refused(&mut self, client: ClientId, code: &str, outcome: RedeemOutcome) -> Record {
        RedemptionRefused { stamp: self.stamp(4), client, club: ClubId(1), code: code.into(), outcome }.into()
    }
}

fn sample() -> Vec<Vec<u8>> {
    let mut journal = Journal::default();
    let (ann, other): (ClientId, ClientId) = (ClientId(7), UUID_CLIENT.parse().expect("a client's id"));
    let settings = Settings { organisation: "Arena".into(), currency: "EUR".into(), ..Settings::default() };
    let mut records: Vec<Record> = vec![SettingsSet::new(settings).into()];
    let roles = [("office", Role::Operator), ("campaigns", Role::Marketing), ("till", Role::Cashier), ("app", Role::Gateway)];
    for ((name, role), number) in roles.into_iter().zip(1..) {
        let secret = Secret::Token([number as u8; 32]);
        let grant = Grant { name: name.into(), role, clubs: Vec::new(), reasons: true, secret };
        records.push(CredentialAdded { stamp: None, credential: CredentialId(number), grant }.into());
    }
    for (name, number) in ["North", "South"].into_iter().zip(1..) {
        records.push(ClubRegistered { stamp: journal.stamp(1), club: ClubId(number), name: name.into() }.into());
    }
    journal.batch(0, &records);

    let terms = Terms { activations_per_code_max: Some(2), ..Terms::new("Autumn", Money(500)) };
    let codes = ["Autumn-1", "Autumn-2", "Autumn-3", "Autumn-4", "Autumn-5"].iter().collect();
    let (campaign, skipped) = (CampaignId(1), Vec::new());
    let created = CampaignCreated { stamp: journal.stamp(2), campaign, terms: terms.clone(), codes, skipped };
    journal.batch(5, &[created.into()]);
    for (client, name) in [(ann, "Ann"), (ClientId(8), ""), (other, "Änne")] {
        let registered = ClientRegistered { stamp: journal.stamp(4), client, name: name.into(), new: true };
        journal.batch(6, &[registered.into()]);
    }

    let (first, second) = (journal.activation(ann, 1, 0, 500, 500), journal.activation(ClientId(8), 2, 0, 500, 500));
    journal.batch(60, &[first.into(), second.into()]);
    let exhausted = journal.refused(other, "autumn-1", RedeemOutcome::CodeExhausted);
    journal.batch(70, &[exhausted]);
    let third = journal.activation(other, 2, 1, 500, 500);
    let third_at = journal.batch(80, &[third.into()]);

    let next_day = DAY_MS / MINUTE_MS;
    let terms = Terms { amount: Money(600), ..terms };
    let updated = CampaignUpdated { stamp: journal.stamp(2), campaign, terms };
    let refunded = Refunded { client: other, taken: Money(500), uncollected: Money(0), balance: Money(0) };
    let refund = ActivationRefunded { stamp: journal.stamp(1), activation: third_at, campaign, slot: 1, refunded };
    journal.batch(next_day, &[updated.into(), refund.into()]);
    let held = CodeHeld {
        stamp: journal.stamp(4),
        client: ann,
        club: ClubId(1),
        campaign,
        slot: 2,
        amount: Money(600),
        expires_ms: BEGAN_MS + DAY_MS + 90 * MINUTE_MS,
    };
    let hold = journal.batch(next_day + 60, &[held.clone().into()]);
    let till = Executor { kind: ExecutorKind::Administrator, credential: CredentialId(3), name: "till".into() };
    let variables = Variables {
        amount: Money(5_000),
        source: TopUpSource::Cash,
        gaming: Money(0),
        bonus: Money(500),
        spent: Money(0),
        sessions: 0,
    };
    let top_up = ToppedUp {
        stamp: journal.stamp(3),
        executor: till.clone(),
        client: ann,
        club: ClubId(1),
        variables,
        fired: Vec::new(),
        failed: Vec::new(),
        beyond: 0,
        gaming: Money(5_000),
        bonus: Money(500),
        comment: String::new(),
        tags: Vec::new(),
    };
    let confirmed = HoldConfirmed { hold, activation: journal.activation(ann, 1, 2, 600, 1_100) };
    journal.batch(next_day + 65, &[top_up.into(), confirmed.into()]);
    let changed = |stamp, operation, amount, balance, comment: &str| BonusChanged {
        stamp,
        operation,
        executor: till.clone(),
        client: ann,
        club: Some(ClubId(1)),
        amount: Money(amount),
        balance: Money(balance),
        comment: comment.into(),
        tags: vec!["till".into()],
    };
    let payment = changed(journal.stamp(3), BonusOperation::Payment(PaidFor::Order), 250, 850, "a drink");
    let credit = changed(journal.stamp(3), BonusOperation::Credit, 100, 950, "waited long");
    journal.batch(next_day + 90, &[payment.into(), credit.into()]);
    let unknown = journal.refused(ClientId(8), "autumn-9", RedeemOutcome::UnknownCode);
    let archived = CodesArchived { stamp: journal.stamp(2), campaign, slots: vec![4], skipped: Vec::new() };
    let again = journal.refused(ClientId(8), "autumn-1", RedeemOutcome::CodeExhausted);
    let misspelt = journal.refused(ClientId(8), "autum-1", RedeemOutcome::UnknownCode);
    let expires_ms = BEGAN_MS + DAY_MS + 135 * MINUTE_MS;
    let held = CodeHeld { stamp: journal.stamp(4), client: ClientId(8), slot: 3, expires_ms, ..held };
    journal.batch(next_day + 120, &[unknown, archived.into(), again, misspelt, held.into()]);
    journal.batches
}

/// A read model of the sample, opened as the page describes.
fn open(dir: &Path) -> Connection {
    let path = dir.join("read-model.sqlite");
    let mut model = ReadModel::open(&path).expect("it is new").expect("it is of this version");
    model.apply(&sample()).expect("the chain is intact");
    model.close().expect("it can be closed");
    Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("it exists")
}

/// A fenced block of the page.
struct Block<'a> {
    language: &'a str,
    text: String,
}

fn blocks() -> Vec<Block<'static>> {
    let (mut blocks, mut lines) = (Vec::new(), PAGE.lines());
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let inside = lines.by_ref().take_while(|line| *line != "```");
            blocks.push(Block { language, text: inside.collect::<Vec<_>>().join("\n") });
        }
    }
    blocks
}

/// The result of a query, as the `column` mode of the program `sqlite3` prints it.
fn answer(sqlite: &Connection, query: &str) -> rusqlite::Result<String> {
    let mut statement = sqlite.prepare(query)?;
    let mut table: Vec<Vec<String>> = vec![statement.column_names().map(str::to_owned).collect()];
    let columns = table[0].len();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let cell = |at| {
            Ok(match row.get_ref(at)? {
                ValueRef::Null => String::new(),
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Real(number) => number.to_string(),
                ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                ValueRef::Blob(bytes) => format!("a blob of {} bytes", bytes.len()),
            })
        };
        table.push((0..columns).map(cell).collect::<rusqlite::Result<_>>()?);
    }
    let width = |at: usize| table.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    table.insert(1, widths.iter().map(|width| "-".repeat(*width)).collect());
    let mut text = String::new();
    for row in table {
        let line = row.iter().zip(&widths).fold(String::new(), |mut line, (cell, width)| {
            let _ = write!(line, "{cell:width$}  ");
            line
        });
        text.push_str(line.trim_end());
        text.push('\n');
    }
    Ok(text.trim_end().to_owned())
}

/// Z10: every query on the page returns the result below it, on this journal.
#[test]
fn every_query_returns_the_result_on_the_page() {
    let dir = tempfile::tempdir().expect("a folder");
    let sqlite = open(dir.path());
    let blocks = blocks();
    let mut wrong = String::new();
    for (at, block) in blocks.iter().enumerate().filter(|(_, block)| block.language == "sql") {
        let found = answer(&sqlite, &block.text).unwrap_or_else(|error| error.to_string());
        let documented = blocks.get(at + 1).filter(|next| next.language.is_empty());
        let documented = documented
            .map_or_else(String::new, |documented| documented.text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"));
        if found != documented {
            let _ = writeln!(wrong, "{}\n\n```\n{found}\n```\n", block.text);
        }
    }
    assert!(wrong.is_empty(), "these have another result:\n{wrong}");
    assert!(blocks.iter().filter(|block| block.language == "sql").count() >= 12);
}

/// Tables that stay small, and the temporary ones of queries.
const SMALL: [&str; 7] = ["cursor", "beginning", "organisation", "club", "stretches", "mine", "ledger"];

/// Pain 19: a query that reads all of a growing table says so in its first line, and no other does.
#[test]
fn full_table_reads_are_declared() {
    let dir = tempfile::tempdir().expect("a folder");
    let sqlite = open(dir.path());
    for block in blocks().iter().filter(|block| block.language == "sql") {
        let documented: BTreeSet<&str> = block
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("-- reads all of "))
            .flat_map(|tables| tables.split(" and "))
            .collect();
        let scanned = scanned(&sqlite, &block.text);
        assert_eq!(scanned.iter().map(String::as_str).collect::<BTreeSet<_>>(), documented, "{}", block.text);
    }
    // The queries that the page warns of.
    assert!(scanned(&sqlite, "SELECT position FROM client_history WHERE client = 7").contains("client_history"));
    assert!(scanned(&sqlite, "SELECT * FROM activation WHERE campaign = 1 AND slot = 0").contains("activation"));
    assert!(scanned(&sqlite, "SELECT * FROM ledger WHERE client = 7").contains("activation"));
}

/// The tables that a query reads in full, without those that stay small.
fn scanned(sqlite: &Connection, query: &str) -> BTreeSet<String> {
    let mut statement = sqlite.prepare(&format!("EXPLAIN QUERY PLAN {query}")).expect("it is SQL");
    let steps = statement.query_map([], |row| row.get::<_, String>(3)).expect("it has a plan");
    let steps: Vec<String> = steps.collect::<rusqlite::Result<_>>().expect("it has a plan");
    let scanned = steps.iter().filter_map(|step| step.strip_prefix("SCAN ")).filter_map(|of| of.split(' ').next());
    scanned.filter(|of| !SMALL.contains(of)).map(str::to_owned).collect()
}

/// The tables and views, each with its columns.
fn tables(sqlite: &Connection) -> Vec<(String, Vec<String>)> {
    let names = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') ORDER BY rowid";
    let mut names = sqlite.prepare(names).expect("SQLite has a schema");
    let names = names.query_map([], |row| row.get::<_, String>(0)).expect("SQLite has a schema");
    names
        .map(|name| {
            let name = name.expect("a table has a name");
            let mut columns = sqlite.prepare("SELECT name FROM pragma_table_info(?1)").expect("a table has columns");
            let columns = columns.query_map([&name], |row| row.get(0)).expect("a table has columns");
            let columns = columns.collect::<rusqlite::Result<_>>().expect("a column has a name");
            (name, columns)
        })
        .collect()
}

/// The names in the first column of the table below a heading of the page.
fn named_below(heading: &str) -> Vec<String> {
    let below = PAGE.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| !line.starts_with('#'));
    let rows = below.filter(|line| line.starts_with("| `"));
    let first = rows.filter_map(|row| row.split('|').nth(1));
    first.flat_map(|cell| cell.split(',').map(|name| name.trim().trim_matches('`').to_owned()).collect::<Vec<_>>()).collect()
}

/// Z10: the page has every table and column, in order, and no other.
#[test]
fn every_table_and_column_is_on_the_page() {
    let sqlite = Connection::open_in_memory().expect("SQLite opens");
    sqlite.execute_batch(SCHEMA).expect("the tables can be created");
    let headings = PAGE.lines().filter_map(|line| line.strip_prefix("### `")).filter_map(|line| line.strip_suffix('`'));
    let headings: Vec<&str> = headings.collect();
    let tables = tables(&sqlite);
    assert_eq!(headings, tables.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
    for (name, columns) in &tables {
        assert_eq!(named_below(&format!("### `{name}`")), *columns, "{name}");
    }
    assert!(PAGE.contains(&format!("`PRAGMA user_version` is {VERSION}")), "the version is on the page");
}

/// Z10: a quoted text in a table row is a word that the program writes into that column.
#[test]
fn quoted_words_are_those_of_the_program() {
    let tables = PAGE.lines().skip_while(|line| *line != "## The tables").filter(|line| line.starts_with('|'));
    // A quote opens a word after a space; elsewhere it is an apostrophe.
    let quoted = tables.flat_map(|line| line.split(" '").skip(1)).filter_map(|rest| rest.split('\'').next());
    let sources = [
        SCHEMA,
        include_str!("../../reporting/src/read_model/project/mod.rs"),
        include_str!("../../reporting/src/read_model/project/ledger.rs"),
        include_str!("../../protocol/src/record.rs"),
        include_str!("../../protocol/src/ledger.rs"),
    ];
    for word in quoted {
        assert!(sources.iter().any(|source| source.contains(word)), "'{word}'");
    }
}
