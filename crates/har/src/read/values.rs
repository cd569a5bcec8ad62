//! The values of a HAR one by one (its entries and the members around them), and the names of its payload files.

use std::fs;

use super::Fixture;
use super::entry;
use super::window::Span;
use crate::Error;
use crate::store::payload_path;

/// A value of a HAR: an entry, or a member outside the entries.
#[derive(Clone, Debug)]
pub struct HarValue {
    /// The number of the entry. `None` for a member outside the entries.
    pub entry: Option<usize>,
    /// The name of the member. Empty for an entry.
    pub name: String,
    pub(crate) span: Span,
}

impl HarValue {
    /// The line of the HAR on which the value begins, from 1.
    pub fn line(&self) -> usize {
        self.span.line
    }
}

impl Fixture {
    /// All values of the HAR, in file order.
    pub fn values(&self) -> Vec<HarValue> {
        let entries = (0..self.entries()).filter_map(|entry| {
            let span = self.span(entry)?;
            Some(HarValue { entry: Some(entry), name: String::new(), span })
        });
        let around = self.members_outside_entries().map(|(name, span)| HarValue {
            entry: None,
            name: name.clone(),
            span: *span,
        });
        let mut values: Vec<_> = entries.chain(around).collect();
        values.sort_by_key(|value| value.span.offset);
        values
    }

    /// The JSON of a value.
    ///
    /// # Errors
    /// When the file has changed since it was opened, or the text is not UTF-8.
    pub fn value_text(&self, value: &HarValue) -> Result<String, Error> {
        let bytes = self.range(value.span)?;
        let text = entry::utf8(&bytes).map(str::to_owned);
        text.map_err(|reason| match value.entry {
            Some(entry) => self.bad_entry(entry, reason),
            None => Error::Malformed { path: self.path().to_owned(), line: Some(value.line()), reason },
        })
    }

    /// The existing payload files with names that harproxy gives, as `_file` spells them, in order. Looks into the
    /// payload folder or the archive. Empty for fixtures of other tools.
    pub fn payload_files(&self) -> Vec<String> {
        if !self.is_own() {
            return Vec::new();
        }
        let mut names = match self.archive() {
            Some(archive) => archive.payloads(),
            None => {
                let Ok(folder) = payload_path::payload_folder(self.path()) else { return Vec::new() };
                let inside = fs::read_dir(self.folder().join(&folder));
                let inside =
                    inside.into_iter().flatten().flatten().filter_map(|item| item.file_name().into_string().ok());
                inside.map(|name| format!("{folder}/{name}")).collect()
            }
        };
        names.retain(|name| payload_path::has_own_name(name));
        names.sort();
        names
    }
}
