//! Changing strings of a HAR, and payload files with them, or leaving entries out, while every other byte stays what it is: of
//! whoever wrote it, in whatever layout, in a folder, an archive, or compressed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};
use tempfile::NamedTempFile;

use super::fixture::ReadSeek;
use super::parts::{Part, digest, spelled};
use super::staging::{self, Staging};
use super::{Error, Fixture, canonical, find, observe, parse, place, sidecar};

/// What became of payload files that were replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replaced {
    /// New ones.
    pub new: usize,
    /// Old ones that are gone.
    pub removed: usize,
    /// Old ones that were left, as `_file` has them, since this other HAR refers to them.
    pub left: Vec<(String, PathBuf)>,
}

/// A fixture being rewritten. Nothing under a final name changes before [`Rewrite::finish`]; dropped before, it leaves nothing
/// behind.
pub struct Rewrite<'a> {
    fixture: &'a Fixture,
    /// Where it goes, links followed.
    target: PathBuf,
    out: BufWriter<File>,
    text: Box<dyn Read + 'a>,
    /// Up to where the text was copied.
    at: u64,
    staging: Staging,
    /// New payload files, by name, and where they wait.
    new: BTreeMap<String, PathBuf>,
    replaced: BTreeSet<String>,
    used: BTreeSet<String>,
}

impl<'a> Rewrite<'a> {
    /// Begins with nothing changed.
    ///
    /// # Errors
    /// When nothing can be written where the fixture is.
    pub fn begin(fixture: &'a Fixture) -> Result<Self, Error> {
        let failed = |source| writing(fixture.path(), source);
        let target = fs::canonicalize(fixture.path()).map_err(failed)?;
        let parent = target.parent().unwrap_or(Path::new("."));
        let staging = Staging::create(parent, target.file_name().unwrap_or_default()).map_err(failed)?;
        let out = File::options().read(true).write(true).create_new(true).open(staging.path().join("har"));
        Ok(Rewrite {
            fixture,
            out: BufWriter::with_capacity(256 * 1024, out.map_err(failed)?),
            text: Box::new(fixture.text()),
            at: 0,
            staging,
            target,
            new: BTreeMap::new(),
            replaced: BTreeSet::new(),
            used: BTreeSet::new(),
        })
    }

    /// That an entry goes on using a payload file.
    pub fn uses(&mut self, name: &str) {
        self.used.insert(spelled(name));
    }

    /// Puts other bytes in the place of a payload file; what `_file` is to say.
    ///
    /// # Errors
    /// When they can't be read or written.
    pub fn payload(&mut self, entry: usize, name: &str, content: &mut dyn Read) -> Result<String, Error> {
        let waits = self.staging.path().join(format!("payload-{}", self.new.len()));
        let mut file = observe::Hashing::create(&waits)?;
        io::copy(content, &mut file).map_err(|source| writing(&waits, source))?;
        let (bytes, _) = file.finish()?;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let old = spelled(name);
        let folder = old.rfind('/').map_or("", |at| &old[..=at]);
        let ending = sidecar::ending(&old);
        self.replaced.insert(old.clone());
        let names = [16, 24, 32, 64].map(|digits| format!("{folder}{}.{ending}", &hex[..digits]));
        let there = |name: &String| match self.new.get(name) {
            Some(path) => Some(digest(&mut File::open(path).ok()?).ok()),
            None => Some(digest(&mut *self.fixture.stored(entry, name).ok()?).ok()),
        };
        let free = names.iter().map(|name| (name, there(name)));
        let fits = |there: &Option<Option<(String, u64)>>| {
            there.as_ref().is_none_or(|there| there.as_ref().is_some_and(|(found, _)| *found == hex))
        };
        let found = free.into_iter().find(|(_, there)| fits(there));
        let (name, is_there) = found.map_or((&names[3], false), |(name, there)| (name, there.is_some()));
        if !is_there {
            self.new.insert(name.clone(), waits);
        }
        self.used.insert(name.clone());
        Ok(name.clone())
    }

