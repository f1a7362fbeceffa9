//! Who calls, by bearer token, and what the role permits (Z15).
//!
//! Tokens are those of the engine: the read model has their hashes, and what the journal says of a token holds here as soon as the read
//! model has come that far. A token is looked up in the view that answers, so that no answer is given to one that was revoked at its
//! position.

use axum::http::{HeaderMap, header};
use rusqlite::OptionalExtension;
use scrip_protocol::Role;

use super::problem::{Kind, Problem};
use crate::read_model::View;

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
        let position = view.as_of.position;
        if position.0 == 0 {
            return Ok(Err(
                Problem::new(Kind::Empty, "the read model is empty: try again when the engine was reached").at(position)
            ));
        }
        let unauthorised = || Err(Problem::new(Kind::Unauthorised, "send `Authorization: Bearer` and a token that is in force"));
        let Some(Token(hash)) = token else { return Ok(unauthorised()) };
        let found: Option<(u32, String)> =
            view.connection.prepare_cached(BY_SECRET)?.query_row([&hash[..]], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let Some((credential, role)) = found else { return Ok(unauthorised()) };
        let Ok(role) = role.parse::<Role>() else { return Ok(unauthorised()) };
        if roles.contains(&role) {
            return Ok(Ok(Caller { credential, role }));
        }
        let permitted: Vec<_> = roles.iter().map(|role| role.word()).collect();
        Ok(Err(Problem::new(Kind::Forbidden, format!("this is for: {}; not for: {role}", permitted.join(", ")))))
    }
}

pub(crate) const BY_SECRET: &str =
    "SELECT credential, role FROM credential WHERE secret = ?1 AND kind = 'token' AND revoked_ms IS NULL";
