//! Outside text for terminals, logs and reports: names of files, values of requests and fixtures, messages of parsers.
//!
//! One rule decides for all outputs ([`is_invisible`]). Such characters are shown as escapes, so that outside text
//! can't command a terminal, hide or reorder what is shown, or begin a line.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::path::Path;

/// Returns true if a character has no shape of its own, or changes how the text around it is shown: control characters
/// (C0, DEL, C1), bidirectional controls, line and paragraph separators, and other format characters.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Shows a text on one line: line ends and tabs are escapes, too.
///
/// ```
/// assert_eq!(harproxy_support::printable::one_line("a\tb\r\n\u{1b}[31m"), r"a\tb\r\n\u{1b}[31m");
/// ```
#[must_use]
pub fn one_line(text: &str) -> Cow<'_, str> {
    escape_chars(text, is_invisible)
}

/// Shows a text of several lines. Line ends and tabs stay, and CR LF becomes LF.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    let is_escaped = |c: char| is_invisible(c) && c != '\n' && c != '\t';
    match text.contains("\r\n") {
        true => escape_chars(&text.replace("\r\n", "\n"), is_escaped).into_owned().into(),
        false => escape_chars(text, is_escaped),
    }
}

fn escape_chars(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        push_char(&mut out, c, is_escaped(c));
    }
    out.into()
}

/// Appends a character, or its escape.
pub fn push_char(out: &mut String, c: char, is_escaped: bool) {
    if is_escaped {
        out.extend(c.escape_default());
    } else {
        out.push(c);
    }
}

/// Writes the invisible characters of a JSON text as escapes of JSON. The document stays the same. Commands of CI
/// systems are escaped as in [`output`].
///
/// ```
/// assert_eq!(harproxy_support::printable::json("[\"\u{9b}\u{202e}\"]"), r#"["\u009b\u202e"]"#);
/// ```
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    let is_escaped = |c: char| is_invisible(c) && c != '\n' && c != '\t' && c != '\r';
    if !text.contains(is_escaped) && !text.contains("##") {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for (at, c) in text.char_indices() {
        if is_escaped(c) || (c == '[' && is_bracketed_command(&text[..at])) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing into a string cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out.into()
}

/// Returns true if a command of a CI system ends before its bracket: `##[` of GitHub, `##vso[` of Azure Pipelines,
/// `##teamcity[`. GitHub's runner finds the first one anywhere in a line.
fn is_bracketed_command(before: &str) -> bool {
    before.trim_end_matches(|c: char| c.is_ascii_lowercase()).ends_with("##")
}

/// Returns a text of a program without anything that a terminal or a CI system obeys: the last guard of an output.
/// Line ends, tabs and styles (SGR) stay. A line that begins as a command of GitHub's runner (`::`) gets a `|` before
/// it.
///
/// ```
/// use harproxy_support::printable::output;
/// assert_eq!(output("\u{1b}[31mred\u{1b}[0m \u{1b}]0;title\u{7}"), "\u{1b}[31mred\u{1b}[0m \\u{1b}]0;title\\u{7}");
/// assert_eq!(output("a\n  ::add-mask::b\n a::b ##[error]c"), "a\n|  ::add-mask::b\n a::b ##\\[error]c");
/// ```
#[must_use]
pub fn output(text: &str) -> Cow<'_, str> {
    output_with(text, true)
}

/// Like [`output`], for a text without styles whose lines are commands of GitHub's runner.
#[must_use]
pub fn annotations(text: &str) -> String {
    output_with(&lines(text), false).into_owned()
}

fn output_with(text: &str, marks_commands: bool) -> Cow<'_, str> {
    let is_escaped = |c: char| is_invisible(c) && c != '\n' && c != '\t';
    if !text.contains(is_escaped) && !text.contains("::") && !text.contains("##") {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for line in text.split_inclusive('\n') {
        if marks_commands && begins_command(line) {
            out.push('|');
        }
        let mut rest = line;
        while let Some(c) = rest.chars().next() {
            let style = style_len(rest);
            if style > 0 {
                out.push_str(&rest[..style]);
                rest = &rest[style..];
                continue;
            }
            if c == '[' && is_bracketed_command(&line[..line.len() - rest.len()]) {
                out.push('\\');
            }
            push_char(&mut out, c, is_escaped(c));
            rest = &rest[c.len_utf8()..];
        }
    }
    out.into()
}

/// Returns true if a line begins with `::` behind white space and styles, which an output without colour loses.
fn begins_command(line: &str) -> bool {
    let mut rest = line.trim_start();
    while style_len(rest) > 0 {
        rest = rest[style_len(rest)..].trim_start();
    }
    rest.starts_with("::")
}

