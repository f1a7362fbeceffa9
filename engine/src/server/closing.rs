//! Why the engine closes a connection, and what the caller learns about it.

use quinn::{Connection, VarInt};
use scrip_protocol::frame::Malformed;
use scrip_protocol::hello::CloseCode;

/// Why the engine closes a connection.
pub(super) struct Closing {
    pub(super) code: CloseCode,
    pub(super) reason: String,
}

impl Closing {
    /// Closes a connection for this reason. The first close counts.
    pub(super) fn close(&self, connection: &Connection) {
        connection.close(VarInt::from_u32(self.code as u32), self.reason.as_bytes());
    }
}

impl From<Malformed> for Closing {
    fn from(malformed: Malformed) -> Closing {
        let reason = match &malformed {
            // The detail contains addresses in this process's memory, which must not be revealed.
            Malformed::Payload { what, .. } => format!("the payload is not a valid {what}"),
            Malformed::TooLong { .. } | Malformed::TooShort { .. } | Malformed::Truncated { .. } | Malformed::UnknownKind(_) => {
                malformed.to_string()
            }
        };
        Closing { code: CloseCode::of(&malformed), reason }
    }
}
