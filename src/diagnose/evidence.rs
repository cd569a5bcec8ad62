//! Facts about CMD that a diagnosis is made of, and the functions that collect them.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use serde_json::Value;

use super::bypass::{BypassRules, Bypasses};
use super::processes::{ProcessReport, Program};
use crate::verdict::{ConnectionObservation, Severity};

const MAX_FILES: usize = 2000;
/// Maximum length of a manifest that is read, bytes.
const MAX_MANIFEST: u64 = 256 * 1024;

#[derive(Clone, Debug, Default)]
pub struct Evidence {
    pub words: Vec<String>,
    /// The same as a redacted shell command.
    pub command: String,
    /// The folder that it ran in.
    pub project: Project,
    /// The programs that ran; `None` on platforms where harproxy can't list them.
    pub programs: Option<Vec<Program>>,
    pub bypasses: Bypasses,
    /// The severity of findings about bypasses.
    pub severity: Option<Severity>,
    /// Programs with connections that closed before their address was read. If the proxy got no connection, these
    /// bypassed it.
    pub short_lived: Vec<String>,
    /// The `NAME` of a `HARPROXY_URL_NAME` in CMD's words that is not set.
    pub unset_url: Option<String>,
    /// True if the run is `harproxy doctor`, which must not advise to run itself.
    pub is_doctor: bool,
}

impl Evidence {
    /// Combines CMD's words, the report on its processes, and the working directory.
    #[must_use]
    pub fn collect(cmd: &[OsString], command: String, report: &ProcessReport, rules: &BypassRules<'_>) -> Self {
        Evidence {
            words: cmd.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
            command,
            project: Project::read(Path::new(".")),
            bypasses: Bypasses::find(&report.connections, rules),
            programs: report.programs.clone(),
            short_lived: report.short_lived.clone(),
            ..Evidence::default()
        }
    }
}

impl Evidence {
    /// Returns the observation of connections, for reports.
    #[must_use]
    pub fn observation(&self) -> ConnectionObservation {
        let ended_too_soon = self.programs.as_ref().is_some_and(Vec::is_empty);
        ConnectionObservation {
            sampled: self.programs.is_some() && !ended_too_soon,
            ended_too_soon,
            is_isolated: false,
            other_connections: self.bypasses.other_connections(),
        }
    }
}

/// Splits a value of `NO_PROXY` into its entries.
#[must_use]
pub fn no_proxy_entries(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

/// Returns the `NAME` of the first `HARPROXY_URL_NAME` in CMD's words that is not set.
#[must_use]
pub fn unset_url(cmd: &[OsString], is_set: impl Fn(&str) -> bool) -> Option<String> {
    const URL: &str = "HARPROXY_URL_";
    let words: Vec<_> = cmd.iter().map(|word| word.to_string_lossy()).collect();
    let mut names = words.iter().flat_map(|word| word.split(URL).skip(1)).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    });
    names.find(|name| !name.is_empty() && !is_set(&format!("{URL}{name}"))).map(str::to_owned)
}

/// The project in the working directory of CMD: its file names and manifests.
#[derive(Clone, Debug, Default)]
pub struct Project {
    pub files: Vec<String>,
    /// Names and texts of the files that list dependencies.
    pub manifests: Vec<(String, String)>,
    /// Names of manifests that cannot be read, with the reasons.
    pub unreadable: Vec<(String, String)>,
}

impl Project {
    /// Reads a folder.
    #[must_use]
    pub fn read(folder: &Path) -> Self {
        let names = fs::read_dir(folder).into_iter().flatten().flatten().take(MAX_FILES);
        let mut files: Vec<String> = names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        files.sort();
        let (mut manifests, mut unreadable) = (Vec::new(), Vec::new());
        for file in files.iter().filter(|file| Project::is_manifest(file)) {
            match read_start(&folder.join(file)) {
                Ok(text) => manifests.push((file.clone(), text)),
                Err(error) => unreadable.push((file.clone(), error.to_string())),
            }
        }
        Project { files, manifests, unreadable }
    }

    /// Returns true if a file lists dependencies.
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
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&str> {
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

    /// Returns the text of a manifest.
    #[must_use]
    pub fn manifest(&self, name: &str) -> Option<&str> {
        self.manifests.iter().find(|(file, _)| file == name).map(|(_, text)| text.as_str())
    }

    /// Returns the command of `npm run NAME`.
    pub(super) fn script(&self, name: &str) -> Option<String> {
        script_of("package.json", self, name).ok().flatten()
    }
}

/// Returns the command of a script in `package.json` or `composer.json`.
/// Fails if the manifest is not JSON.
pub fn script_of(manifest: &str, project: &Project, name: &str) -> Result<Option<String>, serde_json::Error> {
    let Some(text) = project.manifest(manifest) else { return Ok(None) };
    let manifest: Value = serde_json::from_str(text.trim_start_matches('\u{feff}'))?;
    let script = manifest.get("scripts").and_then(|scripts| scripts.get(name));
    // A script of Composer can be a list of commands.
    Ok(script.map(|script| script.as_str().map_or_else(|| script.to_string(), str::to_owned)))
}

fn read_start(path: &Path) -> io::Result<String> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = Vec::new();
    fs::File::open(path)?.take(MAX_MANIFEST).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Returns true if `text` contains `name` as a whole word.
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
    fn unset_url_finds_the_first_name_that_is_not_set() {
        let cmd =
            ["sh", "-c", "curl \"$HARPROXY_URL_API/a\"; curl ${HARPROXY_URL_PAY}/b HARPROXY_URL_"].map(OsString::from);
        assert_eq!(unset_url(&cmd, |_| false).as_deref(), Some("API"));
        assert_eq!(unset_url(&cmd, |name| name == "HARPROXY_URL_API").as_deref(), Some("PAY"));
        assert_eq!(unset_url(&cmd, |_| true), None);
        assert_eq!(unset_url(&cmd[..2], |_| false), None);
    }

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
