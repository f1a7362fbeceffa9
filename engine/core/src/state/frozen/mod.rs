//! The base of a state: the tables of a snapshot, which never change and are read in place.
//!
//! A table of changes and additions lies over each of them: a lookup searches that one first, then the base. So a state with a
//! hundred million codes is available at once, and rows that nobody needs are never read.
//!
//! [`Rows`](crate::rows::Rows) are the rows of one table in a file's bytes; [`FixedTable`](crate::slot_table::FixedTable) finds
//! such rows by a key; the structs here are their formats: fixed sizes, no padding, the machine's byte order, which is little-endian.

mod base;
mod part;
mod read;
mod write;

pub use base::{Base, CampaignBase, FrozenCodes, Homes, Places, Small, WindowBase};
pub use part::Part;
pub use write::{Sections, write_sections};

#[cfg(target_endian = "big")]
compile_error!("snapshots are read in place, and are little-endian");

use bytemuck::{Pod, Zeroable};

/// A client: the part that a redemption changes.
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

/// A client's all-time counters.
#[derive(Debug, Clone, Copy, PartialEq, Default, Pod, Zeroable)]
#[repr(C)]
pub struct CountsRow {
    /// The amount spent, in minor units.
    pub spent: i64,
    /// The number of sessions.
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
    /// The length of the name, in bytes.
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
    /// Padding: the size of a row is a multiple of 16 bytes.
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
    /// Padding: the size of a row is a multiple of 16 bytes.
    pub zero: u64,
}

/// A remembered request.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct RequestRow {
    /// The id.
    pub id: u128,
    /// The hash of the request's body.
    pub body: u64,
    /// The upper 16 bits have the number of the command's kind; the highest of them is set if the position of the record replaces
    /// the reply. The other bits have the end of the reply among the replies, in bytes.
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
    /// Padding.
    pub zero: u32,
    /// Requests with ids of an earlier time may be remembered by a hash of their bytes.
    pub meant_from_ms: u64,
}

/// A range of times whose request ids are forgotten, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct ForgottenRow {
    /// The first time in it.
    pub from_ms: u64,
    /// The first time after it.
    pub to_ms: u64,
}

/// The refunded amount of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct GivenBackRow {
    /// The position of the operation.
    pub position: u64,
    /// The refunded amount, in minor units.
    pub amount: i64,
}
