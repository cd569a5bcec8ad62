//! Finds the files to import and their formats.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use encoding_rs::Encoding;

use super::document::{DocumentError, SourceValue};
use super::exchange::{ImportSettings, Imported, ImportedFile};
use super::{har, hoverfly, mitmproxy, nock, postman, vcr, wiremock};

/// The tool that wrote a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceFormat {
    /// VCR, vcrpy, betamax.
    Vcr,
    WireMock,
    Postman,
    Mitmproxy,
    Nock,
    Hoverfly,
    /// Polly.js, HTTP Toolkit, browsers.
    Har,
}

impl SourceFormat {
    pub const ALL: [Self; 7] =
        [Self::Vcr, Self::WireMock, Self::Postman, Self::Mitmproxy, Self::Nock, Self::Hoverfly, Self::Har];

    /// Returns the name of the format, as `--format` takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            SourceFormat::Vcr => "vcr",
            SourceFormat::WireMock => "wiremock",
            SourceFormat::Postman => "postman",
            SourceFormat::Mitmproxy => "mitmproxy",
            SourceFormat::Nock => "nock",
            SourceFormat::Hoverfly => "hoverfly",
            SourceFormat::Har => "har",
        }
    }

    /// Returns true if a file of the format is what one test recorded.
    fn has_tests(self) -> bool {
        matches!(self, SourceFormat::Vcr | SourceFormat::Nock | SourceFormat::Har)
    }

    /// Returns the format of a document.
    fn of(document: &SourceValue) -> Option<Self> {
        match () {
            () if vcr::interactions(document).is_some() => Some(SourceFormat::Vcr),
            () if postman::is_collection(document) => Some(SourceFormat::Postman),
            () if hoverfly::is_simulation(document) => Some(SourceFormat::Hoverfly),
            () if nock::is_recording(document) => Some(SourceFormat::Nock),
            () if document.at(&["log", "entries"]).is_some_and(SourceValue::is_list) => Some(SourceFormat::Har),
            () if wiremock::mappings(document).is_some() => Some(SourceFormat::WireMock),
            () => None,
        }
    }
}

/// The reason why a given path can't be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("reading {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("reading the HAR {}", path.display())]
    Har { path: PathBuf, source: harproxy_har::Error },
    #[error("{} has no host in its URLs", path.display())]
    BaseUrl { path: PathBuf },
    #[error("{} has no file in a format that can be imported: {}", path.display(), list_formats())]
    Nothing { path: PathBuf },
}

/// Returns the names of all formats.
fn list_formats() -> String {
    SourceFormat::ALL.map(SourceFormat::name).join(", ")
}

/// Folders that are not searched.
const SKIPPED: [&str; 3] = ["node_modules", "target", "__files"];
/// The endings of files that are read in folders.
const ENDINGS: [&str; 9] = ["yml", "yaml", "json", "har", "zip", "mitm", "flow", "flows", "dump"];

/// Imports files and folders in the order of their names. `format`: that of all files; else it is detected.
/// Environments among the files give values of variables.
///
/// # Errors
/// A given path can't be read, or has nothing to import.
pub fn read(
    paths: &[PathBuf],
    format: Option<SourceFormat>,
    settings: &ImportSettings,
) -> Result<Imported, ImportError> {
    let (mut settings, mut result) = (settings.clone(), Imported::default());
    let mut sources = Vec::new();
    for path in paths {
        let is_folder = path.is_dir();
        let files = if is_folder { files_in(path)? } else { vec![path.clone()] };
        let mut count = 0;
        for file in files {
            let source = SourceFile::open(file, format, is_folder)?;
            match source.contents {
                SourceContents::Environment(values) => settings.variables.extend(values),
                SourceContents::Unknown => {
                    result.skipped.push(source.path);
                    continue;
                }
                _ => sources.push(source),
            }
            count += 1;
        }
        if count == 0 {
            return Err(ImportError::Nothing { path: path.clone() });
        }
    }
    for source in sources {
        source.import(&settings, &mut result)?;
        result.files += 1;
    }
    wiremock::remove_shadowed(&mut result);
    Ok(result)
}

/// A file and its contents.
struct SourceFile {
    path: PathBuf,
    /// The test that recorded it, if it was found in a folder.
    test: Option<String>,
    contents: SourceContents,
}

enum SourceContents {
    Document(SourceFormat, Arc<SourceValue>, Option<DocumentError>),
    Dump(Vec<u8>),
    Archive,
    /// The values of variables.
    Environment(Vec<(String, String)>),
    /// Invalid JSON or YAML, in which no format was recognised before the error.
    Damaged(DocumentError),
    Unknown,
}

