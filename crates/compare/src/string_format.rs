//! Formats of strings, such as UUIDs and dates, as JSON Schema names them.

use std::fmt;

/// The format of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StringFormat {
    /// RFC 9562.
    Uuid,
    /// RFC 3339.
    DateTime,
    /// The date of RFC 3339.
    Date,
    Email,
    /// An absolute URI (RFC 3986) with an authority.
    Uri,
    /// Decimal digits, with a sign or without.
    Integer,
    /// Decimal digits with a decimal point.
    Decimal,
}

impl StringFormat {
    /// Recognises the format of a string.
    ///
    /// ```
    /// use harproxy_compare::StringFormat;
    /// assert_eq!(StringFormat::of("2026-11-25T08:30:00Z"), Some(StringFormat::DateTime));
    /// assert_eq!(StringFormat::of("-17"), Some(StringFormat::Integer));
    /// assert_eq!(StringFormat::of("berlin"), None);
    /// ```
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_digits(digits) {
            return Some(StringFormat::Integer);
        }
        if digits.split_once('.').is_some_and(|(whole, fraction)| is_digits(whole) && is_digits(fraction)) {
            return Some(StringFormat::Decimal);
        }
        let bytes = text.as_bytes();
        if is_pattern(bytes, b"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx") {
            return Some(StringFormat::Uuid);
        }
        if let Some((_, time)) = bytes.split_at_checked(10).filter(|(date, _)| is_pattern(date, b"0000-00-00")) {
            return match time {
                [] => Some(StringFormat::Date),
                [b'T' | b't' | b' ', time @ ..] if is_time(time) => Some(StringFormat::DateTime),
                _ => None,
            };
        }
        if is_uri(text) {
            return Some(StringFormat::Uri);
        }
        is_email(text).then_some(StringFormat::Email)
    }

    /// Returns the format of two groups of strings together. A whole number is a decimal number, too.
    pub(super) fn common(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one?, other?) {
            (one, other) if one == other => Some(one),
            (StringFormat::Integer, StringFormat::Decimal) | (StringFormat::Decimal, StringFormat::Integer) => {
                Some(StringFormat::Decimal)
            }
            _ => None,
        }
    }

    /// Returns true if a closed set of strings can have this format. Ids and times repeat by chance.
    pub(super) fn can_be_enumerated(self) -> bool {
        matches!(self, StringFormat::Integer | StringFormat::Decimal)
    }
}

/// Writes the name of the format in JSON Schema, if it has one.
impl fmt::Display for StringFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            StringFormat::Uuid => "uuid",
            StringFormat::DateTime => "date-time",
            StringFormat::Date => "date",
            StringFormat::Email => "email",
            StringFormat::Uri => "uri",
            StringFormat::Integer => "integer",
            StringFormat::Decimal => "decimal",
        })
    }
}

/// Matches a pattern: `x` is a hexadecimal digit, `0` a decimal digit, anything else itself.
fn is_pattern(text: &[u8], pattern: &[u8]) -> bool {
    text.len() == pattern.len()
        && text.iter().zip(pattern).all(|(byte, pattern)| match pattern {
            b'x' => byte.is_ascii_hexdigit(),
            b'0' => byte.is_ascii_digit(),
            other => byte == other,
        })
}

/// `08:30`, `08:30:00.123`, with `Z` or an offset or without.
fn is_time(text: &[u8]) -> bool {
    let Some((minutes, rest)) = text.split_at_checked(5) else { return false };
    is_pattern(minutes, b"00:00") && rest.iter().all(|byte| byte.is_ascii_digit() || b":.,Zz+- ".contains(byte))
}

fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme && !rest.is_empty() && !rest.contains(char::is_whitespace)
}

fn is_email(text: &str) -> bool {
    let Some((name, host)) = text.split_once('@') else { return false };
    let is_plain = |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c == '@' || c == '/');
    is_plain(name) && is_plain(host) && host.trim_matches('.').contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_recognised() {
        for (text, format) in [
            ("1F0C9C2E-7B1F-4A36-9D0E-0B6F8F6F2A11", Some(StringFormat::Uuid)),
            ("2026-11-25", Some(StringFormat::Date)),
            ("2026-11-25 08:30", Some(StringFormat::DateTime)),
            ("2026-11-25T08:30:00.123+01:00", Some(StringFormat::DateTime)),
            ("a.b@example.com", Some(StringFormat::Email)),
            ("https://example.com/a", Some(StringFormat::Uri)),
            ("+4915112345", Some(StringFormat::Integer)),
            ("10.50", Some(StringFormat::Decimal)),
            ("", None),
            ("-", None),
            ("1.2.3", None),
            ("2026-11-25x", None),
            ("a@b", None),
            ("see https://example.com", None),
        ] {
            assert_eq!(StringFormat::of(text), format, "{text}");
        }
    }
}
