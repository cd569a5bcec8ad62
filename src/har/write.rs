//! Writing a fixture in canonical form: payloads first, then the HAR (or the archive) by atomic rename.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use tempfile::NamedTempFile;

use super::deposit::{self, Deposit, Place, Side};
use super::{Entry, Error, canonical, model};

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
    parent: PathBuf,
    content: ContentMode,
    layout: JsonLayout,
    log: Map<String, Value>,
    har: BufWriter<NamedTempFile>,
    entries: usize,
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
        let har = temp_file(&parent).map_err(io("creating a file in"))?;
        Ok(FixtureWriter {
            path: path.to_owned(),
            deposit: Deposit::new(&parent, folder),
            parent,
            content,
            layout: JsonLayout::default(),
            log: log_members(scope),
            har: BufWriter::with_capacity(256 * 1024, har),
            entries: 0,
        })
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
        self.deposit.store(source, Side::Response, self.content, self.layout)
    }

    /// Stores a request payload: small text inside the entry, large or binary ones attached.
    ///
    /// # Errors
    /// When reading or writing fails.
    pub fn post_data(&mut self, source: PayloadSource<'_>) -> Result<model::Body, Error> {
        self.deposit.store(source, Side::Request, self.content, self.layout)
    }

    /// Adds an entry at the end.
    ///
    /// # Errors
    /// When writing fails.
    pub fn entry(&mut self, entry: &Entry) -> Result<(), Error> {
        let text = indented(&canonical::print(&canonical::entry(entry)), 6);
        self.put(&text)
    }

    /// Adds an entry of an existing fixture (the one at this path, when it is recorded again) as it stands, byte for byte,
    /// and its payloads with it. How a recording that changed nothing changes no byte.
    ///
    /// # Errors
    /// When the fixture changed under us, or reading or writing fails.
    pub fn keep(&mut self, fixture: &super::Fixture, entry: usize) -> Result<(), Error> {
        let _ = (fixture, entry);
        todo!("har")
    }

    /// Puts payloads, then the HAR, in place: synced, renamed atomically; payload files that the old fixture referenced
    /// and the new one does not are removed afterwards.
    ///
    /// # Errors
    /// When a write, sync or rename fails; the old fixture is then still whole.
    pub fn finish(mut self) -> Result<Written, Error> {
        if self.entries == 0 {
            let head = self.head();
            self.write(&head)?;
        }
        let end = if self.entries == 0 { "]\n  }\n}\n" } else { "\n    ]\n  }\n}\n" };
        self.write(end)?;
        self.place_payloads()?;
        let written = self.entries;
        let payloads = self.deposit.names().len();
        let (path, parent) = (self.path.clone(), self.parent.clone());
        let io = |doing| {
            let path = path.clone();
            move |source| Error::Io { doing, path, source }
        };
        let har = self.har.into_inner().map_err(|error| io("writing")(error.into_error()))?;
        har.as_file().sync_all().map_err(io("syncing"))?;
        let bytes = har.as_file().metadata().map_err(io("writing"))?.len();
        if !is_same(har.path(), &path) {
            har.persist(&path).map_err(|error| io("renaming into")(error.error))?;
            sync_folder(&parent).map_err(io("syncing the folder of"))?;
        }
        Ok(Written { entries: written, payloads, bytes })
    }

    fn place_payloads(&self) -> Result<(), Error> {
        let Some(folder) = self.deposit.folder() else { return Ok(()) };
        let staged = self.deposit.names().iter().filter(|(_, place)| **place == Place::Staged);
        let staged: Vec<_> = staged.map(|(name, _)| name).collect();
        if staged.is_empty() {
            return Ok(());
        }
        let io = |path: &Path, doing| {
            let path = path.to_owned();
            move |source| Error::Io { doing, path, source }
        };
        fs::create_dir_all(&folder).map_err(io(&folder, "creating"))?;
        for name in staged {
            let Some(from) = self.deposit.staged(name) else { continue };
            let to = folder.join(name);
            File::open(&from).and_then(|file| file.sync_all()).map_err(io(&to, "syncing"))?;
            fs::rename(&from, &to).map_err(io(&to, "renaming into"))?;
        }
        sync_folder(&folder).map_err(io(&folder, "syncing"))
    }

    /// Adds the text of an entry, indented as it stands in the list.
    fn put(&mut self, text: &str) -> Result<(), Error> {
        let before = if self.entries == 0 { self.head() } else { ",".to_owned() };
        self.write(&before)?;
        self.write("\n      ")?;
        self.write(text)?;
        self.entries += 1;
        Ok(())
    }

    fn write(&mut self, text: &str) -> Result<(), Error> {
        self.har.write_all(text.as_bytes()).map_err(|source| Error::Io {
            doing: "writing",
            path: self.path.clone(),
            source,
        })
    }

    /// All that stands before the first entry.
    fn head(&self) -> String {
        let mut head = "{\n  \"log\": {\n".to_owned();
        for (name, value) in &self.log {
            head += &format!("    {}: {},\n", Value::from(&**name), indented(&canonical::print(value), 4));
        }
        head + "    \"entries\": ["
    }
}

/// The version of the fixture format that `log._harproxy.format` carries.
const FORMAT: u32 = 1;

fn log_members(scope: &[String]) -> Map<String, Value> {
    let mut log = Map::new();
    log.insert("version".to_owned(), "1.2".into());
    log.insert("creator".to_owned(), json!({ "name": "harproxy", "version": env!("CARGO_PKG_VERSION") }));
    log.insert("_harproxy".to_owned(), json!({ "format": FORMAT, "scope": scope }));
    log
}

/// Puts `depth` spaces behind every line break; strings have none.
fn indented(text: &str, depth: usize) -> String {
    text.replace('\n', &format!("\n{:depth$}", ""))
}

/// Whether a path is that of an archive.
pub(super) fn is_zip(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zip"))
}

/// The name of the payload folder beside a HAR: `api` for `api.har`.
fn payload_folder(path: &Path) -> Result<String, Error> {
    let unusable = |reason: &str| Error::Malformed { path: path.to_owned(), line: None, reason: reason.to_owned() };
    let stem = path.file_stem().ok_or_else(|| unusable("it names no file"))?;
    let stem = stem.to_str().ok_or_else(|| unusable("its name is not UTF-8, which `_file` members need"))?;
    Ok(if path.extension().is_some() { stem.to_owned() } else { format!("{stem}-payloads") })
}

/// A file that is renamed into place later: readable like any other the user makes.
fn temp_file(folder: &Path) -> std::io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".harproxy-").suffix(".part");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

fn is_same(new: &Path, old: &Path) -> bool {
    let open = |path| File::open(path).map(BufReader::new);
    let same_len = fs::metadata(new).ok().map(|m| m.len()) == fs::metadata(old).ok().map(|m| m.len());
    let same_bytes = || deposit::same(open(new)?, open(old)?);
    same_len && same_bytes().unwrap_or(false)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Folders can't be opened for syncing here; the rename itself is journalled by the file system.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> std::io::Result<()> {
    Ok(())
}
