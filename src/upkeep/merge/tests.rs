//! Merging, on fixtures that are lists of words: `a=1` is an entry for `/a` that was answered `1`.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use harproxy_har::{ContentMode, Entry, Fixture, FixtureWriter, PayloadSource};

/// Writes a fixture of these words. What differs from one recording to the next differs with `seed`.
fn write(path: &Path, words: &[&str], seed: u32) {
    let mut writer = FixtureWriter::create(path, ContentMode::Attach, &["https://api.test/**".to_owned()]).unwrap();
    for (at, word) in words.iter().enumerate() {
        let (key, answer) = word.split_once('=').unwrap();
        let mut entry = Entry { started: format!("2026-01-{:02}T00:00:00.000Z", 1 + seed % 28), ..Entry::default() };
        entry.time = f64::from(seed) + 0.5;
        entry.request.method = "GET".to_owned();
        entry.request.url = format!("https://api.test/{key}");
        entry.response.status = 200;
        entry.response.headers.push("date", format!("now {seed} {at}"));
        entry.response.headers.push("content-type", "text/plain");
        if let Some((user, answer)) = answer.split_once('@') {
            entry.request.headers.push("authorization", format!("Bearer {user}"));
            entry.response.headers.push("x-answer", answer.to_owned());
        } else {
            let source = PayloadSource {
                read: &mut answer.as_bytes(),
                mime_type: "text/plain",
                encoded: false,
                truncated: None,
            };
            entry.response.content = writer.content(source).unwrap();
        }
        writer.entry(&entry).unwrap();
    }
    writer.finish().unwrap();
}

fn words(path: &Path) -> Vec<String> {
    let fixture = Fixture::open(path).unwrap();
    let word = |head: harproxy_har::EntryHead<'_>| {
        let entry = fixture.entry(head.entry).unwrap();
        let payload = fixture.payload(head.entry, &entry.response.content).unwrap().bytes().unwrap();
        let mut answer = String::from_utf8(payload.to_vec()).unwrap();
        if let Some(user) = entry.request.headers.get_str("authorization") {
            answer = format!("{}@{}", &user[7..], entry.response.headers.get_str("x-answer").unwrap());
        }
        format!("{}={answer}", head.url.rsplit('/').next().unwrap())
    };
    fixture.heads().iter().map(word).collect()
}

/// Three versions, as git gives them to the driver: the payload folder lies beside them all.
struct Stage {
    dir: TempDir,
    ending: &'static str,
}

impl Stage {
    fn new(ending: &'static str, base: &[&str], ours: &[&str], theirs: &[&str]) -> Self {
        let stage = Stage { dir: tempfile::tempdir().unwrap(), ending };
        for (name, words, seed) in [("O", base, 1), ("A", ours, 2), ("B", theirs, 3)] {
            // What a branch did not touch it has byte for byte.
            let seed = if words == base { 1 } else { seed };
            write(&stage.dir.path().join(format!("{name}/api{ending}")), words, seed);
        }
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{name}/api{}", self.ending))
    }

