//! Numbers of placeholders: two fixtures that grew apart may have given one number to two values.

use std::collections::{BTreeMap, BTreeSet};

use memchr::memmem;

use super::look::Look;
use harproxy_redact::{Placeholder, PlaceholderName, placeholder};

/// Which placeholders of a fixture become which others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Renaming {
    map: BTreeMap<Placeholder, Placeholder>,
}

/// What is known of the placeholders of two fixtures.
#[derive(Debug)]
pub(super) struct Known<'a> {
    /// Those that stand for the same in both: numbers that were given before they grew apart.
    pub(super) common: Option<&'a BTreeSet<Placeholder>>,
    /// Those of the fixture that keeps its numbers.
    pub(super) ours: &'a BTreeSet<Placeholder>,
    /// Those of the other.
    pub(super) theirs: &'a BTreeSet<Placeholder>,
}

impl Renaming {
    /// Finds what `theirs` has to be called: as ours where equal entries (`same`) have both; what else would take one of our
    /// numbers gets the next free one of its name.
    pub(super) fn new<'a>(known: &Known<'_>, same: impl IntoIterator<Item = (&'a Look, &'a Look)>) -> Self {
        let is_common = |name: &Placeholder| known.common.is_some_and(|common| common.contains(name));
        let mut settled: BTreeMap<Placeholder, Placeholder> = BTreeMap::new();
        for (ours, theirs) in same {
            for (place, names) in &theirs.places {
                let Some((_, here)) = ours.places.iter().find(|(other, _)| other == place) else { continue };
                for (theirs, ours) in names.iter().zip(here).filter(|(theirs, _)| !is_common(theirs)) {
                    settled.entry(theirs.clone()).or_insert_with(|| ours.clone());
                }
            }
        }
        let mut taken: BTreeMap<PlaceholderName, u64> = BTreeMap::new();
        for name in known.common.into_iter().flatten().chain(known.ours).chain(known.theirs) {
            let highest = taken.entry(name.name.clone()).or_default();
            *highest = name.number.max(*highest);
        }
        for name in known.theirs.iter().filter(|name| known.ours.contains(*name) && !is_common(name)) {
            settled.entry(name.clone()).or_insert_with(|| {
                let highest = taken.entry(name.name.clone()).or_default();
                *highest = highest.saturating_add(1);
                Placeholder { name: name.name.clone(), number: *highest }
            });
        }
        settled.retain(|old, new| old != new);
        Renaming { map: settled }
    }

    /// Only what equal entries settle: a number that would have to change in places that can't be reached stays everywhere.
    /// The second part is what stays so.
    pub(super) fn settled_only<'a>(
        known: &Known<'_>,
        same: impl IntoIterator<Item = (&'a Look, &'a Look)>,
    ) -> (Self, Vec<Placeholder>) {
        let all = Renaming::new(known, same);
        let fresh = |new: &Placeholder| !known.ours.contains(new);
        let left = all.map.iter().filter(|(_, new)| fresh(new)).map(|(old, _)| old.clone()).collect();
        let map = all.map.into_iter().filter(|(_, new)| !fresh(new)).collect();
        (Renaming { map }, left)
    }

    /// Whether nothing is to be renamed.
    pub(super) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// What is renamed, old and new.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&Placeholder, &Placeholder)> {
        self.map.iter()
    }

    /// Gives a placeholder its new number, if it has one.
    pub(super) fn rename(&self, name: &mut Placeholder) {
        if let Some(new) = self.map.get(name) {
            name.clone_from(new);
        }
    }

    /// The text with its placeholders renamed; `None` when there is nothing to rename in it.
    pub(super) fn apply(&self, text: &[u8]) -> Option<Vec<u8>> {
        if self.map.is_empty() {
            return None;
        }
        let mut out = Vec::with_capacity(text.len());
        let mut kept = 0;
        for found in placeholder::find(text) {
            let Some(new) = self.map.get(&found.placeholder).filter(|_| found.range.start >= kept) else { continue };
            let whole = &text[found.range.clone()];
            let old = found.format.write(&found.placeholder);
            // Of a redacted JWT, the last part.
            let Some(at) = memmem::rfind(whole, old.as_bytes()) else { continue };
            let start = found.range.start + at;
            out.extend_from_slice(&text[kept..start]);
            out.extend_from_slice(found.format.write(new).as_bytes());
            kept = start + old.len();
        }
        if kept == 0 {
            return None;
        }
        out.extend_from_slice(&text[kept..]);
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> BTreeSet<Placeholder> {
        placeholder::find(list.as_bytes()).map(|found| found.placeholder).collect()
    }

    fn renamed(common: &str, ours: &str, theirs: &str, text: &str) -> String {
        let (common, ours, theirs) = (names(common), names(ours), names(theirs));
        let known = Known { common: Some(&common), ours: &ours, theirs: &theirs };
        let renaming = Renaming::new(&known, []);
        String::from_utf8(renaming.apply(text.as_bytes()).unwrap_or(text.into())).unwrap()
    }

    #[test]
    fn a_number_that_both_gave_is_given_anew() {
        let (common, ours) = ("REDACTED-t-1", "REDACTED-t-1 REDACTED-t-2 REDACTED-t-3");
        let theirs = "REDACTED-t-1 REDACTED-t-2 REDACTED-u-1";
        let text = "a=REDACTED-t-2&b=REDACTED-t-1, REDACTED-u-1; REDACTED-t-2.";
        let expected = "a=REDACTED-t-4&b=REDACTED-t-1, REDACTED-u-1; REDACTED-t-4.";
        assert_eq!(renamed(common, ours, theirs, text), expected);
    }

    #[test]
    fn other_forms_and_tokens() {
        let jwt = "eyJhbGciOiJub25lIn0.eyJleHAiOjEwMDB9.REDACTED-token-1";
        let all = format!("73322833001 0edac7ed-0000-4000-8000-000000000001 redacted-1@example.invalid {jwt}");
        let expected = all
            .replace("73322833001", "73322833002")
            .replace("000000000001", "000000000002")
            .replace("redacted-1@", "redacted-2@")
            .replace("token-1", "token-2");
        assert_eq!(renamed("", &all, &all, &all), expected);
    }

    #[test]
    fn what_equal_entries_have_is_one_value() {
        let look = |text: &str| Look {
            places: vec![([0; 32], placeholder::find(text.as_bytes()).map(|found| found.placeholder).collect())],
            ..Look::default()
        };
        let (ours, theirs) = ("REDACTED-t-1 REDACTED-t-2", "REDACTED-t-2 REDACTED-t-1");
        let (o, t) = (look(ours), look(theirs));
        let (ours, theirs) = (names(ours), names(theirs));
        let known = Known { common: None, ours: &ours, theirs: &theirs };
        let renaming = Renaming::new(&known, [(&o, &t)]);
        assert_eq!(renaming.apply(b"REDACTED-t-1 REDACTED-t-2").unwrap(), b"REDACTED-t-2 REDACTED-t-1");
        let (settled, left) = Renaming::settled_only(&known, []);
        assert!(settled.is_empty() && left.len() == 2);
    }
}
