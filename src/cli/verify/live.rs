//! A running engine, compared with its own journal.
//!
//! The journal is tailed from its first record. Every reply of the engine names the position that it is as of: the tail is
//! applied up to exactly that record, and then the state here must give the same reply. So the comparison is exact, however busy
//! the engine is. Queries are sent in windows of many at once. Within a window the replies are compared in the order of their
//! positions, and no reply to a later window has an earlier position.

use std::collections::VecDeque;
use std::time::Instant;

use scrip_client::{Client, ClientError, TailError, Tailing};
use scrip_core::state::{CodeAt, Difference, Lookup, NormalisedCode, State};
use scrip_engine::backup::BackupError;
use scrip_engine::snapshot::{self, Snapshot};
use scrip_journal::disk::OsDisk;
use scrip_protocol::batch::{Batch, BatchTime, ChainEnd};
use scrip_protocol::command::{
    CodeFilter, ListClubs, ListCodes, ListCodesOutcome, ListGroups, ListRules, RuleFilter, ShowCampaign, ShowCampaignOutcome,
    ShowClient, ShowClientOutcome, UsageFilter,
};
use scrip_protocol::{CampaignId, ClientId, ClubId, GroupId, Position, Record, RuleId};
use tokio::task::JoinSet;

use super::{Report, counted};
use crate::progress::Progress;
use crate::reach::Reach;

/// How many queries are in flight at once.
const IN_FLIGHT: usize = 2_048;

/// Compares everything that an engine reports with the state that its journal yields.
pub(super) async fn verify(reach: &Reach) -> anyhow::Result<Report> {
    let began = Instant::now();
    let client = reach.client().await?;
    let last = client.welcome().durable;
    let mut replica = Replica::begin(reach).await?;
    let mut progress = Progress::new("replaying the journal");
    while replica.state.position() < last {
        replica.next_batch().await?;
        replica.apply_to(last);
        progress.at(replica.state.position().0, last.0);
    }
    drop(progress);
    let compared = counted(&replica.state);
    let difference = replica.compare(&client).await?;
    let names = ["campaigns", "codes", "clients"].map(|name| (name, 0));
    let seen = [replica.campaigns, replica.codes, replica.clients];
    let seen = names.iter().zip(seen).map(|((name, _), seen)| (*name, seen));
    let others = compared.into_iter().filter(|(name, _)| !names.iter().any(|(other, _)| other == name));
    Ok(Report {
        other: "the engine",
        began_after: replica.began_after,
        end: replica.chain,
        batches: replica.batches,
        records: replica.state.position().0 - replica.began_after,
        compared: seen.chain(others).collect(),
        difference,
        took: began.elapsed(),
    })
}

/// The state that the journal yields, as far as it was applied.
struct Replica {
    tailing: Tailing,
    state: State,
    /// Records that were received and not applied yet, with the times of their batches.
    waiting: VecDeque<(BatchTime, Record)>,
    chain: ChainEnd,
    batches: u64,
    began_after: u64,
    campaigns: u64,
    codes: u64,
    clients: u64,
}

impl Replica {
    /// Starts at the first record; or at a snapshot, if the first records were dropped and the data folder is on this machine.
    async fn begin(reach: &Reach) -> anyhow::Result<Replica> {
        let tailing = Tailing::start(reach.dial()?, Position(1), true).await?;
        let mut replica = Replica {
            tailing,
            state: State::default(),
            waiting: VecDeque::new(),
            chain: ChainEnd::default(),
            batches: 0,
            began_after: 0,
            campaigns: 0,
            codes: 0,
            clients: 0,
        };
        let first = match replica.next_batch().await {
            Ok(()) => return Ok(replica),
            Err(error) => match error.downcast_ref() {
                Some(TailError::Dropped { first }) => *first,
                Some(_) | None => return Err(error),
            },
        };
        let none = || BackupError::NoSnapshot { first };
        let folder = reach.folder_at_hand().ok_or_else(none)?;
        let snapshots = snapshot::list(&OsDisk, &folder.snapshots_path())?;
        let oldest = snapshots.iter().rev().find(|snapshot| snapshot.position.0 + 1 >= first.0).ok_or_else(none)?;
        let snapshot = Snapshot::open(&OsDisk, &oldest.path)?;
        tokio::task::block_in_place(|| snapshot.verify(&mut |_| {}))?;
        (replica.state, replica.chain) = (snapshot.state()?, snapshot.header().end);
        replica.began_after = replica.chain.position.0;
        replica.tailing = Tailing::start(reach.dial()?, replica.chain.next(), true).await?;
        Ok(replica)
    }

