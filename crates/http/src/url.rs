//! The normal form of URLs for comparisons: the serialisation of the WHATWG URL Standard without the fragment.

use std::borrow::Cow;

/// A URL in normal form: serialised by the WHATWG URL Standard, without fragment. `ws` and `wss` become `http` and
/// `https`.
///
/// ```
/// use harproxy_http::NormalUrl;
/// let url = NormalUrl::parse("HTTP://Example.COM:80/a/../b?q=1#top").unwrap();
/// assert_eq!(url.as_str(), "http://example.com/b?q=1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NormalUrl(String);

/// The reason why a string is not a usable URL.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// Not a URL for the parser of the URL Standard.
    #[error("`{url}` is not a URL")]
    Invalid { url: String, source: ::url::ParseError },
    /// A URL of another scheme than `http`, `https`, `ws` or `wss`.
    #[error("`{url}` is not an http or https URL")]
    Scheme { url: String },
}

impl UrlError {
    /// The reason without the URL, which may contain secrets.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            UrlError::Invalid { source, .. } => format!("invalid URL: {source}"),
            UrlError::Scheme { .. } => "its URL is not an http or https URL".to_owned(),
        }
    }
}

impl NormalUrl {
    /// Parses and normalises a URL.
    ///
    /// # Errors
    /// When `url` is not absolute, has no host, or has another scheme than HTTP or WebSocket.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        match is_plainly_normal(url) {
            true => Ok(NormalUrl(url.to_owned())),
            false => Self::of_http(parse(url)?, url),
        }
    }

    /// Like [`NormalUrl::parse`], but reuses the string if it is in normal form already.
    pub fn of(url: String) -> Result<Self, UrlError> {
        match is_plainly_normal(&url) {
            true => Ok(NormalUrl(url)),
            false => Self::of_http(parse(&url)?, &url),
        }
    }

    fn of_http(mut parsed: ::url::Url, url: &str) -> Result<Self, UrlError> {
        let scheme = match parsed.scheme() {
            "http" | "https" => None,
            "ws" => Some("http"),
            "wss" => Some("https"),
            _ => return Err(UrlError::Scheme { url: url.to_owned() }),
        };
        if let Some(scheme) = scheme {
            // Cannot fail: both are special schemes.
            let _ = parsed.set_scheme(scheme);
        }
        Ok(NormalUrl(parsed.into()))
    }

    /// Parses and normalises a URL of any scheme. A HAR may have `data:` and `blob:` URLs. `ws:` stays different from
    /// `http:`.
    ///
    /// # Errors
    /// When `url` is not an absolute URL.
    pub fn parse_any(url: &str) -> Result<Self, UrlError> {
        Ok(NormalUrl(parse(url)?.into()))
    }

    /// Resolves a reference such as a `Location`, without its fragment (RFC 9110 section 10.2.2).
    ///
    /// ```
    /// use harproxy_http::NormalUrl;
    /// let from = NormalUrl::parse("https://a.test/x/y?q").unwrap();
    /// assert_eq!(from.join("../z#top").unwrap().as_str(), "https://a.test/z");
    /// ```
    ///
    /// # Errors
    /// When the reference cannot be resolved.
    pub fn join(&self, reference: &str) -> Result<Self, UrlError> {
        let base = parse(&self.0)?;
        // Schemes of the web ignore further slashes before a host (WHATWG URL, special authority ignore slashes state).
        let text = reference.trim_start_matches(|c: char| c <= ' ');
        let after_slashes = text.trim_start_matches(['/', '\\']);
        let resolved = match text.len() - after_slashes.len() {
            3.. if base.is_special() => base.join(&format!("//{after_slashes}")),
            _ => base.join(reference),
        };
        let mut joined = resolved.map_err(|source| UrlError::Invalid { url: reference.to_owned(), source })?;
        joined.set_fragment(None);
        Ok(NormalUrl(joined.into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn parts(&self) -> Parts<'_> {
        Parts::of(&self.0)
    }
}

impl From<NormalUrl> for String {
    fn from(url: NormalUrl) -> Self {
        url.0
    }
}

fn parse(url: &str) -> Result<::url::Url, UrlError> {
    let mut parsed = ::url::Url::parse(url).map_err(|source| UrlError::Invalid { url: url.to_owned(), source })?;
    parsed.set_fragment(None);
    Ok(parsed)
}

impl std::fmt::Display for NormalUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The parts of a URL in normal form.
///
/// ```
/// use harproxy_http::url::Parts;
/// let parts = Parts::of("https://user@[::1]:8443/a/b?x=/y?z");
/// assert_eq!((parts.origin, parts.path, parts.query), ("https://user@[::1]:8443", "/a/b", Some("x=/y?z")));
/// assert_eq!((&*parts.site(), parts.host(), parts.port()), ("https://[::1]:8443", "[::1]", Some(8443)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// `https://user@host:port`; empty for a URL without authority.
    pub origin: &'a str,
    /// From the first `/` to the query.
    pub path: &'a str,
    /// The text after `?`. `None` without `?`.
    pub query: Option<&'a str>,
}

