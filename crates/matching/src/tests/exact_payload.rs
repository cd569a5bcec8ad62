//! An entry with exactly the payload of the request ranks before entries whose payload was not kept, or not all of it.

use super::*;

const URL: &str = "https://a.test/x";

/// An entry whose payload was cut to these bytes.
fn cut(kept: &str) -> EntryJson {
    let mut entry = post(URL, kept);
    entry.0["request"]["postData"]["_truncated"] = json!({"kept": kept.len(), "reason": "limit"});
    entry
}

/// An entry whose payload was sent and not kept (`--content omit`).
fn not_kept() -> EntryJson {
    let mut entry = entry_json("POST", URL);
    entry.0["request"]["postData"] = json!({"mimeType": "application/json"});
    entry.0["request"]["bodySize"] = 3.into();
    entry
}

#[test]
fn exact_payload_ranks_before_entries_without_payload_in_a_foreign_har() {
    let entries = || [entry_json("POST", URL), post(URL, "b=1"), post(URL, "b=2")];
    let test = matcher_over(Foreign, entries(), Options::default());
    let sent = |body: &str| test.entry(&request("POST", URL).json(body));
    assert_eq!([sent("b=2"), sent("b=1"), sent("b=1"), sent("b=3"), sent("")], [2, 1, 1, 0, 0].map(Some));
}

#[test]
fn entry_without_payload_is_not_used_when_the_exact_one_was_served_once() {
    let options = Options { repeat: Repeat::Once, ..Options::default() };
    let test = matcher_over(Foreign, [entry_json("POST", URL), post(URL, "b=1")], options);
    let sent = || test.entry(&request("POST", URL).json("b=1"));
    assert_eq!([sent(), sent()], [Some(1), None]);
}

#[test]
fn exact_payload_ranks_before_a_cut_one() {
    for kind in [Own, Foreign] {
        let test = matcher_over(kind, [cut("b="), post(URL, "b=1")], Options::default());
        let sent = |body: &str| test.entry(&request("POST", URL).json(body));
        assert_eq!([sent("b=1"), sent("b=2")], [1, 0].map(Some));
    }
}

#[test]
fn exact_payload_ranks_before_one_that_was_not_kept() {
    let test = matcher_over(Own, [not_kept(), post(URL, "b=1"), entry_json("POST", URL)], Options::default());
    let sent = |body: &str| test.entry(&request("POST", URL).json(body));
    assert_eq!([sent("b=1"), sent("b=2"), sent("")], [1, 0, 2].map(Some));
}

#[test]
fn exact_payload_ranks_first_when_payloads_are_ignored() {
    let options = Options { match_body: MatchBody::Ignore, ..Options::default() };
    for kind in [Own, Foreign] {
        let test = matcher_over(kind, [entry_json("POST", URL), post(URL, "b=1"), post(URL, "b=2")], options.clone());
        let sent = |body: &str| test.entry(&request("POST", URL).json(body));
        assert_eq!([sent("b=2"), sent("b=1")], [2, 1].map(Some));
    }
}

#[test]
fn exact_payload_ranks_before_a_template_that_fits_any_value() {
    let entries = [post(URL, r#"{"a":"REDACTED-a-1"}"#), post(URL, r#"{"a":"b"}"#)];
    let test = matcher_over(Own, entries, Options::default());
    assert_eq!(test.entry(&request("POST", URL).json(r#"{"a":"b"}"#)), Some(1));
    assert_eq!(test.entry(&request("POST", URL).json(r#"{"a":"c"}"#)), Some(0));
}
