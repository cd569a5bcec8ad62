//! Selects the endpoints of fixtures and the entry that is asked for each.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde_json::Value;

use super::endpoint::{EndpointKey, EndpointRules};
use super::evidence::{AnswerPayload, EndpointEvidence, ObservedAnswer};
use crate::verdict::explain::EntryPlace;
use harproxy_compare::{excerpt, graphql};
use harproxy_glob::Globs;
use harproxy_har::{EntryHead, Error, Fixture, Payload};
use harproxy_http::headers::to_chars;
use harproxy_http::{MediaType, NormalUrl};
use harproxy_matching::RequestPattern;
use harproxy_redact::placeholder;

/// Methods that change nothing (RFC 9110 section 9.2.1).
const SAFE: [&str; 3] = ["GET", "HEAD", "OPTIONS"];
/// The length of a GraphQL query that names an endpoint, in characters.
const MAX_QUERY: usize = 60;
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
        for head in fixture.heads().iter().filter(is_http) {
            let is_selected = rules.globs.as_ref().is_none_or(|globs| globs.matches(head.url));
            if !is_selected {
                continue;
            }
            let at = EntryIndex { fixture: number, entry: head.entry };
            let parameters = if head.post_data { payload_names(fixture, head.entry)? } else { BTreeSet::new() };
            let Some(key) = rules.endpoints.key(head.method, head.url, head.status, parameters) else { continue };
            let reason = match incomparable(&head) {
                Some(reason) => Some(reason.to_owned()),
                None if !rules.methods.allow(head.method, head.url) => {
                    Some(format!("{} can change data; `--include-unsafe` sends it", head.method))
                }
                None if !found.contains_key(&key) && is_event_stream(fixture, head.entry)? => {
                    Some("event streams do not end, so they are not compared".to_owned())
                }
                None => None,
            };
            if let Some(reason) = reason {
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

fn is_http(head: &EntryHead<'_>) -> bool {
    let is_http = head.url.starts_with("http://") || head.url.starts_with("https://");
    is_http && !head.left_out && head.method != "CONNECT"
}

/// Returns the reason why the answer of an entry can't be compared with another one.
fn incomparable(head: &EntryHead<'_>) -> Option<&'static str> {
    match head.status {
        _ if head.websocket => Some("WebSockets are not compared"),
        ..200 => Some("no answer was recorded"),
        206 => Some("a part of an answer (206) is not compared with the whole one"),
        304 => Some("an answer to a conditional request (304) depends on the client's cache"),
        _ => None,
    }
}

fn is_event_stream(fixture: &Fixture, entry: usize) -> Result<bool, Error> {
    let mime = fixture.entry(entry)?.response.content.mime_type.clone();
    Ok(MediaType::parse(&mime).essence() == "text/event-stream")
}

fn is_redacted(url: &str) -> bool {
    placeholder::occurs_in(url.as_bytes())
}

/// Returns all origins of fixtures.
#[must_use]
pub fn origins(fixtures: &[Fixture]) -> Vec<String> {
    let urls = fixtures.iter().flat_map(|fixture| fixture.heads().iter()).filter(is_http);
    let sites = urls.filter_map(|head| Some(NormalUrl::parse(head.url).ok()?.parts().site().into_owned()));
    sites.collect::<BTreeSet<String>>().into_iter().collect()
}

/// Returns the origins of selected endpoints whose asked entry was recorded with a header.
#[must_use]
pub fn origins_with_header(fixtures: &[Fixture], selection: &EndpointSelection, name: &str) -> Vec<String> {
    let has_header = |endpoint: &&SelectedEndpoint| {
        let entry = fixtures[endpoint.asked.fixture].entry(endpoint.asked.entry);
        entry.is_ok_and(|entry| entry.request.headers.contains(name))
    };
    let origins = selection.endpoints.iter().filter(has_header).map(|endpoint| endpoint.key.origin.clone());
    origins.collect::<BTreeSet<String>>().into_iter().collect()
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
    if let Some(operation) = graphql_operation(&value) {
        return Ok(BTreeSet::from([operation]));
    }
    Ok(value.as_object().map(|members| members.keys().cloned().collect()).unwrap_or_default())
}

/// Returns the name of a GraphQL operation, or the beginning of the query of one without a name.
fn graphql_operation(payload: &Value) -> Option<String> {
    payload.get("query").filter(|query| query.is_string())?;
    let name = graphql::operation(payload)?;
    if !["query", "mutation", "subscription"].contains(&name.as_str()) {
        return Some(name);
    }
    let mut folded = payload.clone();
    graphql::fold_queries(&mut folded);
    Some(excerpt(folded.get("query")?.as_str()?, MAX_QUERY))
}

/// Returns the evidence of an endpoint's entries. Payloads are read one after the other.
///
/// # Errors
/// An entry or a payload can't be read.
pub fn recorded_evidence(fixtures: &[Fixture], endpoint: &SelectedEndpoint) -> Result<EndpointEvidence, Error> {
    let mut evidence = EndpointEvidence::default();
    for at in &endpoint.entries {
        let fixture = &fixtures[at.fixture];
        evidence.observe(&recorded_answer(fixture, at.entry)?);
    }
    Ok(evidence)
}

/// Returns the evidence of one entry.
///
/// # Errors
/// The entry or its payload can't be read.
pub fn entry_evidence(fixture: &Fixture, entry: usize) -> Result<EndpointEvidence, Error> {
    let mut evidence = EndpointEvidence::default();
    evidence.observe(&recorded_answer(fixture, entry)?);
    Ok(evidence)
}

/// Returns the recorded answer of an entry.
///
/// # Errors
/// The entry or its payload can't be read.
pub fn recorded_answer(fixture: &Fixture, entry: usize) -> Result<ObservedAnswer, Error> {
    let parsed = fixture.entry(entry)?;
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
