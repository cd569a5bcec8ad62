use std::path::Path;

use serde_json::{Value, json};

use super::*;

struct Ask<'a> {
    method: &'a str,
    url: &'a str,
    sent: Option<Value>,
    headers: &'a [(&'a str, &'a str)],
    answer: Value,
    answer_headers: &'a [(&'a str, &'a str)],
}

const GET: Ask<'_> = Ask { method: "GET", url: "", sent: None, headers: &[], answer: Value::Null, answer_headers: &[] };

fn entry(ask: &Ask<'_>) -> Value {
    let list = |headers: &[(&str, &str)]| -> Vec<Value> {
        headers.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
    };
    let mut request = json!({
        "method": ask.method, "url": ask.url, "httpVersion": "HTTP/1.1", "cookies": [], "headers": list(ask.headers),
        "queryString": [], "headersSize": -1, "bodySize": -1,
    });
    if let Some(sent) = &ask.sent {
        request["postData"] = json!({ "mimeType": "application/json", "text": sent.to_string() });
    }
    let text = ask.answer.to_string();
    json!({
        "startedDateTime": "2026-01-01T00:00:00.000Z", "time": 1, "request": request,
        "response": {
            "status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "cookies": [],
            "headers": list(ask.answer_headers), "redirectURL": "", "headersSize": -1, "bodySize": -1,
            "content": { "size": text.len(), "mimeType": "application/json", "text": text },
        },
        "cache": {}, "timings": { "send": 0, "wait": 1, "receive": 0 },
    })
}

fn fixture(folder: &Path, name: &str, asks: &[Ask<'_>]) -> Fixture {
    let entries: Vec<Value> = asks.iter().map(entry).collect();
    let har = json!({ "log": {
        "version": "1.2", "creator": { "name": "harproxy", "version": "0" },
        "_harproxy": { "format": 1, "scope": ["**"] }, "entries": entries,
    }});
    let path = folder.join(name);
    std::fs::write(&path, har.to_string()).unwrap();
    Fixture::open(&path).unwrap()
}

fn learned(first: &[Ask<'_>], second: &[Ask<'_>]) -> Lessons {
    let folder = tempfile::tempdir().unwrap();
    learn(&fixture(folder.path(), "a.har", first), &fixture(folder.path(), "b.har", second)).unwrap()
}

fn toml(first: &[Ask<'_>], second: &[Ask<'_>]) -> String {
    let lessons = learned(first, second);
    assert_eq!(lessons.unexplained, [] as [&str; 0]);
    rendered(&lessons)
}

#[test]
fn the_same_twice_teaches_nothing() {
    let once = || Ask { url: "https://api.test/a", answer: json!({ "a": 1 }), ..GET };
    let lessons = learned(&[once(), once()], &[once()]);
    assert!(lessons.is_empty() && lessons.unexplained.is_empty(), "{lessons:?}");
}

#[test]
fn times_and_counters_of_an_answer_are_volatile() {
    let once = |at, build| Ask {
        url: "https://api.test/a",
        answer: json!({ "at": at, "items": [{ "seen": at, "n": 1 }, { "seen": at, "n": 2 }], "odd name": at }),
        answer_headers: build,
        ..GET
    };
    let (one, two) = ([("x-build", "1"), ("date", "x")], [("x-build", "2"), ("date", "y")]);
    assert_eq!(
        toml(&[once(1, &one)], &[once(2, &two)]),
        "[volatile]\nheaders = [\"x-build\"]\njson = [\"$.at\", \"$.items[*].seen\", \"$['odd name']\"]\n"
    );
}

#[test]
fn what_varies_in_the_query_is_ignored() {
    let once = |url| Ask { url, ..GET };
    assert_eq!(
        toml(&[once("https://api.test/s?q=x&ts=1")], &[once("https://api.test/s?q=x&ts=2")]),
        "[[match]]\nglob = \"https://api.test/s*\"\nignore-query = [\"ts\"]\n"
    );
}

#[test]
fn an_id_in_the_path_and_in_the_answer_is_a_path_and_an_echo() {
    let once = |url, id: &str| Ask { url, answer: json!({ "id": id }), ..GET };
    let first = [once("https://api.test/orders/a1b2c3/items", "a1b2c3")];
    let second = [once("https://api.test/orders/d4e5f6/items", "d4e5f6")];
    assert_eq!(
        toml(&first, &second),
        "[volatile]\njson = [\"$.id\"]\n\n[[match]]\nglob = \"https://api.test/orders/*/items\"\n\
         path = \"/orders/{id}/items\"\necho = [\"path:{id}\"]\n"
    );
}

#[test]
fn a_nonce_in_the_payload_that_the_answer_repeats() {
    let once = |nonce: &str, id: &'static [(&str, &str)]| Ask {
        method: "POST",
        url: "https://api.test/pay",
        sent: Some(json!({ "nonce": nonce, "amount": 5 })),
        headers: id,
        answer: json!({ "reference": format!("pay-{nonce}") }),
        answer_headers: id,
    };
    let first = once("aaaa1111", &[("x-request-id", "request-1")]);
    let second = once("bbbb2222", &[("x-request-id", "request-2")]);
    assert_eq!(
        toml(&[first], &[second]),
        "[volatile]\njson = [\"$.reference\"]\n\n[[match]]\nglob = \"https://api.test/pay\"\n\
         ignore-body = [\"$.nonce\"]\necho = [\"header:x-request-id\", \"json:$.nonce\"]\n"
    );
}

