//! A rule as staff saved it, and the top-ups on which it failed (A20, A31).

use rusqlite::OptionalExtension;
use scrip_protocol::RuleId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::read_model::{AsOf, View};
use crate::shown::{self, At, Client, Json};

/// The maximum number of failures in the answer.
const LATEST: i64 = 100;

/// A rule.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RulePage {
    /// The number.
    pub rule: u32,
    /// The name.
    pub name: String,
    /// Whether the rule is switched on.
    pub active: bool,
    /// When the rule was last saved.
    pub saved_at: At,
    /// When the rule was archived.
    pub archived_at: Option<At>,
    /// The terms: clubs, conditions, actions, tags.
    #[schema(value_type = Object)]
    pub terms: serde_json::Value,
    /// The number of failures by reason, without those before this history begins.
    pub failed: Vec<FailureCount>,
    /// The newest failures, 100 at most.
    pub failures: Vec<RuleFailure>,
    /// What the answer is as of.
    pub as_of: AsOf,
}

/// The number of failures of a rule for a reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FailureCount {
    /// The reason, as in [`RuleFailure`].
    pub why: String,
    /// The number of failures.
    pub count: u64,
}

/// A top-up on which a rule failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RuleFailure {
    /// The top-up.
    pub top_up: u64,
    /// When.
    pub at: At,
    /// The client.
    pub client: Client,
    /// `division_by_zero` or `overflow`: the rule did nothing. `push_too_long`: it fired, and its push notification was not sent.
    pub why: String,
}

/// A rule; none if it does not exist.
///
/// # Errors
/// If SQLite fails.
pub fn show(view: &View<'_>, RuleId(rule): RuleId) -> rusqlite::Result<Option<RulePage>> {
    let page = |row: &rusqlite::Row<'_>| {
        let Json(terms) = row.get(2)?;
        Ok(RulePage {
            rule,
            name: row.get(0)?,
            active: row.get(1)?,
            saved_at: row.get(3)?,
            archived_at: row.get(4)?,
            terms,
            failed: Vec::new(),
            failures: Vec::new(),
            as_of: view.as_of,
        })
    };
    let found = view
        .connection
        .prepare_cached("SELECT name, active, terms, saved_ms, archived_ms FROM rule WHERE rule = ?1")?
        .query_row([rule], page)
        .optional()?;
    let Some(mut found) = found else { return Ok(None) };
    let count = |row: &rusqlite::Row<'_>| Ok(FailureCount { why: row.get(0)?, count: shown::whole(row, 1)? });
    found.failed = view.connection.prepare_cached(COUNTS)?.query_map([rule], count)?.collect::<rusqlite::Result<_>>()?;
    let failure = |row: &rusqlite::Row<'_>| {
        Ok(RuleFailure { top_up: shown::whole(row, 0)?, at: row.get(1)?, client: row.get(2)?, why: row.get(3)? })
    };
    let mut failures = view.connection.prepare_cached(FAILURES)?;
    found.failures = failures.query_map((rule, LATEST), failure)?.collect::<rusqlite::Result<_>>()?;
    Ok(Some(found))
}

pub(super) const COUNTS: &str = "SELECT why, failures FROM rule_failure_count WHERE rule = ?1 ORDER BY why";
pub(super) const FAILURES: &str =
    "SELECT position, at_ms, client, why FROM rule_failure WHERE rule = ?1 ORDER BY position DESC LIMIT ?2";
