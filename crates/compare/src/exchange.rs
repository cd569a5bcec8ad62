//! The exchanges that comparisons take as input. Callers build them from fixture entries and journals.

use std::borrow::Cow;

use harproxy_http::{Headers, MediaType};

use super::content::Content;

#[derive(Clone, Debug)]
pub struct Exchange<'a> {
    pub request: Request<'a>,
    /// The response; its status is not positive if none was received.
    pub response: Response<'a>,
}

#[derive(Clone, Debug)]
pub struct Request<'a> {
    pub method: Cow<'a, str>,
    /// The URL in normal form; as written if it is invalid.
    pub url: Cow<'a, str>,
    pub headers: Cow<'a, Headers>,
    pub body: Body<'a>,
}

#[derive(Clone, Debug)]
pub struct Response<'a> {
    /// The status; 0 or -1 if no response was received.
    pub status: i32,
    /// The reason phrase; `None` in protocol versions without one.
    pub reason: Option<Cow<'a, str>>,
    pub headers: Cow<'a, Headers>,
    pub trailers: Cow<'a, Headers>,
    pub body: Body<'a>,
    /// The kind of failure, if no response was received.
    pub failure: Option<Cow<'a, str>>,
}

/// A payload with its media type, and whether it is still encoded or incomplete.
#[derive(Clone, Debug)]
pub struct Body<'a> {
    /// The value of `Content-Type`; empty if there is none.
    pub media_type: Cow<'a, str>,
    /// The content, without its content coding.
    pub content: Content<'a>,
    /// True if the content coding could not be removed, so that `content` is as received.
    pub is_encoded: bool,
    /// Why the payload is incomplete, if it is.
    pub cut: Option<Cow<'a, str>>,
}

impl<'a> Body<'a> {
    /// Returns a complete payload.
    #[must_use]
    pub fn new(media_type: impl Into<Cow<'a, str>>, content: Content<'a>) -> Self {
        Body { media_type: media_type.into(), content, is_encoded: false, cut: None }
    }

    /// Returns the body of a message without a payload.
    #[must_use]
    pub fn empty() -> Self {
        Body::new("", Content::Empty)
    }

    /// Returns the payload as text. `None` if it is empty, not kept, too long, still encoded or not UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        let bytes = self.content.bytes().filter(|_| !self.is_encoded)?;
        std::str::from_utf8(bytes).ok()
    }

    #[must_use]
    pub fn media(&self) -> MediaType {
        MediaType::parse(&self.media_type)
    }
}
