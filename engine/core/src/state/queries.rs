//! Queries, which change nothing.

use scrip_protocol::command::{
    AddCodesOutcome, ArchiveCause, CAMPAIGNS_LOOKED_AT, CAMPAIGNS_PER_PAGE, CLUBS_PER_PAGE, CODES_LOOKED_AT, CODES_PER_PAGE,
    CREDENTIALS_PER_PAGE, CampaignCard, CampaignFilter, ClientCard, Club, CodeFilter, CodeRow, CredentialCard, GROUPS_PER_PAGE,
    Group, ListCampaigns, ListCampaignsOutcome, ListClubs, ListClubsOutcome, ListCodes, ListCodesOutcome, ListCredentials,
    ListCredentialsOutcome, ListGroups, ListGroupsOutcome, ListReadersOutcome, ListRules, ListRulesOutcome, NAME_BYTES_MAX,
    RULES_LOOKED_AT, RULES_PER_PAGE, Reader, RuleCard, RuleFilter, Secret, ShowCampaign, ShowCampaignOutcome, ShowClient,
    ShowClientOutcome, ShowRule, ShowRuleOutcome, Stock, Terms, UsageFilter,
};
use scrip_protocol::{CampaignId, ClubId, RuleId};

use super::add_codes::preview;
use super::archive_campaign::holders;
use super::{AddCodesRequest, Campaign, Credential, Lookup, ReaderRow, Rule, State};

/// No name contains a longer text, in any letter case: a letter of 3 bytes may correspond to one of 1 byte, not less.
const TEXT_BYTES_MAX: usize = 5 * NAME_BYTES_MAX;

/// Additions of codes that a campaign's card shows.
const ADDED_SHOWN: usize = 100;

impl State {
    /// A page of the clubs.
    pub fn list_clubs(&self, request: &ListClubs) -> ListClubsOutcome {
        let club = |(club, name): (_, &str)| Club { club, name: name.to_owned() };
        ListClubsOutcome { clubs: self.clubs.after(request.after).take(CLUBS_PER_PAGE).map(club).collect(), as_of: self.position }
    }

    /// A page of the groups.
    pub fn list_groups(&self, request: &ListGroups) -> ListGroupsOutcome {
        let group = |(group, name, clients): (_, &str, _)| Group { group, name: name.to_owned(), clients };
        ListGroupsOutcome {
            groups: self.groups.after(request.after).take(GROUPS_PER_PAGE).map(group).collect(),
            as_of: self.position,
        }
    }

    /// The readers of the journal.
    pub fn list_readers(&self) -> ListReadersOutcome {
        let reader = |(name, ReaderRow { position, moved_ms }): (&str, _)| {
            let credential = self.readers.owner_of(name);
            Reader { name: name.to_owned(), position, moved_ms, credential }
        };
        ListReadersOutcome { readers: self.readers.iter().map(reader).collect(), as_of: self.position }
    }

    /// A page of the rules.
    pub fn list_rules(&self, request: &ListRules) -> ListRulesOutcome {
        let passes = |(_, rule): &(RuleId, &Rule)| {
            let (archived, active) = (rule.archived_ms.is_some(), rule.terms.active);
            let of_filter = match request.filter {
                RuleFilter::Present => !archived,
                RuleFilter::Active => !archived && active,
                RuleFilter::Inactive => !archived && !active,
                RuleFilter::Archived => archived,
            };
            let clubs = &rule.terms.clubs;
            of_filter && (request.club == ClubId(0) || clubs.is_empty() || clubs.binary_search(&request.club).is_ok())
        };
        let (rules, next) = page(self.rules.after(request.after), RULES_LOOKED_AT, passes, RULES_PER_PAGE);
        let rules = rules.into_iter().map(|(id, rule)| self.rule_card(id, rule)).collect();
        ListRulesOutcome { rules, next, as_of: self.position }
    }

