//! JSON strings as they are spelled in a text.

use std::borrow::Cow;

use serde_json::Value;

/// Returns the JSON string for a text, with no escape that is not needed.
///
/// ```
/// use harproxy_json::text::quote;
/// assert_eq!(quote("é\n"), r#""é\n""#);
/// ```
#[must_use]
pub fn quote(text: &str) -> String {
    if text.bytes().any(|byte| byte < b' ' || matches!(byte, b'"' | b'\\')) {
        return Value::from(text).to_string();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    quoted.push_str(text);
    quoted.push('"');
    quoted
}

/// Decodes a JSON string. Returns `None` for any other value, and for a lone surrogate, which is no character.
///
/// ```
/// use harproxy_json::text::unquote;
/// assert_eq!(unquote(r#""\u00e9""#).as_deref(), Some("é"));
/// assert_eq!(unquote(r#""\ud83d""#), None);
/// ```
#[must_use]
pub fn unquote(json: &str) -> Option<Cow<'_, str>> {
    let plain = json.strip_prefix('"')?.strip_suffix('"')?;
    if plain.contains('\\') { serde_json::from_str(json).ok().map(Cow::Owned) } else { Some(plain.into()) }
}

/// Decodes a JSON string like [`unquote`], with U+FFFD for lone surrogates.
#[must_use]
pub fn unquote_lossy(json: &str) -> Option<Cow<'_, str>> {
    unquote(json).or_else(|| serde_json::from_str(&replace_lone_surrogates(json)).ok().map(Cow::Owned))
}

/// Returns true if a JSON string spells `name`, which must be printable ASCII without quotes and backslashes.
#[must_use]
pub fn is_name(json: &str, name: &str) -> bool {
    let plain = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    plain == Some(name) || (json.contains('\\') && unquote(json).is_some_and(|found| found == name))
}

/// Replaces lone surrogate escapes (`\ud83d`) in a JSON text by U+FFFD, as JavaScript encodes them.
///
/// Strict parsers refuse such escapes, because a lone surrogate is no character.
///
/// ```
/// use harproxy_json::text::replace_lone_surrogates;
/// assert_eq!(replace_lone_surrogates(r#""\ud83d\ude00 \ud83d""#), r#""\ud83d\ude00 \ufffd""#);
/// ```
#[must_use]
pub fn replace_lone_surrogates(json: &str) -> Cow<'_, str> {
    replace_surrogates(json, |_| None)
}

/// Replaces the escapes of lone surrogates by the characters that `replacement` returns for their code units, and by
/// U+FFFD otherwise.
#[must_use]
pub fn replace_surrogates(json: &str, replacement: impl Fn(u16) -> Option<char>) -> Cow<'_, str> {
    if !json.contains("\\u") {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let escape = &rest[at..];
        let (lone, len) = match code_unit(escape) {
            Some(0xD800..=0xDBFF) if matches!(escape.get(6..).and_then(code_unit), Some(0xDC00..=0xDFFF)) => (None, 12),
            Some(unit @ 0xD800..=0xDFFF) => (Some(unit), 6),
            Some(_) => (None, 6),
            None => (None, 1 + escape[1..].chars().next().map_or(0, char::len_utf8)),
        };
        out.push_str(&rest[..at]);
        match lone {
            None => out.push_str(&escape[..len]),
            Some(unit) => match replacement(unit) {
                Some(character) => out.push(character),
                None => out.push_str("\\ufffd"),
            },
        }
        rest = &escape[len..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Returns the code unit of a `\u` escape at the start of `text` (RFC 8259 section 7).
fn code_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_decoded() {
        assert!(is_name(r#""_file""#, "_file") && is_name(r#""_\u0066ile""#, "_file"));
        assert!(!is_name(r#""file""#, "_file") && !is_name("_file", "_file"));
    }

    #[test]
    fn lossy_unquoting_decodes_every_valid_string() {
        assert_eq!(unquote_lossy(r#""a\ud83d\u0062""#).as_deref(), Some("a\u{fffd}b"));
        assert_eq!(unquote_lossy("1"), None);
    }
}
