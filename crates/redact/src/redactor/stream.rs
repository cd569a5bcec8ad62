//! Redaction of payloads that arrive in pieces, and of lines of events or JSON.

use std::fmt;

use super::Redactor;
use super::payload::PayloadFormat;
use super::window::{WINDOW, WindowRedactor};
use crate::splice::{Splice, of_part, write_spliced};
use harproxy_http::MediaType;

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
        StreamRedactor { by_line, window: WindowRedactor::new(format), ..StreamRedactor::default() }
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
            self.window = WindowRedactor::new(if has_members { PayloadFormat::Json } else { PayloadFormat::Text });
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

/// Returns a line without the name of an event field or the separator of a JSON text sequence.
fn line_content(line: &[u8]) -> &[u8] {
    let content = line.strip_prefix(b"data:").or_else(|| line.strip_prefix(b"\x1e")).unwrap_or(line);
    content.trim_ascii_start()
}
