//! How a list is read: the choice of a column, and whether it has a header.

/// The headers of a column of codes, in lower case and without separators.
const HEADERS: [&str; 4] = ["code", "codes", "promocode", "promocodes"];

/// How to read a list.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// The sheet with the codes, for a spreadsheet. By default the first visible sheet that is not empty.
    pub sheet: Option<String>,
    /// The column with the codes, for a spreadsheet: its letters or its header. By default the column with the header "code" or
    /// "promo code", or the only column.
    pub column: Option<String>,
    /// Whether the first line that is not blank is a header.
    pub header: Header,
    /// What errors call these options.
    pub names: OptionNames,
}

/// What errors call the options of a list, in the words of the interface that takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionNames {
    /// The sheet.
    pub sheet: &'static str,
    /// The column.
    pub column: &'static str,
}

impl OptionNames {
    /// The names of the fields.
    pub const DEFAULT: OptionNames = OptionNames { sheet: "sheet", column: "column" };
}

impl Default for OptionNames {
    fn default() -> OptionNames {
        OptionNames::DEFAULT
    }
}

/// Whether a list has a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Header {
    /// Decide by the first line: it is a header if it reads "code", "codes" or "promo code".
    #[default]
    Auto,
    /// There is a header.
    Yes,
    /// There is no header.
    No,
}

impl Header {
    /// Whether this first line of a list is a header.
    pub(super) fn is_meant_by(self, first: &str) -> bool {
        match self {
            Header::Auto => Header::is_word(first),
            Header::Yes => true,
            Header::No => false,
        }
    }

    /// Whether this is a header of codes.
    pub(super) fn is_word(text: &str) -> bool {
        let word: String = text.trim().chars().filter(|character| !matches!(character, ' ' | '-' | '_')).collect();
        HEADERS.contains(&word.to_lowercase().as_str())
    }
}
