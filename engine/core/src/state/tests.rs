//! The state machine's cases, in a small notation ([`script`]), and a random test against a slow model ([`model`]).
//!
//! [`Bench`] runs commands as the engine thread does: admit, decide, apply, update the index. After every script it replays the
//! records into a new state and compares that, and its index, with the live ones.

#![cfg_attr(test, expect(clippy::print_stdout, reason = "a random test prints its seed"))]

/// The commands without a record: a pattern, so that the compiler names a new command.
macro_rules! changes_nothing {
    () => {
        Kind::Check
            | Kind::ListClubs
            | Kind::ListGroups
            | Kind::ListRules
            | Kind::ShowRule
            | Kind::LintRule
            | Kind::RehearseRule
            | Kind::ShowClient
            | Kind::ListCampaigns
            | Kind::ShowCampaign
            | Kind::Tail
            | Kind::TryCodes
            | Kind::ListCodes
            | Kind::CheckFree
            | Kind::ListCredentials
            | Kind::ListLockouts
            | Kind::LiftLockouts
            | Kind::TakeSnapshot
            | Kind::ListReaders
            | Kind::ShowStatus
            | Kind::WatchAttempts
    };
}

#[cfg(test)]
mod archive;
#[cfg(test)]
mod bounds;
#[cfg(test)]
mod campaigns;
#[cfg(test)]
mod caps;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod codes;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod differences;
#[cfg(test)]
mod holds;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod model;
#[cfg(test)]
mod precedence;
#[cfg(test)]
mod readers;
#[cfg(test)]
mod refunds;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod rules;
mod script;
mod shown;
#[cfg(test)]
mod tables;
#[cfg(test)]
mod top_ups;
#[cfg(test)]
mod work_per_record;

use scrip_protocol::command::{CheckOutcome, CodeChecked, HoldOutcome, RedeemOutcome};
use scrip_protocol::record::SettingsSet;
use scrip_protocol::{ClubId, CredentialId, Position, Record, Refusal, RequestId, Settings, Stamp};

use super::frozen::{Base, Part, Sections, write_sections};
use super::requests::{Admission, Remembered};
use super::{CodeList, Mutation, RedeemRequest, State, reply_of};
use crate::index::{Index, normalise, trim};
use crate::rows::in_memory;
use crate::slot_table::HashKey;

pub const START_MS: u64 = 1_790_000_000_000;

/// A state with its index and the records that produced it.
struct Bench {
    state: State,
    index: Index,
    records: Vec<(u64, Record)>,
    now_ms: u64,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq)]
enum Answer {
    New(Remembered),
    Again(Remembered),
    Refused(Refusal),
}

impl Bench {
    fn new(settings: Settings) -> Bench {
        let state = State::default();
        let index = Index::of(&state);
        let mut bench = Bench { state, index, records: Vec::new(), now_ms: START_MS };
        bench.follow(SettingsSet::new(settings).into());
        bench
    }

    fn run(&mut self, stamp: Stamp, mutation: &Mutation) -> Answer {
        match self.state.admit(self.now_ms, &stamp, || mutation.kind()) {
            Admission::Refused(refusal) => return Answer::Refused(refusal),
            Admission::Repeated(reply) => {
                let reply = match reply.into_owned() {
                    Remembered::Stored { position, .. } => {
                        let record = &self.records[position.0 as usize - 1].1;
                        reply_of(position, record).expect("a request's record has its reply")
                    }
                    reply @ (Remembered::Redeem(_) | Remembered::Other(_)) => reply,
                };
                return Answer::Again(reply);
            }
            Admission::New => {}
        }
        let record = self.state.decide(self.now_ms, stamp, mutation, &self.index);
        let next = Position(self.state.position().0 + 1);
        let reply = reply_of(next, &record).expect("a request's record has its reply");
        match (mutation, &record) {
            (Mutation::Redeem(mutation), Record::Activation(_)) => self.check_prediction(mutation, None),
            (Mutation::Redeem(mutation), Record::RedemptionRefused(refused)) => {
                self.check_prediction(mutation, Some(refused.outcome))
            }
            (Mutation::Hold(mutation), Record::CodeHeld(_)) => self.check_prediction(&mutation.redeem, None),
            (Mutation::Hold(mutation), Record::HoldRefused(refused)) => {
                if let HoldOutcome::Refused(why) = refused.outcome {
                    self.check_prediction(&mutation.redeem, Some(why));
                }
            }
            _ => {}
        }
        assert_eq!(self.follow(record).as_ref(), Some(&reply), "the reply is read off the record");
        let remembered = self.state.requests.admit(self.now_ms, &stamp);
        assert!(matches!(&remembered, Admission::Repeated(kept) if kept.is_alike(&reply)), "{remembered:?}");
        Answer::New(reply)
    }

