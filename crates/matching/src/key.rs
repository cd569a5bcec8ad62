//! The URL part of the match key: ignored query parameters, variable path segments and equal origins. The rules come
//! from the options of the run and the `[[match]]` rules that apply to a URL.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use harproxy_compare::{Body, BodyRules, ContentKey, KEY_HEADERS, MatchBody, PlaceholderValues, key_header_values};
use harproxy_json::JsonPath;
use harproxy_redact::Policy;

use url::form_urlencoded;

use super::path::PathPattern;
use super::same_host::SameHostClasses;
use super::{Echo, Error, MatchRule, MissingBody, Options, OriginPattern, Redirects};
use harproxy_http::Headers;
use harproxy_http::url::Parts;

/// The rules by which requests are compared.
#[derive(Debug, Default)]
pub(super) struct KeyForm {
    ignore_query: Vec<String>,
    pub(super) hosts: SameHostClasses,
    rules: Vec<MatchRule>,
    /// The options without a rule.
    options: Arc<Rules>,
    /// The combinations of options and rules that were needed so far, by the indexes of the rules. There are few.
    combined: Mutex<HashMap<Vec<usize>, Arc<Rules>>>,
    /// The redaction policy, which names the headers with credentials.
    pub(super) redaction: Arc<Policy>,
}

impl KeyForm {
    pub(super) fn new(options: &Options) -> Result<Self, Error> {
        let pair = |(a, b): &(String, String)| Ok([OriginPattern::new(a)?, OriginPattern::new(b)?]);
        let pairs = options.same_host.iter().map(pair).collect::<Result<Vec<_>, Error>>()?;
        let ignored = options.ignore_body.iter().map(|path| JsonPath::parse(path)).collect::<Result<_, _>>()?;
        Ok(KeyForm {
            ignore_query: options.ignore_query.clone(),
            hosts: SameHostClasses::new(pairs, &options.rules),
            rules: options.rules.clone(),
            options: Arc::new(Rules {
                body: BodyRules { mode: options.match_body, ignored, folds_graphql: options.folds_graphql },
                match_headers: key_headers(&options.match_headers),
                score_all_headers: options.score_all_headers,
                missing_body: options.missing_body,
                redirects: options.redirects,
                values: Arc::new(PlaceholderValues::new(&options.values)),
                echo: Vec::new(),
            }),
            combined: Mutex::default(),
            redaction: Arc::default(),
        })
    }

    /// Combines the options with the rules that apply to a URL.
    pub(super) fn rules_for(&self, url: &View<'_, '_>) -> Arc<Rules> {
        if url.active.is_empty() {
            return self.options.clone();
        }
        let mut combined = self.combined.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = combined.get(&url.active) {
            return known.clone();
        }
        let combination = Arc::new(url.rules().fold(Rules::clone(&self.options), Rules::with_rule));
        combined.insert(url.active.clone(), combination.clone());
        combination
    }

    /// Returns true if URLs are compared completely.
    pub(super) fn is_plain(&self) -> bool {
        self.ignore_query.is_empty() && self.hosts.is_empty() && self.rules.is_empty()
    }

    /// Returns the key of a URL in normal form. URLs with the same key match.
    pub(super) fn key<'u>(&self, url: &'u str) -> Cow<'u, str> {
        if self.is_plain() {
            return Cow::Borrowed(url);
        }
        let view = self.view(url);
        let mut key = format!("{}{}", view.origin(), view.path());
        if let Some(query) = view.query() {
            key.push('?');
            key.push_str(&query);
        }
        Cow::Owned(key)
    }

    /// Returns a URL in normal form with the rules that apply to it.
    pub(super) fn view<'f, 'u>(&'f self, url: &'u str) -> View<'f, 'u> {
        let parts = Parts::of(url);
        let class = self.hosts.find(url, &parts);
        let applies = |rule: &MatchRule| {
            let mut aliases = class.into_iter().flat_map(|(_, class)| class.aliases(&parts));
            rule.glob.matches(url) || aliases.any(|alias| rule.glob.matches(&alias))
        };
        let active = (0..self.rules.len()).filter(|&n| applies(&self.rules[n])).collect();
        View { form: self, parts, class: class.map(|(index, _)| index), active }
    }
}