impl SourceFile {
    fn open(path: PathBuf, format: Option<SourceFormat>, is_found: bool) -> Result<Self, ImportError> {
        let test = is_found.then(|| test_of(&path));
        let is_wanted = |found: SourceFormat| format.is_none_or(|format| format == found);
        let read = |path: &Path| fs::read(path).map_err(|source| ImportError::Read { path: path.to_owned(), source });
        if path.extension().is_some_and(|ending| ending == "zip") {
            return Ok(SourceFile { path, test, contents: SourceContents::Archive });
        }
        let bytes = read(&path)?;
        if mitmproxy::is_dump(&bytes) && is_wanted(SourceFormat::Mitmproxy) {
            return Ok(SourceFile { path, test, contents: SourceContents::Dump(bytes) });
        }
        let contents = match text_of(&bytes).map(|text| SourceValue::parse(&text)) {
            Some((Some(document), error)) => match (SourceFormat::of(&document), postman::environment(&document)) {
                (Some(found), _) if is_wanted(found) => SourceContents::Document(found, document, error),
                (None, Some(values)) => SourceContents::Environment(values),
                (None, None) => error.map_or(SourceContents::Unknown, SourceContents::Damaged),
                _ => SourceContents::Unknown,
            },
            Some((None, Some(error))) => SourceContents::Damaged(error),
            _ => SourceContents::Unknown,
        };
        Ok(SourceFile { path, test, contents })
    }

    fn import(self, settings: &ImportSettings, result: &mut Imported) -> Result<(), ImportError> {
        let path = &self.path;
        let mut file = ImportedFile { path, settings, session: None, result };
        match self.contents {
            SourceContents::Dump(bytes) => mitmproxy::import(&bytes, &mut file),
            SourceContents::Archive => import_har(&mut file)?,
            SourceContents::Document(format, document, error) => {
                file.session = self.test.filter(|_| format.has_tests());
                match format {
                    SourceFormat::Vcr => vcr::import(vcr::interactions(&document).unwrap_or(&document), &mut file),
                    SourceFormat::WireMock if settings.base_url.is_none() => {
                        return Err(ImportError::BaseUrl { path: path.clone() });
                    }
                    SourceFormat::WireMock => {
                        wiremock::import(wiremock::mappings(&document).unwrap_or_default(), &mut file);
                    }
                    SourceFormat::Postman => postman::import(&document, &mut file),
                    SourceFormat::Nock => nock::import(&document, &mut file),
                    SourceFormat::Hoverfly => hoverfly::import(&document, &mut file),
                    SourceFormat::Har | SourceFormat::Mitmproxy => import_har(&mut file)?,
                }
                if let Some(error) = error {
                    file.lose(error.line, format!("{}: the rest of the file is left out", error.text));
                }
            }
            SourceContents::Damaged(error) => {
                file.lose(error.line, format!("{}: the file is left out", error.text));
            }
            SourceContents::Environment(_) | SourceContents::Unknown => {}
        }
        Ok(())
    }
}

fn import_har(file: &mut ImportedFile<'_>) -> Result<(), ImportError> {
    let path = file.path.to_owned();
    har::import(file).map_err(|source| ImportError::Har { path, source })
}

/// Returns the text of a file in UTF-8, or in UTF-16 with a byte order mark.
fn text_of(bytes: &[u8]) -> Option<Cow<'_, str>> {
    match Encoding::for_bom(bytes) {
        Some((encoding, mark)) => encoding.decode_without_bom_handling_and_without_replacement(&bytes[mark..]),
        None => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
    }
}

/// Finds the files in a folder and in its subfolders.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let failed = |source| ImportError::Read { path: folder.to_owned(), source };
    let mut files = Vec::new();
    let mut items: Vec<PathBuf> = Vec::new();
    for item in fs::read_dir(folder).map_err(failed)? {
        items.push(item.map_err(failed)?.path());
    }
    items.sort();
    for path in items {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if path.is_dir() && !path.is_symlink() && !name.starts_with('.') && !SKIPPED.contains(&name) {
            files.extend(files_in(&path)?);
        } else if path.is_file() && ENDINGS.contains(&ending) {
            files.push(path);
        }
    }
    Ok(files)
}

/// Returns the name of the test whose cassette a file is. For pytest it is the id of the test: plugins of vcrpy write
/// `tests/cassettes/test_shop/test_pay.yaml` for `tests/test_shop.py::test_pay`.
fn test_of(path: &Path) -> String {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let pytest = || {
        let module = path.parent()?;
        let cassettes = module.parent()?;
        let tests = cassettes.parent()?;
        let file = tests.join(module.file_name()?).with_extension("py");
        // The test of a class: `TestShop.test_pay`.
        file.is_file().then(|| format!("{}::{}", slashes(&file), name.replace('.', "::")))
    };
    pytest().unwrap_or_else(|| slashes(&path.with_extension("")))
}

fn slashes(path: &Path) -> String {
    let text = path.to_string_lossy().replace('\\', "/");
    text.strip_prefix("./").map(str::to_owned).unwrap_or(text)
}
