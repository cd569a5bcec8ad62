//! Converts a fixture of any tool to canonical form, and reports what would change.
//!
//! Values, strings and payload bytes stay unchanged, and a fixture of another tool keeps its creator. In fixtures of
//! harproxy, edited payload files are renamed after their new bytes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::text::HarText;
use super::{canonical, publish};
use crate::Error;
use crate::model::{Storage, spacing_of};
use crate::read::Fixture;
use crate::store::archive::Archive;
use crate::store::digest::sha256_hex;
use crate::store::{payload_path, staging};
use harproxy_json::{LineReader, TextValue};

/// The differences between a fixture and its canonical form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The first different line of the HAR, from 1.
    pub line: Option<usize>,
    /// The archive has another order of members, or times and attributes.
    pub archive: bool,
    /// Edited payload files: old and new name, as in `_file`.
    pub renamed: BTreeMap<String, String>,
    /// The fixture has layout 1.
    pub migrates: bool,
}

impl Changes {
    /// True if the fixture is in canonical form.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.line.is_none() && !self.archive
    }

    /// True if the only reason to rewrite the fixture is its layout 1.
    #[must_use]
    pub fn is_only_migration(&self) -> bool {
        self.migrates && self.renamed.is_empty()
    }
}

/// Compares a fixture with its canonical form. Writes nothing.
///
/// # Errors
/// When an entry or a payload cannot be read. Such a fixture must not be rewritten.
pub fn find_changes(fixture: &Fixture) -> Result<Changes, Error> {
    let mut comparing = LineComparer::new(original(fixture)?);
    let mut names = PayloadNames::new(fixture)?;
    write_text(fixture, &mut comparing, &mut names)?;
    let line = comparing.finish().map_err(Error::at(fixture.path(), "reading"))?;
    let mut changes = Changes { line, archive: false, renamed: names.renamed, migrates: fixture.has_old_layout() };
    if fixture.archive().is_some() && changes.is_empty() {
        let temp = NamedTempFile::new().map_err(Error::at(&std::env::temp_dir(), "writing"))?;
        let new = archive(fixture, &changes, temp)?;
        changes.archive = !publish::is_same_file(new.path(), fixture.path());
    }
    Ok(changes)
}

/// Applies changes: writes renamed payloads, then renames the HAR or archive, then removes payloads under old names.
///
/// # Errors
/// When a payload cannot be read or a file cannot be written. The fixture is then unchanged.
pub fn apply(fixture: &Fixture, changes: &Changes) -> Result<(), Error> {
    // The target of a link is rewritten, not the link.
    let target = fs::canonicalize(fixture.path()).map_err(Error::at(fixture.path(), "writing"))?;
    let failed = Error::at(&target, "writing");
    let temp = staging::file(&target).map_err(failed)?;
    if fixture.archive().is_some() {
        return publish::rename_into(archive(fixture, changes, temp)?, &target).map(drop);
    }
    let mut names = PayloadNames::new(fixture)?;
    let har = write_text(fixture, BufWriter::with_capacity(256 * 1024, temp), &mut names)?;
    let har = har.into_inner().map_err(|error| failed(error.into_error()))?;
    let home = fixture.folder();
    for (from, to) in &names.renamed {
        let (from, to) = (home.join(from), home.join(to));
        let copy = || -> io::Result<()> {
            let mut temp = staging::file(&to)?;
            io::copy(&mut File::open(&from)?, &mut temp)?;
            temp.as_file().sync_all()?;
            temp.persist(&to)?;
            Ok(())
        };
        copy().map_err(Error::at(&to, "writing"))?;
    }
    publish::rename_into(har, &target)?;
    for from in names.renamed.keys().filter(|from| !names.referenced.contains(*from)) {
        // Unused files are harmless.
        let _ = fs::remove_file(home.join(from));
    }
    Ok(())
}

