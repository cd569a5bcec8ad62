//! Playwright's URL globs. Lists of them define the scope of a recording or a replay.
//!
//! `*` does not cross `/`, `**` does, `/**/` also matches `/`, `{a,b}` alternates, `?` and `[` are literal, `\`
//! escapes, an empty glob matches every URL. A glob matches the whole URL. A glob that does not start with `*` is first
//! resolved as a URL: host in lower case, default port and dot segments removed, text percent-encoded. Nested or
//! unbalanced braces are errors.
//!
//! ```
//! use harproxy_glob::Globs;
//! let globs = Globs::new(["**/api/**", "https://Example.com:443/*.{js,css}", "!**/health"]).unwrap();
//! assert!(globs.matches("http://localhost:3000/api/users?page=1"));
//! assert!(globs.matches("https://example.com/site.css"));
//! assert!(!globs.matches("http://localhost:3000/api/health"));
//! ```

#![forbid(unsafe_code)]

mod bind;
mod domain;
mod glob;
mod named;
mod resolve;
mod token;

#[cfg(test)]
mod tests;

pub use bind::completed;
use glob::{Reach, UrlGlob};

/// A port that no glob names: it shows whether a glob matches every port.
const UNNAMED_PORT: &str = "1";

#[derive(Debug, thiserror::Error)]
#[error("glob `{glob}`: {reason}")]
pub struct GlobError {
    /// The glob as the user wrote it, with its `!`.
    pub glob: String,
    /// The reason, with the position of the character if there is one.
    pub reason: String,
}

/// Escapes the special characters of a text, so that a glob matches it literally.
///
/// ```
/// assert_eq!(harproxy_glob::escaped("/a*b/{id}"), r"/a\*b/\{id\}");
/// ```
#[must_use]
pub fn escaped(text: &str) -> String {
    let special = |c: char| matches!(c, '*' | '{' | '}' | '\\');
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// A list of globs. It accepts a URL if a glob without `!` matches and no glob with `!` does. A list without plain
/// globs accepts every URL that no `!` glob matches.
#[derive(Clone, Debug, Default)]
pub struct Globs {
    sources: Vec<String>,
    include: Vec<UrlGlob>,
    exclude: Vec<UrlGlob>,
}

impl Globs {
    /// Compiles a list. A leading `!` excludes.
    ///
    /// # Errors
    /// On the first malformed glob.
    pub fn new<S: AsRef<str>>(globs: impl IntoIterator<Item = S>) -> Result<Self, GlobError> {
        let mut list = Globs::default();
        for given in globs {
            let given = given.as_ref();
            let (side, glob) = match given.strip_prefix('!') {
                Some(glob) => (&mut list.exclude, glob),
                None => (&mut list.include, given),
            };
            side.push(UrlGlob::new(glob).map_err(|reason| GlobError { glob: given.to_owned(), reason })?);
            list.sources.push(given.to_owned());
        }
        Ok(list)
    }

    /// The globs as the user wrote them.
    #[must_use]
    pub fn sources(&self) -> &[String] {
        &self.sources
    }

    /// Returns true if the list accepts this URL (in WHATWG form, without fragment).
    #[must_use]
    pub fn matches(&self, url: &str) -> bool {
        (self.include.is_empty() || self.include.iter().any(|glob| glob.matches(url, 0))) && !self.excludes_url(url)
    }

    /// Returns true if the list accepts this URL by a glob that names its origin: without wildcards in scheme and host
    /// after braces are expanded. The port may be `*`.
    ///
    /// ```
    /// use harproxy_glob::Globs;
    /// let globs = Globs::new(["http://{localhost,127.0.0.1}:*/**", "**/api/**"]).unwrap();
    /// assert!(globs.matches_by_name("http://localhost:3000/"));
    /// assert!(globs.matches("http://[::1]:3000/api/x") && !globs.matches_by_name("http://[::1]:3000/api/x"));
    /// ```
    #[must_use]
    pub fn matches_by_name(&self, url: &str) -> bool {
        let named = name_length(url);
        self.include.iter().any(|glob| glob.matches(url, named)) && !self.excludes_url(url)
    }

    fn excludes_url(&self, url: &str) -> bool {
        self.exclude.iter().any(|glob| glob.matches(url, 0))
    }

    /// Returns true if the list may accept a URL of this origin (`https://host:port`, default port left out). If not, a
    /// CONNECT to the host can pass as a tunnel.
    ///
    /// A CONNECT does not say whether it carries TLS or plain HTTP, so callers ask for both schemes. An exclusion of
    /// `https://` at one named port (or at 443) therefore also excludes `http://` at that port.
    ///
    /// ```
    /// use harproxy_glob::Globs;
    /// let globs = Globs::new(["https://*.example.com/**", "!https://cdn.example.com/**"]).unwrap();
    /// assert!(globs.may_match_origin("https://api.example.com"));
    /// assert!(!globs.may_match_origin("https://cdn.example.com"));
    /// assert!(!globs.may_match_origin("https://example.org"));
    /// assert!(!globs.may_match_origin("http://cdn.example.com:443"));
    /// ```
    #[must_use]
    pub fn may_match_origin(&self, origin: &str) -> bool {
        let prefix = format!("{}/", origin.trim_end_matches('/'));
        (self.include.is_empty() || self.may_include(&prefix, 0)) && !self.excludes_origin(&prefix)
    }

    /// Returns true if [`Globs::matches_by_name`] may be true for a URL of this origin.
    #[must_use]
    pub fn may_match_origin_by_name(&self, origin: &str) -> bool {
        let prefix = format!("{}/", origin.trim_end_matches('/'));
        self.may_include(&prefix, name_length(&prefix)) && !self.excludes_origin(&prefix)
    }

    fn may_include(&self, prefix: &str, literal: usize) -> bool {
        self.include.iter().any(|glob| glob.reach(prefix, literal) != Reach::None)
    }

    fn excludes_origin(&self, prefix: &str) -> bool {
        self.excludes(prefix) || self.excludes_tls_of(prefix)
    }

    fn excludes(&self, prefix: &str) -> bool {
        self.exclude.iter().any(|glob| glob.reach(prefix, 0) == Reach::All)
    }

    /// Returns true if `https://` is excluded at the port of this prefix of `http://` URLs.
    fn excludes_tls_of(&self, prefix: &str) -> bool {
        let authority = prefix.strip_prefix("http://").and_then(|rest| rest.strip_suffix('/'));
        let Some((host, port)) = authority.and_then(|authority| authority.rsplit_once(':')) else { return false };
        match port {
            "443" => self.excludes(&format!("https://{host}/")),
            // An IPv6 address without a port.
            _ if port.ends_with(']') => false,
            _ => self.exclude.iter().any(|glob| {
                let excludes = |port: &str| glob.reach(&format!("https://{host}:{port}/"), 0) == Reach::All;
                excludes(port) && !excludes(UNNAMED_PORT)
            }),
        }
    }
}

/// Returns the length of scheme and host of a URL with the character behind them, which ends the host.
fn name_length(url: &str) -> usize {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url[authority..].find('/').map_or(url.len(), |at| authority + at);
    let host = url[authority..end].rfind('@').map_or(authority, |at| authority + at + 1);
    let bracket = url[host..end].find(']').map_or(host, |at| host + at);
    let host_end = url[bracket..end].find(':').map_or(end, |at| bracket + at);
    url.len().min(host_end + 1)
}
