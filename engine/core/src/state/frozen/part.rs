//! The sections of a snapshot and their contents.

macro_rules! sections {
    ($($number:literal $name:ident $word:literal $row:literal;)*) => {
        /// The contents of a section. The numbers never change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Part {
            $(#[doc = concat!("`", $word, "`")] $name = $number,)*
        }

        impl Part {
            /// Every part, by number.
            pub const ALL: &[Part] = &[$(Part::$name),*];

            /// The part with this number.
            pub const fn from_number(number: u32) -> Option<Part> {
                match number {
                    $($number => Some(Part::$name),)*
                    _ => None,
                }
            }

            /// Its name in the output of commands.
            pub const fn word(self) -> &'static str {
                match self { $(Part::$name => $word,)* }
            }

            /// The size of a row, in bytes.
            pub const fn row_bytes(self) -> usize {
                match self { $(Part::$name => $row,)* }
            }
        }
    };
}

sections! {
     1 Small            "small"             1;
     2 CodeTexts        "code-texts"        1;
     3 CodeEnds         "code-ends"         4;
     4 CodeActivations  "code-activations"  4;
     5 CodeSlots        "code-slots"        8;
     6 Clients          "clients"          32;
     7 ClientCounts     "client-counts"    16;
     8 ClientSlots      "client-slots"      8;
     9 ClientNames      "client-names"     32;
    10 ClientNameTexts  "client-name-texts" 1;
    11 Members          "members"          32;
    12 Uses             "uses"             32;
    13 UsesSlots        "uses-slots"        8;
    14 Requests         "requests"         32;
    15 Replies          "replies"           1;
    16 RequestSlots     "request-slots"     8;
    17 Refunded         "refunded"          8;
    18 GivenBack        "given-back"       16;
    19 ReaderOwners     "reader-owners"    16;
    20 CodeForm         "code-form"        16;
    21 Forgotten        "forgotten"        16;
    22 RevokedHolders   "revoked-holders"  16;
}

impl Part {
    /// Whether files of a version lack the section, because it did not exist then. It counts as empty in these.
    pub const fn is_lacking(self, version: u32) -> bool {
        matches!(self, Part::ReaderOwners | Part::CodeForm | Part::Forgotten | Part::RevokedHolders) && version == 1
    }
}
