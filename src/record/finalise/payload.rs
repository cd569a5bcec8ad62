//! A payload of the journal on its way into a fixture: decoded, or as received when it does not decode, and as long as
//! `--max-body` allows.

use std::io::{self, Read};

use super::super::heads::{Decoded, How};
use super::super::journal::{Reader, Span};
use super::index::{Heads, Pieces, Slot};
use harproxy_har::model::{Body, Truncated};
use harproxy_har::write::PayloadSource;
use harproxy_http::Headers;
use harproxy_http::coding::{self, Coding};
use harproxy_http::headers::to_chars;

/// The client went away.
pub const CLIENT_LEFT: &str = "client-left";
/// Upstream broke off.
pub const UPSTREAM_DIED: &str = "upstream-died";
/// The recording itself was killed.
pub const INTERRUPTED: &str = "interrupted";
/// `--max-body`.
pub const MAX_BODY: &str = "max-body";
/// It was too long to be kept as received, and what came behind did not decode.
pub const UNDECODABLE: &str = "undecodable";

/// How far a payload that was cut is decoded only to say how long it is.
const COUNTED: u64 = 1 << 30;

/// Where the pieces of a payload are, how to decode it, and what is known of its being cut.
#[derive(Debug)]
pub struct Payload<'a> {
    pieces: &'a [Span],
    /// What became of it when it was decoded before it was journalled.
    decoded: Option<Decoded>,
    mime_type: String,
    /// `None`: a coding that nobody here knows.
    codings: Option<Vec<Coding>>,
    /// It broke off: one of the reasons above.
    cut: Option<&'static str>,
    /// Bytes that came, or were announced, before decoding.
    total: Option<u64>,
    max_body: Option<u64>,
}

impl<'a> Payload<'a> {
    /// What the client sent.
    #[must_use]
    pub fn of_request(slot: &'a Slot, heads: &Heads, max_body: Option<u64>) -> Self {
        let ended = heads.request_end.as_ref();
        // Without pieces and without an end there was no payload to watch.
        let whole = ended.map_or(slot.sent.spans.is_empty(), |end| end.complete);
        let cut = (!whole).then_some(CLIENT_LEFT);
        let said = Said { seen: ended.map(|end| end.seen), decoded: ended.and_then(|end| end.decoded.clone()) };
        Payload::new(&slot.sent, &heads.request.headers.0, cut, said, max_body)
    }

    /// What upstream answered.
    #[must_use]
    pub fn of_response(slot: &'a Slot, heads: &Heads, max_body: Option<u64>) -> Self {
        let cut = match heads.end.as_ref().map(|end| &end.how) {
            Some(How::Complete | How::Failed { .. } | How::Dropped) => None,
            Some(How::ClientLeft) => Some(CLIENT_LEFT),
            Some(How::UpstreamDied) => Some(UPSTREAM_DIED),
            None => Some(INTERRUPTED),
        };
        let none = Headers::default();
        let headers = heads.response.as_ref().map_or(&none, |head| &head.headers.0);
        let ended = heads.end.as_ref();
        let said = Said { seen: ended.map(|end| end.seen), decoded: ended.and_then(|end| end.decoded.clone()) };
        Payload::new(&slot.received, headers, cut, said, max_body)
    }

    fn new(
        pieces: &'a Pieces,
        headers: &Headers,
        cut: Option<&'static str>,
        said: Said,
        max_body: Option<u64>,
    ) -> Self {
        let announced = || headers.get_str("content-length").and_then(|length| length.trim().parse().ok());
        let Said { seen, decoded } = said;
        Payload {
            pieces: &pieces.spans,
            // One that was interrupted says nothing of its end.
            decoded: pieces.decoded.then(|| decoded.unwrap_or_default()),
            mime_type: headers.get("content-type").map(|mime| to_chars(mime).into_owned()).unwrap_or_default(),
            codings: coding::codings(headers.get_all("content-encoding")),
            cut,
            total: if cut.is_some() { announced() } else { seen },
            max_body,
        }
    }

