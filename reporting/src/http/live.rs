//! A stream of a campaign's counters as server-sent events (T4, A36).
//!
//! At most four events a second. The id of an event is the position and the time of its counters. A reader that reconnects with
//! that id does not receive the same counters again: a position and a time determine them. A stream ends when its token is
//! revoked, or when the follower of the journal has ended.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use scrip_protocol::CampaignId;
use scrip_web::caller::Token;
use scrip_web::places::Place;
use scrip_web::problem::{Kind, Problem};
use tokio::sync::watch;
use tokio::time::Instant;

use super::answer::Query;
use super::answer::{Api, EventId, STREAMS_MAX, STREAMS_OF_ONE};
use super::credentials::{self, CAMPAIGNS};
use super::problems::NO_ROOM;
use super::routes::campaigns::CampaignQuery;
use crate::figures::{self, CampaignFigures};
use crate::read_model::View;
use crate::standing::Standing;

/// Tells nginx, and proxies that follow it, not to buffer a response.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");
/// The minimum time between two events.
const APART: Duration = Duration::from_millis(250);
/// How long a stream is silent before it sends a keep-alive.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Stream the counters of a campaign
///
/// Server-sent events named `figures`, sent whenever the counters change, at most four a second. The data are the counters as in
/// `/figures`; the id consists of the position and the time that they are as of. With `Last-Event-ID`, counters that the caller
/// already received are not sent again.
#[utoipa::path(
    get,
    path = "/v1/campaigns/{campaign}/live",
    tag = "campaigns",
    params(Query<CampaignQuery>),
    responses((status = 200, description = "The events.", body = String, content_type = "text/event-stream"))
)]
pub(crate) async fn live(State(api): State<Api>, query: Query<CampaignQuery>) -> Result<Response, Problem> {
    let Query { parameters: CampaignQuery(campaign), arrival } = query;
    let credential = api.admit(&arrival, CAMPAIGNS).await?;
    let busy = || {
        Problem::new(Kind::BUSY, format!("the limit of {STREAMS_MAX} streams, or {STREAMS_OF_ONE} per credential, is reached"))
    };
    let place = api.streams.take(credential).ok_or_else(busy)?;
    let mut standing = api.standing.clone();
    standing.mark_changed();
    let token = arrival.token;
    let mut live = Live { api, campaign, token, credential, standing, sent: None, next: Instant::now(), _place: place };
    // Errors are returned before the stream begins.
    let figures = live.look().await?.ok_or_else(|| Problem::no_such("campaign"))?;
    if let Some(EventId { position, now_ms }) = arrival.last_event
        && position == figures.as_of.position.0
    {
        let at_that_time = move |view: &View<'_>| {
            let now_ms = now_ms.clamp(view.as_of.time_ms, view.now_ms);
            figures::of_campaign(&View { now_ms, ..*view }, campaign)
        };
        live.sent = live.api.read_for_stream(credential, at_that_time).await?;
    }
    let events = Sse::new(live.events()).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    let mut response = events.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store, no-cache"));
    // A proxy that buffers responses, as nginx does by default, would never forward an event.
    headers.insert(UNBUFFERED, HeaderValue::from_static("no"));
    Ok(response)
}

/// One stream.
struct Live {
    api: Api,
    campaign: CampaignId,
    token: Option<Token>,
    credential: u32,
    standing: watch::Receiver<Standing>,
    /// The counters that were sent last.
    sent: Option<CampaignFigures>,
    /// When the next event may be sent.
    next: Instant,
    _place: Place,
}

impl Live {
    async fn look(&self) -> Result<Option<CampaignFigures>, Problem> {
        let (campaign, token) = (self.campaign, self.token);
        let look = move |view: &View<'_>| match credentials::caller(view, token, CAMPAIGNS)? {
            Err(problem) => Ok(Err(problem)),
            Ok(_) => figures::of_campaign(view, campaign).map(Ok),
        };
        self.api.read_for_stream(self.credential, look).await?
    }

    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut live| async {
            let figures = live.next_change().await?;
            let data = serde_json::to_string(&figures).expect("counters are JSON");
            let event = Event::default()
                .event("figures")
                .id(EventId { position: figures.as_of.position.0, now_ms: figures.as_of.time_ms }.to_string())
                .data(data);
            live.sent = Some(figures);
            Some((Ok(event), live))
        })
    }

    /// Waits for counters that differ from those sent last; none if the stream must end.
    async fn next_change(&mut self) -> Option<CampaignFigures> {
        loop {
            self.standing.changed().await.ok()?;
            tokio::time::sleep_until(self.next).await;
            self.standing.borrow_and_update();
            self.next = Instant::now() + APART;
            match self.look().await {
                Ok(figures) => {
                    let figures = figures?;
                    if self.sent.as_ref().is_none_or(|sent| differ(sent, &figures)) {
                        return Some(figures);
                    }
                }
                // Temporary: retry.
                Err(problem) if [Kind::BUSY, Kind::TOO_SLOW, NO_ROOM].contains(&problem.kind) => self.standing.mark_changed(),
                Err(_) => return None,
            }
        }
    }
}

/// Whether counters differ, ignoring what they are as of.
fn differ(sent: &CampaignFigures, now: &CampaignFigures) -> bool {
    *sent != CampaignFigures { as_of: sent.as_of, ..now.clone() }
}
