//! A small handwritten read model for tests of queries.

use rusqlite::Connection;
use scrip_protocol::Position;

use crate::read_model::{AsOf, SCHEMA, VERSION, View};

/// The newest position.
pub(crate) const POSITION: u64 = 2_000_000;
/// The time of its batch: 2026-09-21T14:13:20Z.
pub(crate) const NOW_MS: u64 = 1_790_000_000_000;
/// The request of activation 101, sent by gateway 4.
pub(crate) const REQUEST: &str = "0190b6a0-7c1e-7d43-9a52-3f8d2f0b6c11";
/// A client whose id is not a number.
pub(crate) const UUID_CLIENT: &str = "0190b6a0-7c1e-7d43-9a52-3f8d2f0b6c22";

/// The roles of credentials 1 to 5, which are also their tokens; 6 is a revoked operator. Credentials 7 to 11 have the same
/// roles, without reasons.
const CREDENTIALS: [&str; 11] = [
    "operator",
    "marketing",
    "cashier",
    "gateway",
    "reporter",
    "revoked",
    "operator-without",
    "marketing-without",
    "cashier-without",
    "gateway-without",
    "reporter-without",
];

const ROWS: &str = "
INSERT INTO organisation VALUES (1, 'Arena', 'EUR', 50000, 2, 1, 1, 86400000, 60000);
INSERT INTO beginning VALUES (1, 0, 0, 0);
INSERT INTO club VALUES (1, 'North', 1), (2, 'South', 1);
INSERT INTO rule VALUES (1, 'Gold', 1, '{}', 1, NULL);
INSERT INTO client VALUES (7, 'Ann', 1, 50000, 5900, 0, 0, 1, 'ann'), (8, '', 1, 0, 500, 0, 0, 1, ''),
    ('0190b6a0-7c1e-7d43-9a52-3f8d2f0b6c22', 'Änne', 1, 0, 0, 0, 0, 0, 'änne');
-- Ended a second ago and still accepting; the other is archived.
INSERT INTO campaign VALUES
    (1, 'Autumn', 500, '[]', NULL, 1789999999000, 0, 2, NULL, NULL, NULL, 3, 1, 1, NULL, 4, 1, 1, 1, 0, 0, 2, 1000, 1, 500, 0, 5000),
    (2, 'Winter', 500, '[2]', NULL, NULL, 0, NULL, NULL, NULL, NULL, 3, 1, 1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL),
    (3, 'Empty', 500, '[2]', NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, 1, 1, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL),
    (4, 'Enforced', 500, '[1]', NULL, 1789999999000, 1, NULL, NULL, NULL, NULL, NULL, 1, 1, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL);
INSERT INTO codes_added VALUES (1, 0, 3, 1000, 10, 'created'), (1, 3, 1, 2000, 11, 'added');
INSERT INTO code VALUES (1, 0, 'AbC', 'abc', 0, 1), (1, 1, 'DEF', 'def', 2, 1), (1, 2, 'GHI', 'ghi', 0, 1), (1, 3, 'JKL', 'jkl', 0, 1),
    (2, 0, 'ABC', 'abc', 0, 1);
INSERT INTO code_use VALUES (1, 0, 2, 2, 101, 5000), (1, 1, 0, 1, 102, 102);
INSERT INTO activation VALUES
    (101, 1789900000000, 7, 1, 1, 0, 1, 500, 500, 4, x'0190b6a07c1e7d439a523f8d2f0b6c11', NULL, NULL),
    (102, 1789900001000, 7, 2, 1, 1, 1, 500, 1000, 4, zeroblob(16), NULL, NULL),
    (5000, 1789900002000, 8, 1, 1, 0, 2, 500, 500, 4, zeroblob(16), NULL, NULL);
INSERT INTO campaign_stretch VALUES (1, 0, 2), (1, 1, 1);
INSERT INTO refund VALUES (6000, 102, 1789900003000, 1, 1, 7, 500, 0, 5900, 1, zeroblob(16)),
    (6001, 99, 1789900003000, 1, 2, 8, 0, 500, 0, 1, zeroblob(16));
INSERT INTO hold VALUES (200, 1789900001500, 7, 1, 1, 2, 500, 1790000001000, 4, zeroblob(16), NULL, NULL),
    (201, 1789900001500, 7, 1, 1, 3, 500, 1790000000000, 4, zeroblob(16), NULL, NULL);
INSERT INTO held SELECT campaign, length, expires_ms >> length, count(*), sum(amount >> 32), sum(amount & 4294967295), 0
    FROM hold, (SELECT 0 AS length UNION ALL SELECT 10 UNION ALL SELECT 20) WHERE ended IS NULL GROUP BY 1, 2, 3;
INSERT INTO entry VALUES
    (300, 0, 1789900001600, 7, 1, 'gaming', 'Top-Up', 'Administrator', 'Ann', 3, 'request', NULL, 50000, 50000, 'at the till', '[\"till\"]', x'0190b6a07c1e7d439a523f8d2f0b6c12', 'CASH', NULL),
    (300, 1, 1789900001600, 7, 1, 'bonus', 'Bonus Credit', 'System', '', 0, 'rule', 1, 5000, 6000, '', '[]', x'0190b6a07c1e7d439a523f8d2f0b6c12', 'CASH', NULL),
    (6000, 0, 1789900003000, 7, NULL, 'bonus', 'Bonus Write-Off', 'System', '', 0, 'activation', 102, -500, 5500, '', '[]', zeroblob(16), NULL, NULL),
    (1500000, 0, 1789900004000, 7, 1, 'bonus', 'Bonus Payment', 'System', '', 4, 'request', NULL, -100, 5400, '', '[]', zeroblob(16), NULL, 'order');
