//! Digits in groups: telephone, account and card numbers, and what stands for them in the same groups.

use std::fmt;

use super::placeholder::NUMBER_BEGINS;

/// The longest IBAN has 34 characters, in groups of four.
pub(super) const LONGEST: usize = 42;

/// How digits are grouped: `0` for a digit, anything else for itself, as in `+00 (000) 0000000` and `DE00 0000 0000`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Grouping {
    text: [u8; LONGEST],
    len: u8,
}

impl Grouping {
    /// That of a number as it is written; of an IBAN its first two letters stand for themselves and all others for digits.
    /// `None` when it is too long, too short to be known again, or holds what nobody writes in numbers.
    #[must_use]
    pub fn of(written: &[u8], is_iban: bool) -> Option<Self> {
        let mut text = [0; LONGEST];
        for (at, &byte) in written.iter().enumerate() {
            *text.get_mut(at)? = match byte {
                b'0'..=b'9' => b'0',
                b'A'..=b'Z' if is_iban && at >= 2 => b'0',
                b'A'..=b'Z' if is_iban => byte,
                byte if is_separator(byte) => byte,
                _ => return None,
            };
        }
        // A first group that has room for the number is all of it.
        let first = text.iter().position(|&byte| byte == b'0')?;
        let group = text[first..].iter().take_while(|&&byte| byte == b'0').count();
        let len = if group > NUMBER_BEGINS.len() { first + group } else { written.len() };
        let digits = text[..len].iter().filter(|&&byte| byte == b'0').count();
        text[len..].fill(0);
        (digits > NUMBER_BEGINS.len()).then_some(Grouping { text, len: u8::try_from(len).ok()? })
    }

    /// As it is written, with `0` for each digit.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..usize::from(self.len)]).unwrap_or_default()
    }

    /// As letters that are safe wherever a placeholder is; [`Grouping::from_code`] reads them.
    #[must_use]
    pub fn code(&self) -> String {
        let letter =
            |c: char| SEPARATORS.iter().find(|(separator, _)| *separator == c).map_or(c, |(_, letter)| *letter);
        self.as_str().chars().map(letter).collect()
    }

    /// What [`Grouping::code`] wrote.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        let separator =
            |c: char| SEPARATORS.iter().find(|(_, letter)| *letter == c).map_or(c, |(separator, _)| *separator);
        let written: String = code.chars().map(separator).collect();
        Grouping::of(written.as_bytes(), written.starts_with(|c: char| c.is_ascii_uppercase()))
    }

    /// The digits that say that it is redacted and then the number, which makes it longer when it has no room.
    pub(super) fn write(self, number: u64) -> String {
        let template = self.as_str();
        let width = template.matches('0').count() - NUMBER_BEGINS.len();
        let digits = format!("{NUMBER_BEGINS}{number:0width$}");
        let mut digits = digits.chars();
        let mut written: String =
            template.chars().filter_map(|c| if c == '0' { digits.next() } else { Some(c) }).collect();
        written.extend(digits);
        written
    }
}

impl fmt::Debug for Grouping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What stands between the digits of a number, and the letters that say so in a code.
const SEPARATORS: [(char, char); 7] =
    [(' ', 's'), ('+', 'p'), ('-', 'h'), ('.', 'd'), ('/', 'l'), ('(', 'o'), (')', 'c')];

fn is_separator(byte: u8) -> bool {
    SEPARATORS.iter().any(|(separator, _)| *separator == char::from(byte))
}

/// The digits that a text begins with, at most two separators between them and not longer than this, and where they end.
/// `None` as soon as they are others than those of a placeholder.
pub(super) fn digits(text: &[u8], longest: usize) -> Option<(usize, String)> {
    let mut digits = String::new();
    let mut end = 0;
    for (at, &byte) in text.iter().enumerate().take(longest) {
        match byte {
            b'0'..=b'9' => {
                digits.push(char::from(byte));
                end = at + 1;
                let expected = NUMBER_BEGINS.as_bytes().get(digits.len() - 1);
                if expected.is_some_and(|&expected| expected != byte) {
                    return None;
                }
            }
            byte if is_separator(byte) && at < end + 2 => {}
            _ => break,
        }
    }
    let goes_on = text.get(end).is_some_and(u8::is_ascii_alphanumeric);
    (!goes_on).then_some((end, digits))
}
