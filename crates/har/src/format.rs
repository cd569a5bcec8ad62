//! A fixture's canonical form, whoever wrote it: what would change, and changing it.
//!
//! Values, strings and payload bytes stay what they are; a fixture of another tool stays one. Only in harproxy's own do payload
//! files get new names: those whose bytes are no longer the ones that they were named after.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::model::Stored;
use super::parts::digest;
use super::text::HarText;
use super::{Error, Fixture, canonical, place, sidecar, staging, write};
use harproxy_json::{CompactReader, TextValue};

/// What stands between a fixture and its canonical form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The first line of the HAR that is different, from 1.
    pub line: Option<usize>,
    /// The archive has its members in another order, or says when and how they were made.
    pub archive: bool,
    /// Payload files that were edited, and are named after their bytes again: old name and new, as `_file` has them.
    pub renamed: BTreeMap<String, String>,
}

impl Changes {
    /// Whether it is in canonical form.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.line.is_none() && !self.archive
    }
}

/// What would change; nothing is written.
///
/// # Errors
/// When an entry or a payload can't be read: nothing of such a fixture is ever changed.
pub fn look(fixture: &Fixture) -> Result<Changes, Error> {
    let mut comparing = Comparing::new(original(fixture)?);
    let mut names = Names::new(fixture)?;
    text(fixture, &mut comparing, &mut names)?;
    let line = comparing.finish().map_err(|source| reading(fixture.path(), source))?;
    let mut changes = Changes { line, archive: false, renamed: names.renamed };
    if fixture.archive().is_some() && changes.is_empty() {
        let temp = NamedTempFile::new().map_err(|source| writing(&std::env::temp_dir(), source))?;
        let new = archive(fixture, &changes, temp)?;
        changes.archive = !place::is_same(new.path(), fixture.path());
    }
    Ok(changes)
}

/// Changes it: payloads first, then the HAR (or the archive) by atomic rename, then payload files by their old names go.
///
/// # Errors
/// When a payload can't be read or something can't be written; the fixture is then still whole.
pub fn apply(fixture: &Fixture, changes: &Changes) -> Result<(), Error> {
    // Through a link, if it is one.
    let target = fs::canonicalize(fixture.path()).map_err(|source| writing(fixture.path(), source))?;
    let failed = |source| writing(&target, source);
    let temp = staging::file(&target).map_err(failed)?;
    if fixture.archive().is_some() {
        return place::rename_into(archive(fixture, changes, temp)?, &target).map(drop);
    }
    let mut names = Names::new(fixture)?;
    let har = text(fixture, BufWriter::with_capacity(256 * 1024, temp), &mut names)?;
    let har = har.into_inner().map_err(|error| failed(error.into_error()))?;
    let home = fixture.path().parent().unwrap_or(Path::new(""));
    for (from, to) in &names.renamed {
        let (from, to) = (home.join(from), home.join(to));
        let copy = || -> io::Result<()> {
            let mut temp = staging::file(&to)?;
            io::copy(&mut File::open(&from)?, &mut temp)?;
            temp.as_file().sync_all()?;
            temp.persist(&to)?;
            Ok(())
        };
        copy().map_err(|source| writing(&to, source))?;
    }
    place::rename_into(har, &target)?;
    for from in names.renamed.keys().filter(|from| !names.referenced.contains(*from)) {
        // One that can't be removed is no harm.
        let _ = fs::remove_file(home.join(from));
    }
    Ok(())
}

/// An entry as one line of JSON, in canonical order, with the text of its payloads inside where it is text.
///
/// # Errors
/// When there is no such entry, or it or a payload of it can't be read.
pub fn inlined(fixture: &Fixture, entry: usize) -> Result<String, Error> {
    /// Longer ones stay where they are, bytes.
    const LONGEST: u64 = 16 << 20;
    let json = fixture.entry_json(entry)?;
    let mut node = fixture.node(entry, &json)?;
    let parsed = fixture.entry(entry)?;
    for (part, body) in [("request", parsed.request.post_data.as_ref()), ("response", Some(&parsed.response.content))] {
        let Some(body) = body.filter(|body| matches!(body.stored, Stored::File(_))) else { continue };
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

/// The HAR as it stands, in the encoding of its file.
fn original(fixture: &Fixture) -> Result<Box<dyn Read + '_>, Error> {
    match fixture.archive() {
        Some(_) => Ok(Box::new(fixture.text())),
        None => Ok(Box::new(File::open(fixture.path()).map_err(|source| reading(fixture.path(), source))?)),
    }
}

/// Writes the text of the canonical form.
fn text<W: Write>(fixture: &Fixture, out: W, names: &mut Names<'_>) -> Result<W, Error> {
    fixture.can_be_rewritten()?;
    let failed = |source| writing(fixture.path(), source);
    let mut text = HarText::new(out, Vec::new());
    text.surround(fixture.log()?, fixture.beside_log()?);
    for entry in 0..fixture.entries() {
        let json = fixture.entry_json(entry)?;
        let mut node = fixture.node(entry, &json)?;
        for body in canonical::bodies_mut(&mut node) {
            names.see_to(entry, body)?;
        }
        canonical::arrange(&mut node);
        text.entry(&node).map_err(failed)?;
    }
    text.finish().map_err(failed)
}

/// The archive in canonical form: every member stays, under the name that it deserves.
fn archive(fixture: &Fixture, changes: &Changes, out: NamedTempFile) -> Result<NamedTempFile, Error> {
    let failed = |source| writing(fixture.path(), source);
    let mut har = text(fixture, tempfile::tempfile().map_err(failed)?, &mut Names::new(fixture)?)?;
    har.rewind().map_err(failed)?;
    let mut members = BTreeMap::new();
    for name in fixture.archive().into_iter().flat_map(super::archive::Archive::payloads) {
        members.insert(changes.renamed.get(&name).unwrap_or(&name).clone(), name);
    }
    let members = members.into_iter().map(|(new, old)| Ok((new, fixture.member(&old)?)));
    place::archive(fixture.path(), out, &mut har, members)
}

/// Which payload files there are, and what they are to be called.
struct Names<'a> {
    fixture: &'a Fixture,
    /// What stands before the names of payload files that are harproxy's to name; `None` in other tools' fixtures.
    ours: Option<String>,
    /// Their new names, for those that were looked at.
    known: HashMap<String, String>,
    renamed: BTreeMap<String, String>,
    /// Names that entries will go on to use.
    referenced: BTreeSet<String>,
}

