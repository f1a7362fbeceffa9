//! The slots of a listener: one per connection, limited in total and per address, and the connections in the order in which they
//! became idle or busy.
//!
//! At a limit, a new connection takes the slot of the one that has been idle for longest. Busy connections keep at most seven
//! eighths of the slots; beyond that, the new one takes the slot of a busy one: of the credential with most of them, the longest
//! in progress, exports last. So there are always slots for probes, whatever callers do, and a credential loses connections to
//! others only while none has more than it.
//!
//! Invariant: a slot is free only when its connection's descriptor is closed. A connection that must close keeps its slot until
//! it has closed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use scrip_protocol::strangers::PeerAddress;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::limits::ListenerLimits;

/// How long a new connection waits for the one that is closed for it: normally some milliseconds, longer on an overloaded
/// machine.
const HAND_OVER: Duration = Duration::from_secs(1);

/// The part of a limit that busy connections leave to others: this fraction, but at least one.
const IDLE_PART: usize = 8;

pub(super) struct Slots {
    pub(super) free: Arc<Semaphore>,
    max: usize,
    per_address_max: usize,
    sending: Duration,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    next: u64,
    /// In the order in which they became idle or busy; a connection gets a new number each time.
    open: BTreeMap<u64, Open>,
    per_address: HashMap<PeerAddress, usize>,
}

struct Open {
    address: PeerAddress,
    /// The number with which it was opened.
    opened: u64,
    has_request: bool,
    /// Since when a response has been in the connection's buffer.
    sending_since: Option<Instant>,
    /// The credential that was last authenticated on it.
    credential: Option<u32>,
    /// Whether the request in progress is an export.
    is_export: bool,
    close: Arc<Notify>,
}

impl Open {
    /// Whether it has no request in progress, and sends no response, or has been sending one for at least `sending`.
    fn is_idle(&self, sending: Duration) -> bool {
        !self.has_request && self.sending_since.is_none_or(|since| since.elapsed() >= sending)
    }
}

/// The slot of one connection.
pub(super) struct Slot {
    slots: Arc<Slots>,
    address: PeerAddress,
    number: Mutex<u64>,
    /// Requests in progress. HTTP/1 has one at a time, but the next may begin before the last response is dropped.
    requests: AtomicUsize,
    /// Whether a response is in the connection's buffer.
    is_sending: AtomicBool,
    close: Arc<Notify>,
    _permit: OwnedSemaphorePermit,
}

/// The connection of a request, as an extension of the request. The default is no connection.
#[derive(Clone, Default)]
pub struct RequestConnection(Weak<Slot>);

/// A request in progress: while it lives, its connection is not idle.
pub(super) struct InProgress(Arc<Slot>);

impl Slots {
    pub(super) fn new(limits: ListenerLimits) -> Slots {
        let free = Arc::new(Semaphore::new(limits.connections_max));
        let (max, per_address_max) = (limits.connections_max, limits.connections_per_address_max);
        Slots { free, max, per_address_max, sending: limits.sending, table: Mutex::default() }
    }

    /// A slot for a connection from an address. At a limit, another connection is closed for it; none if none can be closed.
    pub(super) async fn take(self: &Arc<Slots>, address: PeerAddress) -> Option<Arc<Slot>> {
        let closes = self.close_if_crowded(address)?;
        let permit = match self.free.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                if !closes && !self.make_room(None) {
                    return None;
                }
                let free = self.free.clone().acquire_owned();
                tokio::time::timeout(HAND_OVER, free).await.ok()?.expect("the slots are never closed")
            }
        };
        let close = Arc::new(Notify::new());
        let number = self.table.lock().add(address, close.clone());
        let slots = Arc::clone(self);
        let (number, requests, is_sending) = (Mutex::new(number), AtomicUsize::new(0), AtomicBool::new(false));
        Some(Arc::new(Slot { slots, address, number, requests, is_sending, close, _permit: permit }))
    }

    /// Tells a connection of an address to close if the address is at its limit. Returns whether one must close; none if none can be
    /// closed.
    fn close_if_crowded(&self, address: PeerAddress) -> Option<bool> {
        let taken = self.table.lock().per_address.get(&address).copied().unwrap_or(0);
        if address.is_loopback() || taken < self.per_address_max {
            return Some(false);
        }
        self.make_room(Some(address)).then_some(true)
    }

    /// Tells a connection to close: of an address, or of all. Returns whether there was one.
    pub(super) fn make_room(&self, of: Option<PeerAddress>) -> bool {
        let max = if of.is_some() { self.per_address_max } else { self.max };
        self.table.lock().close_one(left_idle(max), self.sending, |open| of.is_none_or(|address| open.address == address))
    }

    /// Tells the connection that has been idle for longest to close, if there is one.
    pub(super) fn close_longest_idle(&self) {
        self.table.lock().close_one(0, self.sending, |_| true);
    }
}

