//! The guard against guessing codes (Z9): callers with too many failed attempts are locked out for a while.
//!
//! A failed attempt is a code that was refused, for whatever reason: unknown, archived and exhausted codes are charged alike, so that a
//! caller without reasons learns nothing from a lockout. The same wrong code again is not another attempt: it guesses nothing, and nobody
//! is locked out by one used-up code that everybody tries ([`Fingerprint`]).
//!
//! Attempts are charged to the credential that they come through first, then to the client and to the network that it calls from, each for
//! itself. Only a credential that may redeem acts for clients: the checks of any other are charged to that credential alone. A budget
//! regains attempts as time passes; the failed attempt that leaves it with less than one begins a lockout. While that lasts, attempts are
//! refused before they are looked at: they reveal nothing, count as nothing and prolong nothing. It ends by itself, at a time that is known
//! from its beginning. Each further one lasts twice as long, up to the longest; each quiet period takes one doubling back.
//!
//! **How many guesses that leaves**: in any time, what a budget holds when it is full and what it regains meanwhile. By default:
//!
//! | of | at once | a minute | in 24 hours, at most |
//! |---|---|---|---|
//! | a client | 10 | 10 | 14,410 |
//! | a network of clients | 60 | 60 | 86,460 |
//! | a credential | 6,000 | 6,000 | 8,646,000 |
//!
//! A client gets so many if it knows the limits and keeps just clear of them; one that tries again whenever it is let gets 295. Many
//! failed attempts of one call (a check of up to 8,192 codes) all count, but a call is refused as a whole or not at all: the last one may go
//! beyond the bound. The lockout after it lasts until that is paid off, or for as long as the longest.
//!
//! **What one credential can do to others** is bounded: it begins at most [`LOCKOUTS_MAX`] lockouts of clients and networks at once and one
//! more every [`LOCKOUT_REGAINED_MS`]; beyond that it pays in their place, [`LOCKOUT_COST`] attempts of its own for each. And it takes at
//! most [`SHARE_MAX`] of the clients and networks that are remembered; beyond that its own budget alone limits what is tried through it.
//!
//! Owned by the engine thread. What is in it is not journalled: a restart gives everyone a full budget. Operators see the lockouts and lift
//! them ([`Guard::lockouts`], [`Guard::lift`]).

mod allowance;
mod bucket;
mod buckets;
mod chunked;
mod fingerprint;
mod limits;
#[cfg(test)]
mod tests;

use scrip_protocol::command::{Lockout, LockoutKey, WhichLockouts};
use scrip_protocol::{ClientId, ClientNetwork, CredentialId};

use allowance::Allowances;
use bucket::Pace;
use buckets::{Attempts, Buckets, Charged};
pub use fingerprint::{Fingerprint, Fingerprints};
pub use limits::{BudgetLimits, GuardLimits, InvalidGuardLimit};

/// How many clients the guard remembers at once, and how many networks, and credentials: a million of the first two together, in
/// some 150 MB. Those who are remembered had a failed attempt in the last seconds, or were locked out in the last hours.
///
/// At the limit those are forgotten first who are not locked out.
pub const BUCKETS_MAX: usize = 500_000;

/// How many of them one credential may have brought in. So ten credentials would have to work together to have others forgotten.
pub const SHARE_MAX: usize = BUCKETS_MAX / 10;

/// How many lockouts of clients and networks a credential may begin at once: some hundred guessers through one gateway.
pub const LOCKOUTS_MAX: u32 = 120;

/// How long it takes until it may begin one more.
pub const LOCKOUT_REGAINED_MS: u64 = 30_000;

/// How many failed attempts of the credential itself each lockout counts as that it may not begin: a hundred of them spend its budget.
pub const LOCKOUT_COST: u32 = 60;

/// How many wrong codes of a client or network are remembered as tried: with ten at once, all that a lockout may be about but two.
const CODES_OF_CLIENT: usize = 8;

