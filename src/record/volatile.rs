//! Volatile values (dates, ids, counters) that are ignored when a recording is compared with its predecessor.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::SystemTime;

use serde_json::Value;

use harproxy_http::volatile::is_volatile;
use harproxy_http::{Headers, MediaType};
use harproxy_json::{Digest, DigestRules, JsonPath, Node, PathError};
use harproxy_redact::placeholder;

/// `[volatile]`: what a project adds to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volatile {
    /// Names of response headers, lower case; beside the built-in ones.
    pub headers: Vec<String>,
    /// JSON paths (RFC 9535) into response payloads.
    pub json: Vec<String>,
}

/// [`Volatile`], ready to compare by.
#[derive(Clone, Debug, Default)]
pub(super) struct Quiet {
    headers: Vec<String>,
    json: Vec<JsonPath>,
}

/// Members that say when a token beside them ends or began (RFC 6749, OpenID Connect, and what services made of it).
const EXPIRY: [&str; 14] = [
    "created_at",
    "exp",
    "expiration",
    "expires",
    "expires_at",
    "expires_in",
    "expires_on",
    "expiry",
    "ext_expires_in",
    "iat",
    "issued_at",
    "nbf",
    "not_before",
    "refresh_expires_in",
];

/// Claims that are times (RFC 7519 section 4.1), wherever they stand in the open.
const CLAIMS: [&str; 3] = ["iat", "nbf", "exp"];

impl Quiet {
    /// # Errors
    /// A path that is none.
    pub(super) fn new(volatile: &Volatile) -> Result<Self, PathError> {
        Ok(Quiet {
            headers: volatile.headers.iter().map(|name| name.to_ascii_lowercase()).collect(),
            json: volatile.json.iter().map(|path| JsonPath::parse(path)).collect::<Result<_, _>>()?,
        })
    }

    /// Whether a response header, named in lower case, is never a change by itself.
    pub(super) fn is_header(&self, name: &str) -> bool {
        is_volatile(name) || self.headers.iter().any(|known| known == name)
    }

    /// Returns the projection of a header value. `date` is the time of the response.
    pub(super) fn value<'v>(&self, name: &str, value: &'v [u8], date: Option<SystemTime>) -> Cow<'v, [u8]> {
        if name == "set-cookie" { timeless(value, date) } else { placeholder::mask(value) }
    }

    /// The same in an answer to this method: the length of what HEAD does not send is all that is known of it.
    pub(super) fn is_header_of(&self, method: &str, name: &str) -> bool {
        self.is_header(name) && !(name == "content-length" && method == "HEAD")
    }

    /// Returns the digest of a JSON payload without its volatile members; `None` if the payload is not JSON.
    pub(super) fn payload(&self, mime_type: &str, payload: &[u8]) -> Option<Digest> {
        let text = MediaType::parse(mime_type).is_json().then(|| std::str::from_utf8(payload).ok())??;
        Node::digest_of(text, &self.members(text))
    }

    /// Parses a JSON payload without its volatile members; `None` if the text is not JSON.
    pub(super) fn tree<'t>(&self, text: &'t str) -> Option<Node<'t>> {
        Node::parse(text, &self.members(text))
    }

    /// Returns the JSON pointers of the volatile members of a payload.
    fn members(&self, text: &str) -> Members {
        let value = if self.json.is_empty() { None } else { serde_json::from_str::<Value>(text).ok() };
        let mut pointers = HashSet::new();
        for (value, path) in value.iter().flat_map(|value| self.json.iter().map(move |path| (value, path))) {
            pointers.extend(path.pointers(value));
        }
        Members { pointers }
    }
}

/// Returns the time in a response's `Date` header.
pub(super) fn date(headers: &Headers) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get_str("date")?).ok()
}

struct Members {
    pointers: HashSet<String>,
}

impl DigestRules for Members {
    fn scalar<'t>(&self, text: &'t str) -> Cow<'t, [u8]> {
        placeholder::mask(text.as_bytes())
    }

    fn ignores_value(&self, pointer: &str) -> bool {
        !self.pointers.is_empty() && self.pointers.contains(pointer)
    }

    fn ignores_member(&self, name: &str, text: &str, leaves: &[&str]) -> bool {
        let is_time = || text.parse::<u64>().is_ok_and(|seconds| (1_000_000_000..10_000_000_000).contains(&seconds));
        let of_a_token = || leaves.iter().any(|leaf| placeholder::occurs_in(leaf.as_bytes()));
        let is_leaf = !text.starts_with(['{', '[']);
        (CLAIMS.contains(&name) && is_time())
            || (is_leaf && EXPIRY.contains(&&*name.to_ascii_lowercase()) && of_a_token())
    }
}

/// Returns a `Set-Cookie` value without its expiry time.
/// The result still says whether the cookie has an expiry, and whether it expires at once, which deletes it.
fn timeless(value: &[u8], date: Option<SystemTime>) -> Cow<'_, [u8]> {
    let Ok(text) = std::str::from_utf8(value) else { return placeholder::mask(value) };
    let mut parts = text.split(';');
    let mut counted = placeholder::mask(parts.next().unwrap_or_default().as_bytes()).into_owned();
    let mut ends_at_once = None;
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            // Max-Age has precedence (RFC 6265 section 5.3).
            "max-age" => ends_at_once = Some(value.trim().parse::<i64>().is_ok_and(|seconds| seconds <= 0)),
            "expires" => {
                let at_once = is_past(value.trim(), date);
                ends_at_once.get_or_insert(at_once);
            }
            _ => {
                counted.push(b';');
                counted.extend_from_slice(part.trim().as_bytes());
            }
        }
    }
    counted.extend_from_slice(match ends_at_once {
        None => b"",
        Some(false) => b"; lasts",
        Some(true) => b"; ends",
    });
    Cow::Owned(counted)
}

