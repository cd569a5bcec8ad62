//! Noise: requests that browsers, package managers and operating systems send on their own. They are not recorded, and
//! replay refuses them without a finding.
//!
//! The list is short. It contains hosts that serve only noise, and single paths of other hosts. Requests that a test
//! may send on purpose are not on it: the `audit` of a package registry belongs to `npm install`, analytics belong to
//! the page under test.

use std::sync::LazyLock;

use harproxy_http::NormalUrl;

/// The hosts and the beginnings of paths that are noise. The path is empty if the whole host is.
static LIST: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| {
    let lines = include_str!("noise.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_at(line.find('/').unwrap_or(line.len()))).collect()
});

/// Returns true if the URL is on the built-in list. Callers check `/favicon.ico` themselves.
///
/// ```
/// use harproxy_http::NormalUrl;
/// use harproxy_matching::noise::is_noise;
/// let url = |text| NormalUrl::parse(text).unwrap();
/// assert!(is_noise(&url("http://detectportal.firefox.com/success.txt?ipv4")));
/// assert!(is_noise(&url("https://www.google.com/generate_204")));
/// assert!(!is_noise(&url("https://www.google.com/search?q=harproxy")));
/// ```
#[must_use]
pub fn is_noise(url: &NormalUrl) -> bool {
    let parts = url.parts();
    let target = &url.as_str()[parts.origin.len()..];
    prefixes(parts.host()).any(|prefix| target.starts_with(prefix))
}

/// Returns true if the host is on the list, with all paths or with some. A client that refuses harproxy's certificate
/// for such a host misses only noise.
#[must_use]
pub fn knows(host: &str) -> bool {
    prefixes(host).next().is_some()
}

/// Returns the path prefixes that are noise on a host.
fn prefixes(host: &str) -> impl Iterator<Item = &'static str> {
    // A fully qualified name may end with a dot.
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_listed = move |known: &str| known == host || (known.starts_with('.') && host.ends_with(known));
    LIST.iter().filter(move |(known, _)| is_listed(known)).map(|(_, prefix)| *prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_of_the_list_is_noise() {
        for (host, path) in LIST.iter() {
            let below = if host.starts_with('.') { "a" } else { "" };
            let url = NormalUrl::parse(&format!("https://{below}{host}{path}")).unwrap();
            assert!(is_noise(&url), "{}", url.as_str());
        }
    }

    #[test]
    fn only_listed_hosts_and_paths_are_noise() {
        for (url, noise) in [
            ("http://connectivitycheck.gstatic.com/generate_204", true),
            ("https://update.googleapis.com/service/update2/json", true),
            ("https://r4---sn-4g5e6nsz.gvt1.com/edgedl/x", true),
            ("https://clients2.google.com./service/update2/crx", true),
            ("https://firefox.settings.services.mozilla.com/v1/", true),
            ("http://captive.apple.com/hotspot-detect.html", true),
            ("http://www.msftconnecttest.com/connecttest.txt", true),
            ("https://accounts.google.com/ListAccounts?gpsia=1", true),
            ("https://accounts.google.com/o/oauth2/v2/auth", false),
            ("https://gvt1.com.evil.test/", false),
            ("https://notgvt1.com/", false),
            ("https://registry.test/-/npm/v1/security/advisories/bulk", false),
            ("https://www.google-analytics.com/g/collect", false),
            ("https://api.test/favicon.ico", false),
            ("http://127.0.0.1/generate_204", false),
        ] {
            assert_eq!(is_noise(&NormalUrl::parse(url).unwrap()), noise, "{url}");
        }
    }

    #[test]
    fn reference_lists_all_noise() {
        let reference = include_str!("../../../docs/reference/matching.md");
        for (host, path) in LIST.iter() {
            let star = if host.starts_with('.') { "*" } else { "" };
            assert!(reference.contains(&format!("`{star}{host}{path}`")), "{host}{path}");
        }
    }

    #[test]
    fn hosts_are_unique_and_in_lower_case() {
        let mut seen = std::collections::HashSet::new();
        for (host, path) in LIST.iter() {
            assert_eq!(*host, host.to_ascii_lowercase());
            assert!(!host.is_empty() && seen.insert((host, path)), "{host}{path}");
        }
    }
}
