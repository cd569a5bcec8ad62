//! The requests that may use the credentials of a rule. Any page in a browser of this machine can reach the mock
//! server.

use std::net::IpAddr;

use ::http::HeaderMap;
use ::http::header::{HOST, ORIGIN, REFERER};

use crate::serve::rule::RouteRule;
use harproxy_http::NormalUrl;
use harproxy_http::url::is_loopback_host;
use harproxy_proxy::Origin;

/// The request header in which a browser says how the page is related to the server (Fetch Metadata).
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// The names below which no public DNS server answers.
const PRIVATE: [&str; 6] = ["localhost", "test", "local", "home.arpa", "internal", "svc"];

/// Returns true if the credentials of a rule may go to this server.
pub(super) fn may_have_credentials(rule: &RouteRule, to: &Origin) -> bool {
    rule.live_headers.is_empty() || rule.pattern.globs().may_match_origin(&to.to_string())
}

/// Returns true for a request of a program, and for one of a page that may use the developer's credentials. Such a page
/// is on this machine, at the host of the API, or on the site of the API as the browser says. If the browser does not
/// say it, hosts above and below that of the API are on its site.
pub(super) fn is_trusted_page(headers: &HeaderMap, to: &Origin) -> bool {
    let site = text(headers, SEC_FETCH_SITE);
    let page = text(headers, ORIGIN.as_str()).or_else(|| text(headers, REFERER.as_str()));
    match (site, page) {
        (Some("same-origin" | "same-site" | "none"), _) => true,
        (site, Some(page)) => is_page_of(page, to, site.is_none()),
        (site, None) => site.is_none(),
    }
}

/// Returns true if the page is on this machine, or at the host of the API; with `or_near` also above or below that
/// host.
fn is_page_of(page: &str, to: &Origin, or_near: bool) -> bool {
    let Ok(page) = NormalUrl::parse(page) else { return false };
    let host = page.parts().host().to_owned();
    let is_below = |host: &str, of: &str| host.strip_suffix(of).is_some_and(|rest| rest.ends_with('.'));
    let is_near = || is_below(&host, &to.host) || is_below(&to.host, &host);
    is_loopback_host(&host) || host == *to.host || (or_near && is_near())
}

/// Returns true if `Host` is an address, the host of the API, or a name that no public DNS server answers for: one
/// without a dot, or one below `localhost`, `test` (RFC 6761), `local` (RFC 6762), `home.arpa` (RFC 8375), `internal`
/// or `svc`. A page can point a public name at this server (DNS rebinding).
pub(super) fn is_private_host(headers: &HeaderMap, to: &Origin) -> bool {
    let Some(host) = text(headers, HOST.as_str()) else { return true };
    let Ok(url) = NormalUrl::parse(&format!("http://{host}/")) else { return false };
    let host = url.parts().host().to_owned();
    let is_address = host.starts_with('[') || host.parse::<IpAddr>().is_ok();
    let is_private = |name: &&str| host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
    is_address || host == *to.host || !host.contains('.') || PRIVATE.iter().any(is_private)
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::HeaderName;
    use harproxy_proxy::Scheme;

    #[test]
    fn pages_of_other_sites_are_not_trusted() {
        let to = Origin { scheme: Scheme::Https, host: "shop.co.uk".into(), port: 443 };
        let is_trusted = |fields: &[(&'static str, &str)]| {
            let fields = fields.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
            let headers = fields.collect();
            is_private_host(&headers, &to) && is_trusted_page(&headers, &to)
        };
        for trusted in [
            &[][..],
            &[("host", "shop.co.uk")],
            &[("host", "[::1]:4010"), ("origin", "http://localhost:3000")],
            &[("host", "harproxy:4010")],
            &[("host", "mock.default.svc.cluster.local")],
            &[("origin", "https://www.shop.co.uk")],
            &[("origin", "https://app.other.uk"), (SEC_FETCH_SITE, "same-site")],
            &[("referer", "http://127.0.0.1:3000/page"), (SEC_FETCH_SITE, "cross-site")],
        ] {
            assert!(is_trusted(trusted), "{trusted:?}");
        }
        for foreign in [
            &[("origin", "https://evil.co.uk")][..],
            &[("origin", "null")],
            &[("origin", "https://www.shop.co.uk"), (SEC_FETCH_SITE, "cross-site")],
            &[("origin", "https://xshop.co.uk")],
            &[("referer", "https://evil.co.uk/page")],
            &[(SEC_FETCH_SITE, "cross-site")],
            &[("host", "evil.co.uk:4010"), (SEC_FETCH_SITE, "same-origin")],
            &[("host", "127.0.0.1.evil.co.uk")],
        ] {
            assert!(!is_trusted(foreign), "{foreign:?}");
        }
    }
}
