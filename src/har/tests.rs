//! Writing and reading back, in every form.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::model::{Body, Request, Response, Stored};
use super::*;
use crate::http::Headers;

/// An entry as `record` makes them.
fn entry(url: &str, content: Body) -> Entry {
    let mut headers = Headers::default();
    headers.push("Content-Type", content.mime_type.clone());
    headers.push("Set-Cookie", "a=1; Path=/");
    headers.push("X-Odd", b"caf\xe9\xff".to_vec());
    headers.push("set-cookie", "b=2");
    Entry {
        started: "2026-11-20T10:00:00.000Z".to_owned(),
        time: 12.3456,
        request: Request {
            method: "GET".to_owned(),
            url: url.to_owned(),
            http_version: "HTTP/1.1".to_owned(),
            headers: Headers::default(),
            post_data: None,
            headers_size: -1,
            body_size: 0,
            extras: model::Extras::new(),
        },
        response: Response {
            status: 200,
            status_text: "OK".to_owned(),
            http_version: "HTTP/1.1".to_owned(),
            headers,
            body_size: content.size.unwrap_or(-1),
            content,
            headers_size: -1,
            ..Response::default()
        },
        timings: Timings { wait: Some(10.0), send: Some(0.1), receive: Some(2.0004), ..Timings::default() },
        ..Entry::default()
    }
}

fn source<'a>(read: &'a mut &'static [u8], mime_type: &'a str) -> PayloadSource<'a> {
    PayloadSource { read, mime_type, encoded: false, truncated: None }
}

/// Writes one entry with this payload and opens what came of it.
fn written(path: &Path, mode: ContentMode, mime_type: &str, bytes: &'static [u8]) -> (Fixture, Body) {
    let mut writer = FixtureWriter::create(path, mode, &["**".to_owned()]).unwrap();
    let content = writer.content(source(&mut &*bytes, mime_type)).unwrap();
    writer.entry(&entry("https://a.test/?q=1&r", content.clone())).unwrap();
    let done = writer.finish().unwrap();
    assert_eq!(done.entries, 1);
    (Fixture::open(path).unwrap(), content)
}

fn served(fixture: &Fixture, entry: usize) -> Vec<u8> {
    let entry_read = fixture.entry(entry).unwrap();
    fixture.payload(entry, &entry_read.response.content).unwrap().bytes().unwrap().to_vec()
}

