//! Compares the evidence of a fixture with that of production.

use super::checks::{self, DriftSeverity};
use super::evidence::EndpointEvidence;
use super::finding::{DriftFinding, DriftPlace};
use super::headers::{check_headers, merge_pagination};
use crate::verdict::CheckId;
use DriftSeverity::{Critical, Info, Warning};
use harproxy_compare::{JsonType, ShapeChange, ShapeDifference, ShapePath, ShapeStep, TypeCompatibility, diff_shapes};
use harproxy_http::MediaType;

/// Statuses of a server that does not answer for now.
const UNAVAILABLE: [u16; 4] = [429, 502, 503, 504];
/// Statuses of a request without valid credentials.
const UNAUTHORIZED: [u16; 2] = [401, 403];

/// Compares two evidences. `redirect` returns the target of a redirect in comparable form.
#[must_use]
pub fn check(
    recorded: &EndpointEvidence,
    live: &EndpointEvidence,
    redirect: &dyn Fn(&str) -> String,
) -> Vec<DriftFinding> {
    for status in live.statuses.iter().copied().filter(|status| !recorded.statuses.contains(status)) {
        if UNAUTHORIZED.contains(&status) {
            return vec![not_authorized(format!("production answers {status}: the request has no valid credentials"))];
        }
        if UNAVAILABLE.contains(&status) {
            return vec![not_compared(format!("production answers {status}"))];
        }
        if recorded.status() / 100 != status / 100 {
            return vec![class_changed(recorded.status(), status, live.location.as_deref().map(redirect))];
        }
    }
    let payload = match check_payload(recorded, live) {
        Ok(findings) => findings,
        Err(reason) => return vec![not_compared(reason)],
    };
    let mut findings: Vec<DriftFinding> = check_status(recorded, live).into_iter().collect();
    findings.extend(check_content_type(recorded, live));
    findings.extend(check_redirect(recorded, live, redirect));
    findings.extend(payload);
    findings.extend(check_headers(recorded, live));
    merge_pagination(&mut findings, recorded, live);
    findings
}

/// Returns the finding that production could not be compared.
#[must_use]
pub fn not_compared(reason: impl Into<String>) -> DriftFinding {
    DriftFinding::new(checks::NOT_COMPARED, Critical, DriftPlace::Answer, reason)
}

/// Returns the finding that production asks for credentials.
#[must_use]
pub fn not_authorized(text: impl Into<String>) -> DriftFinding {
    DriftFinding::new(checks::NOT_AUTHORIZED, Critical, DriftPlace::Status, text).with_suggestion(
        "set the credentials under [drift] in harproxy.toml, such as `headers = { authorization = \"env:API_TOKEN\" }`",
    )
}

fn class_changed(before: u16, now: u16, target: Option<String>) -> DriftFinding {
    let text = format!("the status is {now}, not {before}");
    let finding = DriftFinding::new(checks::STATUS_CLASS_CHANGED, Critical, DriftPlace::Status, text);
    match target {
        Some(target) => finding.with_suggestion(format!("production redirects to {target}")),
        None if now == 404 => finding.with_suggestion("the recorded resource may be gone: record one that exists"),
        None => finding,
    }
}

fn check_status(recorded: &EndpointEvidence, live: &EndpointEvidence) -> Option<DriftFinding> {
    let now = live.statuses.iter().find(|status| !recorded.statuses.contains(status))?;
    let text = format!("the status is {now}, not {}", recorded.status());
    Some(DriftFinding::new(checks::STATUS_CHANGED, Warning, DriftPlace::Status, text))
}

fn check_content_type(recorded: &EndpointEvidence, live: &EndpointEvidence) -> Option<DriftFinding> {
    let (before, now) = (MediaType::parse(&recorded.content_type), MediaType::parse(&live.content_type));
    let place = DriftPlace::Header("content-type".to_owned());
    let finding = |severity, text: String| Some(DriftFinding::new(checks::CONTENT_TYPE_CHANGED, severity, place, text));
    let is_empty = live.payload.empty == live.answers;
    if before.essence().is_empty() || (is_empty && now.essence().is_empty()) {
        return None;
    }
    if before.essence() != now.essence() {
        let text = match now.essence() {
            "" => format!("the answer has no media type; `{}` was recorded", before.essence()),
            now => format!("the media type is `{now}`, not `{}`", before.essence()),
        };
        return finding(Critical, text);
    }
    // JSON is UTF-8 (RFC 8259 section 8.1), whether its type says so or not.
    let charset = |media: &MediaType| match media.parameter("charset") {
        None if media.is_json() => "utf-8".to_owned(),
        charset => charset.unwrap_or_default().trim_matches('\'').to_ascii_lowercase(),
    };
    match (charset(&before), charset(&now)) {
        (before, now) if before == now => None,
        (before, now) if now.is_empty() => finding(Info, format!("the charset is gone; `{before}` was recorded")),
        (before, now) if before.is_empty() => finding(Info, format!("the charset is `{now}`; none was recorded")),
        (before, now) => finding(Info, format!("the charset is `{now}`, not `{before}`")),
    }
}

fn check_redirect(
    recorded: &EndpointEvidence,
    live: &EndpointEvidence,
    redirect: &dyn Fn(&str) -> String,
) -> Option<DriftFinding> {
    let before = redirect(recorded.location.as_deref()?);
    let place = DriftPlace::Header("location".to_owned());
    let text = match live.location.as_deref().map(redirect) {
        Some(now) if now == before => return None,
        Some(now) => format!("the redirect leads to {now}, not to {before}"),
        None => format!("the redirect to {before} has no target"),
    };
    Some(DriftFinding::new(checks::REDIRECT_CHANGED, Warning, place, text))
}

