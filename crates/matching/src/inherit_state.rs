//! State that a matcher inherits from its predecessor after a reload: used entries and sequences.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::index::Ordinal;
use super::{EntryRef, Matcher};
use harproxy_har::Fixture;

/// The identity of an entry across edits: fixture, method, URL, and its index among the entries with the same.
type EntryIdentity<'a> = (&'a Path, &'a str, &'a str, usize);

impl Matcher {
    /// Copies the state of the previous matcher. Used entries stay used, identified by fixture, method, URL and their
    /// index among equal ones. Sequences continue in unchanged fixtures, and start again in the others. Idempotent.
    pub fn inherit_state(&self, before: &Matcher) {
        let known = before.identities();
        for (entry, ordinal) in self.identities() {
            if known.get(&entry).is_some_and(|old| before.used.contains(*old)) {
                self.used.insert(ordinal);
            }
        }
        let position_before = |now: &Arc<Fixture>| before.fixtures.iter().position(|old| Arc::ptr_eq(old, now));
        let fixtures: Vec<Option<usize>> = self.fixtures.iter().map(position_before).collect();
        let olds: HashMap<EntryRef, Ordinal> = before.index.entries().iter().copied().zip(0..).collect();
        let unchanged = (0..).zip(self.index.entries()).filter_map(|(ordinal, at)| {
            let old = EntryRef { fixture: fixtures[at.fixture]?, ..*at };
            Some((*olds.get(&old)?, ordinal))
        });
        let unchanged: Vec<(Ordinal, Ordinal)> = unchanged.collect();
        self.sessions.inherit(&before.sessions, &unchanged);
    }

    fn identities(&self) -> HashMap<EntryIdentity<'_>, Ordinal> {
        let mut times: HashMap<(&Path, &str, &str), usize> = HashMap::new();
        let mut known = HashMap::new();
        for (ordinal, at) in (0..).zip(self.index.entries()) {
            let fixture = &self.fixtures[at.fixture];
            let Some(head) = fixture.heads().get(at.entry) else { continue };
            let nth = times.entry((fixture.path(), head.method, head.url)).or_default();
            known.insert((fixture.path(), head.method, head.url, *nth), ordinal);
            *nth += 1;
        }
        known
    }
}
