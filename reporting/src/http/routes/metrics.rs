//! Metrics that not every caller may see.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use scrip_protocol::Role;

use crate::http::answer::Api;
use crate::http::parameters::{Asked, Asks, Parameters};
use crate::http::problem::{Kind, Problem};
use crate::probes::EXPOSITION;
use crate::sidecar_metrics;

/// The roles that see the size of the read model.
const ROLES: &[Role] = &[Role::Reporter, Role::Operator];

/// A request without parameters of its own.
pub(crate) struct MetricsRequest;

impl Asks for MetricsRequest {
    fn read(_: &mut Parameters) -> Result<MetricsRequest, Problem> {
        Ok(MetricsRequest)
    }
}

/// The size of the read model
///
/// In the text format of Prometheus. A refusal takes more or fewer bytes depending on its reason, so that the size is only for credentials
/// that learn reasons.
#[utoipa::path(get, path = "/v1/metrics", tag = "metrics", params(Asked<MetricsRequest>),
    responses((status = 200, description = "The metrics.", body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(State(api): State<Api>, asked: Asked<MetricsRequest>) -> Result<Response, Problem> {
    api.admit(&asked.arrival, ROLES).await?;
    if !api.look_up(asked.arrival.token, ROLES).await?.reasons {
        return Err(Problem::new(Kind::Forbidden, "the size of the read model is for credentials that learn reasons"));
    }
    let text = sidecar_metrics::size_text(api.readers.path());
    Ok(([(header::CONTENT_TYPE, EXPOSITION), (header::CACHE_CONTROL, "private, no-store")], text).into_response())
}
