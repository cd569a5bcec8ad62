//! Finds the entries that may be nearest to a request: those with the same URL up to the query; those whose path
//! differs in one segment, on this host or another; else those that share the rarest segments; else entries of the
//! host.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher};

use harproxy_compare::distance::folded;
use harproxy_compare::path_diff::VARIABLE;
use harproxy_compare::{Encoding, Template};
use harproxy_http::url::normal;

use super::super::index::{HashIndex, Ordinal};
use super::super::key::View;
use super::super::matcher::Matcher;
use super::MAX_WARMED_UP;
use super::compare::RequestLine;

/// The most entries of the request's own path whose method and URL are compared.
const MAX_SAME_PATH: usize = 2048;
/// The most entries of other paths whose method and URL are compared: if the request's own path has no entry, and if it
/// has.
const MAX_OTHER_PATHS: [usize; 2] = [384, 64];
/// The most entries that are read and compared as a whole.
const MAX_COMPARED: usize = 24;
/// The same for entries with equally near method and URL, if the request has a payload. Where one URL serves
/// everything, entries differ in their payloads only.
const MAX_COMPARED_BY_PAYLOAD: usize = 96;
/// The segments by which longer paths are found.
const MAX_SEGMENTS: usize = 16;
/// The most sets of variable segments that are remembered for paths of one length.
const MAX_VARIABLE_SETS: usize = 32;

/// One entry of each path, by the features that its path shares with others. Case, percent-encoding and empty segments
/// do not count.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    groups: HashIndex,
    /// The sets of segments that vary, by a rule or because of a placeholder, by the length of the path.
    variable_sets: BTreeMap<usize, BTreeSet<Vec<usize>>>,
}

/// Returns the hash of a feature by which paths are found: some segments on a host. The host is `*` if all segments
/// count on any host, and empty for a single segment.
fn feature<'a>(host: &str, segments: impl IntoIterator<Item = &'a Cow<'a, str>>) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(host.as_bytes());
    for segment in segments {
        hasher.write_u8(b'/');
        hasher.write(segment.as_bytes());
    }
    hasher.finish()
}

/// Returns the segments of a path but one.
fn all_but<'a>(path: &'a [Cow<'a, str>], but: usize) -> impl Iterator<Item = &'a Cow<'a, str>> {
    path[..but].iter().chain(&path[but + 1..])
}

/// Returns the segments of a path, decoded and in lower case, with [`VARIABLE`] for those that vary.
fn folded_segments<'u>(view: &'u View<'_, '_>) -> Vec<Cow<'u, str>> {
    let path = view.path();
    let by_rules = path.strip_prefix('/').unwrap_or(&path).split('/');
    let written = view.parts.segments().zip(by_rules).filter(|(written, _)| !written.is_empty());
    let has_placeholder = |segment: &str| Template::parse(segment.as_bytes(), Encoding::Percent).is_some();
    let segment = |(written, by_rules): (&'u str, &str)| match by_rules == VARIABLE || has_placeholder(written) {
        true => Cow::Borrowed(VARIABLE),
        false => folded(written),
    };
    written.take(MAX_SEGMENTS).map(segment).collect()
}

impl Neighbours {
    fn new(matcher: &Matcher) -> Self {
        let (mut found, mut variable_sets) = (Vec::new(), BTreeMap::<usize, BTreeSet<Vec<usize>>>::new());
        for ordinal in matcher.index.one_of_each_path() {
            let Some(url) = matcher.url_of(ordinal) else { continue };
            let view = matcher.form.view(&url);
            let (host, path) = (view.host(), folded_segments(&view));
            found.push((feature("*", &path), ordinal));
            for (n, segment) in path.iter().enumerate() {
                found.push((feature(&host, all_but(&path, n)), ordinal));
                if segment != VARIABLE {
                    found.push((feature("", [segment]), ordinal));
                }
            }
            let variable: Vec<usize> = (0..path.len()).filter(|&n| path[n] == VARIABLE).collect();
            let known = variable_sets.entry(path.len()).or_default();
            if !variable.is_empty() && known.len() < MAX_VARIABLE_SETS {
                known.insert(variable);
            }
        }
        variable_sets.retain(|_, known| !known.is_empty());
        Neighbours { groups: HashIndex::new(found), variable_sets }
    }

