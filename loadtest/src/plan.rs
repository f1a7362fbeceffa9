//! The requests of a burst.

use std::collections::HashSet;

use scrip_protocol::command::Redeem;
use scrip_protocol::{ClientId, ClubId, RequestId};

/// Letters and digits that are not easily confused: no 0 and O, no 1, I and L.
const ALPHABET: &[u8; 31] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZ";

/// A burst. The same plan generates the same codes and the same requests under the same ids, so that an interrupted burst can be
/// sent again.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Plan {
    /// The seed of everything random.
    pub seed: u64,
    /// The time inside the request ids, in milliseconds since 1970.
    pub time_ms: u64,
    /// How many codes there are; each is redeemed once.
    pub codes: usize,
    /// Over how many clients the redemptions are spread.
    pub clients: usize,
    /// How many of the requests are sent again, over another connection, under the same id.
    pub repeats: usize,
    /// How many codes are tried again, by another client, under another id.
    pub spent: usize,
    /// How many requests carry a code that does not exist.
    pub misses: usize,
    /// The clubs, of which each request takes one.
    pub clubs: Vec<ClubId>,
}

/// One request of a burst.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Its id.
    pub request: RequestId,
    /// The redemption.
    pub redeem: Redeem,
}

impl Plan {
    /// The codes.
    pub fn codes(&self) -> Vec<String> {
        draw_codes(self.seed, self.codes)
    }

    /// The id of the `n`-th request of this plan. Redemptions count from 0, other requests from the maximum down.
    pub fn request_id(&self, n: u64) -> RequestId {
        draw_id(self.seed, self.time_ms, n)
    }

    /// The requests for each of so many connections. Repeats go to another connection than their original, if there is another;
    /// the rest is shuffled.
    pub fn requests(&self, connections: usize) -> Vec<Vec<Planned>> {
        let codes = self.codes();
        let mut random = fastrand::Rng::with_seed(self.seed ^ 0x5eed);
        let club_of = |n: usize| self.clubs.get(n % self.clubs.len().max(1)).copied().unwrap_or_default();
        let planned = |n: usize, code: String| Planned {
            request: self.request_id(n as u64),
            redeem: Redeem::new(ClientId(1 + (n % self.clients.max(1)) as u128), club_of(n), code),
        };
        let mut all: Vec<Planned> = codes.iter().enumerate().map(|(n, code)| planned(n, code.clone())).collect();
        all.extend((0..self.spent).map(|n| planned(self.codes + n, codes[n % codes.len()].to_lowercase())));
        all.extend((0..self.misses).map(|n| planned(self.codes + self.spent + n, format!("NO-SUCH-CODE-{n}"))));
        random.shuffle(&mut all);

        let again: Vec<Planned> = all.iter().take(self.repeats).cloned().collect();
        let mut lists: Vec<Vec<Planned>> = vec![Vec::new(); connections];
        for (n, planned) in all.into_iter().enumerate() {
            lists[n % connections].push(planned);
        }
        for (n, planned) in again.into_iter().enumerate() {
            lists[(n + 1) % connections].push(planned);
        }
        lists
    }
}

/// Draws so many different codes of twelve characters.
pub(crate) fn draw_codes(seed: u64, count: usize) -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut seen = HashSet::with_capacity(count);
    let mut codes = Vec::with_capacity(count);
    while codes.len() < count {
        let code: String = (0..12).map(|_| char::from(ALPHABET[random.usize(..ALPHABET.len())])).collect();
        if seen.insert(code.clone()) {
            codes.push(code);
        }
    }
    codes
}

/// The `n`-th random number of a seed, independent of the order of calls.
pub(crate) fn drawn(seed: u64, n: u64) -> fastrand::Rng {
    fastrand::Rng::with_seed(seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

/// The `n`-th request id of a seed and a time.
pub(crate) fn draw_id(seed: u64, time_ms: u64, n: u64) -> RequestId {
    let mut bits = [0; 10];
    drawn(seed, n).fill(&mut bits);
    RequestId::from_parts(time_ms, bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let clubs = vec![ClubId(1), ClubId(2)];
        Plan { seed: 7, time_ms: 1_790_000_000_000, codes: 100, clients: 10, repeats: 20, spent: 15, misses: 5, clubs }
    }

    #[test]
    fn a_plan_makes_the_same_requests_again() {
        assert_eq!(plan().requests(3), plan().requests(3));
        assert_ne!(Plan { seed: 8, ..plan() }.requests(3), plan().requests(3));
    }

    #[test]
    fn ids_are_distinct_but_for_the_repeats_which_go_to_another_connection() {
        let lists = plan().requests(3);
        assert_eq!(lists.iter().map(Vec::len).sum::<usize>(), 100 + 15 + 5 + 20);
        let ids: HashSet<_> = lists.iter().flatten().map(|planned| planned.request).collect();
        assert_eq!(ids.len(), 120);
        assert!(ids.iter().all(|id| id.is_version_7()));
        for list in &lists {
            let within: HashSet<_> = list.iter().map(|planned| planned.request).collect();
            assert_eq!(within.len(), list.len());
        }
    }
}