impl<'a> Parts<'a> {
    /// Splits a URL in normal form.
    #[must_use]
    pub fn of(url: &'a str) -> Self {
        // The first colon is that of the scheme in most URLs.
        let colon = memchr::memchr(b':', url.as_bytes()).filter(|colon| url[colon + 1..].starts_with("//"));
        let authority = colon.or_else(|| url.find("://")).map_or(0, |at| at + 3);
        let path = if authority == 0 { 0 } else { url[authority..].find('/').map_or(url.len(), |at| authority + at) };
        let (origin, rest) = url.split_at(path);
        match rest.split_once('?') {
            Some((path, query)) => Parts { origin, path, query: Some(query) },
            None => Parts { origin, path: rest, query: None },
        }
    }

    /// The origin without a user name and password.
    #[must_use]
    pub fn site(&self) -> Cow<'a, str> {
        match (self.origin.split_once("://"), self.origin.split_once('@')) {
            (Some((scheme, _)), Some((_, host))) => Cow::Owned(format!("{scheme}://{host}")),
            _ => Cow::Borrowed(self.origin),
        }
    }

    /// `host:port`, without a default port, with brackets around an IPv6 address.
    #[must_use]
    pub fn authority(&self) -> &'a str {
        let colon = memchr::memchr(b':', self.origin.as_bytes()).map_or(self.origin.len(), |colon| colon + 1);
        let authority = self.origin[colon..].strip_prefix("//").unwrap_or_default();
        authority.split_once('@').map_or(authority, |(_, host)| host)
    }

    /// The host name or address, with brackets around an IPv6 address.
    #[must_use]
    pub fn host(&self) -> &'a str {
        let authority = self.authority();
        match authority.rfind([':', ']']) {
            Some(colon) if authority.as_bytes()[colon] == b':' => &authority[..colon],
            _ => authority,
        }
    }

    /// True for a URL of this machine: see [`is_loopback_host`].
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback_host(self.host())
    }

    /// The port, unless it is the default of the scheme.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.authority().get(self.host().len() + 1..)?.parse().ok()
    }

    /// True for `https:`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.origin.starts_with("https:")
    }

    pub fn segments(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.path.strip_prefix('/').unwrap_or(self.path).split('/')
    }
}

/// The normal form of a recorded URL of any scheme. Borrowed if the URL is in normal form already.
#[must_use]
pub fn normal(url: &str) -> Option<Cow<'_, str>> {
    if is_plainly_normal(url) {
        return Some(Cow::Borrowed(url));
    }
    NormalUrl::parse_any(url).ok().map(|url| Cow::Owned(url.0))
}

/// True if a URL is certainly in normal form. False if it may not be.
fn is_plainly_normal(url: &str) -> bool {
    let (rest, default_port) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (rest, 443),
        (_, Some(rest)) => (rest, 80),
        _ => return false,
    };
    let Some(slash) = rest.find('/') else { return false };
    let (authority, target) = rest.split_at(slash);
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    port.is_none_or(|port| is_plain_port(port, default_port)) && is_plain_host(host) && is_plain_target(target)
}

fn is_plain_port(port: &str, default: u16) -> bool {
    port.starts_with(|c: char| matches!(c, '1'..='9')) && port.parse().is_ok_and(|port: u16| port != default)
}

/// True for dotted IPv4 addresses and for names without `--`, which may be Punycode. The parser reads other hosts
/// that end with a number as IPv4 addresses.
fn is_plain_host(host: &str) -> bool {
    let mut last = b'.';
    let mut label = b'.';
    for byte in host.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' => label = if last == b'.' { byte } else { label },
            b'-' if !matches!(last, b'-' | b'.') => {}
            b'.' if last != b'.' => {}
            _ => return false,
        }
        last = byte;
    }
    last != b'.' && (label.is_ascii_lowercase() || host.parse::<std::net::Ipv4Addr>().is_ok())
}

/// True for a path and query that the URL Standard does not change.
fn is_plain_target(target: &str) -> bool {
    let bytes = target.as_bytes();
    let path = bytes.iter().position(|byte| *byte == b'?').unwrap_or(bytes.len());
    let (path, query) = bytes.split_at(path);
    let mut last = 0;
    for (at, &byte) in path.iter().enumerate() {
        let plain = match byte {
            // Dot segments are resolved, also if they are percent-encoded.
            b'.' => last != b'/',
            b'%' => !(path.get(at + 1) == Some(&b'2') && matches!(path.get(at + 2), Some(b'e' | b'E'))),
            _ => PLAIN[usize::from(byte)] & IN_PATH != 0,
        };
        if !plain {
            return false;
        }
        last = byte;
    }
    query.iter().all(|byte| PLAIN[usize::from(*byte)] & IN_QUERY != 0)
}

const IN_PATH: u8 = 1;
const IN_QUERY: u8 = 2;

