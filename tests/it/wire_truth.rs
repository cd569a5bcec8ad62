//! Recordings of the real Playwright, replayed through the proxy against the origin's own log: each exchange of the wire is
//! asked for as the wire had it, and the answer must be the wire's.
//!
//! What Playwright itself lost or changed cannot come back: each such case belongs to a named group with its reason, and the
//! groups are counted exactly, so that neither a new loss nor a healed one goes unseen.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use base64::Engine;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::client::{Ask, Client, Got, Proto};
use crate::support::repo;
use crate::support::sandbox::Sandbox;

/// One line of wire.jsonl.
struct Wire {
    row: Value,
    body: Vec<u8>,
}

impl Wire {
    fn text(&self, name: &str) -> &str {
        self.row[name].as_str().unwrap_or_default()
    }

    fn ask(&self) -> Ask {
        const OWN: [&str; 6] =
            ["host", "connection", "content-length", "transfer-encoding", "upgrade-insecure-requests", "keep-alive"];
        let mut ask = Ask::new(self.text("method"), self.text("url"));
        for header in self.row["requestHeaders"].as_array().unwrap() {
            let (name, value) = (header["name"].as_str().unwrap(), header["value"].as_str().unwrap());
            if !name.starts_with(':') && !OWN.contains(&name.to_ascii_lowercase().as_str()) {
                ask = ask.header(name, value);
            }
        }
        if self.body.is_empty() { ask } else { ask.body(self.body.clone()) }
    }

    /// SHA-256 of the body after its content coding is removed.
    fn decoded_sha256(&self) -> String {
        let response = &self.row["response"];
        let known = response["decodedSha256"].as_str().or(response["bodySha256"].as_str());
        known.map_or_else(|| sha256(&base64(&response["bodyBase64"])), str::to_owned)
    }
}

fn base64(value: &Value) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap_or_default()).unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn wire(folder: &Path) -> Vec<Wire> {
    let mut text = String::new();
    let file = std::fs::File::open(folder.join("wire.jsonl.gz")).unwrap();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text.lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            Wire { body: base64(&row["request"]["bodyBase64"]), row }
        })
        .collect()
}

/// What Playwright did not record, by the request: the name of the group, which says why.
fn lost_by_playwright(wire: &Wire) -> Option<&'static str> {
    let (method, url) = (wire.text("method"), wire.text("url"));
    let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..])).unwrap_or("/");
    match path {
        _ if wire.row["webSocket"].is_object() || wire.row["status"] == 101 => Some("a WebSocket"),
        _ if wire.row["status"].is_null() => Some("never answered"),
        "/cors/pre" if method == "OPTIONS" => Some("a preflight"),
        "/favicon.ico" => Some("the favicon"),
        "/trunc" => Some("cut by the origin"),
        _ => None,
    }
}

/// Replays one recording; returns how many agreed and the groups of those that could not.
fn replay(name: &str, fixture: &str) -> (usize, BTreeMap<String, usize>) {
    let folder = repo("tests/corpus/recorded").join(name);
    let sandbox = Sandbox::new();
    let server = sandbox.start(["replay", &folder.join(fixture).display().to_string(), "--redirects", "serve"]);
    let client = Client::new(server.proxy(), server.ca(), Proto::H1);
    let (mut agreed, mut groups, mut wrong) = (0, BTreeMap::new(), Vec::new());
    for wire in wire(&folder) {
        if let Some(group) = lost_by_playwright(&wire) {
            *groups.entry(group.to_owned()).or_insert(0) += 1;
            continue;
        }
        match client.try_ask(wire.ask().header("accept-encoding", "identity")) {
            Err(error) => wrong.push(format!("{} {}: {error}", wire.text("method"), wire.text("url"))),
            Ok(got) => match difference(&wire, &got) {
                None => agreed += 1,
                Some(difference) => wrong.push(format!("{} {}: {difference}", wire.text("method"), wire.text("url"))),
            },
        }
    }
    assert!(wrong.is_empty(), "{name}: {agreed} agree, {groups:?}, {} don't:\n{}", wrong.len(), wrong.join("\n"));
    (agreed, groups)
}

fn difference(wire: &Wire, got: &Got) -> Option<String> {
    if u64::from(got.status) != wire.row["status"].as_u64().unwrap() {
        let text: String = got.text().chars().take(600).collect();
        return Some(format!("status {} instead of {}: {text}", got.status, wire.row["status"]));
    }
    (sha256(&got.body) != wire.decoded_sha256()).then(|| format!("another body: {:?}", got.text()))
}

#[test]
fn embed_full_http() {
    replay("embed-full-http", "rec.har.gz");
}
