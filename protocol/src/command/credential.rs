//! Credentials: who may call, in which role, at which clubs (Z15).

use std::fmt;

use crate::command::NAME_BYTES_MAX;
use crate::ids::{ClubId, CredentialId, Position};
use crate::record::Stamp;
use crate::role::Role;

/// What a credential permits, and to whom.
#[wire_format(serde::Deserialize)]
pub struct Grant {
    /// A name for people to read: 1 to [`NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// The clubs that a gateway is bound to, ascending; empty for all. Other roles name none.
    pub clubs: Vec<ClubId>,
    /// Whether its holder is given the reason why a code is refused. Otherwise every such refusal is the same (Z9).
    pub reasons: bool,
    /// How its holder authenticates.
    pub secret: Secret,
}

/// How the holder of a credential authenticates. Only hashes are stored.
#[wire_format(Copy, Hash, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Secret {
    /// BLAKE3 of a token, sent in the hello.
    Token([u8; 32]) = 1,
    /// BLAKE3 of a client certificate in DER, shown in the handshake (mutual TLS).
    Certificate([u8; 32]) = 2,
}

/// How many clubs a credential may name.
pub const CLUBS_PER_CREDENTIAL_MAX: usize = 1_000;

/// How many credentials there may be, revoked ones included.
pub const CREDENTIALS_MAX: usize = 100_000;

/// The request to add a credential.
#[wire_format(serde::Deserialize)]
pub struct AddCredential {
    /// What it permits.
    pub grant: Grant,
}

/// The answer to [`AddCredential`], in order of precedence.
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum AddCredentialOutcome {
    /// It may be used from now on.
    Added(CredentialId) = 0,
    /// The name is missing or too long.
    InvalidName = 1,
    /// Clubs are named for a role that is not bound to clubs.
    ClubsNotForRole = 2,
    /// More than [`CLUBS_PER_CREDENTIAL_MAX`] clubs are named.
    TooManyClubs = 3,
    /// The organisation has no such club.
    UnknownClub(ClubId) = 4,
    /// Another credential has this token or certificate.
    SecretTaken = 5,
    /// There are [`CREDENTIALS_MAX`].
    TooManyCredentials = 6,
}

/// The record of an added credential.
#[wire_format]
pub struct CredentialAdded {
    /// The request that caused this record; none for the credentials created with the organisation.
    pub stamp: Option<Stamp>,
    /// The number given.
    pub credential: CredentialId,
    /// What it permits.
    pub grant: Grant,
}

/// The request to revoke a credential: its connections are closed, and it is no longer accepted.
#[wire_format(serde::Deserialize)]
pub struct RevokeCredential {
    /// The credential.
    pub credential: CredentialId,
}

/// The answer to [`RevokeCredential`], in order of precedence.
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum RevokeCredentialOutcome {
    /// It is no longer accepted.
    Revoked = 0,
    /// There is no such credential.
    UnknownCredential = 1,
    /// It was already revoked.
    AlreadyRevoked = 2,
    /// It is the last operator's; without it nobody could add another.
    LastOperator = 3,
}

/// The record of a revoked credential.
#[wire_format]
pub struct CredentialRevoked {
    /// The request that caused this record.
    pub stamp: Stamp,
    /// The credential.
    pub credential: CredentialId,
}

/// The request for a page of credentials, in the order of their numbers, at most [`CREDENTIALS_PER_PAGE`].
#[wire_format(serde::Deserialize)]
pub struct ListCredentials {
    /// The credential to continue after; 0 to start from the first.
    pub after: CredentialId,
}

/// Maximum number of credentials in an answer to [`ListCredentials`].
pub const CREDENTIALS_PER_PAGE: usize = 1_000;

/// The answer to [`ListCredentials`].
#[wire_format]
pub struct ListCredentialsOutcome {
    /// The page.
    pub credentials: Vec<CredentialCard>,
    /// The journal position of this result.
    pub as_of: Position,
}

/// A credential, without its secret.
#[wire_format]
pub struct CredentialCard {
    /// Its number, which records name.
    pub credential: CredentialId,
    /// As in [`Grant`].
    pub name: String,
    /// As in [`Grant`].
    pub role: Role,
    /// As in [`Grant`].
    pub clubs: Vec<ClubId>,
    /// As in [`Grant`].
    pub reasons: bool,
    /// Whether it is a certificate; otherwise a token.
    pub certificate: bool,
    /// When it was added, in milliseconds since 1970.
    pub added_ms: u64,
    /// When it was revoked.
    pub revoked_ms: Option<u64>,
}

impl fmt::Display for AddCredentialOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddCredentialOutcome::Added(credential) => write!(f, "added as credential {credential}"),
            AddCredentialOutcome::InvalidName => write!(f, "refused: a credential's name has 1 to {NAME_BYTES_MAX} bytes"),
            AddCredentialOutcome::ClubsNotForRole => f.write_str("refused: only gateways can be bound to clubs"),
            AddCredentialOutcome::TooManyClubs => {
                write!(f, "refused: a credential can name at most {CLUBS_PER_CREDENTIAL_MAX} clubs; leave them out for all")
            }
            AddCredentialOutcome::UnknownClub(club) => write!(f, "refused: the organisation has no club {club}"),
            AddCredentialOutcome::SecretTaken => f.write_str("refused: another credential has this token or certificate"),
            AddCredentialOutcome::TooManyCredentials => write!(f, "refused: there are already {CREDENTIALS_MAX} credentials"),
        }
    }
}

impl fmt::Display for RevokeCredentialOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RevokeCredentialOutcome::Revoked => "revoked",
            RevokeCredentialOutcome::UnknownCredential => "refused: there is no such credential",
            RevokeCredentialOutcome::AlreadyRevoked => "refused: it is already revoked",
            RevokeCredentialOutcome::LastOperator => "refused: this is the last operator credential; add another one first",
        })
    }
}
