//! Reading a `.zip` fixture: one HAR at its root and payloads beside it, by name, on demand.
//!
//! An archive may come from a stranger: names that leave the root, links, duplicates, encryption and what expands beyond
//! the ceilings are refused before anything is unpacked.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use zip::ZipArchive;
use zip::read::ZipFile;

use super::sidecar;
use super::store::read_file_at;
use harproxy_support::temp::TempFolder;

/// No fixture expands beyond this, bytes.
pub(super) const MAX_EXPANDED: u64 = 16 << 30;
/// Nor by more than this factor, once it is larger than [`FREE_EXPANDED`]. DEFLATE itself ends at about 1,030; our own
/// archives keep what would shrink as far as that uncompressed.
const MAX_RATIO: u64 = 250;
pub(super) const FREE_EXPANDED: u64 = 16 << 20;

/// Whether so many bytes may come out of so many.
pub(super) fn may_expand(packed: u64, expanded: u64) -> Result<(), String> {
    if expanded > MAX_EXPANDED || (expanded > FREE_EXPANDED && expanded / MAX_RATIO > packed) {
        return Err(format!(
            "it expands from {packed} to {expanded} bytes or more: no recording does that, and it is not unpacked"
        ));
    }
    Ok(())
}

/// An opened archive.
#[derive(Debug)]
pub(super) struct Archive {
    zip: ZipArchive<Shared>,
    /// Members too large to be handed over in memory, unpacked once.
    unpacked: Mutex<Unpacked>,
}

#[derive(Debug, Default)]
struct Unpacked {
    folder: Option<Arc<TempFolder>>,
    members: HashMap<usize, PathBuf>,
}

/// What a member turned out to be.
pub(super) enum Member {
    /// A small one, whole.
    Bytes(Vec<u8>),
    /// A large one, in a temporary file that lives as long as the folder.
    File(PathBuf, Arc<TempFolder>),
}

impl Archive {
    /// Opens an archive and looks at every name and size in it; `Err` says what is wrong with it.
    pub(super) fn open(file: File) -> Result<Self, String> {
        let mut zip =
            ZipArchive::new(Shared::new(file)).map_err(|error| format!("the archive can't be read: {error}"))?;
        if zip.has_duplicate_names() {
            return Err("the archive holds two members of the same name".to_owned());
        }
        let mut total: u64 = 0;
        for index in 0..zip.len() {
            let member = zip.by_index_data(index).map_err(|error| format!("the archive can't be read: {error}"))?;
            let shown = String::from_utf8_lossy(member.name_raw()).escape_debug().to_string();
            let safe = std::str::from_utf8(member.name_raw()).is_ok_and(|name| sidecar::parts(name).is_ok());
            if !safe {
                return Err(format!("archive member `{shown}` has a name that leaves the archive's root"));
            }
            if member.is_symlink() {
                return Err(format!("archive member `{shown}` is a link"));
            }
            if member.encrypted() {
                return Err(format!("archive member `{shown}` is encrypted"));
            }
            may_expand(member.compressed_size(), member.size())
                .map_err(|why| format!("archive member `{shown}`: {why}"))?;
            total = total.saturating_add(member.size());
        }
        may_expand(u64::MAX, total)?;
        if zip.has_overlapping_files().map_err(|error| format!("the archive can't be read: {error}"))? {
            return Err("members of the archive overlap".to_owned());
        }
        Ok(Archive { zip, unpacked: Mutex::default() })
    }

    /// The HAR: `har.har`, else the only `.har` at the root.
    pub(super) fn har(&self) -> Result<usize, String> {
        if let Some(index) = self.zip.index_for_name("har.har") {
            return Ok(index);
        }
        let names = self.zip.file_names_raw().enumerate();
        let hars: Vec<_> = names.filter(|(_, name)| name.ends_with(b".har") && !name.contains(&b'/')).collect();
        match hars[..] {
            [(index, _)] => Ok(index),
            [] => Err("the archive holds no `.har` at its root".to_owned()),
            _ => Err("the archive holds several `.har` at its root and none is `har.har`".to_owned()),
        }
    }

    /// The names of all members but the HAR and folders.
    pub(super) fn payloads(&self) -> Vec<String> {
        let har = self.har().ok();
        let names = self.zip.file_names_raw().enumerate().filter(|(index, _)| Some(*index) != har);
        let names = names.map(|(_, name)| String::from_utf8_lossy(name).into_owned());
        names.filter(|name| !name.ends_with('/')).collect()
    }

    /// Compressed and expanded size of a member, as the directory says.
    pub(super) fn sizes(&self, index: usize) -> (u64, u64) {
        self.zip.by_index_data(index).map_or((0, 0), |member| (member.compressed_size(), member.size()))
    }

    /// The place of the member that a `_file` names: members have names, not paths, so `./a` is not `a`.
    pub(super) fn find(&self, name: &str) -> Result<usize, String> {
        sidecar::parts(name)?;
        self.zip.index_for_name(name).ok_or_else(|| format!("`_file` `{name}` is not in the archive"))
    }

    /// A member, up to `in_memory` bytes whole, else unpacked into a temporary file.
    pub(super) fn member(&self, index: usize, in_memory: u64) -> io::Result<Member> {
        let (_, size) = self.sizes(index);
        if size <= in_memory {
            return self.read(index, |member| {
                let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
                member.read_to_end(&mut bytes)?;
                Ok(Member::Bytes(bytes))
            });
        }
        let mut unpacked = self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = match &unpacked.folder {
            Some(folder) => folder.clone(),
            None => {
                let folder = Arc::new(TempFolder::create()?);
                unpacked.folder.insert(folder).clone()
            }
        };
        if let Some(path) = unpacked.members.get(&index) {
            return Ok(Member::File(path.clone(), folder));
        }
        let path = folder.path().join(index.to_string());
        let mut file = File::create(&path)?;
        self.read(index, |member| io::copy(member, &mut file))?;
        unpacked.members.insert(index, path.clone());
        Ok(Member::File(path, folder))
    }

    /// Lets `use_it` read a member, which ends where the directory says.
    pub(super) fn read<T>(&self, index: usize, use_it: impl FnOnce(&mut dyn Read) -> io::Result<T>) -> io::Result<T> {
        let (_, size) = self.sizes(index);
        // A clone shares the directory and has a position of its own.
        let mut zip = self.zip.clone();
        let member: ZipFile<'_, Shared> = zip.by_index(index).map_err(io::Error::other)?;
        use_it(&mut Ceiling { read: member, left: size })
    }
}

/// Ends in an error when there is more than was said.
pub(super) struct Ceiling<R> {
    pub(super) read: R,
    pub(super) left: u64,
}

impl<R: Read> Read for Ceiling<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.read.read(buf)?;
        let Some(left) = self.left.checked_sub(n as u64) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it expands to more than it says, or than is sane"));
        };
        self.left = left;
        Ok(n)
    }
}

/// A file that many readers share, each with its own position.
#[derive(Clone, Debug)]
struct Shared {
    file: Arc<File>,
    at: u64,
}

impl Shared {
    fn new(file: File) -> Self {
        Shared { file: Arc::new(file), at: 0 }
    }
}

impl Read for Shared {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = read_file_at(&self.file, self.at, buf)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Shared {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.file.metadata()?.len().checked_add_signed(by),
        };
        self.at = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// A member of an archive that is being opened as a fixture.
pub(super) fn unreadable(path: &Path, reason: String) -> super::Error {
    super::Error::Malformed { path: path.to_owned(), line: None, reason }
}
