//! Writes a fixture in canonical form: first the payloads, then the HAR or the archive by an atomic rename.

use std::fs;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::NamedTempFile;

use super::payload_store::{ContentMode, JsonLayout, Message, PayloadSource, PayloadStore};
use super::pieces::{self, Object};
use super::text::HarText;
use super::{canonical, publish};
use crate::Error;
use crate::model::{Body, Entry, Storage};
use crate::read::Fixture;
use crate::read::entry::payload_files;
use crate::store::payload_path::{extension, is_zip, payload_folder};
use crate::store::staging;
use harproxy_json::text::{is_name, quote};
use harproxy_json::{CountAll, Node, TextMember, TextValue, patch};

/// Writes a fixture. Files under the final names change only in [`FixtureWriter::finish`]. A drop removes all
/// temporary files.
#[derive(Debug)]
pub struct FixtureWriter {
    path: PathBuf,
    har: HarText<BufWriter<NamedTempFile>>,
    payloads: PayloadStore,
}

/// The size of a finished fixture.
#[derive(Clone, Debug, Default)]
pub struct WriteSummary {
    pub entries: usize,
    /// The number of payload files or archive members.
    pub payloads: usize,
    /// The size of the HAR or archive in bytes.
    pub bytes: u64,
}

impl FixtureWriter {
    /// Starts a fixture at `path`: an archive if the extension is `.zip`, else a HAR with a payload folder.
    ///
    /// # Errors
    /// When the folder cannot be created or written.
    pub fn create(path: &Path, content: ContentMode, scope: &[String]) -> Result<Self, Error> {
        let parent = staging::parent(path);
        fs::create_dir_all(parent).map_err(Error::at(parent, "creating"))?;
        let folder = if is_zip(path) { None } else { Some(payload_folder(path)?) };
        let har = staging::file(path).map_err(Error::at(parent, "creating a file in"))?;
        Ok(FixtureWriter {
            path: path.to_owned(),
            payloads: PayloadStore::new(path, folder, content),
            har: HarText::new(BufWriter::with_capacity(256 * 1024, har), log_members(scope), Vec::new()),
        })
    }

    /// Copies the members outside the entries from a fixture: creator, pages, comments and members of other tools.
    ///
    /// # Errors
    /// When the fixture has changed since it was opened.
    pub fn based_on(mut self, fixture: &Fixture) -> Result<Self, Error> {
        let mut log = self.har.log().to_vec();
        for (name, value) in fixture.log()? {
            let existing = log.iter_mut().find(|(existing, _)| *existing == name).map(|(_, value)| value);
            match existing {
                _ if is_name(&name, "version") => {}
                Some(own) if is_name(&name, "_harproxy") => add_unknown(own, value),
                Some(existing) => *existing = value,
                None => log.push((name, value)),
            }
        }
        self.har.set_members(log, fixture.beside_log()?);
        Ok(self)
    }

    /// Sets the members outside the entries: those of `log`, including `_harproxy` for a fixture of harproxy, and the
    /// other top-level members.
    #[must_use]
    pub fn with_members(mut self, log: &Object, outside_log: &Object) -> Self {
        self.har.set_members(pieces::members(log), pieces::members(outside_log));
        self
    }

    /// Sets the layout of compact JSON for the following payloads.
    #[must_use]
    pub fn json_layout(mut self, layout: JsonLayout) -> Self {
        self.payloads.layout = layout;
        self
    }

    /// Stores a response payload. Streams it in attach mode.
    pub fn content(&mut self, source: PayloadSource<'_>) -> Result<Body, Error> {
        self.payloads.store(source, Message::Response, None)
    }

    /// Like [`FixtureWriter::content`], with the text to store instead of indented JSON, such as an edited layout of
    /// the same value.
    pub fn content_with_layout(&mut self, source: PayloadSource<'_>, text: &[u8]) -> Result<Body, Error> {
        self.payloads.store(source, Message::Response, Some(text))
    }

    /// Stores a request payload: small text in the entry, large or binary payloads in files.
    pub fn post_data(&mut self, source: PayloadSource<'_>) -> Result<Body, Error> {
        self.payloads.store(source, Message::Request, None)
    }

    /// Adds an entry at the end.
    pub fn entry(&mut self, entry: &Entry) -> Result<(), Error> {
        let node = canonical::entry(entry);
        self.har.entry(&node).map_err(Error::at(&self.path, "writing"))
    }

    /// Adds a changed entry of the fixture that is being replaced. Only the differences between the old entry and
    /// `new` are patched into its text.
    ///
    /// The request payload keeps its file name, and so does the response payload if `keeps_content`.
    pub fn replace(&mut self, fixture: &Fixture, entry: usize, new: &Entry, keeps_content: bool) -> Result<(), Error> {
        let old = fixture.entry(entry)?;
        let mut new = new.clone();
        let content = keeps_content.then_some(&mut new.response.content);
        for body in new.request.post_data.as_mut().into_iter().chain(content) {
            if let Storage::File(name) = &body.stored
                && !self.payloads.keep(name, || fixture.open_stored(entry, name))?
            {
                body.stored = self.payloads.adopt(&mut fixture.open_stored(entry, name)?, extension(name))?;
            }
        }
        let json = fixture.entry_json(entry)?;
        let text = String::from_utf8_lossy(&json).replace('\r', "");
        let print = |entry: &Entry| canonical::text(&canonical::entry(entry), 6);
        let (base, new) = (print(&old), print(&new));
        let node = |text| Node::parse(text, &CountAll);
        let text = match (node(&text), node(&base), node(&new)) {
            (Some(target), Some(before), Some(after)) => patch(&text, &target, &before, &new, &after),
            _ => new,
        };
        // Only a layout made by hand is kept: patches of the canonical one need not be canonical.
        let is_canonical = pieces::format_entry(&json).is_some_and(|canonical| canonical.as_bytes() == &*json);
        let text = match fixture.has_old_layout() || is_canonical {
            true => pieces::format_entry(text.as_bytes()).unwrap_or(text),
            false => text,
        };
        self.har.entry_text(text.as_bytes()).map_err(Error::at(&self.path, "writing"))
    }

