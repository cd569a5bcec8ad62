//! The report for a terminal: one screen for twelve endpoints, the worst first.

use std::fmt::Write as _;

use super::{DriftReport, DriftResult};
use crate::drift::checks::{DriftSeverity, short_name};
use crate::drift::finding::{DriftFinding, EndpointResult};
use crate::verdict::explain::many;
use crate::verdict::report::text::Palette;
use harproxy_support::printable::one_line;

/// The lines of findings on one screen.
const SCREEN: usize = 24;
/// The number of endpoints up to which an empty line separates them.
const SEPARATED: usize = 6;
/// The greatest number of skipped endpoints that are named.
const SKIPPED: usize = 5;

/// Renders the report. Every line ends with a newline. `shows_all`: without a limit of findings.
#[must_use]
pub fn render(report: &DriftReport, palette: &Palette, shows_all: bool) -> String {
    let mut out = headline(report, palette);
    let listed: Vec<&EndpointResult> =
        report.worst_first().into_iter().filter(|endpoint| endpoint.open().next().is_some()).collect();
    let lines_each = match listed.len() {
        _ if shows_all => usize::MAX,
        0 => 0,
        endpoints => (SCREEN.saturating_sub(endpoints) / endpoints).max(1),
    };
    let is_separated = shows_all || listed.len() <= SEPARATED;
    for (number, endpoint) in listed.into_iter().enumerate() {
        if is_separated || number == 0 {
            out.push('\n');
        }
        write_endpoint(&mut out, endpoint, lines_each, palette);
    }
    write_skipped(&mut out, report, palette, shows_all);
    let (warning, dim) = (palette.warning, palette.dim);
    for note in &report.suppressions.expired {
        let _ = writeln!(out, "{warning}warning:{warning:#} suppression {}", one_line(note));
    }
    for note in &report.suppressions.unused {
        let _ = writeln!(out, "{warning}warning:{warning:#} unused suppression {}", one_line(note));
    }
    let suppressed = report.suppressed();
    if suppressed > 0 {
        let count = many(suppressed as u64, "finding is", "findings are");
        let _ = writeln!(out, "{dim}{count} suppressed{dim:#}");
    }
    out
}

/// Returns the result with its figures.
fn headline(report: &DriftReport, palette: &Palette) -> String {
    let endpoints = many(report.endpoints.len() as u64, "endpoint", "endpoints");
    let counts = report.counts();
    let differences: usize = counts.values().sum();
    let scores = report.scores().map(|(least, mean)| format!("; least score {least}, mean {mean}"));
    let scores = scores.unwrap_or_default();
    let not_compared = report.endpoints.iter().filter(|endpoint| !endpoint.is_compared()).count();
    let (style, text) = match report.result() {
        DriftResult::InSync if differences == 0 => (palette.good, format!("✓ in sync: {endpoints} compared")),
        DriftResult::InSync => {
            let found = severities(&counts);
            (palette.good, format!("✓ in sync: {endpoints} compared; {found} below `{}`", report.min_severity))
        }
        DriftResult::Drift => (
            palette.bad,
            format!("✗ drift: {} in {endpoints}; fails from `{}`", severities(&counts), report.min_severity),
        ),
        DriftResult::NotCompared if report.endpoints.is_empty() => {
            (palette.bad, "✗ nothing was compared: no endpoint can be asked".to_owned())
        }
        DriftResult::NotCompared => (palette.bad, format!("✗ {not_compared} of {endpoints} could not be compared")),
        DriftResult::Inconclusive => {
            (palette.bad, format!("✗ inconclusive: production requires credentials for {not_compared} of {endpoints}"))
        }
    };
    let also = match report.result() {
        DriftResult::Drift if not_compared > 0 => format!("; {not_compared} could not be compared"),
        _ => String::new(),
    };
    format!("{style}{text}{style:#}{also}{scores}\n")
}

fn severities(counts: &std::collections::BTreeMap<DriftSeverity, usize>) -> String {
    let each =
        DriftSeverity::ALL.into_iter().filter_map(|severity| Some(format!("{} {severity}", counts.get(&severity)?)));
    each.collect::<Vec<_>>().join(", ")
}

fn write_endpoint(out: &mut String, endpoint: &EndpointResult, most: usize, palette: &Palette) {
    let score = endpoint.score().map_or("  –".to_owned(), |score| format!("{score:>3}"));
    let dim = palette.dim;
    let mut findings: Vec<&DriftFinding> = endpoint.open().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let more = match findings.len().saturating_sub(most) {
        0 => String::new(),
        more => format!("; {more} more with `-v`"),
    };
    let name = one_line(&endpoint.key.to_string()).into_owned();
    let _ = writeln!(out, "{score}  {name}  {dim}{}{more}{dim:#}", endpoint.at);
    for finding in findings.iter().take(most) {
        write_finding(out, finding, palette);
    }
}

fn write_finding(out: &mut String, finding: &DriftFinding, palette: &Palette) {
    let (mark, style) = match finding.severity {
        DriftSeverity::Critical => ('✗', palette.bad),
        DriftSeverity::Warning => ('!', palette.warning),
        DriftSeverity::Info => ('·', palette.dim),
    };
    let (place, text) = (finding.place.to_string(), one_line(&finding.text));
    let check = short_name(&finding.check);
    let _ = match finding.is_about_the_run() {
        true => writeln!(out, "     {style}{mark} {check}{style:#}: {text}"),
        false => writeln!(out, "     {style}{mark} {check}{style:#} {}: {text}", one_line(&place)),
    };
    if let Some(suggestion) = &finding.suggestion {
        let hint = palette.hint;
        let _ = writeln!(out, "       {hint}→{hint:#} {}", one_line(suggestion));
    }
}

fn write_skipped(out: &mut String, report: &DriftReport, palette: &Palette, shows_all: bool) {
    if report.skipped.is_empty() {
        return;
    }
    let dim = palette.dim;
    let count = many(report.skipped.len() as u64, "endpoint was skipped", "endpoints were skipped");
    let _ = writeln!(out, "\n{count}:");
    let most = if shows_all { usize::MAX } else { SKIPPED };
    for skipped in report.skipped.iter().take(most) {
        let _ = writeln!(out, "     {}  {dim}{}{dim:#}", one_line(&skipped.key.to_string()), one_line(&skipped.reason));
    }
    if report.skipped.len() > most {
        let _ = writeln!(out, "     {dim}… {} more{dim:#}", report.skipped.len() - most);
    }
}
