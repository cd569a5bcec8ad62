//! Renders a drift run as Markdown of GitHub and GitLab, for a step summary or a comment on a merge request.
//!
//! Text from requests, responses and fixtures is written as HTML text in blocks that Markdown does not parse, or with
//! its punctuation as character references. It can't become markup, a link or a mention (`@name`).

use std::fmt::Write as _;

use super::html::{mark_up_code, summary};
use super::{DriftReport, DriftResult};
use crate::drift::checks::DriftSeverity;
use crate::drift::finding::{DriftFinding, EndpointResult};
use crate::verdict::explain::many;
use crate::verdict::report::markdown::{code, fill, html, prose};
use harproxy_compare::excerpt;

/// Maximum length of the report, bytes. GitHub limits a comment to 65,536 characters.
const LONGEST: usize = 60_000;
/// Part of the length for the headline and the table.
const TABLE: usize = 24_000;
/// Part of the length for skipped endpoints and suppressions.
const NOTES: usize = 10_000;
/// Part of the length that is reserved for the note about omitted content.
const RESERVE: usize = 400;
/// Maximum number of rows of the table.
const ROWS: usize = 50;
/// Maximum number of findings of an endpoint.
const FINDINGS: usize = 20;
/// Maximum number of skipped endpoints, and of notes of each kind.
const LISTED: usize = 10;
/// Number of endpoints that are shown unfolded.
const UNFOLDED: usize = 3;
/// Maximum length of a URL or a sentence, characters.
const SENTENCE: usize = 400;

/// Renders the report with at most 60,000 bytes. Endpoints that do not fit are counted.
#[must_use]
pub fn render(report: &DriftReport) -> String {
    let endpoints = report.worst_first();
    let mut out = head(report);
    write_table(&mut out, &endpoints);
    let notes = notes(report);
    let listed: Vec<&EndpointResult> = endpoints.into_iter().filter(|one| one.open().next().is_some()).collect();
    let blocks = listed.iter().enumerate().map(|(n, endpoint)| block(report, endpoint, n < UNFOLDED));
    let shown = fill(&mut out, blocks, LONGEST - RESERVE - notes.len());
    if shown < listed.len() {
        let more = many((listed.len() - shown) as u64, "endpoint", "endpoints");
        let _ = writeln!(out, "… and the findings of {more} more; the JSON report lists them.\n");
    }
    out + &notes
}

/// Renders the headline and the source of the live answers.
fn head(report: &DriftReport) -> String {
    let mark = if report.result() == DriftResult::InSync { '✅' } else { '❌' };
    let source = code(&excerpt(&report.source, SENTENCE));
    format!("### {mark} {}\n\nFixtures compared with {source}.\n\n", prose(&summary(report)))
}

fn write_table(out: &mut String, endpoints: &[&EndpointResult]) {
    if endpoints.is_empty() {
        return;
    }
    out.push_str("| score | endpoint | critical | warning | info |\n| ---: | :--- | ---: | ---: | ---: |\n");
    let shown = fill(out, endpoints.iter().take(ROWS).map(|endpoint| row(endpoint)), TABLE);
    out.push('\n');
    if shown < endpoints.len() {
        let more = many((endpoints.len() - shown) as u64, "endpoint", "endpoints");
        let _ = writeln!(out, "… and {more} more.\n");
    }
}

fn row(endpoint: &EndpointResult) -> String {
    let counts = endpoint.counts();
    // A finding about the run has no severity of its own.
    let count = |severity| match endpoint.is_compared() {
        true => counts.get(&severity).copied().unwrap_or_default().to_string(),
        false => "–".to_owned(),
    };
    let [critical, warning, info] = DriftSeverity::ALL.map(count);
    format!("| {} | {} | {critical} | {warning} | {info} |\n", score(endpoint), cell(&endpoint.key.to_string()))
}

fn score(endpoint: &EndpointResult) -> String {
    endpoint.score().map_or("–".to_owned(), |score| score.to_string())
}

