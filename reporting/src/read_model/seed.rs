//! Starts a read model from a snapshot, when the journal no longer has its first records.
//!
//! The caller reads the snapshot, and [`Seed`] writes its contents into the tables: everything that exists, counters, balances, and
//! the held uses. `beginning.position` is the position of the snapshot. The history has no rows up to it: lists of activations,
//! operations, refusals, requests and changes begin after it, and so do the figures of days and clubs. Refunds of earlier activations
//! count there under club 0.
//!
//! A snapshot does not contain everything. The times at which clubs, groups and clients were registered and holds were made are 0. A
//! client's activations are counted from the beginning on. `code_use.ever` leaves out activations that were refunded before, and the
//! first and last activation of a code are 0. `campaign.taken_back` is NULL if activations were refunded. `code.taken` is the last
//! position at which the value can have been taken: that of the beginning, or for an archived code that of the record that archived
//! it, so that the campaigns that had a value stay in their order.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use scrip_protocol::batch::ChainEnd;
use scrip_protocol::codes::{CodeForm, NormalisedCode, RecordedForm};
use scrip_protocol::command::{ArchiveCause, CodesBatch, Grant, RuleTerms, Secret, Terms};
use scrip_protocol::{
    Accounts, CampaignId, ClientId, ClubId, CredentialId, GroupId, Money, Position, RequestId, RuleId, Settings,
};

use super::campaign_counters::{ALONE, Campaign, Campaigns, LEFT};
use super::held::{Codes, Held};
use super::use_counts::{Use, Uses};
use super::values::{ClientKey, folded, json, number, request_bytes};

/// Why a row was not written.
pub type SeedError = rusqlite::Error;

/// The position up to which a read model has counters and balances only; 0 where it has the whole history.
///
/// # Errors
/// When SQLite fails.
pub fn beginning(connection: &Connection) -> rusqlite::Result<Position> {
    let mut statement = connection.prepare_cached("SELECT position FROM beginning")?;
    let position = statement.query_row([], |row| row.get::<_, i64>(0)).optional()?;
    Ok(Position(position.and_then(|position| u64::try_from(position).ok()).unwrap_or(0)))
}

/// A campaign of a snapshot, without its codes.
#[derive(Debug, Clone)]
pub struct SeededCampaign<'a> {
    /// Its number.
    pub campaign: CampaignId,
    /// Its terms.
    pub terms: &'a Terms,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it was archived, in milliseconds since 1970, and by which record; none if it is not archived.
    pub archived: Option<(u64, Position)>,
    /// The number of activations, without refunded ones.
    pub activations: u64,
    /// The bonuses credited, minus those taken back.
    pub issued: Money,
    /// How many activations were refunded.
    pub refunds: u64,
    /// The amount that refunds could not take back.
    pub uncollected: Money,
    /// When codes were added, as far as known: the latest times.
    pub added: &'a [CodesBatch],
}

/// A code of a campaign of a snapshot.
#[derive(Debug, Clone, Copy)]
pub struct SeededCode<'a> {
    /// As it was written.
    pub code: &'a str,
    /// The number of activations, without refunded ones.
    pub activations: u32,
    /// If it is archived independently of its campaign: why, and by which record its value became free.
    pub archived: Option<(ArchiveCause, Position)>,
}

/// A held use.
#[derive(Debug, Clone, Copy)]
pub struct SeededHold {
    /// The hold's record.
    pub hold: Position,
    /// The client.
    pub client: ClientId,
    /// The club.
    pub club: ClubId,
    /// The campaign of the code.
    pub campaign: CampaignId,
    /// The slot of the code.
    pub slot: u32,
    /// The amount that its confirmation credits.
    pub amount: Money,
    /// When it expires, in milliseconds since 1970: from then on it is no longer open.
    pub expires_ms: u64,
    /// The credential that sent the request.
    pub credential: CredentialId,
}

