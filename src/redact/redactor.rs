//! Taking secrets out of heads and payloads.

use std::borrow::Cow;
use std::ops::Range;

use super::{Form, Name, Policy};
use crate::http::Headers;

/// Decides what stands for a value. One for a run: equal values get equal stand-ins.
pub trait Namer {
    /// What stands for a secret that was found at a place of this name; it keeps the form.
    fn stand_in(&mut self, secret: &[u8], name: &Name, form: Form) -> String;

    /// Where in a text values stand, as whole tokens, that were found at named places elsewhere, and what stands for each: in
    /// order, not overlapping.
    fn known(&mut self, text: &[u8]) -> Vec<(Range<usize>, String)>;
}

/// What became of a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There was nothing to take out.
    Clean,
    /// This is left of it.
    Redacted(Vec<u8>),
    /// It could not be looked into: an image, an unknown coding.
    Opaque,
}

/// A policy at work.
#[derive(Debug)]
pub struct Redactor<'a, N> {
    policy: &'a Policy,
    namer: N,
}

impl<'a, N: Namer> Redactor<'a, N> {
    /// Takes out what `policy` calls secret; `namer` says what stands for it.
    pub fn new(policy: &'a Policy, namer: N) -> Self {
        Redactor { policy, namer }
    }

    /// A URL: values of its query, userinfo, shapes anywhere. `None` when nothing was taken out.
    pub fn url(&mut self, url: &str) -> Option<String> {
        let _ = (url, self.policy, &mut self.namer);
        None
    }

    /// Header fields or trailers of either direction, in place.
    pub fn headers(&mut self, headers: &mut Headers) {
        let _ = headers;
    }

    /// A decoded payload with its `Content-Type` (empty when there was none).
    pub fn payload(&mut self, content_type: &str, payload: &[u8]) -> Outcome {
        let _ = (content_type, payload);
        Outcome::Clean
    }

    /// A text of no particular kind: shapes and known values.
    pub fn text<'t>(&mut self, text: &'t [u8]) -> Cow<'t, [u8]> {
        Cow::Borrowed(text)
    }
}

/// A payload that is too long to be held, or whose lines have to go on as they come: shapes, known values and named members
/// are found within a window of 64 KiB.
#[derive(Debug, Default)]
pub struct Stream {
    window: Vec<u8>,
}

impl Stream {
    /// For a payload of this `Content-Type`.
    #[must_use]
    pub fn new(content_type: &str) -> Self {
        let _ = content_type;
        Stream::default()
    }

    /// Takes the next piece and gives what is settled of what came so far.
    pub fn push<N: Namer>(&mut self, redactor: &mut Redactor<'_, N>, piece: &[u8], out: &mut Vec<u8>) {
        let _ = (redactor, &self.window);
        out.extend_from_slice(piece);
    }

    /// Gives the rest.
    pub fn finish<N: Namer>(self, redactor: &mut Redactor<'_, N>, out: &mut Vec<u8>) {
        let _ = (redactor, out);
    }
}

/// Whether payloads of this `Content-Type` are read line by line as they come: events, lines of JSON.
#[must_use]
pub fn is_lines(content_type: &str) -> bool {
    let media = crate::http::MediaType::parse(content_type);
    ["text/event-stream", "application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-seq"]
        .contains(&media.essence())
}

/// Whether payloads of this `Content-Type` can't be looked into: images, protobuf, archives.
#[must_use]
pub fn is_opaque(content_type: &str) -> bool {
    let media = crate::http::MediaType::parse(content_type);
    !(media.is_text() || media.is_multipart() || media.essence().is_empty())
}
