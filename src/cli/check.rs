//! `scrip check`: what redeeming codes would return, without any effect.

use clap::Args;
use scrip_protocol::command::{CHECK_CODES_MAX, CheckOutcome, CodeChecked, CodeStanding, RedeemOutcome};
use scrip_protocol::{ClientId, ClientNetwork, ClubId, RequestId};

use crate::exit::{Exit, InputError};
use crate::print;
use crate::reach::Reach;

/// Show what redeeming codes would return, without any effect
///
/// Exits with 0 if all codes can be redeemed, and otherwise with 1.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Codes; letter case is ignored
    #[arg(required = true)]
    codes: Vec<String>,
    /// Number of the club where they would be redeemed [default: any]
    #[arg(long, default_value = "0", hide_default_value = true)]
    club: ClubId,
    /// Id of the client that sent the codes, if any
    ///
    /// With a gateway token, failed attempts count towards the lockout of that client.
    #[arg(long)]
    client: Option<ClientId>,
    /// IP address of the client, if known; used for lockouts
    #[arg(long, value_name = "ADDRESS", default_value = "-", hide_default_value = true)]
    network: ClientNetwork,
    #[command(flatten)]
    reach: Reach,
}

impl Check {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        let query = scrip_protocol::command::Check {
            club: self.club,
            codes: self.codes.clone(),
            client: self.client,
            network: self.network,
        };
        let outcome = self.reach.client().await?.call(RequestId(0), &query).await?;
        let CheckOutcome::Checked { codes, .. } = &outcome else {
            let why = format!("{} codes given; at most {CHECK_CODES_MAX} can be checked at once", self.codes.len());
            return Err(InputError { place: "arguments".into(), why }.into());
        };
        if self.reach.json {
            print::json(&outcome);
        } else {
            let rows: Vec<_> = self.codes.iter().zip(codes).map(|(code, checked)| row(code, checked)).collect();
            print::table(&["CODE", "VERDICT", ">CAMPAIGN", ">AMOUNT", ">USED"], &rows);
        }
        let all = codes.iter().all(|checked| matches!(checked, CodeChecked::Redeemable(_)));
        Ok(if all { Exit::Done } else { Exit::Refused })
    }
}

fn row(code: &str, checked: &CodeChecked) -> Vec<String> {
    let (verdict, standing) = match checked {
        CodeChecked::Redeemable(standing) => ("redeemable", Some(standing)),
        CodeChecked::Refused { reasons, code } => (reasons.first().map_or("", RedeemOutcome::word), Some(code)),
        CodeChecked::NotAccepted => (RedeemOutcome::NotAccepted.word(), None),
        CodeChecked::Free { outcome } => (outcome.word(), None),
    };
    let of = |value: fn(&CodeStanding) -> String| standing.map_or("-".into(), value);
    let used = |standing: &CodeStanding| {
        let held = if standing.held > 0 { format!(", {} held", standing.held) } else { String::new() };
        match standing.activations_max {
            Some(max) => format!("{} of {max}{held}", standing.activations),
            None => format!("{}{held}", standing.activations),
        }
    };
    vec![
        code.to_owned(),
        verdict.to_owned(),
        of(|standing| standing.campaign.to_string()),
        of(|standing| standing.amount.to_string()),
        of(used),
    ]
}
