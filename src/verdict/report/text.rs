//! The report for a terminal: a headline, misses with their nearest entry and hint, other findings, and unused entries.
//! It is understandable without colour.

use std::borrow::Cow;

use anstyle::Style;
use textwrap::{Options, WordSeparator, WordSplitter};

use super::headline::many;
use super::palette::line;
use super::selection::{unused_entries, without_unused};
use super::{Report, headline, near};
use crate::verdict::findings::MAX_FINDINGS;
use crate::verdict::{CheckId, Finding, Severity, Verdict, explain};
use harproxy_http::escape::{harmless, one_line};

pub use super::palette::Palette;

/// Maximum number of findings printed; `--report` has the rest.
const SHOWN: usize = 20;
/// Minimum width for wrapping, columns.
const FEWEST: usize = 20;
/// Maximum number of unused entries named for each fixture.
const NAMED_UNUSED: usize = 3;

/// Renders a verdict. Every line ends with a newline.
#[must_use]
pub fn render(verdict: &Verdict, palette: &Palette) -> String {
    let mut out = String::new();
    let (comes_to, of) = headline::of(verdict);
    let (mark, style) = if verdict.passed() { ('✓', palette.good) } else { ('✗', palette.bad) };
    line(&mut out, format_args!("{style}{mark} {comes_to}{style:#}{}", harmless(&of)));
    let dim = palette.dim;
    line(&mut out, format_args!("  {dim}{}{dim:#}", headline::tally(verdict)));
    let shown = without_unused(verdict);
    for finding in shown.iter().take(SHOWN) {
        out.push('\n');
        write_finding(&mut out, finding, palette);
    }
    if shown.len() > SHOWN {
        let more = shown.len() - SHOWN;
        line(&mut out, format_args!("\n… and {more} more; `--report FILE.json` lists {}", listed(verdict)));
    }
    unused(&mut out, verdict, palette);
    wrapped(&out, palette)
}

/// Describes exit statuses that came from CMD or harproxy, one line each. Empty if the verdict decided.
#[must_use]
pub fn endings(report: &Report, palette: &Palette) -> String {
    let bad = palette.bad;
    let mut out = String::new();
    for ending in headline::endings(report) {
        line(&mut out, format_args!("{bad}✗{bad:#} {}", harmless(&ending)));
    }
    wrapped(&out, palette)
}

/// Describes how many findings a complete report lists: all, or up to `MAX_FINDINGS` and a count of the rest.
pub(super) fn listed(verdict: &Verdict) -> Cow<'static, str> {
    match verdict.findings.len() {
        ..=MAX_FINDINGS => "them all".into(),
        _ => format!("up to {MAX_FINDINGS} and counts the rest by their kind").into(),
    }
}

pub(super) fn finding(finding: &Finding) -> String {
    let mut out = String::new();
    write_finding(&mut out, finding, &Palette::plain());
    out
}

fn write_finding(out: &mut String, finding: &Finding, palette: &Palette) {
    let (mark, style) = mark(finding.severity, palette);
    // A stale finding counts entries, and its explanation has that number.
    let again = finding.times > 1 && finding.check != CheckId::STALE;
    let times = if again { format!(" ({} times)", finding.times) } else { String::new() };
    let kind = finding.check.as_str();
    let mut rest = finding.text.lines();
    // Without a request the explanation itself is the first line.
    let about = finding.at.request.as_deref().or_else(|| rest.next()).unwrap_or_default();
    line(out, format_args!("{style}{mark} {kind}{style:#}: {}{times}", one_line(about)));
    // Near entries are rendered from their data below.
    let is_told = |text: &&str| finding.near.is_empty() || !explain::is_near_line(text);
    for text in rest.filter(is_told) {
        line(out, format_args!("  {}", harmless(text)));
    }
    near::render(out, &finding.near, palette);
    if let Some(remedy) = &finding.hint {
        let hint = palette.hint;
        let remedy = harmless(remedy);
        let mut lines = remedy.lines();
        line(out, format_args!("  {hint}hint:{hint:#} {}", lines.next().unwrap_or_default()));
        lines.for_each(|text| line(out, format_args!("  {text}")));
    }
}

/// Writes a line for each fixture with unused entries: their number, and the first few of them.
fn unused(out: &mut String, verdict: &Verdict, palette: &Palette) {
    for (n, unused) in unused_entries(verdict).iter().enumerate() {
        if n == 0 {
            out.push('\n');
        }
        let (mark, style) = mark(unused.severity, palette);
        let (fixture, count) = (unused.fixture, unused.count);
        let entry = |f: &&Finding| {
            format!("#{} {}", f.at.entry.unwrap_or_default(), f.at.request.as_deref().unwrap_or_default())
        };
        let mut named: Vec<String> = unused.findings.iter().take(NAMED_UNUSED).map(entry).collect();
        if !named.is_empty() && count > named.len() {
            named.push(format!("and {} more", count - named.len()));
        }
        let sep = if named.is_empty() { "" } else { ": " };
        let named = one_line(&named.join(", ")).into_owned();
        let (entries, name) = (many(fixture.entries as u64, "entry", "entries"), &fixture.fixture);
        line(out, format_args!("{style}{mark} unused{style:#}: {count} of {entries} of {name}{sep}{named}"));
    }
}

fn mark(severity: Severity, palette: &Palette) -> (char, Style) {
    match severity {
        Severity::Error => ('✗', palette.bad),
        Severity::Warning => ('!', palette.warning),
    }
}

/// Wraps long lines at spaces, with indented continuation lines. Words without a space, such as URLs, stay whole, so that
/// they can be copied. Hints stay whole for the same reason.
fn wrapped(text: &str, palette: &Palette) -> String {
    let Some(columns) = palette.columns else { return text.to_owned() };
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    let mut is_remedy = false;
    for whole in text.lines() {
        let words = whole.trim_start_matches(' ');
        is_remedy = words.len() < whole.len()
            && (is_remedy || anstream::adapter::strip_str(words).to_string().starts_with("hint:"));
        if is_remedy {
            line(&mut out, format_args!("{whole}"));
            continue;
        }
        let indent = " ".repeat(whole.len() - words.len());
        let hanging = format!("{indent}  ");
        let options = Options::new(columns.max(FEWEST))
            .initial_indent(&indent)
            .subsequent_indent(&hanging)
            .break_words(false)
            .word_separator(WordSeparator::AsciiSpace)
            .word_splitter(WordSplitter::NoHyphenation);
        for part in textwrap::wrap(words, options) {
            line(&mut out, format_args!("{part}"));
        }
    }
    out
}
