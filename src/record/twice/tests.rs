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

fn learned(first: &[Ask<'_>], second: &[Ask<'_>]) -> LearnedPolicy {
    let folder = tempfile::tempdir().unwrap();
    learn(&fixture(folder.path(), "a.har", first), &fixture(folder.path(), "b.har", second)).unwrap()
}

fn toml(first: &[Ask<'_>], second: &[Ask<'_>]) -> String {
    let policy = learned(first, second);
    assert_eq!(policy.unexplained, [] as [&str; 0]);
    to_toml(&policy)
}

#[test]
fn equal_recordings_teach_nothing() {
    let once = || Ask { url: "https://api.test/a", answer: json!({ "a": 1 }), ..GET };
    let policy = learned(&[once(), once()], &[once()]);
    assert!(policy.is_empty() && policy.unexplained.is_empty(), "{policy:?}");
}

#[test]
fn varying_values_of_a_response_are_volatile() {
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
fn varying_query_parameter_is_ignored() {
    let once = |url| Ask { url, ..GET };
    assert_eq!(
        toml(&[once("https://api.test/s?q=x&ts=1")], &[once("https://api.test/s?q=x&ts=2")]),
        "[[match]]\nglob = \"https://api.test/s*\"\nignore-query = [\"ts\"]\n"
    );
}

#[test]
fn varying_path_segment_is_a_path_and_an_echo() {
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
fn nonce_of_the_payload_is_an_echo_when_the_response_repeats_it() {
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

#[test]
fn member_name_is_escaped_in_its_json_path() {
    let once = |at| Ask { url: "https://api.test/a", answer: json!({ "a\n'\\b": at }), ..GET };
    let policy = learned(&[once(1)], &[once(2)]);
    let path = policy.volatile_json.keys().next().unwrap();
    assert_eq!(path, r"$['a\u000a\'\\b']");
    harproxy_json::JsonPath::parse(path).unwrap();
}

#[test]
fn varying_loopback_port_is_the_same_host() {
    let once = |url| Ask { url, ..GET };
    assert_eq!(
        toml(&[once("http://127.0.0.1:4001/a")], &[once("http://127.0.0.1:4002/a")]),
        "[[match]]\nglob = \"http://127.0.0.1:*/**\"\nsame-host = [\"http://127.0.0.1:*\"]\n"
    );
}

#[test]
fn difference_without_a_rule_is_described() {
    let once = |url| Ask { url, ..GET };
    let policy = learned(&[once("https://api.test/a"), once("https://api.test/b")], &[once("https://api.test/a")]);
    assert_eq!(policy.unexplained, ["GET https://api.test/b was seen in the first run only"]);
    assert!(policy.is_empty());
}

#[test]
fn existing_file_keeps_its_content() {
    let text = "# ours\n[record]\noutput = \"hars/api.har\" # here\n\n[volatile]\nheaders = [\"x-build\"] # told by CI\n\n\
                [[match]]\nglob = \"https://api.test/s*\"\nignore-query = \"_\"\n";
    let mut policy = LearnedPolicy::default();
    add_example(&mut policy.volatile_headers, "x-build", "1", "2");
    add_example(&mut policy.volatile_headers, "x-node", "1", "2");
    let at = RuleScope { glob: "https://api.test/s*".into(), path: None };
    policy.rule(&at).ignore_query.insert("ts".into());
    let added = add_to(text, &policy).unwrap();
    assert_eq!(
        added,
        "# ours\n[record]\noutput = \"hars/api.har\" # here\n\n[volatile]\nheaders = [\"x-build\", \"x-node\"] # told by CI\n\n\
         [[match]]\nglob = \"https://api.test/s*\"\nignore-query = [\"_\", \"ts\"]\n"
    );
    assert_eq!(add_to(&added, &policy).unwrap(), added, "again adds nothing");
    assert!(matches!(add_to("volatile = 1", &policy), Err(WriteError::Other { .. })));
    assert!(matches!(add_to("[", &policy), Err(WriteError::Syntax(_))));
}
