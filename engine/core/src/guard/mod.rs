//! The guard against guessing codes (Z9): locks out callers with too many failed attempts for a while.
//!
//! A failed attempt is a code that was refused. Trying the same wrong code again is not another attempt, because it guesses
//! nothing. Each budget is charged separately. A budget regains attempts as time passes; the failed attempt that leaves it with
//! less than one starts a lockout. During a lockout, attempts are refused before they are processed: they reveal nothing, are not
//! counted and do not prolong it. A lockout ends by itself, at a time known from its beginning. Each further one lasts twice as
//! long, up to the longest; each quiet period takes one doubling back.
//!
//! **What a refused code costs**, in attempts. The guard uses the reason of a refusal only if the caller learns it; a caller
//! without reasons is charged alike for all codes, and learns nothing from a lockout or its length.
//!
//! | budget | unknown code | known code: used up, ended, archived | no reasons: any code | a lockout refuses |
//! |---|---|---|---|---|
//! | client at one credential | 1 | 1 | 1 | the client, through this credential |
//! | client | 1 | 0 | 1 | the client, through every credential |
//! | network, at one credential and at all | 1 | 0 | 1/10 | the network, likewise |
//! | credential | 1 | 0 | 1/10 | the credential with all its players |
//!
//! Redemptions and holds are charged to all of these. Checks by credentials that may redeem are charged as well, to the client
//! and network that they name. Checks by other roles are charged to the credential alone.
//!
//! **How many guesses that permits**: in any period, a full budget plus what it regains. By default:
//!
//! | of | at once | a minute | in 24 hours, at most | without reasons |
//! |---|---|---|---|---|
//! | a client, at all credentials or at one | 10 | 10 | 14,410 | as many |
//! | a network of clients, likewise | 60 | 60 | 86,460 | ten times as many |
//! | a credential | 6,000 | 6,000 | 8,646,000 | ten times as many |
//!
//! A client reaches these numbers if it knows the limits and stays just below them; one that tries again whenever possible gets
//! 295. The failed attempts of one call (a check of up to 8,192 codes) all count, but a call is refused as a whole or not at all,
//! so that the last one may exceed the bound. The lockout after it lasts until that is paid off, up to the longest.
//!
//! **What one credential can do to others** is bounded. It starts at most [`LOCKOUTS_MAX`] lockouts at all credentials, of
//! clients and networks, and one more every [`LOCKOUT_REGAINED_MS`]. Beyond that a lockout is withheld, which costs the
//! credential nothing: the attempts still count at this credential, and lock the client or network out there. It adds at most
//! [`SHARE_MAX`] of the remembered clients and networks; beyond that its own budget alone limits what is tried through it.
//!
//! **At worst**:
//!
//! - One player spends his own budgets, and costs the gateway no more than his guesses: 10 of 6,000, then one whenever he may
//!   try.
//! - Players behind one network are locked out together by 60 guesses a minute, or 600 refused codes without reasons.
//! - A gateway is locked out by 100 guesses a second. Refusals of known codes never lock out a gateway or network; without
//!   reasons, 1,000 refused codes a second lock out a gateway, and 10 a second a network. Each lockout of a gateway lasts a
//!   second at first, and a minute at most.
//! - A credential that attacks clients elsewhere locks out 120, then 2 a minute, for half a minute at first. It can use up nine
//!   of ten attempts of more clients, at 9 attempts of its own for each, 0.9 without reasons: the next guess locks such a
//!   client out.
//!
//! The engine thread owns the guard. Its contents are not journalled: a restart gives everyone a full budget. Operators can list
//! and lift lockouts ([`Guard::lockouts`], [`Guard::lift`]).

mod allowance;
mod bucket;
mod bucket_table;
mod budget;
mod chunked;
mod costs;
mod fingerprint;
mod limits;
#[cfg(test)]
mod tests;

use scrip_protocol::command::{Lockout, LockoutKey, LockoutKind, WhichLockouts};
use scrip_protocol::{ClientId, ClientNetwork, CredentialId};

use allowance::Allowances;
use bucket::Pace;
use bucket_table::{Buckets, Charged};
use budget::{Bounds, Budget, Locked};
use costs::Costs;
pub use costs::{FailedCode, Reason};
pub use fingerprint::{Fingerprint, Fingerprints};
pub use limits::{BudgetLimits, GuardLimits, InvalidGuardLimit};

/// How many clients and networks, and how many credentials, the guard remembers at once: a million of the first two together, in
/// some 150 MB, and as much again for what each tried at each credential. Each of them had a failed attempt in the last seconds,
/// or was locked out in the last hours.
///
/// At the limit, those that are not locked out are forgotten first.
pub const BUCKETS_MAX: usize = 500_000;

/// How many of them one credential may have added. Ten credentials would have to cooperate to displace others.
pub const SHARE_MAX: usize = BUCKETS_MAX / 10;

/// How many lockouts that hold everywhere a credential may start at once: some hundred guessers through one gateway.
pub const LOCKOUTS_MAX: u32 = 120;

