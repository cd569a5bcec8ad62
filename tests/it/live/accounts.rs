//! Rows, counts, sources and events of a run are one account of its requests, and they add up.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::two_entries;
use crate::support::raw::{RawOrigin, read_head};
use crate::support::sandbox::{Sandbox, Server};

/// The member of `counts` for each outcome and the sources that it may have; `*` is any.
const ACCOUNTS: &[(&str, &str, &str)] = &[
    ("served", "fixture", "served"),
    ("miss", "none", "misses"),
    ("out-of-scope", "none", "outOfScope"),
    ("noise", "none", "noise"),
    ("noise", "live", "noise"),
    ("refused", "none", "refused"),
    ("preflight", "made-up", "preflights"),
    ("local", "local", "local"),
    ("live", "live", "passed"),
    ("passed", "live", "passed"),
    ("recorded", "live", "recorded"),
    ("tunnel", "local", "local"),
    ("tunnel", "live", "passed"),
];

const WEBSOCKET: &str =
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
const PREFLIGHT: &str = "Origin: http://app.test\r\nAccess-Control-Request-Method: PUT\r\n";

fn origin() -> RawOrigin {
    RawOrigin::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    })
}

/// Sends `METHOD URL` with more headers, and reads to the end of the connection. CONNECT is followed by a request inside.
fn send(proxy: SocketAddr, request: &str, headers: &str) {
    let (method, url) = request.split_once(' ').unwrap();
    let host = url.split('/').nth(2).unwrap_or(url);
    let options = if headers.contains("Upgrade:") { "upgrade, close" } else { "close" };
    let mut stream = TcpStream::connect(proxy).unwrap();
    write!(stream, "{method} {url} HTTP/1.1\r\nHost: {host}\r\nConnection: {options}\r\n{headers}\r\n").unwrap();
    if method == "CONNECT" {
        assert!(read_head(&mut stream).starts_with(b"HTTP/1.1 200"));
        stream.write_all(b"hello\r\n\r\n").unwrap();
    }
    stream.read_to_end(&mut Vec::new()).unwrap();
}

/// Sends the requests one after the other, stops the run, and compares the rows of its report with the expected outcomes
/// and sources, with its events and with its counts. Returns the counts.
fn account(sandbox: &Sandbox, server: Server, requests: &[(&str, &str, &str)], status: i32) -> Value {
    let proxy = server.proxy();
    for (id, (request, headers, _)) in (1..).zip(requests) {
        send(proxy, request, headers);
        server
            .stderr()
            .event(if request.starts_with("CONNECT") { "tunnel" } else { "request" }, |event| event["id"] == id);
    }
    let output = server.stop().expect(status);
    let report: Value = sandbox.har("report.json");
    let (rows, counts) = (report["requests"].as_array().unwrap(), &report["counts"]);
    let outcomes = rows.iter().map(|row| format!("{} {}", row["outcome"], row["source"]).replace('"', ""));
    let expected = requests.iter().map(|(.., outcome)| (*outcome).to_owned());
    assert_eq!(outcomes.collect::<Vec<_>>(), expected.collect::<Vec<_>>());

    let events = output.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut events: Vec<Value> = events.filter(|e| e["event"] == "request" || e["event"] == "tunnel").collect();
    events.sort_by_key(|event| event["id"].as_u64());
    assert_eq!(events.len(), rows.len());
    let (mut sums, mut bytes) = (BTreeMap::<&str, u64>::new(), 0);
    for ((row, event), id) in rows.iter().zip(&events).zip(1_u64..) {
        assert_eq!(row["id"], id);
        for member in ["id", "method", "url", "status", "outcome", "source", "bytes", "complete", "tookMs"] {
            assert_eq!(row[member], event[member], "{member} of {row}");
        }
        let is_account =
            |(outcome, source, _): &&(&str, &str, &str)| row["outcome"] == *outcome && row["source"] == *source;
        let (.., sum) = ACCOUNTS.iter().find(is_account).unwrap_or_else(|| panic!("no source for this outcome: {row}"));
        *sums.entry(sum).or_default() += 1;
        if row["source"] != "none" && row["source"] != "made-up" {
            bytes += row["bytes"].as_u64().unwrap();
        }
    }
    if report["mode"] == "replay" {
        // A replay counts the misses that it records as passed to the network, too.
        *sums.entry("passed").or_default() += sums.get("recorded").copied().unwrap_or_default();
    }
    for (.., member) in ACCOUNTS {
        assert_eq!(counts[*member].as_u64(), Some(sums.get(member).copied().unwrap_or_default()), "{member}: {counts}");
    }
    assert_eq!((&counts["requests"], &counts["bytes"]), (&rows.len().into(), &bytes.into()), "{counts}");
    for finding in report["findings"].as_array().unwrap() {
        for id in finding["requests"].as_array().into_iter().flatten() {
            assert!(rows.iter().any(|row| row["id"] == *id), "{finding}");
        }
    }
    counts.clone()
}

