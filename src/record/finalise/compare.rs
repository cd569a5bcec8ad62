//! Compares the answer of an exchange with an entry: status, headers and payload, without volatile values.

use std::collections::HashMap;
use std::hash::Hash;
use std::io::{self, Read};

use sha2::{Digest, Sha256};

use super::index::{ExchangeHeads, JournalIndex};
use super::merge::Compare;
use super::payload::{CLIENT_LEFT, INTERRUPTED, JournalledPayload};
use crate::record::Error;
use crate::record::journal::JournalReader;
use crate::record::journal::heads::EndReason;
use crate::record::volatile::{self, Quiet};
use harproxy_har::Fixture;
use harproxy_har::model::{Body, Response};
use harproxy_http::Headers;
use harproxy_json as json;
use harproxy_matching::{Likeness, Sameness};
use harproxy_redact::placeholder;

type Sum = [u8; 32];

/// Longer payloads are compared by their bytes.
const LOOKED_INTO: u64 = 16 << 20;

/// The payload of a message, as far as comparing cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// None, or no bytes.
    Empty,
    /// There was one, and nobody kept it.
    NotKept,
    /// One that doesn't count.
    Anything,
    /// These bytes, placeholders aside, or what they mean by the rules for their URL.
    Bytes(Sum),
    /// JSON with these values, what is volatile and placeholders aside; compact or laid out by the server.
    Json(Sum, bool),
}

/// An answer, as far as comparing cares.
#[derive(Clone, Debug)]
struct Answer {
    status: i32,
    /// The reason phrase, where the protocol has one.
    reason: Option<String>,
    /// Of the headers and trailers that matter, and of a failure's kind.
    head: Sum,
    content: Content,
    encoded: bool,
    /// Why the payload was cut, if it was.
    cut: Option<String>,
}

impl Answer {
    /// Whether there was an answer at all, and not a failure to get one.
    fn was_given(&self) -> bool {
        (100..=599).contains(&self.status)
    }

    /// Whether the entry that says `old` stands for this one as well.
    fn is_as(&self, old: &Answer) -> bool {
        let left = self.cut.as_deref().is_some_and(|reason| reason == CLIENT_LEFT || reason == INTERRUPTED);
        if left && old.cut.is_none() {
            // What was not waited for says nothing against what was.
            return self.status == old.status;
        }
        let reasons = self.reason.as_ref().zip(old.reason.as_ref());
        self.status == old.status
            && self.head == old.head
            && self.content == old.content
            && self.encoded == old.encoded
            && self.cut == old.cut
            && reasons.is_none_or(|(ours, theirs)| ours == theirs)
    }
}

/// Reads and keeps the answers that were compared.
pub struct Answers<'a> {
    /// The fixture that is recorded again.
    pub fixture: &'a Fixture,
    /// The journal.
    pub reader: &'a mut JournalReader,
    /// The index of the journal.
    pub index: &'a JournalIndex,
    /// The volatile values, which the comparison ignores.
    pub quiet: &'a Quiet,
    /// The rules by which requests are compared.
    pub like: &'a Likeness,
    /// Payloads are not kept (`--content omit`).
    omit: bool,
    /// `None` for an entry that cannot be read (its payload is gone, say): recording again mends it.
    old: HashMap<usize, Option<Answer>>,
    new: HashMap<usize, Answer>,
}

impl<'a> Answers<'a> {
    /// Nothing read yet.
    pub fn new(
        fixture: &'a Fixture,
        reader: &'a mut JournalReader,
        index: &'a JournalIndex,
        (quiet, like): (&'a Quiet, &'a Likeness),
        omit: bool,
    ) -> Self {
        Answers { fixture, reader, index, quiet, like, omit, old: HashMap::new(), new: HashMap::new() }
    }

    /// Whether the payload of an answer is that of an old entry, wherever else they differ.
    ///
    /// # Errors
    /// When the new one cannot be read.
    pub fn same_payload(&mut self, new: usize, old: usize) -> Result<bool, Error> {
        self.read_old(old);
        self.read_new(new)?;
        let (new, old) = (&self.new[&new], &self.old[&old]);
        Ok(old.as_ref().is_some_and(|old| (new.content, new.encoded, &new.cut) == (old.content, old.encoded, &old.cut)))
    }

    /// These old entries by the payloads of their requests, in order; those that cannot be read are left out.
    #[must_use]
    pub fn by_payload(&self, entries: &[usize]) -> HashMap<Content, Vec<usize>> {
        let mut by_payload: HashMap<Content, Vec<usize>> = HashMap::new();
        for &old in entries {
            if let Some(asked) = self.asked_before(old) {
                by_payload.entry(asked).or_default().push(old);
            }
        }
        by_payload
    }

