//! `--reverse` ports: the origins behind a port, the origin that a request path selects, and the URLs in its answers.
//!
//! The client reaches the origin by another address than the origin's own. Headers that the client's software follows
//! (Location, Link, Domain and Path of cookies, CORS) get an address that leads back to the port, as a gateway would
//! do. The recording has the headers as the origin sent them.

use std::net::SocketAddr;
use std::sync::Arc;

use ::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_LOCATION, Entry, HOST, HeaderName, HeaderValue, LOCATION};
use ::http::header::{HeaderMap, LINK, SET_COOKIE};
use ::http::uri::PathAndQuery;
use ::http::{Request, Uri};
use ::url::Url;

use super::refusal::Refusal;
use super::target;
use crate::origin::Origin;
use harproxy_http::cookies::{self, AttributeChange};

/// `--reverse [NAME=][PORT=|/PREFIX=]URL`: serve an origin on a port of its own, or below a path prefix.
#[derive(Clone, Debug)]
pub struct ReversePlan {
    /// The name in CMD's variable `HARPROXY_URL_<name>`.
    pub name: String,
    /// The port to listen on, for an origin without a prefix; 0 takes a free one.
    pub port: u16,
    /// The path prefix that selects this origin. It is removed from the path. Origins with a prefix share a port.
    pub prefix: Option<String>,
    pub origin: Origin,
    /// The path of the URL. It is put in front of each request's path.
    pub base_path: String,
}

/// One port with its origins: one without a prefix, or several with one.
#[derive(Debug)]
pub(crate) struct ReverseOrigins {
    pub(crate) addr: SocketAddr,
    pub(crate) tls: bool,
    pub(crate) origins: Vec<ReverseOrigin>,
}

#[derive(Debug)]
pub(crate) struct ReverseOrigin {
    name: String,
    /// Empty, or with a leading slash and without a trailing one.
    prefix: String,
    pub(super) origin: Origin,
    /// Empty, or with a leading slash and without a trailing one.
    base_path: String,
}

impl ReverseOrigins {
    /// Groups origins by port, which may be 0: each origin without a prefix gets its own port, the others share one.
    ///
    /// # Errors
    /// If an origin is not valid in a URL.
    pub(crate) fn by_port(plans: &[ReversePlan]) -> Result<Vec<(u16, Vec<ReverseOrigin>)>, Refusal> {
        let mut ports = Vec::new();
        let mut shared = Vec::new();
        for plan in plans {
            target::uri(&plan.origin, PathAndQuery::from_static("/"))?;
            let prefix = plan.prefix.as_deref().unwrap_or_default().trim_matches('/');
            let origin = ReverseOrigin {
                name: plan.name.clone(),
                prefix: if prefix.is_empty() { String::new() } else { format!("/{prefix}") },
                origin: plan.origin.clone(),
                base_path: plan.base_path.trim_end_matches('/').to_owned(),
            };
            if plan.prefix.is_some() {
                shared.push(origin);
            } else {
                ports.push((plan.port, vec![origin]));
            }
        }
        if !shared.is_empty() {
            shared.sort_by_key(|origin| std::cmp::Reverse(origin.prefix.len()));
            ports.push((0, shared));
        }
        Ok(ports)
    }

    /// Name and URL of each origin, as a client on this machine reaches it.
    pub(crate) fn urls(&self) -> impl Iterator<Item = (String, String)> {
        let base = format!("{}://{}", self.scheme(), reachable(self.addr));
        self.origins.iter().map(move |origin| (origin.name.clone(), format!("{base}{}", origin.prefix)))
    }

    fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// Returns the origin for a path, and the path on that origin.
    ///
    /// # Errors
    /// If no prefix matches.
    pub(super) fn find(&self, path: &PathAndQuery) -> Result<(&ReverseOrigin, PathAndQuery), Refusal> {
        for origin in &self.origins {
            let rest = path.as_str().strip_prefix(origin.prefix.as_str());
            // `/api` does not match `/apis`.
            if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with(['/', '?', '*'])) {
                let is_unchanged = origin.prefix.is_empty() && origin.base_path.is_empty();
                let path = if is_unchanged { path.clone() } else { join(&origin.base_path, rest)? };
                return Ok((origin, path));
            }
        }
        Err(Refusal::UnknownPrefix(self.origins.iter().map(|origin| origin.prefix.clone()).collect()))
    }
}

