//! Streams: WebSockets and streams in both directions are announced and refused, event streams are replayed as they
//! were recorded, and uploads that were answered early replay.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::replay::stage::{own, posted, text};
use crate::support::raw::{Raw, RawOrigin};
use crate::support::sandbox::{Output, Sandbox, Server};

const EVENT_HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// Records one CMD with `api.test` mapped to the origin.
fn record(sandbox: &Sandbox, origin: SocketAddr, script: &str) -> Output {
    let map = format!("api.test:80={origin}");
    sandbox.run(["record", "-o", "hars/api.har", "--map", &map, "--", "sh", "-c", script])
}

fn replay(sandbox: &Sandbox, script: &str) -> Output {
    sandbox.run(["replay", "hars/api.har", "--", "sh", "-c", script])
}

/// Starts a recording without CMD.
fn start_recording(sandbox: &Sandbox, origin: SocketAddr) -> Server {
    sandbox.start(["record", "-o", "hars/api.har", "--map", &format!("api.test:80={origin}")])
}

fn entry(sandbox: &Sandbox) -> Value {
    let har = sandbox.har("hars/api.har");
    let entries = har["log"]["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries[0].clone()
}

/// Reads an answer until it contains `text`.
fn read_until(client: &mut Raw, text: &str) -> String {
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains(text) {
        answer.extend(client.exactly(1));
    }
    String::from_utf8(answer).unwrap()
}

fn get_events(proxy: SocketAddr) -> Raw {
    let mut client = Raw::to(proxy);
    client.send("GET http://api.test/events HTTP/1.1\r\nHost: api.test\r\n\r\n");
    client
}

#[test]
fn websocket_is_announced_by_record_and_fails_replay() {
    let sandbox = Sandbox::new();
    let origin = RawOrigin::answering(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x01\x02",
    );
    let handshake = "curl -s -o out -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' \
                     -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' http://api.test/socket; true";
    let output = record(&sandbox, origin.addr, &format!("{handshake}; {handshake}")).expect(0);
    assert_eq!(output.stderr.matches("replay refuses it").count(), 1, "{}", output.stderr);
    output.says("websocket").says("GET http://api.test/socket").says("--passthrough");
    let output = replay(&sandbox, handshake).expect(1);
    output.says("replay failed: 1 WebSocket refused").says("pass it on to its server with `--passthrough");
}

#[test]
fn event_stream_that_the_client_left_is_replayed_and_stays_open() {
    let sandbox = Sandbox::new();
    let origin = RawOrigin::start(|_, stream| {
        let events = chunk("data: 1\n\n") + &chunk("data: 2\n\ndata: 3\n");
        let _ = stream.write_all((EVENT_HEAD.to_owned() + &events).as_bytes());
        // The client leaves.
        let _ = stream.read(&mut [0]);
    });
    let server = start_recording(&sandbox, origin.addr);
    let mut client = get_events(server.proxy());
    read_until(&mut client, "data: 3\n");
    drop(client);
    let output = server.stop().expect(0);
    assert!(!output.stderr.contains(r#""kind":"truncated""#), "{}", output.stderr);
    assert_eq!(entry(&sandbox)["response"]["content"]["_truncated"]["reason"], "client-left");

    // A grace period that the open stream must not wait for.
    let server = sandbox.start(["replay", "hars/api.har", "--grace", "1h"]);
    let mut client = get_events(server.proxy());
    let answer = read_until(&mut client, "data: 2\n\n\r\n");
    assert!(answer.contains("data: 1\n\n") && answer.to_lowercase().contains("transfer-encoding: chunked"), "{answer}");
    let output = server.stop().expect(0);
    assert_eq!(client.rest_text(), "", "the stream had no end, and an event that was cut is not sent");
    assert!(!output.stderr.contains(r#""kind":"truncated""#), "{}", output.stderr);

    // The open stream does not delay the end of a run.
    let script = "import urllib.request; r = urllib.request.urlopen('http://api.test/events'); \
                  print(b''.join(r.readline() for _ in range(4)))";
    let output = sandbox.run(["replay", "hars/api.har", "--grace", "1h", "--", "python3", "-c", script]).expect(0);
    assert_eq!(output.stdout.trim(), r"b'data: 1\n\ndata: 2\n\n'");
    let check = sandbox.run(["check", "hars/api.har"]).expect(0);
    assert!(!check.stdout.contains("was cut"), "{}", check.stdout);
}

#[test]
fn event_stream_that_the_server_broke_off_is_replayed_and_broken_off() {
    let sandbox = Sandbox::new();
    let origin = RawOrigin::answering(EVENT_HEAD.to_owned() + &chunk("data: 1\n\n") + &chunk("data: 2\n\n"));
    let script = "curl -sN http://api.test/events; echo $?";
    let live = record(&sandbox, origin.addr, script).expect(0);
    assert_eq!(live.stdout, "data: 1\n\ndata: 2\n\n18\n");
    let output = replay(&sandbox, script).expect(0);
    assert_eq!(output.stdout, live.stdout);
}

#[test]
fn times_of_events_are_recorded_and_replayed() {
    let sandbox = Sandbox::new();
    let (got_first, gate) = mpsc::channel();
    let origin = RawOrigin::start(move |_, stream| {
        let _ = stream.write_all((EVENT_HEAD.to_owned() + &chunk("data: 1\n\n")).as_bytes());
        let _ = gate.recv();
        // Longer than the time for which chunks have no times.
        std::thread::sleep(Duration::from_millis(30));
        let _ = stream.write_all((chunk("data: 2\n\n") + "0\r\n\r\n").as_bytes());
    });
    let server = start_recording(&sandbox, origin.addr);
    let mut client = get_events(server.proxy());
    read_until(&mut client, "data: 1\n\n");
    got_first.send(()).unwrap();
    read_until(&mut client, "0\r\n\r\n");
    server.stop().expect(0);
    let chunks = entry(&sandbox)["_harproxy"]["chunks"].as_str().unwrap().to_owned();
    let (first, second) = chunks.split_once(' ').unwrap();
    let at = |chunk: &str| chunk.strip_suffix(":2").and_then(|at| at.parse::<u64>().ok()).expect(&chunks);
    assert!(at(second) >= at(first) + 30, "{chunks}");
    let words = ["replay", "hars/api.har", "--latency", "recorded", "--", "curl", "-sN", "http://api.test/events"];
    assert_eq!(sandbox.run(words).expect(0).stdout, "data: 1\n\ndata: 2\n\n");
}

#[test]
fn events_wait_for_their_recorded_times_with_recorded_latency() {
    let sandbox = Sandbox::new();
    let events = chunk("data: 1\n\n") + &chunk("data: 2\n\n") + "0\r\n\r\n";
    let origin = RawOrigin::answering(EVENT_HEAD.to_owned() + &events);
    record(&sandbox, origin.addr, "curl -sN http://api.test/events").expect(0);
    let mut har = sandbox.har("hars/api.har");
    // The second event comes an hour after the first one.
    har["log"]["entries"][0]["_harproxy"] = json!({ "chunks": "0:2 3600000:2" });
    sandbox.write("hars/api.har", har.to_string());

    let server = sandbox.start(["replay", "hars/api.har", "--latency", "recorded", "--grace", "0s"]);
    let mut client = get_events(server.proxy());
    read_until(&mut client, "data: 1\n\n");
    server.stop().expect(0);
    assert!(!client.rest_text().contains("data: 2"));
    for latency in ["none", "0x"] {
        let words = ["replay", "hars/api.har", "--latency", latency, "--", "curl", "-sN", "http://api.test/events"];
        assert_eq!(sandbox.run(words).expect(0).stdout, "data: 1\n\ndata: 2\n\n", "{latency}");
    }
}

/// Reads a piece of a chunked request.
fn read_piece(stream: &mut impl Read, text: &str) {
    let mut piece = Vec::new();
    let mut byte = [0];
    while !piece.ends_with(text.as_bytes()) && stream.read_exact(&mut byte).is_ok() {
        piece.push(byte[0]);
    }
}

#[test]
fn stream_in_both_directions_is_announced_and_refused_before_its_request_ends() {
    const HEAD: &str = "POST http://api.test/chat HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    let sandbox = Sandbox::new();
    let origin = RawOrigin::start(|_, stream| {
        read_piece(stream, "ping 1");
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
        let _ = stream.write_all((head + &chunk("pong 1")).as_bytes());
        read_piece(stream, "ping 2");
        let _ = stream.write_all(chunk("pong 2").as_bytes());
        read_piece(stream, "0\r\n\r\n");
        let _ = stream.write_all(b"0\r\n\r\n");
    });
    let server = start_recording(&sandbox, origin.addr);
    let mut client = Raw::to(server.proxy());
    client.send(HEAD.to_owned() + &chunk("ping 1"));
    read_until(&mut client, "pong 1");
    client.send(chunk("ping 2"));
    read_until(&mut client, "pong 2");
    client.send("0\r\n\r\n");
    read_until(&mut client, "0\r\n\r\n");
    server.stop().expect(0).says("\"stream\"").says("replay refuses it");
    assert_eq!(entry(&sandbox)["_harproxy"]["stream"], true);

    let server = sandbox.start(["replay", "hars/api.har"]);
    let mut client = Raw::to(server.proxy());
    client.send(HEAD.to_owned() + &chunk("ping 1"));
    let (head, body) = client.answer();
    assert!(head.starts_with("HTTP/1.1 501 ") && head.contains("x-harproxy: miss"), "{head}");
    assert!(body.contains("stream in both directions") && body.contains("--passthrough"), "{body}");
    server.stop().expect(1).says("hars/api.har#0");
}

/// Writes a fixture with POSTs to `/chat` that have these payloads and responses, and a GET. Returns its sandbox.
fn with_duplex(posts: &[(&str, &str, bool)]) -> Sandbox {
    let duplex = |mut entry: Value, is_duplex: bool| {
        entry["_harproxy"] = json!({ "stream": is_duplex });
        entry
    };
    let post = |(sent, answer, is_duplex): &(&str, &str, bool)| {
        duplex(posted(text("POST http://api.test/chat", answer), sent), *is_duplex)
    };
    let mut entries: Vec<Value> = posts.iter().map(post).collect();
    entries.push(duplex(text("GET http://api.test/chat", "pong"), true));
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", own(&["**"], &entries).to_string());
    sandbox
}

const POST: &str = "curl -s -H 'Content-Type: application/json' http://api.test/chat -d";
const CHUNKED: &str = "-H 'Transfer-Encoding: chunked'";

#[test]
fn duplex_exchange_is_refused_when_the_length_of_its_payload_is_declared() {
    let sandbox = with_duplex(&[(r#"{"a":1}"#, "pong", true)]);
    for command in [format!(r#"{POST} '{{"a":1}}'"#), "curl -s http://api.test/chat".to_owned()] {
        let output = replay(&sandbox, &command).expect(1);
        assert!(output.stdout.contains("stream in both directions"), "{}", output.stdout);
        output.says("1 stream refused").says("hars/api.har#").says("--passthrough");
    }
}

#[test]
fn chunked_request_is_answered_by_its_plain_entry_beside_a_duplex_one() {
    let sandbox = with_duplex(&[(r#"{"a":1}"#, "pong", true), (r#"{"a":2}"#, "done", false)]);
    assert_eq!(replay(&sandbox, &format!(r#"{POST} '{{"a":2}}' {CHUNKED}"#)).expect(0).stdout, "done");
    replay(&sandbox, &format!(r#"{POST} '{{"a":1}}' {CHUNKED}"#)).expect(1).says("hars/api.har#0");
}

#[test]
fn duplex_client_without_an_own_entry_gets_a_408_and_fails_the_run() {
    let sandbox = with_duplex(&[(r#"{"a":1}"#, "pong", true), (r#"{"a":2}"#, "done", false)]);
    let server = sandbox.start(["replay", "hars/api.har", "--idle-timeout", "1s"]);
    let mut client = Raw::to(server.proxy());
    client.send("POST http://api.test/chat HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(chunk("ping"));
    let (head, body) = client.answer();
    assert!(head.starts_with("HTTP/1.1 408 ") && body.contains("--passthrough"), "{head}{body}");
    server.stop().expect(1).says("unreadable");
}

const TOO_LARGE: &str = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\n\r\ntoo large";

#[test]
fn upload_that_the_server_answered_early_replays() {
    let sandbox = Sandbox::new();
    let (_open, gate) = mpsc::channel::<()>();
    let origin = RawOrigin::start(move |_, stream| {
        let _ = stream.write_all(TOO_LARGE.as_bytes());
        // The upload is not read, and the connection stays open as long as the test.
        let _ = gate.recv();
    });
    sandbox.write("upload", vec![b'u'; 16 << 20]);
    let upload = "curl -s -H 'Expect:' --data-binary @upload http://api.test/upload";
    let output = record(&sandbox, origin.addr, upload).expect(0);
    assert_eq!(output.stdout, "too large");
    assert_eq!(entry(&sandbox)["request"]["postData"]["_truncated"]["reason"], "answered-early");
    assert_eq!(replay(&sandbox, upload).expect(0).stdout, "too large");
    let check = sandbox.run(["check", "hars/api.har"]).expect(0);
    assert!(!check.stdout.contains("was cut"), "{}", check.stdout);
    // Another length; the part that was sent may be empty.
    sandbox.write("upload", vec![b'u'; 15 << 20]);
    replay(&sandbox, upload).expect(1).says("miss");
}

#[test]
fn upload_that_was_refused_before_its_first_byte_replays_and_stays_unchanged() {
    let sandbox = Sandbox::new();
    // curl asks with `Expect: 100-continue` whether to send so much.
    let origin = RawOrigin::answering(TOO_LARGE);
    sandbox.write("upload", vec![b'u'; 2 << 20]);
    let upload = "curl -s -F file=@upload -F name=n http://api.test/upload";
    assert_eq!(record(&sandbox, origin.addr, upload).expect(0).stdout, "too large");
    assert_eq!(replay(&sandbox, upload).expect(0).stdout, "too large");
    record(&sandbox, origin.addr, upload).expect(0).says("1 unchanged");
    sandbox.write("upload", vec![b'u'; 3 << 20]);
    replay(&sandbox, upload).expect(1).says("miss");
}
