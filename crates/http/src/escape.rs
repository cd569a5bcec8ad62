//! Escapes: those that stand in what is recorded and end with a letter or a digit, so that what stands behind one begins a word
//! all the same; and those that make a text harmless to a terminal.

use std::borrow::Cow;

/// The longest, bytes.
pub const LONGEST: usize = 6;

/// How long the escape is that a text begins with: `%2F` of a URL, `\n` or `\u0022` of a JSON string.
#[must_use]
pub fn length(text: &[u8]) -> Option<usize> {
    let is_hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
    match text {
        [b'%', a, b, ..] if is_hex(&[*a, *b]) => Some(3),
        [b'\\', b'u', a, b, c, d, ..] if is_hex(&[*a, *b, *c, *d]) => Some(6),
        [b'\\', b'b' | b'f' | b'n' | b'r' | b't', ..] => Some(2),
        _ => None,
    }
}

/// Whether a text ends with one.
///
/// ```
/// use harproxy_http::escape::ends;
/// assert!(ends(b"next=%2F") && ends(br"token:\n") && ends(br"\u0026"));
/// assert!(!ends(b"2F") && !ends(b"%2F ") && !ends(b"n"));
/// ```
#[must_use]
pub fn ends(text: &[u8]) -> bool {
    [3, 2, LONGEST].into_iter().any(|len| {
        let start = text.len().checked_sub(len);
        start.is_some_and(|start| length(&text[start..]) == Some(len))
    })
}

/// Where a word begins that letters and digits lead up to from `start` on: behind the escape that these are the end of, if they are.
#[must_use]
pub fn behind(text: &[u8], start: usize) -> usize {
    let begins = start.checked_sub(1);
    begins.and_then(|begins| Some(begins + length(&text[begins..])?)).unwrap_or(start)
}

/// Text that was recorded, with nothing in it that a terminal obeys: control characters but line ends and tabs are spelled out,
/// and so is what makes text run the other way, which would show another URL than the one that is there.
#[must_use]
pub fn harmless(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.replace("\r\n", "\n").chars() {
        if is_harmful(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out.into()
}

/// The same on one line.
///
/// ```
/// assert_eq!(crate::escape::one_line("a\tb\r\n\u{1b}[31m"), r"a\tb\r\n\u{1b}[31m");
/// ```
#[must_use]
pub fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful) && !text.contains(['\n', '\t']) {
        return text.into();
    }
    let escaped = |c: char| is_harmful(c) || matches!(c, '\n' | '\t');
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if escaped(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out.into()
}

fn is_harmful(c: char) -> bool {
    let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (c.is_control() && c != '\n' && c != '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_recorded_can_neither_command_a_terminal_nor_turn_text_around() {
        assert_eq!(harmless("a\tb\r\n\u{1b}[31mc\u{7}"), "a\tb\n\\u{1b}[31mc\\u{7}");
        assert_eq!(harmless("https://a.test/\u{202e}gpj.exe"), "https://a.test/\\u{202e}gpj.exe");
        assert!(matches!(harmless("Grüße \u{5d0}\u{200f}"), Cow::Borrowed(_)));
    }
}