fn join(base: &str, rest: &str) -> Result<PathAndQuery, Refusal> {
    let slash = if base.is_empty() && !rest.starts_with('/') { "/" } else { "" };
    PathAndQuery::try_from(format!("{base}{slash}{rest}")).map_err(|error| Refusal::InvalidTarget(error.to_string()))
}

/// The address that a client on this machine can connect to.
fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        std::net::IpAddr::V4(ip) if ip.is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(ip) if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}

/// Rewrites the URLs in the answer to one request.
pub(super) struct UrlRewriter<'a> {
    ports: &'a [Arc<ReverseOrigins>],
    port: &'a ReverseOrigins,
    origin: &'a ReverseOrigin,
    /// The URL of the request for the client.
    client_url: Url,
    /// The URL of the request for the origin.
    origin_url: Url,
}

impl<'a> UrlRewriter<'a> {
    /// A rewriter for the answer to `request`, as the client sent it. Returns `None` if the URL of the request is not
    /// valid.
    pub(super) fn new<B>(
        ports: &'a [Arc<ReverseOrigins>],
        (port, origin): (&'a ReverseOrigins, &'a ReverseOrigin),
        request: &Request<B>,
        origin_uri: &Uri,
    ) -> Option<Self> {
        let in_uri = request.uri().authority().map(|authority| authority.as_str());
        let authority = in_uri.or_else(|| request.headers().get(HOST)?.to_str().ok());
        let authority = authority.map_or_else(|| reachable(port.addr).to_string(), str::to_owned);
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let client_url = Url::parse(&format!("{}://{authority}{path}", port.scheme())).ok()?;
        Some(UrlRewriter { ports, port, origin, client_url, origin_url: Url::parse(&origin_uri.to_string()).ok()? })
    }

    /// Rewrites the headers of the answer.
    pub(super) fn rewrite(&self, answer: &mut HeaderMap) {
        for name in [LOCATION, CONTENT_LOCATION] {
            rewrite_values(answer, name, |location| self.location(location));
        }
        rewrite_values(answer, LINK, |links| self.links(links));
        rewrite_values(answer, SET_COOKIE, |cookie| self.cookie(cookie));
        rewrite_values(answer, ACCESS_CONTROL_ALLOW_ORIGIN, |origin| self.allowed_origin(origin));
    }

    /// Returns the reference for the client, unless the origin's leads to the same place.
    fn location(&self, location: &str) -> Option<String> {
        let target = self.origin_url.join(location).ok()?;
        let target = self.for_client(&target).unwrap_or(target);
        (self.client_url.join(location).ok()? != target).then(|| target.into())
    }

