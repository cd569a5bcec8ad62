//! The requests of a run as the live list, the log of events and the reports show them, and their counts.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::entry_view::PayloadExcerpt;
use harproxy_http::Headers;

/// The result of a request: the `outcome` of reports and events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResultKind {
    /// Answered from an entry, a recorded failure included.
    Served,
    /// In scope, and no entry answers.
    Miss,
    OutOfScope,
    /// On the list of noise: refused at replay, forwarded unrecorded while recording.
    Noise,
    /// Refused because it can't be replayed: a WebSocket, an incomplete payload, an invalid URL; or the client closed
    /// the connection before a source was chosen.
    #[default]
    Refused,
    /// A CORS preflight that harproxy answered.
    Preflight,
    /// Sent to a server of this machine, out of scope.
    Local,
    /// Sent to the network because of an option.
    Live,
    Recorded,
    /// In the scope of a recording, and not recorded: harproxy could not connect to upstream.
    Failed,
    /// Sent to the network and not recorded.
    Passed,
    /// A connection that was forwarded as it is.
    Tunnel,
}

/// The source of a response. Every request has exactly one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    Fixture,
    Live,
    /// A server of this machine.
    Local,
    /// harproxy, in place of the origin.
    MadeUp,
    /// An entry, changed by a route rule.
    #[serde(rename = "fixture+patched")]
    FixturePatched,
    /// The network, changed by a route rule.
    #[serde(rename = "live+patched")]
    LivePatched,
    /// No source: the request was refused.
    #[default]
    None,
}

impl SourceKind {
    /// Returns the source of an answer of this one that was changed.
    #[must_use]
    pub fn patched(self) -> Self {
        match self {
            SourceKind::Fixture => SourceKind::FixturePatched,
            SourceKind::Live => SourceKind::LivePatched,
            other => other,
        }
    }
}

/// The relation of a recorded exchange to the fixture that it updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryChange {
    Unchanged,
    Changed,
    Added,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedEntry {
    /// The entry, counted from 0.
    pub entry: usize,
    pub change: EntryChange,
}

/// One request of a run, without secrets.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestRow {
    /// The number of the request, from 1 in order of arrival.
    pub id: u64,
    /// The report that the row is from, if several were combined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
    /// Milliseconds from the start of the run to the request.
    pub started_ms: f64,
    /// Milliseconds to the head of the response; `None` before it.
    pub waited_ms: Option<f64>,
    /// Milliseconds to the end of the response; `None` before it.
    pub took_ms: Option<f64>,
    /// The client connection, counted from 1.
    pub connection: u64,
    /// The session, if it has a name.
    pub session: Option<String>,
    /// `HTTP/1.1`, `HTTP/2`; empty for a tunnel.
    pub protocol: Cow<'static, str>,
    pub method: String,
    /// The URL; of a tunnel `host:port`.
    pub url: String,
    /// The status of the response; `None` if the connection was closed without one.
    pub status: Option<u16>,
    pub outcome: ResultKind,
    pub source: SourceKind,
    /// The fixture of the entry that answered or was recorded; for a miss, of the most similar entry.
    pub fixture: Option<String>,
    /// The entry, counted from 0.
    pub entry: Option<usize>,
    /// The entries of redirect targets that were followed from it. The last one answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub followed: Vec<usize>,
    /// The sources of a rule that did not answer, and why: `live 503`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallback: Vec<String>,
    /// The rules of `[[route]]` that applied, by name or number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// Of a recorded exchange: its relation to the fixture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<EntryChange>,
    pub mime_type: Option<String>,
    /// Payload bytes of the response that were sent to the client, in their content coding.
    pub bytes: u64,
    /// True if the response was sent to its end.
    pub complete: bool,
    /// The reason for the refusal. In reports it is the text of a finding.
    #[serde(skip)]
    pub explanation: Option<String>,
    #[serde(skip)]
    pub hint: Option<String>,
    /// The number of the exchange in the journal, until it has an entry.
    #[serde(skip)]
    pub exchange: Option<u64>,
    #[serde(skip)]
    pub request_headers: Headers,
    #[serde(skip)]
    pub response_headers: Headers,
    /// The payload of the request, if no entry has it.
    #[serde(skip)]
    pub payload: Option<PayloadExcerpt>,
}

