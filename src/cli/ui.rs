//! The one place that writes to the terminal. Data goes to standard output, everything else to standard error, as text or,
//! with `--log-format json`, as one JSON object a line. A reader that goes away is no error.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{AnsiColor, Style};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::event::Event;
pub use harproxy_http::escape::harmless;

/// `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// On a terminal, unless NO_COLOR says otherwise.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// The words of the option.
    pub const WORDS: &[(&str, &str, Color)] =
        &[("auto", "", Color::Auto), ("always", "", Color::Always), ("never", "", Color::Never)];
}

/// `--log-format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

impl LogFormat {
    /// The words of the option.
    pub const WORDS: &[(&str, &str, LogFormat)] =
        &[("text", "for people", LogFormat::Text), ("json", "one object a line", LogFormat::Json)];
}

/// `--progress`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// Without CMD and on a terminal; as events wherever they are asked for.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Progress {
    /// The words of the option.
    pub const WORDS: &[(&str, &str, Progress)] =
        &[("auto", "", Progress::Auto), ("always", "", Progress::Always), ("never", "", Progress::Never)];
}

/// How the requests of a run are told while they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meanwhile {
    /// Not at all.
    Nothing,
    /// A line each, for people.
    List,
    /// An object each.
    Events,
}

/// How to talk to whoever started us.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ui {
    /// Only errors, and what failed.
    pub quiet: bool,
    /// Whatever may be good to know.
    pub verbose: bool,
    /// The form of messages.
    pub format: LogFormat,
    /// Whether requests are told while they come.
    pub progress: Progress,
}

/// Whether whoever should read our standard error has stopped reading it: writing would wait for ever.
static UNREAD: AtomicBool = AtomicBool::new(false);

impl Ui {
    /// Sets the colours of the process and how to talk.
    #[must_use]
    pub fn new(quiet: bool, verbose: bool, format: LogFormat, color: Color, progress: Progress) -> Ui {
        match color {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        }
        .write_global();
        Ui { quiet, verbose, format, progress }
    }

    /// How the requests of a run are told while they come. A list in the midst of CMD's own output would be in its way, and
    /// with `--verbose` the log says it all.
    #[must_use]
    pub fn meanwhile(&self, with_cmd: bool) -> Meanwhile {
        match (self.format, self.progress) {
            _ if self.quiet => Meanwhile::Nothing,
            (_, Progress::Never) => Meanwhile::Nothing,
            (LogFormat::Json, _) => Meanwhile::Events,
            (LogFormat::Text, Progress::Always) => Meanwhile::List,
            (LogFormat::Text, Progress::Auto) if !with_cmd && !self.verbose && io::stderr().is_terminal() => {
                Meanwhile::List
            }
            (LogFormat::Text, Progress::Auto) => Meanwhile::Nothing,
        }
    }

