//! Creates campaigns with their codes before anything is measured.

use scrip_client::{Client, ClientError};
use scrip_protocol::command::{AddCodes, AddCodesOutcome, CreateCampaign, CreateCampaignOutcome, LINES_MAX, OnConflict, Terms};
use scrip_protocol::{CampaignId, RequestId};

/// Why codes were not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The engine could not be reached, or refused.
    #[error("no reply from the engine: {0}")]
    Client(#[from] ClientError),
    /// A campaign was refused.
    #[error("a campaign was refused: {0}")]
    Campaign(CreateCampaignOutcome),
    /// Codes were refused.
    #[error("codes were refused: {0}")]
    Codes(AddCodesOutcome),
}

/// Creates a campaign of these terms with these codes, which must all be new.
///
/// # Errors
/// When the engine cannot be reached, or refuses.
pub async fn create_campaign(client: &Client, terms: Terms, codes: &[String]) -> Result<CampaignId, ImportError> {
    let mut parts = codes.chunks(LINES_MAX);
    let lines = parts.next().unwrap_or_default().iter().collect();
    let request = CreateCampaign { terms, lines, on_conflict: OnConflict::Reject };
    let outcome = client.create_campaign(RequestId::now(), &request).await?;
    let CreateCampaignOutcome::Created { campaign, .. } = outcome else { return Err(ImportError::Campaign(outcome)) };
    for lines in parts {
        let request = AddCodes { campaign, lines: lines.iter().collect(), first_line: 1, on_conflict: OnConflict::Reject };
        let outcome = client.add_codes(RequestId::now(), &request).await?;
        if !matches!(outcome, AddCodesOutcome::Added(_)) {
            return Err(ImportError::Codes(outcome));
        }
    }
    Ok(campaign)
}
