//! `harproxy pack` and `harproxy unpack`.

use std::fs;
use std::path::Path;

use harproxy::fixtures::pack;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{entry, fixture, own, tree};
use crate::support::repo;
use crate::support::sandbox::Sandbox;

#[test]
fn har_is_unchanged_after_pack_and_unpack() {
    let sandbox = Sandbox::new();
    fixture(&sandbox);
    let before = tree(&sandbox.join("hars"));
    sandbox.run(["pack", "hars/api.har", "-o", "out/a.zip"]).expect(0).says("3 entries, 2 payload files");
    sandbox.run(["pack", "hars/api.har", "-o", "out/b.zip", "-q"]).expect(0);
    let zip = fs::read(sandbox.join("out/a.zip")).unwrap();
    assert!(zip == fs::read(sandbox.join("out/b.zip")).unwrap(), "the same content is the same bytes");
    sandbox.run(["unpack", "out/a.zip", "-o", "back/api.har"]).expect(0);
    assert_eq!(tree(&sandbox.join("back")), before);
    sandbox.run(["fmt", "--check", "out", "back"]).expect(0);
    sandbox.run(["unpack", "out/a.zip"]).expect(0).says("out/a.har");
    sandbox.run(["pack", "out/a.har", "--force"]).expect(0);
    assert!(zip == fs::read(sandbox.join("out/a.zip")).unwrap(), "whatever the HAR is called");
    let sizes = |path: &str| sandbox.run(["ls", "--json", path]).expect(0).stdout.matches("\"size\":14").count();
    assert_eq!((sizes("out/a.zip"), sizes("hars/api.har")), (1, 1));
}

#[test]
fn recorded_fixtures_are_unchanged_after_pack_and_unpack() {
    let stage = crate::cli::CliSandbox::new();
    let script = "curl -sS https://api.test/api/json https://api.test/api/image -o /dev/null -o /dev/null";
    for output in ["hars/api.har", "zips/api.zip"] {
        stage.record(&["-o", output], &["sh", "-c", script]).expect(0);
    }
    let (hars, zips) = (tree(&stage.sandbox.join("hars")), tree(&stage.sandbox.join("zips")));
    stage.sandbox.run(["pack", "hars/api.har", "-o", "a/api.zip"]).expect(0);
    stage.sandbox.run(["unpack", "a/api.zip", "-o", "b/api.har"]).expect(0);
    assert_eq!(tree(&stage.sandbox.join("b")), hars);
    stage.sandbox.run(["unpack", "zips/api.zip", "-o", "c/x.har"]).expect(0);
    stage.sandbox.run(["pack", "c/x.har", "-o", "d/api.zip"]).expect(0);
    assert_eq!(tree(&stage.sandbox.join("d")), zips);
}

#[test]
fn foreign_archive_keeps_its_layout() {
    let sandbox = Sandbox::new();
    let zip = fs::read(repo("tests/corpus/recorded/attach-full-zip/rec.zip")).unwrap();
    sandbox.write("rec.zip", zip);
    sandbox.run(["unpack", "rec.zip", "-o", "one/rec.har"]).expect(0);
    sandbox.run(["pack", "one/rec.har"]).expect(0);
    sandbox.run(["unpack", "one/rec.zip", "-o", "two/rec.har"]).expect(0);
    fs::remove_file(sandbox.join("one/rec.zip")).unwrap();
    assert_eq!(tree(&sandbox.join("one")), tree(&sandbox.join("two")));
    assert!(!sandbox.read("one/rec.har").contains("_harproxy"));
}

#[test]
fn existing_files_are_not_overwritten_without_force() {
    let sandbox = Sandbox::new();
    fixture(&sandbox);
    sandbox.run(["pack", "hars/api.har"]).expect(0);
    let before = tree(sandbox.path());
    for args in [["pack", "hars/api.har"], ["unpack", "hars/api.zip"]] {
        sandbox.run(args).expect(2).says("is there already").says("--force");
    }
    sandbox.run(["pack", "hars/api.zip"]).expect(2).says("already").says("harproxy unpack");
    sandbox.run(["unpack", "hars/api.har", "-o", "x.har"]).expect(2).says("not an archive").says("harproxy pack");
    sandbox.run(["pack", "hars/api.har", "-o", "x"]).expect(2).says("`.zip`");
    sandbox.run(["unpack", "hars/api.zip", "-o", "x.zip"]).expect(2).says("`.har`");
    sandbox.run(["pack", "gone.har"]).expect(2).says("gone.har");
    sandbox.run(["pack", "hars/api.har", "-o", "hars/api.har/x.zip"]).expect(3).says("hint: ");
    assert_eq!(tree(sandbox.path()), before);
}

