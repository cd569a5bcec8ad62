//! Explains misses: the nearest entries, their differences from the request, and the options that would let one match.
//!
//! The work does not grow with the fixtures: near entries are found by an index, and only a bounded number is compared.

mod compare;
mod near;
mod remedy;
mod same_origin;
mod typo;

use std::cell::Cell;
use std::sync::OnceLock;

use harproxy_compare::payload_diff::EXPLAINED_BYTES;
use harproxy_compare::{PayloadDiffKind, graphql};

use self::compare::{ComparedEntry, READ_BUDGET};
use super::index::Ordinal;
use super::matcher::Matcher;
use super::redacted_request::RedactedRequest;
use super::{Difference, EntryRef, Miss, MissKind, NearMiss, Query, RequestPart};

/// The index that explanations need beyond that of the matcher, built in the background or for the first miss.
pub(super) type LazyNeighbours = OnceLock<near::Neighbours>;

/// The most near entries that are reported.
const MAX_NEAR: usize = 3;

/// The greatest distance of an entry behind the nearest one. Entries beyond it have little in common with the request.
const MAX_DISTANCE: u32 = 16;

/// Above this number of entries the index is built for the first miss only: a run without misses does not need its
/// memory.
const MAX_WARMED_UP: usize = 250_000;

impl Matcher {
    /// Builds the index of explanations, so that the first miss is explained without a delay. Blocking.
    pub fn warm_up_explanations(&self) {
        if self.index.entries.len() <= MAX_WARMED_UP {
            self.neighbours();
        }
    }

    /// Explains a miss. Secrets of the request are replaced.
    pub(super) fn explain(&self, query: &Query<'_>, kind: MissKind) -> Miss {
        let asked = self.form.view(query.url.as_str());
        let same_path = self.index.with_path(&asked).len();
        let mut redacted = RedactedRequest::new(query, &self.redaction);
        let shown_url = redacted.as_ref().map_or(query.url, |redacted| &redacted.url).clone();
        let budget = Cell::new(READ_BUDGET);
        let mut compared: Vec<ComparedEntry> = Vec::new();
        let similar = self.nearest(query.method, &asked, !query.payload.is_empty());
        for &(least, at) in &similar {
            // Headers and payload only add to the distance, so the remaining entries can't be nearer.
            if compared.get(MAX_NEAR - 1).is_some_and(|last| least > last.rank.distance) {
                break;
            }
            if let Some(one) = self.compare(query, at, &budget) {
                let place = compared.partition_point(|known| known.rank < one.rank);
                compared.insert(place, one);
                compared.truncate(MAX_NEAR);
            }
        }
        let nearest = compared.first().filter(|_| kind == MissKind::NoEntry);
        let remedy = match kind {
            MissKind::NoEntry => nearest.and_then(|nearest| self.remedy(query, &shown_url, nearest, &similar, &budget)),
            MissKind::BodyNotRecorded(_) => Some("--missing-body empty".to_owned()),
            MissKind::UsedUp => Some("--repeat sequence".to_owned()),
            MissKind::RedirectLoop(_) | MissKind::TooManyHops => Some("--redirects serve".to_owned()),
            MissKind::Unreadable(..) | MissKind::OtherProtocol(_) => None,
        };
        let did_you_mean = nearest.and_then(|nearest| self.did_you_mean(query, nearest));
        let is_noise = |ordinal| {
            let head = self.head(ordinal);
            head.is_none_or(|head| self.method_for(ordinal, head.method, query.method) != query.method)
        };
        let mut is_nearest = true;
        compared.retain(|one| {
            std::mem::take(&mut is_nearest) || (one.rank.distance <= MAX_DISTANCE && !is_noise(one.rank.ordinal))
        });
        // Names may be secrets, too. A remedy with a placeholder would not work.
        let remedy = remedy.filter(|remedy| redacted.as_mut().is_none_or(|redacted| redacted.is_clean(remedy)));
        let redact = |compared| self.redact_near(compared, query, redacted.as_mut(), &budget);
        let near: Vec<NearMiss> = compared.into_iter().map(redact).collect();
        let operation = operation(query, redacted.as_ref());
        let recordable = self.recordable(&near);
        Miss { kind, near, same_path, remedy, did_you_mean, recordable, operation }
    }

    /// Returns an entry of a fixture that harproxy wrote, to which a recording of the request could be added. The
    /// fixture of the nearest entry is preferred.
    fn recordable(&self, near: &[NearMiss]) -> Option<EntryRef> {
        let first = (0..self.fixtures.len()).map(|fixture| EntryRef { fixture, entry: 0 });
        near.iter().map(|near| near.at).chain(first).find(|at| self.fixtures[at.fixture].is_own())
    }

    /// Replaces the secrets of the request in a near entry.
    fn redact_near(
        &self,
        live: ComparedEntry,
        query: &Query<'_>,
        redacted: Option<&mut RedactedRequest<'_>>,
        budget: &Cell<u64>,
    ) -> NearMiss {
        let ComparedEntry { rank, mut near, payload_kind } = live;
        let Some(redacted) = redacted else { return near };
        let is_long = payload_kind == PayloadDiffKind::Long;
        let mut shown = redacted.query(query);
        if is_long {
            // The differences of a long payload quote nothing of it. They are taken over below.
            shown.payload = shown.payload.without_body();
        }
        let shown = self.compare(&shown, rank.ordinal, budget).map(|compared| compared.near.differences);
        let mut shown = shown.unwrap_or_default();
        if is_long {
            shown.retain(|difference| difference.part != RequestPart::Body);
            shown.extend(near.differences.iter().filter(|difference| difference.part == RequestPart::Body).cloned());
        }
        near.differences = redacted.redact_values(near.differences, shown);
        near
    }

    /// Returns all differences between a request and an entry, without the secrets of the request. An entry that can't
    /// be read has none.
    pub(super) fn differences(&self, query: &Query<'_>, ordinal: Ordinal) -> Vec<Difference> {
        let budget = Cell::new(READ_BUDGET);
        let Some(live) = self.compare(query, ordinal, &budget) else { return Vec::new() };
        let mut redacted = RedactedRequest::new(query, &self.redaction);
        self.redact_near(live, query, redacted.as_mut(), &budget).differences
    }
}

/// Returns the GraphQL operation that a request names.
fn operation(query: &Query<'_>, redacted: Option<&RedactedRequest<'_>>) -> Option<String> {
    let named = |query: &Query<'_>| {
        let text = Some(query.payload.decoded()).filter(|text| text.len() <= EXPLAINED_BYTES)?;
        graphql::operation(&serde_json::from_slice(text).ok()?)
    };
    match redacted {
        Some(redacted) => named(&redacted.query(query)),
        None => named(query),
    }
}
