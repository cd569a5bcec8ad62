//! The folder that CMD runs in, as far as it says what CMD is.

use std::fs;
use std::io::Read;
use std::path::Path;

use crate::verdict::clues::Project;

/// So many files are listed.
const FILES: usize = 2000;
/// So much of a manifest is read, bytes.
const LONGEST: u64 = 256 * 1024;

/// Inspects a project folder. Unreadable files are ignored.
#[must_use]
pub fn look_at(folder: &Path) -> Project {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().take(FILES);
    let mut files: Vec<String> = names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    files.sort();
    let manifests = files.iter().filter(|file| Project::is_manifest(file));
    let manifests = manifests.filter_map(|file| Some((file.clone(), beginning(&folder.join(file))?)));
    Project { manifests: manifests.collect(), files }
}

fn beginning(path: &Path) -> Option<String> {
    let mut text = Vec::new();
    fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    fs::File::open(path).ok()?.take(LONGEST).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}
