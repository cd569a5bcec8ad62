//! Which entries may come nearest: those of the same place; else those one path segment or the host away; else what the
//! host has.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hasher};

use super::super::index::{Groups, Ordinal};
use super::super::key::View;
use super::super::matcher::Matcher;
use super::super::url::{Parts, normal};
use super::compare::query_distance;

/// Entries of one place that are looked at: their method and query.
const LOOKED_AT: usize = 2048;
/// Entries that are read and compared in full.
const COMPARED: usize = 24;
/// Origins that are asked for the same path.
const ORIGINS: usize = 64;

/// One entry of each place, by its path with one segment left open.
#[derive(Debug, Default)]
pub(super) struct Neighbours(Groups<u64>);

impl Neighbours {
    fn new(matcher: &Matcher) -> Self {
        let mut open = Vec::new();
        for ordinal in matcher.index.one_of_each_place() {
            if let Some(url) = matcher.url_of(ordinal) {
                open.extend(open_segments(&matcher.form.view(&url)).into_iter().map(|open| (open, ordinal)));
            }
        }
        Neighbours(Groups::new(open))
    }
}

/// The path with each of its segments left open in turn, as hashes.
fn open_segments(seen: &View<'_, '_>) -> Vec<u64> {
    /// Paths with more segments are not templates of anything.
    const DEEPEST: usize = 16;
    let (origin, path) = (seen.host(), seen.path());
    let parts = Parts { path: &path, ..seen.parts };
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
    /// Who lives next door to whom.
    pub(super) fn neighbours(&self) -> &Neighbours {
        self.explainer.neighbours.get_or_init(|| Neighbours::new(self))
    }

    /// The entries to compare a request with, none twice.
    pub(super) fn nearest(&self, method: &str, asked: &View<'_, '_>) -> Vec<Ordinal> {
        let here = self.index.at_place(asked);
        if !here.is_empty() {
            return self.best_of(&here, method, asked);
        }
        let mut near = self.best_of(&self.next_door(asked), method, asked);
        for place in self.elsewhere(asked.parts.path) {
            near.extend(self.best_of(&place, method, asked));
        }
        if near.is_empty()
            && let Some(known) = self.index.origin(&asked.parts.host())
        {
            near = self.best_of(&known.first, method, asked);
        }
        near
    }

    /// The entries whose path differs in one segment, as many as are looked at.
    fn next_door(&self, asked: &View<'_, '_>) -> Vec<Ordinal> {
        let neighbours = self.neighbours();
        let doors = open_segments(asked).into_iter().flat_map(|open| neighbours.0.get(open));
        let mut found = Vec::new();
        for place in doors.filter_map(|&ordinal| self.place_of(ordinal)) {
            found.extend_from_slice(&place);
            if found.len() >= LOOKED_AT {
                break;
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The same path on other hosts, in the order of their first entries.
    fn elsewhere(&self, path: &str) -> Vec<Cow<'_, [Ordinal]>> {
        let mut origins: Vec<_> = self.index.origins().collect();
        origins.sort_unstable_by_key(|(_, known)| known.first.first().copied());
        let places = origins.into_iter().take(ORIGINS).map(|(origin, _)| {
            let url = format!("{origin}{path}");
            self.index.at_place(&self.form.view(&url))
        });
        places.filter(|place| !place.is_empty()).take(super::SHOWN).collect()
    }

    fn place_of(&self, ordinal: Ordinal) -> Option<Cow<'_, [Ordinal]>> {
        let url = self.url_of(ordinal)?;
        Some(self.index.at_place(&self.form.view(&url)))
    }

    /// The entries of a place whose method and query are the nearest.
    fn best_of(&self, place: &[Ordinal], method: &str, asked: &View<'_, '_>) -> Vec<Ordinal> {
        if place.len() <= COMPARED {
            return place.to_vec();
        }
        let mut ranked: Vec<_> = place
            .iter()
            .take(LOOKED_AT)
            .filter_map(|&ordinal| {
                let head = self.head(ordinal)?;
                let url = normal(head.url)?;
                let distance = query_distance(asked, Parts::of(&url).query);
                Some((head.method != method, distance, ordinal))
            })
            .collect();
        ranked.sort_unstable();
        ranked.into_iter().take(COMPARED).map(|(_, _, ordinal)| ordinal).collect()
    }
}
