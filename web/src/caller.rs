//! Who calls, by bearer token, and what the role permits (Z15).
//!
//! Tokens are the engine's. An [`Authority`] looks them up by their hashes.

use std::future::Future;

use axum::http::{HeaderMap, header};
use scrip_protocol::Role;

use crate::problem::{Kind, Problem};

/// The hash of a token; the token itself is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token([u8; 32]);

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The credential.
    pub credential: u32,
    /// Its role.
    pub role: Role,
    /// Whether the caller learns why a code is refused.
    pub reasons: bool,
}

/// Authenticates callers: the state of an interface's routes.
pub trait Authority: Send + Sync {
    /// Authenticates the holder of a token.
    ///
    /// # Errors
    /// If the token is missing or invalid, its role is not one of these, or the lookup fails.
    fn authenticate(&self, token: Option<Token>, roles: &'static [Role]) -> impl Future<Output = Result<Caller, Problem>> + Send;
}

impl Token {
    /// The bearer token in the headers; none if it is missing or repeated, or uses another scheme.
    pub fn of(headers: &HeaderMap) -> Option<Token> {
        let mut all = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(one), None) = (all.next(), all.next()) else { return None };
        let (scheme, token) = one.as_bytes().split_at_checked(7)?;
        let token = token.trim_ascii();
        (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then(|| Token(*blake3::hash(token).as_bytes()))
    }

    /// The hash, as stored in the journal.
    pub fn hash(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Caller {
    /// The caller, if its role is one of these.
    ///
    /// # Errors
    /// If it has another role.
    pub fn permitted(self, roles: &[Role]) -> Result<Caller, Problem> {
        let role = self.role;
        if roles.contains(&role) {
            return Ok(self);
        }
        let permitted: Vec<_> = roles.iter().map(|role| role.word()).collect();
        Err(Problem::new(Kind::FORBIDDEN, format!("permitted roles: {}; this token's role: {role}", permitted.join(", "))))
    }
}

/// The token is missing or not valid.
pub fn unauthorised() -> Problem {
    Problem::new(Kind::UNAUTHORISED, "send `Authorization: Bearer` with a valid token")
}
