//! Text within text: a JSON string, a part of a URL, a field of a form. It is looked at decoded, and what is taken out is
//! spliced into the text as it was written, so that nothing else of it changes by a byte.

use std::borrow::Cow;
use std::fmt::Write;
use std::ops::Range;

/// What goes where in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splice {
    /// The bytes that are taken out.
    pub range: Range<usize>,
    /// What stands there instead.
    pub with: String,
}

impl Splice {
    /// The same, in a text where this one begins at `at`.
    #[must_use]
    pub fn moved(self, at: usize) -> Splice {
        Splice { range: self.range.start + at..self.range.end + at, with: self.with }
    }
}

/// All of them, in a text where this one begins at `at`.
pub(super) fn moved(splices: Vec<Splice>, at: usize) -> impl Iterator<Item = Splice> {
    splices.into_iter().map(move |splice| splice.moved(at))
}

/// The text with the splices, which are in order and do not overlap; `None` when there are none.
pub(super) fn apply(text: &[u8], splices: &[Splice]) -> Option<Vec<u8>> {
    if splices.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(text.len());
    let mut kept = 0;
    for Splice { range, with } in splices {
        out.extend_from_slice(text.get(kept..range.start).unwrap_or_default());
        out.extend_from_slice(with.as_bytes());
        kept = range.end.max(kept);
    }
    out.extend_from_slice(text.get(kept..).unwrap_or_default());
    Some(out)
}

/// How a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// As the inside of a JSON string (RFC 8259 section 7).
    Json,
    /// Percent-encoded (RFC 3986 section 2.1).
    Percent,
    /// Percent-encoded, `+` for a space (URL Standard, application/x-www-form-urlencoded).
    Form,
}

/// A text decoded, and where each of its bytes came from.
#[derive(Debug)]
pub(super) struct View<'t> {
    pub(super) text: Cow<'t, [u8]>,
    coding: Coding,
    /// Where each decoded byte was written, and at last where the text ends; empty when it stands as it is.
    at: Vec<usize>,
}

impl<'t> View<'t> {
    pub(super) fn new(raw: &'t [u8], coding: Coding) -> Self {
        let plain = match coding {
            Coding::Json => memchr::memchr(b'\\', raw).is_none(),
            Coding::Percent => memchr::memchr(b'%', raw).is_none(),
            Coding::Form => memchr::memchr2(b'%', b'+', raw).is_none(),
        };
        if plain {
            return View { text: Cow::Borrowed(raw), coding, at: Vec::new() };
        }
        let mut view =
            View { text: Cow::Owned(Vec::with_capacity(raw.len())), coding, at: Vec::with_capacity(raw.len() + 1) };
        let mut at = 0;
        while at < raw.len() {
            let (bytes, len) = unit(&raw[at..], coding);
            view.text.to_mut().extend_from_slice(bytes.as_slice());
            view.at.resize(view.text.len(), at);
            at += len;
        }
        view.at.push(raw.len());
        view
    }

    /// Where this byte of the decoded text was written.
    pub(super) fn at(&self, decoded: usize) -> usize {
        self.at.get(decoded).copied().unwrap_or(decoded)
    }

    /// What is spliced into the decoded text, spliced into a text where this one is written from `base` on.
    pub(super) fn written(&self, splices: Vec<Splice>, base: usize) -> impl Iterator<Item = Splice> {
        splices.into_iter().map(move |Splice { range, with }| Splice {
            range: base + self.at(range.start)..base + self.at(range.end),
            with: encode(with, self.coding),
        })
    }
}

/// What one unit of a coded text stands for.
enum Unit {
    Byte([u8; 1]),
    Char([u8; 4], usize),
}

impl Unit {
    fn char(c: char) -> Self {
        let mut bytes = [0; 4];
        let len = c.encode_utf8(&mut bytes).len();
        Unit::Char(bytes, len)
    }

    fn as_slice(&self) -> &[u8] {
        match self {
            Unit::Byte(byte) => byte,
            Unit::Char(bytes, len) => &bytes[..*len],
        }
    }
}