    /// Returns the path as it is, and as entries with variable segments see it.
    fn variants<'u>(&self, path: &[Cow<'u, str>]) -> Vec<Vec<Cow<'u, str>>> {
        let sets = self.variable_sets.get(&path.len()).into_iter().flatten();
        let variants = sets.map(|variable| {
            let mut variant = path.to_vec();
            variable.iter().for_each(|&n| variant[n] = Cow::Borrowed(VARIABLE));
            variant
        });
        std::iter::once(path.to_vec()).chain(variants).collect()
    }
}

impl Matcher {
    /// Returns the index of similar URLs, built in the background or for the first miss.
    pub(super) fn neighbours(&self) -> &Neighbours {
        self.neighbours.get_or_init(|| Neighbours::new(self))
    }

    /// Returns the entries to compare with a request, the nearest by method and URL first, each with this distance.
    pub(super) fn nearest(&self, method: &str, asked: &View<'_, '_>, has_payload: bool) -> Vec<(u32, Ordinal)> {
        let same_path = self.index.with_path(asked);
        let mut found: Vec<Ordinal> = same_path.iter().take(MAX_SAME_PATH).copied().collect();
        // Entries of the same path are enough if the index of a large fixture would have to be built first.
        let is_built = self.neighbours.get().is_some();
        if found.is_empty() || self.index.entries.len() <= MAX_WARMED_UP || is_built {
            self.add_neighbours(asked, &mut found);
        }
        if found.is_empty()
            && let Some(known) = self.index.origins.get(&*asked.parts.site())
        {
            found.clone_from(&known.first);
        }
        found.sort_unstable();
        found.dedup();
        let line = RequestLine::new(method, asked);
        let mut ranked: Vec<_> = found
            .into_iter()
            .filter_map(|ordinal| {
                let head = self.head(ordinal)?;
                let url = normal(head.url)?;
                let differs_in_payload = head.post_data != has_payload;
                let distance = line.distance(self.method_for(ordinal, head.method, method), &self.form.view(&url));
                Some((distance, differs_in_payload, ordinal))
            })
            .collect();
        ranked.sort_unstable();
        let nearest = ranked.first().map(|best| best.0);
        let equals = ranked.iter().take_while(|(distance, ..)| Some(*distance) == nearest).count();
        let compared = if has_payload { equals.clamp(MAX_COMPARED, MAX_COMPARED_BY_PAYLOAD) } else { MAX_COMPARED };
        ranked.into_iter().take(compared).map(|(distance, _, ordinal)| (distance, ordinal)).collect()
    }

    /// Adds entries of other paths, up to the limit.
    fn add_neighbours(&self, asked: &View<'_, '_>, found: &mut Vec<Ordinal>) {
        let neighbours = self.neighbours();
        let (host, path) = (asked.host(), folded_segments(asked));
        let is_known = !found.is_empty();
        let limit = found.len() + MAX_OTHER_PATHS[usize::from(is_known)];
        let mut features = Vec::new();
        for path in neighbours.variants(&path) {
            features.push(feature("*", &path));
            // Paths of this host that have one segment more.
            features.push(feature(&host, &path));
            for n in 0..path.len() {
                features.push(feature(&host, all_but(&path, n)));
                features.push(feature("*", all_but(&path, n)));
            }
        }
        // The rarest segments are the most specific.
        let segments = path.iter().filter(|_| !is_known);
        let mut rare: Vec<u64> = segments.map(|segment| feature("", [segment])).collect();
        rare.sort_by_key(|hash| neighbours.groups.get(*hash).len());
        let mut places = BTreeSet::new();
        for group in features.into_iter().chain(rare).map(|hash| neighbours.groups.get(hash)) {
            for &ordinal in group {
                if found.len() >= limit {
                    return;
                }
                if places.insert(ordinal)
                    && let Some(url) = self.url_of(ordinal)
                {
                    let same_path = self.index.with_path(&self.form.view(&url));
                    found.extend(same_path.iter().take(limit - found.len()));
                }
            }
        }
    }
}