/// Compares the payloads.
///
/// # Errors
/// The reason why they can't be compared.
fn check_payload(recorded: &EndpointEvidence, live: &EndpointEvidence) -> Result<Vec<DriftFinding>, String> {
    let (before, now) = (&recorded.payload, &live.payload);
    let media = MediaType::parse(&live.content_type);
    let sent = match media.essence() {
        "" => "a payload without a media type".to_owned(),
        media => format!("`{media}`"),
    };
    if let Some(error) = before.damaged {
        return Err(format!("the recorded answer can't be compared: {error}"));
    }
    if before.has_unknown {
        return Err("the recorded payload is not in the fixture, or cannot be decoded".to_owned());
    }
    if now.has_unknown {
        return Err("the payload of production cannot be decoded".to_owned());
    }
    if let Some(error) = now.damaged {
        return Err(format!("production sends {sent}: {error}"));
    }
    let had_payload = before.json.is_some() || before.other > 0;
    if had_payload && before.empty == 0 && now.empty > 0 {
        return Err("production sends no payload where one was recorded".to_owned());
    }
    match (&before.json, &now.json) {
        (Some(_), _) if before.other == 0 && now.other > 0 => {
            Err(format!("production sends {sent} where JSON was recorded"))
        }
        (Some(recorded), Some(live)) => Ok(diff_shapes(recorded, live).into_iter().map(describe).collect()),
        (Some(_), None) if before.empty == 0 && before.other == 0 => {
            Err("production sends no JSON where it was recorded".to_owned())
        }
        _ if !had_payload && (now.json.is_some() || now.other > 0) => {
            let place = DriftPlace::Payload(ShapePath::default());
            let text = format!("production sends {sent} where no payload was recorded");
            Ok(vec![DriftFinding::new(checks::FIELD_MISSING_IN_MOCK, Info, place, text)])
        }
        _ => Ok(Vec::new()),
    }
}

/// Returns the finding of a difference of two shapes.
fn describe(difference: ShapeDifference) -> DriftFinding {
    let ShapeDifference { path, change } = difference;
    let mut suggestion = None;
    let (id, severity, text): (CheckId, DriftSeverity, String) = match change {
        ShapeChange::FieldMissing { is_required, renamed_to } => {
            suggestion = renamed_to.map(|name| format!("production has `{name}` instead: it was probably renamed"));
            let (severity, text) = match is_required {
                true => (Critical, "production does not send it; every recorded object has it"),
                false => (Warning, "production does not send it; some recorded objects have it"),
            };
            (checks::FIELD_MISSING_IN_PRODUCTION, severity, text.to_owned())
        }
        ShapeChange::FieldOptional { seen, of } => {
            let text = format!("production sends it in {seen} of {of} objects; every recorded object has it");
            (checks::FIELD_MISSING_IN_PRODUCTION, Warning, text)
        }
        ShapeChange::FieldAdded => {
            (checks::FIELD_MISSING_IN_MOCK, Info, "production sends it; it was not recorded".to_owned())
        }
        ShapeChange::Type { from, to, compatibility } => {
            let severity = match compatibility {
                TypeCompatibility::Incompatible => Critical,
                TypeCompatibility::Widened => Warning,
                TypeCompatibility::Narrowed => Info,
            };
            (checks::TYPE_CHANGED, severity, format!("{}, not {}", types(&to), types(&from)))
        }
        ShapeChange::Structure { from, to } => {
            (checks::STRUCTURE_CHANGED, Critical, format!("{}, not {}", types(&to), types(&from)))
        }
        ShapeChange::BecameNullable => {
            (checks::NULLABILITY_CHANGED, Warning, "it can be null; null was not recorded".to_owned())
        }
        ShapeChange::StoppedBeingNull => {
            (checks::NULLABILITY_CHANGED, Info, "it has a value; only null was recorded".to_owned())
        }
        ShapeChange::ItemTypeAdded(kind) => {
            (checks::ARRAY_ITEM_CHANGED, Warning, format!("elements are {kind} too, which was not recorded"))
        }
        ShapeChange::ItemTypeGone(kind) => (checks::ARRAY_ITEM_CHANGED, Info, format!("no element is {kind} any more")),
        ShapeChange::Empty { is_recorded } => {
            let side = if is_recorded { "in the fixture" } else { "in production" };
            let text = match path.0.last() {
                Some(ShapeStep::Entry) => format!("no member has such a key {side}, so they were not compared"),
                _ => format!("it is empty {side}, so its elements were not compared"),
            };
            (checks::NOT_COMPARABLE, Info, text)
        }
        ShapeChange::ValuesAdded(values) => {
            let text = match values.is_empty() {
                true => "long values are not among the recorded ones".to_owned(),
                false => format!("{} is not among the recorded values", quoted(&values)),
            };
            (checks::ENUM_VALUE_ADDED, Warning, text)
        }
        ShapeChange::ValuesGone(values) => {
            (checks::ENUM_VALUE_REMOVED, Info, format!("{} was recorded and was not seen", quoted(&values)))
        }
        ShapeChange::Format { from, to } => {
            let to = to.map_or("text".to_owned(), |to| to.to_string());
            (checks::FORMAT_CHANGED, Warning, format!("the format is {to}, not {from}"))
        }
    };
    let finding = DriftFinding::new(id, severity, DriftPlace::Payload(path), text);
    DriftFinding { suggestion, ..finding }
}

fn types(types: &[JsonType]) -> String {
    types.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

fn quoted(values: &[String]) -> String {
    values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ")
}
