//! Upkeep: the work of marketing staff on campaigns, repeated on a connection of its own while a load runs, to show its effect on
//! the latencies of the load.
//!
//! A round creates a campaign, adds as many codes again, archives it, gives some of its values to another one, restores it with these
//! in conflict, reads the conflict list, frees the values, restores the rest, and archives it. Each answer is checked.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use scrip_client::{Client, ClientError, Dial};
use scrip_protocol::command::{
    AddCodes, AddCodesOutcome, ArchiveCampaign, ArchiveCampaignOutcome, CodeFilter, CreateCampaign, CreateCampaignOutcome,
    ListCodes, ListCodesOutcome, OnConflict, RestoreCampaign, RestoreCampaignOutcome, Terms, UsageFilter,
};
use scrip_protocol::{CampaignId, Command, Money, RequestId, wire};
use tokio::sync::watch;

use crate::plan::draw_codes;

/// Maximum number of rounds: each leaves its codes behind, archived.
const ROUNDS_MAX: u64 = 200;

/// The amount of upkeep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Upkeep {
    /// Codes of the campaign.
    pub codes: u32,
    /// How many of them another campaign takes meanwhile.
    pub conflicts: u32,
    /// How often a round begins, in milliseconds, if the one before it is done; 0 for no pause.
    pub every_ms: u64,
}

/// The times of one kind of step, over all rounds.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Taken {
    /// The step.
    pub step: String,
    /// How often.
    pub times: u64,
    /// The median of its times, in milliseconds.
    pub median_ms: f64,
    /// The longest, in milliseconds.
    pub max_ms: f64,
    /// The bytes of the largest answer.
    pub reply_bytes_max: usize,
}

/// Why the upkeep failed.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepError {
    /// The engine could not be reached, or refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It has no thread to run on.
    #[error("cannot start the upkeep thread: {0}")]
    Runtime(#[source] std::io::Error),
    /// An unexpected answer.
    #[error("{step}: {answer}")]
    Unexpected {
        /// The step.
        step: &'static str,
        /// The answer.
        answer: String,
    },
}

/// The steps done, and their campaigns.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) steps: Vec<Taken>,
    pub(crate) campaigns: Vec<CampaignId>,
}

/// Runs one round after the other until `stop` is true, but at least one. Codes are drawn from a seed.
pub(crate) async fn run(dial: Dial, upkeep: Upkeep, seed: u64, mut stop: watch::Receiver<bool>) -> Result<Done, UpkeepError> {
    let client = Client::connect(dial).await.map_err(ClientError::Connect)?;
    let mut rounds = Rounds { client, times: BTreeMap::new(), campaigns: Vec::new() };
    let begun = tokio::time::Instant::now();
    for round in 0..ROUNDS_MAX {
        let due = begun + Duration::from_millis(round * upkeep.every_ms);
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        rounds.round(upkeep, &draw_codes(seed.wrapping_add(round), upkeep.codes as usize)).await?;
        if *stop.borrow() {
            break;
        }
    }
    let taken = |((_, step), mut times): ((u8, &str), Times)| {
        times.elapsed.sort_unstable();
        let ms = |elapsed: Option<&Duration>| elapsed.map_or(0.0, |elapsed| elapsed.as_secs_f64() * 1e3);
        Taken {
            step: step.to_owned(),
            times: times.elapsed.len() as u64,
            median_ms: ms(times.elapsed.get(times.elapsed.len() / 2)),
            max_ms: ms(times.elapsed.last()),
            reply_bytes_max: times.reply_bytes_max,
        }
    };
    Ok(Done { steps: rounds.times.into_iter().map(taken).collect(), campaigns: rounds.campaigns })
}

