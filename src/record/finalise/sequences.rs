//! Finds the requests that a recording shares with the fixture that it updates, and the responses of both.

use std::borrow::Cow;
use std::collections::HashMap;

use super::index::{ExchangeHeads, JournalIndex};
use super::payload::JournalledPayload;
use super::{har_error, without_secrets};
use crate::record::entry_view::{self, normal_url};
use crate::record::journal::JournalReader;
use crate::record::journal::heads::EndReason;
use crate::record::{Error, RecordPlan};
use harproxy_compare::{Body, Content, ContentKey, Projection, Response, ResponseKey};
use harproxy_har::model::Truncated;
use harproxy_har::write::ContentMode;
use harproxy_har::{Fixture, model};
use harproxy_http::Headers;
use harproxy_matching::{HeaderKey, RequestEquality};

/// The entries and the new exchanges that have the same request.
#[derive(Clone, Debug, Default)]
pub struct Sequence {
    /// The indices of the entries in file order, and their responses. `None` for an entry that cannot be read, because
    /// its payload file is missing, for example. A new exchange replaces it.
    pub old: Vec<(usize, Option<ResponseKey>)>,
    /// The indices of the new exchanges by start time, and their responses.
    pub new: Vec<(usize, ResponseKey)>,
}

/// The requests that a recording shares with the fixture that it updates.
#[derive(Debug)]
pub struct SharedRequests {
    /// The sequences that have entries and new exchanges.
    pub sequences: Vec<Sequence>,
    /// The number of the connection of each new exchange, if it had one.
    pub connections: Vec<Option<u64>>,
    /// The entries of requests that failed before a connection to upstream, which say nothing about their responses.
    pub failed: Vec<usize>,
}

/// The part of a request that is compared besides method and URL, and its test.
type MessageKey = (HeaderKey, ContentKey, Option<String>);

/// The rules of a project by which a recording is compared with the fixture that it updates.
#[derive(Debug)]
pub struct ComparisonRules {
    /// The parts of responses that count.
    pub projection: Projection,
    requests: RequestEquality,
    /// Payloads are not kept (`--content omit`).
    omits_payloads: bool,
}

impl ComparisonRules {
    /// Prepares the rules of a plan.
    ///
    /// # Errors
    /// The first invalid path or rule.
    pub fn new(plan: &RecordPlan) -> Result<Self, Error> {
        Ok(ComparisonRules {
            projection: Projection { volatile: plan.volatile.rules()?, request_headers: false },
            requests: RequestEquality::new(&plan.rules)?,
            omits_payloads: plan.content == ContentMode::Omit,
        })
    }

    /// Finds the requests that a recording shares with a fixture.
    pub fn shared_requests(
        &self,
        old: &Fixture,
        index: &JournalIndex,
        reader: &mut JournalReader,
    ) -> Result<SharedRequests, Error> {
        let mut by_url: HashMap<(String, String), Vec<usize>> = HashMap::new();
        for head in old.heads().iter() {
            let url = self.url_key(&normal_url(head.url));
            by_url.entry((head.method.to_owned(), url)).or_default().push(head.entry);
        }
        let mut connections = Vec::with_capacity(index.exchanges.len());
        // Method and URL are represented by the first entry that has them.
        let mut by_message: HashMap<usize, HashMap<MessageKey, Vec<usize>>> = HashMap::new();
        let mut sequences: HashMap<(usize, MessageKey), Sequence> = HashMap::new();
        let mut failed = Vec::new();
        let answered = index.exchanges.iter().enumerate().map(|(new, exchange)| (Some(new), exchange));
        for (new, exchange) in answered.chain(index.failed.iter().map(|exchange| (None, exchange))) {
            let heads = exchange.heads(reader).map_err(har_error)?;
            if new.is_some() {
                connections.push(heads.response.as_ref().map(|head| head.connection));
            }
            let url = &heads.request.url;
            let Some(entries) = by_url.get(&(heads.request.method.clone(), self.url_key(url))) else { continue };
            let sent = JournalledPayload::of_request(exchange, &heads, &index.meta);
            let content = self.kept(self.requests.content_key(url, || journalled_body(&sent, reader))?);
            let test = heads.request.test.as_ref().map(|test| test.name.clone());
            let sent = (self.requests.header_key(url, &heads.request.headers.0), content, test);
            let by_message = by_message.entry(entries[0]).or_insert_with(|| self.by_message(old, entries));
            let Some(entries) = by_message.get(&sent) else { continue };
            let Some(new) = new else {
                failed.extend(entries);
                continue;
            };
            let received = JournalledPayload::of_response(exchange, &heads, &index.meta);
            let mut body = journalled_body(&received, reader)?;
            if self.omits_payloads && body.content != Content::Empty {
                body.content = Content::NotKept;
            }
            let response = self.projection.response_key(&heads.request.method, &new_response(&heads, body));
            let sequence = sequences.entry((entries[0], sent)).or_insert_with(|| Sequence {
                old: entries.iter().map(|&entry| (entry, self.old_response(old, entry))).collect(),
                new: Vec::new(),
            });
            sequence.new.push((new, response));
        }
        Ok(SharedRequests { sequences: sequences.into_values().collect(), connections, failed })
    }

