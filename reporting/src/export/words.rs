//! The words that an export is asked for with, in an address and on the command line alike.

use std::fmt;
use std::str::FromStr;

/// A word that is none of those that may stand there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is none of {expected}")]
pub struct UnknownWord {
    /// What stands there.
    pub found: String,
    /// What may.
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
    /// The format of a file. Its word is the ending of the file's name as well.
    Format: "csv, xlsx, parquet",
    /// Text that every program reads.
    Csv "csv",
    /// A spreadsheet.
    Xlsx "xlsx",
    /// Typed columns, for programs that analyse.
    Parquet "parquet",
}

words! {
    /// Codes by what they are (T5).
    Status: "all, active, archived",
    /// All.
    All "all",
    /// Those that are not archived, by themselves or with their campaign.
    Active "active",
    /// The others.
    Archived "archived",
}

words! {
    /// Codes by what was done with them (T5).
    Usage: "all, used, unused",
    /// All.
    All "all",
    /// Those that have an activation which was not refunded.
    Used "used",
    /// The others.
    Unused "unused",
}

impl Format {
    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Csv => "text/csv; charset=utf-8; header=present",
            Format::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Format::Parquet => "application/vnd.apache.parquet",
        }
    }
}