/// A URL with the rules that apply to it.
#[derive(Debug)]
pub(super) struct View<'f, 'u> {
    form: &'f KeyForm,
    pub(super) parts: Parts<'u>,
    /// Its class of equal origins.
    class: Option<usize>,
    /// The indexes of the rules that apply to it.
    active: Vec<usize>,
}

impl<'u> View<'_, 'u> {
    /// Returns the origin, or the name of its class.
    pub(super) fn origin(&self) -> Cow<'u, str> {
        match self.class {
            Some(class) => Cow::Owned(format!("same-host:{class}")),
            None => Cow::Borrowed(self.parts.origin),
        }
    }

    /// Returns the origin without user information.
    pub(super) fn host(&self) -> Cow<'u, str> {
        if self.class.is_some() { self.origin() } else { self.parts.site() }
    }

    /// Returns true if its origin belongs to a class of equal origins.
    pub(super) fn has_class(&self) -> bool {
        self.class.is_some()
    }

    /// Returns the path patterns that match.
    fn patterns(&self) -> Vec<&PathPattern> {
        let patterns = self.rules().flat_map(|rule| &rule.paths);
        patterns.filter(|pattern| pattern.matches(self.parts.path)).collect()
    }

    /// Returns the variable segments of the path with their indexes.
    pub(super) fn variable_segments(&self) -> Vec<(usize, &'u str)> {
        let patterns = self.patterns();
        let segments = self.parts.segments().enumerate();
        segments.filter(|(n, _)| patterns.iter().any(|pattern| pattern.varies(*n))).collect()
    }

    /// Returns the path with `{}` for each variable segment. Paths in normal form contain no braces.
    pub(super) fn path(&self) -> Cow<'u, str> {
        let path = self.parts.path;
        let patterns = self.patterns();
        if patterns.is_empty() {
            return Cow::Borrowed(path);
        }
        let varies = |n: usize| patterns.iter().any(|pattern| pattern.varies(n));
        let mut open = String::with_capacity(path.len());
        for (n, segment) in self.parts.segments().enumerate() {
            open.push('/');
            open.push_str(if varies(n) { "{}" } else { segment });
        }
        Cow::Owned(open)
    }

    /// Returns the query without ignored parameters; `None` if none is left.
    pub(super) fn query(&self) -> Option<Cow<'u, str>> {
        let query = self.parts.query?;
        let kept: Vec<&str> = query.split('&').filter(|parameter| !self.ignores(parameter)).collect();
        match kept.len() == query.split('&').count() {
            true => Some(Cow::Borrowed(query)),
            false if kept.is_empty() => None,
            false => Some(Cow::Owned(kept.join("&"))),
        }
    }

    /// Returns true if this `name=value` is ignored.
    pub(super) fn ignores(&self, parameter: &str) -> bool {
        let by_rules = self.rules().flat_map(|rule| {
            let echoed =
                rule.echo.iter().filter_map(|echo| if let Echo::Query(name) = echo { Some(name) } else { None });
            rule.ignore_query.iter().chain(echoed)
        });
        let mut ignored = self.form.ignore_query.iter().chain(by_rules).peekable();
        if ignored.peek().is_none() {
            return false;
        }
        let name = form_urlencoded::parse(parameter.as_bytes()).next().map(|(name, _)| name);
        name.is_some_and(|name| ignored.any(|ignored| **ignored == *name))
    }

    /// Returns the index of the variable segment with this name.
    pub(super) fn varying(&self, name: &str) -> Option<usize> {
        let mut patterns = self.rules().flat_map(|rule| &rule.paths).filter(|pattern| pattern.matches(self.parts.path));
        patterns.find_map(|pattern| pattern.place_of(name))
    }

    fn rules(&self) -> impl Iterator<Item = &MatchRule> {
        self.active.iter().map(|&rule| &self.form.rules[rule])
    }
}

