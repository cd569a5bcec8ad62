//! Tests of the payloads: outside text, and the limits of the services.

use std::collections::BTreeSet;

use serde_json::Value;
use time::macros::datetime;

use super::*;
use crate::drift::checks::{self, DriftSeverity};
use crate::drift::endpoint::EndpointKey;
use crate::drift::finding::{DriftFinding, DriftPlace, EndpointResult, Suppressed};
use crate::verdict::explain::EntryPlace;
use harproxy_compare::{ShapePath, ShapeStep};

const HOSTILE: &str = "<!channel> <@U1> <https://evil.test|here> @here @everyone &lt; *b* ```\n# x";

fn missing(name: &str) -> DriftFinding {
    let place = DriftPlace::Payload(ShapePath(vec![ShapeStep::Field(name.into())]));
    DriftFinding::new(checks::FIELD_MISSING_IN_PRODUCTION, DriftSeverity::Critical, place, format!("no {name}"))
        .with_suggestion(format!("see {name}"))
}

fn info(name: &str) -> DriftFinding {
    let place = DriftPlace::Header(name.to_owned());
    DriftFinding::new(checks::HEADER_ADDED, DriftSeverity::Info, place, "it is new")
}

fn endpoint(path: &str, findings: Vec<DriftFinding>) -> EndpointResult {
    EndpointResult {
        key: EndpointKey {
            origin: "https://api.test".to_owned(),
            path: path.to_owned(),
            method: "GET".to_owned(),
            parameters: BTreeSet::new(),
            status_class: 2,
        },
        at: EntryPlace { fixture: "hars/api.har".to_owned(), entry: 0, line: Some(1) },
        entries: 1,
        url: None,
        status: Some(200),
        took_ms: 1,
        shapes: None,
        findings,
    }
}

fn report(endpoints: Vec<EndpointResult>) -> DriftReport {
    DriftReport {
        source: "production".to_owned(),
        endpoints,
        skipped: Vec::new(),
        suppressions: Default::default(),
        min_severity: DriftSeverity::Critical,
        started: datetime!(2026-11-25 12:00 UTC),
        duration_ms: 1,
    }
}

fn parsed(kind: NotifyKind, report: &DriftReport) -> Value {
    serde_json::from_str(&payload(kind, report)).unwrap()
}

/// The texts of the blocks.
fn slack_texts(message: &Value) -> Vec<&str> {
    message["blocks"].as_array().unwrap().iter().map(|block| block["text"]["text"].as_str().unwrap()).collect()
}

fn description(message: &Value) -> &str {
    message["embeds"][0]["description"].as_str().unwrap()
}

#[test]
fn messages_list_the_worst_endpoint_first() {
    let report = report(vec![
        endpoint("/fine", vec![]),
        endpoint("/info", vec![info("x-new")]),
        endpoint("/one", vec![missing("a")]),
        endpoint("/two", vec![info("x-new"), missing("b"), missing("c")]),
    ]);
    let slack = parsed(NotifyKind::Slack, &report);
    let expected = [
        "Drift: 3 critical, 2 info in 4 endpoints",
        "Fixtures compared with `production`. Least score 47, mean score 79.",
        "*score 47* `GET https://api.test/two`\n\
         • critical `field-missing-in-production` `$.b`: no b → see b\n\
         • critical `field-missing-in-production` `$.c`: no c → see c",
        "*score 75* `GET https://api.test/one`\n• critical `field-missing-in-production` `$.a`: no a → see a",
    ];
    assert_eq!(slack_texts(&slack), expected);
    assert_eq!(slack["text"], format!("{}. {}", expected[0], expected[1]));
    let discord = parsed(NotifyKind::Discord, &report);
    assert_eq!(discord["content"], expected[0]);
    let lines: Vec<_> = description(&discord).lines().collect();
    assert_eq!(lines[1], "**score 47** `GET https://api.test/two`");
    assert_eq!(lines[3], "• critical `field-missing-in-production` `$.c`: no c → see c");
    assert_eq!(lines.len(), 6);
    assert_eq!(payload(NotifyKind::Webhook, &report), json::render(&report));
}

#[test]
fn headlines_tell_the_result() {
    let headline = |endpoints| parsed(NotifyKind::Discord, &report(endpoints))["content"].clone();
    let failed = |check, place| DriftFinding::new(check, DriftSeverity::Critical, place, "no connection");
    let not_compared = || endpoint("/a", vec![failed(checks::NOT_COMPARED, DriftPlace::Answer)]);
    let refused = endpoint("/a", vec![failed(checks::NOT_AUTHORIZED, DriftPlace::Status)]);
    assert_eq!(headline(vec![]), "Nothing was compared");
    assert_eq!(headline(vec![endpoint("/a", vec![])]), "In sync: 1 endpoint compared");
    assert_eq!(headline(vec![endpoint("/a", vec![info("x")])]), "In sync: 1 endpoint compared, 1 info");
    assert_eq!(headline(vec![not_compared()]), "1 of 1 endpoint could not be compared");
    assert_eq!(headline(vec![refused]), "1 of 1 endpoint require credentials");
    let both = headline(vec![not_compared(), endpoint("/b", vec![missing("b")])]);
    assert_eq!(both, "Drift: 1 critical in 2 endpoints, 1 could not be compared");
    let message = parsed(NotifyKind::Slack, &report(vec![not_compared()]));
    assert_eq!(
        slack_texts(&message)[2],
        "*not compared* `GET https://api.test/a`\n• critical `not-compared`: no connection"
    );
}

