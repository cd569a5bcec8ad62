//! Where the entries of a key are: two sorted arrays over all fixtures, a dozen bytes an entry and no pointer.
//!
//! An entry's ordinal is its place among all usable entries, fixtures in their order and entries in file order. Everything
//! that chooses among entries goes by it, so nothing depends on how a hash falls.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use super::EntryRef;
use super::key::{KeyForm, View};
use super::redacted::{UrlPlaces, UrlShape, size};
use harproxy_har::Fixture;
use harproxy_http::url::normal;
use harproxy_redact::placeholder;

/// An entry's place among all usable entries of all fixtures.
pub(super) type Ordinal = u32;

/// Entries by key and by place, and what is known of each origin.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: Vec<EntryRef>,
    by_key: Groups,
    by_place: Groups,
    origins: HashMap<Box<str>, Origin>,
    shapes: Shapes,
}

/// The shapes of URLs in which placeholders stand, by how long such URLs are. They are as many as there are kinds of such
/// URLs, not as there are entries. Those of one length are in order of first appearance.
#[derive(Debug, Default)]
struct Shapes(HashMap<(usize, usize), Vec<UrlShape>>);

/// What the index knows of an origin.
#[derive(Debug, Default)]
pub(super) struct Origin {
    /// An entry of it came over HTTP/2.
    pub(super) http2: bool,
    /// Its first entries.
    pub(super) first: Vec<Ordinal>,
}

/// Enough entries of an origin to show what there is when nothing else is near.
const FIRST: usize = 512;

impl Index {
    /// Indexes the usable entries of all fixtures.
    pub(super) fn new(fixtures: &[Arc<Fixture>], form: &KeyForm) -> Self {
        let mut index = Index::default();
        let (mut keys, mut places) = (Vec::new(), Vec::new());
        for (fixture, opened) in fixtures.iter().enumerate() {
            for head in opened.heads().iter() {
                let Some(url) = normal(head.url) else { continue };
                let ordinal = Ordinal::try_from(index.entries.len()).unwrap_or(Ordinal::MAX);
                let seen = form.view(&url);
                match index.shapes.note(&url, &seen) {
                    None => {
                        keys.push((key(head.method, &form.of(&url)), ordinal));
                        places.push((place(&seen.host(), &seen.path()), ordinal));
                    }
                    Some(shape) => {
                        keys.push((key(head.method, &shape.of_url(&seen)), ordinal));
                        places.push((place(&seen.host(), &shape.of_path(&seen.path())), ordinal));
                    }
                }
                index.note_origin(&seen.parts.site(), head.http2, ordinal);
                index.entries.push(EntryRef { fixture, entry: head.entry });
            }
        }
        index.by_key = Groups::new(keys);
        index.by_place = Groups::new(places);
        index
    }

    /// The group of entries with this method and URL (in the form of [`KeyForm::of`]), if there is one.
    pub(super) fn group(&self, method: &str, url: &str) -> Option<usize> {
        self.by_key.find(key(method, url))
    }

    /// The groups of entries with this method that have placeholders in their URLs, and may fit this one.
    pub(super) fn open_groups<'i>(
        &'i self,
        method: &'i str,
        asked: &'i View<'_, '_>,
    ) -> impl Iterator<Item = usize> + 'i {
        let shapes = self.shapes.that_may_fit(asked);
        shapes.iter().filter_map(move |shape| self.by_key.find(key(method, &shape.of_url(asked))))
    }

    /// Whether some entry has a placeholder in its URL.
    pub(super) fn has_open_urls(&self) -> bool {
        !self.shapes.0.is_empty()
    }

    /// The entries of a group, in order.
    pub(super) fn members(&self, group: usize) -> &[Ordinal] {
        self.by_key.members(group)
    }

    /// How many groups there are.
    pub(super) fn groups(&self) -> usize {
        self.by_key.hashes.len()
    }

    /// Entries with the origin and path of this URL, whatever their method and query, in order.
    pub(super) fn at_place(&self, asked: &View<'_, '_>) -> Cow<'_, [Ordinal]> {
        let (origin, path) = (asked.host(), asked.path());
        let plain = self.by_place.get(place(&origin, &path));
        let mut open = Vec::new();
        for shape in self.shapes.that_open_the_path(asked) {
            open.extend_from_slice(self.by_place.get(place(&origin, &shape.of_path(&path))));
        }
        if open.is_empty() {
            return Cow::Borrowed(plain);
        }
        open.extend_from_slice(plain);
        open.sort_unstable();
        open.dedup();
        Cow::Owned(open)
    }

    /// One entry of each origin and path.
    pub(super) fn one_of_each_place(&self) -> impl Iterator<Item = Ordinal> + '_ {
        (0..self.by_place.hashes.len()).filter_map(|group| self.by_place.members(group).first().copied())
    }

    /// What is known of an origin.
    pub(super) fn origin(&self, origin: &str) -> Option<&Origin> {
        self.origins.get(origin)
    }

    /// The origins that have entries.
    pub(super) fn origins(&self) -> impl Iterator<Item = (&str, &Origin)> {
        self.origins.iter().map(|(name, origin)| (&**name, origin))
    }

    /// Where an entry is.
    pub(super) fn at(&self, ordinal: Ordinal) -> EntryRef {
        self.entries[ordinal as usize]
    }

    /// The entries in order.
    pub(super) fn entries(&self) -> &[EntryRef] {
        &self.entries
    }

    fn note_origin(&mut self, origin: &str, http2: bool, ordinal: Ordinal) {
        if !self.origins.contains_key(origin) {
            self.origins.insert(origin.into(), Origin::default());
        }
        if let Some(known) = self.origins.get_mut(origin) {
            known.http2 |= http2;
            if known.first.len() < FIRST {
                known.first.push(ordinal);
            }
        }
    }
}

