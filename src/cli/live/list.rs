//! The live list as text: a line per request, and under a miss the near miss and the hint. Consecutive equal requests
//! are combined in one line with their number.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::{LiveEvent, LiveOutput};
use crate::cli::ui::{self, write_line};
use crate::verdict::request::{RequestRow, ResultKind, SourceKind};
use crate::verdict::{CheckId, Severity, name_in_reports};
use harproxy_support::printable::one_line;

/// Maximum number of remembered explanations, which are shown only once.
const REMEMBERED: usize = 10_000;

/// The checks whose findings are shown with the line of their request.
const LISTED_WITH_REQUEST: [CheckId; 5] =
    [CheckId::MISS, CheckId::OUT_OF_SCOPE, CheckId::WEBSOCKET, CheckId::STREAM, CheckId::PASSTHROUGH];

/// Minimum width in columns to show the time.
const NARROW: usize = 60;
/// Minimum number of shown characters of a URL.
const LEAST: usize = 8;

#[derive(Default)]
pub(super) struct List {
    /// The last shown request, and the number of repetitions since.
    last: Option<(RequestRow, u64)>,
    written: HashSet<String>,
}

impl List {
    fn write_lines(&mut self, lines: impl IntoIterator<Item = String>) {
        self.flush();
        self.last = None;
        lines.into_iter().for_each(|line| write_line(&line));
    }

    /// Returns true if the text was not shown before.
    fn is_new(&mut self, text: String) -> bool {
        if self.written.len() >= REMEMBERED {
            self.written.clear();
        }
        self.written.insert(text)
    }

    /// Returns the lines with the near miss and the hint of a refused request.
    fn why(&mut self, row: &RequestRow) -> Vec<String> {
        let Some(explanation) = &row.explanation else { return Vec::new() };
        if !self.is_new(format!("{} {} {explanation}", row.method, row.url)) {
            return Vec::new();
        }
        let nearest = explanation.lines().find(|line| line.starts_with("nearest"));
        let why = nearest.or_else(|| explanation.lines().next()).unwrap_or_default();
        let mut lines = below(why, width());
        lines.extend(row.hint.iter().flat_map(|remedy| hint(remedy, width())));
        lines
    }
}

impl LiveOutput for List {
    fn write(&mut self, event: &LiveEvent) {
        match event {
            LiveEvent::Running(row) => self.write_lines([request(row, true, 1, width())]),
            LiveEvent::Ended(row) => {
                if let Some((last, again)) = &mut self.last
                    && is_again(last, row)
                {
                    *again += 1;
                    last.took_ms = row.took_ms;
                    return;
                }
                let why = self.why(row);
                self.write_lines([request(row, false, 1, width())].into_iter().chain(why));
                self.last = Some((row.without_messages(), 0));
            }
            LiveEvent::TlsRefused(to, reason) => {
                let text = format!("the client does not trust our certificate for {} ({reason})", to.authority());
                if self.is_new(text.clone()) {
                    self.write_lines([headline(Severity::Warning, &CheckId::TLS_REFUSED, &text)]);
                }
            }
            LiveEvent::Found(finding) if LISTED_WITH_REQUEST.contains(&finding.check) => {}
            LiveEvent::Found(finding) => {
                let mut about = finding.at.request.as_deref().into_iter().chain(finding.text.lines());
                let first = headline(finding.severity, &finding.check, about.next().unwrap_or_default());
                let second = about.next().into_iter().flat_map(|line| below(line, width()));
                let remedy = finding.hint.iter().flat_map(|remedy| hint(remedy, width()));
                self.write_lines([first].into_iter().chain(second).chain(remedy));
            }
            LiveEvent::Dropped(number) => self.write_lines([ui::faint(format!("… {number} more"))]),
        }
    }

    fn holds_back(&self) -> bool {
        self.last.as_ref().is_some_and(|(_, again)| *again > 0)
    }

    fn flush(&mut self) {
        if let Some((row, again)) = &mut self.last
            && *again > 0
        {
            write_line(&request(row, false, *again, width()));
            *again = 0;
        }
    }
}

/// Returns true if the line of the request would be that of the previous one.
fn is_again(last: &RequestRow, row: &RequestRow) -> bool {
    (last.status, last.outcome, last.entry, last.complete) == (row.status, row.outcome, row.entry, row.complete)
        && (&last.method, &last.url, &last.fixture) == (&row.method, &row.url, &row.fixture)
        && (&last.fallback, &last.rules, last.source) == (&row.fallback, &row.rules, row.source)
        && last.explanation == row.explanation
}

fn headline(severity: Severity, check: &CheckId, about: &str) -> String {
    let room = width().map_or(usize::MAX, |width| width.saturating_sub(check.as_str().len() + 4).max(8));
    format!("{}: {}", ui::finding_mark(severity, check), ui::cut_at(&one_line(about), room))
}

