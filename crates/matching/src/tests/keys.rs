//! What must be equal: method, URL, payload, required headers.

use super::*;

const URL: &str = "https://a.test/x";

fn under(mode: MatchBody) -> Options {
    Options { match_body: mode, ..Options::default() }
}

#[test]
fn method_and_url_are_exact() {
    let shelf = shelf(Own, [get("https://a.test/x?a=1&b=2"), asked("get", URL)], Options::default());
    assert_eq!(shelf.entry(&ask("GET", "https://A.test:443/y/../x?a=1&b=2#top")), Some(0));
    assert_eq!(shelf.entry(&ask("GET", "https://a.test/x?b=2&a=1")), None);
    assert_eq!(shelf.entry(&ask("GET", URL)), None);
    assert_eq!(shelf.entry(&ask("get", URL)), Some(1));
}

#[test]
fn ignored_query_names_are_not_compared() {
    let options = Options { ignore_query: strings(&["ts", "_"]), ..Options::default() };
    let shelf = shelf(Own, [get("https://a.test/x?ts=1&a=1"), get("https://a.test/y")], options);
    for url in ["https://a.test/x?a=1", "https://a.test/x?_=9&a=1&ts=2&ts=3"] {
        assert_eq!(shelf.entry(&ask("GET", url)), Some(0), "{url}");
    }
    assert_eq!(shelf.entry(&ask("GET", "https://a.test/y?ts=5")), Some(1));
    assert_eq!(shelf.entry(&ask("GET", "https://a.test/x?a=2&ts=1")), None);
}

#[test]
fn same_hosts_match_and_the_outcome_names_the_recorded_one() {
    let pair = ("https://staging.test".to_owned(), "http://localhost:*".to_owned());
    let options = Options { same_host: vec![pair], ..Options::default() };
    let shelf = shelf(Foreign, [get("https://staging.test/x")], options);
    let outcome = shelf.answer(&ask("GET", "http://localhost:3000/x"));
    let hosts = chosen(&outcome).unwrap().same_host.clone().unwrap();
    assert_eq!((&*hosts.recorded, &*hosts.asked), ("https://staging.test", "http://localhost:3000"));
    let outcome = shelf.answer(&ask("GET", "https://staging.test/x"));
    assert_eq!(chosen(&outcome).unwrap().same_host, None);
    assert_eq!(shelf.entry(&ask("GET", "http://other:3000/x")), None);
    assert!(shelf.matcher.in_scope(&NormalUrl::parse("http://localhost:1/y").unwrap()));
    assert!(!shelf.matcher.in_scope(&NormalUrl::parse("http://other/y").unwrap()));
}

#[test]
fn payload_is_compared_for_every_method() {
    let shelf = shelf(
        Own,
        [asked("PUT", URL).sent("text/plain", "one"), asked("PUT", URL).sent("text/plain", "two"), asked("PUT", URL)],
        Options::default(),
    );
    assert_eq!(shelf.entry(&ask("PUT", URL).body("text/plain", "two")), Some(1));
    assert_eq!(shelf.entry(&ask("PUT", URL).body("application/json", "one")), Some(0));
    assert_eq!(shelf.entry(&ask("PUT", URL).body("text/plain", "")), Some(2), "zero bytes are none");
    assert_eq!(shelf.entry(&ask("PUT", URL).body("text/plain", "three")), None);
}

#[test]
fn missing_payload_is_empty_in_an_own_har_and_unknown_in_a_foreign_one() {
    let own = shelf(Own, [asked("POST", URL)], Options::default());
    assert_eq!(own.entry(&ask("POST", URL).json("{}")), None);
    assert_eq!(own.entry(&ask("POST", URL)), Some(0));
    let foreign = shelf(Foreign, [asked("POST", URL)], Options::default());
    assert_eq!(foreign.entry(&ask("POST", URL).json("{}")), Some(0));
    assert_eq!(foreign.entry(&ask("POST", URL)), Some(0));
}

#[test]
fn content_encoding_is_decoded_before_comparison() {
    use std::io::Write;
    let body = r#"{"a":1}"#;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(body.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let shelf = shelf(Own, [post(URL, body)], Options::default());
    assert_eq!(shelf.entry(&ask("POST", URL).json(body)), Some(0));
    assert_eq!(
        shelf.entry(&ask("POST", URL).body("application/json", gzip.clone()).with("content-encoding", "gzip")),
        Some(0)
    );
    assert_eq!(shelf.entry(&ask("POST", URL).body("application/json", gzip)), None, "nothing says that it is gzip");
    assert_eq!(
        shelf.entry(&ask("POST", URL).json(body).with("content-encoding", "gzip")),
        Some(0),
        "what does not decode"
    );
}

