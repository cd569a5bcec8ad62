//! `harproxy redact`.

use std::io::{Cursor, Read, Write};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{entry, named, own, tree};
use crate::support::sandbox::Sandbox;

/// The secrets in the entries, unescaped.
pub const SECRETS: [&str; 22] = [
    "bearer-s3cret-one",
    "dXNlcjpoZW1saWNo",
    "cookie-s3cret/two+x",
    "second-c00kie-s3cret",
    "query-s3cret-three",
    "f0rm-s3cret four",
    "pw-five-\"quoted\"",
    "set-c00kie-six",
    "acc3ss-token-seven",
    "n3sted-eight-8",
    "l1st-nine-99",
    "trailer-key-ten10",
    "event-pw-eleven",
    "multip4rt-twelve",
    "hint-key-thirteen",
    "ws-pw-fourteen14",
    "initiator-token-15",
    "title-token-16-x",
    "utf16-pw-seventeen",
    "xk-short",
    "userinf0:pass-w0rd",
    "fragment-token-18",
];

/// Composed at run time, so that secret scanners ignore this file.
pub fn shapes() -> [String; 2] {
    let random = "0aZ9bY8cX7dW6eV5fU4gT3hS2iR1jQ0kP9lO";
    [format!("ghp_{random}"), format!("sk_live_{random}")]
}

