//! HARs of other tools, replayed by the binary for curl: bodies that were lost, bytes that are stored as characters,
//! entries that are left out, and Git LFS pointers.

use serde_json::{Value, json};

use crate::support::sandbox::{Output, Sandbox};

fn entry(request: Value, response: Value) -> Value {
    let with = |mut object: Value, members: Value| {
        object.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        object
    };
    json!({
        "request": with(json!({ "method": "GET", "url": "http://a.test/" }), request),
        "response": with(json!({ "status": 200 }), response),
    })
}

fn with_entries(creator: &str, entries: &[Value]) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("a.har", json!({ "log": { "creator": { "name": creator }, "entries": entries } }).to_string());
    sandbox
}

fn replay(sandbox: &Sandbox, curl: &[&str]) -> Output {
    sandbox.run(["replay", "a.har", "--", "curl", "-s"].iter().chain(curl))
}

#[test]
fn body_that_the_tool_did_not_keep_is_a_miss_when_a_length_tells_of_it() {
    let length = |length: &str| json!([{ "name": "Content-Length", "value": length }]);
    for response in [
        json!({ "bodySize": 26168, "content": { "size": -1 } }),
        json!({ "bodySize": 3000, "content": { "size": 0, "text": "" } }),
        json!({ "bodySize": -1, "headers": length("12"), "content": {} }),
        json!({ "headers": [{ "name": "Content-Encoding", "value": "br" }], "content": { "size": -1 } }),
    ] {
        let sandbox = with_entries("Firefox", &[entry(json!({}), response)]);
        replay(&sandbox, &["http://a.test/"]).expect(1).says("not recorded");
    }
}

#[test]
fn empty_body_is_served_when_no_length_tells_of_another() {
    let length = |length: &str| json!([{ "name": "Content-Length", "value": length }]);
    let chunked = json!([{ "name": "Transfer-Encoding", "value": "chunked" }]);
    let gzip = json!([{ "name": "Content-Encoding", "value": "gzip" }]);
    for (request, response) in [
        (json!({}), json!({ "content": {} })),
        (json!({}), json!({ "headers": chunked, "content": { "size": -1 } })),
        (json!({}), json!({ "headers": chunked, "bodySize": 5, "content": { "size": -1 } })),
        (json!({}), json!({ "bodySize": 400, "headers": length("0"), "content": { "size": 0 } })),
        (json!({}), json!({ "bodySize": 20, "headers": gzip, "content": { "size": 0 } })),
        (json!({}), json!({ "bodySize": 5, "content": { "size": 0 } })),
        (json!({}), json!({ "status": 204, "bodySize": 60, "content": { "size": -1 } })),
    ] {
        let sandbox = with_entries("Firefox", &[entry(request, response)]);
        replay(&sandbox, &["http://a.test/"]).expect(0);
    }
    let head = entry(json!({ "method": "HEAD" }), json!({ "headers": length("12"), "content": {} }));
    replay(&with_entries("Firefox", &[head]), &["-I", "http://a.test/"]).expect(0);
}

#[test]
fn binary_request_payload_matches_when_its_text_has_a_character_for_each_byte() {
    let bytes: Vec<u8> = (0..=255).collect();
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    for (body_size, length) in [(256, "256"), (-1, "256"), (256, ""), (-1, "")] {
        let mut headers = vec![json!({ "name": "Content-Type", "value": "application/octet-stream" })];
        headers.extend((!length.is_empty()).then(|| json!({ "name": "Content-Length", "value": length })));
        let request = json!({
            "method": "POST", "bodySize": body_size, "headers": headers,
            "postData": { "mimeType": "application/octet-stream", "text": text },
        });
        let sandbox = with_entries("Firefox", &[entry(request, json!({ "content": { "text": "got it" } }))]);
        sandbox.write("sent", &bytes);
        let post = |file: &str| {
            let data = format!("@{}", sandbox.join(file).display());
            let media = "Content-Type: application/octet-stream";
            replay(&sandbox, &["--data-binary", &data, "-H", media, "http://a.test/"])
        };
        assert_eq!(post("sent").expect(0).stdout, "got it");
        sandbox.write("misread", &text);
        post("misread").expect(1);
    }
}

