//! Limits for one credential, and for all together: requests, reply bytes, pages, tails.
//!
//! Replies use memory in two steps. While a request is in progress, its lane reserves the maximum size of the reply
//! ([`Share::reserve`]); replies of a few hundred bytes reserve nothing, because the number of requests bounds them. Between its
//! delivery and its write to the stream, the actual size of a reply is counted ([`Meter`]). Lanes and tails stop reading while
//! their credential, or all together, have too many unwritten bytes.
//!
//! Callers that do not read their replies must not stop others: a credential with at most [`ShareLimits::unwritten_spare`]
//! unwritten bytes is served whatever the others have. Nor must some lanes of a credential stop its others: a lane without
//! unwritten bytes is served up to twice the credential's maximum.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use scrip_protocol::CredentialId;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Limits for the server's memory and time that callers use.
#[derive(Debug, Clone, Copy)]
pub struct ShareLimits {
    /// Requests in progress per credential. Further ones are `Busy`.
    pub requests_max: usize,
    /// Unwritten reply bytes of a credential beyond which its lanes are not read; lanes without unwritten bytes, beyond twice
    /// that.
    pub reply_bytes_max: usize,
    /// The same for all credentials together.
    pub reply_bytes_total: usize,
    /// The same for tails and watches, which then read nothing more.
    pub stream_bytes_max: usize,
    /// The same for all credentials together.
    pub stream_bytes_total: usize,
    /// Unwritten bytes up to which a credential is served although all together have too many.
    pub unwritten_spare: usize,
    /// Bytes that a credential may reserve for long replies of requests in progress.
    pub reserved_max: usize,
    /// The same for all credentials together.
    pub reserved_total: usize,
    /// Reservations up to this size, except for pages, do not wait behind longer ones: they have a limit of their own.
    pub small_max: usize,
    /// Bytes that a credential may reserve in this way.
    pub small_reserved_max: usize,
    /// The same for all credentials together.
    pub small_reserved_total: usize,
    /// Bytes that the lists of codes of a credential may use, from before they are decoded until they are decided.
    pub lists_max: usize,
    /// The same for all credentials together.
    pub lists_total: usize,
    /// Bytes of large frames of a credential that are received or wait to be decided.
    pub large_frames_max: usize,
    /// Pages in progress per credential.
    pub pages_max: usize,
    /// Tails and watches per credential. Further ones are `Busy`.
    pub streams_max: usize,
    /// Requests of a credential for which the journal is read at once.
    pub lookups_max: usize,
    /// The same for all credentials together.
    pub lookups_total: usize,
}

impl Default for ShareLimits {
    fn default() -> ShareLimits {
        ShareLimits {
            requests_max: 32_768,
            reply_bytes_max: 32 << 20,
            reply_bytes_total: 256 << 20,
            stream_bytes_max: 64 << 20,
            stream_bytes_total: 128 << 20,
            unwritten_spare: 256 << 10,
            reserved_max: 16 << 20,
            reserved_total: 64 << 20,
            small_max: 64 << 10,
            small_reserved_max: 2 << 20,
            small_reserved_total: 16 << 20,
            lists_max: 48 << 20,
            lists_total: 256 << 20,
            large_frames_max: 64 << 20,
            pages_max: 4,
            streams_max: 24,
            lookups_max: 2,
            lookups_total: 8,
        }
    }
}

/// The kinds of unwritten bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwritten {
    /// Replies.
    Replies,
    /// The parts of tails and watches.
    Streams,
}

/// All credentials together.
pub struct Totals {
    limits: ShareLimits,
    replies: Meter,
    streams: Meter,
    reserved: Arc<Semaphore>,
    small_reserved: Arc<Semaphore>,
    lists: Arc<Semaphore>,
    lookups: Arc<Semaphore>,
    /// The shares of connected credentials.
    shares: Mutex<HashMap<CredentialId, Weak<Share>>>,
}

/// What one credential uses, on all its lanes.
pub struct Share {
    totals: Arc<Totals>,
    /// Accepted requests without an answer.
    requests: AtomicUsize,
    replies: Meter,
    streams: Meter,
    reserved: Arc<Semaphore>,
    small_reserved: Arc<Semaphore>,
    lists: Arc<Semaphore>,
    large_frames: Arc<Semaphore>,
    pages: Arc<Semaphore>,
    places_of_streams: Arc<Semaphore>,
    lookups: Arc<Semaphore>,
    /// The permit for one generation of codes in progress.
    generation: Arc<Semaphore>,
}

/// Memory reserved for the replies of a chunk, until these are delivered; and for a page, its permit.
#[derive(Debug)]
pub struct Reserved {
    _share: OwnedSemaphorePermit,
    _total: OwnedSemaphorePermit,
    _page: Option<OwnedSemaphorePermit>,
}

