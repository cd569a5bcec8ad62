//! Parses request targets (RFC 9112 section 3.2) into origins.

use std::sync::Arc;

use ::http::header::HOST;
use ::http::uri::{Authority, PathAndQuery};
use ::http::{Request, Uri};

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
    origin(scheme, authority, Some(scheme.default_port())).map_err(Refusal::InvalidTarget)
}

/// The origin of a CONNECT target: a host and a port. The scheme is assumed to be `https`.
pub(super) fn connect_origin(uri: &Uri) -> Result<Origin, Refusal> {
    match uri.authority() {
        Some(authority) if uri.scheme().is_none() && !authority.as_str().contains('@') => {
            origin(Scheme::Https, authority, None).map_err(Refusal::InvalidTarget)
        }
        _ => Err(Refusal::InvalidTarget(format!("CONNECT takes host:port, and `{uri}` is not that"))),
    }
}

/// The origin that a request inside a CONNECT is for: the one that `:authority`, the target in absolute form and Host
/// name, else the CONNECT target.
///
/// # Errors
/// If one of them is not a host with an optional port, or if they name several origins. Another program could then
/// answer for another host (RFC 9112 section 3.2).
pub(super) fn named_origin<B>(request: &Request<B>, connect_to: &Origin) -> Result<Origin, Refusal> {
    let in_target = request.uri().authority().map(|authority| host_origin(authority.as_str().as_bytes(), connect_to));
    let in_fields = request.headers().get_all(HOST).iter().map(|host| host_origin(host.as_bytes(), connect_to));
    let mut named = in_target.into_iter().chain(in_fields);
    let Some(first) = named.next().transpose()? else { return Ok(connect_to.clone()) };
    for other in named {
        if other? != first {
            return Err(Refusal::InvalidHost("The request names two hosts."));
        }
    }
    Ok(first)
}

/// The origin that a Host header inside a CONNECT names. Without a port it is that of the CONNECT target if the hosts
/// are equal, since some clients leave it out, and else the scheme's (RFC 9110 section 7.2).
fn host_origin(host: &[u8], connect_to: &Origin) -> Result<Origin, Refusal> {
    // The reason does not quote it: user name and password may be in it.
    let invalid = || Refusal::InvalidHost("Its Host is not one host with an optional port.");
    // A comma joins header lines, and a user name is not part of a Host.
    let is_one_host = !host.contains(&b'@') && !host.contains(&b',');
    let authority = Authority::try_from(host).ok().filter(|_| is_one_host).ok_or_else(invalid)?;
    let scheme = connect_to.scheme;
    let named = origin(scheme, &authority, Some(scheme.default_port())).map_err(|_| invalid())?;
    let is_same_host = authority.port_u16().is_none() && named.host == connect_to.host;
    Ok(if is_same_host { connect_to.clone() } else { named })
}

/// The origin of an authority, with the host as the URL Standard serialises it: origins are compared by it.
fn origin(scheme: Scheme, authority: &Authority, default_port: Option<u16>) -> Result<Origin, String> {
    let invalid = |reason: &str| format!("`{authority}`: {reason}");
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

    /// The origin of a request inside `CONNECT api.test:8443`, or the status of its refusal.
    fn named(target: &str, hosts: &[&str]) -> Result<String, u16> {
        let connect_to = Origin { scheme: Scheme::Https, host: "api.test".into(), port: 8443 };
        let mut request = Request::get(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let named = named_origin(&request.body(()).unwrap(), &connect_to);
        named.map(|origin| origin.authority()).map_err(|refusal| refusal.problem().status)
    }

    #[test]
    fn host_inside_a_tunnel_names_the_origin() {
        for (target, hosts, expected) in [
            ("/", &[][..], "api.test:8443"),
            ("/", &["api.test:8443"], "api.test:8443"),
            ("/", &["API.test"], "api.test:8443"),
            ("/", &["api.test:9000"], "api.test:9000"),
            ("/", &["b.test"], "b.test"),
            ("/", &["b.test:8443"], "b.test:8443"),
            ("/", &["b.test:443", "B.test"], "b.test"),
            ("/", &["[::1]:8443"], "[::1]:8443"),
            ("https://b.test/", &[], "b.test"),
            ("https://b.test/", &["b.test"], "b.test"),
        ] {
            assert_eq!(named(target, hosts).as_deref(), Ok(expected), "{target} {hosts:?}");
        }
    }

    #[test]
    fn ambiguous_host_inside_a_tunnel_is_refused() {
        for hosts in [
            &["a@localhost"][..],
            &["localhost, evil.test"],
            &["localhost,evil.test"],
            &["[::1"],
            &["::1"],
            &["evil.test/x"],
            &["evil.test?x"],
            &["evil.test\\x"],
            &["evil.test:0"],
            &["evil.test:80x"],
            &["evil.test:99999"],
            &["evil%2etest"],
            &["bücher.test"],
            &["https://evil.test"],
            &[""],
            &[" "],
            &[":8443"],
            &["api.test:8443", "evil.test"],
            &["api.test:8443", ""],
        ] {
            assert_eq!(named("/", hosts), Err(400), "{hosts:?}");
        }
        assert_eq!(named("https://b.test/", &["api.test"]), Err(400));
        assert_eq!(named("https://a@b.test/", &[]), Err(400));
    }

    #[test]
    fn path_is_unchanged() {
        let origin = absolute_origin(&"http://Example.com:80/x".parse().unwrap()).unwrap();
        let uri = uri(&origin, "/a%2Fb//c?q=%41&r".parse().unwrap()).unwrap();
        assert_eq!(uri.to_string(), "http://example.com/a%2Fb//c?q=%41&r");
    }
}
