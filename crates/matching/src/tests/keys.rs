//! The match key: method, URL, payload, required headers.

use super::*;

const URL: &str = "https://a.test/x";

fn under(mode: MatchBody) -> Options {
    Options { match_body: mode, ..Options::default() }
}

#[test]
fn method_and_url_are_compared_exactly() {
    let test = matcher_over(Own, [get("https://a.test/x?a=1&b=2"), entry_json("get", URL)], Options::default());
    assert_eq!(test.entry(&request("GET", "https://A.test:443/y/../x?a=1&b=2#top")), Some(0));
    assert_eq!(test.entry(&request("GET", "https://a.test/x?b=2&a=1")), None);
    assert_eq!(test.entry(&request("GET", URL)), None);
    assert_eq!(test.entry(&request("get", URL)), Some(1));
}

#[test]
fn ignored_query_parameters_count_on_neither_side() {
    let options = Options { ignore_query: strings(&["ts", "_"]), ..Options::default() };
    let test = matcher_over(Own, [get("https://a.test/x?ts=1&a=1"), get("https://a.test/y")], options);
    for url in ["https://a.test/x?a=1", "https://a.test/x?_=9&a=1&ts=2&ts=3"] {
        assert_eq!(test.entry(&request("GET", url)), Some(0), "{url}");
    }
    assert_eq!(test.entry(&request("GET", "https://a.test/y?ts=5")), Some(1));
    assert_eq!(test.entry(&request("GET", "https://a.test/x?a=2&ts=1")), None);
}

#[test]
fn equal_origins_answer_for_each_other() {
    let pair = ("https://staging.test".to_owned(), "http://localhost:*".to_owned());
    let options = Options { same_host: vec![pair], ..Options::default() };
    let test = matcher_over(Foreign, [get("https://staging.test/x")], options);
    let outcome = test.answer(&request("GET", "http://localhost:3000/x"));
    let hosts = chosen(&outcome).unwrap().same_host.clone().unwrap();
    assert_eq!((&*hosts.recorded, &*hosts.asked), ("https://staging.test", "http://localhost:3000"));
    let outcome = test.answer(&request("GET", "https://staging.test/x"));
    assert_eq!(chosen(&outcome).unwrap().same_host, None);
    assert_eq!(test.entry(&request("GET", "http://other:3000/x")), None);
    assert!(test.matcher.in_scope(&NormalUrl::parse("http://localhost:1/y").unwrap()));
    assert!(!test.matcher.in_scope(&NormalUrl::parse("http://other/y").unwrap()));
}

#[test]
fn payload_is_compared_for_every_method() {
    let test = matcher_over(
        Own,
        [
            entry_json("PUT", URL).sent("text/plain", "one"),
            entry_json("PUT", URL).sent("text/plain", "two"),
            entry_json("PUT", URL),
        ],
        Options::default(),
    );
    assert_eq!(test.entry(&request("PUT", URL).body("text/plain", "two")), Some(1));
    assert_eq!(test.entry(&request("PUT", URL).body("application/json", "one")), Some(0));
    assert_eq!(test.entry(&request("PUT", URL).body("text/plain", "")), Some(2), "zero bytes are none");
    assert_eq!(test.entry(&request("PUT", URL).body("text/plain", "three")), None);
}

#[test]
fn entry_without_a_payload_fits_any_payload_in_foreign_fixtures_only() {
    let own = matcher_over(Own, [entry_json("POST", URL)], Options::default());
    assert_eq!(own.entry(&request("POST", URL).json("{}")), None);
    assert_eq!(own.entry(&request("POST", URL)), Some(0));
    let foreign = matcher_over(Foreign, [entry_json("POST", URL)], Options::default());
    assert_eq!(foreign.entry(&request("POST", URL).json("{}")), Some(0));
    assert_eq!(foreign.entry(&request("POST", URL)), Some(0));
}

#[test]
fn content_coding_is_removed_before_the_comparison() {
    use std::io::Write;
    let body = r#"{"a":1}"#;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(body.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let test = matcher_over(Own, [post(URL, body)], Options::default());
    assert_eq!(test.entry(&request("POST", URL).json(body)), Some(0));
    assert_eq!(
        test.entry(&request("POST", URL).body("application/json", gzip.clone()).with("content-encoding", "gzip")),
        Some(0)
    );
    assert_eq!(test.entry(&request("POST", URL).body("application/json", gzip)), None, "nothing says that it is gzip");
    assert_eq!(
        test.entry(&request("POST", URL).json(body).with("content-encoding", "gzip")),
        Some(0),
        "what does not decode"
    );
}