/// How many connections of a limit are not busy, if possible.
fn left_idle(max: usize) -> usize {
    (max / IDLE_PART).max(1).min(max.saturating_sub(1))
}

impl Table {
    fn add(&mut self, address: PeerAddress, close: Arc<Notify>) -> u64 {
        let number = self.number();
        let open =
            Open { address, opened: number, has_request: false, sending_since: None, credential: None, is_export: false, close };
        self.open.insert(number, open);
        *self.per_address.entry(address).or_default() += 1;
        number
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Tells a connection of a kind to close: the longest idle; or, if fewer than `left_idle` are idle, a busy one. Returns whether
    /// there was one. It is removed from the table at once, so that it is notified only once and no longer counts for its address.
    fn close_one(&mut self, left_idle: usize, sending: Duration, is_wanted: impl Fn(&Open) -> bool) -> bool {
        let wanted = || self.open.iter().filter(|(_, open)| is_wanted(open));
        let (mut idle, mut busy) = (Vec::new(), HashMap::<_, usize>::new());
        for (number, open) in wanted() {
            if open.is_idle(sending) {
                idle.push(*number);
            } else {
                *busy.entry(open.credential).or_default() += 1;
            }
        }
        let longest_busy = || {
            let busy_ones = wanted().filter(|(_, open)| !open.is_idle(sending));
            // Strangers do not get behind a caller who is about to be authenticated by sending further requests.
            let since = |number: u64, open: &Open| if open.credential.is_some() { number } else { open.opened };
            let order = |(number, open): &(&u64, &Open)| {
                (Reverse(busy.get(&open.credential).copied()), open.is_export, since(**number, open))
            };
            busy_ones.min_by_key(order).map(|(number, _)| *number)
        };
        let chosen = if idle.len() < left_idle { longest_busy() } else { None };
        let Some(closing) = chosen.or(idle.first().copied()).and_then(|number| self.open.remove(&number)) else { return false };
        self.leaves(closing.address);
        closing.close.notify_one();
        true
    }

    fn leaves(&mut self, address: PeerAddress) {
        if let Some(count) = self.per_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&address);
            }
        }
    }
}

impl Slot {
    /// Resolves when the connection must close to make room.
    pub(super) async fn evicted(&self) {
        self.close.notified().await;
    }

    /// Marks the connection as one with a request in progress.
    pub(super) fn begin(self: &Arc<Slot>) -> InProgress {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.renumber(true);
        InProgress(Arc::clone(self))
    }

    /// Marks the connection as one whose buffer has a response. The time counts from the first response since the buffer was empty.
    pub(super) fn begin_sending(&self) {
        if !self.is_sending.swap(true, Ordering::Relaxed) {
            self.set_sending_since(Some(Instant::now()));
        }
    }

    /// Marks the connection as one whose buffer is empty.
    pub(super) fn end_sending(&self) {
        if self.is_sending.swap(false, Ordering::Relaxed) {
            self.set_sending_since(None);
        }
    }

    fn set_sending_since(&self, since: Option<Instant>) {
        self.update(|open| open.sending_since = since);
    }

    fn update(&self, update: impl FnOnce(&mut Open)) {
        let (number, mut table) = (self.number.lock(), self.slots.table.lock());
        // Not in the table if it must close.
        if let Some(open) = table.open.get_mut(&number) {
            update(open);
        }
    }

    fn renumber(&self, has_request: bool) {
        let (mut number, mut table) = (self.number.lock(), self.slots.table.lock());
        // Not in the table if it must close.
        if let Some(open) = table.open.remove(&number) {
            *number = table.number();
            table.open.insert(*number, Open { has_request, is_export: false, ..open });
        }
    }
}

impl RequestConnection {
    pub(super) fn new(slot: &Arc<Slot>) -> RequestConnection {
        RequestConnection(Arc::downgrade(slot))
    }

    /// Counts the connection among those of a credential, until another one is authenticated on it.
    pub fn charge(&self, credential: u32) {
        self.update(|open| open.credential = Some(credential));
    }

    /// Marks the request as an export, which is cut last of its credential's requests.
    pub fn spare(&self) {
        self.update(|open| open.is_export = true);
    }

    fn update(&self, update: impl FnOnce(&mut Open)) {
        if let Some(slot) = self.0.upgrade() {
            slot.update(update);
        }
    }
}

impl fmt::Debug for RequestConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestConnection")
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        if self.0.requests.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.renumber(false);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut table = self.slots.table.lock();
        if table.open.remove(self.number.get_mut()).is_some() {
            table.leaves(self.address);
        }
    }
}
