//! Frames: how commands and replies are framed on a lane.
//!
//! ```text
//! offset  size
//!      0     4  length of what follows, in bytes
//!      4     2  kind: a command's number, or one of those below
//!      6     8  correlation: the caller's number for this request; its reply carries the same
//!     14    16  request id (UUIDv7, big-endian), only in requests of commands that change something
//!     14     n  payload: an rkyv archive
//! ```
//! Numbers are little-endian. A reply has the kind of its request, or [`REFUSAL`]. Before a frame's length is known to be within
//! the limit, no other field is trusted and no memory is allocated for it.

use crate::command::{Command, Kind};
use crate::ids::RequestId;
use crate::refusal::Refusal;
use crate::wire::{self, Wire};

pub use crate::malformed::Malformed;

/// The size of the header without a request id, in bytes.
pub const HEADER_BYTES: usize = 14;
/// The size of the length field, which the length does not include.
pub const LENGTH_BYTES: usize = 4;
const CORRELATION_AT: usize = 6;
/// The size of a request id.
pub const REQUEST_ID_BYTES: usize = 16;

/// The largest request: fits 50,000 codes of 64 bytes with rkyv's overhead for each.
pub const REQUEST_BYTES_MAX: usize = 4 << 20;
/// The largest reply, or journal batch on its way to a reader.
pub const REPLY_BYTES_MAX: usize = 16 << 20;
/// The largest frame before a connection has authenticated.
pub const HELLO_BYTES_MAX: usize = 4 << 10;

/// The kind of the first frame on a connection, [`Hello`](crate::hello::Hello), and of its reply.
pub const HELLO: u16 = 0xfff0;
/// The kind of a reply that is a [`Refusal`].
pub const REFUSAL: u16 = 0xffff;

/// The ALPN protocol name: the version of everything in this crate. It changes with the layout of any command, outcome or
/// greeting, so that a program of another version is refused in the handshake and never misreads a frame.
pub const ALPN: &[u8] = b"scrip/2";

/// A frame, borrowed from the bytes received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The kind.
    pub kind: u16,
    /// The correlation number.
    pub correlation: u64,
    /// Everything after the header: the request id, if any, and the payload.
    pub body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Parses the first frame of `bytes` and returns its length in bytes; `None` if it is not complete yet.
    ///
    /// # Errors
    /// When its length is above `limit` or below that of a header; its first four bytes decide that.
    pub fn split(bytes: &'a [u8], limit: usize) -> Result<Option<(Frame<'a>, usize)>, Malformed> {
        let Some(length) = bytes.first_chunk().map(|four| u32::from_le_bytes(*four) as usize) else { return Ok(None) };
        if length + LENGTH_BYTES < HEADER_BYTES {
            return Err(Malformed::TooShort { length: length as u64 });
        }
        if length > limit {
            return Err(Malformed::TooLong { length: length as u64, limit: limit as u64 });
        }
        let Some(whole) = bytes.get(LENGTH_BYTES..LENGTH_BYTES + length) else { return Ok(None) };
        let (kind, rest) = whole.split_first_chunk().expect("a header's length was checked");
        let (correlation, body) = rest.split_first_chunk().expect("a header's length was checked");
        let frame = Frame { kind: u16::from_le_bytes(*kind), correlation: u64::from_le_bytes(*correlation), body };
        Ok(Some((frame, LENGTH_BYTES + length)))
    }

    /// The request in this frame.
    ///
    /// # Errors
    /// When no command has this kind, or its request id is cut off.
    pub fn request(&self) -> Result<RequestFrame<'a>, Malformed> {
        let kind = Kind::from_number(self.kind).ok_or(Malformed::UnknownKind(self.kind))?;
        if !kind.mutates() {
            return Ok(RequestFrame { kind, request: None, payload: self.body });
        }
        let cut = || Malformed::TooShort { length: (self.body.len() + HEADER_BYTES - LENGTH_BYTES) as u64 };
        let (id, payload) = self.body.split_first_chunk::<REQUEST_ID_BYTES>().ok_or_else(cut)?;
        Ok(RequestFrame { kind, request: Some(RequestId(u128::from_be_bytes(*id))), payload })
    }

    /// The reply in this frame, to a request of type `C`.
    ///
    /// # Errors
    /// When it is a reply to another command, or its payload is not valid.
    pub fn reply<C: Command>(&self) -> Result<Result<C::Outcome, Refusal>, Malformed> {
        if self.kind == REFUSAL {
            return wire::decode("refusal", self.body).map(Err);
        }
        if self.kind != C::KIND as u16 {
            return Err(Malformed::UnknownKind(self.kind));
        }
        wire::decode(C::KIND.word(), self.body).map(Ok)
    }
}

