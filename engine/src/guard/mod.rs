//! The guard against guessing codes (Z9): who misses too often is not answered for a while.
//!
//! Misses are limited, not requests: of each client, of each network that clients call from, and of each credential, each for itself. A
//! budget regains misses as time passes; the miss that leaves it with less than one begins a lock-out. While that lasts, attempts are
//! refused before they are looked at: they reveal nothing, count as nothing and prolong nothing. It ends by itself, at a time that is
//! known from its beginning. Each further one lasts twice as long, up to the longest; each quiet period takes one doubling back.
//!
//! **How many tries that leaves**: in any time, what a budget holds when it is full and what it regains meanwhile. By default:
//!
//! | of | at once | a minute | in 24 hours, at most |
//! |---|---|---|---|
//! | a client | 10 | 10 | 14,410 |
//! | a network of clients | 60 | 60 | 86,460 |
//! | a credential | 6,000 | 6,000 | 8,646,000 |
//!
//! A client gets so many if it knows the limits and keeps just clear of them; one that tries again whenever it is let gets 295. Many
//! misses of one call (a check of up to 8,192 codes) all count, but a call is refused as a whole or not at all: the last one may go beyond
//! the bound. The lock-out after it lasts until that is paid off, or for as long as the longest.
//!
//! Owned by the engine thread. What is in it is not journalled: a restart gives everyone a full budget.

mod bucket;
mod buckets;
mod chunked;
mod limits;
#[cfg(test)]
mod tests;

use scrip_protocol::{ClientId, ClientNetwork, CredentialId};

use bucket::Pace;
use buckets::Buckets;
pub use limits::{BudgetLimits, GuardLimits, InvalidGuardLimit};

/// How many clients the guard remembers at once, and how many networks, and credentials: a million of the first two together, in
/// some 120 MB. Those who are remembered have missed in the last seconds, or were locked out in the last hours.
///
/// At the limit those are forgotten first who are not locked out. Inventing clients or networks gets nobody off his lock-out by that:
/// who has missed once is forgotten after seconds anyway, and to be remembered for longer costs six misses an hour and more, all of them
/// misses of the credential that they come through. With its 6,000 a minute a credential keeps fewer than 60,000 clients in mind: nine
/// credentials would have to do nothing else for hours to reach the limit, and would then push out one another's first.
pub const BUCKETS_MAX: usize = 500_000;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    /// The credential that it comes through.
    pub credential: CredentialId,
    /// For whom, where it is for a client.
    pub client: Option<ClientId>,
    /// Where the client calls from, as far as that is known.
    pub network: ClientNetwork,
}

/// Misses: attempts that were refused in a way that says something about a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Misses {
    /// All of them: clients and networks are charged with these.
    pub all: u32,
    /// Those of them at codes that no campaign holds: a credential is charged with these alone. What is tried at it when a code that was
    /// made known to everybody is used up are no guesses, and must not lock a gateway out with all its players.
    pub guesses: u32,
}

impl Misses {
    /// So many guesses.
    pub const fn guessed(number: u32) -> Misses {
        Misses { all: number, guesses: number }
    }

    /// One miss, which was a guess or was not.
    pub const fn one(is_guess: bool) -> Misses {
        Misses { all: 1, guesses: is_guess as u32 }
    }
}

/// Whose budget it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Whose {
    /// A credential's.
    Credential(CredentialId),
    /// A client's.
    Client(ClientId),
    /// A network's.
    Network(ClientNetwork),
}

/// The guard: [`Guard::refuses`] is asked before each attempt, [`Guard::missed`] told of those that found no code. Times are in milliseconds
/// since 1970, those of batches, and never run backwards.
pub struct Guard {
    /// Where a budget is off there are none.
    credentials: Option<Buckets>,
    clients: Option<Buckets>,
    networks: Option<Buckets>,
    /// When nobody is locked out any more.
    locked_until_ms: u64,
    /// How many lock-outs have begun.
    lockouts: u64,
}

impl Guard {
    /// A guard that has seen nobody. Limits out of their range ([`GuardLimits::check`]) are taken as the nearest that is in it.
    pub fn new(limits: GuardLimits) -> Guard {
        Guard::with_buckets_max(limits, BUCKETS_MAX)
    }