/// A token with personal claims.
pub fn jwt() -> String {
    let part = |json: &str| BASE64_URL_SAFE_NO_PAD.encode(json);
    format!("{}.{}.{}", part(r#"{"alg":"HS256"}"#), part(r#"{"sub":"heinz-the-user","exp":1000}"#), "c2lnbmVkLWhlcmU")
}

/// The storage of payloads.
#[derive(Clone, Copy, PartialEq)]
pub enum Storage {
    Files,
    Inside,
}

/// The content of an entry with this payload. `bytes` are added to `files` or stored inside.
fn stored(storage: Storage, mime: &str, bytes: &[u8], files: &mut Vec<(String, Vec<u8>)>) -> Value {
    let mut content = json!({"size": bytes.len(), "mimeType": mime});
    match (storage, std::str::from_utf8(bytes)) {
        (Storage::Files, _) => {
            let name = named(bytes, if std::str::from_utf8(bytes).is_ok() { "txt" } else { "bin" });
            content["_file"] = json!(format!("api/{name}"));
            files.push((name, bytes.to_vec()));
        }
        (Storage::Inside, Ok(text)) => content["text"] = json!(text),
        (Storage::Inside, Err(_)) => {
            content["text"] = json!(BASE64_STANDARD.encode(bytes));
            content["encoding"] = json!("base64");
        }
    }
    content
}

/// Entries with a secret of every kind in every place, and their payload files.
pub fn entries(storage: Storage) -> (Vec<Value>, Vec<(String, Vec<u8>)>) {
    let mut files = Vec::new();
    let [github, stripe] = shapes();
    let jwt = jwt();
    let headers = |list: &[(&str, &str)]| -> Value {
        list.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
    };
    let answer = format!(
        r#"{{"access_token": "acc3ss-token-seven", "user": {{"password": "n3sted-eight-8", "name": "Ada"}}, "secret": ["l1st-nine-99"],
  "self": "https://api.test/me?token=acc3ss-token-seven", "note": "use {github} or acc3ss-token-seven", "id": "{jwt}", "n": 7}}"#
    );
    let mut login = entry("/login", stored(storage, "application/json", answer.as_bytes(), &mut files));
    login["request"]["method"] = json!("POST");
    login["request"]["url"] = json!(
        "https://userinf0:pass-w0rd@api.test/login?token=query-s3cret-three&page=2#access_token=fragment-token-18"
    );
    login["request"]["queryString"] =
        json!([{"name": "token", "value": "query-s3cret-three"}, {"name": "page", "value": "2"}]);
    login["request"]["headers"] = headers(&[
        ("authorization", "Bearer bearer-s3cret-one"),
        ("proxy-authorization", "Basic dXNlcjpoZW1saWNo"),
        ("cookie", "sid=cookie-s3cret%2Ftwo%2Bx; other=\"second-c00kie-s3cret\""),
        ("x-api-key", "xk-short"),
        ("referer", "https://api.test/?password=pw-five-%22quoted%22"),
    ]);
    login["request"]["cookies"] = json!([{"name": "sid", "value": "cookie-s3cret%2Ftwo%2Bx"}, {"name": "other", "value": "second-c00kie-s3cret"}]);
    login["request"]["postData"] = json!({
        "mimeType": "application/x-www-form-urlencoded", "text": "user=ada&password=f0rm-s3cret+four",
        "params": [{"name": "user", "value": "ada"}, {"name": "password", "value": "f0rm-s3cret four"}],
    });
    login["response"]["headers"] = headers(&[
        ("content-type", "application/json"),
        ("set-cookie", "sid=set-c00kie-six; Path=/; HttpOnly"),
        ("location", "/next?code=query-s3cret-three"),
    ]);
    login["response"]["cookies"] = json!([{"name": "sid", "value": "set-c00kie-six", "path": "/", "httpOnly": true}]);
    login["response"]["redirectURL"] = json!("/next?code=query-s3cret-three");
    login["response"]["_trailers"] = headers(&[("x-auth-token", "trailer-key-ten10")]);
    login["_harproxy"] =
        json!({"informational": [{"status": 103, "headers": headers(&[("x-api-key", "hint-key-thirteen")])}]});
    login["_webSocketMessages"] =
        json!([{"type": "send", "opcode": 1, "data": "{\"password\": \"ws-pw-fourteen14\"}"}]);
    login["_initiator"] = json!({"url": "https://api.test/app.js?token=initiator-token-15", "stack": [stripe]});

    let events = "data: {\"password\": \"event-pw-eleven\"}\n\ndata: {\"n\": 1}\n\n";
    let events = entry("/events", stored(storage, "text/event-stream", events.as_bytes(), &mut files));
    let multipart = "--B\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nmultip4rt-twelve\r\n--B--\r\n";
    let multipart =
        entry("/upload", stored(storage, "multipart/form-data; boundary=B", multipart.as_bytes(), &mut files));
    let wide: Vec<u8> =
        "\u{feff}{\"password\": \"utf16-pw-seventeen\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let wide = entry("/wide", stored(storage, "application/json; charset=utf-16", &wide, &mut files));
    let image = entry("/image", stored(storage, "image/png", b"\x89PNG\r\n\x1a\n\xff", &mut files));
    let plain = entry("/plain", stored(storage, "text/plain", b"nothing here", &mut files));
    (vec![login, events, multipart, wide, image, plain], files)
}

/// Writes `hars/api.har` with these entries, as an own or a foreign HAR.
pub fn write(sandbox: &Sandbox, storage: Storage, is_own: bool) {
    let (entries, files) = entries(storage);
    let mut har: Value = serde_json::from_str(&own(&entries)).unwrap();
    if !is_own {
        har["log"].as_object_mut().unwrap().shift_remove("_harproxy");
        har["log"]["creator"]["name"] = json!("Other");
    }
    har["log"]["pages"] = json!([{"id": "p", "title": "https://api.test/?token=title-token-16-x"}]);
    sandbox.write("hars/api.har", format!("{har:#}\n"));
    for (name, bytes) in files {
        sandbox.write(&format!("hars/api/{name}"), bytes);
    }
}

