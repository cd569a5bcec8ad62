//! Damage of a journal: bytes that another program changed, removed or added. The complete exchanges are kept.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::journal::heads::{self, JournalMeta};
use super::journal::{Frame, FrameKind, FrameMark, WrittenFrames};
use crate::verdict::explain::many;
use crate::verdict::{CheckId, Finding, Location, Severity};
use harproxy_support::printable::Shown as _;
use harproxy_support::shell_quote;

/// The knowledge of the recorder about its journal.
#[derive(Clone, Debug)]
pub struct KnownJournal {
    pub mark: FrameMark,
    pub meta: JournalMeta,
    pub written: WrittenFrames,
}

impl KnownJournal {
    /// Returns the beginning of the journal: its head, and the frame of its settings.
    ///
    /// # Errors
    /// The settings are too long for a frame.
    pub fn beginning(&self) -> io::Result<Vec<u8>> {
        let mut bytes = self.mark.journal_head();
        Frame { kind: FrameKind::Meta, exchange: 0, payload: heads::encode(&self.meta)? }
            .write(self.mark, &mut bytes)?;
        Ok(bytes)
    }
}

/// The exchanges that a damaged journal has lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// The position of the first damaged byte; `None` if frames are missing without a trace.
    pub at: Option<u64>,
    /// The numbers of the exchanges that are missing or incomplete. Of a killed recording, these may include exchanges
    /// in progress.
    pub lost: BTreeSet<u64>,
    /// The number of the last exchange.
    pub last: u64,
}

/// The place of a damaged journal, and the state of its fixture.
#[derive(Clone, Copy, Debug)]
pub enum DamagedJournal<'a> {
    /// The fixture has the other exchanges. This is the journal.
    Beside(&'a Path),
    /// The fixture stays as it is.
    Unused(&'a Path),
}

impl Damage {
    /// Returns the finding. `saved` is the number of complete exchanges.
    #[must_use]
    pub fn finding(&self, fixture: &Path, saved: usize, kept: DamagedJournal<'_>) -> Finding {
        let lost = match self.lost.len() as u64 {
            0 => "an unknown number of exchanges is".to_owned(),
            lost => format!(
                "{lost} of {} {}",
                many(self.last, "exchange", "exchanges"),
                if lost == 1 { "is" } else { "are" }
            ),
        };
        let place = self.at.map_or_else(|| "a part of it is missing".to_owned(), |at| format!("at byte {at}"));
        let (DamagedJournal::Beside(journal) | DamagedJournal::Unused(journal)) = kept;
        let (journal, others) = (journal.shown(), many(saved as u64, "other", "others"));
        let recover = format!("harproxy recover {}", shell_quote::path(fixture));
        let (text, hint) = match kept {
            DamagedJournal::Beside(_) => (
                format!("another program damaged the journal ({place}): {lost} lost; the fixture gets the {others}"),
                format!("record again; the damaged journal is kept in {journal}: `{recover} --discard` drops it"),
            ),
            DamagedJournal::Unused(_) => {
                let add = match saved {
                    0 => String::new(),
                    _ => format!("`{recover}` adds the {others} from {journal}, "),
                };
                (
                    format!("another program damaged the journal ({place}): {lost} lost; the fixture stays as it is"),
                    format!("{add}`{recover} --discard` drops {journal}; then record again"),
                )
            }
        };
        let finding = Finding::new(CheckId::JOURNAL_DAMAGED, Severity::Error, text).with_hint(hint);
        Finding { at: Location::fixture(fixture.display().to_string()), ..finding }
    }
}
