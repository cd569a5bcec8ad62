//! Redaction of lines of events, and of lines of JSON.

use super::Redactor;
use crate::splice::{Splice, of_part};

impl Redactor<'_> {
    /// Finds the secrets in lines that are available as a whole.
    pub(super) fn lines_splices(&mut self, text: &[u8]) -> Vec<Splice> {
        let lines = text.split_inclusive(|&byte| byte == b'\n');
        lines.flat_map(|line| of_part(text, line, self.line_splices(line))).collect()
    }

    /// Finds the secrets in one line.
    pub(super) fn line_splices(&mut self, line: &[u8]) -> Vec<Splice> {
        let content = line_content(line);
        let is_json = matches!(content.first(), Some(b'{' | b'[' | b'"' | b'}' | b']'));
        let splices = if is_json { self.json_splices(content, 0) } else { self.text_splices(content, false) };
        of_part(line, content, splices).collect()
    }
}

/// Returns a line without the name of an event field or the separator of a JSON text sequence.
pub(super) fn line_content(line: &[u8]) -> &[u8] {
    let content = line.strip_prefix(b"data:").or_else(|| line.strip_prefix(b"\x1e")).unwrap_or(line);
    content.trim_ascii_start()
}
