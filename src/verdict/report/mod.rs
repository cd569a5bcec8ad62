//! Renders a run for people and programs. Every format is made from the same [`Report`].

pub mod combine;
pub mod github;
pub mod gitlab;
mod group;
pub mod headline;
pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
mod redact;
pub mod text;

use std::path::{Component, Path, PathBuf};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::EntryView;
use super::explain::many;
use super::request::RequestRow;
use super::{CheckId, Finding, FixtureUse, RunMode, Severity, StatusSource, Verdict};

/// The data of a finished run for its reports.
#[derive(Clone, Debug)]
pub struct Report {
    pub verdict: Verdict,
    pub status: u8,
    /// The origin of the exit status: the verdict, CMD or harproxy.
    pub source: StatusSource,
    pub started: OffsetDateTime,
    /// The command line of CMD, without secrets; empty without CMD.
    pub command: String,
    /// The combined reports; empty for a single run.
    pub shards: Vec<Shard>,
    pub requests: Vec<RequestRow>,
    /// Number of requests that are not listed in `requests`.
    pub more_requests: u64,
    /// The entries that requests and findings refer to, by fixture and number.
    pub entries: IndexMap<(String, usize), EntryView>,
}

/// A report that is part of a combined one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shard {
    /// The report's file, as given by the user.
    pub shard: String,
    pub passed: bool,
    pub status: u8,
    pub source: StatusSource,
    pub requests: u64,
    /// Wall time in milliseconds.
    pub duration_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `.json`: for programs, with a documented schema.
    Json,
    /// `.xml`: JUnit.
    Junit,
    /// `.md`: Markdown.
    Markdown,
    /// `.html`: one page that works offline.
    Html,
}

impl Format {
    pub const ENDINGS: &[(&str, Format)] =
        &[("json", Format::Json), ("xml", Format::Junit), ("md", Format::Markdown), ("html", Format::Html)];

    /// Returns the format of a report file by its extension.
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

/// Normalises a path: `./hars//api.har` and `hars/api.har` are the same fixture.
#[must_use]
pub fn plain(path: &str) -> String {
    let named = Path::new(path).components().filter(|part| !matches!(part, Component::CurDir));
    named.collect::<PathBuf>().display().to_string()
}

/// Escapes the characters that have a meaning in HTML and XML. `append` writes each other character.
fn escape_markup(text: &str, append: impl Fn(&mut String, char)) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => append(&mut out, c),
        }
    }
    out
}

/// Returns all findings except unused entries: misses, then other failures, then warnings.
fn without_unused(verdict: &Verdict) -> Vec<&Finding> {
    let mut findings: Vec<&Finding> = verdict.findings.iter().filter(|f| f.check != CheckId::UNUSED).collect();
    // A stable sort: order of appearance within each group.
    findings.sort_by_key(|finding| (finding.check != CheckId::MISS, finding.severity != Severity::Error));
    findings
}

/// Returns all findings, unused entries last.
fn unused_last(verdict: &Verdict) -> Vec<&Finding> {
    let unused = verdict.findings.iter().filter(|finding| finding.check == CheckId::UNUSED);
    without_unused(verdict).into_iter().chain(unused).collect()
}

/// The unused entries of all fixtures together.
struct UnusedEntries<'v> {
    /// The fixtures with unused entries.
    fixtures: Vec<&'v FixtureUse>,
    /// The number of unused entries, and of all entries of these fixtures.
    count: usize,
    entries: usize,
    /// The finding of each listed entry.
    findings: Vec<&'v Finding>,
    severity: Severity,
    /// False for a run that removes no entries.
    can_prune: bool,
}

/// Returns the unused entries, if they are findings. Pruned fixtures are skipped: the code that pruned them reports
/// them.
fn unused_entries(verdict: &Verdict) -> Option<UnusedEntries<'_>> {
    let found: Vec<&Finding> = verdict.findings.iter().filter(|finding| finding.check == CheckId::UNUSED).collect();
    let severity = found.iter().map(|finding| finding.severity).max()?;
    let partly = verdict.fixtures.iter().filter(|fixture| fixture.used < fixture.entries && fixture.pruned.is_none());
    let fixtures: Vec<&FixtureUse> = partly.collect();
    let is_listed = |finding: &&Finding| {
        let at = &finding.at;
        at.entry.is_some() && fixtures.iter().any(|fixture| at.fixture.as_deref() == Some(&fixture.fixture))
    };
    let findings = found.into_iter().filter(is_listed).collect();
    let count = fixtures.iter().map(|fixture| fixture.entries - fixture.used).sum();
    let entries = fixtures.iter().map(|fixture| fixture.entries).sum();
    (count > 0).then_some(UnusedEntries {
        fixtures,
        count,
        entries,
        findings,
        severity,
        can_prune: verdict.mode == RunMode::REPLAY,
    })
}

impl UnusedEntries<'_> {
    /// Returns `2 of 5 entries of hars/api.har`, or of the number of fixtures.
    fn summary(&self) -> String {
        let of = match self.fixtures[..] {
            [fixture] => fixture.fixture.clone(),
            _ => format!("{} fixtures", self.fixtures.len()),
        };
        format!("{} of {} of {of}", self.count, many(self.entries as u64, "entry", "entries"))
    }

    /// Names an entry: `#5 GET https://api.example.com/old`, with its fixture if there are several.
    fn name(&self, finding: &Finding) -> String {
        let fixture = finding.at.fixture.as_deref().filter(|_| self.fixtures.len() > 1).unwrap_or_default();
        let request = finding.at.request.as_deref().unwrap_or_default();
        format!("{fixture}#{} {request}", finding.at.entry.unwrap_or_default())
    }

    /// Returns the summary and the first `shown` entries, and the options that list and remove them.
    fn line(&self, shown: usize) -> String {
        let mut named: Vec<String> = self.findings.iter().take(shown).map(|finding| self.name(finding)).collect();
        let more = self.count.saturating_sub(named.len());
        if !named.is_empty() && more > 0 {
            named.push(format!("and {more} more"));
        }
        let named = if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) };
        let list = (more > 0).then_some("`--report FILE.json` lists them");
        let prune = self.can_prune.then_some("`--prune` removes them after a run that passed");
        let options: Vec<&str> = list.into_iter().chain(prune).collect();
        let options = if options.is_empty() { String::new() } else { format!("; {}", options.join(", ")) };
        format!("{}{named}{options}", self.summary())
    }
}

#[cfg(test)]
pub(crate) mod tests;
