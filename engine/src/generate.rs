//! Drawing codes to a pattern, from the operating system's generator (Z8).
//!
//! Lanes draw; what they have drawn is a part of the request that the engine thread decides, so that a replay needs no chance. A few
//! more are drawn than are wanted, because some may exist already.

use scrip_protocol::codes::CODE_BYTES_MAX;
use scrip_protocol::command::{
    ALPHABET, CodeTexts, GUESSES_PER_HIT_MIN, GenerateCodes, InvalidPattern, LINES_MAX, PATTERN_BYTES_MAX,
};

use crate::index::{normalise, trim};
use crate::state::{AskedGenerate, CodeList, Drawn};

/// What a sign of a pattern stands for.
enum Sign {
    /// Itself.
    Fixed(char),
    /// Any one of these.
    Any(Vec<char>),
}

/// Draws what a request asks for.
///
/// # Panics
/// When the operating system has no random numbers to give.
pub(crate) fn draw(asked: &GenerateCodes) -> AskedGenerate {
    let drawn = signs(asked).map(|signs| {
        let space = signs.iter().map(Sign::choices).fold(1_u128, u128::saturating_mul);
        // In a smaller space none is asked for: the engine thread refuses it.
        let is_possible =
            (1..=LINES_MAX as u32).contains(&asked.count) && space >= u128::from(asked.count) * u128::from(GUESSES_PER_HIT_MIN);
        let number = if is_possible { asked.count + asked.count / 8 + 16 } else { 0 };
        let mut chance = Chance::default();
        let codes: CodeTexts = (0..number).map(|_| signs.iter().map(|sign| sign.draw(&mut chance)).collect::<String>()).collect();
        Drawn { space, list: CodeList::prepare(&codes, 1, trim, normalise) }
    });
    AskedGenerate { campaign: asked.campaign, count: asked.count, drawn }
}

fn signs(asked: &GenerateCodes) -> Result<Vec<Sign>, InvalidPattern> {
    let alphabet = alphabet(if asked.alphabet.is_empty() { ALPHABET } else { &asked.alphabet })?;
    let pattern = asked.pattern.as_str();
    if pattern.is_empty() || pattern.len() > PATTERN_BYTES_MAX {
        return Err(InvalidPattern::Length);
    }
    let of_alphabet = |at: u32, is_meant: fn(&char) -> bool| {
        let meant: Vec<char> = alphabet.iter().copied().filter(is_meant).collect();
        if meant.is_empty() { Err(InvalidPattern::AlphabetLacks { at }) } else { Ok(Sign::Any(meant)) }
    };
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
    if signs.iter().all(|sign| matches!(sign, Sign::Fixed(_))) {
        return Err(InvalidPattern::NothingDrawn);
    }
    if signs.iter().map(Sign::bytes_max).sum::<usize>() > CODE_BYTES_MAX {
        return Err(InvalidPattern::CodeTooLong);
    }
    Ok(signs)
}

fn fixed(at: u32, c: char) -> Result<Sign, InvalidPattern> {
    folded(c).map(|_| Sign::Fixed(c)).ok_or(InvalidPattern::Sign { at })
}

fn alphabet(text: &str) -> Result<Vec<char>, InvalidPattern> {
    let mut seen = Vec::new();
    for (at, c) in (1..).zip(text.chars()) {
        let folded = folded(c).ok_or(InvalidPattern::AlphabetSign { at })?;
        if seen.contains(&folded) {
            return Err(InvalidPattern::AlphabetRepeats { at });
        }
        seen.push(folded);
    }
    Ok(text.chars().collect())
}

/// A sign as codes are compared by it; `None` for one that cannot stand in a code.
fn folded(c: char) -> Option<String> {
    Some(normalise(&c.to_string()).ok()?.as_str().to_owned())
}

impl Sign {
    fn choices(&self) -> u128 {
        match self {
            Sign::Fixed(_) => 1,
            Sign::Any(signs) => signs.len() as u128,
        }
    }

    /// How many bytes it has in a normalised code at the most.
    fn bytes_max(&self) -> usize {
        let bytes = |c: &char| folded(*c).map_or(0, |folded| folded.len());
        match self {
            Sign::Fixed(c) => bytes(c),
            Sign::Any(signs) => signs.iter().map(bytes).max().unwrap_or(0),
        }
    }

    fn draw(&self, chance: &mut Chance) -> char {
        match self {
            Sign::Fixed(c) => *c,
            Sign::Any(signs) => signs[chance.below(signs.len())],
        }
    }
}

/// Random numbers from the operating system, taken in blocks.
#[derive(Default)]
struct Chance {
    block: Vec<u8>,
}

impl Chance {
    /// A number below `end`, each as likely as the other: those that would favour the lower ones are drawn again.
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
