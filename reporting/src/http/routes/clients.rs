//! Clients: those of a name, one of them, and its operations.

use axum::extract::State;
use axum::response::Response;
use scrip_protocol::ClientId;
use scrip_web::problem::Problem;

use crate::figures::activity::{beginning_ms, end_ms};
use crate::history::operations::{self, KindFilter, LABELS, OperationFilter, Operations};
use crate::history::{self, ClientCard, Clients};
use crate::http::answer::{Api, Follows};
use crate::http::caller::CLIENTS;
use crate::http::parameters::{Asked, Asks, Parameters};

/// The client in the path.
fn client(from: &mut Parameters) -> Result<ClientId, Problem> {
    let client = from.name_in_path(
        "client",
        "The id of the client: a decimal number without leading zeros, or a UUID in lower case with hyphens.",
    )?;
    Ok(client.unwrap_or(ClientId(0)))
}

/// Clients of a name are asked for.
pub(crate) struct ClientsAsked {
    name: String,
    after: Option<ClientId>,
    limit: usize,
}

impl Asks for ClientsAsked {
    fn read(from: &mut Parameters) -> Result<ClientsAsked, Problem> {
        let name = from.text("name", "Only those whose name has this in it, whatever the letter case.")?.unwrap_or_default();
        let after = from.name("after", "Only those after this client: the `next` of the page before.")?;
        Ok(ClientsAsked { name, after, limit: from.limit(50, 200)? })
    }
}

/// One client is asked for.
pub(crate) struct OneClient(ClientId);

impl Asks for OneClient {
    fn read(from: &mut Parameters) -> Result<OneClient, Problem> {
        client(from).map(OneClient)
    }
}

/// The operations of a client are asked for.
pub(crate) struct OperationsAsked(ClientId, OperationFilter);

impl Asks for OperationsAsked {
    fn read(from: &mut Parameters) -> Result<OperationsAsked, Problem> {
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
            before: from.before()?,
            limit: from.limit(100, 500)?,
        };
        Ok(OperationsAsked(client, filter))
    }
}

/// Clients of a name
///
/// By id. A page may be short, as only so many clients are looked at for one.
#[utoipa::path(get, path = "/v1/clients", tag = "clients", params(Asked<ClientsAsked>),
    responses((status = 200, description = "A page of them.", body = Clients)))]
pub(crate) async fn clients(State(api): State<Api>, asked: Asked<ClientsAsked>) -> Result<Response, Problem> {
    let ClientsAsked { name, after, limit } = asked.asked;
    api.answer(asked.arrival, CLIENTS, "page", move |view, _| history::named(view, &name, after, limit).map(Some)).await
}

/// A client
///
/// The name, the balances, and what is counted.
#[utoipa::path(get, path = "/v1/clients/{client}", tag = "clients", params(Asked<OneClient>),
    responses((status = 200, description = "The client.", body = ClientCard)))]
pub(crate) async fn client_card(State(api): State<Api>, asked: Asked<OneClient>) -> Result<Response, Problem> {
    let OneClient(client) = asked.asked;
    api.answer(asked.arrival, CLIENTS, "client", move |view, _| history::card(view, client)).await
}

/// The operations of a client
///
/// The newest first: each movement of an account with its label, executor and origin. A page holds whole records, so that it may be a little
/// longer than was asked.
#[utoipa::path(get, path = "/v1/clients/{client}/operations", tag = "clients", params(Asked<OperationsAsked>),
    responses((status = 200, description = "A page of them.", body = Operations)))]
pub(crate) async fn operations(State(api): State<Api>, asked: Asked<OperationsAsked>) -> Result<Response, Problem> {
    let OperationsAsked(client, filter) = asked.asked;
    api.answer_that(Follows::PositionAndTime, asked.arrival, CLIENTS, "client", move |view, caller| {
        Ok(operations::list(view, client, &filter)?.map(|page| caller.sight().operations(page)))
    })
    .await
}
