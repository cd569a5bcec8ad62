//! The URL part of the match key: ignored query parameters, variable path segments and equal origins, by the options of
//! the run and the `[[match]]` rules that apply to a URL.

use std::borrow::Cow;

use url::form_urlencoded;

use super::path::PathPattern;
use super::same_host::SameHostClasses;
use super::{Echo, Error, MatchRule, OriginPattern};
use harproxy_http::url::Parts;

/// The rules by which URLs are compared.
#[derive(Debug, Default)]
pub(super) struct KeyForm {
    ignore_query: Vec<String>,
    hosts: SameHostClasses,
    rules: Vec<MatchRule>,
}

impl KeyForm {
    pub(super) fn new(
        ignore_query: &[String],
        same_host: &[(String, String)],
        rules: &[MatchRule],
    ) -> Result<Self, Error> {
        let pair = |(a, b): &(String, String)| Ok([OriginPattern::new(a)?, OriginPattern::new(b)?]);
        let pairs = same_host.iter().map(pair).collect::<Result<Vec<_>, Error>>()?;
        Ok(KeyForm {
            ignore_query: ignore_query.to_vec(),
            hosts: SameHostClasses::new(pairs, rules),
            rules: rules.to_vec(),
        })
    }

    /// The classes of equal origins.
    pub(super) fn hosts(&self) -> &SameHostClasses {
        &self.hosts
    }

    /// The rules, in order.
    pub(super) fn rules(&self) -> &[MatchRule] {
        &self.rules
    }

    /// Returns true if URLs are compared completely.
    pub(super) fn is_plain(&self) -> bool {
        self.ignore_query.is_empty() && self.hosts.is_empty() && self.rules.is_empty()
    }

    /// The key of a URL in normal form. URLs with the same key match.
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

    /// A URL in normal form with the rules that apply to it.
    pub(super) fn view<'f, 'u>(&'f self, url: &'u str) -> View<'f, 'u> {
        let parts = Parts::of(url);
        let class = self.hosts.of(url, &parts);
        let applies = |rule: &MatchRule| {
            let mut aliases = class.into_iter().flat_map(|class| self.hosts.aliases(class, &parts));
            rule.glob.matches(url) || aliases.any(|alias| rule.glob.matches(&alias))
        };
        let active = (0..self.rules.len()).filter(|&n| applies(&self.rules[n])).collect();
        View { form: self, parts, class, active }
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
    pub(super) active: Vec<usize>,
}

impl<'u> View<'_, 'u> {
    /// The origin, or the name of its class.
    pub(super) fn origin(&self) -> Cow<'u, str> {
        match self.class {
            Some(class) => Cow::Owned(format!("same-host:{class}")),
            None => Cow::Borrowed(self.parts.origin),
        }
    }

    /// The origin without user information.
    pub(super) fn host(&self) -> Cow<'u, str> {
        if self.class.is_some() { self.origin() } else { self.parts.site() }
    }

    /// The path with `{}` for each variable segment. Paths in normal form contain no braces.
    pub(super) fn path(&self) -> Cow<'u, str> {
        let path = self.parts.path;
        let patterns = self.rules().flat_map(|rule| &rule.paths).filter(|pattern| pattern.matches(path));
        let patterns: Vec<&PathPattern> = patterns.collect();
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

    /// The query without ignored parameters; `None` if none is left.
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
            rule.ignore_query.iter().map(String::as_str).chain(rule.echo.iter().filter_map(Echo::query))
        });
        let mut ignored = self.form.ignore_query.iter().map(String::as_str).chain(by_rules).peekable();
        if ignored.peek().is_none() {
            return false;
        }
        let name = form_urlencoded::parse(parameter.as_bytes()).next().map(|(name, _)| name);
        name.is_some_and(|name| ignored.any(|ignored| *ignored == *name))
    }

    /// The index of the variable segment with this name.
    pub(super) fn varying(&self, name: &str) -> Option<usize> {
        let mut patterns = self.rules().flat_map(|rule| &rule.paths).filter(|pattern| pattern.matches(self.parts.path));
        patterns.find_map(|pattern| pattern.place_of(name))
    }

    fn rules(&self) -> impl Iterator<Item = &MatchRule> {
        self.active.iter().map(|&rule| &self.form.rules[rule])
    }
}

#[cfg(test)]
mod tests;
