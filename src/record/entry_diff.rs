//! The differences of two entries, for the summary of a recording and for `harproxy diff`.

use std::borrow::Cow;

use serde::Serialize;

use super::entry_view;
use harproxy_compare::{
    Body, BodyLocation, Content, Difference, DifferenceKind, Exchange, Location, Projection, Request, Response, diff,
    excerpt_pair,
};
use harproxy_har::{Error, Fixture};

/// Maximum length of a shown value, in characters.
const MAX_VALUE: usize = 60;

/// An entry, read for comparisons.
#[derive(Debug)]
pub struct ComparableEntry {
    /// Method and URL as the fixture has them.
    pub method: String,
    pub url: String,
    pub exchange: Exchange<'static>,
}

impl ComparableEntry {
    /// Reads an entry with its payloads, of which long ones are reduced to digests.
    ///
    /// # Errors
    /// If the entry or a payload cannot be read.
    pub fn read(fixture: &Fixture, at: usize) -> Result<Self, Error> {
        let entry = fixture.entry(at)?;
        let request_body = entry_view::request_body(fixture, at, &entry)?;
        let response_body = entry_view::response_body(fixture, at, &entry)?;
        let request = entry_view::request(&entry, Body::empty());
        let response = entry_view::response(&entry, Body::empty());
        let exchange = Exchange {
            request: Request {
                method: owned(request.method),
                url: owned(request.url),
                headers: Cow::Owned(request.headers.into_owned()),
                body: request_body,
            },
            response: Response {
                status: response.status,
                reason: response.reason.map(owned),
                headers: Cow::Owned(response.headers.into_owned()),
                trailers: Cow::Owned(response.trailers.into_owned()),
                body: response_body,
                failure: response.failure.map(owned),
            },
        };
        Ok(ComparableEntry { method: entry.request.method.clone(), url: entry.request.url.clone(), exchange })
    }

    /// Returns the entry as one that only one of two fixtures has.
    #[must_use]
    pub fn alone(&self, change: DiffKind, at: usize) -> EntryDiff {
        let number = |kind| (change == kind).then_some(at);
        EntryDiff {
            change,
            method: self.method.clone(),
            url: self.url.clone(),
            old: number(DiffKind::Removed),
            new: number(DiffKind::Added),
            differences: Vec::new(),
        }
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

/// An entry that differs between two fixtures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntryDiff {
    pub change: DiffKind,
    pub method: String,
    pub url: String,
    /// Its number in the old fixture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<usize>,
    /// Its number in the new fixture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<usize>,
    pub differences: Vec<ValueDiff>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DiffKind {
    Changed,
    Added,
    Removed,
}

/// A value that differs. A long value is cut around its difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ValueDiff {
    /// `status`, `header etag`, `$.users[0].name`, `request $.page`.
    pub at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

impl EntryDiff {
    /// Compares two entries. `None` if they are equal in what counts.
    #[must_use]
    pub fn new(
        (at, old): (usize, &ComparableEntry),
        (to, new): (usize, &ComparableEntry),
        projection: &Projection,
    ) -> Option<Self> {
        let found = diff(&old.exchange, &new.exchange, projection);
        let differences: Vec<ValueDiff> =
            found.iter().map(|difference| ValueDiff::of(difference, &old.exchange, &new.exchange)).collect();
        (!differences.is_empty()).then(|| EntryDiff {
            change: DiffKind::Changed,
            method: new.method.clone(),
            url: new.url.clone(),
            old: Some(at),
            new: Some(to),
            differences,
        })
    }
}

impl ValueDiff {
    fn of(difference: &Difference<'_>, old: &Exchange<'_>, new: &Exchange<'_>) -> Self {
        let body = |prefix: &str, location: &BodyLocation| match location {
            BodyLocation::Json(pointer) => format!("{prefix}{}", pointer.to_path()),
            BodyLocation::Field(name) => format!("{prefix}field {name}"),
            BodyLocation::Whole => format!("{prefix}payload"),
        };
        let at = match &difference.location {
            Location::Method => "method".to_owned(),
            Location::Url | Location::Origin | Location::Path | Location::Segment(_) => "URL".to_owned(),
            Location::Query => "query".to_owned(),
            Location::Parameter(name) => format!("query {name}"),
            Location::RequestHeader(name) => format!("request header {name}"),
            Location::RequestBody(location) => body("request ", location),
            Location::Status => "status".to_owned(),
            Location::Reason => "reason".to_owned(),
            Location::ResponseHeader(name) => format!("header {name}"),
            Location::Trailer(name) => format!("trailer {name}"),
            Location::ResponseBody(location) => body("", location),
            Location::Failure => "failure".to_owned(),
        };
        let is_payload = matches!(
            difference.location,
            Location::RequestBody(BodyLocation::Whole) | Location::ResponseBody(BodyLocation::Whole)
        );
        let is_response = matches!(difference.location, Location::ResponseBody(_));
        let [left, right] = if is_payload && difference.left.is_none() && difference.right.is_none() {
            // Bytes have no text: their sizes tell them apart, or nothing does.
            [old, new].map(|exchange| {
                let body = if is_response { &exchange.response.body } else { &exchange.request.body };
                Some(Cow::Owned(size(&body.content)))
            })
        } else {
            [difference.left.clone(), difference.right.clone()]
        };
        let at = match difference.kind {
            DifferenceKind::Order => format!("{at} (order)"),
            DifferenceKind::Spelling => format!("{at} (spelling)"),
            _ if left.is_some() && left == right => format!("{at} (type)"),
            _ => at,
        };
        let (old, new) = match (left, right) {
            (Some(left), Some(right)) => {
                let [left, right] = excerpt_pair(&left, &right, MAX_VALUE);
                (Some(left), Some(right))
            }
            (left, right) => {
                let cut = |text: Cow<'_, str>| harproxy_compare::excerpt(&text, MAX_VALUE);
                (left.map(cut), right.map(cut))
            }
        };
        ValueDiff { at, old, new }
    }
}

fn size(content: &Content<'_>) -> String {
    match content {
        Content::Empty => "empty".to_owned(),
        Content::NotKept => "not kept".to_owned(),
        Content::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Content::Long { len, .. } => format!("{len} bytes"),
    }
}

impl std::fmt::Display for ValueDiff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Numbers and the like stand bare, as in JSON.
        let value = |text: &String| match serde_json::from_str::<serde_json::Value>(text) {
            Ok(value) if !value.is_string() => text.clone(),
            _ => serde_json::Value::from(text.as_str()).to_string(),
        };
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, "{} {} → {}", self.at, value(old), value(new)),
            (Some(old), None) => write!(f, "{} {} removed", self.at, value(old)),
            (None, Some(new)) => write!(f, "{} {} added", self.at, value(new)),
            (None, None) => write!(f, "{}", self.at),
        }
    }
}
