//! Renders a report as Markdown of GitHub and GitLab, for a step summary or a comment on a merge request.
//!
//! Text from requests, responses and fixtures is put in code spans or escaped. It can't become HTML, mention a user
//! (`@name`) or refer to an issue (`#1`).

use std::fmt::Write as _;
use std::time::Duration;

use super::group::{FindingGroup, group_findings};
use super::{Report, UnusedEntries, escape_markup, headline, text, unused_entries, without_unused};
use crate::verdict::explain::{MAX_DIFFERENCES, is_near_line, many};
use crate::verdict::explain::{subject, values};
use crate::verdict::{CheckId, NearEntry, RuleUse, Severity, Verdict};
use harproxy_compare::excerpt;
use harproxy_support::printable::{self, one_line};

/// Maximum length of the report, bytes. GitHub limits a comment to 65,536 characters and a step summary to 1 MiB.
pub const LONGEST: usize = 64_000;
/// Part of the length that is reserved for the note about omitted content.
const RESERVE: usize = 400;
/// Maximum number of findings; further ones are counted.
const SHOWN: usize = 50;
/// Number of failures that are shown unfolded.
const UNFOLDED: usize = 3;
/// Maximum number of shard endings, and of unused entries; further ones are counted.
const LISTED: usize = 10;
/// Maximum length of a URL or a sentence, characters.
const SENTENCE: usize = 600;
/// Maximum number of sentences of an explanation.
const SENTENCES: usize = 12;
/// Maximum length of a snippet to paste, characters.
const SNIPPET: usize = 2_000;
/// Maximum length of a differing value, characters.
const VALUE: usize = 300;

#[must_use]
pub fn render(report: &Report) -> String {
    let verdict = &report.verdict;
    let mut out = head(report);
    let groups = group_findings(&without_unused(verdict));
    let blocks = groups
        .iter()
        .take(SHOWN)
        .enumerate()
        .map(|(n, group)| folded(group, n < UNFOLDED && group.first.severity == Severity::Error));
    let shown = fill(&mut out, blocks, LONGEST - RESERVE);
    if shown < groups.len() {
        let more: usize = groups[shown..].iter().map(FindingGroup::len).sum();
        let more = many(more as u64, "finding", "findings");
        let _ = writeln!(out, "… and {more} more; the JSON report lists {}.\n", text::listed(verdict));
    }
    fill(&mut out, unused_entries(verdict).iter().map(unused), LONGEST - RESERVE);
    out
}

/// Appends blocks until the length limit in bytes. Returns the number of appended blocks.
pub(crate) fn fill(out: &mut String, blocks: impl Iterator<Item = String>, longest: usize) -> usize {
    let mut shown = 0;
    for block in blocks {
        if out.len() + block.len() > longest {
            break;
        }
        out.push_str(&block);
        shown += 1;
    }
    shown
}

/// Renders the headline and the counts, which always fit.
#[must_use]
pub fn head(report: &Report) -> String {
    let verdict = &report.verdict;
    let (comes_to, of) = headline::of(verdict);
    let mark = if verdict.passed() { '✅' } else { '❌' };
    let mut out = format!("### {mark} {comes_to}{}\n\n", prose(&excerpt(&of, SENTENCE)));
    let command = match &*report.command {
        "" => String::new(),
        command => format!("{}: ", code(&excerpt(command, SENTENCE))),
    };
    let endings = headline::endings(report);
    for ending in endings.iter().take(LISTED) {
        let _ = writeln!(out, "❌ {command}{}\n", prose(&excerpt(ending, SENTENCE)));
    }
    if endings.len() > LISTED {
        let _ = writeln!(out, "… and {} more\n", endings.len() - LISTED);
    }
    out.push_str(&counts(verdict));
    out.push_str(&rules(verdict));
    out.push_str(&entry_uses(verdict));
    out
}