/// The multipart boundary is not part of the compared payload.
#[test]
fn an_upload_in_parts_is_the_same_whatever_parts_it() {
    let upload = |boundary: &str, n: u8| {
        let text =
            format!("--{boundary}\r\ncontent-disposition: form-data; name=\"n\"\r\n\r\n{n}\r\n--{boundary}--\r\n");
        let payload = harproxy_har::Payload::Bytes(text.into_bytes().into());
        exchange::Payload::of(&payload, &format!("multipart/form-data; boundary={boundary}")).unwrap()
    };
    assert_eq!(upload("one", 1), upload("other", 1));
    assert_ne!(upload("one", 1), upload("one", 2));
}

#[test]
fn names_of_members_are_written_as_json_paths_have_them() {
    let once = |at| Ask { url: "https://api.test/a", answer: json!({ "a\n'\\b": at }), ..GET };
    let lessons = learned(&[once(1)], &[once(2)]);
    let path = lessons.volatile_json.keys().next().unwrap();
    assert_eq!(path, r"$['a\u000a\'\\b']");
    harproxy_json::JsonPath::parse(path).unwrap();
}

#[test]
fn a_port_of_this_machine_that_varies_is_the_same_host() {
    let once = |url| Ask { url, ..GET };
    assert_eq!(
        toml(&[once("http://127.0.0.1:4001/a")], &[once("http://127.0.0.1:4002/a")]),
        "[[match]]\nglob = \"http://127.0.0.1:*/**\"\nsame-host = [\"http://127.0.0.1:*\"]\n"
    );
}

#[test]
fn what_no_line_can_say_is_said_in_words() {
    let once = |url| Ask { url, ..GET };
    let lessons = learned(&[once("https://api.test/a"), once("https://api.test/b")], &[once("https://api.test/a")]);
    assert_eq!(lessons.unexplained, ["GET https://api.test/b was seen in the first run only"]);
    assert!(lessons.is_empty());
}

#[test]
fn a_file_that_is_there_keeps_what_it_says() {
    let text = "# ours\n[record]\noutput = \"hars/api.har\" # here\n\n[volatile]\nheaders = [\"x-build\"] # told by CI\n\n\
                [[match]]\nglob = \"https://api.test/s*\"\nignore-query = \"_\"\n";
    let mut lessons = Lessons::default();
    lessons.volatile_header("x-build", "1", "2");
    lessons.volatile_header("x-node", "1", "2");
    let at = Where { glob: "https://api.test/s*".into(), path: None };
    lessons.rule(&at).ignore_query.insert("ts".into());
    let added = added_to(text, &lessons).unwrap();
    assert_eq!(
        added,
        "# ours\n[record]\noutput = \"hars/api.har\" # here\n\n[volatile]\nheaders = [\"x-build\", \"x-node\"] # told by CI\n\n\
         [[match]]\nglob = \"https://api.test/s*\"\nignore-query = [\"_\", \"ts\"]\n"
    );
    assert_eq!(added_to(&added, &lessons).unwrap(), added, "again adds nothing");
    assert!(matches!(added_to("volatile = 1", &lessons), Err(WriteError::Other { .. })));
    assert!(matches!(added_to("[", &lessons), Err(WriteError::Syntax(_))));
}
