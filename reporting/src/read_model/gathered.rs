//! Sums added up over a transaction and written at its end in the order of the tables' keys: a page with many rows is then changed
//! once, while it is in the processor's cache.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, params};
use scrip_protocol::{ClientId, Position, Stamp};

use super::values::{ClientKey, folded, number, request_bytes};

/// The number of positions in a stretch of `client_history`, as a power of 2.
pub(crate) const HISTORY_BITS: u32 = 17;
/// The number of positions in a stretch of `campaign_stretch`, as a power of 2.
const STRETCH_BITS: u32 = 12;
/// A quarter of an hour, in milliseconds.
const QUARTER_MS: u64 = 15 * 60 * 1_000;

/// The sums of a transaction.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    requests: Vec<(Stamp, Position, u16)>,
    history: Vec<(u64, ClientId, Position)>,
    clients: HashMap<ClientId, ClientChange, foldhash::fast::RandomState>,
    activity: BTreeMap<(u32, u64, u32), Counts>,
    stretches: BTreeMap<(u32, u64), u64>,
    failures: BTreeMap<(u32, &'static str), u64>,
}

/// The changes of a client.
#[derive(Debug, Default)]
pub(super) struct ClientChange {
    /// The time of the first record in this transaction that registers the client.
    registered_ms: u64,
    pub(super) name: Option<String>,
    pub(super) gaming: i64,
    pub(super) bonus: i64,
    pub(super) spent: i64,
    pub(super) sessions: i64,
    pub(super) activations: i64,
}

/// Counts of activations.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) activations: i64,
    pub(super) issued: i64,
    pub(super) refunds: i64,
    pub(super) taken_back: i64,
}

impl Gathered {
    /// Notes the record of a request: its kind and position.
    pub(super) fn request(&mut self, stamp: Stamp, position: Position, kind: u16) {
        self.requests.push((stamp, position, kind));
    }

    /// Notes that a record concerns a client.
    pub(super) fn history(&mut self, client: ClientId, position: Position) {
        self.history.push((position.0 >> HISTORY_BITS, client, position));
    }

    /// The changes of a client who is registered by now.
    pub(super) fn client(&mut self, client: ClientId, at_ms: u64) -> &mut ClientChange {
        self.clients.entry(client).or_insert_with(|| ClientChange { registered_ms: at_ms, ..ClientChange::default() })
    }

    /// The counts of a campaign in a quarter of an hour at a club, to be changed.
    pub(super) fn activity(&mut self, campaign: u32, at_ms: u64, club: u32) -> &mut Counts {
        self.activity.entry((campaign, at_ms / QUARTER_MS, club)).or_default()
    }

    /// Notes that a campaign has an activation at a position.
    pub(super) fn activation_at(&mut self, campaign: u32, position: Position) {
        *self.stretches.entry((campaign, position.0 >> STRETCH_BITS)).or_default() += 1;
    }

    /// Notes that a rule failed on a top-up.
    pub(super) fn failure(&mut self, rule: u32, why: &'static str) {
        *self.failures.entry((rule, why)).or_default() += 1;
    }

    /// Writes all of it.
    pub(super) fn write(mut self, connection: &Connection) -> rusqlite::Result<()> {
        // The first record under an id is kept: a stable sort leaves it in front.
        self.requests.sort_by_key(|(stamp, _, _)| stamp.request);
        let mut statement = connection.prepare_cached("INSERT OR IGNORE INTO request VALUES (?, ?, ?, ?)")?;
        for (stamp, position, kind) in &self.requests {
            statement.execute(params![request_bytes(stamp.request), number(position.0), kind, stamp.credential.0])?;
        }
        self.history.sort_unstable();
        self.history.dedup();
        let mut statement = connection.prepare_cached("INSERT INTO client_history VALUES (?, ?, ?)")?;
        for (stretch, client, position) in &self.history {
            statement.execute(params![number(*stretch), ClientKey::of(*client), number(position.0)])?;
        }
        self.write_clients(connection)?;
        let mut statement = connection.prepare_cached(
            "INSERT INTO campaign_stretch VALUES (?, ?, ?)
             ON CONFLICT DO UPDATE SET activations = activations + excluded.activations",
        )?;
        for ((campaign, stretch), activations) in &self.stretches {
            statement.execute(params![campaign, number(*stretch), number(*activations)])?;
        }
        let mut statement = connection.prepare_cached(
            "INSERT INTO rule_failure_count VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET failures = failures + excluded.failures",
        )?;
        for ((rule, why), failures) in &self.failures {
            statement.execute(params![rule, why, number(*failures)])?;
        }
        self.write_activity(connection)
    }

    fn write_clients(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(
            "INSERT INTO client VALUES (?1, coalesce(?2, ''), ?3, ?4, ?5, ?6, ?7, ?8, coalesce(?9, ''))
             ON CONFLICT DO UPDATE SET name = coalesce(?2, name), folded = coalesce(?9, folded), gaming = gaming + ?4, bonus = bonus + ?5, spent = spent + ?6,
             sessions = sessions + ?7, activations = activations + ?8",
        )?;
        let mut clients: Vec<_> = std::mem::take(&mut self.clients).into_iter().collect();
        clients.sort_unstable_by_key(|(client, _)| *client);
        for (client, change) in clients {
            let folded = change.name.as_deref().map(folded);
            let ClientChange { registered_ms, name, gaming, bonus, spent, sessions, activations } = change;
            statement.execute(params![
                ClientKey::of(client),
                name,
                number(registered_ms),
                gaming,
                bonus,
                spent,
                sessions,
                activations,
                folded,
            ])?;
        }
        Ok(())
    }

    /// A sum beyond 64 bits is stored as the largest value. It takes refunds of equally large amounts to get there.
    fn write_activity(&self, connection: &Connection) -> rusqlite::Result<()> {
        const ADD: &str = "ON CONFLICT DO UPDATE SET activations = activations + excluded.activations,
            issued = CAST(issued + excluded.issued AS INTEGER), refunds = refunds + excluded.refunds,
            taken_back = CAST(taken_back + excluded.taken_back AS INTEGER)";
        let mut of_club: BTreeMap<(u32, u32), Counts> = BTreeMap::new();
        let mut statement = connection.prepare_cached(&format!("INSERT INTO activity VALUES (?, ?, ?, ?, ?, ?, ?) {ADD}"))?;
        for ((campaign, quarter, club), counts) in &self.activity {
            let Counts { activations, issued, refunds, taken_back } = *counts;
            statement.execute(params![campaign, number(*quarter), club, activations, issued, refunds, taken_back])?;
            let sum = of_club.entry((*campaign, *club)).or_default();
            sum.activations += activations;
            sum.issued = sum.issued.saturating_add(issued);
            sum.refunds += refunds;
            sum.taken_back = sum.taken_back.saturating_add(taken_back);
        }
        let mut statement = connection.prepare_cached(&format!("INSERT INTO campaign_club VALUES (?, ?, ?, ?, ?, ?) {ADD}"))?;
        for ((campaign, club), counts) in &of_club {
            let Counts { activations, issued, refunds, taken_back } = *counts;
            statement.execute(params![campaign, club, activations, issued, refunds, taken_back])?;
        }
        Ok(())
    }
}
