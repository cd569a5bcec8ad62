//! Commands that read and change fixtures.

mod canonical;
mod check;
mod examples;
mod fmt;
mod ls;
mod pack;
mod redact;
mod show;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::sandbox::Sandbox;

/// The name that harproxy gives a payload with these bytes.
pub fn named(bytes: &[u8], ending: &str) -> String {
    let hex: String = Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{hex}.{ending}")
}

/// An entry in canonical form with this content.
pub fn entry(path: &str, content: Value) -> Value {
    json!({
        "startedDateTime": "2026-01-02T03:04:05.678Z",
        "time": 12.5,
        "request": {
            "method": "GET", "url": format!("https://api.test{path}"), "httpVersion": "HTTP/1.1", "cookies": [],
            "headers": [{"name": "accept", "value": "*/*"}], "queryString": [], "headersSize": 50, "bodySize": 0,
        },
        "response": {
            "status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "cookies": [],
            "headers": [{"name": "content-type", "value": content["mimeType"]}],
            "content": content, "redirectURL": "", "headersSize": 40, "bodySize": 20,
        },
        "cache": {},
        "timings": {"blocked": -1, "dns": -1, "connect": -1, "ssl": -1, "send": 0, "wait": 12.5, "receive": 0},
    })
}

/// A fixture as harproxy writes it.
pub fn own(entries: &[Value]) -> String {
    let log = json!({
        "version": "1.2",
        "creator": {"name": "harproxy", "version": "0.1.0"},
        "_harproxy": {"format": 1, "scope": ["**"]},
        "entries": entries,
    });
    format!("{:#}\n", json!({ "log": log }))
}

/// Writes `hars/api.har` with one text and one JSON payload in files.
pub fn fixture(sandbox: &Sandbox) -> [String; 2] {
    let json = b"{\n  \"name\": \"Ada\"\n}\n";
    let files = [named(json, "txt"), named(b"hello\n", "txt")];
    sandbox.write(&format!("hars/api/{}", files[0]), json);
    sandbox.write(&format!("hars/api/{}", files[1]), "hello\n");
    let file = |n: usize| format!("api/{}", files[n]);
    let user = json!({"size": 14, "mimeType": "application/json", "_file": file(0), "_compact": true});
    let text = json!({"size": 6, "mimeType": "text/plain", "_file": file(1)});
    let embedded = json!({"size": 5, "mimeType": "text/plain", "text": "Grüße"});
    sandbox.write("hars/api.har", own(&[entry("/user", user), entry("/text", text), entry("/inside", embedded)]));
    files
}

/// All files below a folder: path and bytes.
pub fn tree(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for item in fs::read_dir(next).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push((path.strip_prefix(folder).unwrap().display().to_string(), fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}
