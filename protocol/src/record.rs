//! Records: what the journal holds. The state of the engine is what its records make it, and nothing else.
//!
//! `records!` below is the one table of them, by group. A row's number never changes; a record that needs other fields gets a new row. The
//! brackets name the field with the [`Stamp`]; they are empty for a record that no request makes.

use crate::codes::{CodeForm, RecordedForm};
use crate::command::NAME_BYTES_MAX;
use crate::command::{
    Activation, ActivationRefunded, BonusChanged, CampaignArchived, CampaignCreated, CampaignRestored, CampaignSwitched,
    CampaignUpdated, ClientRegistered, ClubRegistered, CodeHeld, CodesAdded, CodesArchived, CodesGenerated, CodesRestored,
    ConfirmationRefused, CredentialAdded, CredentialRevoked, GroupRegistered, HoldConfirmed, HoldRefused, HoldReleased,
    ReaderForgotten, ReaderKept, ReaderRegistered, RedemptionRefused, Refused, RequestRefused, RuleArchived, RuleRestored,
    RuleSaved, RuleSwitched, Spent, TopUpRefunded, ToppedUp,
};
use crate::ids::{CredentialId, Position, RequestId};
use crate::malformed::Malformed;
use crate::wire;

/// Which request a record comes from, and who sent it.
#[wire_format(Copy)]
pub struct Stamp {
    /// The request.
    pub request: RequestId,
    /// The hash of the request's meaning ([`AnyCommand::meaning`](crate::command::AnyCommand::meaning)); in JSON, in hexadecimal. In the first
    /// journals, up to their first `settings-set`, it is one of the request's bytes.
    #[serde(serialize_with = "hexadecimal")]
    pub body: u64,
    /// Whose request it was.
    pub credential: CredentialId,
}

/// JSON's readers are not bound to keep more than 53 bits of a number.
fn hexadecimal<S: serde::Serializer>(hash: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{hash:016x}"))
}

/// The settings of the organisation. They decide outcomes, so they are records: the first record of a journal, and another
/// whenever the engine starts with other ones.
#[wire_format(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The organisation's name.
    pub organisation: String,
    /// The currency of every amount (ISO 4217).
    pub currency: String,
    /// How long a request id is remembered, in milliseconds of the id's own time (Z3).
    pub request_window_ms: u64,
    /// How far ahead of the engine's clock a request id's time may be, in milliseconds.
    pub request_skew_ms: u64,
    /// Maximum number of remembered request ids. Beyond it the oldest are forgotten early, and refused as too old.
    pub requests_max: u64,
    /// How many codes a campaign may hold (A2).
    pub codes_per_campaign_max: u32,
}

/// The most codes that a campaign may hold, whatever the settings say: the record of a restored campaign has 4 bytes for each code in conflict,
/// and a tail takes it in one frame ([`REPLY_BYTES_MAX`](crate::frame::REPLY_BYTES_MAX)).
pub const CODES_PER_CAMPAIGN_MAX: u32 = 4_000_000;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// A setting that an engine does not start with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("settings.{key} is {value}; it must be {range}")]
pub struct InvalidSetting {
    /// Which.
    pub key: &'static str,
    /// What it is.
    pub value: String,
    /// What it may be.
    pub range: String,
}

impl Settings {
    /// How many codes a campaign may hold; less than the settings say where a journal has some from before there was a limit.
    pub fn codes_per_campaign(&self) -> u32 {
        self.codes_per_campaign_max.min(CODES_PER_CAMPAIGN_MAX)
    }

