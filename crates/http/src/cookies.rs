//! Parses `Cookie` and `Set-Cookie` headers, derives the `cookies` arrays of HAR 1.2, and rewrites attributes of
//! `Set-Cookie`.

use serde_json::{Map, Value};
use time::format_description::well_known::Rfc3339;

use super::Headers;
use super::headers::to_chars;

/// The pairs of a `Cookie` header (RFC 6265 section 4.2.1): name and value. The name is `None` for a pair without `=`.
///
/// ```
/// use harproxy_http::cookies::optional_pairs as pairs;
/// assert_eq!(pairs(b"a=1; b").collect::<Vec<_>>(), [(Some(&b"a"[..]), &b"1"[..]), (None, b"b")]);
/// ```
pub fn optional_pairs(header: &[u8]) -> impl Iterator<Item = (Option<&[u8]>, &[u8])> {
    let mut rest = header;
    let pairs = std::iter::from_fn(move || {
        let pair = Some(first_pair(rest)).filter(|_| !rest.is_empty())?;
        rest = rest.get(pair.len() + 1..).unwrap_or_default();
        Some(pair.trim_ascii())
    });
    pairs.filter(|pair| !pair.is_empty()).map(|pair| match memchr::memchr(b'=', pair) {
        Some(equals) => (Some(&pair[..equals]), &pair[equals + 1..]),
        None => (None, pair),
    })
}

/// Returns the text of a `Cookie` or `Set-Cookie` header up to the `;` behind its first pair. A quoted value may
/// contain a `;`, as Java and Python write it (RFC 2109 section 4.1).
///
/// ```
/// use harproxy_http::cookies::first_pair;
/// assert_eq!(first_pair(b"a=\"x; y\"; b=2"), b"a=\"x; y\"");
/// assert_eq!(first_pair(b"a=\"x; b=2"), b"a=\"x");
/// ```
#[must_use]
pub fn first_pair(header: &[u8]) -> &[u8] {
    let Some(end) = memchr::memchr(b';', header) else { return header };
    let quoted =
        header[..end].split(|byte| *byte == b'=').nth(1).filter(|value| value.trim_ascii_start().starts_with(b"\""));
    let Some(open) = quoted.and_then(|_| memchr::memchr(b'"', header)) else { return &header[..end] };
    // The text between the quote and the next `;` is empty if the quote closes the value.
    let close = memchr::memchr(b'"', &header[open + 1..]).map_or(0, |close| open + 1 + close);
    let rest = &header[close + 1..];
    let next = memchr::memchr(b';', rest).unwrap_or(rest.len());
    if close < end || !rest[..next].trim_ascii().is_empty() { &header[..end] } else { &header[..close + 1 + next] }
}

/// `request.cookies`: the pairs of all `Cookie` headers in order.
///
/// ```
/// use harproxy_http::{Headers, cookies};
/// let mut headers = Headers::default();
/// headers.push("cookie", "a=1; b=x=y");
/// assert_eq!(cookies::request_cookies(&headers)[1]["value"], "x=y");
/// ```
#[must_use]
pub fn request_cookies(headers: &Headers) -> Vec<Value> {
    headers
        .get_all("cookie")
        .flat_map(optional_pairs)
        .map(|(name, value)| name.map_or((value, &b""[..]), |name| (name, value)))
        .map(|(name, value)| Value::Object(name_and_value(&to_chars(name), &to_chars(value))))
        .collect()
}

/// Returns the pairs of a `Cookie` header. A cookie without `=` is a value without a name (RFC 6265bis section 5.6).
///
/// ```
/// use harproxy_http::cookies::pairs;
/// let found: Vec<_> = pairs(b"a=1; b=x=y; c").collect();
/// assert_eq!(found, [(&b"a"[..], &b"1"[..]), (b"b", b"x=y"), (b"", b"c")]);
/// ```
pub fn pairs(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    optional_pairs(header).map(|(name, value)| (name.unwrap_or_default(), value))
}

/// `response.cookies`: one per `Set-Cookie` header, with `path`, `domain`, `expires`, `httpOnly`, `secure` (HAR 1.2)
/// and `sameSite` (as browsers write it).
#[must_use]
pub fn response_cookies(headers: &Headers) -> Vec<Value> {
    headers.get_all("set-cookie").map(to_chars).filter_map(|header| set_cookie(&header)).collect()
}

