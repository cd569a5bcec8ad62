//! Tests of prepared responses, made from fixtures on disk.

use std::io::Read;
use std::time::SystemTime;

use ::http::{Method, Version};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::*;
use harproxy_har::Fixture;
use harproxy_http::NormalUrl;
use harproxy_matching::EntryRef;
use harproxy_matching::SameHost;

/// The prepared response of a fixture with one entry.
struct Case {
    _folder: tempfile::TempDir,
    chosen: Chosen,
    prepared: Arc<Prepared>,
}

/// A case for GET with these members in `response`.
fn case(response: Value) -> Case {
    case_of("GET", json!([{"name": "Accept-Encoding", "value": "gzip, br, zstd, deflate"}]), response, Clock::Recorded)
}

fn case_of(method: &str, request_headers: Value, response: Value, clock: Clock) -> Case {
    let mut entry = json!({
        "startedDateTime": "2015-10-21T07:28:00.000Z",
        "time": 1,
        "request": {"method": method, "url": "https://h/x", "httpVersion": "HTTP/1.1", "headers": request_headers,
            "cookies": [], "queryString": [], "headersSize": -1, "bodySize": 0},
        "response": {"status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "headers": [], "cookies": [],
            "content": {"size": 0, "mimeType": ""}, "redirectURL": "", "headersSize": -1, "bodySize": -1},
        "cache": {},
        "timings": {"send": 0, "wait": 0, "receive": 0},
    });
    for (name, value) in response.as_object().unwrap() {
        entry["response"][name] = value.clone();
    }
    let har = json!({"log": {"version": "1.2", "creator": {"name": "harproxy", "version": "1"},
        "_harproxy": {"version": 1, "scope": ["**"]}, "entries": [entry]}});
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.har");
    std::fs::write(&path, har.to_string()).unwrap();
    let fixture = Fixture::open(&path).unwrap();
    let entry = fixture.entry(0).unwrap();
    let payload = fixture.payload(0, &entry.response.content).unwrap();
    let mark = Some(HeaderValue::from_static("replay; entry=api.har#0"));
    let context = EntryContext { own: fixture.is_own(), mark, clock, latency: Latency::None };
    let prepared = Prepared::of(&entry, payload, &context).unwrap();
    let status = u16::try_from(entry.response.status).unwrap();
    let at = EntryRef { fixture: 0, entry: 0 };
    let (followed, cookies, location, same_host) = Default::default();
    let chosen = Chosen { at, score: 0, followed, cookies, status, location, same_host, guess: None, echoed: vec![] };
    Case { _folder: folder, chosen, prepared: Arc::new(prepared) }
}

/// A request to a case.
#[derive(Clone)]
struct TestRequest {
    method: Method,
    version: Version,
    headers: Vec<(&'static str, &'static str)>,
}

fn get(headers: &[(&'static str, &'static str)]) -> TestRequest {
    TestRequest { method: Method::GET, version: Version::HTTP_11, headers: headers.to_vec() }
}

impl Case {
    async fn send(&self, request: &TestRequest) -> ServedResponse {
        let url = NormalUrl::parse("https://h/x").unwrap();
        let headers = request.headers.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_500_000_000);
        let asked = Asked { method: &request.method, version: request.version, now, ..Asked::get(&url, &headers) };
        self.prepared.send(&self.chosen, &asked).await.unwrap()
    }
}

fn fields(headers: &HeaderMap) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
}

async fn bytes(sent: ServedResponse) -> Bytes {
    sent.response.into_body().collect().await.unwrap().to_bytes()
}

fn decode(coding: Coding, bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    coding::decoder(&[coding], Box::new(std::io::Cursor::new(bytes.to_vec()))).read_to_end(&mut plain).unwrap();
    plain
}

const TEXT: &str = "a text that is worth a coding, a text that is worth a coding, a text that is worth a coding";

fn coded(coding: &str) -> Value {
    json!({
        "headers": [
            {"name": "content-type", "value": "text/plain"},
            {"name": "content-encoding", "value": coding},
            {"name": "vary", "value": "accept-encoding"},
            {"name": "content-length", "value": "77"},
            {"name": "content-md5", "value": "of the coded bytes"},
            {"name": "etag", "value": "\"1\""},
        ],
        "content": {"size": TEXT.len(), "mimeType": "text/plain", "text": TEXT},
    })
}

