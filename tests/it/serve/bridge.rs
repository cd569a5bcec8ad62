//! Moving a client between sources without a change of the client.

use serde_json::{Value, json};

use super::{API, entry, get, har, sandbox, send, serve, serve_with};
use crate::support::origin::{Origin, OriginResponse};
use crate::support::sandbox::Server;

/// An origin with the answers of the fixture.
fn same_as_the_fixture() -> Origin {
    Origin::answering(|request| {
        let (status, body) = match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/orders") => (200, json!([{ "id": 1, "item": "tea" }])),
            ("GET", "/orders/1") => (200, json!({ "id": 1, "item": "tea", "price": 3, "debug": { "x": 1 } })),
            ("POST", "/orders") => (201, json!({ "id": 2 })),
            _ => (404, Value::Null),
        };
        Some(OriginResponse {
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.to_string().into_bytes(),
            ..OriginResponse::default()
        })
    })
}

/// The client script: it knows nothing of sources.
fn visit(server: &Server) -> Vec<(u16, Value)> {
    let list = get(server, "/orders");
    let one = get(server, "/orders/1");
    let added = send(server, "POST", "/orders", &[], "");
    [list, one, added].iter().map(|answer| (answer.status, answer.json())).collect()
}

#[test]
fn same_client_passes_against_every_source() {
    let origin = same_as_the_fixture();
    let expected = visit(&serve(&sandbox(""), &[]));
    assert_eq!(expected.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [200, 200, 201]);
    for options in [
        "source = 'fixture'",
        "source = 'live'",
        "source = ['fixture', 'live']",
        "source = ['live', 'fixture']\nfallback-on = ['5xx', 'timeout', 'connect']",
        "split = { live = 50 }",
        "source = 'live'\nshadow = 'live'",
        "shadow = 'live'",
    ] {
        let sandbox = sandbox(&format!("[[route]]\nmatch = 'https://api.test/**'\n{options}\n"));
        assert_eq!(visit(&serve_with(&sandbox, &origin)), expected, "{options}");
    }
}

#[test]
fn split_is_stable_for_each_session() {
    let sandbox = sandbox("[[route]]\nmatch = 'https://api.test/**'\nsplit = { live = 10 }\n");
    let origin = same_as_the_fixture();
    let server = serve_with(&sandbox, &origin);
    let (ca, proxy) = (server.ca(), server.proxy());
    std::fs::write(sandbox.join("ca.pem"), ca).unwrap();
    // Sixty sessions by the user names of their proxy URLs, each asked twice by curl.
    let script = format!(
        "for round in 1 2; do for n in $(seq 60); do \
         curl -sS -o /dev/null -D - --cacert ca.pem -x http://worker-$n@{proxy} {API}/orders | grep -i x-harproxy; done; done"
    );
    let output = std::process::Command::new("bash").args(["-c", &script]).current_dir(sandbox.path()).output().unwrap();
    let marks = String::from_utf8(output.stdout).unwrap();
    let sources: Vec<bool> =
        marks.lines().filter(|line| line.contains("x-harproxy")).map(|line| line.contains("live")).collect();
    assert_eq!(sources.len(), 120, "{marks}");
    assert_eq!(sources[..60], sources[60..], "a session keeps its source");
    let live = sources[..60].iter().filter(|is_live| **is_live).count();
    assert!((1..=15).contains(&live), "{live} of 60 for 10 %");
}

#[test]
fn poll_behind_the_end_of_a_sequence_is_a_miss_with_repeat_once() {
    let sandbox = sandbox("");
    let states = ["PENDING", "PENDING", "COMPLETED"];
    let job = |state: &str| entry("", "GET", "/job", 200, &json!({ "state": state }).to_string());
    sandbox.write("hars/api.har", har(&states.map(job)));
    let server = serve(&sandbox, &["--repeat", "once"]);
    let polls: Vec<String> =
        (0..3).map(|_| get(&server, "/job").json()["state"].as_str().unwrap().to_owned()).collect();
    assert_eq!(polls, states);
    let fourth = get(&server, "/job");
    assert_eq!((fourth.status, fourth.header("x-harproxy")), (404, Some("miss")));
}
