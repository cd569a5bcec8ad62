//! The distance between a request and an entry, as one number: the sum of what each difference adds. The nearest entry
//! of a miss is the one with the least distance.
//!
//! A changed client repeats most of a recorded request, and its changed values resemble the old ones. So each
//! difference adds a number by its kind, which is less if the two values resemble each other.

use std::borrow::Cow;

use harproxy_http::url::Parts;
use percent_encoding::percent_decode_str;

use super::excerpt::common_prefix;

/// A header that must be equal differs.
pub const HEADER: u32 = 8;
/// The request lacks the payload.
pub const MISSING_PAYLOAD: u32 = 8;
/// The entry has no payload.
pub const ADDED_PAYLOAD: u32 = 14;
/// The most that two payloads of one kind (JSON, a form, text) add.
pub const PAYLOAD: u32 = 12;
/// The most that two payloads of different kinds add.
pub const OTHER_PAYLOAD: u32 = 16;
/// The least that two payloads add.
pub const PAYLOAD_LEAST: u32 = 3;
/// A difference in spelling or order.
pub const SPELLING: u32 = 3;
/// The payload of the entry was not kept. It may be the same.
pub const UNKNOWN: u32 = 5;
pub const OPERATION: u32 = 4;
/// The paths share no segment.
pub const NOTHING_IN_COMMON: u32 = 12;
/// A parameter of the request alone.
pub const ADDED_PARAMETER: u32 = 10;
/// A parameter of the entry alone.
pub const MISSING_PARAMETER: u32 = 7;

#[must_use]
pub fn of_methods(a: &str, b: &str) -> u32 {
    match (a, b) {
        _ if a == b => 0,
        ("GET", "HEAD") | ("HEAD", "GET") => 6,
        // A preflight is no substitute for the request that follows it.
        ("OPTIONS", _) | (_, "OPTIONS") => 12,
        _ => 8,
    }
}

/// Returns the distance of two values of one parameter.
pub(super) fn of_values(a: &str, b: &str) -> u32 {
    scaled(a, b, 6, 9)
}

/// Returns the distance of two origins (`https://host:port`).
#[must_use]
pub fn of_origins(a: &str, b: &str) -> u32 {
    let (host, other) = (Parts::of(a).host(), Parts::of(b).host());
    match (a == b, host == other) {
        (true, _) => 0,
        // Only scheme or port differ.
        (false, true) => 8,
        (false, false) => scaled(host, other, 12, 24),
    }
}

/// Returns the distance of two different path segments.
pub(super) fn of_segments(a: &str, b: &str) -> u32 {
    if folded(a) == folded(b) {
        return SPELLING;
    }
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match (is_version(a) && is_version(b)) || (is_number(a) && is_number(b)) {
        true => scaled(a, b, 5, 10),
        false => scaled(a, b, 7, 18),
    }
}

/// Returns the distance that a segment adds which only one of two paths has.
pub(super) fn of_added_segment(segment: &str) -> u32 {
    match segment {
        "" => SPELLING,
        segment if is_version(segment) => 10,
        _ => 14,
    }
}

/// Returns a segment decoded and in lower case: clients differ in percent-encoding and case.
#[must_use]
pub fn folded(segment: &str) -> Cow<'_, str> {
    if !segment.contains('%') && !segment.bytes().any(|byte| byte.is_ascii_uppercase()) && segment.is_ascii() {
        return segment.into();
    }
    percent_decode_str(segment).decode_utf8_lossy().to_lowercase().into()
}

/// Returns true for API versions: `v1`, `v2.1`, `2024-01-01`.
fn is_version(segment: &str) -> bool {
    let rest = segment.strip_prefix(['v', 'V']).unwrap_or_default();
    let is_number =
        rest.starts_with(|c: char| c.is_ascii_digit()) && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
    let is_date = segment.len() == 10
        && segment
            .bytes()
            .enumerate()
            .all(|(n, byte)| if n == 4 || n == 7 { byte == b'-' } else { byte.is_ascii_digit() });
    is_number || is_date
}

/// Returns a distance from `least` for texts that are nearly equal to `most` for those with nothing in common.
fn scaled(a: &str, b: &str, least: u32, most: u32) -> u32 {
    most - (most - least) * similarity(a.as_bytes(), b.as_bytes()) / 100
}

/// Returns how much of two texts is a common beginning or end, in hundredths of the longer one.
#[must_use]
pub fn similarity(a: &[u8], b: &[u8]) -> u32 {
    let longest = a.len().max(b.len());
    if longest == 0 {
        return 100;
    }
    let before = common_prefix(a, b);
    let (a, b) = (&a[before..], &b[before..]);
    let after = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    u32::try_from((before + after) * 100 / longest).unwrap_or(100)
}

/// Returns the distance of two payloads of which `differing` of `of` parts differ.
pub(super) fn of_payloads(differing: u64, of: u64) -> u32 {
    let span = u64::from(PAYLOAD - PAYLOAD_LEAST);
    PAYLOAD_LEAST + u32::try_from(differing * span / of.max(1)).unwrap_or(u32::MAX).min(PAYLOAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_values_are_nearer() {
        assert_eq!(similarity(b"abc", b"abc"), 100);
        assert_eq!(similarity(b"abcd", b"abxd"), 75);
        assert_eq!(similarity(b"", b"x"), 0);
        assert!(of_methods("GET", "HEAD") < of_methods("GET", "POST"));
        assert!(of_methods("GET", "POST") < of_methods("POST", "OPTIONS"));
        assert!(of_segments("users", "user") < of_segments("users", "orders"));
        assert!(of_segments("Users", "users") < of_segments("user", "users"));
        assert!(of_segments("caf%C3%A9", "caf%c3%a9") == SPELLING);
        assert!(of_segments("7", "8") < of_segments("7", "new"));
        assert!(of_segments("v1", "v2") < of_segments("ab", "cd"));
        assert!(of_added_segment("v1") < of_added_segment("users") && of_added_segment("") < of_added_segment("v1"));
        assert!(of_origins("http://a.test", "https://a.test") < of_origins("https://a.test", "https://b.test"));
        assert!(of_origins("https://a.test:1", "https://a.test:2") < of_origins("https://a.example", "https://b.test"));
        assert_eq!(of_origins("https://[::1]", "https://[::1]"), 0);
    }

    #[test]
    fn versions_are_recognised() {
        for (segment, expected) in [
            ("v1", true),
            ("V2.1", true),
            ("v2beta1", true),
            ("2024-01-01", true),
            ("v", false),
            ("vip", false),
            ("2024", false),
        ] {
            assert_eq!(is_version(segment), expected, "{segment}");
        }
    }
}
