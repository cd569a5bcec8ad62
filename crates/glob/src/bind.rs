//! Rewrites globs: binds one to an origin, and completes one that matches no URL.

use std::net::IpAddr;

use super::Globs;
use super::glob::{Reach, UrlGlob};

/// The suggestion for a glob that looks like neither a host nor a path.
const EXAMPLE: &str = "https://api.example.com/**";

impl Globs {
    /// Returns the first glob that includes this URL, with the URL's origin in place of its own wildcards. An empty
    /// list becomes `ORIGIN/**`.
    ///
    /// ```
    /// use harproxy_glob::Globs;
    /// let globs = Globs::new(["**/api/**"]).unwrap();
    /// let bound = globs.bind("http://localhost:5173/api/users", "http://localhost:5173");
    /// assert_eq!(bound.unwrap(), "http://localhost:5173/api/**");
    /// ```
    #[must_use]
    pub fn bind(&self, url: &str, origin: &str) -> Option<String> {
        let everything = format!("{origin}/**");
        if !self.matches(url) {
            return None;
        }
        let mut sources = self.sources.iter().filter(|glob| !glob.starts_with('!'));
        let Some(glob) = sources.find(|glob| UrlGlob::new(glob).is_ok_and(|glob| glob.matches(url, 0))) else {
            return Some(everything);
        };
        let path = match glob.split_once("://") {
            Some((_, rest)) => rest.split_once('/').map_or("**", |(_, path)| path),
            None => glob.strip_prefix("**/").unwrap_or(glob),
        };
        let mut candidates = [format!("{origin}/{path}"), format!("{origin}/**/{path}")].into_iter();
        // The URL may have another port than the origin, which can be `*`.
        let fits = |bound: &String| UrlGlob::new(bound).is_ok_and(|bound| bound.matches(url, 0));
        Some(candidates.find(fits).unwrap_or(everything))
    }
}

/// Returns the glob that a user most likely meant with one that matches no URL, because it has no scheme.
/// `None` if a URL can match.
///
/// ```
/// use harproxy_glob::completed;
/// assert_eq!(completed("api.example.com").unwrap(), "https://api.example.com/**");
/// assert_eq!(completed("!*.example.com/v1").unwrap(), "!https://*.example.com/v1");
/// assert_eq!(completed("https://api.example.com/v1/*"), None);
/// ```
#[must_use]
pub fn completed(glob: &str) -> Option<String> {
    let (sign, glob) = glob.strip_prefix('!').map_or(("", glob), |glob| ("!", glob));
    if UrlGlob::new(glob).ok()?.can_match_url() {
        return None;
    }
    let (scheme, rest) = match glob.split_once("://") {
        Some(("ws", rest)) => ("http", rest),
        Some(("wss", rest)) => ("https", rest),
        Some((scheme, rest)) => (scheme, rest),
        None => ("", glob.trim_start_matches("*/").trim_matches('/')),
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, "**"));
    let completed = match scheme {
        "" if is_this_machine(host) => format!("http://{host}/{path}"),
        "" if glob.starts_with('/') || !is_host(host) => format!("**/{rest}"),
        "" => format!("https://{host}/{path}"),
        scheme => format!("{scheme}://{host}/{path}"),
    };
    let can_match = UrlGlob::new(&completed).is_ok_and(|glob| glob.can_match_url());
    Some(sign.to_owned() + if can_match { &completed } else { EXAMPLE })
}

/// Returns true if a host with an optional port is this machine. It is the rule of `is_loopback_host` in
/// `harproxy-http`, which this crate can't call: globs know no HTTP. A test compares the two.
fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(address) => address.split(']').next(),
        None => host.split(':').next(),
    };
    let name = name.unwrap_or_default();
    match name.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case("localhost"))
        }
    }
}

/// Returns true for `example.com`, `db:8080` and `*.example.com`, but not for `*.json`.
fn is_host(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    name.contains(['.', ':'])
}

impl UrlGlob {
    /// Returns false if the glob matches neither `http://…` nor `https://…`.
    fn can_match_url(&self) -> bool {
        ["http://", "https://"].iter().any(|scheme| self.reach(scheme, 0) != Reach::None)
    }
}
