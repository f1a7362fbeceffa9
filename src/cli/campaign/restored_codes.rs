//! `scrip campaign restore`: which codes are restored, which are not, and what to do about those (X4, X5).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use scrip_client::{Client, ClientError};
use scrip_protocol::CampaignId;
use scrip_protocol::command::{CodeConflict, RestoreCampaignOutcome, ShowCampaignOutcome};
use serde_json::json;

use super::Named;
use crate::exit::Exit;
use crate::print;

/// How many conflicts are printed for people.
const SHOWN: usize = 20;

impl Named {
    pub(super) async fn restore(self) -> anyhow::Result<Exit> {
        let call = async |client: &Client, request| {
            let outcome = client.restore_campaign(request, self.campaign).await?;
            Ok::<_, ClientError>((client.clone(), outcome))
        };
        let (request, (client, outcome)) = self.reach.change(&self.request_args, call).await?;
        if self.reach.json {
            print::json(&json!({ "request": request, "outcome": outcome }));
        }
        match &outcome {
            RestoreCampaignOutcome::Restored { restored, conflicts, first } => {
                if !self.reach.json {
                    print::line(format_args!("campaign {}: restored with {}", self.campaign, print::count(*restored, "code")));
                    if *conflicts > 0 {
                        self.print_conflicts(&client, *conflicts, first).await;
                    }
                }
                Ok(Exit::Done)
            }
            RestoreCampaignOutcome::UnknownCampaign
            | RestoreCampaignOutcome::NotArchived
            | RestoreCampaignOutcome::StillHeld { .. } => {
                if !self.reach.json {
                    print::line(format_args!("campaign {}: {outcome}", self.campaign));
                    if matches!(outcome, RestoreCampaignOutcome::StillHeld { .. }) {
                        print::line(format_args!("`scrip codes list {} --status conflicting` lists them", self.campaign));
                    }
                }
                Ok(Exit::Refused)
            }
        }
    }

    async fn print_conflicts(&self, client: &Client, conflicts: u32, first: &[CodeConflict]) {
        let (stays, them) = match conflicts {
            1 => ("stays archived, because another campaign holds it", "it"),
            _ => ("stay archived, because other campaigns hold them", "them"),
        };
        print::line(format_args!("{} {stays}:", print::count(conflicts, "code")));
        let shown = &first[..first.len().min(SHOWN)];
        let mut holders: BTreeMap<CampaignId, String> = BTreeMap::new();
        for conflict in shown {
            if let Entry::Vacant(holder) = holders.entry(conflict.held_by) {
                holder.insert(name_of(client, conflict.held_by).await);
            }
        }
        let row = |conflict: &CodeConflict| {
            let name = holders.get(&conflict.held_by).map_or("", String::as_str);
            vec![format!("  {}", conflict.code), format!("{} {}", conflict.held_by, print::cut(name, 40))]
        };
        print::table(&["  CODE", "HELD BY CAMPAIGN"], &shown.iter().map(row).collect::<Vec<_>>());
        if conflicts as usize > shown.len() {
            let more = print::grouped(conflicts as usize - shown.len());
            print::line(format_args!("  and {more} more; `scrip codes list {} --status conflicting` lists all", self.campaign));
        }
        let holder = first.first().map_or(CampaignId(0), |conflict| conflict.held_by);
        print::line(format_args!(
            "To restore {them}, archive {them} there (`scrip codes archive {holder} CODE`) and restore campaign {} again",
            self.campaign
        ));
    }
}

/// The name of a campaign. The restore is done, so a failed lookup of a name does not fail the command.
async fn name_of(client: &Client, campaign: CampaignId) -> String {
    match client.show_campaign(campaign).await {
        Ok(ShowCampaignOutcome::Campaign(card)) => card.terms.name,
        Ok(ShowCampaignOutcome::UnknownCampaign) | Err(_) => String::new(),
    }
}
