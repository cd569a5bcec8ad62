//! The index of entries by match key and by path: sorted arrays over all fixtures, about twelve bytes for each entry.
//!
//! The ordinal of an entry is its position among all usable entries, in the order of fixtures and then of the file.
//! Choices among entries follow the order of ordinals, so they do not depend on hashes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use super::EntryRef;
use super::key::{KeyForm, View};
use super::redacted_places::{RedactedPlaces, UrlShape, size};
use harproxy_har::Fixture;
use harproxy_http::url::normal;
use harproxy_http::{Headers, standard_method};
use harproxy_redact::placeholder;

/// The position of an entry among the usable entries of all fixtures.
pub(super) type Ordinal = u32;

/// The entries by match key and by path, and the origins.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The usable entries in order.
    pub(super) entries: Vec<EntryRef>,
    /// The groups of entries with one method and URL.
    pub(super) by_key: HashIndex,
    by_path: HashIndex,
    pub(super) origins: HashMap<Box<str>, KnownOrigin>,
    /// The shapes of URLs with placeholders, by the numbers of segments and parameters. Entries share shapes, so there
    /// are few. Shapes with the same numbers are in the order of first appearance.
    pub(super) shapes: HashMap<(usize, usize), Vec<UrlShape>>,
}

/// An origin that has entries.
#[derive(Debug, Default)]
pub(super) struct KnownOrigin {
    /// Whether an entry was recorded over HTTP/2.
    pub(super) http2: bool,
    /// The first entries, at most [`MAX_FIRST`].
    pub(super) first: Vec<Ordinal>,
}

/// The number of entries of an origin that explain a miss without similar URLs.
const MAX_FIRST: usize = 512;

impl Index {
    /// Indexes the usable entries of all fixtures.
    pub(super) fn new(fixtures: &[Arc<Fixture>], form: &KeyForm) -> Self {
        let mut index = Index::default();
        let (mut keys, mut paths) = (Vec::new(), Vec::new());
        for (fixture, opened) in fixtures.iter().enumerate() {
            for head in opened.heads().iter().filter(|head| !head.left_out) {
                let Some(url) = normal(head.url) else { continue };
                let ordinal = Ordinal::try_from(index.entries.len()).unwrap_or(Ordinal::MAX);
                let view = form.view(&url);
                let methods = spellings(opened, head.method);
                let places = placeholder::may_occur_in(url.as_bytes())
                    .then(|| RedactedPlaces::of(Some(&view), &Headers::default()));
                match places.as_ref().and_then(UrlShape::of) {
                    None => {
                        let key = form.key(&url);
                        keys.extend(methods.map(|method| (hash(method, &key), ordinal)));
                        paths.push((hash(&view.host(), &view.path()), ordinal));
                    }
                    Some(shape) => {
                        let key = shape.of_url(&view);
                        keys.extend(methods.map(|method| (hash(method, &key), ordinal)));
                        paths.push((hash(&view.host(), &shape.of_path(&view.path())), ordinal));
                        let known = index.shapes.entry(size(&view)).or_default();
                        if !known.contains(&shape) {
                            known.push(shape);
                        }
                    }
                }
                index.add_origin(&view.parts.site(), head.http2, ordinal);
                index.entries.push(EntryRef { fixture, entry: head.entry });
            }
        }
        index.by_key = HashIndex::new(keys);
        index.by_path = HashIndex::new(paths);
        index
    }

    /// Returns the group of entries with this method and URL (in the form of [`KeyForm::key`]), if there is one.
    pub(super) fn group(&self, method: &str, url: &str) -> Option<usize> {
        self.by_key.find(hash(method, url))
    }