    /// Returns the part of a URL that counts.
    fn url_key(&self, url: &str) -> String {
        without_secrets(&self.requests.url(url))
    }

    /// Groups entries by the key headers and payloads of their requests. Entries that cannot be read are left out.
    fn by_message(&self, fixture: &Fixture, entries: &[usize]) -> HashMap<MessageKey, Vec<usize>> {
        let mut by_message: HashMap<MessageKey, Vec<usize>> = HashMap::new();
        for &at in entries {
            let Ok(entry) = fixture.entry(at) else { continue };
            let read = || entry_view::request_body(fixture, at, &entry);
            let url = normal_url(&entry.request.url);
            if let Ok(content) = self.requests.content_key(&url, read) {
                let headers = self.requests.header_key(&url, &entry.request.headers);
                let session = entry.session().map(str::to_owned);
                by_message.entry((headers, self.kept(content), session)).or_default().push(at);
            }
        }
        by_message
    }

    /// Returns the part of a request payload that the fixture keeps.
    fn kept(&self, payload: ContentKey) -> ContentKey {
        match payload {
            ContentKey::Bytes(_) | ContentKey::Json { .. } if self.omits_payloads => ContentKey::NotKept,
            _ => payload,
        }
    }

    fn old_response(&self, fixture: &Fixture, at: usize) -> Option<ResponseKey> {
        let read = || -> Result<_, harproxy_har::Error> {
            let entry = fixture.entry(at)?;
            let body = entry_view::response_body(fixture, at, &entry)?;
            Ok(self.projection.response_key(&entry.request.method, &entry_view::response(&entry, body)))
        };
        read().inspect_err(|error| tracing::debug!(%error, "an entry cannot be compared")).ok()
    }
}

/// Returns true if an entry stands for a new response too.
pub fn is_covered(new: &ResponseKey, old: &ResponseKey) -> bool {
    let is_left =
        new.cut.as_deref().is_some_and(|reason| matches!(reason, Truncated::CLIENT_LEFT | Truncated::INTERRUPTED));
    // The beginning of a response says nothing against a complete one.
    if is_left && old.cut.is_none() { new.status == old.status } else { new.equals(old) }
}

fn new_response<'h>(heads: &'h ExchangeHeads, body: Body<'h>) -> Response<'h> {
    let (head, end) = (heads.response.as_ref(), heads.end.as_ref());
    let borrowed = |headers: Option<&'h Headers>| headers.map_or_else(Cow::default, Cow::Borrowed);
    Response {
        status: head.map_or(0, |head| head.status.into()),
        reason: head.filter(|head| head.version.as_str().starts_with("HTTP/1")).map(|head| (&head.reason).into()),
        headers: borrowed(head.map(|head| &head.headers.0)),
        trailers: borrowed(end.map(|end| &end.trailers.0)),
        body,
        failure: end.and_then(|end| match &end.reason {
            EndReason::Failed { kind, .. } => Some(kind.into()),
            _ => None,
        }),
    }
}

fn journalled_body(
    payload: &JournalledPayload<'_>,
    reader: &mut JournalReader,
) -> Result<Body<'static>, harproxy_har::Error> {
    let (mut content, mut media_type) = (Content::Empty, String::new());
    let stored = payload.store(reader, |source| {
        content = Content::read(source.read).map_err(har_error)?;
        source.mime_type.clone_into(&mut media_type);
        Ok(model::Body { encoded: source.encoded, ..model::Body::default() })
    })?;
    let cut = stored.truncated.map(|cut| cut.reason.into());
    Ok(Body { media_type: media_type.into(), content, is_encoded: stored.encoded, cut })
}
