//! Exports as downloads. The caller and the parameters are checked first; then the file is built, and sent when it is complete.

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use scrip_protocol::CampaignId;
use scrip_web::parameters::{FromParameters, Parameters};
use scrip_web::problem::{Kind, Problem};

use crate::export::download::SCRATCH_BYTES_MAX;
use crate::export::{Export, ExportError, Format, Status, Usage, What};
use crate::http::answer::Api;
use crate::http::answer::Query;
use crate::http::credentials::CAMPAIGNS;
use crate::http::problems::NO_ROOM;

const FORMATS: [(&str, Format); 3] = [("csv", Format::Csv), ("xlsx", Format::Xlsx), ("parquet", Format::Parquet)];

/// The parameters of every export.
struct File {
    format: Format,
    byte_order_mark: bool,
}

impl FromParameters for File {
    fn read(from: &mut Parameters) -> Result<File, Problem> {
        let format = from.word("format", &FORMATS, "The format of the file. Default: `csv`.")?;
        let described = "Whether a CSV begins with a byte order mark, by which old spreadsheet programs recognise UTF-8.";
        let byte_order_mark = from.whether("byte_order_mark", described)?.unwrap_or(false);
        Ok(File { format: format.unwrap_or(Format::Csv), byte_order_mark })
    }
}

impl File {
    fn of(self, what: What) -> Export {
        let scratch_bytes_max = Some(SCRATCH_BYTES_MAX);
        Export { what, format: self.format, byte_order_mark: self.byte_order_mark, scratch: None, scratch_bytes_max }
    }
}

/// Selects codes of a campaign, as a file.
pub(crate) struct CodesExportQuery(Export);

impl FromParameters for CodesExportQuery {
    fn read(from: &mut Parameters) -> Result<CodesExportQuery, Problem> {
        let campaign = from.campaign()?;
        let words = [("all", Status::All), ("active", Status::Active), ("archived", Status::Archived)];
        let status = from.word("status", &words, "Only codes that are not archived (`active`), or that are. Default: `all`.")?;
        let words = [("all", Usage::All), ("used", Usage::Used), ("unused", Usage::Unused)];
        let usage = from.word("usage", &words, "Only codes that were activated (`used`), or that were not. Default: `all`.")?;
        let (status, usage) = (status.unwrap_or(Status::All), usage.unwrap_or(Usage::All));
        Ok(CodesExportQuery(File::read(from)?.of(What::Codes { campaign, status, usage })))
    }
}

/// Reads the parameters of an export of activations, of one campaign or of all.
fn activations(campaign: Option<CampaignId>, from: &mut Parameters) -> Result<Export, Problem> {
    let from_ms = moment(from.date("from", "Only activations on this day (UTC) or later.")?);
    let to_ms = moment(from.date("to", "Only activations before this day (UTC).")?);
    Ok(File::read(from)?.of(What::Activations { campaign, from_ms, to_ms }))
}

/// When a day begins, in milliseconds since 1970; 0 if that is earlier.
fn moment(day: Option<jiff::civil::Date>) -> Option<u64> {
    let midnight = day?.to_zoned(jiff::tz::TimeZone::UTC).map(|zoned| zoned.timestamp()).unwrap_or(Timestamp::MAX);
    Some(u64::try_from(midnight.as_millisecond()).unwrap_or(0))
}

/// Selects activations of a campaign, as a file.
pub(crate) struct CampaignExportQuery(Export);

impl FromParameters for CampaignExportQuery {
    fn read(from: &mut Parameters) -> Result<CampaignExportQuery, Problem> {
        let campaign = from.campaign()?;
        activations(Some(campaign), from).map(CampaignExportQuery)
    }
}

/// Selects activations of all campaigns, as a file.
pub(crate) struct ActivationsExportQuery(Export);

impl FromParameters for ActivationsExportQuery {
    fn read(from: &mut Parameters) -> Result<ActivationsExportQuery, Problem> {
        activations(None, from).map(ActivationsExportQuery)
    }
}

impl From<ExportError> for Problem {
    fn from(error: ExportError) -> Problem {
        match &error {
            ExportError::NoCampaign(_) => Problem::no_such("campaign"),
            ExportError::Busy | ExportError::LogFull => Problem::new(Kind::BUSY, error.to_string()),
            ExportError::TooLong(_) => Problem::new(Kind::TOO_SLOW, error.to_string()),
            ExportError::NoRoom => Problem::new(NO_ROOM, error.to_string()),
            ExportError::View(_)
            | ExportError::Sqlite(_)
            | ExportError::Missing { .. }
            | ExportError::Sink(_)
            | ExportError::Xlsx(_)
            | ExportError::Scratch
            | ExportError::Parquet(_)
            | ExportError::GivenUp => {
                tracing::error!(error = &error as &dyn std::error::Error, "an export failed");
                Problem::new(Kind::INTERNAL, "the export could not be built; see the sidecar's log")
            }
        }
    }
}

/// Export the codes of a campaign
///
/// In the order in which they were added, including archived codes. One row for each activation of a code, and one row for a code
/// that was never activated.
#[utoipa::path(get, path = "/v1/campaigns/{campaign}/codes/export", tag = "exports", params(Query<CodesExportQuery>),
    operation_id = "export_codes",
    responses((status = 200, description = "The file. `Content-Length` is its size.", content(
        (String = "text/csv"), (String = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        (String = "application/vnd.apache.parquet")))))]
pub(crate) async fn codes(State(api): State<Api>, query: Query<CodesExportQuery>) -> Result<Response, Problem> {
    api.export(query.arrival, CAMPAIGNS, query.parameters.0).await
}

/// Export the activations of a campaign
///
/// In the order in which they happened.
#[utoipa::path(get, path = "/v1/campaigns/{campaign}/activations/export", tag = "exports", params(Query<CampaignExportQuery>),
    operation_id = "export_activations_of_campaign",
    responses((status = 200, description = "The file. `Content-Length` is its size.", content(
        (String = "text/csv"), (String = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        (String = "application/vnd.apache.parquet")))))]
pub(crate) async fn of_campaign(State(api): State<Api>, query: Query<CampaignExportQuery>) -> Result<Response, Problem> {
    api.export(query.arrival, CAMPAIGNS, query.parameters.0).await
}

/// Export all activations
///
/// In the order in which they happened.
#[utoipa::path(get, path = "/v1/activations/export", tag = "exports", params(Query<ActivationsExportQuery>),
    operation_id = "export_activations",
    responses((status = 200, description = "The file. `Content-Length` is its size.", content(
        (String = "text/csv"), (String = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        (String = "application/vnd.apache.parquet")))))]
pub(crate) async fn all(State(api): State<Api>, query: Query<ActivationsExportQuery>) -> Result<Response, Problem> {
    api.export(query.arrival, CAMPAIGNS, query.parameters.0).await
}
