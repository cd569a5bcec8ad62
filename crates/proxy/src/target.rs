//! Where a request wants to go: request targets (RFC 9112 section 3.2) into origins.

use std::sync::Arc;

use ::http::Uri;
use ::http::uri::{Authority, PathAndQuery};

use super::origin::{Origin, Scheme};
use super::respond::Trouble;

/// An origin and how it stands in a URI: default port left out, IPv6 in brackets.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) origin: Origin,
    pub(super) authority: Authority,
}

impl Site {
    /// The URI of a resource here.
    pub(super) fn uri(&self, path: PathAndQuery) -> Result<Uri, Trouble> {
        if path.as_str().starts_with('*') {
            // `OPTIONS *` asks about a server, and there are two: nothing in a fixture could tell which.
            return Err(Trouble::Target("`*` names no resource that could be forwarded".to_owned()));
        }
        let scheme = match self.origin.scheme {
            Scheme::Http => ::http::uri::Scheme::HTTP,
            Scheme::Https => ::http::uri::Scheme::HTTPS,
        };
        let mut parts = ::http::uri::Parts::default();
        parts.scheme = Some(scheme);
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        Uri::from_parts(parts).map_err(|error| Trouble::Target(error.to_string()))
    }
}

impl TryFrom<Origin> for Site {
    type Error = Trouble;

    fn try_from(origin: Origin) -> Result<Self, Trouble> {
        match Authority::try_from(origin.authority()) {
            Ok(authority) => Ok(Site { origin, authority }),
            Err(error) => Err(Trouble::Target(format!("`{origin}`: {error}"))),
        }
    }
}

/// The origin of a URI in absolute form. User name and password in it are nobody's business beyond this hop and are left out.
pub(super) fn site_of(uri: &Uri) -> Result<Site, Trouble> {
    let scheme = match uri.scheme_str() {
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        _ => return Err(Trouble::Target(format!("`{uri}` is not an http or https URL"))),
    };
    let authority = uri.authority().ok_or_else(|| Trouble::Target(format!("`{uri}` names no host")))?;
    origin(scheme, authority, Some(scheme.default_port()))?.try_into()
}

/// The origin that a CONNECT names: a host and a port, nothing else. The scheme is a guess.
pub(super) fn connect_origin(uri: &Uri) -> Result<Origin, Trouble> {
    match uri.authority() {
        Some(authority) if uri.scheme().is_none() && !authority.as_str().contains('@') => {
            origin(Scheme::Https, authority, None)
        }
        _ => Err(Trouble::Target(format!("CONNECT takes host:port, and `{uri}` is not that"))),
    }
}

/// The host as the URL Standard serialises it, so that it is the same wherever URLs are compared.
fn origin(scheme: Scheme, authority: &Authority, default_port: Option<u16>) -> Result<Origin, Trouble> {
    let bad = |reason: &str| Trouble::Target(format!("`{authority}`: {reason}"));
    let host = match ::url::Host::parse(authority.host()) {
        Ok(::url::Host::Ipv6(address)) => Arc::from(address.to_string()),
        Ok(host) => Arc::from(host.to_string()),
        Err(error) => return Err(bad(&error.to_string())),
    };
    let after_host = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, host)| host);
    let port = match (after_host[authority.host().len()..].strip_prefix(':'), default_port) {
        (None | Some(""), Some(port)) => port,
        (None | Some(""), None) => return Err(bad("the port is missing")),
        (Some(digits), _) => match digits.parse() {
            Ok(port) if port > 0 => port,
            _ => return Err(bad("the port is not one")),
        },
    };
    Ok(Origin { scheme, host, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(uri: &str) -> Result<String, String> {
        site_of(&uri.parse().unwrap()).map(|site| site.authority.to_string()).map_err(|t| t.problem().detail)
    }

    fn connect(target: &str) -> Option<String> {
        connect_origin(&target.parse().ok()?).ok().map(|origin| format!("{} {}", origin.host, origin.port))
    }

    #[test]
    fn a_host_is_written_in_one_way() {
        assert_eq!(site("HTTP://Example.COM:80/a").unwrap(), "example.com");
        assert_eq!(site("http://example.com:443/").unwrap(), "example.com:443");
        assert_eq!(site("https://example.com:443/").unwrap(), "example.com");
        assert_eq!(site("http://user:pw@example.com:81/").unwrap(), "example.com:81");
        assert_eq!(site("http://example.com:/").unwrap(), "example.com");
        assert_eq!(site("http://[0:0::1]:8080/").unwrap(), "[::1]:8080");
        assert_eq!(site("http://127.1/").unwrap(), "127.0.0.1");
        assert!(site("ftp://example.com/").unwrap_err().contains("not an http"));
        assert!(site("http://example.com:0/").unwrap_err().contains("port"));
        assert!(site("http://example.com:99999/").is_err());
    }

    #[test]
    fn connect_takes_a_host_and_a_port() {
        assert_eq!(connect("Example.com:443").unwrap(), "example.com 443");
        assert_eq!(connect("[::1]:8443").unwrap(), "::1 8443");
        for odd in ["example.com", "http://example.com:443/", "/", "*", "u@example.com:443", "example.com:0", "a:b:443"]
        {
            assert_eq!(connect(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_path_stays_as_it_was_sent() {
        let site = site_of(&"http://Example.com:80/x".parse().unwrap()).unwrap();
        let uri = site.uri("/a%2Fb//c?q=%41&r".parse().unwrap()).unwrap();
        assert_eq!(uri.to_string(), "http://example.com/a%2Fb//c?q=%41&r");
    }
}