/// Asserts that no file below `hars` contains a secret in any spelling.
#[track_caller]
pub fn assert_clean(sandbox: &Sandbox) {
    let mut texts = Vec::new();
    for (name, bytes) in tree(&sandbox.join("hars")) {
        if name.ends_with(".zip") {
            let mut zip = zip::ZipArchive::new(Cursor::new(&bytes)).unwrap();
            for index in 0..zip.len() {
                let mut member = zip.by_index(index).unwrap();
                let mut bytes = Vec::new();
                member.read_to_end(&mut bytes).unwrap();
                texts.push((format!("{name}:{index}"), bytes));
            }
        } else if name.ends_with(".gz") {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut plain).unwrap();
            texts.push((name, plain));
        } else {
            texts.push((name, bytes));
        }
    }
    let inside: Vec<_> = texts.iter().flat_map(|(name, bytes)| base64_inside(name, bytes)).collect();
    texts.extend(inside);
    let narrow: Vec<_> =
        texts.iter().map(|(name, bytes)| (name.clone(), bytes.iter().copied().filter(|b| *b != 0).collect())).collect();
    texts.extend(narrow);
    let shapes = shapes();
    let (jwt, claims) = (jwt(), BASE64_URL_SAFE_NO_PAD.encode(r#"{"sub":"heinz-the-user","exp":1000}"#));
    let all = SECRETS.iter().copied().chain(shapes.iter().map(String::as_str)).chain([&*jwt, &*claims]);
    for secret in all {
        let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let escaped = secret.replace('"', "\\\"");
        for spelling in [secret, &form, &escaped, &form.replace('+', "%20"), &secret.replace('"', "%22")] {
            for (name, bytes) in &texts {
                let found = memchr::memmem::find(bytes, spelling.as_bytes());
                assert_eq!(found, None, "{spelling} is in {name}: {}", String::from_utf8_lossy(bytes));
            }
        }
    }
}

/// The decoded base64 texts of a HAR.
fn base64_inside(name: &str, bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let Ok(har) = serde_json::from_slice::<Value>(bytes) else { return Vec::new() };
    let entries = har["log"]["entries"].as_array().cloned().unwrap_or_default();
    let contents = entries.iter().map(|entry| &entry["response"]["content"]).filter(|c| c["encoding"] == "base64");
    contents
        .map(|c| (format!("{name} decoded"), BASE64_STANDARD.decode(c["text"].as_str().unwrap()).unwrap()))
        .collect()
}

#[test]
fn secrets_are_redacted_in_every_storage_of_own_and_foreign_hars() {
    for (storage, is_own) in [Storage::Files, Storage::Inside].into_iter().flat_map(|s| [(s, true), (s, false)]) {
        let sandbox = Sandbox::new();
        write(&sandbox, storage, is_own);
        sandbox.run(["check"]).expect(1);
        let before = tree(&sandbox.join("hars"));
        sandbox.run(["redact", "--dry-run"]).expect(0).says("would be redacted");
        assert_eq!(tree(&sandbox.join("hars")), before);
        sandbox.run(["redact"]).expect(0).says("values redacted, in 4 of 6 entries; 1 payload could not be scanned");
        assert_clean(&sandbox);
        let after = tree(&sandbox.join("hars"));
        assert_eq!(before.len(), after.len(), "old payloads are gone: {after:?}");
        let text = sandbox.read("hars/api.har");
        assert_eq!(text.contains("\"_harproxy\": {\n      \"format\""), is_own);
        let check = sandbox.run(["check"]).expect(0);
        assert!(!check.stdout.contains("problem"), "{}", check.stdout);
        sandbox.run(["redact"]).expect(0).says("nothing to redact");
        assert_eq!(tree(&sandbox.join("hars")), after);
    }
}

#[test]
fn other_bytes_are_unchanged() {
    let sandbox = Sandbox::new();
    write(&sandbox, Storage::Files, false);
    let before = sandbox.read("hars/api.har").replace("Ada", "\\u0041da\\/").replace("\n", "\r\n");
    sandbox.write("hars/api.har", format!("\u{feff}{before}"));
    sandbox.run(["redact"]).expect(0);
    let after = sandbox.read("hars/api.har");
    assert_eq!(before.lines().count(), after.lines().count());
    let same = before.lines().zip(after.trim_start_matches('\u{feff}').lines());
    for (before, after) in same.filter(|(before, after)| before != after) {
        let changes = ["REDACTED-", "_file", "size"].iter().any(|what| after.contains(what));
        assert!(changes, "{before}\n{after}");
    }
    assert!(after.starts_with('\u{feff}') && after.contains("\r\n"));
}

#[test]
fn equal_values_share_a_placeholder_and_existing_placeholders_are_kept() {
    let sandbox = Sandbox::new();
    let body = r#"{"token": "new-token-value-1", "old": "REDACTED-token-1", "again": "new-token-value-1"}"#;
    let mut first = entry("/a", json!({"size": body.len(), "mimeType": "application/json", "text": body}));
    first["request"]["headers"] = json!([
        {"name": "authorization", "value": "Bearer new-token-value-1"}, {"name": "x-api-key", "value": "REDACTED-x-api-key-7"}]);
    let other = r#"{"token": "another"}"#;
    let second =
        entry("/b/new-token-value-1/x", json!({"size": other.len(), "mimeType": "application/json", "text": other}));
    sandbox.write("hars/api.har", own(&[first, second]));
    sandbox.run(["redact"]).expect(0).says("hars/api.har: 2 values redacted, in 2 of 2 entries");
    let har = sandbox.har("hars/api.har");
    let [first, second] = [0, 1].map(|n| har["log"]["entries"][n].clone());
    assert_eq!(first["request"]["headers"][0]["value"], "Bearer REDACTED-authorization-1");
    assert_eq!(first["request"]["headers"][1]["value"], "REDACTED-x-api-key-7");
    let text = first["response"]["content"]["text"].as_str().unwrap();
    assert_eq!(
        text,
        r#"{"token": "REDACTED-authorization-1", "old": "REDACTED-token-1", "again": "REDACTED-authorization-1"}"#
    );
    assert_eq!(first["response"]["content"]["size"], text.len());
    assert_eq!(second["request"]["url"], "https://api.test/b/REDACTED-authorization-1/x");
    assert_eq!(second["response"]["content"]["text"], r#"{"token": "REDACTED-token-2"}"#);
}

#[test]
fn policy_of_the_project_applies() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "harproxy.toml",
        "[redact]\njson = [\"$.card\"]\nexcept = [\"state\"]\n[redact.values]\npassword-4 = \"env:BAD_PW\"\n",
    );
    let body = r#"{"card": 4711, "password": "wr0ng"}"#;
    let content = json!({"size": body.len(), "mimeType": "application/json", "text": body});
    sandbox.write("hars/api.har", own(&[entry("/a?state=open", content)]));
    let mut command = sandbox.command(["redact"]);
    command.env("BAD_PW", "wr0ng");
    crate::support::sandbox::finish(command.output().unwrap()).expect(0);
    let har = sandbox.har("hars/api.har");
    assert_eq!(
        har["log"]["entries"][0]["response"]["content"]["text"],
        r#"{"card": 73322833001, "password": "REDACTED-password-4"}"#
    );
    assert_eq!(har["log"]["entries"][0]["request"]["url"], "https://api.test/a?state=open");
}

