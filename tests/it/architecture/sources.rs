//! The Rust files of the workspace.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of a crate.
pub(super) struct Source {
    /// Its path, relative to the workspace.
    pub(super) path: PathBuf,
    text: String,
}

impl Source {
    /// Whether the file holds nothing but tests.
    pub(super) fn is_test(&self) -> bool {
        let stem = self.path.file_stem().unwrap().to_string_lossy();
        let in_tests = self.path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "test");
        in_tests || stem == "tests" || stem == "test" || stem.ends_with("_tests") || stem.ends_with("_test")
    }

    /// The text before `mod tests`.
    pub(super) fn without_tests(&self) -> &str {
        let end = self.text.find("#[cfg(test)]\nmod tests {").unwrap_or(self.text.len());
        &self.text[..end]
    }

    /// Line numbers from 1, and lines without their comments.
    pub(super) fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let code = self.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        code.lines().enumerate().map(|(n, line)| (n + 1, line.split("//").next().unwrap_or_default()))
    }

    /// The names of the structs, enums and traits that the file defines.
    pub(super) fn type_names(&self) -> Vec<String> {
        let name = |line: &str| {
            let mut words = line.split_whitespace().skip_while(|word| word.starts_with("pub"));
            let is_type = matches!(words.next(), Some("struct" | "enum" | "trait"));
            let name: String = words.next()?.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            is_type.then_some(name)
        };
        self.without_tests().lines().filter_map(name).collect()
    }
}

/// The source folders of all packages but the benchmark's.
pub(super) fn crate_roots() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crates = fs::read_dir(root.join("crates")).unwrap().map(|item| item.unwrap().file_name());
    let crates = crates.map(|name| Path::new("crates").join(name).join("src"));
    crates.chain([PathBuf::from("src")]).collect()
}

/// All files below a folder that is relative to the workspace.
pub(super) fn sources(folder: &Path) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut files, mut folders) = (Vec::new(), vec![root.join(folder)]);
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = item.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                files.push(Source { path: path.strip_prefix(root).unwrap().to_owned(), text });
            }
        }
    }
    assert!(!files.is_empty(), "no sources in {}: update this test", folder.display());
    files
}
