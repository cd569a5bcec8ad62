//! The ignored parts of a request. They need not agree for an entry to match, but an entry that agrees in them ranks
//! before one that does not.

use std::fmt;

use harproxy_compare::{BodyRules, Digest, MatchBody, SentPayload};
use harproxy_redact::placeholder;
use serde_json::Value;

use super::key::View;
use super::redacted_places::ignored_parameters;

/// A part of a request that options or rules ignore.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum IgnoredPart {
    /// The origin (`--same-host`).
    Host,
    /// A segment of the path, from 0.
    Segment(usize),
    /// A query parameter, by its name and its index among those of this name.
    Parameter(String, usize),
    /// The values of a JSON path in the payload (`--ignore-body`).
    Json(String),
    /// The bytes of the payload, if only its meaning is compared, or nothing of it.
    Payload,
}

impl fmt::Display for IgnoredPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IgnoredPart::Host => write!(f, "the host"),
            IgnoredPart::Segment(n) => write!(f, "segment {} of the path", n + 1),
            IgnoredPart::Parameter(name, _) => write!(f, "query parameter `{name}`"),
            IgnoredPart::Json(path) => write!(f, "body `{path}`"),
            IgnoredPart::Payload => write!(f, "the body"),
        }
    }
}

/// The ignored parts of a request with their values. A value with a placeholder is `None`: it agrees with any value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct IgnoredParts(Box<[(IgnoredPart, Option<Box<str>>)]>);

impl IgnoredParts {
    /// Finds the ignored parts of an entry's request. `digest` is that of its payload, if the bytes are an ignored
    /// part.
    pub(super) fn of_entry(
        url: Option<&View<'_, '_>>,
        digest: Option<Digest>,
        payload: impl FnOnce() -> Option<Vec<u8>>,
        rules: &BodyRules,
    ) -> Self {
        let mut parts = PartList::of_url(url);
        if let Some(digest) = digest {
            parts.add(IgnoredPart::Payload, &hex(&digest));
        }
        if !rules.ignored.is_empty() {
            parts.add_json(payload().as_deref(), rules);
        }
        parts.finish()
    }

    /// Finds the ignored parts of a live request.
    pub(super) fn of_request(url: Option<&View<'_, '_>>, payload: &SentPayload<'_>, rules: &BodyRules) -> Self {
        let mut parts = PartList::of_url(url);
        if compares_bytes(rules) && !payload.is_empty() {
            parts.add(IgnoredPart::Payload, &hex(&payload.digests()[1]));
        }
        if !rules.ignored.is_empty() {
            parts.add_json(Some(payload.decoded()), rules);
        }
        parts.finish()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns true if a part belongs to the payload.
    pub(super) fn need_body(&self) -> bool {
        self.0.iter().any(|(part, _)| matches!(part, IgnoredPart::Json(_) | IgnoredPart::Payload))
    }

    /// Returns the parts in which two requests differ, with the values of both.
    pub(super) fn differences<'a>(
        &'a self,
        other: &'a IgnoredParts,
    ) -> impl Iterator<Item = (&'a IgnoredPart, Option<&'a str>, Option<&'a str>)> {
        let here = self.0.iter().filter_map(|(part, value)| {
            let value = value.as_deref()?;
            match other.find(part) {
                None => Some((part, Some(value), None)),
                Some(None) => None,
                Some(Some(found)) => (found != value).then_some((part, Some(value), Some(found))),
            }
        });
        let there = other.0.iter().filter(|(part, _)| self.find(part).is_none());
        here.chain(there.filter_map(|(part, value)| Some((part, None, Some(value.as_deref()?)))))
    }

    fn find(&self, part: &IgnoredPart) -> Option<Option<&str>> {
        self.0.iter().find(|(other, _)| other == part).map(|(_, value)| value.as_deref())
    }
}

/// Returns true if the bytes of payloads are an ignored part.
pub(super) fn compares_bytes(rules: &BodyRules) -> bool {
    rules.mode != MatchBody::Exact
}

#[derive(Default)]
struct PartList(Vec<(IgnoredPart, Option<Box<str>>)>);

impl PartList {
    fn of_url(url: Option<&View<'_, '_>>) -> Self {
        let mut parts = PartList::default();
        let Some(view) = url else { return parts };
        if view.has_class() {
            parts.add(IgnoredPart::Host, &view.parts.site());
        }
        for (n, segment) in view.variable_segments() {
            parts.add(IgnoredPart::Segment(n), segment);
        }
        for (name, n, parameter) in ignored_parameters(view) {
            let value = parameter.split_once('=').map_or("", |(_, value)| value);
            parts.add(IgnoredPart::Parameter(name, n), value);
        }
        parts
    }

    fn add(&mut self, part: IgnoredPart, value: &str) {
        let value = (!placeholder::may_occur_in(value.as_bytes())).then(|| value.into());
        self.0.push((part, value));
    }

    fn add_json(&mut self, payload: Option<&[u8]>, rules: &BodyRules) {
        let Some(value) = payload.and_then(|payload| serde_json::from_slice::<Value>(payload).ok()) else { return };
        for path in &rules.ignored {
            let found: Vec<String> = path.select(&value).into_iter().map(plain_text).collect();
            if !found.is_empty() {
                self.add(IgnoredPart::Json(path.to_string()), &found.join(", "));
            }
        }
    }

    fn finish(self) -> IgnoredParts {
        IgnoredParts(self.0.into_boxed_slice())
    }
}

/// Returns a string without its quotes, and other values as JSON.
pub(super) fn plain_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn hex(digest: &Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
