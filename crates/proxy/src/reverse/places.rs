//! What an answer says of where things are, on a `--reverse` port: the client knows the origin by another address than the origin
//! itself. Where that is said to the client's machinery (Location, Link, a cookie's Domain and Path, CORS), the client gets an address
//! that leads back here, as a gateway would give it. What is recorded is what the origin said.

use std::net::SocketAddr;
use std::sync::Arc;

use ::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_LOCATION, Entry, HOST, HeaderName, HeaderValue, LOCATION};
use ::http::header::{HeaderMap, LINK, SET_COOKIE};
use ::http::{Request, Uri};
use ::url::Url;

use super::{Route, Routes, reachable};
use harproxy_http::cookies::{self, AttributeChange};

/// A request on a `--reverse` port, as the client sent it and as the origin gets it.
pub(crate) struct Asked {
    /// What the client called us, if it said so.
    authority: Option<String>,
    path: String,
}

impl Asked {
    /// Notes what the client calls us, before the request becomes one to the origin.
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let in_uri = request.uri().authority().map(|authority| authority.as_str());
        let said = in_uri.or_else(|| request.headers().get(HOST)?.to_str().ok());
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        Asked { authority: said.map(str::to_owned), path: path.to_owned() }
    }
}

/// Whether there is anything to do: most answers say nothing of places.
pub(crate) fn are_in(answer: &HeaderMap) -> bool {
    [LOCATION, CONTENT_LOCATION, LINK, SET_COOKIE, ACCESS_CONTROL_ALLOW_ORIGIN]
        .iter()
        .any(|name| answer.contains_key(name))
}

/// All `--reverse` ports, seen from one request.
pub(crate) struct Places<'a> {
    ports: &'a [(SocketAddr, Arc<Routes>)],
    route: &'a Route,
    /// The request as the client sees it.
    here: Url,
    /// The same request as the origin sees it.
    there: Url,
}

impl<'a> Places<'a> {
    /// `None` where a URL is not one: then nothing can be said of it.
    pub(crate) fn new(
        ports: &'a [(SocketAddr, Arc<Routes>)],
        (routes, route): (&'a Routes, &'a Route),
        asked: &Asked,
        there: &Uri,
    ) -> Option<Self> {
        let addr = ports.iter().find(|(_, other)| std::ptr::eq(&raw const **other, routes)).map(|(addr, _)| *addr)?;
        let authority = asked.authority.clone().unwrap_or_else(|| reachable(addr).to_string());
        let here = Url::parse(&format!("{}://{authority}{}", routes.scheme(), asked.path)).ok()?;
        Some(Places { ports, route, here, there: Url::parse(&there.to_string()).ok()? })
    }

    /// Rewrites an answer's headers.
    pub(crate) fn rewrite(&self, answer: &mut HeaderMap) {
        for name in [LOCATION, CONTENT_LOCATION] {
            change(answer, name, |location| self.location(location));
        }
        change(answer, LINK, |links| self.links(links));
        change(answer, SET_COOKIE, |cookie| self.cookie(cookie));
        change(answer, ACCESS_CONTROL_ALLOW_ORIGIN, |origin| self.allowed(origin));
    }

    /// A reference that leads the client where the origin meant it to go, when as it is it would not.
    fn location(&self, location: &str) -> Option<String> {
        let meant = self.there.join(location).ok()?;
        let right = self.reach(&meant).unwrap_or(meant);
        (self.here.join(location).ok()? != right).then(|| right.into())
    }

