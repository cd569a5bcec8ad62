//! Selects the endpoints of fixtures and the entry that is asked for each.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde_json::Value;

use super::endpoint::{EndpointKey, EndpointRules};
use super::evidence::{AnswerPayload, EndpointEvidence, ObservedAnswer};
use crate::verdict::explain::EntryPlace;
use harproxy_compare::graphql;
use harproxy_glob::Globs;
use harproxy_har::{Entry, EntryHead, Error, Fixture, Payload};
use harproxy_http::MediaType;
use harproxy_http::headers::to_chars;
use harproxy_matching::RequestPattern;
use harproxy_redact::placeholder;

/// Methods that change nothing (RFC 9110 section 9.2.1).
const SAFE: [&str; 3] = ["GET", "HEAD", "OPTIONS"];
/// The part of a request payload in which parameters are found, in bytes.
const MAX_REQUEST: u64 = 1 << 20;

/// The choice of endpoints.
#[derive(Clone, Debug, Default)]
pub struct SelectionRules {
    pub globs: Option<Globs>,
    pub endpoints: EndpointRules,
    /// The methods that are asked. `Any` for two recordings, between which nothing is sent.
    pub methods: Methods,
    /// The most endpoints.
    pub max: Option<usize>,
}

#[derive(Clone, Debug, Default)]
pub enum Methods {
    Any,
    #[default]
    Safe,
    /// Safe methods, and requests that a pattern names.
    SafeAnd(Vec<RequestPattern>),
}

impl Methods {
    fn allow(&self, method: &str, url: &str) -> bool {
        match self {
            Methods::Any => true,
            Methods::Safe => SAFE.contains(&method),
            Methods::SafeAnd(patterns) => {
                SAFE.contains(&method) || patterns.iter().any(|pattern| pattern.matches(method, url))
            }
        }
    }
}

/// An entry of one of several fixtures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryIndex {
    /// The fixture, counted from 0.
    pub fixture: usize,
    /// The entry, counted from 0.
    pub entry: usize,
}

/// An endpoint with its entries.
#[derive(Clone, Debug)]
pub struct SelectedEndpoint {
    pub key: EndpointKey,
    pub entries: Vec<EntryIndex>,
    /// The entry that is asked: the first one without a redacted value in its URL, else the first one.
    pub asked: EntryIndex,
}

/// An endpoint that is not asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedEndpoint {
    pub key: EndpointKey,
    pub at: EntryPlace,
    pub reason: String,
}

#[derive(Clone, Debug, Default)]
pub struct EndpointSelection {
    pub endpoints: Vec<SelectedEndpoint>,
    pub skipped: Vec<SkippedEndpoint>,
}

/// Selects the endpoints of fixtures, in order of first appearance.
///
/// # Errors
/// A fixture has changed since it was opened.
pub fn select(fixtures: &[Fixture], rules: &SelectionRules) -> Result<EndpointSelection, Error> {
    let mut found: IndexMap<EndpointKey, SelectedEndpoint> = IndexMap::new();
    let mut skipped: IndexMap<EndpointKey, SkippedEndpoint> = IndexMap::new();
    for (number, fixture) in fixtures.iter().enumerate() {
        for head in fixture.heads().iter().filter(is_exchange) {
            let is_selected = rules.globs.as_ref().is_none_or(|globs| globs.matches(head.url));
            if !is_selected {
                continue;
            }
            let at = EntryIndex { fixture: number, entry: head.entry };
            let parameters = if head.post_data { payload_names(fixture, head.entry)? } else { BTreeSet::new() };
            let Some(key) = rules.endpoints.key(head.method, head.url, head.status, parameters) else { continue };
            if !rules.methods.allow(head.method, head.url) {
                let reason = format!("{} can change data; `--include-unsafe` sends it", head.method);
                let place = entry_place(fixture, head.entry);
                skipped.entry(key.clone()).or_insert(SkippedEndpoint { key, at: place, reason });
                continue;
            }
            let endpoint = found.entry(key.clone()).or_insert(SelectedEndpoint { key, entries: Vec::new(), asked: at });
            endpoint.entries.push(at);
            let asked = fixtures[endpoint.asked.fixture].heads().get(endpoint.asked.entry);
            if asked.is_some_and(|asked| is_redacted(asked.url)) && !is_redacted(head.url) {
                endpoint.asked = at;
            }
        }
    }
    let mut endpoints: Vec<SelectedEndpoint> = found.into_values().collect();
    if let Some(max) = rules.max.filter(|max| *max < endpoints.len()) {
        for endpoint in endpoints.drain(max..) {
            let at = entry_place(&fixtures[endpoint.asked.fixture], endpoint.asked.entry);
            let reason = format!("beyond the first {max} endpoints (`--max`)");
            skipped.insert(endpoint.key.clone(), SkippedEndpoint { key: endpoint.key, at, reason });
        }
    }
    Ok(EndpointSelection { endpoints, skipped: skipped.into_values().collect() })
}