/// Renders the requests of each used entry, folded; empty without used entries.
fn entry_uses(verdict: &Verdict) -> String {
    let used = || verdict.fixtures.iter().filter(|fixture| !fixture.served.is_empty());
    let mut lines: Vec<String> = used()
        .take(LISTED)
        .map(|fixture| format!("* {}: {}\n", code(&excerpt(&fixture.fixture, SENTENCE)), headline::entry_uses(fixture)))
        .collect();
    if used().count() > LISTED {
        lines.push(format!("* and {} more fixtures\n", used().count() - LISTED));
    }
    match lines.is_empty() {
        true => String::new(),
        false => format!("\n<details><summary>Requests of each entry</summary>\n\n{}\n</details>\n", lines.concat()),
    }
}

/// Returns the text of a table cell.
fn cell(text: &str) -> String {
    code(text).replace('|', "\\|")
}

/// Renders the requests of each rule as a table; empty without rules.
fn rules(verdict: &Verdict) -> String {
    let row = |rule: &RuleUse| format!("| {} | {} | {} |\n", cell(&rule.rule), cell(&rule.pattern), rule.requests);
    match verdict.rules.is_empty() {
        true => String::new(),
        false => {
            let rows: String = verdict.rules.iter().map(row).collect();
            format!("\n| rule | match | requests |\n| --- | --- | ---: |\n{rows}")
        }
    }
}

/// Renders a table of one row, with a column for each outcome of requests.
fn counts(verdict: &Verdict) -> String {
    let Verdict { counts, fixtures, duration_ms, .. } = verdict;
    let mut columns = vec![("requests", counts.requests.to_string())];
    columns.extend(headline::ways(verdict).map(|(count, way)| (way, count.to_string())));
    if counts.tunnels > 0 {
        columns.push(("tunnels", counts.tunnels.to_string()));
    }
    if !fixtures.is_empty() {
        let (used, entries) = headline::used(verdict);
        columns.push(("entries used", format!("{used} of {entries}")));
        columns.push(("upstream connections", counts.upstream_connections.to_string()));
        if counts.local_connections > 0 {
            columns.push(("local connections", counts.local_connections.to_string()));
        }
    }
    columns.push(("time", took(Duration::from_millis(*duration_ms))));
    let row = |cells: &[&str]| format!("| {} |\n", cells.join(" | "));
    let (names, values): (Vec<&str>, Vec<&str>) = columns.iter().map(|(name, value)| (*name, value.as_str())).unzip();
    format!("{}{}{}\n", row(&names), row(&vec!["---:"; names.len()]), row(&values))
}

