//! Payloads that are too long to be held, or whose lines have to go on as they come.
//!
//! A window of 64 KiB is looked at whenever it is full. What begins in its last quarter is left for the next window: anything shorter
//! than that is seen as a whole, so that what comes out does not depend on the pieces that came.

use std::fmt;

use super::form::{Pair, Pairs};
use super::json::Until;
use super::payload::{Kind, is_form, is_text};
use super::view::{Coding, Splice, View, apply, moved};
use super::{AnyRedactor, Form, Name, is_lines, paths};
use harproxy_http::MediaType;
use harproxy_json::begins_with_text;

/// The window.
const WINDOW: usize = 64 * 1024;
/// What begins behind this is left for the next window.
const LIMIT: usize = WINDOW - WINDOW / 4;

/// What stands for a token is called that is longer than the window.
const TOKEN: &str = "token";

/// A payload that is too long to be held, or whose lines have to go on as they come: shapes, known values and named members
/// are found within a window of 64 KiB.
#[derive(Default)]
pub struct Stream {
    /// Lines go on one by one.
    lines: bool,
    scan: Scan,
    /// A line that is longer than the window.
    long: bool,
}

/// It holds what has not been looked at.
impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("lines", &self.lines).field("window", &"(redacted)").finish_non_exhaustive()
    }
}

impl Stream {
    /// For a payload of this `Content-Type`.
    #[must_use]
    pub fn new(content_type: &str) -> Self {
        let lines = is_lines(content_type);
        let kind = if lines { Kind::Unknown } else { Kind::of(&MediaType::parse(content_type)) };
        Stream { lines, scan: Scan::new(kind), long: false }
    }

    /// Takes the next piece and gives what is settled of what came so far.
    pub fn push(&mut self, redactor: &mut AnyRedactor<'_, '_>, piece: &[u8], out: &mut Vec<u8>) {
        if redactor.policy.is_off() {
            out.extend_from_slice(piece);
        } else if self.lines {
            for line in piece.split_inclusive(|&byte| byte == b'\n') {
                self.line(redactor, line, out);
            }
        } else {
            self.scan.push(redactor, piece, out);
        }
    }

    /// Gives the rest.
    pub fn finish(mut self, redactor: &mut AnyRedactor<'_, '_>, out: &mut Vec<u8>) {
        if self.lines && !self.long {
            let line = std::mem::take(&mut self.scan.window);
            return redactor.line(&line, out);
        }
        self.scan.finish(redactor, out);
    }

    /// The next part of a line, which ends with it or not.
    fn line(&mut self, redactor: &mut AnyRedactor<'_, '_>, mut part: &[u8], out: &mut Vec<u8>) {
        if !self.long {
            let room = WINDOW - self.scan.window.len();
            let taken = part.len().min(room);
            self.scan.window.extend_from_slice(&part[..taken]);
            part = &part[taken..];
            if self.scan.window.ends_with(b"\n") {
                let line = std::mem::take(&mut self.scan.window);
                return redactor.line(&line, out);
            }
            if self.scan.window.len() < WINDOW {
                return;
            }
            self.long = true;
            let line = std::mem::take(&mut self.scan.window);
            let has_members = matches!(content(&line).1.first(), Some(b'{' | b'['));
            self.scan = Scan::new(if has_members { Kind::Json } else { Kind::Text });
            self.scan.push(redactor, &line, out);
        }
        self.scan.push(redactor, part, out);
        if part.ends_with(b"\n") {
            std::mem::take(&mut self.scan).finish(redactor, out);
            self.long = false;
        }
    }
}

/// What a line is a line of: where its content begins, and it.
fn content(line: &[u8]) -> (usize, &[u8]) {
    let rest = line.strip_prefix(b"data:").or_else(|| line.strip_prefix(b"\x1e")).unwrap_or(line);
    let rest = rest.trim_ascii_start();
    (line.len() - rest.len(), rest)
}

impl AnyRedactor<'_, '_> {
    /// What is taken out of lines of events or of JSON that are there as a whole.
    pub(super) fn lines(&mut self, text: &[u8]) -> Vec<Splice> {
        let mut splices = Vec::new();
        let mut at = 0;
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            splices.extend(moved(self.in_line(line), at));
            at += line.len();
        }
        splices
    }

    /// A whole line of events or of JSON.
    fn line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let splices = self.in_line(line);
        emit(line, &splices, out);
    }

    fn in_line(&mut self, line: &[u8]) -> Vec<Splice> {
        let (at, content) = content(line);
        let is_json = matches!(content.first(), Some(b'{' | b'[' | b'"' | b'}' | b']'));
        let splices = if is_json { self.json(content, 0) } else { self.unnamed(content, false) };
        moved(splices, at).collect()
    }
}

