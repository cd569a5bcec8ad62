//! The pass over a whole HAR: `log` and its members in any order, its entries indexed, what is odd noted.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::de::IgnoredAny;
use serde_json::Value;

use super::index::{Index, Scanned};
use super::open::Opened;
use super::window::{Span, Stop, Window};
use super::{Error, Warning};

/// Warnings beyond this many are only counted: a HAR of a million bad entries must not fill memory.
const MAX_WARNINGS: usize = 200;

/// What the pass found.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) index: Index,
    /// The members of `log` but `entries`, in order.
    pub(super) members: Vec<(String, Span)>,
    /// The members beside `log`, in order.
    pub(super) beside: Vec<(String, Span)>,
    /// Lists of entries, or what is called so, beside the one that counts.
    pub(super) passed_over: Vec<(String, Span)>,
    pub(super) warnings: Warnings,
    /// What is unusual about all that surrounds the entries, if something is.
    pub(super) odd_frame: Option<&'static str>,
    /// There is a list of entries.
    pub(super) has_entries: bool,
    has_log: bool,
}

/// The first warnings, and how many more there were.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    pub(super) list: Vec<Warning>,
    more: usize,
}

impl Warnings {
    pub(super) fn add(&mut self, entry: Option<usize>, line: Option<usize>, text: impl Into<String>) {
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

/// Reads a HAR's text from its first byte of JSON on.
pub(super) fn contents(path: &Path, opened: &Opened) -> Result<Contents, Error> {
    let mut window = Window::new(&opened.store);
    let mut contents = Contents::default();
    let read = window.skip(opened.start).and_then(|()| contents.read(&mut window, opened.wrapped));
    read.map_err(|stop| stopped(path, stop, &contents, opened))?;
    contents.warnings.finish();
    Ok(contents)
}

fn stopped(path: &Path, stop: Stop, contents: &Contents, opened: &Opened) -> Error {
    match stop {
        Stop::Syntax { line, .. } if conflict_at(opened, line) => Error::Conflict { path: path.to_owned(), line },
        Stop::Io(source) => Error::Io { doing: "reading", path: path.to_owned(), source },
        Stop::Syntax { line, column, reason } => {
            let after = match contents.index.len() {
                0 => String::new(),
                n => format!(", after {n} whole {}", if n == 1 { "entry" } else { "entries" }),
            };
            let reason = format!("column {column}: {reason}{after}");
            Error::Malformed { path: path.to_owned(), line: Some(line), reason }
        }
    }
}

/// Whether the line is one that git leaves where a merge found no answer.
fn conflict_at(opened: &Opened, line: usize) -> bool {
    let mut lines = BufReader::new(opened.store.reader());
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
    fn read(&mut self, window: &mut Window<'_>, wrapped: bool) -> Result<(), Stop> {
        match window.peek()? {
            Some(b'{') => {}
            None => return Err(window.syntax("the file is empty: not a HAR".to_owned())),
            // Playwright opens it, and finds nothing in it.
            Some(b'n' | b'[') if window.take_if_nothing()? => {
                self.warnings.add(None, None, "this is not a HAR: it holds nothing, and answers nothing");
                return Ok(());
            }
            found => return Err(window.unexpected(found, "`{`: this is not a HAR")),
        }
        members(window, |window, name| match name {
            "log" if window.peek()? == Some(b'{') => {
                if self.has_log {
                    self.odd_frame = Some("`log` stands there twice");
                }
                self.has_log = true;
                members(window, |window, name| self.log_member(window, name))
            }
            "entries" if !self.has_entries && window.peek()? == Some(b'[') => {
                let oddity = "the HAR has no `log` around its `entries`";
                self.warnings.add(None, Some(window.line()), oddity);
                self.odd_frame = Some(oddity);
                self.entries(window)
            }
            _ => {
                if name == "log" {
                    self.odd_frame = Some("`log` is no object");
                }
                let (_, span) = window.value::<IgnoredAny>()?;
                self.beside.push((name.to_owned(), span));
                Ok(())
            }
        })?;
        if !self.has_entries && !self.has_log && !self.beside.is_empty() {
            return Err(window.syntax(self.no_log(window)));
        }
        match window.peek()? {
            None => {}
            Some(b')' | b';') if wrapped => {
                let oddity = "the HAR is wrapped in a function call (JSONP)";
                self.warnings.add(None, None, oddity);
                self.odd_frame = Some(oddity);
            }
            found => return Err(window.unexpected(found, "the end of the file after the HAR")),
        }
        if self.index.len() == 0 {
            let why = match (self.has_entries, self.has_log) {
                (true, _) => "the HAR has no entries",
                (false, true) => "`log` has no `entries` list: it answers nothing",
                (false, false) => "this is not a HAR: it holds nothing, and answers nothing",
            };
            self.warnings.add(None, None, why);
        }
        Ok(())
    }

    /// Says what stands there instead, and where a log hides, if one does.
    fn no_log(&self, window: &Window<'_>) -> String {
        let hides = |(name, span): &(String, Span)| Some(format!("{name}.{}", path_of_log(&window.again(*span)?, 0)?));
        if let Some(path) = self.beside.iter().find_map(hides) {
            return format!("there is no `log` object at the top, but one at `{path}`: save that object as the HAR");
        }
        let names: Vec<_> = self.beside.iter().take(3).map(|(name, _)| format!("`{name}`")).collect();
        format!("there is no `log` object, only {}: this is not a HAR", names.join(", "))
    }

    fn log_member(&mut self, window: &mut Window<'_>, name: &str) -> Result<(), Stop> {
        if name == "entries" && !self.has_entries && window.peek()? == Some(b'[') {
            return self.entries(window);
        }
        let (_, span) = window.value::<IgnoredAny>()?;
        // What is no list of entries does not stand beside the one that is written in its place.
        match name {
            "entries" => {
                self.odd_frame = Some("`entries` stands there twice, or is no list");
                self.passed_over.push((name.to_owned(), span));
            }
            _ => self.members.push((name.to_owned(), span)),
        }
        Ok(())
    }

    fn entries(&mut self, window: &mut Window<'_>) -> Result<(), Stop> {
        self.has_entries = true;
        window.expect(b'[')?;
        if window.peek()? == Some(b']') {
            window.take();
            return Ok(());
        }
        self.next_entry(window)?;
        while window.another(b']', "`,` or `]` after an entry")? {
            window.peek()?;
            self.next_entry(window)?;
        }
        Ok(())
    }

    /// Reads one entry.
    fn next_entry(&mut self, window: &mut Window<'_>) -> Result<(), Stop> {
        let (scanned, span) = match window.value::<Scanned>() {
            Ok(found) => found,
            // JSON that can be passed over is one bad entry; what can't be is the end of the pass.
            Err(stop) => window.value::<IgnoredAny>().map(|(_, span)| (Scanned::default(), span)).map_err(|_| stop)?,
        };
        self.entry(&scanned, span);
        Ok(())
    }

    fn entry(&mut self, scanned: &Scanned, span: Span) {
        let entry = self.index.len();
        let unusable = if !scanned.is_object {
            Some("it is not an object that can be read; left out")
        } else if !scanned.request {
            Some("it has no `request` object; left out")
        } else if scanned.url.is_none() {
            Some("its request has no `url`; left out")
        } else {
            None
        };
        self.index.push(span, unusable.is_none().then_some(scanned));
        let oddity = unusable
            .or_else(|| scanned.method.is_none().then_some("its request has no `method`; taken as GET"))
            .or_else(|| (!scanned.response).then_some("it has no `response`; it can answer nothing"));
        if let Some(text) = oddity {
            self.warnings.add(Some(entry), Some(span.line), text);
        }
    }
}

/// Walks the members of an object: `each` takes the value of the member it is told.
fn members<'a>(
    window: &mut Window<'a>,
    mut each: impl FnMut(&mut Window<'a>, &str) -> Result<(), Stop>,
) -> Result<(), Stop> {
    window.expect(b'{')?;
    if window.peek()? == Some(b'}') {
        window.take();
        return Ok(());
    }
    loop {
        let (name, _) = window.value::<String>()?;
        window.expect(b':')?;
        each(window, &name)?;
        if !window.another(b'}', "`,` or `}`")? {
            return Ok(());
        }
    }
}

/// The members that lead to the object which holds a `log` with `entries`.
fn path_of_log(value: &Value, depth: usize) -> Option<String> {
    let object = value.as_object().filter(|_| depth < 4)?;
    if object.get("log").is_some_and(|log| log.get("entries").is_some_and(Value::is_array)) {
        return Some("log".to_owned());
    }
    object.iter().find_map(|(name, inner)| Some(format!("{name}.{}", path_of_log(inner, depth + 1)?)))
}
