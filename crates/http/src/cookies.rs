//! `Cookie` and `Set-Cookie` headers as the arrays of cookies that HAR 1.2 derives from them, and what of a `Set-Cookie` changes
//! when its origin goes by another name.

use serde_json::{Map, Value};
use time::format_description::well_known::Rfc3339;

use super::Headers;

/// `request.cookies`: the pairs of every `Cookie` header, in order.
///
/// ```
/// use harproxy_http::{Headers, cookies};
/// let mut headers = Headers::default();
/// headers.push("cookie", "a=1; b=x=y");
/// assert_eq!(cookies::sent(&headers)[1]["value"], "x=y");
/// ```
#[must_use]
pub fn sent(headers: &Headers) -> Vec<Value> {
    headers
        .get_all("cookie")
        .map(super::headers::to_chars)
        .flat_map(|header| {
            let pairs = header.split(';').map(str::trim).filter(|pair| !pair.is_empty());
            pairs.map(|pair| pair_of(pair.split_once('=').unwrap_or((pair, "")))).collect::<Vec<_>>()
        })
        .map(Value::Object)
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
    let cookies = header.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).filter(|cookie| !cookie.is_empty());
    cookies.map(|cookie| match cookie.iter().position(|byte| *byte == b'=') {
        Some(equals) => (&cookie[..equals], &cookie[equals + 1..]),
        None => (&b""[..], cookie),
    })
}

/// `response.cookies`: one for every `Set-Cookie` header, with `path`, `domain`, `expires`, `httpOnly`, `secure` (HAR 1.2)
/// and `sameSite` (as browsers write it).
#[must_use]
pub fn set(headers: &Headers) -> Vec<Value> {
    headers.get_all("set-cookie").map(super::headers::to_chars).filter_map(|header| set_cookie(&header)).collect()
}

/// What becomes of an attribute of a `Set-Cookie`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// It stays as it is.
    Stays,
    /// It goes.
    Goes,
    /// It gets this value.
    Becomes(String),
}

/// A `Set-Cookie` value with other attributes; all else of it stays as it is. `change` gets their names in lower case. `None` when nothing
/// changed.
///
/// ```
/// use harproxy_http::cookies::{Attribute, change_attributes};
/// let moved = change_attributes("a=1; Domain=a.test; Path=/", |name, _| match name {
///     "domain" => Attribute::Goes,
///     "path" => Attribute::Becomes("/api".to_owned()),
///     _ => Attribute::Stays,
/// });
/// assert_eq!(moved.as_deref(), Some("a=1; Path=/api"));
/// ```
#[must_use]
pub fn change_attributes(cookie: &str, mut change: impl FnMut(&str, &str) -> Attribute) -> Option<String> {
    let mut changed = false;
    let mut pieces = cookie.split(';');
    let mut moved = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let attribute =
            piece.split_once('=').map(|(name, value)| (name, change(&name.trim().to_ascii_lowercase(), value)));
        changed |= attribute.as_ref().is_some_and(|(_, become_of)| *become_of != Attribute::Stays);
        match attribute {
            Some((_, Attribute::Goes)) => {}
            Some((name, Attribute::Becomes(value))) => moved.extend([";", name, "=", value.as_str()]),
            Some((_, Attribute::Stays)) | None => moved.extend([";", piece]),
        }
    }
    changed.then_some(moved)
}

/// Whether a cookie's Domain covers a host (RFC 6265 section 5.1.3).
///
/// ```
/// use harproxy_http::cookies::covers;
/// assert!(covers(".Example.com", "api.example.com"));
/// assert!(!covers("example.com", "badexample.com"));
/// ```
#[must_use]
pub fn covers(domain: &str, host: &str) -> bool {
    let domain = domain.trim().trim_start_matches('.').to_ascii_lowercase();
    host.strip_suffix(&domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn set_cookie(header: &str) -> Option<Value> {
    let cookie = cookie::Cookie::parse(header).ok()?;
    let mut map = pair_of((cookie.name(), cookie.value()));
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

fn pair_of((name, value): (&str, &str)) -> Map<String, Value> {
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
    fn every_pair_of_every_cookie_header() {
        let sent = sent(&headers("Cookie", &["a=1; b=\"2\";; c", "d= 4 "]));
        let pair = |name: &str, value: &str| json!({ "name": name, "value": value });
        assert_eq!(sent, [pair("a", "1"), pair("b", "\"2\""), pair("c", ""), pair("d", "4")]);
    }

    #[test]
    fn attributes_of_a_set_cookie() {
        let set = set(&headers(
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
