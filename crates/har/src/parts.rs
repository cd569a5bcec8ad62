//! The values that a HAR consists of, one by one: its entries and what stands around them; and its payload files by name.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::window::Span;
use super::{Error, Fixture, parse, sidecar, write};

/// A value of a HAR: an entry, or what stands around the entries.
#[derive(Clone, Debug)]
pub struct Part {
    /// Which entry; `None` for what stands around them.
    pub entry: Option<usize>,
    /// The name of a member that stands around them.
    pub name: String,
    pub(super) span: Span,
}

impl Part {
    /// The line of the HAR on which it begins, from 1.
    pub fn line(&self) -> usize {
        self.span.line
    }
}

impl Fixture {
    /// All values of the HAR, in the order of its text.
    pub fn parts(&self) -> Vec<Part> {
        let entries = (0..self.entries()).filter_map(|entry| {
            let span = self.span(entry)?;
            Some(Part { entry: Some(entry), name: String::new(), span })
        });
        let around = self.around().map(|(name, span)| Part { entry: None, name: name.clone(), span: *span });
        let mut parts: Vec<_> = entries.chain(around).collect();
        parts.sort_by_key(|part| part.span.offset);
        parts
    }

    /// The text of one.
    ///
    /// # Errors
    /// When the file changed under us, or it is not UTF-8.
    pub fn part_text(&self, part: &Part) -> Result<String, Error> {
        let bytes = self.range(part.span)?;
        let text = parse::utf8(&bytes).map(str::to_owned);
        text.map_err(|reason| match part.entry {
            Some(entry) => self.bad_entry(entry, reason),
            None => Error::Malformed { path: self.path().to_owned(), line: Some(part.line()), reason },
        })
    }

    /// The payload files that are there and harproxy's own, as `_file` has them, in order: those in the payload folder, or in
    /// the archive, whose names it gives.
    pub fn payload_files(&self) -> Vec<String> {
        if !self.is_own() {
            return Vec::new();
        }
        let mut names = match self.archive() {
            Some(archive) => archive.payloads(),
            None => {
                let Ok(folder) = write::payload_folder(self.path()) else { return Vec::new() };
                let inside = fs::read_dir(self.path().parent().unwrap_or(Path::new("")).join(&folder));
                let inside =
                    inside.into_iter().flatten().flatten().filter_map(|item| item.file_name().into_string().ok());
                inside.map(|name| format!("{folder}/{name}")).collect()
            }
        };
        names.retain(|name| is_named_by_us(name));
        names.sort();
        names
    }
}

/// However a payload file is spelled, it is one name.
pub fn spelled(name: &str) -> String {
    sidecar::parts(name).map_or_else(|_| name.to_owned(), |parts| parts.join("/"))
}

/// Whether harproxy gives payload files such names.
pub fn is_named_by_us(name: &str) -> bool {
    sidecar::is_ours(name.rsplit('/').next().unwrap_or(name))
}

/// Whether a name that harproxy gave is that of bytes with this SHA-256, in hex.
pub fn is_named_after(name: &str, hex: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name);
    hex.starts_with(name.split('.').next().unwrap_or(name))
}

/// The SHA-256 of all that is read, in hex, and how much that was.
pub fn digest(read: &mut dyn Read) -> io::Result<(String, u64)> {
    struct Hash(Sha256);
    impl Write for Hash {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0.update(buf);
            Ok(buf.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut hash = Hash(Sha256::new());
    let len = io::copy(read, &mut hash)?;
    Ok((hash.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect(), len))
}
