//! Parses request targets (RFC 9112 section 3.2) into origins.

use std::sync::Arc;

use ::http::Uri;
use ::http::uri::{Authority, PathAndQuery};

use super::refusal::Refusal;
use crate::origin::{Origin, Scheme};

/// The URI of a resource of an origin.
pub(super) fn uri(origin: &Origin, path: PathAndQuery) -> Result<Uri, Refusal> {
    if path.as_str().starts_with('*') {
        // `OPTIONS *` is about a server: the proxy or the origin, which a fixture could not tell apart.
        return Err(Refusal::InvalidTarget("`*` names no resource that could be forwarded".to_owned()));
    }
    let uri = Uri::builder().scheme(origin.scheme.as_str()).authority(origin.authority()).path_and_query(path);
    uri.build().map_err(|error| Refusal::InvalidTarget(format!("`{origin}`: {error}")))
}

/// The origin of a URI in absolute form. User name and password are left out.
pub(super) fn absolute_origin(uri: &Uri) -> Result<Origin, Refusal> {
    let scheme = match uri.scheme_str() {
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        _ => return Err(Refusal::InvalidTarget(format!("`{uri}` is not an http or https URL"))),
    };
    let authority = uri.authority().ok_or_else(|| Refusal::InvalidTarget(format!("`{uri}` names no host")))?;
    origin(scheme, authority, Some(scheme.default_port()))
}

/// The origin of a CONNECT target: a host and a port. The scheme is assumed to be `https`.
pub(super) fn connect_origin(uri: &Uri) -> Result<Origin, Refusal> {
    match uri.authority() {
        Some(authority) if uri.scheme().is_none() && !authority.as_str().contains('@') => {
            origin(Scheme::Https, authority, None)
        }
        _ => Err(Refusal::InvalidTarget(format!("CONNECT takes host:port, and `{uri}` is not that"))),
    }
}

/// The origin of an authority, with the host as the URL Standard serialises it: origins are compared by it.
fn origin(scheme: Scheme, authority: &Authority, default_port: Option<u16>) -> Result<Origin, Refusal> {
    let invalid = |reason: &str| Refusal::InvalidTarget(format!("`{authority}`: {reason}"));
    let host = match ::url::Host::parse(authority.host()) {
        Ok(::url::Host::Ipv6(address)) => Arc::from(address.to_string()),
        Ok(host) => Arc::from(host.to_string()),
        Err(error) => return Err(invalid(&error.to_string())),
    };
    let after_host = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, host)| host);
    let port = match (after_host[authority.host().len()..].strip_prefix(':'), default_port) {
        (None | Some(""), Some(port)) => port,
        (None | Some(""), None) => return Err(invalid("the port is missing")),
        (Some(digits), _) => match digits.parse() {
            Ok(port) if port > 0 => port,
            _ => return Err(invalid("invalid port")),
        },
    };
    Ok(Origin { scheme, host, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority(uri: &str) -> Result<String, String> {
        absolute_origin(&uri.parse().unwrap()).map(|origin| origin.authority()).map_err(|t| t.problem().detail)
    }

    fn connect(target: &str) -> Option<String> {
        connect_origin(&target.parse().ok()?).ok().map(|origin| format!("{} {}", origin.host, origin.port))
    }

    #[test]
    fn host_is_normalised() {
        assert_eq!(authority("HTTP://Example.COM:80/a").unwrap(), "example.com");
        assert_eq!(authority("http://example.com:443/").unwrap(), "example.com:443");
        assert_eq!(authority("https://example.com:443/").unwrap(), "example.com");
        assert_eq!(authority("http://user:pw@example.com:81/").unwrap(), "example.com:81");
        assert_eq!(authority("http://example.com:/").unwrap(), "example.com");
        assert_eq!(authority("http://[0:0::1]:8080/").unwrap(), "[::1]:8080");
        assert_eq!(authority("http://127.1/").unwrap(), "127.0.0.1");
        assert!(authority("ftp://example.com/").unwrap_err().contains("not an http"));
        assert!(authority("http://example.com:0/").unwrap_err().contains("port"));
        assert!(authority("http://example.com:99999/").is_err());
    }

    #[test]
    fn connect_target_is_a_host_and_a_port() {
        assert_eq!(connect("Example.com:443").unwrap(), "example.com 443");
        assert_eq!(connect("[::1]:8443").unwrap(), "::1 8443");
        for invalid in
            ["example.com", "http://example.com:443/", "/", "*", "u@example.com:443", "example.com:0", "a:b:443"]
        {
            assert_eq!(connect(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn path_is_unchanged() {
        let origin = absolute_origin(&"http://Example.com:80/x".parse().unwrap()).unwrap();
        let uri = uri(&origin, "/a%2Fb//c?q=%41&r".parse().unwrap()).unwrap();
        assert_eq!(uri.to_string(), "http://example.com/a%2Fb//c?q=%41&r");
    }
}