/// A request, borrowed from the bytes received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestFrame<'a> {
    /// Which command.
    pub kind: Kind,
    /// The request id, if the command changes something.
    pub request: Option<RequestId>,
    /// The command.
    pub payload: &'a [u8],
}

/// Appends a request. `request` is used only if the command changes something.
pub fn push_request<C: Command>(out: &mut Vec<u8>, correlation: u64, request: RequestId, command: &C) {
    push(out, C::KIND as u16, correlation, |out| {
        if C::KIND.mutates() {
            out.extend_from_slice(&request.0.to_be_bytes());
        }
        wire::encode(command, out);
    });
}

/// Sets the correlation number of a written frame.
///
/// # Panics
/// When `frame` is shorter than a header.
pub fn set_correlation(frame: &mut [u8], correlation: u64) {
    frame[CORRELATION_AT..HEADER_BYTES].copy_from_slice(&correlation.to_le_bytes());
}

/// Appends a frame of any kind with a value as payload.
pub fn push_value<T: Wire>(out: &mut Vec<u8>, kind: u16, correlation: u64, value: &T) {
    push(out, kind, correlation, |out| wire::encode(value, out));
}

/// Appends a frame of any kind with the given payload bytes.
pub fn push_bytes(out: &mut Vec<u8>, kind: u16, correlation: u64, payload: &[u8]) {
    push(out, kind, correlation, |out| out.extend_from_slice(payload));
}

fn push(out: &mut Vec<u8>, kind: u16, correlation: u64, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&correlation.to_le_bytes());
    body(out);
    let length = u32::try_from(out.len() - start - LENGTH_BYTES).expect("a frame is within its limit");
    out[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
}

/// Memory that a [`FrameBuffer`] keeps when it is nearly empty. After a large frame the rest is freed.
const KEPT_BYTES: usize = 512 << 10;

/// Reassembles frames from the pieces that a stream delivers. Holds at most one incomplete frame beyond the last piece.
#[derive(Debug, Default)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    taken: usize,
}

