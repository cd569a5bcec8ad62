//! The checks of drift: their ids, their severities, and the sentences that reports and documentation print.

use std::fmt;

use serde::Serialize;

use crate::verdict::CheckId;

/// The effect of a difference on clients that pass their tests against the fixture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DriftSeverity {
    /// Clients keep working.
    Info,
    /// Some clients break.
    Warning,
    /// Clients that use it break.
    Critical,
}

impl DriftSeverity {
    pub const ALL: [DriftSeverity; 3] = [DriftSeverity::Critical, DriftSeverity::Warning, DriftSeverity::Info];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            DriftSeverity::Info => "info",
            DriftSeverity::Warning => "warning",
            DriftSeverity::Critical => "critical",
        }
    }

    /// Returns the points that a finding takes from the score of its endpoint.
    #[must_use]
    pub fn points(self) -> usize {
        match self {
            DriftSeverity::Info => 3,
            DriftSeverity::Warning => 10,
            DriftSeverity::Critical => 25,
        }
    }
}

impl fmt::Display for DriftSeverity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A check of drift.
#[derive(Clone, Debug)]
pub struct Check {
    pub id: CheckId,
    /// Its greatest severity.
    pub severity: DriftSeverity,
    /// The check in a few words.
    pub title: &'static str,
    /// The finding, and its effect on clients.
    pub explanation: &'static str,
}

const fn check(id: &'static str, severity: DriftSeverity, title: &'static str, explanation: &'static str) -> Check {
    Check { id: CheckId::new(id), severity, title, explanation }
}

use DriftSeverity::{Critical, Info, Warning};

pub const STATUS_CHANGED: CheckId = CheckId::new("drift/status-changed");
pub const STATUS_CLASS_CHANGED: CheckId = CheckId::new("drift/status-class-changed");
pub const FIELD_MISSING_IN_PRODUCTION: CheckId = CheckId::new("drift/field-missing-in-production");
pub const FIELD_MISSING_IN_MOCK: CheckId = CheckId::new("drift/field-missing-in-mock");
pub const TYPE_CHANGED: CheckId = CheckId::new("drift/type-changed");
pub const NULLABILITY_CHANGED: CheckId = CheckId::new("drift/nullability-changed");
pub const STRUCTURE_CHANGED: CheckId = CheckId::new("drift/structure-changed");
pub const ARRAY_ITEM_CHANGED: CheckId = CheckId::new("drift/array-item-changed");
pub const NOT_COMPARABLE: CheckId = CheckId::new("drift/not-comparable");
pub const ENUM_VALUE_ADDED: CheckId = CheckId::new("drift/enum-value-added");
pub const ENUM_VALUE_REMOVED: CheckId = CheckId::new("drift/enum-value-removed");
pub const FORMAT_CHANGED: CheckId = CheckId::new("drift/format-changed");
pub const CONTENT_TYPE_CHANGED: CheckId = CheckId::new("drift/content-type-changed");
pub const PAGINATION_CHANGED: CheckId = CheckId::new("drift/pagination-changed");
pub const RATE_LIMIT_CHANGED: CheckId = CheckId::new("drift/rate-limit-changed");
pub const HEADER_MISSING: CheckId = CheckId::new("drift/header-missing");
pub const HEADER_ADDED: CheckId = CheckId::new("drift/header-added");
pub const REDIRECT_CHANGED: CheckId = CheckId::new("drift/redirect-changed");
pub const VALUE_CHANGED: CheckId = CheckId::new("drift/value-changed");
pub const NOT_COMPARED: CheckId = CheckId::new("drift/not-compared");
pub const NOT_AUTHORIZED: CheckId = CheckId::new("drift/not-authorized");

