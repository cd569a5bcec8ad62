//! Which URLs a run is about: the globs that its fixtures were recorded with, or the origins that a foreign HAR holds.

use std::collections::HashSet;
use std::sync::Arc;

use super::Error;
use super::url::{KeyForm, Parts, normal};
use crate::har::Fixture;
use crate::urlglob::Globs;

/// What is in scope.
#[derive(Debug)]
pub(super) enum Scope {
    /// `-g`: it replaces every fixture's own.
    Given(Globs),
    /// The scope of each fixture that has one, and the origins in the others.
    Recorded { globs: Vec<Globs>, origins: HashSet<Box<str>> },
}

impl Scope {
    pub(super) fn new(given: Option<Globs>, fixtures: &[Arc<Fixture>], form: &KeyForm) -> Result<Self, Error> {
        if let Some(given) = given {
            return Ok(Scope::Given(given));
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
                        let origin = form.origin(&Parts::of(&url).host()).into_owned();
                        if !origin.is_empty() && !origins.contains(origin.as_str()) {
                            origins.insert(origin.into());
                        }
                    }
                }
            }
        }
        Ok(Scope::Recorded { globs, origins })
    }

    /// Whether a URL is in scope.
    pub(super) fn accepts(&self, url: &str, form: &KeyForm) -> bool {
        match self {
            Scope::Given(globs) => globs.matches(url),
            Scope::Recorded { globs, origins } => {
                origins.contains(&*form.origin(&Parts::of(url).host())) || globs.iter().any(|globs| globs.matches(url))
            }
        }
    }

    /// Whether some URL of an origin could be.
    pub(super) fn may_accept_origin(&self, origin: &str, form: &KeyForm) -> bool {
        match self {
            Scope::Given(globs) => globs.may_match_origin(origin),
            Scope::Recorded { globs, origins } => {
                origins.contains(&*form.origin(origin)) || globs.iter().any(|globs| globs.may_match_origin(origin))
            }
        }
    }
}
