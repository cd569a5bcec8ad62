//! Reports of drift runs: their contents, their schemas, and hostile text in them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use time::macros::datetime;

use super::text;
use super::{DriftFormat, DriftReport, DriftResult};
use crate::drift::check::{check, not_authorized, not_compared};
use crate::drift::checks::{self, CHECKS, DriftSeverity};
use crate::drift::endpoint::EndpointKey;
use crate::drift::evidence::{AnswerPayload, EndpointEvidence, ObservedAnswer};
use crate::drift::finding::{DriftFinding, DriftPlace, EndpointResult, Suppressed};
use crate::drift::select::SkippedEndpoint;
use crate::drift::suppress::SuppressionNotes;
use crate::verdict::explain::EntryPlace;
use crate::verdict::report::tests::close;
use crate::verdict::report::tests::json_schema::find_violation;
use crate::verdict::report::text::Palette;
use harproxy_compare::{ShapePath, ShapeStep};
use harproxy_support::printable::is_invisible;

/// Text that is markup, a mention, an end of a section or a control character somewhere.
const HOSTILE: &str =
    "<script>alert(1)</script>|`*[x](https://evil.test)`\n\n# @all <!channel> \u{202e}]]>\"'&{0}\u{1b}[31m";
const FORMATS: [DriftFormat; 5] =
    [DriftFormat::Json, DriftFormat::Junit, DriftFormat::Markdown, DriftFormat::Html, DriftFormat::Sarif];

fn key(path: &str) -> EndpointKey {
    EndpointKey {
        origin: "https://api.example.com".to_owned(),
        path: path.to_owned(),
        method: "GET".to_owned(),
        parameters: BTreeSet::from(["page".to_owned()]),
        status_class: 2,
    }
}

fn at(entry: usize, line: usize) -> EntryPlace {
    EntryPlace { fixture: "hars/api v1.har".to_owned(), entry, line: Some(line) }
}

fn endpoint(path: &str, findings: Vec<DriftFinding>) -> EndpointResult {
    EndpointResult {
        key: key(path),
        at: at(3, 120),
        entries: 2,
        url: Some(format!("https://api.example.com{path}?page=1")),
        status: Some(200),
        took_ms: 12,
        shapes: None,
        findings,
    }
}

fn report(endpoints: Vec<EndpointResult>) -> DriftReport {
    DriftReport {
        source: "production".to_owned(),
        endpoints,
        skipped: Vec::new(),
        suppressions: SuppressionNotes::default(),
        min_severity: DriftSeverity::Critical,
        started: datetime!(2026-11-25 12:00:00 +1),
        duration_ms: 1500,
    }
}

fn evidence(payload: &'static str) -> EndpointEvidence {
    let mut evidence = EndpointEvidence::default();
    evidence.observe(&ObservedAnswer {
        status: 200,
        content_type: "application/json".to_owned(),
        payload: AnswerPayload::Bytes(payload.into()),
        ..ObservedAnswer::default()
    });
    evidence
}

/// Compares two payloads as a run does.
fn compared(path: &str, recorded: &'static str, live: &'static str) -> EndpointResult {
    let (recorded, live) = (evidence(recorded), evidence(live));
    let findings = check(&recorded, &live, &str::to_owned);
    let shapes = match (&recorded.payload.json, &live.payload.json) {
        (Some(recorded), Some(live)) => Some([recorded.to_string(), live.to_string()]),
        _ => None,
    };
    EndpointResult { shapes, ..endpoint(path, findings) }
}

