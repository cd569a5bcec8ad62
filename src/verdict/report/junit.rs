//! Renders a report as JUnit XML: one test case for each endpoint and one for the run itself. A finding that fails the
//! run is a `<failure>`, a broken run an `<error>`, an endpoint with unused entries only is `<skipped>`.
//!
//! JUnit has no specification. The output is valid under the schema of Jenkins.

use std::time::Duration;

use indexmap::IndexMap;
use time::macros::format_description;

use super::text::{self, line};
use super::{Report, escape_markup, headline};
use crate::verdict::explain::{EntryPlace, many};
use crate::verdict::request::ResultKind;
use crate::verdict::{CheckId, Finding, Location, Severity, StatusSource, name_in_reports};
use harproxy_support::printable::{self, one_line};

#[must_use]
pub fn render(report: &Report) -> String {
    let mode = escaped(&one_line(report.verdict.mode.as_str()));
    let cases = cases(report).into_iter().map(|(name, case)| (name, case.status(), case));
    let cases: Vec<(String, Option<Status>, Case<'_>)> = cases.collect();
    let count = |tag| cases.iter().filter(|(_, status, _)| status.as_ref().is_some_and(|s| s.tag == tag)).count();
    let [skipped, errors, failures] = [SKIPPED, ERROR, FAILURE].map(count);
    let (tests, time) = (cases.len(), seconds(Duration::from_millis(report.verdict.duration_ms)));
    // Ant's schema requires a date and time without a zone, and a host name.
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    let timestamp = report.started.format(format).unwrap_or_default();
    let mut xml = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="harproxy" tests="{tests}" failures="{failures}" errors="{errors}" time="{time}">
    <testsuite name="harproxy {mode}" tests="{tests}" skipped="{skipped}" errors="{errors}" failures="{failures}" time="{time}" timestamp="{timestamp}" hostname="localhost">
        <properties>
"#
    );
    for (name, value) in properties(report) {
        line(&mut xml, format_args!(r#"            <property name="{name}" value="{}"/>"#, escaped(&value)));
    }
    xml.push_str("        </properties>\n");
    for (name, status, case) in &cases {
        let (name, time) = (escaped(name), seconds(case.took));
        let head = format!(r#"        <testcase name="{name}" classname="harproxy.{mode}" time="{time}""#);
        match case_content(status.as_ref(), case) {
            content if content.is_empty() => line(&mut xml, format_args!("{head}/>")),
            content => line(&mut xml, format_args!("{head}>\n{content}        </testcase>")),
        }
    }
    xml.push_str("    </testsuite>\n</testsuites>\n");
    xml
}

fn case_content(status: Option<&Status>, case: &Case<'_>) -> String {
    let mut xml = String::new();
    if let Some(Status { tag, message, detail }) = status {
        let head = format!(r#"            <{tag} message="{}""#, escaped(&one_line(message)));
        match detail {
            Some((kind, text)) => {
                line(&mut xml, format_args!(r#"{head} type="{}">{}</{tag}>"#, escaped(&one_line(kind)), escaped(text)));
            }
            None => line(&mut xml, format_args!("{head}/>")),
        }
    }
    if let Some(listed) = case.listed() {
        line(&mut xml, format_args!("            <system-out>{}</system-out>", escaped(&listed)));
    }
    xml
}

/// Formats a duration in seconds with three decimals, as readers of JUnit expect it.
fn seconds(duration: Duration) -> String {
    format!("{:.3}", duration.as_secs_f64())
}

const FAILURE: &str = "failure";
const ERROR: &str = "error";
const SKIPPED: &str = "skipped";

/// The child element of a test case that did not succeed.
struct Status {
    tag: &'static str,
    message: String,
    /// The `type` attribute and the text.
    detail: Option<(String, String)>,
}

/// The requests and findings of one endpoint, or of the run.
#[derive(Default)]
struct Case<'a> {
    /// True if a request went to the endpoint. Always true for the run.
    is_requested: bool,
    took: Duration,
    findings: Vec<&'a Finding>,
    /// The broken component and the reason, if the run has no verdict.
    broke: Option<(String, String)>,
}

impl Case<'_> {
    fn status(&self) -> Option<Status> {
        let failing: Vec<&Finding> = self.of(Severity::Error).collect();
        let text: String = failing.iter().map(|finding| text::finding(finding)).collect();
        if let Some((component, reason)) = &self.broke {
            let detail = Some((component.clone(), format!("{reason}\n{text}")));
            return Some(Status { tag: ERROR, message: reason.clone(), detail });
        }
        if let [first, rest @ ..] = &failing[..] {
            let line = first.text.lines().next().unwrap_or_default();
            let more = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
            // An exchange that harproxy lost is an error of the run, not a mismatch.
            let tag = if first.check == CheckId::LOST { ERROR } else { FAILURE };
            let detail = Some((first.check.to_string(), text));
            return Some(Status { tag, message: format!("{line}{more}"), detail });
        }
        if !self.is_skipped() {
            return None;
        }
        let entries: Vec<String> = self.findings.iter().map(|finding| entry(finding)).collect();
        Some(Status { tag: SKIPPED, message: entries.join("; "), detail: None })
    }

    /// Returns true if all findings are unused or stale entries, and no request came.
    fn is_skipped(&self) -> bool {
        let is_idle = |finding: &&Finding| [CheckId::UNUSED, CheckId::STALE].contains(&finding.check);
        !self.is_requested && self.findings.iter().all(is_idle)
    }

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

/// Returns the run, the endpoints in order of first request, and endpoints that only findings name.
fn cases(report: &Report) -> IndexMap<String, Case<'_>> {
    let mut cases: IndexMap<String, Case<'_>> = IndexMap::new();
    // The command as it was typed, so that readers with a history recognise the test case of the run.
    let mode = report.verdict.mode.as_str();
    let run = match &*report.command {
        "" => format!("harproxy {}", one_line(mode)),
        command => format!("harproxy {} -- {}", one_line(mode), one_line(command)),
    };
    let broke =
        |status, source: StatusSource| headline::ending(status, source).map(|result| (name_in_reports(source), result));
    let mut insert = |name, broke| cases.insert(name, Case { is_requested: true, broke, ..Case::default() });
    insert(run.clone(), broke(report.status, report.source).filter(|_| report.shards.is_empty()));
    for shard in &report.shards {
        insert(format!("{run}: {}", one_line(&shard.shard)), broke(shard.status, shard.source));
    }
    for seen in report.requests.iter().filter(|seen| seen.outcome != ResultKind::Noise) {
        let case = cases.entry(endpoint(&seen.method, &seen.url)).or_default();
        case.is_requested = true;
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

/// Returns the method and the URL without its query, which often differs between runs.
fn endpoint(method: &str, url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    one_line(format!("{method} {}", &url[..end]).trim_start()).into_owned()
}

fn properties(report: &Report) -> Vec<(&'static str, String)> {
    let counts = &report.verdict.counts;
    let mut properties = vec![
        ("harproxy", env!("CARGO_PKG_VERSION").to_owned()),
        ("status", report.status.to_string()),
        ("source", name_in_reports(report.source)),
        ("requests", counts.requests.to_string()),
        ("upstreamConnections", counts.upstream_connections.to_string()),
        ("localConnections", counts.local_connections.to_string()),
    ];
    if !report.command.is_empty() {
        properties.push(("command", one_line(&report.command).into_owned()));
    }
    for fixture in &report.verdict.fixtures {
        let used = format!("{}: {} of {} entries used", fixture.fixture, fixture.used, fixture.entries);
        properties.push(("fixture", one_line(&used).into_owned()));
        if !fixture.served.is_empty() {
            let uses = format!("{}: {}", fixture.fixture, headline::entry_uses(fixture));
            properties.push(("entries", one_line(&uses).into_owned()));
        }
    }
    for rule in &report.verdict.rules {
        let used = format!("{}: {}", rule.rule, many(rule.requests, "request", "requests"));
        properties.push(("rule", one_line(&used).into_owned()));
    }
    properties
}

/// Escapes markup and invisible characters, and replaces those that XML 1.0 can't represent (production 2, `Char`).
fn escaped(text: &str) -> String {
    escape_markup(text, |out, c| match c {
        '\'' => out.push_str("&apos;"),
        '\t' | '\n' => out.push(c),
        '\u{fffe}' | '\u{ffff}' => out.push(char::REPLACEMENT_CHARACTER),
        c => printable::push_char(out, c, printable::is_invisible(c)),
    })
}
