//! Properties of all fixtures: a written HAR is unchanged after reading and writing, and no input causes a panic.

use std::fs;
use std::path::{Path, PathBuf};

use harproxy_har::model::{Body, Extras, Request, Response, Storage, Truncated};
use harproxy_har::{ContentMode, Entry, Fixture, FixtureWriter, PayloadSource, Timings};
use harproxy_http::{Header, Headers};
use harproxy_json::Spacing;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

fn header_value() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("a line", |byte| *byte != b'\n');
    prop::collection::vec(byte, 0..12).prop_map(|bytes| {
        let text: &[u8] = &bytes;
        let edge = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r');
        let from = text.iter().position(|byte| !edge(byte)).unwrap_or(text.len());
        let to = text.iter().rposition(|byte| !edge(byte)).map_or(from, |last| last + 1);
        text[from..to].to_vec()
    })
}

fn headers() -> impl Strategy<Value = Headers> {
    let name =
        prop_oneof!["[a-c]", "[A-Z][a-z]{1,4}-[a-z]{2}", Just("set-cookie".to_owned()), Just("Cookie".to_owned())];
    let field = (name, header_value()).prop_map(|(name, value)| Header { name, value: value.into() });
    prop::collection::vec(field, 0..8).prop_map(|fields| fields.into_iter().collect())
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(|n: f64| Value::from(n)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn extras() -> impl Strategy<Value = Extras> {
    let name = prop_oneof!["_[a-z]{1,5}", Just("comment".to_owned()), "x[a-z]{2}"];
    prop::collection::vec((name, value()), 0..3).prop_map(|members| members.into_iter().collect())
}

fn body() -> impl Strategy<Value = Body> {
    let stored = prop_oneof![
        Just(Storage::Nowhere),
        any::<String>().prop_map(Storage::Text),
        prop::collection::vec(any::<u8>(), 1..9).prop_map(|bytes| {
            use base64::Engine;
            Storage::Base64(base64::prelude::BASE64_STANDARD.encode(bytes))
        }),
        "[a-z]{1,3}/[0-9a-f]{16}\\.txt".prop_map(Storage::File),
    ];
    let truncated = (any::<u32>(), prop::option::of(any::<u32>())).prop_map(|(kept, total)| Truncated {
        reason: "max-body".to_owned(),
        kept: kept.into(),
        total: total.map(Into::into),
    });
    let flags = (prop::option::of(any::<bool>()), any::<bool>(), prop::option::of(truncated));
    (any::<String>(), -1..9999_i64, stored, flags, extras()).prop_map(
        |(mime_type, size, stored, (compact, encoded, truncated), extras)| Body {
            mime_type,
            size: Some(size),
            stored,
            compact: compact.map(|spaced| if spaced { Spacing::Spaced } else { Spacing::Compact }),
            encoded,
            truncated,
            kept_as_utf8: None,
            is_rebuilt: false,
            extras,
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    let url = "http://[a-z]{1,5}\\.test/[a-z/%?=&+#é]{0,12}";
    ("[A-Z]{3,6}", url, headers(), prop::option::of(body()), -1..99_i64, extras()).prop_map(
        |(method, url, headers, post_data, size, extras)| Request {
            method,
            url,
            http_version: "HTTP/1.1".to_owned(),
            headers,
            post_data,
            headers_size: size,
            body_size: size,
            extras,
        },
    )
}

fn response() -> impl Strategy<Value = Response> {
    let head = (-1..999_i32, any::<String>(), any::<String>());
    (head, headers(), body(), headers(), extras()).prop_map(
        |((status, status_text, redirect_url), headers, content, trailers, extras)| Response {
            status,
            status_text,
            http_version: "h2".to_owned(),
            headers,
            content,
            redirect_url,
            headers_size: -1,
            body_size: 7,
            trailers,
            extras,
        },
    )
}

fn entry() -> impl Strategy<Value = Entry> {
    let phase = || prop::option::of(0.0..1e5_f64);
    let phases = (phase(), phase(), phase(), phase(), phase(), phase(), phase());
    let timings = phases.prop_map(|(blocked, dns, connect, ssl, send, wait, receive)| Timings {
        blocked,
        dns,
        connect,
        ssl,
        send,
        wait,
        receive,
    });
    let text = || prop::option::of(any::<String>());
    let harproxy = prop::option::of(Just(json!({ "error": { "kind": "x" } }).as_object().cloned().unwrap_or_default()));
    (any::<String>(), 0.0..1e6_f64, request(), response(), timings, (text(), text()), harproxy, extras()).prop_map(
        |(started, time, request, response, timings, (server_ip, connection), harproxy, extras)| Entry {
            started,
            time,
            request,
            response,
            timings,
            server_ip,
            connection,
            harproxy,
            extras,
        },
    )
}

fn write(path: &Path, entries: impl IntoIterator<Item = Entry>) -> Vec<u8> {
    let mut writer = FixtureWriter::create(path, ContentMode::Attach, &["**".to_owned()]).unwrap();
    for entry in entries {
        writer.entry(&entry).unwrap();
    }
    writer.finish().unwrap();
    fs::read(path).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn written_har_is_unchanged_after_reading_and_writing(entries in prop::collection::vec(entry(), 0..4)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.har");
        let first = write(&path, entries.clone());
        let fixture = Fixture::open(&path).unwrap();
        prop_assert_eq!(fixture.heads().len(), entries.len());
        let read: Vec<_> = (0..entries.len()).map(|at| Entry::clone(&fixture.entry(at).unwrap())).collect();
        for (read, written) in read.iter().zip(&entries) {
            prop_assert_eq!(&read.response.content.stored, &written.response.content.stored);
            prop_assert_eq!(read.response.headers.len(), written.response.headers.len());
            for field in &written.response.headers {
                let name = field.name.to_ascii_lowercase();
                prop_assert!(read.response.headers.get_all(&name).any(|value| value == field.value));
            }
        }
        let again = write(&dir.path().join("b.har"), read);
        prop_assert_eq!(String::from_utf8_lossy(&again), String::from_utf8_lossy(&first));
        // Members of other tools do not change the order.
        let mut output = entries;
        for entry in &mut output {
            entry.extras.insert("_said".to_owned(), Value::Null);
        }
        let output = String::from_utf8(write(&dir.path().join("c.har"), output)).unwrap();
        let without: String = output.split_inclusive('\n').filter(|line| !line.contains("\"_said\"")).collect();
        let plain = |text: &str| text.replace(",\n", "\n");
        prop_assert_eq!(plain(&without), plain(&String::from_utf8_lossy(&first)));

        let mut writer = FixtureWriter::create(&path, ContentMode::Attach, &["**".to_owned()]).unwrap();
        for head in fixture.heads() {
            writer.keep(&fixture, head.entry).unwrap();
        }
        writer.finish().unwrap();
        prop_assert_eq!(fs::read(&path).unwrap(), first);
    }

    #[test]
    fn payloads_round_trip_in_every_storage(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            any::<String>().prop_map(String::into_bytes),
            value().prop_map(|value| value.to_string().into_bytes()),
            value().prop_map(|value| format!("{value:#}").into_bytes()),
        ],
        mime_type in prop::sample::select(&[
            "application/json", "text/plain", "text/html; charset=utf-16", "text/css; charset=latin1", "image/png", "",
        ][..]),
        mode in prop::sample::select(&[ContentMode::Attach, ContentMode::Embed][..]),
        name in prop::sample::select(&["a.har", "a.zip"][..]),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        let mut writer = FixtureWriter::create(&path, mode, &[]).unwrap();
        let mut entry = Entry::default();
        entry.request.url = "http://a.test/".to_owned();
        entry.response.headers.push("content-type", mime_type);
        let (mut received, mut sent) = (&bytes[..], &bytes[..]);
        let source = PayloadSource { read: &mut received, mime_type, encoded: false, truncated: None };
        entry.response.content = writer.content(source).unwrap();
        let source = PayloadSource { read: &mut sent, mime_type, encoded: false, truncated: None };
        entry.request.post_data = Some(writer.post_data(source).unwrap());
        writer.entry(&entry).unwrap();
        writer.finish().unwrap();
        let fixture = Fixture::open(&path).unwrap();
        let read = fixture.entry(0).unwrap();
        let content = fixture.payload(0, &read.response.content).unwrap().bytes().unwrap();
        prop_assert_eq!(&content[..], &bytes[..]);
        let sent = fixture.payload(0, read.request.post_data.as_ref().unwrap()).unwrap().bytes().unwrap();
        prop_assert_eq!(&sent[..], &bytes[..]);
    }

    #[test]
    fn arbitrary_input_does_not_panic(
        which in any::<Index>(),
        edits in prop::collection::vec((any::<Index>(), 0..4_u8, any::<u8>()), 1..6),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let samples = samples();
        let mut bytes = fs::read(which.get(&samples)).unwrap();
        for (at, how, byte) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, b"{}[]\",:\\0-eu"[usize::from(byte) % 12]),
                2 => drop(bytes.drain(at..(at + usize::from(byte)).min(bytes.len()))),
                _ => bytes.truncate(at.max(20)),
            }
        }
        let path = dir.path().join("a.har");
        fs::write(&path, bytes).unwrap();
        if let Ok(fixture) = Fixture::open(&path) {
            for head in fixture.heads() {
                let Ok(entry) = fixture.entry(head.entry) else { continue };
                for body in [Some(&entry.response.content), entry.request.post_data.as_ref()].into_iter().flatten() {
                    let _ = fixture.payload(head.entry, body).map(|payload| payload.bytes());
                }
                let _ = fixture.examine(head.entry);
            }
            let writer = FixtureWriter::create(&dir.path().join("b.har"), ContentMode::Attach, &[]).unwrap();
            if let Ok(mut writer) = writer.based_on(&fixture) {
                for head in fixture.heads() {
                    let _ = writer.keep(&fixture, head.entry);
                }
                writer.finish().unwrap();
                Fixture::open(&dir.path().join("b.har")).unwrap();
            }
        }
    }
}

/// Small HARs of many tools, and archives.
fn samples() -> Vec<PathBuf> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let folder = fs::read_dir(corpus.join("hars-foreign")).unwrap();
    let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| fs::metadata(path).unwrap().len() < 9000 && path.to_string_lossy().contains(".har"));
    files.sort();
    assert!(files.len() > 20);
    files.push(corpus.join("recorded/attach-full-zip/rec.zip"));
    files
}
