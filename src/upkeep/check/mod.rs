//! `check`: whether a fixture is valid and complete, and whether a secret is left in it.

mod entropy;
mod leaks;
mod payloads;
mod place;

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;

use super::sift::{self, Item, Sift};
use harproxy_har::values::HarValue;
use harproxy_har::{Error, Fixture, format};
use harproxy_redact::RunId;
use harproxy_redact::{Placeholder, Policy, Secret, SecretStore};
use leaks::Leaks;
use payloads::Payloads;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know: what was guessed of another tool's HAR.
    Note,
    /// Worth a look.
    Warning,
    /// The fixture is not to be committed so.
    Problem,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A secret that is left.
    Secret,
    /// git left a conflict.
    Conflict,
    /// It is no HAR.
    Broken,
    /// An entry that can't be used.
    Entry,
    /// A payload that can't be had.
    Payload,
    /// `size` says something else than the payload.
    Size,
    /// A payload file that nothing refers to.
    Unreferenced,
    /// What looks random enough to be a secret.
    Entropy,
    /// A payload file that was edited.
    Edited,
    /// A payload that could not be scanned.
    Opaque,
    /// A payload that was cut while recording.
    Truncated,
    /// An entry that is older than it may be.
    Stale,
    /// It is not in canonical form.
    Form,
    /// Something odd that was read around.
    Odd,
}

/// Something that was found. Its JSON is part of the command line's contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub kind: Kind,
    /// Which entry, from 0.
    pub entry: Option<usize>,
    /// The line of the HAR, from 1.
    pub line: Option<usize>,
    /// Where in the entry: `request header authorization`, `response body $.access_token`.
    pub place: Option<String>,
    /// Of a secret, what it was known by: the name of its place, or of a shape.
    pub name: Option<String>,
    /// Of a secret, how its SHA-256 begins: 12 hex digits.
    pub sha256: Option<String>,
    /// In words.
    pub message: String,
}

/// What was found in a fixture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Entries in it.
    pub entries: usize,
    /// In the order of the file.
    pub findings: Vec<Finding>,
}

impl Report {
    /// How many findings are as bad as this.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Check<'a> {
    /// What is secret.
    pub policy: &'a Policy,
    /// Values that `[redact.values]` gives.
    pub given: &'a [(Placeholder, Secret)],
    /// How the SHA-256 of values that are no secrets begins, in hex.
    pub allow: &'a [String],
    /// How old entries may be, and what time it is.
    pub max_age: Option<(Duration, OffsetDateTime)>,
}

/// Looks through a fixture.
///
/// # Errors
/// When it can't be read at all. What is wrong with a fixture that can be read is a finding.
pub fn check(path: &Path, check: &Check<'_>) -> Result<Report, Error> {
    let fixture = match Fixture::open(path).and_then(|fixture| fixture.expect_entries().map(|()| fixture)) {
        Ok(fixture) => fixture,
        Err(error) => return unusable(error),
    };
    let vault = SecretStore::new(RunId::random(), check.given);
    let mut findings = look(&fixture, check, &vault);
    if vault.found() > 0 {
        // Now that its values are known, they are wherever they stand.
        findings = look(&fixture, check, &vault);
    }
    odd(&fixture, &mut findings);
    findings.sort_by_key(|finding| (finding.entry.is_none(), finding.entry, finding.line));
    Ok(Report { entries: fixture.entries(), findings })
}

