//! Malformed and malicious fixtures and requests, served by the binary: each is reported, and the rest is served. The
//! reader itself is tested in `har_reading`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::replay::stage::{entry, foreign, own, posted, text};
use crate::support::archive::zip;
use crate::support::client::{Client, Proto, TestRequest, TestResponse};
use crate::support::raw::Raw;
use crate::support::sandbox::{Sandbox, Server};

const HOST: &str = "http://api.test";

fn url(path: &str) -> String {
    format!("{HOST}{path}")
}

fn with_content(path: &str, content: Value) -> Value {
    entry(&format!("GET {HOST}{path}"), json!({"content": content}))
}

fn good_entry(path: &str) -> Value {
    text(&format!("GET {HOST}{path}"), "good")
}

/// Replays `hars/api.har` of this folder.
fn replay(sandbox: &Sandbox) -> (Server, Client) {
    let server = sandbox.start(["replay", "hars/api.har"]);
    let client = server.client(Proto::H1);
    (server, client)
}

#[track_caller]
fn assert_good(client: &Client, path: &str) {
    let got = client.get(&url(path));
    assert_eq!((got.status, got.text().as_str()), (200, "good"), "{path}");
}

/// Asserts that a response is a miss whose text contains these words.
#[track_caller]
fn assert_miss(got: &TestResponse, words: &[&str]) {
    assert_eq!((got.status, got.header("x-harproxy")), (501, Some("miss")), "{}", got.text());
    for word in words {
        assert!(got.text().contains(word), "`{word}`: {}", got.text());
    }
}

/// Sends these bytes and reads to the end of the connection.
fn send_raw(server: &Server, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.proxy()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // The request may be refused before it is sent completely.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn malformed_entries_of_an_own_fixture_fail_the_run_and_the_others_are_served() {
    let sandbox = Sandbox::new();
    let mut entries =
        vec![good_entry("/api/0"), json!(null), json!({"request": 7}), json!({"response": {}}), json!([])];
    entries.push(json!({"request": {"method": "GET", "url": "not a url"}, "response": {"status": 200}}));
    entries.push(good_entry("/api/6"));
    sandbox.write("hars/api.har", serde_json::to_string_pretty(&own(&["**/api/**"], &entries)).unwrap());
    let (server, client) = replay(&sandbox);
    assert_good(&client, "/api/0");
    assert_good(&client, "/api/6");
    let output = server.stop().expect(1);
    for entry in ["hars/api.har#1", "hars/api.har#2", "hars/api.har#3", "hars/api.har#4", "hars/api.har#5"] {
        assert!(output.stderr.contains(entry), "{entry}: {}", output.stderr);
    }
}

#[test]
fn payload_files_outside_the_folder_of_the_fixture_are_not_read() {
    let sandbox = Sandbox::new();
    sandbox.write("secret.txt", "secret");
    sandbox.write("hars/api/900d900d900d900d.txt", "good");
    let absolute = sandbox.join("secret.txt").display().to_string();
    let file = |path: &str, file: &str| with_content(path, json!({"size": 6, "mimeType": "text/plain", "_file": file}));
    let mut entries = vec![
        file("/api/good", "api/900d900d900d900d.txt"),
        file("/api/outside", "../secret.txt"),
        file("/api/roundabout", "api/../../secret.txt"),
        file("/api/absolute", &absolute),
        file("/api/missing", "api/0000000000000000.txt"),
        file("/api/folder", "api"),
        file("/api/nul", "api/\0.txt"),
        file("/api/windows", "..\\secret.txt"),
    ];
    let mut links = vec![];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(sandbox.join("secret.txt"), sandbox.join("hars/api/1111111111111111.txt")).unwrap();
        sandbox.write("folder/2222222222222222.txt", "secret");
        std::os::unix::fs::symlink(sandbox.join("folder"), sandbox.join("hars/linked")).unwrap();
        entries.extend([
            file("/api/link", "api/1111111111111111.txt"),
            file("/api/linked", "linked/2222222222222222.txt"),
        ]);
        links.extend([("/api/link", "link"), ("/api/linked", "link")]);
    }
    let upload = json!({"mimeType": "text/plain", "_file": "../secret.txt"});
    let mut posted = text(&format!("POST {HOST}/api/upload"), "taken");
    posted["request"]["postData"] = upload;
    entries.push(posted);
    sandbox.write("hars/api.har", own(&["**"], &entries).to_string());
    let (server, client) = replay(&sandbox);
    for (path, word) in [
        ("/api/outside", "leaves the folder"),
        ("/api/roundabout", "leaves the folder"),
        ("/api/absolute", "absolute"),
        ("/api/missing", "does not exist"),
        ("/api/folder", "`api` is refused"),
        ("/api/nul", "hars/api.har#6"),
        ("/api/windows", "secret.txt"),
    ]
    .into_iter()
    .chain(links)
    {
        let got = client.get(&url(path));
        assert_miss(&got, &[word, "hars/api.har#"]);
        assert_eq!(got.json()["kind"], "unreadable", "{path}: {}", got.text());
    }
    assert_miss(&client.send(TestRequest::new("POST", &url("/api/upload")).body("secret")), &["leaves the folder"]);
    assert_good(&client, "/api/good");
    server.stop().expect(1).says("leaves the folder");
}

