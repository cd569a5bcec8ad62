//! The text of a HAR, written from its first byte to its last: what stands before the entries, the entries, what stands
//! behind them.

use std::io::{self, Write};

use super::canonical;
use super::raw::{Member, Node};

/// A HAR being written.
#[derive(Debug)]
pub(super) struct HarText<W> {
    out: W,
    /// The members of `log` before `entries`.
    log: Vec<Member<'static>>,
    /// Members beside `log` that some tool wrote.
    beside: Vec<Member<'static>>,
    entries: usize,
}

impl<W: Write> HarText<W> {
    pub(super) fn new(out: W, mut log: Vec<Member<'static>>) -> Self {
        canonical::arrange_log(&mut log);
        HarText { out, log, beside: Vec::new(), entries: 0 }
    }

    /// Replaces what stands around the entries; nothing has been written yet.
    pub(super) fn surround(&mut self, mut log: Vec<Member<'static>>, beside: Vec<Member<'static>>) {
        canonical::arrange_log(&mut log);
        self.log = log;
        self.beside = beside;
    }

    /// The members of `log` before `entries`.
    pub(super) fn log(&self) -> &[Member<'static>] {
        &self.log
    }

    /// Entries so far.
    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    /// Adds an entry.
    pub(super) fn entry(&mut self, entry: &Node<'_>) -> io::Result<()> {
        self.entry_text(entry.pretty(6).as_bytes())
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
pub(super) fn head(log: &[Member<'_>]) -> String {
    let mut head = "{\n  \"log\": {\n".to_owned();
    for (name, value) in log {
        head += &format!("    {name}: {},\n", value.pretty(4));
    }
    head + "    \"entries\": ["
}

/// All that stands behind the last entry, if there is any.
pub(super) fn end(any: bool, beside: &[Member<'_>]) -> String {
    let mut end = if any { "\n    ]\n  }" } else { "]\n  }" }.to_owned();
    for (name, value) in beside {
        end += &format!(",\n  {name}: {}", value.pretty(2));
    }
    end + "\n}\n"
}
