//! Payloads that cannot be parsed as a whole: too long, truncated or malformed.

use std::io::Write;

use serde_json::json;

use super::{HAR, Secrets, folder_holds_none, record};
use crate::support::client::{Proto, TestRequest};
use crate::support::origin::{Origin, OriginResponse};
use crate::support::sandbox::Sandbox;

/// Payloads beyond the memory limit are redacted in windows: requests and responses, with and without a content coding.
#[test]
fn long_payload_is_redacted() {
    const ROWS: usize = 16_000;
    let (sandbox, secrets) = (Sandbox::new(), Secrets::of(7));
    let long = |secret: &str| {
        let rows = format!("{{\"n\":1,\"text\":\"{}\"}},", "some words ".repeat(100)).repeat(ROWS);
        format!("{{\"rows\":[{rows}{{\"api_key\":\"{secret}\"}}],\"token\":\"{secret}\"}}")
    };
    let (plain, packed) = (long(&secrets.buried), long(&secrets.packed));
    assert!(plain.len() > 16 << 20);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(packed.as_bytes()).unwrap();
    let coded = gzip.finish().unwrap();
    let origin = Origin::answering(move |asked| {
        let (coding, body) = match &*asked.path {
            "/coded" => ("gzip", coded.clone()),
            _ => ("identity", b"{}".to_vec()),
        };
        let headers = vec![("content-type", "application/json".to_owned()), ("content-encoding", coding.to_owned())];
        Some(OriginResponse { status: 200, headers, body, ..OriginResponse::default() })
    });
    let server = record(&sandbox, &origin, HAR, &[]);
    let client = server.client(Proto::H1);
    let upload = TestRequest::new("POST", "https://api.test/plain").header("content-type", "application/json");
    client.send(upload.body(plain.clone()));
    assert!(client.get("https://api.test/coded").decoded() == packed.as_bytes());
    server.stop().expect(0);
    folder_holds_none(&sandbox, &secrets);
    let har = sandbox.har(HAR);
    let entries = &har["log"]["entries"];
    let content = &entries[1]["response"]["content"];
    assert!(content.get("_truncated").is_none(), "{content}");
    assert!(content["size"].as_u64().unwrap().abs_diff(packed.len() as u64) < 100, "{content}");
    let sent = &entries[0]["request"]["postData"];
    assert!(sent["_file"].is_string() && sent.get("_truncated").is_none(), "{sent}");
}

/// Half of a document cannot be parsed, but is redacted.
#[test]
fn truncated_payload_is_redacted() {
    let (sandbox, secrets) = (Sandbox::new(), Secrets::of(7));
    let own = secrets.clone();
    let origin = Origin::answering(move |_| {
        let body = json!({ "a_token": 1, "token": own.query, "text": "x".repeat(5000) }).to_string();
        let headers = vec![("content-type", "application/json".to_owned())];
        Some(OriginResponse { status: 200, headers, body: body.into(), ..OriginResponse::default() })
    });
    let server = record(&sandbox, &origin, HAR, &["--content", "embed", "--max-body", "1000"]);
    server.client(Proto::H1).get("https://api.test/cut");
    server.stop().expect(0);
    folder_holds_none(&sandbox, &secrets);
    let content = sandbox.har(HAR)["log"]["entries"][0]["response"]["content"].clone();
    assert!(content["text"].as_str().unwrap().contains("REDACTED-token-1"), "{content}");
    assert_eq!(content["_truncated"]["reason"], "max-body");
}

/// Truncated compressed data and data behind the end of a stream are redacted, too, since readers can decode them.
#[test]
fn undecodable_payload_is_redacted() {
    let (sandbox, secrets) = (Sandbox::new(), Secrets::of(7));
    let own = secrets.clone();
    let origin = Origin::answering(move |asked| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(json!({ "token": own.packed, "n": 1 }).to_string().as_bytes()).unwrap();
        let mut body = gzip.finish().unwrap();
        match &*asked.path {
            "/short" => body.truncate(body.len() - 8),
            _ => body.extend(b"behind the end"),
        }
        let headers = vec![("content-type", "application/json".to_owned()), ("content-encoding", "gzip".to_owned())];
        Some(OriginResponse { status: 200, headers, body, ..OriginResponse::default() })
    });
    let server = record(&sandbox, &origin, HAR, &["--content", "embed"]);
    for path in ["/short", "/long"] {
        server.client(Proto::H1).get(&format!("https://api.test{path}"));
    }
    server.stop().expect(0);
    for entry in sandbox.har(HAR)["log"]["entries"].as_array().unwrap() {
        let content = &entry["response"]["content"];
        assert_eq!(content["text"], r#"{"token":"REDACTED-token-1","n":1}"#, "{content}");
        assert_eq!(content["_truncated"]["reason"], "undecodable", "{content}");
    }
}
