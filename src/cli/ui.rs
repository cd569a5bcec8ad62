//! Terminal output. Data goes to standard output, everything else to standard error, as text or, with `--log-format
//! json`, as one JSON object per line. All of it passes [`guard`]. A reader that closes the stream is not an error.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use anstream::ColorChoice;
use anstyle::{AnsiColor, Style};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::event::Event;
use super::guard;
use crate::verdict::{CheckId, Severity};

/// Values of `--color`. `auto` is color on a terminal, unless NO_COLOR is set.
pub const COLORS: &[(&str, &str, ColorChoice)] =
    &[("auto", "", ColorChoice::Auto), ("always", "", ColorChoice::Always), ("never", "", ColorChoice::Never)];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

impl LogFormat {
    pub const WORDS: &[(&str, &str, LogFormat)] =
        &[("text", "for people", LogFormat::Text), ("json", "one object per line", LogFormat::Json)];
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// As a list without CMD on a terminal, and as events with `--log-format json`.
    #[default]
    Auto,
    Always,
    Never,
}

impl Progress {
    pub const WORDS: &[(&str, &str, Progress)] =
        &[("auto", "", Progress::Auto), ("always", "", Progress::Always), ("never", "", Progress::Never)];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveFormat {
    Nothing,
    List,
    Events,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Ui {
    pub quiet: bool,
    pub verbose: bool,
    pub format: LogFormat,
    /// Whether requests are shown as they happen.
    pub progress: Progress,
}

/// The maximum width of a padded column, in characters. A longer text moves only the rest of its own line. A width in a
/// format string panics beyond 65,535.
pub const MAX_COLUMN: usize = 40;

/// Returns the width of a column with texts of these lengths.
pub fn column_width(lengths: impl Iterator<Item = usize>) -> usize {
    lengths.max().unwrap_or_default().min(MAX_COLUMN)
}

/// Set when the reader of standard error has stopped reading, because writing would block forever.
static IS_STOPPED: AtomicBool = AtomicBool::new(false);

impl Ui {
    /// Returns the form of the live request list. By default there is none with CMD, whose output it would disturb,
    /// and none with `--verbose`, because the log has every request.
    pub fn live_format(&self, with_cmd: bool) -> LiveFormat {
        match (self.format, self.progress) {
            _ if self.quiet => LiveFormat::Nothing,
            (_, Progress::Never) => LiveFormat::Nothing,
            (LogFormat::Json, _) => LiveFormat::Events,
            (LogFormat::Text, Progress::Always) => LiveFormat::List,
            (LogFormat::Text, Progress::Auto) if !with_cmd && !self.verbose && io::stderr().is_terminal() => {
                LiveFormat::List
            }
            (LogFormat::Text, Progress::Auto) => LiveFormat::Nothing,
        }
    }

    /// Writes text to standard output.
    /// Fails if it cannot be written. A closed pipe is not an error.
    pub fn data(&self, text: &str) -> io::Result<()> {
        write_out(&guard::text(text))
    }

    /// Writes JSON to standard output.
    /// Fails if it cannot be written. A closed pipe is not an error.
    pub fn json(&self, text: &str) -> io::Result<()> {
        write_out(&guard::json(text))
    }

    /// Copies bytes to standard output: unchanged, or as text if it is a terminal.
    /// Fails if they cannot be read or written. A closed pipe is not an error.
    pub fn bytes(&self, bytes: &mut dyn io::Read) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let copied = match out.is_terminal() {
            true => guard::copy_shown(bytes, &mut out),
            false => io::copy(bytes, &mut out).map(drop),
        };
        is_open(copied.and_then(|()| out.flush())).map(drop)
    }

    /// Prints information. `--quiet` suppresses it.
    pub fn note(&self, event: Event, text: &str) {
        if !self.quiet {
            self.say(event, text, ());
        }
    }

    /// Prints a message that `--quiet` does not suppress.
    pub fn alert(&self, event: Event, text: &str) {
        self.say(event, text, ());
    }

    /// Prints a warning. `--quiet` does not suppress it.
    pub fn warn(&self, event: Event, text: &str) {
        self.alert(event, &format!("{}: {text}", caution("warning")));
    }

    /// Writes annotations for GitHub's runner to standard error, in every format.
    pub fn annotations(&self, text: &str) {
        let _ = anstream::stderr().lock().write_all(guard::annotations(text).as_bytes());
    }

    /// Prints a message with machine-readable members, which only the JSON format shows.
    pub fn say(&self, event: Event, text: &str, members: impl Serialize) {
        #[derive(Serialize)]
        struct Message<M> {
            message: String,
            #[serde(flatten)]
            members: M,
        }
        let text = text.trim_end_matches('\n');
        match self.format {
            LogFormat::Text => write_line(text),
            LogFormat::Json => {
                let message = anstream::adapter::strip_str(text).to_string();
                write_event(&json_line(event, Message { message, members }));
            }
        }
    }
}

fn write_out(guarded: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    is_open(out.write_all(guarded.as_bytes()).and_then(|()| out.flush())).map(drop)
}

/// Writes text to standard error in one piece, so that output of CMD cannot interleave.
pub fn write_line(line: &str) {
    write_guarded(&guard::text(line));
}

/// Writes an event, a JSON line, to standard error in one piece.
pub fn write_event(line: &str) {
    write_guarded(&guard::json(line));
}

fn write_guarded(line: &str) {
    if IS_STOPPED.load(Ordering::Relaxed) {
        return;
    }
    let mut err = anstream::stderr().lock();
    // An error is ignored: standard error is closed.
    let _ = err.write_all(format!("{line}\n").as_bytes());
}

/// Suppresses further output to standard error, because its reader has stopped reading.
pub fn stop_writing() {
    IS_STOPPED.store(true, Ordering::Relaxed);
}

/// Formats an event as a JSON line: its name, the time, and its members.
pub fn json_line(event: Event, members: impl Serialize) -> String {
    let now = OffsetDateTime::now_utc();
    let now = now.replace_millisecond(now.millisecond()).unwrap_or(now);
    line_at(event, now.format(&Rfc3339).ok().as_deref(), members)
}

/// Formats an event as a JSON line, with this time if there is one.
pub fn line_at(event: Event, at: Option<&str>, members: impl Serialize) -> String {
    #[derive(Serialize)]
    struct Line<'a, M> {
        event: Event,
        #[serde(skip_serializing_if = "Option::is_none")]
        at: Option<&'a str>,
        #[serde(flatten)]
        members: M,
    }
    // Plain data with string keys: serialisation cannot fail.
    serde_json::to_string(&Line { event, at, members }).unwrap_or_default()
}

