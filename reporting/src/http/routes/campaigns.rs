//! Campaigns: the list, one of them, its counters, days, clubs and codes.

use axum::extract::State;
use axum::response::Response;
use scrip_protocol::CampaignId;
use scrip_web::problem::Problem;

use crate::figures::activity::{self, Activity, Clubs, DAYS_MAX, Days};
use crate::figures::campaigns::{self, CampaignFilter, CampaignPage, Campaigns, Status, StatusFilter};
use crate::figures::codes::{self, CodeFilter, Codes};
use crate::figures::{self, CampaignFigures};
use crate::http::answer::{Api, Follows};
use crate::http::caller::CAMPAIGNS;
use crate::http::parameters::{Asked, Asks, Parameters};
use crate::read_model::View;

/// One campaign is asked for.
pub(crate) struct OneCampaign(pub(crate) CampaignId);

impl Asks for OneCampaign {
    fn read(from: &mut Parameters) -> Result<OneCampaign, Problem> {
        from.campaign().map(OneCampaign)
    }
}

impl Asks for CampaignFilter {
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

/// The days of a campaign are asked for.
pub(crate) struct DaysAsked(CampaignId, Days);

impl Asks for DaysAsked {
    fn read(from: &mut Parameters) -> Result<DaysAsked, Problem> {
        let campaign = from.campaign()?;
        let zone = from.zone()?;
        let last = from.date("last", "The last day; today where nothing is said.")?;
        let days = from.number("days", 1, DAYS_MAX.into(), "How many days, the last included; 30 where nothing is said.")?;
        let days = days.and_then(|days| u16::try_from(days).ok()).unwrap_or(30);
        Ok(DaysAsked(campaign, Days { zone, last, days }))
    }
}

/// The clubs of a campaign are asked for.
pub(crate) struct ClubsAsked {
    campaign: CampaignId,
    after: Option<u32>,
    limit: usize,
}

impl Asks for ClubsAsked {
    fn read(from: &mut Parameters) -> Result<ClubsAsked, Problem> {
        let campaign = from.campaign()?;
        let after = from.number("after", 0, u32::MAX.into(), "Only those after this number: the `next` of the page before.")?;
        let after = after.and_then(|after| u32::try_from(after).ok());
        Ok(ClubsAsked { campaign, after, limit: from.limit(1_000, 1_000)? })
    }
}

/// The codes of a campaign are asked for.
pub(crate) struct CodesAsked(CampaignId, CodeFilter);

impl Asks for CodesAsked {
    fn read(from: &mut Parameters) -> Result<CodesAsked, Problem> {
        const STATUS: [(&str, Option<bool>); 3] = [("all", None), ("active", Some(false)), ("archived", Some(true))];
        const USAGE: [(&str, Option<bool>); 3] = [("all", None), ("used", Some(true)), ("unused", Some(false))];
        let campaign = from.campaign()?;
        let archived = from.word("status", &STATUS, "By status: those that are not archived, or those that are.")?.flatten();
        let used = from.word("usage", &USAGE, "By usage: those that are activated, or those that are not.")?.flatten();
        let after = from.number("after", 0, u32::MAX.into(), "Only those after this slot: the `next` of the page before.")?;
        let after = after.and_then(|after| u32::try_from(after).ok());
        let limit = from.limit(100, 1_000)?;
        Ok(CodesAsked(campaign, CodeFilter { archived, used, after, limit }))
    }
}

/// The campaigns
///
/// By number, with their terms, state and counters. A campaign is active by its switch and its period; whether its codes are taken is said
/// apart.
#[utoipa::path(get, path = "/v1/campaigns", tag = "campaigns", params(Asked<CampaignFilter>),
    responses((status = 200, description = "A page of them.", body = Campaigns)))]
pub(crate) async fn campaigns(State(api): State<Api>, asked: Asked<CampaignFilter>) -> Result<Response, Problem> {
    let filter = asked.asked;
    let list = move |view: &View<'_>| campaigns::list(view, &filter).map(Some);
    api.answer_that(Follows::PositionAndTime, asked.arrival, CAMPAIGNS, "page", move |view, _| list(view)).await
}

/// A campaign
///
/// Its terms, state and counters, where its codes came from, and what was changed of it.
#[utoipa::path(get, path = "/v1/campaigns/{campaign}", tag = "campaigns", params(Asked<OneCampaign>),
    responses((status = 200, description = "The campaign.", body = CampaignPage)))]
pub(crate) async fn campaign(State(api): State<Api>, asked: Asked<OneCampaign>) -> Result<Response, Problem> {
    let OneCampaign(campaign) = asked.asked;
    let show = move |view: &View<'_>| campaigns::show(view, campaign);
    api.answer_that(Follows::PositionAndTime, asked.arrival, CAMPAIGNS, "campaign", move |view, _| show(view)).await
}

/// The counters of a campaign
///
/// Total codes, activated, available, bonus amount, and what belongs to them.
#[utoipa::path(get, path = "/v1/campaigns/{campaign}/figures", tag = "campaigns", params(Asked<OneCampaign>),
    responses((status = 200, description = "The counters.", body = CampaignFigures)))]
pub(crate) async fn figures(State(api): State<Api>, asked: Asked<OneCampaign>) -> Result<Response, Problem> {
    let OneCampaign(campaign) = asked.asked;
    let counters = move |view: &View<'_>| figures::of_campaign(view, campaign);
    api.answer_that(Follows::PositionAndTime, asked.arrival, CAMPAIGNS, "campaign", move |view, _| counters(view)).await
}

/// What was activated on each day
///
/// Days are those of a time zone, from midnight to midnight. One without activations is there as well.
#[utoipa::path(get, path = "/v1/campaigns/{campaign}/days", tag = "campaigns", params(Asked<DaysAsked>),
    responses((status = 200, description = "The days.", body = Activity)))]
pub(crate) async fn days(State(api): State<Api>, asked: Asked<DaysAsked>) -> Result<Response, Problem> {
    let DaysAsked(campaign, days) = asked.asked;
    let by_day = move |view: &View<'_>| activity::by_day(view, campaign, &days);
    api.answer_that(Follows::PositionAndTime, asked.arrival, CAMPAIGNS, "campaign", move |view, _| by_day(view)).await
}

/// What was activated at each club
///
/// By number; clubs at which nothing was activated are left out.
#[utoipa::path(get, path = "/v1/campaigns/{campaign}/clubs", tag = "campaigns", params(Asked<ClubsAsked>),
    responses((status = 200, description = "The clubs.", body = Clubs)))]
pub(crate) async fn clubs(State(api): State<Api>, asked: Asked<ClubsAsked>) -> Result<Response, Problem> {
    let ClubsAsked { campaign, after, limit } = asked.asked;
    api.answer(asked.arrival, CAMPAIGNS, "campaign", move |view, _| activity::by_club(view, campaign, after, limit)).await
}

/// The codes of a campaign
///
/// In the order of adding, each with its status, its usage, and who activated it first and last, when and where. A page may be short, as
/// only so many codes are looked at for one.
#[utoipa::path(get, path = "/v1/campaigns/{campaign}/codes", tag = "codes", params(Asked<CodesAsked>),
    responses((status = 200, description = "A page of them.", body = Codes)))]
pub(crate) async fn codes(State(api): State<Api>, asked: Asked<CodesAsked>) -> Result<Response, Problem> {
    let CodesAsked(campaign, filter) = asked.asked;
    api.answer(asked.arrival, CAMPAIGNS, "campaign", move |view, _| codes::list(view, campaign, &filter)).await
}
