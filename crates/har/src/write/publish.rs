//! Publishes a staged fixture: syncs and renames its files in an order that leaves the old or the new fixture after a
//! crash.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::payload_store::{FileState, PayloadStore};
use crate::Error;
use crate::read::Fixture;
use crate::store::archive::{FREE_EXPANDED, ReadSeek, check_expansion};
use crate::store::{digest, payload_path, staging};

/// More new files than this are synced by one `syncfs` call, on Linux.
const SYNC_ONE_BY_ONE: usize = 128;

/// Moves the staged payloads into the payload folder.
pub(crate) fn into_folder(payloads: &mut PayloadStore) -> Result<(), Error> {
    let Some(folder) = payloads.folder() else { return Ok(()) };
    let staged = payloads.names().iter().filter(|(_, place)| **place == FileState::Staged);
    let staged: Vec<String> = staged.map(|(name, _)| name.clone()).collect();
    if staged.is_empty() {
        return Ok(());
    }
    sync_staged(payloads)?;
    if !folder.exists() {
        // First recording: the staging folder becomes the payload folder.
        if let Some(staging) = payloads.take_staging() {
            if fs::rename(&staging, &folder).is_ok() {
                return sync_parent(&folder);
            }
            let _ = fs::create_dir(&folder);
            move_all(&staging, &folder, &staged)?;
            let _ = fs::remove_dir(&staging);
        }
    } else if let Some(staging) = payloads.staged("") {
        move_all(&staging, &folder, &staged)?;
    }
    sync_folder(&folder).map_err(Error::at(&folder, "syncing"))?;
    sync_parent(&folder)
}

/// Syncs the staged payloads, and removes temporary files of payloads that the fixture already had.
pub(crate) fn sync_staged(payloads: &PayloadStore) -> Result<(), Error> {
    let staged = payloads.names().iter().filter(|(_, place)| **place == FileState::Staged);
    let staged: Vec<PathBuf> = staged.filter_map(|(name, _)| payloads.staged(name)).collect();
    if let Some(first) = staged.first().cloned() {
        sync_files(staged).map_err(Error::at(&first, "syncing"))?;
    }
    for part in [".part", ".indented"] {
        let _ = payloads.staged(part).map(fs::remove_file);
    }
    Ok(())
}

fn move_all(from: &Path, to: &Path, names: &[String]) -> Result<(), Error> {
    names.iter().try_for_each(|name| {
        let target = to.join(name);
        fs::rename(from.join(name), &target).map_err(Error::at(&target, "renaming into"))
    })
}

/// Builds the archive of a fixture that is being written.
pub(crate) fn into_archive(har: &NamedTempFile, payloads: &PayloadStore, path: &Path) -> Result<NamedTempFile, Error> {
    let failed = Error::at(path, "writing");
    let mut har = har.reopen().map_err(failed)?;
    let staged = payloads.names().keys().map(|name| {
        let path = payloads.staged(name).unwrap_or_default();
        let file = File::open(&path).map_err(Error::at(&path, "reading"))?;
        Ok((name.clone(), Box::new(file) as Box<dyn ReadSeek>))
    });
    archive(path, staging::file(path).map_err(failed)?, &mut har, staged)
}

/// Writes an archive into `out`, to be renamed to `path`: first the HAR, then the payloads in the given order.
///
/// The archive is reproducible: no times, users or platforms.
pub(crate) fn archive(
    path: &Path,
    out: NamedTempFile,
    har: &mut dyn ReadSeek,
    payloads: impl Iterator<Item = Result<(String, Box<dyn ReadSeek>), Error>>,
) -> Result<NamedTempFile, Error> {
    let failed = Error::at(path, "writing");
    let mut zip = ZipWriter::new(BufWriter::with_capacity(256 * 1024, out));
    add(&mut zip, "har.har", har).map_err(failed)?;
    for payload in payloads {
        let (name, mut bytes) = payload?;
        add(&mut zip, &name, &mut bytes).map_err(failed)?;
    }
    let out = zip.finish().map_err(|error| failed(io::Error::other(error)))?;
    out.into_inner().map_err(|error| failed(error.into_error()))
}