/// The change of an attribute of a `Set-Cookie`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeChange {
    Keep,
    Remove,
    Replace(String),
}

/// Rewrites the attributes of a `Set-Cookie` value. `change` gets lower-case names and values. `None` if nothing
/// changed.
///
/// ```
/// use harproxy_http::cookies::{AttributeChange, change_attributes};
/// let moved = change_attributes("a=1; Domain=a.test; Path=/", |name, _| match name {
///     "domain" => AttributeChange::Remove,
///     "path" => AttributeChange::Replace("/api".to_owned()),
///     _ => AttributeChange::Keep,
/// });
/// assert_eq!(moved.as_deref(), Some("a=1; Path=/api"));
/// ```
#[must_use]
pub fn change_attributes(cookie: &str, mut change: impl FnMut(&str, &str) -> AttributeChange) -> Option<String> {
    let mut changed = false;
    let mut pieces = cookie.split(';');
    let mut moved = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let attribute =
            piece.split_once('=').map(|(name, value)| (name, change(&name.trim().to_ascii_lowercase(), value)));
        changed |= attribute.as_ref().is_some_and(|(_, change)| *change != AttributeChange::Keep);
        match attribute {
            Some((_, AttributeChange::Remove)) => {}
            Some((name, AttributeChange::Replace(value))) => moved.extend([";", name, "=", value.as_str()]),
            Some((_, AttributeChange::Keep)) | None => moved.extend([";", piece]),
        }
    }
    changed.then_some(moved)
}

/// True if a host matches the Domain of a cookie (RFC 6265 section 5.1.3).
///
/// ```
/// use harproxy_http::cookies::domain_matches;
/// assert!(domain_matches(".Example.com", "api.example.com"));
/// assert!(!domain_matches("example.com", "badexample.com"));
/// ```
#[must_use]
pub fn domain_matches(domain: &str, host: &str) -> bool {
    let domain = domain.trim().trim_start_matches('.').to_ascii_lowercase();
    host.strip_suffix(&domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn set_cookie(header: &str) -> Option<Value> {
    let cookie = cookie::Cookie::parse(header).ok()?;
    let mut map = name_and_value(cookie.name(), cookie.value());
    let text = |text: Option<&str>| text.map(Value::from);
    let expires = cookie.expires_datetime().and_then(|at| at.format(&Rfc3339).ok());
    let members = [
        ("path", text(cookie.path())),
        ("domain", text(cookie.domain())),
        ("expires", text(expires.as_deref())),
        ("httpOnly", cookie.http_only().map(Value::from)),
        ("secure", cookie.secure().map(Value::from)),
        ("sameSite", cookie.same_site().map(|policy| policy.to_string().into())),
    ];
    map.extend(members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    Some(Value::Object(map))
}

fn name_and_value(name: &str, value: &str) -> Map<String, Value> {
    Map::from_iter([("name".to_owned(), name.trim().into()), ("value".to_owned(), value.trim().into())])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn headers(name: &str, values: &[&str]) -> Headers {
        let mut headers = Headers::default();
        for value in values {
            headers.push(name, value.as_bytes().to_vec());
        }
        headers
    }

    #[test]
    fn request_cookies_has_every_pair_of_every_cookie_header() {
        let sent = request_cookies(&headers("Cookie", &["a=1; b=\"2\";; c", "d= 4 "]));
        let pair = |name: &str, value: &str| json!({ "name": name, "value": value });
        assert_eq!(sent, [pair("a", "1"), pair("b", "\"2\""), pair("c", ""), pair("d", "4")]);
    }

    #[test]
    fn response_cookies_have_the_attributes_of_set_cookie() {
        let set = response_cookies(&headers(
            "set-cookie",
            &[
                "id=a=b; Path=/x; Domain=.example.com; Expires=Wed, 21 Oct 2026 07:28:00 GMT; HttpOnly; Secure; SameSite=None",
                "t=1; Max-Age=10; Expires=nonsense",
                "",
            ],
        ));
        assert_eq!(
            set,
            [
                json!({
                    "name": "id", "value": "a=b", "path": "/x", "domain": "example.com",
                    "expires": "2026-10-21T07:28:00Z", "httpOnly": true, "secure": true, "sameSite": "None",
                }),
                json!({ "name": "t", "value": "1" }),
            ]
        );
    }
}
