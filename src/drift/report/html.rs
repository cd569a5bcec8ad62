//! Renders a drift run as one HTML page that works offline. It has no script, and its policy (CSP) permits nothing but
//! its own style.

use std::fmt::Write as _;

use time::format_description::well_known::Rfc3339;

use super::{DriftReport, DriftResult, text};
use crate::drift::checks::{self, DriftSeverity};
use crate::drift::finding::{DriftFinding, EndpointResult};
use crate::verdict::explain::many;
use crate::verdict::report::html::{escape_text, source_hash, with_lf};
use crate::verdict::report::text::Palette;
use harproxy_compare::excerpt;
use harproxy_json::sequence::common;
use harproxy_support::printable::one_line;

/// The colours and fonts of all pages. They follow the light or dark scheme of the system.
const THEME: &str = include_str!("../../verdict/report/html/page/theme.css");
const STYLE: &str = r#"
main { max-width: 1280px; margin: 0 auto; padding: 24px; }
h1 { font-size: 22px; }
h2 { font-size: 17px; margin: 32px 0 10px; }
h1.good { color: var(--good); }
h1.bad { color: var(--bad); }
dl { display: flex; flex-wrap: wrap; gap: 6px 28px; margin: 14px 0; }
dt { color: var(--muted); font-size: 12px; }
dd { font-weight: 550; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 4px 10px; border-bottom: 1px solid var(--line-soft); }
th { color: var(--muted); font-size: 12px; font-weight: 600; }
th.number, td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; width: 1%; }
.endpoint { border: 1px solid var(--line); border-radius: 10px; background: var(--raised); margin-top: 10px; }
.endpoint > summary { padding: 10px 14px; cursor: pointer; }
.endpoint > div { padding: 0 14px 14px; }
.score { display: inline-block; min-width: 2.4em; text-align: right; font-weight: 700; margin-right: .6em; }
.findings > li { border-left: 3px solid var(--line); padding: 4px 10px; margin-top: 8px; }
.findings > li.critical { border-color: var(--bad); }
.findings > li.warning { border-color: var(--warn); }
.findings > li.suppressed { border-color: var(--line); color: var(--muted); opacity: .8; }
.critical b { color: var(--bad); }
.warning b { color: var(--warn); }
.suppressed b { color: var(--muted); text-decoration: line-through; }
.shapes { margin-top: 12px; }
.shapes summary { cursor: pointer; color: var(--muted); }
.shapes table { table-layout: fixed; margin-top: 6px; }
.shapes td { font: 12.5px/1.5 var(--mono); white-space: pre-wrap; padding: 0 8px; border: 0; }
.shapes td + td { border-left: 1px solid var(--line); }
td.removed { background: var(--bad-soft); }
td.added { background: var(--good-soft); }
ul.plain { list-style: disc; padding-left: 1.4em; }
"#;

/// Maximum number of endpoints with details.
const DETAILED: usize = 500;
/// Maximum number of rows of the table, of skipped endpoints, and of notes.
const LISTED: usize = 2_000;
/// Maximum number of findings of an endpoint.
const FINDINGS: usize = 200;
/// Maximum length of a URL or a sentence, characters.
const SENTENCE: usize = 1_000;
/// Maximum length of a shape, bytes.
const SHAPE: usize = 20_000;
/// Maximum length of all shapes together, bytes.
const SHAPES: usize = 8 << 20;
/// Maximum number of steps by which a line of a shape is indented.
const INDENT: usize = 40;

/// Renders the page. Endpoints without details, and shapes that are cut, are marked.
#[must_use]
pub fn render(report: &DriftReport) -> String {
    let style = format!("{}{}", with_lf(THEME), with_lf(STYLE));
    let headline = summary(report);
    let class = if report.result() == DriftResult::InSync { "good" } else { "bad" };
    let policy = format!("default-src 'none'; style-src {}; base-uri 'none'; form-action 'none'", source_hash(&style));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta name=\"generator\" content=\"harproxy\">\n\
         <title>{}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n<h1 class=\"{class}\">{}</h1>\n",
        escaped(&headline),
        mark_up_code(&headline, escaped),
    );
    write_facts(&mut page, report);
    let endpoints = report.worst_first();
    write_table(&mut page, &endpoints);
    write_endpoints(&mut page, &endpoints);
    write_notes(&mut page, report);
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

