//! The identifiers that commands and records carry.
//!
//! Each is a newtype, so that a club cannot be passed for a campaign. Clients have 128-bit ids of the organisation's choosing;
//! clubs, campaigns and credentials have small numbers that the engine assigns, from 1.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// A text that is not a valid identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct InvalidId {
    /// The text.
    pub text: String,
    /// The expected form.
    pub expected: &'static str,
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident, $number:ty, $expected:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $number);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.parse().map($name).map_err(|_| InvalidId { text: text.to_owned(), expected: $expected })
            }
        }
    };
}

number_id! {
    /// A record's position in the journal: the first record has 1. 0 is "before the first".
    Position, u64, "a journal position (a whole number)"
}
number_id! {
    /// A club, numbered from 1 in the order of registration.
    ClubId, u32, "a club number"
}
number_id! {
    /// A campaign, numbered from 1 in the order of creation.
    CampaignId, u32, "a campaign number"
}
number_id! {
    /// A rule, numbered from 1 in the order of creation.
    RuleId, u32, "a rule number"
}
number_id! {
    /// A group of clients, numbered from 1 in the order of registration.
    GroupId, u32, "a group number"
}
number_id! {
    /// A credential of the organisation, numbered from 1. 0 is the engine itself.
    CredentialId, u32, "a credential number"
}

/// A client (player) of the organisation: 128 bits, written as a UUID or as a decimal number.
///
/// A decimal number up to 2^64 - 1 is the id of that value, and such an id is printed in decimal. Each id has exactly one
/// spelling: `0042`, `+42` and 32 digits without hyphens are rejected, because another system may distinguish them from `42` and
/// from the UUID of the same digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct ClientId(pub u128);

/// The id of one mutating request: a UUIDv7 (RFC 9562, section 5.7) that the caller makes and stores before it sends.
///
/// ```
/// use scrip_protocol::RequestId;
/// let id = RequestId::now();
/// assert_eq!(id.to_string().parse::<RequestId>().unwrap(), id);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct RequestId(pub u128);

impl RequestId {
    /// A new id, from the current time and 74 bits of the operating system's generator.
    ///
    /// # Panics
    /// When the operating system cannot provide random numbers.
    pub fn now() -> RequestId {
        RequestId::at(unix_time_ms())
    }

    /// A new id from the time of another clock, such as the engine's, in milliseconds since 1970.
    ///
    /// # Panics
    /// When the operating system cannot provide random numbers.
    pub fn at(time_ms: u64) -> RequestId {
        let mut random = [0; 10];
        getrandom::fill(&mut random).expect("the operating system has a random generator");
        RequestId::from_parts(time_ms, random)
    }

    /// The id of a given time, in milliseconds since 1970, and given random bits.
    pub fn from_parts(time_ms: u64, random: [u8; 10]) -> RequestId {
        RequestId(uuid::Builder::from_unix_timestamp_millis(time_ms, &random).into_uuid().as_u128())
    }

    /// The id of a part of this request, if it is sent as several requests: retrying the whole request under this id retries each
    /// part under its own. Part 0 has this very id. The id of part `n` differs only in its last 62 bits, and so has the same
    /// time: they are this id's last 62 bits plus `n` times 0x9e3779b97f4a7c15, passed through the finaliser of SplitMix64, of
    /// which the lowest 62 bits are used.
    pub fn of_part(self, part: u64) -> RequestId {
        const LAST: u64 = (1 << 62) - 1;
        if part == 0 {
            return self;
        }
        let own = self.0 as u64 & LAST;
        let mixed = own.wrapping_add(part.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let mixed = mixed ^ (mixed >> 31);
        RequestId(self.0 & !u128::from(LAST) | u128::from(mixed & LAST))
    }

    /// Whether this is a UUID of version 7 and of the RFC's variant.
    pub fn is_version_7(self) -> bool {
        (self.0 >> 76) & 0xf == 7 && (self.0 >> 62) & 0b11 == 0b10
    }

    /// The time inside the id, in milliseconds since 1970.
    pub fn time_ms(self) -> u64 {
        (self.0 >> 80) as u64
    }
}

/// The current time of this machine, in milliseconds since 1970.
pub fn unix_time_ms() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u64::try_from(self.0) {
            Ok(number) => fmt::Display::fmt(&number, f),
            Err(_) => fmt::Display::fmt(&Uuid::from_u128(self.0), f),
        }
    }
}

