//! Which entries may come nearest: those of the same place; else those one path segment or the host away; else what the
//! host has.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

use super::super::index::Ordinal;
use super::super::matcher::Matcher;
use super::super::url::{Parts, normal};
use super::compare::query_distance;

/// Entries of one place that are looked at: their method and query.
const LOOKED_AT: usize = 2048;
/// Entries that are read and compared in full.
const COMPARED: usize = 24;
/// Origins that are asked for the same path.
const ORIGINS: usize = 64;

/// Entries by their path with one segment left open, a few for each.
#[derive(Debug, Default)]
pub(super) struct Neighbours(HashMap<u64, Vec<Ordinal>>);

impl Neighbours {
    fn new(matcher: &Matcher) -> Self {
        let mut neighbours: HashMap<u64, Vec<Ordinal>> = HashMap::new();
        for ordinal in matcher.index.one_of_each_place() {
            let Some(url) = matcher.url_of(ordinal) else { continue };
            for open in open_segments(matcher, &Parts::of(&url)) {
                let known = neighbours.entry(open).or_default();
                if known.len() < super::SHOWN {
                    known.push(ordinal);
                }
            }
        }
        neighbours.values_mut().for_each(|known| known.sort_unstable());
        Neighbours(neighbours)
    }
}

/// The path with each of its segments left open in turn, as hashes.
fn open_segments(matcher: &Matcher, parts: &Parts<'_>) -> Vec<u64> {
    /// Paths with more segments are not templates of anything.
    const DEEPEST: usize = 16;
    let host = parts.host();
    let origin = matcher.form.origin(&host);
    let segments: Vec<_> = parts.segments().take(DEEPEST + 1).collect();
    if segments.len() > DEEPEST {
        return Vec::new();
    }
    (0..segments.len())
        .map(|open| {
            let mut hasher = DefaultHasher::new();
            hasher.write(origin.as_bytes());
            for (n, segment) in segments.iter().enumerate() {
                hasher.write_u8(b'/');
                hasher.write(if n == open { b"{}" } else { segment.as_bytes() });
            }
            hasher.finish()
        })
        .collect()
}

impl Matcher {
    /// The entries to compare a request with, none twice.
    pub(super) fn nearest(&self, method: &str, parts: &Parts<'_>) -> Vec<Ordinal> {
        let host = parts.host();
        let origin = self.form.origin(&host);
        let mut places = vec![self.index.at_place(&origin, parts.path)];
        if places[0].is_empty() {
            let neighbours = self.explainer.neighbours.get_or_init(|| Neighbours::new(self));
            let near = open_segments(self, parts).into_iter().filter_map(|open| neighbours.0.get(&open)).flatten();
            places.extend(near.filter_map(|&ordinal| self.place_of(ordinal)));
            places.extend(self.elsewhere(parts.path));
        }
        if places.iter().all(|place| place.is_empty()) {
            places.extend(self.index.origin(&host).map(|known| &known.first[..]));
        }
        // Each place gives its best; a place can hold a whole recording.
        let mut best: Vec<Ordinal> = places.into_iter().flat_map(|place| self.best_of(place, method, parts)).collect();
        best.sort_unstable();
        best.dedup();
        best
    }

    /// The same path on other hosts, in the order of their first entries.
    fn elsewhere(&self, path: &str) -> Vec<&[Ordinal]> {
        let mut origins: Vec<_> = self.index.origins().collect();
        origins.sort_unstable_by_key(|(_, known)| known.first.first().copied());
        let places =
            origins.into_iter().take(ORIGINS).map(|(origin, _)| self.index.at_place(&self.form.origin(origin), path));
        places.filter(|place| !place.is_empty()).take(super::SHOWN).collect()
    }

    fn place_of(&self, ordinal: Ordinal) -> Option<&[Ordinal]> {
        let url = self.url_of(ordinal)?;
        let parts = Parts::of(&url);
        Some(self.index.at_place(&self.form.origin(&parts.host()), parts.path))
    }

    /// The entries of a place whose method and query are the nearest.
    fn best_of(&self, place: &[Ordinal], method: &str, parts: &Parts<'_>) -> Vec<Ordinal> {
        if place.len() <= COMPARED {
            return place.to_vec();
        }
        let mut ranked: Vec<_> = place
            .iter()
            .take(LOOKED_AT)
            .filter_map(|&ordinal| {
                let head = self.head(ordinal)?;
                let url = normal(head.url)?;
                let distance = query_distance(parts.query, Parts::of(&url).query, &self.form);
                Some((head.method != method, distance, ordinal))
            })
            .collect();
        ranked.sort_unstable();
        ranked.into_iter().take(COMPARED).map(|(_, _, ordinal)| ordinal).collect()
    }
}
