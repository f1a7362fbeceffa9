//! Hello: the first frame on a connection authenticates the caller. Also the close codes of a connection.

use crate::codes::RecordedForm;
use crate::ids::{CredentialId, Position};
use crate::role::Role;

/// The first frame, of kind [`HELLO`](crate::frame::HELLO), on the first lane of a connection.
#[derive(Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Hello {
    /// The token; empty if the caller's certificate authenticates it.
    pub token: String,
    /// The calling program and its version, for the engine's log; at most 100 bytes are kept.
    pub program: String,
}

/// The answer to [`Hello`]. The caller may open other lanes once it has arrived.
#[wire_format]
pub struct Welcome {
    /// The credential that the token or certificate belongs to.
    pub credential: CredentialId,
    /// Its role.
    pub role: Role,
    /// The engine's time, in milliseconds since 1970.
    pub now_ms: u64,
    /// The newest durable record.
    pub durable: Position,
    /// How many unanswered requests a lane may have before the engine stops reading it.
    pub lane_requests_max: u32,
    /// The form in which the organisation's codes are compared.
    pub codes: RecordedForm,
}

macro_rules! close_codes {
    ($($(#[$doc:meta])* $number:literal $name:ident $word:literal;)*) => {
        /// Why one side closed a connection: the application error code of QUIC's CONNECTION_CLOSE. The numbers never change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum CloseCode { $($(#[$doc])* $name = $number,)* }

        impl CloseCode {
            /// The code of this number.
            pub const fn from_number(number: u64) -> Option<CloseCode> {
                match number { $($number => Some(CloseCode::$name),)* _ => None }
            }
            /// The code's word, as in messages and metrics.
            pub const fn word(self) -> &'static str {
                match self { $(CloseCode::$name => $word,)* }
            }
        }
    };
}

close_codes! {
    /// The caller has finished.
    0 Done "done";
    /// The engine is stopping. It answers the requests it accepted before; whether a request without a reply was executed is
    /// unknown.
    1 ShuttingDown "shutting-down";
    /// The engine could not make its journal durable and stops. Whether unanswered requests were executed is unknown.
    2 JournalFailed "journal-failed";
    /// The first frame was not a hello.
    3 HelloExpected "hello-expected";
    /// No hello arrived in time.
    4 HelloTimeout "hello-timeout";
    /// The token, or the certificate, is not one of the organisation's.
    5 Unauthenticated "unauthenticated";
    /// A frame's length is out of bounds.
    6 FrameLength "frame-length";
    /// A stream ended within a frame.
    7 FrameTruncated "frame-truncated";
    /// A frame's kind is not known.
    8 UnknownKind "unknown-kind";
    /// A payload is not valid for its kind.
    9 MalformedPayload "malformed-payload";
    /// A large frame was started and not finished in time.
    10 FrameTimeout "frame-timeout";
    /// The credential was revoked. Whether unanswered requests were executed is unknown; find out with another credential.
    11 Revoked "revoked";
    /// The connection limit is reached, in all or for this credential. Nothing of this connection was executed.
    12 TooManyConnections "too-many-connections";
    /// Nothing has arrived for some seconds, and the credential needs the connection for another one. Whether unanswered requests
    /// were executed is unknown.
    13 Silent "silent";
}

impl CloseCode {
    /// The close code for malformed bytes.
    pub const fn of(malformed: &crate::malformed::Malformed) -> CloseCode {
        use crate::malformed::Malformed;
        match malformed {
            Malformed::TooLong { .. } | Malformed::TooShort { .. } => CloseCode::FrameLength,
            Malformed::Truncated { .. } => CloseCode::FrameTruncated,
            Malformed::UnknownKind(_) => CloseCode::UnknownKind,
            Malformed::Payload { .. } => CloseCode::MalformedPayload,
        }
    }
}

impl std::fmt::Debug for Hello {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hello").field("program", &self.program).finish_non_exhaustive()
    }
}
