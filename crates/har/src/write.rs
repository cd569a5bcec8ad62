//! Writing a fixture in canonical form: payloads first, then the HAR (or the archive) by atomic rename.

use std::fs;
use std::io::{self, BufWriter, Read};
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::NamedTempFile;

use super::deposit::{Deposit, Side};
use super::pieces::{self, Object};
use super::text::HarText;
use super::{Entry, Error, Fixture, canonical, model, place, sidecar, staging};
use harproxy_json::text::{is_name, quote};
use harproxy_json::{CountAll, Node, TextMember, TextValue, patch};

/// Where payloads go (`--content`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentMode {
    /// Files beside the HAR, or members of the archive.
    #[default]
    Attach,
    /// Inside the HAR.
    Embed,
    /// Dropped; only sizes stay.
    Omit,
}

/// How compact JSON payloads are attached (`--json-layout`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JsonLayout {
    /// One member a line; replay sends them compact again.
    #[default]
    Indent,
    /// As they came.
    Wire,
}

/// What to write a payload from: the decoded bytes and what is known about them.
pub struct PayloadSource<'a> {
    /// The decoded bytes.
    pub read: &'a mut dyn Read,
    /// `Content-Type` as received, or empty.
    pub mime_type: &'a str,
    /// Set when `read` yields bytes that could not be decoded as their coding says.
    pub encoded: bool,
    /// Set when the payload was cut.
    pub truncated: Option<model::Truncated>,
}

/// A fixture being written. Nothing under the final name changes before [`FixtureWriter::finish`]; dropped before, it
/// leaves nothing behind.
#[derive(Debug)]
pub struct FixtureWriter {
    path: PathBuf,
    content: ContentMode,
    layout: JsonLayout,
    har: HarText<BufWriter<NamedTempFile>>,
    deposit: Deposit,
}

/// What a finished fixture consists of.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// Entries in it.
    pub entries: usize,
    /// Payload files (or archive members) in it.
    pub payloads: usize,
    /// Bytes of the HAR or archive.
    pub bytes: u64,
}

impl FixtureWriter {
    /// Starts a fixture at `path` (`.zip` by its ending, else a HAR with a payload folder beside it).
    ///
    /// # Errors
    /// When the folder cannot be created or written.
    pub fn create(path: &Path, content: ContentMode, scope: &[String]) -> Result<Self, Error> {
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let io = |doing| {
            let parent = parent.clone();
            move |source| Error::Io { doing, path: parent, source }
        };
        fs::create_dir_all(&parent).map_err(io("creating"))?;
        let folder = if is_zip(path) { None } else { Some(payload_folder(path)?) };
        let har = staging::file(path).map_err(io("creating a file in"))?;
        Ok(FixtureWriter {
            path: path.to_owned(),
            deposit: Deposit::new(&parent, path, folder),
            content,
            layout: JsonLayout::default(),
            har: HarText::new(BufWriter::with_capacity(256 * 1024, har), log_members(scope)),
        })
    }

    /// Carries over what a fixture says beside its entries: its creator, pages, comments, members of other tools.
    ///
    /// # Errors
    /// When the fixture changed under us.
    pub fn based_on(mut self, fixture: &Fixture) -> Result<Self, Error> {
        let mut log = self.har.log().to_vec();
        for (name, value) in fixture.log()? {
            let ours = log.iter_mut().find(|(ours, _)| *ours == name).map(|(_, ours)| ours);
            match ours {
                _ if is_name(&name, "version") => {}
                Some(ours) if is_name(&name, "_harproxy") => add_unknown(ours, value),
                Some(ours) => *ours = value,
                None => log.push((name, value)),
            }
        }
        self.har.surround(log, fixture.beside_log()?);
        Ok(self)
    }

    /// What stands around the entries: the members of `log`, `_harproxy` among them if it is to be harproxy's own, and those
    /// beside it.
    #[must_use]
    pub fn saying(mut self, log: &Object, beside: &Object) -> Self {
        self.har.surround(pieces::members(log), pieces::members(beside));
        self
    }

    /// How compact JSON is stored from here on.
    #[must_use]
    pub fn json_layout(mut self, layout: JsonLayout) -> Self {
        self.layout = layout;
        self
    }

