//! Fixtures are valid on another day, and for another host and port.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::client::{Client, Proto, TestRequest, TestResponse};
use crate::support::origin::Origin;
use crate::support::sandbox::Sandbox;

const TWO_YEARS: Duration = Duration::from_secs(2 * 365 * 24 * 3600);

fn rfc3339(at: SystemTime) -> String {
    OffsetDateTime::from(at).format(&Rfc3339).unwrap()
}

/// The seconds from `now` to the expiry of a login's cookie, by Expires and by Max-Age.
fn cookie_left(login: &TestResponse, now: SystemTime) -> (i64, i64) {
    let cookie = cookie::Cookie::parse(login.header("set-cookie").unwrap()).unwrap();
    let expires = cookie.expires_datetime().unwrap();
    ((expires - OffsetDateTime::from(now)).whole_seconds(), cookie.max_age().unwrap().whole_seconds())
}

fn claims(token: &str) -> Value {
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

fn seconds(at: SystemTime) -> i64 {
    i64::try_from(at.duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

const LOGIN: &str = "https://api.test/api/login";

/// Logs in, and sends a request with the cookie and token of the login.
fn visit(client: &Client) -> (TestResponse, TestResponse) {
    let login = client.send(TestRequest::new("POST", LOGIN).body("user=ada"));
    let cookie = login.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let bearer = format!("Bearer {}", login.json()["access_token"].as_str().unwrap());
    let ask =
        TestRequest::new("GET", "https://api.test/api/json").header("cookie", &cookie).header("authorization", &bearer);
    (login, client.send(ask))
}

#[test]
fn recorded_login_is_valid_two_years_later() {
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    // Without redaction: the origin's token has a placeholder, and the cookie is compared below.
    let args = ["record", "-o", "hars/api.har", "--no-redact"].into_iter().map(str::to_owned).chain(origin.args());
    let recorder = sandbox.start(args);
    let (recorded, _) = visit(&recorder.client(Proto::H1));
    recorder.stop().expect(0);
    origin.stop();
    let lived = claims(recorded.json()["access_token"].as_str().unwrap());

    let now = SystemTime::now() + TWO_YEARS;
    let later = [("HARPROXY_TEST_NOW", &*rfc3339(now))];
    let replay = sandbox.start_with(["replay", "hars/api.har"], &later);
    let (login, answer) = visit(&replay.client(Proto::H1));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(login.header("date"), Some(&*httpdate::fmt_http_date(now)));
    let (expires, max_age) = cookie_left(&login, now);
    // Dates have whole seconds, and the two dates of the recording may differ by one second.
    assert!((3598..=3601).contains(&expires), "it ends {expires} seconds from now");
    assert_eq!(max_age, 3600);
    let claimed = claims(login.json()["access_token"].as_str().unwrap());
    let left = claimed["exp"].as_i64().unwrap() - seconds(now);
    assert!((3598..=3601).contains(&left), "it is valid for {left} seconds");
    for name in ["iat", "nbf"] {
        let moved = claimed[name].as_i64().unwrap() - lived[name].as_i64().unwrap();
        assert!(moved.abs_diff(TWO_YEARS.as_secs() as i64) < 60, "{name} moved by {moved} seconds");
    }
    assert_eq!(claimed["iss"], lived["iss"]);
    replay.stop().expect(0);

    let as_it_was = sandbox.start_with(["replay", "hars/api.har", "--clock", "recorded"], &later);
    let (login, _) = visit(&as_it_was.client(Proto::H1));
    for header in ["date", "set-cookie"] {
        assert_eq!(login.header(header), recorded.header(header));
    }
    assert_eq!(claims(login.json()["access_token"].as_str().unwrap()), lived);
    as_it_was.stop().expect(0);
}

/// Path, status, response headers and body.
type Line<'a> = (&'a str, u16, &'a [(&'a str, &'a str)], &'a str);

/// An own HAR, recorded at its `startedDateTime`.
fn fixture(entries: &[Line<'_>]) -> String {
    let entry = |&(url, status, headers, body): &(&str, u16, &[(&str, &str)], &str)| {
        let headers: Vec<Value> = headers.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        json!({
            "startedDateTime": "2026-11-20T09:30:00.000Z", "time": 1,
            "request": {"method": "GET", "url": url, "httpVersion": "HTTP/1.1", "headers": [], "cookies": [],
                "queryString": [], "headersSize": -1, "bodySize": 0},
            "response": {"status": status, "statusText": "", "httpVersion": "HTTP/1.1", "headers": headers,
                "cookies": [], "content": {"size": body.len(), "mimeType": "", "text": body}, "redirectURL": "",
                "headersSize": -1, "bodySize": -1},
            "cache": {}, "timings": {"send": 0, "wait": 0, "receive": 0},
        })
    };
    let entries: Vec<Value> = entries.iter().map(entry).collect();
    let own = json!({"version": 1, "scope": ["**"]});
    json!({"log": {"version": "1.2", "creator": {"name": "harproxy", "version": "1"}, "_harproxy": own,
        "entries": entries}})
    .to_string()
}

/// {"exp":1795168800}, an hour and a bit after the recording, and the same one day later.
const EXPIRES: [&str; 2] = ["eyJleHAiOjE3OTUxNjg4MDB9", "eyJleHAiOjE3OTUyNTUyMDB9"];

fn token(claims: &str, signature: &str) -> String {
    format!("eyJhbGciOiJIUzI1NiJ9.{claims}.{signature}")
}

#[test]
fn only_tokens_with_a_placeholder_signature_move_with_the_clock() {
    let sandbox = Sandbox::new();
    let [then, then_later] = EXPIRES.map(|claims| token(claims, "REDACTED-token-1"));
    let signed = token(EXPIRES[0], "c2lnbmF0dXJl");
    let json = |token: &str| format!(r#"{{"t":"{token}","signed":"{signed}"}}"#);
    let (form, coded) = (format!("a=1&id_token={then}"), json(&then));
    let har = fixture(&[
        ("https://api.test/json", 200, &[("content-type", "application/json")], &coded),
        ("https://api.test/form", 200, &[("content-type", "application/x-www-form-urlencoded")], &form),
        ("https://api.test/gzip", 200, &[("content-type", "text/plain"), ("content-encoding", "gzip")], &coded),
        ("https://api.test/image", 200, &[("content-type", "image/png")], &then),
        ("https://api.test/head", 204, &[("authorization", &then), ("x-signed", &signed)], ""),
    ]);
    sandbox.write("api.har", har);
    let tomorrow = [("HARPROXY_TEST_NOW", "2026-11-21T09:30:00Z")];
    let replay = sandbox.start_with(["replay", "api.har"], &tomorrow);
    let get = |path: &str| {
        replay
            .client(Proto::H1)
            .send(TestRequest::new("GET", &format!("https://api.test/{path}")).header("accept-encoding", "gzip"))
    };
    assert_eq!(get("json").text(), json(&then_later));
    assert_eq!(get("form").text(), format!("a=1&id_token={then_later}"));
    let gzip = get("gzip");
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    assert_eq!(gzip.decoded(), json(&then_later).as_bytes());
    assert_eq!(get("image").text(), then, "images are not searched for tokens");
    let head = get("head");
    assert_eq!((head.header("authorization"), head.header("x-signed")), (Some(&*then_later), Some(&*signed)));
    replay.stop().expect(0);
}

#[test]
fn invalid_test_time_is_refused() {
    let sandbox = Sandbox::new();
    let output = sandbox.command(["replay", "--", "true"]).env("HARPROXY_TEST_NOW", "tomorrow").output().unwrap();
    crate::support::sandbox::finish(output).expect(2).says("HARPROXY_TEST_NOW").says("2026-11-20T09:30:00Z");
}

#[test]
fn same_host_replays_a_recording_of_another_host_and_port() {
    let sandbox = Sandbox::new();
    let cookie = "sid=1; Domain=staging.example.com; Path=/";
    let har = fixture(&[
        ("https://staging.example.com/old", 302, &[("location", "https://staging.example.com/new?a=1")], ""),
        ("https://staging.example.com/new?a=1", 200, &[("set-cookie", cookie)], "moved"),
        (
            "https://staging.example.com/cors",
            200,
            &[("access-control-allow-origin", "https://staging.example.com"), ("vary", "origin")],
            "shared",
        ),
        ("https://other.example.com/", 302, &[("location", "https://staging.example.com/new?a=1")], ""),
    ]);
    sandbox.write("api.har", har);
    let same = "--same-host=https://staging.example.com=http://localhost:3000";
    let replay = sandbox.start(["replay", "api.har", same]);
    let client = replay.client(Proto::H1);
    let old = client.get("http://localhost:3000/old");
    assert_eq!((old.status, old.header("location")), (302, Some("http://localhost:3000/new?a=1")), "{}", old.text());
    let new = client.get(old.header("location").unwrap());
    assert_eq!((new.status, new.text().as_str()), (200, "moved"));
    assert_eq!(new.header("set-cookie"), Some("sid=1; Domain=localhost; Path=/"));
    let cors = client.get("http://localhost:3000/cors");
    assert_eq!(cors.header("access-control-allow-origin"), Some("http://localhost:3000"));
    let itself = client.get("https://staging.example.com/new?a=1");
    assert_eq!(itself.header("set-cookie"), Some(cookie), "a request to the recorded origin gets the recorded cookie");
    replay.stop().expect(0);
}