    /// Rewrites the targets in angle brackets (RFC 8288 section 3): clients page through a list by them.
    fn links(&self, links: &str) -> Option<String> {
        let mut parts = links.split('<');
        let mut rewritten = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let target = part.split_once('>').and_then(|(target, rest)| Some((self.location(target)?, rest)));
            match target {
                Some((target, rest)) => rewritten.extend(["<", target.as_str(), ">", rest]),
                None => rewritten.extend(["<", part]),
            }
        }
        (rewritten != links).then_some(rewritten)
    }

    /// The client's URL for a URL of a `--reverse` origin: of the request's own origin if possible, else of the one
    /// with the longest base path.
    fn for_client(&self, url: &Url) -> Option<Url> {
        let all = self.ports.iter().flat_map(|port| port.origins.iter().map(move |origin| (port, origin)));
        let matching = all.filter_map(|(port, origin)| Some((port, origin, origin.path_below_base(url)?)));
        let (port, origin, path) =
            matching.max_by_key(|(_, origin, _)| (std::ptr::eq(*origin, self.origin), origin.base_path.len()))?;
        let mut client_url = self.client_url.clone();
        if port.addr != self.port.addr {
            client_url.set_port(Some(port.addr.port())).ok()?;
        }
        client_url.set_path(&format!("{}{path}", origin.prefix));
        client_url.set_query(url.query());
        client_url.set_fragment(url.fragment());
        Some(client_url)
    }

    /// Rewrites a cookie that the client would refuse or never send back: for a Domain without the client's host (RFC
    /// 6265 section 5.3), or for a Path that the client does not request (section 5.4).
    fn cookie(&self, cookie: &str) -> Option<String> {
        let (client_host, origin_host) = (self.client_url.host_str()?, self.origin_url.host_str()?);
        cookies::change_attributes(cookie, |name, value| match name {
            "domain" if cookies::domain_matches(value, origin_host) && !cookies::domain_matches(value, client_host) => {
                AttributeChange::Remove
            }
            "path" => self.origin.cookie_path(value).map_or(AttributeChange::Keep, AttributeChange::Replace),
            _ => AttributeChange::Keep,
        })
    }

    fn allowed_origin(&self, allowed: &str) -> Option<String> {
        let url = Url::parse(allowed).ok().filter(|url| url.origin().ascii_serialization() == allowed)?;
        let matching = |port: &Arc<ReverseOrigins>| {
            let origin = port.origins.iter().find(|origin| origin.is_origin_of(&url))?;
            Some((port.addr, std::ptr::eq(origin, self.origin)))
        };
        let (addr, is_same) = self.ports.iter().filter_map(matching).max_by_key(|(_, is_same)| *is_same)?;
        let mut client_url = self.client_url.clone();
        if !is_same {
            client_url.set_port(Some(addr.port())).ok()?;
        }
        Some(client_url.origin().ascii_serialization())
    }
}

impl ReverseOrigin {
    fn is_origin_of(&self, url: &Url) -> bool {
        let origin = &self.origin;
        let host = url.host_str().map(|host| host.trim_matches(['[', ']']));
        url.scheme() == origin.scheme.as_str()
            && host == Some(&*origin.host)
            && url.port_or_known_default() == Some(origin.port)
    }

    /// The path of a URL of this origin, without the base path.
    fn path_below_base<'u>(&self, url: &'u Url) -> Option<&'u str> {
        url.path().strip_prefix(self.base_path.as_str()).filter(|rest| self.is_origin_of(url) && is_path(rest))
    }

    /// The Path of a cookie for the client; `None` if it is the same, or if no path of the client is below it.
    fn cookie_path(&self, path: &str) -> Option<String> {
        let path = path.trim();
        let rest = match path.strip_prefix(&self.base_path).filter(|rest| is_path(rest)) {
            Some(rest) => rest,
            // A folder above the base path contains all paths of the client.
            None => self.base_path.strip_prefix(path.trim_end_matches('/')).filter(|rest| is_path(rest)).map(|_| "")?,
        };
        let rest = if self.prefix.is_empty() { rest } else { rest.trim_end_matches('/') };
        let client_path = format!("{}{rest}", self.prefix);
        let client_path = if client_path.is_empty() { "/".to_owned() } else { client_path };
        (client_path != path).then_some(client_path)
    }
}

/// Returns true for the rest of a path after one of its folders.
fn is_path(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('/')
}

