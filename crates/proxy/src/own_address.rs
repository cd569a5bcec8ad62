//! Recognises the engine's own addresses.

use std::net::IpAddr;

use harproxy_http::url::is_localhost;

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
