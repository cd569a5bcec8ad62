//! `--reverse`: the origins behind a port, and the origin that a request path selects.

use std::net::SocketAddr;

use ::http::uri::PathAndQuery;

use super::refusal::Refusal;
use super::target::Site;
use crate::origin::Origin;

/// `--reverse [NAME=][/PREFIX=]URL`: serve an origin on a port of its own, or below a path prefix.
#[derive(Clone, Debug)]
pub struct ReversePlan {
    /// The name in CMD's variable `HARPROXY_URL_<name>`.
    pub name: String,
    /// The path prefix that selects this origin. It is removed from the path. Origins with a prefix share a port.
    pub prefix: Option<String>,
    pub origin: Origin,
    /// The path of the URL. It is put in front of each request's path.
    pub base_path: String,
}

/// The origins of one port: one without a prefix, or several with one.
#[derive(Debug)]
pub(crate) struct ReverseOrigins {
    pub(super) origins: Vec<ReverseOrigin>,
    tls: bool,
}

#[derive(Debug)]
pub(crate) struct ReverseOrigin {
    name: String,
    /// Empty, or with a leading slash and without a trailing one.
    pub(super) prefix: String,
    pub(super) site: Site,
    /// Empty, or with a leading slash and without a trailing one.
    pub(super) base_path: String,
}

impl ReverseOrigins {
    /// Groups origins by port: each origin without a prefix gets its own port, the others share one.
    ///
    /// # Errors
    /// If an origin is not valid in a URL.
    pub(crate) fn by_port(plans: &[ReversePlan], tls: bool) -> Result<Vec<ReverseOrigins>, Refusal> {
        let mut ports = Vec::new();
        let mut shared = Vec::new();
        for plan in plans {
            let prefix = plan.prefix.as_deref().unwrap_or_default().trim_matches('/');
            let origin = ReverseOrigin {
                name: plan.name.clone(),
                prefix: if prefix.is_empty() { String::new() } else { format!("/{prefix}") },
                site: plan.origin.clone().try_into()?,
                base_path: plan.base_path.trim_end_matches('/').to_owned(),
            };
            if plan.prefix.is_some() {
                shared.push(origin);
            } else {
                ports.push(ReverseOrigins { origins: vec![origin], tls });
            }
        }
        if !shared.is_empty() {
            shared.sort_by_key(|origin| std::cmp::Reverse(origin.prefix.len()));
            ports.push(ReverseOrigins { origins: shared, tls });
        }
        Ok(ports)
    }

    /// Name and URL of each origin, as a client on this machine reaches it at `addr`.
    pub(crate) fn urls(&self, addr: SocketAddr) -> impl Iterator<Item = (String, String)> {
        let base = format!("{}://{}", self.scheme(), reachable(addr));
        self.origins.iter().map(move |origin| (origin.name.clone(), format!("{base}{}", origin.prefix)))
    }

    pub(super) fn scheme(&self) -> &'static str {
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
    use super::*;
    use crate::origin::Scheme;

    fn plan(name: &str, prefix: Option<&str>, host: &str, base_path: &str) -> ReversePlan {
        let origin = Origin { scheme: Scheme::Https, host: host.into(), port: 443 };
        ReversePlan { name: name.into(), prefix: prefix.map(Into::into), origin, base_path: base_path.into() }
    }

    fn find(origins: &ReverseOrigins, path: &str) -> Option<String> {
        let (origin, path) = origins.find(&path.parse().unwrap()).ok()?;
        Some(format!("{}{path}", origin.site.authority))
    }

    #[test]
    fn longest_prefix_wins_and_is_removed() {
        let ports = ReverseOrigins::by_port(
            &[
                plan("A", Some("/api"), "a.test", ""),
                plan("ALONE", None, "alone.test", "/v1/"),
                plan("B", Some("/api/b/"), "b.test", "/base"),
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
