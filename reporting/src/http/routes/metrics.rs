//! Metrics that not every caller may see.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use scrip_protocol::Role;
use scrip_web::caller::Authority;
use scrip_web::parameters::{FromParameters, Parameters};
use scrip_web::probes::EXPOSITION;
use scrip_web::problem::{Kind, Problem};

use crate::http::answer::{Api, Query};
use crate::sidecar_metrics;

/// The roles that see the size of the read model.
const ROLES: &[Role] = &[Role::Reporter, Role::Operator];

/// A request without parameters of its own.
pub(crate) struct MetricsQuery;

impl FromParameters for MetricsQuery {
    fn read(_: &mut Parameters) -> Result<MetricsQuery, Problem> {
        Ok(MetricsQuery)
    }
}

/// The size of the read model
///
/// In the text format of Prometheus. A refusal takes more or fewer bytes depending on its reason, so that the size is only for credentials
/// that learn reasons.
#[utoipa::path(get, path = "/v1/metrics", tag = "metrics", params(Query<MetricsQuery>),
    responses((status = 200, description = "The metrics.", body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(State(api): State<Api>, query: Query<MetricsQuery>) -> Result<Response, Problem> {
    api.admit(&query.arrival, ROLES).await?;
    if !api.authenticate(query.arrival.token, ROLES).await?.reasons {
        return Err(Problem::new(Kind::FORBIDDEN, "the size of the read model is for credentials that learn reasons"));
    }
    let text = sidecar_metrics::size_text(api.readers.path());
    Ok(([(header::CONTENT_TYPE, EXPOSITION), (header::CACHE_CONTROL, "private, no-store")], text).into_response())
}