impl Shapes {
    /// The shape of an entry's URL; `None` when there is no placeholder in it.
    fn note(&mut self, url: &str, seen: &View<'_, '_>) -> Option<UrlShape> {
        if !placeholder::may_occur_in(url.as_bytes()) {
            return None;
        }
        let shape = UrlShape::of(&UrlPlaces::of(seen))?;
        let known = self.0.entry(size(seen)).or_default();
        if !known.contains(&shape) {
            known.push(shape.clone());
        }
        Some(shape)
    }

    fn that_may_fit(&self, asked: &View<'_, '_>) -> &[UrlShape] {
        if self.0.is_empty() {
            return &[];
        }
        self.0.get(&size(asked)).map_or(&[], Vec::as_slice)
    }

    fn that_open_the_path(&self, asked: &View<'_, '_>) -> impl Iterator<Item = &UrlShape> {
        let segments = if self.0.is_empty() { 0 } else { size(asked).0 };
        let lengths = self.0.iter().filter(move |((length, _), _)| *length == segments);
        lengths.flat_map(|(_, shapes)| shapes).filter(|shape| shape.opens_path())
    }
}

/// The hash of a method and a URL. The texts are not compared again: among 2^64 hashes, a request for a URL that no entry
/// has finds one of a million entries with a probability of 5e-14.
fn key(method: &str, url: &str) -> u64 {
    hash(method, url)
}

/// The hash of an origin and a path.
fn place(origin: &str, path: &str) -> u64 {
    hash(origin, path)
}

fn hash(first: &str, second: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(first.as_bytes());
    hasher.write_u8(0xff);
    hasher.write(second.as_bytes());
    hasher.finish()
}

/// Ordinals by hash: the distinct hashes in order, where the members of each begin, and the members.
#[derive(Debug, Default)]
pub(super) struct Groups {
    hashes: Vec<u64>,
    starts: Vec<u32>,
    members: Vec<Ordinal>,
}

impl Groups {
    pub(super) fn new(mut pairs: Vec<(u64, Ordinal)>) -> Self {
        pairs.sort_unstable();
        let mut groups = Groups { members: Vec::with_capacity(pairs.len()), ..Groups::default() };
        for (hash, ordinal) in pairs {
            if groups.hashes.last() != Some(&hash) {
                groups.hashes.push(hash);
                groups.starts.push(groups.members.len() as u32);
            }
            groups.members.push(ordinal);
        }
        groups.hashes.shrink_to_fit();
        groups.starts.shrink_to_fit();
        groups
    }

    /// The members of a hash, in order.
    pub(super) fn get(&self, hash: u64) -> &[Ordinal] {
        self.find(hash).map_or(&[], |group| self.members(group))
    }

    fn find(&self, hash: u64) -> Option<usize> {
        self.hashes.binary_search(&hash).ok()
    }

    fn members(&self, group: usize) -> &[Ordinal] {
        let start = self.starts[group] as usize;
        let end = self.starts.get(group + 1).map_or(self.members.len(), |&end| end as usize);
        &self.members[start..end]
    }
}