#[test]
fn force_replaces_a_har_and_its_payloads() {
    let sandbox = Sandbox::new();
    fixture(&sandbox);
    sandbox.run(["pack", "hars/api.har", "-o", "api.zip"]).expect(0);
    let before = tree(&sandbox.join("hars"));
    let other = json!({"size": 1, "mimeType": "text/plain", "_file": "api/00000000000000aa.txt"});
    sandbox.write("hars/api/00000000000000aa.txt", "x");
    sandbox.write("hars/api.har", own(&[entry("/x", other)]));
    sandbox.run(["unpack", "api.zip", "-o", "hars/api.har", "--force"]).expect(0);
    assert_eq!(tree(&sandbox.join("hars")), before);
}

fn with(file: &str) -> Value {
    entry("/x", json!({"size": 1, "mimeType": "text/plain", "_file": file}))
}

#[test]
fn unpackable_payloads_are_named_and_nothing_is_written() {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api/0123456789abcdef.txt", "1");
    sandbox.write("hars/0123456789abcdef.txt", "2");
    sandbox.write("hars/har.har", "3");
    sandbox.write("secret.txt", "4");
    for (files, says) in [
        (&["api/0123456789abcdef.txt", "0123456789abcdef.txt"][..], "#1 (line"),
        (&["har.har"], "the HAR's own name"),
        (&["../secret.txt"], "leaves the folder"),
        (&["api/gone.txt"], "api/gone.txt"),
    ] {
        sandbox.write("hars/api.har", own(&files.iter().map(|file| with(file)).collect::<Vec<_>>()));
        let before = tree(sandbox.path());
        sandbox.run(["pack", "hars/api.har"]).expect(2).says(says).says("hars/api.har#");
        assert_eq!(tree(sandbox.path()), before);
    }
}

pub fn zip(path: &Path, members: &[(&str, &str)]) {
    use std::io::Write;
    let mut zip = zip::ZipWriter::new(fs::File::create(path).unwrap());
    for (name, bytes) in members {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
}

#[test]
fn malicious_archive_is_not_unpacked() {
    let foreign = |file: &str| json!({"log": {"version": "1.2", "entries": [with(file)]}}).to_string();
    for (file, says) in [
        (".git/hooks/pre-commit", "hidden"),
        ("Makefile", "is there already"),
        ("there.har", "own name"),
        #[cfg(unix)]
        ("link/x.txt", "is a link"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("Makefile", "all:");
        #[cfg(unix)]
        std::os::unix::fs::symlink("/tmp", sandbox.join("link")).unwrap();
        zip(&sandbox.join("a.zip"), &[("har.har", &foreign(file)), (file, "x")]);
        for force in [&[][..], &["--force"]] {
            let args = [&["unpack", "a.zip", "-o", "there.har"], force].concat();
            sandbox.run(args).expect(2).says(says);
        }
        assert_eq!(sandbox.read("Makefile"), "all:");
        assert!(!sandbox.join("there.har").exists() && !sandbox.join(".git").exists(), "{file}");
    }
}

#[test]
fn unreferenced_members_are_reported() {
    let sandbox = Sandbox::new();
    let har = json!({"log": {"version": "1.2", "entries": [with("a.txt")]}}).to_string();
    zip(&sandbox.join("a.zip"), &[("har.har", &har), ("a.txt", "x"), ("readme.md", "y")]);
    sandbox.run(["unpack", "a.zip"]).expect(0).says("readme.md");
    assert!(sandbox.join("a.txt").exists() && !sandbox.join("readme.md").exists());
    sandbox.run(["fmt", "a.zip"]).expect(0);
    sandbox.run(["unpack", "a.zip", "-o", "b.har"]).expect(0).says("readme.md");
    sandbox.run(["fmt", "--check", "a.zip"]).expect(0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// The layout of the HAR and its payloads are arbitrary.
    #[test]
    fn arbitrary_hars_are_unchanged_after_pack_and_unpack(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..4),
        ours in any::<bool>(),
        (crlf, compact, bom) in any::<(bool, bool, bool)>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a");
        let files: Vec<_> = payloads.iter().map(|bytes| format!("api/{}", super::named(bytes, "bin"))).collect();
        let entries: Vec<_> = files.iter().map(|file| with(file)).collect();
        let mut har = own(&entries);
        if !ours {
            har = har.replace("_harproxy", "_other");
        }
        if compact {
            har = serde_json::from_str::<Value>(&har).unwrap().to_string();
        }
        if crlf {
            har = har.replace('\n', "\r\n");
        }
        if bom {
            har = format!("\u{feff}{har}");
        }
        fs::create_dir_all(folder.join("api")).unwrap();
        fs::write(folder.join("api.har"), har).unwrap();
        for (file, bytes) in files.iter().zip(&payloads) {
            fs::write(folder.join(file), bytes).unwrap();
        }
        let (zip, again) = (dir.path().join("a.zip"), dir.path().join("b.zip"));
        pack::pack(&folder.join("api.har"), Some(&zip), false).unwrap();
        pack::unpack(&zip, Some(&dir.path().join("b/api.har")), false).unwrap();
        prop_assert_eq!(tree(&dir.path().join("b")), tree(&folder));
        pack::pack(&dir.path().join("b/api.har"), Some(&again), false).unwrap();
        prop_assert!(fs::read(zip).unwrap() == fs::read(again).unwrap());
    }
}
