//! What both ends of a connection share: QUIC endpoints with room for bursts, and TLS.
//!
//! The engine listens with it, the client connects with it. It knows nothing of commands and records.

pub mod endpoint;
pub mod tls;
