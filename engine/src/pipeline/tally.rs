//! What the engine thread counts as it goes, in plain fields, and adds to the [`Counters`] whenever it offers a commit to the journal thread: a
//! request costs it an addition or two. Refused attempts that leave no record wait here for the same moment.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use scrip_protocol::command::{HoldOutcome, RedeemOutcome, StateSizes};
use scrip_protocol::{CampaignId, ClientNetwork, CredentialId, Kind, Position, Record, Refusal, RequestId, Stamp};

use super::Change;
use super::about::about;
use crate::attempts::{About, Attempts, Refused, Waiting};
use crate::counters::{Counters, RULE_FAILURES, RefusalCounts, count_refusals};
use crate::guard::{Asker, Guard};
use crate::state::State;

pub(super) struct Tally {
    counters: Arc<Counters>,
    attempts: Arc<Attempts>,
    redemptions: [u64; RedeemOutcome::WORDS.len()],
    holds: [u64; HoldOutcome::WORDS.len()],
    refusals: RefusalCounts,
    repeated: u64,
    rule_failures: [u64; RULE_FAILURES.len()],
    pushes_too_long: u64,
    /// The codes of all campaigns.
    codes: u64,
    /// Whether a reader of the journal has moved since the readers were told.
    readers_moved: bool,
    waiting: Waiting,
}

impl Tally {
    /// Of a state that nothing was counted of yet.
    pub(super) fn new(counters: Arc<Counters>, attempts: Arc<Attempts>, state: &State, guard: &Guard) -> Tally {
        let mut tally = Tally {
            counters,
            attempts,
            redemptions: Default::default(),
            holds: [0; HoldOutcome::WORDS.len()],
            refusals: Default::default(),
            repeated: 0,
            rule_failures: Default::default(),
            pushes_too_long: 0,
            codes: state.campaigns.after(CampaignId(0)).map(|(_, campaign)| campaign.codes.len() as u64).sum(),
            readers_moved: true,
            waiting: Waiting::default(),
        };
        tally.publish(state, guard);
        tally
    }

    /// Counts a request that was executed, by its record.
    #[inline]
    pub(super) fn executed(&mut self, record: &Record) {
        if let Record::Activation(_) = record {
            self.redemptions[0] += 1;
        } else if let Record::RedemptionRefused(refused) = record {
            self.redemptions[refused.outcome.number()] += 1;
        } else {
            self.executed_other(record);
        }
    }

    fn executed_other(&mut self, record: &Record) {
        if let Record::CodeHeld(_) = record {
            self.holds[0] += 1;
        } else if let Record::HoldRefused(refused) = record {
            self.holds[refused.outcome.word_number()] += 1;
        } else if let Record::CampaignCreated(created) = record {
            self.codes += created.codes.len() as u64;
        } else if let Record::CodesAdded(added) = record {
            self.codes += added.codes.len() as u64;
        } else if let Record::CodesGenerated(generated) = record {
            self.codes += generated.codes.len() as u64;
        } else if let Record::ToppedUp(done) = record {
            done.failed.iter().for_each(|failed| self.rule_failures[failed.why.number()] += 1);
            self.rule_failures[0] += u64::from(done.beyond);
            self.pushes_too_long += done.fired.iter().filter(|fired| fired.push_too_long).count() as u64;
        } else if matches!(record, Record::ReaderKept(_) | Record::ReaderForgotten(_)) {
            self.readers_moved = true;
        }
    }

    /// Counts a request that was answered as it was before.
    pub(super) fn repeated(&mut self) {
        self.repeated += 1;
    }

    /// Counts a change that was not executed.
    #[cold]
    pub(super) fn refused(&mut self, at_ms: u64, change: &Change, refusal: Refusal) {
        let Change { stamp, asked, network, .. } = change;
        let (kind, about) = about(asked);
        self.tell(at_ms, kind, stamp.credential, stamp.request, about, *network, refusal);
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

    #[expect(clippy::too_many_arguments, reason = "they are the fields of what is told")]
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
        count_refusals(&mut self.refusals, &refusal, 1);
        // Of one whose credential was revoked the journal says so.
        if refusal != Refusal::Revoked {
            let after = Position(self.counters.journal.durable.load(Ordering::Relaxed));
            self.waiting.push(Refused { at_ms, after, kind, credential, request, about, network, refusal });
        }
    }

    /// Adds what was counted to the counters. Waits for nobody: what somebody else is looking at is brought up to date the next time.
    pub(super) fn publish(&mut self, state: &State, guard: &Guard) {
        self.counters.redemptions.take(&mut self.redemptions);
        self.counters.holds.take(&mut self.holds);
        self.counters.refusals.take(&mut self.refusals);
        self.counters.rule_failures.take(&mut self.rule_failures);
        if self.pushes_too_long > 0 {
            self.counters.pushes_too_long.fetch_add(std::mem::take(&mut self.pushes_too_long), Ordering::Relaxed);
        }
        if self.repeated > 0 {
            self.counters.repeated.fetch_add(std::mem::take(&mut self.repeated), Ordering::Relaxed);
        }
        self.counters.lockouts.store(guard.begun(), Ordering::Relaxed);
        if let Some(mut sizes) = self.counters.sizes.try_lock() {
            *sizes = StateSizes {
                clients: state.clients.len() as u64,
                campaigns: u64::from(state.campaigns.next().0 - 1),
                codes: self.codes,
                holds: state.holds.len() as u64,
                requests: state.requests.len() as u64,
                guarded: guard.len() as u64,
            };
        }
        if self.readers_moved
            && let Some(mut readers) = self.counters.readers.try_lock()
        {
            *readers = state.list_readers().readers;
            self.readers_moved = false;
        }
        self.attempts.try_add(&mut self.waiting);
    }

    /// Tells what is still waiting, before the engine thread rests. Somebody who looks holds the ring for microseconds.
    pub(super) fn rest(&mut self) {
        self.attempts.add(&mut self.waiting);
    }
}