    /// A check before a redemption or a hold predicts the refusal (Z6), except for the limit of amounts and the limit per client,
    /// which depend on the client. It names no top-up.
    fn check_prediction(&self, mutation: &RedeemRequest, refusal: Option<RedeemOutcome>) {
        if refusal == Some(RedeemOutcome::UnknownTopUp) {
            return;
        }
        // A check at club 0 is valid for any club.
        let (Ok(code), true) = (&mutation.code, mutation.club != ClubId(0)) else { return };
        let CheckOutcome::Checked { codes, as_of } = self.index.check(self.now_ms, mutation.club, [code.as_str()].into_iter())
        else {
            panic!("one code is not too many")
        };
        assert_eq!(as_of, self.state.position());
        match codes[0] {
            CodeChecked::Redeemable(_) => {
                let of_client = [None, Some(RedeemOutcome::AmountLimit), Some(RedeemOutcome::ClientExhausted)];
                assert!(of_client.contains(&refusal), "{refusal:?}");
            }
            CodeChecked::Refused { ref reasons, .. } if refusal == Some(RedeemOutcome::ClientExhausted) => {
                let in_all = [RedeemOutcome::CampaignExhausted, RedeemOutcome::BudgetExhausted];
                assert!(reasons.iter().all(|why| in_all.contains(why)), "{reasons:?} come after it");
            }
            CodeChecked::Refused { ref reasons, .. } => assert_eq!(refusal.as_ref(), reasons.first()),
            CodeChecked::Free { outcome: predicted } => assert_eq!(refusal, Some(predicted)),
            CodeChecked::NotAccepted => panic!("the index hides no reasons"),
        }
    }

    /// Returns the reply to the record's request.
    fn follow(&mut self, record: Record) -> Option<Remembered> {
        let reply = self.state.apply(self.now_ms, &record).map(std::borrow::Cow::into_owned);
        self.index.follow(&self.state, &record);
        self.records.push((self.now_ms, record));
        reply
    }

    fn compare_with_replay(&self) {
        let mut replayed = State::default();
        self.records.iter().for_each(|(time_ms, record)| {
            replayed.apply(*time_ms, record);
        });
        assert_eq!(replayed, self.state);
        self.compare_with_snapshots();
        assert!(Index::of(&replayed).agrees_with(&self.index), "the index agrees with that of a replay");
        shown::recount(self);
    }
}

impl Bench {
    /// Compares the state with those that a restart builds from snapshots. Each snapshot is built as the snapshotter does, from
    /// the one before and the records since, and compared with a state that was never restored from one.
    fn compare_with_snapshots(&self) {
        let mut taken: Vec<usize> = (0..fastrand::usize(1..4)).map(|_| fastrand::usize(..=self.records.len())).collect();
        taken.sort_unstable();
        let mut state = State::default();
        for (n, (time_ms, record)) in self.records.iter().enumerate() {
            (0..taken.iter().filter(|at| **at == n).count()).for_each(|_| state = through_a_file(&state));
            state.apply(*time_ms, record);
        }
        let late = self.records.len();
        assert_eq!(state, self.state, "after snapshots at {taken:?} of {late} records");
        assert!(Index::of(&state).agrees_with(&self.index), "after snapshots at {taken:?} of {late} records");
        let state = through_a_file(&state);
        assert_eq!(state, self.state, "after snapshots at {taken:?} and at {late}");
        assert!(Index::of(&state).agrees_with(&self.index), "after snapshots at {taken:?} and at {late}");
    }

    /// Continues as after a restart from a snapshot.
    fn restart_from_snapshot(&mut self) {
        self.state = through_a_file(&self.state);
        self.index = Index::of(&self.state);
    }
}

/// A state after a round trip through the bytes of its snapshot's sections.
pub fn through_a_file(state: &State) -> State {
    let mut written = InMemory::default();
    write_sections(state, HashKey(fastrand::u64(..), fastrand::u64(..)), &mut written).expect("memory takes it");
    let read = |part: Part| written.0.iter().find(|(of, _)| *of == part).map(|(_, bytes)| in_memory(bytes));
    State::over(Base::read(2, read).expect("it was just written"), state.position())
}

/// The sections of a snapshot in memory.
#[derive(Default)]
struct InMemory(Vec<(Part, Vec<u8>)>);

impl Sections for InMemory {
    type Error = std::convert::Infallible;

    fn begin(&mut self, part: Part) {
        self.0.push((part, Vec::new()));
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0.last_mut().expect("a section was begun").1.extend_from_slice(bytes);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// The records of a script with their times, for tests of snapshots.
pub fn recorded(script: &str) -> Vec<(u64, Record)> {
    script::ran(script).records
}

/// Runs a script on a state that may be damaged, whose journal has these records. Ignores the answers: only a panic fails.
pub fn run_on_any(state: State, records: &[(u64, Record)], script: &str) {
    let index = Index::of(&state);
    let now_ms = state.now_ms();
    script::run_on_any(&mut Bench { state, index, records: records.to_vec(), now_ms }, script);
}

/// The n-th request of a time.
pub fn stamp(time_ms: u64, number: u64, body: u64) -> Stamp {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    Stamp { request: RequestId::from_parts(time_ms, random), body, credential: CredentialId(1) }
}

/// A list as received from a caller: blank lines are counted and skipped.
fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> CodeList {
    CodeList::prepare(&texts.into_iter().collect(), 1, trim, normalise)
}
