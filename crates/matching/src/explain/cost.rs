//! How far an entry is from a request, as one number: what each difference adds. The nearest entry is the one with the least.
//!
//! A client that was changed asks much the same as before: one thing or two are others, and these are alike more often than not.
//! So every difference adds by its kind, and less where the two values resemble each other.

/// A header that must be equal is not.
pub(super) const HEADER: u32 = 8;
/// The request has no payload, and the entry has.
pub(super) const NO_PAYLOAD: u32 = 8;
/// The request has a payload, and the entry none.
pub(super) const MORE_PAYLOAD: u32 = 14;
/// Two payloads that have nothing in common but what they are: JSON, a form, text.
pub(super) const PAYLOAD: u32 = 12;
/// Two payloads that are not even that.
pub(super) const OTHER_PAYLOAD: u32 = 16;
/// Two payloads that differ at all.
pub(super) const PAYLOAD_LEAST: u32 = 3;
/// The same in another spelling, or another order.
pub(super) const SPELLING: u32 = 3;
/// The entry's payload was not kept: it may have been this one.
pub(super) const UNKNOWN: u32 = 5;
/// Another GraphQL operation.
pub(super) const OPERATION: u32 = 4;
/// No segment of one path is in the other.
pub(super) const NOTHING_IN_COMMON: u32 = 12;
/// A parameter that only the request has.
pub(super) const MORE_PARAMETER: u32 = 10;
/// A parameter that only the entry has.
pub(super) const NO_PARAMETER: u32 = 7;

/// Two methods. What asks about a resource is no stand-in for what does something with it.
pub(super) fn method(a: &str, b: &str) -> u32 {
    match (a, b) {
        _ if a == b => 0,
        ("GET", "HEAD") | ("HEAD", "GET") => 6,
        ("OPTIONS", _) | (_, "OPTIONS") => 12,
        _ => 8,
    }
}

/// Two parameters of one name with different values.
pub(super) fn value(a: &str, b: &str) -> u32 {
    scaled(a, b, 6, 9)
}

/// Two origins, `https://host:port` each.
pub(super) fn origin(a: &str, b: &str) -> u32 {
    let host = |origin: &str| {
        let authority = origin.split_once("://").map_or(origin, |(_, rest)| rest).to_owned();
        authority
            .rsplit_once(':')
            .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
            .map_or(authority.clone(), |(host, _)| host.to_owned())
    };
    if a == b {
        return 0;
    }
    let (a, b) = (host(a), host(b));
    // http for https, or another port.
    if a == b { 8 } else { scaled(&a, &b, 12, 24) }
}

/// Two segments of a path that differ.
pub(super) fn segment(a: &str, b: &str) -> u32 {
    if super::paths::folded(a) == super::paths::folded(b) {
        return SPELLING;
    }
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match (is_version(a) && is_version(b)) || (number(a) && number(b)) {
        true => scaled(a, b, 5, 10),
        false => scaled(a, b, 7, 18),
    }
}

/// A segment that only one of two paths has.
pub(super) fn moved(segment: &str) -> u32 {
    match segment {
        "" => SPELLING,
        segment if is_version(segment) => 10,
        _ => 14,
    }
}

/// `v1`, `v2.1`, `2024-01-01`: what stands for a version of an API.
fn is_version(segment: &str) -> bool {
    let rest = segment.strip_prefix(['v', 'V']).unwrap_or_default();
    let version =
        rest.starts_with(|c: char| c.is_ascii_digit()) && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
    let date = segment.len() == 10
        && segment
            .bytes()
            .enumerate()
            .all(|(n, byte)| if n == 4 || n == 7 { byte == b'-' } else { byte.is_ascii_digit() });
    version || date
}

/// From `least` for texts that are nearly equal to `most` for those with nothing in common.
pub(super) fn scaled(a: &str, b: &str, least: u32, most: u32) -> u32 {
    most - (most - least) * likeness(a.as_bytes(), b.as_bytes()) / 100
}

/// How much two texts begin and end alike, in hundredths of the longer one.
pub(super) fn likeness(a: &[u8], b: &[u8]) -> u32 {
    let longest = a.len().max(b.len());
    if longest == 0 {
        return 100;
    }
    let before = super::excerpt::common(a, b);
    let (a, b) = (&a[before..], &b[before..]);
    let after = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    u32::try_from((before + after) * 100 / longest).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_resembles_is_nearer() {
        assert_eq!(likeness(b"abc", b"abc"), 100);
        assert_eq!(likeness(b"abcd", b"abxd"), 75);
        assert_eq!(likeness(b"", b"x"), 0);
        assert!(method("GET", "HEAD") < method("GET", "POST") && method("GET", "POST") < method("POST", "OPTIONS"));
        assert!(segment("users", "user") < segment("users", "orders"));
        assert!(segment("Users", "users") < segment("user", "users"));
        assert!(segment("caf%C3%A9", "caf%c3%a9") == SPELLING);
        assert!(segment("7", "8") < segment("7", "new"));
        assert!(segment("v1", "v2") < segment("ab", "cd"));
        assert!(moved("v1") < moved("users") && moved("") < moved("v1"));
        assert!(origin("http://a.test", "https://a.test") < origin("https://a.test", "https://b.test"));
        assert!(origin("https://a.test:1", "https://a.test:2") < origin("https://a.example", "https://b.test"));
        assert_eq!(origin("https://[::1]", "https://[::1]"), 0);
    }

    #[test]
    fn versions() {
        for (segment, is) in [
            ("v1", true),
            ("V2.1", true),
            ("v2beta1", true),
            ("2024-01-01", true),
            ("v", false),
            ("vip", false),
            ("2024", false),
        ] {
            assert_eq!(is_version(segment), is, "{segment}");
        }
    }
}