#[test]
fn framing_of_a_payload_does_not_count() {
    let recorded = post(URL, "{}").with("content-length", "2").with("expect", "100-continue");
    let test = matcher_over(Own, [recorded], Options::default());
    let framed = request("POST", URL).json("{}").with("transfer-encoding", "chunked");
    assert_eq!(test.entry(&framed), Some(0));
}

#[test]
fn json_is_compared_by_value() {
    let test = matcher_over(Own, [post(URL, r#"{"a":1,"b":[1,{"c":"é"}]}"#)], under(MatchBody::Json));
    for equal in [r#"{ "b": [ 1, {"c": "\u00e9"} ], "a": 1.0 }"#, r#"{"a":1,"b":[1,{"c":"é"}]}"#] {
        assert_eq!(test.entry(&request("POST", URL).json(equal)), Some(0), "{equal}");
    }
    for other in [r#"{"a":1,"b":[{"c":"é"},1]}"#, r#"{"a":"1","b":[1,{"c":"é"}]}"#, r#"{"a":1}"#, "a", "[]"] {
        assert_eq!(test.entry(&request("POST", URL).json(other)), None, "{other}");
    }
}

#[test]
fn json_is_compared_by_bytes_when_the_mode_is_exact() {
    let test = matcher_over(Own, [post(URL, r#"{"a":1}"#)], Options::default());
    assert_eq!(test.entry(&request("POST", URL).json(r#"{"a": 1}"#)), None);
}

#[test]
fn white_space_of_graphql_is_ignored_when_the_mode_is_json() {
    let recorded = r#"{"query":"query Q($id: ID!) {\n  user(id: $id) {\n    name\n  }\n}","variables":{"id":"1"}}"#;
    let folded = r#"{"variables":{"id":"1"},"query":"query Q($id: ID!) { user(id: $id) { name } }"}"#;
    let other = r#"{"variables":{"id":"2"},"query":"query Q($id: ID!) { user(id: $id) { name } }"}"#;
    let json = matcher_over(Own, [post(URL, recorded)], under(MatchBody::Json));
    assert_eq!(json.entry(&request("POST", URL).json(folded)), Some(0));
    assert_eq!(json.entry(&request("POST", URL).json(&format!("[{folded}]"))), None);
    assert_eq!(json.entry(&request("POST", URL).json(other)), None);
    let exact = matcher_over(Own, [post(URL, recorded)], Options::default());
    assert_eq!(exact.entry(&request("POST", URL).json(folded)), None);
}

#[test]
fn form_fields_are_compared_in_order() {
    let form = "application/x-www-form-urlencoded";
    let test = matcher_over(Own, [entry_json("POST", URL).sent(form, "a=b+c&d=%C3%A9")], under(MatchBody::Form));
    let with = |body: &str| test.entry(&request("POST", URL).body(form, body));
    assert_eq!(with("a=b%20c&d=%c3%a9"), Some(0));
    assert_eq!(with("d=%C3%A9&a=b+c"), None);
    assert_eq!(with("a=b+c&d=%C3%A9&e"), None);
}

#[test]
fn ignored_json_paths_are_not_compared() {
    let options = || Options { ignore_body: strings(&["$.ts", "$..id", "$.list[1]"]), ..Options::default() };
    let test = matcher_over(Own, [post(URL, r#"{"ts":1,"a":{"id":1,"b":2},"list":[1,2,3]}"#)], options());
    for equal in [r#"{"a":{"b":2,"id":7},"list":[1,9,3]}"#, r#"{"ts":9,"a":{"b":2},"list":[1,2,3],"id":0}"#] {
        assert_eq!(test.entry(&request("POST", URL).json(equal)), Some(0), "{equal}");
    }
    assert_eq!(test.entry(&request("POST", URL).json(r#"{"ts":1,"a":{"id":1,"b":3},"list":[1,2,3]}"#)), None);
    let bad = Options { ignore_body: strings(&["$.[", "x"]), ..Options::default() };
    assert!(matches!(try_matcher_over(vec![], bad), Err(Error::JsonPath { .. })));
}

#[test]
fn ignored_payloads_are_not_compared() {
    let test = matcher_over(Own, [post(URL, "1"), entry_json("PUT", URL)], under(MatchBody::Ignore));
    assert_eq!(test.entry(&request("POST", URL).json("2")), Some(0));
    assert_eq!(test.entry(&request("POST", URL)), Some(0));
    assert_eq!(test.entry(&request("PUT", URL).json("2")), Some(1));
    assert!(!test.matcher.needs_body(&test.matcher.find("POST", &NormalUrl::parse(URL).unwrap())));
}

fn multipart(boundary: &str, value: &str) -> String {
    format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n{value}\r\n--{boundary}\r\n\
         Content-Disposition: form-data; name=\"f\"; filename=\"x\"\r\nContent-Type: text/plain\r\n\r\n--\r\n--{boundary}--\r\n"
    )
}

#[test]
fn multipart_is_compared_part_by_part() {
    let recorded = entry_json("POST", URL).sent("multipart/form-data; boundary=AAA", &multipart("AAA", "1"));
    let test = matcher_over(Own, [recorded], Options::default());
    let with = |content_type: &str, body: String| test.entry(&request("POST", URL).body(content_type, body));
    assert_eq!(with("multipart/form-data; boundary=\"B-B\"", multipart("B-B", "1")), Some(0));
    assert_eq!(with("multipart/form-data; boundary=BBB", multipart("BBB", "2")), None);
    assert_eq!(with("multipart/form-data; boundary=BBB", multipart("AAA", "2")), None);
    assert_eq!(with("multipart/mixed; boundary=BBB", multipart("BBB", "1")), None);
    assert_eq!(with("text/plain", multipart("AAA", "1")), Some(0), "equal bytes are equal");
}

#[test]
fn required_header_must_be_on_both_sides_or_neither() {
    let options = Options { match_headers: strings(&["x-tenant"]), ..Options::default() };
    let test = matcher_over(Own, [get(URL).with("X-Tenant", "Acme"), get("https://a.test/y")], options);
    assert_eq!(test.entry(&request("GET", URL).with("x-tenant", "aCME")), Some(0));
    assert_eq!(test.entry(&request("GET", URL).with("x-tenant", "other")), None);
    assert_eq!(test.entry(&request("GET", URL)), None);
    assert_eq!(test.entry(&request("GET", URL).with("x-tenant", "acme").with("x-tenant", "acme")), None);
    assert_eq!(test.entry(&request("GET", "https://a.test/y")), Some(1));
    assert_eq!(test.entry(&request("GET", "https://a.test/y").with("x-tenant", "acme")), None);
}

#[test]
fn cut_payload_fits_payloads_with_this_beginning() {
    let mut cut = entry_json("POST", URL).sent("text/plain", "0123");
    cut.0["request"]["postData"]["_truncated"] = json!({"reason": "max-body", "kept": 4, "total": 10});
    let test = matcher_over(Own, [cut], Options::default());
    assert_eq!(test.entry(&request("POST", URL).body("text/plain", "0123456789")), Some(0));
    assert_eq!(test.entry(&request("POST", URL).body("text/plain", "0123456")), None);
    assert_eq!(test.entry(&request("POST", URL).body("text/plain", "9123456789")), None);
}

#[test]
fn payload_is_found_among_many_of_one_key() {
    let entries = (0..60).map(|n| post(URL, &format!(r#"{{"n":{n}}}"#)));
    let test = matcher_over(Own, entries, under(MatchBody::Json));
    for n in [0, 31, 59] {
        assert_eq!(test.entry(&request("POST", URL).json(&format!(r#"{{ "n": {n} }}"#))), Some(n));
    }
    assert_eq!(test.entry(&request("POST", URL).json(r#"{"n":60}"#)), None);
    assert_eq!(test.entry(&request("POST", URL)), None);
}

#[test]
fn payload_is_needed_only_where_it_distinguishes_entries() {
    let foreign = matcher_over(
        Foreign,
        [get(URL), post("https://a.test/p", "1"), entry_json("POST", "https://a.test/r").to(307, "/p")],
        Options::default(),
    );
    let needs =
        |method, url| foreign.matcher.needs_body(&foreign.matcher.find(method, &NormalUrl::parse(url).unwrap()));
    assert!(!needs("GET", URL));
    assert!(needs("POST", "https://a.test/p"));
    assert!(needs("POST", "https://a.test/r"));
    assert!(needs("POST", "https://a.test/none"), "the explanation tells it");
    let (own, url) = (matcher_over(Own, [entry_json("POST", URL)], Options::default()), NormalUrl::parse(URL).unwrap());
    let post = own.matcher.find("POST", &url);
    assert!(!own.matcher.is_loaded(&post));
    assert!(own.matcher.needs_body(&post));
    assert!(own.matcher.is_loaded(&post));
    assert!(own.matcher.is_loaded(&own.matcher.find("GET", &url)), "there is nothing to load");
}

#[test]
fn unreadable_entry_does_not_affect_others() {
    let mut bad = entry_json("POST", URL);
    bad.0["request"]["postData"] = json!({"mimeType": "text/plain", "_file": "gone.txt"});
    let test = matcher_over(Own, [bad, post(URL, "1")], Options::default());
    assert_eq!(test.entry(&request("POST", URL).json("1")), Some(1));
    let miss = test.miss(&request("POST", URL).json("2"));
    assert!(matches!(miss.kind, MissKind::Unreadable(EntryRef { fixture: 0, entry: 0 }, _)), "{:?}", miss.kind);
}
