//! Draws codes from a pattern with the operating system's random generator (Z8).
//!
//! A task beside the lane draws. The drawn codes are part of the request that the engine thread decides, so that a replay needs
//! no randomness. It draws a few more than requested, because some may already exist.

use scrip_protocol::codes::{CODE_BYTES_MAX, CodeForm};
use scrip_protocol::command::{
    ALPHABET, ALPHABET_SIGNS_MAX, CodeTexts, GUESSES_PER_HIT_MIN, GenerateCodes, InvalidPattern, LINES_MAX, PATTERN_BYTES_MAX,
};

use crate::state::{CodeList, Drawn, GenerateRequest};

/// What a character of a pattern stands for.
enum Sign {
    /// Itself, with its normalised form.
    Fixed(char, String),
    /// Any of these, each with its normalised form.
    Any(Vec<(char, char)>),
}

/// A pattern to draw codes from.
struct Pattern {
    signs: Vec<Sign>,
    form: CodeForm,
}

/// Draws the codes of a request, in this form of codes. `existing` counts the existing codes for whose normalised text a
/// condition holds; its argument is the number of codes of the pattern.
///
/// # Panics
/// If the operating system has no random numbers.
pub fn draw(
    request: &GenerateCodes,
    form: CodeForm,
    existing: impl FnOnce(u128, &dyn Fn(&str) -> bool) -> u64,
) -> GenerateRequest {
    let drawn = Pattern::read(request, form).map(|pattern| {
        let space = pattern.signs.iter().map(Sign::choices).fold(1_u128, u128::saturating_mul);
        // Does not draw from a smaller space: the engine thread refuses the request.
        let is_possible = (1..=LINES_MAX as u32).contains(&request.count)
            && space >= u128::from(request.count) * u128::from(GUESSES_PER_HIT_MIN);
        let number = if is_possible { request.count + request.count / 8 + 16 } else { 0 };
        let mut chance = Chance::default();
        let draw = |_| pattern.signs.iter().map(|sign| sign.draw(&mut chance)).collect::<String>();
        let codes: CodeTexts = (0..number).map(draw).collect();
        let list = CodeList::prepare(&codes, 1, |text| form.trim(text), |text| form.normalise(text));
        Drawn { space, existing: if is_possible { existing(space, &|code| pattern.matches(code)) } else { 0 }, list }
    });
    GenerateRequest { campaign: request.campaign, count: request.count, drawn }
}

impl Pattern {
    fn read(request: &GenerateCodes, form: CodeForm) -> Result<Pattern, InvalidPattern> {
        let alphabet = alphabet(if request.alphabet.is_empty() { ALPHABET } else { &request.alphabet }, form)?;
        let pattern = request.pattern.as_str();
        if pattern.is_empty() || pattern.len() > PATTERN_BYTES_MAX {
            return Err(InvalidPattern::Length);
        }
        let of_alphabet = |at: u32, is_meant: fn(&char) -> bool| {
            let meant: Vec<(char, char)> = alphabet.iter().copied().filter(|(sign, _)| is_meant(sign)).collect();
            if meant.is_empty() { Err(InvalidPattern::AlphabetLacks { at }) } else { Ok(Sign::Any(meant)) }
        };
        let fixed = |at: u32, c: char| folded(c, form).map(|text| Sign::Fixed(c, text)).ok_or(InvalidPattern::Sign { at });
        let mut signs = Vec::new();
        let mut rest = (1..).zip(pattern.chars());
        while let Some((at, c)) = rest.next() {
            signs.push(match c {
                '*' => of_alphabet(at, |_| true)?,
                '#' => of_alphabet(at, |sign| sign.is_numeric())?,
                '@' => of_alphabet(at, |sign| sign.is_alphabetic())?,
                '\\' => {
                    let (at, c) = rest.next().ok_or(InvalidPattern::EscapeOpen { at })?;
                    fixed(at, c)?
                }
                c => fixed(at, c)?,
            });
        }
        if signs.iter().all(|sign| matches!(sign, Sign::Fixed(..))) {
            return Err(InvalidPattern::NothingDrawn);
        }
        if signs.iter().map(Sign::bytes_max).sum::<usize>() > CODE_BYTES_MAX {
            return Err(InvalidPattern::CodeTooLong);
        }
        Ok(Pattern { signs, form })
    }

    /// Whether a normalised code could have been drawn.
    fn matches(&self, code: &str) -> bool {
        debug_assert_eq!(self.form.normalise(code).map(|code| code.as_bytes().len()), Ok(code.len()));
        let mut rest = code;
        self.signs.iter().all(|sign| sign.take(&mut rest)) && rest.is_empty()
    }
}