/// How many of a credential: the used-up codes that its clients try most.
const CODES_OF_CREDENTIAL: usize = 64;

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

/// The guard: [`Guard::refuses`] is asked before each attempt, and [`Guard::failed`] is given the codes of those that were refused. Times are
/// in milliseconds since 1970, those of batches, and never run backwards.
pub struct Guard {
    /// Where a budget is off there are none.
    credentials: Option<Buckets<CODES_OF_CREDENTIAL>>,
    clients: Option<Buckets<CODES_OF_CLIENT>>,
    networks: Option<Buckets<CODES_OF_CLIENT>>,
    allowances: Allowances,
    fingerprints: Fingerprints,
    /// When nobody is locked out any longer.
    locked_until_ms: u64,
    /// How many lockouts have begun.
    begun: u64,
}

/// How much the guard remembers, and lets one credential do to others.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    buckets_max: usize,
    share_max: usize,
    lockouts_max: u32,
}

impl Guard {
    /// A guard that has seen nobody. Limits out of their range ([`GuardLimits::check`]) are taken as the nearest that is in it.
    pub fn new(limits: GuardLimits) -> Guard {
        Guard::with_bounds(limits, Bounds { buckets_max: BUCKETS_MAX, share_max: SHARE_MAX, lockouts_max: LOCKOUTS_MAX })
    }

    fn with_bounds(limits: GuardLimits, bounds: Bounds) -> Guard {
        let Bounds { buckets_max, share_max, lockouts_max } = bounds;
        Guard {
            credentials: Pace::of(&limits.credential).map(|pace| Buckets::new(pace, buckets_max, buckets_max)),
            clients: Pace::of(&limits.client).map(|pace| Buckets::new(pace, buckets_max, share_max)),
            networks: Pace::of(&limits.network).map(|pace| Buckets::new(pace, buckets_max, share_max)),
            allowances: Allowances::new(lockouts_max, LOCKOUT_REGAINED_MS),
            fingerprints: Fingerprints::default(),
            locked_until_ms: 0,
            begun: 0,
        }
    }

    /// What makes the fingerprints that it is given.
    pub fn fingerprints(&self) -> &Fingerprints {
        &self.fingerprints
    }