fn look(fixture: &Fixture, check: &Check<'_>, vault: &SecretStore) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut payloads = Payloads::new(fixture);
    let mut tokens = entropy::Tokens::default();
    let mut leaks = Leaks::new(vault, check.allow);
    let mut sift = Sift::new(fixture, check.policy, &mut leaks);
    for part in fixture.values() {
        let text = match fixture.value_text(&part) {
            Ok(text) => text,
            Err(error) => {
                findings.push(about(&part, error));
                continue;
            }
        };
        let mut found = Vec::new();
        let each = sift::each_item(fixture, &part, &text, |item| {
            let line = part.line() + text[..item.at()].bytes().filter(|byte| *byte == b'\n').count();
            let before = found.len();
            if let Item::Body(body) = item
                && !payloads.see_to(&part, body, &mut found)
            {
                return Ok(());
            }
            match sift.item(&part, item) {
                Ok(sifted) => leaks::tell(&mut sift, item, sifted, &mut found),
                Err(error) => found.push(about(&part, error)),
            }
            if matches!(item, Item::Spot(spot) if spot.what.is_derived()) {
                leaks::forget_repeated(&mut found, before);
            }
            tokens.look(fixture, &part, item, check, &mut found);
            for finding in &mut found[before..] {
                finding.line = Some(line);
                finding.entry = part.entry;
            }
            Ok(())
        });
        if let Err(error) = each {
            found.push(about(&part, error));
        }
        findings.extend(found);
        findings.extend(stale(fixture, &part, check));
    }
    payloads.unreferenced(&mut findings);
    findings
}

/// A fixture of which nothing can be told but why.
fn unusable(error: Error) -> Result<Report, Error> {
    let (kind, line, message) = match error {
        Error::Conflict { line, .. } => (Kind::Conflict, Some(line), "unresolved git conflict".to_owned()),
        Error::Malformed { line, reason, .. } => (Kind::Broken, line, reason),
        error => return Err(error),
    };
    let finding = Finding { line, ..Finding::new(Severity::Problem, kind, message) };
    Ok(Report { entries: 0, findings: vec![finding] })
}

/// An error as a finding about its part.
fn about(part: &HarValue, error: Error) -> Finding {
    let message = match error {
        Error::Entry { reason, .. } | Error::Malformed { reason, .. } => reason,
        error => error.to_string(),
    };
    let kind = if part.entry.is_some() && message.starts_with("`_file`") { Kind::Payload } else { Kind::Entry };
    Finding { entry: part.entry, line: Some(part.line()), ..Finding::new(Severity::Problem, kind, message) }
}

/// What was odd while reading, what had to be guessed, and whether it is in its form.
fn odd(fixture: &Fixture, findings: &mut Vec<Finding>) {
    for warning in fixture.warnings() {
        let is_unusable = warning.entry.is_some_and(|entry| fixture.heads().get(entry).is_none());
        let (severity, kind) =
            if is_unusable { (Severity::Problem, Kind::Entry) } else { (Severity::Warning, Kind::Odd) };
        let message = warning.text.trim_end_matches("; left out").to_owned();
        findings.push(Finding { entry: warning.entry, line: warning.line, ..Finding::new(severity, kind, message) });
    }
    let notes = fixture.heads().iter().filter_map(|head| fixture.examine(head.entry).ok()).flatten();
    findings.extend(notes.map(|note| Finding {
        entry: note.entry,
        line: note.line,
        ..Finding::new(Severity::Note, Kind::Odd, note.text)
    }));
    let is_broken = findings.iter().any(|finding| matches!(finding.kind, Kind::Entry | Kind::Payload | Kind::Edited));
    if fixture.is_own()
        && !fixture.is_compressed()
        && !is_broken
        && let Ok(changes) = format::find_changes(fixture)
        && !changes.is_empty()
    {
        let message = "it is not in canonical form: run `harproxy fmt`".to_owned();
        findings.push(Finding { line: changes.line, ..Finding::new(Severity::Warning, Kind::Form, message) });
    }
}

fn stale(fixture: &Fixture, part: &HarValue, check: &Check<'_>) -> Option<Finding> {
    let ((max_age, now), entry) = (check.max_age?, part.entry?);
    let age = now - fixture.recorded_at(entry)?;
    let message = format!("it was recorded {} days ago, before --max-age: record it again", age.whole_days());
    let finding = Finding::new(Severity::Warning, Kind::Stale, message);
    (age > max_age).then_some(Finding { entry: part.entry, line: Some(part.line()), ..finding })
}

impl Finding {
    fn new(severity: Severity, kind: Kind, message: impl Into<String>) -> Self {
        let message = message.into();
        Finding { severity, kind, entry: None, line: None, place: None, name: None, sha256: None, message }
    }
}
