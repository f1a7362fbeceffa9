//! Campaigns: the list, one of them, its counters, days, clubs and codes.

use axum::extract::State;
use axum::response::Response;
use scrip_protocol::CampaignId;
use scrip_web::parameters::{FromParameters, Parameters};
use scrip_web::problem::Problem;

use crate::figures::activity::{self, Activity, Clubs, DAYS_MAX, Days};
use crate::figures::campaign_list::{self, CampaignFilter, CampaignPage, Campaigns, Status, StatusFilter};
use crate::figures::codes::{self, CodeFilter, Codes};
use crate::figures::{self, CampaignFigures};
use crate::http::answer::Query;
use crate::http::answer::{Api, Follows};
use crate::http::credentials::CAMPAIGNS;
use crate::read_model::View;

/// Selects a campaign.
pub(crate) struct CampaignQuery(pub(crate) CampaignId);

impl FromParameters for CampaignQuery {
    fn read(from: &mut Parameters) -> Result<CampaignQuery, Problem> {
        from.campaign().map(CampaignQuery)
    }
}

impl FromParameters for CampaignFilter {
    fn read(from: &mut Parameters) -> Result<CampaignFilter, Problem> {
        const STATUS: [(&str, Option<StatusFilter>); 5] = [
            ("present", None),
            ("active", Some(StatusFilter::Only(Status::Active))),
            ("inactive", Some(StatusFilter::Only(Status::Inactive))),
            ("archived", Some(StatusFilter::Only(Status::Archived))),
            ("all", Some(StatusFilter::All)),
        ];
        let number = |number: Option<u64>| number.and_then(|number| u32::try_from(number).ok());
        let max = u64::from(u32::MAX);
        Ok(CampaignFilter {
            status: from.word("status", &STATUS, "By status; those that are not archived where nothing is said.")?.flatten(),
            redeemable: from.whether("redeemable", "Only those whose codes are taken, or only the others.")?,
            club: number(from.number("club", 1, max, "Only those that run at this club.")?),
            text: from.text("text", "Only those whose name has this in it, whatever the letter case.")?,
            low_stock: from.whether("low_stock", "Only those that are low on stock, or only the others.")?,
            after: number(from.number("after", 0, max, "Only those after this number: the `next` of the page before.")?)
                .unwrap_or(0),
            limit: from.limit(50, 200)?,
        })
    }
}

/// Selects days of a campaign.
pub(crate) struct DaysQuery(CampaignId, Days);

impl FromParameters for DaysQuery {
    fn read(from: &mut Parameters) -> Result<DaysQuery, Problem> {
        let campaign = from.campaign()?;
        let zone = from.zone()?;
        let last = from.date("last", "The last day; today where nothing is said.")?;
        let days = from.number("days", 1, DAYS_MAX.into(), "How many days, the last included; 30 where nothing is said.")?;
        let days = days.and_then(|days| u16::try_from(days).ok()).unwrap_or(30);
        Ok(DaysQuery(campaign, Days { zone, last, days }))
    }
}

/// Selects clubs of a campaign.
pub(crate) struct ClubsQuery {
    campaign: CampaignId,
    after: Option<u32>,
    limit: usize,
}

impl FromParameters for ClubsQuery {
    fn read(from: &mut Parameters) -> Result<ClubsQuery, Problem> {
        let campaign = from.campaign()?;
        let after = from.number("after", 0, u32::MAX.into(), "Only those after this number: the `next` of the page before.")?;
        let after = after.and_then(|after| u32::try_from(after).ok());
        Ok(ClubsQuery { campaign, after, limit: from.limit(1_000, 1_000)? })
    }
}

/// Selects codes of a campaign.
pub(crate) struct CodesQuery(CampaignId, CodeFilter);

impl FromParameters for CodesQuery {
    fn read(from: &mut Parameters) -> Result<CodesQuery, Problem> {
        const STATUS: [(&str, Option<bool>); 3] = [("all", None), ("active", Some(false)), ("archived", Some(true))];
        const USAGE: [(&str, Option<bool>); 3] = [("all", None), ("used", Some(true)), ("unused", Some(false))];
        let campaign = from.campaign()?;
        let archived = from.word("status", &STATUS, "By status: those that are not archived, or those that are.")?.flatten();
        let used = from.word("usage", &USAGE, "By usage: those that are activated, or those that are not.")?.flatten();
        let after = from.number("after", 0, u32::MAX.into(), "Only those after this slot: the `next` of the page before.")?;
        let after = after.and_then(|after| u32::try_from(after).ok());
        let limit = from.limit(100, 1_000)?;
        Ok(CodesQuery(campaign, CodeFilter { archived, used, after, limit }))
    }
}

