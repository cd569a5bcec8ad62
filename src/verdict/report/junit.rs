//! The report as JUnit XML, for the test readers of CI systems: a case for each endpoint, and one for the run itself. What
//! fails the run is a `<failure>`, a run that broke an `<error>`, and what was recorded for nothing `<skipped>`.
//!
//! There is no standard but what readers take: the schema of Ant's own task and that of Jenkins, within which this stays.

use std::time::Duration;

use indexmap::IndexMap;
use quick_junit::{NonSuccessKind, Property, Report as Document, TestCase, TestCaseStatus, TestSuite};
use time::macros::format_description;

use super::{Report, headline, text};
use crate::verdict::explain::EntryPlace;
use crate::verdict::seen::Fate;
use crate::verdict::{CheckId, Finding, Location, Severity, Source};
use harproxy_http::escape::one_line;

/// The document.
#[must_use]
pub fn render(report: &Report) -> String {
    let mode = report.verdict.mode.as_str();
    let duration = Duration::from_millis(report.verdict.duration_ms);
    let mut suite = TestSuite::new(format!("harproxy {mode}"));
    suite.set_time(duration);
    // Ant's schema wants a date and a time without a zone.
    let at = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    suite.extra.insert("timestamp".into(), report.started.format(at).unwrap_or_default().into());
    // And a host, which is this where nobody says which.
    suite.extra.insert("hostname".into(), "localhost".into());
    suite.add_properties(properties(report));
    for (name, case) in cases(report) {
        let mut told = TestCase::new(legal(&name), case.status());
        told.set_classname(format!("harproxy.{mode}")).set_time(case.took);
        if let Some(listed) = case.listed() {
            told.set_system_out(legal(&listed));
        }
        suite.add_test_case(told);
    }
    let mut document = Document::new("harproxy");
    document.set_time(duration).add_test_suite(suite);
    // Strings that were made legal into memory: nothing can fail.
    document.to_string().unwrap_or_default()
}

/// What is said of one name.
#[derive(Default)]
struct Case<'a> {
    /// Whether anything was asked of it; the run itself always is.
    asked: bool,
    took: Duration,
    findings: Vec<&'a Finding>,
    /// Why it is no verdict at all: whose fault that is, and what happened.
    broke: Option<(&'static str, String)>,
}

impl Case<'_> {
    fn status(&self) -> TestCaseStatus {
        let failing: Vec<&Finding> = self.of(Severity::Error).collect();
        let text: String = failing.iter().map(|finding| text::finding(finding)).collect();
        if let Some((whose, what)) = &self.broke {
            return non_success(NonSuccessKind::Error, whose, what, &format!("{what}\n{text}"));
        }
        if let [first, rest @ ..] = &failing[..] {
            let what = first.text.lines().next().unwrap_or_default();
            let more = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
            // What harproxy lost is no mismatch.
            let kind = if first.check == CheckId::LOST { NonSuccessKind::Error } else { NonSuccessKind::Failure };
            return non_success(kind, first.check.as_str(), &format!("{what}{more}"), &text);
        }
        if !self.is_skipped() {
            return TestCaseStatus::success();
        }
        let mut skipped = TestCaseStatus::skipped();
        let entries: Vec<String> = self.findings.iter().map(|finding| entry(finding)).collect();
        skipped.set_message(legal(&one_line(&entries.join("; "))));
        skipped
    }

    /// Whether there is nothing to it but entries that nothing asked for.
    fn is_skipped(&self) -> bool {
        let is_idle = |finding: &&Finding| [CheckId::UNUSED, CheckId::STALE].contains(&finding.check);
        !self.asked && self.findings.iter().all(is_idle)
    }

    /// What does not fail it.
    fn listed(&self) -> Option<String> {
        if self.is_skipped() {
            return None;
        }
        let listed: String = self.of(Severity::Warning).map(text::finding).collect();
        (!listed.is_empty()).then_some(listed)
    }

    fn of(&self, severity: Severity) -> impl Iterator<Item = &Finding> {
        self.findings.iter().copied().filter(move |finding| finding.severity == severity)
    }
}