    /// Copies the text up to the end of a part, with changes to that part's own text: in order, not overlapping.
    ///
    /// # Errors
    /// When it can't be read or written.
    pub fn part<'e>(
        &mut self,
        part: &Part,
        text: &str,
        edits: impl IntoIterator<Item = (&'e Range<usize>, &'e str)>,
    ) -> Result<(), Error> {
        let failed = |source| writing(self.fixture.path(), source);
        self.copy(part.span.offset, true)?;
        self.copy(part.span.offset + part.span.len, false)?;
        let mut kept = 0;
        for (range, with) in edits {
            self.out.write_all(&text.as_bytes()[kept..range.start]).map_err(failed)?;
            self.out.write_all(with.as_bytes()).map_err(failed)?;
            kept = range.end;
        }
        self.out.write_all(&text.as_bytes()[kept..]).map_err(failed)
    }

    /// Leaves entries out, with what stands between them and the entry before; the payload files that only they refer to go with
    /// them, where they are harproxy's to remove: in an archive, and in the payload folder of a fixture of its own. No part may
    /// have been copied before.
    ///
    /// # Errors
    /// When an entry can't be read, or the rest of them not be written.
    pub fn without(&mut self, gone: &BTreeSet<usize>) -> Result<(), Error> {
        let fixture = self.fixture;
        let mut names = Vec::new();
        let (mut any_kept, mut keeps_all) = (false, false);
        for entry in 0..fixture.entries() {
            let Some(span) = fixture.span(entry) else { continue };
            let json = fixture.entry_json(entry)?;
            let is_kept = !gone.contains(&entry);
            // What stands before the first entry stays; what stands between two goes with the second, or with the first
            // where nothing was kept before it.
            self.copy(span.offset, entry == 0 || (is_kept && any_kept))?;
            self.copy(span.offset + span.len, is_kept)?;
            any_kept |= is_kept;
            match (files_of(&json), is_kept) {
                (Some(files), true) => self.used.extend(files),
                (Some(files), false) => names.extend(files),
                // Of an entry that was never understood nobody knows what it refers to.
                (None, true) => keeps_all = true,
                (None, false) => {}
            }
        }
        let folder = if fixture.is_own() { super::write::payload_folder(fixture.path()).ok() } else { None };
        let is_ours = |name: &String| match fixture.archive() {
            Some(_) => true,
            None => folder.as_ref().is_some_and(|folder| {
                let name = name.strip_prefix(folder.as_str()).and_then(|rest| rest.strip_prefix('/'));
                name.is_some_and(sidecar::is_ours)
            }),
        };
        if !keeps_all {
            self.replaced.extend(names.into_iter().filter(is_ours));
        }
        Ok(())
    }

    /// Copies the text up to here, or passes over it.
    fn copy(&mut self, to: u64, keep: bool) -> Result<(), Error> {
        let failed = |source| writing(self.fixture.path(), source);
        let text = &mut (&mut self.text).take(to.saturating_sub(self.at));
        let copied = if keep { io::copy(text, &mut self.out) } else { io::copy(text, &mut io::sink()) };
        copied.map_err(failed)?;
        self.at = to;
        Ok(())
    }

    /// Puts new payload files, then the HAR (or the archive) in place; old payload files that nothing refers to any more go.
    ///
    /// # Errors
    /// When a write, sync or rename fails; the old fixture is then still whole.
    pub fn finish(mut self) -> Result<Replaced, Error> {
        let failed = |source| writing(self.fixture.path(), source);
        io::copy(&mut self.text, &mut self.out).and_then(|_| self.out.flush()).map_err(failed)?;
        let har = self.staging.path().join("har");
        if self.fixture.archive().is_some() {
            place::rename_into(self.archive(&har)?, &self.target)?;
            let removed = self.replaced.difference(&self.used).count();
            return Ok(Replaced { new: self.new.len(), removed, left: Vec::new() });
        }
        let whole = self.whole(&har).map_err(failed)?;
        for (name, waits) in &self.new {
            let to = self.home().join(name);
            let done = File::open(waits).and_then(|file| file.sync_all()).and_then(|()| fs::rename(waits, &to));
            done.map_err(|source| writing(&to, source))?;
            place::sync_parent(&to)?;
        }
        place::rename_into(whole, &self.target)?;
        let (removed, left) = self.remove_replaced();
        Ok(Replaced { new: self.new.len(), removed, left })
    }

    /// The HAR as it goes to its place.
    fn whole(&self, har: &Path) -> io::Result<NamedTempFile> {
        let mut out = staging::file(&self.target)?;
        let mut har = File::open(har)?;
        if self.fixture.is_compressed() {
            let mut packed = GzBuilder::new().mtime(0).write(&mut out, Compression::default());
            io::copy(&mut har, &mut packed)?;
            packed.finish()?;
        } else {
            io::copy(&mut har, &mut out)?;
        }
        Ok(out)
    }

    fn archive(&self, har: &Path) -> Result<NamedTempFile, Error> {
        let failed = |source| writing(self.fixture.path(), source);
        let mut har = File::open(har).map_err(failed)?;
        let old = self.fixture.archive().map(super::archive::Archive::payloads).unwrap_or_default();
        let stays = |name: &String| self.used.contains(name) || !self.replaced.contains(name);
        let mut members: BTreeMap<String, Option<&PathBuf>> =
            old.into_iter().filter(stays).map(|name| (name, None)).collect();
        members.extend(self.new.iter().map(|(name, waits)| (name.clone(), Some(waits))));
        let open = |(name, waits): (String, Option<&PathBuf>)| {
            let bytes: Box<dyn ReadSeek> = match waits {
                Some(path) => Box::new(File::open(path).map_err(failed)?),
                None => self.fixture.member(&name)?,
            };
            Ok((name, bytes))
        };
        let out = staging::file(&self.target).map_err(failed)?;
        har.rewind().map_err(failed)?;
        place::archive(&self.target, out, &mut har, members.into_iter().map(open))
    }

    /// Removes what was replaced: how many files; and what is left, and for whom.
    fn remove_replaced(&self) -> (usize, Vec<(String, PathBuf)>) {
        let gone: Vec<&String> = self.replaced.difference(&self.used).collect();
        let number = gone.len();
        let others = if gone.is_empty() { BTreeMap::new() } else { self.used_by_others() };
        let mut left = Vec::new();
        let mut folders = BTreeSet::new();
        for name in gone {
            folders.extend(Path::new(name).parent().filter(|folder| !folder.as_os_str().is_empty()));
            match others.get(name) {
                Some(other) => left.push((name.clone(), other.clone())),
                // One that can't be removed is told.
                None if fs::remove_file(self.home().join(name)).is_err() => {
                    left.push((name.clone(), self.fixture.path().to_owned()));
                }
                None => {}
            }
        }
        for folder in folders {
            // Goes only when it is empty.
            let _ = fs::remove_dir(self.home().join(folder));
        }
        (number - left.len(), left)
    }

    /// The payload files that other HARs beside this one refer to.
    fn used_by_others(&self) -> BTreeMap<String, PathBuf> {
        let beside = fs::read_dir(self.home()).into_iter().flatten().flatten().map(|item| item.path());
        let mut used = BTreeMap::new();
        for path in beside.filter(|path| *path != self.target && find::is_har(path)) {
            let Ok(other) = Fixture::open(&path) else { continue };
            let entries = (0..other.entries()).filter_map(|entry| other.entry_json(entry).ok());
            for name in entries.flat_map(|json| place::files_of(&json)) {
                used.insert(spelled(&name), path.clone());
            }
        }
        used
    }

    fn home(&self) -> &Path {
        self.target.parent().unwrap_or(Path::new(""))
    }
}

/// The payload files that an entry refers to, however its text is laid out; `None` when it is not understood.
fn files_of(json: &[u8]) -> Option<Vec<String>> {
    let mut node = parse::tree(json).ok()?;
    let files = canonical::files_mut(&mut node).into_iter().filter_map(|file| file.as_str());
    Some(files.map(|name| spelled(&name)).collect())
}

fn writing(path: &Path, source: io::Error) -> Error {
    Error::Io { doing: "writing", path: path.to_owned(), source }
}