#[tokio::test]
async fn response_has_the_recorded_status_reason_and_headers_in_order() {
    let case = case(json!({
        "status": 418, "statusText": "Fine Indeed",
        "headers": [
            {"name": "X-One", "value": "1"},
            {"name": "set-cookie", "value": "a=1"},
            {"name": "x-two", "value": "2"},
            {"name": "set-cookie", "value": "b=2"},
            {"name": "x-one", "value": "again"},
        ],
        "content": {"size": 2, "mimeType": "text/plain", "text": "hi"},
    }));
    let sent = case.send(&get(&[])).await;
    assert_eq!(sent.response.status(), 418);
    assert_eq!(sent.response.extensions().get::<ReasonPhrase>().unwrap().as_bytes(), b"Fine Indeed");
    assert_eq!(
        fields(sent.response.headers()),
        [
            ("x-one", "1"),
            ("x-one", "again"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("x-two", "2"),
            ("x-harproxy", "replay; entry=api.har#0"),
        ]
    );
    assert_eq!((sent.bytes, bytes(sent).await), (2, Bytes::from("hi")));
}

#[tokio::test]
async fn canonical_reason_phrase_is_not_stored() {
    for (status, text, said) in
        [(200, "OK", false), (200, "", true), (200, "Okay", true), (404, "OK", true), (299, "", true)]
    {
        let sent = case(json!({"status": status, "statusText": text})).send(&get(&[])).await;
        assert_eq!(sent.response.extensions().get::<ReasonPhrase>().is_some(), said, "{status} {text}");
    }
}

#[tokio::test]
async fn framing_hop_by_hop_and_invalid_headers_are_left_out() {
    let case = case(json!({
        "headers": [
            {"name": "Connection", "value": "close, X-Hop"},
            {"name": "x-hop", "value": "of this connection"},
            {"name": "Transfer-Encoding", "value": "chunked"},
            {"name": "Content-Length", "value": "9999"},
            {"name": "Keep-Alive", "value": "timeout=5"},
            {"name": "Proxy-Connection", "value": "keep-alive"},
            {"name": "not a name", "value": "1"},
            {"name": "x-bad", "value": "a\u{0}b"},
            {"name": "x-good", "value": "1"},
        ],
        "content": {"size": 2, "mimeType": "text/plain", "text": "hi"},
    }));
    let sent = case.send(&get(&[])).await;
    assert_eq!(fields(sent.response.headers()), [("x-good", "1"), ("x-harproxy", "replay; entry=api.har#0")]);
    assert_eq!(http_body::Body::size_hint(sent.response.body()).exact(), Some(2));
}

#[tokio::test]
async fn payload_is_encoded_only_for_clients_that_accept_the_coding() {
    for (name, coding) in
        [("gzip", Coding::Gzip), ("br", Coding::Brotli), ("zstd", Coding::Zstd), ("deflate", Coding::Deflate)]
    {
        let case = case(coded(name));
        let kept = case.send(&get(&[("accept-encoding", "gzip, deflate, br, zstd")])).await;
        assert_eq!(
            fields(kept.response.headers()),
            [
                ("content-type", "text/plain"),
                ("content-encoding", name),
                ("vary", "accept-encoding"),
                ("etag", "\"1\""),
                ("x-harproxy", "replay; entry=api.har#0"),
            ]
        );
        assert_eq!(decode(coding, &bytes(kept).await), TEXT.as_bytes(), "{name}");
        for refuses in ["identity", "*;q=0", "x-other"] {
            let plain = case.send(&get(&[("accept-encoding", refuses)])).await;
            assert!(!plain.response.headers().contains_key("content-encoding"), "{name} {refuses}");
            assert_eq!(plain.response.headers()["vary"], "accept-encoding");
            assert_eq!(bytes(plain).await, TEXT, "{name} {refuses}");
        }
    }
}

#[tokio::test]
async fn encoded_payload_is_made_once() {
    let case = case(coded("gzip"));
    let request = get(&[("accept-encoding", "gzip")]);
    let (one, two) = (bytes(case.send(&request).await).await, bytes(case.send(&request).await).await);
    assert_eq!(one.as_ptr(), two.as_ptr(), "the very same bytes");
}

#[tokio::test]
async fn client_without_accept_encoding_gets_what_such_a_client_got_when_recorded() {
    let silent = get(&[]);
    let asked_for = case(coded("gzip"));
    assert_eq!(bytes(asked_for.send(&silent).await).await, TEXT, "the recorded client accepted gzip");
    let unasked = case_of("GET", json!([]), coded("gzip"), Clock::Recorded);
    let sent = unasked.send(&silent).await;
    assert_eq!(sent.response.headers()["content-encoding"], "gzip", "as recorded");
    assert_eq!(decode(Coding::Gzip, &bytes(sent).await), TEXT.as_bytes());
}

#[tokio::test]
async fn chain_of_codings_is_applied_completely_or_not_at_all() {
    let case = case(coded("gzip, br"));
    let both = bytes(case.send(&get(&[("accept-encoding", "br, gzip")])).await).await;
    assert_eq!(decode(Coding::Gzip, &decode(Coding::Brotli, &both)), TEXT.as_bytes());
    let sent = case.send(&get(&[("accept-encoding", "br")])).await;
    assert!(!sent.response.headers().contains_key("content-encoding"));
    assert_eq!(bytes(sent).await, TEXT);
}

#[tokio::test]
async fn payload_with_an_unknown_coding_is_sent_decoded() {
    let sent = case(coded("x-own")).send(&get(&[("accept-encoding", "x-own, *")])).await;
    assert!(!sent.response.headers().contains_key("content-encoding"));
    assert_eq!(bytes(sent).await, TEXT);
}

#[tokio::test]
async fn payload_stored_encoded_is_sent_as_stored() {
    let case = case(json!({
        "headers": [{"name": "content-encoding", "value": "gzip"}],
        "content": {"size": 3, "mimeType": "text/plain", "text": "not", "_encoded": true},
    }));
    for accepts in ["gzip", "identity"] {
        let sent = case.send(&get(&[("accept-encoding", accepts)])).await;
        assert_eq!(sent.response.headers()["content-encoding"], "gzip", "{accepts}");
        assert_eq!(bytes(sent).await, "not");
    }
}

#[tokio::test]
async fn head_request_gets_the_recorded_length_and_no_body() {
    let head = |headers: &[(&'static str, &'static str)]| TestRequest { method: Method::HEAD, ..get(headers) };
    let plain = json!({"headers": [{"name": "content-length", "value": "1234"}]});
    let case = case_of("HEAD", json!([]), plain, Clock::Recorded);
    let sent = case.send(&head(&[])).await;
    assert_eq!(sent.response.headers()["content-length"], "1234");
    assert!(http_body::Body::is_end_stream(sent.response.body()));
    let sized = json!([{"name": "accept-encoding", "value": "gzip"}]);
    let coded = case_of("HEAD", sized, coded("gzip"), Clock::Recorded);
    let kept = coded.send(&head(&[("accept-encoding", "gzip")])).await;
    assert_eq!(kept.response.headers()["content-encoding"], "gzip");
    assert_eq!(kept.response.headers()["content-length"], "77", "the length of the encoded form");
    let plain = coded.send(&head(&[])).await;
    assert!(!plain.response.headers().contains_key("content-length"), "the length of the identity form is unknown");
    assert!(http_body::Body::is_end_stream(plain.response.body()));
}

#[tokio::test]
async fn status_204_and_304_have_no_body() {
    for status in [204, 304] {
        let case = case(json!({
            "status": status, "statusText": "",
            "content": {"size": 3, "mimeType": "text/plain", "text": "old"},
        }));
        let sent = case.send(&get(&[])).await;
        assert_eq!((sent.response.status().as_u16(), sent.bytes), (status, 0));
        assert!(http_body::Body::is_end_stream(sent.response.body()));
    }
}

#[tokio::test]
async fn recorded_304_with_a_cached_body_is_sent_as_200_if_matching_chose_so() {
    let mut case = case(json!({
        "status": 304, "statusText": "Not At All",
        "content": {"size": 3, "mimeType": "text/plain", "text": "old"},
    }));
    case.chosen.status = 200;
    let sent = case.send(&get(&[])).await;
    assert_eq!(sent.response.status(), 200);
    assert!(sent.response.extensions().get::<ReasonPhrase>().is_none(), "the reason belongs to the 304");
    assert_eq!(bytes(sent).await, "old");
}

#[tokio::test]
async fn trailers_are_sent_to_clients_that_accept_them() {
    let case = case(json!({
        "content": {"size": 2, "mimeType": "text/plain", "text": "hi"},
        "_trailers": [{"name": "X-Sum", "value": "7"}, {"name": "grpc-status", "value": "0"}],
    }));
    let http2 = TestRequest { version: Version::HTTP_2, ..get(&[]) };
    for (request, announced) in [(get(&[("te", "trailers")]), true), (http2, false)] {
        let sent = case.send(&request).await;
        let trailer = sent.response.headers().get("trailer").map(|value| value.to_str().unwrap());
        assert_eq!(trailer, announced.then_some("x-sum, grpc-status"));
        let all = sent.response.into_body().collect().await.unwrap();
        assert_eq!(fields(all.trailers().unwrap()), [("x-sum", "7"), ("grpc-status", "0")]);
        assert_eq!(all.to_bytes(), "hi");
    }
    let http10 = TestRequest { version: Version::HTTP_10, ..get(&[("te", "trailers")]) };
    for request in [get(&[]), http10] {
        let sent = case.send(&request).await;
        assert!(!sent.response.headers().contains_key("trailer"));
        assert!(sent.response.into_body().collect().await.unwrap().trailers().is_none());
    }
}

#[tokio::test]
async fn recorded_trailer_header_is_replaced_only_if_it_lacks_a_trailer() {
    for (recorded, sent) in [("X-Sum, Grpc-Status", "X-Sum, Grpc-Status"), ("X-Sum", "x-sum, grpc-status")] {
        let case = case(json!({
            "headers": [{"name": "trailer", "value": recorded}, {"name": "x-last", "value": "1"}],
            "_trailers": [{"name": "X-Sum", "value": "7"}, {"name": "grpc-status", "value": "0"}],
        }));
        let headers = case.send(&get(&[("te", "trailers")])).await.response.headers().clone();
        assert_eq!(fields(&headers)[..2], [("trailer", sent), ("x-last", "1")]);
    }
}

fn truncated(reason: &str) -> Case {
    case(json!({
        "headers": [{"name": "content-length", "value": "10"}],
        "content": {"size": 3, "mimeType": "text/plain", "text": "abc",
            "_truncated": {"reason": reason, "kept": 3, "total": 10}},
    }))
}

#[tokio::test]
async fn truncated_payload_breaks_off_after_the_recorded_bytes() {
    let sent = truncated("upstream-died").send(&get(&[])).await;
    assert_eq!(sent.truncated.as_ref().unwrap().reason, "upstream-died");
    let mut body = sent.response.into_body();
    assert_eq!(http_body::Body::size_hint(&body).exact(), Some(10), "the recorded length");
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "abc");
    assert!(body.frame().await.unwrap().is_err());
}