/// Returns a code element for a cell of a table. A code span could not quote a backslash before a pipe.
fn cell(text: &str) -> String {
    let mut out = String::from("<code>");
    // `html` writes references only, which have none of these characters.
    for c in html(&excerpt(text, SENTENCE)).chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '|' | '~' | '$' | ':' | '!' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    // GitHub makes links of `www.`.
    out.replace("www.", "www&#46;") + "</code>"
}

/// Renders an endpoint as one block of HTML. Blocks end at the first empty line, so there is none in it.
fn block(report: &DriftReport, endpoint: &EndpointResult, is_open: bool) -> String {
    let fails = endpoint.open().any(|finding| report.fails(finding));
    let open = if is_open && fails { " open" } else { "" };
    let mark = if fails { "❌" } else { "⚠️" };
    let name = html(&excerpt(&endpoint.key.to_string(), SENTENCE));
    let mut out =
        format!("<details{open}><summary>{mark} <b>{}</b> <code>{name}</code></summary>\n<ul>\n", score(endpoint));
    let mut findings: Vec<&DriftFinding> = endpoint.open().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    for finding in findings.iter().take(FINDINGS) {
        out.push_str(&item(finding));
    }
    if findings.len() > FINDINGS {
        let more = many((findings.len() - FINDINGS) as u64, "finding", "findings");
        let _ = writeln!(out, "<li>… and {more} more</li>");
    }
    let at = html(&excerpt(&endpoint.at.to_string(), SENTENCE));
    let _ = writeln!(out, "</ul>\n<p>Entry <code>{at}</code></p>\n</details>\n");
    out
}

fn item(finding: &DriftFinding) -> String {
    let severity = match finding.is_about_the_run() {
        true => String::new(),
        false => format!("<b>{}</b> <code>{}</code> ", finding.severity, short(&finding.place.to_string())),
    };
    let text = mark_up_code(&excerpt(&finding.text, SENTENCE), html);
    let suggestion = finding.suggestion.as_ref().map(|suggestion| mark_up_code(&excerpt(suggestion, SENTENCE), html));
    let suggestion = suggestion.map(|suggestion| format!("<br>→ {suggestion}")).unwrap_or_default();
    format!("<li>{severity}{}: {text}{suggestion}</li>\n", short(finding.check.as_str()))
}

fn short(text: &str) -> String {
    html(&excerpt(text, SENTENCE))
}

/// Renders skipped endpoints and suppressions.
fn notes(report: &DriftReport) -> String {
    let mut out = String::new();
    let skipped = report.skipped.iter().map(|skipped| {
        let name = short(&skipped.key.to_string());
        format!("<code>{name}</code>: {}", mark_up_code(&excerpt(&skipped.reason, SENTENCE), html))
    });
    let note = |note: &String| mark_up_code(&excerpt(note, SENTENCE), html);
    let title = many(report.skipped.len() as u64, "endpoint was not asked", "endpoints were not asked");
    write_list(&mut out, &title, skipped);
    let expired = &report.suppressions.expired;
    let title = many(expired.len() as u64, "expired suppression", "expired suppressions");
    write_list(&mut out, &format!("⚠️ {title}"), expired.iter().map(note));
    let unused = &report.suppressions.unused;
    let title = many(unused.len() as u64, "unused suppression", "unused suppressions");
    write_list(&mut out, &format!("⚠️ {title}"), unused.iter().map(note));
    let suppressed = report.suppressed();
    if suppressed > 0 {
        let _ = writeln!(out, "{}.\n", many(suppressed as u64, "finding is suppressed", "findings are suppressed"));
    }
    out
}

/// Appends a folded list, if there is an item. Items that do not fit are counted.
fn write_list(out: &mut String, title: &str, items: impl ExactSizeIterator<Item = String>) {
    let all = items.len();
    if all == 0 {
        return;
    }
    let _ = writeln!(out, "<details><summary>{title}</summary>\n<ul>");
    let shown = fill(out, items.take(LISTED).map(|item| format!("<li>{item}</li>\n")), NOTES);
    if shown < all {
        let _ = writeln!(out, "<li>… and {} more</li>", all - shown);
    }
    out.push_str("</ul>\n</details>\n\n");
}