    /// Whether an attempt is refused unseen, and in how many milliseconds it will not be: when all of the asker's lockouts are over.
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
        let [credential, client, network] = keys(who);
        let free_ms = ends_ms(&self.credentials, now_ms, credential).max(ends_ms(&self.clients, now_ms, client)).max(ends_ms(
            &self.networks,
            now_ms,
            network,
        ));
        // The longest lockout fits; see the limits.
        (now_ms < free_ms).then(|| u32::try_from(free_ms - now_ms).unwrap_or(u32::MAX))
    }

    /// Charges failed attempts of a call that was not refused: the code of a redemption, or those of a check.
    pub fn failed(&mut self, now_ms: u64, who: Asker, codes: &[Fingerprint]) {
        if codes.is_empty() {
            return;
        }
        let [own, client, network] = keys(&who);
        self.charge_credential(now_ms, who.credential, own, Attempts::Codes(codes));
        let (allowances, begun, mut withheld) = (&mut self.allowances, &mut self.begun, 0);
        let by = who.credential;
        let mut charge = |buckets: &mut Option<Buckets<CODES_OF_CLIENT>>, key: Option<u128>| {
            let (Some(buckets), Some(key)) = (buckets, key) else { return };
            match buckets.charge(now_ms, key, by, Attempts::Codes(codes), allowances.has_one(now_ms, by)) {
                Charged::Counted => {}
                Charged::LockedOut => {
                    allowances.take(now_ms, by);
                    *begun += 1;
                }
                Charged::Withheld => withheld += LOCKOUT_COST,
            }
        };
        charge(&mut self.clients, client);
        charge(&mut self.networks, network);
        if withheld > 0 {
            self.charge_credential(now_ms, who.credential, own, Attempts::Number(withheld));
        }
        self.locked_until_ms = self.last_end_ms();
    }

    fn charge_credential(&mut self, now_ms: u64, by: CredentialId, key: Option<u128>, attempts: Attempts<'_>) {
        if let (Some(buckets), Some(key)) = (&mut self.credentials, key) {
            let charged = buckets.charge(now_ms, key, by, attempts, true);
            self.begun += u64::from(charged == Charged::LockedOut);
        }
    }

    /// Who is locked out at a time, until when, and who caused it: credentials, clients, networks, each in the order of becoming free. Costs
    /// as much as there are.
    pub fn lockouts(&self, now_ms: u64) -> impl Iterator<Item = Lockout> {
        let credentials = lockouts_of(&self.credentials, now_ms, |key| LockoutKey::Credential(CredentialId(key as u32)));
        let clients = lockouts_of(&self.clients, now_ms, |key| LockoutKey::Client(ClientId(key)));
        let networks = lockouts_of(&self.networks, now_ms, |key| LockoutKey::Network(ClientNetwork(key as u64)));
        credentials.chain(clients).chain(networks)
    }

    /// Lifts lockouts: whoever had one has a full budget again. Returns which.
    pub fn lift(&mut self, now_ms: u64, which: WhichLockouts) -> Vec<Lockout> {
        let is_meant = |lockout: &Lockout| match which {
            WhichLockouts::Of(key) => lockout.key == key,
            WhichLockouts::AllOf(kind) => lockout.key.kind() == kind,
        };
        let lifted: Vec<_> = self.lockouts(now_ms).filter(is_meant).collect();
        for lockout in &lifted {
            match lockout.key {
                LockoutKey::Credential(CredentialId(key)) => forget(&mut self.credentials, key.into()),
                LockoutKey::Client(ClientId(key)) => forget(&mut self.clients, key),
                LockoutKey::Network(ClientNetwork(key)) => forget(&mut self.networks, key.into()),
            }
        }
        self.locked_until_ms = self.last_end_ms();
        lifted
    }

    /// How many lockouts have begun.
    pub fn begun(&self) -> u64 {
        self.begun
    }

    /// How many credentials, clients and networks are remembered, together.
    pub fn len(&self) -> usize {
        len(&self.credentials) + len(&self.clients) + len(&self.networks)
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn last_end_ms(&self) -> u64 {
        last_end_ms(&self.credentials).max(last_end_ms(&self.clients)).max(last_end_ms(&self.networks))
    }
}

/// The keys of an asker's buckets, in the order of the guard's fields.
fn keys(who: &Asker) -> [Option<u128>; 3] {
    let network = who.network.is_known().then(|| who.network.0.into());
    [Some(who.credential.0.into()), who.client.map(|client| client.0), network]
}

fn ends_ms<const N: usize>(buckets: &Option<Buckets<N>>, now_ms: u64, key: Option<u128>) -> u64 {
    match (buckets, key) {
        (Some(buckets), Some(key)) if now_ms < buckets.last_end_ms() => buckets.ends_ms(key),
        (Some(_) | None, Some(_) | None) => 0,
    }
}

fn last_end_ms<const N: usize>(buckets: &Option<Buckets<N>>) -> u64 {
    buckets.as_ref().map_or(0, Buckets::last_end_ms)
}

fn len<const N: usize>(buckets: &Option<Buckets<N>>) -> usize {
    buckets.as_ref().map_or(0, Buckets::len)
}

fn forget<const N: usize>(buckets: &mut Option<Buckets<N>>, key: u128) {
    if let Some(buckets) = buckets {
        buckets.forget(key);
    }
}

fn lockouts_of<const N: usize>(
    buckets: &Option<Buckets<N>>,
    now_ms: u64,
    key_of: fn(u128) -> LockoutKey,
) -> impl Iterator<Item = Lockout> {
    let locked = buckets.iter().flat_map(move |buckets| buckets.locked(now_ms));
    locked.map(move |(key, until_ms, caused_by)| Lockout { key: key_of(key), until_ms, caused_by })
}
