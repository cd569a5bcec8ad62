//! The text of a HAR, written from its first byte to its last: what stands before the entries, the entries, what stands
//! behind them.

use std::io::{self, Write};

use super::canonical;
use harproxy_json::{TextMember, TextValue};

/// A HAR being written.
#[derive(Debug)]
pub(super) struct HarText<W> {
    out: W,
    /// The members of `log` before `entries`.
    log: Vec<TextMember<'static>>,
    /// Members beside `log` that some tool wrote.
    beside: Vec<TextMember<'static>>,
    entries: usize,
}

impl<W: Write> HarText<W> {
    pub(super) fn new(out: W, mut log: Vec<TextMember<'static>>) -> Self {
        canonical::arrange_log(&mut log);
        HarText { out, log, beside: Vec::new(), entries: 0 }
    }

    /// Replaces what stands around the entries; nothing has been written yet.
    pub(super) fn surround(&mut self, mut log: Vec<TextMember<'static>>, beside: Vec<TextMember<'static>>) {
        canonical::arrange_log(&mut log);
        self.log = log;
        self.beside = beside;
    }

    /// The members of `log` before `entries`.
    pub(super) fn log(&self) -> &[TextMember<'static>] {
        &self.log
    }

    /// Entries so far.
    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    /// Adds an entry.
    pub(super) fn entry(&mut self, entry: &TextValue<'_>) -> io::Result<()> {
        self.entry_text(entry.indented(6).as_bytes())
    }

    /// Adds the text of an entry, indented as it stands in the list.
    pub(super) fn entry_text(&mut self, text: &[u8]) -> io::Result<()> {
        let before = if self.entries == 0 { head(&self.log) } else { ",".to_owned() };
        self.out.write_all(before.as_bytes())?;
        self.out.write_all(b"\n      ")?;
        self.out.write_all(text)?;
        self.entries += 1;
        Ok(())
    }

    /// Writes what stands behind the last entry.
    pub(super) fn finish(mut self) -> io::Result<W> {
        if self.entries == 0 {
            self.out.write_all(head(&self.log).as_bytes())?;
        }
        self.out.write_all(end(self.entries > 0, &self.beside).as_bytes())?;
        Ok(self.out)
    }
}

/// All that stands before the first entry.
pub(super) fn head(log: &[TextMember<'_>]) -> String {
    let mut head = "{\n  \"log\": {\n".to_owned();
    for (name, value) in log {
        head += &format!("    {name}: {},\n", value.indented(4));
    }
    head + "    \"entries\": ["
}

/// All that stands behind the last entry, if there is any.
pub(super) fn end(any: bool, beside: &[TextMember<'_>]) -> String {
    let mut end = if any { "\n    ]\n  }" } else { "]\n  }" }.to_owned();
    for (name, value) in beside {
        end += &format!(",\n  {name}: {}", value.indented(2));
    }
    end + "\n}\n"
}