struct Rounds {
    client: Client,
    /// By the steps' order in a round.
    times: BTreeMap<(u8, &'static str), Times>,
    campaigns: Vec<CampaignId>,
}

#[derive(Default)]
struct Times {
    elapsed: Vec<Duration>,
    reply_bytes_max: usize,
}

impl Rounds {
    async fn round(&mut self, upkeep: Upkeep, codes: &[String]) -> Result<(), UpkeepError> {
        let (first, rest) = codes.split_at(codes.len() / 2);
        let campaign = self.create((1, "create"), first).await?;
        let add = AddCodes { campaign, lines: rest.iter().collect(), first_line: 1, on_conflict: OnConflict::Reject };
        let added = self.call((2, "add codes"), &add).await?;
        expect("add codes", &added, matches!(&added, AddCodesOutcome::Added(report) if report.added as usize == rest.len()))?;
        self.archive((3, "archive"), campaign).await?;
        let taken = &codes[..upkeep.conflicts as usize];
        let other = self.create((4, "create from its codes"), taken).await?;
        self.restore((5, "restore in conflict"), campaign, codes.len() - taken.len(), taken.len()).await?;
        let found = self.conflicts((6, "read a page of conflicts"), campaign).await?;
        expect("read the conflicts", &found, found == taken.len())?;
        self.archive((7, "archive the other"), other).await?;
        self.restore((8, "restore the rest"), campaign, taken.len(), 0).await?;
        self.archive((3, "archive"), campaign).await
    }

    async fn create(&mut self, step: (u8, &'static str), codes: &[String]) -> Result<CampaignId, UpkeepError> {
        let terms =
            Terms { activations_per_code_max: Some(1), ..Terms::new(format!("Upkeep {}", self.campaigns.len()), Money(100)) };
        let request = CreateCampaign { terms, lines: codes.iter().collect(), on_conflict: OnConflict::Reject };
        let outcome = self.call(step, &request).await?;
        let CreateCampaignOutcome::Created { campaign, .. } = outcome else {
            return Err(UpkeepError::Unexpected { step: step.1, answer: outcome.to_string() });
        };
        self.campaigns.push(campaign);
        Ok(campaign)
    }

    async fn archive(&mut self, step: (u8, &'static str), campaign: CampaignId) -> Result<(), UpkeepError> {
        let outcome = self.call(step, &ArchiveCampaign { campaign }).await?;
        expect(step.1, &outcome, matches!(outcome, ArchiveCampaignOutcome::Archived { .. }))
    }

    async fn restore(
        &mut self,
        step: (u8, &'static str),
        campaign: CampaignId,
        expected: usize,
        in_conflict: usize,
    ) -> Result<(), UpkeepError> {
        let outcome = self.call(step, &RestoreCampaign { campaign }).await?;
        let right = matches!(&outcome, RestoreCampaignOutcome::Restored { restored, conflicts, .. }
            if (*restored as usize, *conflicts as usize) == (expected, in_conflict));
        expect(step.1, &outcome, right)
    }

    /// How many conflicts the campaign's list has, read to its end.
    async fn conflicts(&mut self, step: (u8, &'static str), campaign: CampaignId) -> Result<usize, UpkeepError> {
        let (mut from_slot, mut found) = (Some(0), 0);
        while let Some(from) = from_slot {
            let request = ListCodes { campaign, from_slot: from, status: CodeFilter::Conflicting, usage: UsageFilter::All };
            match self.call(step, &request).await? {
                ListCodesOutcome::Codes { codes, next, .. } => {
                    found += codes.len();
                    from_slot = next;
                }
                ListCodesOutcome::UnknownCampaign => break,
            }
        }
        Ok(found)
    }

    async fn call<C: Command>(&mut self, step: (u8, &'static str), request: &C) -> Result<C::Outcome, UpkeepError> {
        let began = Instant::now();
        let outcome = self.client.call(RequestId::now(), request).await?;
        let elapsed = began.elapsed();
        let mut reply = Vec::new();
        wire::encode(&outcome, &mut reply);
        let times = self.times.entry(step).or_default();
        times.elapsed.push(elapsed);
        times.reply_bytes_max = times.reply_bytes_max.max(reply.len());
        Ok(outcome)
    }
}

fn expect(step: &'static str, answer: &impl std::fmt::Debug, right: bool) -> Result<(), UpkeepError> {
    // An answer may list many codes: its beginning is enough to identify it.
    let answer = || format!("{answer:?}").chars().take(200).collect();
    right.then_some(()).ok_or_else(|| UpkeepError::Unexpected { step, answer: answer() })
}
