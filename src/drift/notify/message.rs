//! The text of a message about a drift report, within the limits of a chat service.

use std::cmp::Reverse;

use crate::drift::checks::{DriftSeverity, short_name};
use crate::drift::finding::{DriftFinding, EndpointResult};
use crate::drift::report::{DriftReport, DriftResult};
use crate::verdict::explain::many;
use harproxy_support::printable::one_line;

/// The longest lines about one endpoint. A title and one finding of the greatest length fit.
const MAX_ENDPOINT: usize = 1500;
/// The most findings of one endpoint.
const MAX_FINDINGS: usize = 8;
/// The room for the line that counts the findings without a line.
const MORE_FINDINGS: usize = 50;
/// The longest name of an endpoint.
const MAX_NAME: usize = 300;
const MAX_PLACE: usize = 250;
const MAX_TEXT: usize = 300;
const MAX_SUGGESTION: usize = 200;
const MAX_SOURCE: usize = 200;

/// The markup of a chat service. Both functions append one character of outside text so that the service shows it.
#[derive(Clone, Copy)]
pub(super) struct Markup {
    /// The mark before and after bold text.
    pub bold: &'static str,
    /// Escapes a character of plain text.
    pub escape_text: fn(char, &mut String),
    /// Escapes a character between backticks.
    pub escape_code: fn(char, &mut String),
}

/// Parts of a message about endpoints, the worst endpoint first.
pub(super) struct EndpointParts {
    /// The lines of each endpoint. Each part has at most [`MAX_ENDPOINT`] characters.
    pub parts: Vec<String>,
    /// The number of endpoints with critical or warning findings that have no part.
    pub left_out: usize,
}

/// Returns the length of a text in UTF-16 code units, the larger of the units in which services count characters.
pub(super) fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Returns the result and the number of findings. It has no outside text.
pub(super) fn headline(report: &DriftReport) -> String {
    let endpoints = many(report.endpoints.len() as u64, "endpoint", "endpoints");
    let not_compared = report.endpoints.iter().filter(|endpoint| !endpoint.is_compared()).count();
    let counts = report.counts();
    let counted = DriftSeverity::ALL.into_iter().filter_map(|severity| Some((counts.get(&severity)?, severity)));
    let findings = counted.map(|(count, severity)| format!("{count} {severity}")).collect::<Vec<_>>().join(", ");
    match report.result() {
        DriftResult::InSync if findings.is_empty() => format!("In sync: {endpoints} compared"),
        DriftResult::InSync => format!("In sync: {endpoints} compared, {findings}"),
        DriftResult::Drift if not_compared > 0 => {
            format!("Drift: {findings} in {endpoints}, {not_compared} could not be compared")
        }
        DriftResult::Drift => format!("Drift: {findings} in {endpoints}"),
        DriftResult::NotCompared if report.endpoints.is_empty() => "Nothing was compared".to_owned(),
        DriftResult::NotCompared => format!("{not_compared} of {endpoints} could not be compared"),
        DriftResult::Inconclusive => format!("{not_compared} of {endpoints} require credentials"),
    }
}

/// Returns the source of the live answers, and the scores.
pub(super) fn summary(report: &DriftReport, markup: Markup) -> String {
    let source = format!("Fixtures compared with {}", code(&report.source, MAX_SOURCE, markup));
    match report.scores() {
        Some((least, mean)) => format!("{source}. Least score {least}, mean score {mean}."),
        None => format!("{source}."),
    }
}

/// Returns lines about the endpoints that have critical or warning findings: at most `max_parts` parts, with `max`
/// characters in total. Each part counts one character more, for a line end.
pub(super) fn endpoint_parts(report: &DriftReport, max_parts: usize, max: usize, markup: Markup) -> EndpointParts {
    let listed: Vec<(&EndpointResult, Vec<&DriftFinding>)> = report
        .worst_first()
        .into_iter()
        .map(|endpoint| (endpoint, serious_findings(endpoint)))
        .filter(|(_, findings)| !findings.is_empty())
        .collect();
    let (mut parts, mut used) = (Vec::new(), 0);
    for (endpoint, findings) in listed.iter().take(max_parts) {
        let part = endpoint_lines(endpoint, findings, markup);
        used += length(&part) + 1;
        if used > max {
            break;
        }
        parts.push(part);
    }
    let left_out = listed.len() - parts.len();
    EndpointParts { parts, left_out }
}

/// Returns the line that counts the endpoints without a part. `None` if there are none.
pub(super) fn more_endpoints(left_out: usize) -> Option<String> {
    let count = many(left_out as u64, "more endpoint", "more endpoints");
    (left_out > 0).then(|| format!("… and {count} with critical or warning findings"))
}

/// Returns the open critical and warning findings, the critical ones first.
fn serious_findings(endpoint: &EndpointResult) -> Vec<&DriftFinding> {
    let mut findings: Vec<_> = endpoint.open().filter(|finding| finding.severity >= DriftSeverity::Warning).collect();
    findings.sort_by_key(|finding| Reverse(finding.severity));
    findings
}

fn endpoint_lines(endpoint: &EndpointResult, findings: &[&DriftFinding], markup: Markup) -> String {
    let bold = markup.bold;
    let score = endpoint.score().map_or_else(|| "not compared".to_owned(), |score| format!("score {score}"));
    let mut lines = format!("{bold}{score}{bold} {}", code(&endpoint.key.to_string(), MAX_NAME, markup));
    let mut used = length(&lines);
    let mut left_out = findings.len();
    for finding in findings.iter().take(MAX_FINDINGS) {
        let line = finding_line(finding, markup);
        used += length(&line) + 1;
        if used > MAX_ENDPOINT - MORE_FINDINGS {
            break;
        }
        lines = lines + "\n" + &line;
        left_out -= 1;
    }
    if left_out > 0 {
        lines += &format!("\n… and {}", many(left_out as u64, "more finding", "more findings"));
    }
    lines
}

fn finding_line(finding: &DriftFinding, markup: Markup) -> String {
    let check = code(short_name(&finding.check), MAX_PLACE, markup);
    let mut line = format!("• {} {check}", finding.severity);
    if !finding.is_about_the_run() {
        line = line + " " + &code(&finding.place.to_string(), MAX_PLACE, markup);
    }
    line = line + ": " + &text(&finding.text, MAX_TEXT, markup);
    if let Some(suggestion) = &finding.suggestion {
        line = line + " → " + &text(suggestion, MAX_SUGGESTION, markup);
    }
    line
}

/// Returns outside text on one line.
fn text(text: &str, max: usize, markup: Markup) -> String {
    // Three backticks would begin a block of code that includes the next lines.
    fit(&one_line(text).replace("```", "'''"), max, markup.escape_text)
}

/// Returns a name between backticks.
fn code(name: &str, max: usize, markup: Markup) -> String {
    format!("`{}`", fit(&one_line(name).replace('`', "'"), max, markup.escape_code))
}

/// Escapes a text, and cuts it to at most `max` characters. No escape is cut.
pub(super) fn fit(text: &str, max: usize, escape: fn(char, &mut String)) -> String {
    let (mut out, mut used) = (String::new(), 0);
    let mut escaped = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        escaped.clear();
        escape(c, &mut escaped);
        used += length(&escaped);
        // The last character fits without the room for `…`.
        if used > max || used == max && !rest.as_str().is_empty() {
            out.push('…');
            break;
        }
        out += &escaped;
    }
    out
}