#[test]
fn text_request_payload_stays_utf8_when_the_tool_counts_characters() {
    let text = r#"{"name":"größer"}"#;
    let request = json!({
        "method": "POST", "bodySize": text.chars().count(),
        "postData": { "mimeType": "application/json", "text": text },
    });
    let sandbox = with_entries("WebInspector", &[entry(request, json!({ "content": { "text": "got it" } }))]);
    let media = "Content-Type: application/json";
    assert_eq!(replay(&sandbox, &["-d", text, "-H", media, "http://a.test/"]).expect(0).stdout, "got it");
}

#[test]
fn malformed_entry_fails_the_run_in_an_own_fixture_and_warns_in_a_foreign_one() {
    let broken = [
        (entry(json!({ "url": "" }), json!({})), "no `url`"),
        (entry(json!({ "url": "http://" }), json!({})), "not a valid absolute URL"),
        (entry(json!({ "url": "http://a.test/other" }), json!({ "status": "abc" })), "not a status of HTTP"),
    ];
    for (broken, cause) in broken {
        let sandbox = with_entries("Firefox", &[entry(json!({}), json!({ "content": { "text": "hi" } })), broken]);
        replay(&sandbox, &["http://a.test/"]).expect(0).says(cause).says("a.har");
        let mut har = sandbox.har("a.har");
        har["log"]["_harproxy"] = json!({ "format": 1, "scope": ["**"] });
        sandbox.write("a.har", har.to_string());
        replay(&sandbox, &["http://a.test/"]).expect(1).says(cause);
    }
}

#[test]
fn invalid_status_is_not_replayed_as_a_failure() {
    let sandbox = with_entries("Firefox", &[entry(json!({}), json!({ "status": "abc" }))]);
    let output = replay(&sandbox, &["http://a.test/"]).expect(1).says("not a status of HTTP");
    assert!(!output.stderr.contains("recorded as a failure"), "{}", output.stderr);
}

#[test]
fn entry_that_needs_no_server_is_not_reported() {
    let others = ["data:text/plain,hi", "chrome-extension://abc/x.js", "about:blank", "blob:http://a.test/1"];
    let mut entries = vec![entry(json!({}), json!({ "content": { "text": "hi" } }))];
    entries.extend(others.map(|url| entry(json!({ "url": url }), json!({}))));
    let output = replay(&with_entries("WebInspector", &entries), &["http://a.test/"]).expect(0);
    assert!(!output.stderr.contains("left out"), "{}", output.stderr);
}

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\n\
    oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";

#[test]
fn git_lfs_pointer_is_an_error_in_each_command() {
    let own = json!({ "log": {
        "_harproxy": { "format": 1, "scope": ["**"] },
        "entries": [entry(json!({}), json!({ "content": { "mimeType": "text/plain", "_file": "a/0123456789abcdef.txt" } }))],
    } });
    for (har, payload, status) in [(POINTER.to_owned(), "hi", 2), (own.to_string(), POINTER, 1)] {
        let sandbox = Sandbox::new();
        sandbox.write("a.har", &har);
        sandbox.write("a/0123456789abcdef.txt", payload);
        replay(&sandbox, &["http://a.test/"]).expect(status).says("run `git lfs pull`");
        for command in [&["check", "a.har"][..], &["show", "a.har#0"], &["redact", "a.har"]] {
            let output = sandbox.run(command);
            let said = format!("{}{}", output.stdout, output.stderr);
            assert!(output.status != 0 && said.contains("git lfs pull"), "{command:?}: {said}");
            assert!(!said.contains("was edited"), "{said}");
        }
        assert_eq!(sandbox.read("a/0123456789abcdef.txt"), payload);
    }
}

