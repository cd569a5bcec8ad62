//! Replays recordings of the real Playwright and compares the answers with the origin's own log: status, every
//! end-to-end header with its duplicates, and the body, with and without its content coding.
//!
//! Playwright lost or changed some exchanges. Each belongs to a named group with its reason. The groups are counted
//! exactly, so that a test fails if a loss is added or fixed.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use base64::Engine;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::client::{Client, Proto, TestRequest, TestResponse};
use crate::support::repo;
use crate::support::sandbox::Sandbox;

/// One exchange in the log of the origin (a line of wire.jsonl).
struct WireExchange {
    row: Value,
    body: Vec<u8>,
}

impl WireExchange {
    fn text(&self, name: &str) -> &str {
        self.row[name].as_str().unwrap_or_default()
    }

    fn request(&self) -> TestRequest {
        const OWN: [&str; 6] =
            ["host", "connection", "content-length", "transfer-encoding", "upgrade-insecure-requests", "keep-alive"];
        let mut ask = TestRequest::new(self.text("method"), self.text("url"));
        for header in self.row["requestHeaders"].as_array().unwrap() {
            let (name, value) = (header["name"].as_str().unwrap(), header["value"].as_str().unwrap());
            if !name.starts_with(':') && !OWN.contains(&name.to_ascii_lowercase().as_str()) {
                ask = ask.header(name, value);
            }
        }
        if self.body.is_empty() { ask } else { ask.body(self.body.clone()) }
    }

    fn request_header(&self, name: &str) -> Option<&str> {
        let headers = self.row["requestHeaders"].as_array()?;
        headers.iter().find(|h| h["name"].as_str().is_some_and(|n| n.eq_ignore_ascii_case(name)))?["value"].as_str()
    }

    /// The end-to-end headers of the answer, with lower-case names and with duplicates.
    fn response_headers(&self) -> Vec<(String, String)> {
        const HOP: [&str; 4] = ["connection", "keep-alive", "transfer-encoding", "content-length"];
        let fields = self.row["responseHeaders"].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let fields = fields.map(|field| (text(&field["name"]).to_ascii_lowercase(), text(&field["value"])));
        fields.filter(|(name, _)| !HOP.contains(&name.as_str())).collect()
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

fn wire(folder: &Path) -> Vec<WireExchange> {
    let mut text = String::new();
    let file = std::fs::File::open(folder.join("wire.jsonl.gz")).unwrap();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text.lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            WireExchange { body: base64(&row["request"]["bodyBase64"]), row }
        })
        .collect()
}

/// The group of an exchange that Playwright lost or changed.
fn lost_by_playwright(wire: &WireExchange, recording: &str) -> Option<&'static str> {
    let (method, url) = (wire.text("method"), wire.text("url"));
    let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..])).unwrap_or("/");
    let embedded = recording.contains("embed");
    let binary = !wire.body.is_empty()
        && (std::str::from_utf8(&wire.body).is_err()
            || wire.request_header("content-type").is_none_or(|media| media == "application/octet-stream"));
    Some(match (method, path) {
        _ if url.starts_with("ws") => "a WebSocket",
        _ if wire.row["status"].is_null() => "never answered",
        (_, path) if recording.starts_with("filter") && !path.starts_with("/api/") && !path.starts_with("/redir/") => {
            "outside the filter it was recorded with"
        }
        ("OPTIONS", "/cors/pre") => "a preflight, which browsers show to no recorder",
        (_, "/favicon.ico") => "the favicon",
        (_, "/trunc") => "cut by the origin",
        (_, "/cors/nocors") => "refused by the browser, recorded as failed",
        (_, "/cors/opaque") => "opaque to the page, recorded without its body",
        (_, "/utf16" | "/bom") => "a byte order mark is dropped",
        (_, "/sse") if !embedded => "an event stream that the page left, recorded without its body",
        (_, "/status/205") => "the browser drops the body of a 205",
        (_, "/etag") if wire.row["status"] == 304 => "a 304 that revalidated the cache, recorded as 200",
        (_, path) if path.starts_with("/chain/") && !wire.row["response"]["bodyBase64"].as_str()?.is_empty() => {
            "the body of a redirect"
        }
        (_, "/upload?bin=1" | "/upload?fd=1") => "a multipart request with a file",
        ("POST", "/redir/final?from=307" | "/redir/final?from=308") if embedded => "the request body after 307 and 308",
        _ if embedded && binary => "a binary request body, or one without a type",
        _ => return None,
    })
}

/// The requests for a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// As in the log.
    AsRecorded,
    /// For a client that accepts no content coding.
    Identity,
}

/// Replays a recording. Returns the number of equal answers and of exchanges that Playwright lost.
fn replay(name: &str, fixture: &str) -> (usize, usize) {
    replay_over(Proto::H1, name, &repo("tests/corpus/recorded").join(name).join(fixture))
}

