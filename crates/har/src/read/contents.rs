//! The scan of a whole HAR: accepts `log` and its members in any order, indexes the entries and notes oddities.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::de::IgnoredAny;
use serde_json::Value;

use super::index::Index;
use super::scan::EntryScan;
use super::source::HarSource;
use super::window::{ScanError, Span, Window};
use crate::Error;
use harproxy_http::url::normal;

/// Further warnings are only counted, because a HAR may have a million bad entries.
const MAX_WARNINGS: usize = 200;

/// An oddity that the reader tolerated. `check` and `-v` show it.
#[derive(Clone, Debug)]
pub struct Warning {
    /// The entry with the oddity, if it is in an entry.
    pub entry: Option<usize>,
    /// The line of the HAR, from 1.
    pub line: Option<usize>,
    /// The description for the user.
    pub text: String,
}

/// The entries that replay leaves out for one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOutCause {
    /// The cause, about one entry: `its request has no url`.
    pub cause: &'static str,
    /// The number of entries.
    pub entries: usize,
    /// The numbers and lines of the first [`LeftOutCause::SHOWN`] entries, from 0 and from 1.
    pub first: Vec<(usize, usize)>,
}

impl LeftOutCause {
    /// The number of entries that are named.
    pub const SHOWN: usize = 3;
}

/// The result of the scan.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) index: Index,
    /// The members of `log` except `entries`, in order.
    pub(crate) members: Vec<(String, Span)>,
    /// The top-level members other than `log`, in order.
    pub(crate) outside_log: Vec<(String, Span)>,
    /// Members named `entries` other than the array that is used.
    pub(crate) extra_entries: Vec<(String, Span)>,
    pub(crate) warnings: Warnings,
    /// The entries that replay leaves out, by cause in order of appearance.
    pub(crate) left_out: Vec<LeftOutCause>,
    /// The irregularity of the JSON around the entries, if there is one. Such a HAR is not rewritten.
    pub(crate) frame_oddity: Option<&'static str>,
    /// An `entries` array was found.
    pub(crate) has_entries: bool,
    has_log: bool,
    /// The last `log`.
    log: Option<Span>,
    /// The array of the entries that are used.
    entries_span: Option<Span>,
}

/// The first [`MAX_WARNINGS`] warnings, and the number of further ones.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    pub(crate) list: Vec<Warning>,
    more: usize,
}

impl Warnings {
    pub(crate) fn add(&mut self, entry: Option<usize>, line: Option<usize>, text: impl Into<String>) {
        if self.list.len() < MAX_WARNINGS {
            self.list.push(Warning { entry, line, text: text.into() });
        } else {
            self.more += 1;
        }
    }

    fn finish(&mut self) {
        if self.more > 0 {
            self.list.push(Warning { entry: None, line: None, text: format!("{} more warnings", self.more) });
        }
    }
}

/// Scans the text of a HAR from the first byte of its JSON.
pub(crate) fn read(path: &Path, source: &HarSource) -> Result<Contents, Error> {
    let mut window = Window::new(&source.store);
    let mut contents = Contents::default();
    let read = window.skip(source.start).and_then(|()| contents.read(&mut window, source.wrapped));
    read.map_err(|stop| fixture_error(path, stop, &contents, source))?;
    contents.warnings.finish();
    Ok(contents)
}

fn fixture_error(path: &Path, stop: ScanError, contents: &Contents, source: &HarSource) -> Error {
    match stop {
        ScanError::Syntax { line, .. } if is_conflict_marker(source, line) => {
            Error::Conflict { path: path.to_owned(), line }
        }
        ScanError::Io(source) => Error::Io { doing: "reading", path: path.to_owned(), source },
        ScanError::Syntax { line, column, reason } => {
            let after = match contents.index.len() {
                0 => String::new(),
                n => format!(", after {n} whole {}", if n == 1 { "entry" } else { "entries" }),
            };
            let reason = format!("column {column}: {reason}{after}");
            Error::Malformed { path: path.to_owned(), line: Some(line), reason }
        }
    }
}

/// True if the line is a conflict marker of git.
fn is_conflict_marker(source: &HarSource, line: usize) -> bool {
    let mut lines = BufReader::new(source.store.reader());
    for _ in 1..line {
        if lines.skip_until(b'\n').is_err() {
            return false;
        }
    }
    let mut start = [0; 7];
    let markers = [b"<<<<<<<", b"|||||||", b"=======", b">>>>>>>"];
    lines.read_exact(&mut start).is_ok() && markers.contains(&&start)
}