/// The characters that the URL Standard does not change in paths and in queries of special URLs.
const PLAIN: [u8; 256] = {
    let mut plain = [0; 256];
    let both = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~!$&()*+,;=:@/%.";
    let mut at = 0;
    while at < both.len() {
        plain[both[at] as usize] = IN_PATH | IN_QUERY;
        at += 1;
    }
    plain[b'\'' as usize] = IN_PATH;
    plain[b'?' as usize] = IN_QUERY;
    plain
};

/// True for `localhost` and its subdomains (RFC 6761 section 6.3), in any case, with or without a final dot.
///
/// ```
/// use harproxy_http::url::is_localhost;
/// assert!(is_localhost("app.LOCALHOST.") && is_localhost("localhost"));
/// assert!(!is_localhost("mylocalhost") && !is_localhost("localhost.example"));
/// ```
#[must_use]
pub fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit('.').next().unwrap_or_default();
    last.eq_ignore_ascii_case("localhost")
}

/// True for a host of this machine: a loopback address, with or without brackets, or a name of [`is_localhost`].
/// Names are not resolved.
///
/// ```
/// use harproxy_http::url::is_loopback_host;
/// assert!(is_loopback_host("127.0.0.2") && is_loopback_host("[::1]") && is_loopback_host("app.localhost"));
/// assert!(!is_loopback_host("0.0.0.0") && !is_loopback_host("127.0.0.1.example"));
/// ```
#[must_use]
pub fn is_loopback_host(host: &str) -> bool {
    match host.trim_matches(['[', ']']).parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => is_localhost(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_known_by_address_and_by_reserved_name() {
        for (url, local) in [
            ("http://127.0.0.1:3000/", true),
            ("http://127.9.8.7/", true),
            ("http://2130706433/", true),
            ("http://[::1]:8080/", true),
            ("http://localhost/", true),
            ("https://LOCALHOST.:8443/", true),
            ("http://app.localhost/", true),
            ("http://0.0.0.0/", false),
            ("http://192.168.0.1/", false),
            ("http://localhost.example.com/", false),
            ("http://notlocalhost/", false),
            ("http://127.0.0.1.nip.io/", false),
        ] {
            assert_eq!(NormalUrl::parse(url).unwrap().parts().is_loopback(), local, "{url}");
        }
    }

    #[test]
    fn parts_split_origin_path_and_query() {
        let parts = Parts::of("https://h.test:8443/a/b?x=/y?z");
        assert_eq!(parts, Parts { origin: "https://h.test:8443", path: "/a/b", query: Some("x=/y?z") });
        assert_eq!(parts.segments().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(Parts::of("data:text/plain,x"), Parts { origin: "", path: "data:text/plain,x", query: None });
    }

    #[test]
    fn is_plainly_normal_accepts_common_urls() {
        for url in [
            "https://api.test/v1/users/7/orders?page=3&limit=20",
            "http://127.0.0.1:54321/a%20b/c.json",
            "http://localhost:8080/?q=a%2Eb?c",
            "https://my-api.shop.example/a..b/x.y;z=1/",
        ] {
            assert!(is_plainly_normal(url), "{url}");
        }
    }

    proptest::proptest! {
        #[test]
        fn plainly_normal_urls_are_unchanged_by_the_parser(
            url in "https?://[a-z0-9.:A-]{1,8}/[a-z.%2eE/'\"?#&=|^ ]{0,10}",
        ) {
            if is_plainly_normal(&url) {
                let parsed = ::url::Url::parse(&url).unwrap();
                proptest::prop_assert_eq!(parsed.as_str(), &url);
            }
        }

        #[test]
        fn plainly_normal_addresses_and_ports_are_unchanged_by_the_parser(
            url in "https?://([0-9]{1,3}[.]){2,4}[0-9x]{1,3}(:[0-9]{0,6})?/",
        ) {
            if is_plainly_normal(&url) {
                let parsed = ::url::Url::parse(&url).unwrap();
                proptest::prop_assert_eq!(parsed.as_str(), &url);
            }
        }

        #[test]
        fn parts_are_equal_to_those_of_the_parser(
            origin in "(http|https|ws)://([a-z]{1,3}(:[a-z]{0,2})?@)?([a-z]{1,3}[.]test|\\[::[0-9]\\]|1[.]2[.]3[.]4)",
            port_and_path in "(:[0-9]{1,4})?(/[a-z?@:]{0,6})?",
        ) {
            let url = format!("{origin}{port_and_path}");
            if let Ok(normal) = NormalUrl::parse_any(&url) {
                let parsed = ::url::Url::parse(normal.as_str()).unwrap();
                let parts = normal.parts();
                proptest::prop_assert_eq!(parts.host(), parsed.host_str().unwrap());
                proptest::prop_assert_eq!(parts.port(), parsed.port());
                proptest::prop_assert_eq!(parts.path, parsed.path());
                proptest::prop_assert_eq!(parts.query, parsed.query());
                proptest::prop_assert_eq!(parts.site(), parsed.origin().ascii_serialization());
            }
        }
    }
}