#[test]
fn outside_text_does_not_notify_or_link_in_slack() {
    let report = DriftReport { source: HOSTILE.to_owned(), ..report(vec![endpoint(HOSTILE, vec![missing(HOSTILE)])]) };
    let message = parsed(NotifyKind::Slack, &report);
    let texts = slack_texts(&message);
    for text in texts.iter().copied().chain(message["text"].as_str()) {
        assert!(!text.contains(['<', '>']) && !text.contains("```"), "{text}");
        let entities = ["&amp;", "&lt;", "&gt;"].iter().map(|entity| text.matches(entity).count()).sum::<usize>();
        assert_eq!(text.matches('&').count(), entities, "{text}");
    }
    assert!(texts[2].contains("no &lt;!channel&gt; &lt;@U1&gt; &lt;https://evil.test|here&gt; @here"), "{}", texts[2]);
    assert!(texts[2].contains("&amp;lt;"), "{}", texts[2]);
    // A title and one line for the finding.
    assert_eq!(texts[2].lines().count(), 2, "{}", texts[2]);
    assert_eq!((&message["parse"], &message["link_names"]), (&"none".into(), &false.into()));
    assert_eq!((&message["unfurl_links"], &message["unfurl_media"]), (&false.into(), &false.into()));
    let blocks = message["blocks"].as_array().unwrap();
    assert!(blocks[1..].iter().all(|block| block["text"]["verbatim"] == true));
}

#[test]
fn outside_text_does_not_notify_or_link_in_discord() {
    let report = report(vec![endpoint(HOSTILE, vec![missing(HOSTILE)])]);
    let message = parsed(NotifyKind::Discord, &report);
    assert_eq!(message["allowed_mentions"], serde_json::json!({ "parse": [] }));
    let lines: Vec<_> = description(&message).lines().collect();
    assert_eq!(lines.len(), 3);
    // Text after the two code spans.
    let text = lines[2].rsplit_once("`: ").unwrap().1;
    assert!(text.starts_with(r"no \<!channel\> \<\@U1\> \<https\://evil.test\|here\> \@here \@everyone"), "{text}");
    assert!(text.contains(r"\*b\* '''\\n\# x"), "{text}");
    // The field name has no backtick that ends the code span.
    assert_eq!(lines[2].matches('`').count(), 4, "{}", lines[2]);
}

#[test]
fn messages_stay_within_the_limits_of_the_services() {
    for name in ["n", "<&>*`\u{1f600}", "\u{202e}"] {
        let long = name.repeat(400);
        let findings = || (0..20).map(|n| missing(&format!("{long}{n}"))).collect::<Vec<_>>();
        for findings in [findings(), vec![missing("a")]] {
            let endpoints = (0..500).map(|n| endpoint(&format!("/{n}{long}"), findings.clone())).collect();
            let report = DriftReport { source: long.clone(), ..report(endpoints) };
            check_limits(&report);
        }
    }
    let short = (0..500).map(|n| endpoint(&format!("/{n}"), vec![missing("a")])).collect();
    check_limits(&report(short));
}

fn check_limits(report: &DriftReport) {
    let length = |text: &str| text.encode_utf16().count();
    let slack = parsed(NotifyKind::Slack, report);
    let texts = slack_texts(&slack);
    assert!((4..=50).contains(&texts.len()), "{}", texts.len());
    assert!(length(texts[0]) <= 150);
    assert!(texts.iter().all(|text| (1..=3000).contains(&length(text))));
    assert!(texts.iter().map(|text| length(text)).sum::<usize>() <= 12_000);
    let left_out = 500 - (texts.len() - 3);
    let more = format!("… and {left_out} more endpoints with critical or warning findings");
    assert_eq!(texts.last(), Some(&more.as_str()));

    let discord = parsed(NotifyKind::Discord, report);
    assert!(length(discord["content"].as_str().unwrap()) <= 2000);
    let description = description(&discord);
    assert!(length(description) <= 4096, "{}", length(description));
    assert!(description.contains("• critical"));
    assert!(description.ends_with(" more endpoints with critical or warning findings"));
    if report.endpoints[0].findings.len() > 1 {
        for text in [texts[2], description] {
            assert!(text.contains(" more findings"), "{text}");
        }
    }
}

#[test]
fn findings_key_depends_only_on_the_set_of_open_findings() {
    let key = |endpoints| findings_key(&report(endpoints));
    let first = key(vec![endpoint("/a", vec![missing("a"), missing("b")]), endpoint("/b", vec![info("x")])]);
    assert_eq!(first.len(), 64);
    let mut reordered = vec![endpoint("/b", vec![info("x")]), endpoint("/a", vec![missing("b"), missing("a")])];
    reordered[1].findings[0].text = "another text".to_owned();
    assert_eq!(key(reordered), first);
    let suppressed = Some(Suppressed { reason: "known".to_owned(), owner: None, expires: None });
    let hidden = DriftFinding { suppressed, ..missing("c") };
    let more = vec![endpoint("/a", vec![missing("a"), missing("b"), hidden]), endpoint("/b", vec![info("x")])];
    assert_eq!(key(more), first);
    let fewer = vec![endpoint("/a", vec![missing("a")]), endpoint("/b", vec![info("x")])];
    let elsewhere = vec![endpoint("/c", vec![missing("a"), missing("b")]), endpoint("/b", vec![info("x")])];
    assert_ne!(key(fewer), first);
    assert_ne!(key(elsewhere), first);
    assert_eq!(key(vec![]), key(vec![endpoint("/a", vec![])]));
}
