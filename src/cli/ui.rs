//! The one place that writes to the terminal. Data goes to standard output, everything else to standard error, as text or,
//! with `--log-format json`, as one JSON object a line. A reader that goes away is no error.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde_json::{Map, Value};

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

/// How to talk to whoever started us.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ui {
    /// Only errors, and what failed.
    pub quiet: bool,
    /// Whatever may be good to know.
    pub verbose: bool,
    /// The form of messages.
    pub format: LogFormat,
}

impl Ui {
    /// Sets the colours of the process and how to talk.
    #[must_use]
    pub fn new(quiet: bool, verbose: bool, format: LogFormat, color: Color) -> Ui {
        match color {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        }
        .write_global();
        Ui { quiet, verbose, format }
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
    pub fn note(&self, event: &str, text: &str) {
        if !self.quiet {
            self.say(event, text, Map::new());
        }
    }

    /// Something that must be seen.
    pub fn alert(&self, event: &str, text: &str) {
        self.say(event, text, Map::new());
    }

    /// A message with machine-readable members, which stand in JSON alone.
    pub fn say(&self, event: &str, text: &str, members: Map<String, Value>) {
        let mut err = anstream::stderr().lock();
        let text = text.trim_end_matches('\n');
        // Whoever closed our standard error does not want to hear from us.
        let _ = match self.format {
            LogFormat::Text => writeln!(err, "{text}"),
            LogFormat::Json => writeln!(err, "{}", json_line(event, text, members)),
        };
    }
}

fn json_line(event: &str, text: &str, members: Map<String, Value>) -> Value {
    let mut line = Map::new();
    line.insert("event".into(), event.into());
    line.insert("message".into(), anstream::adapter::strip_str(text).to_string().into());
    line.extend(members);
    Value::Object(line)
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

/// `1 entry`, `2 entries`.
#[must_use]
pub fn counted(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Text that was recorded, with nothing in it that a terminal obeys: control characters but line ends and tabs are spelled out,
/// and so is what makes text run the other way, which would show another URL than the one that is there.
#[must_use]
pub fn harmless(text: &str) -> Cow<'_, str> {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let harmful = |c: char| (c.is_control() && c != '\n' && c != '\t') || turns(c);
    if !text.contains(harmful) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.replace("\r\n", "\n").chars() {
        if harmful(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_recorded_can_neither_command_a_terminal_nor_turn_text_around() {
        assert_eq!(harmless("a\tb\r\n\u{1b}[31mc\u{7}"), "a\tb\n\\u{1b}[31mc\\u{7}");
        assert_eq!(harmless("https://a.test/\u{202e}gpj.exe"), "https://a.test/\\u{202e}gpj.exe");
        assert!(matches!(harmless("Grüße \u{5d0}\u{200f}"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_json_line_holds_the_text_without_colours_and_the_members() {
        let mut members = Map::new();
        members.insert("status".into(), 2.into());
        let line = json_line("error", &format!("{}: no", bad("error")), members).to_string();
        assert_eq!(line, r#"{"event":"error","message":"error: no","status":2}"#);
    }
}
