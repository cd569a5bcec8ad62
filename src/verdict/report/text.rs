//! The report for a terminal: a headline, misses with their nearest entry and hint, other findings, and unused entries.
//! It is understandable without colour.

use std::borrow::Cow;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use textwrap::{Options, WordSeparator, WordSplitter};

use super::group::{FindingGroup, group_findings};
use super::{Report, headline, unused_entries, without_unused};
use crate::verdict::explain::{LEADS, MAX_DIFFERENCES, is_near_line};
use crate::verdict::explain::{Phrase, ValueSide, subject, values};
use crate::verdict::findings::MAX_FINDINGS;
use crate::verdict::{CheckId, Finding, NearEntry, Severity, Verdict};
use harproxy_matching::Difference;
use harproxy_support::printable::{self, Shown as _, one_line};

/// Maximum number of findings printed; `--report` has the rest.
const SHOWN: usize = 20;
/// Minimum width for wrapping, columns.
const FEWEST: usize = 20;
/// Maximum number of unused entries that are named.
const NAMED_UNUSED: usize = 3;

/// Width for near entries if that of the terminal is unknown, columns.
const COLUMNS: usize = 120;
/// Minimum width for near entries, columns.
const FEWEST_COMPARED: usize = 30;
/// Indentation of differences, columns.
const INDENT: usize = 4;

/// The styles of a text report; all plain without colour.
#[derive(Clone, Copy, Debug, Default)]
pub struct Palette {
    pub good: Style,
    pub bad: Style,
    pub warning: Style,
    pub hint: Style,
    pub dim: Style,
    pub request: Style,
    pub recorded: Style,
    /// Width of the terminal in columns, if known.
    pub columns: Option<usize>,
}

impl Palette {
    #[must_use]
    pub fn colour() -> Self {
        let fg = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        Palette {
            good: fg(AnsiColor::Green).bold(),
            bad: fg(AnsiColor::Red).bold(),
            warning: fg(AnsiColor::Yellow),
            hint: fg(AnsiColor::Cyan),
            dim: Style::new().dimmed(),
            request: fg(AnsiColor::Red),
            recorded: fg(AnsiColor::Green),
            columns: None,
        }
    }
}

pub(super) fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String never fails.
    let _ = writeln!(out, "{text}");
}