impl FromStr for ClientId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let number = text.parse::<u64>().map(|number| ClientId(number.into()));
        let read = number.or_else(|_| Uuid::parse_str(text).map(|uuid| ClientId(uuid.as_u128())));
        read.ok().filter(|client| client.to_string() == text).ok_or_else(|| InvalidId {
            text: text.to_owned(),
            expected: "a client id: a decimal number up to 18446744073709551615 without sign or leading zeros, or else a UUID in \
                       lower case with hyphens",
        })
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Uuid::from_u128(self.0), f)
    }
}

impl FromStr for RequestId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match Uuid::parse_str(text) {
            Ok(uuid) => Ok(RequestId(uuid.as_u128())),
            Err(_) => Err(InvalidId { text: text.to_owned(), expected: "a request id (a UUID of version 7)" }),
        }
    }
}

macro_rules! serde_as_text {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use serde_as_text;
serde_as_text!(ClientId);
serde_as_text!(RequestId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_ids_have_one_spelling() {
        for text in ["0", "42", "18446744073709551615", "0190b6a0-7c1e-7d43-9a52-3f8d2f0b6c11"] {
            assert_eq!(text.parse::<ClientId>().map(|id| id.to_string()).as_deref(), Ok(text));
            assert_eq!(serde_json::from_value::<ClientId>(text.into()).ok(), text.parse().ok());
        }
        for text in [
            "",
            "-1",
            "ann",
            "18446744073709551616",
            "0042",
            "00",
            "+42",
            "-0",
            " 42",
            "42 ",
            "4_2",
            "0190b6a07c1e7d439a523f8d2f0b6c11",
            "11112222333344445555666677778888",
            "0190B6A0-7C1E-7D43-9A52-3F8D2F0B6C11",
            "0190b6a0-7c1e-7d43-9a52-3f8d2f0b6C11",
            "{0190b6a0-7c1e-7d43-9a52-3f8d2f0b6c11}",
            "urn:uuid:0190b6a0-7c1e-7d43-9a52-3f8d2f0b6c11",
            // Its canonical spelling is 42.
            "00000000-0000-0000-0000-00000000002a",
        ] {
            let refused = text.parse::<ClientId>().expect_err(text).to_string();
            assert!(refused.starts_with(&format!("{text:?} is not a client id")), "{refused}");
            assert!(refused.contains("without sign or leading zeros, or else a UUID in lower case with hyphens"), "{refused}");
            assert!(serde_json::from_value::<ClientId>(text.into()).is_err(), "{text}");
        }
    }

    #[test]
    fn request_ids_carry_their_time_and_version() {
        let id = RequestId::from_parts(1_790_000_000_123, [0xff; 10]);
        assert_eq!(id.time_ms(), 1_790_000_000_123);
        assert!(id.is_version_7());
        assert!(!RequestId(id.0 & !(0xf << 76)).is_version_7());
        assert!(!RequestId(0).is_version_7());
        assert_ne!(RequestId::now(), RequestId::now());
    }

    /// Z3: a later release must derive the same ids for the parts of a retried request, so these ids never change.
    #[test]
    fn parts_have_their_own_ids_with_the_same_time() {
        let whole = RequestId::from_parts(1_790_000_000_123, [0xff; 10]);
        assert_eq!(whole.of_part(0), whole);
        assert_eq!(whole.of_part(1).to_string(), "01a0c450-6c7b-7fff-83df-0885536978a6");
        assert_eq!(whole.of_part(2).to_string(), "01a0c450-6c7b-7fff-9010-18cc4a4cadfd");
        // Ids that were incremented by hand do not collide with each other's parts.
        let ids: Vec<RequestId> = (0..100).flat_map(|n| (0..100).map(move |part| RequestId(whole.0 - n).of_part(part))).collect();
        assert!(ids.iter().all(|id| id.is_version_7() && id.time_ms() == whole.time_ms()));
        assert_eq!(ids.iter().collect::<std::collections::HashSet<_>>().len(), ids.len());
    }
}
