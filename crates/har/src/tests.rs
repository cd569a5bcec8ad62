//! Writes fixtures in every form and reads them back.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::model::{Body, Request, Response, Storage};
use super::*;
use harproxy_http::Headers;
use harproxy_json::Spacing;

/// An entry like those of `record`.
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

/// Writes a fixture of one entry with this payload and opens it.
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
fn attached_fixture_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hars/api.har");
    let (fixture, content) = written(&path, ContentMode::Attach, "application/json", br#"{"a":1.0,"b":[true]}"#);
    assert!(fixture.is_own());
    assert_eq!(fixture.scope().unwrap(), ["**"]);
    let head = fixture.heads().get(0).unwrap();
    assert_eq!((head.method, head.url, head.status, head.line), ("GET", "https://a.test/?q=1&r", 200, 12));
    let Storage::File(name) = &content.stored else { panic!("{content:?}") };
    let stored = fs::read_to_string(dir.path().join("hars").join(name)).unwrap();
    assert_eq!(stored, "{\n  \"a\": 1.0,\n  \"b\": [\n    true\n  ]\n}\n");
    assert_eq!(content.compact, Some(Spacing::Compact));
    assert_eq!(served(&fixture, 0), br#"{"a":1.0,"b":[true]}"#);
    let read = fixture.entry(0).unwrap();
    assert_eq!(read.response.headers.get("x-odd"), Some(&b"caf\xe9\xff"[..]));
    assert_eq!(read.response.headers.get_all("set-cookie").count(), 2);
    assert!(read.response.extras.is_empty() && read.request.extras.is_empty());
    let left: Vec<_> = fs::read_dir(dir.path().join("hars")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn embedded_payloads_read_back_and_omitted_ones_are_not_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.har");
    let (fixture, content) = written(&path, ContentMode::Embed, "text/plain", b"\xff\0x");
    assert_eq!(content.stored, Storage::Base64("/wB4".to_owned()));
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
fn write_all(path: &Path, payloads: &[&'static [u8]]) -> WriteSummary {
    let mut writer = FixtureWriter::create(path, ContentMode::Attach, &["**".to_owned()]).unwrap();
    for (n, bytes) in payloads.iter().enumerate() {
        let content = writer.content(source(&mut &**bytes, "application/json")).unwrap();
        writer.entry(&entry(&format!("https://a.test/{n}"), content)).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn fixture_is_unchanged_when_every_entry_is_kept() {
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
fn finish_removes_payloads_that_no_entry_uses() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.har");
    write_all(&path, &[br#"{"a":1}"#, br#"{"b":2}"#]);
    fs::write(dir.path().join("api/notes.txt"), "mine").unwrap();
    fs::write(dir.path().join("api/0123456789abcdef.txt"), "not referenced by the old fixture: kept").unwrap();
    let old = Fixture::open(&path).unwrap();
    let mut writer = FixtureWriter::create(&path, ContentMode::Attach, &[]).unwrap();
    writer.keep(&old, 1).unwrap();
    writer.finish().unwrap();
    let left = tree(&dir.path().join("api"));
    assert_eq!(left.len(), 3, "{:?}", left.keys());
    assert_eq!(served(&Fixture::open(&path).unwrap(), 0), br#"{"b":2}"#);
}

#[test]
fn dropped_writer_leaves_no_files() {
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
fn edited_payload_is_served_as_edited_when_its_old_bytes_are_written_again() {
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
            // Restores the fixture for the other order.
            write_all(&path, &[br#"{"a":1}"#]);
            fs::write(dir.path().join(&name), "{ \"a\": 2 }").unwrap();
        }
    }
}

#[test]
fn archive_is_reproducible() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.zip");
    let (fixture, content) = written(&path, ContentMode::Attach, "image/png", b"\x89PNG\r\n\x1a\n");
    let Storage::File(name) = &content.stored else { panic!("{content:?}") };
    assert!(name.ends_with(".png") && !name.contains('/'), "{name}");
    assert_eq!(served(&fixture, 0), b"\x89PNG\r\n\x1a\n");
    let first = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    written(&path, ContentMode::Attach, "image/png", b"\x89PNG\r\n\x1a\n");
    assert_eq!(fs::read(&path).unwrap(), first);
}

/// The body and the file content of a stored payload.
fn stored(mime_type: &str, bytes: &'static [u8]) -> (Body, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.har");
    let (fixture, body) = written(&path, ContentMode::Attach, mime_type, bytes);
    assert_eq!(served(&fixture, 0), bytes, "{mime_type}");
    let Storage::File(name) = &body.stored else { panic!("{body:?}") };
    let file = fs::read(dir.path().join(name)).unwrap();
    (body, file)
}

#[test]
fn payload_file_extension_depends_on_type_and_charset() {
    for (mime_type, bytes, ending) in [
        ("text/plain", &b"plain"[..], "txt"),
        ("text/html; charset=utf-8", "\u{feff}é".as_bytes(), "txt"),
        ("text/html; charset=iso-8859-1", b"caf\xe9", "txt"),
        ("text/plain; charset=utf-16le", b"a\0\xe9\0", "txt"),
        ("text/plain; charset=utf-16le", b"a\0\xd8\xd8", "bin"),
        ("text/plain", b"caf\xe9", "bin"),
        ("text/plain; charset=shift_jis", b"\xff\xff", "bin"),
        ("application/x-www-form-urlencoded", b"a=b", "txt"),
        ("image/svg+xml", b"<svg/>", "txt"),
        ("image/png", b"\x89PNG", "png"),
        ("font/woff2", b"wOF2\0\x01", "woff2"),
        ("application/pdf", b"%PDF\xff", "pdf"),
        ("application/grpc", b"\0\0\0\0\x05hello", "bin"),
        ("application/octet-stream", b"\x07text", "bin"),
        ("application/octet-stream", b"text\r\n", "txt"),
        ("application/x-amz-json-1.0", b"{}", "txt"),
        ("nonsense", "é\u{1b}[0m\t\u{c}".as_bytes(), "txt"),
        ("nonsense", b"\xe9", "bin"),
        ("", b"text", "txt"),
    ] {
        let (body, file) = stored(mime_type, bytes);
        let Storage::File(name) = &body.stored else { panic!() };
        assert_eq!(name.rsplit_once('.').unwrap().1, ending, "{mime_type}");
        assert_eq!((file, body.compact), (bytes.to_vec(), None));
    }
}

#[test]
fn only_json_on_one_line_is_indented() {
    let (compact, spaced) = (Some(Spacing::Compact), Some(Spacing::Spaced));
    for (mime_type, bytes, expected) in [
        ("application/json", &br#"{"a":1.0e5,"a":"\u00e9","b":[]}"#[..], compact),
        ("application/problem+json; charset=utf-8", br#"[{"a":[1,2]}]"#, compact),
        ("application/json", br#"{"a": 1.0e5, "b": [{}, [], "\u00e9, :"]}"#, spaced),
        ("application/json", b"{\"a\":1}\n", None),
        ("application/json", b"{\"a\": 1}\n", None),
        ("application/json", br#"{"a": 1,"b": 2}"#, None),
        ("application/json", br#"{ "a": 1 }"#, None),
        ("application/json", b"{}", None),
        ("application/json", b"7", None),
        ("application/json", br#"{"a":1"#, None),
        ("application/json", b"{\"a\":\"\xff\"}", None),
        ("text/plain", br#"{"a":1}"#, None),
    ] {
        let (body, file) = stored(mime_type, bytes);
        assert_eq!(body.compact, expected, "{}", String::from_utf8_lossy(bytes));
        assert_eq!(file != bytes, expected.is_some());
    }
}

#[test]
fn wire_layout_keeps_json_compact() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.har");
    let writer = FixtureWriter::create(&path, ContentMode::Attach, &[]).unwrap();
    let mut writer = writer.json_layout(JsonLayout::Wire);
    let content = writer.content(source(&mut &br#"{"a":1}"#[..], "application/json")).unwrap();
    assert_eq!(content.compact, None);
}

#[test]
fn small_request_text_is_stored_in_the_entry() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = FixtureWriter::create(&dir.path().join("api.har"), ContentMode::Attach, &[]).unwrap();
    let large = &*vec![b'x'; 5000].leak();
    let mut post = |bytes: &'static [u8], mime_type| writer.post_data(source(&mut &*bytes, mime_type)).unwrap();
    let json = post(br#"{"a":1}"#, "application/json");
    assert_eq!((json.stored, json.compact), (Storage::Text(r#"{"a":1}"#.to_owned()), None));
    assert_eq!(post(b"a=1", "").stored, Storage::Text("a=1".to_owned()));
    for (bytes, mime_type) in [(large, "text/plain"), (b"\xff", "text/plain"), (b"x", "image/png")] {
        let body = post(bytes, mime_type);
        assert!(matches!(body.stored, Storage::File(_)), "{mime_type} {body:?}");
    }
    assert_eq!(post(b"", "text/plain").stored, Storage::Nowhere);
}

#[test]
fn truncation_and_encoding_flags_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.har");
    let mut writer = FixtureWriter::create(&path, ContentMode::Attach, &[]).unwrap();
    let truncated = model::Truncated { reason: "client-left".to_owned(), kept: 3, total: None };
    let mut read = &b"\x1f\x8b\x08"[..];
    let cut =
        PayloadSource { read: &mut read, mime_type: "text/plain", encoded: true, truncated: Some(truncated.clone()) };
    let content = writer.content(cut).unwrap();
    writer.entry(&entry("https://a.test/", content)).unwrap();
    writer.finish().unwrap();
    let read = Fixture::open(&path).unwrap().entry(0).unwrap();
    assert_eq!(read.response.content.truncated, Some(truncated));
    assert!(read.response.content.encoded);
    let Storage::File(name) = &read.response.content.stored else { panic!() };
    assert!(name.ends_with(".bin"), "{name}");
}

#[test]
fn unknown_members_of_other_tools_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("other.har");
    fs::write(dir.path().join("abc.JSON"), "{}").unwrap();
    let text = r#"{"_top":{"a":[]},"log":{"comment":"c","_x":1,"creator":{"name":"tool","version":"2"},"pages":[{"id":"p"}],
        "version":"1.1","entries":[{"_e":{"b":1e3,"a":null},"response":{"_r":"\u00e9","content":{"_file":"abc.JSON","mimeType":"",
        "size":2},"headers":[{"value":"1","_h":true,"name":"B"},{"name":":status","value":"200"},{"name":"A","value":"2"},
        {"name":"b","value":"3"}],"status":200},"pageref":"p","request":{"url":"http://a.test/","method":"get"}}]}}"#;
    fs::write(&path, text).unwrap();
    let other = Fixture::open(&path).unwrap();
    let ours = dir.path().join("ours.har");
    let writer = FixtureWriter::create(&ours, ContentMode::Attach, &["**".to_owned()]).unwrap();
    let mut writer = writer.based_on(&other).unwrap();
    writer.keep(&other, 0).unwrap();
    writer.finish().unwrap();
    let written = fs::read_to_string(&ours).unwrap();
    let name = tree(&dir.path().join("ours")).into_keys().next().unwrap();
    let expected = r#"{
  "log": {
    "version": "1.2",
    "creator": { "name": "tool", "version": "2" },
    "pages": [
      { "id": "p" }
    ],
    "comment": "c",
    "_harproxy": {
      "version": 2,
      "scope": [
        "**"
      ]
    },
    "_x": 1,
    "entries": [
      {
        "pageref": "p",
        "request": { "method": "get", "url": "http://a.test/" },
        "response": {
          "status": 200,
          "headers": [
            { "name": "b", "value": "1", "_h": true },
            { "name": "b", "value": "3" },
            { "name": ":status", "value": "200" },
            { "name": "a", "value": "2" }
          ],
          "content": { "size": 2, "mimeType": "", "_file": "ours/NAME" },
          "_r": "é"
        },
        "_e": { "b": 1e3, "a": null }
      }
    ]
  },
  "_top": {
    "a": []
  }
}
"#;
    assert_eq!(written, expected.replace("NAME", &name));
    assert!(name.ends_with(".JSON"), "{name}");
}

#[test]
fn fixture_is_unchanged_after_conversion_to_an_archive_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, archive) = (dir.path().join("api.har"), dir.path().join("api.zip"));
    write_all(&folder, &[br#"{"a":1}"#, b"2"]);
    let before = fs::read(&folder).unwrap();
    let copy = |from: &Path, to: &Path| {
        let from = Fixture::open(from).unwrap();
        let writer = FixtureWriter::create(to, ContentMode::Attach, from.scope().unwrap()).unwrap();
        let mut writer = writer.based_on(&from).unwrap();
        from.heads().iter().for_each(|head| writer.keep(&from, head.entry).unwrap());
        writer.finish().unwrap();
    };
    copy(&folder, &archive);
    fs::remove_dir_all(dir.path().join("api")).unwrap();
    fs::remove_file(&folder).unwrap();
    assert_eq!(served(&Fixture::open(&archive).unwrap(), 0), br#"{"a":1}"#);
    copy(&archive, &folder);
    assert_eq!(fs::read(&folder).unwrap(), before);
    assert_eq!(served(&Fixture::open(&folder).unwrap(), 1), b"2");
}

#[cfg(unix)]
#[test]
fn fixture_files_have_default_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let like = dir.path().join("like");
    fs::write(&like, "").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for name in ["api.har", "api.zip"] {
        let path = dir.path().join(name);
        write_all(&path, &[br#"{"a":1}"#]);
        assert_eq!(mode(&path), mode(&like), "{name}");
    }
    let folder = dir.path().join("api");
    let like_folder = dir.path().join("like-folder");
    fs::create_dir(&like_folder).unwrap();
    assert_eq!(mode(&folder), mode(&like_folder));
    for name in tree(&folder).keys() {
        assert_eq!(mode(&folder.join(name)), mode(&like));
    }
}

#[test]
fn failed_finish_leaves_the_old_fixture() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.har");
    write_all(&path, &[br#"{"a":1}"#]);
    let before = tree(dir.path());
    // A folder where a payload file should go.
    let mut writer = FixtureWriter::create(&path, ContentMode::Attach, &[]).unwrap();
    let content = writer.content(source(&mut &br#"{"c":1}"#[..], "application/json")).unwrap();
    let Storage::File(name) = &content.stored else { panic!() };
    fs::create_dir(dir.path().join(name)).unwrap();
    writer.entry(&entry("https://a.test/", content.clone())).unwrap();
    let error = writer.finish().unwrap_err().to_string();
    assert!(error.starts_with("renaming into ") && error.ends_with(name), "{error}");
    assert_eq!(tree(dir.path()), before);
}

#[test]
fn kept_entry_gets_unix_line_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.har");
    write_all(&path, &[b"1", b"2"]);
    let before = fs::read_to_string(&path).unwrap();
    fs::write(&path, before.replace('\n', "\r\n")).unwrap();
    let old = Fixture::open(&path).unwrap();
    let writer = FixtureWriter::create(&path, ContentMode::Attach, old.scope().unwrap()).unwrap();
    let mut writer = writer.based_on(&old).unwrap();
    old.heads().iter().for_each(|head| writer.keep(&old, head.entry).unwrap());
    writer.finish().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
}
