//! What a state begins with: the tables of a snapshot, which stay as they are and are read in place.
//!
//! Over each of them lies a table of what has changed since, and of what has come: a lookup asks the one, then the other. So a state with
//! a hundred million codes is there at once, and what nobody asks for is never read.
//!
//! [`Rows`] are the rows of one table in a file's bytes; [`Frozen`] is a hash index over such rows; the structs here are what stands in
//! them: fixed sizes, no gaps, the machine's order of bytes, which is little-endian.

mod base;
mod part;
mod read;
mod rows;
mod table;
mod write;

pub use base::{Base, CampaignBase, FrozenCodes, Homes, Places, Small, WindowBase};
pub use part::Part;
#[cfg(any(test, feature = "testing"))]
pub(crate) use rows::in_memory;
pub use rows::{Ground, Rows};
pub use table::{Frozen, HashKey};
pub(crate) use table::{freeze, leave_prevailing};
pub use write::{Sections, write_sections};

#[cfg(target_endian = "big")]
compile_error!("snapshots are read in place, and are little-endian");

use bytemuck::{Pod, Zeroable};

/// A client, with what a redemption changes.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct ClientRow {
    /// The id.
    pub id: u128,
    /// The bonus balance, in minor units.
    pub bonus: i64,
    /// The gaming balance.
    pub gaming: i64,
}

/// What is counted of a client in all time.
#[derive(Debug, Clone, Copy, PartialEq, Default, Pod, Zeroable)]
#[repr(C)]
pub struct CountsRow {
    /// What was spent, in minor units.
    pub spent: i64,
    /// How many sessions.
    pub sessions: u64,
}

/// A client's name.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct NameRow {
    /// The client.
    pub client: u128,
    /// Where the name begins among the names, in bytes.
    pub start: u64,
    /// How many bytes it has.
    pub bytes: u64,
}

/// A client who is in a group.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct MemberRow {
    /// The client.
    pub client: u128,
    /// The group.
    pub group: u64,
    /// Nothing: rows have a multiple of 16 bytes.
    pub zero: u64,
}

/// How often a client has activated codes of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct UsesRow {
    /// The client.
    pub client: u128,
    /// The campaign.
    pub campaign: u32,
    /// How often.
    pub uses: u32,
    /// Nothing: rows have a multiple of 16 bytes.
    pub zero: u64,
}

/// A request that is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct RequestRow {
    /// The id.
    pub id: u128,
    /// The hash of what was asked.
    pub body: u64,
    /// The number of the command's kind in the upper 16 bits, the highest of them set where the position of the record is there in place of the
    /// reply; in the others where that ends among the replies, in bytes.
    pub kind_and_end: u64,
}

/// The credential that a reader of the journal belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct ReaderOwnerRow {
    /// The reader's number, counted from 0 in the order of names.
    pub reader: u64,
    /// The credential.
    pub credential: u64,
}

/// A revoked credential whose open holds have not all expired yet.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct RevokedHolderRow {
    /// The credential.
    pub credential: u64,
    /// When it was revoked, in milliseconds since 1970.
    pub revoked_ms: u64,
}

/// The form in which codes are compared.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct FormRow {
    /// Its number.
    pub form: u8,
    /// The version of Unicode.
    pub unicode: [u8; 3],
    /// Nothing.
    pub zero: u32,
    /// Requests with ids of an earlier time may be remembered by the hash of their bytes.
    pub meant_from_ms: u64,
}

/// A range of times in which request ids were forgotten, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct ForgottenRow {
    /// The first time in it.
    pub from_ms: u64,
    /// The first time after it.
    pub to_ms: u64,
}

/// What was given back of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct GivenBackRow {
    /// Where the operation stands in the journal.
    pub position: u64,
    /// How much of it, in minor units.
    pub amount: i64,
}