impl<'a> Names<'a> {
    fn new(fixture: &'a Fixture) -> Result<Self, Error> {
        let ours = match (fixture.is_own(), fixture.archive()) {
            (false, _) => None,
            (true, Some(_)) => Some(String::new()),
            (true, None) => Some(write::payload_folder(fixture.path())? + "/"),
        };
        let (known, renamed, referenced) = Default::default();
        Ok(Names { fixture, ours, known, renamed, referenced })
    }

    /// Gives the payload file of a body its name, and the body the size that follows from it. That the file is there is made
    /// sure of in any case.
    fn see_to(&mut self, entry: usize, body: &mut TextValue<'_>) -> Result<(), Error> {
        let compact = matches!(body.get("_compact"), Some(TextValue::Scalar(leaf)) if leaf == "true");
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
            // However it is spelled, the file that it means is used.
            self.referenced.insert(sidecar::parts(&to).map_or_else(|_| to.clone(), |parts| parts.join("/")));
        }
        if let Some(name) = edited.filter(|_| body.get("size").is_some()) {
            let stored = self.fixture.stored(entry, &name)?;
            let mut read: Box<dyn Read> = if compact { Box::new(CompactReader::new(stored)) } else { stored };
            let size = io::copy(&mut read, &mut io::sink()).map_err(|source| reading(Path::new(&name), source))?;
            body.set("size", TextValue::from(serde_json::Value::from(size)));
        }
        Ok(())
    }

    fn name_of(&mut self, entry: usize, name: &str) -> Result<String, Error> {
        if let Some(known) = self.known.get(name) {
            return Ok(known.clone());
        }
        let mut stored = self.fixture.stored(entry, name)?;
        let bare =
            self.ours.as_ref().and_then(|ours| name.strip_prefix(ours.as_str())).filter(|name| sidecar::is_ours(name));
        let mut to = name.to_owned();
        if let (Some(ours), Some(bare)) = (&self.ours, bare) {
            let (hex, _) = digest(&mut *stored).map_err(|source| reading(Path::new(name), source))?;
            let (stem, ending) = bare.split_once('.').unwrap_or((bare, "bin"));
            if !hex.starts_with(stem) {
                let longer = [16, 24, 32, 64].map(|digits| format!("{ours}{}.{ending}", &hex[..digits]));
                let free = longer.iter().find(|to| self.is_free(to, &hex));
                free.unwrap_or(&longer[0]).clone_into(&mut to);
            }
        }
        self.known.insert(name.to_owned(), to.clone());
        Ok(to)
    }

    /// Whether no payload with other bytes goes by this name.
    fn is_free(&self, name: &str, hex: &str) -> bool {
        let Ok(mut stored) = self.fixture.stored(0, name) else { return true };
        digest(&mut *stored).is_ok_and(|(found, _)| found == hex)
    }
}

/// Takes a text and finds the first line in which it differs from another.
struct Comparing<R> {
    original: BufReader<R>,
    line: usize,
    differs: bool,
}

impl<R: Read> Comparing<R> {
    fn new(original: R) -> Self {
        Comparing { original: BufReader::with_capacity(64 * 1024, original), line: 1, differs: false }
    }

    /// The line, from 1, if there is one.
    fn finish(mut self) -> io::Result<Option<usize>> {
        let more = self.differs || !self.original.fill_buf()?.is_empty();
        Ok(more.then_some(self.line))
    }
}

impl<R: Read> Write for Comparing<R> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let mut rest = text;
        while !self.differs && !rest.is_empty() {
            let there = self.original.fill_buf()?;
            let same = rest.iter().zip(there).take_while(|(a, b)| a == b).count();
            self.line += memchr::memchr_iter(b'\n', &rest[..same]).count();
            self.differs = same < rest.len().min(there.len()) || there.is_empty();
            self.original.consume(same);
            rest = &rest[same..];
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn writing(path: &Path, source: io::Error) -> Error {
    Error::Io { doing: "writing", path: path.to_owned(), source }
}

fn reading(path: &Path, source: io::Error) -> Error {
    Error::Io { doing: "reading", path: path.to_owned(), source }
}