/// Time until it may start one more.
pub const LOCKOUT_REGAINED_MS: u64 = 30_000;

/// Remembered codes of a credential: the used-up codes that its clients try most.
const CODES_OF_CREDENTIAL: usize = 64;

/// The caller of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    /// The credential of the caller.
    pub credential: CredentialId,
    /// The client on whose behalf it calls, if any.
    pub client: Option<ClientId>,
    /// The network that the client calls from, if known.
    pub network: ClientNetwork,
}

/// The guard. Call [`Guard::refuses`] before each attempt, and [`Guard::failed`] with the refused codes. Times are those of
/// batches, in milliseconds since 1970, and never run backwards.
pub struct Guard {
    /// None for a budget that is off.
    credentials: Option<Buckets<CODES_OF_CREDENTIAL>>,
    clients: Option<Budget>,
    networks: Option<Budget>,
    allowances: Allowances,
    fingerprints: Fingerprints,
    /// When the last lockout ends.
    locked_until_ms: u64,
    /// How many lockouts have begun.
    begun: u64,
}

impl Guard {
    /// A guard without failed attempts. Clamps limits out of their range ([`GuardLimits::check`]).
    pub fn new(limits: GuardLimits) -> Guard {
        let bounds =
            Bounds { buckets_max: BUCKETS_MAX, share_max: SHARE_MAX, share_here_max: SHARE_MAX, lockouts_max: LOCKOUTS_MAX };
        Guard::with_bounds(limits, bounds)
    }

    fn with_bounds(limits: GuardLimits, bounds: Bounds) -> Guard {
        let Bounds { buckets_max, lockouts_max, .. } = bounds;
        let budget = |pace, everywhere, here| Budget::new(pace, bounds, everywhere, here);
        Guard {
            credentials: Pace::of(&limits.credential).map(|pace| Buckets::new(pace, buckets_max, buckets_max)),
            clients: Pace::of(&limits.client).map(|pace| budget(pace, Costs::CLIENT, Costs::CLIENT_HERE)),
            networks: Pace::of(&limits.network).map(|pace| budget(pace, Costs::MANY, Costs::MANY)),
            allowances: Allowances::new(lockouts_max, LOCKOUT_REGAINED_MS),
            fingerprints: Fingerprints::default(),
            locked_until_ms: 0,
            begun: 0,
        }
    }

    /// Computes the fingerprints that the guard expects.
    pub fn fingerprints(&self) -> &Fingerprints {
        &self.fingerprints
    }

    /// Whether an attempt is refused without being processed: if so, the milliseconds until all lockouts of the caller are over.
    /// This is one comparison while nobody is locked out.
    #[inline]
    pub fn refuses(&self, now_ms: u64, who: Asker) -> Option<u32> {
        if now_ms >= self.locked_until_ms {
            return None;
        }
        self.refuses_while_some_are_locked_out(now_ms, &who)
    }

    #[inline(never)]
    fn refuses_while_some_are_locked_out(&self, now_ms: u64, who: &Asker) -> Option<u32> {
        let own = match &self.credentials {
            Some(credentials) if now_ms < credentials.last_end_ms() => credentials.ends_ms(who.credential.0.into()),
            Some(_) | None => 0,
        };
        let ends_ms = |budget: &Option<Budget>, key: Option<u128>| match (budget, key) {
            (Some(budget), Some(key)) => budget.ends_ms(now_ms, key, who.credential),
            (Some(_) | None, Some(_) | None) => 0,
        };
        let [client, network] = keys(who);
        let free_ms = own.max(ends_ms(&self.clients, client)).max(ends_ms(&self.networks, network));
        // The longest lockout fits; see the limits.
        (now_ms < free_ms).then(|| u32::try_from(free_ms - now_ms).unwrap_or(u32::MAX))
    }

    /// Charges the failed attempts of a call that was not refused: the code of a redemption, or those of a check.
    pub fn failed(&mut self, now_ms: u64, who: Asker, codes: &[FailedCode]) {
        if codes.is_empty() {
            return;
        }
        let by = who.credential;
        if let Some(credentials) = &mut self.credentials {
            let charged = credentials.charge(now_ms, by.0.into(), by, codes, Costs::MANY, true);
            self.begun += u64::from(charged == Charged::LockedOut);
        }
        let [client, network] = keys(&who);
        for (budget, key) in [(&mut self.clients, client), (&mut self.networks, network)] {
            if let (Some(budget), Some(key)) = (budget, key) {
                self.begun += u64::from(budget.charge(now_ms, key, by, codes, &mut self.allowances));
            }
        }
        self.locked_until_ms = self.last_end_ms();
    }

    /// Current lockouts with their end and cause: credentials, clients, networks, each in the order in which they end. Takes time
    /// in proportion to their number.
    pub fn lockouts(&self, now_ms: u64) -> impl Iterator<Item = Lockout> {
        let credentials = self.credentials.iter().flat_map(move |of| credential_lockouts(of, now_ms));
        let clients = self.clients.iter().flat_map(move |of| client_lockouts(of, now_ms));
        let networks = self.networks.iter().flat_map(move |of| network_lockouts(of, now_ms));
        credentials.chain(clients).chain(networks)
    }

