//! Lockouts: clients, networks and credentials with too many failed attempts, as operators see and lift them (Z9).
//!
//! Lockouts belong to the running process: no record begins one, and a restart ends them all. So lifting one changes nothing that the
//! journal could recompute, and leaves no record either: the engine logs who lifted what.

use std::fmt;
use std::str::FromStr;

use crate::ids::{ClientId, CredentialId, InvalidId};
use crate::network::ClientNetwork;

/// How many lockouts one [`ListLockouts`] returns.
pub const LOCKOUTS_PER_PAGE: usize = 1_000;

/// The request for the current lockouts.
#[wire_format(serde::Deserialize)]
pub struct ListLockouts {
    /// Of one kind only.
    pub kind: Option<LockoutKind>,
}

/// The answer to [`ListLockouts`].
#[wire_format]
pub struct ListLockoutsOutcome {
    /// The first [`LOCKOUTS_PER_PAGE`] of them: credentials, clients at every credential, clients at one,
    /// networks likewise; each in the order of their ends.
    pub lockouts: Vec<Lockout>,
    /// How many there are.
    pub total: u64,
    /// The engine's time, in milliseconds since 1970.
    pub now_ms: u64,
}

/// A lockout.
#[wire_format(Copy)]
pub struct Lockout {
    /// Who is locked out.
    #[serde(flatten)]
    pub key: LockoutKey,
    /// When it ends, in milliseconds since 1970.
    pub until_ms: u64,
    /// The credential whose failed attempt began it.
    pub caused_by: CredentialId,
    /// Whether it holds at every credential, or only at the one that caused it.
    pub everywhere: bool,
}

/// What is locked out.
#[wire_format(Copy, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum LockoutKind {
    /// A credential.
    Credential = 0,
    /// A client.
    Client = 1,
    /// A network of clients.
    Network = 2,
}

/// Who is locked out.
#[wire_format(Copy, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum LockoutKey {
    /// A credential.
    Credential(CredentialId) = 0,
    /// A client.
    Client(ClientId) = 1,
    /// A network of clients.
    Network(ClientNetwork) = 2,
}

/// The request to lift lockouts. Those whose lockout is lifted have a full budget of failed attempts again, at every credential.
/// Lifting all of a kind resets that budget for everybody of the kind.
#[wire_format(serde::Deserialize)]
pub struct LiftLockouts {
    /// Which.
    pub which: WhichLockouts,
}

/// The lockouts that a [`LiftLockouts`] is about.
#[wire_format(Copy, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum WhichLockouts {
    /// One.
    Of(LockoutKey) = 0,
    /// All of a kind.
    AllOf(LockoutKind) = 1,
}

/// The answer to [`LiftLockouts`].
#[wire_format]
pub struct LiftLockoutsOutcome {
    /// How many were lifted; 0 if there was none.
    pub lifted: u64,
}

impl LockoutKind {
    /// Every kind.
    pub const ALL: [LockoutKind; 3] = [LockoutKind::Credential, LockoutKind::Client, LockoutKind::Network];

    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            LockoutKind::Credential => "credential",
            LockoutKind::Client => "client",
            LockoutKind::Network => "network",
        }
    }

    /// The key of this kind that a text names.
    ///
    /// # Errors
    /// When it names none.
    pub fn key(self, text: &str) -> Result<LockoutKey, InvalidId> {
        Ok(match self {
            LockoutKind::Credential => LockoutKey::Credential(text.parse()?),
            LockoutKind::Client => LockoutKey::Client(text.parse()?),
            LockoutKind::Network => LockoutKey::Network(text.parse()?),
        })
    }
}

impl LockoutKey {
    /// What it is.
    pub const fn kind(self) -> LockoutKind {
        match self {
            LockoutKey::Credential(_) => LockoutKind::Credential,
            LockoutKey::Client(_) => LockoutKind::Client,
            LockoutKey::Network(_) => LockoutKind::Network,
        }
    }

    /// Its id, as text.
    pub fn id(self) -> String {
        match self {
            LockoutKey::Credential(credential) => credential.to_string(),
            LockoutKey::Client(client) => client.to_string(),
            LockoutKey::Network(network) => network.to_string(),
        }
    }
}

impl fmt::Display for LockoutKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind().word(), self.id())
    }
}

impl FromStr for LockoutKind {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<LockoutKind, InvalidId> {
        let named = LockoutKind::ALL.into_iter().find(|kind| kind.word() == text);
        named.ok_or_else(|| InvalidId { text: text.to_owned(), expected: "credential, client or network" })
    }
}
