//! What a fixture keeps in memory while it serves, so that whoever writes into its files does not change what it says.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::fixture::Fixture;
use super::place::files_of;
use super::stamp::Stamp;
use super::window::Span;
use super::{Error, payload, sidecar};

/// What is kept.
#[derive(Debug, Default)]
pub(super) struct Held {
    text: Option<Vec<u8>>,
    payloads: HashMap<String, Bytes>,
}

impl Held {
    /// The text that stands there.
    pub(super) fn text(&self, span: Span) -> Option<&[u8]> {
        let from = usize::try_from(span.offset).ok()?;
        self.text.as_ref()?.get(from..from.checked_add(usize::try_from(span.len).ok()?)?)
    }

    /// A payload file's bytes as they are stored.
    pub(super) fn payload(&self, name: &str) -> Option<&Bytes> {
        self.payloads.get(name)
    }
}

impl Fixture {
    /// The payload files that entries refer to, as they spell them, each with the first entry that does. Reads all of the
    /// fixture.
    #[must_use]
    pub fn payload_names(&self) -> BTreeMap<String, usize> {
        let mut names = BTreeMap::new();
        for head in self.heads().iter() {
            let Ok(json) = self.entry_json(head.entry) else { continue };
            if memchr::memmem::find(&json, b"\"_file\"").is_some() {
                for name in files_of(&json) {
                    names.entry(name).or_insert(head.entry);
                }
            }
        }
        names
    }

    /// Where the payload file of this name is or should be; `None` for what lies in an archive, or would lie outside.
    #[must_use]
    pub fn payload_place(&self, name: &str) -> Option<PathBuf> {
        let home = self.path().parent().unwrap_or(Path::new(""));
        let parts = sidecar::parts(name).ok().filter(|_| !self.is_archive())?;
        Some(parts.into_iter().fold(home.to_owned(), |path, part| path.join(part)))
    }

    /// That the payload of this name is there for an entry.
    ///
    /// # Errors
    /// When it is not.
    pub fn expect_payload(&self, entry: usize, name: &str) -> Result<(), Error> {
        self.has_payload(name).map_err(|reason| self.bad_entry(entry, reason))
    }

    /// Keeps its text and these payloads in memory as far as so many bytes go, which it takes from them; what is long stays
    /// where it is. Once, and only while the files are those that were opened.
    pub fn hold(&self, names: &BTreeMap<String, usize>, bytes: &mut u64) {
        let mut held = Held::default();
        if let Some(len) = self.text_on_disk().filter(|len| *len <= *bytes)
            && let Ok(text) = self.range(Span { offset: 0, len, line: 1 })
            && Stamp::at(self.path()).as_ref() == Some(self.stamp())
        {
            *bytes -= len;
            held.text = Some(text);
        }
        for (name, entry) in names {
            let longest = payload::IN_MEMORY.min(*bytes);
            let mut payload = Vec::new();
            let read = self.stored(*entry, name).map(|stored| stored.take(longest + 1).read_to_end(&mut payload));
            // What can't be read is told to whoever asks for it.
            if matches!(read, Ok(Ok(_))) && payload.len() as u64 <= longest {
                *bytes -= payload.len() as u64;
                held.payloads.insert(name.clone(), payload.into());
            }
        }
        self.keep(held);
    }
}