    fn asked_before(&self, old: usize) -> Option<Content> {
        let entry = self.fixture.entry(old).ok()?;
        let url = super::normal(&entry.request.url);
        match &entry.request.post_data {
            _ if ignores(self.like, &url) => Some(Content::Anything),
            Some(body) => {
                kept(self.fixture, old, body, &asked_for(self.like, &url)).ok().map(|asked| self.as_kept(asked))
            }
            None => Some(Content::Empty),
        }
    }

    /// As much of the payload of a request as is kept.
    fn as_kept(&self, asked: Content) -> Content {
        if self.omit && asked != Content::Empty { Content::NotKept } else { asked }
    }

    /// The payload of a new exchange's request.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn asked(&mut self, new: usize, heads: &ExchangeHeads) -> Result<Content, Error> {
        if ignores(self.like, &heads.request.url) {
            return Ok(Content::Anything);
        }
        let payload = JournalledPayload::of_request(&self.index.exchanges[new], heads, self.index.meta.max_body);
        let asked = content(&payload, self.reader, &asked_for(self.like, &heads.request.url), false)?.0;
        Ok(self.as_kept(asked))
    }

    fn answered_before(&self, old: usize) -> Result<Answer, harproxy_har::Error> {
        let entry = self.fixture.entry(old)?;
        let Response { status, status_text, http_version, headers, content, trailers, .. } = &entry.response;
        let error = entry.harproxy.as_ref().and_then(|own| own.get("error")?.get("kind")?.as_str());
        Ok(Answer {
            status: *status,
            reason: http_version.starts_with("HTTP/1").then(|| status_text.clone()),
            head: head(self.quiet, &entry.request.method, headers, trailers, error),
            content: kept(self.fixture, old, content, &answered_with(self.quiet))?,
            encoded: content.encoded,
            cut: content.truncated.as_ref().map(|cut| cut.reason.clone()),
        })
    }

    fn read_old(&mut self, old: usize) {
        if !self.old.contains_key(&old) {
            let answer = self.answered_before(old);
            let answer = answer.inspect_err(|error| tracing::debug!(%error, "an entry that can't be compared")).ok();
            self.old.insert(old, answer);
        }
    }

    fn read_new(&mut self, new: usize) -> Result<(), Error> {
        if !self.new.contains_key(&new) {
            let answer = self.answered(new)?;
            self.new.insert(new, answer);
        }
        Ok(())
    }

    fn answered(&mut self, new: usize) -> Result<Answer, Error> {
        let exchange = &self.index.exchanges[new];
        let heads = exchange.heads(self.reader).map_err(har_error)?;
        let payload = JournalledPayload::of_response(exchange, &heads, self.index.meta.max_body);
        let (content, encoded, cut) = content(&payload, self.reader, &answered_with(self.quiet), self.omit)?;
        let error = match heads.end.as_ref().map(|end| &end.reason) {
            Some(EndReason::Failed { kind, .. }) => Some(kind.as_str()),
            _ => None,
        };
        let none = Headers::default();
        let response = heads.response.as_ref();
        Ok(Answer {
            status: response.map_or(0, |head| head.status.into()),
            reason: response.filter(|head| head.version.as_str().starts_with("HTTP/1")).map(|head| head.reason.clone()),
            head: head(
                self.quiet,
                &heads.request.method,
                response.map_or(&none, |head| &head.headers.0),
                heads.end.as_ref().map_or(&none, |end| &end.trailers.0),
                error,
            ),
            content,
            encoded,
            cut,
        })
    }
}

impl Compare for Answers<'_> {
    type Error = Error;

    fn same_as_old(&mut self, new: usize, old: usize) -> Result<bool, Error> {
        self.read_old(old);
        self.read_new(new)?;
        Ok(self.old[&old].as_ref().is_some_and(|old| self.new[&new].is_as(old)))
    }

    fn says_less(&mut self, new: usize, old: usize) -> Result<bool, Error> {
        self.read_old(old);
        self.read_new(new)?;
        let (new, old) = (self.new.get(&new), self.old.get(&old).and_then(Option::as_ref));
        Ok(new.zip(old).is_some_and(|(new, old)| !new.was_given() && old.was_given()))
    }

    fn same_as_new(&mut self, new: usize, other: usize) -> Result<bool, Error> {
        self.read_new(new)?;
        self.read_new(other)?;
        Ok(self.new[&new].is_as(&self.new[&other]))
    }
}

