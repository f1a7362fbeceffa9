//! Received bytes that are not a valid frame or payload.

/// Why bytes are not a valid frame or payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A length above the limit.
    #[error("a frame of {length} bytes exceeds the limit of {limit}")]
    TooLong {
        /// The length that the frame declares.
        length: u64,
        /// The limit.
        limit: u64,
    },
    /// A length below a header's.
    #[error("a frame of {length} bytes is shorter than a frame's header")]
    TooShort {
        /// The length that the frame declares.
        length: u64,
    },
    /// The stream ended within a frame.
    #[error("the stream ended after {have} bytes of a frame")]
    Truncated {
        /// How many bytes of it had arrived.
        have: u64,
    },
    /// No command has this number.
    #[error("unknown command number {0}")]
    UnknownKind(u16),
    /// The payload is not a valid archive of the expected type.
    #[error("the payload is not a valid {what}: {cause}")]
    Payload {
        /// The expected type.
        what: &'static str,
        /// The validation error.
        cause: String,
    },
}
