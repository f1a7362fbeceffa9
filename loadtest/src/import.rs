//! Creates campaigns with their codes before anything is measured.

use std::convert::Infallible;

use scrip_client::{Client, ClientError};
use scrip_lists::{Line, Part, Parts};
use scrip_protocol::command::{AddCodes, AddCodesOutcome, CreateCampaign, CreateCampaignOutcome, OnConflict, Terms};
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
    let lines = (1..).zip(codes).map(|(number, code)| Ok::<_, Infallible>(Line { number, text: code.clone() }));
    let mut parts = Parts::of(lines).map(|Ok(part)| part);
    let first = parts.next().expect("even a list without lines has one part");
    let request = CreateCampaign { terms, lines: first.lines, on_conflict: OnConflict::Reject };
    let outcome = client.create_campaign(RequestId::now(), &request).await?;
    let CreateCampaignOutcome::Created { campaign, .. } = outcome else { return Err(ImportError::Campaign(outcome)) };
    for Part { first_line, lines, .. } in parts {
        let request = AddCodes { campaign, lines, first_line, on_conflict: OnConflict::Reject };
        let outcome = client.add_codes(RequestId::now(), &request).await?;
        if !matches!(outcome, AddCodesOutcome::Added(_)) {
            return Err(ImportError::Codes(outcome));
        }
    }
    Ok(campaign)
}
