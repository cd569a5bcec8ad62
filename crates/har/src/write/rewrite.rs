//! Replaces strings and payload files of a fixture, or removes entries, and keeps every other byte. Works for HARs of
//! any tool and layout, in folders, archives and compressed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};
use tempfile::NamedTempFile;

use super::{canonical, format, publish};
use crate::Error;
use crate::read::entry::{self, payload_files};
use crate::read::values::HarValue;
use crate::read::{Fixture, find};
use crate::store::archive::{Archive, ReadSeek};
use crate::store::digest::sha256_hex;
use crate::store::payload_path::{self, normal_name};
use crate::store::staging::{self, Staging};

/// The payload files that a rewrite has written and removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RewriteSummary {
    /// The number of new files.
    pub new: usize,
    /// The number of removed files.
    pub removed: usize,
    /// Old files that stay because another HAR uses them: name as in `_file`, and path of that HAR.
    pub left: Vec<(String, PathBuf)>,
    /// The fixture had layout 1, and was migrated.
    pub migrated: bool,
}

/// A rewrite of a fixture. Files under the final names change only in [`Rewrite::finish`]. A drop removes all
/// temporary files.
pub struct Rewrite<'a> {
    fixture: &'a Fixture,
    /// The path of the fixture with links resolved.
    target: PathBuf,
    out: BufWriter<File>,
    text: Box<dyn Read + 'a>,
    /// The offset up to which the text was copied.
    at: u64,
    staging: Staging,
    /// New payload files: name, and path in the staging folder.
    new: BTreeMap<String, PathBuf>,
    replaced: BTreeSet<String>,
    used: BTreeSet<String>,
}

impl<'a> Rewrite<'a> {
    /// Begins a rewrite without changes.
    ///
    /// # Errors
    /// When the folder of the fixture is not writable.
    pub fn begin(fixture: &'a Fixture) -> Result<Self, Error> {
        let failed = Error::at(fixture.path(), "writing");
        let target = fs::canonicalize(fixture.path()).map_err(failed)?;
        let staging = Staging::create(&target).map_err(failed)?;
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

    /// Marks a payload file as still used by an entry.
    pub fn mark_used(&mut self, name: &str) {
        self.used.insert(normal_name(name));
    }

    /// Replaces the content of a payload file. Returns the new value of `_file`.
    pub fn replace_payload(&mut self, entry: usize, name: &str, content: &mut dyn Read) -> Result<String, Error> {
        let staged = self.staging.path().join(format!("payload-{}", self.new.len()));
        let mut copy = || {
            io::copy(content, &mut File::create(&staged)?)?;
            sha256_hex(&mut File::open(&staged)?)
        };
        let (hex, _) = copy().map_err(Error::at(&staged, "writing"))?;
        let old = normal_name(name);
        let folder = old.rfind('/').map_or("", |at| &old[..=at]);
        let ending = payload_path::extension(&old);
        self.replaced.insert(old.clone());
        let names = [16, 24, 32, 64].map(|digits| format!("{folder}{}.{ending}", &hex[..digits]));
        let existing = |name: &String| match self.new.get(name) {
            Some(path) => Some(sha256_hex(&mut File::open(path).ok()?).ok()),
            None => Some(sha256_hex(&mut *self.fixture.open_stored(entry, name).ok()?).ok()),
        };
        let candidates = names.iter().map(|name| (name, existing(name)));
        let is_usable = |existing: &Option<Option<(String, u64)>>| {
            existing.as_ref().is_none_or(|digest| digest.as_ref().is_some_and(|(found, _)| *found == hex))
        };
        let found = candidates.into_iter().find(|(_, existing)| is_usable(existing));
        let (name, exists) = found.map_or((&names[3], false), |(name, existing)| (name, existing.is_some()));
        if !exists {
            self.new.insert(name.clone(), staged);
        }
        self.used.insert(name.clone());
        Ok(name.clone())
    }

    /// Copies the text up to the end of a value, with edits of that value. Edits must be in order and must not overlap.
    pub fn edit_value<'e>(
        &mut self,
        value: &HarValue,
        text: &str,
        edits: impl IntoIterator<Item = (&'e Range<usize>, &'e str)>,
    ) -> Result<(), Error> {
        let failed = Error::at(self.fixture.path(), "writing");
        self.copy(value.span.offset, true)?;
        self.copy(value.span.offset + value.span.len, false)?;
        let mut copied = 0;
        for (range, with) in edits {
            self.out.write_all(&text.as_bytes()[copied..range.start]).map_err(failed)?;
            self.out.write_all(with.as_bytes()).map_err(failed)?;
            copied = range.end;
        }
        self.out.write_all(&text.as_bytes()[copied..]).map_err(failed)
    }

    /// Removes entries with their separators, and payload files that only they use. Must be called before any
    /// [`Rewrite::edit_value`].
    ///
    /// Payload files are removed from archives, and from the payload folder of a fixture of harproxy.
    pub fn remove_entries(&mut self, removed: &BTreeSet<usize>) -> Result<(), Error> {
        let fixture = self.fixture;
        let mut names = Vec::new();
        let (mut any_kept, mut keeps_all) = (false, false);
        for entry in 0..fixture.entries() {
            let Some(span) = fixture.span(entry) else { continue };
            let json = fixture.entry_json(entry)?;
            let is_kept = !removed.contains(&entry);
            // The text before the first entry stays. A separator is removed with the second entry, or with the first
            // one if no entry was kept before it.
            self.copy(span.offset, entry == 0 || (is_kept && any_kept))?;
            self.copy(span.offset + span.len, is_kept)?;
            any_kept |= is_kept;
            match (files_of(&json), is_kept) {
                (Some(files), true) => self.used.extend(files),
                (Some(files), false) => names.extend(files),
                // The payload files of a malformed entry are unknown.
                (None, true) => keeps_all = true,
                (None, false) => {}
            }
        }
        let folder = if fixture.is_own() { payload_path::payload_folder(fixture.path()).ok() } else { None };
        let is_ours = |name: &String| match fixture.archive() {
            Some(_) => true,
            None => folder.as_ref().is_some_and(|folder| {
                let name = name.strip_prefix(folder.as_str()).and_then(|rest| rest.strip_prefix('/'));
                name.is_some_and(payload_path::is_own_name)
            }),
        };
        if !keeps_all {
            self.replaced.extend(names.into_iter().filter(is_ours));
        }
        Ok(())
    }

