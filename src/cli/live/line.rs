//! Formats one request as one line of the terminal.

use std::fmt::Write as _;

use super::origin_of;
use crate::cli::ui;
use crate::verdict::request::{RequestRow, ResultKind};

/// Minimum width in columns to show the time.
const NARROW: usize = 60;
/// Minimum number of shown characters of a URL.
const LEAST: usize = 8;

/// Formats a request: method, status, time, URL and entry or result. `width` is the width of the terminal in columns;
/// without it nothing is truncated. `times` is the number of equal requests.
pub(super) fn request(seen: &RequestRow, running: bool, times: u64, width: Option<usize>) -> String {
    let status = seen.status.map_or_else(|| "---".to_owned(), |status| status.to_string());
    let method = flat(&seen.method);
    let failed = matches!(seen.outcome, ResultKind::Miss | ResultKind::OutOfScope);
    let mut lead = format!("{method:<4} {}", if failed { ui::bad(&status) } else { status.clone() });
    let mut used = method.chars().count().max(4) + 1 + status.len();
    if width.is_none_or(|width| width >= NARROW) {
        let took =
            if running { "…".to_owned() } else { seen.took_ms.or(seen.waited_ms).map(time).unwrap_or_default() };
        let _ = write!(lead, " {}", ui::faint(format!("{took:>7}")));
        used += 8;
    }
    let mut tail = flat(&origin_of(seen));
    if !running && !seen.complete && seen.status.is_some() {
        tail.push_str(", broken off");
    }
    let times = if times > 1 { format!(" ×{times}") } else { String::new() };
    let painted_times = if times.is_empty() { String::new() } else { ui::faint(&times) };
    let url = flat(&seen.url);
    let Some(width) = width else { return format!("{lead} {url}  {}{}", painted(seen, &tail), painted_times) };
    let tail = if seen.outcome == ResultKind::Served { cut_begin(&tail, (width / 4).max(LEAST + 2)) } else { tail };
    let room = width.saturating_sub(used + 1 + 2 + tail.chars().count() + times.chars().count()).max(LEAST);
    // On a narrow terminal the scheme is left out.
    let url = if width < NARROW { url.strip_prefix("https://").unwrap_or(&url) } else { &url };
    format!("{lead} {}  {}{}", cut_middle(url, room), painted(seen, &tail), painted_times)
}

/// Formats an indented sentence under a request, in at most two lines.
pub(super) fn below(text: &str, width: Option<usize>) -> Vec<String> {
    const SPACE: usize = 5;
    let text = flat(text);
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(SPACE).max(LEAST));
    let lines = match text.char_indices().nth(room) {
        None => vec![text],
        Some((end, _)) => {
            // Break at a space, unless most of the line would be empty.
            let end = text[..end].rfind(' ').filter(|space| *space > room / 2).unwrap_or(end);
            let (first, rest) = text.split_at(end);
            vec![first.to_owned(), cut_end(rest.trim_start(), room)]
        }
    };
    lines.into_iter().map(|line| format!("{:SPACE$}{line}", "")).collect()
}

/// Truncates a sentence at its end.
pub(super) fn cut_end(text: &str, room: usize) -> String {
    match text.chars().count() {
        n if n <= room => text.to_owned(),
        _ => text.chars().take(room.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Converts a text to one line without control characters.
pub(super) fn flat(text: &str) -> String {
    ui::harmless(text).replace(['\n', '\t'], " ")
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

fn painted(seen: &RequestRow, tail: &str) -> String {
    match seen.outcome {
        ResultKind::Served | ResultKind::Recorded => ui::fine(tail),
        ResultKind::Miss | ResultKind::OutOfScope => ui::bad(tail),
        ResultKind::Refused => ui::caution(tail),
        ResultKind::Noise
        | ResultKind::Preflight
        | ResultKind::Local
        | ResultKind::Live
        | ResultKind::Passed
        | ResultKind::Tunnel => ui::faint(tail),
    }
}

/// `12 ms`, `1.5 s`, `3 min`.
fn time(millis: f64) -> String {
    match millis {
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms if ms < 99_950.0 => format!("{:.1} s", ms / 1e3),
        ms => format!("{:.0} min", ms / 60e3),
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
}
