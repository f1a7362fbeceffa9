//! How values become bytes: rkyv archives, little-endian, unaligned, with 32-bit relative pointers (features of the workspace's
//! `rkyv`), the root at the end. Bytes are checked before they are accessed.

use rkyv::Archive;
use rkyv::api::high::{HighDeserializer, HighSerializer, HighValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor;
use rkyv::ser::allocator::ArenaHandle;

use crate::malformed::Malformed;

/// A value that can be serialised. Implemented for everything that derives rkyv's three traits.
pub trait Wire:
    Sized
    + Archive<
        Archived: for<'a> CheckBytes<HighValidator<'a, rancor::Error>> + rkyv::Deserialize<Self, HighDeserializer<rancor::Error>>,
    > + for<'a, 'b> rkyv::Serialize<HighSerializer<&'a mut Vec<u8>, ArenaHandle<'b>, rancor::Error>>
{
}

impl<T> Wire for T where
    T: Archive<
            Archived: for<'a> CheckBytes<HighValidator<'a, rancor::Error>>
                          + rkyv::Deserialize<Self, HighDeserializer<rancor::Error>>,
        > + for<'a, 'b> rkyv::Serialize<HighSerializer<&'a mut Vec<u8>, ArenaHandle<'b>, rancor::Error>>
{
}

/// Appends a value's bytes.
///
/// # Panics
/// When the archive exceeds 2 GiB, which the limits on frames and records rule out.
pub fn encode<T: Wire>(value: &T, out: &mut Vec<u8>) {
    rkyv::api::high::to_bytes_in::<&mut Vec<u8>, rancor::Error>(value, out)
        .expect("a value within its limits has a form in bytes");
}

/// Accesses a value in its bytes, checked, without decoding it. `what` names it in the error.
///
/// # Errors
/// When the bytes are not an archive of such a value.
pub fn access<'a, T: Wire>(what: &'static str, bytes: &'a [u8]) -> Result<&'a T::Archived, Malformed> {
    rkyv::access::<T::Archived, rancor::Error>(bytes).map_err(|cause| Malformed::Payload { what, cause: cause.to_string() })
}

/// Checks and decodes a value. `what` names it in the error.
///
/// # Errors
/// When the bytes are not an archive of such a value.
pub fn decode<T: Wire>(what: &'static str, bytes: &[u8]) -> Result<T, Malformed> {
    let malformed = |cause: rancor::Error| Malformed::Payload { what, cause: cause.to_string() };
    rkyv::deserialize::<T, rancor::Error>(access::<T>(what, bytes)?).map_err(malformed)
}
