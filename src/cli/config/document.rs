//! A file as a tree of values that know where they stand, so that whatever is wrong is told with line and column.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It can't be read.
    #[error("reading the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// It is no TOML.
    #[error("{at}: {reason}")]
    Syntax {
        /// Where it ceases to be.
        at: At,
        /// In the parser's words.
        reason: String,
    },
    /// A name that stands for nothing.
    #[error("{at}: unknown {what} `{name}`{}", Guess(nearest.as_deref(), known))]
    Unknown {
        /// Where it stands.
        at: At,
        /// What it would be: "section", "option of [replay]".
        what: String,
        /// As written.
        name: String,
        /// The known name that it is most like, or where it belongs.
        nearest: Option<String>,
        /// All known ones, when they are few.
        known: Box<[String]>,
    },
    /// A value that is not one for its name.
    #[error("{at}: `{name}`: {reason}")]
    Value {
        /// Where it stands.
        at: At,
        /// Whose value it is.
        name: String,
        /// What is expected.
        reason: String,
    },
}

/// `harproxy.toml:3:1`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct At {
    file: Box<str>,
    line: usize,
    column: usize,
}

impl At {
    /// The file.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// The character in the line, from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// What an unknown name may have meant, as the end of a sentence.
struct Guess<'a>(Option<&'a str>, &'a [String]);

impl fmt::Display for Guess<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Guess(Some(nearest), _) => write!(f, "; did you mean {nearest}?"),
            Guess(None, []) => Ok(()),
            Guess(None, known) => {
                let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
                write!(f, "; known are {}", known.join(", "))
            }
        }
    }
}

/// More names than this are no help in a message.
const FEW: usize = 10;

pub(super) type Value<'t> = Spanned<DeValue<'t>>;
pub(super) type Table<'t> = DeTable<'t>;

/// A name and its value.
pub(super) struct Item<'t> {
    pub(super) name: String,
    pub(super) at: Range<usize>,
    pub(super) value: Value<'t>,
}

/// A file and its text.
pub(super) struct Document<'t> {
    path: &'t Path,
    text: &'t str,
}

impl<'t> Document<'t> {
    pub(super) fn new(path: &'t Path, text: &'t str) -> Self {
        Document { path, text }
    }

    /// The names at the top, in the order they stand in.
    pub(super) fn root(&self) -> Result<Vec<Item<'t>>, Error> {
        match DeTable::parse(self.text) {
            Ok(table) => Ok(self.items(table.into_inner())),
            Err(error) => Err(Error::Syntax {
                at: self.at(&error.span().unwrap_or_default()),
                reason: error.message().trim().replace('\n', "; "),
            }),
        }
    }

    /// What a table holds, in the order it stands in.
    pub(super) fn items(&self, table: Table<'t>) -> Vec<Item<'t>> {
        let mut items: Vec<_> = table
            .into_iter()
            .map(|(name, value)| Item { at: name.span(), name: name.into_inner().into_owned(), value })
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

    /// A text.
    pub(super) fn text(&self, name: &str, value: &Value<'_>) -> Result<String, Error> {
        match value.get_ref() {
            DeValue::String(text) => Ok(text.as_ref().to_owned()),
            other => Err(self.wrong(name, &value.span(), format!("expected a string, not {}", kind(other)))),
        }
    }

    /// The items of a list with their places. One alone stands for a list of it.
    pub(super) fn list<'v>(&self, value: &'v Value<'t>) -> Vec<&'v Value<'t>> {
        match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![value],
        }
    }

    /// A list of texts, each read by `read`, whose reason against one is told where that stands.
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

    /// The value as data.
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

    /// A value that will not do.
    pub(super) fn wrong(&self, name: &str, span: &Range<usize>, reason: impl Into<String>) -> Error {
        Error::Value { at: self.at(span), name: name.to_owned(), reason: reason.into() }
    }

    /// A name that is not among the known ones. `elsewhere` says where it would be one.
    pub(super) fn unknown<S: AsRef<str>>(
        &self,
        what: impl Into<String>,
        name: &str,
        span: Range<usize>,
        known: impl IntoIterator<Item = S>,
        elsewhere: Option<String>,
    ) -> Error {
        let mut known: Vec<String> = known.into_iter().map(|known| known.as_ref().to_owned()).collect();
        let nearest = elsewhere.or_else(|| nearest(name, &known).map(|known| format!("`{known}`")));
        if known.len() > FEW {
            known.clear();
        }
        Error::Unknown { at: self.at(&span), what: what.into(), name: name.to_owned(), nearest, known: known.into() }
    }

    /// A path as the file means it: relative to the file.
    pub(super) fn path(&self, path: &str) -> String {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        folder.join(path).to_str().map_or_else(|| path.to_owned(), str::to_owned)
    }

    /// Where a span begins.
    pub(super) fn at(&self, span: &Range<usize>) -> At {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        At { file: self.path.to_string_lossy().into(), line, column }
    }
}

/// The known name that is most like a given one, if any is.
pub(super) fn nearest<'k>(name: &str, known: &'k [String]) -> Option<&'k str> {
    let plain = |name: &str| name.to_ascii_lowercase().replace('_', "-");
    let name = plain(name);
    let far = (name.len() / 3).max(1);
    let distances = known.iter().map(|known| (strsim::damerau_levenshtein(&name, &plain(known)), known));
    distances.filter(|(distance, _)| *distance <= far).min_by_key(|(distance, _)| *distance).map(|(_, known)| &**known)
}

/// What kind of value it is, in words.
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
