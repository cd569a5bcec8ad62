//! Suppressions: known differences with a reason, an owner and an end.

use serde_json::Value;
use time::{Date, OffsetDateTime};

use super::finding::{DriftFinding, DriftPlace, Suppressed};
use super::run::EndpointRun;
use crate::verdict::CheckId;
use harproxy_compare::{ShapePath, ShapeStep};
use harproxy_json::JsonPath;
use harproxy_matching::RequestPattern;

/// The place that a suppression selects.
#[derive(Clone, Debug)]
pub enum PlacePattern {
    /// A JSON path (RFC 9535) over the shape: each array has one element.
    Payload(JsonPath),
    /// `status` or `header.NAME`.
    Exact(String),
}

impl PlacePattern {
    /// Parses a JSON path, `status` or `header.NAME`.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "status" || text.strip_prefix("header.").is_some_and(|name| !name.is_empty()) {
            return Ok(PlacePattern::Exact(text.to_ascii_lowercase()));
        }
        JsonPath::parse(text).map(PlacePattern::Payload).map_err(|error| error.to_string())
    }

    fn selects(&self, place: &DriftPlace) -> bool {
        match (self, place) {
            (PlacePattern::Payload(path), DriftPlace::Payload(at)) => selects(path, at),
            (PlacePattern::Payload(_), _) => false,
            (PlacePattern::Exact(text), place) => *text == place.to_string(),
        }
    }
}

/// Returns true if a JSON path selects a place of a shape.
fn selects(path: &JsonPath, at: &ShapePath) -> bool {
    let mut skeleton = Value::Null;
    for step in at.0.iter().rev() {
        skeleton = match step {
            ShapeStep::Field(name) => serde_json::json!({ name: skeleton }),
            ShapeStep::Item => Value::Array(vec![skeleton]),
            ShapeStep::Entry => serde_json::json!({ "*": skeleton }),
        };
    }
    // Each container of the skeleton has one member, so that the depth of a pointer identifies a place.
    path.pointers(&skeleton).iter().any(|pointer| pointer.matches('/').count() == at.0.len())
}

/// A suppression of `[[drift.suppress]]` or of a JSON file.
#[derive(Clone, Debug)]
pub struct Suppression {
    /// `None` for all places.
    pub place: Option<PlacePattern>,
    /// The checks; empty for all.
    pub checks: Vec<CheckId>,
    /// The endpoints; `None` for all.
    pub endpoints: Option<RequestPattern>,
    pub reason: String,
    pub owner: Option<String>,
    /// The last day on which it applies.
    pub expires: Option<Date>,
    /// `harproxy.toml:12`, for messages.
    pub origin: String,
}

/// Suppressions that a run did not apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SuppressionNotes {
    /// Each expired suppression that would have applied: its findings are back.
    pub expired: Vec<String>,
    /// Each suppression that selects no finding.
    pub unused: Vec<String>,
}

/// Marks the findings that a suppression selects. Findings about the run are never suppressed.
pub fn apply(runs: &mut [EndpointRun], suppressions: &[Suppression], today: Date) -> SuppressionNotes {
    let mut notes = SuppressionNotes::default();
    for suppression in suppressions {
        let is_expired = suppression.expires.is_some_and(|last| last < today);
        let mut selected = 0_usize;
        for EndpointRun { result, recorded_url, .. } in runs.iter_mut() {
            let is_other = |pattern: &RequestPattern| !result.key.is_selected_by(pattern, recorded_url);
            if suppression.endpoints.as_ref().is_some_and(is_other) {
                continue;
            }
            for finding in result.findings.iter_mut().filter(|finding| suppression.selects(finding)) {
                selected += 1;
                if !is_expired && finding.suppressed.is_none() {
                    finding.suppressed = Some(suppression.summary());
                }
            }
        }
        let Suppression { origin, reason, .. } = suppression;
        match suppression.expires.filter(|_| is_expired) {
            Some(last) if selected > 0 => {
                notes.expired.push(format!("{origin}: expired on {last}, so its findings are back: {reason}"));
            }
            _ if selected == 0 => notes.unused.push(format!("{origin}: no finding matches it: {reason}")),
            _ => {}
        }
    }
    notes
}

impl Suppression {
    fn selects(&self, finding: &DriftFinding) -> bool {
        !finding.is_about_the_run()
            && (self.checks.is_empty() || self.checks.contains(&finding.check))
            && self.place.as_ref().is_none_or(|place| place.selects(&finding.place))
    }

    fn summary(&self) -> Suppressed {
        let expires = self.expires.map(|last| last.to_string());
        Suppressed { reason: self.reason.clone(), owner: self.owner.clone(), expires }
    }
}

/// Returns the current day in UTC.
#[must_use]
pub fn today() -> Date {
    OffsetDateTime::now_utc().date()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(steps: &[&str]) -> ShapePath {
        let step = |text: &&str| match *text {
            "[]" => ShapeStep::Item,
            "*" => ShapeStep::Entry,
            name => ShapeStep::Field(name.to_owned()),
        };
        ShapePath(steps.iter().map(step).collect())
    }

    #[test]
    fn json_paths_select_places_of_shapes() {
        let id = path(&["data", "[]", "id"]);
        for (pattern, is_selected) in [
            ("$.data[*].id", true),
            ("$.data[0].id", true),
            ("$..id", true),
            ("$.data", false),
            ("$", false),
            ("$.data[*].name", false),
            ("$.other", false),
        ] {
            assert_eq!(selects(&JsonPath::parse(pattern).unwrap(), &id), is_selected, "{pattern}");
        }
        assert!(selects(&JsonPath::parse("$.users.*.name").unwrap(), &path(&["users", "*", "name"])));
    }
}
