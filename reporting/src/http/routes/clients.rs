//! Clients: those of a name, one of them, and its operations.

use axum::extract::State;
use axum::response::Response;
use scrip_protocol::ClientId;
use scrip_web::parameters::{FromParameters, Parameters};
use scrip_web::problem::Problem;

use super::before;
use crate::figures::activity::{beginning_ms, end_ms};
use crate::history::operations::{self, KindFilter, LABELS, OperationFilter, Operations};
use crate::history::{self, ClientCard, Clients};
use crate::http::answer::Query;
use crate::http::answer::{Api, Follows};
use crate::http::credentials::CLIENTS;
use crate::sight::Sight;

/// The client in the path.
fn client(from: &mut Parameters) -> Result<ClientId, Problem> {
    let client = from.name_in_path(
        "client",
        "The id of the client: a decimal number without leading zeros, or a UUID in lower case with hyphens.",
    )?;
    Ok(client.unwrap_or(ClientId(0)))
}

/// Selects clients by their name.
pub(crate) struct ClientsQuery {
    name: String,
    after: Option<ClientId>,
    limit: usize,
}

impl FromParameters for ClientsQuery {
    fn read(from: &mut Parameters) -> Result<ClientsQuery, Problem> {
        let name = from.text("name", "Only those whose name has this in it, whatever the letter case.")?.unwrap_or_default();
        let after = from.name("after", "Only those after this client: the `next` of the page before.")?;
        Ok(ClientsQuery { name, after, limit: from.limit(50, 200)? })
    }
}

/// Selects a client.
pub(crate) struct ClientQuery(ClientId);

impl FromParameters for ClientQuery {
    fn read(from: &mut Parameters) -> Result<ClientQuery, Problem> {
        client(from).map(ClientQuery)
    }
}

/// Selects operations of a client.
pub(crate) struct OperationsQuery(ClientId, OperationFilter);

impl FromParameters for OperationsQuery {
    fn read(from: &mut Parameters) -> Result<OperationsQuery, Problem> {
        const KINDS: [(&str, KindFilter); 4] = [
            ("ledger", KindFilter::Ledger),
            ("holds", KindFilter::Holds),
            ("refusals", KindFilter::Refusals),
            ("all", KindFilter::All),
        ];
        let labels = LABELS.map(|label| (label.words(), label));
        let client = client(from)?;
        let kind =
            from.word("kind", &KINDS, "What moved an account where nothing is said; uses that were held; what was refused.")?;
        let label = from.word("label", &labels, "Only entries of this label.")?;
        let zone = from.zone()?;
        let first = from.date("from", "Only from this day on.")?;
        let last = from.date("to", "Only up to this day, which is included.")?;
        let filter = OperationFilter {
            kind: kind.unwrap_or_default(),
            label,
            from_ms: first.map(|day| beginning_ms(day, &zone)),
            end_ms: last.map(|day| end_ms(day, &zone)),
            amount_min: from.amount("amount_min", "Only entries of at least this amount, its sign aside.")?,
            amount_max: from.amount("amount_max", "Only entries of at most this amount, its sign aside.")?,
            before: before(from)?,
            limit: from.limit(100, 500)?,
        };
        Ok(OperationsQuery(client, filter))
    }
}

/// Clients of a name
///
/// By id. A page may be short, as only so many clients are looked at for one.
#[utoipa::path(get, path = "/v1/clients", tag = "clients", params(Query<ClientsQuery>),
    responses((status = 200, description = "A page of them.", body = Clients)))]
pub(crate) async fn clients(State(api): State<Api>, query: Query<ClientsQuery>) -> Result<Response, Problem> {
    let ClientsQuery { name, after, limit } = query.parameters;
    api.answer(query.arrival, CLIENTS, "page", move |view, _| history::named(view, &name, after, limit).map(Some)).await
}

/// A client
///
/// The name, the balances, and what is counted.
#[utoipa::path(get, path = "/v1/clients/{client}", tag = "clients", params(Query<ClientQuery>),
    responses((status = 200, description = "The client.", body = ClientCard)))]
pub(crate) async fn client_card(State(api): State<Api>, query: Query<ClientQuery>) -> Result<Response, Problem> {
    let ClientQuery(client) = query.parameters;
    api.answer(query.arrival, CLIENTS, "client", move |view, _| history::card(view, client)).await
}

/// The operations of a client
///
/// The newest first: each movement of an account with its label, executor and origin. A page holds whole records, so that it may be a little
/// longer than was asked.
#[utoipa::path(get, path = "/v1/clients/{client}/operations", tag = "clients", params(Query<OperationsQuery>),
    responses((status = 200, description = "A page of them.", body = Operations)))]
pub(crate) async fn operations(State(api): State<Api>, query: Query<OperationsQuery>) -> Result<Response, Problem> {
    let OperationsQuery(client, filter) = query.parameters;
    api.answer_that(Follows::PositionAndTime, query.arrival, CLIENTS, "client", move |view, caller| {
        Ok(operations::list(view, client, &filter)?.map(|page| Sight::of(caller).operations(page)))
    })
    .await
}
