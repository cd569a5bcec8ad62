//! Which entries may come nearest: those of the same place; those whose path is a segment away, on this host or another; else
//! those that share the rarest of its segments; else what the host has.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher};

use super::super::index::{Groups, Ordinal};
use super::super::key::View;
use super::super::matcher::Matcher;
use super::LARGE;
use super::compare::Heads;
use super::paths::{OPEN, folded, is_redacted};
use harproxy_http::url::normal;

/// Entries of the place itself that are looked at: their method and URL.
const LOOKED_AT: usize = 2048;
/// Entries of other places that are, where there are none of the place itself, and where there are.
const LOOKED_AROUND: [usize; 2] = [384, 64];
/// Entries that are read and compared in full.
const COMPARED: usize = 24;
/// The same of entries whose method and URL are equally near to a request with a payload: where one URL is all there is, payloads
/// alone tell them apart.
const COMPARED_BY_PAYLOAD: usize = 96;
/// Paths with more segments are looked for by the first of them.
const DEEPEST: usize = 16;
/// Patterns of segments that vary, for paths of one length.
const MASKS: usize = 32;

/// One entry of each place, by what its path has in common with others. Case, percent-encoding and empty segments are set aside.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    groups: Groups,
    /// Which segments vary (by a rule, or because a placeholder is there) in paths of so many.
    masks: BTreeMap<usize, BTreeSet<Vec<usize>>>,
}

/// What a path is found by.
enum Trait<'a> {
    /// All of it, on any host.
    Whole(&'a [Cow<'a, str>]),
    /// All of it but one segment, on this host.
    But(&'a str, &'a [Cow<'a, str>], usize),
    /// All of it as what is left of a longer one, on this host.
    Rest(&'a str, &'a [Cow<'a, str>]),
    /// One of its segments, on any host.
    Segment(&'a str),
}

impl Trait<'_> {
    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let mut segments = |host: &str, segments: &mut dyn Iterator<Item = &Cow<'_, str>>| {
            hasher.write(host.as_bytes());
            for segment in segments {
                hasher.write_u8(b'/');
                hasher.write(segment.as_bytes());
            }
        };
        match self {
            Trait::Whole(path) => segments("*", &mut path.iter()),
            Trait::Rest(host, path) => segments(host, &mut path.iter()),
            Trait::But(host, path, but) => {
                segments(host, &mut path.iter().enumerate().filter(|(n, _)| n != but).map(|(_, segment)| segment));
            }
            Trait::Segment(segment) => segments("", &mut std::iter::once(&Cow::Borrowed(*segment))),
        }
        hasher.finish()
    }
}

/// The segments of a path, folded; `{}` for those that vary.
fn segments<'u>(seen: &'u View<'_, '_>) -> Vec<Cow<'u, str>> {
    let path = seen.path();
    let open = path.strip_prefix('/').unwrap_or(&path).split('/');
    let written = seen.parts.segments().zip(open).filter(|(written, _)| !written.is_empty());
    let segment = |(written, open): (&'u str, &str)| match open == OPEN || is_redacted(written) {
        true => Cow::Borrowed(OPEN),
        false => folded(written),
    };
    written.take(DEEPEST).map(segment).collect()
}

impl Neighbours {
    fn new(matcher: &Matcher) -> Self {
        let (mut found, mut masks) = (Vec::new(), BTreeMap::<usize, BTreeSet<Vec<usize>>>::new());
        for ordinal in matcher.index.one_of_each_place() {
            let Some(url) = matcher.url_of(ordinal) else { continue };
            let seen = matcher.form.view(&url);
            let (host, path) = (seen.host(), segments(&seen));
            let mut add = |found_by: Trait<'_>| found.push((found_by.hash(), ordinal));
            add(Trait::Whole(&path));
            for (n, segment) in path.iter().enumerate() {
                add(Trait::But(&host, &path, n));
                if segment != OPEN {
                    add(Trait::Segment(segment));
                }
            }
            let mask: Vec<usize> = (0..path.len()).filter(|&n| path[n] == OPEN).collect();
            let known = masks.entry(path.len()).or_default();
            if !mask.is_empty() && known.len() < MASKS {
                known.insert(mask);
            }
        }
        masks.retain(|_, known| !known.is_empty());
        Neighbours { groups: Groups::new(found), masks }
    }

