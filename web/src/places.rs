//! Places: limits on how many of something exist at once, in total and per credential, so that no caller holds all of them.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// A limited number of places. Clones share them.
#[derive(Debug, Clone)]
pub struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max: usize,
    max_of_one: usize,
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// Taken places by credential, without zeros.
    of: HashMap<u32, usize>,
}

/// A place that a credential has taken. Dropping it frees the place.
#[derive(Debug)]
pub struct Place {
    shared: Arc<Shared>,
    credential: u32,
}

impl Places {
    /// `max` places, of which one credential may hold `max_of_one`.
    pub fn new(max: usize, max_of_one: usize) -> Places {
        Places(Arc::new(Shared { max, max_of_one, taken: Mutex::default(), freed: Notify::new() }))
    }

    /// Takes a place for a credential; none if the credential is at its limit, or no place is free.
    pub fn take(&self, credential: u32) -> Option<Place> {
        let mut taken = self.0.taken.lock();
        let of_one = taken.of.get(&credential).copied().unwrap_or(0);
        if taken.all >= self.0.max || of_one >= self.0.max_of_one {
            return None;
        }
        taken.all += 1;
        taken.of.insert(credential, of_one + 1);
        Some(Place { shared: Arc::clone(&self.0), credential })
    }

    /// Waits for a place for a credential.
    pub async fn wait(&self, credential: u32) -> Place {
        loop {
            // Before the check, so that a place freed in between is noticed.
            let mut freed = pin!(self.0.freed.notified());
            freed.as_mut().enable();
            if let Some(place) = self.take(credential) {
                return place;
            }
            freed.await;
        }
    }

    /// The number of taken places.
    pub fn taken(&self) -> usize {
        self.0.taken.lock().all
    }
}

impl Place {
    /// The credential that holds it.
    pub fn credential(&self) -> u32 {
        self.credential
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.shared.taken.lock();
        taken.all -= 1;
        if let Some(of_one) = taken.of.get_mut(&self.credential) {
            *of_one -= 1;
            if *of_one == 0 {
                taken.of.remove(&self.credential);
            }
        }
        drop(taken);
        self.shared.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// One credential never holds all places, and a freed place goes to a caller that waits for one.
    #[tokio::test]
    async fn one_credential_leaves_places_to_others() {
        let places = Places::new(3, 2);
        let first = places.take(1).expect("all are free");
        let second = places.take(1).expect("it may have two");
        assert!(places.take(1).is_none(), "two of one credential");
        let other = places.take(2).expect("one is left");
        assert!(places.take(3).is_none(), "three in all");
        let mut waits = Box::pin(places.wait(1));
        assert!((&mut waits).now_or_never().is_none());
        drop(other);
        assert!((&mut waits).now_or_never().is_none(), "it has two still");
        drop(first);
        let third = waits.now_or_never().expect("it has one, and two are free");
        drop((second, third));
        assert_eq!((places.taken(), places.0.taken.lock().of.len()), (0, 0));
    }
}