    /// Data, on standard output, exactly as given.
    ///
    /// # Errors
    /// When it can't be written; a reader that went away is none.
    pub fn data(&self, text: &str) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    /// Bytes, on standard output, exactly as they are.
    ///
    /// # Errors
    /// When they can't be read or written; a reader that went away is no error.
    pub fn bytes(&self, bytes: &mut dyn io::Read) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match io::copy(bytes, &mut out).and_then(|_| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    /// Something good to know; `--quiet` leaves it out.
    pub fn note(&self, event: Event, text: &str) {
        if !self.quiet {
            self.say(event, text, Map::new());
        }
    }

    /// Something that must be seen.
    pub fn alert(&self, event: Event, text: &str) {
        self.say(event, text, Map::new());
    }

    /// Lines for a program that reads what this one says, on standard error, whatever the format.
    pub fn lines(&self, text: &str) {
        let _ = anstream::stderr().lock().write_all(text.as_bytes());
    }

    /// A message with machine-readable members, which stand in JSON alone.
    pub fn say(&self, event: Event, text: &str, members: Map<String, Value>) {
        let text = text.trim_end_matches('\n');
        match self.format {
            LogFormat::Text => write_line(text),
            LogFormat::Json => {
                let message = anstream::adapter::strip_str(text).to_string();
                let said = Map::from_iter([("message".to_owned(), message.into())]);
                write_line(&json_line(event, said.into_iter().chain(members)));
            }
        }
    }
}

/// A line on standard error, in one piece, so that CMD's own can't come in between.
pub fn write_line(line: &str) {
    if UNREAD.load(Ordering::Relaxed) {
        return;
    }
    let mut err = anstream::stderr().lock();
    // Whoever closed our standard error does not want to hear from us.
    let _ = err.write_all(format!("{line}\n").as_bytes());
}

/// Nobody reads our standard error any more: from here on nothing is written to it.
pub fn nobody_reads() {
    UNREAD.store(true, Ordering::Relaxed);
}

/// An event as it stands in a line of JSON: its name, when it was told, and its members.
#[must_use]
pub fn json_line(event: Event, members: impl IntoIterator<Item = (String, Value)>) -> String {
    let now = OffsetDateTime::now_utc();
    let now = now.replace_millisecond(now.millisecond()).unwrap_or(now);
    line_at(event, &now.format(&Rfc3339).unwrap_or_default(), members)
}

fn line_at(event: Event, at: &str, members: impl IntoIterator<Item = (String, Value)>) -> String {
    let mut line = Map::from_iter([("event".to_owned(), event.word().into()), ("at".to_owned(), at.into())]);
    line.extend(members);
    Value::Object(line).to_string()
}

/// `text` in a style; the streams take the codes out again where they are not wanted.
fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// A headline, or a word that matters.
#[must_use]
pub fn strong(text: impl Display) -> String {
    paint(Style::new().bold(), text)
}

/// Something beside the point.
#[must_use]
pub fn faint(text: impl Display) -> String {
    paint(Style::new().dimmed(), text)
}

/// What went well.
#[must_use]
pub fn good(text: impl Display) -> String {
    paint(AnsiColor::Green.on_default().bold(), text)
}

/// What is as it should be.
#[must_use]
pub fn fine(text: impl Display) -> String {
    paint(AnsiColor::Green.on_default(), text)
}

/// What failed.
#[must_use]
pub fn bad(text: impl Display) -> String {
    paint(AnsiColor::Red.on_default().bold(), text)
}

/// What may matter.
#[must_use]
pub fn caution(text: impl Display) -> String {
    paint(AnsiColor::Yellow.on_default().bold(), text)
}

/// What helps: a hint, or a command to type.
#[must_use]
pub fn help(text: impl Display) -> String {
    paint(AnsiColor::Cyan.on_default(), text)
}

/// How many columns the terminal has that standard error goes to; `None` when it is none.
#[must_use]
pub fn width() -> Option<u16> {
    terminal_size::terminal_size_of(io::stderr()).map(|(width, _)| width.0)
}

/// How many columns the terminal has that standard output goes to; `None` when it is none.
#[must_use]
pub fn data_width() -> Option<u16> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0).filter(|width| *width > 0)
}

/// A line without styles as far as it fits on the terminal. Where there is none it stays whole.
#[must_use]
pub fn cut(line: &str) -> Cow<'_, str> {
    width().map_or(Cow::Borrowed(line), |width| cut_at(line, width.into()))
}

fn cut_at(line: &str, width: usize) -> Cow<'_, str> {
    match line.char_indices().nth(width) {
        None => line.into(),
        Some(_) => line.chars().take(width.saturating_sub(1)).chain(['…']).collect::<String>().into(),
    }
}

/// `1 entry`, `2 entries`.
#[must_use]
pub fn counted(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_where_the_terminal_ends() {
        for (line, width, cut) in [("GET /grüße", 10, "GET /grüße"), ("GET /grüße", 9, "GET /grü…"), ("a", 0, "…")]
        {
            assert_eq!(cut_at(line, width), cut);
        }
    }

    #[test]
    fn a_json_line_begins_with_what_it_is() {
        let members = [("message".to_owned(), "no".into()), ("status".to_owned(), 2.into())];
        let line = line_at(Event::Error, "2026-11-20T14:00:00Z", members);
        assert_eq!(line, r#"{"event":"error","at":"2026-11-20T14:00:00Z","message":"no","status":2}"#);
    }

    #[test]
    fn requests_are_told_where_somebody_looks() {
        let ui = |quiet, format, progress| Ui { quiet, format, progress, ..Ui::default() };
        for (ui, with_cmd, expected) in [
            (ui(false, LogFormat::Json, Progress::Auto), true, Meanwhile::Events),
            (ui(false, LogFormat::Json, Progress::Never), false, Meanwhile::Nothing),
            (ui(true, LogFormat::Json, Progress::Auto), false, Meanwhile::Nothing),
            (ui(false, LogFormat::Text, Progress::Always), true, Meanwhile::List),
            (ui(false, LogFormat::Text, Progress::Auto), true, Meanwhile::Nothing),
            (ui(false, LogFormat::Text, Progress::Never), false, Meanwhile::Nothing),
        ] {
            assert_eq!(ui.meanwhile(with_cmd), expected, "{ui:?} {with_cmd}");
        }
    }
}