impl FrameBuffer {
    /// Appends a piece.
    pub fn extend(&mut self, piece: &[u8]) {
        if self.taken > 0 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
            if self.bytes.len() < KEPT_BYTES / 2 {
                self.bytes.shrink_to(KEPT_BYTES);
            }
        }
        self.bytes.extend_from_slice(piece);
    }

    /// The next complete frame.
    ///
    /// # Errors
    /// As [`Frame::split`].
    pub fn next(&mut self, limit: usize) -> Result<Option<Frame<'_>>, Malformed> {
        let Some((frame, length)) = Frame::split(&self.bytes[self.taken..], limit)? else { return Ok(None) };
        self.taken += length;
        Ok(Some(frame))
    }

    /// The next complete frame and its length, without consuming it; [`FrameBuffer::skip`] does that.
    ///
    /// # Errors
    /// As [`Frame::split`].
    pub fn peek(&self, limit: usize) -> Result<Option<(Frame<'_>, usize)>, Malformed> {
        Frame::split(&self.bytes[self.taken..], limit)
    }

    /// Consumes the frame of this length that [`FrameBuffer::peek`] returned.
    pub fn skip(&mut self, length: usize) {
        self.taken += length;
    }

    /// Marks the end of the stream.
    ///
    /// # Errors
    /// When the stream ends within a frame.
    pub fn end(&self) -> Result<(), Malformed> {
        match self.pending() {
            0 => Ok(()),
            have => Err(Malformed::Truncated { have: have as u64 }),
        }
    }

    /// How many bytes of an incomplete frame are held.
    pub fn pending(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// The length that the incomplete frame declares, once known.
    pub fn announced(&self) -> Option<usize> {
        self.bytes[self.taken..].first_chunk().map(|four| u32::from_le_bytes(*four) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{AnyCommand, Check, Redeem};
    use crate::ids::{ClientId, ClubId};

    const GOLDEN_REDEEM: &str = concat!(
        "5600000001000500000000000000",     // length, kind, correlation
        "01a0c4506c0073038303030303030303", // request id
        "53554d4d45522d323032362d41424344070000000000000000000000000000000200000090000000dcffffff00000000000000000000000000000000",
    );

    fn redeem() -> Redeem {
        Redeem::new(ClientId(7), ClubId(2), "SUMMER-2026-ABCD")
    }

    fn redeem_frame() -> Vec<u8> {
        let mut bytes = Vec::new();
        push_request(&mut bytes, 5, RequestId::from_parts(1_790_000_000_000, [3; 10]), &redeem());
        bytes
    }

    #[test]
    fn a_request_round_trips() {
        let bytes = redeem_frame();
        let (frame, length) = Frame::split(&bytes, REQUEST_BYTES_MAX).expect("well formed").expect("whole");
        assert_eq!((length, frame.correlation), (bytes.len(), 5));
        let request = frame.request().expect("a known kind");
        assert_eq!(request.request, Some(RequestId::from_parts(1_790_000_000_000, [3; 10])));
        assert_eq!(AnyCommand::decode(request.kind, request.payload), Ok(AnyCommand::Redeem(redeem())));
    }

    #[test]
    fn the_bytes_of_a_request_never_change() {
        let hex: String = redeem_frame().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, GOLDEN_REDEEM);
    }

    #[test]
    fn a_frame_cut_at_any_byte_is_not_whole_and_never_wrong() {
        let bytes = redeem_frame();
        for cut in 0..bytes.len() {
            assert_eq!(Frame::split(&bytes[..cut], REQUEST_BYTES_MAX), Ok(None), "cut at {cut}");
            let mut buffer = FrameBuffer::default();
            buffer.extend(&bytes[..cut]);
            assert_eq!(buffer.end().is_ok(), cut == 0);
            buffer.extend(&bytes[cut..]);
            let peeked = buffer.peek(REQUEST_BYTES_MAX).expect("well formed").map(|(frame, length)| (frame.correlation, length));
            assert_eq!((peeked, buffer.pending()), (Some((5, bytes.len())), bytes.len()), "it is not taken yet");
            assert!(buffer.next(REQUEST_BYTES_MAX).expect("well formed").is_some());
            assert_eq!(buffer.end(), Ok(()));
        }
    }

    #[test]
    fn a_payload_cut_or_changed_at_any_byte_is_refused_or_another_valid_one() {
        let bytes = redeem_frame();
        let payload = &bytes[HEADER_BYTES + REQUEST_ID_BYTES..];
        for cut in 0..payload.len() {
            let decoded = AnyCommand::decode(Kind::Redeem, &payload[..cut]);
            assert_ne!(decoded, Ok(AnyCommand::Redeem(redeem())), "cut at {cut}");
        }
        for at in 0..payload.len() {
            for bit in 0..8 {
                let mut changed = payload.to_vec();
                changed[at] ^= 1 << bit;
                let decoded = AnyCommand::decode(Kind::Redeem, &changed);
                assert_ne!(decoded, Ok(AnyCommand::Redeem(redeem())), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn lengths_out_of_bounds_are_named_from_four_bytes() {
        let long = u32::MAX.to_le_bytes();
        assert_eq!(Frame::split(&long, 100), Err(Malformed::TooLong { length: u32::MAX.into(), limit: 100 }));
        assert_eq!(Frame::split(&9u32.to_le_bytes(), 100), Err(Malformed::TooShort { length: 9 }));
        assert_eq!(Frame::split(&[0, 0, 0], 100), Ok(None));
    }

    #[test]
    fn a_request_that_changes_something_must_carry_its_id() {
        let mut bytes = Vec::new();
        push_bytes(&mut bytes, Kind::Redeem as u16, 1, &[0; REQUEST_ID_BYTES - 1]);
        let (frame, _) = Frame::split(&bytes, 100).expect("well formed").expect("whole");
        assert_eq!(frame.request(), Err(Malformed::TooShort { length: 25 }));
    }

    #[test]
    fn fifty_thousand_codes_of_the_greatest_length_fit_a_frame() {
        let command = crate::command::AddCodes {
            campaign: crate::ids::CampaignId(1),
            lines: vec!["x".repeat(crate::codes::CODE_BYTES_MAX); 50_000].into_iter().collect(),
            first_line: 1,
            on_conflict: crate::command::OnConflict::Skip,
        };
        let mut bytes = Vec::new();
        push_request(&mut bytes, 1, RequestId::now(), &command);
        assert!(bytes.len() <= REQUEST_BYTES_MAX, "{}", bytes.len());
        let check = Check::new(ClubId(0), vec!["x".repeat(64); crate::command::CHECK_CODES_MAX]);
        bytes.clear();
        push_request(&mut bytes, 1, RequestId::now(), &check);
        assert!(bytes.len() <= REQUEST_BYTES_MAX, "{}", bytes.len());
    }
}
