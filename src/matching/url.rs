//! URLs in the form in which they are recorded and asked for, taken apart.

use std::borrow::Cow;

use crate::http::NormalUrl;

/// The parts of a URL in normal form that matching looks at, each as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    /// `https://user@host:port`; empty for a URL without authority.
    pub(super) origin: &'a str,
    /// From the first `/` to the query.
    pub(super) path: &'a str,
    /// What follows the `?`; `None` when there is none.
    pub(super) query: Option<&'a str>,
}

impl<'a> Parts<'a> {
    /// Takes a URL in normal form apart.
    pub(super) fn of(url: &'a str) -> Self {
        let authority = url.find("://").map_or(0, |at| at + 3);
        let path = if authority == 0 { 0 } else { url[authority..].find('/').map_or(url.len(), |at| authority + at) };
        let (origin, rest) = url.split_at(path);
        match rest.split_once('?') {
            Some((path, query)) => Parts { origin, path, query: Some(query) },
            None => Parts { origin, path: rest, query: None },
        }
    }

    /// The origin as others see it: the user name that a URL may carry is no part of it.
    pub(super) fn host(&self) -> Cow<'a, str> {
        match (self.origin.split_once("://"), self.origin.split_once('@')) {
            (Some((scheme, _)), Some((_, host))) => Cow::Owned(format!("{scheme}://{host}")),
            _ => Cow::Borrowed(self.origin),
        }
    }

    /// The path's segments, without the `/` before the first.
    pub(super) fn segments(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.path.strip_prefix('/').unwrap_or(self.path).split('/')
    }
}

/// A recorded URL in normal form. Most are in it already, which a look at the bytes tells.
pub(super) fn normal(url: &str) -> Option<Cow<'_, str>> {
    if is_plainly_normal(url) {
        return Some(Cow::Borrowed(url));
    }
    NormalUrl::parse_any(url).ok().map(|url| Cow::Owned(url.as_str().to_owned()))
}

/// Whether a URL is surely its own normal form. `false` says nothing.
fn is_plainly_normal(url: &str) -> bool {
    let (rest, default_port) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (rest, "443"),
        (_, Some(rest)) => (rest, "80"),
        _ => return false,
    };
    let Some(slash) = rest.find('/') else { return false };
    let (authority, path) = rest.split_at(slash);
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    let plain_port = port.is_none_or(|port| {
        matches!(port.len(), 2..=4)
            && port != default_port
            && !port.starts_with('0')
            && port.bytes().all(|b| b.is_ascii_digit())
    });
    // Names only: what ends in a number is an IPv4 address to the parser, `--` may be Punycode.
    let plain_host = host.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
        && host.rsplit('.').next().is_some_and(|label| label.starts_with(|c: char| c.is_ascii_lowercase()))
        && !host.starts_with('.')
        && !host.contains("..")
        && !host.contains("--");
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let plain_path = path.bytes().all(|b| is_plain(b) || b == b'\'') && !path.contains("/.") && !path.contains("%2");
    plain_port && plain_host && plain_path && query.bytes().all(|b| is_plain(b) || b == b'?')
}

/// Characters that the URL Standard leaves alone in paths and in the queries of web URLs.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_~!$&()*+,;=:@/%.".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let parts = Parts::of("https://h.test:8443/a/b?x=/y?z");
        assert_eq!(parts, Parts { origin: "https://h.test:8443", path: "/a/b", query: Some("x=/y?z") });
        assert_eq!(parts.segments().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(Parts::of("data:text/plain,x"), Parts { origin: "", path: "data:text/plain,x", query: None });
    }

    proptest::proptest! {
        #[test]
        fn what_looks_normal_is(url in "https?://[a-z0-9.:A-]{1,8}/[a-z.%2eE/'\"?#&=|^ ]{0,10}") {
            if is_plainly_normal(&url) {
                let normal = NormalUrl::parse(&url).unwrap();
                proptest::prop_assert_eq!(normal.as_str(), &url);
            }
        }
    }
}
