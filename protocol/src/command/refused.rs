//! Records of refused commands that have no refusal record of their own.

use crate::ids::{CampaignId, ClientId, ClubId, Position};
use crate::record::Stamp;

/// The record of a refused command. It stores the reply, so that a retry gets the same one, and what the request was about.
///
/// Redeem, hold and confirm have refusal records of their own.
#[wire_format]
pub struct RequestRefused {
    /// The request.
    pub stamp: Stamp,
    /// The number of the command's [`Kind`](crate::Kind); in JSON, its word.
    #[serde(serialize_with = "word_of")]
    pub kind: u16,
    /// What the request was about.
    pub subject: Subject,
    /// The outcome's bytes; in JSON, in hexadecimal.
    #[serde(serialize_with = "hexadecimal")]
    pub reply: Vec<u8>,
}

/// What a request is about: the fields that it carries itself, or those of the operation that it names. Nothing is added from an
/// operation of another credential that the caller may not name.
#[wire_format(Default)]
pub struct Subject {
    /// The client.
    pub client: Option<ClientId>,
    /// The club.
    pub club: Option<ClubId>,
    /// The normalised code. A list of several codes has none here.
    pub code: Option<String>,
    /// The campaign.
    pub campaign: Option<CampaignId>,
    /// The position of the activation, top-up, payment or hold that the request names.
    pub operation: Option<Position>,
}

/// The same record in journals of older versions. Engines no longer write it.
#[wire_format]
pub struct Refused {
    /// The request.
    pub stamp: Stamp,
    /// The number of the command's [`Kind`](crate::Kind); in JSON, its word.
    #[serde(serialize_with = "word_of")]
    pub kind: u16,
    /// The outcome's bytes; in JSON, in hexadecimal.
    #[serde(serialize_with = "hexadecimal")]
    pub reply: Vec<u8>,
}

fn word_of<S: serde::Serializer>(kind: &u16, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(crate::Kind::from_number(*kind).map_or("unknown", crate::Kind::word))
}

fn hexadecimal<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}
