//! Rules of top-ups.

use axum::extract::State;
use axum::response::Response;
use scrip_protocol::RuleId;
use scrip_web::problem::Problem;

use crate::figures::rules::{self, RulePage};
use crate::http::answer::Api;
use crate::http::caller::CAMPAIGNS;
use crate::http::parameters::{Asked, Asks, Parameters};

/// One rule is asked for.
pub(crate) struct OneRule(RuleId);

impl Asks for OneRule {
    fn read(from: &mut Parameters) -> Result<OneRule, Problem> {
        let rule = from.number_in_path("rule", u32::MAX.into(), "The rule's number.")?;
        u32::try_from(rule).map(|rule| OneRule(RuleId(rule))).map_err(|_| Problem::no_such("rule"))
    }
}

/// A rule
///
/// Its terms, how often it failed and why, and the newest top-ups on which it did.
#[utoipa::path(get, path = "/v1/rules/{rule}", tag = "rules", params(Asked<OneRule>),
    responses((status = 200, description = "The rule.", body = RulePage)))]
pub(crate) async fn rule(State(api): State<Api>, asked: Asked<OneRule>) -> Result<Response, Problem> {
    let OneRule(rule) = asked.asked;
    api.answer(asked.arrival, CAMPAIGNS, "rule", move |view, _| rules::show(view, rule)).await
}
