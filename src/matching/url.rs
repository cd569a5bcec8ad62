//! URLs as keys: the normal form, with the names of `ignore-query` left out and origins that count as one made one.

use std::borrow::Cow;

use url::form_urlencoded;

use super::Error;
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

/// How URLs are compared: what is left out and which origins count as one.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyForm {
    ignore_query: Vec<String>,
    same_host: Vec<Vec<OriginPattern>>,
}

impl KeyForm {
    pub(super) fn new(ignore_query: &[String], same_host: &[(String, String)]) -> Result<Self, Error> {
        let mut classes: Vec<Vec<OriginPattern>> = Vec::new();
        for (a, b) in same_host {
            let (a, b) = (OriginPattern::new(a)?, OriginPattern::new(b)?);
            // Whatever shares an origin with this pair is one with it.
            let (mut joined, apart): (Vec<_>, Vec<_>) =
                classes.into_iter().partition(|class| class.contains(&a) || class.contains(&b));
            let mut class: Vec<_> = joined.drain(..).flatten().collect();
            class.extend([a, b]);
            classes = apart;
            classes.push(class);
        }
        Ok(KeyForm { ignore_query: ignore_query.to_vec(), same_host: classes })
    }

    /// Whether any origins count as one.
    pub(super) fn joins_hosts(&self) -> bool {
        !self.same_host.is_empty()
    }

    /// What two URLs must have equal; `url` is in normal form.
    pub(super) fn of<'a>(&self, url: &'a str) -> Cow<'a, str> {
        if self.ignore_query.is_empty() && self.same_host.is_empty() {
            return Cow::Borrowed(url);
        }
        let parts = Parts::of(url);
        let mut key = format!("{}{}", self.origin(parts.origin), parts.path);
        if let Some(query) = self.query_of(parts.query) {
            key.push('?');
            key.push_str(&query);
        }
        Cow::Owned(key)
    }

    /// The origin that stands for all that count as this one.
    pub(super) fn origin<'a>(&self, origin: &'a str) -> Cow<'a, str> {
        match self.same_host.iter().position(|class| class.iter().any(|pattern| pattern.matches(origin))) {
            Some(class) => Cow::Owned(format!("same-host:{class}")),
            None => Cow::Borrowed(origin),
        }
    }

    /// What of a query must be equal.
    pub(super) fn query_of<'a>(&self, query: Option<&'a str>) -> Option<Cow<'a, str>> {
        query.and_then(|query| self.query(query))
    }

    /// The query without the ignored names; `None` when nothing but they was in it.
    fn query<'a>(&self, query: &'a str) -> Option<Cow<'a, str>> {
        if self.ignore_query.is_empty() {
            return Some(Cow::Borrowed(query));
        }
        let kept: Vec<&str> = query.split('&').filter(|parameter| !self.ignores(parameter)).collect();
        match kept.len() == query.split('&').count() {
            true => Some(Cow::Borrowed(query)),
            false if kept.is_empty() => None,
            false => Some(Cow::Owned(kept.join("&"))),
        }
    }

    /// Whether the name of this `name=value` is left out.
    pub(super) fn ignores(&self, parameter: &str) -> bool {
        if self.ignore_query.is_empty() {
            return false;
        }
        let name = form_urlencoded::parse(parameter.as_bytes()).next().map(|(name, _)| name);
        name.is_some_and(|name| self.ignore_query.iter().any(|ignored| *ignored == *name))
    }
}

/// `https://staging.example`, or `http://localhost:*` for every port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OriginPattern {
    /// The origin in normal form; without a port when any will do.
    origin: String,
    any_port: bool,
}

impl OriginPattern {
    fn new(given: &str) -> Result<Self, Error> {
        let bad = |reason: &str| Error::Origin { origin: given.to_owned(), reason: reason.to_owned() };
        let (text, any_port) = match given.strip_suffix(":*") {
            Some(text) => (text, true),
            None => (given, false),
        };
        let url = NormalUrl::parse(text).map_err(|_| bad("it is not like `https://host` or `http://localhost:*`"))?;
        let parts = Parts::of(url.as_str());
        if parts.origin.contains('*') {
            return Err(bad("`*` stands for a port, and for nothing else"));
        }
        if parts.path != "/" || parts.query.is_some() || parts.origin.contains('@') {
            return Err(bad("an origin is scheme, host and port, and no more"));
        }
        if any_port && url.url().port().is_some() {
            return Err(bad("it has two ports"));
        }
        Ok(OriginPattern { origin: parts.origin.to_owned(), any_port })
    }

    fn matches(&self, origin: &str) -> bool {
        match origin.strip_prefix(self.origin.as_str()) {
            Some("") => true,
            Some(rest) => self.any_port && rest.starts_with(':'),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(ignore: &[&str], same: &[(&str, &str)]) -> Result<KeyForm, Error> {
        let ignore: Vec<_> = ignore.iter().map(|s| (*s).to_owned()).collect();
        let same: Vec<_> = same.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        KeyForm::new(&ignore, &same)
    }

    #[test]
    fn parts() {
        let parts = Parts::of("https://h.test:8443/a/b?x=/y?z");
        assert_eq!(parts, Parts { origin: "https://h.test:8443", path: "/a/b", query: Some("x=/y?z") });
        assert_eq!(parts.segments().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(Parts::of("data:text/plain,x"), Parts { origin: "", path: "data:text/plain,x", query: None });
    }

    #[test]
    fn ignored_names_go_and_the_rest_stays_as_it_was() {
        let form = form(&["ts", "a b"], &[]).unwrap();
        assert_eq!(form.of("http://h/s?x=1&ts=2&x=%20"), "http://h/s?x=1&x=%20");
        assert_eq!(form.of("http://h/s?ts=2"), form.of("http://h/s"));
        assert_eq!(form.of("http://h/s?a+b=1&c"), form.of("http://h/s?c&a%20b"));
        assert_eq!(form.of("http://h/s?"), "http://h/s?");
        assert_ne!(form.of("http://h/s?TS=2"), form.of("http://h/s"));
    }

    #[test]
    fn same_hosts_are_one_whichever_is_asked() {
        let form =
            form(&[], &[("https://a.test", "http://localhost:*"), ("http://b.test:81", "https://A.test:443")]).unwrap();
        let key = form.of("https://a.test/x");
        assert_eq!(key, form.of("http://localhost:3000/x"));
        assert_eq!(key, form.of("http://localhost/x"));
        assert_eq!(key, form.of("http://b.test:81/x"));
        assert_ne!(key, form.of("http://b.test/x"));
        assert_ne!(key, form.of("http://localhost.evil.test/x"));
        assert_ne!(key, form.of("https://a.test/y"));
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for bad in ["localhost", "https://h/x", "https://h?x", "ftp://h", "http://h:1:*", "https://*.h.test"] {
            assert!(form(&[], &[(bad, "https://a.test")]).is_err(), "{bad}");
        }
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
