//! The verdict as people and machines read it. Every form is made from the same [`Report`].

pub mod combine;
pub mod github;
pub mod gitlab;
pub mod headline;
pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod marks;
mod near;
mod palette;
pub mod text;

use std::path::{Component, Path, PathBuf};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::EntryView;
use super::request::RequestRow;
use super::{StatusSource, Verdict};

/// A run that has ended, and all that reports tell of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// The verdict of the run.
    pub verdict: Verdict,
    /// The exit status.
    pub status: u8,
    /// The origin of the exit status: the verdict, CMD or harproxy.
    pub source: StatusSource,
    /// When the run began.
    pub started: OffsetDateTime,
    /// CMD as it was typed, without secrets; empty without CMD.
    pub command: String,
    /// The reports that this one was combined from; empty for that of one run.
    pub shards: Vec<Shard>,
    /// Its requests in the order in which they came.
    pub requests: Vec<RequestRow>,
    /// Number of requests that are not listed in `requests`.
    pub more_requests: u64,
    /// The entries that they and the findings speak of, by fixture and number.
    pub entries: IndexMap<(String, usize), EntryView>,
}

/// One of the reports that another was combined from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shard {
    /// The report's file, as it was given.
    pub shard: String,
    /// Whether its own verdict held.
    pub passed: bool,
    /// The exit status of its run.
    pub status: u8,
    /// The origin of the exit status.
    pub source: StatusSource,
    /// Requests seen.
    pub requests: u64,
    /// Wall time in milliseconds.
    pub duration_ms: u64,
}

/// The form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `.json`: for programs, by a documented schema.
    Json,
    /// `.xml`: JUnit.
    Junit,
    /// `.md`: Markdown.
    Markdown,
    /// `.html`: one page that needs no network.
    Html,
}

impl Format {
    /// The endings of files, and what they stand for.
    pub const ENDINGS: &[(&str, Format)] =
        &[("json", Format::Json), ("xml", Format::Junit), ("md", Format::Markdown), ("html", Format::Html)];

    /// The form of a report that is to be written to this file.
    ///
    /// ```
    /// use harproxy::verdict::report::Format;
    /// assert_eq!(Format::of("out/report.XML".as_ref()), Some(Format::Junit));
    /// assert_eq!(Format::of("report".as_ref()), None);
    /// ```
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?;
        Format::ENDINGS.iter().find(|(known, _)| known.eq_ignore_ascii_case(ending)).map(|(_, format)| *format)
    }

    /// The report in this form.
    #[must_use]
    pub fn render(self, report: &Report) -> String {
        match self {
            Format::Json => json::render(report),
            Format::Junit => junit::render(report),
            Format::Markdown => markdown::render(report),
            Format::Html => html::render(report),
        }
    }
}

/// A path without what says nothing: `./hars//api.har` and `hars/api.har` are one fixture.
#[must_use]
pub fn plain(path: &str) -> String {
    let named = Path::new(path).components().filter(|part| !matches!(part, Component::CurDir));
    named.collect::<PathBuf>().display().to_string()
}

#[cfg(test)]
mod tests;
