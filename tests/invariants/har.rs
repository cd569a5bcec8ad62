//! Reading, indexing and rewriting a HAR.

use std::fs;
use std::path::Path;

use harproxy::fixtures::fmt::{self, FormatResult};
use harproxy_har::{ContentMode, FixtureWriter};
use serde_json::Value;

use super::support::{check_message, open, read_all, refused};

/// The bytes are a HAR, which may refer to existing payload files.
pub fn check(data: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("hars");
    fs::create_dir_all(home.join("a")).unwrap();
    fs::write(dir.path().join("outside.txt"), OUTSIDE).unwrap();
    fs::write(home.join("a/b.txt"), "{\n  \"a\": 1\n}\n").unwrap();
    let path = home.join("a.har");
    fs::write(&path, data).unwrap();
    let Some(fixture) = open(&path) else { return };
    let payloads = read_all(&fixture);
    for payload in payloads.iter().flatten().flatten() {
        assert!(!payload.windows(OUTSIDE.len()).any(|window| window == OUTSIDE), "a file outside was read");
    }
    agrees_with_a_parser(data, fixture.entries());
    let usable = fixture.heads().len();
    rewrites(&path, usable);
    formats(&path, usable, &payloads);
    assert_eq!(fs::read(dir.path().join("outside.txt")).unwrap(), OUTSIDE);
}

const OUTSIDE: &[u8] = b"what lies outside";

/// The index has the entries that a parser of the whole document finds.
fn agrees_with_a_parser(data: &[u8], entries: usize) {
    let twice = |name: &[u8]| data.windows(name.len()).filter(|window| *window == name).count() != 1;
    if data.contains(&b'\\') || twice(b"\"log\"") || twice(b"\"entries\"") {
        return;
    }
    let Ok(Value::Object(document)) = serde_json::from_slice(data) else { return };
    if let Some(list) = document.get("log").and_then(|log| log.get("entries")).and_then(Value::as_array) {
        assert_eq!(list.len(), entries, "the index and a parser disagree");
    }
}

/// A fixture with a part of its entries is valid.
fn rewrites(path: &Path, usable: usize) {
    let Some(fixture) = open(path) else { panic!("it opened before") };
    let copy = path.with_file_name("copy.har");
    let writer = FixtureWriter::create(&copy, ContentMode::Attach, &[]).unwrap();
    let Ok(mut writer) = writer.based_on(&fixture).inspect_err(|error| check_message(error)) else { return };
    let heads = fixture.heads();
    let kept = heads.into_iter().filter(|head| {
        let kept = writer.keep(&fixture, head.entry);
        kept.inspect_err(|error| check_message(error)).is_ok()
    });
    let kept = kept.count();
    assert!(kept <= usable);
    writer.finish().unwrap();
    let Some(copy) = open(&copy) else { panic!("what was written can't be read") };
    assert_eq!(copy.heads().len(), kept, "entries were lost in writing");
}

/// `fmt` is idempotent and keeps the served bytes.
fn formats(path: &Path, usable: usize, payloads: &[Vec<Option<Vec<u8>>>]) {
    match fmt::format(path, true) {
        Err(error) => return refused(&error, path),
        Ok(FormatResult::Compressed) => return,
        Ok(FormatResult::Canonical | FormatResult::Changed(_)) => {}
    }
    let again = fmt::format(path, false);
    assert!(matches!(again, Ok(FormatResult::Canonical)), "fmt twice is not fmt once: {again:?}");
    let Some(formatted) = open(path) else { panic!("what fmt left can't be read") };
    assert_eq!(formatted.heads().len(), usable, "fmt lost entries");
    assert_eq!(read_all(&formatted), payloads, "fmt changed a payload");
}
