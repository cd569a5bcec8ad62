//! Personal data: e-mail addresses, telephone numbers, IBANs and card numbers. They are redacted only if the policy
//! enables it.
//!
//! Check digits, lengths and surroundings exclude times, prices and identifiers.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::{SecretMatch, can_begin_token, compile_regex};
use crate::replace::digit_groups::DigitGroups;
use crate::replace::placeholder::ValueFormat;

pub(super) const NAMES: [&str; 4] = ["email", "iban", "card", "phone"];

/// The patterns, in the order of [`NAMES`].
static PATTERNS: LazyLock<[Regex; 4]> = LazyLock::new(|| {
    [
        compile_regex(
            r"[0-9A-Za-z](?:[0-9A-Za-z._%+-]*[0-9A-Za-z_])?@(?:[0-9A-Za-z](?:[0-9A-Za-z-]*[0-9A-Za-z])?\.)+[A-Za-z]{2,24}",
        ),
        compile_regex(r"[A-Z]{2}[0-9]{2}(?:[0-9A-Z]{11,30}|(?: [0-9A-Z]{4}){2,7}(?: [0-9A-Z]{1,3})?)"),
        compile_regex(r"[2-6][0-9]{3}(?:[0-9]{10,12}|(?: [0-9]{4}){3}|(?:-[0-9]{4}){3}|[ -][0-9]{6}[ -][0-9]{4,5})"),
        compile_regex(
            r"\+[1-9][0-9]{0,2}(?:[ ./-]?(?:\([0-9]{1,5}\)|[0-9]{1,5})){2,6}|(?:\([0-9]{3}\) ?|[0-9]{3}[.-])[0-9]{3}[.-][0-9]{4}|\+[1-9][0-9]{8,14}",
        ),
    ]
});

/// Adds the personal data of one shape in a text to `matches`. `encoded`: the text was percent-encoded.
pub(super) fn find(name: &'static str, text: &[u8], encoded: bool, matches: &mut Vec<SecretMatch>) {
    let patterns = NAMES.iter().zip(PATTERNS.iter()).filter(|(known, _)| **known == name);
    matches.extend(patterns.flat_map(|(_, pattern)| pattern.find_iter(text)).filter_map(|found| {
        let range = found.range();
        let format = format_of(name, found.as_bytes(), encoded)?;
        let is_alone = can_begin(text, range.start) && can_end(text, range.end);
        is_alone.then_some(SecretMatch { from: range.start, range, name: name.into(), format })
    }));
}

/// Returns the format of a value that matches a pattern, if its check digits and length are right. In percent-encoded
/// text, a number keeps no separators.
fn format_of(name: &str, found: &[u8], encoded: bool) -> Option<ValueFormat> {
    let digits: Vec<u8> = found.iter().filter(|byte| byte.is_ascii_digit()).map(|digit| digit - b'0').collect();
    let is_valid = match name {
        "email" => return (!found.ends_with(b"@example.invalid")).then_some(ValueFormat::Email),
        "iban" => is_iban(found),
        "card" => is_card(&digits),
        _ => (9..=15).contains(&digits.len()),
    };
    let digits = || DigitGroups::of(found, name == "iban").map(ValueFormat::Digits);
    let format = if encoded { Some(ValueFormat::Number) } else { digits() };
    format.filter(|_| is_valid)
}

fn can_begin(text: &[u8], at: usize) -> bool {
    can_begin_token(text, at) && (at == 0 || !matches!(text[at - 1], b'.' | b'-' | b'_' | b'+' | b'@' | b'/'))
}

fn can_end(text: &[u8], at: usize) -> bool {
    match text.get(at..).unwrap_or_default() {
        [b'.' | b',' | b':', next, ..] => !next.is_ascii_alphanumeric(),
        [next, ..] => !(next.is_ascii_alphanumeric() || matches!(next, b'-' | b'_' | b'@' | b'%')),
        [] => true,
    }
}

/// Checks an IBAN (ISO 13616): the account number, then country and check digits, is 1 modulo 97.
fn is_iban(found: &[u8]) -> bool {
    let letters: Vec<u8> = found.iter().copied().filter(u8::is_ascii_alphanumeric).collect();
    let (country, account) = letters.split_at(4.min(letters.len()));
    let rest = account.iter().chain(country).fold(0u32, |rest, &c| match c {
        b'0'..=b'9' => (rest * 10 + u32::from(c - b'0')) % 97,
        _ => (rest * 100 + u32::from(c - b'A') + 10) % 97,
    });
    (15..=34).contains(&letters.len()) && rest == 1
}

/// Checks a card number (ISO/IEC 7812): length and first digits of an issuer, and the check digit of Luhn's algorithm.
fn is_card(digits: &[u8]) -> bool {
    let first = |n: usize| digits[..n].iter().fold(0u32, |value, &digit| value * 10 + u32::from(digit));
    let issued = match digits.len() {
        14 => matches!(first(3), 300..=305 | 360..=369 | 380..=389),
        15 => matches!(first(2), 34 | 37),
        16 => {
            matches!(first(4), 2221..=2720 | 3528..=3589 | 4000..=4999 | 5100..=5599 | 6011 | 6200..=6299 | 6440..=6599)
        }
        _ => false,
    };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, &digit)| {
            let doubled = u32::from(digit) << (at % 2);
            doubled / 10 + doubled % 10
        })
        .sum();
    issued && sum.is_multiple_of(10)
}