#[test]
fn contradictory_payload_members_are_served_or_explained() {
    let sandbox = Sandbox::new();
    let coded = |path: &str, content: Value| {
        let mut entry = with_content(path, content);
        entry["response"]["headers"] = json!([
            {"name": "content-encoding", "value": "gzip"}, {"name": "content-length", "value": "99999"}]);
        entry
    };
    let plain = |body: &str| json!({"size": body.len(), "mimeType": "text/plain", "text": body});
    let entries = [
        good_entry("/api/good"),
        with_content(
            "/api/base64",
            json!({"size": 6, "mimeType": "image/png", "text": "no base64!", "encoding": "base64"}),
        ),
        coded("/api/decoded", plain("decoded already")),
        coded("/api/lie", json!({"size": 9, "mimeType": "text/plain", "text": "not coded", "_encoded": true})),
        with_content("/api/size", json!({"size": -5, "mimeType": 7, "text": "good"})),
    ];
    sandbox.write("hars/api.har", own(&["**"], &entries).to_string());
    let (server, client) = replay(&sandbox);
    assert_miss(&client.get(&url("/api/base64")), &["base64", "hars/api.har#1"]);
    let ask = |path: &str| client.send(TestRequest::new("GET", &url(path)).header("accept-encoding", "gzip"));
    let got = ask("/api/decoded");
    assert_eq!((got.header("content-encoding"), got.decoded()), (Some("gzip"), b"decoded already".to_vec()));
    let got = ask("/api/lie");
    assert_eq!(
        (got.header("content-encoding"), got.text().as_str()),
        (Some("gzip"), "not coded"),
        "as it was received"
    );
    assert_good(&client, "/api/size");
    assert_good(&client, "/api/good");
    server.stop().expect(1).says("base64");
}