    fn merge(&self) -> Merged {
        let versions =
            Versions { base: &self.path("O"), ours: &self.path("A"), theirs: &self.path("B"), marker_size: 7 };
        let merged = three_way(&versions).unwrap();
        // As git does.
        let (from, to) = (self.dir.path().join("B/api"), self.dir.path().join("A/api"));
        for file in fs::read_dir(from).into_iter().flatten().flatten() {
            fs::create_dir_all(&to).unwrap();
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
        merged
    }

    /// The words of the result when conflicts are resolved by taking one side.
    fn resolved(&self, ours: bool) -> Vec<String> {
        let text = fs::read_to_string(self.path("A")).unwrap();
        let mut taking = true;
        let mut lines = Vec::new();
        for line in text.lines() {
            match line {
                "<<<<<<< ours" => taking = ours,
                "=======" => taking = !ours,
                ">>>>>>> theirs" => taking = true,
                line if taking => lines.push(line),
                _ => {}
            }
        }
        let text = lines.join("\n") + "\n";
        let _: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let path = self.dir.path().join("A/resolved.har");
        fs::write(&path, text).unwrap();
        words(&path)
    }
}

/// The result of a merge that has no conflict.
fn merged(base: &[&str], ours: &[&str], theirs: &[&str]) -> Vec<String> {
    let [har, zip] = [".har", ".zip"].map(|ending| {
        let stage = Stage::new(ending, base, ours, theirs);
        let merged = stage.merge();
        assert_eq!(merged.conflicts, [], "{base:?} {ours:?} {theirs:?}");
        words(&stage.path("A"))
    });
    assert_eq!(har, zip);
    har
}

fn conflict(base: &[&str], ours: &[&str], theirs: &[&str]) -> (Vec<String>, Vec<String>, Vec<Change>) {
    let stage = Stage::new(".har", base, ours, theirs);
    let merged = stage.merge();
    let changes = merged.conflicts.iter().map(|conflict| conflict.change).collect();
    (stage.resolved(true), stage.resolved(false), changes)
}

#[test]
fn what_one_branch_did_is_done() {
    let base = ["a=1", "b=1", "c=1"];
    for (ours, theirs, result) in [
        (&["a=2", "b=1", "c=1"][..], &["a=1", "b=1", "c=3"][..], &["a=2", "b=1", "c=3"][..]),
        (
            &["a=1", "b=1", "c=1", "x=1"],
            &["a=1", "b=1", "c=1", "y=1", "z=1"],
            &["a=1", "b=1", "c=1", "x=1", "y=1", "z=1"],
        ),
        (&["a=1", "x=1", "b=1", "c=1"], &["a=1", "y=1", "b=1", "c=2"], &["a=1", "x=1", "y=1", "b=1", "c=2"]),
        (&["x=1", "a=1", "b=1", "c=1"], &["y=1", "a=1", "b=1", "c=1"], &["x=1", "y=1", "a=1", "b=1", "c=1"]),
        (&["a=1", "c=1"], &["a=1", "b=1", "y=1", "c=1"], &["a=1", "y=1", "c=1"]),
        (&["b=1"], &["a=1", "b=2", "c=1"], &["b=2"]),
        (&["a=1", "b=1", "c=2"], &["c=1", "a=1", "b=1"], &["c=2", "a=1", "b=1"]),
        (&["a=2", "b=1", "c=1", "x=1"], &["a=2", "b=1", "c=1", "x=1"], &["a=2", "b=1", "c=1", "x=1"]),
        (&["a=1", "b=1", "c=1", "x=1", "y=1"], &["a=1", "b=1", "c=1", "y=1"], &["a=1", "b=1", "c=1", "x=1", "y=1"]),
    ] {
        assert_eq!(merged(&base, ours, theirs), result, "{ours:?} {theirs:?}");
    }
}

#[test]
fn turns_of_a_key_are_told_apart() {
    let base = ["p=1", "p=2", "p=3"];
    for (ours, theirs, result) in [
        (&["p=1", "p=2", "p=9"][..], &["p=8", "p=2", "p=3"][..], &["p=8", "p=2", "p=9"][..]),
        (&["p=0", "p=1", "p=2", "p=3"], &["p=1", "p=2", "p=3", "p=4"], &["p=0", "p=1", "p=2", "p=3", "p=4"]),
        (&["p=2", "p=3"], &["p=1", "p=2", "p=7"], &["p=2", "p=7"]),
    ] {
        assert_eq!(merged(&base, ours, theirs), result, "{ours:?} {theirs:?}");
    }
}

#[test]
fn turns_that_both_added_in_another_order_are_the_same_whoever_is_ours() {
    for (base, x, y) in [
        (&[][..], &["a=1", "a=2"][..], &["a=2", "a=1"][..]),
        (&["a=3"], &["a=3", "a=1", "a=2"], &["a=3", "a=2", "a=1"]),
    ] {
        let sorted = |ours: &[&str], theirs: &[&str]| {
            let mut words = merged(base, ours, theirs);
            words.sort();
            words
        };
        assert_eq!(sorted(x, y), sorted(y, x), "{base:?} {x:?} {y:?}");
    }
}

#[test]
fn two_branches_that_add_the_same_file_have_no_ancestor() {
    let stage = Stage::new(".har", &["a=0"], &["a=1", "b=1"], &["b=1", "c=1"]);
    fs::write(stage.path("O"), "").unwrap();
    assert_eq!(stage.merge().conflicts, []);
    assert_eq!(words(&stage.path("A")), ["a=1", "b=1", "c=1"]);
}

#[test]
fn a_conflict_is_marked_so_that_either_side_is_a_har() {
    use Change::{Added, Changed, RemovedByThem, RemovedByUs};
    for (base, ours, theirs, taking_ours, taking_theirs, change) in [
        (
            &["a=1", "b=1"][..],
            &["a=2", "b=1"][..],
            &["a=3", "b=1"][..],
            &["a=2", "b=1"][..],
            &["a=3", "b=1"][..],
            Changed,
        ),
        (&["a=1", "b=1"], &["a=1", "b=2"], &["a=1", "b=3"], &["a=1", "b=2"], &["a=1", "b=3"], Changed),
        (&["a=1"], &["a=1", "x=1"], &["a=1", "x=2"], &["a=1", "x=1"], &["a=1", "x=2"], Added),
        (&["a=1", "b=1"], &["b=1"], &["a=2", "b=1"], &["b=1"], &["a=2", "b=1"], RemovedByUs),
        (&["a=1", "b=1"], &["a=1"], &["a=1", "b=2"], &["a=1"], &["a=1", "b=2"], RemovedByUs),
        (&["a=1", "b=1"], &["a=1", "b=2"], &["a=1"], &["a=1", "b=2"], &["a=1"], RemovedByThem),
        (&["a=1"], &["a=2"], &[], &["a=2"], &[], RemovedByThem),
    ] {
        assert_eq!(
            conflict(base, ours, theirs),
            (
                taking_ours.iter().map(|word| (*word).to_owned()).collect(),
                taking_theirs.iter().map(|word| (*word).to_owned()).collect(),
                vec![change]
            ),
            "{base:?} {ours:?} {theirs:?}"
        );
    }
    let several = conflict(&["a=1", "b=1", "c=1", "d=1"], &["a=2", "b=2", "c=1"], &["a=3", "b=1", "d=2"]);
    assert_eq!(several.0, ["a=2", "b=2"]);
    assert_eq!(several.1, ["a=3", "b=2", "d=2"]);
    let at_the_end = conflict(&["a=1", "b=1", "c=1"], &["a=2"], &["a=3", "b=2", "c=2"]);
    assert_eq!(
        (&at_the_end.0[..], &at_the_end.1[..]),
        (&["a=2".to_owned()][..], &["a=3", "b=2", "c=2"].map(str::to_owned)[..])
    );
}

#[test]
fn of_a_conflict_in_an_archive_ours_stays() {
    let stage = Stage::new(".zip", &["a=1", "b=1"], &["a=2", "b=1", "x=1"], &["a=3", "b=1", "y=1"]);
    let merged = stage.merge();
    assert!(merged.archive);
    assert_eq!(merged.conflicts.iter().map(|conflict| conflict.entry).collect::<Vec<_>>(), [Some(0)]);
    assert_eq!(words(&stage.path("A")), ["a=2", "b=1", "x=1", "y=1"]);
}

#[test]
fn what_differs_in_every_recording_is_no_conflict_and_ours_stays() {
    let base = ["a=1", "b=1"];
    let stage = Stage::new(".har", &base, &base, &base);
    write(&stage.path("A"), &base, 5);
    write(&stage.path("B"), &base, 6);
    let ours = fs::read(stage.path("A")).unwrap();
    let merged = stage.merge();
    assert_eq!((merged.conflicts.len(), merged.counts), (0, Counts::default()));
    assert_eq!(fs::read(stage.path("A")).unwrap(), ours);
}

#[test]
fn an_edit_of_request_headers_survives_a_new_answer() {
    let stage = Stage::new(".har", &["a=secret@1"], &["a=REDACTED-token-1@1"], &["a=secret@2"]);
    assert_eq!(stage.merge().conflicts, []);
    assert_eq!(words(&stage.path("A")), ["a=REDACTED-token-1@2"]);
}

#[test]
fn a_number_that_both_branches_gave_is_given_anew_where_all_of_it_can_be_reached() {
    let (base, ours) = (["a=REDACTED-t-1@1"], ["a=REDACTED-t-1@1", "b=REDACTED-t-2@1"]);
    let theirs = ["a=REDACTED-t-1@1", "c=REDACTED-t-2@1", "d=REDACTED-t-1@1"];
    let stage = Stage::new(".har", &base, &ours, &theirs);
    let merged = stage.merge();
    assert_eq!(merged.renamed.len(), 1);
    let expected = ["a=REDACTED-t-1@1", "b=REDACTED-t-2@1", "c=REDACTED-t-3@1", "d=REDACTED-t-1@1"];
    assert_eq!(words(&stage.path("A")), expected);
    // Where it may be in a payload file too, it stays, and is told.
    let theirs = [&theirs[..], &["e=REDACTED-t-2"]].concat();
    let stage = Stage::new(".har", &base, &ours, &theirs);
    let merged = stage.merge();
    assert_eq!((merged.renamed.len(), merged.shared.len()), (0, 1));
    assert_eq!(words(&stage.path("A"))[2..], ["c=REDACTED-t-2@1", "d=REDACTED-t-1@1", "e=REDACTED-t-2"]);
    // In an archive all of it can be reached.
    let stage = Stage::new(".zip", &base, &ours, &theirs);
    assert_eq!(stage.merge().shared, []);
    assert_eq!(words(&stage.path("A"))[2..], ["c=REDACTED-t-3@1", "d=REDACTED-t-1@1", "e=REDACTED-t-3"]);
}

#[test]
fn a_fixture_that_one_branch_renamed_keeps_its_new_folder() {
    let stage = Stage::new(".har", &["a=1", "b=1"], &["a=1", "b=1"], &["a=1", "b=1", "c=1"]);
    let text = fs::read_to_string(stage.path("A")).unwrap().replace("\"api/", "\"shop/");
    fs::write(stage.path("A"), text).unwrap();
    assert_eq!(stage.merge().conflicts, []);
    let text = fs::read_to_string(stage.path("A")).unwrap();
    assert_eq!((text.matches("\"shop/").count(), text.matches("\"api/").count()), (3, 0));
}

fn join(files: &[&[&str]]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = |at: usize| dir.path().join(format!("{at}{}", if at.is_multiple_of(2) { ".har" } else { ".zip" }));
    let paths: Vec<PathBuf> = (0..files.len()).map(path).collect();
    for (at, (path, words)) in paths.iter().zip(files).enumerate() {
        write(path, words, at as u32);
    }
    let before = fs::read(&paths[0]).unwrap();
    let joined = union(&Union { files: &paths, output: &paths[0], adopt: false }).unwrap();
    let words = words(&paths[0]);
    assert_eq!(joined.shares.iter().map(|share| share.added).sum::<usize>(), words.len());
    assert!(words.len() > files[0].len() || fs::read(&paths[0]).unwrap() == before);
    words
}

#[test]
fn a_union_has_what_any_of_them_has() {
    for (files, result) in [
        (&[&["a=1", "b=1"][..], &["b=1", "c=1"]][..], &["a=1", "b=1", "c=1"][..]),
        (&[&["a=1"], &["a=2"], &["a=1", "a=3"]], &["a=1", "a=2", "a=3"]),
        (&[&["a=1", "a=2"], &["a=2", "a=1"]], &["a=1", "a=2"]),
        (&[&["p=wait", "p=done"], &["p=wait", "p=wait", "p=done"]], &["p=wait", "p=done"]),
        (&[&["l=0"], &["l=0", "l=1", "l=0"]], &["l=0", "l=1", "l=0"]),
        (&[&["a=1"], &["p=wait", "p=wait"]], &["a=1", "p=wait", "p=wait"]),
        (
            &[
                &["a=REDACTED-t-1", "b=REDACTED-t-1@1"],
                &["a=REDACTED-t-1", "c=REDACTED-t-1@1", "d=REDACTED-t-2@1"],
                &["x=REDACTED-t-1@1", "y=REDACTED-t-1"],
            ],
            &[
                "a=REDACTED-t-1",
                "b=REDACTED-t-1@1",
                "c=REDACTED-t-1@1",
                "d=REDACTED-t-2@1",
                "x=REDACTED-t-3@1",
                "y=REDACTED-t-3",
            ],
        ),
    ] {
        assert_eq!(join(files), result, "{files:?}");
    }
}

#[test]
fn own_and_foreign_are_mixed_only_when_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let (own, foreign, output) =
        (dir.path().join("own.har"), dir.path().join("theirs.har"), dir.path().join("all.har"));
    write(&own, &["a=1"], 0);
    // Playwright keeps the text of a latin-1 payload as UTF-8.
    fs::write(dir.path().join("p.txt"), "Grüße").unwrap();
    let har = serde_json::json!({"log": {"version": "1.2", "creator": {"name": "Playwright", "version": "1"}, "entries": [{
        "startedDateTime": "", "time": 1, "cache": {}, "timings": {"send": 1, "wait": 1, "receive": 1},
        "request": {"method": "GET", "url": "http://x.test/b", "httpVersion": "HTTP/1.1", "cookies": [], "headers": [],
            "queryString": [], "headersSize": -1, "bodySize": -1},
        "response": {"status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "cookies": [], "redirectURL": "",
            "headers": [{"name": "Content-Type", "value": "text/plain; charset=iso-8859-1"}], "headersSize": -1,
            "bodySize": -1, "content": {"size": -1, "mimeType": "text/plain; charset=iso-8859-1", "_file": "p.txt"}},
    }]}});
    fs::write(&foreign, har.to_string()).unwrap();
    let files = [own.clone(), foreign.clone()];
    let refused = union(&Union { files: &files, output: &output, adopt: false });
    assert!(matches!(refused, Err(Error::Mixed { own: o, foreign: f }) if o == own && f == foreign));
    assert!(!output.exists());
    let joined = union(&Union { files: &files, output: &output, adopt: true }).unwrap();
    assert_eq!(joined.shares.iter().map(|share| share.added).collect::<Vec<_>>(), [1, 1]);
    let all = Fixture::open(&output).unwrap();
    assert_eq!(all.scope().unwrap(), ["https://api.test/**", "http://x.test/**"]);
    let entry = all.entry(1).unwrap();
    let payload = all.payload(1, &entry.response.content).unwrap().bytes().unwrap();
    assert_eq!(&payload[..], b"Gr\xfc\xdfe");
    // Foreign ones among themselves stay foreign.
    let alone = dir.path().join("alone.har");
    union(&Union { files: &[foreign], output: &alone, adopt: false }).unwrap();
    assert!(!Fixture::open(&alone).unwrap().is_own());
}