/// Renders a verdict. Every line ends with a newline.
#[must_use]
pub fn render(verdict: &Verdict, palette: &Palette) -> String {
    let mut out = String::new();
    let (comes_to, of) = headline::of(verdict);
    let (mark, style) = if verdict.passed() { ('✓', palette.good) } else { ('✗', palette.bad) };
    line(&mut out, format_args!("{style}{mark} {comes_to}{style:#}{}", printable::lines(&of)));
    let dim = palette.dim;
    line(&mut out, format_args!("  {dim}{}{dim:#}", headline::tally(verdict)));
    if let Some(rules) = headline::rules(verdict) {
        line(&mut out, format_args!("  {dim}{}{dim:#}", printable::lines(&rules)));
    }
    let groups = group_findings(&without_unused(verdict));
    let mut recorded_by = None;
    for group in groups.iter().take(SHOWN) {
        out.push('\n');
        write_finding(&mut out, group.first, group.others().as_deref(), recorded_by, palette);
        recorded_by = record_line(group.first);
    }
    if groups.len() > SHOWN {
        let more: usize = groups[SHOWN..].iter().map(FindingGroup::len).sum();
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
        line(&mut out, format_args!("{bad}✗{bad:#} {}", printable::lines(&ending)));
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
    write_finding(&mut out, finding, None, None, &Palette::default());
    out
}

/// Returns the first line of the hint for a miss: the command that records the request.
fn record_line(finding: &Finding) -> Option<&str> {
    finding.hint.as_deref().filter(|_| finding.check == CheckId::MISS)?.lines().next()
}

/// Writes a finding. `others` counts the other findings of its group. The command that records a miss is left out if it
/// is that of the previous miss, `recorded_by`.
fn write_finding(
    out: &mut String,
    finding: &Finding,
    others: Option<&str>,
    recorded_by: Option<&str>,
    palette: &Palette,
) {
    let (mark, style) = mark(finding.severity, palette);
    // A stale finding counts entries, and its explanation has that number.
    let again = finding.times > 1 && finding.check != CheckId::STALE;
    let times = if again { format!(" ({} times)", finding.times) } else { String::new() };
    let kind = finding.check.as_str().shown();
    let mut rest = finding.text.lines();
    // Without a request the explanation itself is the first line.
    let about = finding.at.request.as_deref().or_else(|| rest.next()).unwrap_or_default();
    line(out, format_args!("{style}{mark} {kind}{style:#}: {}{times}", one_line(about)));
    // Near entries are rendered from their data below.
    let is_kept = |text: &&str| finding.near.is_empty() || !is_near_line(text);
    for text in rest.filter(is_kept) {
        line(out, format_args!("  {}", printable::lines(text)));
    }
    for (n, near) in finding.near.iter().enumerate() {
        write_near(out, LEADS[usize::from(n > 0)], near, palette);
    }
    if let Some(others) = others {
        line(out, format_args!("  {others}"));
    }
    if let Some(session) = &finding.session {
        line(out, format_args!("  test: {}", one_line(session)));
    }
    if let Some(remedy) = &finding.hint {
        let hint = palette.hint;
        let remedy = printable::lines(remedy);
        let is_repeated = recorded_by.is_some() && recorded_by == record_line(finding);
        for (n, text) in remedy.lines().skip(usize::from(is_repeated)).enumerate() {
            match n {
                0 => line(out, format_args!("  {hint}hint:{hint:#} {text}")),
                _ => line(out, format_args!("  {text}")),
            }
        }
    }
}

/// Writes a near entry of a miss: values of the request and recorded values, cut to the width of the terminal.
fn write_near(out: &mut String, lead: &str, near: &NearEntry, palette: &Palette) {
    let columns = palette.columns.unwrap_or(COLUMNS).max(FEWEST_COMPARED);
    let operation = near.operation.as_ref().map_or_else(String::new, |name| format!(" `{}`", name.shown()));
    let place = format!("  {lead}: {}{operation}", near.place);
    if let [only] = &near.differences[..] {
        let phrase = Phrase::of(only, columns);
        if place.chars().count() + ": ".len() + phrase.chars() <= columns {
            return line(out, format_args!("{place}: {}", paint(&phrase, palette)));
        }
    }
    line(out, format_args!("{place}{}", if near.differences.is_empty() { "" } else { ":" }));
    for difference in near.differences.iter().take(MAX_DIFFERENCES) {
        let phrase = Phrase::of(difference, columns);
        if INDENT + phrase.chars() <= columns {
            line(out, format_args!("{:INDENT$}{}", "", paint(&phrase, palette)));
        } else {
            write_stacked(out, difference, columns, palette);
        }
    }
    match near.differences.len().saturating_sub(MAX_DIFFERENCES) {
        0 => {}
        1 => line(out, format_args!("{:INDENT$}and 1 more difference", "")),
        more => line(out, format_args!("{:INDENT$}and {more} more differences", "")),
    }
}

/// Writes the two values below each other, aligned at their difference.
fn write_stacked(out: &mut String, difference: &Difference, columns: usize, palette: &Palette) {
    const NAMES: [&str; 2] = ["request ", "recorded"];
    let before = INDENT + 2 + NAMES[0].len() + 1;
    line(out, format_args!("{:INDENT$}{}:", "", subject(difference)));
    // Two characters are for the dots.
    let values = values(difference, columns - before - 2);
    for ((name, value), style) in NAMES.into_iter().zip(values).zip([palette.request, palette.recorded]) {
        let value = value.unwrap_or_else(|| "(none)".to_owned());
        line(out, format_args!("{:INDENT$}  {name} {style}{value}{style:#}", ""));
    }
}

fn paint(phrase: &Phrase, palette: &Palette) -> String {
    let part = |(side, text): (Option<ValueSide>, &str)| {
        let style = match side {
            None => Style::new(),
            Some(ValueSide::Request) => palette.request,
            Some(ValueSide::Recorded) => palette.recorded,
        };
        format!("{style}{text}{style:#}")
    };
    phrase.parts().map(part).collect()
}

/// Writes a line about unused entries.
fn unused(out: &mut String, verdict: &Verdict, palette: &Palette) {
    let Some(unused) = unused_entries(verdict) else { return };
    let (mark, style) = mark(unused.severity, palette);
    line(out, format_args!("\n{style}{mark} unused{style:#}: {}", one_line(&unused.line(NAMED_UNUSED))));
}

fn mark(severity: Severity, palette: &Palette) -> (char, Style) {
    match severity {
        Severity::Error => ('✗', palette.bad),
        Severity::Warning => ('!', palette.warning),
    }
}

/// Wraps long lines at spaces, with indented continuation lines. Words without a space, such as URLs, stay whole, so
/// that they can be copied. Hints stay whole for the same reason.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::explain::EntryPlace;
    use harproxy_matching::RequestPart;

    fn differs(part: RequestPart, name: &str, request: Option<&str>, recorded: Option<&str>) -> Difference {
        Difference { part, name: name.into(), request: request.map(Into::into), recorded: recorded.map(Into::into) }
    }

    fn rendered(differences: Vec<Difference>, palette: Palette) -> String {
        let place = EntryPlace { fixture: "hars/api.har".into(), entry: 4, line: Some(120) };
        let mut out = String::new();
        write_near(&mut out, LEADS[0], &NearEntry { place, operation: None, differences }, &palette);
        out
    }

    #[test]
    fn short_difference_is_one_line_with_colored_values() {
        let page = || vec![differs(RequestPart::Query, "page", Some("3"), Some("2"))];
        assert_eq!(
            rendered(page(), Palette::default()),
            "  nearest: hars/api.har#4 (line 120): query parameter `page` is `3`, recorded `2`\n"
        );
        let coloured = rendered(page(), Palette::colour());
        assert!(coloured.contains("\u{1b}[31m3\u{1b}[0m") && coloured.contains("\u{1b}[32m2\u{1b}[0m"), "{coloured:?}");
    }

    #[test]
    fn long_values_are_cut_around_their_difference() {
        let long = |mark: &str| format!("{}{mark}{}", "-".repeat(3000), "-".repeat(1997));
        let out = rendered(
            vec![
                differs(RequestPart::Body, "$.text", Some(&long("one")), Some(&long("two"))),
                differs(RequestPart::Query, "page", None, Some("2")),
            ],
            Palette { columns: Some(40), ..Palette::default() },
        );
        assert_eq!(
            out,
            "  nearest: hars/api.har#4 (line 120):\n    \
             body `$.text`:\n      \
               request  …-------one-------------…\n      \
               recorded …-------two-------------…\n    \
             query parameter `page`:\n      \
               request  (none)\n      \
               recorded 2\n"
        );
        assert!(out.lines().all(|line| line.chars().count() <= 40), "{out}");
    }

    #[test]
    fn long_list_of_differences_is_cut() {
        let flood = |n: usize| (0..n).map(|n| differs(RequestPart::Query, &n.to_string(), Some("a"), None)).collect();
        assert!(rendered(flood(6), Palette::default()).ends_with("    and 1 more difference\n"));
        assert!(rendered(flood(9), Palette::default()).ends_with("    and 4 more differences\n"));
    }
}
