//! What went wrong in other systems, replayed on the real engine: one case for each kind of complaint, numbered like their list.
//! If a property has a file of its own (guessing, spreadsheets, kills), its cases are there, under the same numbers.

mod codes;
mod counting;
mod ledger;
mod money;

use std::sync::Arc;

use scrip_client::Client;
use scrip_protocol::command::{
    AddCodes, AddCodesOutcome, CampaignCard, CreateCampaign, CreateCampaignOutcome, Hold, HoldOutcome, OnConflict, Redeem,
    RedeemOutcome, ShowCampaignOutcome, Terms,
};
use scrip_protocol::{CampaignId, ClientId, ClubId, Position, RequestId, Role};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::support::{Server, club};

/// An engine with a club, and an operator's client.
async fn begin() -> (Server, Client, ClubId) {
    let server = Server::start();
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    (server, operator, arena)
}

/// Sends redemptions over several connections at once, each under its own id. Returns the outcomes.
async fn at_once(server: &Server, commands: Vec<Redeem>) -> Vec<RedeemOutcome> {
    const CONNECTIONS: usize = 4;
    let start = Arc::new(Barrier::new(CONNECTIONS));
    let mut tasks = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let (client, start) = (server.client(Role::Gateway).await, start.clone());
        let own = commands.iter().skip(connection).step_by(CONNECTIONS).map(|redeem| (RequestId::now(), redeem.clone()));
        let own: Vec<_> = own.collect();
        tasks.spawn(async move {
            start.wait().await;
            client.redeem_all(&own).await
        });
    }
    let answers = tasks.join_all().await.into_iter().flatten();
    answers.map(|answer| answer.expect("a reply")).collect()
}

fn redeemed(answers: &[RedeemOutcome]) -> usize {
    answers.iter().filter(|answer| matches!(answer, RedeemOutcome::Redeemed(_))).count()
}

async fn redeem(client: &Client, command: &Redeem) -> RedeemOutcome {
    client.redeem(RequestId::now(), command).await.expect("a reply")
}

/// Holds a code for a client, and returns the hold.
async fn hold(client: &Client, of: u128, club: ClubId, code: &str, ttl_ms: u64) -> Result<Position, HoldOutcome> {
    let command = Hold::new(ClientId(of), club, code, ttl_ms);
    match client.hold(RequestId::now(), &command).await.expect("a reply") {
        HoldOutcome::Held(held) => Ok(held.hold),
        refused @ (HoldOutcome::InvalidTtl | HoldOutcome::Refused(_) | HoldOutcome::TooManyHolds) => Err(refused),
    }
}

async fn card(client: &Client, campaign: CampaignId) -> CampaignCard {
    match client.show_campaign(campaign).await.expect("a reply") {
        ShowCampaignOutcome::Campaign(card) => card,
        ShowCampaignOutcome::UnknownCampaign => panic!("unknown campaign {campaign}"),
    }
}

async fn create(client: &Client, terms: Terms, codes: &[&str], on_conflict: OnConflict) -> CreateCampaignOutcome {
    let command = CreateCampaign { terms, lines: codes.iter().collect(), on_conflict };
    client.create_campaign(RequestId::now(), &command).await.expect("a reply")
}

async fn add(client: &Client, campaign: CampaignId, codes: &[&str], on_conflict: OnConflict) -> AddCodesOutcome {
    let command = AddCodes { campaign, lines: codes.iter().collect(), first_line: 1, on_conflict };
    client.add_codes(RequestId::now(), &command).await.expect("a reply")
}

/// A client by number.
fn client(number: u128) -> ClientId {
    ClientId(number)
}

/// `count` codes with a word before their number.
fn numbered(word: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{word}-{n:05}")).collect()
}