#[test]
fn replayed_requests_have_one_outcome_and_one_source_and_add_up() {
    let (sandbox, origin) = (Sandbox::new(), origin());
    sandbox.write("hars/api.har", two_entries("first").replace("https://api.test", "http://api.test"));
    let map = format!("live.test:80={}", origin.addr);
    let passthrough = ["replay", "--report", "report.json", "--passthrough", "http://live.test/**", "--map", &map];
    let (local, tunnel) = (format!("GET http://{}/", origin.addr), format!("CONNECT {}", origin.addr));
    let requests = [
        ("GET http://api.test/two", "", "served fixture"),
        ("GET http://api.test/two", "", "served fixture"),
        ("GET http://api.test/one?page=1", "", "served fixture"),
        ("GET http://api.test/three", "", "miss none"),
        ("GET http://other.test/", "", "out-of-scope none"),
        ("GET http://detectportal.firefox.com/", "", "noise none"),
        ("OPTIONS http://api.test/three", PREFLIGHT, "preflight made-up"),
        ("GET http://api.test/socket", WEBSOCKET, "refused none"),
        (&local, "", "local local"),
        (&tunnel, "", "tunnel local"),
        ("GET http://live.test/", "", "live live"),
    ];
    let server = sandbox.start(passthrough);
    // No request: it has a finding, and no row.
    let mut malformed = TcpStream::connect(server.proxy()).unwrap();
    malformed.write_all(b"GET / HTTP/9.9\r\n\r\n").unwrap();
    malformed.read_to_end(&mut Vec::new()).unwrap();
    let counts = account(&sandbox, server, &requests, 1);
    assert_eq!(counts["tunnels"], 1);
}

#[test]
fn recorded_misses_of_a_replay_have_one_outcome_and_add_up() {
    let (sandbox, origin) = (Sandbox::new(), origin());
    sandbox.write("hars/api.har", two_entries("first").replace("https://api.test", "http://api.test"));
    let map = format!("api.test:80={}", origin.addr);
    let server =
        sandbox.start(["replay", "hars/api.har", "--on-miss", "record", "--report", "report.json", "--map", &map]);
    let requests = [
        ("GET http://api.test/two", "", "served fixture"),
        ("GET http://api.test/three", "", "recorded live"),
        ("POST http://api.test/two", "Transfer-Encoding: chunked\r\n\r\nno length\r\n", "refused none"),
    ];
    account(&sandbox, server, &requests, 1);
}

#[test]
fn recorded_requests_have_one_outcome_and_add_up() {
    let (sandbox, origin) = (Sandbox::new(), origin());
    let maps = ["api.test:80", "live.test:80"].map(|host| format!("{host}={}", origin.addr));
    let options = ["record", "-g", "http://api.test/**", "-o", "api.har", "--report", "report.json"];
    let server = sandbox.start(options.into_iter().chain(maps.iter().flat_map(|map| ["--map", map])));
    let requests = [
        ("GET http://api.test/", "", "recorded live"),
        ("GET http://api.test/favicon.ico", "", "noise live"),
        ("GET http://live.test/", "", "passed live"),
        ("CONNECT live.test:80", "", "tunnel live"),
    ];
    account(&sandbox, server, &requests, 0);
}