    /// Whether an engine may start with these.
    ///
    /// # Errors
    /// The first setting that is out of its range.
    pub fn check(&self) -> Result<(), InvalidSetting> {
        let text = |key, value: &str, is_valid: bool, range: &str| match is_valid {
            true => Ok(()),
            false => Err(InvalidSetting { key, value: format!("{value:?}"), range: range.to_owned() }),
        };
        let within = |key, value: u64, least: u64, most: u64| match (least..=most).contains(&value) {
            true => Ok(()),
            false => Err(InvalidSetting { key, value: value.to_string(), range: format!("{least} to {most}") }),
        };
        let organisation = self.organisation.as_str();
        let is_name = !organisation.trim().is_empty() && organisation.len() <= NAME_BYTES_MAX;
        text("organisation", organisation, is_name, "a name of 1 to 200 bytes")?;
        let is_currency = self.currency.len() == 3 && self.currency.bytes().all(|letter| letter.is_ascii_uppercase());
        text("currency", &self.currency, is_currency, "three capital letters, such as EUR (ISO 4217)")?;
        within("request_window_ms", self.request_window_ms, 60_000, 31 * DAY_MS)?;
        within("request_skew_ms", self.request_skew_ms, 0, DAY_MS)?;
        within("requests_max", self.requests_max, 1, u32::MAX.into())?;
        within("codes_per_campaign_max", self.codes_per_campaign_max.into(), 1, CODES_PER_CAMPAIGN_MAX.into())
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            organisation: "Organisation".into(),
            currency: "EUR".into(),
            request_window_ms: 24 * 60 * 60 * 1000,
            request_skew_ms: 60 * 1000,
            requests_max: 50_000_000,
            codes_per_campaign_max: 50_000,
        }
    }
}

/// The record of the settings of the first journals, whose codes have the form [`CodeForm::CaseFolded`](crate::codes::CodeForm). It is read,
/// and no longer written.
#[wire_format]
pub struct SettingsApplied {
    /// The settings.
    pub settings: Settings,
}

/// The record of the settings that hold from here on.
#[wire_format]
pub struct SettingsSet {
    /// The settings.
    pub settings: Settings,
    /// The form in which codes are compared, which never changes in a journal, and the version of Unicode, which may rise.
    pub codes: RecordedForm,
}

impl SettingsSet {
    /// The settings of a new organisation.
    pub fn new(settings: Settings) -> SettingsSet {
        SettingsSet { settings, codes: RecordedForm::of(CodeForm::CURRENT) }
    }
}

/// A record of one kind: a type that has a row in the table.
pub trait OneRecord: wire::Wire {
    /// The number of its kind.
    const KIND: u16;
    /// Its word.
    const WORD: &str;
}

