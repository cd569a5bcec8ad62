//! The project in the working directory of CMD: its file names and manifests.

use std::fs;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

const MAX_FILES: usize = 2000;
/// Maximum length of a manifest that is read, bytes.
const MAX_MANIFEST: u64 = 256 * 1024;

#[derive(Clone, Debug, Default)]
pub struct Project {
    pub files: Vec<String>,
    /// Names and texts of the files that list dependencies.
    pub manifests: Vec<(String, String)>,
}

impl Project {
    /// Reads a folder. Files that can't be read are left out.
    #[must_use]
    pub fn read(folder: &Path) -> Self {
        let names = fs::read_dir(folder).into_iter().flatten().flatten().take(MAX_FILES);
        let mut files: Vec<String> = names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        files.sort();
        let manifests = files.iter().filter(|file| Project::is_manifest(file));
        let manifests = manifests.filter_map(|file| Some((file.clone(), read_start(&folder.join(file))?)));
        Project { manifests: manifests.collect(), files }
    }

    /// Whether a file lists dependencies.
    fn is_manifest(file: &str) -> bool {
        const NAMES: &[&str] = &[
            "package.json",
            "pyproject.toml",
            "setup.py",
            "setup.cfg",
            "Pipfile",
            "tox.ini",
            "go.mod",
            "Gemfile",
            "pom.xml",
            "build.gradle",
            "build.gradle.kts",
            "composer.json",
            "Cargo.toml",
        ];
        NAMES.contains(&file)
            || (file.starts_with("requirements") && file.ends_with(".txt"))
            || file.ends_with(".csproj")
    }

    /// Returns the first file with this name. A name that ends in `.*` matches any extension.
    pub(super) fn file(&self, name: &str) -> Option<&str> {
        let is = |file: &str| match name.strip_suffix('*') {
            Some(stem) => file.strip_prefix(stem).is_some_and(|ending| !ending.contains('.')),
            None => file == name,
        };
        self.files.iter().map(String::as_str).find(|file| is(file))
    }

    /// Returns the first manifest that contains this name as a whole word.
    pub(super) fn mentions(&self, name: &str) -> Option<&str> {
        self.manifests.iter().find(|(_, text)| has_word(text, name)).map(|(file, _)| file.as_str())
    }

    /// Returns the command of `npm run NAME`.
    pub(super) fn script(&self, name: &str) -> Option<String> {
        let (_, text) = self.manifests.iter().find(|(file, _)| file == "package.json")?;
        let manifest: Value = serde_json::from_str(text).ok()?;
        Some(manifest.get("scripts")?.get(name)?.as_str()?.to_owned())
    }
}

fn read_start(path: &Path) -> Option<String> {
    let mut text = Vec::new();
    fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    fs::File::open(path).ok()?.take(MAX_MANIFEST).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// Whether `text` contains `name` as a whole word.
fn has_word(text: &str, name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(|c| part(c) || c == '@') && !after.is_some_and(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_word_ignores_parts_of_longer_names() {
        assert!(has_word("aiohttp>=3.9", "aiohttp"));
        assert!(has_word("dependencies = [\"aiohttp[speedups]\"]", "aiohttp"));
        assert!(!has_word("pytest-aiohttp-client", "aiohttp"));
        assert!(has_word(r#"{"@playwright/test": "^1.50"}"#, "@playwright/test"));
        assert!(!has_word(r#"{"@acme/playwright-kit": "1"}"#, "playwright"));
    }

    #[test]
    fn file_matches_any_extension() {
        let project = Project { files: vec!["playwright.config.ts".into(), "go.mod".into()], ..Project::default() };
        assert_eq!(project.file("playwright.config.*"), Some("playwright.config.ts"));
        assert_eq!(project.file("cypress.config.*"), None);
        assert_eq!(project.file("go.mod"), Some("go.mod"));
    }

    #[test]
    fn script_is_read_from_package_json() {
        let manifest = r#"{"scripts": {"e2e": "playwright test"}}"#.to_owned();
        let project = Project { manifests: vec![("package.json".into(), manifest)], ..Project::default() };
        assert_eq!(project.script("e2e").as_deref(), Some("playwright test"));
        assert_eq!(project.script("unit"), None);
    }
}