    /// The path as it is, and as those entries see it in whose paths segments vary.
    fn masked<'u>(&self, path: &[Cow<'u, str>]) -> Vec<Vec<Cow<'u, str>>> {
        let masks = self.masks.get(&path.len()).into_iter().flatten();
        let open = masks.map(|mask| {
            let mut open = path.to_vec();
            mask.iter().for_each(|&n| open[n] = Cow::Borrowed(OPEN));
            open
        });
        std::iter::once(path.to_vec()).chain(open).collect()
    }
}

impl Matcher {
    /// Who lives next door to whom.
    pub(super) fn neighbours(&self) -> &Neighbours {
        self.explainer.neighbours.get_or_init(|| Neighbours::new(self))
    }

    /// The entries to compare a request with, none twice: those first that look nearest by method and URL, each with how far it
    /// is by these alone.
    pub(super) fn nearest(&self, method: &str, asked: &View<'_, '_>, has_payload: bool) -> Vec<(u32, Ordinal)> {
        let here = self.index.at_place(asked);
        let mut found: Vec<Ordinal> = here.iter().take(LOOKED_AT).copied().collect();
        // Where the place is known, what lies around it is not worth waiting for.
        if found.is_empty() || self.index.entries().len() <= LARGE || self.explainer.neighbours.get().is_some() {
            self.look_around_for(asked, &mut found);
        }
        if found.is_empty()
            && let Some(known) = self.index.origin(&asked.parts.site())
        {
            found.clone_from(&known.first);
        }
        found.sort_unstable();
        found.dedup();
        let heads = Heads::of(method, asked);
        let mut ranked: Vec<_> = found
            .into_iter()
            .filter_map(|ordinal| {
                let head = self.head(ordinal)?;
                let url = normal(head.url)?;
                let other_kind = head.post_data != has_payload;
                Some((heads.cost(head.method, &self.form.view(&url)), other_kind, ordinal))
            })
            .collect();
        ranked.sort_unstable();
        let equals = ranked.iter().take_while(|(cost, ..)| Some(*cost) == ranked.first().map(|best| best.0)).count();
        let compared = if has_payload { equals.clamp(COMPARED, COMPARED_BY_PAYLOAD) } else { COMPARED };
        ranked.into_iter().take(compared).map(|(cost, _, ordinal)| (cost, ordinal)).collect()
    }

    /// Adds the entries of other places, as many as are looked at.
    fn look_around_for(&self, asked: &View<'_, '_>, found: &mut Vec<Ordinal>) {
        let neighbours = self.neighbours();
        let (host, path) = (asked.host(), segments(asked));
        let known = !found.is_empty();
        let enough = found.len() + LOOKED_AROUND[usize::from(known)];
        let mut traits = Vec::new();
        for path in neighbours.masked(&path) {
            traits.push(Trait::Whole(&path).hash());
            traits.push(Trait::Rest(&host, &path).hash());
            for n in 0..path.len() {
                traits.push(Trait::But(&host, &path, n).hash());
                let shorter: Vec<_> =
                    path.iter().enumerate().filter(|(m, _)| *m != n).map(|(_, s)| s.clone()).collect();
                traits.push(Trait::Whole(&shorter).hash());
            }
        }
        // The rarest segments say most.
        let mut rare: Vec<u64> = path.iter().filter(|_| !known).map(|segment| Trait::Segment(segment).hash()).collect();
        rare.sort_by_key(|hash| neighbours.groups.get(*hash).len());
        let mut places = BTreeSet::new();
        for group in traits.into_iter().chain(rare).map(|hash| neighbours.groups.get(hash)) {
            for &ordinal in group {
                if found.len() >= enough {
                    return;
                }
                if places.insert(ordinal)
                    && let Some(place) = self.place_of(ordinal)
                {
                    found.extend(place.iter().take(enough - found.len()));
                }
            }
        }
    }

    fn place_of(&self, ordinal: Ordinal) -> Option<Cow<'_, [Ordinal]>> {
        let url = self.url_of(ordinal)?;
        Some(self.index.at_place(&self.form.view(&url)))
    }
}