macro_rules! records {
    ($($(#[doc = $about:literal])* $group:ident($members:ident) {
        $($number:literal $name:ident $word:literal [$($stamp:tt)*];)*
    })*) => {
        /// Any one record.
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        #[serde(tag = "record", rename_all = "snake_case")]
        pub enum Record {
            $($(#[doc = concat!("`", $word, "`")] $name($name),)*)*
        }

        impl Record {
            /// The number of the record's kind.
            pub const fn kind(&self) -> u16 {
                match self { $($(Record::$name(_) => $number,)*)* }
            }

            /// The word of a kind of record, by its number.
            pub const fn word_of(kind: u16) -> Option<&'static str> {
                match kind {
                    $($($number => Some($word),)*)*
                    _ => None,
                }
            }

            /// The record by its group, so that a `match` can pass over a whole group at once.
            #[inline]
            pub const fn by_group(&self) -> RecordGroup<'_> {
                match self { $($(Record::$name(record) => RecordGroup::$group($members::$name(record)),)*)* }
            }

            /// The request that the record comes from; none for one that the engine made by itself.
            pub const fn stamp(&self) -> Option<&Stamp> {
                match self { $($(Record::$name(record) => records!(@stamp record $($stamp)*),)*)* }
            }

            /// Appends the record's bytes.
            pub fn encode(&self, out: &mut Vec<u8>) {
                match self { $($(Record::$name(record) => wire::encode(record, out),)*)* }
            }

            /// Checks and decodes a record of a kind.
            ///
            /// # Errors
            /// When the kind is not known or the bytes are not such a record.
            pub fn decode(kind: u16, bytes: &[u8]) -> Result<Record, Malformed> {
                match kind {
                    $($($number => wire::decode($word, bytes).map(Record::$name),)*)*
                    _ => Err(Malformed::UnknownKind(kind)),
                }
            }
        }

        /// The groups of records.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum RecordTopic {
            $($(#[doc = $about])* $group,)*
        }

        impl RecordTopic {
            /// What a kind of record is about, by its word.
            pub fn of_word(word: &str) -> Option<RecordTopic> {
                match word {
                    $($($word => Some(RecordTopic::$group),)*)*
                    _ => None,
                }
            }
        }

        /// A record by its group.
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub enum RecordGroup<'a> {
            $($(#[doc = $about])* $group($members<'a>),)*
        }

        $($(#[doc = $about])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub enum $members<'a> {
            $(#[doc = concat!("`", $word, "`")] $name(&'a $name),)*
        })*

        $($(impl From<$name> for Record {
            fn from(record: $name) -> Record { Record::$name(record) }
        }

        impl OneRecord for $name {
            const KIND: u16 = $number;
            const WORD: &str = $word;
        }

        impl TryFrom<Record> for $name {
            type Error = Record;
            /// The record, if it is of this kind; otherwise it comes back.
            fn try_from(record: Record) -> Result<$name, Record> {
                if let Record::$name(record) = record { Ok(record) } else { Err(record) }
            }
        })*)*
    };
    (@stamp $record:ident) => {{
        let _ = $record;
        None
    }};
    (@stamp $record:ident optional $field:ident) => { $record.$field.as_ref() };
    (@stamp $record:ident $($field:ident).+) => { Some(&$record$(.$field)+) };
}

records! {
    /// The settings.
    Settings(SettingsRecord) {
         1 SettingsApplied     "settings-applied"     [];
         3 SettingsSet         "settings-set"         [];
    }
    /// Refused commands. They change nothing but what is remembered of the request.
    Refusal(RefusalRecord) {
         2 Refused             "refused"              [stamp];
         4 RequestRefused      "request-refused"      [stamp];
        11 RedemptionRefused   "redemption-refused"   [stamp];
        13 HoldRefused         "hold-refused"         [stamp];
        15 ConfirmationRefused "confirmation-refused" [stamp];
    }
    /// Activations, holds and their refunds.
    Redemption(RedemptionRecord) {
        10 Activation          "activation"           [stamp];
        12 CodeHeld            "code-held"            [stamp];
        14 HoldConfirmed       "hold-confirmed"       [activation.stamp];
        16 HoldReleased        "hold-released"        [stamp];
        17 ActivationRefunded  "activation-refunded"  [stamp];
    }
    /// Clubs and groups.
    Directory(DirectoryRecord) {
        20 ClubRegistered      "club-registered"      [stamp];
        21 GroupRegistered     "group-registered"     [stamp];
    }
    /// Clients.
    Client(ClientRecord) {
        30 ClientRegistered    "client-registered"    [stamp];
    }
    /// Campaigns and their codes.
    Campaign(CampaignRecord) {
        40 CampaignCreated     "campaign-created"     [stamp];
        41 CodesAdded          "codes-added"          [stamp];
        42 CampaignSwitched    "campaign-switched"    [stamp];
        43 CampaignUpdated     "campaign-updated"     [stamp];
        44 CampaignArchived    "campaign-archived"    [stamp];
        45 CampaignRestored    "campaign-restored"    [stamp];
        50 CodesGenerated      "codes-generated"      [stamp];
        51 CodesArchived       "codes-archived"       [stamp];
        52 CodesRestored       "codes-restored"       [stamp];
    }
    /// Credentials.
    Credential(CredentialRecord) {
        60 CredentialAdded     "credential-added"     [optional stamp];
        61 CredentialRevoked   "credential-revoked"   [stamp];
    }
    /// Clients' balances.
    Account(AccountRecord) {
        70 ToppedUp            "topped-up"            [stamp];
        71 TopUpRefunded       "top-up-refunded"      [stamp];
        72 BonusChanged        "bonus-changed"        [stamp];
        73 Spent               "spent"                [stamp];
    }
    /// Rules of top-ups.
    Rule(RuleRecord) {
        80 RuleSaved           "rule-saved"           [stamp];
        81 RuleSwitched        "rule-switched"        [stamp];
        82 RuleArchived        "rule-archived"        [stamp];
        83 RuleRestored        "rule-restored"        [stamp];
    }
    /// Who reads the journal, and how far each reader has read.
    Reader(ReaderRecord) {
        90 ReaderKept          "reader-kept"          [stamp];
        91 ReaderForgotten     "reader-forgotten"     [stamp];
        92 ReaderRegistered    "reader-registered"    [stamp];
    }
}

/// Whether records of a kind say only who reads the journal, and how far each reader has read. A reader that has everything else is up to
/// date: each time it says so is another record of these.
pub const fn is_about_readers(kind: u16) -> bool {
    matches!(kind, ReaderKept::KIND | ReaderForgotten::KIND | ReaderRegistered::KIND)
}

/// A record of the journal as it is printed, one JSON object a line. The record's own fields stand beside these, under other names.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct JournalLine<'a> {
    /// Its position.
    pub position: Position,
    /// The time of its batch, in milliseconds since 1970.
    pub at_ms: u64,
    /// The record.
    #[serde(flatten)]
    pub record: &'a Record,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{CONFLICTS_SHOWN, CampaignRestored, CodeConflict, SHOWN_CHARS_MAX};
    use crate::frame::REPLY_BYTES_MAX;
    use crate::ids::CampaignId;

    /// A setting out of its range is named with its value and its range.
    #[test]
    fn every_setting_has_a_range() {
        assert_eq!(Settings::default().check(), Ok(()));
        let change = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            settings.check().map_err(|error| error.to_string())
        };
        for (result, expected) in [
            (change(|settings| settings.organisation = " ".into()), "organisation is \" \"; it must be a name of 1 to 200 bytes"),
            (change(|settings| settings.organisation = "x".repeat(200)), ""),
            (
                change(|settings| settings.currency = "eur".into()),
                "currency is \"eur\"; it must be three capital letters, such as EUR (ISO 4217)",
            ),
            (
                change(|settings| settings.request_window_ms = 59_999),
                "request_window_ms is 59999; it must be 60000 to 2678400000",
            ),
            (change(|settings| settings.request_window_ms = 60_000), ""),
            (
                change(|settings| settings.request_window_ms = u64::MAX),
                "request_window_ms is 18446744073709551615; it must be 60000 to 2678400000",
            ),
            (change(|settings| settings.request_skew_ms = 86_400_001), "request_skew_ms is 86400001; it must be 0 to 86400000"),
            (change(|settings| settings.requests_max = 0), "requests_max is 0; it must be 1 to 4294967295"),
            (change(|settings| settings.requests_max = 1 << 32), "requests_max is 4294967296; it must be 1 to 4294967295"),
            (change(|settings| settings.codes_per_campaign_max = 0), "codes_per_campaign_max is 0; it must be 1 to 4000000"),
            (
                change(|settings| settings.codes_per_campaign_max = 4_000_001),
                "codes_per_campaign_max is 4000001; it must be 1 to 4000000",
            ),
            (change(|settings| settings.codes_per_campaign_max = 4_000_000), ""),
        ] {
            let expected = if expected.is_empty() { Ok(()) } else { Err(format!("settings.{expected}")) };
            assert_eq!(result, expected);
        }
        assert!(change(|settings| settings.organisation = "x".repeat(201)).is_err());
    }

    /// The largest record that a campaign's size decides fits a frame, with the rest of a batch.
    #[test]
    fn the_record_of_the_largest_restore_fits_a_frame() {
        let stamp = Stamp { request: RequestId(0), body: 0, credential: CredentialId(1) };
        let first = CodeConflict { slot: 0, code: "\u{1d54f}".repeat(SHOWN_CHARS_MAX), held_by: CampaignId(1) };
        let conflicts = (0..CODES_PER_CAMPAIGN_MAX).collect();
        let restored =
            CampaignRestored { stamp, campaign: CampaignId(1), restored: 0, conflicts, first: vec![first; CONFLICTS_SHOWN] };
        let mut bytes = Vec::new();
        Record::from(restored).encode(&mut bytes);
        assert!(bytes.len() + (256 << 10) <= REPLY_BYTES_MAX, "{} bytes", bytes.len());
    }
}
