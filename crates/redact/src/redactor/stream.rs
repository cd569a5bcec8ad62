//! Redaction of payloads that arrive in pieces, and of lines of events or JSON.
//!
//! A long payload is redacted through a window whenever the window is full. What begins in its last quarter is left for
//! the next window, so that shorter secrets are always seen as a whole.

use std::fmt;

use super::decoded::{DecodedText, TextEncoding};
use super::payload::{PayloadFormat, is_text};
use super::url::{is_form, split_at_first};
use super::{Redactor, SecretName};
use crate::names::NameLocation;
use crate::replace::placeholder::{PlaceholderName, ValueFormat};
use crate::splice::{Splice, of_part, write_spliced};
use harproxy_http::MediaType;
use harproxy_json::begins_with_text;
use harproxy_json::scan::{BYTE_ORDER_MARK, skip_space, string_end};

/// Redacts a payload that is too long to be held, or whose lines are passed on as they arrive.
///
/// Secrets are found if they fit into a window of 64 KiB. The result does not depend on the pieces.
#[derive(Default)]
pub struct StreamRedactor {
    /// Lines are redacted and passed on one by one.
    by_line: bool,
    /// The current line, as far as it fits into the window.
    line: Vec<u8>,
    /// The current line is longer than the window.
    is_long_line: bool,
    window: WindowRedactor,
}

/// Prints no bytes of the payload.
impl fmt::Debug for StreamRedactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamRedactor").field("by_line", &self.by_line).finish_non_exhaustive()
    }
}

impl StreamRedactor {
    /// Creates the redactor of a payload with this `Content-Type`.
    #[must_use]
    pub fn new(content_type: &str) -> Self {
        let format = PayloadFormat::of(&MediaType::parse(content_type));
        let by_line = format == PayloadFormat::Lines;
        let window = WindowRedactor { format, ..WindowRedactor::default() };
        StreamRedactor { by_line, window, ..StreamRedactor::default() }
    }

    /// Takes the next piece. Appends what is complete to `out`.
    pub fn push(&mut self, redactor: &mut Redactor<'_>, piece: &[u8], out: &mut Vec<u8>) {
        if redactor.policy.is_off() {
            out.extend_from_slice(piece);
        } else if self.by_line {
            for part in piece.split_inclusive(|&byte| byte == b'\n') {
                self.push_line(redactor, part, out);
            }
        } else {
            self.window.push(redactor, piece, out);
        }
    }

    pub fn finish(self, redactor: &mut Redactor<'_>, out: &mut Vec<u8>) {
        redact_line(redactor, &self.line, out);
        self.window.finish(redactor, out);
    }

    /// Takes the next part of a line, with or without its end.
    fn push_line(&mut self, redactor: &mut Redactor<'_>, mut part: &[u8], out: &mut Vec<u8>) {
        if !self.is_long_line {
            let (taken, rest) = part.split_at(part.len().min(WINDOW - self.line.len()));
            self.line.extend_from_slice(taken);
            part = rest;
            if self.line.ends_with(b"\n") {
                return redact_line(redactor, &std::mem::take(&mut self.line), out);
            }
            if self.line.len() < WINDOW {
                return;
            }
            self.is_long_line = true;
            let line = std::mem::take(&mut self.line);
            let has_members = matches!(line_content(&line).first(), Some(b'{' | b'['));
            self.window.format = if has_members { PayloadFormat::Json } else { PayloadFormat::Text };
            self.window.push(redactor, &line, out);
        }
        self.window.push(redactor, part, out);
        if part.ends_with(b"\n") {
            std::mem::take(&mut self.window).finish(redactor, out);
            self.is_long_line = false;
        }
    }
}

fn redact_line(redactor: &mut Redactor<'_>, line: &[u8], out: &mut Vec<u8>) {
    let splices = redactor.line_splices(line);
    write_spliced(line, 0..line.len(), &splices, out);
}

impl Redactor<'_> {
    /// Finds the secrets in lines that are available as a whole.
    pub(super) fn lines_splices(&mut self, text: &[u8]) -> Vec<Splice> {
        let lines = text.split_inclusive(|&byte| byte == b'\n');
        lines.flat_map(|line| of_part(text, line, self.line_splices(line))).collect()
    }

    fn line_splices(&mut self, line: &[u8]) -> Vec<Splice> {
        let content = line_content(line);
        let is_json = matches!(content.first(), Some(b'{' | b'[' | b'"' | b'}' | b']'));
        let splices = if is_json { self.json_splices(content, 0) } else { self.text_splices(content, false) };
        of_part(line, content, splices).collect()
    }
}

