//! What CMD reaches without the proxy: `--bypass`, and of the user's own `NO_PROXY` the hosts that are out of any glob's reach.
//!
//! Never loopback: local APIs are APIs, and what of them is out of scope passes as local.

use std::net::IpAddr;

use super::env::Facts;
use harproxy_http::url::is_localhost;
use harproxy_tls::bundle::Environment;

/// The entries in force, none twice.
pub(super) fn entries(facts: &Facts<'_>, user: &Environment) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let own = ["no_proxy", "NO_PROXY"].iter().filter_map(|name| user.get(*name)?.to_str());
    let own = own.flat_map(|value| value.split([',', ' '])).map(str::trim).filter(|entry| keeps(entry, facts));
    for entry in facts.bypass.iter().map(String::as_str).chain(own) {
        if !all.iter().any(|known| known == entry) {
            all.push(entry.to_owned());
        }
    }
    all
}

/// The same for `http.nonProxyHosts`: `|` between them, `*` for what a name begins with. It knows no ports and no networks;
/// an entry with one goes through the proxy.
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

/// Clients read `corp.example`, `.corp.example` and `*.corp.example` alike: the domain and what lies below it. `*` and
/// networks (`10.0.0.0/8`) could hold anything, so they go.
fn keeps(entry: &str, facts: &Facts<'_>) -> bool {
    let (host, _) = host_and_port(entry);
    let domain = host.trim_start_matches("*.").trim_start_matches('.').to_ascii_lowercase();
    let any = domain.is_empty() || domain.contains(['*', '/']);
    !any && !is_loopback(&domain) && !(facts.may_match)(&domain)
}

fn is_loopback(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback() || address.is_unspecified(),
        Err(_) => is_localhost(host) || LOOPBACK.contains(&host),
    }
}

/// What `/etc/hosts` calls it, here and there.
const LOOPBACK: &[&str] = &["localhost.localdomain", "localdomain", "ip6-localhost", "ip6-loopback"];

/// `host`, `host:port`, `[v6]`, `[v6]:port`, and `v6` as it is.
fn host_and_port(entry: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host, rest.strip_prefix(':'));
    }
    match entry.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        _ => (entry, None),
    }
}
