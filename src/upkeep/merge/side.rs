//! One of the fixtures that are merged, every entry looked at.

use std::collections::BTreeSet;
use std::path::Path;

use super::look::{Look, Payloads};
use harproxy_har::Fixture;
use harproxy_redact::Placeholder;

/// A fixture, or none: two branches that added the same file have no common ancestor.
#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) fixture: Option<Fixture>,
    /// Of every entry, in file order.
    pub(super) looks: Vec<Look>,
    /// Every placeholder that can be seen in it.
    pub(super) names: BTreeSet<Placeholder>,
    /// The folder that its payload files are in, as `_file` says it.
    pub(super) folder: Option<String>,
}

impl Side {
    /// Opens a fixture and looks at it; an empty file is none.
    pub(super) fn open(path: &Path) -> Result<Option<Fixture>, harproxy_har::Error> {
        let len = path.metadata().map(|metadata| metadata.len());
        if len.is_ok_and(|len| len == 0) { Ok(None) } else { Fixture::open(path).map(Some) }
    }

    /// The names of its payload files.
    pub(super) fn files(&self) -> BTreeSet<&str> {
        self.looks.iter().flat_map(Look::names).collect()
    }

    /// Looks at every entry.
    ///
    /// # Errors
    /// When one can't be read.
    pub(super) fn of(fixture: Option<Fixture>, payloads: Payloads) -> Result<Self, harproxy_har::Error> {
        let Some(fixture) = fixture else { return Ok(Side::default()) };
        let mut names = BTreeSet::new();
        let looks: Result<Vec<Look>, harproxy_har::Error> =
            (0..fixture.entries()).map(|entry| Look::at(&fixture, entry, payloads, &mut names)).collect();
        let looks = looks?;
        let folder = looks.iter().find_map(Look::folder).map(str::to_owned);
        Ok(Side { fixture: Some(fixture), looks, names, folder })
    }
}
