//! Telephone, account and card numbers, and their placeholders, which keep the groups of digits.

use std::fmt;

/// The first digits of a placeholder for a number: `REDACTED` on the keys of a telephone. The number of the placeholder
/// follows.
pub(crate) const NUMBER_PREFIX: &str = "73322833";

/// The length of the longest number, bytes: an IBAN has up to 34 characters, in groups of four.
pub(crate) const MAX_LEN: usize = 42;

/// The template of a number: `0` in the place of each digit, such as `+00 (000) 0000000` and `DE00 0000 0000`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DigitGroups {
    text: [u8; MAX_LEN],
    len: u8,
}

impl DigitGroups {
    /// Returns the template of a number. The first two letters of an IBAN stay, its other letters count as digits.
    ///
    /// `None` if the number contains an unexpected character, is too long, or has too few digits for a placeholder.
    #[must_use]
    pub fn of(written: &[u8], is_iban: bool) -> Option<Self> {
        let mut text = [0; MAX_LEN];
        for (at, &byte) in written.iter().enumerate() {
            *text.get_mut(at)? = match byte {
                b'0'..=b'9' => b'0',
                b'A'..=b'Z' if is_iban && at >= 2 => b'0',
                b'A'..=b'Z' if is_iban => byte,
                byte if is_separator(byte) => byte,
                _ => return None,
            };
        }
        // If the first group has room for a placeholder, it is the whole template.
        let first = text.iter().position(|&byte| byte == b'0')?;
        let group = text[first..].iter().take_while(|&&byte| byte == b'0').count();
        let len = if group > NUMBER_PREFIX.len() { first + group } else { written.len() };
        let digits = text[..len].iter().filter(|&&byte| byte == b'0').count();
        text[len..].fill(0);
        (digits > NUMBER_PREFIX.len()).then_some(DigitGroups { text, len: u8::try_from(len).ok()? })
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..usize::from(self.len)]).unwrap_or_default()
    }

    /// Returns the template in letters and digits, which are safe in any context. [`DigitGroups::from_code`] parses it.
    #[must_use]
    pub fn code(&self) -> String {
        let letter =
            |c: char| SEPARATORS.iter().find(|(separator, _)| *separator == c).map_or(c, |(_, letter)| *letter);
        self.as_str().chars().map(letter).collect()
    }

    /// Parses the result of [`DigitGroups::code`].
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        let separator =
            |c: char| SEPARATORS.iter().find(|(_, letter)| *letter == c).map_or(c, |(separator, _)| *separator);
        let written: String = code.chars().map(separator).collect();
        DigitGroups::of(written.as_bytes(), written.starts_with(|c: char| c.is_ascii_uppercase()))
    }

    /// Writes the placeholder with this number. It is longer than the template if the number does not fit.
    pub(crate) fn write(self, number: u64) -> String {
        let template = self.as_str();
        let width = template.matches('0').count() - NUMBER_PREFIX.len();
        let digits = format!("{NUMBER_PREFIX}{number:0width$}");
        let mut digits = digits.chars();
        let mut written: String =
            template.chars().filter_map(|c| if c == '0' { digits.next() } else { Some(c) }).collect();
        written.extend(digits);
        written
    }
}

impl fmt::Debug for DigitGroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The separators in numbers, and their letters in a code.
const SEPARATORS: [(char, char); 7] =
    [(' ', 's'), ('+', 'p'), ('-', 'h'), ('.', 'd'), ('/', 'l'), ('(', 'o'), (')', 'c')];

fn is_separator(byte: u8) -> bool {
    SEPARATORS.iter().any(|(separator, _)| *separator == char::from(byte))
}

/// Reads the digits of a placeholder at the beginning of a text, with at most two separators between digits, and no
/// more than `longest` bytes. Returns their end and the digits; `None` if the first digits are not those of a
/// placeholder.
pub(crate) fn read_digits(text: &[u8], longest: usize) -> Option<(usize, String)> {
    let mut digits = String::new();
    let mut end = 0;
    for (at, &byte) in text.iter().enumerate().take(longest) {
        match byte {
            b'0'..=b'9' => {
                digits.push(char::from(byte));
                end = at + 1;
                let expected = NUMBER_PREFIX.as_bytes().get(digits.len() - 1);
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
