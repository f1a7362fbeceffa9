//! Hello: the first frame on a connection says who calls. And the ways in which a connection ends.

use crate::codes::RecordedForm;
use crate::ids::{CredentialId, Position};
use crate::role::Role;

/// The first frame, of kind [`HELLO`](crate::frame::HELLO), on the first lane of a connection.
#[derive(Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Hello {
    /// The token; empty where the certificate that the caller has shown says who it is.
    pub token: String,
    /// The calling program and its version, for the engine's log; 100 bytes at the most are kept.
    pub program: String,
}

/// The answer to [`Hello`]. Other lanes may be opened once it is here.
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
    /// How many requests a lane may have unanswered before the engine stops reading it.
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
    /// The engine stops. It answers what it took before; whether a request without an answer was executed is unknown.
    1 ShuttingDown "shutting-down";
    /// The engine could not make its journal durable and stops. Whether unanswered requests were done is unknown.
    2 JournalFailed "journal-failed";
    /// The first frame was not a hello.
    3 HelloExpected "hello-expected";
    /// No hello came in time.
    4 HelloTimeout "hello-timeout";
    /// The token, or the certificate, is not one of the organisation's.
    5 Unauthenticated "unauthenticated";
    /// A frame's length is out of bounds.
    6 FrameLength "frame-length";
    /// A stream ended within a frame.
    7 FrameTruncated "frame-truncated";
    /// A frame's kind is not known.
    8 UnknownKind "unknown-kind";
    /// A payload is not what its kind says.
    9 MalformedPayload "malformed-payload";
    /// A large frame was begun and not finished in time.
    10 FrameTimeout "frame-timeout";
    /// The credential was revoked. Whether unanswered requests were done is unknown, and is found out with another credential.
    11 Revoked "revoked";
    /// There are as many connections as there may be, in all or of this credential. Nothing of this connection was executed.
    12 TooManyConnections "too-many-connections";
    /// Nothing has arrived for some seconds, and the credential needs the connection for another one. Whether unanswered requests were
    /// executed is unknown.
    13 Silent "silent";
}

impl CloseCode {
    /// The code for bytes that are not what they should be.
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
