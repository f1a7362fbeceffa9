//! QUIC endpoints for both sides, with kernel buffers large enough for a burst of packets.
//!
//! The default socket buffer (208 KiB on Linux) holds what a window of some two thousand requests sends at once. Beyond it the
//! kernel drops packets, and the congestion control takes that for a congested network: it waits and lowers its rate. The system
//! limits how much is granted (`net.core.rmem_max` and `wmem_max` on Linux); a smaller buffer than requested is not an error.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use quinn::{Endpoint, EndpointConfig, ServerConfig, TokioRuntime};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Bytes of packets that may wait in the kernel in each direction: the size of a connection's window.
const KERNEL_BYTES: usize = 8 << 20;

/// An endpoint that accepts connections at an address.
///
/// # Errors
/// When it cannot listen at the address.
pub fn server(config: ServerConfig, address: SocketAddr) -> io::Result<Endpoint> {
    with_room(Some(config), UdpSocket::bind(address)?)
}

/// An endpoint that connects from an address. `[::]:0` reaches IPv4 and IPv6 servers if the system supports both on one socket.
///
/// # Errors
/// When no such socket can be opened.
pub fn client(address: SocketAddr) -> io::Result<Endpoint> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // If the system has no dual-stack sockets, this one reaches IPv6 servers only.
        let _ = socket.set_only_v6(false);
    }
    socket.bind(&address.into())?;
    with_room(None, socket.into())
}

fn with_room(config: Option<ServerConfig>, socket: UdpSocket) -> io::Result<Endpoint> {
    let options = SockRef::from(&socket);
    // A system that refuses keeps its default, which also works, only slower under bursts.
    let _ = options.set_recv_buffer_size(KERNEL_BYTES);
    let _ = options.set_send_buffer_size(KERNEL_BYTES);
    Endpoint::new(EndpointConfig::default(), config, socket, Arc::new(TokioRuntime))
}