#[test]
fn framing_is_not_compared() {
    let recorded = post(URL, "{}").with("content-length", "2").with("expect", "100-continue");
    let shelf = shelf(Own, [recorded], Options::default());
    let framed = ask("POST", URL).json("{}").with("transfer-encoding", "chunked");
    assert_eq!(shelf.entry(&framed), Some(0));
}

#[test]
fn json_is_equal_by_value() {
    let shelf = shelf(Own, [post(URL, r#"{"a":1,"b":[1,{"c":"é"}]}"#)], under(MatchBody::Json));
    for equal in [r#"{ "b": [ 1, {"c": "\u00e9"} ], "a": 1.0 }"#, r#"{"a":1,"b":[1,{"c":"é"}]}"#] {
        assert_eq!(shelf.entry(&ask("POST", URL).json(equal)), Some(0), "{equal}");
    }
    for other in [r#"{"a":1,"b":[{"c":"é"},1]}"#, r#"{"a":"1","b":[1,{"c":"é"}]}"#, r#"{"a":1}"#, "a", "[]"] {
        assert_eq!(shelf.entry(&ask("POST", URL).json(other)), None, "{other}");
    }
}

#[test]
fn exact_mode_compares_json_as_bytes() {
    let shelf = shelf(Own, [post(URL, r#"{"a":1}"#)], Options::default());
    assert_eq!(shelf.entry(&ask("POST", URL).json(r#"{"a": 1}"#)), None);
}

#[test]
fn graphql_white_space_is_ignored_only_in_json_mode() {
    let recorded = r#"{"query":"query Q($id: ID!) {\n  user(id: $id) {\n    name\n  }\n}","variables":{"id":"1"}}"#;
    let folded = r#"{"variables":{"id":"1"},"query":"query Q($id: ID!) { user(id: $id) { name } }"}"#;
    let other = r#"{"variables":{"id":"2"},"query":"query Q($id: ID!) { user(id: $id) { name } }"}"#;
    let json = shelf(Own, [post(URL, recorded)], under(MatchBody::Json));
    assert_eq!(json.entry(&ask("POST", URL).json(folded)), Some(0));
    assert_eq!(json.entry(&ask("POST", URL).json(&format!("[{folded}]"))), None);
    assert_eq!(json.entry(&ask("POST", URL).json(other)), None);
    let exact = shelf(Own, [post(URL, recorded)], Options::default());
    assert_eq!(exact.entry(&ask("POST", URL).json(folded)), None);
}

#[test]
fn form_fields_are_compared_in_order() {
    let form = "application/x-www-form-urlencoded";
    let shelf = shelf(Own, [asked("POST", URL).sent(form, "a=b+c&d=%C3%A9")], under(MatchBody::Form));
    let with = |body: &str| shelf.entry(&ask("POST", URL).body(form, body));
    assert_eq!(with("a=b%20c&d=%c3%a9"), Some(0));
    assert_eq!(with("d=%C3%A9&a=b+c"), None);
    assert_eq!(with("a=b+c&d=%C3%A9&e"), None);
}

#[test]
fn ignored_json_paths_are_not_compared() {
    let options = || Options { ignore_body: strings(&["$.ts", "$..id", "$.list[1]"]), ..Options::default() };
    let shelf = shelf(Own, [post(URL, r#"{"ts":1,"a":{"id":1,"b":2},"list":[1,2,3]}"#)], options());
    for equal in [r#"{"a":{"b":2,"id":7},"list":[1,9,3]}"#, r#"{"ts":9,"a":{"b":2},"list":[1,2,3],"id":0}"#] {
        assert_eq!(shelf.entry(&ask("POST", URL).json(equal)), Some(0), "{equal}");
    }
    assert_eq!(shelf.entry(&ask("POST", URL).json(r#"{"ts":1,"a":{"id":1,"b":3},"list":[1,2,3]}"#)), None);
    let bad = Options { ignore_body: strings(&["$.[", "x"]), ..Options::default() };
    assert!(matches!(shelf_of(vec![], bad), Err(Error::JsonPath { .. })));
}

#[test]
fn ignored_payloads_are_not_compared() {
    let shelf = shelf(Own, [post(URL, "1"), asked("PUT", URL)], under(MatchBody::Ignore));
    assert_eq!(shelf.entry(&ask("POST", URL).json("2")), Some(0));
    assert_eq!(shelf.entry(&ask("POST", URL)), Some(0));
    assert_eq!(shelf.entry(&ask("PUT", URL).json("2")), Some(1));
    assert!(!shelf.matcher.needs_body(&shelf.matcher.find("POST", &NormalUrl::parse(URL).unwrap())));
}

fn multipart(boundary: &str, value: &str) -> String {
    format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n{value}\r\n--{boundary}\r\n\
         Content-Disposition: form-data; name=\"f\"; filename=\"x\"\r\nContent-Type: text/plain\r\n\r\n--\r\n--{boundary}--\r\n"
    )
}

#[test]
fn multipart_is_compared_part_by_part() {
    let recorded = asked("POST", URL).sent("multipart/form-data; boundary=AAA", &multipart("AAA", "1"));
    let shelf = shelf(Own, [recorded], Options::default());
    let with = |content_type: &str, body: String| shelf.entry(&ask("POST", URL).body(content_type, body));
    assert_eq!(with("multipart/form-data; boundary=\"B-B\"", multipart("B-B", "1")), Some(0));
    assert_eq!(with("multipart/form-data; boundary=BBB", multipart("BBB", "2")), None);
    assert_eq!(with("multipart/form-data; boundary=BBB", multipart("AAA", "2")), None);
    assert_eq!(with("multipart/mixed; boundary=BBB", multipart("BBB", "1")), None);
    assert_eq!(with("text/plain", multipart("AAA", "1")), Some(0), "equal bytes are equal");
}

#[test]
fn required_headers_are_on_both_sides_or_neither() {
    let options = Options { match_headers: strings(&["x-tenant"]), ..Options::default() };
    let shelf = shelf(Own, [get(URL).with("X-Tenant", "Acme"), get("https://a.test/y")], options);
    assert_eq!(shelf.entry(&ask("GET", URL).with("x-tenant", "aCME")), Some(0));
    assert_eq!(shelf.entry(&ask("GET", URL).with("x-tenant", "other")), None);
    assert_eq!(shelf.entry(&ask("GET", URL)), None);
    assert_eq!(shelf.entry(&ask("GET", URL).with("x-tenant", "acme").with("x-tenant", "acme")), None);
    assert_eq!(shelf.entry(&ask("GET", "https://a.test/y")), Some(1));
    assert_eq!(shelf.entry(&ask("GET", "https://a.test/y").with("x-tenant", "acme")), None);
}

#[test]
fn truncated_payload_matches_its_prefix() {
    let mut cut = asked("POST", URL).sent("text/plain", "0123");
    cut.0["request"]["postData"]["_truncated"] = json!({"reason": "max-body", "kept": 4, "total": 10});
    let shelf = shelf(Own, [cut], Options::default());
    assert_eq!(shelf.entry(&ask("POST", URL).body("text/plain", "0123456789")), Some(0));
    assert_eq!(shelf.entry(&ask("POST", URL).body("text/plain", "0123456")), None);
    assert_eq!(shelf.entry(&ask("POST", URL).body("text/plain", "9123456789")), None);
}

#[test]
fn entry_is_found_among_many_payloads_of_one_key() {
    let entries = (0..60).map(|n| post(URL, &format!(r#"{{"n":{n}}}"#)));
    let shelf = shelf(Own, entries, under(MatchBody::Json));
    for n in [0, 31, 59] {
        assert_eq!(shelf.entry(&ask("POST", URL).json(&format!(r#"{{ "n": {n} }}"#))), Some(n));
    }
    assert_eq!(shelf.entry(&ask("POST", URL).json(r#"{"n":60}"#)), None);
    assert_eq!(shelf.entry(&ask("POST", URL)), None);
}

#[test]
fn payload_is_required_if_it_selects_the_entry() {
    let foreign = shelf(
        Foreign,
        [get(URL), post("https://a.test/p", "1"), asked("POST", "https://a.test/r").to(307, "/p")],
        Options::default(),
    );
    let needs =
        |method, url| foreign.matcher.needs_body(&foreign.matcher.find(method, &NormalUrl::parse(url).unwrap()));
    assert!(!needs("GET", URL));
    assert!(needs("POST", "https://a.test/p"));
    assert!(needs("POST", "https://a.test/r"));
    assert!(needs("POST", "https://a.test/none"), "the explanation tells it");
    let (own, url) = (shelf(Own, [asked("POST", URL)], Options::default()), NormalUrl::parse(URL).unwrap());
    let post = own.matcher.find("POST", &url);
    assert!(!own.matcher.is_loaded(&post));
    assert!(own.matcher.needs_body(&post));
    assert!(own.matcher.is_loaded(&post));
    assert!(own.matcher.is_loaded(&own.matcher.find("GET", &url)), "there is nothing to load");
}

#[test]
fn unreadable_entry_does_not_affect_others() {
    let mut bad = asked("POST", URL);
    bad.0["request"]["postData"] = json!({"mimeType": "text/plain", "_file": "gone.txt"});
    let shelf = shelf(Own, [bad, post(URL, "1")], Options::default());
    assert_eq!(shelf.entry(&ask("POST", URL).json("1")), Some(1));
    let miss = shelf.miss(&ask("POST", URL).json("2"));
    assert!(matches!(miss.kind, MissKind::Unreadable(EntryRef { fixture: 0, entry: 0 }, _)), "{:?}", miss.kind);
}