/// The first unit of a text that is not empty, and its length as written. What is no escape stands for itself.
fn unit(raw: &[u8], coding: Coding) -> (Unit, usize) {
    let itself = (Unit::Byte([raw[0]]), 1);
    match (coding, raw[0]) {
        (Coding::Json, b'\\') => json_escape(raw).unwrap_or(itself),
        (Coding::Form, b'+') => (Unit::Byte(*b" "), 1),
        (Coding::Form | Coding::Percent, b'%') => {
            raw.get(1..3).and_then(hex).map_or(itself, |value| (Unit::Byte([value as u8]), 3))
        }
        _ => itself,
    }
}

fn json_escape(raw: &[u8]) -> Option<(Unit, usize)> {
    let byte = match *raw.get(1)? {
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => {
            let first = raw.get(2..6).and_then(hex)?;
            let second = raw.get(6..12).and_then(|next| next.strip_prefix(b"\\u")).and_then(hex);
            return Some(match (char::from_u32(first), second) {
                (Some(c), _) => (Unit::char(c), 6),
                (None, Some(second @ 0xdc00..=0xdfff)) if first < 0xdc00 => {
                    let c = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                    (Unit::char(char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER)), 12)
                }
                _ => (Unit::char(char::REPLACEMENT_CHARACTER), 6),
            });
        }
        other => other,
    };
    Some((Unit::Byte([byte]), 2))
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, &digit| Some(value * 16 + char::from(digit).to_digit(16)?))
}

/// What stands for a value, as it is written in a text of this coding. Almost all stand as they are in all of them.
fn encode(with: String, coding: Coding) -> String {
    let stands = |byte: u8| match coding {
        Coding::Json => !matches!(byte, b'"' | b'\\') && byte >= b' ',
        Coding::Percent | Coding::Form => byte.is_ascii_alphanumeric() || b"-_.~@".contains(&byte),
    };
    if with.bytes().all(stands) {
        return with;
    }
    let mut out = String::with_capacity(with.len() + 8);
    match coding {
        Coding::Json => with.chars().for_each(|c| match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }),
        Coding::Percent | Coding::Form => with.bytes().for_each(|byte| match byte {
            byte if stands(byte) => out.push(char::from(byte)),
            byte => drop(write!(out, "%{byte:02X}")),
        }),
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(raw: &str, coding: Coding) -> String {
        String::from_utf8(View::new(raw.as_bytes(), coding).text.into_owned()).unwrap()
    }

    fn replaced(raw: &str, coding: Coding, what: &str, with: &str) -> String {
        let view = View::new(raw.as_bytes(), coding);
        let start = memchr::memmem::find(&view.text, what.as_bytes()).unwrap();
        let splice = Splice { range: start..start + what.len(), with: with.to_owned() };
        let splices: Vec<_> = view.written(vec![splice], 0).collect();
        String::from_utf8(apply(raw.as_bytes(), &splices).unwrap()).unwrap()
    }

    #[test]
    fn texts_are_decoded() {
        assert_eq!(seen(r#"a\"\\\/\n\u00e9\ud83d\ude00"#, Coding::Json), "a\"\\/\n\u{e9}\u{1f600}");
        assert_eq!(seen(r"\ud83d\u0041\udc00\u00", Coding::Json), "\u{fffd}A\u{fffd}\\u00");
        assert_eq!(seen("a%20b+c%", Coding::Percent), "a b+c%");
        assert_eq!(seen("a%20b+c%zz%e2%82%ac", Coding::Form), "a b c%zz\u{20ac}");
    }

    #[test]
    fn what_is_around_a_splice_stays_as_it_was_written() {
        assert_eq!(replaced(r#"\u0061 \"key\" \/"#, Coding::Json, "key", "X"), r#"\u0061 \"X\" \/"#);
        assert_eq!(replaced(r#"{\"a\":true}"#, Coding::Json, "true", "\"X\""), r#"{\"a\":\"X\"}"#);
        assert_eq!(replaced("%61%20k%65y+%7e", Coding::Form, "key", "X y@z"), "%61%20X%20y@z+%7e");
        assert_eq!(replaced("key", Coding::Percent, "key", "X"), "X");
    }
}