    /// Stores a response payload by streaming; memory stays bounded in attach mode.
    ///
    /// # Errors
    /// When reading or writing fails.
    pub fn content(&mut self, source: PayloadSource<'_>) -> Result<model::Body, Error> {
        self.deposit.store(source, Side::Response, self.content, self.layout, None)
    }

    /// The same; `laid_out` is the payload in a layout of someone's own, as which compact JSON is attached instead of being
    /// indented.
    ///
    /// # Errors
    /// When reading or writing fails.
    pub fn content_laid_out(&mut self, source: PayloadSource<'_>, laid_out: &[u8]) -> Result<model::Body, Error> {
        self.deposit.store(source, Side::Response, self.content, self.layout, Some(laid_out))
    }

    /// Stores a request payload: small text inside the entry, large or binary ones attached.
    ///
    /// # Errors
    /// When reading or writing fails.
    pub fn post_data(&mut self, source: PayloadSource<'_>) -> Result<model::Body, Error> {
        self.deposit.store(source, Side::Request, self.content, self.layout, None)
    }

    /// Adds an entry at the end.
    ///
    /// # Errors
    /// When writing fails.
    pub fn entry(&mut self, entry: &Entry) -> Result<(), Error> {
        let node = canonical::entry(entry);
        self.har.entry(&node).map_err(|source| self.unwritable(source))
    }

    /// Adds what an entry of the fixture that is being replaced has become: its text with only that changed which differs
    /// between what it said and `new`. The request is the old one's, and so is the response's payload where `keeps_content`
    /// says so: their files stay under their names.
    ///
    /// # Errors
    /// As for [`FixtureWriter::keep`].
    pub fn replace(&mut self, fixture: &Fixture, entry: usize, new: &Entry, keeps_content: bool) -> Result<(), Error> {
        let old = fixture.entry(entry)?;
        let mut new = new.clone();
        let content = keeps_content.then_some(&mut new.response.content);
        for body in new.request.post_data.as_mut().into_iter().chain(content) {
            if let model::Stored::File(name) = &body.stored
                && !self.deposit.keep(name, || fixture.stored(entry, name))?
            {
                body.stored = self.deposit.adopt(&mut fixture.stored(entry, name)?, sidecar::ending(name))?;
            }
        }
        let json = fixture.entry_json(entry)?;
        let text = String::from_utf8_lossy(&json).replace('\r', "");
        let print = |entry: &Entry| canonical::entry(entry).indented(6);
        let (base, new) = (print(&old), print(&new));
        let node = |text| Node::parse(text, &CountAll);
        let text = match (node(&text), node(&base), node(&new)) {
            (Some(ours), Some(before), Some(theirs)) => patch(&text, &ours, &before, &new, &theirs),
            _ => new,
        };
        self.har.entry_text(text.as_bytes()).map_err(|source| self.unwritable(source))
    }

    /// Adds an entry of an existing fixture, its payloads with it. An entry of the fixture of harproxy's own that is being
    /// replaced stays byte for byte: how a recording that changed nothing changes no byte. Others are put in canonical
    /// form; members that harproxy does not know survive.
    ///
    /// # Errors
    /// When the fixture changed under us, a payload is missing, or reading or writing fails.
    pub fn keep(&mut self, fixture: &Fixture, entry: usize) -> Result<(), Error> {
        let mut json = fixture.entry_json(entry)?;
        if fixture.is_own() && is_same_file(fixture.path(), &self.path) {
            let mut stays = true;
            for file in place::files_of(&json) {
                stays &= self.deposit.keep(&file, || fixture.stored(entry, &file))?;
            }
            if stays {
                // Outside strings, where it is escaped, a CR is only git's line end on Windows.
                json.retain(|&byte| byte != b'\r');
                return self.har.entry_text(&json).map_err(|source| self.unwritable(source));
            }
        }
        self.format(fixture, entry)
    }

    /// Adds an entry of an existing fixture in canonical form, its payload files under the names that their bytes deserve;
    /// members that harproxy does not know survive.
    ///
    /// # Errors
    /// As for [`FixtureWriter::keep`].
    pub fn format(&mut self, fixture: &Fixture, entry: usize) -> Result<(), Error> {
        let json = fixture.entry_json(entry)?;
        let mut node = fixture.node(entry, &json)?;
        self.adopt_payloads(&mut node, fixture, entry)?;
        canonical::arrange(&mut node);
        self.har.entry(&node).map_err(|source| self.unwritable(source))
    }