#[test]
fn archives_and_compressed_hars_are_redacted() {
    let sandbox = Sandbox::new();
    write(&sandbox, Storage::Files, true);
    sandbox.run(["fmt"]).expect(0);
    sandbox.run(["pack", "hars/api.har"]).expect(0);
    let har = sandbox.read("hars/api.har");
    std::fs::remove_file(sandbox.join("hars/api.har")).unwrap();
    std::fs::remove_dir_all(sandbox.join("hars/api")).unwrap();
    let (entries, _) = entries(Storage::Inside);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(own(&entries).as_bytes()).unwrap();
    sandbox.write("hars/inside.har.gz", packed.finish().unwrap());
    sandbox.run(["redact"]).expect(0).says("hars/api.zip: ").says("hars/inside.har.gz: ");
    assert_clean(&sandbox);
    let after = tree(&sandbox.join("hars"));
    sandbox.run(["redact"]).expect(0).says("hars/api.zip: nothing").says("hars/inside.har.gz: nothing");
    assert_eq!(tree(&sandbox.join("hars")), after);
    sandbox.run(["check"]).expect(0);
    sandbox.run(["fmt", "--check", "hars/api.zip"]).expect(0);
    // Redacting the HAR itself gives the same result.
    let plain = Sandbox::new();
    write(&plain, Storage::Files, true);
    plain.run(["fmt"]).expect(0);
    assert_eq!(plain.read("hars/api.har"), har);
    plain.run(["redact"]).expect(0);
    plain.run(["pack", "hars/api.har"]).expect(0);
    assert_eq!(
        std::fs::read(plain.join("hars/api.zip")).unwrap(),
        std::fs::read(sandbox.join("hars/api.zip")).unwrap()
    );
}

