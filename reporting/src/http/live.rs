//! The counters of a campaign whenever they change, as server-sent events (T4, A36).
//!
//! At most four events a second; each has for its id the position and the time that it is as of. A reader that comes back with that id is not
//! told the same again: counters at a position and a time are the same whenever they are asked for. A stream ends when its token is revoked, and when nobody follows the journal any more.

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

/// Tells nginx, and those who follow it, not to buffer an answer.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");
/// The least time from one event to the next.
const APART: Duration = Duration::from_millis(250);
/// How long a stream says nothing before it says that it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The counters of a campaign whenever they change
///
/// Server-sent events named `figures`, whose data are the counters as `/figures` has them and whose id is made of the position and the time that
/// they are as of. At most four a second. With `Last-Event-ID`, what was told then is not told again.
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
    let busy = || Problem::new(Kind::BUSY, format!("there are {STREAMS_MAX} streams, or {STREAMS_OF_ONE} of this credential"));
    let place = api.streams.take(credential).ok_or_else(busy)?;
    let mut standing = api.standing.clone();
    standing.mark_changed();
    let token = arrival.token;
    let mut live = Live { api, campaign, token, credential, standing, told: None, next: Instant::now(), _place: place };
    // What is wrong is said before the stream begins.
    let figures = live.look().await?.ok_or_else(|| Problem::no_such("campaign"))?;
    if let Some(EventId { position, now_ms }) = arrival.last_event
        && position == figures.as_of.position.0
    {
        let at_that_time = move |view: &View<'_>| {
            let now_ms = now_ms.clamp(view.as_of.time_ms, view.now_ms);
            figures::of_campaign(&View { now_ms, ..*view }, campaign)
        };
        live.told = live.api.read_for_stream(credential, at_that_time).await?;
    }
    let events = Sse::new(live.events()).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    let mut response = events.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store, no-cache"));
    // A proxy that gathers an answer before it passes it on, as nginx does by itself, would never pass on an event.
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
    /// What was told last.
    told: Option<CampaignFigures>,
    /// When the next may be told.
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
            live.told = Some(figures);
            Some((Ok(event), live))
        })
    }

    /// The counters when they are others than those told last; none when the stream is to end.
    async fn next_change(&mut self) -> Option<CampaignFigures> {
        loop {
            self.standing.changed().await.ok()?;
            tokio::time::sleep_until(self.next).await;
            self.standing.borrow_and_update();
            self.next = Instant::now() + APART;
            match self.look().await {
                Ok(figures) => {
                    let figures = figures?;
                    if self.told.as_ref().is_none_or(|told| differ(told, &figures)) {
                        return Some(figures);
                    }
                }
                // They pass: the next change is looked at again.
                Err(problem) if [Kind::BUSY, Kind::TOO_SLOW, NO_ROOM].contains(&problem.kind) => self.standing.mark_changed(),
                Err(_) => return None,
            }
        }
    }
}

/// Whether counters differ, whatever they are as of.
fn differ(told: &CampaignFigures, now: &CampaignFigures) -> bool {
    *told != CampaignFigures { as_of: told.as_of, ..now.clone() }
}
