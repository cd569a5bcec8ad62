//! Two recordings: the examples of the design, and each row of the table of checks.

use super::{compare, compare_entries, entry, field, fields, get};

#[test]
fn renamed_field_is_critical_and_named() {
    let report = compare(r#"{"data":[{"firstName":"A"}]}"#, r#"{"data":[{"first_name":"A","avatar_url":"u"}]}"#, 1);
    assert_eq!(
        fields(&report),
        [
            field("$.data[0].firstName", "field_missing_in_production", "critical"),
            field("$.data[0].avatar_url", "field_missing_in_mock", "info"),
        ]
    );
    let endpoint = &report["endpoints"][0];
    assert_eq!(endpoint["endpoint"], "GET https://api.test/users");
    assert_eq!(endpoint["driftScore"], 72);
    assert!(endpoint["fields"][0]["suggestion"].as_str().unwrap().contains("first_name"));
}

#[test]
fn values_and_lengths_do_not_count() {
    let item = |n: usize| format!(r#"{{"id":{n},"name":"n{n}","at":"2026-01-{:02}T00:00:00Z"}}"#, n % 28 + 1);
    let list = |from: usize, to: usize| format!("[{}]", (from..to).map(item).collect::<Vec<_>>().join(","));
    let report = compare(&list(0, 3), &list(100, 150), 0);
    assert_eq!(fields(&report), []);
    assert_eq!(report["score"]["minimum"], 100);
    assert_eq!(report["result"], "in-sync");
}

#[test]
fn null_in_the_fixture_is_not_critical() {
    let report = compare(r#"{"a":null}"#, r#"{"a":"x"}"#, 0);
    assert_eq!(fields(&report), [field("$.a", "nullability_changed", "info")]);
}

#[test]
fn optional_field_is_not_critical() {
    let report = compare(r#"[{"a":1},{"a":1,"b":2}]"#, r#"[{"a":1}]"#, 0);
    assert_eq!(fields(&report), [field("$[0].b", "field_missing_in_production", "warning")]);
}

#[test]
fn all_entries_of_an_endpoint_are_evidence() {
    let recorded = [get("/users/1", r#"{"a":1,"b":2}"#), get("/users/2", r#"{"a":1}"#)];
    let report = compare_entries(&recorded, &[get("/users/7", r#"{"a":1}"#)], 0);
    assert_eq!(fields(&report), [field("$.b", "field_missing_in_production", "warning")]);
    assert_eq!(report["endpoints"][0]["endpoint"], "GET https://api.test/users/{id}");
    assert_eq!(report["endpoints"][0]["entries"], 2);
}

#[test]
fn each_row_of_payloads_has_its_check_and_severity() {
    for (recorded, live, path, issue, severity) in [
        (r#"{"a":1}"#, r#"{"a":"1"}"#, "$.a", "type_changed", "critical"),
        (r#"{"a":1}"#, r#"{"a":1.5}"#, "$.a", "type_changed", "warning"),
        (r#"{"a":1.5}"#, r#"{"a":1}"#, "$.a", "type_changed", "info"),
        (r#"{"a":"x"}"#, r#"{"a":null}"#, "$.a", "nullability_changed", "warning"),
        (r#"{"a":{"b":1}}"#, r#"{"a":[1]}"#, "$.a", "structure_changed", "critical"),
        (r#"[{"a":1}]"#, r#"{"a":1}"#, "$", "structure_changed", "critical"),
        (r#"[{"a":1}]"#, r#"[{"a":1},"x"]"#, "$[0]", "array_item_changed", "warning"),
        (r#"[{"a":1},"x"]"#, r#"[{"a":1}]"#, "$[0]", "array_item_changed", "info"),
        (r#"{"a":[]}"#, r#"{"a":[1]}"#, "$.a", "not_comparable", "info"),
        (r#"["on","off","on","off"]"#, r#"["on","new"]"#, "$[0]", "enum_value_added", "warning"),
        (r#"["on","off","on","off"]"#, r#"["on","on","on","on"]"#, "$[0]", "enum_value_removed", "info"),
        (r#"{"a":"12"}"#, r#"{"a":"x"}"#, "$.a", "format_changed", "warning"),
        (r#"{"a":1}"#, r#"{"a":1,"b":2}"#, "$.b", "field_missing_in_mock", "info"),
    ] {
        let report = compare(recorded, live, i32::from(severity == "critical"));
        assert_eq!(fields(&report), [field(path, issue, severity)], "{recorded} {live}");
    }
}

#[test]
fn each_row_of_heads_has_its_check_and_severity() {
    let page = r#"{"items":[1]}"#;
    let with = |headers: &[(&str, &str)]| entry("GET", "/users", 200, headers, page);
    for (recorded, live, path, issue, severity) in [
        (with(&[]), entry("GET", "/users", 201, &[], page), "status", "status_changed", "warning"),
        (with(&[]), entry("GET", "/users", 404, &[], page), "status", "status_class_changed", "critical"),
        (with(&[("x-shop", "1")]), with(&[]), "header.x-shop", "header_missing", "info"),
        (with(&[]), with(&[("x-shop", "1")]), "header.x-shop", "header_added", "info"),
        (with(&[("x-ratelimit-limit", "9")]), with(&[]), "header.x-ratelimit-limit", "rate_limit_changed", "info"),
        (with(&[("link", "<a>")]), with(&[]), "header.link", "pagination_changed", "warning"),
    ] {
        let report = compare_entries(&[recorded], &[live], i32::from(severity == "critical"));
        assert_eq!(fields(&report), [field(path, issue, severity)], "{issue}");
    }
}

#[test]
fn pagination_that_moves_is_one_finding() {
    let recorded = entry("GET", "/users", 200, &[("x-total-count", "7")], r#"{"items":[1]}"#);
    let report = compare_entries(&[recorded], &[get("/users", r#"{"items":[1],"total":7}"#)], 0);
    assert_eq!(fields(&report), [field("header.x-total-count", "pagination_changed", "warning")]);
    let text = report["endpoints"][0]["fields"][0]["text"].as_str().unwrap();
    assert_eq!(text, "`header.x-total-count` moved to `$.total`");
}

#[test]
fn media_types_and_charsets_are_compared() {
    let with_type = |content_type: &str, body: &str| {
        let mut entry = get("/users", body);
        entry["response"]["headers"][0]["value"] = content_type.into();
        entry
    };
    let compared = |before: &str, after: &str, status| {
        fields(&compare_entries(&[with_type(before, "{}")], &[with_type(after, "{}")], status))
    };
    let changed = |severity| [field("header.content-type", "content_type_changed", severity)];
    assert_eq!(compared("application/json", "application/hal+json", 1), changed("critical"));
    assert_eq!(compared("application/json", "application/json; charset=utf-8", 0), []);
    assert_eq!(compared("application/json", "application/json; charset=latin1", 0), changed("info"));
}

#[test]
fn every_answer_of_the_other_recording_counts() {
    let with = |status: u16, body: &str| entry("GET", "/users", status, &[], body);
    let recorded = [with(200, r#"{"a":1}"#)];
    let report = compare_entries(&recorded, &[with(200, r#"{"a":1}"#), with(200, "<html>")], 4);
    assert_eq!(fields(&report), [field("answer", "not_compared", "critical")]);
    let report = compare_entries(&recorded, &[with(200, r#"{"a":1}"#), with(500, "{}")], 0);
    assert_eq!(fields(&report), [field("status", "status_changed", "warning")]);
}

#[test]
fn total_of_a_cart_is_a_field() {
    let report = compare(r#"{"lines":[1],"total":7}"#, r#"{"lines":[1]}"#, 1);
    assert_eq!(fields(&report), [field("$.total", "field_missing_in_production", "critical")]);
}

#[test]
fn payloads_are_compared_in_their_charset() {
    let mut latin1 = get("/users", "");
    latin1["response"]["headers"][0]["value"] = "application/json; charset=iso-8859-1".into();
    latin1["response"]["content"] = serde_json::json!({ "mimeType": "application/json; charset=iso-8859-1", "size": 11, "text": "eyJuYe92ZSI6MX0=", "encoding": "base64" });
    let report = compare_entries(&[latin1], &[get("/users", r#"{"naïve":2}"#)], 0);
    assert_eq!(fields(&report), [field("header.content-type", "content_type_changed", "info")]);
}

#[test]
fn graphql_operations_are_endpoints() {
    let query = |query: &str, body: &str| {
        let mut entry = entry("POST", "/graphql", 200, &[], body);
        entry["request"]["postData"] = serde_json::json!({ "mimeType": "application/json", "text": serde_json::json!({ "query": query }).to_string() });
        entry
    };
    let recorded = [
        query("{ users { id } }", r#"{"data":{"users":[]}}"#),
        query("{ orders { id } }", r#"{"data":{"orders":[{"id":1}]}}"#),
    ];
    let live = [recorded[0].clone(), query("{ orders { id } }", r#"{"data":{"orders":[{"id":"1"}]}}"#)];
    let report = compare_entries(&recorded, &live, 1);
    assert_eq!(fields(&report), [field("$.data.orders[0].id", "type_changed", "critical")]);
}

#[test]
fn incomparable_entries_are_named() {
    let recorded = [get("/users", "{}"), entry("GET", "/cached", 304, &[], ""), entry("GET", "/part", 206, &[], "x")];
    let report = compare_entries(&recorded, &recorded, 0);
    let reasons: Vec<_> =
        report["skipped"].as_array().unwrap().iter().map(|skipped| skipped["reason"].as_str().unwrap()).collect();
    assert!(reasons.len() == 2 && reasons[0].contains("304") && reasons[1].contains("206"), "{reasons:?}");
}

#[test]
fn redirects_are_compared_by_host_and_path() {
    let to = |target: &str| entry("GET", "/old", 302, &[("location", target)], "");
    let compared = |before: &str, after: &str| fields(&compare_entries(&[to(before)], &[to(after)], 0));
    let changed = [field("header.location", "redirect_changed", "warning")];
    assert_eq!(compared("/new/7?a=1", "https://api.test/new/8?b=2"), []);
    assert_eq!(compared("/new/7", "/newer/7"), changed);
    assert_eq!(compared("/new", "https://login.test/new"), changed);
    assert_eq!(fields(&compare_entries(&[to("/new")], &[entry("GET", "/old", 302, &[], "")], 0)), changed);
}

#[test]
fn endpoint_without_a_counterpart_is_named() {
    let recorded = [get("/users", "{}"), get("/shops", "{}")];
    let report = compare_entries(&recorded, &[get("/users", "{}")], 0);
    assert_eq!(report["skipped"][0]["endpoint"], "GET https://api.test/shops");
    let nothing = compare_entries(&[get("/shops", "{}")], &[get("/users", "{}")], 4);
    assert_eq!(nothing["result"], "not-compared");
}

#[test]
fn selected_values_count() {
    let sandbox = crate::support::sandbox::Sandbox::new();
    sandbox.write("hars/api.har", super::har(&[get("/users", r#"{"version":1,"n":1}"#)]));
    sandbox.write("prod.har", super::har(&[get("/users", r#"{"version":2,"n":2}"#)]));
    let output = sandbox.run(super::args(&["--against", "prod.har", "--values", "$.version"])).expect(1);
    assert_eq!(fields(&super::report_of(&output)), [field("$.version", "value_changed", "critical")]);
}
