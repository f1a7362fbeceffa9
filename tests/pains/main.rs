//! What went wrong in other systems, played on the real engine: one case for each kind of complaint, numbered as the list of them is.
//! Where a property has a file of its own (guessing, spreadsheets, kills), its cases are there, under the same numbers.

#[path = "../support/mod.rs"]
mod support;

mod codes;
mod counting;
mod ledger;
mod money;

use std::sync::Arc;

use scrip_protocol::client::Client;
use scrip_protocol::command::{
    AddCodes, AddCodesOutcome, CampaignCard, CreateCampaign, CreateCampaignOutcome, Hold, HoldOutcome, OnConflict, Redeem,
    RedeemOutcome, ShowCampaignOutcome, Terms,
};
use scrip_protocol::{CampaignId, ClientId, ClubId, Position, RequestId, Role};
use support::{Server, club};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

/// An engine with a club, and an operator's client.
async fn begin() -> (Server, Client, ClubId) {
    let server = Server::start();
    let operator = server.client(Role::Operator).await;
    let arena = club(&operator, "Arena").await;
    (server, operator, arena)
}

/// Sends redemptions over several connections from the same moment on, each under its own id. Returns the answers.
async fn at_once(server: &Server, asked: Vec<Redeem>) -> Vec<RedeemOutcome> {
    const CONNECTIONS: usize = 4;
    let start = Arc::new(Barrier::new(CONNECTIONS));
    let mut tasks = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let (client, start) = (server.client(Role::Gateway).await, start.clone());
        let own = asked.iter().skip(connection).step_by(CONNECTIONS).map(|redeem| (RequestId::now(), redeem.clone()));
        let own: Vec<_> = own.collect();
        tasks.spawn(async move {
            start.wait().await;
            client.redeem_all(&own).await
        });
    }
    let answers = tasks.join_all().await.into_iter().flatten();
    answers.map(|answer| answer.expect("an answer")).collect()
}

fn redeemed(answers: &[RedeemOutcome]) -> usize {
    answers.iter().filter(|answer| matches!(answer, RedeemOutcome::Redeemed(_))).count()
}

async fn redeem(client: &Client, asked: &Redeem) -> RedeemOutcome {
    client.redeem(RequestId::now(), asked).await.expect("an answer")
}

/// Holds a code for a client, and returns the hold.
async fn hold(client: &Client, of: u128, club: ClubId, code: &str, ttl_ms: u64) -> Result<Position, HoldOutcome> {
    let asked = Hold::new(ClientId(of), club, code, ttl_ms);
    match client.hold(RequestId::now(), &asked).await.expect("an answer") {
        HoldOutcome::Held(held) => Ok(held.hold),
        refused @ (HoldOutcome::InvalidTtl | HoldOutcome::Refused(_) | HoldOutcome::TooManyHolds) => Err(refused),
    }
}

async fn card(client: &Client, campaign: CampaignId) -> CampaignCard {
    match client.show_campaign(campaign).await.expect("an answer") {
        ShowCampaignOutcome::Campaign(card) => card,
        ShowCampaignOutcome::UnknownCampaign => panic!("unknown campaign {campaign}"),
    }
}

async fn create(client: &Client, terms: Terms, codes: &[&str], on_conflict: OnConflict) -> CreateCampaignOutcome {
    let asked = CreateCampaign { terms, lines: codes.iter().collect(), on_conflict };
    client.create_campaign(RequestId::now(), &asked).await.expect("an answer")
}

async fn add(client: &Client, campaign: CampaignId, codes: &[&str], on_conflict: OnConflict) -> AddCodesOutcome {
    let asked = AddCodes { campaign, lines: codes.iter().collect(), first_line: 1, on_conflict };
    client.add_codes(RequestId::now(), &asked).await.expect("an answer")
}

/// A client by number.
fn client(number: u128) -> ClientId {
    ClientId(number)
}

/// So many codes with a word before their number.
fn numbered(word: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{word}-{n:05}")).collect()
}