/// Replaces the values of a header for which `rewrite` returns another one.
fn rewrite_values(answer: &mut HeaderMap, name: HeaderName, mut rewrite: impl FnMut(&str) -> Option<String>) {
    let Entry::Occupied(mut values) = answer.entry(name) else { return };
    for value in values.iter_mut() {
        let rewritten = std::str::from_utf8(value.as_bytes()).ok().and_then(&mut rewrite);
        if let Some(rewritten) = rewritten.and_then(|rewritten| HeaderValue::try_from(rewritten).ok()) {
            *value = rewritten;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Scheme;

    fn plan(name: &str, prefix: Option<&str>, host: &str, base_path: &str) -> ReversePlan {
        let origin = Origin { scheme: Scheme::Https, host: host.into(), port: 443 };
        ReversePlan { name: name.into(), port: 0, prefix: prefix.map(Into::into), origin, base_path: base_path.into() }
    }

    fn find(origins: &ReverseOrigins, path: &str) -> Option<String> {
        let (origin, path) = origins.find(&path.parse().unwrap()).ok()?;
        Some(format!("{}{path}", origin.origin.authority()))
    }

    #[test]
    fn longest_prefix_wins_and_is_removed() {
        let plans = [
            plan("A", Some("/api"), "a.test", ""),
            plan("ALONE", None, "alone.test", "/v1/"),
            plan("B", Some("/api/b/"), "b.test", "/base"),
        ];
        let addr = "0.0.0.0:80".parse().unwrap();
        let ports = ReverseOrigins::by_port(&plans).unwrap().into_iter();
        let ports: Vec<_> = ports.map(|(_, origins)| ReverseOrigins { addr, tls: true, origins }).collect();
        let [alone, shared] = &ports[..] else { panic!("{ports:?}") };
        assert_eq!(find(alone, "/x?y").as_deref(), Some("alone.test/v1/x?y"));
        assert_eq!(find(alone, "/").as_deref(), Some("alone.test/v1/"));
        assert_eq!(find(shared, "/api/x?y=/api").as_deref(), Some("a.test/x?y=/api"));
        assert_eq!(find(shared, "/api").as_deref(), Some("a.test/"));
        assert_eq!(find(shared, "/api?q").as_deref(), Some("a.test/?q"));
        assert_eq!(find(shared, "/api/b").as_deref(), Some("b.test/base"));
        assert_eq!(find(shared, "/api/b/c").as_deref(), Some("b.test/base/c"));
        assert_eq!(find(shared, "/api/bc").as_deref(), Some("a.test/bc"));
        assert_eq!(find(shared, "/apis"), None);
        assert_eq!(find(shared, "/"), None);
        let urls: Vec<_> = shared.urls().collect();
        assert_eq!(urls[0], ("B".into(), "https://127.0.0.1:80/api/b".into()));
    }

    fn ports(tls: bool) -> Vec<Arc<ReverseOrigins>> {
        let plans = [
            plan("API", None, "api.test", "/v1"),
            plan("SHOP", None, "shop.test", ""),
            plan("PAY", Some("/pay"), "pay.test", ""),
            plan("LOGIN", Some("/login"), "login.test", "/realm"),
        ];
        let addrs = (1000..).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let ports = addrs.zip(ReverseOrigins::by_port(&plans).unwrap());
        ports.map(|(addr, (_, origins))| Arc::new(ReverseOrigins { addr, tls, origins })).collect()
    }

    /// Rewrites a header of the answer to `GET url`, which has the address of a port.
    fn rewritten(url: &str, name: HeaderName, value: &str) -> String {
        let url: Uri = url.parse().unwrap();
        let ports = ports(url.scheme_str() == Some("https"));
        let origins = ports.iter().find(|port| Some(port.addr.port()) == url.port_u16()).unwrap();
        let (origin, path) = origins.find(url.path_and_query().unwrap()).unwrap();
        let origin_uri = target::uri(&origin.origin, path).unwrap();
        let request = Request::get(url).body(()).unwrap();
        let rewriter = UrlRewriter::new(&ports, (origins, origin), &request, &origin_uri).unwrap();
        let mut answer = HeaderMap::from_iter([(name.clone(), HeaderValue::from_bytes(value.as_bytes()).unwrap())]);
        rewriter.rewrite(&mut answer);
        answer[name].to_str().unwrap().to_owned()
    }

    #[test]
    fn location_leads_back_to_the_port() {
        for (url, value, expected) in [
            // The origin's own address, absolute or relative.
            ("http://h.test:1001/a/b", "https://shop.test/next?q#f", "http://h.test:1001/next?q#f"),
            ("http://h.test:1001/a/b", "//shop.test/next", "http://h.test:1001/next"),
            ("http://h.test:1001/a/b", "/next", "/next"),
            ("http://h.test:1001/a/b", "next", "next"),
            ("https://h.test:1001/a/b", "https://shop.test", "https://h.test:1001/"),
            // The origin is behind a prefix, or the client sees only a part of it.
            ("http://h.test:1002/pay/a", "/next", "http://h.test:1002/pay/next"),
            ("http://h.test:1002/pay/a", "next", "next"),
            ("http://h.test:1002/pay/a", "../next", "http://h.test:1002/pay/next"),
            ("http://h.test:1000/a", "/v1/next", "http://h.test:1000/next"),
            ("http://h.test:1000/a", "/v1", "http://h.test:1000/"),
            ("http://h.test:1000/a", "/v2/next", "https://api.test/v2/next"),
            ("http://h.test:1000/a", "/v1x", "https://api.test/v1x"),
            // Another `--reverse` origin.
            ("http://h.test:1001/a", "https://login.test/realm/in?for=1", "http://h.test:1002/login/in?for=1"),
            ("http://h.test:1002/pay/a", "https://api.test/v1/x", "http://h.test:1000/x"),
            ("http://h.test:1002/pay/a", "https://login.test/realm", "http://h.test:1002/login"),
            // Other origins.
            ("http://h.test:1001/a", "https://login.test/other", "https://login.test/other"),
            ("http://h.test:1001/a", "http://shop.test/", "http://shop.test/"),
            ("http://h.test:1001/a", "https://shop.test:8443/", "https://shop.test:8443/"),
            ("http://h.test:1001/a", "https://shop.test.evil.test/", "https://shop.test.evil.test/"),
            ("http://h.test:1001/a", "mailto:a@shop.test", "mailto:a@shop.test"),
            ("http://h.test:1001/a", "https://", "https://"),
        ] {
            assert_eq!(rewritten(url, LOCATION, value), expected, "{value} at {url}");
        }
        assert_eq!(rewritten("http://h.test:1002/pay/a", CONTENT_LOCATION, "/b"), "http://h.test:1002/pay/b");
    }

    #[test]
    fn links_lead_back_to_the_port() {
        for (value, expected) in [
            (
                r#"<https://pay.test/x?p=2>; rel="next", </y>; rel=last; title="a<b", <z>;rel=up"#,
                concat!(
                    r#"<http://h.test:1002/pay/x?p=2>; rel="next", <http://h.test:1002/pay/y>; rel=last; "#,
                    r#"title="a<b", <z>;rel=up"#
                ),
            ),
            ("<https://other.test/>; rel=next", "<https://other.test/>; rel=next"),
            ("nonsense < > <", "nonsense < > <"),
        ] {
            assert_eq!(rewritten("http://h.test:1002/pay/a", LINK, value), expected);
        }
    }

    #[test]
    fn cookie_is_one_that_the_client_sends_back() {
        for (url, value, expected) in [
            ("http://h.test:1001/a", "a=1; Path=/; Secure", "a=1; Path=/; Secure"),
            ("http://h.test:1001/a", "a=1; Domain=shop.test; Path=/x", "a=1; Path=/x"),
            ("http://127.0.0.1:1001/a", "a=1; Path=/; domain=.Shop.test; HttpOnly", "a=1; Path=/; HttpOnly"),
            ("http://h.test:1001/a", "a=1; Domain=test", "a=1; Domain=test"),
            ("http://h.test:1001/a", "a=1; Domain=other.test", "a=1; Domain=other.test"),
            ("http://h.test:1002/pay/a", "a=1; Path=/", "a=1; Path=/pay"),
            ("http://h.test:1002/pay/a", "a=1; Path=/x/", "a=1; Path=/pay/x"),
            ("http://h.test:1002/login/a", "a=1; Path=/realm/x", "a=1; Path=/login/x"),
            ("http://h.test:1002/login/a", "a=1; Path=/", "a=1; Path=/login"),
            ("http://h.test:1002/login/a", "a=1; Path=/other", "a=1; Path=/other"),
            ("http://h.test:1000/a", "a=1; Path=/v1", "a=1; Path=/"),
            ("http://h.test:1000/a", "a=1; Path=/v1/x", "a=1; Path=/x"),
            ("http://h.test:1000/a", "path=/v1", "path=/v1"),
        ] {
            assert_eq!(rewritten(url, SET_COOKIE, value), expected, "{value} at {url}");
        }
    }

    #[test]
    fn allowed_origin_is_rewritten_to_the_address_of_its_port() {
        for (value, expected) in [
            ("https://shop.test", "http://h.test:1001"),
            ("https://api.test", "http://h.test:1000"),
            ("https://pay.test", "http://h.test:1002"),
            ("https://partner.test", "https://partner.test"),
            ("*", "*"),
            ("null", "null"),
        ] {
            assert_eq!(rewritten("http://h.test:1001/a", ACCESS_CONTROL_ALLOW_ORIGIN, value), expected);
        }
    }
}