    /// A rule.
    pub fn show_rule(&self, request: &ShowRule) -> ShowRuleOutcome {
        match self.rules.of(request.rule) {
            None => ShowRuleOutcome::UnknownRule,
            Some(rule) => ShowRuleOutcome::Rule(self.rule_card(request.rule, rule)),
        }
    }

    fn rule_card(&self, id: RuleId, rule: &Rule) -> RuleCard {
        let Rule { terms, created_ms, changed_ms, archived_ms, fired, failed, credited, .. } = rule;
        RuleCard {
            rule: id,
            terms: terms.clone(),
            created_ms: *created_ms,
            changed_ms: *changed_ms,
            archived_ms: *archived_ms,
            fired: *fired,
            failed: *failed,
            credited: *credited,
            as_of: self.position,
        }
    }

    /// A client's card.
    pub fn show_client(&self, request: &ShowClient) -> ShowClientOutcome {
        let client = request.client;
        match self.clients.accounts(client) {
            None => ShowClientOutcome::UnknownClient,
            Some(accounts) => ShowClientOutcome::Client(ClientCard {
                client,
                name: self.clients.name(client).to_owned(),
                accounts,
                groups: self.groups.of_client(client).into_owned(),
                as_of: self.position,
            }),
        }
    }

    /// A page of the campaigns, with their status at a time.
    pub fn list_campaigns(&self, now_ms: u64, request: &ListCampaigns) -> ListCampaignsOutcome {
        if request.text.len() > TEXT_BYTES_MAX {
            return ListCampaignsOutcome { campaigns: Vec::new(), next: None, as_of: self.position };
        }
        let text = request.text.to_lowercase();
        let passes = |(id, campaign): &(CampaignId, &Campaign)| {
            let (terms, active) = (&campaign.terms, is_active(now_ms, campaign));
            let of_status = match request.status {
                CampaignFilter::Present => !campaign.is_archived(),
                CampaignFilter::Active => active,
                CampaignFilter::Inactive => !active && !campaign.is_archived(),
                CampaignFilter::Archived => campaign.is_archived(),
                CampaignFilter::All => true,
            };
            let at_club = request.club == ClubId(0) || terms.clubs.is_empty() || terms.clubs.binary_search(&request.club).is_ok();
            let of_text = || text.is_empty() || terms.name.to_lowercase().contains(&text);
            let of_stock = || !request.low_stock || self.is_low_on_stock(now_ms, *id, campaign);
            of_status && at_club && of_text() && of_stock()
        };
        let (campaigns, next) = page(self.campaigns.after(request.after), CAMPAIGNS_LOOKED_AT, passes, CAMPAIGNS_PER_PAGE);
        let campaigns = campaigns.into_iter().map(|(id, campaign)| self.card(now_ms, id, campaign)).collect();
        ListCampaignsOutcome { campaigns, next, as_of: self.position }
    }

    /// A campaign, with its status at a time.
    pub fn show_campaign(&self, now_ms: u64, request: &ShowCampaign) -> ShowCampaignOutcome {
        match self.campaigns.of(request.campaign) {
            None => ShowCampaignOutcome::UnknownCampaign,
            Some(campaign) => ShowCampaignOutcome::Campaign(self.card(now_ms, request.campaign, campaign)),
        }
    }

