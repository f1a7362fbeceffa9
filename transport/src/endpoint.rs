//! QUIC endpoints as both sides use them: with room in the kernel for the packets of a burst.
//!
//! A system's default (208 KiB on Linux) holds what a window of some two thousand requests sends at once. Past it packets are dropped, and the
//! congestion control takes that for a crowded network: it waits, and lowers its rate. How much is granted is the system's to
//! say (`net.core.rmem_max` and `wmem_max` on Linux); less than asked for is no error.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use quinn::{Endpoint, EndpointConfig, ServerConfig, TokioRuntime};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Bytes of packets that may wait in the kernel in each direction: what a connection's window holds.
const KERNEL_BYTES: usize = 8 << 20;

/// An endpoint that takes connections at an address.
///
/// # Errors
/// When the address cannot be listened at.
pub fn server(config: ServerConfig, address: SocketAddr) -> io::Result<Endpoint> {
    with_room(Some(config), UdpSocket::bind(address)?)
}

/// An endpoint that connects from an address: from any, to servers of IPv4 and IPv6, with `[::]:0` where the system has both.
///
/// # Errors
/// When there is no such socket to be had.
pub fn client(address: SocketAddr) -> io::Result<Endpoint> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // Where the system has no sockets for both, this one reaches servers of IPv6.
        let _ = socket.set_only_v6(false);
    }
    socket.bind(&address.into())?;
    with_room(None, socket.into())
}

fn with_room(config: Option<ServerConfig>, socket: UdpSocket) -> io::Result<Endpoint> {
    let options = SockRef::from(&socket);
    // A system that refuses leaves its default, which works as well, only slower under bursts.
    let _ = options.set_recv_buffer_size(KERNEL_BYTES);
    let _ = options.set_send_buffer_size(KERNEL_BYTES);
    Endpoint::new(EndpointConfig::default(), config, socket, Arc::new(TokioRuntime))
}
