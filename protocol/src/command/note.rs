//! Notes: who performs an operation of the ledger, with a comment and tags (B2, B4, B6).

use std::fmt;

use crate::command::NAME_BYTES_MAX;

/// The most bytes of a comment.
pub const COMMENT_BYTES_MAX: usize = 500;
/// The most tags of one operation or rule.
pub const TAGS_MAX: usize = 8;
/// The most bytes of a tag.
pub const TAG_BYTES_MAX: usize = 50;

/// Who performs an operation, and their comment. Every field may be empty.
#[wire_format(Default, serde::Deserialize)]
#[serde(default)]
pub struct Note {
    /// The name of the person, at most [`NAME_BYTES_MAX`] bytes; empty for the name of the credential (A28).
    pub by: String,
    /// A comment, at most [`COMMENT_BYTES_MAX`] bytes.
    pub comment: String,
    /// Tags, ascending and unique; at most [`TAGS_MAX`], of 1 to [`TAG_BYTES_MAX`] bytes without control characters (B6).
    pub tags: Vec<String>,
}

/// What is wrong with a note, in order of precedence.
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum InvalidNote {
    /// The person's name is too long.
    By = 0,
    /// The comment is too long.
    Comment = 1,
    /// There are too many tags, or one is empty, too long, or has a control character in it.
    Tags(InvalidTags) = 2,
}

/// What is wrong with tags.
#[wire_format(Copy)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum InvalidTags {
    /// There are more than [`TAGS_MAX`].
    TooMany = 0,
    /// This one, counted from 1, is empty, too long, or contains a control character.
    Tag(u32) = 1,
}

/// The length up to which a list of tags is read; a longer one is refused, even if it repeats a few tags.
pub(super) const TAGS_READ_MAX: usize = 16 * TAGS_MAX;

/// Tags in canonical form: ascending and unique.
///
/// # Errors
/// When they exceed a limit.
pub fn tags_in_order(tags: &[String]) -> Result<Vec<String>, InvalidTags> {
    if tags.len() > TAGS_READ_MAX {
        return Err(InvalidTags::TooMany);
    }
    let is_tag =
        |tag: &String| (1..=TAG_BYTES_MAX).contains(&tag.len()) && !tag.trim().is_empty() && !tag.contains(char::is_control);
    if let Some(at) = tags.iter().position(|tag| !is_tag(tag)) {
        return Err(InvalidTags::Tag(at as u32 + 1));
    }
    let mut tags = tags.to_vec();
    tags.sort_unstable();
    tags.dedup();
    if tags.len() > TAGS_MAX { Err(InvalidTags::TooMany) } else { Ok(tags) }
}

impl Note {
    /// The note in canonical form, its tags sorted.
    ///
    /// # Errors
    /// When it exceeds a limit.
    pub fn in_order(&self) -> Result<Note, InvalidNote> {
        if self.by.len() > NAME_BYTES_MAX {
            return Err(InvalidNote::By);
        }
        if self.comment.len() > COMMENT_BYTES_MAX {
            return Err(InvalidNote::Comment);
        }
        let tags = tags_in_order(&self.tags).map_err(InvalidNote::Tags)?;
        Ok(Note { by: self.by.clone(), comment: self.comment.clone(), tags })
    }
}

impl fmt::Display for InvalidTags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidTags::TooMany => write!(f, "at most {TAGS_MAX} tags are allowed"),
            InvalidTags::Tag(at) => write!(f, "tag {at}: a tag has 1 to {TAG_BYTES_MAX} bytes, and no control characters"),
        }
    }
}

impl fmt::Display for InvalidNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidNote::By => write!(f, "the person's name has at most {NAME_BYTES_MAX} bytes"),
            InvalidNote::Comment => write!(f, "a comment has at most {COMMENT_BYTES_MAX} bytes"),
            InvalidNote::Tags(why) => why.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// B6: tags have one order, and the first invalid one is named.
    #[test]
    fn tags_are_kept_in_order_and_each_once() {
        let tags = |tags: &[&str]| tags_in_order(&tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>());
        assert_eq!(tags(&["b", "a", "b"]), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(tags(&["b", ""]), Err(InvalidTags::Tag(2)));
        assert_eq!(tags(&[" "]), Err(InvalidTags::Tag(1)));
        assert_eq!(tags(&["a\nb"]), Err(InvalidTags::Tag(1)));
        assert_eq!(tags(&[&"é".repeat(26)]), Err(InvalidTags::Tag(1)));
        assert_eq!(tags(&["1", "2", "3", "4", "5", "6", "7", "8", "9"]), Err(InvalidTags::TooMany));
        assert_eq!(tags(&["a"; TAGS_READ_MAX]), Ok(vec!["a".to_owned()]));
        assert_eq!(tags(&[""; TAGS_READ_MAX + 1]), Err(InvalidTags::TooMany), "it is refused unread");
    }
}
