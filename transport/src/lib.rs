//! Both ends of a connection: QUIC endpoints with socket buffers for bursts, and TLS.
//!
//! The engine listens with it and the client connects with it. It does not handle commands or records.

pub mod endpoint;
pub mod tls;
