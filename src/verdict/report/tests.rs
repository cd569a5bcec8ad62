//! Golden reports: a few verdicts, and each report of them word for word under `golden/`.

pub(crate) mod json_schema;
mod samples;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{Report, github, gitlab, json, junit, markdown, text};
use crate::verdict::request::RequestRow;
use crate::verdict::{CheckId, Finding, FixtureUse, Location, Severity, StatusSource, Verdict};
use json_schema::find_violation;
use samples::{failed, full, nothing_recorded, one_run, passed, recorded, report};

/// Compares with a file under `golden/`; `HARPROXY_GOLDEN=write` writes it.
fn assert_golden(rendered: &str, name: &str) {
    let rendered = rendered.replace(concat!("\"", env!("CARGO_PKG_VERSION"), "\""), "\"VERSION\"");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/verdict/report/golden").join(name);
    if std::env::var_os("HARPROXY_GOLDEN").is_some() {
        fs::write(&path, &rendered).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(rendered == golden, "{name}: rendered:\n{rendered}\ngolden:\n{golden}");
}

#[test]
fn text_report_equals_golden_files() {
    let plain = text::Palette::default();
    assert_golden(&text::render(&passed(), &plain), "passed.txt");
    assert_golden(&text::render(&failed(), &plain), "failed.txt");
    assert_golden(&text::render(&nothing_recorded(), &plain), "nothing-recorded.txt");
    assert_golden(&text::render(&recorded(), &plain), "recorded.txt");
}

#[test]
fn json_report_equals_golden_files() {
    assert_golden(&json::render(&report(passed(), 0, StatusSource::Verdict)), "passed.json");
    assert_golden(&json::render(&report(failed(), 1, StatusSource::Verdict)), "failed.json");
    assert_golden(&json::render(&report(nothing_recorded(), 4, StatusSource::Cmd)), "nothing-recorded.json");
    assert_golden(&json::render(&full()), "full.json");
}

#[test]
fn junit_report_equals_golden_files() {
    assert_golden(&junit::render(&report(passed(), 0, StatusSource::Verdict)), "passed.xml");
    assert_golden(&junit::render(&report(nothing_recorded(), 4, StatusSource::Cmd)), "nothing-recorded.xml");
    assert_golden(&junit::render(&one_run()), "full.xml");
}

#[test]
fn markdown_report_equals_golden_files() {
    assert_golden(&markdown::render(&report(passed(), 0, StatusSource::Verdict)), "passed.md");
    assert_golden(&markdown::render(&report(nothing_recorded(), 4, StatusSource::Cmd)), "nothing-recorded.md");
    assert_golden(&markdown::render(&full()), "full.md");
}

#[test]
fn ci_reports_are_word_for_word() {
    let place = |fixture: &str| format!("backend/{fixture}");
    assert_golden(&github::annotations(&one_run(), &place), "full.github");
    assert_golden(&gitlab::render(&one_run(), &place), "full.gitlab.json");
    assert_eq!(github::annotations(&report(passed(), 0, StatusSource::Verdict), &place), "");
    assert_eq!(gitlab::render(&report(passed(), 0, StatusSource::Verdict), &place), "[]\n");
}

/// Checks the rules of the Ant and Jenkins schemas that JUnit readers rely on.
#[test]
fn junit_report_conforms_to_the_schemas() {
    let shards = full();
    for report in
        [full(), one_run(), report(failed(), 1, StatusSource::Verdict), report(passed(), 0, StatusSource::Verdict)]
    {
        let xml = junit::render(&report);
        let document = roxmltree::Document::parse(&xml).unwrap_or_else(|error| panic!("{error}\n{xml}"));
        let root = document.root_element();
        assert_eq!(root.tag_name().name(), "testsuites");
        let suites: Vec<_> = root.children().filter(roxmltree::Node::is_element).collect();
        let [suite] = suites[..] else { panic!("one suite") };
        let children: Vec<_> = suite.children().filter(roxmltree::Node::is_element).collect();
        assert_eq!(children[0].tag_name().name(), "properties");
        assert!(children[1..].iter().all(|child| child.tag_name().name() == "testcase"));
        let number =
            |node: roxmltree::Node<'_, '_>, name: &str| node.attribute(name).unwrap().parse::<usize>().unwrap();
        let having =
            |tag: &str| children.iter().filter(|case| case.children().any(|c| c.tag_name().name() == tag)).count();
        for node in [root, suite] {
            assert_eq!(number(node, "tests"), children.len() - 1);
            assert_eq!(number(node, "failures"), having("failure"));
            assert_eq!(number(node, "errors"), having("error"));
            assert!(node.attribute("time").unwrap().parse::<f64>().is_ok());
        }
        assert_eq!(number(suite, "skipped"), having("skipped"));
        assert_eq!(suite.attribute("timestamp"), Some("1970-01-01T00:00:00"));
        assert!(suite.attribute("name").is_some() && suite.attribute("hostname").is_some());
        let mut names = BTreeSet::new();
        for case in &children[1..] {
            let allowed: BTreeSet<&str> = ["name", "classname", "time"].into();
            assert_eq!(case.attributes().map(|attribute| attribute.name()).collect::<BTreeSet<_>>(), allowed);
            assert!(names.insert(case.attribute("name")), "{:?} twice", case.attribute("name"));
            let results = case.children().filter(|c| ["failure", "error", "skipped"].contains(&c.tag_name().name()));
            assert!(results.clone().count() <= 1);
            assert!(results.clone().all(|result| result.attribute("message").is_some_and(|m| !m.contains('\n'))));
            let ends = ["failure", "error", "skipped", "system-out"];
            assert!(case.children().filter(|c| c.is_element()).all(|c| ends.contains(&c.tag_name().name())));
        }
        let expected = usize::from(report.source != StatusSource::Verdict);
        assert_eq!(number(root, "errors"), expected, "a broken run is an error, a mismatch none");
        assert_eq!(number(root, "failures") > 0, !report.verdict.passed());
    }
    assert!(junit::render(&shards).contains("harproxy replay -- npm test: shard-2.json"));
}

#[test]
fn unused_entry_is_a_skipped_or_failed_case() {
    let unused = |severity| Finding {
        at: Location::request("GET https://api.example.com/old?page=1"),
        ..Finding::new(CheckId::UNUSED, severity, "nothing asked for it")
    };
    for (severity, tag) in [(Severity::Warning, "<skipped message=\"nothing asked"), (Severity::Error, "<failure ")] {
        let report = report(Verdict { findings: vec![unused(severity)], ..passed() }, 0, StatusSource::Verdict);
        let xml = junit::render(&report);
        assert!(xml.contains("name=\"GET https://api.example.com/old\"") && xml.contains(tag), "{xml}");
        let asked = RequestRow {
            method: "GET".into(),
            url: "https://api.example.com/old?page=2".into(),
            ..RequestRow::default()
        };
        let xml = junit::render(&Report { requests: vec![asked], ..report });
        assert!(!xml.contains("<skipped"), "{xml}");
        assert_eq!(xml.contains("<system-out>"), severity == Severity::Warning, "{xml}");
    }
}

#[test]
fn markdown_with_many_findings_fits_a_comment_and_counts_the_rest() {
    let mut report = one_run();
    let long = "\u{1f600}`@octocat ".repeat(300);
    let finding = Finding {
        text: vec![long.clone(); 20].join("\n"),
        hint: Some(long.clone()),
        ..report.verdict.findings.iter().find(|finding| !finding.near.is_empty()).unwrap().clone()
    };
    report.command = long.clone();
    let of = |n| Finding { at: Location::request(format!("GET https://api{n}.example.com/{long}")), ..finding.clone() };
    report.verdict.findings = (0..1_000).map(of).collect();
    report.verdict.fixtures = (0..500)
        .map(|n| FixtureUse {
            fixture: format!("{n}{long}"),
            entries: 9,
            used: 1,
            served: Default::default(),
            unused: vec![],
            pruned: None,
            sha256: None,
        })
        .collect();
    let rendered = markdown::render(&report);
    assert!(rendered.len() <= markdown::LONGEST, "{}", rendered.len());
    assert!(rendered.contains(" findings more; the JSON report lists them all."));
    assert!(rendered.lines().any(|line| line.starts_with("<details")));
    assert!(!rendered.contains("@octocat</b>"));
    let annotations = github::annotations(&report, &str::to_owned);
    assert_eq!(annotations.lines().filter(|line| line.starts_with("::error ")).count(), 11, "one is CMD's");
    assert!(annotations.contains("and 991 more findings like these"));
    assert!(annotations.lines().all(|line| line.len() < 100_000));
}

fn miss_of(request: impl Into<String>, hint: &str) -> Finding {
    let at = Location::request(request);
    Finding { at, ..Finding::new(CheckId::MISS, Severity::Error, "no entry has this URL").with_hint(hint) }
}

#[test]
fn misses_of_one_endpoint_are_shown_once_and_counted() {
    let record = "record it: `harproxy replay hars/api.har --on-miss record -- npm test`";
    let pages = (3..10).map(|page| miss_of(format!("GET https://api.example.com/users?page={page}"), record));
    let ids = (3..8).map(|id| miss_of(format!("GET https://api.example.com/users/{id}/orders"), record));
    let other = miss_of("POST https://api.example.com/users", record);
    let mut report = one_run();
    report.verdict.fixtures.clear();
    report.verdict.findings = pages.chain(ids).chain([other]).collect();
    let shown = text::render(&report.verdict, &text::Palette::default());
    let lines: Vec<&str> = shown.lines().filter(|line| line.starts_with('✗') || line.contains("more")).collect();
    assert_eq!(
        lines[1..],
        [
            "✗ miss: GET https://api.example.com/users?page=3",
            "  and 6 more misses of this endpoint: /users?page=4, /users?page=5, /users?page=6, …",
            "✗ miss: GET https://api.example.com/users/3/orders",
            "  and 4 more misses of this endpoint: /users/4/orders, /users/5/orders, /users/6/orders, …",
            "✗ miss: POST https://api.example.com/users",
        ]
    );
    assert!(lines[0].contains("13 misses"), "{shown}");
    assert_eq!(shown.matches(record).count(), 1, "one command records them all");
    assert!(shown.lines().count() < 20, "{shown}");
    assert_eq!(markdown::render(&report).matches("<details").count(), 3);
    let annotations = github::annotations(&report, &str::to_owned);
    assert_eq!(annotations.matches("title=harproxy%3A miss").count(), 3, "{annotations}");
    assert!(annotations.contains("and 6 more misses of this endpoint"), "{annotations}");
    // The machine formats have them all.
    let json: Value = serde_json::from_str(&json::render(&report)).unwrap();
    assert_eq!(json["findings"].as_array().unwrap().len(), 13);
    let issues: Value = serde_json::from_str(&gitlab::render(&report, &str::to_owned)).unwrap();
    assert_eq!(issues.as_array().unwrap().len(), 13);
    let xml = junit::render(&report);
    assert_eq!(xml.matches("record it").count(), 13, "{xml}");
}

#[test]
fn unused_entries_of_several_fixtures_are_one_line_and_one_annotation() {
    let mut verdict = passed();
    let unused = |fixture: &str, entry| {
        let at =
            Location { fixture: Some(fixture.into()), entry: Some(entry), ..Location::request("GET https://a.test/x") };
        Finding { at, ..Finding::new(CheckId::UNUSED, Severity::Warning, "nothing asked for it") }
    };
    verdict.findings = (0..4).map(|n| unused("a.har", n)).chain([unused("b.har", 7)]).collect();
    let of = |fixture: &str, unused: Vec<usize>| FixtureUse {
        fixture: fixture.into(),
        entries: 9,
        used: 9 - unused.len(),
        served: Default::default(),
        unused,
        pruned: None,
        sha256: None,
    };
    verdict.fixtures = vec![of("a.har", vec![0, 1, 2, 3]), of("b.har", vec![7])];
    let shown = text::render(&verdict, &text::Palette::default());
    let lines: Vec<&str> = shown.lines().filter(|line| line.contains("unused")).collect();
    assert_eq!(
        lines,
        ["! unused: 5 of 18 entries of 2 fixtures: a.har#0 GET https://a.test/x, a.har#1 GET https://a.test/x, \
          a.har#2 GET https://a.test/x, and 2 more; `--report FILE.json` lists them, `--prune` removes them after a run \
          that passed"]
    );
    let report = report(verdict, 0, StatusSource::Verdict);
    assert_eq!(github::annotations(&report, &str::to_owned).lines().count(), 1);
    assert_eq!(markdown::render(&report).matches("<b>unused</b>").count(), 1);
}

#[test]
fn gitlab_issue_has_the_whole_hint() {
    let mut report = one_run();
    let lines = "in harproxy.toml:\n[[match]]\nglob = \"https://a.test/**\"\npath = \"/users/{id}\"";
    report.verdict.findings[0].hint = Some(lines.to_owned());
    let issues: Value = serde_json::from_str(&gitlab::render(&report, &str::to_owned)).unwrap();
    let has_hint = |issue: &Value| issue["description"].as_str().unwrap().ends_with(&format!("(hint: {lines})"));
    assert!(issues.as_array().unwrap().iter().any(has_hint), "{issues:#}");
}

#[test]
fn counts_of_one_are_singular() {
    let mut verdict = passed();
    verdict.counts.preflights = 1;
    let rendered = |verdict: &Verdict| text::render(verdict, &text::Palette::default());
    let one = rendered(&verdict);
    assert!(one.contains("1 made-up preflight") && !one.contains("1 made-up preflights"), "{one}");
    verdict.counts.preflights = 2;
    assert!(rendered(&verdict).contains(", 2 made-up preflights"), "{}", rendered(&verdict));
}

#[test]
fn fingerprints_ignore_values_and_lines_and_differ_for_equal_findings() {
    let prints = |report: &Report| -> Vec<String> {
        let issues: Value = serde_json::from_str(&gitlab::render(report, &str::to_owned)).unwrap();
        issues.as_array().unwrap().iter().map(|issue| issue["fingerprint"].as_str().unwrap().to_owned()).collect()
    };
    let before = one_run();
    let mut after = one_run();
    for finding in &mut after.verdict.findings {
        finding.text.push('!');
        finding.at.line = finding.at.line.map(|line| line + 3);
        finding.times += 1;
    }
    assert_eq!(prints(&before), prints(&after));
    after.verdict.findings.extend(before.verdict.findings.clone());
    let prints = prints(&after);
    assert_eq!(prints.iter().collect::<BTreeSet<_>>().len(), prints.len());
}

#[test]
fn text_lines_fit_the_terminal_except_commands_to_copy() {
    let report = one_run();
    for columns in [40, 80] {
        let rendered =
            text::render(&report.verdict, &text::Palette { columns: Some(columns), ..text::Palette::default() });
        for line in rendered.lines() {
            let fits = textwrap::core::display_width(line) <= columns;
            let copied = line.contains("hint:") || line.split_whitespace().count() <= 2;
            assert!(fits || copied, "{columns}: {line}");
        }
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let failed = text::render(&failed(), &text::Palette { columns: Some(columns), ..text::Palette::default() });
        assert_eq!(words(&failed), words(&text::render(&samples::failed(), &text::Palette::default())));
        assert_golden(&failed, &format!("failed.{columns}.txt"));
    }
    let coloured = text::render(&failed(), &text::Palette { columns: Some(40), ..text::Palette::colour() });
    let fits = |line: &str| textwrap::core::display_width(line) <= 44 || line.contains("hint:");
    assert!(coloured.lines().all(fits), "{coloured}");
}

#[test]
fn json_report_round_trips() {
    for report in [full(), report(nothing_recorded(), 4, StatusSource::Cmd), report(passed(), 0, StatusSource::Verdict)]
    {
        let written = json::render(&report);
        assert_eq!(json::render(&json::read(written.as_bytes()).unwrap()), written);
    }
}

#[test]
fn other_json_is_rejected_with_a_reason() {
    let read = |json: &str| {
        let error = json::read(json.as_bytes()).unwrap_err();
        let because = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        format!("{error}: {because}")
    };
    assert!(read("{").starts_with("invalid JSON: EOF"), "{}", read("{"));
    assert!(read("[1]").starts_with("not a harproxy report"), "{}", read("[1]"));
    assert!(read(r#"{"log":{"entries":[]}}"#).starts_with("not a harproxy report"));
    let newer = read(r#"{"schema":"harproxy.report/2","passed":"yes"}"#);
    assert!(newer.contains("`harproxy.report/2`") && newer.contains("`harproxy.report/1`"), "{newer}");
    assert!(read(r#"{"schema":"harproxy.report/1"}"#).contains("missing field"));
    let mut known = serde_json::to_value(serde_json::from_str::<Value>(&json::render(&full())).unwrap()).unwrap();
    known["later"] = 1.into();
    known["requests"][0]["later"] = 1.into();
    json::read(known.to_string().as_bytes()).unwrap();
}

/// Every member of every object, by name.
fn members(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| {
            names.insert(name.clone());
            members(value, names);
        }),
        Value::Array(values) => values.iter().for_each(|value| members(value, names)),
        _ => {}
    }
}

#[test]
fn members_of_the_json_report_are_documented() {
    let documented = include_str!("../../../docs/reference/report.md");
    let mut names = BTreeSet::new();
    members(&serde_json::from_str(&json::render(&full())).unwrap(), &mut names);
    for name in &names {
        assert!(documented.contains(&format!("`{name}`")), "docs/reference/report.md does not describe `{name}`");
    }
    for (kind, ..) in CheckId::KNOWN {
        assert!(
            documented.contains(&format!("`{}`", kind.as_str())),
            "docs/reference/report.md does not describe {kind:?}"
        );
    }
}

#[test]
fn schema_accepts_every_report_and_names_every_member() {
    let mut schema: Value = serde_json::from_str(include_str!("../../../docs/reference/report.schema.json")).unwrap();
    let reports =
        [full(), report(failed(), 1, StatusSource::Verdict), report(nothing_recorded(), 4, StatusSource::Cmd)];
    let reports = reports.map(|report| serde_json::from_str::<Value>(&json::render(&report)).unwrap());
    close(&mut schema);
    for report in &reports {
        assert_eq!(find_violation(&schema, &schema, report, ""), None);
    }
    for (place, wrong) in [("/findings/0/kind", "mis"), ("/requests/0/outcome", "x"), ("/started", ""), ("/counts", "")]
    {
        let mut report = reports[0].clone();
        *report.pointer_mut(place).unwrap() = match place {
            "/started" => 1.into(),
            _ => wrong.into(),
        };
        assert!(find_violation(&schema, &schema, &report, "").is_some(), "{place}");
    }
    let kinds: Vec<&str> = CheckId::KNOWN.iter().map(|(kind, ..)| kind.as_str()).collect();
    assert_eq!(schema["$defs"]["finding"]["properties"]["kind"]["enum"], serde_json::json!(kinds));
}

/// Lets no member in that a schema does not name.
pub(crate) fn close(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.values_mut().for_each(close);
            if map.get("properties").is_some_and(Value::is_object) && map.contains_key("type") {
                map.insert("additionalProperties".into(), false.into());
            }
        }
        Value::Array(values) => values.iter_mut().for_each(close),
        _ => {}
    }
}

#[test]
fn color_does_not_change_the_text() {
    let coloured = text::render(&failed(), &text::Palette::colour());
    assert!(coloured.contains("\u{1b}["));
    let mut stripped = String::new();
    let mut rest = coloured.as_str();
    while let Some(at) = rest.find('\u{1b}') {
        stripped.push_str(&rest[..at]);
        rest = &rest[at..][rest[at..].find('m').unwrap() + 1..];
    }
    stripped.push_str(rest);
    assert_eq!(stripped, text::render(&failed(), &text::Palette::default()));
}

#[test]
fn text_report_limits_the_number_of_findings() {
    let mut verdict = failed();
    verdict.findings = (0..500)
        .map(|n| Finding { at: Location::request(format!("GET https://h/p{n}")), ..verdict.findings[2].clone() })
        .collect();
    let rendered = text::render(&verdict, &text::Palette::default());
    assert!(rendered.contains("… and 480 more; `--report FILE.json` lists them all\n"), "{rendered}");
    assert!(rendered.lines().count() < 120);
    let mut findings = crate::verdict::Findings::default();
    for n in 0..1500 {
        findings.add(Finding { at: Location::request(format!("GET https://h/p{n}")), ..verdict.findings[0].clone() });
    }
    verdict.findings = findings.list().collect();
    let rendered = text::render(&verdict, &text::Palette::default());
    assert!(rendered.contains("lists up to 1000 and counts the rest"), "{rendered}");
    let rendered = markdown::render(&Report { verdict, ..one_run() });
    assert!(rendered.contains("lists up to 1000 and counts the rest by their kind."), "{rendered}");
}

#[test]
fn findings_are_ordered_by_miss_severity_and_unused() {
    let rendered = text::render(&failed(), &text::Palette::default());
    let place = |what: &str| rendered.find(what).unwrap_or_else(|| panic!("no {what} in\n{rendered}"));
    assert!(place("✗ miss") < place("✗ out-of-scope"));
    assert!(place("✗ out-of-scope") < place("! tls-refused"));
    assert!(place("! tls-refused") < place("! unused"));
}