/// Returns the first line of the terminal report without its mark.
pub(super) fn summary(report: &DriftReport) -> String {
    let text = text::render(report, &Palette::default(), false);
    text.lines().next().unwrap_or_default().trim_start_matches(['✓', '✗', ' ']).to_owned()
}

/// Escapes a sentence. Text between backticks becomes a code element.
pub(super) fn mark_up_code(text: &str, escape: impl Fn(&str) -> String) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return escape(text);
    }
    let part = |(n, part): (usize, &&str)| match n % 2 {
        0 => escape(part),
        _ => format!("<code>{}</code>", escape(part)),
    };
    parts.iter().enumerate().map(part).collect()
}

/// Returns one line of text for an element or an attribute.
fn escaped(text: &str) -> String {
    escape_text(&one_line(&excerpt(text, SENTENCE)))
}

fn write_facts(page: &mut String, report: &DriftReport) {
    let counts = report.counts();
    let score = |select: fn((usize, usize)) -> usize| {
        report.scores().map_or("–".to_owned(), |scores| select(scores).to_string())
    };
    let mut facts = vec![("least score", score(|(least, _)| least)), ("mean score", score(|(_, mean)| mean))];
    let count = |severity: DriftSeverity| counts.get(&severity).copied().unwrap_or_default().to_string();
    facts.extend(DriftSeverity::ALL.map(|severity| (severity.as_str(), count(severity))));
    let not_compared = report.endpoints.iter().filter(|endpoint| !endpoint.is_compared()).count();
    facts.extend([
        ("suppressed", report.suppressed().to_string()),
        ("not compared", not_compared.to_string()),
        ("not asked", report.skipped.len().to_string()),
        ("compared with", report.source.clone()),
        ("fails from", report.min_severity.to_string()),
        ("started", report.started.format(&Rfc3339).unwrap_or_default()),
        ("time", format!("{} ms", report.duration_ms)),
    ]);
    page.push_str("<dl>\n");
    for (name, value) in facts {
        let _ = writeln!(page, "<div><dt>{name}</dt><dd>{}</dd></div>", escaped(&value));
    }
    page.push_str("</dl>\n");
}

