//! Who calls, by bearer token, and what the role permits (Z15).
//!
//! Tokens are those of the engine. An [`Authority`] looks them up, by their hashes.

use std::future::Future;

use axum::http::{HeaderMap, header};
use scrip_protocol::Role;

use crate::problem::{Kind, Problem};

/// A token's hash: the token itself is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token([u8; 32]);

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The credential.
    pub credential: u32,
    /// Its role.
    pub role: Role,
    /// Whether it learns why a code is refused.
    pub reasons: bool,
}

/// What knows callers: the state of an interface's routes.
pub trait Authority: Send + Sync {
    /// Who calls.
    ///
    /// # Errors
    /// When nobody does whose role is one of these, or it cannot be found out.
    fn authenticate(&self, token: Option<Token>, roles: &'static [Role]) -> impl Future<Output = Result<Caller, Problem>> + Send;
}

impl Token {
    /// The token that headers carry; none where there is none, or more than one, or something else.
    pub fn of(headers: &HeaderMap) -> Option<Token> {
        let mut all = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(one), None) = (all.next(), all.next()) else { return None };
        let (scheme, token) = one.as_bytes().split_at_checked(7)?;
        let token = token.trim_ascii();
        (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then(|| Token(*blake3::hash(token).as_bytes()))
    }

    /// The hash, as the journal has it.
    pub fn hash(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Caller {
    /// The caller, where its role is one of these.
    ///
    /// # Errors
    /// When it is another.
    pub fn permitted(self, roles: &[Role]) -> Result<Caller, Problem> {
        let role = self.role;
        if roles.contains(&role) {
            return Ok(self);
        }
        let permitted: Vec<_> = roles.iter().map(|role| role.word()).collect();
        Err(Problem::new(Kind::FORBIDDEN, format!("this is for: {}; not for: {role}", permitted.join(", "))))
    }
}

/// No token, or none that is in force.
pub fn unauthorised() -> Problem {
    Problem::new(Kind::UNAUTHORISED, "send `Authorization: Bearer` and a token that is in force")
}