/// Returns a line without a byte order mark and the name of an event field, or the separator of a JSON text sequence.
fn line_content(line: &[u8]) -> &[u8] {
    let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
    let content = line.strip_prefix(b"data:").or_else(|| line.strip_prefix(b"\x1e")).unwrap_or(line);
    content.trim_ascii_start()
}

/// The length of the window, bytes.
const WINDOW: usize = 64 * 1024;
/// The position in the window behind which nothing is redacted.
const LIMIT: usize = WINDOW - WINDOW / 4;
/// The name of a token that is longer than the window.
const LONG_TOKEN: &str = "token";

#[derive(Default)]
struct WindowRedactor {
    format: PayloadFormat,
    window: Vec<u8>,
    /// The item that is longer than a window and goes on in this one.
    long_item: LongItem,
    /// The name of the array of secrets in which the window begins.
    array: Option<SecretName>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum LongItem {
    /// The window begins with a new item.
    #[default]
    None,
    /// A string or a value that is not secret because of its place.
    Plain,
    /// A secret, or a token without separators. Its replacement was written, and its bytes are dropped.
    Secret,
}

impl WindowRedactor {
    fn push(&mut self, redactor: &mut Redactor<'_>, mut piece: &[u8], out: &mut Vec<u8>) {
        while !piece.is_empty() {
            let (taken, rest) = piece.split_at(piece.len().min(WINDOW - self.window.len()));
            self.window.extend_from_slice(taken);
            piece = rest;
            if self.window.len() == WINDOW {
                self.redact(redactor, false, out);
            }
        }
    }

    fn finish(mut self, redactor: &mut Redactor<'_>, out: &mut Vec<u8>) {
        while !self.window.is_empty() {
            self.redact(redactor, true, out);
        }
    }

    /// Redacts the complete part of the window, at least one byte.
    fn redact(&mut self, redactor: &mut Redactor<'_>, is_last: bool, out: &mut Vec<u8>) {
        self.detect_format();
        let mut window = std::mem::take(&mut self.window);
        let complete = match self.long_item {
            LongItem::None => self.redact_items(redactor, &window, is_last, out),
            LongItem::Plain => self.redact_plain(redactor, &window, is_last, out),
            LongItem::Secret => self.drop_secret(&window),
        };
        window.drain(..complete.min(window.len()));
        self.window = window;
    }

    /// Corrects the declared format by the contents of the first window.
    fn detect_format(&mut self) {
        self.format = match self.format {
            PayloadFormat::Text | PayloadFormat::Undeclared if begins_json(&self.window) => PayloadFormat::Json,
            PayloadFormat::Form if begins_with_text(&self.window) => PayloadFormat::Json,
            PayloadFormat::Undeclared if !is_text(&self.window) => PayloadFormat::Opaque,
            PayloadFormat::Text | PayloadFormat::Undeclared if is_form(&self.window) => PayloadFormat::Form,
            PayloadFormat::Undeclared => PayloadFormat::Text,
            format => format,
        };
    }

    fn redact_items(&mut self, redactor: &mut Redactor<'_>, text: &[u8], is_last: bool, out: &mut Vec<u8>) -> usize {
        let limit = (!is_last).then_some(LIMIT);
        let (splices, complete) = match self.format {
            PayloadFormat::Opaque => (Vec::new(), text.len()),
            PayloadFormat::Json => redactor.json_window_splices(text, limit, &mut self.array),
            PayloadFormat::Form => form_window_splices(redactor, text, limit),
            format => {
                let is_multipart = format == PayloadFormat::Multipart;
                let fields = if is_multipart { redactor.find_fields(text) } else { Vec::new() };
                redactor.partial_text_splices(text, false, limit, fields)
            }
        };
        if complete == 0 {
            return self.begin_long_item(redactor, text, out);
        }
        write_spliced(text, 0..complete, &splices, out);
        complete
    }

    /// Handles a window that is filled by one item without an end.
    fn begin_long_item(&mut self, redactor: &mut Redactor<'_>, text: &[u8], out: &mut Vec<u8>) -> usize {
        let value = match self.format {
            PayloadFormat::Json => find_long_json_value(redactor, text),
            PayloadFormat::Form => Some(find_long_form_value(redactor, text)),
            _ => {
                self.long_item = LongItem::Secret;
                replace_long_value(redactor, text, &PlaceholderName::new(LONG_TOKEN), out);
                return text.len();
            }
        };
        // A string with only white space behind it is at most a name.
        let Some((start, name)) = value else {
            let (splices, _) = redactor.json_window_splices(text, None, &mut self.array.clone());
            write_spliced(text, 0..text.len(), &splices, out);
            return text.len();
        };
        out.extend_from_slice(&text[..start]);
        let name = name.or_else(|| self.array.clone()).filter(|name| name.applies_to(&text[start..]));
        let Some(name) = name else {
            self.long_item = LongItem::Plain;
            return start;
        };
        self.long_item = LongItem::Secret;
        replace_long_value(redactor, &text[start..], &name.placeholder, out);
        text.len()
    }

