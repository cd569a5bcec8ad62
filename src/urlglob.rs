//! Playwright's URL glob dialect: which URLs a recording or a replay is about.
//!
//! `*` does not cross `/`, `**` does, `/**/` also matches `/`, `{a,b}` alternates, `?` and `[` stand for themselves.

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
}

impl Globs {
    /// Compiles a list, in which a leading `!` excludes.
    ///
    /// # Errors
    /// On the first glob that is malformed.
    pub fn new<S: AsRef<str>>(globs: impl IntoIterator<Item = S>) -> Result<Self, GlobError> {
        let sources = globs.into_iter().map(|g| g.as_ref().to_owned()).collect();
        Ok(Globs { sources })
    }

    /// The globs as they were given.
    #[must_use]
    pub fn sources(&self) -> &[String] {
        &self.sources
    }

    /// Whether the list accepts this URL (in WHATWG form, without fragment).
    #[must_use]
    pub fn matches(&self, _url: &str) -> bool {
        todo!("urlglob")
    }

    /// Whether some URL of this origin (`https://host:port`, default port left out) could be accepted. `false` means the
    /// host can be tunnelled untouched.
    #[must_use]
    pub fn may_match_origin(&self, _origin: &str) -> bool {
        todo!("urlglob")
    }
}
