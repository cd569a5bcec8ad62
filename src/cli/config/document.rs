//! A TOML file as a tree of values with positions, so that errors have line and column.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use harproxy_support::link::is_inside;
use harproxy_support::printable::Shown as _;
use serde::Serialize;
use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("reading the configuration {}", path.shown())]
    Read { path: PathBuf, source: io::Error },
    #[error("{at}: {reason}")]
    Syntax { at: FilePosition, reason: String },
    #[error("{at}: unknown {kind} `{name}`{suggestion}")]
    Unknown {
        at: FilePosition,
        /// The expected item: "section" or "option of [replay]".
        kind: String,
        name: String,
        /// The end of the sentence: the most similar known name, or all known names if there are few.
        suggestion: String,
    },
    #[error("{at}: `{name}`: {reason}")]
    Value { at: FilePosition, name: String, reason: String },
    /// A pull request could make harproxy overwrite any file.
    #[error("{at}: `{option}`: `{given}` is outside the folder of this file, links followed")]
    Outside {
        at: FilePosition,
        /// The long name of the option.
        option: String,
        /// The path as given.
        given: String,
    },
}

/// A position such as `harproxy.toml:3:1`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FilePosition {
    pub file: Box<str>,
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
}

impl fmt::Display for FilePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Maximum number of known names in an error.
const MAX_KNOWN: usize = 12;

pub(super) type Value<'t> = Spanned<DeValue<'t>>;
pub(super) type Table<'t> = DeTable<'t>;

/// A name with its position and its value.
pub(super) struct TomlItem<'t> {
    pub(super) name: String,
    pub(super) at: Range<usize>,
    pub(super) value: Value<'t>,
}

pub(super) struct ConfigFile<'t> {
    pub(super) path: &'t Path,
    pub(super) text: &'t str,
    /// The project's file, which others can change in a pull request. False for the user's own file.
    pub(super) is_project: bool,
    /// The positions of the line breaks.
    breaks: Vec<usize>,
}

impl<'t> ConfigFile<'t> {
    pub(super) fn new(path: &'t Path, text: &'t str, is_project: bool) -> Self {
        ConfigFile { path, text, is_project, breaks: text.match_indices('\n').map(|(at, _)| at).collect() }
    }