INSERT INTO refusal VALUES
    (400, 1789900001700, 'redeem', 4, zeroblob(16), 7, 1, 'abc', 1, NULL, 'code_exhausted', 'activated 2 of 2', '{\"redeem\":\"code_exhausted\"}'),
    (401, 1789900001700, 'redeem', 4, zeroblob(16), 8, 1, 'nope', NULL, NULL, 'unknown_code', 'no campaign has it', '\"unknown_code\"');
INSERT INTO client_history VALUES (0, 7, 101), (0, 7, 102), (0, 7, 200), (0, 7, 201), (0, 7, 300), (0, 7, 400), (0, 7, 6000),
    (11, 7, 1500000), (0, 8, 401), (0, 8, 5000), (3, 7, 500000), (0, 8, 6001);
INSERT INTO request VALUES (x'0190b6a07c1e7d439a523f8d2f0b6c11', 101, 10, 4), (x'0190b6a07c1e7d439a523f8d2f0b6c12', 300, 72, 3),
    -- The release of a hold, which leaves no row of its own.
    (x'0190b6a07c1e7d439a523f8d2f0b6c13', 202, 16, 4);
INSERT INTO rule_failure VALUES (300, 0, 1789900001600, 1, 7, 'push_too_long'), (299, 0, 1789900001500, 1, 8, 'overflow');
INSERT INTO rule_failure_count VALUES (1, 'push_too_long', 1), (1, 'overflow', 1);
INSERT INTO spending VALUES (500000, 1789900003500, 7, 1, 'purchase', 1250, 'directly', 3, zeroblob(16), 'Administrator', 'Ann', 'a drink', '[\"bar\"]');
INSERT INTO change VALUES (10, 1000, 'campaign_created', 2, NULL, 1, '{\"name\":\"Autumn\"}'), (12, 2000, 'club_registered', 1, NULL, NULL, '{}'),
    (13, 3000, 'campaign_switched', 2, NULL, 1, '{}');
-- 2026-09-20T21:45Z, 22:00Z; 2026-10-25T22:45Z.
INSERT INTO activity VALUES (1, 1988823, 1, 1, 500, 0, 0), (1, 1988824, 1, 1, 500, 1, 500), (1, 1988824, 2, 1, 500, 0, 0),
    (1, 1992187, 1, 7, 3500, 0, 0);
INSERT INTO campaign_club VALUES (1, 1, 2, 1000, 0, 0), (1, 2, 1, 500, 1, 500);
";

/// Fills an empty database with the sample.
pub(crate) fn fill(sqlite: &Connection) {
    empty(sqlite);
    sqlite.execute_batch(ROWS).expect("the rows fit the tables");
    sqlite.execute("UPDATE cursor SET position = ?1, time_ms = ?2", (POSITION as i64, NOW_MS as i64)).expect("there is a cursor");
    for (role, credential) in CREDENTIALS.into_iter().zip(1..) {
        let hash = *blake3::hash(role.as_bytes()).as_bytes();
        let of = role.strip_suffix("-without");
        let reasons = of.is_none();
        let (of, revoked) = if role == "revoked" { ("operator", Some(1)) } else { (of.unwrap_or(role), None) };
        let row = (credential, role, of, reasons, hash, revoked);
        sqlite
            .execute("INSERT INTO credential VALUES (?1, ?2, ?3, '[]', ?4, 'token', ?5, 1, ?6)", row)
            .expect("the row fits the table");
    }
}

/// A read model without records.
pub(crate) fn empty(sqlite: &Connection) {
    sqlite.execute_batch(SCHEMA).expect("the tables can be made");
    sqlite.pragma_update(None, "user_version", VERSION).expect("it can be set");
    sqlite.execute("INSERT INTO cursor VALUES (1, 0, zeroblob(32), 0)", []).expect("the row fits the table");
}

/// Calls `look` with a view of the sample.
#[track_caller]
pub(crate) fn view<T>(look: impl FnOnce(&View<'_>) -> rusqlite::Result<T>) -> T {
    view_at(NOW_MS, look)
}

/// The same at a later time without newer records.
#[track_caller]
pub(crate) fn view_at<T>(now_ms: u64, look: impl FnOnce(&View<'_>) -> rusqlite::Result<T>) -> T {
    let sqlite = Connection::open_in_memory().expect("SQLite opens");
    fill(&sqlite);
    let as_of = AsOf::whole(Position(POSITION), NOW_MS);
    look(&View { connection: &sqlite, as_of, now_ms, requests_ms: NOW_MS }).expect("SQLite answers")
}

/// The plan of SQLite for a query.
pub(crate) fn plan(view: &View<'_>, query: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = view.connection.prepare(&format!("EXPLAIN QUERY PLAN {query}"))?;
    let mut rows = statement.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next()? {
        steps.push(row.get(3)?);
    }
    Ok(steps)
}
