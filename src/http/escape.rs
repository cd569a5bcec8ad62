//! Escapes that end with a letter or a digit: what stands behind one begins a word all the same.

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
/// use harproxy::http::escape::ends;
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
