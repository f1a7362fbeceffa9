//! Campaigns with their codes, brought into an engine before anything is measured.

use scrip_client::{Client, ClientError};
use scrip_protocol::command::{AddCodes, AddCodesOutcome, CreateCampaign, CreateCampaignOutcome, OnConflict, Terms};
use scrip_protocol::{CampaignId, RequestId};

/// Codes of one request to add some: a frame's worth.
const CODES_PER_REQUEST: usize = 50_000;

/// Why codes were not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The engine could not be asked.
    #[error("the engine cannot be asked: {0}")]
    Client(#[from] ClientError),
    /// A campaign was not taken.
    #[error("a campaign was not taken: {0}")]
    Campaign(CreateCampaignOutcome),
    /// Codes were not taken.
    #[error("codes were not taken: {0}")]
    Codes(AddCodesOutcome),
}

/// Creates a campaign of these terms with these codes, which must all be new.
///
/// # Errors
/// When the engine cannot be asked, or refuses.
pub async fn create_campaign(client: &Client, terms: Terms, codes: &[String]) -> Result<CampaignId, ImportError> {
    let mut parts = codes.chunks(CODES_PER_REQUEST);
    let lines = parts.next().unwrap_or_default().iter().collect();
    let asked = CreateCampaign { terms, lines, on_conflict: OnConflict::Reject };
    let outcome = client.create_campaign(RequestId::now(), &asked).await?;
    let CreateCampaignOutcome::Created { campaign, .. } = outcome else { return Err(ImportError::Campaign(outcome)) };
    for lines in parts {
        let asked = AddCodes { campaign, lines: lines.iter().collect(), first_line: 1, on_conflict: OnConflict::Reject };
        let outcome = client.add_codes(RequestId::now(), &asked).await?;
        if !matches!(outcome, AddCodesOutcome::Added(_)) {
            return Err(ImportError::Codes(outcome));
        }
    }
    Ok(campaign)
}