/// Some tools store payloads encoded. Payloads that cannot be decoded may contain plain text.
#[test]
fn encoded_and_undecodable_payloads_are_redacted() {
    let sandbox = Sandbox::new();
    let body = r#"{"password": "hidden-pw-1", "user": "hidden-pw-1"}"#;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(body.as_bytes()).unwrap();
    let packed = BASE64_STANDARD.encode(packed.finish().unwrap());
    let content = json!({"size": body.len(), "mimeType": "application/json", "text": packed, "encoding": "base64"});
    let mut coded = entry("/a", content);
    let encoding = json!({"name": "Content-Encoding", "value": "gzip"});
    coded["response"]["headers"].as_array_mut().unwrap().push(encoding);
    let mut theirs: Value = serde_json::from_str(&own(&[coded])).unwrap();
    theirs["log"].as_object_mut().unwrap().shift_remove("_harproxy");
    sandbox.write("hars/theirs.har", theirs.to_string());
    let cut = json!({"size": body.len(), "mimeType": "application/json", "text": body, "_encoded": true});
    sandbox.write("hars/ours.har", own(&[entry("/a", cut)]));
    assert_eq!(sandbox.run(["check"]).expect(1).stdout.matches("response body $.password").count(), 2);
    sandbox.run(["redact"]).expect(0);
    let left = r#"{"password": "REDACTED-password-1", "user": "REDACTED-password-1"}"#;
    let theirs = &sandbox.har("hars/theirs.har")["log"]["entries"][0]["response"]["content"];
    assert_eq!(BASE64_STANDARD.decode(theirs["text"].as_str().unwrap()).unwrap(), left.as_bytes());
    assert_eq!(theirs["size"], left.len());
    assert_eq!(sandbox.run(["show", "--body", "hars/theirs.har#0"]).expect(0).stdout, left);
    assert_eq!(sandbox.har("hars/ours.har")["log"]["entries"][0]["response"]["content"]["text"], left);
    sandbox.run(["redact"]).expect(0).says("hars/ours.har: nothing to redact; 1 payload could not be scanned");
    sandbox.run(["check"]).expect(0);
}

#[test]
fn payload_that_another_har_refers_to_is_kept_and_reported() {
    let sandbox = Sandbox::new();
    let body = r#"{"password": "hidden-pw-1"}"#;
    let content = json!({"size": body.len(), "mimeType": "application/json", "_file": "shared/body.json"});
    let mut har: Value = serde_json::from_str(&own(&[entry("/a", content)])).unwrap();
    har["log"].as_object_mut().unwrap().shift_remove("_harproxy");
    for name in ["a", "b"] {
        sandbox.write(&format!("hars/{name}.har"), har.to_string());
    }
    sandbox.write("hars/shared/body.json", body);
    sandbox
        .run(["redact", "hars/a.har"])
        .expect(0)
        .says("shared/body.json still has the removed secrets")
        .says("hars/b.har");
    assert_eq!(sandbox.read("hars/shared/body.json"), body);
    let after = sandbox.run(["redact", "hars/b.har"]).expect(0);
    assert!(!after.stderr.contains("still"), "{}", after.stderr);
    let files: Vec<_> = tree(&sandbox.join("hars/shared")).into_iter().collect();
    let left = br#"{"password": "REDACTED-password-1"}"#;
    assert_eq!(files, [(named(left, "json"), left.to_vec())]);
}

