//! The known name that was probably meant: the one with the smallest edit distance, ignoring letter case (A16).

/// The name nearest to a word, if one is close enough: up to a third of its letters may differ.
pub(crate) fn nearest<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let word = lowercase(word);
    names
        .filter_map(|name| {
            let letters = lowercase(name);
            let apart_max = letters.len() / 3;
            // Words of such different lengths are never close, so long words cost nothing.
            let comparable = word.len().abs_diff(letters.len()) <= apart_max;
            comparable.then(|| apart(&word, &letters)).filter(|apart| *apart <= apart_max).map(|apart| (apart, name))
        })
        .min_by_key(|(apart, _)| *apart)
        .map(|(_, name)| name)
}

/// Names in a sentence: `a, b or c`.
pub(crate) fn one_of<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.collect();
    match names.split_last() {
        Some((last, first)) if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => names.concat(),
    }
}

fn lowercase(word: &str) -> Vec<char> {
    word.chars().flat_map(char::to_lowercase).collect()
}

/// How many letters must be inserted, deleted or changed to turn one word into the other (Levenshtein distance).
fn apart(one: &[char], other: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use scrip_protocol::{TopUpSource, Variable};

    use super::*;

    /// A16: names with a different letter case or a typo are recognised.
    #[test]
    fn a_name_that_is_near_is_found() {
        for (word, expected) in [
            ("topUpAmountMajor", Some("topupAmountMajor")),
            ("TOPUPAMOUNTMAJOR", Some("topupAmountMajor")),
            ("topupAmount", Some("topupAmountMajor")),
            ("topupSource", Some("topUpSource")),
            ("top_up_source", Some("topUpSource")),
            ("sessionCount", Some("sessionsCount")),
            ("totalSpent", Some("totalSpentMajor")),
            ("bonusBalance", Some("bonusBalanceMajor")),
            ("amount", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, Variable::ALL.iter().map(|variable| variable.word())), expected, "{word}");
        }
        let source = |word| nearest(word, TopUpSource::ALL.iter().map(|source| source.word()));
        assert_eq!(source("acquiring"), Some("ACQUIRING"));
        assert_eq!(source("PosTerminal"), Some("POS_TERMINAL"));
        assert_eq!(source("card"), None);
    }

    #[test]
    fn letters_apart_are_counted() {
        let count = |one, other| apart(&lowercase(one), &lowercase(other));
        for (one, other, expected) in [("", "", 0), ("a", "", 1), ("", "ab", 2), ("kitten", "sitting", 3), ("Flaw", "lawn", 2)] {
            assert_eq!((count(one, other), count(other, one)), (expected, expected), "{one} {other}");
        }
    }
}