/// The characters of an alphabet, each with its normalised form.
fn alphabet(text: &str, form: CodeForm) -> Result<Vec<(char, char)>, InvalidPattern> {
    // Checked first: the work below is quadratic in the length.
    if text.chars().nth(ALPHABET_SIGNS_MAX).is_some() {
        return Err(InvalidPattern::AlphabetLength);
    }
    let mut seen: Vec<(char, char)> = Vec::new();
    for (at, c) in (1..).zip(text.chars()) {
        // Refuses a character that normalises to several: two draws could be the same code.
        let text = folded(c, form).ok_or(InvalidPattern::AlphabetSign { at })?;
        let mut chars = text.chars();
        let (Some(only), None) = (chars.next(), chars.next()) else { return Err(InvalidPattern::AlphabetSign { at }) };
        if seen.iter().any(|(_, other)| *other == only) {
            return Err(InvalidPattern::AlphabetRepeats { at });
        }
        seen.push((c, only));
    }
    Ok(seen)
}

/// The normalised form of a character; `None` if it cannot be in a code, or changes the one before it.
fn folded(c: char, form: CodeForm) -> Option<String> {
    let code = form.normalise(&c.to_string()).ok()?;
    form.stands_alone(code.as_str()).then(|| code.as_str().to_owned())
}

impl Sign {
    fn choices(&self) -> u128 {
        match self {
            Sign::Fixed(..) => 1,
            Sign::Any(signs) => signs.len() as u128,
        }
    }

    /// The maximum length in a normalised code, in bytes.
    fn bytes_max(&self) -> usize {
        match self {
            Sign::Fixed(_, text) => text.len(),
            Sign::Any(signs) => signs.iter().map(|(_, folded)| folded.len_utf8()).max().unwrap_or(0),
        }
    }

    fn draw(&self, chance: &mut Chance) -> char {
        match self {
            Sign::Fixed(c, _) => *c,
            Sign::Any(signs) => signs[chance.below(signs.len())].0,
        }
    }

    /// Removes the character from the beginning of a normalised text, if it is there.
    fn take(&self, rest: &mut &str) -> bool {
        let after = match self {
            Sign::Fixed(_, text) => rest.strip_prefix(text.as_str()),
            Sign::Any(signs) => {
                rest.chars().next().filter(|c| signs.iter().any(|(_, sign)| sign == c)).map(|c| &rest[c.len_utf8()..])
            }
        };
        after.is_some_and(|after| {
            *rest = after;
            true
        })
    }
}

/// Random numbers from the operating system, taken in blocks.
#[derive(Default)]
struct Chance {
    block: Vec<u8>,
}

impl Chance {
    /// A uniformly distributed number below `end`: numbers that would favour the lower ones are drawn again.
    fn below(&mut self, end: usize) -> usize {
        let end = u32::try_from(end).expect("a pattern has fewer choices than 2^32");
        let fair = u32::MAX - u32::MAX % end;
        loop {
            let number = self.next();
            if number < fair {
                return (number % end) as usize;
            }
        }
    }

