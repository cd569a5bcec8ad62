//! The commands that follow a change of fixtures: `git add` first, with a warning about files that are too large for
//! git.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::ui;
use harproxy_support::printable::Shown as _;
use harproxy_support::shell_quote;

/// Files with more bytes are reported. GitHub warns above 50 MB and refuses 100 MB.
const LARGE: u64 = 50_000_000;
/// Maximum number of large files that are named.
const NAMED: usize = 5;

/// Returns the block `Next:` with `git add` of these files and folders between other commands. A warning about large
/// files precedes it.
pub fn block(before: &[&str], added: &[PathBuf], after: &[String]) -> String {
    let add = format!("git add {}", quoted(added));
    let commands = before.iter().copied().chain([add.as_str()]).chain(after.iter().map(String::as_str));
    let lines: String = commands.map(|command| format!("  {}\n", ui::help(command))).collect();
    let warning = large_files_warning(&files_in(added), LARGE);
    let warning = warning.map(|text| format!("\n{} {text}", ui::caution("warning:"))).unwrap_or_default();
    format!("{warning}\n{}\n{lines}", ui::strong("Next:"))
}

/// Returns the paths of a fixture for git. The payload folder is included if it exists or if payloads were `removed`.
pub fn files_of(path: &Path, removed: bool) -> Vec<PathBuf> {
    let folder = payload_folder(path).filter(|folder| removed || folder.is_dir());
    [path.to_owned()].into_iter().chain(folder).collect()
}

pub fn quoted(files: &[PathBuf]) -> String {
    files.iter().map(|file| shell_quote::path(file)).collect::<Vec<_>>().join(" ")
}

/// Returns the payload folder of a HAR, or `None` for an archive.
pub fn payload_folder(output: &Path) -> Option<PathBuf> {
    let payloads = output.with_extension("");
    let is_archive = output.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("zip"));
    (!is_archive && payloads != *output).then_some(payloads)
}

/// Returns files, and those in folders, with their sizes in bytes.
fn files_in(paths: &[PathBuf]) -> Vec<(PathBuf, u64)> {
    let inside = |path: &PathBuf| match std::fs::read_dir(path) {
        Ok(files) => files.flatten().map(|file| file.path()).collect(),
        Err(_) => vec![path.clone()],
    };
    let files = paths.iter().flat_map(inside);
    let mut sized: Vec<(PathBuf, u64)> = files
        .filter_map(|path| Some((path.metadata().ok().filter(std::fs::Metadata::is_file)?.len(), path)))
        .map(|(len, path)| (path, len))
        .collect();
    sized.sort();
    sized
}

/// Returns the warning about files that have more than `limit` bytes, if there are any.
fn large_files_warning(files: &[(PathBuf, u64)], limit: u64) -> Option<String> {
    let large: Vec<_> = files.iter().filter(|(_, len)| *len > limit).collect();
    if large.is_empty() {
        return None;
    }
    let megabytes = |bytes: u64| bytes.div_ceil(1_000_000);
    let mut text = format!("{} too large for git:\n", if large.len() == 1 { "a file is" } else { "files are" });
    for (path, len) in large.iter().take(NAMED) {
        let _ = writeln!(text, "  {} has {} MB", path.shown(), megabytes(*len));
    }
    if large.len() > NAMED {
        let _ = writeln!(text, "  and {} more", large.len() - NAMED);
    }
    text.push_str(
        "  GitHub warns above 50 MB and refuses 100 MB. Add them with Git LFS (`git lfs track`), or record again with\n  \
         `--max-body 10MB` or a narrower glob.\n",
    );
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(files: &[(&str, u64)], limit: u64) -> Option<String> {
        let files: Vec<_> = files.iter().map(|(path, len)| (PathBuf::from(path), *len)).collect();
        large_files_warning(&files, limit)
    }

    #[test]
    fn warning_names_large_files_and_their_sizes() {
        assert_eq!(warning(&[("a.har", LARGE), ("a/1.bin", 3)], LARGE), None);
        let text = warning(&[("a.har", LARGE), ("a/1.bin", LARGE + 1), ("a/2.bin", 300_000_000)], LARGE).unwrap();
        assert!(
            text.starts_with("files are too large for git:\n  a/1.bin has 51 MB\n  a/2.bin has 300 MB\n"),
            "{text}"
        );
        for remedy in ["Git LFS", "`--max-body", "narrower glob", "refuses 100 MB"] {
            assert!(text.contains(remedy), "{text}");
        }
        let many: Vec<(String, u64)> = (0..9).map(|n| (format!("a/{n}.bin"), 2)).collect();
        let many: Vec<(&str, u64)> = many.iter().map(|(path, len)| (path.as_str(), *len)).collect();
        assert!(warning(&many, 1).unwrap().contains("a/4.bin has 1 MB\n  and 4 more\n"));
    }

    #[test]
    fn files_are_found_in_payload_folders() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::fs::write(dir.path().join("a.har"), "{}").unwrap();
        std::fs::write(dir.path().join("a/1.bin"), "123").unwrap();
        let files = files_in(&files_of(&dir.path().join("a.har"), false));
        let files: Vec<_> =
            files.iter().map(|(path, len)| (path.strip_prefix(dir.path()).unwrap().to_str().unwrap(), *len)).collect();
        assert_eq!(files, [("a/1.bin", 3), ("a.har", 2)]);
    }
}
