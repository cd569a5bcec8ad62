//! Redirects: the request that follows a 3xx in browsers (Fetch Standard, HTTP-redirect fetch).

use harproxy_har::Entry;
use harproxy_http::NormalUrl;

/// The number of redirects that browsers follow.
pub(super) const MAX_HOPS: usize = 20;

/// Returns the `Location` of a redirect: a 301, 302, 303, 307 or 308 with a `Location` that is not empty. Like
/// browsers, it reads values that are not UTF-8 as Latin-1.
pub(super) fn location(entry: &Entry) -> Option<String> {
    if !matches!(entry.response.status, 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let value = entry.response.headers.get("location")?;
    let text = match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => value.iter().map(|&byte| char::from(byte)).collect(),
    };
    Some(text).filter(|text| !text.trim().is_empty())
}

/// The request that follows a redirect.
#[derive(Clone, Debug)]
pub(super) struct RedirectedRequest {
    pub(super) url: NormalUrl,
    pub(super) method: String,
    /// Whether it keeps the payload.
    pub(super) payload: bool,
}

/// Returns the request that a client sends after a redirect of `method` and `url`. `None` if the location is not a
/// valid URL.
pub(super) fn redirected(status: i32, method: &str, url: &NormalUrl, location: &str) -> Option<RedirectedRequest> {
    let url = url.join(location).ok()?;
    let becomes_get = match status {
        301 | 302 => method == "POST",
        303 => !matches!(method, "GET" | "HEAD"),
        _ => false,
    };
    let method = if becomes_get { "GET" } else { method };
    Some(RedirectedRequest { url, method: method.to_owned(), payload: !becomes_get })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(status: i32, method: &str, location: &str) -> (String, String, bool) {
        let next = redirected(status, method, &NormalUrl::parse("http://a.test/x/y?q").unwrap(), location).unwrap();
        (next.method, next.url.as_str().to_owned(), next.payload)
    }

    #[test]
    fn post_becomes_get_and_loses_its_payload_as_in_browsers() {
        for (status, method, becomes, payload) in [
            (301, "POST", "GET", false),
            (302, "POST", "GET", false),
            (301, "PUT", "PUT", true),
            (302, "GET", "GET", true),
            (303, "PUT", "GET", false),
            (303, "POST", "GET", false),
            (303, "HEAD", "HEAD", true),
            (303, "GET", "GET", true),
            (307, "POST", "POST", true),
            (308, "PATCH", "PATCH", true),
        ] {
            let (method_now, _, payload_now) = parts(status, method, "/b");
            assert_eq!((&*method_now, payload_now), (becomes, payload), "{status} {method}");
        }
    }

    #[test]
    fn location_is_resolved_without_its_fragment() {
        assert_eq!(parts(302, "GET", "../z#top").1, "http://a.test/z");
        assert_eq!(parts(302, "GET", "//b.test:80").1, "http://b.test/");
        assert_eq!(parts(302, "GET", "///b.test/x").1, "http://b.test/x");
        assert_eq!(parts(302, "GET", "?r").1, "http://a.test/x/y?r");
        assert!(redirected(302, "GET", &NormalUrl::parse("http://a.test/").unwrap(), "http://").is_none());
    }

    #[test]
    fn location_is_read_only_from_redirects() {
        let entry = |status, value: &'static [u8]| {
            let mut entry = Entry::default();
            entry.response.status = status;
            entry.response.headers.push("Location", value);
            location(&entry)
        };
        assert_eq!(entry(302, b"/b").as_deref(), Some("/b"));
        assert_eq!(entry(302, b"/\xe9").as_deref(), Some("/\u{e9}"));
        assert_eq!(entry(302, "/\u{e9}".as_bytes()).as_deref(), Some("/\u{e9}"));
        assert_eq!(entry(302, b" "), None);
        for status in [200, 201, 300, 304, 305, 306] {
            assert_eq!(entry(status, b"/b"), None, "{status}");
        }
    }
}