    /// Whether the message had no payload, not even one that was cut to nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.cut.is_none() && self.pieces.iter().all(|piece| piece.len == 0)
    }

    /// Gives the decoded bytes to `store`. What does not decode is given as received, and said to be so; of what was cut,
    /// as much as decodes.
    ///
    /// # Errors
    /// What `store` gave.
    pub fn store<F>(&self, reader: &mut Reader, mut store: F) -> Result<Body, harproxy_har::Error>
    where
        F: FnMut(PayloadSource<'_>) -> Result<Body, harproxy_har::Error>,
    {
        let Some(mut names) = reader.names.take() else { return self.stored(reader, store) };
        let is_opaque = harproxy_redact::is_opaque(&self.mime_type);
        let stored = self.stored(reader, |source| {
            let mut named = names.payload(source.read, is_opaque);
            store(PayloadSource { read: &mut named, ..source })
        });
        reader.names = Some(names);
        stored
    }

    fn stored<F>(&self, reader: &mut Reader, mut store: F) -> Result<Body, harproxy_har::Error>
    where
        F: FnMut(PayloadSource<'_>) -> Result<Body, harproxy_har::Error>,
    {
        let codings = match &self.codings {
            _ if self.decoded.is_some() => None,
            Some(codings) if self.pieces.is_empty() || codings.is_empty() => None,
            Some(codings) => Some(&codings[..]),
            None => Some(&[][..]),
        };
        if let Some(codings) = codings.filter(|codings| !codings.is_empty()) {
            let pieces = Box::new(reader.stream(self.pieces));
            let mut decoded = Limited::new(coding::decoder(codings, pieces), self.max_body, self.is_partial());
            let stored = store(self.source(&mut decoded, false));
            if !decoded.is_broken() {
                return stored.map(|body| self.mark(body, decoded, None));
            }
        }
        // What was decoded was cut then, and has grown or shrunk since.
        let max_body = self.max_body.filter(|_| self.decoded.is_none());
        let mut raw = Limited::new(Box::new(reader.stream(self.pieces)), max_body, false);
        let body = store(self.source(&mut raw, codings.is_some()))?;
        Ok(self.mark(body, raw, self.total))
    }

    /// Whether the journal holds only its beginning.
    fn is_partial(&self) -> bool {
        let kept: u64 = self.pieces.iter().map(|piece| u64::from(piece.len)).sum();
        self.cut.is_some() || self.total.is_some_and(|total| total > kept)
    }

    fn source<'r>(&'r self, read: &'r mut dyn Read, encoded: bool) -> PayloadSource<'r> {
        let truncated = self.cut.map(|reason| Truncated { reason: reason.to_owned(), kept: 0, total: self.total });
        PayloadSource { read, mime_type: &self.mime_type, encoded, truncated }
    }

    /// Says how it was cut, now that it is known how much was kept.
    fn mark(&self, mut body: Body, mut read: Limited<'_>, total: Option<u64>) -> Body {
        if let Some(decoded) = &self.decoded {
            return self.mark_decoded(body, read.kept, decoded);
        }
        let partial = self.is_partial();
        let reason = self.cut.or_else(|| (read.has_more() || partial).then_some(MAX_BODY));
        body.truncated = reason.map(|reason| Truncated {
            reason: reason.to_owned(),
            kept: read.kept,
            total: total.or_else(|| if partial { None } else { read.count() }),
        });
        body
    }

    fn mark_decoded(&self, mut body: Body, read: u64, decoded: &Decoded) -> Body {
        let reason = self.cut.or(decoded.more.then_some(MAX_BODY)).or(decoded.broken.then_some(UNDECODABLE));
        let is_plain = self.codings.as_ref().is_some_and(Vec::is_empty);
        body.truncated = reason.map(|reason| Truncated {
            reason: reason.to_owned(),
            kept: body.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(read),
            total: if self.cut.is_some() { self.total.filter(|_| is_plain) } else { decoded.total },
        });
        body
    }
}

/// What its end says of a payload.
struct Said {
    seen: Option<u64>,
    decoded: Option<Decoded>,
}

/// A payload up to `--max-body`.
struct Limited<'a> {
    inner: Box<dyn Read + Send + 'a>,
    left: u64,
    kept: u64,
    /// A byte beyond the limit that was read to see whether there is one.
    beyond: u64,
    /// Where it no longer decodes it ends quietly, if anything did.
    partial: bool,
    failed: bool,
}

impl<'a> Limited<'a> {
    fn new(inner: Box<dyn Read + Send + 'a>, limit: Option<u64>, partial: bool) -> Self {
        Limited { inner, left: limit.unwrap_or(u64::MAX), kept: 0, beyond: 0, partial, failed: false }
    }

    /// It does not decode, and not because it is partial.
    fn is_broken(&self) -> bool {
        self.failed && !(self.partial && self.kept > 0)
    }

    /// Whether there is more than the limit allows.
    fn has_more(&mut self) -> bool {
        if self.left == 0 && self.beyond == 0 {
            self.beyond = self.inner.read(&mut [0]).map_or(0, |read| read as u64);
        }
        self.beyond > 0
    }

    /// How long it is in all; `None` when that is too long, or does not decode.
    fn count(&mut self) -> Option<u64> {
        let rest = io::copy(&mut (&mut self.inner).take(COUNTED), &mut io::sink()).ok()?;
        (rest < COUNTED).then_some(self.kept + self.beyond + rest)
    }
}

impl Read for Limited<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        if wanted == 0 {
            return Ok(0);
        }
        match self.inner.read(&mut buf[..wanted]) {
            Ok(read) => {
                self.kept += read as u64;
                self.left -= read as u64;
                Ok(read)
            }
            Err(error) => {
                self.failed = true;
                if self.is_broken() { Err(error) } else { Ok(0) }
            }
        }
    }
}