/// Unwritten bytes.
#[derive(Default)]
struct Meter {
    bytes: AtomicUsize,
    /// Notified when the bytes fall to one of the marks that tasks may wait for.
    sunk: Notify,
}

impl Meter {
    fn get(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }

    fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    fn sub(&self, bytes: usize, marks: [usize; 3]) {
        let before = self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        if marks.iter().any(|mark| before > *mark && before - bytes <= *mark) {
            self.sunk.notify_waiters();
        }
    }
}

impl Totals {
    /// Starts with nothing in progress.
    pub fn new(limits: ShareLimits) -> Arc<Totals> {
        Arc::new(Totals {
            limits,
            replies: Meter::default(),
            streams: Meter::default(),
            reserved: Arc::new(Semaphore::new(limits.reserved_total >> 10)),
            small_reserved: Arc::new(Semaphore::new(limits.small_reserved_total >> 10)),
            lists: Arc::new(Semaphore::new(limits.lists_total >> 10)),
            lookups: Arc::new(Semaphore::new(limits.lookups_total)),
            shares: Mutex::default(),
        })
    }

    /// The share of a credential, the same for all its connections.
    pub fn share_of(self: &Arc<Totals>, credential: CredentialId) -> Arc<Share> {
        let mut shares = self.shares.lock();
        if let Some(share) = shares.get(&credential).and_then(Weak::upgrade) {
            return share;
        }
        // At most one per connection remains.
        shares.retain(|_, share| share.strong_count() > 0);
        let share = Share::new(self.clone());
        shares.insert(credential, Arc::downgrade(&share));
        share
    }

    fn meter(&self, what: Unwritten) -> (&Meter, usize) {
        match what {
            Unwritten::Replies => (&self.replies, self.limits.reply_bytes_total),
            Unwritten::Streams => (&self.streams, self.limits.stream_bytes_total),
        }
    }
}

impl Share {
    fn new(totals: Arc<Totals>) -> Arc<Share> {
        let limits = totals.limits;
        let places = |number| Arc::new(Semaphore::new(number));
        Arc::new(Share {
            totals,
            requests: AtomicUsize::new(0),
            replies: Meter::default(),
            streams: Meter::default(),
            reserved: places(limits.reserved_max.min(limits.reserved_total) >> 10),
            small_reserved: places(limits.small_reserved_max.min(limits.small_reserved_total) >> 10),
            lists: places(limits.lists_max.min(limits.lists_total) >> 10),
            large_frames: places(limits.large_frames_max >> 10),
            pages: places(limits.pages_max),
            places_of_streams: places(limits.streams_max),
            lookups: places(limits.lookups_max),
            generation: places(1),
        })
    }

    /// A separate share, for the engine's own requests.
    pub fn of_nobody() -> Arc<Share> {
        Share::new(Totals::new(ShareLimits::default()))
    }

    /// Counts accepted requests, unless the credential has too many in progress. A credential without any may have one chunk of
    /// any size.
    pub(super) fn try_take(&self, requests: usize) -> bool {
        let max = self.totals.limits.requests_max;
        let room = |before: usize| (before == 0 || before + requests <= max).then_some(before + requests);
        self.requests.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok()
    }

    pub(super) fn take(&self, requests: usize) {
        self.requests.fetch_add(requests, Ordering::Relaxed);
    }

    pub(super) fn answer(&self, requests: usize) {
        self.requests.fetch_sub(requests, Ordering::Relaxed);
    }

    fn meter(&self, what: Unwritten) -> (&Meter, usize) {
        match what {
            Unwritten::Replies => (&self.replies, self.totals.limits.reply_bytes_max),
            Unwritten::Streams => (&self.streams, self.totals.limits.stream_bytes_max),
        }
    }

    pub(super) fn add(&self, what: Unwritten, bytes: usize) {
        self.meter(what).0.add(bytes);
        self.totals.meter(what).0.add(bytes);
    }

    pub(super) fn sub(&self, what: Unwritten, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let spare = self.totals.limits.unwritten_spare;
        // The total first: a task that its own share wakes finds it updated.
        let (total, max) = self.totals.meter(what);
        total.sub(bytes, [max; 3]);
        let (own, max) = self.meter(what);
        own.sub(bytes, [2 * max, max, spare]);
    }

    /// Whether the credential may have more unwritten bytes.
    pub fn has_room(&self, what: Unwritten) -> bool {
        let (own, max) = self.meter(what);
        let own = own.get();
        own <= max && (own <= self.totals.limits.unwritten_spare || self.is_room_in_total(what))
    }

