//! Credentials: who may call, in which role, at which clubs (Z15).

use std::fmt;

use crate::command::NAME_BYTES_MAX;
use crate::ids::{ClubId, CredentialId, Position};
use crate::record::Stamp;
use crate::role::Role;

/// What a credential permits, and to whom.
#[wire_format(serde::Deserialize)]
pub struct Grant {
    /// Who it is for, as people call them: 1 to [`NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// The clubs at which a gateway may do it, ascending; empty for all. Other roles name none.
    pub clubs: Vec<ClubId>,
    /// Whether its holder is told why a code is refused. One that is not gets the same refusal for each (Z9).
    pub reasons: bool,
    /// How its holder is known.
    pub secret: Secret,
}

/// How the holder of a credential is known. Only hashes are kept.
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
    /// The request that asked for it; none for those that the organisation began with.
    pub stamp: Option<Stamp>,
    /// The number given.
    pub credential: CredentialId,
    /// What it permits.
    pub grant: Grant,
}

/// The request to revoke a credential: its connections are closed, and it is not taken any more.
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
    /// It is not taken any more.
    Revoked = 0,
    /// There is no such credential.
    UnknownCredential = 1,
    /// It was revoked before.
    AlreadyRevoked = 2,
    /// It is the last operator's, without whom nobody could add another.
    LastOperator = 3,
}

/// The record of a revoked credential.
#[wire_format]
pub struct CredentialRevoked {
    /// The request that asked for it.
    pub stamp: Stamp,
    /// The credential.
    pub credential: CredentialId,
}

/// The request for the credentials after one, in the order of their numbers, [`CREDENTIALS_PER_PAGE`] at the most.
#[wire_format(serde::Deserialize)]
pub struct ListCredentials {
    /// The credential to continue after; 0 from the first.
    pub after: CredentialId,
}

/// How many credentials an answer to [`ListCredentials`] holds at the most.
pub const CREDENTIALS_PER_PAGE: usize = 1_000;

/// The answer to [`ListCredentials`].
#[wire_format]
pub struct ListCredentialsOutcome {
    /// The page.
    pub credentials: Vec<CredentialCard>,
    /// The journal position that it is as of.
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
    /// Whether it is a certificate's; otherwise a token's.
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
