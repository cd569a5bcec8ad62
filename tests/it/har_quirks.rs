//! HARs in which real tools deviate from HAR 1.2, and the data that harproxy reads from them.

use std::fs;

use harproxy_har::{Entry, Fixture, Payload};
use harproxy_http::Headers;
use serde_json::{Value, json};

/// An entry of another tool, with its payloads.
struct Read {
    entry: Entry,
    content: Payload,
    post_data: Option<Payload>,
    notes: Vec<String>,
}

/// Reads an entry with these members of request and response besides the required ones.
#[track_caller]
fn read_by(creator: &str, own: bool, request: Value, response: Value) -> Read {
    let with = |mut object: Value, members: Value| {
        object.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        object
    };
    let entry = json!({
        "request": with(json!({ "method": "POST", "url": "http://a.test/" }), request),
        "response": with(json!({ "status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1" }), response),
    });
    let mut log = json!({ "creator": { "name": creator }, "entries": [entry] });
    if own {
        log["_harproxy"] = json!({ "format": 1, "scope": ["**"] });
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.har");
    fs::write(&path, json!({ "log": log }).to_string()).unwrap();
    let fixture = Fixture::open(&path).unwrap();
    let entry = Entry::clone(&fixture.entry(0).unwrap());
    let payload = |body| fixture.payload(0, body).unwrap();
    Read {
        content: payload(&entry.response.content),
        post_data: entry.request.post_data.as_ref().map(payload),
        notes: fixture.examine(0).unwrap().into_iter().map(|warning| warning.text).collect(),
        entry,
    }
}

#[track_caller]
fn response(members: Value) -> Read {
    read_by("some tool", false, json!({}), members)
}

#[track_caller]
fn request(members: Value) -> Read {
    read_by("some tool", false, members, json!({}))
}

fn bytes(payload: &Payload) -> Vec<u8> {
    assert!(matches!(payload, Payload::Bytes(_)), "{payload:?}");
    payload.bytes().unwrap().to_vec()
}

fn fields(headers: &Headers) -> Vec<(String, Vec<u8>)> {
    headers.iter().map(|field| (field.name.clone(), field.value.to_vec())).collect()
}

fn field(name: &str, value: &[u8]) -> (String, Vec<u8>) {
    (name.to_owned(), value.to_vec())
}

#[test]
fn pseudo_headers_of_other_tools_are_removed() {
    let read = response(json!({
        "status": 200,
        "httpVersion": "h2",
        "headers": [
            { "name": ":status", "value": "200" },
            { "name": "status", "value": "200 OK" },
            { "name": "Set-Cookie", "value": "a=1; expires=Thu, 01 Jan 1970 00:00:00 GMT\nb=2\r\n" },
            { "name": "vary", "value": ["accept", "origin"], "comment": "as Polly.JS writes it" },
            { "name": "x-null", "value": null },
            { "name": "x-none" },
            { "name": "x-number", "value": 5 },
            { "name": "x-latin", "value": "café\u{0}" },
            { "name": "x-above", "value": "é漢" },
            { "name": "", "value": "nameless" },
            "not an object",
        ],
    }));
    assert_eq!(
        fields(&read.entry.response.headers),
        [
            field("Set-Cookie", b"a=1; expires=Thu, 01 Jan 1970 00:00:00 GMT"),
            field("Set-Cookie", b"b=2"),
            field("Set-Cookie", b""),
            field("vary", b"accept"),
            field("vary", b"origin"),
            field("x-null", b""),
            field("x-none", b""),
            field("x-number", b"5"),
            field("x-latin", b"caf\xe9\0"),
            field("x-above", "é漢".as_bytes()),
        ]
    );
}

#[test]
fn status_header_of_an_own_recording_is_kept() {
    let headers = json!({ "headers": [{ "name": "status", "value": "200 OK" }] });
    assert_eq!(read_by("harproxy", true, json!({}), headers).entry.response.headers.len(), 1);
    let other = json!({ "headers": [{ "name": "status", "value": "degraded" }] });
    assert_eq!(response(other).entry.response.headers.len(), 1);
}

#[test]
fn missing_members_have_defaults() {
    let read = response(json!({ "statusText": null, "redirectURL": null, "cookies": { "a": 1 }, "content": null }));
    assert_eq!(read.entry.response.status_text, "OK");
    assert_eq!((read.entry.time, read.entry.started.as_str()), (0.0, ""));
    assert_eq!((read.entry.request.body_size, read.entry.response.headers_size), (-1, -1));
    assert!(matches!(read.content, Payload::Empty));
    let h2 = response(json!({ "statusText": "", "httpVersion": "HTTP/2" }));
    assert_eq!(h2.entry.response.status_text, "", "HTTP/2 has no reason phrase");
}

#[test]
fn content_type_is_taken_from_the_mime_type_if_no_header_was_kept() {
    let read = response(json!({ "headers": [], "content": { "mimeType": "text/css", "text": "a" } }));
    assert_eq!(fields(&read.entry.response.headers), [field("content-type", b"text/css")]);
    for content in [json!({ "mimeType": "x-unknown" }), json!({ "mimeType": "" })] {
        assert!(response(json!({ "headers": [], "content": content })).entry.response.headers.is_empty());
    }
}

#[test]
fn omitted_payload_is_not_an_empty_one() {
    for content in [json!({ "size": 5 }), json!({ "size": 5, "text": "" }), json!({ "size": 5, "text": null })] {
        let read = response(json!({ "content": content }));
        assert!(matches!(read.content, Payload::NotRecorded), "{content}");
    }
    for content in [json!({}), json!({ "size": 0, "text": "" }), json!({ "size": -1 }), json!({ "size": null })] {
        let read = response(json!({ "content": content }));
        assert!(matches!(read.content, Payload::Empty), "{content}");
    }
    for status in [204, 304, 101] {
        let read = response(json!({ "status": status, "content": { "size": 5 } }));
        assert!(matches!(read.content, Payload::Empty), "{status}");
    }
    let head = read_by("t", false, json!({ "method": "HEAD" }), json!({ "content": { "size": 5 } }));
    assert!(matches!(head.content, Payload::Empty));
    let cached = response(json!({ "status": 304, "content": { "size": 1, "text": "x" } }));
    assert_eq!(bytes(&cached.content), b"x", "the cached body that a browser kept");
}

#[test]
fn base64_variants_of_other_tools_are_decoded() {
    let with = |text: &str, mime: &str, flag: bool| {
        let mut content = json!({ "size": 6, "mimeType": mime, "text": text });
        if flag {
            content["encoding"] = "base64".into();
        }
        response(json!({ "content": content }))
    };
    for text in ["/+8A", "_-8A", " /+\n8A\r\n", "_-8A=="] {
        assert_eq!(bytes(&with(text, "image/png", true).content), b"\xff\xef\0", "{text}");
    }
    let png = with("iVBORw0KGgo=", "image/png", false);
    assert_eq!(bytes(&png.content), b"\x89PNG\r\n\x1a\n");
    assert_eq!(png.notes.len(), 1);
    assert_eq!(bytes(&with("iVBORw0KGgo=", "text/plain", false).content), b"iVBORw0KGgo=");
    assert_eq!(bytes(&with("abcd", "image/png", false).content), b"abcd");
}

#[test]
fn text_is_encoded_in_its_declared_charset() {
    let with = |charset: &str, text: &str| {
        let content_type = format!("text/html; charset={charset}");
        response(json!({
            "headers": [{ "name": "Content-Type", "value": content_type }],
            "content": { "size": 4, "mimeType": "text/html; charset=utf-8", "text": text },
        }))
    };
    for (charset, text, expected) in [
        ("ISO-8859-1", "café", &b"caf\xe9"[..]),
        ("windows-1252", "5 €", b"5 \x80"),
        ("shift_jis", "テ", b"\x83\x65"),
        ("utf-16le", "aé", b"a\0\xe9\0"),
        ("utf-16be", "aé", b"\0a\0\xe9"),
        ("utf-8", "é", "é".as_bytes()),
        ("latin1", "plain", b"plain"),
        ("nonsense", "é", "é".as_bytes()),
        ("latin1", "漢", "漢".as_bytes()),
    ] {
        let read = with(charset, text);
        assert_eq!(bytes(&read.content), expected, "{charset}");
        assert_eq!(read.notes.len(), usize::from(text == "漢"), "{charset}");
    }
    let lossy = with("latin1", "a\u{fffd}");
    assert_eq!(lossy.notes, ["the response body has U+FFFD: some of its bytes were lost when it was recorded"]);
    let own = json!({
        "headers": [{ "name": "content-type", "value": "text/html; charset=latin1" }],
        "content": { "size": 2, "mimeType": "text/html; charset=latin1", "text": "é" },
    });
    assert_eq!(bytes(&read_by("harproxy", true, json!({}), own).content), "é".as_bytes(), "ours is the bytes");
}

const GZIP_HI: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\xc8\x04\x00\xac\x2a\x93\xd8\x02\x00\x00\x00";

fn coded(content: Value) -> Value {
    json!({ "headers": [{ "name": "content-encoding", "value": "gzip" }], "content": content })
}

#[test]
fn payload_is_served_decoded_whether_or_not_the_tool_decoded_it() {
    let off = response(coded(json!({ "size": 2, "mimeType": "text/plain", "text": "hi" })));
    assert_eq!(bytes(&off.content), b"hi");
    let base64 = "H4sIAAAAAAAAA8vIBACsKpPYAgAAAA==";
    let on = response(coded(json!({ "size": 2, "mimeType": "text/plain", "text": base64, "encoding": "base64" })));
    assert_eq!((bytes(&on.content), on.entry.response.content.encoded), (b"hi".to_vec(), false));
    let corrupt = "H4sIAAAAAAAAA8vIBACsKpPYAgAAAB==".replace("8vI", "8vX");
    let kept = response(coded(json!({ "size": 2, "mimeType": "text/plain", "text": corrupt, "encoding": "base64" })));
    assert!(kept.entry.response.content.encoded && bytes(&kept.content).starts_with(b"\x1f\x8b"));
    let file =
        response(coded(json!({ "size": 2, "mimeType": "application/gzip", "text": base64, "encoding": "base64" })));
    assert_eq!(bytes(&file.content), GZIP_HI, "a file that is gzip itself");
}

#[test]
fn polly_chunk_lists_are_joined() {
    let hex: String = GZIP_HI.iter().map(|byte| format!("{byte:02x}")).collect();
    let (first, second) = hex.split_at(20);
    let polly = |content| read_by("Polly.JS", false, json!({}), coded(content));
    let chunks = polly(json!({ "size": 22, "mimeType": "text/plain", "text": json!([first, second]).to_string() }));
    assert_eq!(bytes(&chunks.content), b"hi");
    let base64 = json!(["H4sIAAAAAAAAA8vIBACsKpPYAgAAAA=="]).to_string();
    let chunks = polly(json!({ "size": 22, "mimeType": "text/plain", "text": base64, "encoding": "base64" }));
    assert_eq!(bytes(&chunks.content), b"hi");
    let list = response(coded(json!({ "size": 22, "mimeType": "application/json", "text": "[\"1f8b\"]" })));
    assert_eq!(bytes(&list.content), b"[\"1f8b\"]", "a list is a list when another tool wrote it");
}

#[test]
fn payload_cut_by_its_tool_is_noted() {
    let with = |mime: &str| response(json!({ "content": { "size": 1000, "mimeType": mime, "text": "[1,2" } }));
    let json = with("application/json");
    assert!(matches!(json.content, Payload::NotRecorded));
    assert_eq!(
        json.notes,
        ["the response body was cut at 4 of 1000 bytes, so it is not valid JSON; treated as not recorded"]
    );
    let text = with("text/plain");
    assert_eq!(bytes(&text.content), b"[1,2");
    assert_eq!(text.notes, ["the response body was probably cut at 4 of 1000 bytes"]);
}

#[test]
fn request_payload_is_read_from_text_or_params() {
    let post = |data: Value| request(json!({ "postData": data, "bodySize": 0 }));
    for none in [json!(null), json!({}), json!({ "mimeType": "", "text": "" }), json!({ "params": [] })] {
        assert!(post(none.clone()).post_data.is_none(), "{none}");
    }
    let text = post(json!({ "text": "a=1", "params": [{ "name": "b", "value": "2" }] }));
    assert_eq!(bytes(&text.post_data.unwrap()), b"a=1", "text wins");
    let form =
        post(json!({ "mimeType": "application/x-www-form-urlencoded", "params": [{ "name": "b", "value": "2 3" }] }));
    assert_eq!(bytes(&form.post_data.unwrap()), b"b=2+3");
    let coded = post(json!({ "mimeType": "x/y", "text": "/+8A", "encoding": "base64" }));
    assert_eq!(bytes(&coded.post_data.unwrap()), b"\xff\xef\0");
    let typed = request(json!({
        "headers": [{ "name": "content-type", "value": "text/plain; charset=latin1" }],
        "postData": { "text": "é" },
    }));
    assert_eq!(typed.entry.request.post_data.unwrap().mime_type, "text/plain; charset=latin1");
    assert_eq!(bytes(&typed.post_data.unwrap()), b"\xe9");
    let files = post(json!({ "mimeType": "multipart/form-data", "params": [{ "name": "f", "fileName": "a.png" }] }));
    assert!(matches!(files.post_data.unwrap(), Payload::NotRecorded));
    let dropped = request(json!({ "postData": { "mimeType": "a/b", "text": "" }, "bodySize": 7 }));
    assert!(matches!(dropped.post_data.unwrap(), Payload::NotRecorded));
}

#[test]
fn numbers_and_strings_are_converted_from_other_types() {
    let read = response(json!({ "status": "404", "bodySize": null, "headersSize": 1.5e2, "httpVersion": 1.1 }));
    assert_eq!(read.entry.response.status, 404);
    assert_eq!((read.entry.response.body_size, read.entry.response.headers_size), (-1, 150));
    assert_eq!(read.entry.response.http_version, "1.1");
}

#[test]
fn index_knows_websockets_and_http2() {
    let entry = |url: &str, extra: Value| {
        let mut entry = json!({ "request": { "method": "GET", "url": url }, "response": { "status": 200 } });
        entry.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        entry
    };
    let entries = json!([
        entry("http://a.test/", json!({})),
        entry("wss://a.test/", json!({})),
        entry("http://a.test/", json!({ "_webSocketMessages": [] })),
        entry("http://a.test/", json!({ "_resourceType": "websocket" })),
        entry("http://a.test/", json!({ "response": { "status": 101 } })),
        entry("http://a.test/", json!({ "response": { "status": 200, "httpVersion": "HTTP/2.0" } })),
        entry("http://a.test/", json!({ "response": { "status": 200, "httpVersion": "h2" } })),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.har");
    fs::write(&path, json!({ "log": { "entries": entries } }).to_string()).unwrap();
    let fixture = Fixture::open(&path).unwrap();
    let websockets: Vec<_> = fixture.heads().iter().filter(|head| head.websocket).map(|head| head.entry).collect();
    assert_eq!(websockets, [1, 2, 3, 4]);
    let http2: Vec<_> = fixture.heads().iter().filter(|head| head.http2).map(|head| head.entry).collect();
    assert_eq!(http2, [5, 6]);
}

#[test]
fn mitmproxy_text_decoded_as_latin1_is_restored() {
    let xml = json!({ "content": { "mimeType": "application/xml", "text": "<a>gr\u{c3}\u{b6}\u{c3}\u{9f}er</a>", "size": 40, "compression": -25 } });
    assert_eq!(bytes(&read_by("mitmproxy", false, json!({}), xml.clone()).content), "<a>größer</a>".as_bytes());
    assert_eq!(
        bytes(&response(xml).content),
        "<a>gr\u{c3}\u{b6}\u{c3}\u{9f}er</a>".as_bytes(),
        "no other tool does so"
    );
    let latin1 = json!({ "content": { "mimeType": "text/plain", "text": "größer", "size": 6 } });
    assert_eq!(bytes(&read_by("mitmproxy", false, json!({}), latin1).content), b"gr\xf6\xdfer");
    // The declared size shows that the text was decoded as UTF-8.
    let utf8 = json!({ "content": { "mimeType": "text/html", "text": "größer", "size": 8 } });
    assert_eq!(bytes(&read_by("mitmproxy", false, json!({}), utf8).content), "größer".as_bytes());
    let sent =
        json!({ "bodySize": 8, "postData": { "mimeType": "text/plain", "text": "gr\u{c3}\u{b6}\u{c3}\u{9f}er" } });
    assert_eq!(bytes(&read_by("mitmproxy", false, sent, json!({})).post_data.unwrap()), "größer".as_bytes());
}

#[test]
fn text_decoded_as_windows_1252_is_restored_to_utf8() {
    let of_type =
        |media_type: &str, text: &str| response(json!({ "content": { "mimeType": media_type, "text": text } }));
    for media_type in ["text/plain", "text/event-stream", "text/csv"] {
        let read = of_type(media_type, "gr\u{c3}\u{b6}\u{c3}\u{178}er 3 \u{e2}\u{201a}\u{ac}");
        assert_eq!(bytes(&read.content), "größer 3 €".as_bytes(), "{media_type}");
        assert!(read.notes[0].contains("windows-1252"), "{:?}", read.notes);
        let plain = of_type(media_type, "größer 3 €");
        assert_eq!((bytes(&plain.content), plain.notes.len()), ("größer 3 €".as_bytes().to_vec(), 0));
    }
    // These types declare a charset, or every tool decodes them as UTF-8.
    for media_type in
        ["text/plain; charset=utf-8", "text/html", "text/css", "text/xml", "text/javascript", "application/json"]
    {
        assert_eq!(bytes(&of_type(media_type, "\u{c3}\u{b6}").content), "\u{c3}\u{b6}".as_bytes(), "{media_type}");
    }
}
