//! Golden reports: a few verdicts, and each report of them word for word under `golden/`.

use super::{json, text};
use crate::verdict::{Counts, Finding, FixtureUse, Kind, Mode, Severity, Source, Verdict};

fn passed() -> Verdict {
    Verdict {
        mode: Mode::Replay,
        counts: Counts { requests: 14, served: 12, local: 1, noise: 1, upstream_connections: 1, ..Counts::default() },
        findings: vec![],
        fixtures: vec![FixtureUse { fixture: "hars/api.har".into(), entries: 12, used: 12 }],
        duration_ms: 1234,
    }
}

fn failed() -> Verdict {
    let miss = Finding {
        request: Some("GET https://api.example.com/users?page=3".into()),
        fixture: Some("hars/api.har".into()),
        entry: Some(4),
        line: Some(120),
        remedy: Some("`--ignore-query page`".into()),
        times: 2,
        ..Finding::new(
            Kind::Miss,
            Severity::Error,
            "no entry answers it; 3 entries share its host and path\n\
             nearest: hars/api.har#4 (line 120): query parameter `page` is `3`, recorded `2`",
        )
    };
    let refused = Finding {
        remedy: Some(
            "let the client trust the CA, or leave the host alone with `-g '!https://pinned.example/**'`".into(),
        ),
        ..Finding::new(Kind::TlsRefused, Severity::Warning, "pinned.example does not trust our certificate")
    };
    let unused = |entry, url: &str| Finding {
        request: Some(format!("GET {url}")),
        fixture: Some("hars/api.har".into()),
        entry: Some(entry),
        line: Some(entry * 30),
        ..Finding::new(Kind::Unused, Severity::Warning, "nothing asked for it")
    };
    let out_of_scope = Finding {
        request: Some("POST https://telemetry.example/v1".into()),
        remedy: Some("`--bypass telemetry.example`".into()),
        ..Finding::new(Kind::OutOfScope, Severity::Error, "the scope is `https://api.example.com/**`")
    };
    let unused: Vec<Finding> = (5..9).map(|entry| unused(entry, &format!("https://api.example.com/{entry}"))).collect();
    Verdict {
        mode: Mode::Replay,
        counts: Counts { requests: 9, served: 6, misses: 2, out_of_scope: 1, bytes: 4096, ..Counts::default() },
        findings: [vec![refused, out_of_scope, miss], unused].concat(),
        fixtures: vec![
            FixtureUse { fixture: "hars/api.har".into(), entries: 9, used: 5 },
            FixtureUse { fixture: "hars/auth.har".into(), entries: 1, used: 1 },
        ],
        duration_ms: 5,
    }
}

fn nothing_recorded() -> Verdict {
    Verdict {
        mode: Mode::Record,
        counts: Counts { requests: 2, passed: 2, tunnels: 1, ..Counts::default() },
        findings: vec![Finding {
            remedy: Some("check the scope with `harproxy glob`".into()),
            ..Finding::new(Kind::NothingRecorded, Severity::Error, "2 requests passed, none was in scope")
        }],
        fixtures: vec![],
        duration_ms: 70,
    }
}

fn recorded() -> Verdict {
    Verdict {
        mode: Mode::Record,
        counts: Counts { requests: 3, recorded: 1, passed: 2, ..Counts::default() },
        findings: vec![],
        fixtures: vec![],
        duration_ms: 70,
    }
}

fn assert_golden(rendered: &str, golden: &str) {
    assert!(rendered == golden, "rendered:\n{rendered}\ngolden:\n{golden}");
}

#[test]
fn text_is_word_for_word() {
    let plain = text::Palette::plain();
    assert_golden(&text::render(&passed(), &plain), include_str!("golden/passed.txt"));
    assert_golden(&text::render(&failed(), &plain), include_str!("golden/failed.txt"));
    assert_golden(&text::render(&nothing_recorded(), &plain), include_str!("golden/nothing-recorded.txt"));
    assert_golden(&text::render(&recorded(), &plain), include_str!("golden/recorded.txt"));
}

#[test]
fn json_is_word_for_word() {
    let version = |golden: &str| golden.replace("VERSION", env!("CARGO_PKG_VERSION"));
    let passed = json::render(&passed(), 0, Source::Verdict);
    assert_golden(&passed, &version(include_str!("golden/passed.json")));
    let failed = json::render(&failed(), 1, Source::Verdict);
    assert_golden(&failed, &version(include_str!("golden/failed.json")));
    let by_cmd = json::render(&nothing_recorded(), 4, Source::Cmd);
    assert_golden(&by_cmd, &version(include_str!("golden/nothing-recorded.json")));
}

#[test]
fn every_member_of_the_json_is_documented() {
    fn members(value: &serde_json::Value, names: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(map) => map.iter().for_each(|(name, value)| {
                names.push(name.clone());
                members(value, names);
            }),
            serde_json::Value::Array(values) => values.iter().for_each(|value| members(value, names)),
            _ => {}
        }
    }
    let documented = include_str!("../../../docs/report.md");
    let mut names = Vec::new();
    members(&serde_json::from_str(&json::render(&failed(), 1, Source::Verdict)).unwrap(), &mut names);
    for name in names {
        assert!(documented.contains(&format!("`{name}`")), "docs/report.md does not describe `{name}`");
    }
}

#[test]
fn colour_changes_no_word() {
    let coloured = text::render(&failed(), &text::Palette::colour());
    assert!(coloured.contains("\u{1b}["));
    let mut stripped = String::new();
    let mut rest = coloured.as_str();
    while let Some(at) = rest.find('\u{1b}') {
        stripped.push_str(&rest[..at]);
        rest = &rest[at..][rest[at..].find('m').unwrap() + 1..];
    }
    stripped.push_str(rest);
    assert_eq!(stripped, text::render(&failed(), &text::Palette::plain()));
}

#[test]
fn a_flood_of_findings_stays_a_few_lines() {
    let mut verdict = failed();
    verdict.findings = (0..500)
        .map(|n| Finding { request: Some(format!("GET https://h/{n}")), ..verdict.findings[2].clone() })
        .collect();
    let rendered = text::render(&verdict, &text::Palette::plain());
    assert!(rendered.contains("… and 480 more"), "{rendered}");
    assert!(rendered.lines().count() < 120);
}

#[test]
fn misses_come_first_then_what_fails_then_what_is_listed_then_unused() {
    let rendered = text::render(&failed(), &text::Palette::plain());
    let place = |what: &str| rendered.find(what).unwrap_or_else(|| panic!("no {what} in\n{rendered}"));
    assert!(place("✗ miss") < place("✗ out-of-scope"));
    assert!(place("✗ out-of-scope") < place("! tls-refused"));
    assert!(place("! tls-refused") < place("! unused"));
}
