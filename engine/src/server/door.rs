//! Admits connections before their callers are known.
//!
//! A connection waits here from its first packet until its hello is accepted. Until then its caller is a stranger, so that
//! waiting connections are limited in time ([`ServerLimits::hello`](super::ServerLimits)), in number and per address, and never
//! displace accepted ones, which are counted separately. If there is no room, the connection that has waited longest is turned
//! away, not the new one: an honest caller says hello within milliseconds, so that an idle one is always older.
//!
//! Addresses can be forged. Once a few connections wait, an address must therefore prove by an answer to Retry (RFC 9000, section
//! 8.1.2) that packets reach it; until then it takes no room here. A part of the room is reserved for addresses from which a
//! known credential has recently said hello: a flood from elsewhere does not affect callers that reconnect. The rest is for all
//! others: many devices share a known address, and a flood from there takes nothing from callers at new addresses.
//!
//! An accepted caller can still take too much. Each credential has a maximum of connections, beyond which further ones are closed
//! after their hello. Some connections are reserved for operators, so that one can connect to revoke a credential that has taken
//! all the others.
//!
//! Broken connections count until their idle timeout. So that they do not lock out their own credential, a new connection for
//! which there is no place replaces the one of its credential that has been silent longest, if nothing, not even a keep-alive, has
//! arrived from it for [`ServerLimits::silent`](super::ServerLimits). Connections of other credentials are never closed for it.
//!
//! Pure except for the locks: the caller passes the time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use scrip_protocol::strangers::PeerAddress;
use scrip_protocol::{CredentialId, Role};
use tokio::sync::Notify;

/// How long an address stays known after a hello from it.
const KNOWN_FOR: Duration = Duration::from_secs(3_600);

/// Maximum number of known addresses; beyond it the one with the oldest hello is forgotten.
const KNOWN_MAX: usize = 4_096;

/// Limits of connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct DoorLimits {
    /// Accepted connections.
    pub(super) welcomed_max: usize,
    /// Of these, connections of one credential.
    pub(super) per_credential_max: usize,
    /// How long a connection must have been silent to be replaced by another one of its credential.
    pub(super) silent: Duration,
    /// The part of `welcomed_max` reserved for operators.
    pub(super) for_operators: usize,
    /// Waiting connections.
    pub(super) waiting_max: usize,
    /// Of these, connections from one address.
    pub(super) waiting_per_address_max: usize,
    /// The part of `waiting_max` reserved for known addresses. They use more of it only while nobody else needs it.
    pub(super) reserved: usize,
    /// Number of waiting connections, in total or of an address, from which the address must prove itself.
    pub(super) unproven_max: usize,
}

/// What to do with a new connection.
pub(super) enum Arrival {
    /// Refuse it: the limit of accepted connections is reached.
    Refused,
    /// Its address must prove itself first.
    Retry,
    /// Start its handshake.
    Admitted(Visit),
}

/// Why a connection of a known credential is not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unwelcome {
    /// It was turned away just before.
    TurnedAway,
    /// The limit of accepted connections is reached; for non-operators, the part that is not reserved.
    Full,
    /// Its credential has reached its maximum, which is this.
    FullOfCredential(usize),
}

pub(super) struct Door {
    limits: DoorLimits,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    next: u64,
    /// In the order of arrival.
    waiting: BTreeMap<u64, Waiting>,
    per_address: HashMap<PeerAddress, usize>,
    /// Waiting connections from addresses that were unknown when they arrived.
    strangers: usize,
    welcomed: usize,
    /// Accepted connections by credential and number.
    per_credential: HashMap<CredentialId, HashMap<u64, Welcomed>>,
    known: HashMap<PeerAddress, Instant>,
    turned_away: u64,
}

struct Waiting {
    address: PeerAddress,
    is_known: bool,
    leave: Arc<Notify>,
}

