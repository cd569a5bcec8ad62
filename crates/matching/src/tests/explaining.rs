//! Explanations of misses: the nearest entries and their differences.

use super::remedies::options_of;
use super::*;

type DifferenceTuple<'a> = (RequestPart, &'a str, Option<&'a str>, Option<&'a str>);

fn differences_of(miss: &Miss, near: usize) -> Vec<DifferenceTuple<'_>> {
    miss.near[near].differences.iter().map(Difference::to_tuple).collect()
}

#[test]
fn query_parameter_that_differs_is_named() {
    let test = matcher_over(
        Own,
        [get("https://a.test/s?page=2&q=x"), get("https://a.test/s?page=1&q=y&r"), get("https://a.test/t")],
        Options::default(),
    );
    let miss = test.miss(&request("GET", "https://a.test/s?page=3&q=x"));
    assert_eq!(miss.kind, MissKind::NoEntry);
    assert_eq!(differences_of(&miss, 0), [(RequestPart::Query, "page", Some("3"), Some("2"))]);
    assert_eq!(miss.near.len(), 1, "the other entry of the path has no parameter in common");
    assert_eq!((miss.same_path, miss.remedy.as_deref()), (2, None));
}

#[test]
fn lower_case_method_of_another_tool_is_no_difference() {
    let url = "https://a.test/s?at=1700000000001";
    let asked = request("GET", "https://a.test/s?at=1700000000002");
    let test = matcher_over(Foreign, [entry_json("get", url)], Options::default());
    let miss = test.miss(&asked);
    let parts: Vec<RequestPart> = miss.near[0].differences.iter().map(|difference| difference.part).collect();
    assert_eq!(parts, [RequestPart::Query]);
    assert!(miss.remedy.is_some_and(|remedy| remedy.contains("ignore-query")));
    let other = harproxy_http::NormalUrl::parse("https://b.test/s?at=1700000000001").unwrap();
    assert!(test.matcher.same_host_option("GET", &other).is_some());
    // In an own fixture it is the method of the request.
    let test = matcher_over(Own, [entry_json("get", url)], Options::default());
    assert_eq!(test.miss(&asked).near[0].differences[0].part, RequestPart::Method);
    assert_eq!(test.matcher.same_host_option("GET", &other), None);
}

#[test]
fn order_of_parameters_is_one_difference() {
    let test = matcher_over(Own, [get("https://a.test/s?a=1&b=2")], Options::default());
    let miss = test.miss(&request("GET", "https://a.test/s?b=2&a=1"));
    assert_eq!(differences_of(&miss, 0), [(RequestPart::Query, "", Some("b=2&a=1"), Some("a=1&b=2"))]);
    assert_eq!(miss.remedy, None);
}

#[test]
fn order_of_parameters_is_reported_beside_a_changed_one() {
    let test = matcher_over(Own, [get("https://a.test/s?a=1&b=2&r=1&r=2")], Options::default());
    let order = |asked| (RequestPart::Query, "", Some(asked), Some("a=1&b=2&r=1&r=2"));
    let asked = "b=2&a=1&c=3&r=1&r=2";
    let miss = test.miss(&request("GET", &format!("https://a.test/s?{asked}")));
    assert_eq!(differences_of(&miss, 0), [(RequestPart::Query, "c", Some("3"), None), order(asked)]);
    assert_eq!(miss.remedy, None);
    let miss = test.miss(&request("GET", "https://a.test/s?a=1&r=1&b=2"));
    assert_eq!(
        differences_of(&miss, 0),
        [(RequestPart::Query, "r", Some("1"), Some("1, 2"))],
        "what is repeated stands in no order"
    );
}

#[test]
fn empty_parameters_are_a_difference_of_the_query() {
    for (asked, recorded) in [("a=1&b=2&", "a=1&b=2"), ("a=1&&b=2", "a=1&b=2"), ("&a=1", "a=1"), ("page=1", "page=1&")]
    {
        let test = matcher_over(Own, [get(&format!("https://a.test/s?{recorded}"))], Options::default());
        let miss = test.miss(&request("GET", &format!("https://a.test/s?{asked}")));
        assert_eq!(differences_of(&miss, 0), [(RequestPart::Query, "", Some(asked), Some(recorded))]);
    }
    let ignoring = Options { ignore_query: vec!["t".into()], ..Options::default() };
    let test = matcher_over(Own, [get("https://a.test/s?a=1&t=1")], ignoring);
    assert_eq!(differences_of(&test.miss(&request("GET", "https://a.test/s?a=1&t=2&")), 0).len(), 1);
}

