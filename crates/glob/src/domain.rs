//! Decides from the authority in each glob whether a list can match URLs of a domain.

use super::Globs;

impl Globs {
    /// Returns true if the list may accept a URL of this host or of a subdomain, with any scheme and port. These are
    /// the URLs that an entry of `NO_PROXY` keeps from the proxy. `false` is certain. Exclusions (`!`) are ignored.
    ///
    /// ```
    /// use harproxy_glob::Globs;
    /// let globs = Globs::new(["https://api.example.com:8443/**", "http://*.corp.test/**"]).unwrap();
    /// assert!(globs.may_match_domain("example.com"));
    /// assert!(globs.may_match_domain("db.corp.test"));
    /// assert!(!globs.may_match_domain("example.org"));
    /// assert!(Globs::new(["**/api/**"]).unwrap().may_match_domain("example.org"));
    /// ```
    #[must_use]
    pub fn may_match_domain(&self, domain: &str) -> bool {
        let mut included = self.sources.iter().filter(|glob| !glob.starts_with('!')).peekable();
        included.peek().is_none() || included.any(|glob| may_reach(&glob.to_ascii_lowercase(), domain))
    }
}

fn may_reach(glob: &str, domain: &str) -> bool {
    let Some((_, rest)) = glob.split_once("://") else { return true };
    let authority = rest.split('/').next().unwrap_or_default();
    if glob.starts_with("**") || authority.contains("**") || authority.contains(['{', '}', '\\', '?', '#']) {
        return true;
    }
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let below = format!(".{domain}");
    match authority.rsplit_once('*') {
        None => {
            let host = without_port(authority);
            host == domain || host.ends_with(&below)
        }
        // `*.example.com` matches hosts below the domain, and the domain may itself be below `domain`.
        Some((_, tail)) => {
            let tail = without_port(tail);
            below.ends_with(tail) || tail.ends_with(&below)
        }
    }
}

fn without_port(authority: &str) -> &str {
    if let Some((host, _)) = authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return host;
    }
    authority.split_once(':').map_or(authority, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn may_match_domain_is_false_only_if_no_url_matches() {
        for (glob, domain, reached) in [
            ("https://api.test/**", "api.test", true),
            ("https://API.test/**", "api.test", true),
            ("http://api.test:8080/**", "api.test", true),
            ("http://user@api.test/**", "test", true),
            ("https://api.test/**", "pi.test", false),
            ("https://api.test/**", "sub.api.test", false),
            ("https://[::1]:80/**", "::1", true),
            ("https://10.0.0.1/**", "10.0.0.1", true),
            ("https://*.test/**", "api.test", true),
            ("https://*.api.test/**", "test", true),
            ("https://*.api.test/**", "other.test", false),
            ("https://api*.test:443/**", "x.test", true),
            ("https://api.*/**", "x.test", true),
            ("https://api.test:*/**", "x.test", true),
            ("*://api.test/**", "x.test", false),
            ("https://{a,b}.test/**", "x.org", true),
            ("https://api.test?x=1", "api.test", true),
            ("**", "x.org", true),
            ("**://api.test/**", "x.org", true),
            ("https://**.test/x", "x.org", true),
            ("", "x.org", true),
            ("!https://x.org/**", "x.org", true),
        ] {
            assert_eq!(Globs::new([glob]).unwrap().may_match_domain(domain), reached, "{glob} {domain}");
        }
    }
}