#[tokio::test]
async fn payload_cut_by_max_body_is_a_complete_short_body() {
    let sent = truncated("max-body").send(&get(&[])).await;
    assert!(sent.truncated.is_some(), "it is still a finding");
    assert_eq!(bytes(sent).await, "abc");
}

#[tokio::test]
async fn cookies_of_followed_redirects_come_first() {
    let mut case = case(json!({
        "headers": [
            {"name": "set-cookie", "value": "a=final"},
            {"name": "x-last", "value": "1"},
        ],
    }));
    case.chosen.cookies = vec!["a=hop".into(), "b=hop".into()];
    let sent = case.send(&get(&[])).await;
    assert_eq!(
        fields(sent.response.headers())[..4],
        [("set-cookie", "a=hop"), ("set-cookie", "b=hop"), ("set-cookie", "a=final"), ("x-last", "1")]
    );
}

#[tokio::test]
async fn location_after_followed_redirects_is_absolute() {
    let mut case = case(json!({
        "status": 302, "statusText": "Found",
        "headers": [{"name": "location", "value": "next"}],
    }));
    case.chosen.location = Some("https://h/deep/next".into());
    let itself = case.send(&get(&[])).await;
    assert_eq!(itself.response.headers()["location"], "next", "as recorded");
    case.chosen.followed = vec![EntryRef { fixture: 0, entry: 7 }];
    let after = case.send(&get(&[])).await;
    assert_eq!(after.response.headers()["location"], "https://h/deep/next");
}

