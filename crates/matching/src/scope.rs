//! The scope of a replay: the globs of its own fixtures, and the origins in foreign ones.
//!
//! A server of this machine is likely the program under test. Globs include its URLs only if one of them, `--reverse`,
//! `same-host` or an entry names its origin.

use std::collections::HashSet;
use std::sync::Arc;

use super::Error;
use super::OriginPattern;
use super::index::Index;
use super::key::KeyForm;
use super::same_host::SameHostClasses;
use harproxy_glob::Globs;
use harproxy_har::Fixture;
use harproxy_http::url::{Parts, normal};

/// The URLs in scope.
#[derive(Debug)]
pub(super) struct Scope {
    /// The globs of `-g`, which replace the scopes of all fixtures, or those of own fixtures.
    globs: Vec<Globs>,
    /// The origins in foreign fixtures.
    origins: HashSet<Box<str>>,
    /// The origins of this machine that have entries.
    local: HashSet<Box<str>>,
    /// The origins of `--reverse`.
    reverse: Vec<OriginPattern>,
}

/// Returns true if globs include a URL (in normal form). `is_named` tells whether an option or an entry names an origin
/// of this machine.
#[must_use]
pub fn includes(globs: &Globs, url: &str, is_named: impl FnOnce(&str) -> bool) -> bool {
    let parts = Parts::of(url);
    if !parts.is_loopback() || is_named(&parts.site()) { globs.matches(url) } else { globs.matches_by_name(url) }
}

/// Returns true if globs may include a URL of this origin, as [`includes`] decides.
#[must_use]
pub fn may_include_origin(globs: &Globs, origin: &str, is_named: impl FnOnce(&str) -> bool) -> bool {
    match Parts::of(origin).is_loopback() && !is_named(origin) {
        true => globs.may_match_origin_by_name(origin),
        false => globs.may_match_origin(origin),
    }
}

impl Scope {
    pub(super) fn new(
        given: Option<Globs>,
        fixtures: &[Arc<Fixture>],
        form: &KeyForm,
        index: &Index,
        reverse: Vec<OriginPattern>,
    ) -> Result<Self, Error> {
        let local = index.origins.keys().filter(|origin| Parts::of(origin).is_loopback()).cloned().collect();
        if let Some(given) = given {
            return Ok(Scope { globs: vec![given], origins: HashSet::new(), local, reverse });
        }
        let (mut globs, mut origins) = (Vec::new(), HashSet::new());
        for fixture in fixtures {
            match fixture.scope().filter(|_| fixture.is_own()) {
                Some(scope) => {
                    let scope = Globs::new(scope);
                    globs.push(scope.map_err(|source| Error::Scope { path: fixture.path().to_owned(), source })?);
                }
                None => {
                    for url in fixture.heads().iter().filter_map(|head| normal(head.url)) {
                        // A WebSocket request is an HTTP request. It is in scope, and refused as a WebSocket.
                        let http = url.strip_prefix("ws").map(|rest| format!("http{rest}"));
                        let url = http.as_deref().unwrap_or(&url);
                        let view = form.view(url);
                        for origin in [view.parts.site(), view.host()] {
                            if !origin.is_empty() && !origins.contains(&*origin) {
                                origins.insert(origin.into());
                            }
                        }
                    }
                }
            }
        }
        Ok(Scope { globs, origins, local, reverse })
    }

    /// Returns true if a URL is in scope, at its own origin or at an equal one.
    pub(super) fn accepts(&self, url: &str, form: &KeyForm) -> bool {
        let hosts = &form.hosts;
        if self.accepts_itself(url, hosts) || hosts.is_empty() {
            return self.accepts_itself(url, hosts);
        }
        let parts = Parts::of(url);
        hosts.find(url, &parts).is_some_and(|(_, class)| {
            (class.open && (!parts.is_loopback() || self.is_named(&parts.site(), hosts)))
                || class.aliases(&parts).iter().any(|alias| self.accepts_itself(alias, hosts))
        }) || self.origins.contains(&*form.view(url).host())
    }

    fn accepts_itself(&self, url: &str, hosts: &SameHostClasses) -> bool {
        self.globs.iter().any(|globs| includes(globs, url, |origin| self.is_named(origin, hosts)))
            || (!self.origins.is_empty() && self.origins.contains(&*Parts::of(url).site()))
    }

    /// Returns true if an entry, `--reverse` or `same-host` names this origin.
    fn is_named(&self, origin: &str, hosts: &SameHostClasses) -> bool {
        self.local.contains(origin) || self.reverse.iter().any(|named| named.matches(origin)) || hosts.names(origin)
    }

    /// Returns true if a URL of this origin may be in scope.
    pub(super) fn may_accept_origin(&self, origin: &str, form: &KeyForm) -> bool {
        let hosts = &form.hosts;
        let accepts = |origin: &str| {
            self.origins.contains(origin)
                || self.origins.iter().any(|known| hosts.may_be_equal(known, origin))
                || self
                    .globs
                    .iter()
                    .any(|globs| may_include_origin(globs, origin, |origin| self.is_named(origin, hosts)))
        };
        accepts(origin)
            || (hosts.may_be_in_open_class(origin)
                && (!Parts::of(origin).is_loopback() || self.is_named(origin, hosts)))
            || hosts.possible_equals(origin).iter().any(|other| accepts(other))
    }

    /// Returns the hosts that globs name, IPv6 addresses without brackets.
    pub(super) fn named_hosts(&self) -> impl Iterator<Item = String> {
        self.globs.iter().flat_map(Globs::named_hosts)
    }

    /// Returns false if no URL of this host, or of a host below it as a domain, is in scope.
    pub(super) fn may_accept_domain(&self, domain: &str, form: &KeyForm) -> bool {
        let origins = self.origins.iter().map(|origin| &**origin);
        form.hosts.named().chain(origins).any(|origin| is_below(origin, domain))
            || self.globs.iter().any(|globs| globs.may_match_domain(domain))
    }
}

/// Returns true if an origin is in a domain. The name of a class of equal origins may be in any domain.
fn is_below(origin: &str, domain: &str) -> bool {
    let host = Parts::of(origin).host().trim_matches(['[', ']']);
    !origin.contains("://") || host.strip_suffix(domain).is_some_and(|above| above.is_empty() || above.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_contains_its_hosts_at_any_port() {
        for (origin, domain, below) in [
            ("https://api.test", "api.test", true),
            ("https://api.test:8443", "api.test", true),
            ("https://api.test", "test", true),
            ("https://my-api.test", "api.test", false),
            ("https://test", "api.test", false),
            ("http://[::1]:80", "::1", true),
            ("same-host:0", "api.test", true),
        ] {
            assert_eq!(is_below(origin, domain), below, "{origin} {domain}");
        }
    }

    #[test]
    fn given_globs_replace_the_recorded_scope() {
        let form = KeyForm::default();
        let scope =
            Scope::new(Some(Globs::new(["https://api.test/**"]).unwrap()), &[], &form, &Index::default(), Vec::new())
                .unwrap();
        assert!(scope.may_accept_domain("api.test", &form) && !scope.may_accept_domain("db.test", &form));
    }
}
