//! Writes the text of a HAR as a stream: the members before the entries, the entries, the members after them.

use std::io::{self, Write};

use super::canonical;
use harproxy_json::{TextMember, TextValue};

/// A stream writer for the text of a HAR.
#[derive(Debug)]
pub(crate) struct HarText<W> {
    out: W,
    /// The members of `log` before `entries`.
    log: Vec<TextMember<'static>>,
    /// Top-level members other than `log`.
    outside_log: Vec<TextMember<'static>>,
    entries: usize,
}

impl<W: Write> HarText<W> {
    pub(crate) fn new(out: W, mut log: Vec<TextMember<'static>>, outside_log: Vec<TextMember<'static>>) -> Self {
        canonical::arrange_log(&mut log);
        HarText { out, log, outside_log, entries: 0 }
    }

    /// Sets the members outside the entries. Must be called before the first entry.
    pub(crate) fn set_members(&mut self, mut log: Vec<TextMember<'static>>, outside_log: Vec<TextMember<'static>>) {
        canonical::arrange_log(&mut log);
        self.log = log;
        self.outside_log = outside_log;
    }

    /// The members of `log` before `entries`.
    pub(crate) fn log(&self) -> &[TextMember<'static>] {
        &self.log
    }

    /// The number of entries written so far.
    pub(crate) fn entries(&self) -> usize {
        self.entries
    }

    pub(crate) fn entry(&mut self, entry: &TextValue<'_>) -> io::Result<()> {
        self.entry_text(canonical::text(entry, 6).as_bytes())
    }

    /// Adds the text of an entry that is already indented for the array.
    pub(crate) fn entry_text(&mut self, text: &[u8]) -> io::Result<()> {
        let before = if self.entries == 0 { head(&self.log) } else { ",".to_owned() };
        self.out.write_all(before.as_bytes())?;
        self.out.write_all(b"\n      ")?;
        self.out.write_all(text)?;
        self.entries += 1;
        Ok(())
    }

    /// Writes the text after the last entry.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        if self.entries == 0 {
            self.out.write_all(head(&self.log).as_bytes())?;
        }
        self.out.write_all(end(self.entries > 0, &self.outside_log).as_bytes())?;
        Ok(self.out)
    }
}

/// The text before the first entry.
pub(crate) fn head(log: &[TextMember<'_>]) -> String {
    let mut head = "{\n  \"log\": {\n".to_owned();
    for (name, value) in log {
        head += &format!("    {name}: {},\n", canonical::text(value, 4));
    }
    head + "    \"entries\": ["
}

/// The text after the last entry. `any` is true if there are entries.
pub(crate) fn end(any: bool, outside_log: &[TextMember<'_>]) -> String {
    let mut end = if any { "\n    ]\n  }" } else { "]\n  }" }.to_owned();
    for (name, value) in outside_log {
        end += &format!(",\n  {name}: {}", canonical::text(value, 2));
    }
    end + "\n}\n"
}