/// "nothing asked for it: hars/api.har#5 (line 150)"
fn entry(finding: &Finding) -> String {
    let Finding { at: Location { fixture, entry, line, .. }, text, .. } = finding;
    let (Some(fixture), Some(entry)) = (fixture, entry) else { return text.clone() };
    format!("{text}: {}", EntryPlace { fixture: fixture.clone(), entry: *entry, line: *line })
}

fn non_success(kind: NonSuccessKind, whose: &str, message: &str, text: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(whose).set_message(legal(&one_line(message))).set_description(legal(text));
    status
}

/// The run, then the endpoints in the order in which they were asked, then what only findings tell of.
fn cases(report: &Report) -> IndexMap<String, Case<'_>> {
    let mut cases: IndexMap<String, Case<'_>> = IndexMap::new();
    let run = name(report);
    let broke = |status, source| headline::ending(status, source).map(|what| (word(source), what));
    if report.shards.is_empty() {
        let broke = broke(report.status, report.source);
        cases.insert(run.clone(), Case { asked: true, broke, ..Case::default() });
    } else {
        cases.insert(run.clone(), Case { asked: true, ..Case::default() });
        for shard in &report.shards {
            let broke = broke(shard.status, shard.source);
            cases.insert(format!("{run}: {}", shard.shard), Case { asked: true, broke, ..Case::default() });
        }
    }
    for seen in report.seen.iter().filter(|seen| seen.outcome != Fate::Noise) {
        let case = cases.entry(endpoint(&seen.method, &seen.url)).or_default();
        case.asked = true;
        let took = Duration::try_from_secs_f64(seen.took_ms.unwrap_or_default() / 1e3).unwrap_or_default();
        case.took = case.took.saturating_add(took);
    }
    for finding in &report.verdict.findings {
        let request = finding.at.request.as_deref().map(|request| request.split_once(' ').unwrap_or(("", request)));
        let name = request.map_or_else(|| run.clone(), |(method, url)| endpoint(method, url));
        cases.entry(name).or_default().findings.push(finding);
    }
    cases
}

/// The run as it was typed: the same from run to run, as readers that keep a history want it.
fn name(report: &Report) -> String {
    let mode = report.verdict.mode.as_str();
    match &*report.command {
        "" => format!("harproxy {mode}"),
        command => format!("harproxy {mode} -- {}", one_line(command)),
    }
}

/// The method and the URL without its query, in which what changes from run to run has its place.
fn endpoint(method: &str, url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    format!("{method} {}", &url[..end]).trim_start().to_owned()
}

fn word(source: Source) -> &'static str {
    match source {
        Source::Cmd => "cmd",
        Source::Verdict => "verdict",
        Source::Harproxy => "harproxy",
    }
}

fn properties(report: &Report) -> Vec<Property> {
    let counts = &report.verdict.counts;
    let mut properties = vec![
        Property::new("harproxy", env!("CARGO_PKG_VERSION")),
        Property::new("status", report.status.to_string()),
        Property::new("source", word(report.source)),
        Property::new("requests", counts.requests.to_string()),
        Property::new("upstreamConnections", counts.upstream_connections.to_string()),
    ];
    if !report.command.is_empty() {
        properties.push(Property::new("command", legal(&one_line(&report.command))));
    }
    for fixture in &report.verdict.fixtures {
        let used = format!("{}: {} of {} entries used", fixture.fixture, fixture.used, fixture.entries);
        properties.push(Property::new("fixture", legal(&one_line(&used))));
    }
    properties
}

/// What XML 1.0 has no way to say (production 2, `Char`) is replaced.
fn legal(text: &str) -> String {
    let is_legal = |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().map(|c| if is_legal(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}
