//! Why nothing answers: the entries that come nearest, what keeps each from matching, and what would let it.
//!
//! The work is bounded whatever the size of the fixtures: nearest entries are looked up, not searched for, and of those
//! that share a place only so many are looked at.

mod body;
mod compare;
mod cost;
mod excerpt;
mod fields;
mod near;
mod paths;
mod remedy;

use std::sync::OnceLock;

pub use self::excerpt::{beginning, beside};

use self::body::Nature;
use self::compare::{Budget, Compared};
use super::index::Ordinal;
use super::matcher::Matcher;
use super::shown::Shown;
use super::{Difference, EntryRef, Miss, MissKind, Near, Query, What, graphql, payload};

/// Entries that are shown.
const SHOWN: usize = 3;

/// What explanations need beyond the index; made in the background, or for the first miss that asks for it.
#[derive(Debug, Default)]
pub(super) struct Explainer {
    neighbours: OnceLock<near::Neighbours>,
}

/// Fixtures with more entries are looked around in for the first miss that asks: what that takes in memory is too much for a
/// run that misses nothing.
const LARGE: usize = 250_000;

impl Matcher {
    /// Makes now what the first explanation of a miss would else take its time for: some 50 ms among 100,000 entries, which
    /// are better spent in the background. Blocking.
    pub fn look_around(&self) {
        if self.index.entries().len() <= LARGE {
            self.neighbours();
        }
    }

    /// Explains a miss. What is told of the request is without its secrets.
    pub(super) fn explain(&self, query: &Query<'_>, payload: &payload::Sent<'_>, kind: MissKind) -> Miss {
        let asked = self.form.view(query.url.as_str());
        let same_path = self.index.at_place(&asked).len();
        let mut shown = Shown::of(query, payload, &self.telling);
        let told_as = shown.as_ref().map_or(query.url, |shown| &shown.url).clone();
        let budget = Budget::new();
        let mut compared: Vec<(Compared, Ordinal)> = Vec::new();
        for (least, at) in self.nearest(query.method, &asked, !payload.is_empty()) {
            // Headers and payload only add to the distance: what is too far without them need not be read.
            if compared.get(SHOWN - 1).is_some_and(|(last, _)| least > last.rank.cost()) {
                break;
            }
            if let Some(one) = self.compare(query, payload, at, &budget) {
                let place = compared.partition_point(|(known, _)| known.rank < one.rank);
                compared.insert(place, (one, at));
                compared.truncate(SHOWN);
            }
        }
        let remedy = match kind {
            MissKind::NoEntry => {
                compared.first().and_then(|(nearest, at)| self.remedy(query, payload, &told_as, *at, nearest))
            }
            MissKind::BodyNotRecorded(_) => Some("--missing-body empty".to_owned()),
            MissKind::UsedUp => Some("--repeat sequence".to_owned()),
            MissKind::RedirectLoop(_) | MissKind::TooManyHops => Some("--redirects serve".to_owned()),
            MissKind::Unreadable(..) | MissKind::OtherProtocol(_) => None,
        };
        // A name may be a secret, too: what can't be told can't be typed either.
        let remedy = remedy.filter(|remedy| shown.as_mut().is_none_or(|shown| shown.may_tell(remedy)));
        let veiled = |(compared, at)| self.veiled(compared, query, payload, at, shown.as_mut(), &budget);
        let near: Vec<Near> = compared.into_iter().map(veiled).collect();
        let operation = operation(query, payload, shown.as_ref());
        let recordable = if remedy.is_none() && kind == MissKind::NoEntry { self.recordable(&near) } else { None };
        Miss { kind, near, same_path, remedy, recordable, operation }
    }

    /// A place in the fixture that a recording of the request could be added to: one of harproxy's own, the nearest entry's first.
    fn recordable(&self, near: &[Near]) -> Option<EntryRef> {
        let first = (0..self.fixtures.len()).map(|fixture| EntryRef { fixture, entry: 0 });
        near.iter().map(|near| near.at).chain(first).find(|at| self.fixtures[at.fixture].is_own())
    }

    /// A near entry without the request's secrets.
    fn veiled(
        &self,
        live: Compared,
        query: &Query<'_>,
        payload: &payload::Sent<'_>,
        ordinal: Ordinal,
        shown: Option<&mut Shown<'_>>,
        budget: &Budget,
    ) -> Near {
        let Compared { mut near, nature, .. } = live;
        let Some(shown) = shown else { return near };
        let told = shown.with(query, payload, |query, payload| {
            // Of what is long nothing is told that could be secret.
            let nothing = payload.left_out();
            let payload = if nature == Nature::Long { &nothing } else { payload };
            self.compare(query, payload, ordinal, budget).map(|compared| compared.near.differences)
        });
        let mut told = told.unwrap_or_default();
        if nature == Nature::Long {
            told.retain(|difference| difference.what != What::Body);
            told.extend(near.differences.iter().filter(|difference| difference.what == What::Body).cloned());
        }
        near.differences = shown.veil(near.differences, told);
        near
    }

    /// Everything that keeps an entry from matching, without the request's secrets; nothing when it can't be read.
    pub(super) fn differences(
        &self,
        query: &Query<'_>,
        payload: &payload::Sent<'_>,
        ordinal: Ordinal,
    ) -> Vec<Difference> {
        let budget = Budget::new();
        let Some(live) = self.compare(query, payload, ordinal, &budget) else { return Vec::new() };
        let mut shown = Shown::of(query, payload, &self.telling);
        self.veiled(live, query, payload, ordinal, shown.as_mut(), &budget).differences
    }
}

fn operation(query: &Query<'_>, payload: &payload::Sent<'_>, shown: Option<&Shown<'_>>) -> Option<String> {
    let named = |_: &Query<'_>, payload: &payload::Sent<'_>| {
        let text = Some(payload.decoded()).filter(|text| text.len() <= body::LONGEST);
        serde_json::from_slice(text?).ok().and_then(|value| graphql::operation(&value))
    };
    match shown {
        Some(shown) => shown.with(query, payload, named),
        None => named(query, payload),
    }
}