    /// Redacts the text within a long string or value, up to its end.
    fn redact_plain(&mut self, redactor: &mut Redactor<'_>, text: &[u8], is_last: bool, out: &mut Vec<u8>) -> usize {
        let end = self.find_item_end(text);
        let text = &text[..end.unwrap_or(text.len())];
        let limit = (!is_last && end.is_none()).then_some(LIMIT);
        let is_json = self.format == PayloadFormat::Json;
        let decoded = DecodedText::new(text, if is_json { TextEncoding::Json } else { TextEncoding::Form });
        let (splices, complete) = redactor.partial_text_splices(&decoded.text, !is_json, limit, Vec::new());
        let splices: Vec<_> = decoded.encode_splices(splices, 0).collect();
        if limit.is_some() && complete == 0 {
            self.long_item = LongItem::Secret;
            replace_long_value(redactor, &decoded.text, &PlaceholderName::new(LONG_TOKEN), out);
            return text.len() - usize::from(text.ends_with(b"\\"));
        }
        let complete = if limit.is_none() { text.len() } else { decoded.raw_position(complete) };
        write_spliced(text, 0..complete, &splices, out);
        if end.is_none() {
            return complete;
        }
        self.long_item = LongItem::None;
        out.extend_from_slice(if is_json { b"\"" } else { b"&" });
        complete + 1
    }

    /// Drops the bytes of a long secret, up to its end.
    fn drop_secret(&mut self, text: &[u8]) -> usize {
        let end = self.find_item_end(text);
        if end.is_some() {
            let has_end = matches!(self.format, PayloadFormat::Json | PayloadFormat::Form);
            self.long_item = if has_end { LongItem::Plain } else { LongItem::None };
        }
        end.unwrap_or(text.len())
    }

    /// Returns the end of the string, value or token.
    fn find_item_end(&self, text: &[u8]) -> Option<usize> {
        match self.format {
            PayloadFormat::Json => string_end(text, 0),
            PayloadFormat::Form => memchr::memchr(b'&', text),
            _ => text.iter().position(|byte| byte.is_ascii_whitespace() || b"\"'<>,;{}()&".contains(byte)),
        }
    }
}

fn replace_long_value(redactor: &mut Redactor<'_>, value: &[u8], name: &PlaceholderName, out: &mut Vec<u8>) {
    out.extend_from_slice(redactor.replace_secret(value, name, ValueFormat::Text).as_bytes());
}

fn begins_json(text: &[u8]) -> bool {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).trim_ascii_start();
    match text {
        [b'{' | b'[', rest @ ..] => {
            matches!(rest.trim_ascii_start().first(), Some(b'"' | b'{' | b'[' | b'}' | b']' | b'-' | b'0'..=b'9'))
        }
        _ => false,
    }
}

/// Finds the secrets in the pairs of a window. Returns the end of the last complete pair, too.
fn form_window_splices(redactor: &mut Redactor<'_>, text: &[u8], limit: Option<usize>) -> (Vec<Splice>, usize) {
    let last_pair = |limit: usize| memchr::memrchr(b'&', &text[..text.len().min(limit)]);
    let complete = limit
        .map_or(text.len(), |limit| last_pair(limit).or_else(|| memchr::memchr(b'&', text)).map_or(0, |at| at + 1));
    (redactor.form_splices(&text[..complete]), complete)
}

/// Finds the value of a pair without an end. Returns its name if its values can be secret, too.
fn find_long_form_value(redactor: &Redactor<'_>, text: &[u8]) -> (usize, Option<SecretName>) {
    let (name, Some(_)) = split_at_first(text, b'=') else { return (0, None) };
    let decoded = DecodedText::new(name, TextEncoding::Form);
    (name.len() + 1, redactor.secret_name(NameLocation::Form, &decoded.text))
}

/// Finds the string without an end, of a member or by itself. Returns its name if its values can be secret, too. `None`
/// if there is no such string.
fn find_long_json_value(redactor: &Redactor<'_>, text: &[u8]) -> Option<(usize, Option<SecretName>)> {
    let first = memchr::memchr(b'"', text)?;
    let Some(end) = string_end(text, first + 1) else { return Some((first + 1, None)) };
    let colon = skip_space(text, end + 1);
    let quote = skip_space(text, colon + 1);
    let is_member = text.get(colon) == Some(&b':') && text.get(quote) == Some(&b'"');
    let name = DecodedText::new(&text[first + 1..end], TextEncoding::Json);
    let by_path = redactor.policy.path_names.contains(&name.text);
    is_member.then(|| (quote + 1, redactor.secret_member_name(&name.text, by_path)))
}
