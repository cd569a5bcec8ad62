//! `--reverse`: which origin a request on such a port is for.

use std::net::SocketAddr;

use ::http::uri::PathAndQuery;

use super::respond::Trouble;
use super::server::Reverse;
use super::target::Site;

pub(super) mod places;

/// The origins that one port listens as: one without a prefix, or several with.
#[derive(Debug)]
pub(super) struct Routes {
    routes: Vec<Route>,
    tls: bool,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Route {
    name: String,
    /// Empty, or with a slash before it and none behind.
    prefix: String,
    pub(super) site: Site,
    /// Empty, or with a slash before it and none behind.
    base_path: String,
}

impl Routes {
    /// Sorts the origins by port: each one without a prefix gets its own, the others share one.
    pub(super) fn by_port(reverses: &[Reverse], tls: bool) -> Result<Vec<Routes>, Trouble> {
        let mut ports = Vec::new();
        let mut shared = Vec::new();
        for reverse in reverses {
            let prefix = reverse.prefix.as_deref().unwrap_or_default().trim_matches('/');
            let route = Route {
                name: reverse.name.clone(),
                prefix: if prefix.is_empty() { String::new() } else { format!("/{prefix}") },
                site: reverse.origin.clone().try_into()?,
                base_path: reverse.base_path.trim_end_matches('/').to_owned(),
            };
            if reverse.prefix.is_some() { shared.push(route) } else { ports.push(Routes { routes: vec![route], tls }) }
        }
        if !shared.is_empty() {
            shared.sort_by_key(|route| std::cmp::Reverse(route.prefix.len()));
            ports.push(Routes { routes: shared, tls });
        }
        Ok(ports)
    }

    /// Name and URL of each origin, as a client on this machine reaches it at `addr`.
    pub(super) fn urls(&self, addr: SocketAddr) -> impl Iterator<Item = (String, String)> {
        let base = format!("{}://{}", self.scheme(), reachable(addr));
        self.routes.iter().map(move |route| (route.name.clone(), format!("{base}{}", route.prefix)))
    }

    fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// The origin for this path, and the path there: the prefix is cut off and the origin's own path put before.
    pub(super) fn find(&self, path: &PathAndQuery) -> Result<(&Route, PathAndQuery), Trouble> {
        for route in &self.routes {
            let rest = path.as_str().strip_prefix(route.prefix.as_str());
            // `/api` must not take `/apis`.
            if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with(['/', '?', '*'])) {
                let whole = route.prefix.is_empty() && route.base_path.is_empty();
                let there = if whole { path.clone() } else { join(&route.base_path, rest)? };
                return Ok((route, there));
            }
        }
        Err(Trouble::NoRoute(self.routes.iter().map(|route| route.prefix.clone()).collect()))
    }
}

fn join(base: &str, rest: &str) -> Result<PathAndQuery, Trouble> {
    let slash = if base.is_empty() && !rest.starts_with('/') { "/" } else { "" };
    PathAndQuery::try_from(format!("{base}{slash}{rest}")).map_err(|error| Trouble::Target(error.to_string()))
}

/// The address that a client on this machine can connect to.
pub(super) fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        std::net::IpAddr::V4(ip) if ip.is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(ip) if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}

#[cfg(test)]
mod tests {
    use super::super::origin::{Origin, Scheme};
    use super::*;

    pub(super) fn reverse(name: &str, prefix: Option<&str>, host: &str, base_path: &str) -> Reverse {
        let origin = Origin { scheme: Scheme::Https, host: host.into(), port: 443 };
        Reverse { name: name.into(), prefix: prefix.map(Into::into), origin, base_path: base_path.into() }
    }

    fn find(routes: &Routes, path: &str) -> Option<String> {
        let (route, path) = routes.find(&path.parse().unwrap()).ok()?;
        Some(format!("{}{path}", route.site.authority))
    }

    #[test]
    fn the_longest_prefix_wins_and_is_cut_off() {
        let ports = Routes::by_port(
            &[
                reverse("A", Some("/api"), "a.test", ""),
                reverse("ALONE", None, "alone.test", "/v1/"),
                reverse("B", Some("/api/b/"), "b.test", "/base"),
            ],
            true,
        )
        .unwrap();
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
        let urls: Vec<_> = shared.urls("0.0.0.0:80".parse().unwrap()).collect();
        assert_eq!(urls[0], ("B".into(), "https://127.0.0.1:80/api/b".into()));
    }
}
