//! Who calls, as the read model knows it (Z15).
//!
//! The read model has the hashes of the engine's tokens, and what the journal says of a token holds here as soon as the read model has
//! come that far. A token is looked up in the view that answers, so that no answer is given to one that was revoked at its position.

use rusqlite::OptionalExtension;
use scrip_protocol::{Position, Role};
use scrip_web::caller::{Caller, Token, unauthorised};
use scrip_web::problem::Problem;

use super::problems::{AsOfProblem, EMPTY};
use crate::read_model::View;

/// Those who may see campaigns, codes, figures and exports.
pub const CAMPAIGNS: &[Role] = &[Role::Marketing, Role::Reporter, Role::Operator];
/// Those who may see clients, histories and refusals.
pub const CLIENTS: &[Role] = &[Role::Cashier, Role::Marketing, Role::Reporter, Role::Operator];
/// Those who may see what became of requests; a gateway sees its own alone.
pub const REQUESTS: &[Role] = &Role::ALL;

/// Who calls, where the role is one of these. Nobody can call before the journal said who may.
///
/// # Errors
/// When SQLite fails. The problem is inside.
pub fn caller(view: &View<'_>, token: Option<Token>, roles: &[Role]) -> rusqlite::Result<Result<Caller, Problem>> {
    if view.as_of.position.0 == 0 {
        return Ok(Err(empty()));
    }
    let Some(token) = token else { return Ok(Err(unauthorised())) };
    let of_row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let found: Option<(u32, String, bool)> =
        view.connection.prepare_cached(BY_SECRET)?.query_row([&token.hash()[..]], of_row).optional()?;
    let Some((credential, role, reasons)) = found else { return Ok(Err(unauthorised())) };
    let Ok(role) = role.parse::<Role>() else { return Ok(Err(unauthorised())) };
    Ok(Caller { credential, role, reasons }.permitted(roles))
}

/// Nobody can call before the first records.
pub(crate) fn empty() -> Problem {
    Problem::new(EMPTY, "the read model is empty: try again when the engine was reached").at(Position(0))
}

pub(crate) const BY_SECRET: &str =
    "SELECT credential, role, reasons FROM credential WHERE secret = ?1 AND kind = 'token' AND revoked_ms IS NULL";
