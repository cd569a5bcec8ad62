//! Messages that HTTP libraries rarely send: raw characters in URLs, unusual statuses and reason phrases, challenges and
//! digests. They are recorded and replayed as they are.

use std::io::{Read as _, Write as _};

use serde_json::Value;

use crate::support::raw::RawOrigin;
use crate::support::sandbox::{Output, Sandbox};

/// Records a command whose requests to `api.test` get this answer, and replays it. Returns both outputs and the HAR.
fn record_and_replay(answer: impl Into<Vec<u8>>, command: &[&str]) -> ([Output; 2], Value) {
    record_and_replay_from(&RawOrigin::answering(answer), command)
}

fn record_and_replay_from(origin: &RawOrigin, command: &[&str]) -> ([Output; 2], Value) {
    let sandbox = Sandbox::new();
    let map = format!("api.test:80={}", origin.addr);
    let record = ["record", "-o", "hars/api.har", "--map", &map, "--"];
    let recorded = sandbox.run(record.iter().chain(command).copied()).expect(0);
    let replay = ["replay", "hars/api.har", "--"];
    let replayed = sandbox.run(replay.iter().chain(command).copied()).expect(0);
    ([recorded, replayed], sandbox.har("hars/api.har"))
}

/// Writes a GET to the proxy for each target on one connection, and prints the status lines of the answers. A target
/// with `POST ` before it gets a POST, its head and its payload in two writes.
const SEND: &str = r#"
import os, socket, sys, urllib.parse
proxy = urllib.parse.urlsplit(os.environ["HTTP_PROXY"])
payload = b'GET /"x" HTTP/1.1\r\n\r\n'
with socket.create_connection((proxy.hostname, proxy.port)) as client, client.makefile("rb") as answers:
    for target in sys.argv[1:]:
        is_post = target.startswith("POST ")
        line = os.fsencode(target if is_post else "GET " + target) + b" HTTP/1.1\r\nHost: api.test\r\n"
        client.sendall(line + (b"Content-Length: %d\r\n\r\n" % len(payload) if is_post else b"\r\n"))
        if is_post:
            client.sendall(payload)
        print(answers.readline().decode().strip())
        length = 0
        while field := answers.readline().strip().lower():
            if field.startswith(b"content-length:"):
                length = int(field.split()[1])
        answers.read(length)
"#;

#[test]
fn raw_characters_in_a_url_are_encoded_and_replayed() {
    let targets = ["http://api.test/a`b?q=\"x\"&y=<z>", "http://api.test/?q=\"2\"", "http://api.test/\u{fc}?\u{20ac}"];
    let command = [&["python3", "-c", SEND][..], &targets].concat();
    let ([recorded, replayed], har) = record_and_replay("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", &command);
    assert_eq!(recorded.stdout, "HTTP/1.1 200 OK\n".repeat(3));
    assert_eq!(replayed.stdout, recorded.stdout);
    let urls = ["/a%60b?q=%22x%22&y=%3Cz%3E", "/?q=%222%22", "/%C3%BC?%E2%82%AC"];
    replayed.says("3 requests served");
    let entries = har["log"]["entries"].as_array().unwrap();
    let recorded_urls: Vec<&str> = entries.iter().map(|entry| entry["request"]["url"].as_str().unwrap()).collect();
    assert_eq!(recorded_urls, urls.map(|url| format!("http://api.test{url}")));
}

#[test]
fn raw_characters_are_encoded_after_a_payload_which_stays_as_it_is() {
    let targets = ["POST http://api.test/a", "http://api.test/?q=\"x\"", "POST http://api.test/a", "http://api.test/`"];
    let command = [&["python3", "-c", SEND][..], &targets].concat();
    let payload = "GET /\"x\" HTTP/1.1\r\n\r\n";
    let origin = RawOrigin::start(|head, stream| {
        if head.starts_with(b"POST") {
            stream.read_exact(&mut vec![0; payload.len()]).unwrap();
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    });
    let ([recorded, replayed], har) = record_and_replay_from(&origin, &command);
    assert_eq!(recorded.stdout, "HTTP/1.1 200 OK\n".repeat(4));
    assert_eq!(replayed.stdout, recorded.stdout);
    replayed.says("4 requests served");
    assert_eq!(har["log"]["entries"][0]["request"]["postData"]["text"], payload);
}

#[test]
fn character_that_stays_unreadable_fails_the_replay_and_is_named() {
    let sandbox = Sandbox::new();
    let origin = RawOrigin::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    let map = format!("api.test:80={}", origin.addr);
    let url = "http://api.test/a";
    sandbox.run(["record", "-o", "hars/api.har", "--map", &map, "--", "curl", "-s", url]).expect(0);
    let targets = ["http://api.test/a", "http://b\u{fc}cher.test/a"];
    let command = [&["replay", "hars/api.har", "--", "python3", "-c", SEND][..], &targets].concat();
    let output = sandbox.run(command).expect(1);
    output.says("unreadable").says("a raw `\u{fc}`");
}

#[test]
fn status_beyond_599_is_replayed() {
    let command = ["curl", "-s", "-w", " %{http_code}", "http://api.test/a"];
    let ([recorded, replayed], _) = record_and_replay("HTTP/1.1 999 Denied\r\nContent-Length: 2\r\n\r\nno", &command);
    assert_eq!(recorded.stdout, "no 999");
    assert_eq!(replayed.stdout, recorded.stdout);
}

#[test]
fn reason_phrase_keeps_its_bytes() {
    // hyper does not pass on a phrase with other than ASCII characters.
    for reason in [&b"It's \\\"fine\\\""[..], b"a\tb", b""] {
        let answer = [b"HTTP/1.1 200 ", reason, b"\r\nContent-Length: 2\r\n\r\nhi"].concat();
        let command = ["sh", "-c", "curl -si http://api.test/a | head -1 | od -An -tx1"];
        let ([recorded, replayed], _) = record_and_replay(answer, &command);
        let bytes: String = reason.iter().map(|byte| format!(" {byte:02x}")).collect();
        assert!(
            recorded.stdout.replace('\n', "").contains(&format!(" 32 30 30 20{bytes} 0d 0a")),
            "{}",
            recorded.stdout
        );
        assert_eq!(replayed.stdout, recorded.stdout);
    }
}

#[test]
fn challenge_of_a_407_and_digests_are_replayed() {
    let challenge = "HTTP/1.1 407 Auth\r\nProxy-Authenticate: Basic realm=\"up\"\r\nContent-Length: 0\r\n\r\n";
    let command = ["curl", "-si", "http://api.test/a"];
    let ([_, replayed], _) = record_and_replay(challenge, &command);
    assert!(replayed.stdout.to_lowercase().contains("proxy-authenticate: basic realm=\"up\""), "{}", replayed.stdout);

    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    zipped.write_all(b"{\"a\":1}").unwrap();
    let body = zipped.finish().unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-MD5: abc==\r\nRepr-Digest: sha-256=:aa=:\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let command = ["curl", "-si", "--compressed", "http://api.test/a"];
    let ([_, replayed], _) = record_and_replay([head.as_bytes(), &body].concat(), &command);
    let headers = replayed.stdout.to_lowercase();
    assert!(headers.contains("content-md5: abc==") && headers.contains("repr-digest: sha-256=:aa=:"), "{headers}");
}
