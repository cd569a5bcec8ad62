//! `pack` and `unpack`: a HAR and its payload files as one archive, and back, byte for byte.

use std::path::{Path, PathBuf};

use harproxy_har::Fixture;
use harproxy_har::pack::{self, PackSummary};

/// Why nothing was packed or unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A fixture can't be read, or not be written.
    #[error(transparent)]
    Fixture(#[from] harproxy_har::Error),
    /// What is to be packed is packed.
    #[error("{} is an archive already", .0.display())]
    IsArchive(PathBuf),
    /// What is to be unpacked is not packed.
    #[error("{} is not an archive", .0.display())]
    NoArchive(PathBuf),
    /// An archive is known by the end of its name, and so is what is none.
    #[error("{} does not end in `{wanted}`", path.display())]
    Ending {
        /// The name.
        path: PathBuf,
        /// How it has to end.
        wanted: &'static str,
    },
    /// Something is there already.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
}

/// Where it went, and what it was.
pub type Done = (PathBuf, PackSummary);

/// Where a HAR is packed to if nobody says: the `.zip` of its name beside it.
#[must_use]
pub fn archive_of(from: &Path) -> PathBuf {
    renamed(from, "zip")
}

/// Where an archive is unpacked to if nobody says: the `.har` of its name beside it.
#[must_use]
pub fn har_of(from: &Path) -> PathBuf {
    renamed(from, "har")
}

/// Packs a HAR, by default into the `.zip` of its name beside it. Who calls it has seen to it that nobody records into the archive.
///
/// # Errors
/// [`Error`]; nothing is written then.
pub fn pack(from: &Path, to: Option<&Path>, replace: bool) -> Result<Done, Error> {
    let to = to.map_or_else(|| archive_of(from), Path::to_owned);
    if !harproxy_har::write::is_zip(&to) {
        return Err(Error::Ending { path: to, wanted: ".zip" });
    }
    let fixture = Fixture::open(from)?;
    if fixture.is_archive() {
        return Err(Error::IsArchive(from.to_owned()));
    }
    free(&to, replace)?;
    let moved = pack::pack(&fixture, &to)?;
    Ok((to, moved))
}

/// Unpacks an archive, by default into the `.har` of its name beside it. Who calls it has seen to it that nobody records into the HAR.
///
/// # Errors
/// [`Error`]; what stood there is then whole.
pub fn unpack(from: &Path, to: Option<&Path>, replace: bool) -> Result<Done, Error> {
    let to = to.map_or_else(|| har_of(from), Path::to_owned);
    if harproxy_har::write::is_zip(&to) {
        return Err(Error::Ending { path: to, wanted: ".har" });
    }
    let fixture = Fixture::open(from)?;
    if !fixture.is_archive() {
        return Err(Error::NoArchive(from.to_owned()));
    }
    free(&to, replace)?;
    let moved = pack::unpack(&fixture, &to, replace)?;
    Ok((to, moved))
}

/// `api.har` and `api.har.gz` are `api.zip`, and the other way round.
fn renamed(path: &Path, ending: &str) -> PathBuf {
    let bare = if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gz")) {
        path.with_extension("")
    } else {
        path.to_owned()
    };
    bare.with_extension(ending)
}

fn free(path: &Path, replace: bool) -> Result<(), Error> {
    let there = path.symlink_metadata().is_ok();
    if there && (!replace || path.is_dir()) { Err(Error::Exists(path.to_owned())) } else { Ok(()) }
}
