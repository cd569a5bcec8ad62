//! Requests that harproxy could not send: they are not recorded, they keep the entries of the fixture, and they fail a
//! run that depends on them.

use std::net::{SocketAddr, TcpListener};

use crate::support::raw::RawOrigin;
use crate::support::sandbox::Sandbox;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// An address at which no server listens.
fn unused() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The options of a recording of `up.test`, which answers, and of `down.test`, which cannot be reached.
fn record(up: SocketAddr) -> Vec<String> {
    let words = ["record", "-o", "hars/api.har", "--map", &format!("up.test:80={up}")];
    words.into_iter().chain(["--map", &format!("down.test:80={}", unused())]).map(str::to_owned).collect()
}

#[test]
fn recording_leaves_out_the_requests_that_failed_and_counts_them() {
    let sandbox = Sandbox::new();
    let origin = RawOrigin::answering(OK);
    let urls = ["--", "curl", "-s", "http://up.test/a", "http://down.test/b"];
    let args = record(origin.addr);
    let output = sandbox.run(args.iter().map(String::as_str).chain(urls)).expect(0);
    let output = output.says("recorded 1 exchange").says("1 recorded, 1 failed").says("1 failed request not recorded");
    output.says("--map down.test=ADDR:PORT");
    let entries = sandbox.har("hars/api.har")["log"]["entries"].as_array().unwrap().clone();
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0]["request"]["url"], "http://up.test/a");
}

#[test]
fn update_replace_keeps_the_entries_of_a_request_that_failed() {
    let sandbox = Sandbox::new();
    let (one, other) = (RawOrigin::answering(OK), RawOrigin::answering(OK));
    let run = |a: SocketAddr, b: SocketAddr, urls: &[&str]| {
        let maps = [format!("a.test:80={a}"), format!("b.test:80={b}")];
        let args = ["record", "-o", "hars/api.har", "--update", "replace", "--map", &maps[0], "--map", &maps[1], "--"];
        let words = args.iter().chain(&["curl", "-s"]).chain(urls).map(|word| (*word).to_owned());
        sandbox.run(words.collect::<Vec<_>>())
    };
    run(one.addr, other.addr, &["http://a.test/1", "http://b.test/2", "http://b.test/3"]).expect(0);
    let urls = |sandbox: &Sandbox| -> Vec<String> {
        let har = sandbox.har("hars/api.har");
        let entries = har["log"]["entries"].as_array().unwrap();
        entries.iter().map(|entry| entry["request"]["url"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(urls(&sandbox), ["http://a.test/1", "http://b.test/2", "http://b.test/3"]);
    run(one.addr, unused(), &["http://a.test/1", "http://b.test/2"]).expect(0);
    assert_eq!(urls(&sandbox), ["http://a.test/1", "http://b.test/2"], "b.test/3 was not requested");
}

#[test]
fn replay_that_records_misses_fails_when_upstream_cannot_be_reached() {
    let sandbox = Sandbox::new();
    let origin = RawOrigin::answering(OK);
    let args = record(origin.addr);
    sandbox.run(args.iter().map(String::as_str).chain(["--", "curl", "-s", "http://up.test/a"])).expect(0);
    let map = format!("up.test:80={}", unused());
    let words =
        ["replay", "hars/api.har", "--on-miss", "record", "--map", &map, "--", "curl", "-s", "http://up.test/b"];
    let output = sandbox.run(words).expect(1);
    output.says("upstream-failed").says("replay failed: 1 failure of upstream");
}
