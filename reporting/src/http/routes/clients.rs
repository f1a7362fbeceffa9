//! Clients: search by name, one client, and its operations.

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
        "The id of the client: a decimal number without leading zeros, or a lowercase UUID with hyphens.",
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
        let name = from.text("name", "Only clients whose name contains this text, ignoring case.")?.unwrap_or_default();
        let after = from.name("after", "Only clients after this id: the `next` of the previous page.")?;
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
            from.word("kind", &KINDS, "The kind of operations: entries of the ledger, holds, or refusals. Default: `ledger`.")?;
        let label = from.word("label", &labels, "Only entries with this label.")?;
        let zone = from.zone()?;
        let first = from.date("from", "Only operations on this day or later.")?;
        let last = from.date("to", "Only operations on this day or earlier.")?;
        let filter = OperationFilter {
            kind: kind.unwrap_or_default(),
            label,
            from_ms: first.map(|day| beginning_ms(day, &zone)),
            end_ms: last.map(|day| end_ms(day, &zone)),
            amount_min: from.amount("amount_min", "Only entries of at least this amount, ignoring the sign.")?,
            amount_max: from.amount("amount_max", "Only entries of at most this amount, ignoring the sign.")?,
            before: before(from)?,
            limit: from.limit(100, 500)?,
        };
        Ok(OperationsQuery(client, filter))
    }
}

/// List clients
///
/// By id. A page may be short, because it examines a limited number of clients.
#[utoipa::path(get, path = "/v1/clients", tag = "clients", params(Query<ClientsQuery>),
    responses((status = 200, description = "A page of clients.", body = Clients)))]
pub(crate) async fn clients(State(api): State<Api>, query: Query<ClientsQuery>) -> Result<Response, Problem> {
    let ClientsQuery { name, after, limit } = query.parameters;
    api.answer(query.arrival, CLIENTS, "page", move |view, _| history::named(view, &name, after, limit).map(Some)).await
}

/// Get a client
///
/// The name, the balances, and totals.
#[utoipa::path(get, path = "/v1/clients/{client}", tag = "clients", params(Query<ClientQuery>),
    responses((status = 200, description = "The client.", body = ClientCard)))]
pub(crate) async fn client_card(State(api): State<Api>, query: Query<ClientQuery>) -> Result<Response, Problem> {
    let ClientQuery(client) = query.parameters;
    api.answer(query.arrival, CLIENTS, "client", move |view, _| history::card(view, client)).await
}

/// List the operations of a client
///
/// Newest first: each movement of an account with its label, executor and origin. A page contains whole records, so it may be
/// slightly longer than `limit`.
#[utoipa::path(get, path = "/v1/clients/{client}/operations", tag = "clients", params(Query<OperationsQuery>),
    responses((status = 200, description = "A page of operations.", body = Operations)))]
pub(crate) async fn operations(State(api): State<Api>, query: Query<OperationsQuery>) -> Result<Response, Problem> {
    let OperationsQuery(client, filter) = query.parameters;
    api.answer_that(Follows::PositionAndTime, query.arrival, CLIENTS, "client", move |view, caller| {
        Ok(operations::list(view, client, &filter)?.map(|page| Sight::of(caller).operations(page)))
    })
    .await
}