impl RequestRow {
    /// Returns a copy without headers and payload, for the live list and the log of events.
    #[must_use]
    pub fn without_messages(&self) -> Self {
        let (request_headers, response_headers) = Default::default();
        RequestRow { request_headers, response_headers, payload: None, ..self.clone() }
    }

    /// Drops the headers and the bytes of the payload, which take most memory.
    pub fn drop_messages(&mut self) {
        (self.request_headers, self.response_headers) = Default::default();
        if let Some(payload) = &mut self.payload {
            payload.bytes = Bytes::new();
        }
    }

    /// Returns the approximate size of headers and payload in bytes.
    #[must_use]
    pub fn message_bytes(&self) -> usize {
        let headers = self.request_headers.iter().chain(&self.response_headers);
        let payload = self.payload.as_ref().map_or(0, |payload| payload.bytes.len());
        payload + headers.map(|header| header.name.len() + header.value.len()).sum::<usize>()
    }
}

/// A request as in the report, with the reason if it was refused.
#[derive(Debug, Serialize)]
pub struct ExplainedRow<'a> {
    #[serde(flatten)]
    row: &'a RequestRow,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'a str>,
}

impl<'a> ExplainedRow<'a> {
    #[must_use]
    pub fn of(row: &'a RequestRow) -> Self {
        ExplainedRow { row, explanation: row.explanation.as_deref(), remedy: row.hint.as_deref() }
    }
}

/// Defines [`Counts`] and their sum, so that a count is added in one line.
macro_rules! counts {
    ($($(#[$attribute:meta])* $name:ident,)+) => {
        /// The counts of a run. Every request of a replay is in exactly one of `served` (fixture), `local`, `passed`
        /// (live), `preflights` (made up), `misses`, `noise`, `outOfScope` and `refused`.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct Counts {
            $($(#[$attribute])* pub $name: u64,)+
        }

        impl<'a> std::iter::Sum<&'a Counts> for Counts {
            fn sum<I: Iterator<Item = &'a Counts>>(counts: I) -> Self {
                counts.fold(Counts::default(), |sum, more| Counts { $($name: sum.$name.saturating_add(more.$name),)+ })
            }
        }
    };
}

counts! {
    requests,
    /// Answered from an entry.
    served,
    /// In scope without an entry.
    misses,
    /// Sent to a server of this machine, out of scope.
    local,
    /// Sent to the network (`--passthrough`, `--on-miss`), or forwarded without being recorded.
    passed,
    /// Noise that was refused (replay) or not stored (record).
    noise,
    /// Refused as out of scope.
    out_of_scope,
    /// CORS preflights that harproxy answered.
    preflights,
    /// Refused because they can't be replayed: WebSockets, incomplete payloads, invalid URLs.
    refused,
    /// In the scope of a recording, and not sent: harproxy could not connect to upstream.
    failed,
    followed,
    /// Truncated payloads among those served.
    truncated,
    /// Recorded failures among those served.
    failures,
    tunnels,
    /// Requests that got 407. They are not among the requests, since clients may send credentials only when asked. Only
    /// findings use the number.
    #[serde(skip)]
    unauthorized,
    /// Connections that harproxy opened beyond this machine.
    upstream_connections,
    /// Connections that harproxy opened to loopback addresses.
    local_connections,
    recorded,
    /// Different secrets that were redacted in the recording.
    redacted,
    /// Payloads that could not be searched for secrets.
    opaque,
    /// Payload bytes sent to clients.
    bytes,
}

impl Counts {
    /// Counts a request by its result. A tunnel counts as passed.
    pub fn count_request(&mut self, result: ResultKind) {
        self.requests += 1;
        let count = match result {
            ResultKind::Served => &mut self.served,
            ResultKind::Miss => &mut self.misses,
            ResultKind::OutOfScope => &mut self.out_of_scope,
            ResultKind::Noise => &mut self.noise,
            ResultKind::Refused => &mut self.refused,
            ResultKind::Preflight => &mut self.preflights,
            ResultKind::Local => &mut self.local,
            ResultKind::Recorded => &mut self.recorded,
            ResultKind::Failed => &mut self.failed,
            ResultKind::Live | ResultKind::Passed | ResultKind::Tunnel => &mut self.passed,
        };
        *count += 1;
    }
}