    /// Waits for the next batch of the tail, which must continue the previous one.
    async fn next_batch(&mut self) -> anyhow::Result<()> {
        let bytes = self.tailing.next().await?;
        let bytes = bytes.ok_or_else(|| anyhow::anyhow!("the engine ended a tail that follows"))?;
        let (batch, after) = (Batch::parse(&bytes)?, self.chain.position);
        batch.follow(&mut self.chain).map_err(|cause| TailError::Batch { after, cause })?;
        for item in batch.records() {
            self.waiting.push_back((batch.time(), item?.1));
        }
        self.batches += 1;
        Ok(())
    }

    /// Applies received records, up to a position.
    fn apply_to(&mut self, position: Position) {
        while self.state.position() < position {
            let Some((time, record)) = self.waiting.pop_front() else { return };
            self.state.apply(time, &record);
        }
    }

    /// Applies the journal up to exactly a position, which is durable because a reply was as of it.
    async fn advance(&mut self, position: Position) -> anyhow::Result<()> {
        self.apply_to(position);
        while self.state.position() < position {
            self.next_batch().await?;
            self.apply_to(position);
        }
        Ok(())
    }

    async fn compare(&mut self, client: &Client) -> anyhow::Result<Option<Difference>> {
        if let Some(difference) = self.small_tables(client).await? {
            return Ok(Some(difference));
        }
        let campaigns: Vec<CampaignId> = self.state.campaigns.after(CampaignId(0)).map(|(id, _)| id).collect();
        if let Some(difference) = self.campaigns(client, campaigns.clone()).await? {
            return Ok(Some(difference));
        }
        if let Some(difference) = self.codes(client, campaigns).await? {
            return Ok(Some(difference));
        }
        let clients: Vec<ClientId> = self.state.clients.iter().map(|(id, _)| id).collect();
        self.clients(client, clients).await
    }

    /// Clubs, groups and rules, a page at a time.
    async fn small_tables(&mut self, client: &Client) -> anyhow::Result<Option<Difference>> {
        let mut after = ClubId(0);
        loop {
            let page = client.list_clubs(after).await?;
            self.advance(page.as_of).await?;
            let ours = self.state.list_clubs(&ListClubs { after });
            if let Some(difference) = Difference::between("the clubs", &ours, &page) {
                return Ok(Some(difference));
            }
            let Some(last) = page.clubs.last() else { break };
            after = last.club;
        }
        let mut after = GroupId(0);
        loop {
            let page = client.list_groups(after).await?;
            self.advance(page.as_of).await?;
            let ours = self.state.list_groups(&ListGroups { after });
            if let Some(difference) = Difference::between("the groups", &ours, &page) {
                return Ok(Some(difference));
            }
            let Some(last) = page.groups.last() else { break };
            after = last.group;
        }
        for filter in [RuleFilter::Present, RuleFilter::Archived] {
            let mut after = Some(RuleId(0));
            while let Some(from) = after {
                let query = ListRules { after: from, filter, ..ListRules::default() };
                let page = client.list_rules(&query).await?;
                self.advance(page.as_of).await?;
                if let Some(difference) = Difference::between("the rules", &self.state.list_rules(&query), &page) {
                    return Ok(Some(difference));
                }
                after = page.next;
            }
        }
        Ok(None)
    }

    async fn campaigns(&mut self, client: &Client, campaigns: Vec<CampaignId>) -> anyhow::Result<Option<Difference>> {
        let mut progress = Progress::new("comparing campaigns");
        let all = campaigns.len() as u64;
        for window in campaigns.chunks(IN_FLIGHT) {
            let answers = answers(window, |campaign| {
                let client = client.clone();
                async move { client.show_campaign(campaign).await }
            });
            let mut answers = answers.await?;
            // A reply without a campaign is as of no position; sort it last.
            answers.sort_by_key(|(_, answer)| match answer {
                ShowCampaignOutcome::Campaign(card) => card.as_of,
                ShowCampaignOutcome::UnknownCampaign => Position(u64::MAX),
            });
            for (campaign, theirs) in answers {
                if let ShowCampaignOutcome::Campaign(card) = &theirs {
                    self.advance(card.as_of).await?;
                }
                // Status and holds depend on the engine's clock, and the reply names the time it is as of.
                let now_ms = match &theirs {
                    ShowCampaignOutcome::Campaign(card) => card.as_of_ms,
                    ShowCampaignOutcome::UnknownCampaign => 0,
                };
                let ours = self.state.show_campaign(now_ms, &ShowCampaign { campaign });
                if let Some(difference) = Difference::between(format_args!("campaign {campaign}"), &ours, &theirs) {
                    return Ok(Some(difference));
                }
                self.campaigns += 1;
            }
            progress.at(self.campaigns, all);
        }
        Ok(None)
    }

