//! Output during a run: the list on a terminal, the events of `--log-format json`, and reloads of fixtures.

mod accounts;
mod events;
mod list;
mod reload;

use crate::support::client::{Client, Proto};
use crate::support::sandbox::Server;

pub fn client(server: &Server) -> Client {
    Client::new(server.proxy(), server.ca(), Proto::H1)
}

/// Two entries of `api.test`, formatted as if by hand.
pub fn two_entries(first: &str) -> String {
    let entry = |path: &str, text: &str| {
        serde_json::json!({
            "startedDateTime": "2026-01-01T00:00:00Z", "time": 1,
            "request": {
                "method": "GET", "url": format!("https://api.test{path}"), "httpVersion": "HTTP/1.1", "cookies": [],
                "headers": [], "queryString": [], "headersSize": -1, "bodySize": 0
            },
            "response": {
                "status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "cookies": [],
                "headers": [{"name": "content-type", "value": "text/plain"}],
                "content": {"size": text.len(), "mimeType": "text/plain", "text": text},
                "redirectURL": "", "headersSize": -1, "bodySize": text.len()
            },
            "cache": {}, "timings": {"send": 0, "wait": 1, "receive": 0}
        })
    };
    let entries = [entry("/one?page=1", first), entry("/two", "second")];
    let creator = serde_json::json!({"name": "harproxy", "version": "0.1.0"});
    let own = serde_json::json!({"format": 1, "scope": ["https://api.test/**"]});
    let log = serde_json::json!({"version": "1.2", "creator": creator, "_harproxy": own, "entries": entries});
    serde_json::to_string_pretty(&serde_json::json!({ "log": log })).unwrap()
}