    /// The first lockouts of a kind, or of all kinds, and their number. Takes time in proportion to those returned.
    pub fn first_lockouts(&self, now_ms: u64, kind: Option<LockoutKind>, count_max: usize) -> (Vec<Lockout>, u64) {
        let is_wanted = |of: LockoutKind| kind.is_none_or(|kind| kind == of);
        let credentials = self.credentials.as_ref().filter(|_| is_wanted(LockoutKind::Credential));
        let clients = self.clients.as_ref().filter(|_| is_wanted(LockoutKind::Client));
        let networks = self.networks.as_ref().filter(|_| is_wanted(LockoutKind::Network));
        let count = credentials.map_or(0, |of| of.locked_count(now_ms));
        let count = count + clients.into_iter().chain(networks).map(|of| of.locked_count(now_ms)).sum::<u64>();
        let credentials = credentials.into_iter().flat_map(|of| credential_lockouts(of, now_ms));
        let clients = clients.into_iter().flat_map(|of| client_lockouts(of, now_ms));
        let networks = networks.into_iter().flat_map(|of| network_lockouts(of, now_ms));
        (credentials.chain(clients).chain(networks).take(count_max).collect(), count)
    }

    /// Lifts lockouts: their holders get a full budget at every credential. If all of a kind are lifted, all others of that kind
    /// get one too. Returns the lifted lockouts.
    pub fn lift(&mut self, now_ms: u64, which: WhichLockouts) -> Vec<Lockout> {
        let is_meant = |lockout: &Lockout| match which {
            WhichLockouts::Of(key) => lockout.key == key,
            WhichLockouts::AllOf(kind) => lockout.key.kind() == kind,
        };
        let lifted: Vec<_> = self.lockouts(now_ms).filter(is_meant).collect();
        match which {
            WhichLockouts::AllOf(LockoutKind::Client) => self.clients.iter_mut().for_each(Budget::clear),
            WhichLockouts::AllOf(LockoutKind::Network) => self.networks.iter_mut().for_each(Budget::clear),
            WhichLockouts::AllOf(LockoutKind::Credential) => self.credentials.iter_mut().for_each(Buckets::clear),
            WhichLockouts::Of(_) if lifted.is_empty() => {}
            WhichLockouts::Of(LockoutKey::Client(ClientId(key))) => self.clients.iter_mut().for_each(|of| of.forget(key)),
            WhichLockouts::Of(LockoutKey::Network(ClientNetwork(key))) => {
                self.networks.iter_mut().for_each(|of| of.forget(key.into()));
            }
            WhichLockouts::Of(LockoutKey::Credential(CredentialId(key))) => {
                self.credentials.iter_mut().for_each(|of| of.forget(key.into()));
            }
        }
        self.locked_until_ms = self.last_end_ms();
        lifted
    }

    /// How many lockouts have begun.
    pub fn begun(&self) -> u64 {
        self.begun
    }

    /// The number of credentials, clients and networks remembered, together.
    pub fn len(&self) -> usize {
        let of = |budget: &Option<Budget>| budget.as_ref().map_or(0, Budget::len);
        self.credentials.as_ref().map_or(0, Buckets::len) + of(&self.clients) + of(&self.networks)
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn last_end_ms(&self) -> u64 {
        let of = |budget: &Option<Budget>| budget.as_ref().map_or(0, Budget::last_end_ms);
        self.credentials.as_ref().map_or(0, Buckets::last_end_ms).max(of(&self.clients)).max(of(&self.networks))
    }
}

/// The keys of a caller's client and network.
fn keys(who: &Asker) -> [Option<u128>; 2] {
    [who.client.map(|client| client.0), who.network.is_known().then(|| who.network.0.into())]
}

fn credential_lockouts<const N: usize>(buckets: &Buckets<N>, now_ms: u64) -> impl Iterator<Item = Lockout> {
    buckets.locked(now_ms).map(|(key, until_ms, caused_by)| {
        let key = LockoutKey::Credential(CredentialId(key as u32));
        Lockout { key, until_ms, caused_by, everywhere: true }
    })
}

fn client_lockouts(budget: &Budget, now_ms: u64) -> impl Iterator<Item = Lockout> {
    lockouts_of(budget, now_ms, |key| LockoutKey::Client(ClientId(key)))
}

fn network_lockouts(budget: &Budget, now_ms: u64) -> impl Iterator<Item = Lockout> {
    lockouts_of(budget, now_ms, |key| LockoutKey::Network(ClientNetwork(key as u64)))
}

fn lockouts_of(budget: &Budget, now_ms: u64, key_of: fn(u128) -> LockoutKey) -> impl Iterator<Item = Lockout> {
    budget.locked(now_ms).map(move |Locked { key, until_ms, caused_by, everywhere }| Lockout {
        key: key_of(key),
        until_ms,
        caused_by,
        everywhere,
    })
}
