//! `replay --prune`: removes the entries that a run did not use. The other entries keep their bytes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use crate::record;
use crate::verdict::FixtureUse;
use harproxy_har::rewrite::{Rewrite, RewriteSummary};
use harproxy_har::{Fixture, write};

/// Result of pruning one fixture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Number of removed entries.
    pub entries: usize,
    /// Number of remaining entries.
    pub kept: usize,
    /// Number of removed payload files or archive members.
    pub payloads: usize,
    /// Payload files that remain, with the HAR that refers to them. It is the fixture itself if a file cannot be
    /// removed.
    pub left: Vec<(String, PathBuf)>,
}

/// Error of pruning a fixture, which is then unchanged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be locked, for example because a recording into it is in progress.
    #[error(transparent)]
    Lock(record::Error),
    /// It cannot be read or written.
    #[error(transparent)]
    Fixture(#[from] harproxy_har::Error),
    /// It changed since the run opened it.
    #[error("{} changed during the run, so its used entries are unknown", path.display())]
    Changed {
        /// The fixture.
        path: PathBuf,
    },
}

/// The fixtures of a run by what a prune does with them, as positions in the list of the run.
#[derive(Debug, Default)]
pub struct Selection {
    /// Fixtures with entries to remove, and these entries.
    pub partly_unused: Vec<(usize, BTreeSet<usize>)>,
    /// Fixtures without any used entry. They are kept: removing a whole file is left to the user.
    pub unused: Vec<usize>,
}

impl Selection {
    /// Selects from the fixtures of a run and their use, in the same order.
    #[must_use]
    pub fn new(fixtures: &[Arc<Fixture>], use_of: &[FixtureUse]) -> Self {
        let mut selection = Selection::default();
        for (n, (fixture, used)) in fixtures.iter().zip(use_of).enumerate() {
            let entries = candidates(fixture, &used.unused);
            if used.used == 0 && !entries.is_empty() {
                selection.unused.push(n);
            } else if !entries.is_empty() {
                selection.partly_unused.push((n, entries));
            }
        }
        selection
    }
}

/// Returns the entries that can be removed. A WebSocket entry is kept, because replay cannot use it yet.
#[must_use]
pub fn candidates(fixture: &Fixture, unused: &[usize]) -> BTreeSet<usize> {
    let is_websocket = |entry: &usize| fixture.heads().get(*entry).is_none_or(|head| head.websocket);
    unused.iter().copied().filter(|entry| !is_websocket(entry)).collect()
}

/// Locks the fixture against recordings and removes entries, and the payload files that only they refer to.
///
/// # Errors
/// [`Error`]. The fixture is then unchanged.
pub fn prune_locked(used: &Fixture, entries: &BTreeSet<usize>) -> Result<Pruned, Error> {
    let _lock = record::lock_fixture(used.path()).map_err(Error::Lock)?;
    prune(used, entries)
}

fn prune(used: &Fixture, gone: &BTreeSet<usize>) -> Result<Pruned, Error> {
    let path = used.path();
    write::sweep(path);
    let fixture = Fixture::open(path)?;
    if !used.has_same_text(&fixture)? {
        return Err(Error::Changed { path: path.to_owned() });
    }
    let mut rewrite = Rewrite::begin(&fixture)?;
    rewrite.remove_entries(gone)?;
    let RewriteSummary { removed, left, .. } = rewrite.finish()?;
    let kept = fixture.entries().saturating_sub(gone.len());
    Ok(Pruned { entries: gone.len(), kept, payloads: removed, left })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Layouts of HARs: on one line, one member per line, and irregular.
    const LAYOUTS: [(&str, &str, &str); 3] = [
        (r#"{"log":{"version":"1.2","entries":["#, ",", r#"],"comment":"c"},"_x":[1]}"#),
        ("{\n  \"log\": {\n    \"entries\": [\n      ", ",\n      ", "\n    ]\n  }\n}\n"),
        ("\u{feff}{ \"_before\" : {} ,\r\n\"log\":{\"entries\" :\t[ ", "\r\n , \t", " ] , \"pages\":[ ] }\r\n} \n\n"),
    ];

    fn entry(n: usize) -> String {
        format!(
            r#"{{ "request" :{{"method":"GET","url":"http://a.test/{n}"}},"response":{{"status":2e2}}, "_of":[{n}, {n}] }}"#
        )
    }

    #[test]
    fn remaining_entries_keep_their_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.har");
        for (before, between, after) in LAYOUTS {
            let text = |kept: &[usize]| {
                let entries: Vec<String> = kept.iter().map(|n| entry(*n)).collect();
                format!("{before}{}{after}", entries.join(between))
            };
            for chosen in 0..16_usize {
                fs::write(&path, text(&[0, 1, 2, 3])).unwrap();
                let (gone, kept): (Vec<_>, Vec<_>) = (0..4).partition(|n| chosen & (1 << n) != 0);
                let fixture = Fixture::open(&path).unwrap();
                let pruned = prune(&fixture, &gone.iter().copied().collect()).unwrap();
                assert_eq!((pruned.entries, pruned.kept), (gone.len(), kept.len()));
                assert_eq!(fs::read_to_string(&path).unwrap(), text(&kept));
                assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
            }
        }
    }

    #[test]
    fn fixture_changed_since_the_run_is_not_pruned() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.har");
        let (before, between, after) = LAYOUTS[0];
        let text = format!("{before}{}{between}{}{after}", entry(0), entry(1));
        // Replaced by a new file, as editors do, and overwritten in place.
        for in_place in [false, true] {
            for edited in [text.replace("/1", "/7"), text.replace("2e2", "201"), text.replace("\"c\"", "\"d\"")] {
                let _ = fs::remove_file(&path);
                fs::write(&path, &text).unwrap();
                let used = Fixture::open(&path).unwrap();
                if !in_place {
                    fs::remove_file(&path).unwrap();
                }
                fs::write(&path, &edited).unwrap();
                let found = prune(&used, &BTreeSet::from([0]));
                // A change outside the entries is accepted if it cannot be detected.
                let same = in_place && edited.contains("\"d\"");
                assert_eq!(matches!(found, Err(Error::Changed { .. })), !same, "{in_place} {edited}");
                if !same {
                    assert_eq!(fs::read_to_string(&path).unwrap(), edited);
                }
            }
        }
    }

    #[test]
    fn websocket_entries_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.har");
        let (before, between, after) = LAYOUTS[0];
        let websocket = entry(1).replace("2e2", "101");
        fs::write(&path, format!("{before}{}{between}{websocket}{after}", entry(0))).unwrap();
        assert_eq!(candidates(&Fixture::open(&path).unwrap(), &[0, 1]), BTreeSet::from([0]));
    }
}