/// Returns the headers of the match key: [`KEY_HEADERS`] and those of an option.
fn key_headers(of_options: &[String]) -> Vec<String> {
    let more = of_options.iter().filter(|name| !KEY_HEADERS.contains(&name.as_str()));
    KEY_HEADERS.into_iter().map(str::to_owned).chain(more.cloned()).collect()
}

/// The options and `[[match]]` rules that apply to the entries of a group.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    pub(super) body: BodyRules,
    /// The headers of the match key: [`KEY_HEADERS`] and those of `--match-header`.
    pub(super) match_headers: Vec<String>,
    pub(super) score_all_headers: bool,
    pub(super) missing_body: MissingBody,
    pub(super) redirects: Redirects,
    /// The live values of placeholders, from `[redact.values]`.
    pub(super) values: Arc<PlaceholderValues>,
    /// The places of requests whose values responses repeat.
    pub(super) echo: Vec<Echo>,
}

impl Rules {
    /// Adds a rule: its lists are appended, its single values replace others.
    fn with_rule(mut self, rule: &MatchRule) -> Self {
        self.body.ignored.extend(rule.ignore_body.iter().cloned());
        if let Some(mode) = rule.body {
            self.body.mode = mode;
            self.body.folds_graphql &= mode != MatchBody::Exact;
        }
        if let Some(redirects) = rule.redirects {
            self.redirects = redirects;
        }
        for echo in &rule.echo {
            if let Echo::Json(path) = echo {
                self.body.ignored.push((**path).clone());
            }
            if !self.echo.contains(echo) {
                self.echo.push(echo.clone());
            }
        }
        for name in &rule.match_headers {
            if !self.match_headers.contains(name) {
                self.match_headers.push(name.clone());
            }
        }
        // A header that the response repeats may have any value.
        let echo = &self.echo;
        self.match_headers
            .retain(|name| !echo.iter().any(|echo| matches!(echo, Echo::Header(echoed) if echoed == name)));
        self
    }
}

/// Decides for a new recording which requests are the same: those with the same match key, by the `[[match]]` rules of
/// a project.
#[derive(Debug)]
pub struct RequestEquality(KeyForm);

impl RequestEquality {
    /// Prepares the rules.
    ///
    /// # Errors
    /// The first invalid rule.
    pub fn new(rules: &[MatchRule]) -> Result<Self, Error> {
        KeyForm::new(&Options { rules: rules.to_vec(), ..Options::default() }).map(RequestEquality)
    }

    /// Returns the part of a URL in normal form that must be equal.
    ///
    /// ```
    /// use harproxy_matching::{MatchRule, PathPattern, RequestEquality};
    /// let rule = MatchRule { paths: vec![PathPattern::new("/users/{id}").unwrap()], ..MatchRule::default() };
    /// let equality = RequestEquality::new(&[rule]).unwrap();
    /// assert_eq!(equality.url("https://h.test/users/7"), equality.url("https://h.test/users/8"));
    /// assert_ne!(equality.url("https://h.test/users/7"), equality.url("https://h.test/teams/7"));
    /// ```
    #[must_use]
    pub fn url<'u>(&self, url: &'u str) -> Cow<'u, str> {
        self.0.key(url)
    }

    /// Returns the values of the headers that must be equal in a request to this URL.
    #[must_use]
    pub fn header_key(&self, url: &str, headers: &Headers) -> HeaderKey {
        HeaderKey(key_header_values(headers, &self.0.rules_for(&self.0.view(url)).match_headers))
    }

    /// Returns the part of a payload sent to this URL that must be equal. `read` is called only if the payload counts.
    pub fn content_key<E>(&self, url: &str, read: impl FnOnce() -> Result<Body<'static>, E>) -> Result<ContentKey, E> {
        let rules = self.0.rules_for(&self.0.view(url));
        match rules.body.mode {
            MatchBody::Ignore => Ok(ContentKey::Ignored),
            _ => Ok(rules.body.content_key(&read()?)),
        }
    }
}

/// The values of the headers in a match key. Two requests with the same ones agree in them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeaderKey(Vec<(String, Vec<u8>)>);

#[cfg(test)]
mod tests;