fn some_words() -> impl Strategy<Value = Vec<&'static str>> {
    const WORDS: &[&str] = &["a=1", "a=2", "a=3", "b=1", "b=2", "c=1", "c=2", "d=1", "e=1", "f=1"];
    prop::collection::vec(prop::sample::select(WORDS), 0..7)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_one_side_alone_did_is_the_result_byte_for_byte(base in some_words(), x in some_words()) {
        for (ours, theirs) in [(&x, &base), (&base, &x), (&x, &x)] {
            let stage = Stage::new(".har", &base, ours, theirs);
            let expected = if ours == &base { stage.path("B") } else { stage.path("A") };
            let expected = fs::read_to_string(expected).unwrap();
            let merged = stage.merge();
            prop_assert_eq!(&merged.conflicts, &[]);
            prop_assert_eq!(fs::read_to_string(stage.path("A")).unwrap(), expected);
        }
    }

    #[test]
    fn every_result_is_a_har_and_who_is_ours_makes_no_difference_to_what_is_in_it(
        base in some_words(), ours in some_words(), theirs in some_words(),
    ) {
        let (one, other) = (Stage::new(".har", &base, &ours, &theirs), Stage::new(".har", &base, &theirs, &ours));
        let conflicts = (one.merge().conflicts.len(), other.merge().conflicts.len());
        prop_assert_eq!(conflicts.0, conflicts.1);
        let sorted = |stage: &Stage, ours: bool| {
            let mut words = stage.resolved(ours);
            words.sort();
            words
        };
        let (of_ours, of_theirs) = (sorted(&one, true), sorted(&one, false));
        prop_assert_eq!(&of_ours, &sorted(&other, false));
        prop_assert_eq!(&of_theirs, &sorted(&other, true));
        prop_assert!(conflicts.0 > 0 || of_ours == of_theirs);
        for word in of_ours.iter().chain(&of_theirs) {
            prop_assert!([&base, &ours, &theirs].iter().any(|words| words.contains(&&**word)));
        }
    }
}
