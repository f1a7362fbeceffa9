//! The client's methods for campaigns and their codes.
//!
//! Methods that change something take a request id first; the others only read. Lists of codes are limited per request
//! ([`LINES_MAX`](scrip_protocol::command::LINES_MAX)). If you send a longer list in parts, give each part its own id
//! ([`RequestId::of_part`]).

use super::{Client, ClientError};
use scrip_protocol::command::{
    AddCodes, AddCodesOutcome, ArchiveCampaign, ArchiveCampaignOutcome, ArchiveCodes, ArchiveCodesOutcome, CheckFree,
    CheckFreeOutcome, CodeTexts, CreateCampaign, CreateCampaignOutcome, GenerateCodes, GenerateCodesOutcome, ListCampaigns,
    ListCampaignsOutcome, ListCodes, ListCodesOutcome, RestoreCampaign, RestoreCampaignOutcome, RestoreCodes,
    RestoreCodesOutcome, ShowCampaign, ShowCampaignOutcome, SwitchCampaign, SwitchCampaignOutcome, TryCodes, UpdateCampaign,
    UpdateCampaignOutcome,
};
use scrip_protocol::ids::{CampaignId, RequestId};

impl Client {
    /// Creates a campaign.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn create_campaign(
        &self,
        request: RequestId,
        campaign: &CreateCampaign,
    ) -> Result<CreateCampaignOutcome, ClientError> {
        self.call(request, campaign).await
    }

    /// Changes some of a campaign's terms.
    ///
    /// ```no_run
    /// # async fn example(client: scrip_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use scrip_protocol::command::UpdateCampaign;
    /// use scrip_protocol::{CampaignId, RequestId};
    ///
    /// // Each code can be used once; no end date; everything else unchanged.
    /// let campaign = CampaignId(7);
    /// let changes =
    ///     UpdateCampaign { campaign, activations_per_code_max: Some(Some(1)), ends_ms: Some(None), ..UpdateCampaign::default() };
    /// println!("{}", client.update_campaign(RequestId::now(), &changes).await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn update_campaign(
        &self,
        request: RequestId,
        changes: &UpdateCampaign,
    ) -> Result<UpdateCampaignOutcome, ClientError> {
        self.call(request, changes).await
    }

    /// Switches a campaign on or off.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn switch_campaign(
        &self,
        request: RequestId,
        campaign: CampaignId,
        active: bool,
    ) -> Result<SwitchCampaignOutcome, ClientError> {
        self.call(request, &SwitchCampaign { campaign, active }).await
    }

    /// Archives a campaign with all its codes.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn archive_campaign(
        &self,
        request: RequestId,
        campaign: CampaignId,
    ) -> Result<ArchiveCampaignOutcome, ClientError> {
        self.call(request, &ArchiveCampaign { campaign }).await
    }

    /// Restores an archived campaign, or the codes that an earlier restore left archived.
    ///
    /// ```no_run
    /// # async fn example(client: scrip_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use scrip_protocol::command::RestoreCampaignOutcome;
    /// use scrip_protocol::{CampaignId, RequestId};
    ///
    /// let outcome = client.restore_campaign(RequestId::now(), CampaignId(7)).await?;
    /// if let RestoreCampaignOutcome::Restored { first, .. } = &outcome {
    ///     first.iter().for_each(|conflict| println!("{} is held by campaign {}", conflict.code, conflict.held_by));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn restore_campaign(
        &self,
        request: RequestId,
        campaign: CampaignId,
    ) -> Result<RestoreCampaignOutcome, ClientError> {
        self.call(request, &RestoreCampaign { campaign }).await
    }

    /// Lists the campaigns that pass a filter, a page at a time.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn list_campaigns(&self, query: &ListCampaigns) -> Result<ListCampaignsOutcome, ClientError> {
        self.call(RequestId(0), query).await
    }

    /// Shows a campaign.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn show_campaign(&self, campaign: CampaignId) -> Result<ShowCampaignOutcome, ClientError> {
        self.call(RequestId(0), &ShowCampaign { campaign }).await
    }

    /// Adds codes to a campaign.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn add_codes(&self, request: RequestId, codes: &AddCodes) -> Result<AddCodesOutcome, ClientError> {
        self.call(request, codes).await
    }

    /// Previews adding codes: returns the answer without adding any.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn try_codes(&self, codes: &TryCodes) -> Result<AddCodesOutcome, ClientError> {
        self.call(RequestId(0), codes).await
    }

    /// Checks whether codes are free to be added to a campaign.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn check_free(&self, codes: CodeTexts) -> Result<CheckFreeOutcome, ClientError> {
        self.call(RequestId(0), &CheckFree { codes }).await
    }

    /// Generates codes and adds them to a campaign.
    ///
    /// ```no_run
    /// # async fn example(client: scrip_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use scrip_protocol::command::{GenerateCodes, GenerateCodesOutcome, ListCodes, ListCodesOutcome};
    /// use scrip_protocol::{CampaignId, RequestId};
    ///
    /// let campaign = CampaignId(7);
    /// let generate = GenerateCodes { campaign, count: 500, pattern: "SPRING-********".into(), alphabet: String::new() };
    /// if let GenerateCodesOutcome::Generated { first_slot, .. } = client.generate_codes(RequestId::now(), &generate).await? {
    ///     let from = ListCodes { campaign, from_slot: first_slot, status: Default::default(), usage: Default::default() };
    ///     if let ListCodesOutcome::Codes { codes, .. } = client.list_codes(&from).await? {
    ///         codes.iter().take(500).for_each(|row| println!("{}", row.code));
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn generate_codes(&self, request: RequestId, command: &GenerateCodes) -> Result<GenerateCodesOutcome, ClientError> {
        self.call(request, command).await
    }

    /// Archives single codes of a campaign.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn archive_codes(&self, request: RequestId, command: &ArchiveCodes) -> Result<ArchiveCodesOutcome, ClientError> {
        self.call(request, command).await
    }

    /// Restores single codes of a campaign.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn restore_codes(&self, request: RequestId, command: &RestoreCodes) -> Result<RestoreCodesOutcome, ClientError> {
        self.call(request, command).await
    }

    /// Lists the codes of a campaign that pass a filter, a page at a time.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn list_codes(&self, query: &ListCodes) -> Result<ListCodesOutcome, ClientError> {
        self.call(RequestId(0), query).await
    }
}
