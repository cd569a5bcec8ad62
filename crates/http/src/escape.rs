//! Detects escapes in recorded text that end with a letter or digit, because a word may begin behind them. Escapes
//! control characters for terminals.

use std::borrow::Cow;

/// The length of the longest escape, bytes.
pub const LONGEST: usize = 6;

/// The length of the escape at the start of a text: `%2F` of a URL, `\n` or `\u0022` of a JSON string.
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

/// True if a text ends with an escape.
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

/// The start of a word of letters and digits that seems to begin at `start`. Skips the end of an escape: in `%2Fabc`
/// the word is `abc` and not `2Fabc`.
#[must_use]
pub fn behind(text: &[u8], start: usize) -> usize {
    let begins = start.checked_sub(1);
    begins.and_then(|begins| Some(begins + length(&text[begins..])?)).unwrap_or(start)
}

/// Escapes recorded text for a terminal: control characters except line ends and tabs, and bidirectional controls,
/// which could display another URL than the real one.
#[must_use]
pub fn harmless(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return text.into();
    }
    escape_chars(&text.replace("\r\n", "\n"), is_harmful).into()
}

/// Escapes recorded text for one line of a terminal, including line ends and tabs.
///
/// ```
/// assert_eq!(harproxy_http::escape::one_line("a\tb\r\n\u{1b}[31m"), r"a\tb\r\n\u{1b}[31m");
/// ```
#[must_use]
pub fn one_line(text: &str) -> Cow<'_, str> {
    let is_escaped = |c: char| is_harmful(c) || matches!(c, '\n' | '\t');
    if text.contains(is_escaped) { escape_chars(text, is_escaped).into() } else { text.into() }
}

fn escape_chars(text: &str, is_escaped: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_escaped(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

fn is_harmful(c: char) -> bool {
    let is_bidirectional = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    is_bidirectional || (c.is_control() && c != '\n' && c != '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmless_escapes_control_characters_and_bidirectional_controls() {
        assert_eq!(harmless("a\tb\r\n\u{1b}[31mc\u{7}"), "a\tb\n\\u{1b}[31mc\\u{7}");
        assert_eq!(harmless("https://a.test/\u{202e}gpj.exe"), "https://a.test/\\u{202e}gpj.exe");
        assert!(matches!(harmless("Grüße \u{5d0}\u{200f}"), Cow::Borrowed(_)));
    }
}