impl Contents {
    fn read(&mut self, window: &mut Window<'_>, wrapped: bool) -> Result<(), ScanError> {
        match window.peek()? {
            Some(b'{') => {}
            None => return Err(window.syntax("the file is empty: not a HAR".to_owned())),
            // Playwright accepts `null` and `[]` as HARs without entries.
            Some(b'n' | b'[') if window.take_if_empty()? => {
                self.warnings.add(None, None, "not a HAR: it has no entries");
                return Ok(());
            }
            found => return Err(window.unexpected(found, "`{` at the start of a HAR")),
        }
        members(window, |window, name| match name {
            "log" if window.peek()? == Some(b'{') => {
                if let Some(before) = self.log.take() {
                    self.frame_oddity = Some("`log` is duplicated");
                    self.replace_entries();
                    self.members.clear();
                    self.extra_entries = vec![("log".to_owned(), before)];
                    (self.has_entries, self.entries_span) = (false, None);
                    self.warnings.add(None, Some(window.line()), "`log` is duplicated; the last one is used");
                }
                let start = window.start();
                self.has_log = true;
                members(window, |window, name| self.log_member(window, name))?;
                self.log = Some(window.since(start));
                Ok(())
            }
            "entries" if !self.has_entries && window.peek()? == Some(b'[') => {
                let oddity = "the HAR has no `log` around its `entries`";
                self.warnings.add(None, Some(window.line()), oddity);
                self.frame_oddity = Some(oddity);
                self.entries(window)
            }
            _ => {
                if name == "log" {
                    self.frame_oddity = Some("`log` is not an object");
                }
                let (_, span) = window.value::<IgnoredAny>()?;
                self.outside_log.push((name.to_owned(), span));
                Ok(())
            }
        })?;
        if !self.has_entries && !self.has_log && !self.outside_log.is_empty() {
            return Err(window.syntax(self.missing_log_reason(window)));
        }
        match window.peek()? {
            None => {}
            Some(b')' | b';') if wrapped => {
                let oddity = "the HAR is wrapped in a function call (JSONP)";
                self.warnings.add(None, None, oddity);
                self.frame_oddity = Some(oddity);
            }
            found => return Err(window.unexpected(found, "the end of the file after the HAR")),
        }
        if self.index.len() == 0 {
            let why = match (self.has_entries, self.has_log) {
                (true, _) => "the HAR has no entries",
                (false, true) => "`log` has no `entries` array, so nothing can be replayed",
                (false, false) => "not a HAR: it has no entries",
            };
            self.warnings.add(None, None, why);
        }
        Ok(())
    }

    /// The error for a HAR without `log`, with the path of a nested `log` if there is one.
    fn missing_log_reason(&self, window: &Window<'_>) -> String {
        let nested_log =
            |(name, span): &(String, Span)| Some(format!("{name}.{}", path_of_log(&window.reparse(*span)?, 0)?));
        if let Some(path) = self.outside_log.iter().find_map(nested_log) {
            return format!("no `log` object at the top level; save the object at `{path}` as the HAR");
        }
        let names: Vec<_> = self.outside_log.iter().take(3).map(|(name, _)| format!("`{name}`")).collect();
        format!("not a HAR: no `log` object, only {}", names.join(", "))
    }

    fn log_member(&mut self, window: &mut Window<'_>, name: &str) -> Result<(), ScanError> {
        if name == "entries" && window.peek()? == Some(b'[') {
            if let Some(before) = self.entries_span.take() {
                self.frame_oddity = Some("`entries` is duplicated or is not an array");
                self.replace_entries();
                self.extra_entries.push(("entries".to_owned(), before));
                self.warnings.add(None, Some(window.line()), "`entries` is duplicated; the last one is used");
            }
            let start = window.start();
            self.entries(window)?;
            self.entries_span = Some(window.since(start));
            return Ok(());
        }
        let (_, span) = window.value::<IgnoredAny>()?;
        // Extra `entries` are kept apart: rewriting adds an `entries` array of its own.
        match name {
            "entries" => {
                self.frame_oddity = Some("`entries` is duplicated or is not an array");
                self.extra_entries.push((name.to_owned(), span));
            }
            _ => self.members.push((name.to_owned(), span)),
        }
        Ok(())
    }

