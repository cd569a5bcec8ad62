//! Builds `NO_PROXY` for CMD from `--bypass` and from the entries of the user's `NO_PROXY` that are out of scope.
//!
//! The user's loopback entries are dropped: local APIs can be recorded, and out-of-scope local requests are passed
//! through.

use std::net::IpAddr;

use harproxy_http::url::is_localhost;
use harproxy_tls::bundle::Environment;

/// Returns the entries of `NO_PROXY` without duplicates. `may_match` tells whether a URL in scope could have a host.
pub(super) fn entries(bypass: &[String], may_match: &dyn Fn(&str) -> bool, user: &Environment) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let own = ["no_proxy", "NO_PROXY"].iter().filter_map(|name| user.get(*name)?.to_str());
    let own = own.flat_map(|value| value.split([',', ' '])).map(str::trim).filter(|entry| keeps(entry, may_match));
    for entry in bypass.iter().map(String::as_str).chain(own) {
        if !all.iter().any(|known| known == entry) {
            all.push(entry.to_owned());
        }
    }
    all
}

/// Returns the entries in the syntax of `http.nonProxyHosts`: separated by `|`, with `*` as a prefix wildcard. Entries
/// with a port or a network are omitted, because the JVM does not support them.
pub(super) fn for_jvm(entries: &[String]) -> String {
    let hosts = entries.iter().filter_map(|entry| {
        let (host, port) = host_and_port(entry);
        let plain = port.is_none() && !host.contains('/');
        plain.then(|| match (host.parse::<IpAddr>(), host.strip_prefix('.')) {
            (Ok(IpAddr::V6(address)), _) => format!("[{address}]"),
            (_, Some(domain)) => format!("*.{domain}"),
            _ => host.to_owned(),
        })
    });
    hosts.collect::<Vec<_>>().join("|")
}

/// Returns true if an entry of the user's `NO_PROXY` stays. Clients treat `corp.example`, `.corp.example` and
/// `*.corp.example` alike: the domain and its subdomains. `*` and networks (`10.0.0.0/8`) are dropped, because they
/// could cover hosts in scope.
fn keeps(entry: &str, may_match: &dyn Fn(&str) -> bool) -> bool {
    let (host, _) = host_and_port(entry);
    let domain = host.trim_start_matches("*.").trim_start_matches('.').to_ascii_lowercase();
    let any = domain.is_empty() || domain.contains(['*', '/']);
    !any && !is_loopback(&domain) && !may_match(&domain)
}

fn is_loopback(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback() || address.is_unspecified(),
        Err(_) => is_localhost(host) || LOOPBACK.contains(&host),
    }
}

/// Names of loopback in a typical `/etc/hosts`.
const LOOPBACK: &[&str] = &["localhost.localdomain", "localdomain", "ip6-localhost", "ip6-loopback"];

/// Splits `host`, `host:port`, `[v6]`, `[v6]:port` or a bare `v6` into host and port.
fn host_and_port(entry: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host, rest.strip_prefix(':'));
    }
    match entry.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        _ => (entry, None),
    }
}
