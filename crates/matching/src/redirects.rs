//! Redirects: what a 3xx asks for next, as browsers read it (the Fetch Standard, HTTP-redirect fetch).

use harproxy_har::Entry;
use harproxy_http::NormalUrl;

/// More hops than this are followed by no client.
pub(super) const MAX_HOPS: usize = 20;

/// The `Location` of a response that redirects: a 301, 302, 303, 307 or 308 with one that is not empty. In latin-1 unless
/// it is UTF-8, as browsers read it.
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

/// What is asked next.
#[derive(Clone, Debug)]
pub(super) struct Next {
    pub(super) url: NormalUrl,
    pub(super) method: String,
    /// Whether the payload goes along.
    pub(super) payload: bool,
}

/// What a client that asked `method` of `url` asks next; `None` when the location leads nowhere.
pub(super) fn next(status: i32, method: &str, url: &NormalUrl, location: &str) -> Option<Next> {
    let url = url.join(location).ok()?;
    let becomes_get = match status {
        301 | 302 => method == "POST",
        303 => !matches!(method, "GET" | "HEAD"),
        _ => false,
    };
    let method = if becomes_get { "GET" } else { method };
    Some(Next { url, method: method.to_owned(), payload: !becomes_get })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(status: i32, method: &str, location: &str) -> (String, String, bool) {
        let next = next(status, method, &NormalUrl::parse("http://a.test/x/y?q").unwrap(), location).unwrap();
        (next.method, next.url.as_str().to_owned(), next.payload)
    }

    #[test]
    fn methods_and_payloads() {
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
            let (method_now, _, payload_now) = asked(status, method, "/b");
            assert_eq!((&*method_now, payload_now), (becomes, payload), "{status} {method}");
        }
    }

    #[test]
    fn locations_are_resolved_and_lose_their_fragment() {
        assert_eq!(asked(302, "GET", "../z#top").1, "http://a.test/z");
        assert_eq!(asked(302, "GET", "//b.test:80").1, "http://b.test/");
        assert_eq!(asked(302, "GET", "?r").1, "http://a.test/x/y?r");
        assert!(next(302, "GET", &NormalUrl::parse("http://a.test/").unwrap(), "http://").is_none());
    }

    #[test]
    fn what_is_a_location() {
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