#[test]
fn an_attached_fixture_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hars/api.har");
    let (fixture, content) = written(&path, ContentMode::Attach, "application/json", br#"{"a":1.0,"b":[true]}"#);
    assert!(fixture.is_own());
    assert_eq!(fixture.scope().unwrap(), ["**"]);
    let head = fixture.heads().get(0).unwrap();
    assert_eq!((head.method, head.url, head.status, head.line), ("GET", "https://a.test/?q=1&r", 200, 15));
    let Stored::File(name) = &content.stored else { panic!("{content:?}") };
    let stored = fs::read_to_string(dir.path().join("hars").join(name)).unwrap();
    assert_eq!(stored, "{\n  \"a\": 1.0,\n  \"b\": [\n    true\n  ]\n}\n");
    assert!(content.compact);
    assert_eq!(served(&fixture, 0), br#"{"a":1.0,"b":[true]}"#);
    let read = fixture.entry(0).unwrap();
    assert_eq!(read.response.headers.get("x-odd"), Some(&b"caf\xe9\xff"[..]));
    assert_eq!(read.response.headers.get_all("set-cookie").count(), 2);
    assert!(read.response.extras.is_empty() && read.request.extras.is_empty());
    let left: Vec<_> = fs::read_dir(dir.path().join("hars")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn embedded_and_omitted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.har");
    let (fixture, content) = written(&path, ContentMode::Embed, "text/plain", b"\xff\0x");
    assert_eq!(content.stored, Stored::Base64("/wB4".to_owned()));
    assert_eq!(served(&fixture, 0), b"\xff\0x");
    let (fixture, _) = written(&path, ContentMode::Omit, "text/plain", b"abc");
    let content = &fixture.entry(0).unwrap().response.content;
    assert!(matches!(fixture.payload(0, content).unwrap(), Payload::NotRecorded));
}

/// Every file below a folder, by relative path.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// Writes these JSON payloads as entries `https://a.test/0` …
fn write_all(path: &Path, payloads: &[&'static [u8]]) -> Written {
    let mut writer = FixtureWriter::create(path, ContentMode::Attach, &["**".to_owned()]).unwrap();
    for (n, bytes) in payloads.iter().enumerate() {
        let content = writer.content(source(&mut &**bytes, "application/json")).unwrap();
        writer.entry(&entry(&format!("https://a.test/{n}"), content)).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn keeping_every_entry_changes_no_byte() {
    for name in ["api.har", "api.zip"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        write_all(&path, &[br#"{"a":1}"#, br#"{"b":[2]}"#, br#"{"a":1}"#, b"3"]);
        let before = tree(dir.path());
        let old = Fixture::open(&path).unwrap();
        let mut writer = FixtureWriter::create(&path, ContentMode::Attach, old.scope().unwrap()).unwrap();
        writer = writer.based_on(&old).unwrap();
        for head in old.heads() {
            writer.keep(&old, head.entry).unwrap();
        }
        let written = writer.finish().unwrap();
        assert_eq!(written.payloads, 3);
        assert_eq!(tree(dir.path()), before, "{name}");
    }
}

#[test]
fn payloads_that_nothing_refers_to_any_more_go() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.har");
    write_all(&path, &[br#"{"a":1}"#, br#"{"b":2}"#]);
    fs::write(dir.path().join("api/notes.txt"), "mine").unwrap();
    fs::write(dir.path().join("api/0123456789abcdef.txt"), "not referenced: not ours to remove").unwrap();
    let old = Fixture::open(&path).unwrap();
    let mut writer = FixtureWriter::create(&path, ContentMode::Attach, &[]).unwrap();
    writer.keep(&old, 1).unwrap();
    writer.finish().unwrap();
    let left = tree(&dir.path().join("api"));
    assert_eq!(left.len(), 3, "{:?}", left.keys());
    assert_eq!(served(&Fixture::open(&path).unwrap(), 0), br#"{"b":2}"#);
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.har");
    write_all(&path, &[br#"{"a":1}"#]);
    let before = tree(dir.path());
    let mut writer = FixtureWriter::create(&path, ContentMode::Attach, &[]).unwrap();
    let content = writer.content(source(&mut &br#"{"c":1}"#[..], "application/json")).unwrap();
    writer.entry(&entry("https://a.test/", content)).unwrap();
    drop(writer);
    assert_eq!(tree(dir.path()), before);
}

#[test]
fn an_edited_payload_is_served_as_edited_and_never_mixed_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.har");
    write_all(&path, &[br#"{"a":1}"#]);
    let name = tree(dir.path()).into_keys().find(|name| name.starts_with("api/")).unwrap();
    fs::write(dir.path().join(&name), "{ \"a\": 2 }").unwrap();
    let old = Fixture::open(&path).unwrap();
    assert_eq!(served(&old, 0), br#"{"a":2}"#);
    for keep_first in [true, false] {
        let mut writer = FixtureWriter::create(&path, ContentMode::Attach, &[]).unwrap();
        if keep_first {
            writer.keep(&old, 0).unwrap();
        }
        let content = writer.content(source(&mut &br#"{"a":1}"#[..], "application/json")).unwrap();
        writer.entry(&entry("https://a.test/new", content)).unwrap();
        if !keep_first {
            writer.keep(&old, 0).unwrap();
        }
        writer.finish().unwrap();
        let new = Fixture::open(&path).unwrap();
        let served: Vec<_> = [0, 1].map(|n| served(&new, n)).into();
        let expected: [&[u8]; 2] =
            if keep_first { [br#"{"a":2}"#, br#"{"a":1}"#] } else { [br#"{"a":1}"#, br#"{"a":2}"#] };
        assert_eq!(served, expected, "{keep_first}");
        if keep_first {
            // As it was, for the other order.
            write_all(&path, &[br#"{"a":1}"#]);
            fs::write(dir.path().join(&name), "{ \"a\": 2 }").unwrap();
        }
    }
}

#[test]
fn an_archive_is_the_same_bytes_whatever_the_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.zip");
    let (fixture, content) = written(&path, ContentMode::Attach, "image/png", b"\x89PNG\r\n\x1a\n");
    let Stored::File(name) = &content.stored else { panic!("{content:?}") };
    assert!(name.ends_with(".png") && !name.contains('/'), "{name}");
    assert_eq!(served(&fixture, 0), b"\x89PNG\r\n\x1a\n");
    let first = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    written(&path, ContentMode::Attach, "image/png", b"\x89PNG\r\n\x1a\n");
    assert_eq!(fs::read(&path).unwrap(), first);
}