    /// The same for a lane that has none.
    pub fn has_room_for_empty_lane(&self, what: Unwritten) -> bool {
        let (own, max) = self.meter(what);
        self.has_room(what) || (max..=2 * max).contains(&own.get()) && self.is_room_in_total(what)
    }

    fn is_room_in_total(&self, what: Unwritten) -> bool {
        let (total, max) = self.totals.meter(what);
        total.get() <= max
    }

    /// Waits until a condition on the unwritten bytes of the credential, or of all, may hold.
    pub async fn room(&self, what: Unwritten, is_room: impl Fn() -> bool) {
        while !is_room() {
            let mut own = pin!(self.meter(what).0.sunk.notified());
            let mut total = pin!(self.totals.meter(what).0.sunk.notified());
            // Registered before the check, so that no change is missed in between.
            own.as_mut().enable();
            total.as_mut().enable();
            if is_room() {
                return;
            }
            tokio::select! {
                () = own => {}
                () = total => {}
            }
        }
    }

    /// Whether a reservation of that size does not wait behind longer ones.
    pub fn is_small(&self, bytes: usize) -> bool {
        bytes <= self.totals.limits.small_max
    }

    /// Waits until the credential, and all together, may reserve that many reply bytes; for a page, also for its permit.
    pub async fn reserve(&self, bytes: usize, is_page: bool) -> Reserved {
        self.reserve_with(bytes, is_page, || std::future::ready(()), || true).await
    }

    /// The same, if there is also room for unwritten replies: replies delivered since the lane read its request may have used
    /// it up. `room` waits for that room, and `has_room` checks it once everything is reserved.
    pub(super) async fn reserve_with<F: Future<Output = ()>>(
        &self,
        bytes: usize,
        is_page: bool,
        room: impl Fn() -> F,
        has_room: impl Fn() -> bool,
    ) -> Reserved {
        let limits = &self.totals.limits;
        let (own, all, max, total) = match is_page || !self.is_small(bytes) {
            true => (&self.reserved, &self.totals.reserved, limits.reserved_max, limits.reserved_total),
            false => {
                let (own, all) = (&self.small_reserved, &self.totals.small_reserved);
                (own, all, limits.small_reserved_max, limits.small_reserved_total)
            }
        };
        let kib = bytes.min(max).min(total).div_ceil(1 << 10);
        loop {
            // With nothing reserved, so that neither others nor the credential's other lanes wait for this lane's caller.
            room().await;
            let page = if is_page { Some(taken(&self.pages, 1).await) } else { None };
            let reserved = Reserved { _share: taken(own, kib).await, _total: taken(all, kib).await, _page: page };
            if has_room() {
                return reserved;
            }
        }
    }

    /// Waits until the credential, and all together, may have a list of codes of that size.
    pub async fn list(&self, bytes: usize) -> [OwnedSemaphorePermit; 2] {
        let kib = self.list_kib(bytes);
        [taken(&self.lists, kib).await, taken(&self.totals.lists, kib).await]
    }

    /// The same without waiting, for a lane that holds memory for other lists: `None` if it would have to wait.
    pub fn try_list(&self, bytes: usize) -> Option<[OwnedSemaphorePermit; 2]> {
        let kib = self.list_kib(bytes) as u32;
        let own = self.lists.clone().try_acquire_many_owned(kib).ok()?;
        Some([own, self.totals.lists.clone().try_acquire_many_owned(kib).ok()?])
    }

    fn list_kib(&self, bytes: usize) -> usize {
        bytes.min(self.totals.limits.lists_max).min(self.totals.limits.lists_total).div_ceil(1 << 10)
    }

    /// Waits until the credential may have a large frame of that size, before the lane waits for the limit of all.
    pub async fn large_frame(&self, bytes: usize) -> OwnedSemaphorePermit {
        taken(&self.large_frames, bytes.min(self.totals.limits.large_frames_max) >> 10).await
    }

    /// Waits for permission to read the journal for a request.
    pub async fn lookup(&self) -> [OwnedSemaphorePermit; 2] {
        [taken(&self.lookups, 1).await, taken(&self.totals.lookups, 1).await]
    }

    /// A permit for a tail or a watch, unless the credential has too many.
    pub fn stream(&self) -> Option<OwnedSemaphorePermit> {
        self.places_of_streams.clone().try_acquire_owned().ok()
    }

    /// The permit for a generation of codes, unless the credential has one in progress.
    pub fn generation(&self) -> Option<OwnedSemaphorePermit> {
        self.generation.clone().try_acquire_owned().ok()
    }
}

async fn taken(places: &Arc<Semaphore>, number: usize) -> OwnedSemaphorePermit {
    places.clone().acquire_many_owned(number as u32).await.expect("none of these is ever closed")
}

#[cfg(test)]
#[path = "share/tests.rs"]
mod tests;
