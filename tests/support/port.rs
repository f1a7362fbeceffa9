//! Ports that remain reserved for a test while its engine is down.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

/// Below the operating system's ephemeral ports, so that no client's socket can take a port between the end of an engine and its
/// next start.
const RANGE: std::ops::Range<u16> = 20_000..30_000;

/// A port of 127.0.0.1 that no other test takes while this lives.
pub(crate) struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Reserves a free port.
    pub(crate) fn reserve() -> Port {
        let dir = std::env::temp_dir().join("scrip-test-ports");
        std::fs::create_dir_all(&dir).expect("a folder for the locks");
        let from = fastrand::u16(RANGE);
        let (lower, upper) = (RANGE.start..from, from..RANGE.end);
        for number in upper.chain(lower) {
            let lock = File::create(dir.join(number.to_string())).expect("a lock");
            if lock.try_lock().is_ok() && UdpSocket::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Port { number, _lock: lock };
            }
        }
        panic!("no port of {RANGE:?} is free");
    }

    /// Its address.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}
