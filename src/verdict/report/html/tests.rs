//! Tests of the page's content, and that a browser treats embedded data as text only.

use bytes::Bytes;
use serde_json::Value;
use time::OffsetDateTime;

use super::*;
use crate::verdict::explain::{EntryPlace, NearEntry};
use crate::verdict::request::{RequestRow, ResultKind};
use crate::verdict::{CheckId, Counts, Finding, FixtureUse, Location, RunMode, Severity, StatusSource, Verdict};
use crate::verdict::{EntryView, PayloadExcerpt};
use harproxy_http::Headers;

const HOSTILE: &[&str] = &[
    "</script><script>window.pwned=1</script>",
    "<!--<script>",
    "]]>",
    "</noscript><img src=x onerror=alert(1)>",
    "</title><base href=//evil>",
    "\u{2028}\u{2029}\u{0}\u{202e}",
    "{{style}}{{script}}",
    "\"'&lt;",
];

fn headers(fields: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::default();
    fields.iter().for_each(|(name, value)| headers.push(*name, value.as_bytes().to_vec()));
    headers
}

fn report(text: &str) -> Report {
    let place = EntryPlace { fixture: text.to_owned(), entry: 4, line: Some(40) };
    let miss = Finding {
        at: Location { fixture: Some(text.to_owned()), ..Location::request(format!("GET {text}")) },
        hint: Some(text.to_owned()),
        near: vec![NearEntry { place, operation: Some(text.to_owned()), differences: vec![] }],
        requests: vec![2],
        ..Finding::new(CheckId::MISS, Severity::Error, text)
    };
    let seen = |id, outcome, payload: Option<&str>| RequestRow {
        id,
        method: text.to_owned(),
        url: text.to_owned(),
        outcome,
        fixture: Some(text.to_owned()),
        entry: Some(4),
        mime_type: Some(text.to_owned()),
        request_headers: headers(&[("x-evil", text), ("accept", "*/*")]),
        response_headers: headers(&[("x-evil", text)]),
        payload: payload.map(|payload| PayloadExcerpt::of(format!("text/html;x={text}"), payload.as_bytes())),
        ..RequestRow::default()
    };
    let shown = EntryView {
        method: text.to_owned(),
        url: text.to_owned(),
        status: 200,
        line: Some(40),
        request_headers: headers(&[("accept", "*/*")]),
        request_payload: None,
        response_headers: headers(&[(text, text)]),
        response_payload: Some(PayloadExcerpt::of("text/plain", text.as_bytes())),
    };
    Report {
        verdict: Verdict {
            mode: RunMode::REPLAY,
            counts: Counts { requests: 2, served: 1, misses: 1, ..Counts::default() },
            findings: vec![miss],
            fixtures: vec![FixtureUse {
                fixture: text.to_owned(),
                entries: 9,
                used: 1,
                served: Default::default(),
                unused: vec![],
                pruned: None,
                sha256: None,
            }],
            duration_ms: 5,
            rules: Vec::new(),
            observation: None,
        },
        status: 1,
        source: StatusSource::Verdict,
        started: OffsetDateTime::UNIX_EPOCH,
        command: text.to_owned(),
        shards: vec![],
        requests: vec![seen(1, ResultKind::Served, None), seen(2, ResultKind::Miss, Some(text))],
        more_requests: 0,
        entries: [((text.to_owned(), 4), shown)].into_iter().collect(),
    }
}

/// Returns the text between two marks. Each mark must occur exactly once.
fn between<'a>(page: &'a str, begin: &str, end: &str) -> &'a str {
    assert_eq!(page.matches(begin).count(), 1, "{begin}");
    let (_, rest) = page.split_once(begin).unwrap();
    rest.split_once(end).unwrap().0
}

fn data(page: &str) -> Value {
    serde_json::from_str(between(page, "<script type=\"application/json\" id=\"data\">", "</script>")).unwrap()
}

#[test]
fn hostile_text_neither_ends_an_element_nor_fills_a_placeholder() {
    let tame = render(&report("tame"));
    for text in HOSTILE {
        let page = render(&report(text));
        for mark in
            ["<script", "</script", "<style", "<!--", "<base", "<img", "</noscript", "</title", "<meta", "<link"]
        {
            assert_eq!(page.matches(mark).count(), tame.matches(mark).count(), "{mark} in a page of {text:?}");
        }
        let carried = between(&page, "id=\"data\">", "</script>");
        assert!(!carried.contains(['\u{2028}', '\u{2029}', '<', '>', '&']) && !page.contains('\0'), "{text:?}");
        let data = data(&page);
        assert_eq!(data["requests"][1]["url"], *text);
        assert_eq!(data["names"][0], *text);
        assert_eq!(data["payloads"][0]["text"], *text, "that of the miss comes first");
    }
    assert!(!tame.contains("{{"), "a gap was left: {}", tame.split("{{").nth(1).unwrap_or_default());
}

