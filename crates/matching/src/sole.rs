//! The entry that is alone with its method and URL, as most are: nothing is to be chosen, and nothing but its turn is to be taken.

use std::sync::Arc;

use ::http::HeaderMap;
use ::http::header::UPGRADE;

use super::candidate::{Candidate, Content, Group};
use super::conditional::Condition;
use super::index::{self, Ordinal};
use super::matcher::{Found, Matcher};
use super::{Chosen, Repeat, payload};
use harproxy_har::Fixture;

/// What stands for a method and a URL: the same for both alone, and as good as random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    first: u64,
    last: u64,
}

impl Key {
    /// The key of this method and this URL, as they are.
    #[must_use]
    pub fn of(method: &str, url: &str) -> Self {
        Key::from_bits(index::key(method, url))
    }

    /// All of it.
    #[must_use]
    pub fn bits(self) -> u128 {
        u128::from(self.first) << 64 | u128::from(self.last)
    }

    /// The key that has these [`Key::bits`].
    #[must_use]
    pub fn from_bits(bits: u128) -> Self {
        Key { first: (bits >> 64) as u64, last: bits as u64 }
    }

    /// A byte of it, which has no say in its place.
    #[must_use]
    pub fn byte(self) -> u8 {
        self.last as u8
    }

    /// Where it belongs among so many places: somewhere below that number, and all places alike.
    #[must_use]
    pub fn place(self, among: usize) -> usize {
        ((u128::from(self.first) * among as u128) >> 64) as usize
    }
}

/// An entry that answers whoever asks without a payload and without a change of protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sole(Ordinal);

/// The only candidate of a group.
struct Alone<'g> {
    candidate: &'g Candidate,
    status: u16,
    any_payload: bool,
}

impl<'g> Alone<'g> {
    /// Looks whether there is nothing to choose in a group, nowhere to go from it, and something to serve.
    fn of(group: &'g Group, fixtures: &[Arc<Fixture>]) -> Option<Self> {
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
        (is_plain && matches!(content(), Content::There)).then_some(Alone { candidate, status, any_payload })
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
        let Alone { candidate, status, any_payload } = Alone::of(self.group(group, url), &self.fixtures)?;
        if !self.lets_alone() || headers.contains_key(UPGRADE) {
            return None;
        }
        if !no_payload && !any_payload {
            return None;
        }
        self.take(Sole(candidate.ordinal), session);
        Some(Chosen {
            at: candidate.at,
            score: None,
            followed: Vec::new(),
            cookies: Vec::new(),
            status,
            location: None,
            same_host: None,
            guess: None,
            echoed: Vec::new(),
        })
    }

    /// How many methods and URLs there are.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// The entry that everyone gets from now on whose request has this method and this URL in the same words, without a payload and without
    /// an Upgrade: it is in scope, and nothing has to be looked at again.
    #[must_use]
    pub fn alone(&self, found: &Found<'_>) -> Option<Sole> {
        let (group, url) = found.only()?;
        let Alone { candidate, .. } = Alone::of(self.group(group, url), &self.fixtures)?;
        let is_one = self.lets_alone() && self.goes_by_words() && self.in_scope(url);
        is_one.then_some(Sole(candidate.ordinal))
    }

    /// Takes its turn.
    pub fn take(&self, sole: Sole, session: Option<&str>) {
        self.used.set(sole.0);
        self.sessions.take(session, sole.0);
    }

    /// Whether an entry that is alone answers whatever came before.
    fn lets_alone(&self) -> bool {
        self.repeat != Repeat::Once && self.form.hosts().is_empty()
    }

    /// Whether URLs are equal by their words alone. The keys of URLs with placeholders are no URLs.
    fn goes_by_words(&self) -> bool {
        self.form.is_plain() && !self.index.has_open_urls()
    }
}
