//! Playwright's URL glob dialect: which URLs a recording or a replay is about.
//!
//! `*` does not cross `/`, `**` does, `/**/` also matches `/`, `{a,b}` alternates, `?` and `[` stand for themselves, `\`
//! escapes, an empty glob matches all. A glob is about the whole URL; one that does not start with `*` is resolved as a URL
//! first (host in lower case, default port dropped, dot segments, percent-encoding). Nested or unbalanced braces are an
//! error.
//!
//! ```
//! use crate::Globs;
//! let globs = Globs::new(["**/api/**", "https://Example.com:443/*.{js,css}", "!**/health"]).unwrap();
//! assert!(globs.matches("http://localhost:3000/api/users?page=1"));
//! assert!(globs.matches("https://example.com/site.css"));
//! assert!(!globs.matches("http://localhost:3000/api/health"));
//! ```

#![forbid(unsafe_code)]

mod domain;
mod glob;
mod origin;
mod resolve;
mod token;

#[cfg(test)]
mod tests;

use glob::UrlGlob;
use origin::Reach;

/// A port that no glob names.
const ANOTHER: &str = "1";

/// Why a glob is not one.
#[derive(Debug, thiserror::Error)]
#[error("glob `{glob}`: {reason}")]
pub struct GlobError {
    /// The glob as it was given, its `!` included.
    pub glob: String,
    /// What is wrong with it, with the position where there is one.
    pub reason: String,
}

/// Text as a glob says it: what would be special stands for itself.
///
/// ```
/// assert_eq!(crate::escaped("/a*b/{id}"), r"/a\*b/\{id\}");
/// ```
#[must_use]
pub fn escaped(text: &str) -> String {
    let special = |c: char| matches!(c, '*' | '{' | '}' | '\\');
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// A list of globs: a URL is in if a plain one matches and no `!` one does; only `!` globs means everything else;
/// an empty list means everything.
#[derive(Clone, Debug, Default)]
pub struct Globs {
    sources: Vec<String>,
    include: Vec<UrlGlob>,
    exclude: Vec<UrlGlob>,
}

impl Globs {
    /// Compiles a list, in which a leading `!` excludes.
    ///
    /// # Errors
    /// On the first glob that is malformed.
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

    /// The globs as they were given.
    #[must_use]
    pub fn sources(&self) -> &[String] {
        &self.sources
    }

    /// Whether the list accepts this URL (in WHATWG form, without fragment).
    #[must_use]
    pub fn matches(&self, url: &str) -> bool {
        let included = self.include.is_empty() || self.include.iter().any(|glob| glob.matches(url));
        included && !self.exclude.iter().any(|glob| glob.matches(url))
    }

    /// Whether some URL of this origin (`https://host:port`, default port left out) could be accepted. `false` means the
    /// host can be tunnelled untouched.
    ///
    /// At a port, an exclusion of all of `https://` takes plain `http://` along: a port speaks one of them, and who asks of a
    /// CONNECT what it may carry asks for both. Not so an exclusion that holds at whatever port, but at HTTPS's own.
    ///
    /// ```
    /// use crate::Globs;
    /// let globs = Globs::new(["https://*.example.com/**", "!https://cdn.example.com/**"]).unwrap();
    /// assert!(globs.may_match_origin("https://api.example.com"));
    /// assert!(!globs.may_match_origin("https://cdn.example.com"));
    /// assert!(!globs.may_match_origin("https://example.org"));
    /// assert!(!globs.may_match_origin("http://cdn.example.com:443"));
    /// ```
    #[must_use]
    pub fn may_match_origin(&self, origin: &str) -> bool {
        let prefix = format!("{}/", origin.trim_end_matches('/'));
        let included = self.include.is_empty() || self.include.iter().any(|glob| glob.reach(&prefix) != Reach::None);
        included && !self.excludes(&prefix) && !self.excludes_tls_of(&prefix)
    }

    fn excludes(&self, prefix: &str) -> bool {
        self.exclude.iter().any(|glob| glob.reach(prefix) == Reach::All)
    }

    /// Whether an exclusion is about TLS at the port that this prefix of `http://` URLs names.
    fn excludes_tls_of(&self, prefix: &str) -> bool {
        let authority = prefix.strip_prefix("http://").and_then(|rest| rest.strip_suffix('/'));
        let Some((host, port)) = authority.and_then(|authority| authority.rsplit_once(':')) else { return false };
        match port {
            "443" => self.excludes(&format!("https://{host}/")),
            // The brackets of an address, and no port.
            _ if port.ends_with(']') => false,
            _ => self.exclude.iter().any(|glob| {
                let excludes = |port: &str| glob.reach(&format!("https://{host}:{port}/")) == Reach::All;
                excludes(port) && !excludes(ANOTHER)
            }),
        }
    }
}
