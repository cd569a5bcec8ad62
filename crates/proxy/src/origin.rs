//! Origins and sessions: where a request goes, and the client identity that it comes from.

use std::sync::Arc;

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