    /// A page of a campaign's codes.
    pub fn list_codes(&self, request: &ListCodes, lookup: &impl Lookup) -> ListCodesOutcome {
        let Some(campaign) = self.campaigns.of(request.campaign) else { return ListCodesOutcome::UnknownCampaign };
        let (first, end) = (request.from_slot, campaign.codes.len() as u32);
        let looked_at: Vec<u32> = (first..end).take(CODES_LOOKED_AT).collect();
        let archived_of = |slot: u32| match campaign.archived_codes.get(&slot) {
            Some(code) => Some(code.cause),
            None => campaign.is_archived().then_some(ArchiveCause::ByCampaign),
        };
        let used = |slot: u32| campaign.activations_of.get(slot).is_some_and(|activations| *activations > 0);
        let passes = |slot: &u32| {
            let of_status = match request.status {
                CodeFilter::All => true,
                CodeFilter::Active => archived_of(*slot).is_none(),
                CodeFilter::Archived | CodeFilter::Conflicting => archived_of(*slot).is_some(),
            };
            let of_usage = match request.usage {
                UsageFilter::All => true,
                UsageFilter::Used => used(*slot),
                UsageFilter::Unused => !used(*slot),
            };
            of_status && of_usage
        };
        // One more than is shown, to find where the next page begins. For conflicts, which codes are shown is only known below.
        let enough = if request.status == CodeFilter::Conflicting { CODES_LOOKED_AT } else { CODES_PER_PAGE + 1 };
        let slots: Vec<u32> = looked_at.iter().copied().filter(passes).take(enough).collect();
        let holders = self.holders_of_archived(request.campaign, campaign, &slots, lookup);
        let row = |(slot, held_by): (u32, Option<CampaignId>)| CodeRow {
            slot,
            code: campaign.codes.of(slot as usize).unwrap_or_default().to_owned(),
            activations: campaign.activations_of.get(slot).copied().unwrap_or(0),
            archived: archived_of(slot),
            held_by,
        };
        let shown = |row: &CodeRow| request.status != CodeFilter::Conflicting || row.held_by.is_some();
        let mut rows = slots.into_iter().zip(holders).map(row).filter(shown);
        let codes: Vec<_> = rows.by_ref().take(CODES_PER_PAGE).collect();
        let past = first.saturating_add(looked_at.len() as u32);
        let next = rows.next().map(|row| row.slot).or((past < end).then_some(past));
        ListCodesOutcome::Codes { codes, next, as_of: self.position }
    }

    /// The other campaigns that hold the values of archived codes.
    fn holders_of_archived(
        &self,
        id: CampaignId,
        campaign: &Campaign,
        slots: &[u32],
        lookup: &impl Lookup,
    ) -> Vec<Option<CampaignId>> {
        let archived: Vec<u32> = slots.iter().copied().filter(|slot| campaign.freed(*slot).is_some()).collect();
        let mut holders = archived.iter().zip(holders(self, id, campaign, &archived, lookup)).peekable();
        let holder = |slot: &u32| holders.next_if(|(archived, _)| *archived == slot).and_then(|(_, holder)| holder);
        slots.iter().map(holder).collect()
    }

    /// The outcome that adding codes would have.
    pub fn try_codes(&self, request: &AddCodesRequest, lookup: &impl Lookup) -> AddCodesOutcome {
        preview(self, request, lookup)
    }

    /// A page of the credentials.
    pub fn list_credentials(&self, request: &ListCredentials) -> ListCredentialsOutcome {
        let card = |(credential, of): (_, &Credential)| CredentialCard {
            credential,
            name: of.grant.name.clone(),
            role: of.grant.role,
            clubs: of.grant.clubs.clone(),
            reasons: of.grant.reasons,
            certificate: matches!(of.grant.secret, Secret::Certificate(_)),
            added_ms: of.added_ms,
            revoked_ms: of.revoked_ms,
        };
        let credentials = self.credentials.after(request.after).take(CREDENTIALS_PER_PAGE).map(card).collect();
        ListCredentialsOutcome { credentials, as_of: self.position }
    }