#[test]
fn invalid_file_is_reported_and_the_others_are_redacted() {
    let sandbox = Sandbox::new();
    write(&sandbox, Storage::Inside, true);
    let gone = own(&[entry("/x?token=still-here-1", json!({"_file": "bad/0123456789abcdef.txt"}))]);
    sandbox.write("hars/bad.har", &gone);
    sandbox.write("hars/broken.har", "{\"log\": {\"entries\": [");
    let output = sandbox.run(["redact", "gone.har", "hars"]).expect(2).says("gone.har").says("0123456789abcdef.txt");
    assert!(output.stderr.contains("hars/broken.har") && !output.stderr.contains("panicked"));
    assert_eq!(sandbox.read("hars/bad.har"), gone);
    std::fs::remove_file(sandbox.join("hars/bad.har")).unwrap();
    std::fs::remove_file(sandbox.join("hars/broken.har")).unwrap();
    assert_clean(&sandbox);
}

#[test]
fn redacted_entry_matches_requests_with_any_value() {
    let sandbox = Sandbox::new();
    let body = r#"{"access_token": "acc3ss-token-seven"}"#;
    let content = json!({"size": body.len(), "mimeType": "application/json", "text": body});
    let mut login = entry("/login?token=query-s3cret-three", content);
    login["request"]["method"] = json!("POST");
    login["request"]["url"] = json!("http://api.test/login?token=query-s3cret-three");
    login["request"]["postData"] =
        json!({"mimeType": "application/json", "text": "{\"password\": \"f0rm-s3cret four\"}"});
    sandbox.write("hars/api.har", own(&[login]));
    sandbox.run(["redact"]).expect(0);
    let script = "curl -sS -H 'content-type: application/json' -d '{\"password\": \"dummy\"}' 'http://api.test/login?token=dummy'";
    let output = sandbox.run(["replay", "--", "sh", "-c", script]).expect(0);
    assert_eq!(output.stdout, r#"{"access_token": "REDACTED-access_token-1"}"#);
}

#[test]
fn redact_of_real_hars_is_valid_and_idempotent() {
    let sandbox = Sandbox::new();
    let folder = crate::support::repo("tests/corpus/hars-foreign");
    let mut names = Vec::new();
    for item in std::fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        // Large files take too long without optimisation.
        if name.contains(".har") && std::fs::metadata(&path).unwrap().len() < 60_000 {
            sandbox.write(&format!("hars/{name}"), std::fs::read(&path).unwrap());
            names.push(name);
        }
    }
    let entries = |sandbox: &Sandbox| {
        let ls = sandbox.run(["ls", "--json"]);
        ls.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["status"].clone()).collect::<Vec<_>>()
    };
    let before = entries(&sandbox);
    let first = sandbox.run(["redact"]);
    assert!(!first.stderr.contains("panicked") && first.stderr.contains("values redacted"), "{}", first.stderr);
    assert_eq!(entries(&sandbox), before);
    let after = tree(&sandbox.join("hars"));
    let second = sandbox.run(["redact"]);
    assert!(!second.stderr.contains("redacted,"), "{}", second.stderr);
    assert_eq!(tree(&sandbox.join("hars")), after);
    let check = sandbox.run(["check", "--json"]);
    assert!(!check.stdout.contains("\"kind\":\"secret\"") && !check.stderr.contains("panicked"), "{}", check.stdout);
}
