//! The slots of a listener: one per connection, limited in total and per address, and the connections in the order in which they
//! became idle.
//!
//! Invariant: a slot is free only when its connection's descriptor is closed. A connection that must close keeps its slot until
//! it has closed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use scrip_protocol::strangers::PeerAddress;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::limits::ListenerLimits;

/// How long a new connection waits for the one that is closed for it: normally some milliseconds, longer on an overloaded
/// machine.
const HAND_OVER: Duration = Duration::from_secs(1);

pub(super) struct Slots {
    pub(super) free: Arc<Semaphore>,
    per_address_max: usize,
    sending: Duration,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    next: u64,
    /// In the order in which they became idle; a connection gets a new number each time.
    open: BTreeMap<u64, Open>,
    per_address: HashMap<PeerAddress, usize>,
}

struct Open {
    address: PeerAddress,
    is_idle: bool,
    /// Since when a response has been in the connection's buffer.
    sending_since: Option<Instant>,
    close: Arc<Notify>,
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

/// A request in progress: while it lives, its connection is not idle.
pub(super) struct InProgress(Arc<Slot>);

impl Slots {
    pub(super) fn new(limits: ListenerLimits) -> Slots {
        let free = Arc::new(Semaphore::new(limits.connections_max));
        Slots { free, per_address_max: limits.connections_per_address_max, sending: limits.sending, table: Mutex::default() }
    }

    /// A slot for a connection from an address. At a limit, the connection that has been idle for longest is closed for it; none
    /// if no connection is idle.
    pub(super) async fn take(self: &Arc<Slots>, address: PeerAddress) -> Option<Arc<Slot>> {
        let closes = self.close_if_crowded(address)?;
        let permit = match self.free.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                if !closes && !self.close_longest_idle() {
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

    /// Tells an idle connection of an address to close if the address is at its limit. Returns whether one must close; none if all of
    /// them have requests in progress.
    fn close_if_crowded(&self, address: PeerAddress) -> Option<bool> {
        let mut table = self.table.lock();
        let taken = table.per_address.get(&address).copied().unwrap_or(0);
        if address.is_loopback() || taken < self.per_address_max {
            return Some(false);
        }
        table.close_first(self.sending, |open| open.address == address).then_some(true)
    }

    /// Tells the connection that has been idle for longest to close. Returns whether there was one.
    pub(super) fn close_longest_idle(&self) -> bool {
        self.table.lock().close_first(self.sending, |_| true)
    }
}

impl Table {
    fn add(&mut self, address: PeerAddress, close: Arc<Notify>) -> u64 {
        let number = self.number();
        self.open.insert(number, Open { address, is_idle: true, sending_since: None, close });
        *self.per_address.entry(address).or_default() += 1;
        number
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Tells the first idle connection of a kind to close; one that has been sending a response for less than `sending` is not idle.
    /// It is removed from the table at once, so that it is notified only once
    /// and no longer counts for its address.
    fn close_first(&mut self, sending: Duration, is_wanted: impl Fn(&Open) -> bool) -> bool {
        let is_idle = |open: &Open| open.is_idle && open.sending_since.is_none_or(|since| since.elapsed() >= sending);
        let first = self.open.iter().find(|(_, open)| is_idle(open) && is_wanted(open)).map(|(number, _)| *number);
        let Some(closing) = first.and_then(|number| self.open.remove(&number)) else { return false };
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
        self.renumber(false);
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
        let (number, mut table) = (self.number.lock(), self.slots.table.lock());
        if let Some(open) = table.open.get_mut(&number) {
            open.sending_since = since;
        }
    }

    fn renumber(&self, is_idle: bool) {
        let (mut number, mut table) = (self.number.lock(), self.slots.table.lock());
        // Not in the table if it must close.
        if let Some(open) = table.open.remove(&number) {
            *number = table.number();
            table.open.insert(*number, Open { is_idle, ..open });
        }
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        if self.0.requests.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.renumber(true);
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