#[test]
fn content_security_policy_allows_only_own_script_and_style() {
    let page = render(&report("tame"));
    let policy = between(&page, "http-equiv=\"Content-Security-Policy\" content=\"", "\"");
    let directives: Vec<&str> = policy.split("; ").collect();
    let hash = |text: &str| format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text.as_bytes())));
    assert_eq!(directives[0], "default-src 'none'");
    let script = between(&page, "<script>", "</script>");
    assert_eq!(directives[1], format!("script-src {}", hash(script)));
    let style = between(&page, "<style>", "</style>");
    assert_eq!(directives[2], format!("style-src {}", hash(style)));
    assert_eq!(directives[3..], ["img-src data:", "base-uri 'none'", "form-action 'none'"]);
    assert!(!policy.contains("unsafe"), "{policy}");
}

/// A page that takes a word of the run for HTML would need one of these.
#[test]
fn script_does_not_parse_text_as_html() {
    for word in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
        "DOMParser",
        "srcdoc",
        "setHTML",
    ] {
        assert!(!SCRIPT.contains(word), "{word}");
    }
    for word in ["http://", "https://", "//cdn", "@import", "url("] {
        assert!(!STYLE.contains(word), "{word}");
    }
    let addresses = SCRIPT.matches("http://").count() + SCRIPT.matches("https://").count();
    assert_eq!(addresses, SCRIPT.matches("http://www.w3.org/2000/svg").count(), "nothing is fetched from anywhere");
}

#[test]
fn page_without_script_has_the_summary() {
    let page = render(&report("<b>tame</b>"));
    let plain = between(&page, "<noscript>", "</noscript>");
    assert!(plain.contains("✗ replay failed: 1 miss"), "{plain}");
    assert!(plain.contains("&lt;b&gt;tame&lt;/b&gt;") && !plain.contains("<b>"), "{plain}");
    assert!(page.contains("<title>✗ replay failed: 1 miss"), "{}", &page[..2000]);
}

#[test]
fn equal_data_is_stored_once() {
    let mut report = report("tame");
    let payload = Bytes::from(vec![b'x'; 10_000]);
    let excerpt = PayloadExcerpt { mime_type: "text/plain".into(), bytes: payload, size: 10_000 };
    for at in 0..50 {
        let shown = EntryView { response_payload: Some(excerpt.clone()), ..report.entries[0].clone() };
        report.entries.insert(("tame".into(), 100 + at), shown);
    }
    let page = render(&report);
    assert_eq!(page.matches(&"x".repeat(10_000)).count(), 1);
    let data = data(&page);
    assert_eq!(data["entries"].as_array().unwrap().len(), 51);
    assert_eq!(data["entries"][7]["received"], data["entries"][50]["received"]);
    assert_eq!(data["names"], serde_json::json!(["tame"]), "names of fixtures too");
}

/// The misses' own payloads are what a report is opened for.
#[test]
fn page_size_is_bounded_and_payloads_of_misses_are_kept() {
    let mut report = report("tame");
    let big =
        |n: usize| PayloadExcerpt::of("text/plain", n.to_string().repeat(PayloadExcerpt::MAX_LENGTH / 3).as_bytes());
    let shown = report.entries[0].clone();
    for at in 0..400 {
        let shown = EntryView { response_payload: Some(big(100 + at)), ..shown.clone() };
        report.entries.insert(("tame".into(), 100 + at), shown);
    }
    report.requests[1].payload = Some(big(999));
    let page = render(&report);
    assert!(page.len() < 30 << 20, "{}", page.len());
    let data = data(&page);
    let missed = data["requests"][1]["payload"].as_u64().unwrap() as usize;
    assert!(data["payloads"][missed]["text"].as_str().unwrap().starts_with("999999"));
    let left_out = data["payloads"].as_array().unwrap().iter().filter(|payload| payload.get("text").is_none()).count();
    assert!(left_out > 200, "{left_out}");
}

#[test]
fn template_does_not_depend_on_line_ends() {
    assert_eq!(with_lf("a\r\nb\n"), "a\nb\n");
    assert_eq!(filled("a{{b}}c{{d}}{", |name| name.to_uppercase().into()), "aBcD{");
    assert_eq!(filled("{{a}}", |_| "{{a}}".into()), "{{a}}", "what was filled in is not looked into");
}
