//! The words that select an export, both in a URL and on the command line.

use std::fmt;
use std::str::FromStr;

/// An unknown word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not one of: {expected}")]
pub struct UnknownWord {
    /// The word found.
    pub found: String,
    /// The words expected.
    pub expected: &'static str,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident: $expected:literal, $($(#[$variant_doc:meta])* $variant:ident $word:literal,)+) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)+
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $($name::$variant => $word,)+
                })
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;
            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($word => Ok($name::$variant),)+
                    _ => Err(UnknownWord { found: text.to_owned(), expected: $expected }),
                }
            }
        }
    };
}

words! {
    /// The format of a file. The word is also the extension of the file name.
    Format: "csv, xlsx, parquet",
    /// Text that every program can read.
    Csv "csv",
    /// A spreadsheet.
    Xlsx "xlsx",
    /// Typed columns, for analysis.
    Parquet "parquet",
}

words! {
    /// Codes by status (T5).
    Status: "all, active, archived",
    /// All codes.
    All "all",
    /// Codes that are not archived, neither individually nor with their campaign.
    Active "active",
    /// The other codes.
    Archived "archived",
}

words! {
    /// Codes by usage (T5).
    Usage: "all, used, unused",
    /// All codes.
    All "all",
    /// Codes with an activation that was not refunded.
    Used "used",
    /// The other codes.
    Unused "unused",
}

impl Format {
    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Csv => "text/csv; charset=utf-8; header=present",
            Format::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Format::Parquet => "application/vnd.apache.parquet",
        }
    }
}