#[test]
fn other_method_is_reported() {
    let test = matcher_over(Own, [get("https://a.test/s")], Options::default());
    let miss = test.miss(&request("POST", "https://a.test/s"));
    assert_eq!(differences_of(&miss, 0), [(RequestPart::Method, "", Some("POST"), Some("GET"))]);
    assert_eq!(miss.remedy, None);
}

#[test]
fn json_value_that_differs_has_its_path() {
    let test = matcher_over(
        Own,
        [post("https://a.test/s", r#"{"user":{"id":5,"a b":"x"},"n":[1,2]}"#), post("https://a.test/s", r#"{"z":1}"#)],
        Options::default(),
    );
    let miss = test.miss(&request("POST", "https://a.test/s").json(r#"{"user":{"id":7,"a b":"x"},"n":[1]}"#));
    assert_eq!(
        differences_of(&miss, 0),
        [(RequestPart::Body, "$.user.id", Some("7"), Some("5")), (RequestPart::Body, "$.n[1]", None, Some("2"))]
    );
    assert_eq!(miss.near.len(), 2);
    assert_eq!(miss.remedy, None);
}

#[test]
fn json_with_another_spelling_is_reported_as_a_whole() {
    let test = matcher_over(Own, [post("https://a.test/s", r#"{"a":1}"#)], Options::default());
    let miss = test.miss(&request("POST", "https://a.test/s").json(r#"{"a": 1}"#));
    assert!(miss.remedy.unwrap().ends_with("body = \"json\""));
    assert_eq!(miss.near[0].differences[0].request.as_deref(), Some(r#"{"a": 1}"#));
}

#[test]
fn form_field_and_part_that_differ_are_named() {
    let form = "application/x-www-form-urlencoded";
    let part = |value: &str| format!("--B\r\nContent-Disposition: form-data; name=\"p\"\r\n\r\n{value}\r\n--B--\r\n");
    let test = matcher_over(
        Own,
        [
            entry_json("POST", "https://a.test/f").sent(form, "a=1&b=2"),
            entry_json("POST", "https://a.test/m").sent("multipart/form-data; boundary=B", &part("1")),
        ],
        Options::default(),
    );
    let miss = test.miss(&request("POST", "https://a.test/f").body(form, "a=1&b=3"));
    assert_eq!(differences_of(&miss, 0), [(RequestPart::Body, "b", Some("3"), Some("2"))]);
    let miss = test.miss(&request("POST", "https://a.test/m").body("multipart/form-data; boundary=B", part("2")));
    assert_eq!(differences_of(&miss, 0), [(RequestPart::Body, "p", Some("2"), Some("1"))]);
    assert_eq!(miss.remedy, None);
}

#[test]
fn payload_on_one_side_and_long_payloads_are_reported() {
    let test = matcher_over(Own, [entry_json("POST", "https://a.test/s")], Options::default());
    let long = "x".repeat(5000);
    let miss = test.miss(&request("POST", "https://a.test/s").body("text/plain", long));
    let sent = miss.near[0].differences[0].request.as_deref().unwrap();
    assert!(sent.starts_with("xxx") && sent.ends_with("… (5000 bytes)") && sent.len() < 500, "{sent}");
    assert_eq!(miss.near[0].differences[0].recorded, None);
}

#[test]
fn path_segment_that_differs_is_numbered() {
    let test = matcher_over(
        Own,
        [
            get("https://a.test/users/5/orders"),
            get("https://a.test/users/5/orders/new"),
            get("https://a.test/health"),
            get("https://b.test/users/7/orders"),
        ],
        Options::default(),
    );
    let miss = test.miss(&request("GET", "https://a.test/users/7/orders"));
    assert_eq!(differences_of(&miss, 0), [(RequestPart::Path, "2", Some("7"), Some("5"))]);
    assert_eq!(differences_of(&miss, 1), [(RequestPart::Host, "", Some("https://a.test"), Some("https://b.test"))]);
    assert_eq!((miss.same_path, miss.remedy), (0, None));
}

#[test]
fn other_origin_is_reported() {
    let test = matcher_over(Own, [get("https://staging.test/x?y=1")], Options::default());
    let miss = test.miss(&request("GET", "http://localhost:3000/x?y=1"));
    assert_eq!(
        differences_of(&miss, 0),
        [(RequestPart::Host, "", Some("http://localhost:3000"), Some("https://staging.test"))]
    );
    assert_eq!(miss.remedy.as_deref(), Some("--same-host http://localhost:3000=https://staging.test"));
}

#[test]
fn required_header_that_differs_is_named() {
    let options = Options { match_headers: strings(&["x-tenant"]), ..Options::default() };
    let test = matcher_over(Own, [get("https://a.test/x").with("x-tenant", "a")], options);
    let miss = test.miss(&request("GET", "https://a.test/x").with("x-tenant", "b"));
    assert_eq!(differences_of(&miss, 0), [(RequestPart::Header, "x-tenant", Some("b"), Some("a"))]);
}

#[test]
fn graphql_operation_is_named() {
    let test = matcher_over(Own, [post("https://a.test/g", r#"{"query":"query Old { a }"}"#)], Options::default());
    let miss = test.miss(&request("POST", "https://a.test/g").json(r#"{"query":"query New { a }"}"#));
    assert_eq!(miss.operation.as_deref(), Some("New"));
    assert_eq!(miss.near[0].operation.as_deref(), Some("Old"));
}

#[test]
fn entries_of_the_host_are_shown_when_no_path_is_similar() {
    let test = matcher_over(Own, [get("https://a.test/a/b/c"), get("https://b.test/z")], Options::default());
    let miss = test.miss(&request("GET", "https://a.test/q"));
    assert_eq!(differences_of(&miss, 0), [(RequestPart::Path, "", Some("/q"), Some("/a/b/c"))]);
    assert_eq!(miss.near.len(), 1);
    assert_eq!(test.miss(&request("GET", "https://c.test/q")).near.len(), 0);
}

#[test]
fn similar_paths_are_near() {
    let test = matcher_over(
        Own,
        [
            get("https://a.test/api/v1/users/5"),
            get("https://a.test/api/v1/teams"),
            get("https://b.test/Files/caf%C3%A9"),
            get("https://a.test/health"),
        ],
        Options::default(),
    );
    for (url, entry, expected) in [
        // An added, a missing and a changed API version.
        ("https://a.test/api/users/5", 0, (RequestPart::Path, "2", None, Some("v1"))),
        ("https://a.test/v2/api/v1/users/5", 0, (RequestPart::Path, "1", Some("v2"), None)),
        ("https://a.test/api/v2/users/5", 0, (RequestPart::Path, "2", Some("v2"), Some("v1"))),
        // A trailing slash, case, percent-encoding.
        ("https://a.test/api/v1/teams/", 1, (RequestPart::Path, "", Some("/api/v1/teams/"), Some("/api/v1/teams"))),
        ("https://a.test/api/v1/Teams", 1, (RequestPart::Path, "3", Some("Teams"), Some("teams"))),
        ("https://b.test/Files/caf%c3%a9", 2, (RequestPart::Path, "2", Some("caf%c3%a9"), Some("caf%C3%A9"))),
        ("https://b.test/files/caf%C3%A9", 2, (RequestPart::Path, "1", Some("files"), Some("Files"))),
        ("https://a.test/he%61lth", 3, (RequestPart::Path, "1", Some("he%61lth"), Some("health"))),
        // Another scheme, port or host.
        ("http://a.test/health", 3, (RequestPart::Host, "", Some("http://a.test"), Some("https://a.test"))),
        ("https://a.test:8443/health", 3, (RequestPart::Host, "", Some("https://a.test:8443"), Some("https://a.test"))),
        ("https://c.test/health", 3, (RequestPart::Host, "", Some("https://c.test"), Some("https://a.test"))),
    ] {
        let miss = test.miss(&request("GET", url));
        assert_eq!((miss.near[0].at.entry, differences_of(&miss, 0)), (entry, vec![expected]), "{url}");
    }
    let both = test.miss(&request("GET", "https://c.test/api/v1/team"));
    assert_eq!(both.near[0].at.entry, 1, "another host and another segment");
    assert_eq!(differences_of(&both, 0).len(), 2);
}

#[test]
fn paths_with_variable_segments_are_near() {
    let test = matcher_over(
        Own,
        [
            get("https://a.test/reset/REDACTED-token-1/done"),
            get("https://a.test/users/5/orders/1"),
            get("https://a.test/nothing/at/all"),
        ],
        options_of(
            "in harproxy.toml:\n[[match]]\nglob = \"**\"\npath = \"/users/{id}/orders/{n}\"",
            Options::default(),
        ),
    );
    let miss = test.miss(&request("GET", "https://a.test/reset/live/undone"));
    assert_eq!(
        (miss.near[0].at.entry, differences_of(&miss, 0)),
        (0, vec![(RequestPart::Path, "3", Some("undone"), Some("done"))])
    );
    let miss = test.miss(&request("GET", "https://a.test/users/7/carts/1"));
    assert_eq!(
        (miss.near[0].at.entry, differences_of(&miss, 0)),
        (1, vec![(RequestPart::Path, "3", Some("carts"), Some("orders"))])
    );
}

#[test]
fn repeated_and_added_parameters_are_reported() {
    let test = matcher_over(Own, [get("https://a.test/s?id=1&id=2&x")], Options::default());
    for (url, expected) in [
        ("https://a.test/s?id=1&x", (RequestPart::Query, "id", Some("1"), Some("1, 2"))),
        ("https://a.test/s?id=2&id=1&x", (RequestPart::Query, "id", Some("2, 1"), Some("1, 2"))),
        ("https://a.test/s?id=1&id=2&x=", (RequestPart::Query, "x", Some("x="), Some("x"))),
        ("https://a.test/s?id=1&id=2", (RequestPart::Query, "x", None, Some(""))),
        ("https://a.test/s?id=1&id=2&x&y=1", (RequestPart::Query, "y", Some("1"), None)),
        ("https://a.test/s?x&id=1&id=2", (RequestPart::Query, "", Some("x&id=1&id=2"), Some("id=1&id=2&x"))),
    ] {
        assert_eq!(differences_of(&test.miss(&request("GET", url)), 0), [expected], "{url}");
    }
}

#[test]
fn form_fields_are_compared_by_name() {
    let form = "application/x-www-form-urlencoded";
    let test =
        matcher_over(Own, [entry_json("POST", "https://a.test/f").sent(form, "a=1&b=2&c=3")], Options::default());
    for (body, expected) in [
        ("b=2&c=3", (RequestPart::Body, "a", None, Some("1"))),
        ("a=1&b=2&c=3&d=%C3%A9", (RequestPart::Body, "d", Some("é"), None)),
        ("a=1&b=2&c=4", (RequestPart::Body, "c", Some("4"), Some("3"))),
        ("b=2&a=1&c=3", (RequestPart::Body, "", Some("b=2&a=1&c=3"), Some("a=1&b=2&c=3"))),
    ] {
        assert_eq!(
            differences_of(&test.miss(&request("POST", "https://a.test/f").body(form, body)), 0),
            [expected],
            "{body}"
        );
    }
}

#[test]
fn json_members_elements_and_types_are_compared() {
    let test = matcher_over(
        Own,
        [post("https://a.test/s", r#"{"a":1,"list":[{"n":1},{"n":2},{"n":3}],"s":"1"}"#)],
        Options::default(),
    );
    for (body, expected) in [
        (
            r#"{"a":"1","list":[{"n":1},{"n":2},{"n":3}],"s":"1"}"#,
            (RequestPart::Body, "$.a", Some(r#""1""#), Some("1")),
        ),
        (
            r#"{"a":1,"list":[{"n":1},{"n":2},{"n":3}],"s":null}"#,
            (RequestPart::Body, "$.s", Some("null"), Some(r#""1""#)),
        ),
        (r#"{"a":1,"list":[{"n":2},{"n":3}],"s":"1"}"#, (RequestPart::Body, "$.list[0]", None, Some(r#"{"n":1}"#))),
        (
            r#"{"a":1,"list":[{"n":1},{"n":2},{"n":9},{"n":3}],"s":"1"}"#,
            (RequestPart::Body, "$.list[2]", Some(r#"{"n":9}"#), None),
        ),
        (
            r#"{"a":1,"list":[{"n":1},{"n":7},{"n":3}],"s":"1"}"#,
            (RequestPart::Body, "$.list[1].n", Some("7"), Some("2")),
        ),
        (r#"{"a":1,"list":[{"n":1},{"n":2},{"n":3}]}"#, (RequestPart::Body, "$.s", None, Some("1"))),
        (
            r#"{"a":1,"list":{},"s":"1"}"#,
            (RequestPart::Body, "$.list", Some("{}"), Some(r#"[{"n":1},{"n":2},{"n":3}]"#)),
        ),
    ] {
        assert_eq!(
            differences_of(&test.miss(&request("POST", "https://a.test/s").json(body)), 0),
            [expected],
            "{body}"
        );
    }
}

#[test]
fn parts_are_compared_by_name_and_files_by_size_and_digest() {
    let multipart = |file: &str, note: &str| {
        format!(
            "--B\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\n{note}\r\n\
             --B\r\nContent-Disposition: form-data; name=\"doc\"; filename=\"d.bin\"\r\n\r\n{file}\r\n--B--\r\n"
        )
    };
    let content_type = "multipart/form-data; boundary=B";
    let long = "x".repeat(10_000);
    let recorded = entry_json("POST", "https://a.test/m").sent(content_type, &multipart(&long, "hi"));
    let test = matcher_over(Own, [recorded], Options::default());
    let miss = test.miss(
        &request("POST", "https://a.test/m").body(content_type, multipart(&format!("{}y", &long[..9_999]), "hi")),
    );
    let [(RequestPart::Body, "doc", Some(sent), Some(recorded))] = differences_of(&miss, 0)[..] else {
        panic!("{:?}", differences_of(&miss, 0))
    };
    for shown in [sent, recorded] {
        assert!(
            shown.starts_with("10000 bytes (SHA-256 ") && shown.ends_with("…), from byte 9999 on another"),
            "{shown}"
        );
    }
    let miss = test.miss(&request("POST", "https://a.test/m").body(content_type, multipart(&long, "ho")));
    assert_eq!(differences_of(&miss, 0), [(RequestPart::Body, "note", Some("ho"), Some("hi"))]);
    let renamed = multipart(&long, "hi").replace("d.bin", "e.bin");
    let miss = test.miss(&request("POST", "https://a.test/m").body(content_type, renamed));
    let [(RequestPart::Body, "doc", Some(sent), Some(_))] = differences_of(&miss, 0)[..] else {
        panic!("{:?}", differences_of(&miss, 0))
    };
    assert!(sent.contains("filename=\"e.bin\""), "{sent}");
}

#[test]
fn excerpts_of_long_texts_and_bytes_contain_the_difference() {
    let long = |mark: &str| format!("{}{mark}{}", "a".repeat(3000), "b".repeat(2000));
    let test = matcher_over(
        Own,
        [
            entry_json("POST", "https://a.test/t").sent("text/plain", &long("one")),
            post("https://a.test/j", &format!(r#"{{"text":"{}"}}"#, long("one"))),
        ],
        Options::default(),
    );
    for (request, name) in [
        (request("POST", "https://a.test/t").body("text/plain", long("two")), ""),
        (request("POST", "https://a.test/j").json(&format!(r#"{{"text":"{}"}}"#, long("two"))), "$.text"),
    ] {
        let miss = test.miss(&request);
        let [(RequestPart::Body, named, Some(sent), Some(recorded))] = differences_of(&miss, 0)[..] else {
            panic!("{:?}", differences_of(&miss, 0))
        };
        assert_eq!(named, name);
        assert!(sent.contains("aatwobb") && recorded.contains("aaonebb"), "{sent}\n{recorded}");
        assert!(sent.starts_with("…a") && sent.ends_with("b… (5003 bytes)") && sent.len() < 500, "{sent}");
    }
    let mut bytes = long("one").into_bytes();
    bytes[3001] = 0xff;
    let miss = test.miss(&request("POST", "https://a.test/t").body("text/plain", bytes));
    let [(_, _, Some(sent), Some(recorded))] = differences_of(&miss, 0)[..] else {
        panic!("{:?}", differences_of(&miss, 0))
    };
    assert_eq!(sent, "5003 bytes, from byte 3001 on ff 65 62 62 62 62 62 62 …");
    assert_eq!(recorded, "5003 bytes, from byte 3001 on 6e 65 62 62 62 62 62 62 …");
}

#[test]
fn very_long_payloads_are_described_by_length_digest_and_first_difference() {
    let mut long = vec![b'x'; 50 << 20];
    long.extend_from_slice(b" password=hunter2");
    let text = String::from_utf8(long.clone()).unwrap();
    let entries =
        || [entry_json("POST", "https://a.test/t").sent("text/plain", &text), entry_json("POST", "https://a.test/u")];
    let test = matcher_over(Own, entries(), Options::default());
    long[1234] = b'y';
    let miss =
        test.miss(&request("POST", "https://a.test/t").with("authorization", "Bearer live").body("text/plain", long));
    let [(RequestPart::Body, "", Some(sent), Some(recorded))] = differences_of(&miss, 0)[..] else {
        panic!("{:?}", differences_of(&miss, 0))
    };
    assert!(sent.starts_with("52428817 bytes (SHA-256 ") && sent.ends_with("from byte 1234 on another"), "{sent}");
    assert!(recorded.starts_with("52428817 bytes (SHA-256 "), "{recorded}");
    assert_eq!(miss.remedy, None);
}

#[test]
fn very_long_payload_is_not_nearer_than_a_similar_one() {
    let json = r#"{"a":1,"b":2,"c":3,"d":4,"e":5}"#;
    for (content_type, long) in [
        ("application/octet-stream", "0".repeat(6_000_000)),
        ("application/json", format!("[{}]", " ".repeat(6_000_000))),
    ] {
        let long = entry_json("POST", "https://a.test/up").sent(content_type, &long);
        let test = matcher_over(Own, [long, post("https://a.test/up", json)], Options::default());
        let other = r#"{"a":6,"b":7,"c":8,"d":9,"e":0}"#;
        let miss = test.miss(&request("POST", "https://a.test/up").json(other));
        assert_eq!(miss.near.iter().map(|near| near.at.entry).collect::<Vec<_>>(), [1, 0], "{content_type}");
    }
    // Of several long payloads, the one with a similar length is nearest.
    let of = |len| entry_json("POST", "https://a.test/up").sent("text/plain", &"a".repeat(len));
    let test = matcher_over(Own, [of(9_000_000), of(5_000_001)], Options::default());
    let miss = test.miss(&request("POST", "https://a.test/up").body("text/plain", "b".repeat(5_000_000)));
    assert_eq!(miss.near[0].at.entry, 1);
}

#[test]
fn entry_of_the_same_operation_is_nearest_among_hundreds() {
    let body = |name: &str, id: usize| {
        format!(r#"{{"operationName":"{name}","query":"query {name} {{ a }}","variables":{{"id":{id}}}}}"#)
    };
    let entries = (0..60).map(|n| post("https://a.test/graphql", &body(&format!("Op{n}"), n)));
    let test = matcher_over(Own, entries, Options::default());
    let miss = test.miss(&request("POST", "https://a.test/graphql").json(&body("Op41", 7)));
    assert_eq!((miss.near[0].at.entry, miss.near[0].operation.as_deref()), (41, Some("Op41")));
    assert_eq!(differences_of(&miss, 0), [(RequestPart::Body, "$.variables.id", Some("7"), Some("41"))]);
}

#[test]
fn nearest_of_thousands_of_entries_with_one_path_is_shown() {
    let entries = (0..3000).map(|n| get(&format!("https://a.test/s?n={n}&k=1")));
    let test = matcher_over(Own, entries.chain([get("https://a.test/s?n=1&k=2")]), Options::default());
    let miss = test.miss(&request("GET", "https://a.test/s?n=1500&k=9"));
    assert_eq!(miss.same_path, 3001);
    assert_eq!(differences_of(&miss, 0), [(RequestPart::Query, "k", Some("9"), Some("1"))]);
    assert_eq!(miss.near[0].at.entry, 1500);
}

#[test]
fn neighbour_with_the_same_query_is_nearest() {
    let entries = (0..300).map(|n| get(&format!("https://a.test/items/{n}?page={n}")));
    let test = matcher_over(Own, entries, Options::default());
    let miss = test.miss(&request("GET", "https://a.test/items/new?page=200"));
    assert_eq!(differences_of(&miss, 0), [(RequestPart::Path, "2", Some("new"), Some("200"))]);
    assert_eq!(miss.remedy, None);
}
