//! `harproxy serve`: route rules, control headers and API keys, by a client of the proxy.

mod admin;
mod bad_input;
mod bridge;
mod control;
mod pages;
mod rules;
mod shadow;
mod sources;
mod strictness;
mod verify;

use serde_json::{Value, json};

use crate::support::client::{Client, Proto, TestRequest, TestResponse};
use crate::support::origin::Origin;
use crate::support::sandbox::{Sandbox, Server};

const API: &str = "https://api.test";

/// An entry with a name, or without one.
fn entry(name: &str, method: &str, path: &str, status: u16, body: &str) -> Value {
    let mut entry = json!({
        "startedDateTime": "2026-11-01T10:00:00.000Z",
        "time": 1,
        "request": {
            "method": method, "url": format!("{API}{path}"), "httpVersion": "HTTP/1.1", "headers": [],
            "queryString": [], "cookies": [], "headersSize": -1, "bodySize": 0,
        },
        "response": {
            "status": status, "statusText": "", "httpVersion": "HTTP/1.1", "cookies": [],
            "headers": [{ "name": "content-type", "value": "application/json" }],
            "content": { "size": body.len(), "mimeType": "application/json", "text": body },
            "redirectURL": "", "headersSize": -1, "bodySize": body.len(),
        },
        "cache": {}, "timings": { "send": 0, "wait": 1, "receive": 0 },
    });
    if !name.is_empty() {
        entry["comment"] = name.into();
    }
    entry
}

fn har(entries: &[Value]) -> String {
    let own = json!({ "version": 2, "scope": [format!("{API}/**")] });
    let creator = json!({ "name": "harproxy", "version": "0.1.0" });
    json!({ "log": { "version": "1.2", "creator": creator, "_harproxy": own, "entries": entries } }).to_string()
}

/// Entries of a shop.
fn shop() -> String {
    har(&[
        entry("", "GET", "/orders", 200, r#"[{"id":1,"item":"tea"}]"#),
        entry("", "GET", "/orders/1", 200, r#"{"id":1,"item":"tea","price":3,"debug":{"x":1}}"#),
        entry("", "POST", "/orders", 201, r#"{"id":2}"#),
        entry("", "GET", "/braces", 200, r#"{"text":"{{ request.method }}"}"#),
    ])
}

fn sandbox(config: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", shop());
    sandbox.write("harproxy.toml", config);
    sandbox
}

fn serve(sandbox: &Sandbox, more: &[&str]) -> Server {
    sandbox.start(["serve"].iter().copied().chain(more.iter().copied()))
}

fn serve_with(sandbox: &Sandbox, origin: &Origin) -> Server {
    let args = ["serve".to_owned()].into_iter().chain(origin.args());
    sandbox.start(args)
}

fn client(server: &Server) -> Client {
    server.client(Proto::H1)
}

fn get(server: &Server, path: &str) -> TestResponse {
    client(server).get(&format!("{API}{path}"))
}

fn send(server: &Server, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> TestResponse {
    let request = TestRequest::new(method, &format!("{API}{path}")).body(body.to_owned());
    let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
    client(server).send(request)
}
