//! Origins and sessions: where a request goes, and the client identity that it comes from.

use std::net::IpAddr;
use std::sync::Arc;

use harproxy_http::NormalUrl;
use harproxy_http::url::is_localhost;

/// `http` or `https`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// The scheme of a URL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The port of a URL without one.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// Scheme, host and port (RFC 6454). The host is in lower case and an IPv6 address has no brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    pub scheme: Scheme,
    /// Name or address.
    pub host: Arc<str>,
    pub port: u16,
}

impl Origin {
    /// The origin of a URL. `None` without a host.
    #[must_use]
    pub fn of_url(url: &NormalUrl) -> Option<Self> {
        let parts = url.parts();
        let scheme = if parts.is_https() { Scheme::Https } else { Scheme::Http };
        let host = Some(parts.host().trim_matches(['[', ']'])).filter(|host| !host.is_empty())?;
        let port = parts.port().unwrap_or(scheme.default_port());
        Some(Origin { scheme, host: Arc::from(host), port })
    }

    /// `host:port` as in a Host header: without the default port, IPv6 in brackets.
    #[must_use]
    pub fn authority(&self) -> String {
        match (self.host.contains(':'), self.port == self.scheme.default_port()) {
            (false, true) => self.host.as_ref().to_owned(),
            (true, true) => format!("[{}]", self.host),
            (_, false) => self.host_and_port(),
        }
    }

    /// `host:port` as in a CONNECT: with the default port, IPv6 in brackets.
    #[must_use]
    pub fn host_and_port(&self) -> String {
        with_port(&self.host, self.port)
    }
}

/// `host:port`, an IPv6 address in brackets.
pub(crate) fn with_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// `https://host:port` as the URL Standard serialises an origin: without the default port, IPv6 in brackets.
impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority())
    }
}

/// The client identity that a user name in the proxy URL gives; `None` for clients without one.
///
/// Each session has its own position in recorded sequences and its own shared upstream connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Session(pub Option<Arc<str>>);

/// Returns true if `host` is a name or address of a listener on `bound`. `local` is the address of this machine that is
/// compared when the listener is bound to all addresses.
pub(crate) fn is_own_host(host: &str, bound: IpAddr, local: IpAddr) -> bool {
    let everywhere = bound.is_unspecified();
    match host.parse::<IpAddr>() {
        Ok(ip) => ip == bound || everywhere && (ip.is_loopback() || ip.is_unspecified() || ip == local),
        Err(_) => (everywhere || bound.is_loopback()) && is_localhost(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_host_is_recognised_by_all_its_names() {
        let is_own = |host, bound: &str, local: &str| is_own_host(host, bound.parse().unwrap(), local.parse().unwrap());
        for host in ["localhost", "x.localhost", "localhost.", "127.0.0.1"] {
            assert!(is_own(host, "127.0.0.1", "127.0.0.1"), "{host}");
            assert!(is_own(host, "0.0.0.0", "192.0.2.1"), "{host}");
        }
        assert!(is_own("::1", "::", "::1"));
        assert!(is_own("192.0.2.1", "0.0.0.0", "192.0.2.1"));
        for host in ["127.0.0.2", "::1", "example.com", "notlocalhost", "192.0.2.2"] {
            assert!(!is_own(host, "127.0.0.1", "127.0.0.1"), "{host}");
        }
        assert!(!is_own("localhost", "192.0.2.1", "192.0.2.1"));
    }
}
