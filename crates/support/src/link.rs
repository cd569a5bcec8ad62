//! Symbolic links of files that are about to be written.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

const LINKS: usize = 40;

/// Returns the final target of a symbolic link, which need not exist.
///
/// # Errors
/// When more than 40 links follow each other.
pub fn target(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::read_link(&path) {
            Ok(next) => path = path.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// Returns true if a file that is written to `path` is inside `folder`, with links followed. The file and its folders
/// need not exist.
#[must_use]
pub fn is_inside(path: &Path, folder: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    let existing = |path: &Path| path.ancestors().find_map(|above| Some((above.to_owned(), real(above)?)));
    let Some(folder) = std::path::absolute(folder).ok().as_deref().and_then(real) else { return false };
    let Some(target) = target(path).ok().and_then(|target| std::path::absolute(target).ok()) else { return false };
    let Some((above, real)) = existing(&target) else { return false };
    let new = target.strip_prefix(&above).unwrap_or(&target);
    real.starts_with(&folder) && new.components().all(|component| matches!(component, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn file_is_inside_a_folder_with_links_followed() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("project/reports")).unwrap();
        fs::create_dir(at("elsewhere")).unwrap();
        fs::write(at("project/old.json"), "").unwrap();
        symlink("../elsewhere", at("project/out")).unwrap();
        symlink("../elsewhere/new.json", at("project/dangling.json")).unwrap();
        symlink("new/../../elsewhere/x.json", at("project/tricky.json")).unwrap();
        symlink("reports", at("project/in")).unwrap();
        symlink("project", at("linked")).unwrap();
        symlink("round.json", at("project/round.json")).unwrap();
        let project = at("project");
        for name in ["old.json", "new.json", "reports/a/b.json", "in/a.json"] {
            assert!(is_inside(&project.join(name), &project), "{name}");
            assert!(is_inside(&at("linked").join(name), &project), "{name}");
            assert!(is_inside(&project.join(name), &at("linked")), "{name}");
        }
        for name in ["out/a.json", "dangling.json", "tricky.json", "round.json", "../elsewhere/a.json", "new/../../a"] {
            assert!(!is_inside(&project.join(name), &project), "{name}");
        }
        assert!(!is_inside(&at("elsewhere/a.json"), &project));
        assert!(!is_inside(&at("project-2/a.json"), &project));
        assert!(!is_inside(&at("gone/a.json"), &at("gone")));
    }
}