    /// The targets of links stand in angle brackets (RFC 8288 section 3): clients page through a list by them.
    fn links(&self, links: &str) -> Option<String> {
        let mut pieces = links.split('<');
        let mut moved = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let target = piece.split_once('>').and_then(|(target, rest)| Some((self.location(target)?, rest)));
            match target {
                Some((target, rest)) => moved.extend(["<", target.as_str(), ">", rest]),
                None => moved.extend(["<", piece]),
            }
        }
        (moved != links).then_some(moved)
    }

    /// By the same route if that leads there, else by the one that leads nearest.
    fn reach(&self, there: &Url) -> Option<Url> {
        let all = self.ports.iter().flat_map(|port| port.1.routes.iter().map(move |route| (port, route)));
        let leading = all.filter_map(|(port, route)| Some((port, route, route.rest(there)?)));
        let (port, route, rest) =
            leading.max_by_key(|(_, route, _)| (std::ptr::eq(*route, self.route), route.base_path.len()))?;
        let mut url = self.here.clone();
        if !port.1.routes.iter().any(|route| std::ptr::eq(route, self.route)) {
            url.set_port(Some(port.0.port())).ok()?;
        }
        url.set_path(&format!("{}{rest}", route.prefix));
        url.set_query(there.query());
        url.set_fragment(there.fragment());
        Some(url)
    }

    /// A cookie that the client will keep and send back: a Domain that it is not in would make it refuse the cookie (RFC 6265
    /// section 5.3), a Path that it never asks for would make it keep it to itself (section 5.4).
    fn cookie(&self, cookie: &str) -> Option<String> {
        let (here, there) = (self.here.host_str()?, self.there.host_str()?);
        cookies::change_attributes(cookie, |name, value| match name {
            "domain" if cookies::domain_matches(value, there) && !cookies::domain_matches(value, here) => {
                AttributeChange::Remove
            }
            "path" => self.route.cookie_path(value).map_or(AttributeChange::Keep, AttributeChange::Replace),
            _ => AttributeChange::Keep,
        })
    }

    fn allowed(&self, origin: &str) -> Option<String> {
        let there = Url::parse(origin).ok().filter(|url| url.origin().ascii_serialization() == origin)?;
        let known = |(addr, routes): &(SocketAddr, Arc<Routes>)| {
            let route = routes.routes.iter().find(|route| route.is_at(&there))?;
            Some((*addr, std::ptr::eq(route, self.route)))
        };
        let ports = self.ports.iter().filter_map(known);
        let (addr, same) = ports.max_by_key(|(_, same)| *same)?;
        let mut url = self.here.clone();
        if !same {
            url.set_port(Some(addr.port())).ok()?;
        }
        Some(url.origin().ascii_serialization())
    }
}

impl Route {
    fn is_at(&self, url: &Url) -> bool {
        let origin = &self.site.origin;
        let host = url.host_str().map(|host| host.trim_matches(['[', ']']));
        url.scheme() == origin.scheme.as_str()
            && host == Some(&*origin.host)
            && url.port_or_known_default() == Some(origin.port)
    }

    /// What is left of the path of a URL that this route leads to.
    fn rest<'u>(&self, url: &'u Url) -> Option<&'u str> {
        let rest = url.path().strip_prefix(self.base_path.as_str()).filter(|_| self.is_at(url))?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    /// The Path for a cookie that the origin has set for this one; `None` when it is the same, or when nothing here is below it.
    fn cookie_path(&self, path: &str) -> Option<String> {
        let below = |path: &'_ str, folder: &str| {
            let rest = path.strip_prefix(folder)?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
        };
        let path = path.trim();
        let rest = match below(path, &self.base_path) {
            Some(rest) => rest,
            // A folder above the route's own is one for all of it.
            None => below(&self.base_path, path.trim_end_matches('/')).map(|_| String::new())?,
        };
        let moved = format!(
            "{}{}",
            self.prefix,
            if self.prefix.is_empty() { rest.as_str() } else { rest.trim_end_matches('/') }
        );
        let moved = if moved.is_empty() { "/".to_owned() } else { moved };
        (moved != path).then_some(moved)
    }
}

