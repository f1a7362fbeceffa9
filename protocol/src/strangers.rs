//! Protection of listeners against unknown callers: one key per address for limits, and log lines that nobody can multiply.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The address of a caller as limits count it: an IPv4 address by itself, an IPv6 address by its /64, because one host controls
/// all of that. An IPv4-mapped IPv6 address counts as the IPv4 one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddress(IpAddr);

impl PeerAddress {
    /// The key of an address.
    pub fn of(address: IpAddr) -> PeerAddress {
        PeerAddress(match address.to_canonical() {
            IpAddr::V4(v4) => IpAddr::V4(v4),
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        })
    }

    /// Whether it belongs to this machine. The whole /64 counts as `::1` does; no other machine can call from it.
    pub fn is_loopback(self) -> bool {
        match self.0 {
            IpAddr::V4(v4) => v4.is_loopback(),
            IpAddr::V6(v6) => v6.to_bits() == 0,
        }
    }
}

/// Limits the log lines of one kind of event: one at once, and then one per period, with the number of suppressed ones.
#[derive(Debug)]
pub struct LogThrottle {
    period: Duration,
    last: Mutex<Option<Instant>>,
    suppressed: AtomicU64,
}

impl LogThrottle {
    /// A throttle that lets one line through per period.
    pub const fn new(period: Duration) -> LogThrottle {
        LogThrottle { period, last: Mutex::new(None), suppressed: AtomicU64::new(0) }
    }

    /// Whether to log an event; and if so, how many were suppressed before it.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        let mut last = self.last.lock();
        if last.is_some_and(|last| now.saturating_duration_since(last) < self.period) {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        *last = Some(now);
        Some(self.suppressed.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_key_whatever_it_calls_from() {
        let of = |text: &str| PeerAddress::of(text.parse().expect("an address"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:203.0.113.7"), of("203.0.113.7"));
        assert_ne!(of("203.0.113.8"), of("203.0.113.7"));
        assert!(of("::1").is_loopback() && of("127.0.0.2").is_loopback() && of("::ffff:127.0.0.1").is_loopback());
        assert!(!of("2001:db8::1").is_loopback() && !of("203.0.113.7").is_loopback());
    }

    #[test]
    fn one_line_per_period_counts_the_suppressed_ones() {
        let throttle = LogThrottle::new(Duration::from_secs(10));
        let start = Instant::now();
        assert_eq!(throttle.admit(start), Some(0));
        for after_ms in 0..9_999 {
            assert_eq!(throttle.admit(start + Duration::from_millis(after_ms)), None);
        }
        assert_eq!(throttle.admit(start + Duration::from_secs(10)), Some(9_999));
        assert_eq!(throttle.admit(start + Duration::from_secs(20)), Some(0));
    }
}