/// Returns true if `expires` is not after `date`.
/// Without a `Date`, only years before 2000 are past: servers send them to delete a cookie.
fn is_past(expires: &str, date: Option<SystemTime>) -> bool {
    let parsed = cookie::Cookie::parse(format!("a=b; Expires={expires}")).ok();
    let Some(expires) = parsed.and_then(|cookie| cookie.expires_datetime()) else { return false };
    match date {
        Some(date) => SystemTime::from(expires) <= date,
        None => expires.year() < 2000,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn quiet(headers: &[&str], json: &[&str]) -> Quiet {
        let list = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        Quiet::new(&Volatile { headers: list(headers), json: list(json) }).unwrap()
    }

    #[test]
    fn headers_that_the_policy_names_are_volatile_too() {
        let quiet = quiet(&["X-Build"], &[]);
        assert!(quiet.is_header("x-build") && quiet.is_header("date") && !quiet.is_header("x-version"));
        assert!(Quiet::new(&Volatile { json: vec!["$[".into()], ..Volatile::default() }).is_err());
    }

    #[test]
    fn json_that_differs_in_volatile_members_only_is_equal() {
        let quiet = quiet(&[], &["$.generatedAt", "$..seen", "$.items[?@.kind == 'ad']"]);
        let sum = |text: &str| quiet.tree(text).unwrap().digest;
        let old = r#"{"generatedAt":1,"items":[{"seen":1,"n":1},{"kind":"ad","x":[1]}]}"#;
        for same in [
            r#"{"generatedAt":"2","items":[{"seen":{"a":[]},"n":1},{"kind":"ad","y":2}]}"#,
            r#"{"items": [{"n":1,"seen":null}, {"kind":"ad"}], "generatedAt": 9}"#,
        ] {
            assert_eq!(sum(old), sum(same), "{same}");
        }
        for other in [
            r#"{"generatedAt":1,"items":[{"seen":1,"n":2},{"kind":"ad","x":[1]}]}"#,
            r#"{"items":[{"seen":1,"n":1},{"kind":"ad","x":[1]}]}"#,
            r#"{"generatedAt":1,"items":[{"seen":1,"n":1}]}"#,
        ] {
            assert_ne!(sum(old), sum(other), "{other}");
        }
    }

    #[test]
    fn the_value_and_the_expiry_of_a_redacted_token_are_no_change() {
        let quiet = Quiet::default();
        let sum = |text: &str| quiet.tree(text).unwrap().digest;
        let token = r#"{"access_token":"REDACTED-access_token-1","expires_in":3600,"expires_at":"2026-11-20","n":1}"#;
        assert_eq!(sum(token), sum(&token.replace("3600", "3599").replace("11-20", "11-21").replace("n-1", "n-2")));
        assert_ne!(sum(token), sum(&token.replace("\"n\":1", "\"n\":2")));
        let coupon = r#"{"coupon":"X","expires_in":3600}"#;
        assert_ne!(sum(coupon), sum(&coupon.replace("3600", "3599")));
        let claims = r#"{"active":true,"iat":1795168800,"exp":1795172400}"#;
        assert_eq!(sum(claims), sum(&claims.replace("17951", "17961")));
        assert_ne!(sum(r#"{"exp":120}"#), sum(r#"{"exp":130}"#));
    }

    #[test]
    fn a_cookie_may_end_another_day_but_not_at_once() {
        let date = Some(UNIX_EPOCH + Duration::from_secs(1_795_168_800));
        let counts = |cookie: &str| Quiet::default().value("set-cookie", cookie.as_bytes(), date).into_owned();
        let old = "sid=REDACTED-sid-1; Path=/; Expires=Sat, 21 Nov 2026 10:00:00 GMT; Max-Age=86400; HttpOnly";
        for same in [
            "sid=REDACTED-sid-2; Path=/; Max-Age=3; Expires=Sun, 22 Nov 2026 10:00:00 GMT; HttpOnly",
            "sid=REDACTED-sid-1;Path=/;HttpOnly;Expires=Sun, 22-Nov-2026 10:00:00 GMT",
        ] {
            assert_eq!(counts(old), counts(same), "{same}");
        }
        for other in [
            "sid=other; Path=/; Max-Age=3; HttpOnly",
            "sid=REDACTED-sid-1; Path=/; Max-Age=0; HttpOnly",
            "sid=REDACTED-sid-1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly",
            "sid=REDACTED-sid-1; Path=/; HttpOnly",
            "sid=REDACTED-sid-1; Path=/x; Max-Age=3; HttpOnly",
            "tid=REDACTED-sid-1; Path=/; Max-Age=3; HttpOnly",
        ] {
            assert_ne!(counts(old), counts(other), "{other}");
        }
    }
}
