//! What may be asked without changing anything.

use scrip_protocol::CampaignId;
use scrip_protocol::command::{
    CAMPAIGNS_PER_PAGE, CLUBS_PER_PAGE, CampaignCard, ClientCard, Club, ListCampaigns, ListCampaignsOutcome, ListClubs,
    ListClubsOutcome, ShowCampaign, ShowCampaignOutcome, ShowClient, ShowClientOutcome, Terms,
};

use super::{Campaign, State};

/// How many addings of codes a campaign's card shows.
const ADDED_SHOWN: usize = 100;

impl State {
    /// A page of the clubs.
    pub fn list_clubs(&self, asked: &ListClubs) -> ListClubsOutcome {
        let club = |(club, name): (_, &str)| Club { club, name: name.to_owned() };
        ListClubsOutcome { clubs: self.clubs.after(asked.after).take(CLUBS_PER_PAGE).map(club).collect(), as_of: self.position }
    }

    /// A client's card.
    pub fn show_client(&self, asked: &ShowClient) -> ShowClientOutcome {
        let client = asked.client;
        match self.clients.balance(client) {
            None => ShowClientOutcome::UnknownClient,
            Some(balance) => ShowClientOutcome::Client(ClientCard {
                client,
                name: self.clients.name(client).to_owned(),
                balance,
                as_of: self.position,
            }),
        }
    }

    /// A page of the campaigns, their status as at a time.
    pub fn list_campaigns(&self, now_ms: u64, asked: &ListCampaigns) -> ListCampaignsOutcome {
        let page = self.campaigns.after(asked.after).take(CAMPAIGNS_PER_PAGE);
        let campaigns = page.map(|(id, campaign)| self.card(now_ms, id, campaign)).collect();
        ListCampaignsOutcome { campaigns, as_of: self.position }
    }

    /// A campaign, its status as at a time.
    pub fn show_campaign(&self, now_ms: u64, asked: &ShowCampaign) -> ShowCampaignOutcome {
        match self.campaigns.of(asked.campaign) {
            None => ShowCampaignOutcome::UnknownCampaign,
            Some(campaign) => ShowCampaignOutcome::Campaign(self.card(now_ms, asked.campaign, campaign)),
        }
    }

    fn card(&self, now_ms: u64, id: CampaignId, campaign: &Campaign) -> CampaignCard {
        let shown = campaign.added.len().saturating_sub(ADDED_SHOWN);
        CampaignCard {
            campaign: id,
            terms: Terms::clone(&campaign.terms),
            status_active: campaign.terms.active && in_period(now_ms, &campaign.terms),
            redeemable: campaign.terms.active,
            created_ms: campaign.created_ms,
            codes: campaign.codes.len() as u32,
            codes_activated: campaign.codes_activated,
            activations: campaign.activations,
            issued: campaign.issued,
            added: campaign.added[shown..].to_vec(),
            as_of: self.position,
        }
    }
}

fn in_period(now_ms: u64, terms: &Terms) -> bool {
    terms.starts_ms.is_none_or(|starts| starts <= now_ms) && terms.ends_ms.is_none_or(|ends| now_ms <= ends)
}