#[test]
fn last_of_duplicate_members_is_used() {
    let list = |text: &str| json!([entry(json!({}), json!({ "content": { "text": text } }))]).to_string();
    let (first, last) = (list("first"), list("last"));
    for har in [
        format!(r#"{{"log": {{"entries": {first}, "entries": {last}}}}}"#),
        format!(r#"{{"log": {{"entries": {first}}}, "log": {{"entries": {last}}}}}"#),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("a.har", har);
        assert_eq!(replay(&sandbox, &["http://a.test/"]).expect(0).stdout, "last");
    }
}

#[test]
fn lower_case_method_of_another_tool_matches() {
    let lower = entry(json!({ "method": "get" }), json!({ "content": { "text": "hi" } }));
    let sandbox = with_entries("some tool", &[lower]);
    assert_eq!(replay(&sandbox, &["http://a.test/"]).expect(0).stdout, "hi");
    assert_eq!(replay(&sandbox, &["-X", "get", "http://a.test/"]).expect(0).stdout, "hi");
    let output = sandbox.run(["check", "-v", "a.har"]);
    assert!(
        format!("{}{}", output.stdout, output.stderr).contains("requests with GET match, too"),
        "{}",
        output.stderr
    );
}

#[test]
fn lone_surrogates_of_mitmproxy_are_bytes() {
    let sandbox = Sandbox::new();
    let text = json!({ "log": { "creator": { "name": "mitmproxy" },
        "entries": [entry(json!({}), json!({ "content": { "text": "aBYTEb", "size": 3 } }))] } });
    sandbox.write("a.har", text.to_string().replace("BYTE", "\\udcff"));
    let out = sandbox.join("out");
    replay(&sandbox, &["-o", out.to_str().unwrap(), "http://a.test/"]).expect(0);
    assert_eq!(std::fs::read(out).unwrap(), b"a\xffb");
}

#[test]
fn damaged_bytes_are_a_miss() {
    for content in [
        json!({ "mimeType": "image/png", "text": "\u{fffd}PNG\u{fffd}" }),
        json!({ "mimeType": "image/png", "text": "no base64!", "encoding": "base64" }),
    ] {
        let sandbox = with_entries("Firefox", &[entry(json!({}), json!({ "content": content }))]);
        replay(&sandbox, &["http://a.test/"]).expect(1).says("not recorded");
    }
}

/// A POST entry with this payload and no header.
fn posted(post_data: Value) -> Value {
    entry(json!({ "method": "POST", "postData": post_data }), json!({ "content": { "text": "taken" } }))
}

#[test]
fn multipart_payload_matches_when_only_the_mime_type_states_its_boundary() {
    let text = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--B--\r\n";
    for mime in ["multipart/form-data; boundary=B", "multipart/form-data"] {
        let sandbox = with_entries("Firefox", &[posted(json!({ "mimeType": mime, "text": text }))]);
        assert_eq!(replay(&sandbox, &["-F", "a=one", "http://a.test/"]).expect(0).stdout, "taken");
        replay(&sandbox, &["-F", "a=two", "http://a.test/"]).expect(1);
    }
}

#[test]
fn payload_of_params_is_compared_by_its_fields() {
    let params = json!([{ "name": "a b", "value": "one & two" }, { "name": "c", "value": "\u{fc}" }]);
    let form = json!({ "mimeType": "application/x-www-form-urlencoded", "params": params });
    let sandbox = with_entries("Firefox", &[posted(form)]);
    for data in ["a+b=one+%26+two&c=%C3%BC", "a%20b=one%20%26%20two&c=%c3%bc"] {
        assert_eq!(replay(&sandbox, &["-d", data, "http://a.test/"]).expect(0).stdout, "taken");
    }
    for data in ["a+b=one&c=%C3%BC", "c=%C3%BC&a+b=one+%26+two", "a+b=one+%26+two"] {
        replay(&sandbox, &["-d", data, "http://a.test/"]).expect(1);
    }

    let file = json!({ "name": "f", "fileName": "x.txt", "contentType": "text/x-other", "value": "text" });
    let params = json!([{ "name": "a", "value": "one" }, file]);
    let sandbox = with_entries("Firefox", &[posted(json!({ "mimeType": "multipart/form-data", "params": params }))]);
    let upload = |name: &str, text: &str| {
        let file = format!("f={text};filename={name};type=text/plain");
        let args = ["-F", "a=one", "-F", &file, "http://a.test/"];
        replay(&sandbox, &args).status
    };
    sandbox.write("x.txt", "text");
    assert_eq!(upload("x.txt", "@x.txt"), 0, "the type of a part does not count");
    assert_eq!(upload("y.txt", "@x.txt"), 1);
    sandbox.write("x.txt", "other");
    assert_eq!(upload("x.txt", "@x.txt"), 1);
}
