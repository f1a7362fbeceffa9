//! Who calls, by bearer token, and what the role permits (Z15).
//!
//! Tokens are those of the engine: the read model has their hashes, and what the journal says of a token holds here as soon as the read
//! model has come that far. A token is looked up in the view that answers, so that no answer is given to one that was revoked at its
//! position.

use axum::http::{HeaderMap, header};
use rusqlite::OptionalExtension;
use scrip_protocol::{Position, Role};
use scrip_web::problem::{Kind, Problem};

use super::problems::{AsOfProblem, EMPTY};
use crate::read_model::View;
use crate::sight::Sight;

/// Those who may see campaigns, codes, figures and exports.
pub const CAMPAIGNS: &[Role] = &[Role::Marketing, Role::Reporter, Role::Operator];
/// Those who may see clients, histories and refusals.
pub const CLIENTS: &[Role] = &[Role::Cashier, Role::Marketing, Role::Reporter, Role::Operator];
/// Those who may see what became of requests; a gateway sees its own alone.
pub const REQUESTS: &[Role] = &Role::ALL;

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

impl Token {
    /// The token that headers carry; none where there is none, or more than one, or something else.
    pub fn of(headers: &HeaderMap) -> Option<Token> {
        let mut all = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(one), None) = (all.next(), all.next()) else { return None };
        let (scheme, token) = one.as_bytes().split_at_checked(7)?;
        let token = token.trim_ascii();
        (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then(|| Token(*blake3::hash(token).as_bytes()))
    }
}

impl Caller {
    /// Who calls, where the role is one of these. Nobody can call before the journal said who may.
    ///
    /// # Errors
    /// When SQLite fails. The problem is inside.
    pub fn of(view: &View<'_>, token: Option<Token>, roles: &[Role]) -> rusqlite::Result<Result<Caller, Problem>> {
        if view.as_of.position.0 == 0 {
            return Ok(Err(empty()));
        }
        let Some(Token(hash)) = token else { return Ok(Err(unauthorised())) };
        let of_row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let found: Option<(u32, String, bool)> =
            view.connection.prepare_cached(BY_SECRET)?.query_row([&hash[..]], of_row).optional()?;
        let Some((credential, role, reasons)) = found else { return Ok(Err(unauthorised())) };
        let Ok(role) = role.parse::<Role>() else { return Ok(Err(unauthorised())) };
        if roles.contains(&role) {
            return Ok(Ok(Caller { credential, role, reasons }));
        }
        let permitted: Vec<_> = roles.iter().map(|role| role.word()).collect();
        Ok(Err(Problem::new(Kind::FORBIDDEN, format!("this is for: {}; not for: {role}", permitted.join(", ")))))
    }

    /// What it sees.
    pub fn sight(&self) -> Sight {
        Sight { credential: self.credential, role: self.role, reasons: self.reasons }
    }
}

/// Nobody can call before the first records.
pub(crate) fn empty() -> Problem {
    Problem::new(EMPTY, "the read model is empty: try again when the engine was reached").at(Position(0))
}

/// No token, or none that is in force.
pub(crate) fn unauthorised() -> Problem {
    Problem::new(Kind::UNAUTHORISED, "send `Authorization: Bearer` and a token that is in force")
}

pub(crate) const BY_SECRET: &str =
    "SELECT credential, role, reasons FROM credential WHERE secret = ?1 AND kind = 'token' AND revoked_ms IS NULL";
