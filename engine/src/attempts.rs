//! Refused attempts that leave no record, kept in memory for watches (Z13).
//!
//! A numbered ring: every attempt gets the next number, whether it is kept or not, so that a reader that continues from a number
//! knows how many it missed. Limits: [`ATTEMPTS_KEPT`], where the oldest are dropped, and [`ATTEMPTS_PER_SECOND`], above which
//! attempts are only counted.
//!
//! Lanes add what they refuse without the state, at most once per chunk. Refusals by the engine thread are added once the commit
//! in which they were decided is durable, so that no attempt reports what a crash can undo (Z4). Nobody waits in here: the lock
//! is held only while up to [`ATTEMPTS_PER_FRAME`] attempts are copied. The attempts themselves are not durable.

use std::collections::VecDeque;

use parking_lot::Mutex;
use scrip_protocol::codes::NormalisedCode;
use scrip_protocol::command::{
    ATTEMPTS_KEPT, ATTEMPTS_PER_FRAME, ATTEMPTS_PER_SECOND, Attempt, AttemptCounts, Attempts as Frame, RunId,
};
use scrip_protocol::{ClientId, ClientNetwork, ClubId, CredentialId, Kind, Position, Refusal, RequestId};
use tokio::sync::watch;

/// A refused attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused {
    pub(crate) at_ms: u64,
    /// The newest durable record at that time.
    pub(crate) after: Position,
    pub(crate) kind: Kind,
    pub(crate) credential: CredentialId,
    pub(crate) request: RequestId,
    pub(crate) about: About,
    pub(crate) network: ClientNetwork,
    pub(crate) refusal: Refusal,
}

/// The client, code and so on of an attempt, as far as they are known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct About {
    pub(crate) client: Option<ClientId>,
    pub(crate) club: Option<ClubId>,
    pub(crate) code: Option<NormalisedCode>,
}

/// Attempts to be added. The owner adds them soon; their number is limited to [`Waiting::MAX`].
#[derive(Default)]
pub(crate) struct Waiting {
    attempts: Vec<Refused>,
    /// Attempts above the limit.
    lost: u64,
}

impl Waiting {
    /// The limit; further attempts are lost. Nearly as many as are kept per second: a commit may contain that many refusals.
    const MAX: usize = 8_192;

    pub(crate) fn push(&mut self, refused: Refused) {
        if self.attempts.len() < Waiting::MAX { self.attempts.push(refused) } else { self.lost += 1 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.attempts.is_empty()
    }

    /// Takes all attempts of another.
    pub(crate) fn take(&mut self, other: &mut Waiting) {
        other.attempts.drain(..).for_each(|refused| self.push(refused));
        self.lost += std::mem::take(&mut other.lost);
    }
}

/// The refused attempts of this run of the process.
pub(crate) struct Attempts {
    run: RunId,
    ring: Mutex<Ring>,
    newest: watch::Sender<u64>,
}

#[derive(Default)]
struct Ring {
    /// By number.
    kept: VecDeque<(u64, Refused)>,
    /// The number of the newest attempt.
    newest: u64,
    /// Attempts that were not kept because they came too fast.
    lost: u64,
    /// The second of the newest attempts, and how many of it were kept.
    second: (u64, u64),
}

impl Ring {
    fn add(&mut self, waiting: &mut Waiting) {
        for refused in waiting.attempts.drain(..) {
            self.newest += 1;
            let second = refused.at_ms / 1_000;
            // The clocks of lanes and of the engine thread may differ slightly: a late attempt counts for the newer second.
            if second > self.second.0 {
                self.second = (second, 0);
            }
            if self.second.1 >= ATTEMPTS_PER_SECOND {
                self.lost += 1;
                continue;
            }
            self.second.1 += 1;
            if self.kept.len() >= ATTEMPTS_KEPT {
                self.kept.pop_front();
            }
            self.kept.push_back((self.newest, refused));
        }
        let lost = std::mem::take(&mut waiting.lost);
        (self.newest, self.lost) = (self.newest + lost, self.lost + lost);
    }
}

impl Attempts {
    pub(crate) fn new() -> Attempts {
        Attempts { run: RunId::random(), ring: Mutex::default(), newest: watch::Sender::new(0) }
    }

    /// Adds waiting attempts, and wakes watches.
    pub(crate) fn add(&self, waiting: &mut Waiting) {
        if !waiting.is_empty() {
            let mut ring = self.ring.lock();
            ring.add(waiting);
            // Still under the lock, so that it never decreases.
            self.newest.send_replace(ring.newest);
        }
    }