    /// Adds an entry of an existing fixture with its payloads.
    ///
    /// If the fixture is the one that is being replaced and harproxy wrote it, the entry stays byte for byte, unless
    /// the fixture has layout 1. Other entries are written in canonical form with all unknown members.
    ///
    /// # Errors
    /// When the fixture has changed since it was opened, a payload is missing, or reading or writing fails.
    pub fn keep(&mut self, fixture: &Fixture, entry: usize) -> Result<(), Error> {
        let mut json = fixture.entry_json(entry)?;
        if fixture.is_own() && is_same_file(fixture.path(), &self.path) {
            let mut keeps_names = true;
            for file in payload_files(&json) {
                keeps_names &= self.payloads.keep(&file, || fixture.open_stored(entry, &file))?;
            }
            if keeps_names {
                // A CR outside of strings is a line end of git on Windows. In strings it is escaped.
                json.retain(|&byte| byte != b'\r');
                if let Some(text) = pieces::format_entry(&json).filter(|_| fixture.has_old_layout()) {
                    json = text.into_bytes();
                }
                return self.har.entry_text(&json).map_err(Error::at(&self.path, "writing"));
            }
        }
        self.format(fixture, entry)
    }

    /// Adds an entry of an existing fixture in canonical form, with payload files named after their bytes. Unknown
    /// members are kept.
    pub fn format(&mut self, fixture: &Fixture, entry: usize) -> Result<(), Error> {
        let json = fixture.entry_json(entry)?;
        let mut node = fixture.node(entry, &json)?;
        self.adopt_payloads(&mut node, fixture, entry)?;
        canonical::arrange(&mut node);
        self.har.entry(&node).map_err(Error::at(&self.path, "writing"))
    }

    /// Syncs and renames first the payloads, then the HAR or archive. Removes payload files of the old fixture that
    /// the new one does not use.
    ///
    /// # Errors
    /// When a write, sync or rename fails. The old fixture is then unchanged.
    pub fn finish(self) -> Result<WriteSummary, Error> {
        let entries = self.har.entries();
        let (path, har, mut payloads) = self.close()?;
        let bytes = match payloads.folder() {
            Some(folder) => {
                let old = publish::referenced(&path, &folder);
                publish::into_folder(&mut payloads)?;
                let bytes = publish::rename_into(har, &path)?;
                publish::remove_unused(old, &payloads);
                bytes
            }
            None => publish::rename_into(publish::into_archive(&har, &payloads, &path)?, &path)?,
        };
        Ok(WriteSummary { entries, payloads: payloads.names().len(), bytes })
    }

    /// Completes the temporary HAR.
    pub(crate) fn close(self) -> Result<(PathBuf, NamedTempFile, PayloadStore), Error> {
        let path = self.path;
        let failed = Error::at(&path, "writing");
        let har = self.har.finish().map_err(failed)?;
        let har = har.into_inner().map_err(|error| failed(error.into_error()))?;
        Ok((path, har, self.payloads))
    }

    /// Copies the payload files of an entry of another fixture.
    fn adopt_payloads(&mut self, node: &mut TextValue<'_>, fixture: &Fixture, entry: usize) -> Result<(), Error> {
        for file in canonical::files_mut(node) {
            let Some(name) = file.as_str().filter(|name| !name.is_empty()) else { continue };
            let stored = self.payloads.adopt(&mut fixture.open_stored(entry, &name)?, extension(&name))?;
            if let Storage::File(name) = stored {
                *file = TextValue::string(&name);
            }
        }
        Ok(())
    }
}

/// Removes the temporary files of killed writers of the fixture at `path`. Files of running writers stay.
pub fn sweep(path: &Path) {
    staging::sweep(path);
}

fn log_members(scope: &[String]) -> Vec<TextMember<'static>> {
    let member = |name, value| (quote(name).into(), TextValue::from(value));
    vec![
        member("version", "1.2".into()),
        member("creator", json!({ "name": "harproxy", "version": env!("CARGO_PKG_VERSION") })),
        member("_harproxy", json!({ "scope": scope })),
    ]
}

/// Copies the members of `_harproxy` that another version wrote.
fn add_unknown(own: &mut TextValue<'static>, other: TextValue<'static>) {
    if let (TextValue::Object(own), TextValue::Object(other)) = (own, other) {
        own.extend(
            other
                .into_iter()
                .filter(|(name, _)| !["format", "version", "scope"].iter().any(|known| is_name(name, known))),
        );
    }
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    a == b || matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}
