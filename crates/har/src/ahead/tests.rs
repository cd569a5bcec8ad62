use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::*;
use crate::open::{Opened, open};
use crate::read::contents_by;

fn opened(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.har");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

/// All that reading tells, or how it stopped.
fn told(path: &Path, opened: &Opened, threads: u64, shortest: u64) -> String {
    match contents_by(path, opened, Helpers { threads: Some(threads), shortest }) {
        Err(error) => error.to_string(),
        Ok(contents) => {
            let mut told = String::new();
            for entry in 0..contents.index.len() {
                let (span, head) = (contents.index.span(entry), contents.index.heads().get(entry));
                writeln!(told, "{span:?} {head:?}").unwrap();
            }
            let around = (&contents.members, &contents.beside, &contents.passed_over, contents.odd_frame);
            write!(told, "{} {around:?} {:?}", contents.index.heads().len(), contents.warnings).unwrap();
            told
        }
    }
}

fn assert_the_same(path: &Path, what: &str) {
    let Ok(opened) = open(path) else { return };
    let alone = told(path, &opened, 1, 1);
    for (threads, shortest) in [(2, 1), (3, 1), (8, 1), (8, 600)] {
        assert_eq!(told(path, &opened, threads, shortest), alone, "{what}: {threads} threads, {shortest} bytes");
    }
}

fn entry(n: usize) -> String {
    let method = ["GET", "POST", "PATCH"][n % 3];
    let text = "x\\\"y \\\\".repeat(n * 7 % 40);
    format!(
        "{{\n\"startedDateTime\": \"2026-01-0{}\",\n \"request\": {{\"method\": \"{method}\", \"url\": \"https://api.test/{n}\"}},\
         \"response\": {{\"status\": 20{}, \"content\": {{\"text\": \"{text}\"}}}}}}",
        n % 9 + 1,
        n % 7
    )
}

fn har(entries: &[String]) -> String {
    format!("{{\"log\": {{\"version\": \"1.2\", \"entries\": [{}\n], \"pages\": []}}}}", entries.join(",\n  "))
}

/// How many stretches count, and how many entries they have.
fn stretches(text: &str, threads: u64) -> (usize, usize) {
    let (_folder, path) = opened(text);
    let opened = open(&path).unwrap();
    let alone = contents_by(&path, &opened, Helpers { threads: Some(1), shortest: 1 }).unwrap();
    let first = alone.index.span(0).unwrap();
    let window = Window::within(&opened.store, first.offset + first.len);
    thread::scope(|scope| {
        let helpers = Helpers { threads: Some(threads), shortest: 1 };
        let mut ahead = Ahead::of(&window, Some(first), helpers, scope);
        let starts = (0..alone.index.len()).map(|entry| alone.index.span(entry).unwrap().offset);
        let taken: Vec<_> = starts.filter_map(|start| ahead.read_from(start)).collect();
        (taken.len(), taken.iter().map(|stretch| stretch.contents.index.len()).sum())
    })
}

#[test]
fn each_helper_reads_its_stretch() {
    let entries: Vec<String> = (0..400).map(entry).collect();
    for threads in [2, 3, 8] {
        let (taken, read) = stretches(&har(&entries), threads);
        let share = 400 * (threads as usize - 1) / threads as usize;
        assert_eq!(taken, threads as usize - 1);
        assert!(read.abs_diff(share) < 20, "{read} entries are read by {taken} helpers");
    }
}

#[test]
fn many_readers_tell_what_one_would() {
    let mut entries: Vec<String> = (0..300).map(entry).collect();
    let (_folder, path) = opened(&har(&entries));
    assert_the_same(&path, "entries");
    // What is odd is told of the entry and the line where it is.
    for n in (5..300).step_by(17) {
        entries[n] = ["7", "{}", "null", "{\"request\": {\"url\": \"http://x/\"}}"][n % 4].to_owned();
    }
    let (_folder, path) = opened(&har(&entries));
    assert_the_same(&path, "odd entries");
    assert!(told(&path, &open(&path).unwrap(), 8, 1).contains("line: Some("));
}

#[test]
fn warnings_are_as_many_as_one_reader_would_give() {
    let entries = vec!["{\"a\": 1}".to_owned(); 1_000];
    let (_folder, path) = opened(&har(&entries));
    assert_the_same(&path, "1,000 warnings");
    assert!(told(&path, &open(&path).unwrap(), 8, 1).contains("800 more warnings"));
}

#[test]
fn an_object_that_only_looks_like_an_entry_is_none() {
    let inner: Vec<String> = (0..50).map(entry).collect();
    let holds = |n: usize| format!("{{\"startedDateTime\": \"\", \"_har\": {}, {}", har(&inner), &entry(n)[1..]);
    let entries: Vec<String> = (0..6).map(holds).collect();
    let (_folder, path) = opened(&har(&entries));
    assert_the_same(&path, "a HAR in a HAR");
    let escaped = serde_json::to_string(&har(&inner)).unwrap();
    let holds = |n: usize| format!("{{\"startedDateTime\": \"\", \"_har\": {escaped}, {}", &entry(n)[1..]);
    let entries: Vec<String> = (0..6).map(holds).collect();
    let (_folder, path) = opened(&har(&entries));
    assert_the_same(&path, "the text of a HAR in a HAR");
}

#[test]
fn a_text_that_breaks_off_or_is_broken_is_told_where_it_is() {
    let whole = har(&(0..12).map(entry).collect::<Vec<_>>());
    for at in (0..whole.len()).step_by(5) {
        let (_folder, path) = opened(&whole[..at]);
        assert_the_same(&path, &format!("cut at {at}"));
        let mut broken = whole.clone().into_bytes();
        broken[at] = b"}]\",x\n"[at % 6];
        let (_folder, path) = opened(&String::from_utf8(broken).unwrap());
        assert_the_same(&path, &format!("broken at {at}"));
    }
}

#[test]
fn an_entry_longer_than_a_stretch_and_one_far_into_the_next_window() {
    let long = format!("{{\"startedDateTime\": \"{}\"}}", "z".repeat(3 * CHUNK));
    let entries = vec![entry(1), long.clone(), entry(2), long, entry(3), entry(4)];
    let (_folder, path) = opened(&har(&entries));
    assert_the_same(&path, "long entries");
}

#[test]
fn hars_of_many_tools_are_read_alike() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/hars-foreign");
    let mut seen = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        assert_the_same(&path, &path.display().to_string());
        seen += usize::from(path.extension().is_some_and(|ending| ending == "har"));
    }
    assert!(seen > 20, "{seen}");
}