/// Returns true for an entry with a request that can be sent and an answer.
fn is_exchange(head: &EntryHead<'_>) -> bool {
    let is_http = head.url.starts_with("http://") || head.url.starts_with("https://");
    is_http && !head.websocket && !head.left_out && head.status >= 200 && head.method != "CONNECT"
}

fn is_redacted(url: &str) -> bool {
    placeholder::occurs_in(url.as_bytes())
}

/// Returns the place of an entry as reports name it.
#[must_use]
pub fn entry_place(fixture: &Fixture, entry: usize) -> EntryPlace {
    let line = fixture.heads().get(entry).map(|head| head.line).filter(|_| !fixture.is_archive());
    EntryPlace { fixture: fixture.path().display().to_string(), entry, line }
}

/// Returns the names of a form, the member names of a JSON object, or the name of a GraphQL operation.
fn payload_names(fixture: &Fixture, entry: usize) -> Result<BTreeSet<String>, Error> {
    let parsed = fixture.entry(entry)?;
    let Some(body) = &parsed.request.post_data else { return Ok(BTreeSet::new()) };
    let payload = match fixture.payload(entry, body) {
        Ok(payload) if payload.len() <= MAX_REQUEST => payload.bytes()?,
        _ => return Ok(BTreeSet::new()),
    };
    let Ok(value) = serde_json::from_slice::<Value>(&payload) else {
        let is_form = MediaType::parse(&body.mime_type).is_form();
        let names = || url::form_urlencoded::parse(&payload).map(|(name, _)| name.into_owned()).collect();
        return Ok(if is_form { names() } else { BTreeSet::new() });
    };
    if value.get("query").is_some_and(Value::is_string)
        && let Some(operation) = graphql::operation(&value)
    {
        return Ok(BTreeSet::from([operation]));
    }
    Ok(value.as_object().map(|members| members.keys().cloned().collect()).unwrap_or_default())
}

/// Returns the evidence of an endpoint's entries. Payloads are read one after the other.
///
/// # Errors
/// An entry or a payload can't be read.
pub fn recorded_evidence(fixtures: &[Fixture], endpoint: &SelectedEndpoint) -> Result<EndpointEvidence, Error> {
    let mut evidence = EndpointEvidence::default();
    for at in &endpoint.entries {
        let fixture = &fixtures[at.fixture];
        evidence.observe(&recorded_answer(fixture, at.entry, &*fixture.entry(at.entry)?)?);
    }
    Ok(evidence)
}

/// Returns the recorded answer of an entry.
fn recorded_answer(fixture: &Fixture, entry: usize, parsed: &Entry) -> Result<ObservedAnswer, Error> {
    let response = &parsed.response;
    let payload = match fixture.payload(entry, &response.content)? {
        Payload::Empty => AnswerPayload::Empty,
        _ if response.content.encoded || response.content.truncated.is_some() => AnswerPayload::Unknown,
        Payload::NotRecorded => AnswerPayload::Unknown,
        payload => AnswerPayload::Bytes(payload.bytes()?),
    };
    let header = response.headers.get("content-type").map(|value| to_chars(value).into_owned());
    let mime = response.content.mime_type.clone();
    let is_known = |mime: &String| !mime.is_empty() && mime != "x-unknown";
    Ok(ObservedAnswer {
        status: u16::try_from(response.status).unwrap_or_default(),
        headers: response.headers.clone(),
        content_type: header.or(Some(mime).filter(is_known)).unwrap_or_default(),
        payload,
    })
}