fn write_table(page: &mut String, endpoints: &[&EndpointResult]) {
    if endpoints.is_empty() {
        return;
    }
    page.push_str(
        "<h2>Endpoints</h2>\n<table>\n<thead><tr><th class=\"number\">Score</th><th>Endpoint</th>\
         <th class=\"number\">Critical</th><th class=\"number\">Warning</th><th class=\"number\">Info</th></tr>\
         </thead>\n<tbody>\n",
    );
    for (n, endpoint) in endpoints.iter().take(LISTED).enumerate() {
        let name = escaped(&endpoint.key.to_string());
        let name = if n < DETAILED { format!("<a href=\"#e{n}\">{name}</a>") } else { name };
        let _ = write!(page, "<tr><td class=\"number\">{}</td><td>{name}</td>", score(endpoint));
        let counts = endpoint.counts();
        for severity in DriftSeverity::ALL {
            // A finding about the run has no severity of its own.
            let count = match endpoint.is_compared() {
                true => counts.get(&severity).copied().unwrap_or_default().to_string(),
                false => "–".to_owned(),
            };
            let _ = write!(page, "<td class=\"number\">{count}</td>");
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table>\n");
    write_more(page, endpoints.len(), LISTED, "endpoint", "endpoints");
}

fn score(endpoint: &EndpointResult) -> String {
    endpoint.score().map_or("–".to_owned(), |score| score.to_string())
}

/// Appends the number of items beyond the limit.
fn write_more(page: &mut String, all: usize, shown: usize, one: &str, several: &str) {
    if all > shown {
        let more = many((all - shown) as u64, one, several);
        let _ = writeln!(page, "<p class=\"muted\">… and {more} more; the JSON report lists all.</p>");
    }
}

fn write_endpoints(page: &mut String, endpoints: &[&EndpointResult]) {
    if endpoints.is_empty() {
        return;
    }
    page.push_str("<h2>Details</h2>\n");
    let mut room = SHAPES;
    for (n, endpoint) in endpoints.iter().take(DETAILED).enumerate() {
        let open = if endpoint.open().next().is_some() { " open" } else { "" };
        let _ = writeln!(
            page,
            "<details class=\"endpoint\" id=\"e{n}\"{open}>\n\
             <summary><span class=\"score\">{}</span>{}</summary>\n<div>",
            score(endpoint),
            escaped(&endpoint.key.to_string())
        );
        let _ = writeln!(page, "<p class=\"muted\">{}</p>", escaped(&about(endpoint)));
        write_findings(page, &endpoint.findings);
        if let Some([recorded, live]) = &endpoint.shapes {
            let table = if room > 0 { shapes(recorded, live) } else { String::new() };
            // Once a table does not fit, no further one is made.
            room = if room > table.len() { room - table.len() } else { 0 };
            match room {
                0 => page.push_str("<p class=\"muted\">The shapes are omitted: the page is full.</p>\n"),
                _ => page.push_str(&table),
            }
        }
        page.push_str("</div>\n</details>\n");
    }
    write_more(page, endpoints.len(), DETAILED, "endpoint", "endpoints");
}

/// Returns the entry, the number of entries, the URL and the status.
fn about(endpoint: &EndpointResult) -> String {
    let mut about = vec![endpoint.at.to_string(), many(endpoint.entries as u64, "entry", "entries")];
    about.extend(endpoint.url.as_ref().map(|url| format!("asked {url}")));
    about.extend(endpoint.status.map(|status| format!("status {status} after {} ms", endpoint.took_ms)));
    about.join(" · ")
}

/// Appends the findings: open ones by severity, then suppressed ones.
fn write_findings(page: &mut String, findings: &[DriftFinding]) {
    if findings.is_empty() {
        page.push_str("<p>No difference.</p>\n");
        return;
    }
    let mut sorted: Vec<&DriftFinding> = findings.iter().collect();
    sorted.sort_by_key(|finding| (finding.suppressed.is_some(), std::cmp::Reverse(finding.severity)));
    page.push_str("<ul class=\"findings\">\n");
    for finding in sorted.iter().take(FINDINGS) {
        let DriftFinding { check, severity, place, text, suggestion, suppressed } = finding;
        let class = if suppressed.is_some() { "suppressed" } else { severity.as_str() };
        let _ = write!(
            page,
            "<li class=\"{class}\"><b>{severity}</b> <code>{}</code> <span class=\"muted\">{}</span><br>{}",
            escaped(&place.to_string()),
            escaped(checks::short_name(check)),
            mark_up_code(&excerpt(text, SENTENCE), escaped)
        );
        if let Some(suggestion) = suggestion {
            let _ = write!(page, "<br>→ {}", mark_up_code(&excerpt(suggestion, SENTENCE), escaped));
        }
        if let Some(suppressed) = suppressed {
            let mut note = vec![format!("Suppressed: {}", suppressed.reason)];
            note.extend(suppressed.owner.as_ref().map(|owner| format!("owner {owner}")));
            note.extend(suppressed.expires.as_ref().map(|last| format!("expires {last}")));
            let _ = write!(page, "<br>{}", escaped(&note.join(" · ")));
        }
        page.push_str("</li>\n");
    }
    page.push_str("</ul>\n");
    write_more(page, sorted.len(), FINDINGS, "finding", "findings");
}

/// Renders the shapes side by side. Equal lines share a row; lines of one side only are marked.
fn shapes(recorded: &str, live: &str) -> String {
    let (left, right) = (shape_lines(recorded), shape_lines(live));
    let mut table = String::from(
        "<details class=\"shapes\" open>\n<summary>Shapes</summary>\n<table>\n\
         <thead><tr><th>Fixture</th><th>Production</th></tr></thead>\n<tbody>\n",
    );
    let (mut from, mut to) = (0, 0);
    let end = (left.len(), right.len());
    for (left_end, right_end) in common(&left, &right).into_iter().chain([end]) {
        let (gone, new) = (&left[from..left_end], &right[to..right_end]);
        for n in 0..gone.len().max(new.len()) {
            let cell = |line: Option<&String>, class: &str| match line {
                Some(line) => format!("<td class=\"{class}\">{}</td>", escape_text(line)),
                None => "<td></td>".to_owned(),
            };
            let _ = writeln!(table, "<tr>{}{}</tr>", cell(gone.get(n), "removed"), cell(new.get(n), "added"));
        }
        if let Some(line) = left.get(left_end) {
            let line = escape_text(line);
            let _ = writeln!(table, "<tr><td>{line}</td><td>{line}</td></tr>");
        }
        (from, to) = (left_end + 1, right_end + 1);
    }
    table.push_str("</tbody>\n</table>\n</details>\n");
    table
}

/// Returns a shape with a line for each field, indented, up to the greatest length of a shape.
fn shape_lines(shape: &str) -> Vec<String> {
    let shape = one_line(shape);
    let (mut lines, mut line, mut depth, mut len) = (Vec::new(), String::new(), 0_usize, 0);
    let mut rest = &*shape;
    while !rest.is_empty() && len <= SHAPE {
        // The beginning of the next line behind its indentation.
        let next = if let Some(fields) = rest.strip_prefix("{ ") {
            line.push('{');
            depth += 1;
            rest = fields;
            Some("")
        } else if let Some(outside) = rest.strip_prefix(" }") {
            depth = depth.saturating_sub(1);
            rest = outside;
            Some("}")
        } else if let Some(field) = rest.strip_prefix(", ") {
            rest = field;
            Some("")
        } else {
            let mut chars = rest.chars();
            line.extend(chars.next());
            len += rest.len() - chars.as_str().len();
            rest = chars.as_str();
            None
        };
        if let Some(next) = next {
            lines.push(std::mem::replace(&mut line, "  ".repeat(depth.min(INDENT)) + next));
            len += line.len() + 1;
        }
    }
    if !rest.is_empty() {
        line.push('…');
    }
    lines.push(line);
    lines
}

fn write_notes(page: &mut String, report: &DriftReport) {
    let skipped = report.skipped.iter().map(|skipped| {
        let name = escaped(&skipped.key.to_string());
        format!("<code>{name}</code>: {}", mark_up_code(&excerpt(&skipped.reason, SENTENCE), escaped))
    });
    let note = |note: &String| mark_up_code(&excerpt(note, SENTENCE), escaped);
    write_list(page, "Endpoints that were not asked", skipped);
    write_list(page, "Expired suppressions", report.suppressions.expired.iter().map(note));
    write_list(page, "Unused suppressions", report.suppressions.unused.iter().map(note));
}

/// Appends a list under a heading, if there is an item.
fn write_list(page: &mut String, heading: &str, items: impl ExactSizeIterator<Item = String>) {
    let all = items.len();
    if all == 0 {
        return;
    }
    let _ = writeln!(page, "<h2>{heading}</h2>\n<ul class=\"plain\">");
    for item in items.take(LISTED) {
        let _ = writeln!(page, "<li>{item}</li>");
    }
    page.push_str("</ul>\n");
    write_more(page, all, LISTED, "item", "items");
}