/// Writes the contents of a snapshot into an empty read model.
pub struct Seed<'t> {
    connection: &'t Connection,
    end: ChainEnd,
    form: CodeForm,
    campaigns: Campaigns,
}

impl<'t> Seed<'t> {
    pub(super) fn begin(transaction: &'t Transaction<'_>, end: ChainEnd) -> Seed<'t> {
        Seed { connection: transaction, end, form: CodeForm::CURRENT, campaigns: Campaigns::default() }
    }

    /// The settings, and the recorded form in which codes are compared; `None` if no record names one. To be called first.
    ///
    /// # Errors
    /// When SQLite fails; this applies to all methods below.
    pub fn settings(&mut self, settings: &Settings, recorded: Option<RecordedForm>) -> rusqlite::Result<()> {
        let form = recorded.map_or(CodeForm::CaseFolded as u8, |recorded| recorded.form);
        self.form = CodeForm::from_number(form).unwrap_or(CodeForm::CURRENT);
        let Settings { organisation, currency, codes_per_campaign_max, request_window_ms, request_skew_ms, .. } = settings;
        let (window, skew) = (number(*request_window_ms), number(*request_skew_ms));
        self.put(
            "INSERT INTO organisation VALUES (1, ?, ?, ?, ?, ?, 0, ?, ?)",
            params![organisation, currency, codes_per_campaign_max, form, recorded.is_some(), window, skew],
        )
    }

    /// The latest time in a request id that was executed, or a later one, in milliseconds since 1970.
    ///
    /// # Errors
    /// See [`Seed::settings`].
    pub fn requests(&mut self, latest_ms: u64) -> rusqlite::Result<()> {
        self.put("UPDATE beginning SET requests_ms = ?", params![number(latest_ms)])
    }

    /// A club.
    ///
    /// # Errors
    /// See [`Seed::settings`].
    pub fn club(&mut self, club: ClubId, name: &str) -> rusqlite::Result<()> {
        self.put("INSERT INTO club VALUES (?, ?, 0)", params![club.0, name])
    }

    /// A group of clients.
    ///
    /// # Errors
    /// See [`Seed::settings`].
    pub fn group(&mut self, group: GroupId, name: &str) -> rusqlite::Result<()> {
        self.put("INSERT INTO client_group VALUES (?, ?, 0)", params![group.0, name])
    }

    /// A credential.
    ///
    /// # Errors
    /// See [`Seed::settings`].
    pub fn credential(
        &mut self,
        credential: CredentialId,
        grant: &Grant,
        added_ms: u64,
        revoked_ms: Option<u64>,
    ) -> rusqlite::Result<()> {
        let (kind, secret) = match &grant.secret {
            Secret::Token(hash) => ("token", hash),
            Secret::Certificate(hash) => ("certificate", hash),
        };
        let (role, clubs, revoked_ms) = (grant.role.word(), json(&grant.clubs), revoked_ms.map(number));
        self.put(
            "INSERT INTO credential VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![credential.0, grant.name, role, clubs, grant.reasons, kind, secret, number(added_ms), revoked_ms],
        )
    }

    /// A rule.
    ///
    /// # Errors
    /// See [`Seed::settings`].
    pub fn rule(&mut self, rule: RuleId, terms: &RuleTerms, saved_ms: u64, archived_ms: Option<u64>) -> rusqlite::Result<()> {
        self.put(
            "INSERT INTO rule VALUES (?, ?, ?, ?, ?, ?)",
            params![rule.0, terms.name, terms.active, json(terms), number(saved_ms), archived_ms.map(number)],
        )
    }

    /// A campaign with its codes, by slot from 0 on.
    ///
    /// # Errors
    /// See [`Seed::settings`].
    pub fn campaign<'a>(
        &mut self,
        seeded: &SeededCampaign<'_>,
        codes: impl Iterator<Item = SeededCode<'a>>,
    ) -> rusqlite::Result<()> {
        let campaign = seeded.campaign.0;
        let mut of = Campaign {
            archived_ms: seeded.archived.map(|(at_ms, _)| at_ms),
            activations: seeded.activations,
            issued: seeded.issued.0,
            refunds: seeded.refunds,
            // A snapshot does not contain the amount that refunds took back, unless there were none.
            taken_back: (seeded.refunds == 0).then_some(0),
            uncollected: seeded.uncollected.0,
            ..Campaign::new(seeded.terms.clone(), seeded.created_ms)
        };
        let mut used: Vec<(u32, Use)> = Vec::new();
        let mut insert = self.connection.prepare_cached("INSERT INTO code VALUES (?, ?, ?, ?, ?, ?)")?;
        let mut insert_use = self.connection.prepare_cached("INSERT INTO code_use VALUES (?, ?, ?, ?, 0, 0)")?;
        for (code, slot) in codes.zip(0..) {
            let how = code.archived.map(|(cause, _)| match cause {
                ArchiveCause::ByCampaign => LEFT,
                ArchiveCause::Alone => ALONE,
            });
            let freed = code.archived.or(seeded.archived.map(|(_, by)| (ArchiveCause::ByCampaign, by))).map(|(_, by)| by);
            let taken = freed.unwrap_or(self.end.position);
            // The engine accepted it as a code, so it has a normal form.
            let value = self.form.normalise(code.code);
            let value = value.as_ref().map_or(code.code, NormalisedCode::as_str);
            insert.execute(params![campaign, slot, code.code, value, how.unwrap_or(0), number(taken.0)])?;
            if code.activations > 0 {
                insert_use.execute(params![campaign, slot, code.activations, code.activations])?;
                used.push((slot, Use { activations: code.activations, ever: code.activations }));
            }
            of.codes = slot + 1;
            of.archived.extend(how.map(|how| (slot, how)));
        }
        of.codes_activated = used.len() as u32;
        of.recount(used.into_iter());
        self.added(campaign, of.codes, seeded)?;
        self.campaigns.insert(campaign, of);
        Ok(())
    }

    /// The known times at which codes were added; one row has the codes without a known time.
    fn added(&self, campaign: u32, codes: u32, seeded: &SeededCampaign<'_>) -> rusqlite::Result<()> {
        let known: u32 = seeded.added.iter().map(|added| added.codes).sum();
        let rest = CodesBatch { at_ms: seeded.created_ms, codes: codes.saturating_sub(known), position: Position(0) };
        let mut first = 0;
        for added in std::iter::once(&rest).chain(seeded.added).filter(|added| added.codes > 0) {
            self.put(
                "INSERT INTO codes_added VALUES (?, ?, ?, ?, ?, 'unknown')",
                params![campaign, first, added.codes, number(added.at_ms), number(added.position.0)],
            )?;
            first += added.codes;
        }
        Ok(())
    }

    /// A client with its accounts.
    ///
    /// # Errors
    /// See [`Seed::settings`].
    pub fn client(&mut self, client: ClientId, name: &str, accounts: &Accounts) -> rusqlite::Result<()> {
        let Accounts { gaming, bonus, spent, sessions } = *accounts;
        self.put(
            "INSERT INTO client VALUES (?, ?, 0, ?, ?, ?, ?, 0, ?)",
            params![ClientKey::of(client), name, gaming.0, bonus.0, spent.0, sessions, folded(name)],
        )
    }

    /// A use that is held.
    ///
    /// # Errors
    /// See [`Seed::settings`].
    pub fn hold(&mut self, held: &SeededHold) -> rusqlite::Result<()> {
        let SeededHold { hold, client, club, campaign, slot, amount, expires_ms, credential } = *held;
        // The request is unknown.
        let request = request_bytes(RequestId(0));
        self.put(
            "INSERT INTO hold VALUES (?, 0, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)",
            params![
                number(hold.0),
                ClientKey::of(client),
                club.0,
                campaign.0,
                slot,
                amount.0,
                number(expires_ms),
                credential.0,
                request
            ],
        )
    }

    pub(super) fn finish(mut self) -> rusqlite::Result<()> {
        self.campaigns.write(self.connection)?;
        let (connection, campaigns, uses) = (self.connection, &self.campaigns, &mut Uses::default());
        Held::seed(&mut Codes { connection, campaigns, uses }, self.end.time_ms)?;
        let ChainEnd { position, time_ms, .. } = self.end;
        self.put("UPDATE beginning SET position = ?, time_ms = ?", params![number(position.0), number(time_ms)])
    }

    fn put(&self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute(values).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use scrip_protocol::{Role, Settings};

    use super::*;
    use crate::read_model::{ReadModel, Readers};

    const END: ChainEnd = ChainEnd { position: Position(900), hash: [7; 32], time_ms: 1_790_000_000_000 };

    fn code(code: &str, activations: u32, archived: Option<(ArchiveCause, u64)>) -> SeededCode<'_> {
        SeededCode { code, activations, archived: archived.map(|(cause, by)| (cause, Position(by))) }
    }

    fn fill(seed: &mut Seed<'_>) -> rusqlite::Result<()> {
        seed.settings(&Settings::default(), Some(RecordedForm::of(CodeForm::CURRENT)))?;
        seed.requests(END.time_ms + 5)?;
        seed.club(ClubId(1), "Arena")?;
        seed.group(GroupId(1), "Gold")?;
        let secret = Secret::Token([1; 32]);
        let grant = Grant { name: "Till".into(), role: Role::Gateway, clubs: vec![ClubId(1)], reasons: true, secret };
        seed.credential(CredentialId(3), &grant, 5, Some(6))?;
        let terms = Terms { activations_per_code_max: Some(2), ..Terms::new("Spring", Money(500)) };
        let added = [CodesBatch { at_ms: 30, codes: 1, position: Position(300) }];
        let spring = SeededCampaign {
            campaign: CampaignId(1),
            terms: &terms,
            created_ms: 20,
            archived: None,
            activations: 4,
            issued: Money(2_000),
            refunds: 1,
            uncollected: Money(100),
            added: &added,
        };
        let (left, alone) = (Some((ArchiveCause::ByCampaign, 200)), Some((ArchiveCause::Alone, 250)));
        let codes = [code("One", 2, None), code("two", 0, left), code("three", 2, alone), code("four", 0, None)];
        seed.campaign(&spring, codes.into_iter())?;
        let past = SeededCampaign {
            campaign: CampaignId(2),
            archived: Some((40, Position(400))),
            added: &[],
            refunds: 0,
            uncollected: Money(0),
            ..spring
        };
        seed.campaign(&past, [code("ONE", 0, None)].into_iter())?;
        let accounts = Accounts { gaming: Money(1), bonus: Money(2), spent: Money(3), sessions: 4 };
        seed.client(ClientId(7), "Ann", &accounts)?;
        seed.hold(&SeededHold {
            hold: Position(800),
            client: ClientId(7),
            club: ClubId(1),
            campaign: CampaignId(1),
            slot: 3,
            amount: Money(500),
            expires_ms: END.time_ms + 1,
            credential: CredentialId(3),
        })
    }

    /// Each row of an answer, its columns joined.
    #[track_caller]
    fn rows(connection: &Connection, query: &str) -> Vec<String> {
        let read = |row: &rusqlite::Row<'_>| {
            let cells = (0..row.as_ref().column_count()).map(|at| row.get::<_, rusqlite::types::Value>(at));
            let shown = cells.map(|cell| {
                Ok(match cell? {
                    rusqlite::types::Value::Null => "-".to_owned(),
                    rusqlite::types::Value::Integer(number) => number.to_string(),
                    rusqlite::types::Value::Real(number) => number.to_string(),
                    rusqlite::types::Value::Text(text) => text,
                    rusqlite::types::Value::Blob(bytes) => format!("{} bytes", bytes.len()),
                })
            });
            Ok(shown.collect::<rusqlite::Result<Vec<_>>>()?.join(" "))
        };
        let mut statement = connection.prepare(query).expect("it is a query");
        let found = statement.query_map([], read).expect("the query runs").collect::<rusqlite::Result<_>>();
        found.expect("it is answered")
    }

    /// Pain 18: the contents of a snapshot are in the tables with the cursor, counted as the engine counts. Values that it does not contain
    /// are 0, and the beginning is its position.
    #[test]
    fn what_a_snapshot_says_stands_in_the_tables() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("read-model.sqlite");
        let mut model = ReadModel::open(&path).expect("it can be made").expect("it is of this version");
        model.seed(END, fill).expect("it can be written");
        assert_eq!(model.cursor(), END);
        drop(model);
        let model = ReadModel::open(&path).expect("it is there").expect("it is of this version");
        assert_eq!(model.cursor(), END);
        let check = |query: &str, expected: &[&str]| {
            let found = Readers::new(&path).view(|view| Ok(rows(view.connection, query))).expect("it can be read");
            assert_eq!(found, expected, "{query}");
        };
        check("SELECT position, time_ms, requests_ms FROM beginning", &["900 1790000000000 1790000000005"]);
        check("SELECT name, currency, since FROM organisation", &["Organisation EUR 0"]);
        check("SELECT * FROM club UNION ALL SELECT * FROM client_group", &["1 Arena 0", "1 Gold 0"]);
        check("SELECT * FROM credential", &["3 Till gateway [1] 1 token 32 bytes 5 6"]);
        check(
            "SELECT campaign, created_ms, archived_ms, codes, codes_archived, codes_activated, codes_exhausted, archived_activated,
                    archived_exhausted, activations, issued, refunds, taken_back, uncollected, last_activation FROM campaign",
            &["1 20 - 4 2 2 2 1 1 4 2000 1 - 100 -", "2 20 40 1 0 0 0 0 0 4 2000 0 0 0 -"],
        );
        // What is known of the addings is the latest of them.
        check("SELECT * FROM codes_added", &["1 0 3 20 0 unknown", "1 3 1 30 300 unknown", "2 0 1 20 0 unknown"]);
        // One value in two campaigns: the one that holds it took it last.
        check(
            "SELECT * FROM code",
            &["1 0 One one 0 900", "1 1 two two 1 200", "1 2 three three 2 250", "1 3 four four 0 900", "2 0 ONE one 0 400"],
        );
        check("SELECT * FROM code_use", &["1 0 2 2 0 0", "1 2 2 2 0 0"]);
        check("SELECT * FROM client", &["7 Ann 0 1 2 3 4 0 ann"]);
        check("SELECT hold, at_ms, client, slot, expires_ms, ended FROM hold", &["800 0 7 3 1790000000001 -"]);
        // Longer stretches begin before the snapshot.
        check("SELECT * FROM held", &["1 0 1790000000001 1 0 500 0"]);
        for table in ["activation", "refund", "entry", "client_history", "request", "refusal", "change", "activity"] {
            check(&format!("SELECT count(*) FROM {table}"), &["0"]);
        }
    }

    /// A seed that cannot be written leaves nothing: not the rows before the one that failed, nor the cursor.
    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("read-model.sqlite");
        let mut model = ReadModel::open(&path).expect("it can be made").expect("it is of this version");
        let twice = |seed: &mut Seed<'_>| fill(seed).and_then(|()| fill(seed));
        model.seed(END, twice).expect_err("there are rows of these numbers already");
        assert_eq!(model.cursor(), ChainEnd::default());
        let clubs =
            Readers::new(&path).view(|view| Ok((rows(view.connection, "SELECT * FROM club"), beginning(view.connection)?)));
        assert_eq!(clubs.expect("it can be read"), (Vec::new(), Position(0)));
    }
}