#[test]
fn malicious_archives_are_refused_before_the_first_response() {
    let har = own(&["**"], &[good_entry("/api/x")]).to_string();
    let har = ("har.har", har.as_bytes());
    let zeros = vec![b' '; 30 << 20];
    let mut twice = zip(&[har, ("aa.txt", b"1"), ("ab.txt", b"2")]);
    while let Some(at) = twice.windows(6).position(|name| name == b"ab.txt") {
        twice[at..at + 6].copy_from_slice(b"aa.txt");
    }
    for (bytes, word) in [
        (zip(&[har, ("bomb.bin", &zeros)]), "beyond the limit for recordings"),
        (zip(&[("har.har", &[har.1, &zeros].concat())]), "beyond the limit for recordings"),
        (twice, "two members of the same name"),
        (zip(&[har, ("../x.txt", b"1")]), "leaves the archive's root"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("hars/api.zip", bytes);
        let output = sandbox.run(["replay", "hars/api.zip", "--", "true"]).expect(2).says("hars/api.zip").says(word);
        assert!(output.stderr.contains("hint: ") && !output.stderr.contains("panicked"), "{}", output.stderr);
    }
}

#[test]
fn redirects_without_a_target_are_shown() {
    let hop = |from: &str, to: &str| {
        let headers = json!([{"name": "location", "value": to}]);
        entry(&format!("GET {HOST}{from}"), json!({"status": 302, "statusText": "Found", "headers": headers}))
    };
    let mut entries = vec![
        good_entry("/api/good"),
        hop("/api/self", "/api/self"),
        hop("/api/a", "/api/b"),
        hop("/api/b", "/api/a#x"),
    ];
    entries.extend((0..21).map(|n| hop(&format!("/api/hop/{n}"), &(n + 1).to_string())));
    entries.push(good_entry("/api/hop/21"));
    entries.push(hop("/api/odd", "http://[broken"));
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", foreign(&entries).to_string());
    let (server, client) = replay(&sandbox);
    for path in ["/api/self", "/api/a"] {
        let got = client.get(&url(path));
        assert_miss(&got, &["loop", "--redirects serve"]);
    }
    assert_miss(&client.get(&url("/api/hop/0")), &["20"]);
    assert_good(&client, "/api/hop/1");
    let got = client.get(&url("/api/odd"));
    assert_eq!((got.status, got.header("location")), (302, Some("http://[broken")));
    assert_good(&client, "/api/good");
    server.stop().expect(1).says("the redirects lead back");
}

/// Headers of 10 MB in an entry and in a request do not stop the server.
#[test]
fn headers_of_ten_megabytes_are_served_and_refused_in_requests() {
    let long = "x".repeat(10 << 20);
    let mut huge = good_entry("/api/huge");
    huge["response"]["headers"] = json!([{"name": "x-huge", "value": long}, {"name": "x-small", "value": "1"}]);
    let mut wide = good_entry("/api/wide");
    wide["request"]["headers"] = json!([{"name": "x-huge", "value": long}]);
    let odd = json!([{"name": "x bad", "value": "1"}, {"name": "x-line", "value": "a\r\nset-cookie: b"}, {"name": "", "value": ""},
        {"name": "x-nul", "value": "\0"}, {"name": "x-good", "value": "yes"}]);
    let mut split = good_entry("/api/split");
    split["response"]["headers"] = odd;
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", own(&["**"], &[huge, wide, split, good_entry("/api/good")]).to_string());
    let (server, client) = replay(&sandbox);
    let answer =
        send_raw(&server, format!("GET {HOST}/api/huge HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 200"), "{}", &answer[..answer.len().min(500)]);
    assert!(answer.len() > long.len() && answer.ends_with("good"), "{} bytes", answer.len());
    assert_good(&client, "/api/wide");
    let got = client.get(&url("/api/split"));
    assert_eq!((got.text().as_str(), got.header("x-good"), got.header("set-cookie")), ("good", Some("yes"), None));

    let answer =
        send_raw(&server, format!("GET {HOST}/api/good HTTP/1.1\r\nHost: x\r\nX-Huge: {long}\r\n\r\n").as_bytes());
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_good(&client, "/api/good");
    server.stop().expect(1).says("unreadable");
}

#[test]
fn malformed_requests_get_400_and_fail_the_run() {
    let sandbox = Sandbox::new();
    let post = posted(text(&format!("POST {HOST}/api/upload"), "taken"), "hello");
    sandbox.write("hars/api.har", own(&["**"], &[good_entry("/api/good"), post]).to_string());
    let (server, client) = replay(&sandbox);
    let chunked = |body: &str| {
        format!("POST {HOST}/api/upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{body}").into_bytes()
    };
    for body in [
        "zz\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloxx0\r\n\r\n",
        "-1\r\n\r\n",
        "ffffffffffffffffff\r\nx",
        "5 5\r\nhello\r\n0\r\n\r\n",
    ] {
        let answer = send_raw(&server, &chunked(body));
        assert!(answer.starts_with("HTTP/1.1 400"), "{body:?}: {answer}");
    }
    for line in [
        &b"GET http://b\xc3\xbccher.test/api/ HTTP/1.1"[..],
        b"GET http://api.test/a b HTTP/1.1",
        b"G\xc3\xa9T http://api.test/ HTTP/1.1",
        b"GET http://api.test:99999/ HTTP/1.1",
    ] {
        let answer = send_raw(&server, &[line, b"\r\nHost: x\r\n\r\n"].concat());
        assert!(answer.starts_with("HTTP/1.1 400"), "{}: {answer}", String::from_utf8_lossy(line));
    }
    assert_good(&client, "/api/good");
    assert_eq!(client.send(TestRequest::new("POST", &url("/api/upload")).body("hello")).text(), "taken");
    let output = server.stop().expect(1).says("unreadable").says("the framing of the request's payload is invalid");
    output.says("percent-encode");
}

#[test]
fn client_that_leaves_within_its_payload_is_listed_and_fails_nothing() {
    let sandbox = Sandbox::new();
    let post = posted(text(&format!("POST {HOST}/api/upload"), "taken"), "hello");
    sandbox.write("hars/api.har", own(&["**"], &[good_entry("/api/good"), post]).to_string());
    let (server, client) = replay(&sandbox);
    let mut raw = Raw::to(server.proxy());
    raw.send(format!("POST {HOST}/api/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel"));
    raw.finish();
    assert_eq!(raw.rest_text(), "", "no answer of harproxy's own");
    assert_good(&client, "/api/good");
    server.stop().expect(0).says("the client left before the end of the request's payload");
}

/// Extreme values in an untrusted fixture are served or explained.
#[test]
fn extreme_values_cause_no_panic() {
    let sandbox = Sandbox::new();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let mut entries: Vec<Value> = [
        json!({"status": 1e300}),
        json!({"status": -1}),
        json!({"status": 99_999}),
        json!({"bodySize": i64::MIN, "headersSize": 1e308}),
        json!({"content": {"size": u64::MAX, "mimeType": "text/plain", "text": "good"}}),
        json!({"content": {"size": f64::MAX, "compression": -1e300, "mimeType": "text/plain", "text": "good"}}),
        json!({"content": {"size": 4, "mimeType": "application/json", "text": deep}}),
        json!({"content": {"size": 4, "mimeType": "x".repeat(1 << 20), "text": "good"}}),
        json!({"headers": [{"name": "date", "value": "Thu, 99 Foo 99999 99:99:99 GMT"}]}),
        json!({"headers": [{"name": "set-cookie", "value": "a=b; Max-Age=99999999999999999999; Expires=never"}]}),
    ]
    .into_iter()
    .enumerate()
    .map(|(n, response)| entry(&format!("GET {HOST}/api/{n}"), response))
    .collect();
    for (name, value) in [("time", json!(-1e300)), ("startedDateTime", json!("+999999-99-99T99:99:99Z"))] {
        let mut odd = good_entry(&format!("/api/{name}"));
        odd[name] = value;
        entries.push(odd);
    }
    let count = entries.len();
    entries.push(good_entry("/api/good"));
    sandbox.write("hars/api.har", own(&["**"], &entries).to_string());
    let (server, client) = replay(&sandbox);
    for n in 0..count {
        // A connection error is accepted for invalid statuses only.
        let got = client.try_send(TestRequest::new("GET", &url(&format!("/api/{n}"))));
        assert!(got.is_ok() || n < 3, "{n}: {:?}", got.err());
    }
    for name in ["time", "startedDateTime"] {
        assert_good(&client, &format!("/api/{name}"));
    }
    assert_good(&client, "/api/good");
    let output = server.stop();
    assert!(output.status <= 1 && !output.stderr.contains("panicked"), "{}", output.stderr);
    assert!(!output.stderr.contains("because of a defect"), "{}", output.stderr);

    // The reader itself has to descend into the nested value.
    for har in [deep.clone(), format!("{{\"log\":{{\"version\":\"1.2\",\"entries\":{deep}}}}}")] {
        let sandbox = Sandbox::new();
        sandbox.write("hars/api.har", har);
        let output = sandbox.run(["replay", "hars/api.har", "--", "true"]);
        assert!([1, 2].contains(&output.status), "{}: {}", output.status, output.stderr);
    }
}
