//! Reads `.zip` fixtures: one HAR at the root, and payloads that are unpacked on demand.
//!
//! Archives are untrusted. Names outside the root, links, duplicates, encryption and expansion beyond the limits are
//! refused before anything is unpacked.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tempfile::NamedTempFile;
use zip::ZipArchive;

use super::payload_path;
use crate::Error;
use harproxy_support::temp::TempFolder;

/// The largest expanded size of a fixture, bytes.
pub(crate) const MAX_EXPANDED: u64 = 16 << 30;
/// The largest compression ratio of members over [`FREE_EXPANDED`]. DEFLATE reaches about 1,030. [`FixtureWriter`]
/// stores members with a higher ratio uncompressed.
///
/// [`FixtureWriter`]: crate::FixtureWriter
const MAX_RATIO: u64 = 250;
/// The compression ratio is unlimited up to this expanded size, bytes.
pub(crate) const FREE_EXPANDED: u64 = 16 << 20;

/// Checks that an expansion of `packed` to `expanded` bytes is within the limits. The error is a reason for the user.
pub(crate) fn check_expansion(packed: u64, expanded: u64) -> Result<(), String> {
    if expanded > MAX_EXPANDED || (expanded > FREE_EXPANDED && expanded / MAX_RATIO > packed) {
        return Err(format!(
            "it expands from {packed} to {expanded} bytes or more, beyond the limit for recordings: not unpacked"
        ));
    }
    Ok(())
}

#[derive(Debug)]
pub(crate) struct Archive {
    zip: Mutex<ZipArchive<File>>,
    /// The temporary folder with the members that are too large for memory. Each member is unpacked once.
    unpacked: Mutex<Option<Arc<TempFolder>>>,
}

pub(crate) enum Member {
    /// A small member.
    Bytes(Vec<u8>),
    /// A large member, in a temporary file. The file is removed with the last reference to the folder.
    File(PathBuf, Arc<TempFolder>),
}

impl Archive {
    /// Opens an archive and checks all names and sizes. The error is a reason for the user.
    pub(crate) fn open(file: File) -> Result<Self, String> {
        let mut zip = ZipArchive::new(file).map_err(|error| format!("the archive can't be read: {error}"))?;
        if zip.has_duplicate_names() {
            return Err("the archive has two members of the same name".to_owned());
        }
        let mut total: u64 = 0;
        for index in 0..zip.len() {
            let member = zip.by_index_data(index).map_err(|error| format!("the archive can't be read: {error}"))?;
            let display_name = String::from_utf8_lossy(member.name_raw()).escape_debug().to_string();
            let safe = std::str::from_utf8(member.name_raw()).is_ok_and(|name| payload_path::parts(name).is_ok());
            if !safe {
                return Err(format!("archive member `{display_name}` has a name that leaves the archive's root"));
            }
            if member.is_symlink() {
                return Err(format!("archive member `{display_name}` is a link"));
            }
            if member.encrypted() {
                return Err(format!("archive member `{display_name}` is encrypted"));
            }
            check_expansion(member.compressed_size(), member.size())
                .map_err(|why| format!("archive member `{display_name}`: {why}"))?;
            total = total.saturating_add(member.size());
        }
        // `u64::MAX` passes the ratio check: only the total size is limited here.
        check_expansion(u64::MAX, total)?;
        if zip.has_overlapping_files().map_err(|error| format!("the archive can't be read: {error}"))? {
            return Err("members of the archive overlap".to_owned());
        }
        Ok(Archive { zip: Mutex::new(zip), unpacked: Mutex::default() })
    }

    /// The index of the HAR: `har.har`, else the only `.har` at the root.
    pub(crate) fn har(&self) -> Result<usize, String> {
        let zip = self.zip();
        if let Some(index) = zip.index_for_name("har.har") {
            return Ok(index);
        }
        let names = zip.file_names_raw().enumerate();
        let hars: Vec<_> = names.filter(|(_, name)| name.ends_with(b".har") && !name.contains(&b'/')).collect();
        match hars[..] {
            [(index, _)] => Ok(index),
            [] => Err("the archive has no `.har` at its root".to_owned()),
            _ => Err("the archive has several `.har` at its root, but no `har.har`".to_owned()),
        }
    }

    /// The names of all members except the HAR and folders.
    pub(crate) fn payloads(&self) -> Vec<String> {
        let har = self.har().ok();
        let zip = self.zip();
        let names = zip.file_names_raw().enumerate().filter(|(index, _)| Some(*index) != har);
        let names = names.map(|(_, name)| String::from_utf8_lossy(name).into_owned());
        names.filter(|name| !name.ends_with('/')).collect()
    }

    fn zip(&self) -> MutexGuard<'_, ZipArchive<File>> {
        self.zip.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The index of the member with the name in `_file`. Names are compared literally: `./a` is not `a`.
    pub(crate) fn find(&self, name: &str) -> Result<usize, String> {
        payload_path::parts(name)?;
        self.zip().index_for_name(name).ok_or_else(|| format!("`_file` `{name}` is not in the archive"))
    }

    /// Reads a member of up to `in_memory` bytes into memory, and unpacks a larger one into a temporary file.
    pub(crate) fn member(&self, index: usize, in_memory: u64) -> io::Result<Member> {
        let size = self.zip().by_index_data(index).map_or(0, |member| member.size());
        if size <= in_memory {
            return self.read(index, |member| {
                let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
                member.read_to_end(&mut bytes)?;
                Ok(Member::Bytes(bytes))
            });
        }
        let mut unpacked = self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = match &mut *unpacked {
            Some(folder) => folder.clone(),
            none => none.insert(Arc::new(TempFolder::create()?)).clone(),
        };
        let path = folder.path().join(index.to_string());
        if !path.exists() {
            let mut file = NamedTempFile::new_in(folder.path())?;
            self.read(index, |member| io::copy(member, &mut file))?;
            file.persist(&path)?;
        }
        Ok(Member::File(path, folder))
    }

    /// Opens a member with random access.
    pub(crate) fn open_member(&self, index: usize) -> io::Result<Box<dyn ReadSeek>> {
        Ok(match self.member(index, super::payload::IN_MEMORY)? {
            Member::Bytes(bytes) => Box::new(io::Cursor::new(bytes)),
            Member::File(path, _) => Box::new(File::open(path)?),
        })
    }

    /// Passes a reader of a member to `consume`. The reader fails beyond the size in the central directory.
    pub(crate) fn read<T>(&self, index: usize, consume: impl FnOnce(&mut dyn Read) -> io::Result<T>) -> io::Result<T> {
        let mut zip = self.zip();
        let member = zip.by_index(index).map_err(io::Error::other)?;
        let left = member.size();
        consume(&mut SizeLimitedReader { read: member, left })
    }
}

/// A reader that fails if the source has more than `left` bytes.
pub(crate) struct SizeLimitedReader<R> {
    pub(crate) read: R,
    pub(crate) left: u64,
}

impl<R: Read> Read for SizeLimitedReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.read.read(buf)?;
        let Some(left) = self.left.checked_sub(n as u64) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it expands to more than its header declares, or beyond the limit",
            ));
        };
        self.left = left;
        Ok(n)
    }
}

/// Supertrait of `Read` and `Seek`, for trait objects.
pub(crate) trait ReadSeek: Read + Seek {}

impl<T: Read + Seek> ReadSeek for T {}

/// The error for a file that cannot be read as a fixture.
pub(crate) fn unreadable(path: &Path, reason: String) -> Error {
    Error::Malformed { path: path.to_owned(), line: None, reason }
}