fn took(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

/// Renders a finding as a folded block under a summary line.
fn folded(group: &FindingGroup<'_>, open: bool) -> String {
    let finding = group.first;
    let mark = mark(finding.severity);
    let times = if finding.times > 1 { format!(" ({} times)", finding.times) } else { String::new() };
    let mut lines = finding.text.lines();
    let about = match &finding.at.request {
        Some(request) => format!("<code>{}</code>", html(&excerpt(request, SENTENCE))),
        None => html(&excerpt(lines.next().unwrap_or_default(), SENTENCE)),
    };
    let (open, kind) = (if open { " open" } else { "" }, html(finding.check.as_str()));
    let mut out = format!("<details{open}><summary>{mark} <b>{kind}</b>: {about}{times}</summary>\n\n");
    let is_told = |line: &&str| finding.near.is_empty() || !is_near_line(line);
    for line in lines.filter(is_told).take(SENTENCES) {
        let _ = writeln!(out, "{}\n", prose(&excerpt(line, SENTENCE)));
    }
    if let Some(others) = group.others() {
        let _ = writeln!(out, "{}\n", prose(&excerpt(&others, SENTENCE)));
    }
    if let Some(session) = &finding.session {
        let _ = writeln!(out, "Test: {}\n", code(&excerpt(session, SENTENCE)));
    }
    for (n, near) in finding.near.iter().enumerate() {
        out.push_str(&differences(near, if n == 0 { "Nearest" } else { "Then" }));
    }
    if let (Some(fixture), []) = (&finding.at.fixture, &finding.near[..]) {
        let _ = writeln!(out, "In {}\n", place(fixture, finding.at.entry, finding.at.line));
    }
    if let Some(remedy) = &finding.hint {
        // Lines to copy are a block: those of a rule for harproxy.toml, and of other findings all but the first.
        let has_sentences = [CheckId::MISS, CheckId::OUT_OF_SCOPE].contains(&finding.check);
        let at = remedy.find(if has_sentences { "\n[[" } else { "\n" });
        let (text, snippet) = at.map_or((remedy.as_str(), ""), |at| (&remedy[..at], &remedy[at + 1..]));
        for (n, text) in text.lines().enumerate() {
            let lead = if n == 0 { "**Hint:** " } else { "" };
            let _ = writeln!(out, "{lead}{}\n", prose(&excerpt(text, SENTENCE)));
        }
        if !snippet.is_empty() {
            out.push_str(&block("text", &format!("{}\n", printable::lines(&excerpt(snippet, SNIPPET)))));
        }
    }
    out.push_str("</details>\n\n");
    out
}

/// Renders the differences of a near entry as a diff: recorded values are removed, the request's values are added.
fn differences(near: &NearEntry, lead: &str) -> String {
    let at = place(&near.place.fixture, Some(near.place.entry), near.place.line);
    let operation = near.operation.as_ref().map(|name| format!(", {}", code(name))).unwrap_or_default();
    let mut differs = String::new();
    for difference in near.differences.iter().take(MAX_DIFFERENCES) {
        let [request, recorded] = values(difference, VALUE);
        let _ = writeln!(differs, "@@ {} @@", subject(difference));
        for (mark, value) in [('-', recorded), ('+', request)] {
            if let Some(value) = value {
                let _ = writeln!(differs, "{mark} {value}");
            }
        }
    }
    if near.differences.len() > MAX_DIFFERENCES {
        let _ = writeln!(differs, "@@ and {} more @@", near.differences.len() - MAX_DIFFERENCES);
    }
    format!("{lead}: {at}{operation}\n\n{}", if differs.is_empty() { differs } else { block("diff", &differs) })
}

/// Renders the number of unused entries, and the first few of them.
fn unused(unused: &UnusedEntries<'_>) -> String {
    let mark = mark(unused.severity);
    let summary = html(&excerpt(&unused.summary(), SENTENCE));
    let mut out = format!("<details><summary>{mark} <b>unused</b>: {summary}</summary>\n\n");
    for finding in unused.findings.iter().take(LISTED) {
        let _ = writeln!(out, "- {}", code(&excerpt(&unused.name(finding), SENTENCE)));
    }
    match unused.count.saturating_sub(unused.findings.len().min(LISTED)) {
        0 => {}
        more => {
            let _ = writeln!(out, "- … and {more} more");
        }
    }
    out.push_str("\n</details>\n\n");
    out
}

/// `hars/api.har#4`, line 120.
fn place(fixture: &str, entry: Option<usize>, line: Option<usize>) -> String {
    let entry = entry.map(|entry| format!("#{entry}")).unwrap_or_default();
    let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
    format!("{}{line}", code(&format!("{}{entry}", excerpt(fixture, SENTENCE))))
}

fn mark(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "❌",
        Severity::Warning => "⚠️",
    }
}

/// Escapes a phrase of harproxy. Text between backticks stays code.
///
/// ```
/// use harproxy::verdict::report::markdown::prose;
/// assert_eq!(prose("`a*b` is <b> of @me"), "`a*b` is &lt;b&gt; of @&#8203;me");
/// ```
#[must_use]
pub fn prose(text: &str) -> String {
    let line = one_line(text);
    let mut out = String::with_capacity(line.len() + 16);
    let mut rest = line.trim();
    while let Some((before, after)) = rest.split_once('`') {
        escape(&mut out, before);
        match after.split_once('`') {
            Some((within, after)) if !within.is_empty() => {
                out.push_str(&code(within));
                rest = after;
            }
            _ => {
                out.push_str("\\`");
                rest = after;
            }
        }
    }
    escape(&mut out, rest);
    out
}