/// Gives every value of a header that another one is known for that other.
fn change(answer: &mut HeaderMap, name: HeaderName, mut other: impl FnMut(&str) -> Option<String>) {
    let Entry::Occupied(mut values) = answer.entry(name) else { return };
    for value in values.iter_mut() {
        let changed = std::str::from_utf8(value.as_bytes()).ok().and_then(&mut other);
        if let Some(changed) = changed.and_then(|changed| HeaderValue::try_from(changed).ok()) {
            *value = changed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::reverse;
    use super::*;

    fn ports(tls: bool) -> Vec<(SocketAddr, Arc<Routes>)> {
        let reverses = [
            reverse("API", None, "api.test", "/v1"),
            reverse("SHOP", None, "shop.test", ""),
            reverse("PAY", Some("/pay"), "pay.test", ""),
            reverse("LOGIN", Some("/login"), "login.test", "/realm"),
        ];
        let ports = Routes::by_port(&reverses, tls).unwrap().into_iter();
        ports
            .enumerate()
            .map(|(n, routes)| (SocketAddr::from(([127, 0, 0, 1], 1000 + n as u16)), Arc::new(routes)))
            .collect()
    }

    /// What a header of the answer to `GET url` (with this port's address as its host) becomes.
    fn rewritten(url: &str, name: HeaderName, value: &str) -> String {
        let url: Uri = url.parse().unwrap();
        let ports = ports(url.scheme_str() == Some("https"));
        let (_, routes) = ports.iter().find(|(addr, _)| Some(addr.port()) == url.port_u16()).unwrap();
        let (route, path) = routes.find(url.path_and_query().unwrap()).unwrap();
        let there = route.site.uri(path).unwrap();
        let asked = Asked::of(&Request::get(url).body(()).unwrap());
        let places = Places::new(&ports, (routes, route), &asked, &there).unwrap();
        let mut answer = HeaderMap::from_iter([(name.clone(), HeaderValue::from_bytes(value.as_bytes()).unwrap())]);
        places.rewrite(&mut answer);
        answer[name].to_str().unwrap().to_owned()
    }

    #[test]
    fn a_location_leads_back_here_where_it_can() {
        for (url, said, gets) in [
            // The origin's own address, in full or not.
            ("http://h.test:1001/a/b", "https://shop.test/next?q#f", "http://h.test:1001/next?q#f"),
            ("http://h.test:1001/a/b", "//shop.test/next", "http://h.test:1001/next"),
            ("http://h.test:1001/a/b", "/next", "/next"),
            ("http://h.test:1001/a/b", "next", "next"),
            ("https://h.test:1001/a/b", "https://shop.test", "https://h.test:1001/"),
            // The origin does not know that it is behind a prefix, or that the client sees a part of it.
            ("http://h.test:1002/pay/a", "/next", "http://h.test:1002/pay/next"),
            ("http://h.test:1002/pay/a", "next", "next"),
            ("http://h.test:1002/pay/a", "../next", "http://h.test:1002/pay/next"),
            ("http://h.test:1000/a", "/v1/next", "http://h.test:1000/next"),
            ("http://h.test:1000/a", "/v1", "http://h.test:1000/"),
            ("http://h.test:1000/a", "/v2/next", "https://api.test/v2/next"),
            ("http://h.test:1000/a", "/v1x", "https://api.test/v1x"),
            // Another origin that stands here, too.
            ("http://h.test:1001/a", "https://login.test/realm/in?for=1", "http://h.test:1002/login/in?for=1"),
            ("http://h.test:1002/pay/a", "https://api.test/v1/x", "http://h.test:1000/x"),
            ("http://h.test:1002/pay/a", "https://login.test/realm", "http://h.test:1002/login"),
            // Elsewhere.
            ("http://h.test:1001/a", "https://login.test/other", "https://login.test/other"),
            ("http://h.test:1001/a", "http://shop.test/", "http://shop.test/"),
            ("http://h.test:1001/a", "https://shop.test:8443/", "https://shop.test:8443/"),
            ("http://h.test:1001/a", "https://shop.test.evil.test/", "https://shop.test.evil.test/"),
            ("http://h.test:1001/a", "mailto:a@shop.test", "mailto:a@shop.test"),
            ("http://h.test:1001/a", "https://", "https://"),
        ] {
            assert_eq!(rewritten(url, LOCATION, said), gets, "{said} at {url}");
        }
        assert_eq!(rewritten("http://h.test:1002/pay/a", CONTENT_LOCATION, "/b"), "http://h.test:1002/pay/b");
    }

    #[test]
    fn links_lead_back_here_too() {
        for (said, gets) in [
            (
                r#"<https://pay.test/x?page=2>; rel="next", </y>; rel=last; title="a<b", <z>;rel=up"#,
                r#"<http://h.test:1002/pay/x?page=2>; rel="next", <http://h.test:1002/pay/y>; rel=last; title="a<b", <z>;rel=up"#,
            ),
            ("<https://other.test/>; rel=next", "<https://other.test/>; rel=next"),
            ("nonsense < > <", "nonsense < > <"),
        ] {
            assert_eq!(rewritten("http://h.test:1002/pay/a", LINK, said), gets);
        }
    }

    #[test]
    fn a_cookie_is_one_that_comes_back() {
        for (url, said, gets) in [
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
            assert_eq!(rewritten(url, SET_COOKIE, said), gets, "{said} at {url}");
        }
    }

    #[test]
    fn an_origin_that_is_allowed_is_allowed_by_the_name_that_the_client_knows() {
        for (said, gets) in [
            ("https://shop.test", "http://h.test:1001"),
            ("https://api.test", "http://h.test:1000"),
            ("https://pay.test", "http://h.test:1002"),
            ("https://partner.test", "https://partner.test"),
            ("*", "*"),
            ("null", "null"),
        ] {
            assert_eq!(rewritten("http://h.test:1001/a", ACCESS_CONTROL_ALLOW_ORIGIN, said), gets);
        }
    }
}
