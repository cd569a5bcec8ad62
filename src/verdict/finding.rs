//! A finding: one result of a check, with its location and a hint. The JSON names of its members are those of the
//! report schema.

use serde::{Deserialize, Serialize};

use super::check_id::CheckId;
use super::explain::{EntryPlace, NearEntry};

/// Whether a finding fails the run. If one of several findings fails it, all of them together do: the greatest severity
/// counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It is listed.
    Warning,
    /// It fails the run.
    Error,
}

/// The request and the entry that a finding is about, as far as there are any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// `METHOD URL` of the request.
    pub request: Option<String>,
    /// The fixture, as it was given.
    pub fixture: Option<String>,
    /// The entry, counted from 0.
    pub entry: Option<usize>,
    /// The entry's line in the HAR, counted from 1.
    pub line: Option<usize>,
}

impl Location {
    /// The location of a finding about an entry, and about a request if there is one.
    #[must_use]
    pub fn entry(place: EntryPlace, request: impl Into<Option<String>>) -> Self {
        let EntryPlace { fixture, entry, line } = place;
        Location { request: request.into(), fixture: Some(fixture), entry: Some(entry), line }
    }

    #[must_use]
    pub fn request(request: impl Into<String>) -> Self {
        Location { request: Some(request.into()), ..Location::default() }
    }

    #[must_use]
    pub fn fixture(fixture: impl Into<String>) -> Self {
        Location { fixture: Some(fixture.into()), ..Location::default() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    #[serde(rename = "kind")]
    pub check: CheckId,
    pub severity: Severity,
    #[serde(flatten)]
    pub at: Location,
    /// The explanation: one sentence, or a few lines.
    #[serde(rename = "explanation")]
    pub text: String,
    /// The option, configuration line or command that helps.
    #[serde(rename = "remedy")]
    pub hint: Option<String>,
    /// Of a miss: the most similar entries and their differences, most similar first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub near: Vec<NearEntry>,
    /// How many times the same thing happened.
    pub times: u64,
    /// The ids of the requests that it happened to, as many as are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<u64>,
}

impl Finding {
    /// A finding that happened once, without a location and a hint.
    pub fn new(check: CheckId, severity: Severity, text: impl Into<String>) -> Self {
        let (at, near, requests) = Default::default();
        Finding { check, severity, at, text: text.into(), hint: None, near, times: 1, requests }
    }

    /// Adds the option, configuration line or command that helps.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Finding { hint: Some(hint.into()), ..self }
    }

    /// Whether `--fail-on` can make this finding fail a run. A fixture without any date may be stale or not, so that it
    /// is listed as [`CheckId::STALE`] and never fails.
    #[must_use]
    pub fn can_fail(&self) -> bool {
        self.check != CheckId::STALE || self.at.entry.is_some() || self.at.fixture.is_none()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finding_keeps_its_json_and_unknown_checks_are_read() {
        let finding = Finding {
            at: Location {
                entry: Some(3),
                line: Some(40),
                fixture: Some("a.har".into()),
                ..Location::request("GET /")
            },
            hint: Some("record it again".into()),
            requests: vec![7],
            ..Finding::new(CheckId::new("drift/field-missing"), Severity::Warning, "`$.id` is missing")
        };
        let json = json!({
            "kind": "drift/field-missing", "severity": "warning", "request": "GET /", "fixture": "a.har", "entry": 3,
            "line": 40, "explanation": "`$.id` is missing", "remedy": "record it again", "times": 1, "requests": [7],
        });
        // The order of the members is part of the format.
        assert_eq!(serde_json::to_string(&finding).unwrap(), json.to_string());
        assert_eq!(serde_json::from_value::<Finding>(json).unwrap(), finding);
    }

    #[test]
    fn finding_without_location_has_null_members() {
        let json = serde_json::to_value(Finding::new(CheckId::LOST, Severity::Error, "disk full")).unwrap();
        for member in ["request", "fixture", "entry", "line", "remedy"] {
            assert!(json[member].is_null() && json.as_object().unwrap().contains_key(member), "{json}");
        }
    }
}
