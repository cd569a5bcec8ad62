//! Playwright's URL glob dialect: which URLs a recording or a replay is about.
//!
//! `*` does not cross `/`, `**` does, `/**/` also matches `/`, `{a,b}` alternates, `?` and `[` stand for themselves, `\`
//! escapes, an empty glob matches all. A glob is about the whole URL; one that does not start with `*` is resolved as a URL
//! first (host in lower case, default port dropped, dot segments, percent-encoding). Nested or unbalanced braces are an
//! error.
//!
//! ```
//! use harproxy::urlglob::Globs;
//! let globs = Globs::new(["**/api/**", "https://Example.com:443/*.{js,css}", "!**/health"]).unwrap();
//! assert!(globs.matches("http://localhost:3000/api/users?page=1"));
//! assert!(globs.matches("https://example.com/site.css"));
//! assert!(!globs.matches("http://localhost:3000/api/health"));
//! ```

mod domain;
mod glob;
mod origin;
mod resolve;
mod token;

#[cfg(test)]
mod tests;

use glob::UrlGlob;
use origin::Reach;

/// Why a glob is not one.
#[derive(Debug, thiserror::Error)]
#[error("glob `{glob}`: {reason}")]
pub struct GlobError {
    /// The glob as it was given, its `!` included.
    pub glob: String,
    /// What is wrong with it, with the position where there is one.
    pub reason: String,
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
    /// ```
    /// use harproxy::urlglob::Globs;
    /// let globs = Globs::new(["https://*.example.com/**", "!https://cdn.example.com/**"]).unwrap();
    /// assert!(globs.may_match_origin("https://api.example.com"));
    /// assert!(!globs.may_match_origin("https://cdn.example.com"));
    /// assert!(!globs.may_match_origin("https://example.org"));
    /// ```
    #[must_use]
    pub fn may_match_origin(&self, origin: &str) -> bool {
        let prefix = format!("{}/", origin.trim_end_matches('/'));
        let included = self.include.is_empty() || self.include.iter().any(|glob| glob.reach(&prefix) != Reach::None);
        included && !self.exclude.iter().any(|glob| glob.reach(&prefix) == Reach::All)
    }
}
