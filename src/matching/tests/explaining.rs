//! Misses: the nearest entries, the exact differences, and a remedy that works.

use super::*;

type Told<'a> = (What, &'a str, Option<&'a str>, Option<&'a str>);

fn told(miss: &Miss, near: usize) -> Vec<Told<'_>> {
    miss.near[near].differences.iter().map(Difference::to_tuple).collect()
}

#[test]
fn a_query_parameter() {
    let shelf = shelf(
        Own,
        [get("https://a.test/s?page=2&q=x"), get("https://a.test/s?page=1&q=y&r"), get("https://a.test/t")],
        Options::default(),
    );
    let miss = shelf.miss(&ask("GET", "https://a.test/s?page=3&q=x"));
    assert_eq!(miss.kind, MissKind::NoEntry);
    assert_eq!(told(&miss, 0), [(What::Query, "page", Some("3"), Some("2"))]);
    assert_eq!(told(&miss, 1).len(), 3);
    assert_eq!((miss.same_path, miss.remedy.as_deref()), (2, Some("--ignore-query page")));
}

#[test]
fn the_order_of_parameters() {
    let shelf = shelf(Own, [get("https://a.test/s?a=1&b=2")], Options::default());
    let miss = shelf.miss(&ask("GET", "https://a.test/s?b=2&a=1"));
    assert_eq!(told(&miss, 0), [(What::Query, "", Some("b=2&a=1"), Some("a=1&b=2"))]);
    assert_eq!(miss.remedy, None);
}

#[test]
fn the_method() {
    let shelf = shelf(Own, [get("https://a.test/s")], Options::default());
    let miss = shelf.miss(&ask("POST", "https://a.test/s"));
    assert_eq!(told(&miss, 0), [(What::Method, "", Some("POST"), Some("GET"))]);
    assert_eq!(miss.remedy, None);
}

