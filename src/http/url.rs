//! The normal form in which URLs are compared: the WHATWG URL Standard's serialisation, without the fragment.

/// A URL as the WHATWG URL Standard serialises it, without its fragment. Only `http`, `https`, `ws` and `wss` (the
/// latter two as `http` and `https`) get here.
///
/// ```
/// use harproxy::http::NormalUrl;
/// let url = NormalUrl::parse("HTTP://Example.COM:80/a/../b?q=1#top").unwrap();
/// assert_eq!(url.as_str(), "http://example.com/b?q=1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NormalUrl(::url::Url);

/// Why a string is not a URL that can be matched.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// The URL Standard's parser refuses it.
    #[error("`{url}` is not a URL")]
    Invalid {
        /// The string.
        url: String,
        /// The parser's reason.
        source: ::url::ParseError,
    },
    /// It is a URL, but not one that goes over HTTP.
    #[error("`{url}` is not an http or https URL")]
    Scheme {
        /// The string.
        url: String,
    },
}

impl UrlError {
    /// What is wrong with it, without saying what it is: there may be secrets in it.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            UrlError::Invalid { source, .. } => format!("its URL is none: {source}"),
            UrlError::Scheme { .. } => "its URL is not an http or https URL".to_owned(),
        }
    }
}

impl NormalUrl {
    /// Parses and normalises.
    ///
    /// # Errors
    /// When `url` is no absolute URL, has no host, or its scheme is not one of HTTP's.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let mut parsed = ::url::Url::parse(url).map_err(|source| UrlError::Invalid { url: url.to_owned(), source })?;
        let scheme = match parsed.scheme() {
            "http" | "https" => None,
            "ws" => Some("http"),
            "wss" => Some("https"),
            _ => return Err(UrlError::Scheme { url: url.to_owned() }),
        };
        if let Some(scheme) = scheme {
            // The url crate refuses no change between special schemes.
            let _ = parsed.set_scheme(scheme);
        }
        parsed.set_fragment(None);
        Ok(NormalUrl(parsed))
    }

    /// Parses and normalises a URL of any scheme, which none goes through a proxy with but which a recording may hold:
    /// `data:`, `blob:`, and `ws:` kept apart from `http:`.
    ///
    /// # Errors
    /// When `url` is no absolute URL.
    pub fn parse_any(url: &str) -> Result<Self, UrlError> {
        let mut parsed = ::url::Url::parse(url).map_err(|source| UrlError::Invalid { url: url.to_owned(), source })?;
        parsed.set_fragment(None);
        Ok(NormalUrl(parsed))
    }

    /// The URL that a reference (a `Location`) leads to from here, its fragment set aside (RFC 9110 section 10.2.2).
    ///
    /// ```
    /// use harproxy::http::NormalUrl;
    /// let from = NormalUrl::parse("https://a.test/x/y?q").unwrap();
    /// assert_eq!(from.join("../z#top").unwrap().as_str(), "https://a.test/z");
    /// ```
    ///
    /// # Errors
    /// When the reference cannot be resolved.
    pub fn join(&self, reference: &str) -> Result<Self, UrlError> {
        let mut joined =
            self.0.join(reference).map_err(|source| UrlError::Invalid { url: reference.to_owned(), source })?;
        joined.set_fragment(None);
        Ok(NormalUrl(joined))
    }

    /// The whole URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The parsed URL, for its parts.
    #[must_use]
    pub fn url(&self) -> &::url::Url {
        &self.0
    }
}

impl std::fmt::Display for NormalUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// Whether a name stands for this machine, without asking anybody: `localhost` and the names below it (RFC 6761 section
/// 6.3), in any case, the final dot of an absolute name aside.
///
/// ```
/// use harproxy::http::url::is_localhost;
/// assert!(is_localhost("app.LOCALHOST.") && is_localhost("localhost"));
/// assert!(!is_localhost("mylocalhost") && !is_localhost("localhost.example"));
/// ```
#[must_use]
pub fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit('.').next().unwrap_or_default();
    last.eq_ignore_ascii_case("localhost")
}
