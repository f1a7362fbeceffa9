//! Records: what the journal holds. The state of the engine is what its records make it, and nothing else.
//!
//! `records!` below is the one table of them. A row's number never changes; a record that needs other fields gets a new row.

use crate::command::{
    Activation, ActivationRefunded, BonusChanged, CampaignArchived, CampaignCreated, CampaignRestored, CampaignSwitched,
    CampaignUpdated, ClientRegistered, ClubRegistered, CodeHeld, CodesAdded, CodesArchived, CodesGenerated, CodesRestored,
    ConfirmationRefused, CredentialAdded, CredentialRevoked, GroupRegistered, HoldConfirmed, HoldRefused, HoldReleased,
    ReaderForgotten, ReaderKept, RedemptionRefused, Refused, RuleArchived, RuleRestored, RuleSaved, RuleSwitched, Spent,
    TopUpRefunded, ToppedUp,
};
use crate::frame::Malformed;
use crate::ids::{CredentialId, RequestId};
use crate::wire;

/// Which request a record comes from, and who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, serde::Serialize)]
pub struct Stamp {
    /// The request.
    pub request: RequestId,
    /// The hash of what was asked ([`RequestFrame::body_hash`](crate::frame::RequestFrame::body_hash)); in JSON, in hexadecimal.
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
#[derive(
    Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, serde::Serialize, serde::Deserialize,
)]
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
    /// How many request ids are remembered at the most. Past it the oldest are forgotten early, and refused as too old.
    pub requests_max: u64,
    /// How many codes a campaign may hold (A2).
    pub codes_per_campaign_max: u32,
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

/// The record of the settings that hold from here on.
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, serde::Serialize)]
pub struct SettingsApplied {
    /// The settings.
    pub settings: Settings,
}

/// A record of one kind: a type that has a row in the table.
pub trait OneRecord: wire::Wire {
    /// The number of its kind.
    const KIND: u16;
    /// Its word.
    const WORD: &str;
}

macro_rules! records {
    ($($number:literal $name:ident $word:literal;)*) => {
        /// Any one record.
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        #[serde(tag = "record", rename_all = "snake_case")]
        pub enum Record {
            $(#[doc = concat!("`", $word, "`")] $name($name),)*
        }

        impl Record {
            /// The number of the record's kind.
            pub const fn kind(&self) -> u16 {
                match self { $(Record::$name(_) => $number,)* }
            }

            /// The word of a kind of record, by its number.
            pub const fn word_of(kind: u16) -> Option<&'static str> {
                match kind {
                    $($number => Some($word),)*
                    _ => None,
                }
            }

            /// Appends the record's bytes.
            pub fn encode(&self, out: &mut Vec<u8>) {
                match self { $(Record::$name(record) => wire::encode(record, out),)* }
            }

            /// Checks and decodes a record of a kind.
            ///
            /// # Errors
            /// When the kind is not known or the bytes are not such a record.
            pub fn decode(kind: u16, bytes: &[u8]) -> Result<Record, Malformed> {
                match kind {
                    $($number => wire::decode($word, bytes).map(Record::$name),)*
                    _ => Err(Malformed::UnknownKind(kind)),
                }
            }
        }

        $(impl From<$name> for Record {
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
        })*
    };
}

records! {
     1 SettingsApplied    "settings-applied";
     2 Refused            "refused";
    10 Activation         "activation";
    11 RedemptionRefused  "redemption-refused";
    12 CodeHeld           "code-held";
    13 HoldRefused        "hold-refused";
    14 HoldConfirmed      "hold-confirmed";
    15 ConfirmationRefused "confirmation-refused";
    16 HoldReleased       "hold-released";
    17 ActivationRefunded "activation-refunded";
    20 ClubRegistered     "club-registered";
    21 GroupRegistered    "group-registered";
    30 ClientRegistered   "client-registered";
    40 CampaignCreated    "campaign-created";
    41 CodesAdded         "codes-added";
    42 CampaignSwitched   "campaign-switched";
    43 CampaignUpdated    "campaign-updated";
    44 CampaignArchived   "campaign-archived";
    45 CampaignRestored   "campaign-restored";
    50 CodesGenerated     "codes-generated";
    51 CodesArchived      "codes-archived";
    52 CodesRestored      "codes-restored";
    60 CredentialAdded    "credential-added";
    61 CredentialRevoked  "credential-revoked";
    70 ToppedUp           "topped-up";
    71 TopUpRefunded      "top-up-refunded";
    72 BonusChanged       "bonus-changed";
    73 Spent              "spent";
    80 RuleSaved          "rule-saved";
    81 RuleSwitched       "rule-switched";
    82 RuleArchived       "rule-archived";
    83 RuleRestored       "rule-restored";
    90 ReaderKept         "reader-kept";
    91 ReaderForgotten    "reader-forgotten";
}

impl Record {
    /// The request that the record comes from; none for one that the engine made by itself.
    pub const fn stamp(&self) -> Option<&Stamp> {
        match self {
            Record::SettingsApplied(_) => None,
            Record::Refused(record) => Some(&record.stamp),
            Record::Activation(record) => Some(&record.stamp),
            Record::RedemptionRefused(record) => Some(&record.stamp),
            Record::CodeHeld(record) => Some(&record.stamp),
            Record::HoldRefused(record) => Some(&record.stamp),
            Record::HoldConfirmed(record) => Some(&record.activation.stamp),
            Record::ConfirmationRefused(record) => Some(&record.stamp),
            Record::HoldReleased(record) => Some(&record.stamp),
            Record::ActivationRefunded(record) => Some(&record.stamp),
            Record::ClubRegistered(record) => Some(&record.stamp),
            Record::GroupRegistered(record) => Some(&record.stamp),
            Record::ClientRegistered(record) => Some(&record.stamp),
            Record::CampaignCreated(record) => Some(&record.stamp),
            Record::CodesAdded(record) => Some(&record.stamp),
            Record::CampaignSwitched(record) => Some(&record.stamp),
            Record::CampaignUpdated(record) => Some(&record.stamp),
            Record::CampaignArchived(record) => Some(&record.stamp),
            Record::CampaignRestored(record) => Some(&record.stamp),
            Record::CodesGenerated(record) => Some(&record.stamp),
            Record::CodesArchived(record) => Some(&record.stamp),
            Record::CodesRestored(record) => Some(&record.stamp),
            Record::CredentialAdded(record) => record.stamp.as_ref(),
            Record::CredentialRevoked(record) => Some(&record.stamp),
            Record::ToppedUp(record) => Some(&record.stamp),
            Record::TopUpRefunded(record) => Some(&record.stamp),
            Record::BonusChanged(record) => Some(&record.stamp),
            Record::Spent(record) => Some(&record.stamp),
            Record::RuleSaved(record) => Some(&record.stamp),
            Record::RuleSwitched(record) => Some(&record.stamp),
            Record::RuleArchived(record) => Some(&record.stamp),
            Record::RuleRestored(record) => Some(&record.stamp),
            Record::ReaderKept(record) => Some(&record.stamp),
            Record::ReaderForgotten(record) => Some(&record.stamp),
        }
    }
}