    /// The number of the newest attempt; changes are notified.
    pub(crate) fn newest(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// The number to continue after, for a reader at `after` of a run: 0 if that is another run.
    pub(crate) fn resumed(&self, run: RunId, after: u64) -> u64 {
        if run == self.run { after } else { 0 }
    }

    /// The attempts after a number, as many as fit into a frame.
    pub(crate) fn after(&self, after: u64) -> Frame {
        let (attempts, through) = {
            let ring = self.ring.lock();
            let from = ring.kept.partition_point(|(sequence, _)| *sequence <= after);
            let attempts: Vec<_> = ring.kept.range(from..).take(ATTEMPTS_PER_FRAME).copied().collect();
            // If no kept attempt follows these, lost ones at the end are included.
            let is_all = from + attempts.len() == ring.kept.len();
            let last = attempts.last().map_or(after, |(sequence, _)| *sequence);
            (attempts, if is_all { ring.newest.max(after) } else { last })
        };
        let lost = through - after - attempts.len() as u64;
        Frame { run: self.run, lost, through, attempts: attempts.into_iter().map(attempt).collect() }
    }

    pub(crate) fn counts(&self) -> AttemptCounts {
        let ring = self.ring.lock();
        AttemptCounts { all: ring.newest, lost: ring.lost }
    }
}

fn attempt((sequence, refused): (u64, Refused)) -> Attempt {
    let Refused { at_ms, after, kind, credential, request, about: About { client, club, code }, network, refusal } = refused;
    let code = code.map(|code| code.as_str().to_owned());
    Attempt { sequence, at_ms, after, command: kind.word().to_owned(), credential, request, client, club, code, network, refusal }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(number: u64, at_ms: u64) -> Refused {
        Refused {
            at_ms,
            after: Position(1),
            kind: Kind::Redeem,
            credential: CredentialId(2),
            request: RequestId(number.into()),
            about: About { client: Some(ClientId(number.into())), ..About::default() },
            network: ClientNetwork::UNKNOWN,
            refusal: Refusal::RequestIdReused,
        }
    }

    /// Adds one attempt at a time, 500 per second after a time.
    fn add(attempts: &Attempts, numbers: std::ops::RangeInclusive<u64>, at_ms: impl Fn(u64) -> u64) {
        let mut waiting = Waiting::default();
        for number in numbers {
            waiting.push(refused(number, at_ms(number)));
            if number % 500 == 0 {
                attempts.add(&mut waiting);
            }
        }
        attempts.add(&mut waiting);
    }

    fn numbers(frame: &Frame) -> Vec<u64> {
        frame.attempts.iter().map(|attempt| attempt.sequence).collect()
    }

    /// Z13: a reader that continues from a number gets each attempt once, and the number of those that are missing.
    #[test]
    fn attempts_are_read_from_a_number() {
        let attempts = Attempts::new();
        let first = attempts.after(0);
        assert_eq!((first.lost, first.through, first.attempts.len()), (0, 0, 0));
        add(&attempts, 1..=3, |_| 0);
        let frame = attempts.after(1);
        assert_eq!((numbers(&frame), frame.lost, frame.through), (vec![2, 3], 0, 3));
        assert_eq!((frame.attempts[0].command.as_str(), frame.attempts[0].client), ("redeem", Some(ClientId(2))));
        assert!(attempts.after(3).attempts.is_empty());
        add(&attempts, 4..=1_000, |_| 0);
        let frame = attempts.after(3);
        assert_eq!((frame.attempts.len(), frame.through, frame.lost), (ATTEMPTS_PER_FRAME, 3 + ATTEMPTS_PER_FRAME as u64, 0));
        assert_eq!(attempts.resumed(frame.run, 7), 7);
        assert_eq!(attempts.resumed(RunId(1), 7), 0, "numbers of another run do not count");
    }

    /// So many attempts of a second are kept; the others get numbers and are counted.
    #[test]
    fn attempts_above_the_rate_are_counted_as_lost() {
        let (attempts, per_second) = (Attempts::new(), ATTEMPTS_PER_SECOND);
        add(&attempts, 1..=per_second + 500, |_| 1_999);
        assert_eq!(attempts.counts(), AttemptCounts { all: per_second + 500, lost: 500 });
        let rest = attempts.after(per_second - 1);
        assert_eq!((numbers(&rest), rest.lost, rest.through), (vec![per_second], 500, per_second + 500));
        // Slightly late, and then in the next second.
        add(&attempts, 1..=1, |_| 999);
        add(&attempts, 1..=1, |_| 2_000);
        let rest = attempts.after(rest.through);
        assert_eq!((numbers(&rest), rest.lost), (vec![per_second + 502], 1));
        let mut waiting = Waiting::default();
        (0..Waiting::MAX as u64 + 5).for_each(|number| waiting.push(refused(number, 9_000)));
        attempts.add(&mut waiting);
        assert_eq!(attempts.counts().lost, 506, "attempts that wait for too long are lost as well");
    }

    /// The oldest attempts are dropped, and late readers learn how many.
    #[test]
    fn the_oldest_make_room() {
        let (attempts, kept) = (Attempts::new(), ATTEMPTS_KEPT as u64);
        add(&attempts, 1..=kept + 10, |number| number);
        let frame = attempts.after(0);
        assert_eq!((frame.lost, frame.attempts[0].sequence), (10, 11));
        let (mut after, mut read) = (0, 0);
        while after < kept + 10 {
            let frame = attempts.after(after);
            (after, read) = (frame.through, read + frame.attempts.len());
        }
        assert_eq!((read, attempts.counts()), (ATTEMPTS_KEPT, AttemptCounts { all: kept + 10, lost: 0 }));
    }
}
