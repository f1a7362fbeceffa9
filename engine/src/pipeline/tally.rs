//! Counters of the engine thread in plain fields: a request costs an addition or two. With each commit that it offers to the
//! journal thread, it hands over the counts and the refused attempts that leave no record.
//!
//! Invariant: no count, size, reader or attempt is visible before everything that it could reveal is durable (Z4). Counts are
//! published together with their commit; if the commit fails, they are dropped.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use scrip_protocol::command::{HoldOutcome, Reader, RedeemOutcome, StateSizes};
use scrip_protocol::{CampaignId, ClientNetwork, CredentialId, Kind, Position, Record, Refusal, RequestId, Stamp};

use super::Change;
use super::about::about;
use crate::attempts::{About, Attempts, Refused, Waiting};
use crate::counters::{Counters, RULE_FAILURES, RefusalCounts, count_refusals};
use scrip_core::guard::{Asker, Guard};
use scrip_core::state::State;

pub(super) struct Tally {
    counters: Arc<Counters>,
    counts: Counts,
    /// The codes of all campaigns.
    codes: u64,
    /// Whether a reader of the journal has moved since the readers were last published.
    readers_moved: bool,
}

/// The counts of a commit, published once it is durable.
#[derive(Default)]
pub(super) struct Counts {
    redemptions: [u64; RedeemOutcome::WORDS.len()],
    holds: [u64; HoldOutcome::WORDS.len()],
    refusals: RefusalCounts,
    repeated: u64,
    rule_failures: [u64; RULE_FAILURES.len()],
    pushes_too_long: u64,
    lockouts: u64,
    sizes: StateSizes,
    /// The readers of the journal, if one has moved.
    readers: Option<Vec<Reader>>,
    waiting: Waiting,
}

impl Counts {
    /// Publishes the counts. Everything that they reveal must be durable.
    pub(super) fn publish(mut self, counters: &Counters, attempts: &Attempts) {
        counters.redemptions.take(&mut self.redemptions);
        counters.holds.take(&mut self.holds);
        counters.refusals.take(&mut self.refusals);
        counters.rule_failures.take(&mut self.rule_failures);
        for (sum, count) in [(&counters.repeated, self.repeated), (&counters.pushes_too_long, self.pushes_too_long)] {
            if count > 0 {
                sum.fetch_add(count, Ordering::Relaxed);
            }
        }
        counters.lockouts.store(self.lockouts, Ordering::Relaxed);
        // Others lock both only while they copy them.
        *counters.sizes.lock() = self.sizes;
        if let Some(readers) = self.readers {
            *counters.readers.lock() = readers;
        }
        attempts.add(&mut self.waiting);
    }
}

impl Tally {
    /// For a state of which nothing was counted yet.
    pub(super) fn new(counters: Arc<Counters>, state: &State) -> Tally {
        Tally {
            counters,
            counts: Counts::default(),
            codes: state.campaigns.after(CampaignId(0)).map(|(_, campaign)| campaign.codes.len() as u64).sum(),
            readers_moved: true,
        }
    }

    /// Counts a request that was executed, by its record.
    #[inline]
    pub(super) fn executed(&mut self, record: &Record) {
        if let Record::Activation(_) = record {
            self.counts.redemptions[0] += 1;
        } else if let Record::RedemptionRefused(refused) = record {
            self.counts.redemptions[refused.outcome.number()] += 1;
        } else {
            self.executed_other(record);
        }
    }

    fn executed_other(&mut self, record: &Record) {
        if let Record::CodeHeld(_) = record {
            self.counts.holds[0] += 1;
        } else if let Record::HoldRefused(refused) = record {
            self.counts.holds[refused.outcome.word_number()] += 1;
        } else if let Record::CampaignCreated(created) = record {
            self.codes += created.codes.len() as u64;
        } else if let Record::CodesAdded(added) = record {
            self.codes += added.codes.len() as u64;
        } else if let Record::CodesGenerated(generated) = record {
            self.codes += generated.codes.len() as u64;
        } else if let Record::ToppedUp(done) = record {
            done.failed.iter().for_each(|failed| self.counts.rule_failures[failed.why.number()] += 1);
            self.counts.rule_failures[0] += u64::from(done.beyond);
            self.counts.pushes_too_long += done.fired.iter().filter(|fired| fired.push_too_long).count() as u64;
        } else if matches!(record, Record::ReaderKept(_) | Record::ReaderForgotten(_) | Record::ReaderRegistered(_)) {
            self.readers_moved = true;
        }
    }

    /// Counts a duplicate request, which got its first answer.
    pub(super) fn repeated(&mut self) {
        self.counts.repeated += 1;
    }

    /// Counts a change that was not executed.
    #[cold]
    pub(super) fn refused(&mut self, at_ms: u64, change: &Change, refusal: Refusal) {
        let Change { stamp, mutation, network, .. } = change;
        self.tell(at_ms, mutation.kind(), stamp.credential, stamp.request, about(mutation), *network, refusal);
    }

    /// Counts a request for which there was no room.
    #[cold]
    pub(super) fn busy(&mut self, at_ms: u64, kind: Kind, stamp: &Stamp, refusal: Refusal) {
        self.tell(at_ms, kind, stamp.credential, stamp.request, About::default(), ClientNetwork::UNKNOWN, refusal);
    }

    /// Counts a check that was not answered.
    #[cold]
    pub(super) fn check_refused(&mut self, at_ms: u64, asker: Asker, refusal: Refusal) {
        let about = About { client: asker.client, ..About::default() };
        self.tell(at_ms, Kind::Check, asker.credential, RequestId(0), about, asker.network, refusal);
    }

    #[expect(clippy::too_many_arguments, reason = "they are the fields of an attempt")]
    fn tell(
        &mut self,
        at_ms: u64,
        kind: Kind,
        credential: CredentialId,
        request: RequestId,
        about: About,
        network: ClientNetwork,
        refusal: Refusal,
    ) {
        count_refusals(&mut self.counts.refusals, &refusal, 1);
        // The journal reports the revocation of its credential.
        if refusal != Refusal::Revoked {
            let after = Position(self.counters.journal.durable.load(Ordering::Relaxed));
            self.counts.waiting.push(Refused { at_ms, after, kind, credential, request, about, network, refusal });
        }
    }

    /// Moves the counts into a commit that contains everything that they could reveal.
    pub(super) fn settle(&mut self, state: &State, guard: &Guard, commit: &mut Counts) {
        let Counts { redemptions, holds, refusals, repeated, rule_failures, pushes_too_long, waiting, .. } = &mut self.counts;
        add(&mut commit.redemptions, redemptions);
        add(&mut commit.holds, holds);
        add(&mut commit.refusals, refusals);
        add(&mut commit.rule_failures, rule_failures);
        commit.repeated += std::mem::take(repeated);
        commit.pushes_too_long += std::mem::take(pushes_too_long);
        commit.waiting.take(waiting);
        commit.lockouts = guard.begun();
        commit.sizes = StateSizes {
            clients: state.clients.len() as u64,
            campaigns: u64::from(state.campaigns.next().0 - 1),
            codes: self.codes,
            holds: state.holds.len() as u64,
            requests: state.requests.len() as u64,
            guarded: guard.len() as u64,
        };
        if std::mem::take(&mut self.readers_moved) {
            commit.readers = Some(state.list_readers().readers);
        }
    }
}

/// Adds counts from elsewhere, and resets them.
fn add<const N: usize>(sums: &mut [u64; N], counts: &mut [u64; N]) {
    sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += std::mem::take(count));
}