#[tokio::test]
async fn location_names_the_requested_origin_with_same_host() {
    let mut case = case(json!({
        "status": 302, "statusText": "Found",
        "headers": [{"name": "location", "value": "https://h/next"}],
    }));
    case.chosen.same_host = Some(SameHost { recorded: "https://h".into(), asked: "http://localhost:3000".into() });
    let sent = case.send(&get(&[])).await;
    assert_eq!(sent.response.headers()["location"], "http://localhost:3000/next");
}

#[tokio::test]
async fn dates_move_with_clock_shift_and_stay_with_clock_recorded() {
    let answer = json!({"headers": [
        {"name": "date", "value": "Wed, 21 Oct 2015 07:28:00 GMT"},
        {"name": "expires", "value": "Wed, 21 Oct 2015 07:29:00 GMT"},
    ]});
    let moved = case_of("GET", json!([]), answer.clone(), Clock::Shift).send(&get(&[])).await;
    assert_eq!(moved.response.headers()["date"], "Fri, 14 Jul 2017 02:40:00 GMT");
    assert_eq!(moved.response.headers()["expires"], "Fri, 14 Jul 2017 02:41:00 GMT");
    let stays = case_of("GET", json!([]), answer, Clock::Recorded).send(&get(&[])).await;
    assert_eq!(stays.response.headers()["date"], "Wed, 21 Oct 2015 07:28:00 GMT");
}

#[test]
fn weight_is_the_memory_of_payload_and_headers() {
    let text = "x".repeat(10_000);
    let case = case(json!({"content": {"size": text.len(), "mimeType": "text/plain", "text": text}}));
    assert!((10_000..12_000).contains(&case.prepared.weight()));
}
