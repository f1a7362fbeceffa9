//! Both ends of a connection: QUIC endpoints with socket buffers for bursts, and TLS.
//!
//! The engine listens with it, the client connects with it. It does not handle commands and records.

pub mod endpoint;
pub mod tls;