/// Formats the first line of a hint. The verdict shows all of them.
fn hint(remedy: &str, width: Option<usize>) -> impl Iterator<Item = String> {
    let text = format!("hint: {}", remedy.lines().next().unwrap_or_default());
    below(&text, width).into_iter().map(ui::help)
}

/// Returns the current width of the terminal; `None` without a terminal.
fn width() -> Option<usize> {
    ui::width().map(usize::from)
}

/// Formats a request: method, status, time, URL and entry or result. `width` is the width of the terminal in columns;
/// without it nothing is truncated. `times` is the number of equal requests.
fn request(row: &RequestRow, running: bool, times: u64, width: Option<usize>) -> String {
    let status = row.status.map_or_else(|| "---".to_owned(), |status| status.to_string());
    let method = one_line(&row.method);
    let failed = matches!(row.outcome, ResultKind::Miss | ResultKind::OutOfScope | ResultKind::Failed);
    let mut lead = format!("{method:<4} {}", if failed { ui::bad(&status) } else { status.clone() });
    let mut used = method.chars().count().max(4) + 1 + status.len();
    if width.is_none_or(|width| width >= NARROW) {
        let took = if running { "…".to_owned() } else { row.took_ms.or(row.waited_ms).map(time).unwrap_or_default() };
        let _ = write!(lead, " {}", ui::faint(format!("{took:>7}")));
        used += 8;
    }
    let mut tail = one_line(&origin_of(row)).into_owned();
    if !running && !row.complete && row.status.is_some() {
        tail.push_str(", broken off");
    }
    let times = if times > 1 { format!(" ×{times}") } else { String::new() };
    let painted_times = if times.is_empty() { String::new() } else { ui::faint(&times) };
    let url = one_line(&row.url);
    let Some(width) = width else { return format!("{lead} {url}  {}{}", painted(row, &tail), painted_times) };
    let tail = if row.outcome == ResultKind::Served { cut_begin(&tail, (width / 4).max(LEAST + 2)) } else { tail };
    let room = width.saturating_sub(used + 1 + 2 + tail.chars().count() + times.chars().count()).max(LEAST);
    // On a narrow terminal the scheme is left out.
    let url = if width < NARROW { url.strip_prefix("https://").unwrap_or(&url) } else { &url };
    format!("{lead} {}  {}{}", cut_middle(url, room), painted(row, &tail), painted_times)
}

/// Formats an indented sentence under a request, in at most two lines.
fn below(text: &str, width: Option<usize>) -> Vec<String> {
    const SPACE: usize = 5;
    let text = one_line(text).into_owned();
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(SPACE).max(LEAST));
    let lines = match text.char_indices().nth(room) {
        None => vec![text],
        Some((end, _)) => {
            // Break at a space, unless most of the line would be empty.
            let end = text[..end].rfind(' ').filter(|space| *space > room / 2).unwrap_or(end);
            let (first, rest) = text.split_at(end);
            vec![first.to_owned(), ui::cut_at(rest.trim_start(), room).into_owned()]
        }
    };
    lines.into_iter().map(|line| format!("{:SPACE$}{line}", "")).collect()
}

/// Truncates a URL in the middle, because its start and its end are the most significant.
fn cut_middle(text: &str, room: usize) -> String {
    let count = text.chars().count();
    if count <= room {
        return text.to_owned();
    }
    let kept = room.saturating_sub(1);
    let (begin, end) = (kept - kept / 2, kept / 2);
    text.chars().take(begin).chain(['…']).chain(text.chars().skip(count - end)).collect()
}

/// Truncates the start, because the entry is at the end of the fixture's path.
fn cut_begin(text: &str, room: usize) -> String {
    match text.chars().count() {
        n if n <= room => text.to_owned(),
        n => ['…'].into_iter().chain(text.chars().skip(n + 1 - room)).collect(),
    }
}

fn painted(row: &RequestRow, tail: &str) -> String {
    match row.outcome {
        ResultKind::Served | ResultKind::Recorded => ui::fine(tail),
        ResultKind::Miss | ResultKind::OutOfScope | ResultKind::Failed => ui::bad(tail),
        ResultKind::Refused => ui::caution(tail),
        _ => ui::faint(tail),
    }
}

/// Formats a duration: `12 ms`, `1.5 s`, `3 min`.
fn time(millis: f64) -> String {
    match millis {
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms if ms < 99_950.0 => format!("{:.1} s", ms / 1e3),
        ms => format!("{:.0} min", ms / 60e3),
    }
}