/// All checks, in the order of the documentation.
pub static CHECKS: [Check; 21] = [
    check(
        "drift/status-changed",
        Warning,
        "another status of the same class",
        "The status differs from the recorded one and is of the same class, such as 201 for 200.",
    ),
    check(
        "drift/status-class-changed",
        Critical,
        "a status of another class",
        "The class of the status differs, such as 404 for 200. The payloads are not compared.",
    ),
    check(
        "drift/field-missing-in-production",
        Critical,
        "a recorded field is gone",
        "Production does not send a field that the fixture has. Code that reads it passes its tests and fails in use.",
    ),
    check(
        "drift/field-missing-in-mock",
        Info,
        "a field that only production sends",
        "Production sends a field that the fixture does not have. Clients that ignore unknown fields keep working.",
    ),
    check(
        "drift/type-changed",
        Critical,
        "another JSON type",
        "A value has another JSON type. Integers that became numbers with fractions are a warning, the reverse is info.",
    ),
    check(
        "drift/nullability-changed",
        Warning,
        "null appeared or disappeared",
        "A field became nullable, which clients may not expect. A field that was always null has values now: info.",
    ),
    check(
        "drift/structure-changed",
        Critical,
        "an object, array or scalar became another of them",
        "A value has another structure: an array became an object, or a value moved a level deeper. One finding stands \
         for the whole subtree.",
    ),
    check(
        "drift/array-item-changed",
        Warning,
        "elements of another type in an array",
        "An array has elements of a type that was not recorded. A recorded type that is gone is info.",
    ),
    check(
        "drift/not-comparable",
        Info,
        "an empty array on one side",
        "An array or a map is empty on one side, so that its elements were not compared.",
    ),
    check(
        "drift/enum-value-added",
        Warning,
        "a value outside the recorded closed set",
        "A field that had a few repeated values has another one. Code that handles each value may not handle it.",
    ),
    check(
        "drift/enum-value-removed",
        Info,
        "a value of the recorded closed set is gone",
        "A value of a small closed set was not seen in production.",
    ),
    check(
        "drift/format-changed",
        Warning,
        "another format of strings",
        "Strings had a format, such as uuid, date-time or digits, and have another one or none.",
    ),
    check(
        "drift/content-type-changed",
        Critical,
        "another media type or charset",
        "The media type of the answer differs. A charset that differs is info.",
    ),
    check(
        "drift/pagination-changed",
        Warning,
        "pagination moved or is gone",
        "Headers or fields that lead to the next page are gone, or moved between headers and the payload.",
    ),
    check(
        "drift/rate-limit-changed",
        Info,
        "rate-limit headers appeared or disappeared",
        "Headers that tell the rate limit are gone or new.",
    ),
    check(
        "drift/header-missing",
        Info,
        "a recorded header is gone",
        "A header that every recorded answer has is gone. Volatile headers do not count.",
    ),
    check(
        "drift/header-added",
        Info,
        "a header that only production sends",
        "Production sends a header that no recorded answer has. Volatile headers do not count.",
    ),
    check(
        "drift/redirect-changed",
        Warning,
        "a redirect leads elsewhere",
        "The target of a redirect has another host or another path. harproxy does not follow it.",
    ),
    check(
        "drift/value-changed",
        Critical,
        "a value under `--values` differs",
        "A value that `--values PATH` selects differs. Other values never count.",
    ),
    check(
        "drift/not-compared",
        Critical,
        "the answers could not be compared",
        "Production gave no usable answer: no connection, a TLS failure, a time-out, no payload, or no JSON where it \
         was recorded; or the request cannot be sent. The run ends with status 4.",
    ),
    check(
        "drift/not-authorized",
        Critical,
        "production asks for credentials",
        "Production answers 401 or 403. Recorded credentials are placeholders and are never sent. The run ends with \
         status 5.",
    ),
];

/// Returns the check with this id.
#[must_use]
pub fn find(id: &CheckId) -> Option<&'static Check> {
    CHECKS.iter().find(|check| check.id == *id)
}

/// Returns the id with the prefix `drift/`, of a name with or without it.
#[must_use]
pub fn parse(name: &str) -> Option<CheckId> {
    let name = name.replace('_', "-");
    let short = name.strip_prefix("drift/").unwrap_or(&name);
    CHECKS.iter().map(|check| &check.id).find(|id| short_name(id) == short).cloned()
}

/// Returns the id without the prefix.
#[must_use]
pub fn short_name(id: &CheckId) -> &str {
    id.as_str().strip_prefix("drift/").unwrap_or(id.as_str())
}

/// Returns the name of the check in JSON reports: `field_missing_in_production`.
#[must_use]
pub fn issue(id: &CheckId) -> String {
    short_name(id).replace('-', "_")
}