/// An entry as one line of canonical JSON, with text payloads included.
///
/// # Errors
/// When the entry does not exist, or the entry or a payload cannot be read.
pub fn inlined(fixture: &Fixture, entry: usize) -> Result<String, Error> {
    /// Larger payloads are not included, bytes.
    const LONGEST: u64 = 16 << 20;
    let json = fixture.entry_json(entry)?;
    let mut node = fixture.node(entry, &json)?;
    let parsed = fixture.entry(entry)?;
    for (part, body) in [("request", parsed.request.post_data.as_ref()), ("response", Some(&parsed.response.content))] {
        let Some(body) = body.filter(|body| matches!(body.stored, Storage::File(_))) else { continue };
        let payload = fixture.payload(entry, body)?;
        if payload.len() <= LONGEST
            && let Ok(text) = std::str::from_utf8(&payload.bytes()?)
        {
            let name = if part == "request" { "postData" } else { "content" };
            for body in node.values_mut(part).flat_map(|part| part.values_mut(name)) {
                body.set("text", TextValue::string(text));
            }
        }
    }
    canonical::arrange(&mut node);
    Ok(node.compact())
}

/// The current text of the HAR, in the encoding of its file.
fn original(fixture: &Fixture) -> Result<Box<dyn Read + '_>, Error> {
    match fixture.archive() {
        Some(_) => Ok(Box::new(fixture.text())),
        None => Ok(Box::new(File::open(fixture.path()).map_err(Error::at(fixture.path(), "reading"))?)),
    }
}

/// Writes the canonical text.
fn write_text<W: Write>(fixture: &Fixture, out: W, names: &mut PayloadNames<'_>) -> Result<W, Error> {
    fixture.check_rewritable()?;
    let failed = Error::at(fixture.path(), "writing");
    let mut text = HarText::new(out, fixture.log()?, fixture.beside_log()?);
    for entry in 0..fixture.entries() {
        let json = fixture.entry_json(entry)?;
        let mut node = fixture.node(entry, &json)?;
        for body in canonical::bodies_mut(&mut node) {
            names.update_body(entry, body)?;
        }
        canonical::arrange(&mut node);
        text.entry(&node).map_err(failed)?;
    }
    text.finish().map_err(failed)
}

/// Writes the archive in canonical form: all members, with new names for edited payloads.
fn archive(fixture: &Fixture, changes: &Changes, out: NamedTempFile) -> Result<NamedTempFile, Error> {
    let failed = Error::at(fixture.path(), "writing");
    let mut har = write_text(fixture, tempfile::tempfile().map_err(failed)?, &mut PayloadNames::new(fixture)?)?;
    har.rewind().map_err(failed)?;
    let mut members = BTreeMap::new();
    for name in fixture.archive().into_iter().flat_map(Archive::payloads) {
        members.insert(changes.renamed.get(&name).unwrap_or(&name).clone(), name);
    }
    let members = members.into_iter().map(|(new, old)| Ok((new, fixture.member(&old)?)));
    publish::archive(fixture.path(), out, &mut har, members)
}

/// Assigns names to payload files, and collects the renames.
struct PayloadNames<'a> {
    fixture: &'a Fixture,
    /// The path prefix of payload files that harproxy names. `None` in fixtures of other tools.
    prefix: Option<String>,
    /// The new names of the payload files processed so far.
    known: HashMap<String, String>,
    renamed: BTreeMap<String, String>,
    /// The names that entries use after the changes.
    referenced: BTreeSet<String>,
}

impl<'a> PayloadNames<'a> {
    fn new(fixture: &'a Fixture) -> Result<Self, Error> {
        let prefix = match (fixture.is_own(), fixture.archive()) {
            (false, _) => None,
            (true, Some(_)) => Some(String::new()),
            (true, None) => Some(payload_path::payload_folder(fixture.path())? + "/"),
        };
        let (known, renamed, referenced) = Default::default();
        Ok(PayloadNames { fixture, prefix, known, renamed, referenced })
    }

