//! URLs of this machine.

use std::net::IpAddr;

use harproxy_http::NormalUrl;
use harproxy_http::url::is_localhost;

/// Returns true if a URL leads to this machine: 127.0.0.0/8, ::1, `localhost` and `*.localhost` (RFC 6761 section 6.3).
/// Names are never resolved.
#[must_use]
pub fn is_local(url: &NormalUrl) -> bool {
    let parts = url.parts();
    let host = parts.host().trim_matches(['[', ']']);
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => is_localhost(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_is_loopback_by_address_and_by_reserved_name() {
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
            assert_eq!(is_local(&NormalUrl::parse(url).unwrap()), local, "{url}");
        }
    }
}