fn add<W: Write + Seek>(zip: &mut ZipWriter<W>, name: &str, mut bytes: &mut dyn ReadSeek) -> io::Result<()> {
    let len = bytes.seek(io::SeekFrom::End(0))?;
    bytes.rewind()?;
    let options = SimpleFileOptions::default()
        .compression_method(if may_be_deflated(bytes, len)? {
            CompressionMethod::Deflated
        } else {
            CompressionMethod::Stored
        })
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(0o644)
        .large_file(len >= u64::from(u32::MAX));
    zip.start_file(name, options).map_err(io::Error::other)?;
    io::copy(&mut bytes, zip).map(drop)
}

/// True if the compression ratio is below the limit of the reader, which a long run of one byte exceeds.
fn may_be_deflated(mut bytes: &mut dyn ReadSeek, len: u64) -> io::Result<bool> {
    if len <= FREE_EXPANDED {
        return Ok(true);
    }
    let mut deflated = flate2::read::DeflateEncoder::new(&mut bytes, flate2::Compression::new(6));
    let packed = io::copy(&mut deflated, &mut io::sink())?;
    bytes.rewind()?;
    Ok(check_expansion(packed, len + len / 4).is_ok())
}

/// Renames a complete file to `path`. An existing file with the same bytes stays unchanged.
pub(crate) fn rename_into(new: NamedTempFile, path: &Path) -> Result<u64, Error> {
    new.as_file().sync_all().map_err(Error::at(path, "syncing"))?;
    let len = new.as_file().metadata().map_err(Error::at(path, "writing"))?.len();
    if !is_same_file(new.path(), path) {
        new.persist(path).map_err(|error| Error::at(path, "renaming into")(error.error))?;
        sync_parent(path)?;
    }
    Ok(len)
}

/// The payload files in `folder` that the existing fixture at `path` uses. Only names that harproxy gives, and only if
/// harproxy wrote the fixture.
pub(crate) fn referenced(path: &Path, folder: &Path) -> BTreeSet<String> {
    let Some(Ok(old)) = path.exists().then(|| Fixture::open(path)) else { return BTreeSet::new() };
    let Some(folder) = folder.file_name().and_then(|name| name.to_str()).filter(|_| old.is_own()) else {
        return BTreeSet::new();
    };
    let own = old
        .payload_names()
        .into_keys()
        .filter_map(|file| Some(file.strip_prefix(folder)?.strip_prefix('/')?.to_owned()));
    own.filter(|name| payload_path::is_own_name(name)).collect()
}

/// Removes payload files that the new fixture does not use. Ignores errors, because unused files are harmless.
pub(crate) fn remove_unused(old: BTreeSet<String>, payloads: &PayloadStore) {
    let Some(folder) = payloads.folder() else { return };
    for name in old.iter().filter(|name| !payloads.names().contains_key(*name)) {
        let _ = fs::remove_file(folder.join(name));
    }
    // Succeeds only for an empty folder.
    let _ = fs::remove_dir(&folder);
}

/// True if two files have the same bytes.
pub(crate) fn is_same_file(new: &Path, old: &Path) -> bool {
    let open = |path| File::open(path).map(BufReader::new);
    let same_len = fs::metadata(new).ok().map(|m| m.len()) == fs::metadata(old).ok().map(|m| m.len());
    let same_bytes = || digest::is_same(open(new)?, open(old)?);
    same_len && same_bytes().unwrap_or(false)
}

fn sync_files(files: Vec<PathBuf>) -> io::Result<()> {
    if files.len() > SYNC_ONE_BY_ONE && sync_file_system(&files[0])? {
        return Ok(());
    }
    files.iter().try_for_each(|path| File::open(path)?.sync_all())
}

/// Syncs the file system of `path`. False if the platform has no such call.
#[cfg(target_os = "linux")]
fn sync_file_system(path: &Path) -> io::Result<bool> {
    nix::unistd::syncfs(File::open(path)?)?;
    Ok(true)
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(_: &Path) -> io::Result<bool> {
    Ok(false)
}

pub(crate) fn sync_parent(path: &Path) -> Result<(), Error> {
    let parent = staging::parent(path);
    sync_folder(parent).map_err(Error::at(parent, "syncing"))
}

#[cfg(unix)]
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Folders cannot be synced on this platform. The journal of the file system protects renames.
#[cfg(not(unix))]
pub(crate) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
