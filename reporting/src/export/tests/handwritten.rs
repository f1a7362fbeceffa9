//! A read model in memory, filled by a test.

use std::io::{self, Write};

use rusqlite::{Connection, ToSql};
use scrip_protocol::{CampaignId, Position};

use crate::export::{Done, Export, ExportError, Format, Status, Usage, What};
use crate::read_model::{AsOf, SCHEMA, VERSION, View};

/// The time wherever a test is not about times: 2026-12-31T00:00:00Z.
pub(super) const NOW_MS: i64 = 1_798_675_200_000;

/// The position that everything is as of.
pub(super) const AS_OF: u64 = 90_000;

/// A read model.
pub(super) struct Model(pub(super) Connection);

impl Model {
    /// An organisation with two clubs, two clients and a gateway.
    pub(super) fn new() -> Model {
        Model::on(Connection::open_in_memory().expect("there is memory"))
    }

    /// The same on a new connection.
    pub(super) fn on(connection: Connection) -> Model {
        connection.execute_batch(SCHEMA).expect("the schema is one");
        connection.pragma_update(None, "user_version", VERSION).expect("it can be set");
        let model = Model(connection);
        model.put("INSERT INTO organisation VALUES (1, 'Arena', 'EUR', 50000, 2, 1, 1, 86400000, 60000)", &[]);
        for (club, name) in [(1, "Arena North"), (2, "Arena South")] {
            model.put("INSERT INTO club VALUES (?1, ?2, 0)", &[&club, &name]);
        }
        model.put("INSERT INTO credential VALUES (3, 'Kiosk', 'gateway', '[]', 1, 'token', x'00', 0, NULL)", &[]);
        model.client(&7, "Ann");
        model.client(&"0190b6a0-7c1e-7d43-9a52-3f8d2f0b6c11", "");
        model
    }

    /// Executes a statement.
    pub(super) fn put(&self, statement: &str, values: &[&dyn ToSql]) {
        self.0.prepare_cached(statement).and_then(|mut found| found.execute(values)).expect("it goes into the tables");
    }

    pub(super) fn client(&self, client: &dyn ToSql, name: &str) {
        self.put("INSERT INTO client VALUES (?1, ?2, 0, 0, 0, 0, 0, 0, lower(?2))", &[client, &name]);
    }

    /// A campaign of these codes, which give 5.00 each.
    pub(super) fn campaign(&self, campaign: u32, name: &str, codes: &[&str]) {
        let number = codes.len() as i64;
        self.put(
            "INSERT INTO campaign VALUES
             (?1, ?2, 500, '[]', NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, 1, 0, NULL, ?3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL)",
            &[&campaign, &name, &number],
        );
        self.put("INSERT INTO codes_added VALUES (?1, 0, ?2, ?3, 1, 'created')", &[&campaign, &number, &NOW_MS]);
        for (slot, code) in (0_i64..).zip(codes) {
            self.put("INSERT INTO code VALUES (?1, ?2, ?3, ?3, 0, 0)", &[&campaign, &slot, code]);
        }
    }

    /// An activation at a position by client 7 in club 1, a second after midnight for each position.
    pub(super) fn activate(&self, position: i64, campaign: u32, slot: u32) {
        self.activate_by(position, campaign, slot, &7, 1);
    }

    pub(super) fn activate_by(&self, position: i64, campaign: u32, slot: u32, client: &dyn ToSql, club: u32) {
        let at_ms = NOW_MS + position * 1_000;
        self.put(
            "INSERT INTO code_use VALUES (?1, ?2, 1, 1, ?3, ?3) ON CONFLICT DO UPDATE SET
             activations = activations + 1, ever = ever + 1, last_activation = ?3",
            &[&campaign, &slot, &position],
        );
        self.put(
            "INSERT INTO activation SELECT ?1, ?2, ?3, ?4, ?5, ?6, ever, 500, 1500, 3, ?7, NULL, NULL
             FROM code_use WHERE campaign = ?5 AND slot = ?6",
            &[&position, &at_ms, client, &club, &campaign, &slot, &(position as u128).to_be_bytes()],
        );
        self.put(
            "INSERT INTO campaign_stretch VALUES (?1, ?2, 1) ON CONFLICT DO UPDATE SET activations = activations + 1",
            &[&campaign, &(position / 4_096)],
        );
    }

    /// A refund of an activation, with an uncollected amount.
    pub(super) fn refund(&self, position: i64, activation: i64, uncollected: i64) {
        self.put(
            "INSERT INTO refund SELECT ?1, activation, ?2, campaign, slot, client, amount - ?4, ?4, 0, 3, ?5
             FROM activation WHERE activation = ?3",
            &[&position, &(NOW_MS + position * 1_000), &activation, &uncollected, &(position as u128).to_be_bytes()],
        );
        self.put(
            "UPDATE code_use SET activations = activations - 1 FROM activation a
             WHERE a.activation = ?1 AND code_use.campaign = a.campaign AND code_use.slot = a.slot",
            &[&activation],
        );
    }

    pub(super) fn view(&self) -> View<'_> {
        view_of(&self.0)
    }

    /// Exports into memory.
    pub(super) fn export(&self, export: &Export) -> Result<(Vec<u8>, Done), ExportError> {
        let mut bytes = Vec::new();
        let done = export.run(&self.view(), &mut bytes, &mut |_, _| true)?;
        assert_eq!(done.bytes, bytes.len() as u64, "all bytes are counted");
        Ok((bytes, done))
    }

    /// The fields of a CSV as parsed by a CSV reader, header first.
    #[track_caller]
    pub(super) fn fields(&self, what: What) -> Vec<Vec<String>> {
        let (bytes, done) = self.export(&export(what, Format::Csv)).expect("it is exported");
        assert!(bytes.ends_with(b"\r\n"), "each line has an end");
        let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(&*bytes);
        let records = reader.records().map(|record| record.expect("each row has as many cells as the head"));
        let fields: Vec<Vec<String>> = records.map(|record| record.iter().map(Into::into).collect()).collect();
        assert_eq!(done.rows, fields.len() as u64 - 1, "each row is counted");
        fields
    }

    /// Those fields with commas between them.
    #[track_caller]
    pub(super) fn lines(&self, what: What) -> Vec<String> {
        self.fields(what).iter().map(|fields| fields.join(",")).collect()
    }

    /// Those lines without the header.
    #[track_caller]
    pub(super) fn rows(&self, what: What) -> Vec<String> {
        self.lines(what).split_off(1)
    }
}

/// A view of a database.
pub(super) fn view_of(connection: &Connection) -> View<'_> {
    View { connection, as_of: AsOf::whole(Position(AS_OF), NOW_MS as u64), now_ms: NOW_MS as u64, requests_ms: NOW_MS as u64 }
}

pub(super) fn export(what: What, format: Format) -> Export {
    Export { what, format, byte_order_mark: false, scratch: None, scratch_bytes_max: None }
}

/// The code list of a campaign.
pub(super) fn codes(campaign: u32) -> What {
    What::Codes { campaign: CampaignId(campaign), status: Status::All, usage: Usage::All }
}

/// The log of a campaign, or of all.
pub(super) fn log(campaign: Option<u32>) -> What {
    What::Activations { campaign: campaign.map(CampaignId), from_ms: None, to_ms: None }
}

/// Accepts so many bytes, then fails.
pub(super) struct Full(pub(super) usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        match taken {
            0 if !bytes.is_empty() => Err(io::ErrorKind::StorageFull.into()),
            taken => Ok(taken),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
