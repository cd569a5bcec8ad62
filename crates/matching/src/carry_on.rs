//! What a matcher takes over from the one before it, when fixtures were loaded again: what has answered, and whose turn it is.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::index::Ordinal;
use super::{EntryRef, Matcher};
use harproxy_har::Fixture;

/// An entry as somebody knows it who edits a fixture: where it is, what it answers, and which of those that answer the same.
type Known<'a> = (&'a Path, &'a str, &'a str, usize);

impl Matcher {
    /// Goes on where this one is. An entry has answered when the one of its fixture with its method, URL and place among equal
    /// ones has; turns stand where they stood in fixtures that are still the same, and begin anew in all others. Doing it twice
    /// does no harm.
    pub fn carry_on(&self, before: &Matcher) {
        let known = before.known();
        for (entry, ordinal) in self.known() {
            if known.get(&entry).is_some_and(|old| before.used.is_set(*old)) {
                self.used.set(ordinal);
            }
        }
        let still = |now: &Arc<Fixture>| before.fixtures.iter().position(|old| Arc::ptr_eq(old, now));
        let fixtures: Vec<Option<usize>> = self.fixtures.iter().map(still).collect();
        let olds: HashMap<EntryRef, Ordinal> = before.index.entries().iter().copied().zip(0..).collect();
        let same = (0..).zip(self.index.entries()).filter_map(|(ordinal, at)| {
            let old = EntryRef { fixture: fixtures[at.fixture]?, ..*at };
            Some((*olds.get(&old)?, ordinal))
        });
        let same: Vec<(Ordinal, Ordinal)> = same.collect();
        self.sessions.carry_on(&before.sessions, &same);
    }

    fn known(&self) -> HashMap<Known<'_>, Ordinal> {
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