    /// Returns the groups of entries with this method whose URLs have placeholders and may fit this one.
    pub(super) fn open_groups<'i>(
        &'i self,
        method: &'i str,
        url: &'i View<'_, '_>,
    ) -> impl Iterator<Item = usize> + 'i {
        self.shapes
            .get(&size(url))
            .into_iter()
            .flatten()
            .filter_map(move |shape| self.by_key.find(hash(method, &shape.of_url(url))))
    }

    /// Returns the entries with the origin and path of this URL, with any method and query, in order.
    pub(super) fn with_path(&self, url: &View<'_, '_>) -> Cow<'_, [Ordinal]> {
        let (origin, path) = (url.host(), url.path());
        let plain = self.by_path.get(hash(&origin, &path));
        let mut open = Vec::new();
        let segments = url.parts.segments().count();
        let same_length = self.shapes.iter().filter(|((length, _), _)| *length == segments);
        for shape in same_length.flat_map(|(_, shapes)| shapes).filter(|shape| shape.opens_path()) {
            open.extend_from_slice(self.by_path.get(hash(&origin, &shape.of_path(&path))));
        }
        if open.is_empty() {
            return Cow::Borrowed(plain);
        }
        open.extend_from_slice(plain);
        open.sort_unstable();
        open.dedup();
        Cow::Owned(open)
    }

    /// Returns one entry of each origin and path.
    pub(super) fn one_of_each_path(&self) -> impl Iterator<Item = Ordinal> + '_ {
        (0..self.by_path.hashes.len()).filter_map(|group| self.by_path.members(group).first().copied())
    }

    /// Returns the fixture of an entry, and its position there.
    pub(super) fn at(&self, ordinal: Ordinal) -> EntryRef {
        self.entries[ordinal as usize]
    }

    fn add_origin(&mut self, origin: &str, http2: bool, ordinal: Ordinal) {
        if !self.origins.contains_key(origin) {
            self.origins.insert(origin.into(), KnownOrigin::default());
        }
        if let Some(known) = self.origins.get_mut(origin) {
            known.http2 |= http2;
            if known.first.len() < MAX_FIRST {
                known.first.push(ordinal);
            }
        }
    }
}

/// Returns the methods that an entry with this one answers. Other tools write methods in lower case; such an entry
/// answers both spellings.
pub(super) fn spellings<'m>(fixture: &Fixture, method: &'m str) -> impl Iterator<Item = &'m str> {
    let upper = if fixture.is_own() { None } else { standard_method(method) };
    [Some(method), upper].into_iter().flatten()
}

/// Returns the hash of a method and a URL, or of an origin and a path. Equal hashes count as equal texts: the
/// probability that a URL without an entry has the hash of one in a million entries is 5e-14.
fn hash(first: &str, second: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(first.as_bytes());
    hasher.write_u8(0xff);
    hasher.write(second.as_bytes());
    hasher.finish()
}

/// An index of ordinals by hash.
#[derive(Debug, Default)]
pub(super) struct HashIndex {
    /// The distinct hashes in ascending order.
    pub(super) hashes: Vec<u64>,
    /// The position in `members` of the first member of each hash.
    starts: Vec<u32>,
    members: Vec<Ordinal>,
}

impl HashIndex {
    pub(super) fn new(mut pairs: Vec<(u64, Ordinal)>) -> Self {
        pairs.sort_unstable();
        let mut index = HashIndex { members: Vec::with_capacity(pairs.len()), ..HashIndex::default() };
        for (hash, ordinal) in pairs {
            if index.hashes.last() != Some(&hash) {
                index.hashes.push(hash);
                index.starts.push(index.members.len() as u32);
            }
            index.members.push(ordinal);
        }
        index.hashes.shrink_to_fit();
        index.starts.shrink_to_fit();
        index
    }

    /// Returns the members of a hash in order.
    pub(super) fn get(&self, hash: u64) -> &[Ordinal] {
        self.find(hash).map_or(&[], |group| self.members(group))
    }

    fn find(&self, hash: u64) -> Option<usize> {
        self.hashes.binary_search(&hash).ok()
    }

    pub(super) fn members(&self, group: usize) -> &[Ordinal] {
        let start = self.starts[group] as usize;
        let end = self.starts.get(group + 1).map_or(self.members.len(), |&end| end as usize);
        &self.members[start..end]
    }
}