struct Welcomed {
    /// When something last arrived from it.
    heard: Instant,
    leave: Arc<Notify>,
}

/// A connection from its first packet to its end.
pub(super) struct Visit {
    door: Arc<Door>,
    number: u64,
    address: PeerAddress,
    /// Its credential, once it is accepted.
    credential: Option<CredentialId>,
    leave: Arc<Notify>,
}

impl Door {
    pub(super) fn new(limits: DoorLimits) -> Arc<Door> {
        Arc::new(Door { limits, table: Mutex::default() })
    }

    /// Decides about a new connection from an address, which is proven or may be forged.
    pub(super) fn arrive(self: &Arc<Door>, now: Instant, address: PeerAddress, is_proven: bool) -> Arrival {
        let limits = &self.limits;
        let table = &mut *self.table.lock();
        if table.welcomed >= limits.welcomed_max {
            return Arrival::Refused;
        }
        let of_address = table.per_address.get(&address).copied().unwrap_or(0);
        if !is_proven && (table.waiting.len() >= limits.unproven_max || of_address >= limits.unproven_max) {
            return Arrival::Retry;
        }
        let is_known = table.known.get(&address).is_some_and(|hello| now.saturating_duration_since(*hello) < KNOWN_FOR);
        if of_address >= limits.waiting_per_address_max {
            table.turn_away(|waiting| waiting.address == address);
        } else if !is_known && table.strangers >= limits.waiting_max - limits.reserved {
            table.turn_away(|waiting| !waiting.is_known);
        } else if table.waiting.len() >= limits.waiting_max {
            // Strangers stay within their part, so that known callers have at least theirs.
            let _ = table.turn_away(|waiting| waiting.is_known) || table.turn_away(|_| true);
        }
        let leave = Arc::new(Notify::new());
        table.next += 1;
        let number = table.next;
        table.waiting.insert(number, Waiting { address, is_known, leave: leave.clone() });
        *table.per_address.entry(address).or_default() += 1;
        table.strangers += usize::from(!is_known);
        Arrival::Admitted(Visit { door: Arc::clone(self), number, address, credential: None, leave })
    }

    /// Number of connections turned away so far.
    pub(super) fn turned_away(&self) -> u64 {
        self.table.lock().turned_away
    }
}

impl Table {
    /// Turns away the matching connection that has waited longest; returns whether there is one.
    fn turn_away(&mut self, is_wanted: impl Fn(&Waiting) -> bool) -> bool {
        let first = self.waiting.iter().find(|(_, waiting)| is_wanted(waiting)).map(|(number, _)| *number);
        let Some(leaving) = first.and_then(|number| self.remove(number)) else { return false };
        leaving.leave.notify_one();
        self.turned_away += 1;
        true
    }

    fn remove(&mut self, number: u64) -> Option<Waiting> {
        let gone = self.waiting.remove(&number)?;
        self.strangers -= usize::from(!gone.is_known);
        if let Some(count) = self.per_address.get_mut(&gone.address) {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&gone.address);
            }
        }
        Some(gone)
    }

    /// Removes an accepted connection, unless it is removed already.
    fn end(&mut self, credential: CredentialId, number: u64) -> Option<Welcomed> {
        let connections = self.per_credential.get_mut(&credential)?;
        let gone = connections.remove(&number)?;
        self.welcomed -= 1;
        if connections.is_empty() {
            self.per_credential.remove(&credential);
        }
        Some(gone)
    }

    /// The connection of a credential that has been silent longest, if that is long enough.
    fn silent(&self, credential: CredentialId, now: Instant, least: Duration) -> Option<u64> {
        let connections = self.per_credential.get(&credential)?;
        // The older one if two were last heard at the same time.
        let (number, longest) = connections.iter().min_by_key(|(number, welcomed)| (welcomed.heard, **number))?;
        (now.saturating_duration_since(longest.heard) >= least).then_some(*number)
    }

    fn know(&mut self, now: Instant, address: PeerAddress) {
        if self.known.len() >= KNOWN_MAX && !self.known.contains_key(&address) {
            let oldest = self.known.iter().min_by_key(|(_, hello)| **hello).map(|(address, _)| *address);
            oldest.map(|oldest| self.known.remove(&oldest));
        }
        self.known.insert(address, now);
    }
}