/// Returns the length of the style code (SGR, ECMA-48 8.3.117) that a text begins with, or 0. Codes that hide text,
/// such as 8, are not among them.
fn style_len(text: &str) -> usize {
    let Some(rest) = text.strip_prefix("\u{1b}[") else { return 0 };
    let Some(end) = rest.find(|c: char| !c.is_ascii_digit() && c != ';') else { return 0 };
    let is_style =
        |code: &str| code.is_empty() || matches!(code.parse::<u8>(), Ok(0..=4 | 22 | 30..=37 | 39 | 90..=97));
    let is_own = rest[end..].starts_with('m') && rest[..end].split(';').all(is_style);
    if is_own { 2 + end + 1 } else { 0 }
}

/// A path or a word of a command for a message, on one line.
pub trait Shown {
    fn shown(&self) -> OneLine<'_>;
}

impl Shown for Path {
    fn shown(&self) -> OneLine<'_> {
        OneLine(self.as_os_str().to_string_lossy())
    }
}

impl Shown for OsStr {
    fn shown(&self) -> OneLine<'_> {
        OneLine(self.to_string_lossy())
    }
}

impl Shown for str {
    fn shown(&self) -> OneLine<'_> {
        OneLine(self.into())
    }
}

/// Displays a text with [`one_line`].
#[derive(Clone, Debug)]
pub struct OneLine<'t>(Cow<'t, str>);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&one_line(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_format_and_bidirectional_characters_are_invisible() {
        let invisible = "\0\t\n\r\u{1b}\u{7f}\u{85}\u{9b}\u{9d}\u{ad}\u{61c}\u{200b}\u{200e}\u{200f}\u{2028}\u{2029}\
                         \u{202a}\u{202e}\u{2066}\u{2069}\u{feff}\u{e0041}";
        assert_eq!(invisible.chars().filter(|c| !is_invisible(*c)).collect::<String>(), "");
        let visible = "a é ß \u{301} \u{5d0} 漢 😀 ~ \u{a0} \u{fffd}";
        assert_eq!(visible.chars().filter(|c| is_invisible(*c)).collect::<String>(), "");
    }

    #[test]
    fn lines_keep_line_ends_and_tabs() {
        assert_eq!(lines("a\tb\r\n\u{1b}[31mc\u{7}"), "a\tb\n\\u{1b}[31mc\\u{7}");
        assert_eq!(lines("https://a.test/\u{202e}gpj.exe"), "https://a.test/\\u{202e}gpj.exe");
        assert!(matches!(lines("Grüße\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn paths_are_shown_on_one_line() {
        assert_eq!(Path::new("a\n::error::b\u{202e}").shown().to_string(), r"a\n::error::b\u{202e}");
        assert_eq!(format!("{:4}|", OsStr::new("a").shown()), "a   |");
    }

    #[test]
    fn json_means_the_same_with_escapes() {
        for text in ["\u{9b}\u{7f}\u{2028}", "\u{e0041}", "##[error]x", "##vso[task]", "plain é"] {
            let whole = format!("{:#}", serde_json::json!({ "a": text }));
            let escaped = json(&whole);
            assert!(!escaped.contains(|c: char| is_invisible(c) && c != '\n') && !escaped.contains("##["), "{escaped}");
            let read: serde_json::Value = serde_json::from_str(&escaped).unwrap();
            assert_eq!(read["a"], text);
        }
    }

    #[test]
    fn output_keeps_styles_and_escapes_everything_else() {
        for text in ["\u{1b}[1m\u{1b}[32mgood\u{1b}[0m\n\tplain\n", "\u{1b}[1;31mbad\u{1b}[m", "a::b # c"] {
            assert_eq!(output(text), text);
        }
        for text in [
            "\u{1b}[8mhidden",
            "\u{1b}[2J",
            "\u{1b}[H",
            "\u{1b}]0;t\u{7}",
            "\u{1b}c",
            "\u{9b}2J",
            "\r",
            "\u{1b}[31",
            "\u{1b}[1;8m",
            "\u{1b}[38;5;1m",
        ] {
            assert!(!output(text).contains(|c: char| is_invisible(c)), "{text:?}");
        }
    }

    #[test]
    fn output_has_no_command_of_a_ci_system() {
        for text in ["::error::x", " \u{1b}[31m\u{1b}[0m ::stop-commands::t", "\t::add-mask::x"] {
            assert_eq!(output(text), format!("|{text}"));
        }
        assert_eq!(output("a ##[group]b ##vso[x]"), "a ##\\[group]b ##vso\\[x]");
        assert_eq!(annotations("::error::x\u{1b}[31m"), "::error::x\\u{1b}[31m");
    }
}