    fn with_buckets_max(limits: GuardLimits, buckets_max: usize) -> Guard {
        let buckets = |limits| Pace::of(&limits).map(|pace| Buckets::new(pace, buckets_max));
        Guard {
            credentials: buckets(limits.credential),
            clients: buckets(limits.client),
            networks: buckets(limits.network),
            locked_until_ms: 0,
            lockouts: 0,
        }
    }

    /// Whether an attempt is refused unseen, and in how many milliseconds it will not be: when all of the asker's lock-outs are over.
    /// While nobody at all is locked out this is one comparison.
    #[inline]
    pub fn refuses(&self, now_ms: u64, who: Asker) -> Option<u32> {
        if now_ms >= self.locked_until_ms {
            return None;
        }
        self.refuses_while_some_are_locked_out(now_ms, &who)
    }

    #[inline(never)]
    fn refuses_while_some_are_locked_out(&self, now_ms: u64, who: &Asker) -> Option<u32> {
        let ends_ms = |(buckets, key): (&Option<Buckets>, Option<u128>)| match (buckets, key) {
            (Some(buckets), Some(key)) if now_ms < buckets.last_end_ms() => buckets.ends_ms(key),
            (Some(_) | None, Some(_) | None) => 0,
        };
        let all = [&self.credentials, &self.clients, &self.networks].into_iter().zip(keys(who));
        let free_ms = all.map(ends_ms).max().unwrap_or(0);
        // The longest lock-out fits; see the limits.
        (now_ms < free_ms).then(|| u32::try_from(free_ms - now_ms).unwrap_or(u32::MAX))
    }

    /// Counts misses of an attempt that was not refused: one of a redemption, as many as there were of a check.
    pub fn missed(&mut self, now_ms: u64, who: Asker, misses: Misses) {
        if misses.all == 0 {
            return;
        }
        let charged =
            [(&mut self.credentials, misses.guesses), (&mut self.clients, misses.all), (&mut self.networks, misses.all)];
        for ((buckets, misses), key) in charged.into_iter().zip(keys(&who)) {
            if let (Some(buckets), Some(key), 1..) = (buckets, key, misses) {
                self.lockouts += u64::from(buckets.miss(now_ms, key, misses));
            }
        }
        self.locked_until_ms = self.all().map(Buckets::last_end_ms).max().unwrap_or(0);
    }

    /// Who is locked out at a time, and until when; of each budget in the order of becoming free. Costs as much as there are.
    pub fn locked(&self, now_ms: u64) -> impl Iterator<Item = (Whose, u64)> {
        let credentials = locked_of(&self.credentials, now_ms, |key| Whose::Credential(CredentialId(key as u32)));
        let clients = locked_of(&self.clients, now_ms, |key| Whose::Client(ClientId(key)));
        let networks = locked_of(&self.networks, now_ms, |key| Whose::Network(ClientNetwork(key as u64)));
        credentials.chain(clients).chain(networks)
    }

    /// How many lock-outs have begun.
    pub fn lockouts(&self) -> u64 {
        self.lockouts
    }

    /// How many credentials, clients and networks are remembered, together.
    pub fn len(&self) -> usize {
        self.all().map(Buckets::len).sum()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn all(&self) -> impl Iterator<Item = &Buckets> {
        [&self.credentials, &self.clients, &self.networks].into_iter().flatten()
    }
}

/// The keys of an asker's buckets, in the order of the guard's fields.
fn keys(who: &Asker) -> [Option<u128>; 3] {
    let network = who.network.is_known().then(|| who.network.0.into());
    [Some(who.credential.0.into()), who.client.map(|client| client.0), network]
}

fn locked_of(buckets: &Option<Buckets>, now_ms: u64, whose: fn(u128) -> Whose) -> impl Iterator<Item = (Whose, u64)> {
    let locked = buckets.iter().flat_map(move |buckets| buckets.locked(now_ms));
    locked.map(move |(key, ends_ms)| (whose(key), ends_ms))
}
