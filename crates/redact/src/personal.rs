//! What is personal and not secret: e-mail addresses, telephone numbers, IBANs and card numbers. Only looked for when asked
//! for, and found with care: a time, a price or an identifier is none of them.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::shapes::{Hit, begins_token, compiled};
use super::{Form, Grouping};

/// What they are called, in the order of [`Kinds`].
pub(super) const NAMES: [&str; 4] = ["email", "iban", "card", "phone"];

static LOOKS: LazyLock<[Regex; 4]> = LazyLock::new(|| {
    [
        compiled(
            r"[0-9A-Za-z](?:[0-9A-Za-z._%+-]*[0-9A-Za-z_])?@(?:[0-9A-Za-z](?:[0-9A-Za-z-]*[0-9A-Za-z])?\.)+[A-Za-z]{2,24}",
        ),
        compiled(r"[A-Z]{2}[0-9]{2}(?:[0-9A-Z]{11,30}|(?: [0-9A-Z]{4}){2,7}(?: [0-9A-Z]{1,3})?)"),
        compiled(r"[2-6][0-9]{3}(?:[0-9]{10,12}|(?: [0-9]{4}){3}|(?:-[0-9]{4}){3}|[ -][0-9]{6}[ -][0-9]{4,5})"),
        compiled(
            r"\+[1-9][0-9]{0,2}(?:[ ./-]?(?:\([0-9]{1,5}\)|[0-9]{1,5})){2,6}|(?:\([0-9]{3}\) ?|[0-9]{3}[.-])[0-9]{3}[.-][0-9]{4}|\+[1-9][0-9]{8,14}",
        ),
    ]
});

/// Which of them are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kinds([bool; NAMES.len()]);

impl Kinds {
    pub(super) fn all() -> Self {
        Kinds([true; NAMES.len()])
    }

    /// Takes one away; whether it was there.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let at = NAMES.iter().position(|known| *known == name);
        at.is_some_and(|at| std::mem::take(&mut self.0[at]))
    }

    /// Adds what a text has to `hits`.
    pub(super) fn find(self, text: &[u8], encoded: bool, hits: &mut Vec<Hit>) {
        for (at, name) in NAMES.into_iter().enumerate().filter(|(at, _)| self.0[*at]) {
            hits.extend(LOOKS[at].find_iter(text).filter_map(|found| {
                let range = found.range();
                let form = form(name, found.as_bytes(), encoded)?;
                let alone = begins(text, range.start) && ends(text, range.end);
                alone.then_some(Hit { range, name: name.into(), form })
            }));
        }
    }
}

/// The form of what looks like one, if it is one.
fn form(name: &str, found: &[u8], encoded: bool) -> Option<Form> {
    let digits: Vec<u8> = found.iter().filter(|byte| byte.is_ascii_digit()).map(|digit| digit - b'0').collect();
    let is = match name {
        "email" => return (!found.ends_with(b"@example.invalid")).then_some(Form::Email),
        "iban" => is_iban(found),
        "card" => is_card(&digits),
        _ => (9..=15).contains(&digits.len()),
    };
    let grouping = if encoded { Some(Form::Number) } else { Grouping::of(found, name == "iban").map(Form::Digits) };
    grouping.filter(|_| is)
}

fn begins(text: &[u8], at: usize) -> bool {
    begins_token(text, at) && (at == 0 || !matches!(text[at - 1], b'.' | b'-' | b'_' | b'+' | b'@' | b'/'))
}

fn ends(text: &[u8], at: usize) -> bool {
    match text.get(at..).unwrap_or_default() {
        [b'.' | b',' | b':', next, ..] => !next.is_ascii_alphanumeric(),
        [next, ..] => !(next.is_ascii_alphanumeric() || matches!(next, b'-' | b'_' | b'@' | b'%')),
        [] => true,
    }
}

/// ISO 13616: the number of the account, then country and check digits, is 1 modulo 97.
fn is_iban(found: &[u8]) -> bool {
    let letters: Vec<u8> = found.iter().copied().filter(u8::is_ascii_alphanumeric).collect();
    let (country, account) = letters.split_at(4.min(letters.len()));
    let rest = account.iter().chain(country).fold(0u32, |rest, &c| match c {
        b'0'..=b'9' => (rest * 10 + u32::from(c - b'0')) % 97,
        _ => (rest * 100 + u32::from(c - b'A') + 10) % 97,
    });
    (15..=34).contains(&letters.len()) && rest == 1
}

/// ISO/IEC 7812: the length of a known issuer, and Luhn's check digit.
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