/// Of names in order of their spelling (servers that keep headers in a hash table send them in any), values in theirs.
fn head(quiet: &Quiet, method: &str, headers: &Headers, trailers: &Headers, error: Option<&str>) -> Sum {
    let date = volatile::date(headers);
    let mut sum = Sha256::new();
    for (part, list) in [("headers", headers), ("trailers", trailers)] {
        sum.update(part);
        let mut list: Vec<(String, &[u8])> =
            list.iter().map(|header| (header.name.to_ascii_lowercase(), &header.value[..])).collect();
        list.retain(|(name, _)| !quiet.is_header_of(method, name));
        list.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, value) in list {
            sum.update(&name);
            sum.update([0]);
            sum.update(quiet.value(&name, value, date));
            sum.update([0]);
        }
    }
    sum.update(error.unwrap_or_default());
    sum.finalize().into()
}

/// The payload of an exchange, whether it was left as received, and why it was cut.
fn content(
    payload: &JournalledPayload<'_>,
    reader: &mut JournalReader,
    view: View<'_>,
    omit: bool,
) -> Result<(Content, bool, Option<String>), harproxy_har::Error> {
    let mut sum = Content::Empty;
    let body = payload.store(reader, |source| {
        let encoded = source.encoded;
        let read = counted(source.read, |bytes| if encoded { None } else { view(source.mime_type, bytes) });
        sum = read.map_err(|source| harproxy_har::Error::Payload { doing: "reading the journal", source })?;
        Ok(Body { encoded, ..Body::default() })
    })?;
    if omit && sum != Content::Empty {
        sum = Content::NotKept;
    }
    Ok((sum, body.encoded, body.truncated.map(|cut| cut.reason)))
}

/// The payload of an entry.
fn kept(fixture: &Fixture, entry: usize, body: &Body, view: View<'_>) -> Result<Content, harproxy_har::Error> {
    let payload = fixture.payload(entry, body)?;
    if matches!(payload, harproxy_har::Payload::NotRecorded) {
        return Ok(Content::NotKept);
    }
    let mut read = payload.reader()?;
    let view = |bytes: &[u8]| if body.encoded { None } else { view(&body.mime_type, bytes) };
    counted(&mut read, view).map_err(|source| harproxy_har::Error::Io {
        doing: "reading a payload of",
        path: fixture.path().to_owned(),
        source,
    })
}

/// Returns the projection of a payload of this media type; `None` compares its bytes.
type View<'v> = &'v dyn Fn(&str, &[u8]) -> Option<Content>;

/// Returns the view of response payloads: JSON, as declared by the media type, is compared by value.
fn answered_with(quiet: &Quiet) -> impl Fn(&str, &[u8]) -> Option<Content> {
    |mime_type, bytes| Some(Content::Json(quiet.payload(mime_type, bytes)?, json::is_compact(bytes)))
}

/// Returns the view of request payloads, by the match rules for the URL.
fn asked_for(like: &Likeness, url: &str) -> impl Fn(&str, &[u8]) -> Option<Content> {
    move |mime_type, bytes| {
        // JSON stays JSON without its placeholders.
        let bare: Vec<u8> = placeholder::mask(bytes).iter().map(|byte| if *byte == 0 { b'0' } else { *byte }).collect();
        match like.payload(url, mime_type, &bare) {
            Sameness::Bytes => None,
            Sameness::Meaning(meaning) => Some(Content::Bytes(meaning)),
            Sameness::Anything => Some(Content::Anything),
        }
    }
}

/// Returns true if the match rules ignore request payloads for this URL.
fn ignores(like: &Likeness, url: &str) -> bool {
    like.payload(url, "", &[]) == Sameness::Anything
}

/// Returns the projection of a payload: the result of `view`, or else a hash of its bytes without placeholders.
/// A payload longer than `LOOKED_INTO` bytes is hashed unchanged.
fn counted(read: &mut dyn Read, view: impl Fn(&[u8]) -> Option<Content>) -> io::Result<Content> {
    let mut bytes = Vec::new();
    read.take(LOOKED_INTO + 1).read_to_end(&mut bytes)?;
    if bytes.is_empty() {
        return Ok(Content::Empty);
    }
    if bytes.len() as u64 > LOOKED_INTO {
        return hash(bytes, read).map(Content::Bytes);
    }
    let by_bytes = || Content::Bytes(Sha256::digest(placeholder::mask(&bytes)).into());
    Ok(view(&bytes).unwrap_or_else(by_bytes))
}

/// Hashes `bytes` and then the rest of the payload, 1 MiB at a time.
fn hash(mut bytes: Vec<u8>, rest: &mut dyn Read) -> io::Result<Sum> {
    let mut sum = Sha256::new();
    while !bytes.is_empty() {
        sum.update(&bytes);
        bytes.clear();
        rest.take(1 << 20).read_to_end(&mut bytes)?;
    }
    Ok(sum.finalize().into())
}

fn har_error(source: io::Error) -> harproxy_har::Error {
    harproxy_har::Error::Payload { doing: "reading the journal", source }
}