    async fn codes(&mut self, client: &Client, campaigns: Vec<CampaignId>) -> anyhow::Result<Option<Difference>> {
        let mut progress = Progress::new("comparing codes");
        let all = counted(&self.state).iter().find(|(name, _)| *name == "codes").map_or(0, |(_, codes)| *codes);
        for window in campaigns.chunks(IN_FLIGHT) {
            let mut pages: Vec<(CampaignId, u32)> = window.iter().map(|campaign| (*campaign, 0)).collect();
            while !pages.is_empty() {
                let query =
                    |(campaign, from_slot)| ListCodes { campaign, from_slot, status: CodeFilter::All, usage: UsageFilter::All };
                // A page may have megabytes: send fewer at once than of other queries.
                let some: Vec<_> = pages.drain(..pages.len().min(16)).collect();
                let answers = answers(&some, |page| {
                    let (client, query) = (client.clone(), query(page));
                    async move { client.list_codes(&query).await }
                });
                let mut answers = answers.await?;
                answers.sort_by_key(|(_, answer)| match answer {
                    ListCodesOutcome::Codes { as_of, .. } => *as_of,
                    ListCodesOutcome::UnknownCampaign => Position(u64::MAX),
                });
                for (page, mut theirs) in answers {
                    if let ListCodesOutcome::Codes { as_of, .. } = &theirs {
                        self.advance(*as_of).await?;
                    }
                    let ours = self.state.list_codes(&query(page), &Nowhere);
                    // The holder of an archived code's value comes from the index, which a replica does not have.
                    if let ListCodesOutcome::Codes { codes, next, .. } = &mut theirs {
                        codes.iter_mut().for_each(|code| code.held_by = None);
                        self.codes += codes.len() as u64;
                        pages.extend(next.map(|next| (page.0, next)));
                    }
                    if let Some(difference) = pages_differ(page.0, &ours, &theirs) {
                        return Ok(Some(difference));
                    }
                }
                progress.at(self.codes, all.max(self.codes));
            }
        }
        Ok(None)
    }

    async fn clients(&mut self, client: &Client, clients: Vec<ClientId>) -> anyhow::Result<Option<Difference>> {
        let mut progress = Progress::new("comparing clients");
        let all = clients.len() as u64;
        for window in clients.chunks(IN_FLIGHT) {
            let answers = answers(window, |id| {
                let client = client.clone();
                async move { client.show_client(id).await }
            });
            let mut answers = answers.await?;
            answers.sort_by_key(|(_, answer)| match answer {
                ShowClientOutcome::Client(card) => card.as_of,
                ShowClientOutcome::UnknownClient => Position(u64::MAX),
            });
            for (id, theirs) in answers {
                if let ShowClientOutcome::Client(card) = &theirs {
                    self.advance(card.as_of).await?;
                }
                let ours = self.state.show_client(&ShowClient { client: id });
                if let Some(difference) = Difference::between(format_args!("client {id}"), &ours, &theirs) {
                    return Ok(Some(difference));
                }
                self.clients += 1;
            }
            progress.at(self.clients, all);
        }
        Ok(None)
    }
}

/// The first code that differs between two pages; or else any other difference.
fn pages_differ(campaign: CampaignId, ours: &ListCodesOutcome, theirs: &ListCodesOutcome) -> Option<Difference> {
    let rows = |page: &ListCodesOutcome| match page {
        ListCodesOutcome::Codes { codes, .. } => codes.clone(),
        ListCodesOutcome::UnknownCampaign => Vec::new(),
    };
    if ours == theirs {
        return None;
    }
    let of_rows = rows(ours).into_iter().zip(rows(theirs)).find_map(|(ours, theirs)| {
        Difference::between(format_args!("campaign {campaign}, code in slot {}", ours.slot), &ours, &theirs)
    });
    of_rows.or_else(|| Difference::between(format_args!("campaign {campaign}, a page of its codes"), ours, theirs))
}

/// Sends many queries at once, and returns the replies in the order in which they arrived.
async fn answers<K, A, F>(keys: &[K], query: impl Fn(K) -> F) -> Result<Vec<(K, A)>, ClientError>
where
    K: Copy + Send + 'static,
    A: Send + 'static,
    F: Future<Output = Result<A, ClientError>> + Send + 'static,
{
    let mut under_way = JoinSet::new();
    for key in keys {
        let (key, answer) = (*key, query(*key));
        under_way.spawn(async move { answer.await.map(|answer| (key, answer)) });
    }
    let mut answers = Vec::with_capacity(keys.len());
    while let Some(answer) = under_way.join_next().await {
        answers.push(answer.expect("a query does not panic")?);
    }
    Ok(answers)
}

/// An empty index: a replica looks up no codes.
struct Nowhere;

impl Lookup for Nowhere {
    fn find(&self, _code: &NormalisedCode) -> Option<CodeAt> {
        None
    }
}