    /// Puts payloads, then the HAR, in place: synced, renamed atomically; payload files that the old fixture referenced
    /// and the new one does not are removed afterwards.
    ///
    /// # Errors
    /// When a write, sync or rename fails; the old fixture is then still whole.
    pub fn finish(self) -> Result<Written, Error> {
        let entries = self.har.entries();
        let (path, har, mut deposit) = self.close()?;
        let bytes = match deposit.folder() {
            Some(folder) => {
                let old = place::referenced(&path, &folder);
                place::into_folder(&mut deposit)?;
                let bytes = place::rename_into(har, &path)?;
                place::remove_unused(old, &deposit);
                bytes
            }
            None => place::rename_into(place::into_archive(&har, &deposit, &path)?, &path)?,
        };
        Ok(Written { entries, payloads: deposit.names().len(), bytes })
    }

    /// Ends the HAR. Everything is staged now.
    pub(super) fn close(self) -> Result<(PathBuf, NamedTempFile, Deposit), Error> {
        let path = self.path;
        let writing = |source| Error::Io { doing: "writing", path: path.clone(), source };
        let har = self.har.finish().map_err(writing)?;
        let har = har.into_inner().map_err(|error| writing(error.into_error()))?;
        Ok((path, har, self.deposit))
    }

    /// Brings the payload files of an entry from elsewhere under names of this fixture.
    fn adopt_payloads(&mut self, node: &mut TextValue<'_>, fixture: &Fixture, entry: usize) -> Result<(), Error> {
        for file in canonical::files_mut(node) {
            let Some(name) = file.as_str().filter(|name| !name.is_empty()) else { continue };
            let stored = self.deposit.adopt(&mut fixture.stored(entry, &name)?, sidecar::ending(&name))?;
            if let model::Stored::File(name) = stored {
                *file = TextValue::string(&name);
            }
        }
        Ok(())
    }

    fn unwritable(&self, source: io::Error) -> Error {
        Error::Io { doing: "writing", path: self.path.clone(), source }
    }
}

/// A file beside the fixture at `path`, for its user alone, that goes when it is dropped, or by [`sweep`].
///
/// # Errors
/// When the folder can't be written.
pub fn beside(path: &Path) -> io::Result<tempfile::NamedTempFile> {
    staging::private_file(path)
}

/// Removes what writers of the fixture at `path` left beside it when they were killed. What one is at work on stays.
pub fn sweep(path: &Path) {
    staging::sweep(path);
}

/// The version of the fixture format that `log._harproxy.format` carries.
pub const FORMAT: u64 = 1;

fn log_members(scope: &[String]) -> Vec<TextMember<'static>> {
    let member = |name, value| (quote(name).into(), TextValue::from(value));
    vec![
        member("version", "1.2".into()),
        member("creator", json!({ "name": "harproxy", "version": env!("CARGO_PKG_VERSION") })),
        member("_harproxy", json!({ "format": FORMAT, "scope": scope })),
    ]
}

/// Carries over what another version of harproxy said of a fixture.
fn add_unknown(ours: &mut TextValue<'static>, theirs: TextValue<'static>) {
    if let (TextValue::Object(ours), TextValue::Object(theirs)) = (ours, theirs) {
        ours.extend(
            theirs.into_iter().filter(|(name, _)| !["format", "scope"].iter().any(|known| is_name(name, known))),
        );
    }
}

/// Whether a path is that of an archive.
#[must_use]
pub fn is_zip(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zip"))
}

/// The name of the payload folder beside a HAR: `api` for `api.har`.
pub(super) fn payload_folder(path: &Path) -> Result<String, Error> {
    let unusable = |reason: &str| Error::Malformed { path: path.to_owned(), line: None, reason: reason.to_owned() };
    let stem = path.file_stem().ok_or_else(|| unusable("it names no file"))?;
    let stem = stem.to_str().ok_or_else(|| unusable("its name is not UTF-8, which `_file` members need"))?;
    Ok(if path.extension().is_some() { stem.to_owned() } else { format!("{stem}-payloads") })
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    a == b || matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}