/// The example of the documentation, an endpoint in sync, and one with a suppressed finding.
fn drift() -> DriftReport {
    let mut suppressed = compared("/orders", r#"{"id":1}"#, r#"{"id":"a"}"#);
    suppressed.findings[0].suppressed = Some(Suppressed {
        reason: "ids are random".to_owned(),
        owner: Some("team-a".to_owned()),
        expires: Some("2027-03-31".to_owned()),
    });
    let example =
        compared("/users/{id}", r#"{"data":[{"firstName":"A"}]}"#, r#"{"data":[{"first_name":"A","avatar_url":"u"}]}"#);
    let skipped = SkippedEndpoint { key: key("/carts"), at: at(9, 300), reason: "POST can change data".to_owned() };
    let notes = SuppressionNotes {
        expired: vec!["harproxy.toml:12: expired on 2026-01-01".to_owned()],
        unused: vec!["harproxy.toml:20: no finding matches it".to_owned()],
    };
    let endpoints = vec![compared("/health", r#"{"ok":true}"#, r#"{"ok":false}"#), suppressed, example];
    DriftReport { skipped: vec![skipped], suppressions: notes, ..report(endpoints) }
}

fn in_sync() -> DriftReport {
    report(vec![compared("/health", r#"{"ok":true}"#, r#"{"ok":false}"#)])
}

fn not_compared_run() -> DriftReport {
    report(vec![EndpointResult { status: None, ..endpoint("/health", vec![not_compared("connection refused")]) }])
}

fn inconclusive() -> DriftReport {
    report(vec![endpoint("/me", vec![not_authorized("production answers 401")])])
}

fn hostile() -> DriftReport {
    let place = DriftPlace::Payload(ShapePath(vec![ShapeStep::Field(HOSTILE.to_owned())]));
    let finding = DriftFinding::new(checks::TYPE_CHANGED, DriftSeverity::Critical, place, HOSTILE);
    let suppressed = DriftFinding {
        suppressed: Some(Suppressed { reason: HOSTILE.to_owned(), owner: Some(HOSTILE.to_owned()), expires: None }),
        ..DriftFinding::new(checks::HEADER_ADDED, DriftSeverity::Info, DriftPlace::Header(HOSTILE.to_owned()), HOSTILE)
    };
    let result = EndpointResult {
        key: EndpointKey { parameters: BTreeSet::from([HOSTILE.to_owned()]), ..key(&format!("/{HOSTILE}")) },
        at: EntryPlace { fixture: HOSTILE.to_owned(), entry: 0, line: None },
        url: Some(HOSTILE.to_owned()),
        shapes: Some([format!("{{ {HOSTILE}: string }}"), " } } } , { ".to_owned()]),
        ..endpoint("/", vec![finding.with_suggestion(HOSTILE), suppressed])
    };
    let skipped = SkippedEndpoint { key: result.key.clone(), at: at(0, 1), reason: HOSTILE.to_owned() };
    let notes = SuppressionNotes { expired: vec![HOSTILE.to_owned()], unused: vec![HOSTILE.to_owned()] };
    let source = HOSTILE.to_owned();
    DriftReport { source, skipped: vec![skipped], suppressions: notes, ..report(vec![result]) }
}

fn samples() -> [DriftReport; 6] {
    [drift(), in_sync(), not_compared_run(), inconclusive(), hostile(), report(Vec::new())]
}

fn rendered(format: DriftFormat, report: &DriftReport) -> String {
    format.render(report, &|fixture| format!("backend/{fixture}"))
}

fn parsed(format: DriftFormat, report: &DriftReport) -> Value {
    serde_json::from_str(&rendered(format, report)).unwrap()
}

#[test]
fn schema_accepts_every_report_and_names_every_member() {
    let mut schema: Value = serde_json::from_str(include_str!("../../../docs/reference/drift.schema.json")).unwrap();
    close(&mut schema);
    for report in samples() {
        assert_eq!(find_violation(&schema, &schema, &parsed(DriftFormat::Json, &report), ""), None);
    }
    for (place, wrong) in [("/result", "ok"), ("/endpoints/0/fields/0/severity", "error"), ("/endpoints/0/entry", "")] {
        let mut report = parsed(DriftFormat::Json, &drift());
        *report.pointer_mut(place).unwrap() = wrong.into();
        assert!(find_violation(&schema, &schema, &report, "").is_some(), "{place}");
    }
}

#[test]
fn result_and_status_follow_from_findings() {
    let expected = [
        (DriftResult::Drift, 1),
        (DriftResult::InSync, 0),
        (DriftResult::NotCompared, 4),
        (DriftResult::Inconclusive, 5),
        (DriftResult::Drift, 1),
        (DriftResult::NotCompared, 4),
    ];
    assert_eq!(samples().each_ref().map(|report| (report.result(), report.status())), expected);
}

#[test]
fn documented_example_has_score_72() {
    let json = parsed(DriftFormat::Json, &drift());
    let endpoint = &json["endpoints"][0];
    assert_eq!(endpoint["endpoint"], "GET https://api.example.com/users/{id}?page");
    assert_eq!(endpoint["driftScore"], 72);
    assert_eq!(json["score"]["minimum"], 72);
    let fields: BTreeMap<&str, &Value> =
        endpoint["fields"].as_array().unwrap().iter().map(|field| (field["path"].as_str().unwrap(), field)).collect();
    let renamed = fields["$.data[0].firstName"];
    assert_eq!((&renamed["issue"], &renamed["severity"]), (&"field_missing_in_production".into(), &"critical".into()));
    assert!(renamed["suggestion"].as_str().unwrap().contains("first_name"), "{renamed}");
    let added = fields["$.data[0].avatar_url"];
    assert_eq!((&added["issue"], &added["severity"]), (&"field_missing_in_mock".into(), &"info".into()));
    assert_eq!(fields.len(), 2);
}

#[test]
fn no_report_has_invisible_characters() {
    for format in FORMATS {
        let text = rendered(format, &hostile());
        let found = text.chars().find(|c| is_invisible(*c) && *c != '\n' && *c != '\t');
        assert_eq!(found, None, "{format:?}");
    }
    let text = text::render(&hostile(), &Palette::default(), true);
    assert!(!text.contains(|c| is_invisible(c) && c != '\n'), "{text}");
}

#[test]
fn html_report_is_well_formed_and_has_no_element_of_hostile_text() {
    for report in samples() {
        let page = rendered(DriftFormat::Html, &report);
        // The page is well-formed XML once its void elements are closed.
        let closed: Vec<String> = page
            .trim_start_matches("<!doctype html>")
            .lines()
            .map(|line| if line.starts_with("<meta") { line.replace("\">", "\"/>") } else { line.to_owned() })
            .collect();
        let xml = closed.join("\n").replace("<br>", "<br/>").replace(" open>", ">");
        let document = roxmltree::Document::parse(&xml).unwrap_or_else(|error| panic!("{error}\n{xml}"));
        let has = |name: &str| document.descendants().any(|node| node.has_tag_name(name));
        assert!(!has("script") && !has("img") && !has("link"), "{page}");
        assert!(has("h1") && has("style"));
        assert!(!page.contains("http://") && !page.contains("src=") && !page.contains("url("), "{page}");
        let links = document.descendants().filter_map(|node| node.attribute("href"));
        assert!(links.into_iter().all(|link| link.starts_with("#e")));
    }
}

#[test]
fn html_report_shows_findings_and_shapes_side_by_side() {
    let page = rendered(DriftFormat::Html, &drift());
    for part in [
        "<td class=\"number\">72</td><td><a href=\"#e0\">GET https://api.example.com/users/{id}?page</a>",
        "<li class=\"critical\"><b>critical</b> <code>$.data[0].firstName</code>",
        "<code>first_name</code>",
        "<li class=\"suppressed\">",
        "Suppressed: ids are random · owner team-a · expires 2027-03-31",
        "<tr><td>{</td><td>{</td></tr>",
        "<tr><td>  data: [{</td><td>  data: [{</td></tr>",
        "<tr><td class=\"removed\">    firstName: string</td><td class=\"added\">",
        "<li><code>GET https://api.example.com/carts?page</code>: POST can change data</li>",
        "harproxy.toml:12: expired on 2026-01-01",
        "harproxy.toml:20: no finding matches it",
    ] {
        assert!(page.contains(part), "{part}:\n{page}");
    }
}

#[test]
fn html_report_is_bounded() {
    let deep = format!("{}x{}", "{ a: ".repeat(1_000), " }".repeat(1_000));
    let wide = format!("{{ {} }}", vec!["name: string"; 10_000].join(", "));
    let endpoints = (0..510).map(|n| {
        let shapes = Some([deep.clone(), wide.clone()]);
        EndpointResult { shapes, ..endpoint(&format!("/{n}"), Vec::new()) }
    });
    let page = rendered(DriftFormat::Html, &report(endpoints.collect()));
    assert!(page.len() < 10 << 20, "{}", page.len());
    assert_eq!(page.matches("<details class=\"endpoint\"").count(), 500);
    assert!(page.contains("… and 10 endpoints more"));
    assert!(page.contains("…</td>") && page.contains("The shapes are omitted"));
}

#[test]
fn markdown_report_has_a_table_and_findings() {
    let markdown = rendered(DriftFormat::Markdown, &drift());
    for part in [
        "### ❌ drift: 1 critical, 1 info in 3 endpoints",
        "| 72 | <code>GET https&#58;//api.example.com/users/{id}?page</code> | 1 | 0 | 1 |\n",
        "<details open><summary>❌ <b>72</b>",
        "<b>critical</b> <code>$.data[0].firstName</code> drift/field-missing-in-production: ",
        "<br>→ production has <code>first_name</code> instead",
        "<details><summary>1 endpoint was not asked</summary>",
        "1 expired suppression",
        "1 unused suppression",
        "1 finding is suppressed.",
    ] {
        assert!(markdown.contains(part), "{part}:\n{markdown}");
    }
    assert!(rendered(DriftFormat::Markdown, &in_sync()).starts_with("### ✅ in sync: 1 endpoint compared"));
    assert!(rendered(DriftFormat::Markdown, &not_compared_run()).contains("| – | <code>"));
}

#[test]
fn markdown_report_has_no_markup_of_hostile_text() {
    let markdown = rendered(DriftFormat::Markdown, &DriftReport { source: "production".to_owned(), ..hostile() });
    for part in ["<script", "<!channel", "@all", "\n# ", "\u{202e}"] {
        assert!(!markdown.contains(part), "{part}:\n{markdown}");
    }
    // Only blocks of HTML have text without escapes: each ends at the first empty line.
    for block in markdown.split("\n\n").filter(|block| block.starts_with("<details")) {
        assert!(block.ends_with("</details>"), "{block}");
    }
    let row = markdown.lines().find(|line| line.starts_with("| 75 |")).unwrap();
    assert_eq!(row.matches('|').count(), 6, "{row}");
    assert!(!row.contains(['`', '*', '[', ']', '(', ')']), "{row}");
}

#[test]
fn markdown_report_fits_a_comment() {
    let finding = |n: usize| {
        let place = DriftPlace::Payload(ShapePath(vec![ShapeStep::Field(format!("{n}{}", "@".repeat(200)))]));
        DriftFinding::new(checks::TYPE_CHANGED, DriftSeverity::Critical, place, "\u{1f600} @x ".repeat(20))
    };
    let endpoints = (0..600).map(|n| endpoint(&format!("/{n}"), (0..n % 30).map(finding).collect())).collect();
    let mut report = report(endpoints);
    report.suppressions.unused = vec!["@".repeat(1_000); 1_000];
    let markdown = rendered(DriftFormat::Markdown, &report);
    assert!(markdown.len() <= 60_000, "{}", markdown.len());
    assert!(markdown.contains("… and 550 endpoints more.") && markdown.contains("… and the findings of "));
    assert!(markdown.contains("<summary>⚠️ 1000 unused suppressions</summary>") && markdown.contains(" more</li>"));
}

#[test]
fn junit_report_has_a_failure_for_a_critical_finding() {
    for report in samples() {
        let xml = rendered(DriftFormat::Junit, &report);
        roxmltree::Document::parse(&xml).unwrap_or_else(|error| panic!("{error}\n{xml}"));
    }
    let xml = rendered(DriftFormat::Junit, &drift());
    let document = roxmltree::Document::parse(&xml).unwrap();
    let case = |path: &str| {
        let name = format!("GET https://api.example.com{path} with page");
        document.descendants().find(|node| node.attribute("name") == Some(&name)).unwrap()
    };
    let failures: Vec<_> = document.descendants().filter(|node| node.has_tag_name("failure")).collect();
    let [failure] = failures[..] else { panic!("one failure: {xml}") };
    assert_eq!(failure.parent(), Some(case("/users/{id}")));
    assert_eq!(failure.attribute("type"), Some("drift/field-missing-in-production"));
    assert!(failure.attribute("message").unwrap().starts_with("$.data[0].firstName: "));
    assert!(!case("/health").has_children(), "{xml}");
}

fn results(report: &DriftReport) -> Vec<Value> {
    parsed(DriftFormat::Sarif, report)["runs"][0]["results"].as_array().unwrap().clone()
}

fn fingerprints(report: &DriftReport) -> Vec<String> {
    let fingerprint = |result: &Value| result["partialFingerprints"]["harproxyDrift/v1"].as_str().unwrap().to_owned();
    results(report).iter().map(fingerprint).collect()
}

#[test]
fn sarif_report_declares_all_rules_and_refers_to_them() {
    let log = parsed(DriftFormat::Sarif, &drift());
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), CHECKS.len());
    assert_eq!(rules[2]["name"], "FieldMissingInProduction");
    assert_eq!(rules[2]["shortDescription"]["text"], "A recorded field is gone.");
    for result in run["results"].as_array().unwrap() {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(result["ruleId"], rules[index]["id"]);
    }
    let first = &run["results"][0];
    let location = &first["locations"][0];
    let artifact = &location["physicalLocation"]["artifactLocation"];
    assert_eq!((&artifact["uri"], &artifact["uriBaseId"]), (&"backend/hars/api%20v1.har".into(), &"%SRCROOT%".into()));
    assert_eq!(location["physicalLocation"]["region"]["startLine"], 120);
    assert_eq!(location["logicalLocations"][0]["fullyQualifiedName"], "GET https://api.example.com/users/{id}?page");
    let suppressed =
        run["results"].as_array().unwrap().iter().filter(|result| result["suppressions"] != Value::Array(vec![]));
    let justifications: Vec<&Value> = suppressed.map(|result| &result["suppressions"][0]["justification"]).collect();
    assert_eq!(justifications, ["ids are random"]);
    assert_eq!(run["invocations"][0]["startTimeUtc"], "2026-11-25T11:00:00Z");
    assert_eq!(run["invocations"][0]["endTimeUtc"], "2026-11-25T11:00:01.5Z");
    let is_successful =
        |report| parsed(DriftFormat::Sarif, &report)["runs"][0]["invocations"][0]["executionSuccessful"].clone();
    assert_eq!(samples().map(is_successful), [true, true, false, false, true, false].map(Value::Bool));
}

#[test]
fn sarif_fingerprints_do_not_depend_on_lines_and_values() {
    let before = drift();
    let mut after = drift();
    for endpoint in &mut after.endpoints {
        endpoint.at = EntryPlace { fixture: "other.zip".to_owned(), entry: 0, line: None };
        endpoint.findings.iter_mut().for_each(|finding| finding.text.push_str(" at all"));
    }
    assert_eq!(fingerprints(&before), fingerprints(&after));
    assert!(fingerprints(&before).iter().all(|fingerprint| fingerprint.len() == 64));
    assert_eq!(results(&after)[0]["locations"][0]["physicalLocation"]["region"]["startLine"], 1);
}

#[test]
fn sarif_fingerprints_are_unique() {
    let value = |text| DriftFinding::new(checks::VALUE_CHANGED, DriftSeverity::Critical, DriftPlace::Status, text);
    let same_place = endpoint("/a", vec![value("one"), value("two"), value("three")]);
    let found = fingerprints(&report(vec![same_place, endpoint("/b", vec![value("one")])]));
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 4, "{found:?}");
}

#[test]
fn sarif_message_has_no_link_and_no_placeholder() {
    let text = results(&hostile())[0]["message"]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("\\[x\\](https") && text.contains("{{0}}") && !text.contains('\n'), "{text}");
}

#[cfg(unix)]
#[test]
fn sarif_location_of_an_absolute_path_is_a_file_uri() {
    let log = DriftFormat::Sarif.render(&drift(), &|_| "/tmp/a b/#1.har".to_owned());
    let log: Value = serde_json::from_str(&log).unwrap();
    let artifact = &log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"];
    assert_eq!(artifact, &serde_json::json!({ "uri": "file:///tmp/a%20b/%231.har" }));
}

/// SARIF is JSON and JUnit is XML. `scripts/drift-schemas` validates the same reports, in the folder that
/// `HARPROXY_DRIFT_SAMPLES` names, against published schemas.
#[test]
fn sample_reports_are_well_formed() {
    let folder = std::env::var_os("HARPROXY_DRIFT_SAMPLES").map(std::path::PathBuf::from);
    for (n, report) in samples().iter().enumerate() {
        let (sarif, junit) = (rendered(DriftFormat::Sarif, report), rendered(DriftFormat::Junit, report));
        assert!(serde_json::from_str::<Value>(&sarif).is_ok_and(|log| log["version"] == "2.1.0"), "{n}: {sarif}");
        let xml = roxmltree::Document::parse(&junit).unwrap();
        assert_eq!(xml.root_element().tag_name().name(), "testsuites", "{n}");
        if let Some(folder) = &folder {
            std::fs::write(folder.join(format!("{n}.sarif")), sarif).unwrap();
            std::fs::write(folder.join(format!("{n}.xml")), junit).unwrap();
        }
    }
}