#[test]
fn a_json_value() {
    let shelf = shelf(
        Own,
        [post("https://a.test/s", r#"{"user":{"id":5,"a b":"x"},"n":[1,2]}"#), post("https://a.test/s", r#"{"z":1}"#)],
        Options::default(),
    );
    let miss = shelf.miss(&ask("POST", "https://a.test/s").json(r#"{"user":{"id":7,"a b":"x"},"n":[1]}"#));
    assert_eq!(
        told(&miss, 0),
        [(What::Body, "$.user.id", Some("7"), Some("5")), (What::Body, "$.n[1]", None, Some("2"))]
    );
    assert_eq!(miss.near.len(), 2);
    assert_eq!(miss.remedy.as_deref(), Some("--ignore-body '$.user.id' --ignore-body '$.n[1]'"));
}

#[test]
fn json_that_is_spelt_otherwise() {
    let shelf = shelf(Own, [post("https://a.test/s", r#"{"a":1}"#)], Options::default());
    let miss = shelf.miss(&ask("POST", "https://a.test/s").json(r#"{"a": 1}"#));
    assert_eq!(miss.remedy.as_deref(), Some("--match-body json"));
    assert_eq!(miss.near[0].differences[0].request.as_deref(), Some(r#"{"a": 1}"#));
}

#[test]
fn a_form_field_and_a_part() {
    let form = "application/x-www-form-urlencoded";
    let part = |value: &str| format!("--B\r\nContent-Disposition: form-data; name=\"p\"\r\n\r\n{value}\r\n--B--\r\n");
    let shelf = shelf(
        Own,
        [
            asked("POST", "https://a.test/f").sent(form, "a=1&b=2"),
            asked("POST", "https://a.test/m").sent("multipart/form-data; boundary=B", &part("1")),
        ],
        Options::default(),
    );
    let miss = shelf.miss(&ask("POST", "https://a.test/f").body(form, "a=1&b=3"));
    assert_eq!(told(&miss, 0), [(What::Body, "b", Some("3"), Some("2"))]);
    let miss = shelf.miss(&ask("POST", "https://a.test/m").body("multipart/form-data; boundary=B", part("2")));
    assert_eq!(told(&miss, 0), [(What::Body, "p", Some("2"), Some("1"))]);
    assert_eq!(miss.remedy.as_deref(), Some("--match-body ignore"));
}

#[test]
fn a_payload_on_one_side_only_and_long_ones() {
    let shelf = shelf(Own, [asked("POST", "https://a.test/s")], Options::default());
    let long = "x".repeat(5000);
    let miss = shelf.miss(&ask("POST", "https://a.test/s").body("text/plain", long));
    let sent = miss.near[0].differences[0].request.as_deref().unwrap();
    assert!(sent.starts_with("xxx") && sent.ends_with("… (5000 bytes)") && sent.len() < 500, "{sent}");
    assert_eq!(miss.near[0].differences[0].recorded, None);
}

#[test]
fn a_path_segment() {
    let shelf = shelf(
        Own,
        [
            get("https://a.test/users/5/orders"),
            get("https://a.test/users/5/orders/new"),
            get("https://a.test/health"),
            get("https://b.test/users/7/orders"),
        ],
        Options::default(),
    );
    let miss = shelf.miss(&ask("GET", "https://a.test/users/7/orders"));
    assert_eq!(told(&miss, 0), [(What::Path, "2", Some("7"), Some("5"))]);
    assert_eq!(told(&miss, 1), [(What::Host, "", Some("https://a.test"), Some("https://b.test"))]);
    assert_eq!(
        (miss.same_path, miss.remedy.as_deref()),
        (0, Some("in harproxy.toml:\n[[match]]\nglob = \"https://a.test/**\"\npath = \"/users/{id}/orders\""))
    );
}

#[test]
fn the_host() {
    let shelf = shelf(Own, [get("https://staging.test/x?y=1")], Options::default());
    let miss = shelf.miss(&ask("GET", "http://localhost:3000/x?y=1"));
    assert_eq!(told(&miss, 0), [(What::Host, "", Some("http://localhost:3000"), Some("https://staging.test"))]);
    assert_eq!(miss.remedy.as_deref(), Some("--same-host http://localhost:3000=https://staging.test"));
}

#[test]
fn a_required_header() {
    let options = Options { match_headers: strings(&["x-tenant"]), ..Options::default() };
    let shelf = shelf(Own, [get("https://a.test/x").with("x-tenant", "a")], options);
    let miss = shelf.miss(&ask("GET", "https://a.test/x").with("x-tenant", "b"));
    assert_eq!(told(&miss, 0), [(What::Header, "x-tenant", Some("b"), Some("a"))]);
}

#[test]
fn the_graphql_operation_is_named() {
    let shelf = shelf(Own, [post("https://a.test/g", r#"{"query":"query Old { a }"}"#)], Options::default());
    let miss = shelf.miss(&ask("POST", "https://a.test/g").json(r#"{"query":"query New { a }"}"#));
    assert_eq!(miss.operation.as_deref(), Some("New"));
    assert_eq!(miss.near[0].operation.as_deref(), Some("Old"));
}

#[test]
fn nothing_near_shows_what_the_host_has() {
    let shelf = shelf(Own, [get("https://a.test/a/b/c"), get("https://b.test/z")], Options::default());
    let miss = shelf.miss(&ask("GET", "https://a.test/q"));
    assert_eq!(told(&miss, 0), [(What::Path, "", Some("/q"), Some("/a/b/c"))]);
    assert_eq!(miss.near.len(), 1);
    assert_eq!(shelf.miss(&ask("GET", "https://c.test/q")).near.len(), 0);
}

/// What is advised is tried: the request that missed is answered by the entry that was nearest.
#[test]
fn remedies_work() {
    let entries = || {
        vec![
            get("https://a.test/s?page=2&q=x"),
            post("https://a.test/j", r#"{"id":5,"list":[1,2],"a b":{"it's":1}}"#),
            asked("POST", "https://a.test/f").sent("application/x-www-form-urlencoded", "a=b+c"),
            asked("PUT", "https://a.test/t").sent("text/plain", "one"),
        ]
    };
    for missed in [
        ask("GET", "https://a.test/s?page=3&q=y"),
        ask("GET", "http://localhost:1/s?page=2&q=x"),
        ask("GET", "http://localhost:1/s?page=4&q=x"),
        ask("POST", "https://a.test/j").json(r#"{"id":6,"list":[1],"a b":{"it's":2}}"#),
        ask("POST", "https://a.test/j").json(r#"{"list":[1,2],"id":5,"a b":{"it's":1}}"#),
        ask("POST", "https://a.test/f").body("application/x-www-form-urlencoded", "a=b%20c"),
        ask("PUT", "https://a.test/t").body("text/plain", "two"),
        ask("PUT", "https://a.test/t"),
    ] {
        let miss = shelf(Own, entries(), Options::default()).miss(&missed);
        let remedy = miss.remedy.clone().unwrap_or_else(|| panic!("no remedy for {}", missed.url));
        let mended = shelf(Own, entries(), options_of(&remedy));
        assert_eq!(mended.entry(&missed), Some(miss.near[0].at.entry), "{remedy}");
    }
}

/// Reads the options of a remedy as a shell and the command line would.
fn options_of(remedy: &str) -> Options {
    let mut words = Vec::new();
    let mut rest = remedy;
    while !rest.is_empty() {
        let mut word = String::new();
        while let Some(c) = rest.chars().next().filter(|c| *c != ' ') {
            if c == '\'' {
                let (quoted, after) = rest[1..].split_once('\'').unwrap();
                word.push_str(quoted);
                rest = after;
            } else if c == '\\' {
                word.push_str(&rest[1..2]);
                rest = &rest[2..];
            } else {
                word.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
        words.push(word);
        rest = rest.trim_start();
    }
    let mut options = Options::default();
    for pair in words.chunks(2) {
        match (&*pair[0], &*pair[1]) {
            ("--ignore-query", names) => options.ignore_query = names.split(',').map(str::to_owned).collect(),
            ("--ignore-body", path) => options.ignore_body.push(path.to_owned()),
            ("--match-body", "json") => options.match_body = MatchBody::Json,
            ("--match-body", "form") => options.match_body = MatchBody::Form,
            ("--match-body", "ignore") => options.match_body = MatchBody::Ignore,
            ("--same-host", pair) => {
                let (a, b) = pair.split_once('=').unwrap();
                options.same_host.push((a.to_owned(), b.to_owned()));
            }
            other => panic!("{other:?} in {remedy}"),
        }
    }
    options
}

#[test]
fn a_place_with_thousands_of_entries_shows_the_nearest() {
    let entries = (0..3000).map(|n| get(&format!("https://a.test/s?n={n}&k=1")));
    let shelf = shelf(Own, entries.chain([get("https://a.test/s?n=1&k=2")]), Options::default());
    let miss = shelf.miss(&ask("GET", "https://a.test/s?n=1500&k=9"));
    assert_eq!(miss.same_path, 3001);
    assert_eq!(told(&miss, 0), [(What::Query, "k", Some("9"), Some("1"))]);
    assert_eq!(miss.near[0].at.entry, 1500);
}

#[test]
fn among_neighbours_the_one_with_the_same_query_is_nearest() {
    let entries = (0..300).map(|n| get(&format!("https://a.test/items/{n}?page={n}")));
    let shelf = shelf(Own, entries, Options::default());
    let miss = shelf.miss(&ask("GET", "https://a.test/items/new?page=200"));
    assert_eq!(told(&miss, 0), [(What::Path, "2", Some("new"), Some("200"))]);
    assert_eq!(
        miss.remedy.as_deref(),
        Some("in harproxy.toml:\n[[match]]\nglob = \"https://a.test/**\"\npath = \"/items/{id}\"")
    );
}