/// The campaigns
///
/// By number, with their terms, state and counters. A campaign is active by its switch and its period; whether its codes are taken is said
/// apart.
#[utoipa::path(get, path = "/v1/campaigns", tag = "campaigns", params(Query<CampaignFilter>),
    responses((status = 200, description = "A page of them.", body = Campaigns)))]
pub(crate) async fn campaigns(State(api): State<Api>, query: Query<CampaignFilter>) -> Result<Response, Problem> {
    let filter = query.parameters;
    let list = move |view: &View<'_>| campaign_list::list(view, &filter).map(Some);
    api.answer_that(Follows::PositionAndTime, query.arrival, CAMPAIGNS, "page", move |view, _| list(view)).await
}

/// A campaign
///
/// Its terms, state and counters, where its codes came from, and what was changed of it.
#[utoipa::path(get, path = "/v1/campaigns/{campaign}", tag = "campaigns", params(Query<CampaignQuery>),
    responses((status = 200, description = "The campaign.", body = CampaignPage)))]
pub(crate) async fn campaign(State(api): State<Api>, query: Query<CampaignQuery>) -> Result<Response, Problem> {
    let CampaignQuery(campaign) = query.parameters;
    let show = move |view: &View<'_>| campaign_list::show(view, campaign);
    api.answer_that(Follows::PositionAndTime, query.arrival, CAMPAIGNS, "campaign", move |view, _| show(view)).await
}

/// The counters of a campaign
///
/// Total codes, activated, available, bonus amount, and what belongs to them.
#[utoipa::path(get, path = "/v1/campaigns/{campaign}/figures", tag = "campaigns", params(Query<CampaignQuery>),
    responses((status = 200, description = "The counters.", body = CampaignFigures)))]
pub(crate) async fn figures(State(api): State<Api>, query: Query<CampaignQuery>) -> Result<Response, Problem> {
    let CampaignQuery(campaign) = query.parameters;
    let counters = move |view: &View<'_>| figures::of_campaign(view, campaign);
    api.answer_that(Follows::PositionAndTime, query.arrival, CAMPAIGNS, "campaign", move |view, _| counters(view)).await
}

/// What was activated on each day
///
/// Days are those of a time zone, from midnight to midnight. One without activations is there as well.
#[utoipa::path(get, path = "/v1/campaigns/{campaign}/days", tag = "campaigns", params(Query<DaysQuery>),
    responses((status = 200, description = "The days.", body = Activity)))]
pub(crate) async fn days(State(api): State<Api>, query: Query<DaysQuery>) -> Result<Response, Problem> {
    let DaysQuery(campaign, days) = query.parameters;
    let by_day = move |view: &View<'_>| activity::by_day(view, campaign, &days);
    api.answer_that(Follows::PositionAndTime, query.arrival, CAMPAIGNS, "campaign", move |view, _| by_day(view)).await
}

/// What was activated at each club
///
/// By number; clubs at which nothing was activated are left out.
#[utoipa::path(get, path = "/v1/campaigns/{campaign}/clubs", tag = "campaigns", params(Query<ClubsQuery>),
    responses((status = 200, description = "The clubs.", body = Clubs)))]
pub(crate) async fn clubs(State(api): State<Api>, query: Query<ClubsQuery>) -> Result<Response, Problem> {
    let ClubsQuery { campaign, after, limit } = query.parameters;
    api.answer(query.arrival, CAMPAIGNS, "campaign", move |view, _| activity::by_club(view, campaign, after, limit)).await
}

/// The codes of a campaign
///
/// In the order of adding, each with its status, its usage, and who activated it first and last, when and where. A page may be short, as
/// only so many codes are looked at for one.
#[utoipa::path(get, path = "/v1/campaigns/{campaign}/codes", tag = "codes", params(Query<CodesQuery>),
    responses((status = 200, description = "A page of them.", body = Codes)))]
pub(crate) async fn codes(State(api): State<Api>, query: Query<CodesQuery>) -> Result<Response, Problem> {
    let CodesQuery(campaign, filter) = query.parameters;
    api.answer(query.arrival, CAMPAIGNS, "campaign", move |view, _| codes::list(view, campaign, &filter)).await
}
