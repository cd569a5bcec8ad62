//! Endpoints: requests that differ only in ids and values. One request stands for each.

use std::collections::BTreeSet;
use std::fmt;

use harproxy_http::NormalUrl;
use harproxy_http::url::Parts;
use harproxy_matching::{PathPattern, RequestPattern};

/// The requests that one request of a drift run stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointKey {
    pub origin: String,
    /// The path with `{id}` in the place of ids, dates and numbers.
    pub path: String,
    pub method: String,
    /// The names of the parameters in the query, and in a payload of a form or a JSON object.
    pub parameters: BTreeSet<String>,
    /// The first digit of the recorded status.
    pub status_class: u16,
}

impl EndpointKey {
    /// Returns the name for reports that take a `?` for the end of the path.
    #[must_use]
    pub fn name_without_query(&self) -> String {
        self.to_string().replacen('?', " with ", 1)
    }

    /// Returns `https://api.example.com/users/{id}?page`.
    fn template(&self) -> String {
        let parameters: Vec<&str> = self.parameters.iter().map(String::as_str).collect();
        let separator = if parameters.is_empty() { "" } else { "?" };
        format!("{}{}{separator}{}", self.origin, self.path, parameters.join("&"))
    }

    /// Returns true if a pattern matches the template of the endpoint, or the URL of its entry.
    #[must_use]
    pub fn is_selected_by(&self, pattern: &RequestPattern, url: &str) -> bool {
        pattern.matches(&self.method, &self.template()) || pattern.matches(&self.method, url)
    }

    /// Returns the key without the status class, by which two recordings are paired.
    #[must_use]
    pub fn request(&self) -> EndpointKey {
        EndpointKey { status_class: 0, ..self.clone() }
    }
}

/// Writes `GET https://api.example.com/users/{id}?page`, and the status class if it is not 2xx.
impl fmt::Display for EndpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.template())?;
        match self.status_class {
            0 | 2 => Ok(()),
            class => write!(f, " ({class}xx)"),
        }
    }
}

/// Recognises endpoints. Paths that a pattern matches are one endpoint; in other paths, segments that look like ids are
/// variable.
#[derive(Clone, Debug, Default)]
pub struct EndpointRules {
    /// `--route`, and the paths of `[[match]]`.
    pub patterns: Vec<PathPattern>,
}

impl EndpointRules {
    /// Returns the key of a request. `parameters` are those of its payload.
    #[must_use]
    pub fn key(&self, method: &str, url: &str, status: i32, parameters: BTreeSet<String>) -> Option<EndpointKey> {
        let url = NormalUrl::parse(url).ok()?;
        let parts = url.parts();
        let mut parameters = parameters;
        parameters.extend(query_names(&parts));
        Some(EndpointKey {
            origin: parts.site().into_owned(),
            path: self.template(parts.path),
            method: method.to_owned(),
            parameters,
            status_class: u16::try_from(status / 100).ok()?,
        })
    }

    fn template(&self, path: &str) -> String {
        if let Some(pattern) = self.patterns.iter().find(|pattern| pattern.matches(path)) {
            return pattern.to_string();
        }
        let segments = path.split('/').map(|segment| if is_id(segment) { "{id}" } else { segment });
        segments.collect::<Vec<_>>().join("/")
    }
}

fn query_names(parts: &Parts<'_>) -> BTreeSet<String> {
    let query = parts.query.unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name.into_owned()).collect()
}

/// Returns true if a segment of a path is an id, a date or a number, or a redacted value.
fn is_id(segment: &str) -> bool {
    let is_number = !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit());
    is_number
        || harproxy_compare::StringFormat::of(segment).is_some()
        || harproxy_compare::looks_volatile(segment, None)
        || harproxy_redact::placeholder::occurs_in(segment.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(url: &str) -> String {
        let rules = EndpointRules { patterns: vec![PathPattern::new("/shops/{shop}/items").unwrap()] };
        rules.key("GET", url, 200, BTreeSet::new()).unwrap().to_string()
    }

    #[test]
    fn ids_and_values_do_not_make_an_endpoint() {
        for (url, expected) in [
            ("https://a.test/users/17?page=2&size=5", "GET https://a.test/users/{id}?page&size"),
            ("https://a.test/users/17?size=9&page=1#x", "GET https://a.test/users/{id}?page&size"),
            ("https://a.test/d/2026-11-25/1f0c9c2e-7b1f-4a36-9d0e-0b6f8f6f2a11", "GET https://a.test/d/{id}/{id}"),
            ("https://a.test/v1/users/REDACTED-user-1", "GET https://a.test/v1/users/{id}"),
            ("https://a.test/shops/berlin/items", "GET https://a.test/shops/{shop}/items"),
            ("https://a.test/shops/berlin", "GET https://a.test/shops/berlin"),
        ] {
            assert_eq!(name(url), expected);
        }
    }

    #[test]
    fn status_classes_are_endpoints_of_their_own() {
        let key = |status| EndpointRules::default().key("GET", "http://h/", status, BTreeSet::new()).unwrap();
        assert_eq!(key(404).to_string(), "GET http://h/ (4xx)");
        assert_ne!(key(404), key(200));
        assert_eq!(key(404).request(), key(200).request());
        assert_eq!(key(201), key(200));
    }
}
