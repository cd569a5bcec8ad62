//! Noise: requests that browsers, package managers and operating systems send on their own. They are not recorded, and
//! replay refuses them without a finding.
//!
//! The list is short. It contains hosts that serve only noise, and single paths of other hosts. Requests that a test
//! may send on purpose are not on it: the `audit` of a package registry belongs to `npm install`, analytics belong to
//! the page under test.

use harproxy_http::NormalUrl;
use harproxy_http::url::Parts;

/// Hosts that serve only noise. A name that begins with `.` stands for all names below it.
const HOSTS: &[&str] = &[
    // Chromium: updates, component downloads, safe browsing, hints, accounts and metrics.
    "android.clients.google.com",
    "chromewebstore.googleapis.com",
    "clients1.google.com",
    "clients2.google.com",
    "clients2.googleusercontent.com",
    "clients3.google.com",
    "clients4.google.com",
    "clients5.google.com",
    "clientservices.googleapis.com",
    "content-autofill.googleapis.com",
    "edgedl.me.gvt1.com",
    "optimizationguide-pa.googleapis.com",
    "passwordsleakcheck-pa.googleapis.com",
    "redirector.gvt1.com",
    "safebrowsing.googleapis.com",
    "safebrowsing.google.com",
    "safebrowsingohttpgateway.googleapis.com",
    "sb-ssl.google.com",
    "update.googleapis.com",
    ".gvt1.com",
    // Firefox: updates, remote settings, telemetry, tracking lists, push.
    "aus5.mozilla.org",
    "ciscobinary.openh264.org",
    "classify-client.services.mozilla.com",
    "content-signature-2.cdn.mozilla.net",
    "contile.services.mozilla.com",
    "firefox-api-proxy.cdn.mozilla.net",
    "firefox-settings-attachments.cdn.mozilla.net",
    "firefox.settings.services.mozilla.com",
    "img-getpocket.cdn.mozilla.net",
    "incoming.telemetry.mozilla.org",
    "location.services.mozilla.com",
    "merino.services.mozilla.com",
    "normandy.cdn.mozilla.net",
    "normandy.services.mozilla.com",
    "push.services.mozilla.com",
    "safebrowsing.services.mozilla.com",
    "services.addons.mozilla.org",
    "shavar.services.mozilla.com",
    "snippets.cdn.mozilla.net",
    "spocs.getpocket.com",
    "tracking-protection.cdn.mozilla.net",
    "versioncheck-bg.addons.mozilla.org",
    "versioncheck.addons.mozilla.org",
    // Edge and Windows: updates, SmartScreen, telemetry.
    "browser.events.data.msn.com",
    "config.edge.skype.com",
    "ctldl.windowsupdate.com",
    "edge.activity.windows.com",
    "edge.microsoft.com",
    "msedge.api.cdp.microsoft.com",
    "nav-edge.smartscreen.microsoft.com",
    "nav.smartscreen.microsoft.com",
    "settings-win.data.microsoft.com",
    "smartscreen-prod.microsoft.com",
    "v10.events.data.microsoft.com",
    "v20.events.data.microsoft.com",
    "watson.events.data.microsoft.com",
    // Safari and macOS.
    "configuration.apple.com",
    "gdmf.apple.com",
    "mesu.apple.com",
    "ocsp.apple.com",
    "ocsp2.apple.com",
    "swscan.apple.com",
    "xp.apple.com",
    // Captive-portal probes.
    "captive.apple.com",
    "connectivity-check.ubuntu.com",
    "connectivitycheck.android.com",
    "connectivitycheck.gstatic.com",
    "detectportal.firefox.com",
    "ipv6.msftconnecttest.com",
    "ipv6.msftncsi.com",
    "network-test.debian.org",
    "nmcheck.gnome.org",
    "www.msftconnecttest.com",
    "www.msftncsi.com",
    // Update checks and telemetry of tools.
    "checkpoint-api.hashicorp.com",
    "data.services.jetbrains.com",
    "default.exp-tas.com",
    "mobile.events.data.microsoft.com",
    "scarf.sh",
    "telemetry.astro.build",
    "analytics.gatsbyjs.com",
    "telemetry.nextjs.org",
    "telemetry.nuxt.com",
    "telemetry.vercel.com",
    "update.code.visualstudio.com",
    "vortex.data.microsoft.com",
];

/// Paths that are noise on hosts with other content: `(host, path prefix)`.
const PATHS: &[(&str, &str)] = &[
    // The probes of Chromium and Android.
    ("www.google.com", "/generate_204"),
    ("www.google.com", "/gen_204"),
    ("www.gstatic.com", "/generate_204"),
    ("google.com", "/generate_204"),
    // Chromium's search box and sign-in state.
    ("accounts.google.com", "/ListAccounts"),
    ("www.google.com", "/async/folae"),
    ("www.google.com", "/async/newtab_"),
    ("www.google.com", "/complete/search?client=chrome"),
    ("www.googleapis.com", "/chromewebstore/"),
    // Deno, after every run.
    ("dl.deno.land", "/release-latest.txt"),
    ("dl.deno.land", "/canary-latest.txt"),
    // Apple's probe.
    ("www.apple.com", "/library/test/success.html"),
];

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
    is_noise_at(&url.parts(), url)
}

/// As [`is_noise`], for a URL whose parts are known.
#[must_use]
pub fn is_noise_at(parts: &Parts<'_>, url: &NormalUrl) -> bool {
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
    let whole = HOSTS.iter().filter(move |known| is_listed(known)).map(|_| "");
    whole.chain(PATHS.iter().filter(move |(known, _)| *known == host).map(|(_, prefix)| *prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_of_the_list_is_noise() {
        let hosts = HOSTS.iter().map(|host| (*host, "/")).chain(PATHS.iter().copied());
        for (host, path) in hosts {
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
        for host in HOSTS {
            let star = if host.starts_with('.') { "*" } else { "" };
            assert!(reference.contains(&format!("`{star}{host}`")), "{host}");
        }
        for (host, path) in PATHS {
            assert!(reference.contains(&format!("`{host}{path}`")), "{host}{path}");
        }
    }

    #[test]
    fn hosts_are_unique_and_in_lower_case() {
        let mut seen = std::collections::HashSet::new();
        for host in HOSTS.iter().chain(PATHS.iter().map(|(host, _)| host)) {
            assert_eq!(*host, host.to_ascii_lowercase());
        }
        assert!(HOSTS.iter().all(|host| seen.insert(host)));
    }
}
