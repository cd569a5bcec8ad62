//! Why nothing answers: the entries that come nearest, what keeps each from matching, and what would let it.
//!
//! The work is bounded whatever the size of the fixtures: nearest entries are looked up, not searched for, and of those
//! that share a place only so many are looked at.

mod body;
mod compare;
mod near;
mod remedy;

use std::sync::OnceLock;

use self::compare::Compared;
use super::index::Ordinal;
use super::matcher::Matcher;
use super::shown::Shown;
use super::{Difference, Miss, MissKind, Near, Query, graphql, payload};

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
        let near = self.nearest(query.method, &asked).into_iter();
        let mut compared: Vec<(Compared, Ordinal)> =
            near.filter_map(|at| Some((self.compare(query, payload, at, &told_as)?, at))).collect();
        compared.sort_by(|(a, _), (b, _)| a.rank.cmp(&b.rank));
        compared.truncate(SHOWN);
        let remedy = match kind {
            MissKind::NoEntry => compared.first().and_then(|(nearest, _)| nearest.remedy.clone()),
            MissKind::BodyNotRecorded(_) => Some("--missing-body empty".to_owned()),
            MissKind::UsedUp => Some("--repeat sequence".to_owned()),
            MissKind::RedirectLoop(_) | MissKind::TooManyHops => Some("--redirects serve".to_owned()),
            MissKind::Unreadable(..) | MissKind::OtherProtocol(_) => None,
        };
        let near = compared.into_iter().map(|(Compared { mut near, .. }, at)| {
            near.differences = self.veiled(near.differences, query, payload, at, shown.as_mut());
            near
        });
        let near: Vec<Near> = near.collect();
        Miss { kind, near, same_path, remedy, operation: operation(query, payload, shown.as_ref()) }
    }

    /// The differences without the request's secrets.
    fn veiled(
        &self,
        live: Vec<Difference>,
        query: &Query<'_>,
        payload: &payload::Sent<'_>,
        ordinal: Ordinal,
        shown: Option<&mut Shown<'_>>,
    ) -> Vec<Difference> {
        let Some(shown) = shown else { return live };
        let differences = shown.with(query, payload, |query, payload| {
            self.compare(query, payload, ordinal, query.url).map(|compared| compared.near.differences)
        });
        shown.veil(live, differences.unwrap_or_default())
    }

    /// Everything that keeps an entry from matching, without the request's secrets; nothing when it can't be read.
    pub(super) fn differences(
        &self,
        query: &Query<'_>,
        payload: &payload::Sent<'_>,
        ordinal: Ordinal,
    ) -> Vec<Difference> {
        let live = self.compare(query, payload, ordinal, query.url).map(|compared| compared.near.differences);
        let mut shown = Shown::of(query, payload, &self.telling);
        self.veiled(live.unwrap_or_default(), query, payload, ordinal, shown.as_mut())
    }
}

fn operation(query: &Query<'_>, payload: &payload::Sent<'_>, shown: Option<&Shown<'_>>) -> Option<String> {
    let named = |_: &Query<'_>, payload: &payload::Sent<'_>| {
        serde_json::from_slice(payload.decoded()).ok().and_then(|value| graphql::operation(&value))
    };
    match shown {
        Some(shown) => shown.with(query, payload, named),
        None => named(query, payload),
    }
}
