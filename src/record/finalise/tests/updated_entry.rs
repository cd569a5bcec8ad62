//! Changed entries.

use super::*;
use crate::record::Volatile;

/// The removed (`-`) and added (`+`) lines of the HAR after recording these, trimmed.
fn diff(desk: &Desk, talks: &[Talk]) -> Vec<String> {
    let lines = || -> Vec<String> {
        let text = fs::read_to_string(&desk.plan.output).unwrap();
        text.lines().map(|line| line.trim().trim_end_matches(',').to_owned()).collect()
    };
    let before = lines();
    desk.record(talks);
    let after = lines();
    let (mut gone, mut came) = (before.clone(), after.clone());
    for line in &after {
        let _ = gone.iter().position(|known| known == line).map(|at| gone.remove(at));
    }
    for line in &before {
        let _ = came.iter().position(|known| known == line).map(|at| came.remove(at));
    }
    let signed =
        |sign: &str, lines: Vec<String>| lines.into_iter().map(|line| format!("{sign}{line}")).collect::<Vec<_>>();
    [signed("-", gone), signed("+", came)].concat()
}

/// The line of a header. `name` has a sign in front.
fn header(name: &str, value: &str) -> String {
    let (sign, name) = name.split_at(1);
    format!(r#"{sign}{{ "name": "{name}", "value": "{value}" }}"#)
}

fn sizes(sign: &str, redirect: &str, head: u32, body: u32) -> String {
    format!(r#"{sign}"redirectURL": "{redirect}", "headersSize": {head}, "bodySize": {body}"#)
}

fn status(sign: &str, status: u16) -> String {
    format!(r#"{sign}"status": {status}, "statusText": "OK", "httpVersion": "HTTP/1.1""#)
}

fn json_talk(body: &str) -> Talk {
    Talk::get("/a", body).with("content-type", "application/json").with("etag", "\"1\"")
}

/// The same exchange on another day, by another client and connection, which is not a change.
fn later(talk: Talk) -> Talk {
    let request_headers = vec![("host", "api.test".into()), ("user-agent", "another".into())];
    let talk = Talk { started: 86_400_000_000, connection: 7, request_headers, ..talk };
    talk.with("date", "Sat, 21 Nov 2026 10:00:00 GMT").with("x-request-id", "another")
}

#[test]
fn changed_header_changes_one_line() {
    let desk = Desk::new("api.har");
    let talk = || Talk::get("/a", "1").with("x-a", "1").with("x-b", "2").with("x-request-id", "one").with("x-c", "3");
    desk.record(&[talk()]);
    assert_eq!(
        diff(&desk, &[later(talk().with("x-b", "22"))]),
        [header("-x-b", "2"), sizes("-", "", 120, 1), header("+x-b", "22"), sizes("+", "", 121, 1)]
    );
    assert_eq!(diff(&desk, &[later(talk().with("x-b", "33"))]), [header("-x-b", "22"), header("+x-b", "33")]);
}

#[test]
fn headers_are_added_and_removed_in_their_place() {
    let desk = Desk::new("api.har");
    let names = |desk: &Desk| -> Vec<String> {
        let headers = desk.entries()[0]["response"]["headers"].as_array().unwrap().clone();
        headers.iter().map(|field| format!("{}={}", field["name"], field["value"]).replace('"', "")).collect()
    };
    let with = |fields: &[(&'static str, &str)]| {
        let headers = fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Talk { headers, ..Talk::get("/a", "1") }
    };
    desk.record(&[with(&[("age", "1"), ("x-a", "1"), ("x-b", "1"), ("date", "d"), ("x-c", "1")])]);
    desk.record(&[with(&[
        ("x-0", "1"),
        ("x-c", "1"),
        ("age", "7"),
        ("x-new", "1"),
        ("cf-ray", "1"),
        ("x-a", "2"),
        ("x-a", "1"),
    ])]);
    assert_eq!(names(&desk), ["x-0=1", "age=1", "x-new=1", "x-a=2", "x-a=1", "date=d", "x-c=1"]);
}

#[test]
fn payload_headers_change_only_with_their_payload() {
    let mut desk = Desk::new("api.har");
    desk.plan.content = ContentMode::Attach;
    desk.record(&[json_talk(r#"{"n":1,"s":"x"}"#).with("content-length", "15").with("last-modified", "then")]);
    let new = json_talk(r#"{"n":22,"s":"x"}"#).with("content-length", "16").with("last-modified", "now");
    let lines = diff(&desk, &[later(new.with("etag", "\"2\""))]);
    let lines: Vec<&str> = lines.iter().map(|line| line.split(" \"api/").next().unwrap()).collect();
    assert_eq!(
        lines,
        [
            header("-etag", "\\\"1\\\""),
            header("-content-length", "15"),
            "-\"content\": { \"size\": 15, \"mimeType\": \"application/json\", \"_file\":".to_owned(),
            sizes("-", "", 120, 15),
            header("+etag", "\\\"2\\\""),
            header("+content-length", "16"),
            "+\"content\": { \"size\": 16, \"mimeType\": \"application/json\", \"_file\":".to_owned(),
            sizes("+", "", 120, 16),
        ]
    );
}

#[test]
fn volatile_members_keep_their_old_values_when_the_payload_changes() {
    let mut desk = Desk::new("api.har");
    desk.plan.volatile = Volatile { headers: vec!["x-build".into()], json: vec!["$..at".into()] };
    let body =
        |n: u32, at: u32| format!(r#"{{"at":{at},"list":[{{"id":1,"at":{at}}},{{"id":2,"n":{n},"at":[{at}]}}]}}"#);
    desk.record(&[json_talk(&body(1, 1)).with("x-build", "1")]);
    let result = desk.record(&[json_talk(&body(1, 2)).with("x-build", "2")]);
    assert_eq!((result.unchanged, result.changed), (1, 0));
    let result = desk.record(&[json_talk(&body(5, 3)).with("x-build", "3")]);
    assert_eq!((result.unchanged, result.changed), (0, 1));
    assert_eq!(desk.story(), [format!("/a {}", body(5, 1))]);
    let headers = desk.entries()[0]["response"]["headers"].to_string();
    assert!(headers.contains(r#"{"name":"x-build","value":"1"}"#), "{headers}");
    desk.plan.volatile.json = vec!["$[".into()];
    assert!(matches!(check(&desk.plan), Err(Error::Volatile(_))));
}

#[test]
fn json_order_and_white_space_are_not_a_change_but_indentation_is() {
    let desk = Desk::new("api.har");
    desk.record(&[json_talk(r#"{"a":1,"b":[1,2]}"#)]);
    assert_eq!(desk.record(&[json_talk(r#"{"b":[1,2],"a":1}"#)]).unchanged, 1);
    assert_eq!(desk.record(&[json_talk("{\"a\": 1, \"b\": [1, 2]}\n")]).changed, 1);
    assert_eq!(desk.story(), ["/a {\"a\": 1, \"b\": [1, 2]}\n"]);
    assert_eq!(desk.record(&[json_talk("{\"b\": [1, 2],\n \"a\": 1}")]).unchanged, 1);
    assert_eq!(desk.record(&[json_talk("{\"a\": 1, \"b\": [2, 1]}")]).changed, 1);
    assert_eq!(desk.record(&[Talk::get("/a", "{}")]).changed, 1);
}

#[test]
fn token_claims_are_a_change_unless_they_are_times() {
    use base64::Engine;
    let token = |claims: &str, n: u32| {
        let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.REDACTED-token-{n}", part(r#"{"alg":"none"}"#), part(claims))
    };
    let desk = Desk::new("api.har");
    let body = |token: &str, user: &str| format!(r#"{{"token":"{token}","expires_in":1,"user":"{user}"}}"#);
    let (old, new) = (token(r#"{"exp":1000}"#, 1), token(r#"{"exp":2000}"#, 2));
    desk.record(&[json_talk(&body(&old, "ada")).with("x-token", &old)]);
    assert_eq!(desk.record(&[json_talk(&body(&new, "ada")).with("x-token", &new)]).unchanged, 1);
    assert_eq!(desk.record(&[json_talk(&body(&new, "eva")).with("x-token", &new)]).changed, 1);
    assert_eq!(desk.story(), [format!("/a {}", body(&old, "eva"))]);
    assert!(desk.entries()[0]["response"]["headers"].to_string().contains(&old));
}

#[test]
fn cookies_are_compared_without_their_expiry() {
    let desk = Desk::new("api.har");
    let talk = |a: &str, b: &str| {
        let mut talk = Talk::get("/a", "1");
        talk.headers.extend([("set-cookie", a.to_owned()), ("set-cookie", b.to_owned())]);
        talk
    };
    let ends = |day: u32| format!("a=1; Expires=Sun, {day} Nov 2026 10:00:00 GMT");
    desk.record(&[talk(&ends(22), "b=2; Max-Age=10")]);
    assert_eq!(desk.record(&[talk(&ends(29), "b=2; Max-Age=9")]).unchanged, 1);
    let lines = diff(&desk, &[talk(&ends(29), "b=3; Max-Age=9")]);
    assert_eq!(
        lines,
        [
            header("-b", "2"),
            header("-set-cookie", "b=2; Max-Age=10"),
            sizes("-", "", 120, 1),
            header("+b", "3"),
            header("+set-cookie", "b=3; Max-Age=9"),
            sizes("+", "", 119, 1),
        ]
    );
    assert_eq!(desk.record(&[talk(&ends(29), "b=3; Max-Age=0")]).changed, 1, "that takes it away");
}

#[test]
fn status_reason_location_and_trailers_are_replaced() {
    let desk = Desk::new("api.har");
    desk.record(&[Talk { trailers: vec![("x-sum", "1".into())], ..Talk::get("/a", "1").with("location", "/x") }]);
    let moved = Talk {
        status: Some(301),
        trailers: vec![("x-sum", "2".into())],
        ..Talk::get("/a", "1").with("location", "/y")
    };
    assert_eq!(
        diff(&desk, &[later(moved)]),
        [
            status("-", 200),
            header("-location", "/x"),
            sizes("-", "/x", 120, 1),
            header("-x-sum", "1"),
            status("+", 301),
            header("+location", "/y"),
            sizes("+", "/y", 120, 1),
            header("+x-sum", "2"),
        ]
    );
    let http2 = Talk { status: Some(302), version: WireVersion::Http2, ..Talk::get("/a", "1").with("location", "/y") };
    desk.record(&[http2]);
    let response = &desk.entries()[0]["response"];
    assert_eq!((response["httpVersion"].as_str(), response["status"].as_i64()), (Some("HTTP/1.1"), Some(302)));
    assert!(response.get("_trailers").is_none());
}

#[test]
fn response_after_a_failure_replaces_all_but_the_request() {
    let desk = Desk::new("api.har");
    let failed = EndReason::Failed { kind: "refused".into(), message: "connecting".into() };
    desk.record(&[Talk { status: None, received: vec![], reason: Some(failed), ..Talk::get("/a", "") }]);
    let text = fs::read_to_string(&desk.plan.output).unwrap();
    fs::write(&desk.plan.output, text.replace("\"cache\": {}", "\"cache\": {},\n        \"comment\": \"mine\""))
        .unwrap();
    assert_eq!(desk.record(&[later(Talk::get("/a", "up"))]).changed, 1);
    let entry = &desk.entries()[0];
    assert_eq!((entry["response"]["status"].as_i64(), entry["comment"].as_str()), (Some(200), Some("mine")));
    assert_eq!(entry["response"]["content"]["mimeType"], "text/plain");
    assert_eq!((entry["startedDateTime"].as_str(), entry.get("_harproxy")), (Some("2026-11-21T10:00:00.001Z"), None));
    assert_eq!(entry["request"]["headers"][1]["name"], "accept");
}

#[test]
fn members_of_other_tools_survive_a_change() {
    let desk = Desk::new("api.har");
    desk.record(&[json_talk(r#"{"n":1}"#)]);
    let text = fs::read_to_string(&desk.plan.output).unwrap();
    let mine = |name: &str| format!("\"{name}\", \"comment\": \"mine\"");
    let text = text.replace("\"accept\"", &mine("accept")).replace("\"etag\"", &mine("etag"));
    let text = text.replace("\"mimeType\": ", "\"_of\": [ 1,2 ], \"compression\": 3, \"mimeType\": ");
    let text =
        text.replace("\"send\"", "\"_queued\": 1.50, \"send\"").replace("\"status\"", "\"comment\": \"r\", \"status\"");
    let text = text
        .replace("\"log\": {", "\"_top\": 1,\n  \"log\": {")
        .replace("\"version\": \"1.2\"", "\"version\": \"1.2\",\n    \"comment\": \"c\"");
    fs::write(&desk.plan.output, &text).unwrap();
    assert_eq!(desk.record(&[later(json_talk(r#"{"n":1}"#))]).unchanged, 1);
    assert_eq!(fs::read_to_string(&desk.plan.output).unwrap(), text);
    assert_eq!(desk.record(&[later(json_talk(r#"{"n":2}"#))]).changed, 1);
    let changed = fs::read_to_string(&desk.plan.output).unwrap();
    let entry = |text: &str| text[text.find("startedDateTime").unwrap()..text.find("connection\"").unwrap()].to_owned();
    assert_eq!(entry(&changed), entry(&text).replace(r#"{\"n\":1}"#, r#"{\"n\":2}"#));
    assert!(changed.contains("\"_top\"") && changed.contains("\"comment\": \"c\""), "{changed}");
}

#[test]
fn changed_payload_keeps_its_manual_layout() {
    let mut desk = Desk::new("api.har");
    desk.plan.content = ContentMode::Attach;
    desk.record(&[json_talk(r#"{"a":[1,2],"b":{"c":1},"d":1}"#)]);
    let payload =
        |desk: &Desk| desk.dir.path().join(desk.entries()[0]["response"]["content"]["_file"].as_str().unwrap());
    fs::write(payload(&desk), "{\n\t\"a\": [ 1, 2 ],\n\n\t\"b\": { \"c\": 1 },\n\t\"d\": 1\n}").unwrap();
    let before = desk.bytes();
    assert_eq!(desk.record(&[json_talk(r#"{"a":[1,2],"b":{"c":1},"d":1}"#)]).unchanged, 1);
    assert_eq!(desk.bytes(), before);
    assert_eq!(desk.record(&[json_talk(r#"{"a":[1,2],"b":{"c":2},"d":1}"#)]).changed, 1);
    let text = fs::read_to_string(payload(&desk)).unwrap();
    assert_eq!(text, "{\n\t\"a\": [ 1, 2 ],\n\n\t\"b\": { \"c\": 2 },\n\t\"d\": 1\n}");
    assert_eq!(fs::read_dir(desk.dir.path().join("api")).unwrap().count(), 1, "the old payload is gone");
    // With `--json-layout wire`, the payload is stored as received.
    desk.plan.json_layout = harproxy_har::write::JsonLayout::Wire;
    desk.record(&[json_talk(r#"{"d":1,"e":2}"#)]);
    assert_eq!(fs::read_to_string(payload(&desk)).unwrap(), r#"{"d":1,"e":2}"#);
}

#[test]
fn manual_edit_that_the_api_does_not_share_is_replaced() {
    let mut desk = Desk::new("api.har");
    desk.plan.content = ContentMode::Attach;
    desk.record(&[json_talk(r#"{"a":1,"b":2}"#), Talk::get("/b", "text")]);
    let before = desk.bytes();
    let payload =
        |at: usize| desk.dir.path().join(desk.entries()[at]["response"]["content"]["_file"].as_str().unwrap());
    fs::write(payload(0), "{\n  \"a\": 7,\n  \"b\": 2\n}\n").unwrap();
    fs::write(payload(1), "edited").unwrap();
    let result = desk.record(&[json_talk(r#"{"a":1,"b":2}"#), Talk::get("/b", "text")]);
    assert_eq!(result.changed, 2);
    assert_eq!(desk.bytes(), before, "what the API says, under the name that it had");
}

#[test]
fn truncated_or_invalid_json_payload_is_replaced_whole() {
    let mut desk = Desk::new("api.har");
    desk.record(&[json_talk(r#"{"a":1}"#), Talk::get("/b", "old")]);
    let cut = Talk { reason: Some(EndReason::UpstreamDied), ..json_talk(r#"{"a":"#) };
    assert_eq!(desk.record(&[cut, Talk::get("/b", "new")]).changed, 2);
    assert_eq!(desk.story(), [r#"/a {"a":"#, "/b new"]);
    assert_eq!(desk.entries()[0]["response"]["content"]["_truncated"]["reason"], "upstream-died");
    desk.record(&[json_talk(r#"{"a":2}"#)]);
    assert_eq!(desk.entries()[0]["response"]["content"].get("_truncated"), None);
    let packed = Talk { received: vec![gzip(r#"{"a":3}"#)], ..json_talk("").with("content-encoding", "gzip") };
    desk.record(&[packed]);
    assert_eq!(desk.story()[0], r#"/a {"a":3}"#);
    desk.plan.content = ContentMode::Omit;
    desk.record(&[json_talk(r#"{"a":4}"#)]);
    assert_eq!(desk.story()[0], "/a ");
}

#[test]
fn head_response_is_compared_by_its_content_length() {
    let desk = Desk::new("api.har");
    let head =
        |length: &str| Talk { method: "HEAD", received: vec![], ..Talk::get("/a", "").with("content-length", length) };
    desk.record(&[head("10")]);
    assert_eq!(desk.record(&[later(head("10"))]).unchanged, 1);
    assert_eq!(diff(&desk, &[later(head("11"))]), [header("-content-length", "10"), header("+content-length", "11")]);
}
