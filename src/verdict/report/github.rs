//! Renders a report as GitHub Actions annotations: one workflow command a line.
//!
//! <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>

use std::fmt::Write as _;

use super::group::{FindingGroup, group_findings};
use super::{Report, headline, unused_entries, without_unused};
use crate::verdict::{CheckId, Finding, Location, Severity};
use harproxy_compare::excerpt;
use harproxy_support::printable;

/// GitHub shows this many annotations of each severity of a step.
const SHOWN: usize = 10;
/// Maximum length of a message, characters.
const LONGEST: usize = 4_000;

/// Renders annotations on lines of HARs. `place` returns the path of a fixture in the repository.
#[must_use]
pub fn annotations(report: &Report, place: &dyn Fn(&str) -> String) -> String {
    let verdict = &report.verdict;
    let mut out = String::new();
    for ending in headline::endings(report).iter().take(SHOWN) {
        line(&mut out, "error", &[("title", "harproxy")], ending);
    }
    let unused = unused_entries(verdict).and_then(|unused| {
        let first = *unused.findings.first()?;
        let finding = Finding::new(CheckId::UNUSED, unused.severity, unused.line(SHOWN));
        Some(Finding { at: Location { request: None, ..first.at.clone() }, ..finding })
    });
    let mut groups = group_findings(&without_unused(verdict));
    groups.extend(unused.iter().flat_map(|finding| group_findings(&[finding])));
    for (severity, command) in [(Severity::Error, "error"), (Severity::Warning, "warning")] {
        let groups: Vec<&FindingGroup<'_>> = groups.iter().filter(|group| group.first.severity == severity).collect();
        // The last of them says how many more there are.
        let shown = if groups.len() > SHOWN { SHOWN - 1 } else { groups.len() };
        for group in &groups[..shown] {
            annotation(&mut out, command, group, place);
        }
        if shown < groups.len() {
            let more: usize = groups[shown..].iter().map(|group| group.len()).sum();
            let text = format!("and {more} more findings like these: see the summary of the step");
            line(&mut out, command, &[("title", "harproxy")], &text);
        }
    }
    out
}

fn annotation(out: &mut String, command: &str, group: &FindingGroup<'_>, place: &dyn Fn(&str) -> String) {
    let finding = group.first;
    let others = group.others();
    let title = format!("harproxy: {}", finding.check.as_str());
    let file = finding.at.fixture.as_deref().map(place);
    let at = finding.at.line.map(|line| line.to_string());
    let mut properties = Vec::new();
    properties.extend(file.as_deref().map(|file| ("file", file)));
    properties.extend(file.as_ref().and(at.as_deref()).map(|line| ("line", line)));
    properties.push(("title", &title));
    let lines = [finding.at.request.as_deref(), Some(&finding.text), others.as_deref(), finding.hint.as_deref()];
    let lines: Vec<&str> = lines.into_iter().flatten().collect();
    line(out, command, &properties, &lines.join("\n"));
}

fn line(out: &mut String, command: &str, properties: &[(&str, &str)], message: &str) {
    let properties: Vec<String> =
        properties.iter().map(|(name, value)| format!("{name}={}", escaped(value, &[':', ',']))).collect();
    let message = escaped(&excerpt(&printable::lines(message), LONGEST), &[]);
    // Writing to a String never fails.
    let _ = writeln!(out, "::{command} {}::{message}", properties.join(","));
}

/// Escapes a value of a command: `%`, line ends, and the characters of `more`, which end the value.
fn escaped(text: &str, more: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if more.contains(&c) || matches!(c, '%' | '\r' | '\n') => {
                let _ = write!(out, "%{:02X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotation_values_are_escaped() {
        let mut out = String::new();
        line(&mut out, "error", &[("file", "a,b:c%.har"), ("line", "3")], "100 %: a,\r\nb");
        assert_eq!(out, "::error file=a%2Cb%3Ac%25.har,line=3::100 %25: a,%0Ab\n");
    }
}
