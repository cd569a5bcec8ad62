//! The folder that CMD ran in: which files are there, and what its manifests mention.

use serde_json::Value;

/// What is known of a folder.
#[derive(Clone, Debug, Default)]
pub struct Project {
    /// The names of the files in it.
    pub files: Vec<String>,
    /// The name and text of those that list what the project depends on.
    pub manifests: Vec<(String, String)>,
}

impl Project {
    /// The files that are worth reading: they say what a project depends on.
    #[must_use]
    pub fn is_manifest(file: &str) -> bool {
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

    /// The first file that has this name; a name that ends in `.*` has any ending.
    pub(super) fn file(&self, name: &str) -> Option<&str> {
        let is = |file: &str| match name.strip_suffix('*') {
            Some(stem) => file.strip_prefix(stem).is_some_and(|ending| !ending.contains('.')),
            None => file == name,
        };
        self.files.iter().map(String::as_str).find(|file| is(file))
    }

    /// The first manifest that mentions this name as a whole word.
    pub(super) fn mentions(&self, name: &str) -> Option<&str> {
        self.manifests.iter().find(|(_, text)| has_word(text, name)).map(|(file, _)| file.as_str())
    }

    /// The line behind `npm run NAME`.
    pub(super) fn script(&self, name: &str) -> Option<String> {
        let (_, text) = self.manifests.iter().find(|(file, _)| file == "package.json")?;
        let manifest: Value = serde_json::from_str(text).ok()?;
        Some(manifest.get("scripts")?.get(name)?.as_str()?.to_owned())
    }
}

/// Whether `name` stands in `text` and is no part of a longer name.
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
    fn a_name_is_mentioned_as_a_whole_word() {
        assert!(has_word("aiohttp>=3.9", "aiohttp"));
        assert!(has_word("dependencies = [\"aiohttp[speedups]\"]", "aiohttp"));
        assert!(!has_word("pytest-aiohttp-client", "aiohttp"));
        assert!(has_word(r#"{"@playwright/test": "^1.50"}"#, "@playwright/test"));
        assert!(!has_word(r#"{"@acme/playwright-kit": "1"}"#, "playwright"));
    }

    #[test]
    fn a_file_may_have_any_ending() {
        let project = Project { files: vec!["playwright.config.ts".into(), "go.mod".into()], ..Project::default() };
        assert_eq!(project.file("playwright.config.*"), Some("playwright.config.ts"));
        assert_eq!(project.file("cypress.config.*"), None);
        assert_eq!(project.file("go.mod"), Some("go.mod"));
    }

    #[test]
    fn a_script_is_read_from_package_json() {
        let manifest = r#"{"scripts": {"e2e": "playwright test"}}"#.to_owned();
        let project = Project { manifests: vec![("package.json".into(), manifest)], ..Project::default() };
        assert_eq!(project.script("e2e").as_deref(), Some("playwright test"));
        assert_eq!(project.script("unit"), None);
    }
}
