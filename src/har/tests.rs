//! Writing and reading back, in every form.

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