fn emit(text: &[u8], splices: &[Splice], out: &mut Vec<u8>) {
    match apply(text, splices) {
        Some(left) => out.extend_from_slice(&left),
        None => out.extend_from_slice(text),
    }
}

/// Within what a window begins that is longer than one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Within {
    /// Nothing: an item of the payload begins.
    #[default]
    Nothing,
    /// A string or value that is no secret by its place.
    Plain,
    /// One that is: what stands for it was given, and all that follows is left out.
    Secret,
    /// A token without an end.
    Token,
}

/// Looks at window after window.
#[derive(Debug)]
struct Scan {
    kind: Kind,
    window: Vec<u8>,
    within: Within,
    /// The window begins within a list whose strings are secret.
    list: Option<Name>,
}

impl Default for Scan {
    fn default() -> Self {
        Scan::new(Kind::Unknown)
    }
}

impl Scan {
    fn new(kind: Kind) -> Self {
        Scan { kind, window: Vec::new(), within: Within::Nothing, list: None }
    }

    fn push(&mut self, redactor: &mut AnyRedactor<'_, '_>, mut piece: &[u8], out: &mut Vec<u8>) {
        while !piece.is_empty() {
            let taken = piece.len().min(WINDOW - self.window.len());
            self.window.extend_from_slice(&piece[..taken]);
            piece = &piece[taken..];
            if self.window.len() == WINDOW {
                self.look(redactor, false, out);
            }
        }
    }

    fn finish(mut self, redactor: &mut AnyRedactor<'_, '_>, out: &mut Vec<u8>) {
        while !self.window.is_empty() {
            self.look(redactor, true, out);
        }
    }

    /// Settles some of a window that is not empty: at least a byte of it.
    fn look(&mut self, redactor: &mut AnyRedactor<'_, '_>, is_all: bool, out: &mut Vec<u8>) {
        self.decide();
        let mut window = std::mem::take(&mut self.window);
        let settled = match self.within {
            Within::Nothing => self.items(redactor, &window, is_all, out),
            Within::Plain => self.plain(redactor, &window, is_all, out),
            Within::Secret => self.left_out(&window),
            Within::Token => {
                let end = window.iter().position(|byte| !is_long_token(*byte)).unwrap_or(window.len());
                self.within = if end < window.len() { Within::Nothing } else { Within::Token };
                end
            }
        };
        window.drain(..settled.min(window.len()));
        self.window = window;
    }

    /// What the payload is, from its first window.
    fn decide(&mut self) {
        self.kind = match self.kind {
            Kind::Text | Kind::Unknown if json_begins(&self.window) => Kind::Json,
            Kind::Form if begins_with_text(&self.window) => Kind::Json,
            Kind::Unknown if !is_text(&self.window) => Kind::Opaque,
            Kind::Unknown if is_form(&self.window) => Kind::Form,
            Kind::Unknown => Kind::Text,
            kind => kind,
        };
    }

    fn items(&mut self, redactor: &mut AnyRedactor<'_, '_>, text: &[u8], is_all: bool, out: &mut Vec<u8>) -> usize {
        let limit = if is_all { usize::MAX } else { LIMIT };
        let (splices, settled) = match self.kind {
            Kind::Opaque => (Vec::new(), text.len()),
            Kind::Json => redactor.json_window(text, Until { limit, is_all }, &mut self.list),
            Kind::Form => form_window(redactor, text, Until { limit, is_all }),
            kind => {
                let fields = if kind == Kind::Multipart { redactor.fields(text) } else { Vec::new() };
                redactor.settled(text, false, (!is_all).then_some(LIMIT), fields)
            }
        };
        emit(&text[..settled], &splices, out);
        if settled > 0 { settled } else { self.too_long(redactor, text, out) }
    }

    /// The window is one item that has no end.
    fn too_long(&mut self, redactor: &mut AnyRedactor<'_, '_>, text: &[u8], out: &mut Vec<u8>) -> usize {
        let item = match self.kind {
            Kind::Json => json_value(redactor, text),
            Kind::Form => Some(form_value(redactor, text)),
            _ => {
                self.within = Within::Token;
                out.extend_from_slice(redactor.stand_in(text, &Name::new(TOKEN), Form::Text).as_bytes());
                return text.len();
            }
        };
        // A string that is followed by nothing but white space is at most a name.
        let Some((value, name)) = item else {
            let all = Until { limit: usize::MAX, is_all: true };
            let (splices, _) = redactor.json_window(text, all, &mut self.list.clone());
            emit(text, &splices, out);
            return text.len();
        };
        let name = name.or_else(|| self.list.clone());
        out.extend_from_slice(&text[..value]);
        let Some(name) = name else {
            self.within = Within::Plain;
            return value;
        };
        self.within = Within::Secret;
        out.extend_from_slice(redactor.stand_in(&text[value..], &name, Form::Text).as_bytes());
        text.len()
    }

