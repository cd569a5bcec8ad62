//! Replays recordings of Playwright and mitmproxy of a page with a WebSocket, event streams and JSON
//! (`tests/corpus/streams`). All but the WebSocket is served with its own bytes. A plain GET never gets the WebSocket
//! entry.

use harproxy_har::Fixture;

use crate::support::client::{Proto, TestRequest, TestResponse};
use crate::support::repo;
use crate::support::sandbox::Sandbox;

const EVENTS: &str = "retry: 10\nid: 1\nevent: price\ndata: {\"item\":1,\"price\":10}\n\n: a comment\nid: 2\nevent: price\n\
                      data: {\"item\":2,\ndata: \"price\":20}\n\nid: 3\ndata: größer\n\n";

fn get(path: &str) -> TestRequest {
    TestRequest::new("GET", &format!("http://app.test{path}"))
}

fn upgrade() -> TestRequest {
    get("/socket")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
}

#[track_caller]
fn assert_served(got: &TestResponse, status: u16, media_type: &str, body: &str) {
    assert!(got.header("x-harproxy").is_some_and(|mark| mark.starts_with("replay; entry=")), "{got:?}");
    assert_eq!((got.status, got.header("content-type").unwrap_or_default(), &*got.text()), (status, media_type, body));
}

/// Repeats the requests of the page, and requests the socket with and without an Upgrade.
fn visit(name: &str, file: &str) {
    let path = repo("tests/corpus/streams").join(name).join(file);
    let fixture = Fixture::open(&path).unwrap();
    assert_eq!(fixture.warnings().len(), 0, "{:?}", fixture.warnings());
    assert_eq!(fixture.heads().iter().filter(|head| head.websocket).count(), 1);

    let sandbox = Sandbox::new();
    let server = sandbox.start(["replay".as_ref(), path.as_os_str()]);
    let client = server.client(Proto::H1);
    let page = client.send(get("/"));
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("new EventSource('/api/events')"));
    assert_served(&client.send(get("/api/items?page=1")), 200, "application/json", r#"{"items":[{"id":1},{"id":2}]}"#);
    let post = |body: &str| {
        TestRequest::new("POST", "http://app.test/api/items").header("content-type", "application/json").body(body)
    };
    assert_served(&client.send(post(r#"{"name":"third"}"#)), 201, "application/json", r#"{"id":3,"name":"third"}"#);
    assert_eq!(client.send(post(r#"{"name":"fourth"}"#)).header("x-harproxy"), Some("miss"));
    // Text without a declared charset is served with its original bytes.
    assert_served(&client.send(get("/api/note")), 200, "text/plain", "größer als 3 €\n");

    // Whole event streams, and the answer to a listener that reconnects.
    for _ in 0..2 {
        assert_served(&client.send(get("/api/ticks")), 200, "text/event-stream", "data: tick\n\ndata: tock\n\n");
    }
    assert_served(
        &client.send(get("/api/events").header("accept", "text/event-stream")),
        200,
        "text/event-stream",
        EVENTS,
    );
    let again = client.send(get("/api/events").header("accept", "text/event-stream").header("last-event-id", "3"));
    assert_served(&again, 204, "", "");

    // A plain request gets the plain answer each time; a WebSocket request never does.
    for _ in 0..3 {
        assert_served(&client.send(get("/socket")), 426, "text/plain", "this is a socket\n");
        let refused = client.send(upgrade());
        assert_eq!((refused.status, refused.header("x-harproxy")), (501, Some("miss")));
        assert_eq!(refused.json()["kind"], "websocket");
    }
    let output = server.stop().expect(1);
    assert!(
        output.stderr.contains("websocket") && output.stderr.contains("POST http://app.test/api/items"),
        "{}",
        output.stderr
    );
}

#[test]
fn playwright_har_with_attached_payloads_is_replayed() {
    visit("playwright-attach", "rec.har");
}

#[test]
fn playwright_har_with_embedded_payloads_is_replayed() {
    visit("playwright-embed", "rec.har");
}

#[test]
fn playwright_zip_is_replayed() {
    visit("playwright-zip", "rec.zip");
}

#[test]
fn mitmproxy_har_is_replayed() {
    visit("mitmproxy", "rec.har");
}
