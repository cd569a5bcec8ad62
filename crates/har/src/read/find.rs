//! Finds the fixtures that command-line arguments name: files in the order given, folders in byte order of their paths.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Error;

/// Folders are searched to this depth, which also ends loops of links.
const MAX_DEPTH: usize = 32;

/// The fixtures that the arguments name, in order and without duplicates. An argument without a fixture yields an
/// error.
///
/// The error is [`Error::Io`] for a missing or unreadable path, and [`Error::NoFixture`] for a folder without fixtures.
#[must_use]
pub fn find(arguments: &[PathBuf]) -> Vec<Result<PathBuf, Error>> {
    let mut seen = HashSet::new();
    let mut is_new = |path: &PathBuf| fs::canonicalize(path).map_or(true, |real| seen.insert(real));
    let mut found = Vec::new();
    for path in arguments {
        match resolve_argument(path) {
            Ok(paths) => found.extend(paths.into_iter().filter(&mut is_new).map(Ok)),
            Err(error) => found.push(Err(error)),
        }
    }
    found
}

/// A file of any name, or the fixtures of a folder in byte order.
fn resolve_argument(path: &Path) -> Result<Vec<PathBuf>, Error> {
    if !fs::metadata(path).map_err(Error::at(path, "reading"))?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut inside = Vec::new();
    search(path, MAX_DEPTH, &mut inside)?;
    if inside.is_empty() {
        return Err(Error::NoFixture { path: path.to_owned() });
    }
    inside.sort_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
    Ok(inside)
}

fn search(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Error> {
    let (mut folders, mut payload_folders) = (Vec::new(), HashSet::new());
    for item in fs::read_dir(folder).map_err(Error::at(folder, "reading"))? {
        let item = item.map_err(Error::at(folder, "reading"))?;
        let name = item.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            // A fixture has a UTF-8 name. A folder of another name may contain fixtures.
            folders.push(item.path());
            continue;
        };
        // A dangling link.
        let Ok(kind) = fs::metadata(item.path()) else { continue };
        if kind.is_dir() {
            folders.push(item.path());
        } else if let Some((stem, archive)) = stem(name) {
            if !archive {
                payload_folders.insert(folder.join(stem));
            }
            found.push(item.path());
        }
    }
    for inner in folders {
        if depth > 0 && inner.is_dir() && !payload_folders.contains(&inner) {
            search(&inner, depth - 1, found)?;
        }
    }
    Ok(())
}

/// True if the file name is that of a HAR with a payload folder.
pub(crate) fn is_har(path: &Path) -> bool {
    path.file_name().and_then(|name| stem(name.to_str()?)).is_some_and(|(_, archive)| !archive)
}

/// The name without the extension of a fixture, and true for an archive. `None` for other files.
fn stem(name: &str) -> Option<(&str, bool)> {
    [(".har.gz", false), (".har", false), (".zip", true)].into_iter().find_map(|(ending, archive)| {
        let (stem, tail) = name.split_at_checked(name.len().checked_sub(ending.len())?)?;
        tail.eq_ignore_ascii_case(ending).then_some((stem, archive))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        folder
    }

    fn names(folder: &tempfile::TempDir, found: &[Result<PathBuf, Error>]) -> Vec<String> {
        let name = |path: &Result<PathBuf, Error>| {
            path.as_ref().unwrap().strip_prefix(folder.path()).unwrap().to_str().unwrap().to_owned()
        };
        found.iter().map(name).collect()
    }

    #[test]
    fn find_searches_folders_in_byte_order_without_payload_folders_and_hidden_files() {
        let folder = folder(&[
            "b.har",
            "a/z.har",
            "a.har",
            "a/not-of-a.har.txt",
            "b/0123.har",
            "B.zip",
            "c/deep/er/x.HAR.GZ",
            "c.txt",
            ".hidden.har",
            ".git/x.har",
            "api.har.journal",
            "pack/y.har",
            "pack.zip",
        ]);
        let found = find(&[folder.path().to_owned()]);
        assert_eq!(
            names(&folder, &found),
            ["B.zip", "a.har", "b.har", "c/deep/er/x.HAR.GZ", "pack.zip", "pack/y.har"],
            "`a/` and `b/` are payload folders; an archive has none"
        );
    }

    #[test]
    fn find_keeps_the_order_of_arguments_and_drops_duplicates() {
        let folder = folder(&["b.har", "a.har", "in/c.har"]);
        let path = |name: &str| folder.path().join(name);
        let found = find(&[path("in"), path("b.har"), folder.path().to_owned(), path("in/../a.har")]);
        assert_eq!(names(&folder, &found), ["in/c.har", "b.har", "a.har"]);
    }

    #[test]
    fn find_accepts_a_file_of_any_name() {
        let folder = folder(&["recorded.json"]);
        assert_eq!(find(&[folder.path().join("recorded.json")]).len(), 1);
    }

    #[test]
    fn find_reports_missing_paths_and_returns_the_other_fixtures() {
        let folder = folder(&["x.txt", "in/c.har"]);
        let path = |name: &str| folder.path().join(name);
        let empty = path("empty");
        fs::create_dir(&empty).unwrap();
        let found = find(&[path("gone.har"), path("in"), empty.clone()]);
        let [Err(error @ Error::Io { .. }), Ok(there), Err(Error::NoFixture { path: none })] = &found[..] else {
            panic!("{found:?}")
        };
        assert!(error.to_string().ends_with("gone.har"), "{error}");
        assert_eq!((there, none), (&path("in/c.har"), &empty));
    }
}