    /// Sets the `_file` of a body, and its `size` if the file was edited. Fails if the file does not exist.
    fn update_body(&mut self, entry: usize, body: &mut TextValue<'_>) -> Result<(), Error> {
        let spacing = match body.get("_compact") {
            Some(TextValue::Scalar(leaf)) => spacing_of(leaf),
            _ => None,
        };
        let mut edited = None;
        for file in body.values_mut("_file") {
            let Some(name) = file.as_str().filter(|name| !name.is_empty()) else { continue };
            let name = name.into_owned();
            let to = self.name_of(entry, &name)?;
            if to != name {
                *file = TextValue::string(&to);
                self.renamed.insert(name.clone(), to.clone());
                edited = Some(name);
            }
            // Different spellings of a name refer to one file.
            self.referenced.insert(payload_path::parts(&to).map_or_else(|_| to.clone(), |parts| parts.join("/")));
        }
        if let Some(name) = edited.filter(|_| body.get("size").is_some()) {
            let stored = self.fixture.open_stored(entry, &name)?;
            let mut read: Box<dyn Read> = match spacing {
                Some(spacing) => Box::new(LineReader::new(stored, spacing)),
                None => stored,
            };
            let size = io::copy(&mut read, &mut io::sink()).map_err(Error::at(Path::new(&name), "reading"))?;
            body.set("size", TextValue::from(serde_json::Value::from(size)));
        }
        Ok(())
    }

    fn name_of(&mut self, entry: usize, name: &str) -> Result<String, Error> {
        if let Some(known) = self.known.get(name) {
            return Ok(known.clone());
        }
        let mut stored = self.fixture.open_stored(entry, name)?;
        let bare = self
            .prefix
            .as_ref()
            .and_then(|prefix| name.strip_prefix(prefix.as_str()))
            .filter(|name| payload_path::is_own_name(name));
        let mut to = name.to_owned();
        if let (Some(prefix), Some(bare)) = (&self.prefix, bare) {
            let (hex, _) = sha256_hex(&mut *stored).map_err(Error::at(Path::new(name), "reading"))?;
            let (stem, ending) = bare.split_once('.').unwrap_or((bare, "bin"));
            if !hex.starts_with(stem) {
                let longer = [16, 24, 32, 64].map(|digits| format!("{prefix}{}.{ending}", &hex[..digits]));
                let free = longer.iter().find(|to| self.is_free(to, &hex));
                free.unwrap_or(&longer[0]).clone_into(&mut to);
            }
        }
        self.known.insert(name.to_owned(), to.clone());
        Ok(to)
    }

    /// True if no payload with other bytes has this name.
    fn is_free(&self, name: &str, hex: &str) -> bool {
        let Ok(mut stored) = self.fixture.open_stored(0, name) else { return true };
        sha256_hex(&mut *stored).is_ok_and(|(found, _)| found == hex)
    }
}

/// A writer that finds the first line in which the written text differs from the original.
struct LineComparer<R> {
    original: BufReader<R>,
    line: usize,
    differs: bool,
}

impl<R: Read> LineComparer<R> {
    fn new(original: R) -> Self {
        LineComparer { original: BufReader::with_capacity(64 * 1024, original), line: 1, differs: false }
    }

    /// The first different line, from 1. `None` for equal texts.
    fn finish(mut self) -> io::Result<Option<usize>> {
        let more = self.differs || !self.original.fill_buf()?.is_empty();
        Ok(more.then_some(self.line))
    }
}

impl<R: Read> Write for LineComparer<R> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let mut rest = text;
        while !self.differs && !rest.is_empty() {
            let expected = self.original.fill_buf()?;
            let same = rest.iter().zip(expected).take_while(|(a, b)| a == b).count();
            self.line += memchr::memchr_iter(b'\n', &rest[..same]).count();
            self.differs = same < rest.len().min(expected.len()) || expected.is_empty();
            self.original.consume(same);
            rest = &rest[same..];
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
