//! Volatile values: headers and JSON values that differ from one recording to the next although nothing changed.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::SystemTime;

use harproxy_http::volatile::is_volatile;
use harproxy_http::{Headers, MediaType};
use harproxy_json::{Digest, DigestRules, JsonPath, Node, PathError};
use harproxy_redact::placeholder;
use serde_json::Value;

/// The rules that decide which values of responses are volatile.
///
/// The built-in rules cover volatile headers, and the lifetimes of cookies and tokens. The default has no others.
#[derive(Clone, Debug, Default)]
pub struct VolatileRules {
    /// The built-in rules do not apply.
    lacks_builtin: bool,
    headers: Vec<String>,
    json: Vec<JsonPath>,
}

/// Members with the validity of a token in the same object (RFC 6749, OpenID Connect, and variants of other services).
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

/// JWT claims that are times (RFC 7519 section 4.1).
const CLAIMS: [&str; 3] = ["iat", "nbf", "exp"];

impl VolatileRules {
    /// Returns the built-in rules with more header names and JSON paths (RFC 9535).
    ///
    /// # Errors
    /// The first invalid path.
    pub fn new(headers: &[String], json: &[String]) -> Result<Self, PathError> {
        Ok(VolatileRules {
            lacks_builtin: false,
            headers: headers.iter().map(|name| name.to_ascii_lowercase()).collect(),
            json: json.iter().map(|path| JsonPath::parse(path)).collect::<Result<_, _>>()?,
        })
    }

    /// Returns rules by which only placeholders are volatile.
    #[must_use]
    pub fn none() -> Self {
        VolatileRules { lacks_builtin: true, ..VolatileRules::default() }
    }

    /// Returns true if a header is volatile in the response to this method. `name` is in lower case. The length of a
    /// response to HEAD is not volatile: it is all that is known of the payload.
    #[must_use]
    pub fn ignores_header(&self, method: &str, name: &str) -> bool {
        let is_ignored = !self.lacks_builtin && is_volatile(name) || self.headers.iter().any(|known| known == name);
        is_ignored && !(name == "content-length" && method == "HEAD")
    }

    /// Returns what counts of a header value. `date` is the time of the response.
    #[must_use]
    pub fn header_value<'v>(&self, name: &str, value: &'v [u8], date: Option<SystemTime>) -> Cow<'v, [u8]> {
        if !self.lacks_builtin && name == "set-cookie" {
            cookie_without_lifetime(value, date)
        } else {
            placeholder::mask(value)
        }
    }

    /// Returns the digest of what counts of a payload; `None` if its media type is not JSON, or it is not valid JSON.
    pub(super) fn payload_digest(&self, media_type: &str, payload: &[u8]) -> Option<Digest> {
        let text = MediaType::parse(media_type).is_json().then(|| std::str::from_utf8(payload).ok())??;
        Node::digest_of(text, &self.digest_rules(text))
    }

    /// Parses a JSON text. The digests of its nodes leave volatile values out. `None` if it is not JSON.
    #[must_use]
    pub fn parse<'t>(&self, text: &'t str) -> Option<Node<'t>> {
        Node::parse(text, &self.digest_rules(text))
    }

    /// Parses a JSON text into a value without what is volatile: placeholders become one character, volatile values
    /// null.
    #[must_use]
    pub fn value(&self, text: &str) -> Option<Value> {
        let mut value: Value = serde_json::from_str(text).ok()?;
        for pointer in self.json.iter().flat_map(|path| path.pointers(&value)).collect::<Vec<_>>() {
            if let Some(found) = value.pointer_mut(&pointer) {
                *found = Value::Null;
            }
        }
        self.project_value(&mut value);
        Some(value)
    }

    fn project_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(projected) = placeholder::mask(text.as_bytes()) {
                    *text = String::from_utf8_lossy(&projected).into_owned();
                }
            }
            Value::Number(number) => {
                if placeholder::occurs_in(number.to_string().as_bytes()) {
                    *value = Value::Null;
                }
            }
            Value::Array(elements) => elements.iter_mut().for_each(|element| self.project_value(element)),
            Value::Object(members) => {
                let scalars: Vec<String> = members
                    .values()
                    .filter(|value| !matches!(value, Value::Array(_) | Value::Object(_)))
                    .map(Value::to_string)
                    .collect();
                let scalars: Vec<&str> = scalars.iter().map(String::as_str).collect();
                for (name, value) in members {
                    match self.ignores_member(name, &value.to_string(), &scalars) {
                        true => *value = Value::Null,
                        false => self.project_value(value),
                    }
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// Returns true if a member is volatile by the built-in rules. `json` is its value and `siblings` are the scalars
    /// of its object, as spelled.
    fn ignores_member(&self, name: &str, json: &str, siblings: &[&str]) -> bool {
        let is_time = || json.parse::<u64>().is_ok_and(|seconds| (1_000_000_000..10_000_000_000).contains(&seconds));
        let has_token = || siblings.iter().any(|sibling| placeholder::occurs_in(sibling.as_bytes()));
        let is_scalar = !json.starts_with(['{', '[']);
        !self.lacks_builtin
            && ((CLAIMS.contains(&name) && is_time())
                || (is_scalar && EXPIRY.contains(&&*name.to_ascii_lowercase()) && has_token()))
    }

    fn digest_rules(&self, text: &str) -> VolatileMembers<'_> {
        let value = if self.json.is_empty() { None } else { serde_json::from_str::<Value>(text).ok() };
        let mut pointers = HashSet::new();
        if let Some(value) = &value {
            pointers.extend(self.json.iter().flat_map(|path| path.pointers(value)));
        }
        VolatileMembers { rules: self, pointers }
    }
}