fn replay_over(proto: Proto, name: &str, fixture: &Path) -> (usize, usize) {
    let sandbox = Sandbox::new();
    // With the recorded clock, `Date`, `Expires` and cookies are equal, too.
    let options = ["--redirects", "serve", "--clock", "recorded"];
    let server = sandbox.start(["replay", &fixture.display().to_string()].into_iter().chain(options));
    let exchanges = wire(&repo("tests/corpus/recorded").join(name));
    let ask = |variant| {
        let session = (variant == Variant::Identity).then(|| "identity".to_owned());
        let client = Client { user: session, ..server.client(proto) };
        ask_all(&client, name, &exchanges, variant)
    };
    let counts = ask(Variant::AsRecorded);
    assert_eq!(ask(Variant::Identity), counts, "{name}: equal for a client without content codings");
    counts
}

fn ask_all(client: &Client, name: &str, exchanges: &[WireExchange], variant: Variant) -> (usize, usize) {
    let (mut agreed, mut groups, mut wrong) = (0, BTreeMap::new(), Vec::new());
    for wire in exchanges {
        let mut ask = wire.request();
        if variant == Variant::Identity {
            ask.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("accept-encoding"));
            ask = ask.header("accept-encoding", "identity");
        }
        let answer = client.try_send(ask);
        // A lost exchange is requested too: it has its place in the sequence.
        if let Some(group) = lost_by_playwright(wire, name) {
            *groups.entry(group).or_insert(0) += 1;
            continue;
        }
        let difference = answer.map_or_else(|error| Some(error.to_string()), |got| difference(wire, &got, variant));
        match difference {
            None => agreed += 1,
            Some(difference) => wrong.push(format!("{} {}: {difference}", wire.text("method"), wire.text("url"))),
        }
    }
    assert!(
        wrong.is_empty(),
        "{name} ({variant:?}): {agreed} agree, lost are {groups:?}, {} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    (agreed, groups.values().sum())
}

fn difference(wire: &WireExchange, got: &TestResponse, variant: Variant) -> Option<String> {
    if u64::from(got.status) != wire.row["status"].as_u64().unwrap() {
        let text: String = got.text().chars().take(600).collect();
        return Some(format!("status {} instead of {}: {text}", got.status, wire.row["status"]));
    }
    let sent = sorted(&got.headers, |name| name != "x-harproxy");
    let recorded = wire.response_headers();
    let expected = sorted(&recorded, |name| variant == Variant::AsRecorded || name != "content-encoding");
    if sent != expected {
        return Some(format!("headers {sent:?}\n  instead of {expected:?}"));
    }
    let body = if variant == Variant::Identity { got.body.clone() } else { got.decoded() };
    (sha256(&body) != wire.decoded_sha256()).then(|| format!("another body: {:?}", got.text()))
}

/// The compared headers, sorted: Playwright sorts those of Chromium by name.
fn sorted(headers: &[(String, String)], counts: impl Fn(&str) -> bool) -> Vec<(&str, &str)> {
    let counted = headers.iter().filter(|(name, _)| counts(name));
    let mut sorted: Vec<_> = counted.map(|(name, value)| (name.as_str(), value.as_str())).collect();
    sorted.sort_unstable();
    sorted
}

#[test]
fn embedded_recording_over_http_is_replayed() {
    assert_eq!(replay("embed-full-http", "rec.har.gz"), (126, 40));
}

#[test]
fn embedded_recording_over_https_is_replayed() {
    assert_eq!(replay("embed-full-https", "rec.har.gz"), (128, 38));
}

/// The same recording with another HTTP version in the HAR.
#[test]
fn embedded_recording_over_http2_is_replayed() {
    let mut har = String::new();
    let recorded = repo("tests/corpus/recorded/embed-full-https/rec.har.gz");
    flate2::read::GzDecoder::new(std::fs::File::open(recorded).unwrap()).read_to_string(&mut har).unwrap();
    let sandbox = Sandbox::new();
    let fixture = sandbox.write("rec.har", har.replace("\"HTTP/1.1\"", "\"HTTP/2.0\""));
    assert_eq!(replay_over(Proto::H2, "embed-full-https", &fixture), (128, 38));
}

#[test]
fn zip_recording_is_replayed() {
    assert_eq!(replay("attach-full-zip", "rec.zip"), (135, 30));
}

#[test]
fn attached_recording_is_replayed() {
    assert_eq!(replay("update-minimal-attach", "rec.har"), (134, 31));
}

#[test]
fn minimal_recording_is_replayed() {
    assert_eq!(replay("minimal-embed", "rec.har.gz"), (125, 39));
}

#[test]
fn filtered_recording_is_replayed() {
    assert_eq!(replay("filter-glob-embed", "rec.har.gz"), (62, 102));
}

#[test]
fn recording_of_the_api_client_is_replayed() {
    assert_eq!(replay("api-request-context", "rec.har.gz"), (26, 7));
}
