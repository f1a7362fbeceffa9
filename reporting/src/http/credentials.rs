//! Authentication against the read model (Z15).
//!
//! The read model has the hashes of the engine's tokens. A change of a token takes effect here as soon as the read model has
//! applied its record. A token is looked up in the view of the answer, so that a token revoked at that position gets no answer.

use rusqlite::OptionalExtension;
use scrip_protocol::{Position, Role};
use scrip_web::caller::{Caller, Token, unauthorised};
use scrip_web::problem::Problem;

use super::problems::{AsOfProblem, EMPTY};
use crate::read_model::View;

/// The roles that may see campaigns, codes, figures and exports.
pub const CAMPAIGNS: &[Role] = &[Role::Marketing, Role::Reporter, Role::Operator];
/// The roles that may see clients, histories and refusals.
pub const CLIENTS: &[Role] = &[Role::Cashier, Role::Marketing, Role::Reporter, Role::Operator];
/// The roles that may look up requests; a gateway sees only its own.
pub const REQUESTS: &[Role] = &Role::ALL;

/// The caller, if its role is one of these. Nobody can call before the read model has applied the first records.
///
/// # Errors
/// If SQLite fails. A refusal is in the inner result.
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

/// The problem before the first records, when nobody can call.
pub(crate) fn empty() -> Problem {
    Problem::new(EMPTY, "the read model is empty; retry when the sidecar has reached the engine").at(Position(0))
}

pub(crate) const BY_SECRET: &str =
    "SELECT credential, role, reasons FROM credential WHERE secret = ?1 AND kind = 'token' AND revoked_ms IS NULL";
