//! A difference of two exchanges, and its place.

use std::borrow::Cow;

use harproxy_json::Pointer;

/// A place at which two exchanges differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference<'a> {
    pub location: Location,
    /// How the values differ.
    pub kind: DifferenceKind,
    /// The left value as text; `None` if there is none.
    pub left: Option<Cow<'a, str>>,
    /// The right value as text; `None` if there is none.
    pub right: Option<Cow<'a, str>>,
}

/// How two values differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DifferenceKind {
    /// Both exchanges have the value, and it differs.
    Changed,
    OnlyLeft,
    OnlyRight,
    /// The values are the same in another order.
    Order,
    /// The values mean the same and are spelled in another way.
    Spelling,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Location {
    Method,
    /// The URL, if its parts are equal but for their order or spelling.
    Url,
    /// Scheme, host and port of the URL.
    Origin,
    Path,
    /// A segment of the path, from 0.
    Segment(usize),
    Query,
    /// The query parameters with this name, decoded.
    Parameter(String),
    /// The request header fields with this name, in lower case.
    RequestHeader(String),
    RequestBody(BodyLocation),
    Status,
    Reason,
    /// The response header fields with this name, in lower case.
    ResponseHeader(String),
    /// The trailer fields with this name, in lower case.
    Trailer(String),
    ResponseBody(BodyLocation),
    /// The kind of failure, if no response was received.
    Failure,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BodyLocation {
    /// The payload as a whole.
    Whole,
    Json(Pointer<'static>),
    /// The form fields, or parts of a multipart payload, with this name.
    Field(String),
}

impl<'a> Difference<'a> {
    /// Returns the difference of two values, of which at most one is `None`.
    #[must_use]
    pub fn new(location: Location, left: Option<Cow<'a, str>>, right: Option<Cow<'a, str>>) -> Self {
        let kind = match (&left, &right) {
            (Some(_), None) => DifferenceKind::OnlyLeft,
            (None, Some(_)) => DifferenceKind::OnlyRight,
            _ => DifferenceKind::Changed,
        };
        Difference { location, kind, left, right }
    }

    #[must_use]
    pub fn with_kind(self, kind: DifferenceKind) -> Self {
        Difference { kind, ..self }
    }
}
