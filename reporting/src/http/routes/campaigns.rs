//! Campaigns: the list, one campaign, its counters, days, clubs and codes.

use axum::extract::State;
use axum::response::Response;
use scrip_protocol::CampaignId;
use scrip_web::parameters::{FromParameters, Parameters};
use scrip_web::problem::Problem;

use crate::figures::activity::{self, Activity, Clubs, DAYS_MAX, Days};
use crate::figures::campaign_list::{self, CampaignFilter, CampaignPage, Campaigns, Status, StatusFilter};
use crate::figures::code_table::{self, CodeFilter, Codes};
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
            status: from
                .word("status", &STATUS, "Filter by status. Default: `present`, every campaign that is not archived.")?
                .flatten(),
            redeemable: from.whether("redeemable", "Only campaigns whose codes can be redeemed (`true`), or only the others.")?,
            club: number(from.number("club", 1, max, "Only campaigns that run at this club.")?),
            text: from.text("text", "Only campaigns whose name contains this text, ignoring case.")?,
            low_stock: from.whether("low_stock", "Only campaigns that are low on stock (`true`), or only the others.")?,
            after: number(from.number("after", 0, max, "Only campaigns after this number: the `next` of the previous page.")?)
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
        let last = from.date("last", "The last day. Default: today.")?;
        let days = from.number("days", 1, DAYS_MAX.into(), "The number of days, including the last. Default: 30.")?;
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
        let after = from.number("after", 0, u32::MAX.into(), "Only clubs after this number: the `next` of the previous page.")?;
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
        let archived =
            from.word("status", &STATUS, "Only codes that are not archived (`active`), or that are. Default: `all`.")?.flatten();
        let used =
            from.word("usage", &USAGE, "Only codes that were activated (`used`), or that were not. Default: `all`.")?.flatten();
        let after = from.number("after", 0, u32::MAX.into(), "Only codes after this slot: the `next` of the previous page.")?;
        let after = after.and_then(|after| u32::try_from(after).ok());
        let limit = from.limit(100, 1_000)?;
        Ok(CodesQuery(campaign, CodeFilter { archived, used, after, limit }))
    }
}

/// List campaigns
///
/// By number, with terms, state and counters. The status of a campaign depends on its switch and its period; `redeemable` tells
/// whether its codes can be redeemed.
#[utoipa::path(get, path = "/v1/campaigns", tag = "campaigns", params(Query<CampaignFilter>),
    responses((status = 200, description = "A page of campaigns.", body = Campaigns)))]
pub(crate) async fn campaigns(State(api): State<Api>, query: Query<CampaignFilter>) -> Result<Response, Problem> {
    let filter = query.parameters;
    let list = move |view: &View<'_>| campaign_list::list(view, &filter).map(Some);
    api.answer_that(Follows::PositionAndTime, query.arrival, CAMPAIGNS, "page", move |view, _| list(view)).await
}

/// Get a campaign
///
/// Its terms, state and counters, when its codes were added, and its changes.
#[utoipa::path(get, path = "/v1/campaigns/{campaign}", tag = "campaigns", params(Query<CampaignQuery>),
    responses((status = 200, description = "The campaign.", body = CampaignPage)))]
pub(crate) async fn campaign(State(api): State<Api>, query: Query<CampaignQuery>) -> Result<Response, Problem> {
    let CampaignQuery(campaign) = query.parameters;
    let show = move |view: &View<'_>| campaign_list::show(view, campaign);
    api.answer_that(Follows::PositionAndTime, query.arrival, CAMPAIGNS, "campaign", move |view, _| show(view)).await
}

/// Get the counters of a campaign
///
/// Total codes, activated, available, bonus amount, and related figures.
#[utoipa::path(get, path = "/v1/campaigns/{campaign}/figures", tag = "campaigns", params(Query<CampaignQuery>),
    responses((status = 200, description = "The counters.", body = CampaignFigures)))]
pub(crate) async fn figures(State(api): State<Api>, query: Query<CampaignQuery>) -> Result<Response, Problem> {
    let CampaignQuery(campaign) = query.parameters;
    let counters = move |view: &View<'_>| figures::of_campaign(view, campaign);
    api.answer_that(Follows::PositionAndTime, query.arrival, CAMPAIGNS, "campaign", move |view, _| counters(view)).await
}

/// Get activations by day
///
/// Days run from midnight to midnight in a time zone. Days without activations are included.
#[utoipa::path(get, path = "/v1/campaigns/{campaign}/days", tag = "campaigns", params(Query<DaysQuery>),
    responses((status = 200, description = "The days.", body = Activity)))]
pub(crate) async fn days(State(api): State<Api>, query: Query<DaysQuery>) -> Result<Response, Problem> {
    let DaysQuery(campaign, days) = query.parameters;
    let by_day = move |view: &View<'_>| activity::by_day(view, campaign, &days);
    api.answer_that(Follows::PositionAndTime, query.arrival, CAMPAIGNS, "campaign", move |view, _| by_day(view)).await
}

/// Get activations by club
///
/// By number; omits clubs without activations.
#[utoipa::path(get, path = "/v1/campaigns/{campaign}/clubs", tag = "campaigns", params(Query<ClubsQuery>),
    responses((status = 200, description = "The clubs.", body = Clubs)))]
pub(crate) async fn clubs(State(api): State<Api>, query: Query<ClubsQuery>) -> Result<Response, Problem> {
    let ClubsQuery { campaign, after, limit } = query.parameters;
    api.answer(query.arrival, CAMPAIGNS, "campaign", move |view, _| activity::by_club(view, campaign, after, limit)).await
}

/// List the codes of a campaign
///
/// In the order in which they were added, each with its status, its usage, and its first and last activation. A page may be
/// short, because it examines a limited number of codes.
#[utoipa::path(get, path = "/v1/campaigns/{campaign}/codes", tag = "codes", params(Query<CodesQuery>),
    responses((status = 200, description = "A page of codes.", body = Codes)))]
pub(crate) async fn codes(State(api): State<Api>, query: Query<CodesQuery>) -> Result<Response, Problem> {
    let CodesQuery(campaign, filter) = query.parameters;
    api.answer(query.arrival, CAMPAIGNS, "campaign", move |view, _| code_table::list(view, campaign, &filter)).await
}
