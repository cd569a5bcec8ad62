//! `replay --prune`: entries that a run did not use go. What stays, stays byte for byte, whoever wrote it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use harproxy_har::rewrite::{Rewrite, RewriteSummary};
use harproxy_har::{Fixture, write};

/// What became of a fixture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Entries that are gone.
    pub entries: usize,
    /// Entries that are left.
    pub kept: usize,
    /// Payload files, or members of the archive, that are gone with them.
    pub payloads: usize,
    /// Payload files that stay, since another HAR refers to them or they can't be removed.
    pub left: Vec<(String, PathBuf)>,
}

/// Why nothing was taken out; the fixture is as it was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It can't be read or written.
    #[error(transparent)]
    Fixture(#[from] harproxy_har::Error),
    /// It is not the one that the run used any more.
    #[error("{} was changed while the run went on: which of its entries it used can't be said", path.display())]
    Changed {
        /// The fixture.
        path: PathBuf,
    },
}

/// The entries, of these, that can be taken out. One that is there for a WebSocket is not: nothing can use it yet.
#[must_use]
pub fn candidates(fixture: &Fixture, unused: &[usize]) -> BTreeSet<usize> {
    let is_websocket = |entry: &usize| fixture.heads().get(*entry).is_none_or(|head| head.websocket);
    unused.iter().copied().filter(|entry| !is_websocket(entry)).collect()
}

/// Takes entries out of a fixture, as it was opened for the run, and payload files that only they refer to. Who calls it has seen
/// to it that nobody records into the fixture.
///
/// # Errors
/// [`Error`]; the fixture is then still whole.
pub fn prune(used: &Fixture, gone: &BTreeSet<usize>) -> Result<Pruned, Error> {
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

    /// As tools lay them out: on one line, a member a line, and as nobody does.
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
    fn what_stays_stays_byte_for_byte_whatever_goes() {
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
    fn a_fixture_that_was_changed_since_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.har");
        let (before, between, after) = LAYOUTS[0];
        let text = format!("{before}{}{between}{}{after}", entry(0), entry(1));
        // By a file in its place, as editors write, and into the file itself.
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
                // What stands around the entries is nobody's reason to stop, where it can't be told from what it was.
                let same = in_place && edited.contains("\"d\"");
                assert_eq!(matches!(found, Err(Error::Changed { .. })), !same, "{in_place} {edited}");
                if !same {
                    assert_eq!(fs::read_to_string(&path).unwrap(), edited);
                }
            }
        }
    }

    #[test]
    fn an_entry_for_a_websocket_is_not_taken_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.har");
        let (before, between, after) = LAYOUTS[0];
        let websocket = entry(1).replace("2e2", "101");
        fs::write(&path, format!("{before}{}{between}{websocket}{after}", entry(0))).unwrap();
        assert_eq!(candidates(&Fixture::open(&path).unwrap(), &[0, 1]), BTreeSet::from([0]));
    }
}