    fn entries(&mut self, window: &mut Window<'_>) -> Result<(), ScanError> {
        self.has_entries = true;
        window.expect(b'[')?;
        if window.peek()? == Some(b']') {
            window.take();
            return Ok(());
        }
        self.next_entry(window)?;
        while window.next_item(b']', "`,` or `]` after an entry")? {
            window.peek()?;
            self.next_entry(window)?;
        }
        Ok(())
    }

    fn next_entry(&mut self, window: &mut Window<'_>) -> Result<(), ScanError> {
        let (scanned, span) = match window.value::<EntryScan>() {
            Ok(found) => found,
            // An entry that is valid JSON but has wrong types is one bad entry. Invalid JSON ends the scan.
            Err(stop) => {
                window.value::<IgnoredAny>().map(|(_, span)| (EntryScan::default(), span)).map_err(|_| stop)?
            }
        };
        self.entry(&scanned, span);
        Ok(())
    }

    fn entry(&mut self, scanned: &EntryScan, span: Span) {
        let entry = self.index.len();
        let unusable = if !scanned.is_object {
            Some("it is not an object that can be read")
        } else if !scanned.request {
            Some("it has no `request` object")
        } else if scanned.url.is_none() {
            Some("its request has no `url`")
        } else {
            None
        };
        let left_out = unusable.or_else(|| {
            if scanned.has_invalid_status {
                Some("its `status` is not a status of HTTP")
            } else if scanned.url.as_deref().is_some_and(is_invalid_url) {
                Some("its `url` is not a valid absolute URL")
            } else {
                None
            }
        });
        self.index.push(span, unusable.is_none().then_some(scanned), left_out.is_some());
        if let Some(cause) = left_out {
            self.warnings.add(Some(entry), Some(span.line), format!("{cause}; left out"));
            self.leave_out(cause, entry, span.line);
            return;
        }
        let oddity = (scanned.method.is_none().then_some("its request has no `method`; read as GET"))
            .or_else(|| (!scanned.response).then_some("it has no `response`, so it cannot be replayed"));
        if let Some(text) = oddity {
            self.warnings.add(Some(entry), Some(span.line), text);
        }
    }

    fn leave_out(&mut self, cause: &'static str, entry: usize, line: usize) {
        let known = match self.left_out.iter().position(|known| known.cause == cause) {
            Some(known) => known,
            None => {
                self.left_out.push(LeftOutCause { cause, entries: 0, first: Vec::new() });
                self.left_out.len() - 1
            }
        };
        let known = &mut self.left_out[known];
        known.entries += 1;
        if known.first.len() < LeftOutCause::SHOWN {
            known.first.push((entry, line));
        }
    }

    /// Forgets the entries that were read, because a later member of the same name replaces them: JSON parsers use the
    /// last one.
    fn replace_entries(&mut self) {
        self.index = Index::default();
        self.left_out.clear();
        self.warnings = Warnings::default();
    }
}

/// True for a URL that no client can request. Browsers also record `data:` URLs and those of their extensions, which
/// need no server.
fn is_invalid_url(url: &str) -> bool {
    normal(url).is_none_or(|url| {
        let http = ["http:", "https:", "ws:", "wss:"].iter().any(|scheme| url.starts_with(scheme));
        http && url.split_once("://").is_none_or(|(_, rest)| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Walks the members of an object. `each` gets the name of a member and must take its value.
fn members<'a>(
    window: &mut Window<'a>,
    mut each: impl FnMut(&mut Window<'a>, &str) -> Result<(), ScanError>,
) -> Result<(), ScanError> {
    window.expect(b'{')?;
    if window.peek()? == Some(b'}') {
        window.take();
        return Ok(());
    }
    loop {
        let (name, _) = window.value::<String>()?;
        window.expect(b':')?;
        each(window, &name)?;
        if !window.next_item(b'}', "`,` or `}`")? {
            return Ok(());
        }
    }
}

/// The member path to a nested `log` with `entries`, at most four levels deep.
fn path_of_log(value: &Value, depth: usize) -> Option<String> {
    let object = value.as_object().filter(|_| depth < 4)?;
    if object.get("log").is_some_and(|log| log.get("entries").is_some_and(Value::is_array)) {
        return Some("log".to_owned());
    }
    object.iter().find_map(|(name, inner)| Some(format!("{name}.{}", path_of_log(inner, depth + 1)?)))
}
