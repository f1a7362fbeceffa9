//! Codes as they are compared, and what is wrong with a text that cannot be one.

mod normalise;
mod normalised;

use std::fmt;

pub use normalise::{normalise, trim};
pub use normalised::NormalisedCode;

/// The most bytes that a code has after normalisation (UTF-8).
pub const CODE_BYTES_MAX: usize = 64;

/// Why a text cannot be a code. Positions count characters from 1, after surrounding white space is taken off.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    rkyv::Archive,
    rkyv::Serialize,
    rkyv::Deserialize,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum InvalidCode {
    /// Nothing is left after white space is taken off.
    Empty = 0,
    /// A control or other invisible character stands in it.
    ControlCharacter {
        /// Where.
        at: u32,
    } = 1,
    /// White space stands inside it.
    InnerWhiteSpace {
        /// Where.
        at: u32,
    } = 2,
    /// It is longer than [`CODE_BYTES_MAX`] after normalisation.
    TooLong {
        /// Its length in bytes of UTF-8.
        bytes: u32,
    } = 3,
}

impl fmt::Display for InvalidCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidCode::Empty => f.write_str("it is empty"),
            InvalidCode::ControlCharacter { at } => write!(f, "character {at} is a control or invisible character"),
            InvalidCode::InnerWhiteSpace { at } => write!(f, "character {at} is white space"),
            InvalidCode::TooLong { bytes } => write!(f, "it has {bytes} bytes, and {CODE_BYTES_MAX} is the most"),
        }
    }
}