    fn card(&self, now_ms: u64, id: CampaignId, campaign: &Campaign) -> CampaignCard {
        let shown = campaign.added.len().saturating_sub(ADDED_SHOWN);
        let stock = self.stock(now_ms, id, campaign);
        CampaignCard {
            campaign: id,
            terms: Terms::clone(&campaign.terms),
            status_active: is_active(now_ms, campaign),
            redeemable: is_redeemable(now_ms, campaign),
            archived_ms: campaign.archived.map(|archived| archived.at_ms),
            created_ms: campaign.created_ms,
            codes: campaign.codes.len() as u32,
            codes_archived: campaign.codes_archived(),
            codes_activated: campaign.codes_activated,
            codes_available: campaign.codes_available(),
            codes_redeemable: stock.codes_redeemable(&campaign.terms) as u32,
            low_stock: !campaign.is_archived() && stock.is_low(&campaign.terms),
            activations: campaign.activations,
            held: stock.held as u32,
            issued: campaign.issued,
            refunds: campaign.refunds,
            uncollected: campaign.uncollected,
            clients_counted_from_ms: campaign.clients.as_ref().map(|clients| clients.from_ms),
            added: campaign.added[shown..].to_vec(),
            as_of: self.position,
            as_of_ms: now_ms,
        }
    }

    /// The stock of a campaign at a time.
    fn stock(&self, now_ms: u64, id: CampaignId, campaign: &Campaign) -> Stock {
        let held = self.holds.of_campaign(id, now_ms);
        let full = if campaign.is_archived() { 0 } else { held.codes_full };
        Stock {
            codes_free: campaign.codes_not_exhausted().saturating_sub(full).into(),
            activations: campaign.activations,
            held: held.uses.into(),
            issued: campaign.issued.0.into(),
            held_sum: held.sum,
        }
    }

    /// Whether the stock is below the campaign's threshold (Z16).
    fn is_low_on_stock(&self, now_ms: u64, id: CampaignId, campaign: &Campaign) -> bool {
        let is_watched = !campaign.is_archived() && campaign.terms.low_stock.is_some();
        is_watched && self.stock(now_ms, id, campaign).is_low(&campaign.terms)
    }
}

/// The first rows that pass a filter, among a limited number that are examined; and the row to continue after, if there are more.
fn page<N: Copy, T>(
    mut rows: impl Iterator<Item = (N, T)>,
    looked_at_max: usize,
    passes: impl Fn(&(N, T)) -> bool,
    len_max: usize,
) -> (Vec<(N, T)>, Option<N>) {
    let (mut page, mut last) = (Vec::new(), None);
    for row in rows.by_ref().take(looked_at_max) {
        let passes = passes(&row);
        if passes && page.len() == len_max {
            return (page, last);
        }
        last = Some(row.0);
        page.extend(passes.then_some(row));
    }
    (page, rows.next().and(last))
}

/// C6: by switch and period.
fn is_active(now_ms: u64, campaign: &Campaign) -> bool {
    campaign.terms.active && !campaign.is_archived() && campaign.terms.is_in_period(now_ms)
}

/// A1, C8: whether codes are accepted, which also depends on whether the period is enforced.
fn is_redeemable(now_ms: u64, campaign: &Campaign) -> bool {
    let terms = &campaign.terms;
    terms.active && !campaign.is_archived() && (!terms.enforce_period || terms.is_in_period(now_ms))
}

#[cfg(test)]
mod tests {
    use super::page;

    /// A page ends with its last row or at the limit of examined rows, and names the last examined row as the one to continue
    /// after.
    #[test]
    fn a_page_continues_after_the_last_examined_row() {
        let rows = || (1..=10).map(|number| (number, number));
        let even = |looked_at_max, len_max| page(rows(), looked_at_max, |(_, number)| number % 2 == 0, len_max);
        let found = |numbers: &[u32], next| (numbers.iter().map(|number| (*number, *number)).collect::<Vec<_>>(), next);
        assert_eq!(even(100, 2), found(&[2, 4], Some(5)));
        assert_eq!(even(100, 5), found(&[2, 4, 6, 8, 10], None));
        assert_eq!(even(10, 5), found(&[2, 4, 6, 8, 10], None));
        assert_eq!(even(9, 5), found(&[2, 4, 6, 8], Some(9)));
        assert_eq!(even(1, 5), found(&[], Some(1)));
        assert_eq!(page(rows().skip(10), 1, |_| true, 5), found(&[], None));
    }
}