/// Returns the entry that answered, or the result of the request.
fn origin_of(row: &RequestRow) -> String {
    match (&row.fixture, row.entry, row.outcome) {
        (Some(fixture), Some(entry), ResultKind::Served) => {
            let followed: String = row.followed.iter().map(|entry| format!("→#{entry}")).collect();
            let failed =
                if row.fallback.is_empty() { String::new() } else { format!(" after {}", row.fallback.join(", ")) };
            let patched = if row.source == SourceKind::FixturePatched { "+patched" } else { "" };
            format!("{fixture}#{entry}{followed}{patched}{failed}")
        }
        _ if row.source == SourceKind::LivePatched => "live+patched".to_owned(),
        _ => name_in_reports(row.outcome),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(line: &str) -> String {
        anstream::adapter::strip_str(line).to_string()
    }

    fn served() -> RequestRow {
        RequestRow {
            method: "GET".into(),
            url: "https://api.example.com/users/17/orders?page=2&sort=created".into(),
            status: Some(200),
            took_ms: Some(3.2),
            outcome: ResultKind::Served,
            fixture: Some("hars/api.har".into()),
            entry: Some(12),
            complete: true,
            ..RequestRow::default()
        }
    }

    #[test]
    fn request_with_another_source_or_rule_has_a_line_of_its_own() {
        let again = served();
        assert!(is_again(&served(), &again));
        for other in [
            RequestRow { fallback: vec!["live timeout".into()], ..served() },
            RequestRow { rules: vec!["slow".into()], ..served() },
            RequestRow { source: SourceKind::FixturePatched, ..served() },
        ] {
            assert!(!is_again(&served(), &other));
        }
    }

    fn shown(seen: &RequestRow, width: usize) -> String {
        plain(&request(seen, false, 1, Some(width)))
    }

    #[test]
    fn line_has_request_and_entry() {
        let line = plain(&request(&served(), false, 1, None));
        assert_eq!(
            line,
            "GET  200    3 ms https://api.example.com/users/17/orders?page=2&sort=created  hars/api.har#12"
        );
        assert_eq!(shown(&served(), 120), line, "where there is room nothing is cut");
        assert_eq!(
            shown(
                &RequestRow {
                    outcome: ResultKind::Local,
                    took_ms: Some(61_000.0),
                    method: "DELETE".into(),
                    ..served()
                },
                120
            ),
            "DELETE 200  61.0 s https://api.example.com/users/17/orders?page=2&sort=created  local"
        );
        assert!(plain(&request(&served(), false, 12, Some(120))).ends_with("hars/api.har#12 ×12"));
    }

    #[test]
    fn line_fits_the_width_and_keeps_the_ends_of_the_url() {
        let wide = "GET  200    3 ms https://api.example.com…rs?page=2&sort=created  hars/api.har#12";
        assert_eq!(shown(&served(), 80), wide);
        assert_eq!(shown(&served(), 40), "GET  200 api.examp…t=created  …pi.har#12");
        for width in 0..200 {
            for seen in [
                served(),
                RequestRow { status: None, complete: false, fixture: Some("a/very/long".repeat(9)), ..served() },
            ] {
                let count = plain(&request(&seen, false, 7, Some(width))).chars().count();
                assert!(count <= width.max(40), "{count} in {width}");
            }
        }
    }

    #[test]
    fn control_characters_are_removed() {
        let line = shown(&RequestRow { url: "http://h/\u{1b}[2J\nx\ty".into(), ..served() }, 120);
        assert!(!line.contains(['\u{1b}', '\n', '\t']), "{line}");
    }

    #[test]
    fn running_and_aborted_responses_are_marked() {
        assert!(plain(&request(&served(), true, 1, Some(100))).contains("200       … https"));
        assert!(shown(&RequestRow { complete: false, ..served() }, 120).ends_with("hars/api.har#12, broken off"));
        assert!(shown(&RequestRow { status: None, ..served() }, 120).starts_with("GET  ---"));
    }

    #[test]
    fn sentence_takes_at_most_two_lines() {
        let text = "nearest: hars/api.har#0 (line 15): query parameter `page` is `3`, recorded `2`; and so on";
        assert_eq!(below(text, None), [format!("     {text}")]);
        assert_eq!(below(text, Some(100)), [format!("     {text}")]);
        let narrow = ["     nearest: hars/api.har#0 (line 15):", "     query parameter `page` is `3`, rec…"];
        assert_eq!(below(text, Some(40)), narrow);
        assert_eq!(
            below(&"x".repeat(90), Some(40)),
            ["     ".to_owned() + &"x".repeat(35), format!("     {}…", "x".repeat(34))]
        );
    }

    #[test]
    fn times_are_short() {
        for (millis, text) in [(0.2, "0 ms"), (999.0, "999 ms"), (1500.0, "1.5 s"), (180_000.0, "3 min")] {
            assert_eq!(time(millis), text);
        }
    }

    #[test]
    fn hint_shows_only_its_first_line() {
        let hint = |remedy: &str| {
            let lines: Vec<String> =
                hint(remedy, None).map(|line| anstream::adapter::strip_str(&line).to_string()).collect();
            lines.join("\n").trim_start().to_owned()
        };
        assert_eq!(hint("--ignore-query page"), "hint: --ignore-query page");
        assert_eq!(
            hint("record it: `harproxy record`\ndid you mean GET http://a/?"),
            "hint: record it: `harproxy record`"
        );
    }
}
