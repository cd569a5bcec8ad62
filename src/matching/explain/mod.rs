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

    /// Explains a miss.
    pub(super) fn explain(&self, query: &Query<'_>, payload: &payload::Sent<'_>, kind: MissKind) -> Miss {
        let asked = self.form.view(query.url.as_str());
        let same_path = self.index.at_place(&asked).len();
        let mut compared: Vec<Compared> =
            self.nearest(query.method, &asked).into_iter().filter_map(|at| self.compare(query, payload, at)).collect();
        compared.sort_by(|a, b| a.rank.cmp(&b.rank));
        compared.truncate(SHOWN);
        let remedy = match kind {
            MissKind::NoEntry => compared.first().and_then(|nearest| nearest.remedy.clone()),
            MissKind::BodyNotRecorded(_) => Some("--missing-body empty".to_owned()),
            MissKind::UsedUp => Some("--repeat sequence".to_owned()),
            MissKind::RedirectLoop(_) | MissKind::TooManyHops => Some("--redirects serve".to_owned()),
            MissKind::OtherProtocol(_) | MissKind::Unreadable(..) => None,
        };
        let operation = serde_json::from_slice(payload.decoded()).ok().and_then(|value| graphql::operation(&value));
        let near = compared.into_iter().map(|Compared { near, .. }| near).collect::<Vec<Near>>();
        Miss { kind, near, same_path, remedy, operation }
    }

    /// Everything that keeps an entry from matching; nothing when it can't be read.
    pub(super) fn differences(
        &self,
        query: &Query<'_>,
        payload: &payload::Sent<'_>,
        ordinal: Ordinal,
    ) -> Vec<Difference> {
        self.compare(query, payload, ordinal).map(|compared| compared.near.differences).unwrap_or_default()
    }
}