/// Returns the time at which a response was made, by its `Date`.
#[must_use]
pub fn date(headers: &Headers) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get_str("date")?).ok()
}

/// The volatile values of one document.
struct VolatileMembers<'r> {
    rules: &'r VolatileRules,
    pointers: HashSet<String>,
}

impl DigestRules for VolatileMembers<'_> {
    fn scalar<'t>(&self, json: &'t str) -> Cow<'t, [u8]> {
        placeholder::mask(json.as_bytes())
    }

    fn ignores_value(&self, pointer: &str) -> bool {
        !self.pointers.is_empty() && self.pointers.contains(pointer)
    }

    fn ignores_member(&self, name: &str, json: &str, siblings: &[&str]) -> bool {
        self.rules.ignores_member(name, json, siblings)
    }
}

/// Removes the lifetime of a `Set-Cookie`. Whether the cookie is deleted (its lifetime is over at once) still counts.
fn cookie_without_lifetime(value: &[u8], date: Option<SystemTime>) -> Cow<'_, [u8]> {
    let Ok(text) = std::str::from_utf8(value) else { return placeholder::mask(value) };
    let mut parts = text.split(';');
    let mut projected = placeholder::mask(parts.next().unwrap_or_default().as_bytes()).into_owned();
    let mut is_deleted = None;
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            // Max-Age has precedence over Expires (RFC 6265 section 5.3).
            "max-age" => is_deleted = Some(value.trim().parse::<i64>().is_ok_and(|seconds| seconds <= 0)),
            "expires" => {
                is_deleted.get_or_insert(is_past(value.trim(), date));
            }
            _ => {
                projected.push(b';');
                projected.extend_from_slice(part.trim().as_bytes());
            }
        }
    }
    projected.extend_from_slice(match is_deleted {
        None => b"",
        Some(false) => b"; lasts",
        Some(true) => b"; ends",
    });
    Cow::Owned(projected)
}

/// Returns true if the time is before that of the response. Without a `Date` only dates before 2000 are past: servers
/// write those to delete a cookie.
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

    fn rules(headers: &[&str], json: &[&str]) -> VolatileRules {
        let list = |list: &[&str]| -> Vec<String> { list.iter().map(|&text| text.to_owned()).collect() };
        VolatileRules::new(&list(headers), &list(json)).unwrap()
    }

    #[test]
    fn named_headers_are_volatile_beside_the_builtin_ones() {
        let rules = rules(&["X-Build"], &[]);
        assert!(
            rules.ignores_header("GET", "x-build")
                && rules.ignores_header("GET", "date")
                && !rules.ignores_header("GET", "x-version")
        );
        assert!(!VolatileRules::none().ignores_header("GET", "date"));
        assert!(VolatileRules::new(&[], &["$[".to_owned()]).is_err());
    }

    #[test]
    fn json_that_differs_only_in_volatile_members_is_equal() {
        let rules = rules(&[], &["$.generatedAt", "$..seen", "$.items[?@.kind == 'ad']"]);
        let digest = |text: &str| rules.parse(text).unwrap().digest;
        let old = r#"{"generatedAt":1,"items":[{"seen":1,"n":1},{"kind":"ad","x":[1]}]}"#;
        for same in [
            r#"{"generatedAt":"2","items":[{"seen":{"a":[]},"n":1},{"kind":"ad","y":2}]}"#,
            r#"{"items": [{"n":1,"seen":null}, {"kind":"ad"}], "generatedAt": 9}"#,
        ] {
            assert_eq!(digest(old), digest(same), "{same}");
        }
        for other in [
            r#"{"generatedAt":1,"items":[{"seen":1,"n":2},{"kind":"ad","x":[1]}]}"#,
            r#"{"items":[{"seen":1,"n":1},{"kind":"ad","x":[1]}]}"#,
            r#"{"generatedAt":1,"items":[{"seen":1,"n":1}]}"#,
        ] {
            assert_ne!(digest(old), digest(other), "{other}");
        }
    }

    #[test]
    fn value_and_expiry_of_a_redacted_token_are_ignored() {
        let rules = VolatileRules::default();
        let digest = |text: &str| rules.parse(text).unwrap().digest;
        let token = r#"{"access_token":"REDACTED-access_token-1","expires_in":3600,"expires_at":"2026-11-20","n":1}"#;
        assert_eq!(
            digest(token),
            digest(&token.replace("3600", "3599").replace("11-20", "11-21").replace("n-1", "n-2"))
        );
        assert_ne!(digest(token), digest(&token.replace("\"n\":1", "\"n\":2")));
        let coupon = r#"{"coupon":"X","expires_in":3600}"#;
        assert_ne!(digest(coupon), digest(&coupon.replace("3600", "3599")));
        let claims = r#"{"active":true,"iat":1795168800,"exp":1795172400}"#;
        assert_eq!(digest(claims), digest(&claims.replace("17951", "17961")));
        assert_ne!(digest(r#"{"exp":120}"#), digest(r#"{"exp":130}"#));
    }

    #[test]
    fn lifetime_of_a_cookie_is_ignored_unless_it_deletes_the_cookie() {
        let date = Some(UNIX_EPOCH + Duration::from_secs(1_795_168_800));
        let counts =
            |cookie: &str| VolatileRules::default().header_value("set-cookie", cookie.as_bytes(), date).into_owned();
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