    fn next(&mut self) -> u32 {
        if self.block.is_empty() {
            self.block.resize(4096, 0);
            getrandom::fill(&mut self.block).expect("the operating system has a random generator");
        }
        let bytes = self.block.split_off(self.block.len() - 4);
        u32::from_le_bytes(bytes.try_into().expect("four bytes were split off"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scrip_protocol::CampaignId;
    use scrip_protocol::command::PATTERN;

    fn request(count: u32, pattern: &str, alphabet: &str) -> GenerateCodes {
        GenerateCodes { campaign: CampaignId(1), count, pattern: pattern.into(), alphabet: alphabet.into() }
    }

    fn drawn(count: u32, pattern: &str, alphabet: &str) -> Result<Drawn, InvalidPattern> {
        draw(&request(count, pattern, alphabet), CodeForm::CURRENT, |_, _| 0).drawn
    }

    /// Z8: prefix, suffix, placeholders and escapes; the space is the product of the choices.
    #[test]
    fn codes_match_their_pattern() {
        let of = drawn(500, r"VIP-\*##@*-x", "01234567ABCD").expect("a pattern");
        assert_eq!(of.space, 8 * 8 * 4 * 12);
        assert_eq!(of.list.codes().len(), 0, "nothing is drawn from so small a space: the request is refused");
        let of = drawn(50, r"VIP-\*##@*****-x", "01234567ABCD").expect("a pattern");
        assert_eq!(of.space, 8 * 8 * 4 * 12_u128.pow(5));
        assert_eq!(of.list.codes().len(), 50 + 50 / 8 + 16, "a few more are drawn than requested");
        for code in of.list.codes().iter() {
            let signs: Vec<char> = code.chars().collect();
            assert!(code.starts_with("VIP-*") && code.ends_with("-x") && signs.len() == 15, "{code}");
            assert!(signs[5..7].iter().all(char::is_ascii_digit) && "ABCD".contains(signs[7]), "{code}");
            assert!(signs[8..13].iter().all(|sign| "01234567ABCD".contains(*sign)), "{code}");
        }
    }

    /// Z8: the default alphabet has no ambiguous characters, and each is drawn about as often.
    #[test]
    fn the_alphabet_is_unambiguous_and_drawn_uniformly() {
        assert!("0O1IL".chars().all(|sign| !ALPHABET.contains(sign)));
        let of = drawn(20_000, PATTERN, "").expect("a pattern");
        assert_eq!(of.space, 31_u128.pow(16));
        assert!(of.list.codes().iter().all(|code| code.chars().count() == 16));
        let text = &of.list.codes().text;
        let expected = text.len() / ALPHABET.len();
        for sign in ALPHABET.chars() {
            let found = text.chars().filter(|other| *other == sign).count();
            // About 11,000 of each, with a standard deviation of about 100: fails once in 10^20 runs.
            assert!(found.abs_diff(expected) < 1_000, "{sign}: {found} of {expected}");
        }
        assert_eq!(text.chars().filter(|sign| !ALPHABET.contains(*sign)).count(), 0);
    }

    /// Z8: a code counts as guessable if the pattern could draw it, in any letter case.
    #[test]
    fn the_codes_that_a_pattern_could_draw_are_recognised() {
        let check = |pattern: &str, alphabet: &str, expected: &str| {
            let codes = ["vip-3ab", "vip-ab", "vip-3abc", "sun-3ab", "strasse-7", "жук-7"];
            let mut found = Vec::new();
            let matching = |_, matches: &dyn Fn(&str) -> bool| {
                found.extend(codes.iter().filter(|code| matches(code)).copied());
                found.len() as u64
            };
            let of = draw(&request(1, pattern, alphabet), CodeForm::CURRENT, matching).drawn.expect("a pattern");
            assert_eq!((found.join(" ").as_str(), of.existing), (expected, found.len() as u64), "{pattern}");
        };
        let wide: String = ('\u{4e00}'..).take(200).chain("3AB7".chars()).collect();
        check("VIP-***", &wide, "vip-3ab");
        check("***-***", &format!("{wide}viPsun"), "vip-3ab sun-3ab");
        check("Straße-*", &('\u{4e00}'..).take(255).chain(['7']).collect::<String>(), "");
        check("***-***********", "ЖУК7", "");
    }

    /// Z8: an unusable pattern or alphabet is reported with the position of the fault.
    #[test]
    fn invalid_patterns_and_alphabets_are_refused_with_the_position() {
        let check = |pattern: &str, alphabet: &str, expected| {
            assert_eq!(drawn(1, pattern, alphabet).err(), Some(expected), "{pattern:?} of {alphabet:?}");
        };
        check("", "", InvalidPattern::Length);
        check(&"*".repeat(PATTERN_BYTES_MAX + 1), "", InvalidPattern::Length);
        check(&"*".repeat(CODE_BYTES_MAX + 1), "", InvalidPattern::CodeTooLong);
        check(&"*".repeat(CODE_BYTES_MAX / 2 + 1), "ЖШ", InvalidPattern::CodeTooLong);
        check("SUMMER", "", InvalidPattern::NothingDrawn);
        check(r"SUMMER-\*", "", InvalidPattern::NothingDrawn);
        check(r"**\", "", InvalidPattern::EscapeOpen { at: 3 });
        check("** **", "", InvalidPattern::Sign { at: 3 });
        check("*\u{200b}", "", InvalidPattern::Sign { at: 2 });
        check("**#", "ABC", InvalidPattern::AlphabetLacks { at: 3 });
        check("*@", "123", InvalidPattern::AlphabetLacks { at: 2 });
        check("*", "AB C", InvalidPattern::AlphabetSign { at: 3 });
        // It normalises to `ss`, so that `ßs` and `sß` would be one code.
        check("**", "sß", InvalidPattern::AlphabetSign { at: 2 });
        // A combining mark merges with the character before it: two draws could be the same code.
        check("**", "e\u{301}é", InvalidPattern::AlphabetSign { at: 2 });
        check("*\u{301}", "", InvalidPattern::Sign { at: 2 });
        check("**", "ABa", InvalidPattern::AlphabetRepeats { at: 3 });
        let long: String = ('\u{4e00}'..).take(ALPHABET_SIGNS_MAX + 1).collect();
        check("*", &long, InvalidPattern::AlphabetLength);
        assert!(drawn(1, "*", &long['\u{4e00}'.len_utf8()..]).is_ok());
        assert!(drawn(1, &"*".repeat(CODE_BYTES_MAX), "").is_ok());
        assert_eq!(drawn(1, &"*".repeat(64), "").map(|drawn| drawn.space).ok(), Some(u128::MAX), "more than can be counted");
    }
}
