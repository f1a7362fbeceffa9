//! A client's network: the part that Scrip keeps of the address that a client calls a gateway from.
//!
//! One household, hall or phone shares an address, and the holder of an IPv6 address has its whole /64; so an IPv4 address is
//! truncated to its /24 and an IPv6 address to its /64. That is enough to count the failed attempts from one network, and reveals
//! less about a person than the address.
//!
//! The number is the upper half of the IPv6 address. IPv4 networks are mapped into ff00::/16, multicast of a reserved scope (RFC
//! 4291, section 2.7), from which nobody can call: no two networks have the same number. 0 means "not known".

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::ids::{InvalidId, serde_as_text};

/// The network of a client, written as its prefix: `203.0.113.0/24`, `2001:db8::/64`, or `-` if unknown.
///
/// ```
/// use scrip_protocol::ClientNetwork;
/// let network: ClientNetwork = "203.0.113.7".parse().unwrap();
/// assert_eq!(network.to_string(), "203.0.113.0/24");
/// assert_eq!(network, ClientNetwork::of("::ffff:203.0.113.200".parse().unwrap()));
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
pub struct ClientNetwork(pub u64);

/// The upper 16 bits of the block that holds the networks without a number of their own.
const BLOCK: u64 = 0xff00;
/// The first number of that block: 0.0.0.0/24. The lowest 24 bits are an IPv4 network.
const IPV4_FIRST: u64 = BLOCK << 48;
const IPV4_LAST: u64 = IPV4_FIRST + 0x00ff_ffff;
/// ::/64, which contains ::1 and whose own number means "not known".
const IPV6_ZERO: u64 = IPV4_LAST + 1;

impl ClientNetwork {
    /// Not known.
    pub const UNKNOWN: ClientNetwork = ClientNetwork(0);

    /// The network of an address. An IPv4-mapped IPv6 address is the IPv4 one. One in ff00::/16, which no client can have, has none.
    pub fn of(address: IpAddr) -> ClientNetwork {
        match address.to_canonical() {
            IpAddr::V4(v4) => ClientNetwork(IPV4_FIRST | u64::from(v4.to_bits() >> 8)),
            IpAddr::V6(v6) => match (v6.to_bits() >> 64) as u64 {
                0 => ClientNetwork(IPV6_ZERO),
                upper if upper >> 48 == BLOCK => ClientNetwork::UNKNOWN,
                upper => ClientNetwork(upper),
            },
        }
    }

    /// Whether it is known.
    pub fn is_known(self) -> bool {
        self != ClientNetwork::UNKNOWN
    }
}

impl fmt::Display for ClientNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.pad("-"),
            IPV4_FIRST..=IPV4_LAST => f.pad(&format!("{}/24", Ipv4Addr::from_bits((self.0 as u32) << 8))),
            IPV6_ZERO => f.pad("::/64"),
            upper => f.pad(&format!("{}/64", Ipv6Addr::from_bits(u128::from(upper) << 64))),
        }
    }
}

impl FromStr for ClientNetwork {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let expected = "a client's network (an IP address, its /24 or /64 as printed, or - if unknown)";
        let invalid = || InvalidId { text: text.to_owned(), expected };
        if text == "-" {
            return Ok(ClientNetwork::UNKNOWN);
        }
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        match (address, length) {
            (_, None) | (IpAddr::V4(_), Some("24")) | (IpAddr::V6(_), Some("64")) => Ok(ClientNetwork::of(address)),
            (IpAddr::V4(_) | IpAddr::V6(_), Some(_)) => Err(invalid()),
        }
    }
}

serde_as_text!(ClientNetwork);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    fn network(text: &str) -> ClientNetwork {
        text.parse().expect("a network")
    }

    /// Z9: all addresses of one network give the same network.
    #[test]
    fn an_address_is_cut_to_its_network() {
        for (address, expected) in [
            ("203.0.113.7", "203.0.113.0/24"),
            ("203.0.113.255", "203.0.113.0/24"),
            ("203.0.114.0", "203.0.114.0/24"),
            ("::ffff:203.0.113.7", "203.0.113.0/24"),
            ("0.0.0.0", "0.0.0.0/24"),
            ("127.0.0.1", "127.0.0.0/24"),
            ("255.255.255.255", "255.255.255.0/24"),
            ("2001:db8::1", "2001:db8::/64"),
            ("2001:db8::ffff:ffff:ffff:ffff", "2001:db8::/64"),
            ("2001:db8:0:1::", "2001:db8:0:1::/64"),
            ("::1", "::/64"),
            ("::", "::/64"),
            ("0:0:0:1::", "0:0:0:1::/64"),
            ("fe80::1", "fe80::/64"),
            ("ff02::1", "ff02::/64"),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff::/64"),
            ("ff00::1", "-"),
            ("ff00:0:cb:71::1", "-"),
            ("-", "-"),
        ] {
            assert_eq!(network(address).to_string(), expected, "{address}");
            assert_eq!(network(expected).to_string(), expected);
            assert_eq!(network(expected), network(address));
        }
        assert_eq!(ClientNetwork::default(), network("-"));
        assert!(!network("-").is_known() && network("::1").is_known() && network("0.0.0.0").is_known());
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in
            ["", "ann", "203.0.113", "203.0.113.7/32", "203.0.113.7/64", "2001:db8::/24", "2001:db8::/", "203.0.113.7:80", "--"]
        {
            assert!(text.parse::<ClientNetwork>().is_err(), "{text}");
        }
    }

    /// Z9: failed attempts of one network are never counted as another's.
    #[test]
    fn no_two_networks_have_one_number() {
        let seed: u64 = u64::from_le_bytes(*b"networks");
        // A walk over all 64-bit numbers (Knuth's multiplier) replaces a random generator, which this crate does not have.
        let mut number = seed;
        for _ in 0..10_000 {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let v6 = ClientNetwork::of(Ipv6Addr::from_bits(u128::from(number) << 64 | 7).into());
            let v4 = ClientNetwork::of(Ipv4Addr::from_bits((number >> 32) as u32).into());
            let numbered_as_v4 = ClientNetwork::of(Ipv6Addr::from_bits(u128::from(v4.0) << 64).into());
            assert_ne!(v6, v4);
            assert_eq!(numbered_as_v4, ClientNetwork::UNKNOWN);
            assert_eq!((network(&v6.to_string()), network(&v4.to_string())), (v6, v4));
            if number >> 48 != BLOCK {
                assert_eq!(v6.0, number);
            }
        }
        assert_eq!(network("::1").0 - network("255.255.255.1").0, 1);
    }

    #[test]
    fn it_travels_as_text_in_json_and_as_a_number_on_the_wire() {
        let at = network("203.0.113.7");
        let json = serde_json::to_string(&at).expect("plain text");
        assert_eq!(json, r#""203.0.113.0/24""#);
        assert_eq!(serde_json::from_str::<ClientNetwork>(&json).expect("as it was written"), at);
        assert!(serde_json::from_str::<ClientNetwork>(r#""203.0.113.0/25""#).is_err());
        let mut bytes = Vec::new();
        wire::encode(&at, &mut bytes);
        assert_eq!(bytes, at.0.to_le_bytes());
        assert_eq!(wire::decode::<ClientNetwork>("client network", &bytes).expect("as it was encoded"), at);
    }
}