    /// Copies or skips the text up to an offset.
    fn copy(&mut self, to: u64, keep: bool) -> Result<(), Error> {
        let failed = Error::at(self.fixture.path(), "writing");
        let text = &mut (&mut self.text).take(to.saturating_sub(self.at));
        let copied = if keep { io::copy(text, &mut self.out) } else { io::copy(text, &mut io::sink()) };
        copied.map_err(failed)?;
        self.at = to;
        Ok(())
    }

    /// Publishes new payload files, then the HAR or archive. Removes old payload files that are no longer used.
    /// Migrates a fixture of layout 1 that can be formatted.
    ///
    /// # Errors
    /// When a write, sync or rename fails. The old fixture is then unchanged.
    pub fn finish(self) -> Result<RewriteSummary, Error> {
        let (target, migrates) = (self.target.clone(), self.fixture.has_old_layout() && !self.fixture.is_compressed());
        let summary = self.publish()?;
        let migrate =
            || Fixture::open(&target).and_then(|fixture| format::apply(&fixture, &format::find_changes(&fixture)?));
        Ok(RewriteSummary { migrated: migrates && migrate().is_ok(), ..summary })
    }

    fn publish(mut self) -> Result<RewriteSummary, Error> {
        let failed = Error::at(self.fixture.path(), "writing");
        io::copy(&mut self.text, &mut self.out).and_then(|_| self.out.flush()).map_err(failed)?;
        let har = self.staging.path().join("har");
        if self.fixture.archive().is_some() {
            publish::rename_into(self.archive(&har)?, &self.target)?;
            let removed = self.replaced.difference(&self.used).count();
            return Ok(RewriteSummary { new: self.new.len(), removed, ..RewriteSummary::default() });
        }
        let packed = self.final_har(&har).map_err(failed)?;
        for (name, staged) in &self.new {
            let to = self.home().join(name);
            let done = File::open(staged).and_then(|file| file.sync_all()).and_then(|()| fs::rename(staged, &to));
            done.map_err(Error::at(&to, "writing"))?;
            publish::sync_parent(&to)?;
        }
        publish::rename_into(packed, &self.target)?;
        let (removed, left) = self.remove_replaced();
        Ok(RewriteSummary { new: self.new.len(), removed, left, migrated: false })
    }

    /// The HAR in its final form, compressed if the old one was.
    fn final_har(&self, har: &Path) -> io::Result<NamedTempFile> {
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
        let failed = Error::at(self.fixture.path(), "writing");
        let mut har = File::open(har).map_err(failed)?;
        let old = self.fixture.archive().map(Archive::payloads).unwrap_or_default();
        let is_used = |name: &String| self.used.contains(name) || !self.replaced.contains(name);
        let mut members: BTreeMap<String, Option<&PathBuf>> =
            old.into_iter().filter(is_used).map(|name| (name, None)).collect();
        members.extend(self.new.iter().map(|(name, staged)| (name.clone(), Some(staged))));
        let open = |(name, staged): (String, Option<&PathBuf>)| {
            let bytes: Box<dyn ReadSeek> = match staged {
                Some(path) => Box::new(File::open(path).map_err(failed)?),
                None => self.fixture.member(&name)?,
            };
            Ok((name, bytes))
        };
        let out = staging::file(&self.target).map_err(failed)?;
        har.rewind().map_err(failed)?;
        publish::archive(&self.target, out, &mut har, members.into_iter().map(open))
    }

    /// Removes replaced payload files. Returns their number, and the files that stay with the HAR that uses them.
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
                // A file that cannot be removed is reported with its own HAR.
                None if fs::remove_file(self.home().join(name)).is_err() => {
                    left.push((name.clone(), self.fixture.path().to_owned()));
                }
                None => {}
            }
        }
        for folder in folders {
            // Succeeds only for an empty folder.
            let _ = fs::remove_dir(self.home().join(folder));
        }
        (number - left.len(), left)
    }

    /// The payload files that other HARs in the same folder use.
    fn used_by_others(&self) -> BTreeMap<String, PathBuf> {
        let neighbours = fs::read_dir(self.home()).into_iter().flatten().flatten().map(|item| item.path());
        let mut used = BTreeMap::new();
        for path in neighbours.filter(|path| *path != self.target && find::is_har(path)) {
            let Ok(other) = Fixture::open(&path) else { continue };
            let entries = (0..other.entries()).filter_map(|entry| other.entry_json(entry).ok());
            for name in entries.flat_map(|json| payload_files(&json)) {
                used.insert(normal_name(&name), path.clone());
            }
        }
        used
    }

    fn home(&self) -> &Path {
        self.target.parent().unwrap_or(Path::new(""))
    }
}

/// The payload files of an entry. `None` if the entry is malformed.
fn files_of(json: &[u8]) -> Option<Vec<String>> {
    let mut node = entry::tree(json).ok()?;
    let files = canonical::files_mut(&mut node).into_iter().filter_map(|file| file.as_str());
    Some(files.map(|name| normal_name(&name)).collect())
}
