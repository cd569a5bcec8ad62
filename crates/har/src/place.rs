//! The end of writing a fixture: everything that was staged goes to its place, synced, in an order that leaves the old
//! fixture or the new one, whenever the lights go out.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tempfile::NamedTempFile;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::deposit::{Deposit, Place};
use super::fixture::ReadSeek;
use super::{Error, Fixture, archive, observe, sidecar, staging};

/// More new files than this are synced by syncing their file system once, where that can be done.
const SYNC_ONE_BY_ONE: usize = 128;

/// Moves staged payloads into the payload folder.
pub(super) fn into_folder(deposit: &mut Deposit) -> Result<(), Error> {
    let Some(folder) = deposit.folder() else { return Ok(()) };
    let staged = deposit.names().iter().filter(|(_, place)| **place == Place::Staged);
    let staged: Vec<String> = staged.map(|(name, _)| name.clone()).collect();
    if staged.is_empty() {
        return Ok(());
    }
    sync_staged(deposit)?;
    if !folder.exists() {
        // A first recording: the staging folder as a whole becomes the payload folder.
        if let Some(staging) = deposit.take_staging() {
            if fs::rename(&staging, &folder).is_ok() {
                return sync_parent(&folder);
            }
            let _ = fs::create_dir(&folder);
            move_all(&staging, &folder, &staged)?;
            let _ = fs::remove_dir(&staging);
        }
    } else if let Some(staging) = deposit.staged("") {
        move_all(&staging, &folder, &staged)?;
    }
    sync_folder(&folder).map_err(at(&folder, "syncing"))?;
    sync_parent(&folder)
}

/// Syncs the staged payloads, and removes what is left of payloads that the fixture already had.
pub(super) fn sync_staged(deposit: &Deposit) -> Result<(), Error> {
    let staged = deposit.names().iter().filter(|(_, place)| **place == Place::Staged);
    let staged: Vec<PathBuf> = staged.filter_map(|(name, _)| deposit.staged(name)).collect();
    if let Some(first) = staged.first().cloned() {
        sync_files(staged).map_err(at(&first, "syncing"))?;
    }
    for part in [".part", ".indented"] {
        let _ = deposit.staged(part).map(fs::remove_file);
    }
    Ok(())
}

fn move_all(from: &Path, to: &Path, names: &[String]) -> Result<(), Error> {
    names.iter().try_for_each(|name| {
        let target = to.join(name);
        fs::rename(from.join(name), &target).map_err(at(&target, "renaming into"))
    })
}

/// Makes the archive of a fixture being written.
pub(super) fn into_archive(har: &NamedTempFile, deposit: &Deposit, path: &Path) -> Result<NamedTempFile, Error> {
    let failed = at(path, "writing");
    let mut har = har.reopen().map_err(&failed)?;
    let staged = deposit.names().keys().map(|name| {
        let path = deposit.staged(name).unwrap_or_default();
        let file = File::open(&path).map_err(at(&path, "reading"))?;
        Ok((name.clone(), Box::new(file) as Box<dyn ReadSeek>))
    });
    archive(path, staging::file(path).map_err(&failed)?, &mut har, staged)
}