/// Returns a code span. Its fence is longer than any run of backticks in the text.
pub(crate) fn code(text: &str) -> String {
    let line = one_line(text);
    let fence = "`".repeat(fence(&line, 1));
    // Markdown removes one space from each side if both sides have one.
    let pad = if line.starts_with(['`', ' ']) || line.ends_with(['`', ' ']) || line.is_empty() { " " } else { "" };
    format!("{fence}{pad}{line}{pad}{fence}")
}

/// Returns a code block in a language, followed by an empty line.
fn block(language: &str, lines: &str) -> String {
    let fence = "`".repeat(fence(lines, 3));
    format!("{fence}{language}\n{lines}{fence}\n\n")
}

/// Returns one line of text for an HTML element, without mentions of users or references to issues.
pub(crate) fn html(text: &str) -> String {
    escape_markup(&one_line(text), push_without_reference)
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        // `-`, `+` and `=` begin a list or underline a heading only at the beginning of a line.
        let begins = out.is_empty() && matches!(c, '-' | '+' | '=');
        let numbers = matches!(c, '.' | ')') && !out.is_empty() && out.bytes().all(|byte| byte.is_ascii_digit());
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '*' | '_' | '[' | ']' | '|' | '~' | '$' => out.extend(['\\', c]),
            c if begins || numbers => out.extend(['\\', c]),
            c => push_without_reference(out, c),
        }
    }
}

/// Appends a zero-width space after characters that begin a mention or a reference to an issue or merge request.
fn push_without_reference(out: &mut String, c: char) {
    out.push(c);
    if matches!(c, '@' | '#' | '!') {
        out.push_str("&#8203;");
    }
}

/// Returns the length of a fence that is longer than any run of backticks in the text.
fn fence(text: &str, shortest: usize) -> usize {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    shortest.max(longest + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_quotes_any_text_on_one_line() {
        for (text, expected) in [
            ("a", "`a`"),
            ("a|b", "`a|b`"),
            ("a`b", "``a`b``"),
            ("`", "`` ` ``"),
            ("``x", "``` ``x ```"),
            ("", "`  `"),
            (" a ", "`  a  `"),
            ("a\nb\u{1b}", "`a\\nb\\u{1b}`"),
        ] {
            assert_eq!(code(text), expected, "{text:?}");
        }
    }

    #[test]
    fn prose_is_escaped() {
        for (text, expected) in [
            ("query `page` is `3`", "query `page` is `3`"),
            ("one ` alone", "one \\` alone"),
            ("two `` of them", "two \\`\\` of them"),
            ("*a* _b_ [c](d) ~e~ $f$ |", "\\*a\\* \\_b\\_ \\[c\\](d) \\~e\\~ \\$f\\$ \\|"),
            ("- no list", "\\- no list"),
            ("12. no list", "12\\. no list"),
            ("1.5 s", "1\\.5 s"),
            ("# no heading", "#&#8203; no heading"),
            ("see #1, !2 and @octocat", "see #&#8203;1, !&#8203;2 and @&#8203;octocat"),
            ("<img src=x>&amp;", "&lt;img src=x&gt;&amp;amp;"),
            ("a\n\n# b", "a\\\\n\\\\n#&#8203; b"),
        ] {
            assert_eq!(prose(text), expected, "{text:?}");
        }
    }

    #[test]
    fn code_block_fence_is_longer_than_its_text() {
        assert_eq!(block("diff", "- ```\n"), "````diff\n- ```\n````\n\n");
        assert_eq!(html("<a href=\"x\">&\n@me"), "&lt;a href=&quot;x&quot;&gt;&amp;\\n@&#8203;me");
    }
}