/// Applies a style. The output streams remove the codes if color is off.
fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Styles headings and important words.
pub fn strong(text: impl Display) -> String {
    paint(Style::new().bold(), text)
}

pub fn faint(text: impl Display) -> String {
    paint(Style::new().dimmed(), text)
}

pub fn good(text: impl Display) -> String {
    paint(AnsiColor::Green.on_default().bold(), text)
}

pub fn fine(text: impl Display) -> String {
    paint(AnsiColor::Green.on_default(), text)
}

pub fn bad(text: impl Display) -> String {
    paint(AnsiColor::Red.on_default().bold(), text)
}

pub fn caution(text: impl Display) -> String {
    paint(AnsiColor::Yellow.on_default().bold(), text)
}

pub fn help(text: impl Display) -> String {
    paint(AnsiColor::Cyan.on_default(), text)
}

/// Formats the severity and the check of a finding: `✗ miss`.
pub fn finding_mark(severity: Severity, check: &CheckId) -> String {
    match severity {
        Severity::Error => bad(format_args!("✗ {}", check.as_str())),
        Severity::Warning => caution(format_args!("! {}", check.as_str())),
    }
}

/// Returns the width of the terminal of standard error; `None` without a terminal.
pub fn width() -> Option<u16> {
    terminal_size::terminal_size_of(io::stderr()).map(|(width, _)| width.0).filter(|width| *width > 0)
}

/// Returns the width of the terminal of standard output; `None` without a terminal.
pub fn data_width() -> Option<u16> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0).filter(|width| *width > 0)
}

/// Truncates a line without styles to the width of the terminal. Without a terminal the line is unchanged.
pub fn cut(line: &str) -> Cow<'_, str> {
    width().map_or(Cow::Borrowed(line), |width| cut_at(line, width.into()))
}

/// Truncates a line at its end to a number of characters.
pub fn cut_at(line: &str, width: usize) -> Cow<'_, str> {
    match line.char_indices().nth(width) {
        None => line.into(),
        Some(_) => line.chars().take(width.saturating_sub(1)).chain(['…']).collect::<String>().into(),
    }
}

/// Formats a number with its unit: `1 entry`, `2 entries`.
pub fn counted<N: Display + PartialEq + From<u8>>(n: N, one: &str, many: &str) -> String {
    let unit = if n == N::from(1) { one } else { many };
    format!("{n} {unit}")
}

/// Returns false if writing failed because the reader, such as `head`, has closed the output.
pub fn is_open(written: io::Result<()>) -> io::Result<bool> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_truncated_to_the_width_of_the_terminal() {
        for (line, width, cut) in [("GET /grüße", 10, "GET /grüße"), ("GET /grüße", 9, "GET /grü…"), ("a", 0, "…")]
        {
            assert_eq!(cut_at(line, width), cut);
        }
    }

    #[test]
    fn json_line_starts_with_event_and_time() {
        let members = serde_json::json!({ "message": "no", "status": 2 });
        let line = line_at(Event::Error, Some("2026-11-20T14:00:00Z"), members);
        assert_eq!(line, r#"{"event":"error","at":"2026-11-20T14:00:00Z","message":"no","status":2}"#);
    }

    #[test]
    fn live_requests_are_shown_depending_on_format_and_progress() {
        let ui = |quiet, format, progress| Ui { quiet, format, progress, ..Ui::default() };
        for (ui, with_cmd, expected) in [
            (ui(false, LogFormat::Json, Progress::Auto), true, LiveFormat::Events),
            (ui(false, LogFormat::Json, Progress::Never), false, LiveFormat::Nothing),
            (ui(true, LogFormat::Json, Progress::Auto), false, LiveFormat::Nothing),
            (ui(false, LogFormat::Text, Progress::Always), true, LiveFormat::List),
            (ui(false, LogFormat::Text, Progress::Auto), true, LiveFormat::Nothing),
            (ui(false, LogFormat::Text, Progress::Never), false, LiveFormat::Nothing),
        ] {
            assert_eq!(ui.live_format(with_cmd), expected, "{ui:?} {with_cmd}");
        }
    }
}
