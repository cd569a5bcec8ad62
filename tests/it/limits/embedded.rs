//! Payloads inside a HAR: many clients that do not read share them, and few threads read entries at a time.

use std::io::Read;

use serde_json::{Value, json};

use super::peak;
use crate::replay::stage::{entry, foreign, own};
use crate::support::raw::Raw;
use crate::support::sandbox::{Sandbox, Server};

const CLIENTS: u64 = 20;
/// The number of clients whose requests miss. Each of them needs several copies of an entry, and much time.
const MISSES: u64 = 6;
/// The length of a payload, MiB.
const LONG: u64 = 8;

fn long() -> String {
    "a line of a long text\n".chars().cycle().take(usize::try_from(LONG << 20).unwrap()).collect()
}

fn replay(har: &Value) -> (Sandbox, Server) {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", har.to_string());
    let server = sandbox.start(["replay", "hars/api.har"]);
    (sandbox, server)
}

/// Sends a request from each client at once. None reads more than the beginning of its response.
fn crowd(server: &Server, count: u64, path: impl Fn(u64) -> String, status: &str) -> Vec<Raw> {
    let request = |n| format!("GET http://api.test{} HTTP/1.1\r\nHost: api.test\r\n\r\n", path(n));
    let mut clients: Vec<Raw> = (0..count).map(|_| Raw::to(server.proxy())).collect();
    clients.iter_mut().zip(0..).for_each(|(client, n)| client.send(request(n)));
    for client in &mut clients {
        let mut line = [0; 12];
        client.0.read_exact(&mut line).unwrap();
        assert_eq!(String::from_utf8_lossy(&line), format!("HTTP/1.1 {status}"));
    }
    clients
}

/// Asserts that the memory grew by less than three quarters of one copy for each client. Two threads read entries, and
/// each needs about five copies of one.
#[track_caller]
fn assert_shared(server: &Server, before: u64) {
    let grown = peak(server) - before;
    assert!(grown < CLIENTS * LONG * 3 / 4, "{grown} MiB for {CLIENTS} clients of {LONG} MiB");
}

#[test]
fn clients_that_do_not_read_share_one_text_and_one_base64_payload() {
    let text = json!({"size": LONG << 20, "mimeType": "text/plain", "text": long()});
    let base64 =
        json!({"size": 6 << 20, "mimeType": "image/png", "encoding": "base64", "text": "AAAA".repeat(2 << 20)});
    for content in [text, base64] {
        let entries = [entry("GET http://api.test/long", json!({"content": content}))];
        let (_sandbox, server) = replay(&own(&["http://api.test/**"], &entries));
        let before = peak(&server);
        let clients = crowd(&server, CLIENTS, |_| "/long".to_owned(), "200");
        assert_shared(&server, before);
        drop(clients);
        server.stop().expect(0);
    }
}

#[test]
fn few_long_entries_are_read_at_a_time() {
    let content = json!({"size": LONG << 20, "mimeType": "text/html", "text": long()});
    let redirect = json!({"status": 302, "headers": [{"name": "location", "value": "/end"}], "content": content});
    let end = json!({"content": {"size": 2, "mimeType": "text/html", "text": "hi"}});
    // Replay follows the redirects of foreign HARs itself, and reads the cookies of each.
    let entries = [entry("GET http://api.test/long", redirect), entry("GET http://api.test/end", end)];
    let (_sandbox, server) = replay(&foreign(&entries));
    let before = peak(&server);
    drop(crowd(&server, CLIENTS, |_| "/long".to_owned(), "200"));
    assert_shared(&server, before);
    // A miss is compared with the entries that are most similar.
    drop(crowd(&server, MISSES, |n| format!("/lonk{n}"), "501"));
    assert_shared(&server, before);
}
