//! Top-up rules.

use axum::extract::State;
use axum::response::Response;
use scrip_protocol::RuleId;
use scrip_web::parameters::{FromParameters, Parameters};
use scrip_web::problem::Problem;

use crate::figures::rule_card::{self, RulePage};
use crate::http::answer::Api;
use crate::http::answer::Query;
use crate::http::credentials::CAMPAIGNS;

/// Selects a rule.
pub(crate) struct RuleQuery(RuleId);

impl FromParameters for RuleQuery {
    fn read(from: &mut Parameters) -> Result<RuleQuery, Problem> {
        let rule = from.number_in_path("rule", u32::MAX.into(), "The number of the rule.")?;
        u32::try_from(rule).map(|rule| RuleQuery(RuleId(rule))).map_err(|_| Problem::no_such("rule"))
    }
}

/// Get a rule
///
/// Its terms, how often it failed and why, and the newest top-ups on which it failed.
#[utoipa::path(get, path = "/v1/rules/{rule}", tag = "rules", params(Query<RuleQuery>),
    responses((status = 200, description = "The rule.", body = RulePage)))]
pub(crate) async fn rule(State(api): State<Api>, query: Query<RuleQuery>) -> Result<Response, Problem> {
    let RuleQuery(rule) = query.parameters;
    api.answer(query.arrival, CAMPAIGNS, "rule", move |view, _| rule_card::show(view, rule)).await
}
