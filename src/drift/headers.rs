//! Checks of response headers, and of pagination in headers and payloads.

use super::checks::{self, DriftSeverity};
use super::evidence::EndpointEvidence;
use super::finding::{DriftFinding, DriftPlace};
use harproxy_compare::{JsonType, Shape, ShapePath, ShapeStep};
use harproxy_http::volatile::is_volatile;

/// Headers that servers and caches set, or that depend on the client. [`is_volatile`] has more.
const IGNORED: [&str; 9] =
    ["alt-svc", "content-encoding", "content-type", "location", "nel", "server", "set-cookie", "vary", "via"];

/// Headers of pagination.
const PAGE_HEADERS: [&str; 14] = [
    "content-range",
    "link",
    "x-has-more",
    "x-next-cursor",
    "x-next-page",
    "x-page",
    "x-pagination",
    "x-per-page",
    "x-prev-page",
    "x-total",
    "x-total-count",
    "x-total-pages",
    "x-wp-total",
    "x-wp-totalpages",
];

/// Fields of pagination beside a list, in lower case and without `_` and `-`.
const PAGE_FIELDS: [&str; 27] = [
    "count",
    "cursor",
    "endcursor",
    "hasmore",
    "hasnext",
    "hasnextpage",
    "haspreviouspage",
    "limit",
    "next",
    "nextcursor",
    "nextlink",
    "nextpage",
    "nextpagetoken",
    "nexttoken",
    "nexturl",
    "offset",
    "page",
    "pagesize",
    "perpage",
    "prev",
    "previous",
    "prevpage",
    "startcursor",
    "total",
    "totalcount",
    "totalitems",
    "totalpages",
];

/// Objects that hold nothing but pagination.
const PAGE_OBJECTS: [&str; 3] = ["pageinfo", "pagination", "paging"];
/// Objects that may hold pagination beside other fields.
const META_OBJECTS: [&str; 4] = ["_links", "links", "meta", "metadata"];

/// Checks the headers without an own check.
pub(super) fn check_headers(recorded: &EndpointEvidence, live: &EndpointEvidence) -> Vec<DriftFinding> {
    let is_ignored = |name: &str| is_volatile(name) || IGNORED.contains(&name) || is_rate_limit(name);
    let finding = |check, name: &str, text: &str| {
        DriftFinding::new(check, DriftSeverity::Info, DriftPlace::Header(name.to_owned()), text)
    };
    let mut findings = Vec::new();
    for name in recorded.headers.keys().filter(|name| !is_ignored(name)) {
        if recorded.has_always(name) && !live.has(name) {
            findings.push(finding(checks::HEADER_MISSING, name, "production does not send this header"));
        }
    }
    for name in live.headers.keys().filter(|name| !is_ignored(name)) {
        if live.has_always(name) && !recorded.has(name) {
            findings.push(finding(checks::HEADER_ADDED, name, "production sends this header; it was not recorded"));
        }
    }
    let limits = |evidence: &EndpointEvidence| evidence.headers.keys().find(|name| is_rate_limit(name)).cloned();
    match (limits(recorded), limits(live)) {
        (Some(name), None) => {
            findings.push(finding(checks::RATE_LIMIT_CHANGED, &name, "production does not send rate-limit headers"));
        }
        (None, Some(name)) => {
            findings.push(finding(
                checks::RATE_LIMIT_CHANGED,
                &name,
                "production sends rate-limit headers; none were recorded",
            ));
        }
        _ => {}
    }
    findings
}

fn is_rate_limit(name: &str) -> bool {
    ["ratelimit", "x-ratelimit", "x-rate-limit"].iter().any(|prefix| name.starts_with(prefix)) || name == "retry-after"
}

/// Replaces the findings of pagination that is gone or has moved by one finding.
pub(super) fn merge_pagination(findings: &mut Vec<DriftFinding>, recorded: &EndpointEvidence, live: &EndpointEvidence) {
    let (before, now) = (page_places(recorded), page_places(live));
    let only_in = |one: &[DriftPlace], other: &[DriftPlace]| -> Vec<DriftPlace> {
        one.iter().filter(|place| !other.contains(place)).cloned().collect()
    };
    let (gone, new) = (only_in(&before, &now), only_in(&now, &before));
    // A place inside another one that is gone is not named.
    let named: Vec<&DriftPlace> = gone.iter().filter(|place| !is_inside_another(place, &gone)).collect();
    let Some(first) = named.first() else { return };
    // A field such as `total` beside a list need not be pagination.
    if new.is_empty() && is_single_field(&before) {
        return;
    }
    let targets: Vec<&DriftPlace> = new.iter().filter(|place| !is_inside_another(place, &new)).collect();
    let text = match targets.is_empty() {
        true => format!("{} is gone", list(&named)),
        false => format!("{} moved to {}", list(&named), list(&targets)),
    };
    let finding = DriftFinding::new(checks::PAGINATION_CHANGED, DriftSeverity::Warning, (*first).clone(), text);
    let is_merged = |place: &DriftPlace| gone.contains(place) || new.contains(place);
    let is_field = |finding: &DriftFinding| {
        [
            checks::FIELD_MISSING_IN_PRODUCTION,
            checks::FIELD_MISSING_IN_MOCK,
            checks::HEADER_MISSING,
            checks::HEADER_ADDED,
        ]
        .contains(&finding.check)
    };
    findings.retain(|finding| !(is_field(finding) && is_merged(&finding.place)));
    findings.push(finding);
}

/// Returns true if the only place is a field of the payload itself.
fn is_single_field(places: &[DriftPlace]) -> bool {
    matches!(places, [DriftPlace::Payload(path)] if path.0.len() == 1)
}

fn is_inside_another(place: &DriftPlace, all: &[DriftPlace]) -> bool {
    let DriftPlace::Payload(path) = place else { return false };
    all.iter().any(|other| matches!(other, DriftPlace::Payload(other) if other != path && path.is_within(other)))
}

fn list(places: &[&DriftPlace]) -> String {
    places.iter().map(|place| format!("`{place}`")).collect::<Vec<_>>().join(", ")
}

/// Returns the places of pagination in an evidence.
fn page_places(evidence: &EndpointEvidence) -> Vec<DriftPlace> {
    let headers = PAGE_HEADERS.into_iter().filter(|name| evidence.has(name));
    let mut places: Vec<DriftPlace> = headers.map(|name| DriftPlace::Header(name.to_owned())).collect();
    let Some(shape) = &evidence.payload.json else { return places };
    let plain = |name: &str| name.replace(['_', '-'], "").to_lowercase();
    let has_list = shape.fields().any(|(_, field)| field.count(JsonType::Array) > 0);
    let mut add = |path: &[&str]| {
        places.push(DriftPlace::Payload(ShapePath(
            path.iter().map(|name| ShapeStep::Field((*name).to_owned())).collect(),
        )));
    };
    let is_page_field = |name: &str| PAGE_FIELDS.contains(&&*plain(name));
    for (name, field) in shape.fields() {
        let is_page_object = PAGE_OBJECTS.contains(&&*plain(name)) && is_object(field);
        if is_page_object || (has_list && is_page_field(name)) {
            add(&[name]);
        }
        let holds_pages = is_page_object || (has_list && META_OBJECTS.contains(&name) && is_object(field));
        for (inner, _) in field.fields().filter(|(inner, _)| holds_pages && is_page_field(inner)) {
            add(&[name, inner]);
        }
    }
    places
}

fn is_object(shape: &Shape) -> bool {
    shape.count(JsonType::Object) > 0
}
