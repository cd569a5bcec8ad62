//! The live list as text: a line per request, and under a miss the near miss and the hint. Consecutive equal requests
//! are combined in one line with their number.

use std::collections::HashSet;

use super::LiveOutput;
use super::line::{below, cut_end, flat, request};
use crate::cli::ui::{self, write_line};
use crate::verdict::request::RequestRow;
use crate::verdict::{CheckId, Finding, Severity};
use harproxy_proxy::Origin;

/// Maximum number of remembered explanations, which are shown only once.
const REMEMBERED: usize = 10_000;

/// The checks whose findings are shown with the line of their request.
const LISTED_WITH_REQUEST: [CheckId; 4] =
    [CheckId::MISS, CheckId::OUT_OF_SCOPE, CheckId::WEBSOCKET, CheckId::PASSTHROUGH];

#[derive(Default)]
pub(super) struct List {
    /// The last shown request, and the number of repetitions since.
    last: Option<(RequestRow, u64)>,
    written: HashSet<String>,
}

impl List {
    fn write(&mut self, lines: impl IntoIterator<Item = String>) {
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
    fn why(&mut self, seen: &RequestRow) -> Vec<String> {
        let Some(explanation) = &seen.explanation else { return Vec::new() };
        if !self.is_new(format!("{} {} {explanation}", seen.method, seen.url)) {
            return Vec::new();
        }
        let nearest = explanation.lines().find(|line| line.starts_with("nearest"));
        let why = nearest.or_else(|| explanation.lines().next()).unwrap_or_default();
        let mut lines = below(why, width());
        lines.extend(seen.hint.iter().flat_map(|remedy| hint(remedy, width())));
        lines
    }
}

impl LiveOutput for List {
    fn running(&mut self, seen: &RequestRow) {
        self.write([request(seen, true, 1, width())]);
    }

    fn ended(&mut self, seen: &RequestRow) {
        if let Some((last, again)) = &mut self.last
            && is_again(last, seen)
        {
            *again += 1;
            last.took_ms = seen.took_ms;
            return;
        }
        let why = self.why(seen);
        self.write([request(seen, false, 1, width())].into_iter().chain(why));
        self.last = Some((seen.without_messages(), 0));
    }

    fn tls_refused(&mut self, to: &Origin, reason: &str) {
        let text = format!("the client does not trust our certificate for {} ({reason})", to.authority());
        if self.is_new(text.clone()) {
            self.write([headline(Severity::Warning, &CheckId::TLS_REFUSED, &text)]);
        }
    }

    fn found(&mut self, finding: &Finding) {
        if LISTED_WITH_REQUEST.contains(&finding.check) {
            return;
        }
        let mut about = finding.at.request.as_deref().into_iter().chain(finding.text.lines());
        let first = headline(finding.severity, &finding.check, about.next().unwrap_or_default());
        let second = about.next().into_iter().flat_map(|line| below(line, width()));
        let remedy = finding.hint.iter().flat_map(|remedy| hint(remedy, width()));
        self.write([first].into_iter().chain(second).chain(remedy));
    }

    fn lost(&mut self, number: u64) {
        self.write([ui::faint(format!("… {number} more"))]);
    }

    fn holds_back(&self) -> bool {
        self.last.as_ref().is_some_and(|(_, again)| *again > 0)
    }

    fn flush(&mut self) {
        if let Some((seen, again)) = &mut self.last
            && *again > 0
        {
            write_line(&request(seen, false, *again, width()));
            *again = 0;
        }
    }
}

/// Returns true if the request looks like the one before.
fn is_again(last: &RequestRow, seen: &RequestRow) -> bool {
    let looks = |seen: &RequestRow| (seen.status, seen.outcome, seen.entry, seen.complete);
    let says =
        |seen: &RequestRow| (seen.method.clone(), seen.url.clone(), seen.fixture.clone(), seen.explanation.clone());
    looks(last) == looks(seen) && says(last) == says(seen)
}

fn headline(severity: Severity, check: &CheckId, about: &str) -> String {
    let kind = check.as_str();
    let room = width().map_or(usize::MAX, |width| width.saturating_sub(kind.len() + 4).max(8));
    let about = cut_end(&flat(about), room);
    match severity {
        Severity::Error => format!("{}: {about}", ui::bad(format!("✗ {kind}"))),
        Severity::Warning => format!("{}: {about}", ui::caution(format!("! {kind}"))),
    }
}

/// Formats a hint. Of configuration lines only the first is shown, because the verdict shows them all.
fn hint(remedy: &str, width: Option<usize>) -> impl Iterator<Item = String> {
    let text = match remedy.split_once(":\n") {
        Some((place, lines)) => {
            let first = lines.lines().next().unwrap_or_default();
            format!("hint: `{first}` lines {place} (complete at the end)")
        }
        None => format!("hint: {remedy}"),
    };
    below(&text, width).into_iter().map(ui::help)
}

/// Returns the current width of the terminal; `None` without a terminal.
fn width() -> Option<usize> {
    terminal_size::terminal_size_of(std::io::stderr()).map(|(width, _)| usize::from(width.0)).filter(|width| *width > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hint_shows_only_the_first_configuration_line() {
        let hint = |remedy: &str| {
            let lines: Vec<String> =
                hint(remedy, None).map(|line| anstream::adapter::strip_str(&line).to_string()).collect();
            lines.join("\n").trim_start().to_owned()
        };
        assert_eq!(hint("--ignore-query page"), "hint: --ignore-query page");
        assert_eq!(
            hint("in harproxy.toml:\n[[match]]\nglob = \"https://a.test/**\"\npath = \"/{id}\""),
            "hint: `[[match]]` lines in harproxy.toml (complete at the end)"
        );
    }
}
