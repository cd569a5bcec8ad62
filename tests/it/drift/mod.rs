//! `harproxy drift`: fixtures against another recording, and against a live server.

mod against;
mod bad_input;
mod live;
mod mutations;
mod policy;
mod reports;
mod updates;

use serde_json::{Value, json};

use crate::support::origin::{Origin, OriginRequest, OriginResponse};
use crate::support::sandbox::{Output, Sandbox};

const API: &str = "https://api.test";

/// An entry of a HAR.
fn entry(method: &str, path: &str, status: u16, headers: &[(&str, &str)], body: &str) -> Value {
    let mut all = vec![json!({ "name": "content-type", "value": "application/json" })];
    all.extend(headers.iter().map(|(name, value)| json!({ "name": name, "value": value })));
    json!({
        "startedDateTime": "2026-11-01T10:00:00.000Z",
        "time": 1,
        "request": {
            "method": method, "url": format!("{API}{path}"), "httpVersion": "HTTP/1.1",
            "headers": [{ "name": "authorization", "value": "Bearer REDACTED-token-1" }],
            "queryString": [], "cookies": [], "headersSize": -1, "bodySize": 0,
        },
        "response": {
            "status": status, "statusText": "", "httpVersion": "HTTP/1.1", "headers": all, "cookies": [],
            "content": { "size": body.len(), "mimeType": "application/json", "text": body },
            "redirectURL": "", "headersSize": -1, "bodySize": body.len(),
        },
        "cache": {}, "timings": { "send": 0, "wait": 1, "receive": 0 },
    })
}

fn har(entries: &[Value]) -> String {
    let own = json!({ "version": 2, "scope": [format!("{API}/**")] });
    let creator = json!({ "name": "harproxy", "version": "0.1.0" });
    json!({ "log": { "version": "1.2", "creator": creator, "_harproxy": own, "entries": entries } }).to_string()
}

fn get(path: &str, body: &str) -> Value {
    entry("GET", path, 200, &[], body)
}

fn args<'a>(given: &[&'a str]) -> Vec<&'a str> {
    [&["drift", "--json"], given].concat()
}

fn report_of(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Compares the payloads of one endpoint offline. Returns the report.
fn compare(recorded: &str, live: &str, status: i32) -> Value {
    compare_entries(&[get("/users", recorded)], &[get("/users", live)], status)
}

fn compare_entries(recorded: &[Value], live: &[Value], status: i32) -> Value {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", har(recorded));
    sandbox.write("prod.har", har(live));
    report_of(&sandbox.run(args(&["--against", "prod.har"])).expect(status))
}

/// The findings of all endpoints: path, issue and severity.
fn fields(report: &Value) -> Vec<(String, String, String)> {
    let endpoints = report["endpoints"].as_array().unwrap().iter();
    let fields = endpoints.flat_map(|endpoint| endpoint["fields"].as_array().unwrap());
    let text = |field: &Value, name: &str| field[name].as_str().unwrap().to_owned();
    fields.map(|field| (text(field, "path"), text(field, "issue"), text(field, "severity"))).collect()
}

fn field(path: &str, issue: &str, severity: &str) -> (String, String, String) {
    (path.to_owned(), issue.to_owned(), severity.to_owned())
}

fn json_response(body: &str) -> OriginResponse {
    let headers = vec![("content-type", "application/json".to_owned())];
    OriginResponse { status: 200, headers, body: body.into(), ..OriginResponse::default() }
}

/// A server that answers every request with this function.
fn server(answer: impl Fn(&OriginRequest) -> OriginResponse + Send + Sync + 'static) -> Origin {
    Origin::answering(move |request| Some(answer(request)))
}

/// Compares `hars/` with a live server.
fn ask(sandbox: &Sandbox, origin: &Origin, given: &[&str]) -> Output {
    let map = origin.args();
    sandbox.run(args(given).into_iter().map(str::to_owned).chain(map))
}