impl Visit {
    /// Resolves when the connection must leave, because others need its room or, after its hello, another one of its credential
    /// does.
    pub(super) async fn turned_away(&self) {
        self.leave.notified().await;
    }

    /// Notes that something has arrived from it since the last check.
    pub(super) fn hear(&self, now: Instant) {
        let table = &mut *self.door.table.lock();
        let connections = self.credential.and_then(|credential| table.per_credential.get_mut(&credential));
        if let Some(welcomed) = connections.and_then(|connections| connections.get_mut(&self.number)) {
            welcomed.heard = now;
        }
    }

    /// Accepts it after a hello of a known credential: from now on it counts among the connections of that credential. If there is no
    /// place for it, a silent one of them must leave.
    pub(super) fn welcome(&mut self, now: Instant, credential: CredentialId, role: Role) -> Result<(), Unwelcome> {
        let limits = &self.door.limits;
        let table = &mut *self.door.table.lock();
        if !table.waiting.contains_key(&self.number) {
            return Err(Unwelcome::TurnedAway);
        }
        let reserved = if role == Role::Operator { 0 } else { limits.for_operators };
        let of_credential = table.per_credential.get(&credential).map_or(0, HashMap::len);
        let refused = if of_credential >= limits.per_credential_max {
            Some(Unwelcome::FullOfCredential(of_credential))
        } else if table.welcomed + reserved >= limits.welcomed_max {
            Some(Unwelcome::Full)
        } else {
            None
        };
        if let Some(refused) = refused {
            // Places are swapped within the credential, so that operators keep theirs.
            let silent = table.silent(credential, now, limits.silent);
            let Some(replaced) = silent.and_then(|number| table.end(credential, number)) else { return Err(refused) };
            replaced.leave.notify_one();
        }
        table.remove(self.number);
        table.know(now, self.address);
        table.welcomed += 1;
        let welcomed = Welcomed { heard: now, leave: self.leave.clone() };
        table.per_credential.entry(credential).or_default().insert(self.number, welcomed);
        self.credential = Some(credential);
        Ok(())
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let table = &mut *self.door.table.lock();
        match self.credential {
            Some(credential) => drop(table.end(credential, self.number)),
            None => drop(table.remove(self.number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::net::IpAddr;

    use super::*;

    const SILENT: Duration = Duration::from_secs(3);

    const LIMITS: DoorLimits = DoorLimits {
        welcomed_max: 5,
        per_credential_max: 3,
        silent: SILENT,
        for_operators: 1,
        waiting_max: 10,
        waiting_per_address_max: 4,
        reserved: 3,
        unproven_max: 2,
    };

    fn address(number: u8) -> PeerAddress {
        PeerAddress::of(IpAddr::from([203, 0, 113, number]))
    }

    #[track_caller]
    fn admitted(door: &Arc<Door>, now: Instant, of: u8) -> Visit {
        match door.arrive(now, address(of), true) {
            Arrival::Admitted(visit) => visit,
            Arrival::Refused => panic!("refused"),
            Arrival::Retry => panic!("it has proven itself"),
        }
    }

    fn gateway(visit: &mut Visit, now: Instant, credential: u32) -> Result<(), Unwelcome> {
        visit.welcome(now, CredentialId(credential), Role::Gateway)
    }

    fn operator(visit: &mut Visit, now: Instant, credential: u32) -> Result<(), Unwelcome> {
        visit.welcome(now, CredentialId(credential), Role::Operator)
    }

    /// Numbers of waiting connections and of those turned away.
    fn waiting(door: &Door) -> (usize, u64) {
        let table = door.table.lock();
        (table.waiting.len(), table.turned_away)
    }

    /// Whether a connection must leave.
    fn has_left(visit: &Visit) -> bool {
        !visit.door.table.lock().waiting.contains_key(&visit.number) && visit.credential.is_none()
    }

    #[test]
    fn a_forged_address_takes_no_room_once_a_few_connections_wait() {
        let (door, now) = (Door::new(LIMITS), Instant::now());
        let first = door.arrive(now, address(1), false);
        let second = door.arrive(now, address(2), false);
        assert!(matches!((&first, &second), (Arrival::Admitted(_), Arrival::Admitted(_))));
        for of in 3..=255 {
            assert!(matches!(door.arrive(now, address(of), false), Arrival::Retry));
        }
        assert_eq!(waiting(&door), (2, 0));
        drop((first, second));
        assert!(matches!(door.arrive(now, address(9), false), Arrival::Admitted(_)));
    }

    #[test]
    fn an_unknown_address_displaces_only_itself() {
        let (door, now) = (Door::new(LIMITS), Instant::now());
        let other = admitted(&door, now, 1);
        let silent: Vec<_> = (0..100).map(|_| admitted(&door, now, 2)).collect();
        assert_eq!(waiting(&door), (5, 96));
        assert!(!has_left(&other));
        assert!(silent[..96].iter().all(has_left) && !silent[96..].iter().any(has_left), "the oldest leave first");
        let mut newest = admitted(&door, now, 2);
        assert_eq!(
            gateway(&mut newest, now, 1),
            Ok(()),
            "an honest caller of the same address says hello before it is the oldest"
        );
    }

    #[test]
    fn addresses_of_known_credentials_have_room_in_a_flood_from_everywhere() {
        let (door, now) = (Door::new(LIMITS), Instant::now());
        assert_eq!(gateway(&mut admitted(&door, now, 1), now, 1), Ok(()));
        let flood: Vec<_> = (2..=255).map(|of| admitted(&door, now, of)).collect();
        assert_eq!(waiting(&door).0, 7, "three places are reserved");
        let known: Vec<_> = (0..3).map(|_| admitted(&door, now, 1)).collect();
        let more: Vec<_> = (2..=255).map(|of| admitted(&door, now, of)).collect();
        assert!(!known.iter().any(has_left));
        assert_eq!(waiting(&door).0, 10);
        // A fourth replaces the first.
        let fourth = admitted(&door, now, 1);
        assert!(!has_left(&fourth) && has_left(&known[0]) && !known[1..].iter().any(has_left));
        assert_eq!(waiting(&door).0, 10);
        drop((flood, more));
        let later = now + KNOWN_FOR;
        let _filled: Vec<_> = (2..=100).map(|of| admitted(&door, later, of)).collect();
        let _forgotten = admitted(&door, later, 1);
        assert_eq!(waiting(&door).0, 3 + 7, "an hour later it is known no longer");
    }

    #[test]
    fn a_flood_from_known_addresses_turns_away_only_known_callers() {
        let (door, now) = (Door::new(LIMITS), Instant::now());
        for of in 1..=5 {
            assert_eq!(gateway(&mut admitted(&door, now, of), now, u32::from(of)), Ok(()));
        }
        let flood: Vec<_> = (0..100).map(|_| admitted(&door, now, 1)).collect();
        assert_eq!(waiting(&door).0, 4, "a known address crowds out only itself");
        let strangers: Vec<_> = (101..=107).map(|of| admitted(&door, now, of)).collect();
        assert_eq!(waiting(&door).0, 10, "strangers take back the room that nobody else needed");
        let mut known = Vec::new();
        for of in (1..=5).cycle().take(1_000) {
            let newest = admitted(&door, now, of);
            assert!(!has_left(&newest) && waiting(&door).0 <= LIMITS.waiting_max);
            known.push(newest);
        }
        assert!(!strangers.iter().any(has_left));
        drop((flood, known));
    }

    #[test]
    fn waiting_connections_take_nothing_from_accepted_ones() {
        let (door, now) = (Door::new(LIMITS), Instant::now());
        let mut visits: Vec<_> = (1..=7).map(|of| admitted(&door, now, of)).collect();
        let welcomed = visits.iter_mut().zip(1..).map(|(visit, of)| operator(visit, now, of)).filter(Result::is_ok);
        assert_eq!(welcomed.count(), 5);
        assert!(matches!(door.arrive(now, address(9), true), Arrival::Refused));
        visits.remove(0);
        assert!(matches!(door.arrive(now, address(9), true), Arrival::Admitted(_)));
        drop(visits);
        let table = door.table.lock();
        assert_eq!(
            (table.welcomed + table.per_credential.len(), table.waiting.len(), table.strangers, table.per_address.len()),
            (0, 0, 0, 0)
        );
    }

    #[test]
    fn a_credential_has_no_more_than_its_connections_and_leaves_others_room() {
        let (door, now) = (Door::new(LIMITS), Instant::now());
        let mut held = Vec::new();
        for _ in 0..3 {
            let mut visit = admitted(&door, now, 1);
            assert_eq!(gateway(&mut visit, now, 1), Ok(()));
            held.push(visit);
        }
        assert_eq!(gateway(&mut admitted(&door, now, 1), now, 1), Err(Unwelcome::FullOfCredential(3)));
        assert_eq!(operator(&mut admitted(&door, now, 1), now, 1), Err(Unwelcome::FullOfCredential(3)), "whatever its role");
        assert_eq!(waiting(&door), (0, 0), "who is not welcomed waits no longer");
        let mut other = admitted(&door, now, 1);
        assert_eq!(gateway(&mut other, now, 2), Ok(()));
        held.pop();
        let mut again = admitted(&door, now, 1);
        assert_eq!(gateway(&mut again, now, 1), Ok(()), "one has ended");
    }

    /// Broken connections make room for others of their credential, the one that has been silent longest first.
    #[test]
    fn a_silent_connection_is_replaced_by_another_of_its_credential() {
        let (door, begin) = (Door::new(LIMITS), Instant::now());
        let at = |ms: u64| begin + Duration::from_millis(ms);
        let left = |visit: &Visit| {
            let table = visit.door.table.lock();
            let credential = visit.credential.expect("it was welcomed");
            !table.per_credential.get(&credential).is_some_and(|connections| connections.contains_key(&visit.number))
        };
        let mut other = admitted(&door, begin, 2);
        assert_eq!(gateway(&mut other, begin, 2), Ok(()), "silent for longest of all, and of another credential");
        let mut held = Vec::new();
        for ms in [0, 1, 2] {
            let mut visit = admitted(&door, at(ms), 1);
            assert_eq!(gateway(&mut visit, at(ms), 1), Ok(()));
            held.push(visit);
        }
        held[0].hear(at(1_000));
        let mut early = admitted(&door, at(3_000), 1);
        assert_eq!(gateway(&mut early, at(3_000), 1), Err(Unwelcome::FullOfCredential(3)), "none was silent for so long");
        drop(early);
        let mut news = Vec::new();
        for gone in [1, 2] {
            let mut new = admitted(&door, at(3_002), 1);
            assert_eq!(gateway(&mut new, at(3_002), 1), Ok(()));
            assert!(left(&held[gone]) && !left(&held[0]) && !left(&other) && !left(&new));
            let leave = std::pin::pin!(held[gone].turned_away());
            let leaving = leave.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
            assert!(leaving.is_ready(), "its connection ends");
            news.push(new);
        }
        let mut refused = admitted(&door, at(3_999), 1);
        assert_eq!(gateway(&mut refused, at(3_999), 1), Err(Unwelcome::FullOfCredential(3)), "the rest are not silent");
        drop(refused);
        // Their ends are not counted twice, and late data from them changes nothing.
        held[1].hear(at(4_000));
        held.truncate(1);
        assert_eq!(door.table.lock().welcomed, 4);
        assert_eq!(gateway(&mut admitted(&door, at(3_999), 1), at(3_999), 1), Err(Unwelcome::FullOfCredential(3)));
        drop((held, news, other));
        let table = door.table.lock();
        assert_eq!((table.welcomed, table.per_credential.len()), (0, 0));
    }

    /// A credential below its maximum replaces its silent connections as well when no place is free, and takes none of operators.
    #[test]
    fn a_silent_connection_is_replaced_when_all_places_are_taken() {
        let (door, begin) = (Door::new(LIMITS), Instant::now());
        let mut held = Vec::new();
        for credential in [1, 1, 2, 2] {
            let mut visit = admitted(&door, begin, 1);
            assert_eq!(gateway(&mut visit, begin, credential), Ok(()));
            held.push(visit);
        }
        let refused = gateway(&mut admitted(&door, begin, 1), begin, 1);
        assert_eq!(refused, Err(Unwelcome::Full), "its own are not silent yet");
        let later = begin + SILENT;
        held[1].hear(later);
        let refused = gateway(&mut admitted(&door, later, 1), later, 3);
        assert_eq!(refused, Err(Unwelcome::Full), "the silent ones are of others");
        let mut new = admitted(&door, later, 1);
        assert_eq!(gateway(&mut new, later, 1), Ok(()));
        let connections = |credential: u32| door.table.lock().per_credential[&CredentialId(credential)].len();
        assert_eq!((connections(1), connections(2), door.table.lock().welcomed), (2, 2, 4));
        assert_eq!(gateway(&mut admitted(&door, later, 1), later, 1), Err(Unwelcome::Full), "the rest are not silent");
        let mut first = admitted(&door, later, 9);
        assert_eq!(operator(&mut first, later, 9), Ok(()), "the operators' place is free");
        // It ends as if it had not been replaced.
        drop((held, new, first));
        assert_eq!(door.table.lock().welcomed, 0);
    }

    #[test]
    fn an_operator_is_admitted_when_all_other_connections_are_taken() {
        let (door, now) = (Door::new(LIMITS), Instant::now());
        let mut visits: Vec<_> = (0..8).map(|of| admitted(&door, now, of)).collect();
        let welcomed = visits.iter_mut().zip(0..).map(|(visit, of)| gateway(visit, now, of / 3)).filter(Result::is_ok).count();
        assert_eq!(welcomed, 4, "one place is for operators");
        let mut refused = admitted(&door, now, 9);
        assert_eq!(gateway(&mut refused, now, 9), Err(Unwelcome::Full));
        let mut first = admitted(&door, now, 9);
        assert_eq!(operator(&mut first, now, 9), Ok(()));
        assert!(matches!(door.arrive(now, address(9), true), Arrival::Refused), "all places are taken");
    }

    #[test]
    fn a_connection_turned_away_is_not_accepted_and_known_addresses_are_limited() {
        let (door, now) = (Door::new(LIMITS), Instant::now());
        let mut first = admitted(&door, now, 1);
        let _others: Vec<_> = (0..4).map(|_| admitted(&door, now, 1)).collect();
        assert!(has_left(&first));
        assert_eq!(gateway(&mut first, now, 1), Err(Unwelcome::TurnedAway));
        let table = &mut *door.table.lock();
        for number in 0..2 * KNOWN_MAX as u32 {
            table.know(now + Duration::from_secs(number.into()), PeerAddress::of(IpAddr::V4(number.into())));
        }
        assert_eq!(table.known.len(), KNOWN_MAX);
        assert!(table.known.contains_key(&PeerAddress::of(IpAddr::V4((KNOWN_MAX as u32).into()))), "the oldest are forgotten");
    }
}