/// Fills `out`, which becomes the archive at `path`: the HAR first, payloads in the order in which they come (by name), nothing
/// in it that depends on when or where it is made.
pub(super) fn archive(
    path: &Path,
    out: NamedTempFile,
    har: &mut dyn ReadSeek,
    payloads: impl Iterator<Item = Result<(String, Box<dyn ReadSeek>), Error>>,
) -> Result<NamedTempFile, Error> {
    let failed = at(path, "writing");
    let mut zip = ZipWriter::new(BufWriter::with_capacity(256 * 1024, out));
    add(&mut zip, "har.har", har).map_err(&failed)?;
    for payload in payloads {
        let (name, mut bytes) = payload?;
        add(&mut zip, &name, &mut bytes).map_err(&failed)?;
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

/// Whether our own reader would unpack it: a long run of one byte shrinks so far that it looks like an attack.
fn may_be_deflated(mut bytes: &mut dyn ReadSeek, len: u64) -> io::Result<bool> {
    if len <= archive::FREE_EXPANDED {
        return Ok(true);
    }
    let mut deflated = flate2::read::DeflateEncoder::new(&mut bytes, flate2::Compression::new(6));
    let packed = io::copy(&mut deflated, &mut io::sink())?;
    bytes.rewind()?;
    Ok(archive::may_expand(packed, len + len / 4).is_ok())
}

/// Puts a finished file in its place; one that is there with the same bytes stays as it is.
pub(super) fn rename_into(new: NamedTempFile, path: &Path) -> Result<u64, Error> {
    new.as_file().sync_all().map_err(at(path, "syncing"))?;
    let len = new.as_file().metadata().map_err(at(path, "writing"))?.len();
    if !is_same(new.path(), path) {
        new.persist(path).map_err(|error| at(path, "renaming into")(error.error))?;
        sync_parent(path)?;
    }
    Ok(len)
}

/// The payload files in `folder` that the fixture at `path`, as it stands now, refers to: only names that harproxy gives,
/// only in fixtures of its own.
pub(super) fn referenced(path: &Path, folder: &Path) -> BTreeSet<String> {
    let Some(Ok(old)) = path.exists().then(|| Fixture::open(path)) else { return BTreeSet::new() };
    let Some(folder) = folder.file_name().and_then(|name| name.to_str()).filter(|_| old.is_own()) else {
        return BTreeSet::new();
    };
    let files = old.heads().iter().filter_map(|head| old.entry_json(head.entry).ok()).flat_map(|json| files_of(&json));
    let ours = files.filter_map(|file| Some(file.strip_prefix(folder)?.strip_prefix('/')?.to_owned()));
    ours.filter(|name| sidecar::is_ours(name)).collect()
}

/// Removes payload files that nothing refers to any more; one that can't be removed is no harm.
pub(super) fn remove_unused(old: BTreeSet<String>, deposit: &Deposit) {
    let Some(folder) = deposit.folder() else { return };
    for name in old.iter().filter(|name| !deposit.names().contains_key(*name)) {
        let _ = fs::remove_file(folder.join(name));
    }
    // Goes only when it is empty.
    let _ = fs::remove_dir(&folder);
}

/// The `_file` members of an entry.
pub(super) fn files_of(json: &[u8]) -> Vec<String> {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Files {
        request: Option<Box<Files>>,
        response: Option<Box<Files>>,
        content: Option<Box<Files>>,
        post_data: Option<Box<Files>>,
        #[serde(rename = "_file")]
        file: Option<String>,
    }
    fn collect(files: Files, into: &mut Vec<String>) {
        into.extend(files.file);
        for part in [files.request, files.response, files.content, files.post_data].into_iter().flatten() {
            collect(*part, into);
        }
    }
    let mut found = Vec::new();
    collect(serde_json::from_slice(json).unwrap_or_default(), &mut found);
    found
}

/// Whether two files have the same bytes.
pub(super) fn is_same(new: &Path, old: &Path) -> bool {
    let open = |path| File::open(path).map(BufReader::new);
    let same_len = fs::metadata(new).ok().map(|m| m.len()) == fs::metadata(old).ok().map(|m| m.len());
    let same_bytes = || observe::same(open(new)?, open(old)?);
    same_len && same_bytes().unwrap_or(false)
}

fn at(path: &Path, doing: &'static str) -> impl Fn(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Io { doing, path: path.clone(), source }
}

fn sync_files(files: Vec<PathBuf>) -> io::Result<()> {
    if files.len() > SYNC_ONE_BY_ONE && sync_file_system(&files[0])? {
        return Ok(());
    }
    files.iter().try_for_each(|path| File::open(path)?.sync_all())
}

/// Syncs all of the file system that `path` is on; false where there is no such call.
#[cfg(target_os = "linux")]
fn sync_file_system(path: &Path) -> io::Result<bool> {
    nix::unistd::syncfs(File::open(path)?)?;
    Ok(true)
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(_: &Path) -> io::Result<bool> {
    Ok(false)
}

pub(super) fn sync_parent(path: &Path) -> Result<(), Error> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sync_folder(parent).map_err(at(parent, "syncing"))
}

#[cfg(unix)]
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Folders can't be opened for syncing here; the file system's own journal has to do.
#[cfg(not(unix))]
pub(super) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
