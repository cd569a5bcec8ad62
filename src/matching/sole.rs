//! The entry that is alone with its method and URL, as most are. What choosing and redirecting would find out of it each time is
//! found out once and stands in one place, so that a request touches little memory, however many entries there are.

use std::sync::{Arc, OnceLock};

use ::http::HeaderMap;
use ::http::header::UPGRADE;

use super::candidate::{Content, Group};
use super::conditional::Condition;
use super::index::Ordinal;
use super::matcher::{Found, Matcher};
use super::{Chosen, EntryRef, Repeat, payload};
use crate::har::Fixture;

/// An entry that answers whoever asks, but for a payload that it may not have been recorded with and for a change of protocol.
#[derive(Debug)]
pub struct Sole {
    ordinal: Ordinal,
    status: u16,
    any_payload: bool,
    at: EntryRef,
    /// Whether its URL is in scope.
    in_scope: OnceLock<bool>,
}

impl Sole {
    /// Where it is.
    #[must_use]
    pub fn at(&self) -> EntryRef {
        self.at
    }

    /// The status of its answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Looks whether there is nothing to choose in a group, nowhere to go from it, and something to serve.
    pub(super) fn of(group: &Group, fixtures: &[Arc<Fixture>]) -> Option<Self> {
        let [candidate] = &*group.candidates else { return None };
        let any_payload = match candidate.payload {
            payload::Recorded::Unknown => true,
            payload::Recorded::None => false,
            _ => return None,
        };
        let is_plain = group.unreadable.is_empty()
            && group.rules.match_headers.is_empty()
            && group.rules.echo.is_empty()
            && candidate.condition == Condition::None
            && candidate.location.is_none()
            && candidate.places.is_none();
        let content = || candidate.content(&fixtures[candidate.at.fixture], &group.rules);
        let status = u16::try_from(candidate.status).ok()?;
        (is_plain && matches!(content(), Content::There)).then_some(Sole {
            ordinal: candidate.ordinal,
            status,
            any_payload,
            at: candidate.at,
            in_scope: OnceLock::new(),
        })
    }
}

impl Matcher {
    /// What a request gets that only one entry can answer; `None` says nothing, and all is to be looked at.
    pub(super) fn sole(
        &self,
        found: &Found<'_>,
        headers: &HeaderMap,
        no_payload: bool,
        session: Option<&str>,
    ) -> Option<Chosen> {
        let (group, url) = found.only()?;
        let sole = self.keys[group].sole(self.group(group, url), &self.fixtures)?;
        if !self.lets_alone() || headers.contains_key(UPGRADE) {
            return None;
        }
        if !no_payload && !sole.any_payload {
            return None;
        }
        self.take(sole, session);
        Some(Chosen {
            at: sole.at,
            score: None,
            followed: Vec::new(),
            cookies: Vec::new(),
            status: sole.status,
            location: None,
            same_host: None,
            guess: None,
            echoed: Vec::new(),
        })
    }

    /// The only entry that can answer a request in scope, without a payload and without an Upgrade, if that is known already. The URL
    /// is as the client sent it: where an entry has it word for word, it is in normal form.
    #[must_use]
    pub fn ready(&self, method: &str, url: &str) -> Option<&Sole> {
        // The keys of URLs with placeholders are no URLs.
        if !self.lets_alone() || !self.form.is_plain() || self.index.has_open_urls() {
            return None;
        }
        let known = &self.keys[self.index.group(method, url)?];
        let accepts = || self.scope.accepts(url, &self.form);
        known.sole_if_known().filter(|sole| *sole.in_scope.get_or_init(accepts))
    }

    /// Takes its turn.
    pub fn take(&self, sole: &Sole, session: Option<&str>) {
        self.used.set(sole.ordinal);
        self.sessions.take(session, sole.ordinal);
    }

    /// Whether an entry that is alone answers whatever came before.
    fn lets_alone(&self) -> bool {
        self.repeat != Repeat::Once && self.form.hosts().is_empty()
    }
}
