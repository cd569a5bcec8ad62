//! Patterns of requests: methods and a glob, as `GET https://api.example.com/users/*`.

use std::fmt;

use harproxy_glob::Globs;

/// A pattern of requests: methods, or any, and a glob for the URL.
///
/// ```
/// use harproxy_matching::RequestPattern;
/// let pattern = RequestPattern::parse("GET,HEAD https://a.test/users/*").unwrap();
/// assert!(pattern.matches("HEAD", "https://a.test/users/7") && !pattern.matches("POST", "https://a.test/users/7"));
/// assert!(RequestPattern::parse("https://a.test/**").unwrap().matches("POST", "https://a.test/x"));
/// ```
#[derive(Clone, Debug)]
pub struct RequestPattern {
    /// Empty for every method.
    methods: Vec<String>,
    globs: Globs,
    source: String,
}

impl RequestPattern {
    /// Parses a glob with methods before it or without them. `*` stands for every method.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (methods, glob) = match text.trim().split_once(' ') {
            Some((methods, glob)) => (methods, glob.trim()),
            None => ("*", text.trim()),
        };
        let is_token = |method: &&str| !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_alphabetic());
        let methods = match methods {
            "*" => Vec::new(),
            methods => methods.split(',').map(str::to_owned).collect(),
        };
        if let Some(method) = methods.iter().find(|method| !is_token(&method.as_str())) {
            return Err(format!(
                "`{method}` is not a method: write a request as `GET https://api.example.com/users/*`"
            ));
        }
        if let Some(method) = methods.iter().find(|method| method.bytes().any(|byte| byte.is_ascii_lowercase())) {
            return Err(format!("`{method}` never matches: write methods in upper case, `{}`", method.to_uppercase()));
        }
        if glob.starts_with('/') || glob.starts_with('!') {
            let rest = glob.trim_start_matches('!');
            return Err(format!("`{glob}` never matches: a glob is compared with the whole URL, as in `**{rest}`"));
        }
        if !glob.contains(['/', '*']) {
            return Err("expected a method and a glob, such as `GET https://api.example.com/users/*`".to_owned());
        }
        let globs = Globs::new([glob]).map_err(|error| error.reason)?;
        Ok(RequestPattern { methods, globs, source: text.trim().to_owned() })
    }

    /// Returns true if a request with this URL in normal form matches.
    #[must_use]
    pub fn matches(&self, method: &str, url: &str) -> bool {
        (self.methods.is_empty() || self.names_method(method)) && self.globs.matches(url)
    }

    /// Returns true if the pattern names this method.
    #[must_use]
    pub fn names_method(&self, method: &str) -> bool {
        self.methods.iter().any(|own| own == method)
    }

    /// Returns true if the glob names a server: only labels before the last two of its host may have a wildcard.
    ///
    /// ```
    /// # use harproxy_matching::RequestPattern;
    /// let names_server = |pattern: &str| RequestPattern::parse(pattern).unwrap().names_server();
    /// assert!(names_server("https://*.example.com/**") && names_server("GET http://localhost:3000/*"));
    /// assert!(!names_server("**/users") && !names_server("https://*:8443/**") && !names_server("https://api.*/**"));
    /// assert!(names_server("http{s,}://{a,b}.test/**") && !names_server("{https://a.test/*,**}"));
    /// assert!(!names_server("https://{*.test,a.b.test}/**"));
    /// ```
    #[must_use]
    pub fn names_server(&self) -> bool {
        let glob = self.source.rsplit(' ').next().unwrap_or_default();
        let Some((scheme, rest)) = glob.split_once("://") else { return false };
        let authority = rest.split('/').next().unwrap_or_default();
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        // An alternative that spans more than one of these parts could be any URL.
        let is_balanced = |part: &str| part.matches('{').count() == part.matches('}').count();
        let has_wildcard = match host.contains('{') {
            true => host.contains('*'),
            false => host.rsplit('.').take(2).any(|label| label.contains('*')),
        };
        is_balanced(scheme) && is_balanced(authority) && !host.is_empty() && !has_wildcard
    }

    #[must_use]
    pub fn globs(&self) -> &Globs {
        &self.globs
    }
}

/// Writes the pattern as the user wrote it.
impl fmt::Display for RequestPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_optional_methods() {
        let url = "https://a.test/users/7";
        for (pattern, is_match) in [
            ("GET https://a.test/users/*", true),
            ("https://a.test/**", true),
            ("* https://a.test/users/*", true),
            ("POST,GET https://a.test/users/*", true),
            ("POST https://a.test/users/*", false),
            ("GET https://b.test/**", false),
        ] {
            assert_eq!(RequestPattern::parse(pattern).unwrap().matches("GET", url), is_match, "{pattern}");
        }
        for bad in ["GET {a", "G/T **", "GET ", "", "api.test", "get **", "GET /users", "GET !**"] {
            assert!(RequestPattern::parse(bad).is_err(), "{bad}");
        }
    }
}