    /// Text within a string or value, up to its end.
    fn plain(&mut self, redactor: &mut AnyRedactor<'_, '_>, text: &[u8], is_all: bool, out: &mut Vec<u8>) -> usize {
        let end = self.end(text);
        let text = &text[..end.unwrap_or(text.len())];
        let limit = (!is_all && end.is_none()).then_some(LIMIT);
        let (coding, encoded) = if self.kind == Kind::Json { (Coding::Json, false) } else { (Coding::Form, true) };
        let view = View::new(text, coding);
        let (splices, settled) = redactor.settled(&view.text, encoded, limit, Vec::new());
        let written: Vec<_> = view.written(splices, 0).collect();
        if limit.is_some() && settled == 0 {
            self.within = Within::Secret;
            out.extend_from_slice(redactor.stand_in(&view.text, &Name::new(TOKEN), Form::Text).as_bytes());
            return text.len() - usize::from(text.ends_with(b"\\"));
        }
        let settled = if limit.is_none() { text.len() } else { view.at(settled) };
        emit(&text[..settled], &written, out);
        if end.is_some() {
            self.within = Within::Nothing;
            out.extend_from_slice(self.closing());
            return settled + self.closing().len();
        }
        settled
    }

    /// What belongs to a secret, up to its end.
    fn left_out(&mut self, text: &[u8]) -> usize {
        let end = self.end(text);
        if end.is_some() {
            self.within = Within::Plain;
        }
        end.unwrap_or(text.len())
    }

    /// Where the string or value ends.
    fn end(&self, text: &[u8]) -> Option<usize> {
        if self.kind == Kind::Json { paths::string_end(text, 0) } else { memchr::memchr(b'&', text) }
    }

    fn closing(&self) -> &'static [u8] {
        if self.kind == Kind::Json { b"\"" } else { b"&" }
    }
}

fn is_long_token(byte: u8) -> bool {
    !byte.is_ascii_whitespace() && !b"\"'<>,;{}()&".contains(&byte)
}

fn json_begins(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start();
    match text {
        [b'{' | b'[', rest @ ..] => {
            matches!(rest.trim_ascii_start().first(), Some(b'"' | b'{' | b'[' | b'}' | b']' | b'-' | b'0'..=b'9'))
        }
        _ => false,
    }
}

/// The pairs of a window that end in it.
fn form_window(redactor: &mut AnyRedactor<'_, '_>, text: &[u8], until: Until) -> (Vec<Splice>, usize) {
    let settled = match memchr::memrchr(b'&', &text[..text.len().min(until.limit)]) {
        _ if until.is_all => text.len(),
        Some(at) => at + 1,
        None => memchr::memchr(b'&', text).map_or(0, |at| at + 1),
    };
    (redactor.pairs(&text[..settled], Pairs::Form, 0), settled)
}

/// Where the value begins of a pair that has no end, and what it is called if it is secret.
fn form_value(redactor: &AnyRedactor<'_, '_>, text: &[u8]) -> (usize, Option<Name>) {
    let pair = Pair::new(text);
    let name = View::new(pair.name, Coding::Form);
    let value = pair.value.map_or(0, |_| pair.name.len() + 1);
    (value, pair.value.and_then(|_| redactor.secret_pair(&name.text, Pairs::Form)))
}

/// Where the string begins that has no end, of a member or by itself, and what it is called if it is secret; `None` when
/// there is no such string.
fn json_value(redactor: &AnyRedactor<'_, '_>, text: &[u8]) -> Option<(usize, Option<Name>)> {
    let first = memchr::memchr(b'"', text)?;
    let Some(end) = paths::string_end(text, first + 1) else { return Some((first + 1, None)) };
    let colon = paths::after_space(text, end + 1);
    let quote = paths::after_space(text, colon + 1);
    let is_member = text.get(colon) == Some(&b':') && text.get(quote) == Some(&b'"');
    let name = View::new(&text[first + 1..end], Coding::Json);
    let by_path = redactor.policy.path_names.contains(&name.text);
    is_member.then(|| (quote + 1, redactor.secret_member(&name.text, by_path)))
}