    /// Parses the file and returns the top-level items in file order.
    pub(super) fn root(&self) -> Result<Vec<TomlItem<'t>>, Error> {
        match DeTable::parse(self.text) {
            Ok(table) => Ok(self.items(table.into_inner())),
            Err(error) => Err(Error::Syntax {
                at: self.at(&error.span().unwrap_or_default()),
                reason: error.message().trim().replace('\n', "; "),
            }),
        }
    }

    /// Returns the items of a table in file order.
    pub(super) fn items(&self, table: Table<'t>) -> Vec<TomlItem<'t>> {
        let mut items: Vec<_> = table
            .into_iter()
            .map(|(name, value)| TomlItem { at: name.span(), name: name.into_inner().into_owned(), value })
            .collect();
        items.sort_by_key(|item| item.at.start);
        items
    }

    pub(super) fn table(&self, name: &str, value: Value<'t>) -> Result<Table<'t>, Error> {
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => Ok(table),
            _ => Err(self.wrong(name, &span, format!("expected a section, `[{name}]`"))),
        }
    }

    pub(super) fn boolean(&self, name: &str, value: &Value<'_>) -> Result<bool, Error> {
        match value.get_ref() {
            DeValue::Boolean(value) => Ok(*value),
            other => Err(self.wrong(name, &value.span(), format!("expected true or false, not {}", kind(other)))),
        }
    }

    pub(super) fn text(&self, name: &str, value: &Value<'_>) -> Result<String, Error> {
        match value.get_ref() {
            DeValue::String(text) => Ok(text.as_ref().to_owned()),
            other => Err(self.wrong(name, &value.span(), format!("expected a string, not {}", kind(other)))),
        }
    }

    /// Returns the items of a list. A single value counts as a list of one item.
    pub(super) fn list<'v>(&self, value: &'v Value<'t>) -> Vec<&'v Value<'t>> {
        match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![value],
        }
    }

    /// Parses each string of a list with `read`. The error has the position of the invalid item.
    pub(super) fn each<T, R: ToString>(
        &self,
        name: &str,
        value: &Value<'t>,
        read: impl Fn(&str) -> Result<T, R>,
    ) -> Result<Vec<T>, Error> {
        let items = self.list(value).into_iter();
        items
            .map(|item| {
                let text = self.text(name, item)?;
                read(&text).map_err(|reason| self.wrong(name, &item.span(), reason.to_string()))
            })
            .collect()
    }

    /// Returns the strings of a list.
    pub(super) fn texts(&self, name: &str, value: &Value<'t>) -> Result<Vec<String>, Error> {
        self.list(value).into_iter().map(|item| self.text(name, item)).collect()
    }

    pub(super) fn json(&self, value: &DeValue<'t>) -> Json {
        match value {
            DeValue::String(text) => Json::from(text.as_ref()),
            DeValue::Integer(number) => number.to_string().parse::<i64>().map_or(Json::Null, Json::from),
            DeValue::Float(number) => number.to_string().parse::<f64>().map_or(Json::Null, Json::from),
            DeValue::Boolean(value) => Json::from(*value),
            DeValue::Datetime(date) => Json::from(date.to_string()),
            DeValue::Array(items) => items.iter().map(|item| self.json(item.get_ref())).collect(),
            DeValue::Table(table) => {
                let items = self.items(table.clone()).into_iter();
                Json::Object(items.map(|item| (item.name, self.json(item.value.get_ref()))).collect())
            }
        }
    }

    pub(super) fn wrong(&self, name: &str, span: &Range<usize>, reason: impl Into<String>) -> Error {
        Error::Value { at: self.at(span), name: name.to_owned(), reason: reason.into() }
    }

    /// Returns the error of an unknown name. `elsewhere` is the suggestion to use another section.
    pub(super) fn unknown<S: AsRef<str>>(
        &self,
        kind: impl Into<String>,
        name: &str,
        span: Range<usize>,
        known: impl IntoIterator<Item = S>,
        elsewhere: Option<String>,
    ) -> Error {
        let known: Vec<String> = known.into_iter().map(|known| known.as_ref().to_owned()).collect();
        let quoted = |name: &str| format!("`{name}`");
        let suggestion = match elsewhere.or_else(|| nearest(name, &known).map(quoted)) {
            Some(nearest) => format!("; did you mean {nearest}?"),
            None if known.len() > MAX_KNOWN => String::new(),
            None => format!("; known are {}", known.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")),
        };
        Error::Unknown { at: self.at(&span), kind: kind.into(), name: name.to_owned(), suggestion }
    }

    pub(super) fn path(&self, path: &str) -> String {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        folder.join(path).to_str().map_or_else(|| path.to_owned(), str::to_owned)
    }

    /// Checks that a file which harproxy writes is inside the folder of the project's file: a change of that file must
    /// not overwrite anything else.
    pub(super) fn check_inside(&self, option: &str, given: &str, span: &Range<usize>) -> Result<(), Error> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let has_parent = Path::new(given).components().any(|part| part == Component::ParentDir);
        if !self.is_project || (!has_parent && is_inside(&folder.join(given), folder)) {
            return Ok(());
        }
        Err(Error::Outside { at: self.at(span), option: option.to_owned(), given: given.to_owned() })
    }

    /// Returns the position of the start of a span.
    pub(super) fn at(&self, span: &Range<usize>) -> FilePosition {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let lines_before = self.breaks.partition_point(|at| *at < before.len());
        let start = lines_before.checked_sub(1).map_or(0, |last| self.breaks[last] + 1);
        let column = before[start..].chars().count() + 1;
        FilePosition { file: self.path.to_string_lossy().into(), line: lines_before + 1, column }
    }
}

/// Returns the known name that is most similar to `name`, if one is similar enough.
pub(super) fn nearest<'k>(name: &str, known: &'k [String]) -> Option<&'k str> {
    let plain = |name: &str| name.to_ascii_lowercase().replace('_', "-");
    let name = plain(name);
    let far = (name.len() / 3).max(1);
    let distances = known.iter().map(|known| (strsim::damerau_levenshtein(&name, &plain(known)), known));
    distances.filter(|(distance, _)| *distance <= far).min_by_key(|(distance, _)| *distance).map(|(_, known)| &**known)
}

pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
